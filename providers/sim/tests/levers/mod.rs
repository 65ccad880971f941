//! A simulated cloud for one case, and everything that the conformance suite can provoke in it.

use std::sync::Arc;
use std::time::Duration;

use skyfleet_conformance::{Failure, Levers, World};
use skyfleet_core::{
    Connected, Error, ErrorKind, InstanceId, ManualClock, OfferId, QuotaId, Result, Timestamp,
};
use skyfleet_sim::SimProvider;
use skyfleet_simcloud::fault::{Fault, Markets, When};
use skyfleet_simcloud::{Call, Cloud, World as Sim, WorldOptions};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// A lever: a closure that holds the world.
macro_rules! lever {
    ($sim:ident, $($closure:tt)+) => {{
        let $sim = $sim.clone();
        Some(Box::new(move $($closure)+))
    }};
}

/// A fresh world from the seed, in virtual time, behind a fresh provider, with all levers.
pub(crate) fn world(cloud: Cloud, seed: u64) -> Result<World> {
    let mut options = WorldOptions::new(Arc::new(ManualClock::auto(START))).playing(cloud);
    options.seed = seed;
    // The suite asks for the cheapest pools and empties them itself where that is the point.
    options.scenario.pools.default_capacity = Some(5_000);
    let sim = Sim::new(options)?;
    let levers = Levers {
        calm: lever!(sim, || calm(&sim)),
        preempt: lever!(sim, |instance: &InstanceId| preempt(&sim, instance)),
        room: lever!(sim, |offer: &OfferId, room: u32| close(&sim, offer, room)),
        quota: lever!(sim, |quota: &QuotaId, limit: u32| set_quota(&sim, quota, limit)),
        stale: lever!(sim, |age: Duration| stale(&sim, age)),
        fail: lever!(sim, |failure: Failure| fail(&sim, failure)),
        calls: lever!(sim, || sim.calls().values().map(|count| count.calls).sum()),
        crowd: Some(1_200),
        leftovers: lever!(sim, || leftovers(&sim)),
        untagged: lever!(sim, || untagged(&sim)),
        reconnect: lever!(sim, || Ok(connected(&sim))),
        // The accounts of this cloud have no passwords: from now on it refuses everybody.
        impostor: lever!(sim, || answers_fail(&sim, 401, When::Before).map(|()| connected(&sim))),
        user_data: lever!(sim, |instance: &InstanceId| user_data(&sim, instance)),
        secrets: Vec::new(),
    };
    Ok(World { connected: connected(&sim), levers })
}

fn connected(sim: &Sim) -> Connected {
    Connected { provider: Arc::new(SimProvider::new(sim.clone())), clock: sim.clock().clone() }
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
        skyfleet_core::Market::Spot => Markets::Spot,
        skyfleet_core::Market::OnDemand => Markets::OnDemand,
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
    match failure {
        Failure::Throttled => {
            // One call in three hours; the first one is used up here.
            let (rps, burst) = (Some(0.000_1), Some(1));
            sim.inject(Fault::Throttle { cloud: None, rps, burst, action: None })?;
            let spent = sim.call(Call::read("conformance", "global"), |_| Ok(()));
            spent.map_err(|refusal| Error::new(ErrorKind::Unexpected, format!("{refusal:?}")))
        }
        Failure::Down => answers_fail(sim, 503, When::Before),
        Failure::AnswerLost => answers_fail(sim, 503, When::After),
        _ => Err(Error::new(ErrorKind::Unsupported, format!("this world cannot play {failure:?}"))),
    }
}

fn answers_fail(sim: &Sim, status: u16, when: When) -> Result<()> {
    sim.inject(Fault::Error { cloud: None, action: None, probability: 1.0, status, code: None, when })?;
    Ok(())
}

fn user_data(sim: &Sim, instance: &InstanceId) -> Result<String> {
    let script = sim.look(|kernel| kernel.user_data(instance.as_str()).map(|script| script.to_string()));
    script.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the world has no instance {instance}")))
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
