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
mod preempt;
mod report;
mod runner;
mod search;
mod secrets;
mod teardown;
mod world;

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use skyfleet_core::Result;

pub use arm::Arm;
pub use runner::{Outcome, Stack};
pub use world::{Failure, Levers, World};

use case::Case;

/// The environment variable with the seed of all randomness; without it the seed is always the
/// same.
pub const SEED_VARIABLE: &str = "SKYFLEET_CONFORMANCE_SEED";

const SEED: u64 = 20_261_122;

/// Runs the suite on one provider, as the `main` of a test without harness. `connect` is called
/// for each case, with the seed: see [`Arm::new`].
pub fn main(connect: impl Fn(u64) -> Result<World> + Send + Sync + 'static) -> ExitCode {
    main_of([Arm::new("", connect)])
}

/// Runs the suite on several arms in one test binary.
pub fn main_of(arms: impl IntoIterator<Item = Arm>) -> ExitCode {
    let arguments = Arguments::from_args();
    let seed = match seed() {
        Ok(seed) => seed,
        Err(message) => {
            let trials = vec![Trial::test("seed", || Err(Failed::from(message)))];
            return libtest_mimic::run(&arguments, trials).exit_code();
        }
    };
    let trials = arms.into_iter().flat_map(|arm| trials(&arm, seed)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the cases of one clause on one arm under one stack: for tests that a wrong provider, or a
/// wrong layer, is found out. Answers with the name and the outcome of each case.
pub fn judge(arm: &Arm, clause: &str, stack: Stack) -> Vec<(&'static str, Outcome)> {
    cases()
        .filter(|case| case.clause == clause)
        .map(|case| (case.name, runner::run(arm, case, stack, SEED)))
        .collect()
}

/// The ids of all clauses, in the order of the contract.
pub fn clauses() -> Vec<&'static str> {
    contract_text::clauses(contract_text::TEXT).into_iter().map(|clause| clause.id).collect()
}

fn seed() -> std::result::Result<u64, String> {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().map_err(|_| format!("{SEED_VARIABLE}={text:?} is no number from 0 on")),
        Err(_) => Ok(SEED),
    }
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

fn trials(arm: &Arm, seed: u64) -> Vec<Trial> {
    let mut trials = Vec::new();
    for gap in arm.gaps() {
        let (arm, gap) = (arm.clone(), *gap);
        let name = format!("{}::known gap {} is still one", arm.name(), gap.0);
        trials.push(Trial::test(name, move || Ok(runner::stale_gap(&arm, gap, seed)?)));
    }
    for stack in Stack::ALL {
        // When the arm cannot be connected, nothing is ignored: every case then fails and says so.
        let unmet =
            runner::unmet(arm, cases(), stack, seed).unwrap_or_else(|_| cases().map(|_| None).collect());
        for (case, reason) in cases().zip(&unmet) {
            let arm = arm.clone();
            let name = report::trial_name(&arm, case, stack);
            // Both the flag and the answer at run time: the flag alone would let
            // `--include-ignored` run what does not apply; the answer alone is shown as passed by
            // runners that run one process per test.
            let trial = Trial::ignorable_test(name, move || match runner::run(&arm, case, stack, seed) {
                Outcome::Passed => Ok(Completion::Completed),
                Outcome::Failed(text) => Err(Failed::from(text)),
                Outcome::Ignored(reason) => Ok(Completion::ignored_with(reason)),
            });
            trials.push(trial.with_ignored_flag(reason.is_some()));
        }
    }
    trials
}
