//! A simulated EC2 on a port of this machine for one case, and everything that the conformance
//! suite can provoke in it.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use skyfleet_aws::{AwsProvider, Settings, http_client};
use skyfleet_conformance::{Failure, Levers, World};
use skyfleet_core::{
    Connected, Error, ErrorKind, InstanceId, ManualClock, Market, OfferId, QuotaId, Region, Result, Timestamp,
};
use skyfleet_simcloud::fault::{Fault, Markets, When};
use skyfleet_simcloud::{Call, Cloud, Credential, Server, ServerOptions, World as Sim};

mod held;

use held::Held;

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// Two are enough to lose something in, and every list asks in each.
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
pub(crate) const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A cloud for one case: it ends with the last lever that holds it.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) clock: ManualClock,
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The name under which a lever uses up a throttle is no action.
        let called = self.sim().calls().into_keys().filter(|action| action != "conformance");
        crate::policy::note(called);
    }
}

impl Bench {
    pub(crate) fn sim(&self) -> &Sim {
        self.server.world(Cloud::Aws)
    }
}

/// A lever: a closure that holds the bench.
macro_rules! lever {
    ($bench:ident, $($closure:tt)+) => {{
        let $bench = $bench.clone();
        Some(Box::new(move $($closure)+))
    }};
}

/// A fresh cloud from the seed, in virtual time.
pub(crate) fn bench(seed: u64) -> Result<Arc<Bench>> {
    let clock = ManualClock::auto(START);
    let mut options = ServerOptions::manual(clock.clone());
    options.seed = seed;
    options.regions = REGIONS.map(Region::from).to_vec();
    // The suite asks for the cheapest pools and empties them itself where that is the point.
    options.scenario.pools.default_capacity = Some(5_000);
    options.credentials =
        vec![Credential { cloud: Cloud::Aws, key_id: KEY_ID.to_owned(), secret: SECRET.to_owned() }];
    Ok(Arc::new(Bench { server: Server::start(options)?, clock }))
}

/// A fresh cloud behind a fresh provider, with all levers.
pub(crate) fn world(seed: u64) -> Result<World> {
    let bench = bench(seed)?;
    let levers = Levers {
        calm: lever!(bench, || calm(bench.sim())),
        preempt: lever!(bench, |instance: &InstanceId| preempt(bench.sim(), instance)),
        room: lever!(bench, |offer: &OfferId, room: u32| close(bench.sim(), offer, room)),
        quota: lever!(bench, |quota: &QuotaId, limit: u32| set_quota(bench.sim(), quota, limit)),
        stale: lever!(bench, |age: Duration| stale(bench.sim(), age)),
        fail: lever!(bench, |failure: Failure| fail(bench.sim(), failure)),
        calls: lever!(bench, || bench.sim().calls().values().map(|count| count.calls).sum()),
        crowd: Some(1_200),
        leftovers: lever!(bench, || leftovers(bench.sim())),
        untagged: lever!(bench, || untagged(bench.sim())),
        reconnect: lever!(bench, || connected(&bench, KEY_ID)),
        impostor: lever!(bench, || connected(&bench, "AKIAI44QH8DHBEXAMPLE")),
        user_data: lever!(bench, |instance: &InstanceId| user_data(bench.sim(), instance)),
        secrets: vec![SECRET.to_owned()],
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
        .http_client(Held::new(http_client()?, bench.clock.clone()))
        .build();
    let settings = Settings::default();
    let clock = Arc::new(bench.clock.clone());
    Ok(Connected { provider: Arc::new(AwsProvider::new(sdk, settings, clock.clone())), clock })
}

fn calm(sim: &Sim) {
    let faults: Vec<_> = sim.look(|kernel| kernel.faults().map(|(id, _)| id).collect());
    for id in faults {
        sim.lift(id);
    }
}

fn preempt(sim: &Sim, instance: &InstanceId) -> Result<()> {
    let instance_id = Some(instance.to_string());
    sim.inject(Fault::Preempt { cloud: None, instance_id, nth: None, count: None, notice_seconds: None })?;
    Ok(())
}

fn close(sim: &Sim, offer: &OfferId, room: u32) -> Result<()> {
    let market = match offer.market {
        Market::Spot => Markets::Spot,
        Market::OnDemand => Markets::OnDemand,
    };
    sim.inject(Fault::Capacity {
        cloud: None,
        zone: offer.zone.clone(),
        instance_type: Some(offer.instance_type.clone()),
        market,
        available: Some(room),
    })?;
    Ok(())
}

fn set_quota(sim: &Sim, quota: &QuotaId, limit: u32) -> Result<()> {
    let Some((region, name)) = quota.as_str().split_once('/') else {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("{quota} names no region")));
    };
    sim.inject(Fault::Quota {
        cloud: None,
        region: region.into(),
        name: name.to_owned(),
        limit: Some(limit),
    })?;
    Ok(())
}

fn stale(sim: &Sim, age: Duration) -> Result<()> {
    sim.inject(Fault::Stale { cloud: None, seconds: age.as_secs_f64() })?;
    Ok(())
}

fn fail(sim: &Sim, failure: Failure) -> Result<()> {
    let (probability, status, code) = (1.0, 503, None);
    let answers_fail = |when| {
        sim.inject(Fault::Error { cloud: None, action: None, probability, status, code, when }).map(drop)
    };
    match failure {
        Failure::Throttled => {
            // One call in three hours; the first one is used up here.
            let (rps, burst) = (Some(0.000_1), Some(1));
            sim.inject(Fault::Throttle { cloud: None, rps, burst, action: None })?;
            let spent = sim.call(Call::read("conformance", "global"), |_| Ok(()));
            spent.map_err(|refusal| Error::new(ErrorKind::Unexpected, format!("{refusal:?}")))
        }
        Failure::Down => answers_fail(When::Before),
        Failure::AnswerLost => answers_fail(When::After),
        _ => Err(Error::new(ErrorKind::Unsupported, format!("this world cannot play {failure:?}"))),
    }
}

/// The user's part of what the instance was given: the last part of a MIME message.
fn user_data(sim: &Sim, instance: &InstanceId) -> Result<String> {
    let given = sim.look(|kernel| kernel.user_data(instance.as_str()).map(|script| script.to_string()));
    let given = given
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the world has no instance {instance}")))?;
    let read = || {
        let boundary = given.split("boundary=\"").nth(1)?.split('"').next()?;
        let body = &given[..given.rfind(&format!("\n--{boundary}--"))?];
        let last = body.rsplit(&format!("\n--{boundary}\n")).next()?;
        Some(last.split_once("\n\n")?.1.to_owned())
    };
    read().ok_or_else(|| Error::new(ErrorKind::Unexpected, format!("no MIME message: {given:?}")))
}

fn untagged(sim: &Sim) -> Vec<String> {
    let ledger = sim.ledger();
    let live = ledger.live.iter().filter(|line| line.owner.is_none()).map(|line| format!("{line:?}"));
    let fixtures = ledger.blocking.iter().filter(|fixture| fixture.owner().is_none());
    live.chain(fixtures.map(|fixture| format!("{fixture:?}"))).collect()
}

fn leftovers(sim: &Sim) -> Vec<String> {
    let ledger = sim.ledger();
    let live = ledger.live.iter().map(|line| format!("costs money: {line:?}"));
    live.chain(ledger.blocking.iter().map(|fixture| format!("is left: {fixture:?}"))).collect()
}
