//! The skyfleet provider for Amazon EC2, on the official SDK.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.aws]` |
//! | `client` | the only way to AWS: HTTP, credentials, regions, calls |
//! | `catalog` | what can be bought: offers and signals |
//! | `prices`, `quotas`, `extras` | what it costs now and cost when, what the account may have, disks and addresses |
//! | `doctor` | whether a fleet could be had, asked beforehand |
//! | `launch` | preparing, launching, listing |
//! | `preemption` | what EC2 takes back, seen from outside the machine |
//! | `notice` | the same, seen from the machine itself |
//! | `teardown` | giving everything back |
//! | `whereabouts` | in which region which instance is |
//! | `user_data` | the user's script, behind a timer of ours |
//! | `simulated` | whether EC2 is simulated on this computer |
//! | `convert` | EC2's words and ours |
//! | `error` | AWS's codes and our kinds |

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
mod notice;
mod preemption;
mod prices;
mod quotas;
mod simulated;
mod teardown;
mod user_data;
mod whereabouts;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use skyfleet_core::{Capability, Clock, Connected, Driver, Provider, Result};

use catalog::Catalogue;
use client::Client;
pub use config::{Named, Settings};
pub use notice::{notice, notice_at};
pub use skyfleet_core::MachineNotice;
pub use skyfleet_core::settings::Cidr;
use whereabouts::Whereabouts;

/// Makes the provider from `[providers.aws]`: see [`Settings`].
pub const DRIVER: Driver = Driver { name: "aws", connect };

fn connect(settings: &toml::Table) -> Result<Connected> {
    let settings = Settings::parse(settings)?;
    let near = simulated::is_near(&settings, None);
    let clock = skyfleet_core::settings::clock(near);
    let client = Client::new(None, settings, clock.clone());
    Ok(Connected { provider: Arc::new(AwsProvider::over(client, near)), clock })
}

/// The four contracts over Amazon EC2.
#[derive(Clone, Debug)]
pub struct AwsProvider {
    client: Client,
    /// EC2 is simulated on this computer.
    near: bool,
    /// What search has learnt: all clones share it.
    catalogue: Arc<Catalogue>,
    whereabouts: Arc<Whereabouts>,
}

impl AwsProvider {
    /// A provider over an SDK config of one's own: other credentials, another endpoint, another
    /// HTTP client. Retries and timeouts are the provider's, whatever the config says.
    pub fn new(sdk: SdkConfig, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let near = simulated::is_near(&settings, Some(&sdk));
        Self::over(Client::new(Some(sdk), settings, clock), near)
    }

    fn over(client: Client, near: bool) -> Self {
        let catalogue = Arc::new(Catalogue::new(client.clone()));
        Self { client, near, catalogue, whereabouts: Arc::default() }
    }
}

impl Provider for AwsProvider {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn capability(&self) -> Capability {
        Capability {
            spot: true,
            price_max: true,
            all_or_nothing: true,
            native_expiry: false,
            notice: Some(Duration::from_secs(120)),
            capacity_scores: true,
            quotas: true,
            launch_max: 1_000,
            user_data_bytes_max: user_data::BYTES_MAX,
            instance_id_command: INSTANCE_ID,
            shares_files: self.near,
        }
    }
}

/// Asks the metadata service who the machine is; its second version wants a token first.
const INSTANCE_ID: &str = "m=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}; m=${m%/}/latest; \
    t=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \"$m/api/token\") && \
    curl -sf -H \"X-aws-ec2-metadata-token: $t\" \"$m/meta-data/instance-id\"";
