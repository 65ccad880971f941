//! The skyfleet provider for Azure, on azure_mgmt_compute and azure_identity.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.azure]` |
//! | `client` | the only way to Azure: credentials, endpoint, calls, long-running operations |
//! | `catalog` | what can be bought: offers and signals |
//! | `prices`, `quotas`, `extras` | what it costs, what the subscription may have, disks and addresses |
//! | `doctor` | whether a fleet could be had, asked beforehand |
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
pub mod permissions;
mod preemption;
mod prices;
mod quotas;
mod teardown;
mod user_data;
mod whereabouts;

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use skyfleet_core::{Capability, Clock, Connected, Driver, OfferId, Price, Provider, Result, Timestamp};

use catalog::Catalogue;
use client::Client;
pub use client::client_secret;
pub use config::Settings;
pub use names::Subnet;
pub use notice::{notice, notice_at};
pub use skyfleet_core::MachineNotice;
use whereabouts::Whereabouts;

/// Makes the provider from `[providers.azure]`: see [`Settings`].
pub const DRIVER: Driver = Driver { name: "azure", connect };

fn connect(settings: &toml::Table) -> Result<Connected> {
    let settings = Settings::parse(settings)?;
    let clock = skyfleet_core::settings::clock(client::is_near(&settings));
    let provider = AzureProvider::over(Client::new(None, settings, clock.clone()));
    Ok(Connected { provider: Arc::new(provider), clock })
}

/// The four contracts over Azure.
#[derive(Clone, Debug)]
pub struct AzureProvider {
    client: Client,
    /// Azure is simulated on this computer.
    near: bool,
    /// What search has learnt: all clones share it.
    catalogue: Arc<Catalogue>,
    whereabouts: Arc<Whereabouts>,
}

impl AzureProvider {
    /// A provider with a credential of one's own. Retries and timeouts are the provider's.
    pub fn new(credential: Arc<dyn TokenCredential>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::over(Client::new(Some(credential), settings, clock))
    }

    fn over(client: Client) -> Self {
        let near = client::is_near(client.settings());
        Self {
            near,
            catalogue: Arc::new(Catalogue::new(client.clone())),
            whereabouts: Arc::default(),
            client,
        }
    }

    /// What these cost at these times.
    async fn prices_at(&self, wanted: &[(OfferId, Timestamp)]) -> Result<Vec<Price>> {
        self.catalogue.prices_at(wanted).await
    }
}

impl Provider for AzureProvider {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn capability(&self) -> Capability {
        Capability {
            spot: true,
            price_max: true,
            all_or_nothing: true,
            native_expiry: false,
            // From outside the end is the first sign: scheduled events are told to the machine alone.
            notice: None,
            capacity_scores: true,
            quotas: true,
            launch_max: 1_000,
            user_data_bytes_max: user_data::BYTES_MAX,
            instance_id_command: INSTANCE_ID,
            shares_files: self.near,
        }
    }
}

/// Asks the metadata service who the machine is, and gives it the form of our ids: its own words are
/// in whatever case.
const INSTANCE_ID: &str = "m=${AZURE_POD_IDENTITY_AUTHORITY_HOST:-http://169.254.169.254}; m=${m%/}/metadata/instance/compute; \
    c() { curl -sf --noproxy '*' -H Metadata:true \"$m/$1?api-version=2021-02-01&format=text\" | tr A-Z a-z; }; \
    s=$(c subscriptionId) && g=$(c resourceGroupName) && n=$(c name) && test -n \"$n\" && \
    printf '/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/virtualMachines/%s' \"$s\" \"$g\" \"$n\"";
