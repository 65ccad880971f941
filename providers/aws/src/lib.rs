//! The skyfleet provider for Amazon EC2, on the official SDK.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.aws]` |
//! | `client` | the only way to AWS: HTTP, credentials, regions, calls |
//! | `catalog` | what can be bought: offers and signals |
//! | `prices`, `quotas`, `extras` | what it costs now and cost when, what the account may have, disks and addresses |
//! | `kept` | answers that stay true for a while |
//! | `launch` | preparing, launching, listing |
//! | `preemption` | what EC2 takes back, seen from outside the machine |
//! | `notice` | the same, seen from the machine itself |
//! | `teardown` | giving everything back |
//! | `convert` | EC2's words and ours |
//! | `error` | AWS's codes and our kinds |

mod catalog;
mod client;
mod config;
mod error;
mod extras;
mod kept;
mod launch;
mod preemption;
mod prices;
mod quotas;
mod teardown;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use skyfleet_core::{Capability, Clock, Connected, Driver, Provider, Result, SystemClock};

use catalog::Catalogue;
use client::Client;
pub use client::http_client;
pub use config::{Cidr, Named, Settings};

/// Makes the provider from `[providers.aws]`: see [`Settings`].
pub const DRIVER: Driver = Driver { name: "aws", connect };

fn connect(settings: &toml::Table) -> Result<Connected> {
    let settings = Settings::parse(settings)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = Client::new(None, settings, clock.clone());
    Ok(Connected { provider: Arc::new(AwsProvider::over(client)), clock })
}

/// The four contracts over Amazon EC2.
#[derive(Clone, Debug)]
pub struct AwsProvider {
    client: Client,
    /// What search has learnt: all clones share it.
    catalogue: Arc<Catalogue>,
}

impl AwsProvider {
    /// A provider over an SDK config of one's own: other credentials, another endpoint, another
    /// HTTP client. Retries and timeouts are the provider's, whatever the config says.
    pub fn new(sdk: SdkConfig, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::over(Client::new(Some(sdk), settings, clock))
    }

    fn over(client: Client) -> Self {
        Self { catalogue: Arc::new(Catalogue::new(client.clone())), client }
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
            user_data_bytes_max: 0,
            instance_id_command: "",
            shares_files: false,
        }
    }
}
