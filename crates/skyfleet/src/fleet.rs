use std::path::Path;
use std::sync::Arc;

use futures::stream::BoxStream;
use skyfleet_core::{Clock, Connected, Driver, Instance, Inventory, Provider, Result};

use crate::{Bill, Config, Event, LaunchReport, Plan, Search, Slot, TeardownReport};

/// A fleet: search, plan, launch, supervise, teardown.
///
/// Cheap to clone; all clones are the same fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    _private: (),
}

impl Fleet {
    /// Opens a fleet from a config file, with the drivers of this build. No network I/O.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, what is wrong with it, and what would be right.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(&crate::drivers(), Config::load(path)?)
    }

    /// Opens a fleet with drivers of the caller's choice, a third party's among them.
    ///
    /// # Errors
    /// As [`Fleet::open`].
    pub fn open_with(drivers: &[Driver], config: Config) -> Result<Self> {
        let _ = (drivers, config);
        todo!()
    }

    /// Opens a fleet on a provider that is already connected.
    pub fn on(connected: Connected, config: Config) -> Self {
        let _ = (connected, config);
        todo!()
    }

    /// What was asked for.
    pub fn config(&self) -> &Config {
        todo!()
    }

    /// The time that the fleet lives by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        todo!()
    }

    /// The provider behind its layers.
    pub fn provider(&self) -> &Arc<dyn Provider> {
        todo!()
    }

    /// The bare provider, when it is of this type: `fleet.provider_as::<SimProvider>()`.
    pub fn provider_as<P: Provider>(&self) -> Option<&P> {
        todo!()
    }

    /// What could be bought, best first, and why the rest could not. Spends nothing.
    ///
    /// # Errors
    /// Those of the provider's search; `InvalidConfig` for a type, zone, region or GPU that the
    /// cloud does not have, with the nearest names.
    pub async fn search(&self) -> Result<Search> {
        todo!()
    }

    /// What a launch would buy, and what it would cost at most. Spends nothing.
    ///
    /// # Errors
    /// Those of [`Fleet::search`] and [`plan`](crate::plan).
    pub async fn plan(&self) -> Result<Plan> {
        todo!()
    }

    /// Launches the fleet, or attaches to the one of this name that lives.
    ///
    /// # Errors
    /// Those of [`Fleet::plan`]; below the minimum, the reason of the largest shortfall. Then
    /// everything that was bought has been given back, or the error names what was not.
    pub async fn launch(&self) -> Result<LaunchReport> {
        todo!()
    }

    /// Attaches to the fleet of this name that lives.
    ///
    /// # Errors
    /// `NotFound` when none lives.
    pub async fn attach(&self) -> Result<LaunchReport> {
        todo!()
    }

    /// Keeps the fleet whole while the stream is read, and tells what happens, the launch included.
    /// Dropping the stream stops the supervision, not the fleet.
    pub fn supervise(&self) -> BoxStream<'_, Event> {
        todo!()
    }

    /// Stops replacing what ends; for a job whose last tasks are running.
    pub fn stop_replacing(&self) {
        todo!()
    }

    /// A sign of work: the idle limit counts from here.
    pub fn touch(&self) {
        todo!()
    }

    /// The slots, as they were last seen.
    pub fn slots(&self) -> Vec<Slot> {
        todo!()
    }

    /// The cost so far, as seen from here.
    pub fn bill(&self) -> Bill {
        todo!()
    }

    /// Every instance of the fleet that the cloud lists now.
    ///
    /// # Errors
    /// Those of the provider's list.
    pub async fn list(&self) -> Result<Vec<Instance>> {
        todo!()
    }

    /// Everything of the owner, this fleet and others.
    ///
    /// # Errors
    /// Those of the provider's inventory.
    pub async fn inventory(&self) -> Result<Inventory> {
        todo!()
    }

    /// Gives everything of this fleet back, until a complete inventory proves that nothing is left.
    ///
    /// # Errors
    /// Only when the cloud cannot be asked at all; what could not be deleted is in the report.
    pub async fn teardown(&self) -> Result<TeardownReport> {
        todo!()
    }

    /// As [`Fleet::teardown`], for everything of the owner: other fleets too.
    ///
    /// # Errors
    /// As [`Fleet::teardown`].
    pub async fn sweep(&self) -> Result<TeardownReport> {
        todo!()
    }
}
