//! The contract of skyfleet-core, clause by clause, over the wire: azure_mgmt_compute, azure_identity
//! and plain Resource Manager against the simulated Azure. The cases and what they prove: the crate
//! skyfleet-conformance.

use std::process::ExitCode;

use skyfleet_conformance::{Arm, Suite};

mod levers;
mod policy;

fn main() -> ExitCode {
    let kept = Suite::of([Arm::new("azure", levers::world)]).summarised_in("README.md").run();
    if kept == ExitCode::SUCCESS { policy::check() } else { kept }
}
