//! The skyfleet provider for Azure, on azure_mgmt_compute and azure_identity.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.azure]` |
//! | `client` | the only way to Azure: credentials, endpoint, calls, long-running operations |
//! | `names` | names of resources: as Azure gives them, and ours |
//! | `convert` | Azure's words and ours |
//! | `error` | Azure's codes and our kinds |

mod client;
mod config;
mod convert;
mod error;
mod names;

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use skyfleet_core::Clock;

use client::Client;
pub use config::Settings;
pub use names::Subnet;

/// The four contracts over Azure.
#[derive(Clone, Debug)]
pub struct AzureProvider {
    client: Client,
    /// Azure is simulated on this computer.
    near: bool,
}

impl AzureProvider {
    /// A provider with a credential of one's own. Retries and timeouts are the provider's.
    pub fn new(credential: Arc<dyn TokenCredential>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::over(Client::new(Some(credential), settings, clock))
    }

    fn over(client: Client) -> Self {
        Self { near: client::is_near(client.settings()), client }
    }
}
