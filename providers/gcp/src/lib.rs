//! The skyfleet provider for Google Compute Engine, on the official SDK.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.gcp]` |
//! | `client` | the only way to Google: credentials, project, endpoint, calls |
//! | `catalog` | what can be bought: offers and signals |
//! | `prices`, `quotas`, `extras` | what it costs, what the project may have, disks and addresses |
//! | `whereabouts`, `names` | names of resources: as Google gives them, and ours |
//! | `error` | Google's codes and our kinds |

mod catalog;
mod client;
mod config;
mod error;
mod extras;
mod names;
mod prices;
mod quotas;
mod whereabouts;

use std::sync::Arc;

use google_cloud_auth::credentials::Credentials;
use skyfleet_core::Clock;

use catalog::Catalogue;
use client::Client;
pub use client::bearer;
pub use config::Settings;

/// The four contracts over Google Compute Engine.
#[derive(Clone, Debug)]
pub struct GcpProvider {
    client: Client,
    /// What search has learnt: all clones share it.
    catalogue: Arc<Catalogue>,
}

impl GcpProvider {
    /// A provider with credentials of one's own. Retries and timeouts are the provider's.
    pub fn new(credentials: Credentials, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let client = Client::new(Some(credentials), settings, clock);
        Self { catalogue: Arc::new(Catalogue::new(client.clone())), client }
    }
}
