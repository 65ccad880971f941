use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::{Capability, CapacitySearch, Clock, FleetLaunch, PreemptionHandling, Result, Teardown};

/// One cloud: the four contracts, its name, and what it can do beyond them.
///
/// Object-safe and without default methods, so that a layer cannot forget to forward one.
pub trait Provider:
    CapacitySearch + FleetLaunch + PreemptionHandling + Teardown + Any + fmt::Debug + Send + Sync
{
    /// The value of the config key `provider`: `sim`, `aws`, `gcp`, `azure`.
    fn name(&self) -> &'static str;

    /// What it can do beyond the base contract, and its limits. Constant for the provider's life.
    fn capability(&self) -> Capability;
}

/// A provider together with the clock by which it lives.
#[derive(Clone)]
pub struct Connected {
    /// The provider, bare: layers come around it.
    pub provider: Arc<dyn Provider>,
    /// The time that the provider lives by: the system's for a real cloud, the world's for a
    /// simulated one.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}

/// How the facade reaches a provider: a value, handed over in a slice; nothing is registered.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// The value of the config key `provider` that selects it.
    pub name: &'static str,
    /// Makes the provider from its own table of the config, `[providers.<name>]`. Does no network
    /// I/O; refuses unknown keys by name.
    pub connect: fn(settings: &toml::Table) -> Result<Connected>,
}
