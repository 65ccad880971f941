//! The only way to Google.

mod credentials;
pub(crate) mod fleet;
pub(crate) mod market;
pub(crate) mod operations;
pub(crate) mod pages;
pub(crate) mod probe;
mod project;
mod remains;

use std::env;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_billing_v1::client::CloudCatalog;
use google_cloud_compute_v1::client::{
    AcceleratorTypes, Addresses, Advice, Disks, Firewalls, GlobalOperations, Images, Instances, MachineTypes,
    Networks, Projects, RegionInstances, RegionOperations, Regions, Subnetworks, ZoneOperations,
};
use google_cloud_gax::client_builder;
use google_cloud_gax::retry_policy::NeverRetry;
use skyfleet_core::{Clock, Error, ErrorKind, Result};
use tokio::sync::OnceCell;

pub use credentials::bearer;

use crate::config::Settings;
use crate::error;

/// How long one call may take, from the first byte out to the last byte in.
const CALL: Duration = Duration::from_secs(60);

/// The only way to Google: clients of its services, and calls with our errors. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// What somebody handed over, in place of the application default credentials.
    given: Option<Credentials>,
    credentials: OnceCell<Credentials>,
    project: OnceCell<String>,
    services: Services,
}

/// The SDK's clients, one for each kind of resource, made by the first call of each. They share
/// credentials and their tokens; retries are off, because the layers own them all.
macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $type:ident at $api:ident,)+) => {
        #[derive(Default)]
        struct Services {
            $($name: OnceCell<$type>,)+
        }

        impl Client {
            $(
                $(#[$doc])*
                pub(crate) async fn $name(&self) -> Result<&$type> {
                    self.0.services.$name.get_or_try_init(|| async {
                        let mut builder = $type::builder()
                            .with_credentials(self.credentials().await?.clone())
                            .with_retry_policy(NeverRetry)
                            .with_attempt_timeout(CALL);
                        if let Some(endpoint) = endpoint(&self.0.settings, Api::$api) {
                            builder = builder.with_endpoint(confidential(endpoint)?);
                        }
                        builder.build().await.map_err(unbuilt)
                    }).await
                }
            )+
        }
    };
}

services! {
    accelerator_types: AcceleratorTypes at Compute,
    addresses: Addresses at Compute,
    advice: Advice at Compute,
    /// The price list of all of Google's services.
    catalogue: CloudCatalog at Billing,
    disks: Disks at Compute,
    firewalls: Firewalls at Compute,
    global_operations: GlobalOperations at Compute,
    images: Images at Compute,
    instances: Instances at Compute,
    machine_types: MachineTypes at Compute,
    networks: Networks at Compute,
    projects: Projects at Compute,
    region_instances: RegionInstances at Compute,
    region_operations: RegionOperations at Compute,
    regions: Regions at Compute,
    subnetworks: Subnetworks at Compute,
    zone_operations: ZoneOperations at Compute,
}

/// A service of Google's with an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Compute,
    Billing,
    ResourceManager,
}

impl Api {
    /// gcloud's own variable for another address of the service, and the path in it that the SDK
    /// adds by itself (`gcloud topic configurations`, section api_endpoint_overrides).
    fn variable(self) -> (&'static str, &'static str) {
        match self {
            Self::Compute => ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "/compute/v1"),
            Self::Billing => ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING", "/v1"),
            Self::ResourceManager => ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", "/v3"),
        }
    }
}

/// Where a service answers, if not at Google's own address: the settings say it for all, gcloud's
/// variables for each. A Compute Engine on this computer is a simulated one, and what is asked for
/// beside it is asked for there too: its credentials are none that Google knows.
pub(crate) fn endpoint(settings: &Settings, api: Api) -> Option<String> {
    let of = |api: Api| {
        let (variable, path) = api.variable();
        let url = env::var(variable).ok()?;
        Some(root(&url, path).to_owned()).filter(|root| !root.is_empty())
    };
    match &settings.endpoint_url {
        Some(url) => Some(root(root(url, Api::Compute.variable().1), api.variable().1).to_owned()),
        None => of(api).or_else(|| of(Api::Compute).filter(|root| skyfleet_core::settings::is_near(root))),
    }
}

/// Whether Compute Engine is simulated on this computer. Then its time may run faster, and its
/// instances may be processes that see this computer's files.
pub(crate) fn is_near(settings: &Settings) -> bool {
    endpoint(settings, Api::Compute).is_some_and(|url| skyfleet_core::settings::is_near(&url))
}

/// Over a network only what is encrypted: tokens are in it.
fn confidential(endpoint: String) -> Result<String> {
    let checked = endpoint.parse::<skyfleet_core::settings::Endpoint>().map_err(|why| {
        let message = format!("the endpoint of a Google service, {endpoint:?}: {why}");
        Error::new(ErrorKind::InvalidConfig, message).with("key", "providers.gcp.endpoint_url")
    })?;
    Ok(checked.into())
}

/// `http://127.0.0.1:1/compute/v1/`, as gcloud writes it, and `http://127.0.0.1:1`, as the SDK does.
fn root<'a>(url: &'a str, path: &str) -> &'a str {
    let url = url.trim().trim_end_matches('/');
    url.strip_suffix(path).unwrap_or(url).trim_end_matches('/')
}

impl Client {
    /// Does no I/O: credentials and project are looked for by the first call.
    pub(crate) fn new(given: Option<Credentials>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock,
            given,
            credentials: OnceCell::new(),
            project: OnceCell::new(),
            services: Services::default(),
        }))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Those handed over, else gcloud's token of the environment, else Google's default chain of
    /// environment, files and metadata server.
    pub(crate) async fn credentials(&self) -> Result<&Credentials> {
        self.0.credentials.get_or_try_init(async || credentials::found(self.0.given.clone())).await
    }

    /// The project that pays and owns.
    pub(crate) async fn project(&self) -> Result<&str> {
        Ok(self.0.project.get_or_try_init(|| project::found(self)).await?)
    }

    /// One call of Google, with our error for its refusal. `operation` is what errors call it:
    /// `gcp.launch`.
    pub(crate) async fn send<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = google_cloud_compute_v1::Result<T>>,
    ) -> Result<T> {
        // Whoever waits for an answer over a socket only seems idle.
        let hold = self.clock().hold();
        // The SDK's futures are large, and every caller would carry them.
        let answer = Box::pin(call).await;
        drop(hold);
        answer.map_err(|error| error::refused(operation, &error))
    }
}

fn unbuilt(error: client_builder::Error) -> Error {
    if error.is_default_credentials() {
        return credentials::missing().because(error);
    }
    let message = if error.is_transport() {
        "no HTTPS client can be made; are certificates installed (on Debian: the package ca-certificates)?"
    } else {
        "the credentials are of another universe domain than the endpoint"
    };
    let kind = if error.is_transport() { ErrorKind::Unavailable } else { ErrorKind::InvalidConfig };
    Error::new(kind, message).because(error)
}

/// Without anything that could hold a credential.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_to_another_machine_in_the_open() {
        let refused = confidential("http://10.0.0.1".to_owned()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidConfig);
        assert!(refused.message().contains("10.0.0.1 is another machine"), "{refused}");
        assert!(confidential("http://127.0.0.1:1".to_owned()).is_ok());
        assert!(confidential("https://compute.googleapis.com".to_owned()).is_ok());
    }

    #[test]
    fn gclouds_way_to_write_an_endpoint_and_the_sdks_are_one() {
        for url in [
            "http://127.0.0.1:1/compute/v1/",
            "http://127.0.0.1:1/compute/v1",
            "http://127.0.0.1:1/",
            "http://127.0.0.1:1",
        ] {
            let settings = Settings { endpoint_url: Some(url.to_owned()), ..Settings::default() };
            assert_eq!(endpoint(&settings, Api::Compute).as_deref(), Some("http://127.0.0.1:1"), "{url}");
        }
    }
}
