//! A simulated Compute Engine on a port of this machine for one case, and everything that the
//! conformance suite can provoke in it.

use std::sync::Arc;

use skyfleet_conformance::simcloud::{self, Bench, Customer};
use skyfleet_conformance::{Levers, World};
use skyfleet_core::{Connected, Result};
use skyfleet_gcp::{GcpProvider, Settings, bearer};
use skyfleet_simcloud::Cloud;

/// Two are enough to lose something in, and every list asks in each.
const REGIONS: [&str; 2] = ["europe-west1", REGION];
pub(crate) const REGION: &str = "us-central1";
const PROJECT: &str = "batch-474711";
pub(crate) const TOKEN: &str = "ya29.conformance-wJalrXUtnFEMI-K7MDENG";

/// A fresh cloud from the seed.
fn bench(seed: u64) -> Result<Arc<Bench>> {
    Bench::new(seed, Cloud::Gcp, &REGIONS, &[(PROJECT, TOKEN)])
}

/// A fresh cloud from the seed, and somebody who wants a fleet in one of its regions.
#[allow(dead_code, reason = "for what is proven beyond the suite")]
pub(crate) fn customer(seed: u64) -> Result<Customer> {
    let bench = bench(seed)?;
    let provider = connected(&bench, TOKEN)?.provider;
    Ok(Customer::new(bench, provider, REGION))
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
    connected_to(PROJECT, bench, token)
}

/// The same for another project.
pub(crate) fn connected_to(project: &str, bench: &Bench, token: &str) -> Result<Connected> {
    let settings = Settings {
        project: Some(project.to_owned()),
        endpoint_url: Some(bench.server.urls().gcp.clone()),
        ..Settings::default()
    };
    let clock = Arc::new(bench.clock.clone());
    let provider = GcpProvider::new(bearer(token)?, settings, clock.clone());
    Ok(Connected { provider: Arc::new(provider), clock })
}
