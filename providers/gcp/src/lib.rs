//! The skyfleet provider for Google Compute Engine, on the official SDK.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.gcp]` |
//! | `client` | the only way to Google: credentials, project, endpoint, calls |
//! | `whereabouts`, `names` | names of resources: as Google gives them, and ours |
//! | `error` | Google's codes and our kinds |

mod client;
mod config;
mod error;
mod names;
mod whereabouts;

use std::sync::Arc;

use google_cloud_auth::credentials::Credentials;
use skyfleet_core::Clock;

use client::Client;
pub use client::bearer;
pub use config::Settings;

/// The four contracts over Google Compute Engine.
#[derive(Clone, Debug)]
pub struct GcpProvider {
    client: Client,
}

impl GcpProvider {
    /// A provider with credentials of one's own. Retries and timeouts are the provider's.
    pub fn new(credentials: Credentials, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self { client: Client::new(Some(credentials), settings, clock) }
    }
}
