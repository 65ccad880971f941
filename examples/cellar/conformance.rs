use std::sync::Arc;

use skyfleet_conformance::World;
use skyfleet_core::{Connected, ManualClock, Timestamp};

fn main() -> std::process::ExitCode {
    skyfleet_conformance::main(|_seed| {
        let clock = Arc::new(ManualClock::auto(Timestamp::UNIX_EPOCH));
        let provider = Arc::new(cellar::Cellar::new(64, clock.clone()));
        Ok(World::bare(Connected { provider, clock }))
    })
}
