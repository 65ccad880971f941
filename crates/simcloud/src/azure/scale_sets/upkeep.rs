//! What scale sets do by themselves: evicted machines are restored, where that is asked for. Azure
//! documentation, "Try & restore" of Azure Spot Virtual Machines in scale sets.

use std::time::Duration;

use skyfleet_core::{Market, Timestamp};

use super::ScaleSet;
use crate::azure::id::Id;
use crate::azure::machines::{self, ending};
use crate::azure::made;
use crate::azure::operation;
use crate::azure::purchase::herd;
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::machine::EndCause;

/// How often evicted machines are tried to be restored. Ours.
const PAUSE: Duration = Duration::from_secs(60);

/// How long the deletion of a scale set takes beside that of its machines. Ours.
const DELETED_IN: Duration = Duration::from_secs(10);

/// Lets every scale set do what it would have done by now.
pub(crate) fn tend(kernel: &mut Kernel, state: &mut State) {
    if state.scale_sets.is_empty() {
        return;
    }
    let now = kernel.now();
    // Those of a resource group that is gone have gone with it.
    let there = &state.made;
    state.scale_sets.retain(|key, _| there.contains_key(key));
    let gone = |set: &ScaleSet| set.gone.is_some_and(|gone| gone <= now);
    let keys: Vec<String> =
        state.scale_sets.iter().filter(|(_, set)| gone(set)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        state.scale_sets.remove(&key);
        made::gone(kernel, state, &key);
    }
    let waits = |set: &ScaleSet| set.gone.is_none() && set.fleet.is_none() && set.next_attempt <= now;
    let keys: Vec<String> =
        state.scale_sets.iter().filter(|(_, set)| waits(set)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        keep_up(kernel, state, &key);
    }
}

fn keep_up(kernel: &mut Kernel, state: &mut State, key: &str) {
    let Some(id) = state.made.get(key).map(|made| made.id.clone()) else { return };
    if state.deleting.contains_key(&Id::group(&id.subscription, &id.group).key()) {
        return;
    }
    // Taken out while it launches: that changes the state beside it.
    let Some(mut set) = state.scale_sets.remove(key) else { return };
    let now = kernel.now();
    set.next_attempt = now + PAUSE;
    let failed = failed(state, &id);
    let there = |market: Market| {
        let failed = failed.iter().filter(|(_, own)| *own == market).count() as u32;
        herd::there(kernel, &set.launches, market) + failed
    };
    let (spot, regular) = (there(Market::Spot), there(Market::OnDemand));
    let missing = set.target.saturating_sub(spot + regular);
    let lately = set.model.restores.map_or(0, |within| evicted(kernel, &set, now, within));
    let again = set.model.share(set.target, Market::Spot).saturating_sub(spot).min(missing).min(lately);
    // What was deleted, or evicted and is not restored any more, is no part of it any more.
    set.target -= missing - again;
    if set.model.restores.is_some() {
        herd::restart(kernel, &set.launches);
    }
    let room =
        set.model.parts.iter().find(|(market, _)| *market == Market::Spot).is_some_and(|(_, blueprint)| {
            let pools = &blueprint.pools;
            pools.iter().any(|bid| kernel.room_of(&bid.offer) > 0)
        });
    if again > 0
        && room
        && let Err(refusal) = set.buy(kernel, state, &id, (Market::Spot, again))
    {
        tracing::warn!(?refusal, set = %id, "a scale set could not restore its machines");
    }
    state.scale_sets.insert(key.to_owned(), set);
}

/// The machines of a scale set that came to nothing.
pub(crate) fn failed(state: &State, id: &Id) -> Vec<(Id, Market)> {
    let key = id.key();
    let own = state.launched.failed().filter(|failed| {
        failed.gone.is_none() && failed.details.scale_set.as_ref().is_some_and(|own| own.key() == key)
    });
    own.map(|failed| (failed.id.clone(), failed.offer.market)).collect()
}

/// How many machines were evicted, and deleted, within a time.
fn evicted(kernel: &Kernel, set: &ScaleSet, now: Timestamp, within: Duration) -> u32 {
    let own = herd::machines(kernel, &set.launches).map(|m| &kernel.machines[m as usize]);
    let lately = own.filter(|machine| {
        machine.cause == Some(EndCause::Reclaimed)
            && machine.leaving_at.is_some_and(|leaving| operation::since(leaving, now) < within)
    });
    u32::try_from(lately.count()).unwrap_or(u32::MAX)
}

/// Begins to delete a scale set, with all its machines: when it is gone.
pub(crate) fn end(kernel: &mut Kernel, state: &mut State, id: &Id) -> Timestamp {
    let now = kernel.now();
    let mut gone = now + DELETED_IN;
    if let Some(gone) = state.scale_sets.get(&id.key()).and_then(|set| set.gone) {
        return gone;
    }
    let own = machines::all(kernel, state, |_| true);
    let own: Vec<Id> =
        own.into_iter().filter(|(_, found)| found.is_in(&state.launched, id)).map(|(id, _)| id).collect();
    for machine in own {
        if let Some((takes, _)) = ending::end(kernel, state, &machine) {
            gone = gone.max(now + takes);
        }
    }
    if let Some(set) = state.scale_sets.get_mut(&id.key()) {
        set.gone = Some(gone);
    }
    gone
}
