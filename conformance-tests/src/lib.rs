//! The conformance suite of skyfleet: any provider, ours or a stranger's, proves itself with ten
//! lines and `cargo test`.
//!
//! ```toml
//! [dev-dependencies]
//! skyfleet-conformance = "0.1"
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! and in `tests/conformance.rs`:
//!
//! ```no_run
//! use skyfleet_conformance::World;
//! # mod hetzner {
//! #     use skyfleet_core::*;
//! #     fn connect(_: &toml::Table) -> Result<Connected> { unimplemented!() }
//! #     pub const DRIVER: Driver = Driver { name: "hetzner", connect };
//! # }
//!
//! fn main() -> std::process::ExitCode {
//!     skyfleet_conformance::main(|_seed| {
//!         let settings = toml::toml! { region = "fsn1" };
//!         (hetzner::DRIVER.connect)(&settings).map(World::bare)
//!     })
//! }
//! ```
//!
//! What is demanded, and why, stands in [`CONTRACT.md`](contract): every clause has a case here, every case cites
//! its clause, and a failure prints the clause, what happened instead, and the seed that shows it
//! again. A case that does not apply (a capability that is not declared, a lever that the world
//! does not have) is ignored with its reason, never passed. The declared capability is compared
//! with `tests/capability.toml`; the first run says what to write there.
//!
//! Each case has a provider, an owner and a runtime of its own. After each, also after a panic,
//! the suite deletes everything of the owner and insists on the proof that nothing is left. Each
//! case runs three times: on the bare provider, under the standard layers, and under the standard
//! layers while calls are throttled, lost, answered in vain and delayed.
//!
//! `cargo test --test conformance -- --report conformance.md` writes what was proven, clause by
//! clause. A provider of a real cloud is proven by [`Arm::live`], within a budget.
//!
//! Cases may be added in minor versions. A clause that a provider does not keep yet is named by
//! [`Arm::known_gap`], with a reason.

mod arm;
mod bed;
mod case;
mod contract_text;
mod crash;
mod errors;
mod launch;
mod limits;
mod list;
mod live;
/// Which permissions a provider needs: what a complete run of its suite called, kept current in the
/// package's README.
pub mod permissions;
mod preempt;
mod report;
mod runner;
mod search;
mod secrets;
/// What the suite can provoke in a world of skyfleet-simcloud, for every provider that is tested
/// against one: such a test only says how to connect. (Feature `simcloud`.)
#[cfg(feature = "simcloud")]
pub mod simcloud;
mod suite;
mod teardown;
mod world;

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

use std::process::ExitCode;

use skyfleet_core::Result;

pub use arm::Arm;
pub use live::LIVE_VARIABLE;
pub use runner::{Outcome, Stack};
pub use suite::{SEED_VARIABLE, Suite};
pub use world::{Failure, Levers, World};

use case::Case;

/// Runs the suite on one provider, as the `main` of a test without harness. `connect` is called
/// for each case, with the seed: see [`Arm::new`].
pub fn main(connect: impl Fn(u64) -> Result<World> + Send + Sync + 'static) -> ExitCode {
    Suite::of([Arm::new("", connect)]).run()
}

/// Runs the cases of one clause on one arm under one stack: for tests that a wrong provider, or a
/// wrong layer, is found out. Answers with the name and the outcome of each case.
pub fn judge(arm: &Arm, clause: &str, stack: Stack) -> Vec<(&'static str, Outcome)> {
    cases()
        .filter(|case| case.clause == clause)
        .map(|case| (case.name, runner::run(arm, case, stack, suite::SEED)))
        .collect()
}

/// The ids of all clauses, in the order of the contract.
pub fn clauses() -> Vec<&'static str> {
    contract_text::clauses(contract_text::TEXT).into_iter().map(|clause| clause.id).collect()
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [
        search::CASES,
        launch::CASES,
        list::CASES,
        preempt::CASES,
        teardown::CASES,
        crash::CASES,
        errors::CASES,
        limits::CASES,
        secrets::CASES,
    ]
    .into_iter()
    .flatten()
}
