//! A simulated EC2 on a port of this machine for one case, and everything that the conformance
//! suite can provoke in it.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use skyfleet_aws::{AwsProvider, Settings};
use skyfleet_conformance::simcloud::{self, Bench, Customer};
use skyfleet_conformance::{Levers, World};
use skyfleet_core::{Connected, Error, ErrorKind, InstanceId, Result};
use skyfleet_simcloud::{Cloud, World as Sim};

/// Two are enough to lose something in, and every list asks in each.
const REGIONS: [&str; 2] = ["eu-west-1", REGION];
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A fresh cloud from the seed.
fn bench(seed: u64) -> Result<Arc<Bench>> {
    Bench::new(seed, Cloud::Aws, &REGIONS, &[(KEY_ID, SECRET)])
}

/// A fresh cloud from the seed, and somebody who wants a fleet in one of its regions.
#[allow(dead_code, reason = "for what is proven beyond the suite")]
pub(crate) fn customer(seed: u64) -> Result<Customer> {
    let bench = bench(seed)?;
    let provider = connected(&bench, KEY_ID)?.provider;
    Ok(Customer::new(bench, provider, REGION))
}

/// A fresh cloud behind a fresh provider, with all levers.
pub(crate) fn world(seed: u64) -> Result<World> {
    let bench = bench(seed)?;
    let (again, impostor, given) = (bench.clone(), bench.clone(), bench.sim().clone());
    let levers = Levers {
        reconnect: Some(Box::new(move || connected(&again, KEY_ID))),
        impostor: Some(Box::new(move || connected(&impostor, "AKIAI44QH8DHBEXAMPLE"))),
        user_data: Some(Box::new(move |instance| user_data(&given, instance))),
        secrets: vec![SECRET.to_owned()],
        ..simcloud::levers(bench.sim())
    };
    Ok(World { connected: connected(&bench, KEY_ID)?, levers })
}

/// A client of the bench's cloud.
pub(crate) fn connected(bench: &Bench, key_id: &str) -> Result<Connected> {
    let credentials = Credentials::new(key_id, SECRET, None, None, "conformance");
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(SdkRegion::new(REGIONS[1]))
        .endpoint_url(&bench.server.urls().aws)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let settings = Settings::default();
    let clock = Arc::new(bench.clock.clone());
    Ok(Connected { provider: Arc::new(AwsProvider::new(sdk, settings, clock.clone())), clock })
}

/// The user's part of what the instance was given: the last part of a MIME message.
fn user_data(sim: &Sim, instance: &InstanceId) -> Result<String> {
    let given = simcloud::user_data(sim, instance)?;
    let read = || {
        let boundary = given.split("boundary=\"").nth(1)?.split('"').next()?;
        let body = &given[..given.rfind(&format!("\n--{boundary}--"))?];
        let last = body.rsplit(&format!("\n--{boundary}\n")).next()?;
        Some(last.split_once("\n\n")?.1.to_owned())
    };
    read().ok_or_else(|| Error::new(ErrorKind::Unexpected, format!("no MIME message: {given:?}")))
}
