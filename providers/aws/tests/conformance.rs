//! The contract of skyfleet-core, clause by clause, over the wire: the official SDK against the
//! simulated EC2. The cases and what they prove: the crate skyfleet-conformance.

use std::process::ExitCode;

use skyfleet_conformance::{Arm, Suite};

mod levers;

fn main() -> ExitCode {
    Suite::of([Arm::new("aws", levers::world)]).run()
}
