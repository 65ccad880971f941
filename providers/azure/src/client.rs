//! The only way to Azure.

pub(crate) mod arm;
mod credentials;
pub(crate) mod fleet;
pub(crate) mod market;
pub(crate) mod operations;
mod probe;
#[cfg(test)]
mod tests;
mod transport;

use std::env;
use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core_021 as legacy;
use azure_mgmt_compute as compute;
use reqwest::Url;
use skyfleet_core::{Clock, Error, ErrorKind, Result, settings};
use tokio::sync::OnceCell;

pub use credentials::client_secret;
pub(crate) use transport::{Answer, Transport};

use crate::config::Settings;
use crate::error;
use credentials::Bridge;

/// Where Resource Manager answers, unless somebody says otherwise.
const ENDPOINT: &str = "https://management.azure.com";
/// Says otherwise: the libraries of Azure know no variable for it, so the name is that of the
/// member of `az cloud show` (`endpoints.resourceManager`).
const ENDPOINT_VARIABLE: &str = "AZURE_RESOURCE_MANAGER_ENDPOINT";
/// By convention: Azure's own libraries do not read it.
const SUBSCRIPTION_VARIABLE: &str = "AZURE_SUBSCRIPTION_ID";

/// The only way to Azure: Resource Manager with our errors. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// What somebody handed over, in place of the environment's.
    given: Option<Arc<dyn TokenCredential>>,
    transport: OnceCell<Transport>,
    credential: OnceCell<Arc<dyn TokenCredential>>,
    compute: OnceCell<compute::Client>,
}

/// Where Resource Manager answers: the settings say it, else the environment, else it is Microsoft's.
pub(crate) fn endpoint(settings: &Settings) -> String {
    let told = || env::var(ENDPOINT_VARIABLE).ok().filter(|url| !url.trim().is_empty());
    let named = settings.endpoint_url.clone().or_else(told);
    named.map_or_else(|| ENDPOINT.to_owned(), |url| url.trim().trim_end_matches('/').to_owned())
}

/// Whether Azure is simulated on this computer.
pub(crate) fn is_near(settings: &Settings) -> bool {
    settings::is_near(&endpoint(settings))
}

impl Client {
    /// Does no I/O: credentials are looked for by the first call.
    pub(crate) fn new(
        given: Option<Arc<dyn TokenCredential>>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock,
            given,
            transport: OnceCell::new(),
            credential: OnceCell::new(),
            compute: OnceCell::new(),
        }))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The subscription that pays and owns.
    ///
    /// # Errors
    /// `InvalidConfig` when nobody names one.
    pub(crate) fn subscription(&self) -> Result<String> {
        let told = || env::var(SUBSCRIPTION_VARIABLE).ok().filter(|id| !id.trim().is_empty());
        let id = self.settings().subscription_id.clone().or_else(told).ok_or_else(|| {
            let message = "it is not known which Azure subscription is meant: set `subscription_id` below \
                           [providers.azure], or AZURE_SUBSCRIPTION_ID";
            Error::new(ErrorKind::InvalidConfig, message).with("key", "providers.azure.subscription_id")
        })?;
        Ok(id.trim().to_ascii_lowercase())
    }

    /// The socket: of Resource Manager, the identity service, the price list.
    pub(crate) async fn transport(&self) -> Result<&Transport> {
        let made = self
            .0
            .transport
            .get_or_try_init(async || Transport::new(is_near(&self.0.settings), self.0.clock.clone()));
        made.await
    }

    async fn credential(&self) -> Result<&Arc<dyn TokenCredential>> {
        let found = self.0.credential.get_or_try_init(async || match &self.0.given {
            Some(given) => Ok(given.clone()),
            None => credentials::found(self.transport().await?),
        });
        found.await
    }

    /// The generated client of Microsoft.Compute: for what its API of 2024-07-01 has. Its requests go
    /// through our transport. A long-running call must be begun with `send()`: to await its builder
    /// would repeat the call itself until it is over.
    pub(crate) async fn compute(&self) -> Result<&compute::Client> {
        let made = self.0.compute.get_or_try_init(async || {
            let endpoint = endpoint(&self.0.settings);
            let wrong = |error: &dyn fmt::Display| {
                let message = format!("{endpoint:?} is no endpoint of Resource Manager: {error}");
                Error::new(ErrorKind::InvalidConfig, message).with("key", "providers.azure.endpoint_url")
            };
            let url = legacy::Url::parse(&endpoint).map_err(|error| wrong(&error))?;
            let transport = self.transport().await?.clone();
            compute::Client::builder(Arc::new(Bridge(self.credential().await?.clone())))
                .endpoint(url)
                // Else it would be derived from the endpoint.
                .scopes(&[credentials::SCOPE])
                .retry(legacy::RetryOptions::none())
                .transport(legacy::TransportOptions::new(Arc::new(transport)))
                .build()
                .map_err(|error| wrong(&error))
        });
        made.await
    }

    /// What a call of the generated client came to, with our error for its refusal. `operation` is
    /// what errors call it: `azure.list`.
    pub(crate) fn read<T>(&self, operation: &'static str, answer: legacy::Result<T>) -> Result<T> {
        answer.map_err(|error| error::refused(operation, &error))
    }

    fn url(&self, path: &str) -> Result<Url> {
        let text = match path.starts_with('/') {
            true => format!("{}{path}", endpoint(self.settings())),
            false => path.to_owned(),
        };
        Url::parse(&text).map_err(|error| {
            let message = format!("{:?} is no URL of Resource Manager: {error}", text.split('?').next());
            Error::new(ErrorKind::InvalidConfig, message)
        })
    }
}

/// Without anything that could hold a credential.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
