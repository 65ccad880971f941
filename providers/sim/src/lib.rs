//! The provider over the simulated cloud, in-process. It plays one of three real clouds by its own
//! catalogue and rules, or a neutral one, and is built as every other provider is.
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the settings below `[providers.sim]` |
//! | `client` | the only way to the world: calls, waits, pages |
//! | `catalog` | what can be bought: offers and signals |
//! | `launch` | preparing, launching, listing |
//! | `preemption` | what the cloud takes back |
//! | `teardown` | giving everything back |
//! | `convert` | the world's words and ours |
//! | `error` | the cloud's codes and our kinds |
//!
//! ```
//! use skyfleet_core::{CapacitySearch, OfferQuery};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> skyfleet_core::Result<()> {
//! let settings: toml::Table = r#"clock = "auto""#.parse().expect("it is TOML");
//! let connected = (skyfleet_sim::DRIVER.connect)(&settings)?;
//! let offers = connected.provider.offers(&OfferQuery::default()).await?;
//! assert!(!offers.is_empty());
//! # Ok(())
//! # }
//! ```

mod catalog;
mod client;
mod config;
mod convert;
mod error;
mod launch;
mod preemption;
mod teardown;

use std::sync::Arc;

use skyfleet_core::{Capability, Connected, Driver, Provider, Result};
pub use skyfleet_simcloud::{Cloud, World, WorldOptions};

use client::Client;
pub use config::{ClockSetting, Settings};

/// Makes the provider from `[providers.sim]`: see [`Settings`].
pub const DRIVER: Driver = Driver { name: "sim", connect };

fn connect(settings: &toml::Table) -> Result<Connected> {
    let settings = Settings::parse(settings)?;
    settings.check_shared_time()?;
    let world = World::new(settings.world_options()?)?;
    let clock = world.clock().clone();
    Ok(Connected { provider: Arc::new(SimProvider::new(world)), clock })
}

/// The four contracts over a simulated [`World`].
#[derive(Clone, Debug)]
pub struct SimProvider {
    client: Client,
}

impl SimProvider {
    /// A client of this world. Several of them may share it, as several programs share a cloud.
    pub fn new(world: World) -> Self {
        Self { client: Client::new(world) }
    }

    /// The world behind it: its ledger, its log, and what can go wrong in it.
    pub fn world(&self) -> &World {
        self.client.world()
    }
}

impl Provider for SimProvider {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn capability(&self) -> Capability {
        self.client.rules().capability()
    }
}
