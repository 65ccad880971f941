use std::time::Duration;

use skyfleet_core::{Leftover, Resource};

/// What a teardown did, and what proves that it is done.
#[derive(Clone, Debug)]
pub struct TeardownReport {
    /// How many instances were ended by it.
    pub instances: u32,
    /// What else was deleted.
    pub deleted: Vec<Resource>,
    /// What is still there, and why. Empty is proven by a complete inventory.
    pub leftovers: Vec<Leftover>,
    /// How long it took, on the fleet's clock.
    pub took: Duration,
}
