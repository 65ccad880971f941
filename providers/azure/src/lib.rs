//! The beginning of the skyfleet provider for Azure, on azure_mgmt_compute and azure_identity: it
//! prepares, launches, lists, sees preemptions and tears down. It does not search yet, so it is no
//! `Provider`, and the facade does not know it.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.azure]` |
//! | `client` | the only way to Azure: credentials, endpoint, calls, long-running operations |
//! | `launch` | preparing, launching, listing |
//! | `preemption` | what Azure takes back, seen from outside the machine |
//! | `notice` | the same, seen from the machine itself |
//! | `teardown` | giving everything back |
//! | `permissions` | which actions of a role each call needs |
//! | `names` | names of resources: as Azure gives them, and ours |
//! | `whereabouts` | in which region which machine is |
//! | `user_data` | the user's script |
//! | `convert` | Azure's words and ours |
//! | `error` | Azure's codes and our kinds |

#[cfg(test)]
mod bed;
mod client;
mod config;
mod convert;
mod error;
mod launch;
mod names;
mod notice;
pub mod permissions;
mod preemption;
mod teardown;
mod user_data;
mod whereabouts;

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use skyfleet_core::{Clock, OfferId, Price, Result, Timestamp};

use client::Client;
pub use client::client_secret;
pub use config::Settings;
pub use names::Subnet;
pub use notice::{notice, notice_at};
pub use skyfleet_core::MachineNotice;
use whereabouts::Whereabouts;

/// Three of the four contracts over Azure: `CapacitySearch` is still missing.
#[derive(Clone, Debug)]
pub struct AzureProvider {
    client: Client,
    whereabouts: Arc<Whereabouts>,
}

impl AzureProvider {
    /// A provider with a credential of one's own. Retries and timeouts are the provider's.
    pub fn new(credential: Arc<dyn TokenCredential>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::over(Client::new(Some(credential), settings, clock))
    }

    fn over(client: Client) -> Self {
        Self { whereabouts: Arc::default(), client }
    }

    /// What these cost at these times: Azure's price list is not read yet, and an unknown price is
    /// none.
    async fn prices_at(&self, wanted: &[(OfferId, Timestamp)]) -> Result<Vec<Price>> {
        Ok(vec![Price::Unknown; wanted.len()])
    }
}
