//! What one process of a client used. The Python script prints the same.

use serde::{Deserialize, Serialize};

/// A process, and the cycles that it went through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// CPU seconds until the client was made.
    pub(crate) start_s: f64,
    pub(crate) cycles: Vec<Cycle>,
    /// The most memory that was resident at once, in KiB.
    pub(crate) peak_kib: u64,
}

/// Instances up, ready and down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cycle {
    pub(crate) instances: u32,
    /// CPU seconds for what a launch needs, and for the launch.
    pub(crate) up_s: f64,
    /// CPU seconds for the list that shows all of them running.
    pub(crate) ready_s: f64,
    /// CPU seconds for the end of all, and the proof.
    pub(crate) down_s: f64,
    /// The calls of the cycle.
    pub(crate) calls: u64,
}

impl Cycle {
    pub(crate) fn cpu_s(&self) -> f64 {
        self.up_s + self.ready_s + self.down_s
    }
}
