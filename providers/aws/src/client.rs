//! The only way to AWS.

pub(crate) mod fleet;
mod http;
pub(crate) mod market;
pub(crate) mod pages;
pub(crate) mod probe;
pub(crate) mod remains;
pub(crate) mod spot;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use skyfleet_core::{Clock, Region, Result};
use tokio::sync::OnceCell;

use http::http_client;

use crate::config::Settings;
use crate::error;

/// Where global things are asked for (regions, prices, identity) when the environment names no
/// region: it is the one that every account has.
pub(crate) const HOME: &str = "us-east-1";

/// How long one call may take, from the first byte out to the last byte in.
const CALL: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);

/// The only way to AWS: clients of its services, and calls with our errors. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// What somebody handed over, until it is first used.
    given: Option<SdkConfig>,
    sdk: OnceCell<SdkConfig>,
    ec2: Mutex<BTreeMap<Region, aws_sdk_ec2::Client>>,
    regions: OnceCell<Vec<Region>>,
}

impl Client {
    /// Does no I/O: the SDK's config is loaded by the first call.
    pub(crate) fn new(given: Option<SdkConfig>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock,
            given,
            sdk: OnceCell::new(),
            ec2: Mutex::default(),
            regions: OnceCell::new(),
        }))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The config of all SDK clients: the one handed over, or AWS's default chain of environment,
    /// files, SSO, containers and metadata service. The layers own all retries and limits, so the
    /// SDK's are off.
    pub(crate) async fn sdk(&self) -> Result<&SdkConfig> {
        self.0.sdk.get_or_try_init(|| Box::pin(self.load())).await
    }

    async fn load(&self) -> Result<SdkConfig> {
        let loaded = match &self.0.given {
            Some(given) => given.clone(),
            None => self.default_chain().await?,
        };
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(CALL).build();
        let mut sdk = loaded.into_builder();
        sdk.set_retry_config(Some(RetryConfig::disabled()));
        sdk.set_timeout_config(Some(timeouts));
        // Answers are read whole within one timeout: a slow one needs no second guard.
        sdk.set_stalled_stream_protection(Some(StalledStreamProtectionConfig::disabled()));
        if let Some(endpoint) = &self.settings().endpoint_url {
            sdk.set_endpoint_url(Some(endpoint.clone()));
        }
        let mut sdk = sdk.build();
        if sdk.http_client().is_none() {
            sdk = sdk.into_builder().http_client(http_client()?).build();
        }
        if sdk.behavior_version().is_none() {
            sdk = sdk.into_builder().behavior_version(BehaviorVersion::latest()).build();
        }
        if sdk.region().is_none() {
            sdk = sdk.into_builder().region(aws_config::Region::new(HOME)).build();
        }
        Ok(sdk)
    }

    async fn default_chain(&self) -> Result<SdkConfig> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client()?)
            .retry_config(RetryConfig::disabled());
        if let Some(profile) = &self.settings().profile {
            loader = loader.profile_name(profile);
        }
        Ok(loader.load().await)
    }

    /// EC2 in a region. Kept, so that connections and credentials are shared.
    pub(crate) async fn ec2(&self, region: &Region) -> Result<aws_sdk_ec2::Client> {
        let sdk = self.sdk().await?;
        let mut clients = self.0.ec2.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(region.clone()).or_insert_with(|| {
            let config = aws_sdk_ec2::config::Builder::from(sdk).region(sdk_region(region));
            aws_sdk_ec2::Client::from_conf(config.build())
        });
        Ok(client.clone())
    }

    /// The regions in scope: those of the settings, else all that are enabled for the account.
    pub(crate) async fn regions(&self) -> Result<Vec<Region>> {
        if !self.settings().regions.is_empty() {
            return Ok(self.settings().regions.clone());
        }
        self.0.regions.get_or_try_init(|| self.enabled_regions()).await.cloned()
    }

    async fn enabled_regions(&self) -> Result<Vec<Region>> {
        let home = self.home().await?;
        let ec2 = self.ec2(&home).await?;
        let answer = self.send("aws.regions", &home, ec2.describe_regions().send()).await?;
        let mut regions: Vec<Region> =
            answer.regions().iter().filter_map(|region| region.region_name()).map(Region::from).collect();
        regions.sort();
        Ok(regions)
    }

    /// Where global things are asked for.
    pub(crate) async fn home(&self) -> Result<Region> {
        let sdk = self.sdk().await?;
        Ok(sdk.region().map_or(HOME, |region| region.as_ref()).into())
    }

    /// One call of AWS, with our error for its refusal. `operation` is what errors call it:
    /// `aws.launch`.
    pub(crate) async fn send<T, E>(
        &self,
        operation: &'static str,
        region: &Region,
        call: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        // Whoever waits for an answer over a socket only seems idle.
        let hold = self.clock().hold();
        // The SDK's futures are large, and every caller would carry them.
        let answer = Box::pin(call).await;
        drop(hold);
        answer.map_err(|error| error::refused(operation, region, error))
    }
}

/// Our name of a region, as the SDK takes it.
pub(crate) fn sdk_region(region: &Region) -> aws_config::Region {
    aws_config::Region::new(region.as_str().to_owned())
}

/// Without anything that could hold a credential.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
