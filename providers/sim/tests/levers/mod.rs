//! A simulated cloud for one case, and everything that the conformance suite can provoke in it.

use std::sync::Arc;

use skyfleet_conformance::{Levers, World, simcloud};
use skyfleet_core::{Connected, ManualClock, Result};
use skyfleet_sim::SimProvider;
use skyfleet_simcloud::fault::When;
use skyfleet_simcloud::{Cloud, World as Sim, WorldOptions};

/// A fresh world from the seed, in virtual time, behind a fresh provider, with all levers.
pub(crate) fn world(cloud: Cloud, seed: u64) -> Result<World> {
    let mut options = WorldOptions::new(Arc::new(ManualClock::auto(simcloud::START))).playing(cloud);
    options.seed = seed;
    options.scenario = simcloud::scenario();
    let sim = Sim::new(options)?;
    let connected = |sim: &Sim| Connected {
        provider: Arc::new(SimProvider::new(sim.clone())),
        clock: sim.clock().clone(),
    };
    let (again, impostor) = (sim.clone(), sim.clone());
    let levers = Levers {
        reconnect: Some(Box::new(move || Ok(connected(&again)))),
        // The accounts of this cloud have no passwords: from now on it refuses everybody.
        impostor: Some(Box::new(move || {
            simcloud::answers_fail(&impostor, 401, When::Before).map(|()| connected(&impostor))
        })),
        ..simcloud::levers(&sim)
    };
    Ok(World { connected: connected(&sim), levers })
}
