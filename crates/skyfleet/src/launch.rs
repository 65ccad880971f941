use skyfleet_core::{Instance, Shortfall};

use crate::Plan;

/// What was asked for and what was obtained.
#[derive(Clone, Debug)]
pub struct LaunchReport {
    /// What was planned; `None` when a living fleet was attached to.
    pub plan: Option<Plan>,
    /// How many instances were asked for.
    pub asked: u32,
    /// Every instance that the fleet has now.
    pub instances: Vec<Instance>,
    /// Why there are fewer than asked for, where there are.
    pub shortfalls: Vec<Shortfall>,
    /// Whether a living fleet was taken over.
    pub attached: bool,
}
