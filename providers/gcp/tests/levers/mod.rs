//! A simulated Compute Engine on a port of this machine for one case, and everything that the
//! conformance suite can provoke in it.

use std::sync::Arc;

use skyfleet_conformance::{Levers, World, permissions, simcloud};
use skyfleet_core::{Connected, ManualClock, Region, Result};
use skyfleet_gcp::{GcpProvider, Settings, bearer};
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions, World as Sim};

/// Two are enough to lose something in, and every list asks in each.
const REGIONS: [&str; 2] = ["europe-west1", "us-central1"];
const PROJECT: &str = "batch-474711";
pub(crate) const TOKEN: &str = "ya29.conformance-wJalrXUtnFEMI-K7MDENG";

/// A cloud for one case: it ends with the last lever that holds it.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) clock: ManualClock,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let called = self.sim().calls().into_keys().filter(|action| action != simcloud::ACTION);
        permissions::note(called);
    }
}

impl Bench {
    pub(crate) fn sim(&self) -> &Sim {
        self.server.world(Cloud::Gcp)
    }
}

/// A fresh cloud from the seed, in virtual time.
pub(crate) fn bench(seed: u64) -> Result<Arc<Bench>> {
    let clock = ManualClock::auto(simcloud::START);
    let mut options = ServerOptions::manual(clock.clone());
    options.seed = seed;
    options.regions = REGIONS.map(Region::from).to_vec();
    options.scenario = simcloud::scenario();
    options.credentials =
        vec![Credential { cloud: Cloud::Gcp, key_id: PROJECT.to_owned(), secret: TOKEN.to_owned() }];
    Ok(Arc::new(Bench { server: Server::start(options)?, clock }))
}

/// A fresh cloud behind a fresh provider, with all levers.
pub(crate) fn world(seed: u64) -> Result<World> {
    let bench = bench(seed)?;
    let (again, impostor) = (bench.clone(), bench.clone());
    let levers = Levers {
        reconnect: Some(Box::new(move || connected(&again, TOKEN))),
        impostor: Some(Box::new(move || connected(&impostor, "ya29.an-expired-token"))),
        secrets: vec![TOKEN.to_owned()],
        ..simcloud::levers(bench.sim())
    };
    Ok(World { connected: connected(&bench, TOKEN)?, levers })
}

/// A client of the bench's cloud.
pub(crate) fn connected(bench: &Bench, token: &str) -> Result<Connected> {
    let settings = Settings {
        project: Some(PROJECT.to_owned()),
        endpoint_url: Some(bench.server.urls().gcp.clone()),
        ..Settings::default()
    };
    let clock = Arc::new(bench.clock.clone());
    let provider = GcpProvider::new(bearer(token)?, settings, clock.clone());
    Ok(Connected { provider: Arc::new(provider), clock })
}
