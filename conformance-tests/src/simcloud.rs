use std::time::Duration;

use skyfleet_core::{Error, ErrorKind, InstanceId, Market, OfferId, QuotaId, Result, Timestamp};
use skyfleet_simcloud::fault::{Fault, Markets, When};
use skyfleet_simcloud::{Call, Scenario, World};

use crate::{Failure, Levers};

#[cfg(feature = "server")]
mod bench;
#[cfg(feature = "server")]
mod customer;
#[cfg(feature = "server")]
pub use bench::Bench;
#[cfg(feature = "server")]
pub use customer::Customer;

/// 2026-01-01T00:00:00Z: when the worlds of the suite begin.
pub const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The action under which the lever `fail` uses up a throttle. No client calls it.
pub const ACTION: &str = "conformance";

/// A scenario of plenty: the suite asks for the cheapest pools, and empties them itself where that
/// is the point.
pub fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.pools.default_capacity = Some(5_000);
    scenario
}

/// A lever: a closure that holds the world.
macro_rules! lever {
    ($world:ident, $($closure:tt)+) => {{
        let $world = $world.clone();
        Some(Box::new(move $($closure)+))
    }};
}

/// All levers of a world but those that only its provider knows: `reconnect`, `impostor` and
/// `secrets`. The lever `user_data` gives what a machine is given, to the letter.
pub fn levers(world: &World) -> Levers {
    Levers {
        calm: lever!(world, || calm(&world)),
        preempt: lever!(world, |instance: &InstanceId| preempt(&world, instance)),
        room: lever!(world, |offer: &OfferId, room: u32| close(&world, offer, room)),
        quota: lever!(world, |quota: &QuotaId, limit: u32| set_quota(&world, quota, limit)),
        stale: lever!(world, |age: Duration| stale(&world, age)),
        fail: lever!(world, |failure: Failure| fail(&world, failure)),
        calls: lever!(world, || world.calls().values().map(|count| count.calls).sum()),
        crowd: Some(1_200),
        leftovers: lever!(world, || leftovers(&world)),
        untagged: lever!(world, || untagged(&world)),
        user_data: lever!(world, |instance: &InstanceId| user_data(&world, instance)),
        ..Levers::default()
    }
}

/// Takes a spot instance back, with the cloud's own lead time.
pub fn preempt(world: &World, instance: &InstanceId) -> Result<()> {
    let instance_id = Some(instance.to_string());
    world.inject(Fault::Preempt {
        cloud: None,
        instance_id,
        nth: None,
        count: None,
        notice_seconds: None,
    })?;
    Ok(())
}

/// From now on every call is answered with this status and the cloud's own code for it, before or
/// after it has done its work.
pub fn answers_fail(world: &World, status: u16, when: When) -> Result<()> {
    world.inject(Fault::Error { cloud: None, action: None, probability: 1.0, status, code: None, when })?;
    Ok(())
}

/// The user data that a machine is given, to the letter.
pub fn user_data(world: &World, instance: &InstanceId) -> Result<String> {
    let given = world.look(|kernel| kernel.user_data(instance.as_str()).map(|script| script.to_string()));
    given.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the world has no instance {instance}")))
}

fn calm(world: &World) {
    for (id, _) in world.faults() {
        world.lift(id);
    }
}

fn close(world: &World, offer: &OfferId, room: u32) -> Result<()> {
    let market = match offer.market {
        Market::Spot => Markets::Spot,
        Market::OnDemand => Markets::OnDemand,
    };
    world.inject(Fault::Capacity {
        cloud: None,
        zone: offer.zone.clone(),
        instance_type: Some(offer.instance_type.clone()),
        market,
        available: Some(room),
    })?;
    Ok(())
}

fn set_quota(world: &World, quota: &QuotaId, limit: u32) -> Result<()> {
    let Some((region, name)) = quota.as_str().split_once('/') else {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("{quota} names no region")));
    };
    world.inject(Fault::Quota {
        cloud: None,
        region: region.into(),
        name: name.to_owned(),
        limit: Some(limit),
    })?;
    Ok(())
}

fn stale(world: &World, age: Duration) -> Result<()> {
    world.inject(Fault::Stale { cloud: None, seconds: age.as_secs_f64() })?;
    Ok(())
}

fn fail(world: &World, failure: Failure) -> Result<()> {
    match failure {
        Failure::Throttled => {
            // One call in three hours; the first one is used up here.
            let (rps, burst) = (Some(0.000_1), Some(1));
            world.inject(Fault::Throttle { cloud: None, rps, burst, action: None })?;
            let spent = world.call(Call::read(ACTION, "global"), |_| Ok(()));
            spent.map_err(|refusal| Error::new(ErrorKind::Unexpected, format!("{refusal:?}")))
        }
        Failure::Down => answers_fail(world, 503, When::Before),
        Failure::AnswerLost => answers_fail(world, 503, When::After),
    }
}

fn leftovers(world: &World) -> Vec<String> {
    let ledger = world.ledger();
    let live = ledger.live.iter().map(|line| format!("costs money: {line:?}"));
    live.chain(ledger.blocking.iter().map(|fixture| format!("is left: {fixture:?}"))).collect()
}

fn untagged(world: &World) -> Vec<String> {
    let ledger = world.ledger();
    let live = ledger.live.iter().filter(|line| line.owner.is_none()).map(|line| format!("{line:?}"));
    let fixtures = ledger.blocking.iter().filter(|fixture| fixture.owner().is_none());
    live.chain(fixtures.map(|fixture| format!("{fixture:?}"))).collect()
}
