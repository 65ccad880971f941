//! The contract of skyfleet-core, clause by clause, on the neutral world and on the three clouds
//! that it plays. The cases and what they prove: the crate skyfleet-conformance.

use std::process::ExitCode;

use skyfleet_conformance::{Arm, Suite};
use skyfleet_sim::Cloud;

mod levers;

fn main() -> ExitCode {
    Suite::of([
        Arm::new("sim", |seed| levers::world(Cloud::Neutral, seed)),
        Arm::new("aws", |seed| levers::world(Cloud::Aws, seed)),
        Arm::new("gcp", |seed| levers::world(Cloud::Gcp, seed)),
        Arm::new("azure", |seed| levers::world(Cloud::Azure, seed)),
    ])
    .summarised_in("../../README.md")
    .run()
}
