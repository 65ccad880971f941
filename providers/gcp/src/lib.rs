//! The skyfleet provider for Google Compute Engine, on the official SDK.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.gcp]` |
//! | `client` | the only way to Google: credentials, project, endpoint, calls |
//! | `catalog` | what can be bought: offers and signals |
//! | `prices`, `quotas`, `extras` | what it costs, what the project may have, disks and addresses |
//! | `doctor` | whether a fleet could be had, asked beforehand |
//! | `whereabouts`, `names` | names of resources: as Google gives them, and ours |
//! | `launch` | preparing, launching, listing |
//! | `preemption` | what Compute Engine takes back, seen from outside the machine |
//! | `notice` | the same, seen from the machine itself |
//! | `teardown` | giving everything back |
//! | `user_data` | what a machine is given to run |
//! | `convert` | Compute Engine's words and ours |
//! | `error` | Google's codes and our kinds |

#[cfg(test)]
mod bed;
mod catalog;
mod client;
mod config;
mod convert;
mod doctor;
mod error;
mod extras;
mod launch;
mod names;
mod notice;
mod preemption;
mod prices;
mod quotas;
mod teardown;
mod user_data;
mod whereabouts;

use std::sync::Arc;

use google_cloud_auth::credentials::Credentials;
use skyfleet_core::{Capability, Clock, Connected, Driver, Provider, Result};

use catalog::Catalogue;
use client::Client;
pub use client::bearer;
pub use config::Settings;
pub use doctor::permissions;
pub use notice::{notice, notice_at};
use preemption::Memory;
pub use skyfleet_core::MachineNotice;

/// Makes the provider from `[providers.gcp]`: see [`Settings`].
pub const DRIVER: Driver = Driver { name: "gcp", connect };

fn connect(settings: &toml::Table) -> Result<Connected> {
    let settings = Settings::parse(settings)?;
    let clock = skyfleet_core::settings::clock(client::is_near(&settings));
    let provider = GcpProvider::over(Client::new(None, settings, clock.clone()));
    Ok(Connected { provider: Arc::new(provider), clock })
}

/// The four contracts over Google Compute Engine.
#[derive(Clone, Debug)]
pub struct GcpProvider {
    client: Client,
    /// Compute Engine is simulated on this computer.
    near: bool,
    /// What search has learnt: all clones share it.
    catalogue: Arc<Catalogue>,
    /// What the last looks at fleets showed.
    memory: Arc<Memory>,
}

impl GcpProvider {
    /// A provider with credentials of one's own. Retries and timeouts are the provider's.
    pub fn new(credentials: Credentials, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::over(Client::new(Some(credentials), settings, clock))
    }

    fn over(client: Client) -> Self {
        let near = client::is_near(client.settings());
        Self { near, catalogue: Arc::new(Catalogue::new(client.clone())), memory: Arc::default(), client }
    }
}

impl Provider for GcpProvider {
    fn name(&self) -> &'static str {
        "gcp"
    }

    fn capability(&self) -> Capability {
        Capability {
            spot: true,
            price_max: false,
            all_or_nothing: true,
            native_expiry: true,
            notice: Some(preemption::LEAD),
            capacity_scores: true,
            quotas: true,
            launch_max: 1_000,
            user_data_bytes_max: user_data::BYTES_MAX,
            instance_id_command: INSTANCE_ID,
            shares_files: self.near,
        }
    }
}

/// Asks the metadata server who the machine is, and gives its zone and name the form of our ids.
const INSTANCE_ID: &str = "m=http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1/instance; \
    z=$(curl -sf -H 'Metadata-Flavor: Google' \"$m/zone\") && \
    n=$(curl -sf -H 'Metadata-Flavor: Google' \"$m/name\") && \
    printf 'zones/%s/instances/%s' \"${z##*/}\" \"$n\"";
