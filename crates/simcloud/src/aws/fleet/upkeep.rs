use std::time::Duration;

use skyfleet_core::Market;

use crate::aws::fleet::request::FleetType;
use crate::aws::fleet::{Fleet, FleetEvent};
use crate::aws::launched::restart_stopped;
use crate::aws::state::State;
use crate::kernel::Kernel;

/// How long a fleet waits before it asks again for capacity that was not there. Ours.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a deleted fleet can still be described. EC2 user guide: about two days.
const KEPT: Duration = Duration::from_secs(2 * 24 * 3_600);

/// Lets every fleet do what it would have done by now: launch, replace what is gone, end with its
/// time. Called before each look at EC2: between two looks nobody can tell when it happened.
pub(crate) fn tend(kernel: &mut Kernel, state: &mut State) {
    let now = kernel.now();
    restart_stopped(kernel, &mut state.launched);
    state.fleets.by_id.retain(|_, fleet| match fleet.deleted {
        Some((at, _)) => now < at + KEPT,
        // The record of an instant fleet fades by itself, its instances do not.
        None if fleet.request.kind == FleetType::Instant && fleet.created + KEPT <= now => {
            fleet.launches.iter().any(|launch| kernel.lots[launch.launch as usize].left > 0)
        }
        None => true,
    });
    let waiting = |fleet: &Fleet| {
        let idle = fleet.looked_at == kernel.events.len() && now < fleet.next_attempt;
        fleet.is_active() && fleet.request.kind != FleetType::Instant && (!idle || expired(fleet, kernel))
    };
    let ids: Vec<_> =
        state.fleets.by_id.values().filter(|fleet| waiting(fleet)).map(|fleet| fleet.id.clone()).collect();
    for id in ids {
        // Taken out while it launches: that changes the state beside it.
        let Some(mut fleet) = state.fleets.by_id.remove(&id) else { continue };
        tend_one(kernel, state, &mut fleet);
        fleet.looked_at = kernel.events.len();
        state.fleets.by_id.insert(id, fleet);
    }
}

fn expired(fleet: &Fleet, kernel: &Kernel) -> bool {
    fleet.request.valid_until.is_some_and(|until| until <= kernel.now())
}

fn tend_one(kernel: &mut Kernel, state: &mut State, fleet: &mut Fleet) {
    let now = kernel.now();
    if expired(fleet, kernel) {
        fleet.change(now, "expired");
        fleet.deleted = Some((now, fleet.request.ends_with_expiry));
        if fleet.request.ends_with_expiry {
            end_all(kernel, fleet);
        }
        drop_fixture(kernel, fleet);
        return;
    }
    if fleet.request.valid_from.is_some_and(|from| now < from) {
        return;
    }
    // A fleet of type request launches once and never replaces.
    let first = fleet.looked_at == usize::MAX;
    if !first && fleet.request.kind == FleetType::Request {
        return;
    }
    let (on_demand, spot) = fleet.fulfilled(kernel);
    let target = fleet.request.target;
    let wants = [
        (Market::OnDemand, target.on_demand.saturating_sub(on_demand)),
        (Market::Spot, target.spot.saturating_sub(spot)),
    ];
    if wants.iter().all(|(_, units)| *units == 0) || now < fleet.next_attempt {
        return;
    }
    fleet.errors.clear();
    for (market, units) in wants.into_iter().filter(|(_, units)| *units > 0) {
        if let Err(refusal) = fleet.buy(kernel, state, market, units) {
            tracing::warn!(?refusal, fleet = %fleet.id, "a fleet could not launch");
        }
    }
    fleet.next_attempt = match fleet.fulfilled(kernel) {
        (on_demand, spot) if on_demand >= target.on_demand && spot >= target.spot => now,
        _ => now + PAUSE,
    };
    fleet.change(now, if fleet.next_attempt == now { "active" } else { "progress" });
}

/// Ends all instances of a fleet.
pub(crate) fn end_all(kernel: &mut Kernel, fleet: &mut Fleet) {
    let machines: Vec<u32> = fleet.machines(kernel).map(|(_, machine)| machine).collect();
    let (mut ended, at) = (Vec::new(), kernel.now());
    for machine in machines {
        let id = kernel.machines[machine as usize].id.clone();
        if kernel.machines[machine as usize].leaving_at.is_none() {
            kernel.terminate(&id);
            ended.push(id);
        }
    }
    fleet.history.extend(ended.into_iter().map(|id| FleetEvent {
        at,
        kind: "instance-change",
        sub_type: "terminated".to_owned(),
        description: String::new(),
        instance: Some(id),
    }));
}

/// Ends what a fleet has above its target, the youngest first.
pub(crate) fn end_excess(kernel: &mut Kernel, fleet: &Fleet) {
    let (on_demand, spot) = fleet.fulfilled(kernel);
    let target = fleet.request.target;
    let excess = [
        (Market::OnDemand, on_demand.saturating_sub(target.on_demand)),
        (Market::Spot, spot.saturating_sub(target.spot)),
    ];
    for (market, mut excess) in excess {
        let mut machines: Vec<(u32, u32)> = fleet
            .machines(kernel)
            .filter(|(launch, _)| launch.market == market)
            .map(|(launch, machine)| (machine, fleet.pools[launch.pool].weight))
            .collect();
        machines.sort_unstable_by(|a, b| b.cmp(a));
        for (machine, weight) in machines {
            let alive = kernel.machines[machine as usize].state_at(kernel.now()).is_alive();
            if alive && weight <= excess {
                excess -= weight;
                let id = kernel.machines[machine as usize].id.clone();
                kernel.terminate(&id);
            }
        }
    }
}

/// A fleet that looks after nothing any more leaves nothing behind.
pub(crate) fn drop_fixture(kernel: &mut Kernel, fleet: &Fleet) {
    if let Err(refusal) = kernel.delete_fixture(&fleet.id) {
        tracing::warn!(?refusal, fleet = %fleet.id, "a deleted fleet stays among what is left");
    }
}
