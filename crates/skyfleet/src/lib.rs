//! Ask for a fleet in one config file, get it from any cloud, keep it whole, leave nothing behind.
//!
//! | to find | look in |
//! |---|---|
//! | the handle | [`Fleet`] |
//! | what the user wants | [`Config`], [`Spec`] |
//! | what could be bought, and why not | [`Search`], [`Candidate`], [`Rejection`] |
//! | what will be bought, and its worst cost | [`Plan`], [`Lot`] |
//! | the machine that a job's code runs on (feature `on-instance`) | `on_instance` |
//! | what happened | [`Event`], [`LaunchReport`], [`TeardownReport`], [`Timeline`] |

mod budget;
mod buy;
mod catalogue;
mod chart;
mod config;
mod config_builder;
mod event;
mod explain;
mod fleet;
mod gpu;
mod keys;
mod launch;
mod lots;
mod memory;
mod nearest;
mod notes;
mod picture;
mod plan;
mod policy;
mod purse;
mod ranking;
mod roster;
#[cfg(test)]
mod sample;
mod search;
mod slot;
mod spec;
mod state;
mod step;
mod supervise;
mod teardown;
mod timeline;

pub use budget::{Bill, BudgetState, Meter};
pub use catalogue::Catalogue;
pub use config::{Config, unknown_provider};
pub use config_builder::ConfigBuilder;
pub use event::{Event, EventKind};
pub use explain::{Rejection, Tally, Why};
pub use fleet::Fleet;
pub use launch::{LaunchReport, Obtained};
pub use memory::CapacityMemory;
pub use plan::{Cost, Lot, Plan, Terms, plan};
pub use policy::{AnotherPool, Ended, PreemptionPolicy, Progress, Replacement, Situation, UniformProgress};
pub use roster::{Roster, VISIBILITY_GRACE};
pub use search::{Candidate, Search, search};
pub use skyfleet_core as core;
#[cfg(feature = "on-instance")]
pub use skyfleet_on_instance as on_instance;
pub use slot::Slot;
pub use spec::{Fulfilment, GpuNeed, Limits, MarketMix, Need, Spec, ZoneMode};
pub use step::{Action, Observed, step};
pub use teardown::TeardownReport;
pub use timeline::{Level, Timeline};

/// The drivers that this build has: one per provider feature.
pub fn drivers() -> Vec<skyfleet_core::Driver> {
    vec![
        #[cfg(feature = "sim")]
        skyfleet_sim::DRIVER,
        #[cfg(feature = "aws")]
        skyfleet_aws::DRIVER,
        #[cfg(feature = "gcp")]
        skyfleet_gcp::DRIVER,
        #[cfg(feature = "azure")]
        skyfleet_azure::DRIVER,
    ]
}

/// The README's program is compiled; `tests/readme.rs` runs it.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
