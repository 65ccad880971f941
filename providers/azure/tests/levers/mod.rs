//! A simulated Azure on a port of this machine for one case, and everything that the conformance suite
//! can provoke in it.

use std::sync::Arc;

use skyfleet_azure::{AzureProvider, Settings, client_secret};
use skyfleet_conformance::simcloud::{self, Bench, Customer};
use skyfleet_conformance::{Levers, World};
use skyfleet_core::{Clock, Connected, Result};
use skyfleet_simcloud::Cloud;

/// Two are enough to lose something in, and every list asks in each.
const REGIONS: [&str; 2] = [REGION, "westeurope"];
pub(crate) const REGION: &str = "eastus";
const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";
const TENANT: &str = "00000000-0000-4000-8000-000000000002";
const CLIENT: &str = "00000000-0000-4000-8000-000000000003";
pub(crate) const SECRET: &str = "conformance~wJalrXUtnFEMI-K7MDENG";

/// A fresh cloud from the seed.
fn bench(seed: u64) -> Result<Arc<Bench>> {
    Bench::new(seed, Cloud::Azure, &REGIONS, &[(CLIENT, SECRET)])
}

/// A fresh cloud from the seed, and somebody who wants a fleet in one of its regions.
#[allow(dead_code, reason = "for what is proven beyond the suite")]
pub(crate) fn customer(seed: u64) -> Result<Customer> {
    let bench = bench(seed)?;
    let provider = connected(&bench, SECRET)?.provider;
    Ok(Customer::new(bench, provider, REGION))
}

/// A fresh cloud behind a fresh provider, with all levers.
pub(crate) fn world(seed: u64) -> Result<World> {
    let bench = bench(seed)?;
    let (again, impostor) = (bench.clone(), bench.clone());
    let levers = Levers {
        reconnect: Some(Box::new(move || connected(&again, SECRET))),
        impostor: Some(Box::new(move || connected(&impostor, "a-secret-of-last-year"))),
        secrets: vec![SECRET.to_owned()],
        ..simcloud::levers(bench.sim())
    };
    Ok(World { connected: connected(&bench, SECRET)?, levers })
}

/// A client of the bench's cloud.
pub(crate) fn connected(bench: &Bench, secret: &str) -> Result<Connected> {
    let url = &bench.server.urls().azure;
    let settings = Settings {
        subscription_id: Some(SUBSCRIPTION.to_owned()),
        endpoint_url: Some(url.clone()),
        ..Settings::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(bench.clock.clone());
    let credential = client_secret(TENANT, CLIENT, secret, Some(url), clock.clone())?;
    let provider = AzureProvider::new(credential, settings, clock.clone());
    Ok(Connected { provider: Arc::new(provider), clock })
}
