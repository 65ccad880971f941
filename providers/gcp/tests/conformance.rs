//! The contract of skyfleet-core, clause by clause, over the wire: the official SDK against the
//! simulated Compute Engine. The cases and what they prove: the crate skyfleet-conformance.

use std::process::ExitCode;

use skyfleet_conformance::{Arm, Suite};

mod levers;
mod policy;

fn main() -> ExitCode {
    let kept = Suite::of([Arm::new("gcp", levers::world)]).summarised_in("README.md").run();
    if kept == ExitCode::SUCCESS { policy::check() } else { kept }
}
