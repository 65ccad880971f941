//! What fleets do by themselves: a managed one keeps its capacity, one in launch mode goes after a while.

use std::time::Duration;

use serde_json::Value;
use skyfleet_core::Timestamp;

use super::request::{self, Mode};
use super::{Fleet, KIND, digest, fixed, told};
use crate::azure::id::Id;
use crate::azure::machines::ending;
use crate::azure::made;
use crate::azure::purchase::herd;
use crate::azure::scale_sets;
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// How long a fleet waits before it looks again for capacity that it has not. Ours.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);

/// How long a fleet in launch mode stays; its machines stay. Azure documentation, "Compute Fleet",
/// launch mode: about five hours.
const STAYS: Duration = Duration::from_secs(5 * 3_600);

/// How long the deletion of a fleet takes beside that of its machines. Ours.
const DELETED_IN: Duration = Duration::from_secs(10);

/// Lets every fleet do what it would have done by now. Called before each look at Azure: between two
/// looks nobody can tell when it happened.
pub(crate) fn tend(kernel: &mut Kernel, state: &mut State) {
    if state.fleets.is_empty() {
        return;
    }
    let now = kernel.now();
    // Those of a resource group that is gone have gone with it.
    let there = &state.made;
    state.fleets.retain(|key, _| there.contains_key(key));
    let over = |fleet: &Fleet| {
        let fades = fleet.mode == Mode::Launch && fleet.created + STAYS <= now;
        fades || fleet.gone.is_some_and(|gone| gone <= now)
    };
    let keys: Vec<String> =
        state.fleets.iter().filter(|(_, fleet)| over(fleet)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        state.fleets.remove(&key);
        made::gone(kernel, state, &key);
    }
    let waits = |fleet: &Fleet| {
        fleet.gone.is_none()
            && fleet.parts.iter().any(|part| part.maintains)
            && fleet.next_attempt <= now
            && fleet.looked_at != kernel.events.len()
    };
    let keys: Vec<String> =
        state.fleets.iter().filter(|(_, fleet)| waits(fleet)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        keep_up(kernel, state, &key);
    }
}

/// Replaces the spot machines that a fleet has lost.
fn keep_up(kernel: &mut Kernel, state: &mut State, key: &str) {
    let Some(id) = state.made.get(key).map(|made| made.id.clone()) else { return };
    if state.deleting.contains_key(&Id::group(&id.subscription, &id.group).key()) {
        return;
    }
    let tags = kernel.tags_of(&id.to_string()).unwrap_or_default();
    // Taken out while it launches: that changes the state beside it.
    let Some(mut fleet) = state.fleets.remove(key) else { return };
    let now = kernel.now();
    // What failed before is in the way of nothing: it is given up for what comes in its place.
    for failure in std::mem::take(&mut fleet.failed) {
        ending::end(kernel, state, &failure.id);
    }
    for part in 0..fleet.parts.len() {
        if !fleet.parts[part].maintains {
            continue;
        }
        herd::restart(kernel, &fleet.launches);
        let alive = herd::alive(kernel, &fleet.launches, fleet.parts[part].market);
        let missing = fleet.parts[part].capacity.saturating_sub(alive);
        if missing > 0
            && let Err(refusal) = fleet.buy(kernel, state, part, missing, (&id, &tags))
        {
            tracing::warn!(?refusal, fleet = %id, "a fleet could not launch");
        }
    }
    fleet.next_attempt = now + PAUSE;
    let short = !fleet.failed.is_empty();
    fleet.looked_at = if short { usize::MAX } else { kernel.events.len() };
    state.fleets.insert(key.to_owned(), fleet);
}

/// Another capacity, or another upkeep, of a managed fleet: what is too many is ended, the youngest
/// first.
///
/// # Errors
/// For what cannot be changed; those of the body.
pub(crate) fn change(
    kernel: &mut Kernel,
    state: &mut State,
    wanted: &made::Wanted,
    body: &Value,
) -> Result<(), Refusal> {
    let key = wanted.id.key();
    let asked = request::read(kernel, state, (&wanted.id, &wanted.location), body, KIND)?;
    let Some(mut fleet) = state.fleets.remove(&key) else { return Ok(()) };
    let same = asked.mode == fleet.mode
        && asked.parts.len() == fleet.parts.len()
        && asked.parts.iter().zip(&fleet.parts).all(|(new, old)| {
            new.market == old.market && new.least == old.least && new.blueprint.pools == old.blueprint.pools
        });
    if !same {
        state.fleets.insert(key, fleet);
        return Err(fixed("properties"));
    }
    let now = kernel.now();
    for (part, new) in asked.parts.into_iter().enumerate() {
        let old = &mut fleet.parts[part];
        let grows = new.capacity > old.capacity;
        (old.capacity, old.maintains, old.strategy) = (new.capacity, new.maintains, new.strategy);
        let alive = herd::alive(kernel, &fleet.launches, new.market);
        if grows && alive < new.capacity {
            let (group, tags) = (wanted.id.clone(), wanted.tags.clone());
            if let Err(refusal) = fleet.buy(kernel, state, part, new.capacity - alive, (&group, &tags)) {
                state.fleets.insert(key, fleet);
                return Err(refusal);
            }
        }
        let excess = alive.saturating_sub(new.capacity);
        herd::end_youngest(kernel, state, &fleet.launches, new.market, excess);
    }
    for part in &fleet.parts {
        let set = part.blueprint.details.scale_set.as_ref();
        if let Some(set) = set.and_then(|set| state.scale_sets.get_mut(&set.key())) {
            set.target = part.capacity;
        }
    }
    fleet.digest = digest(body);
    fleet.done = fleet.done.max(now);
    state.fleets.insert(key.clone(), fleet);
    if let Some(made) = state.made.get_mut(&key) {
        made.body = told(body);
    }
    Ok(())
}

/// Begins to delete a fleet: when it is gone. The machines of a managed one go with it, those of one
/// in launch mode stay.
pub(crate) fn end(kernel: &mut Kernel, state: &mut State, id: &Id) -> Timestamp {
    let now = kernel.now();
    let mut gone = now + DELETED_IN;
    let Some(fleet) = state.fleets.get(&id.key()) else { return gone };
    let sets = fleet.parts.iter().filter_map(|part| part.blueprint.details.scale_set.clone());
    let sets: Vec<Id> = sets.collect();
    if let Some(gone) = fleet.gone {
        return gone;
    }
    for set in sets {
        gone = gone.max(scale_sets::upkeep::end(kernel, state, &set));
    }
    if let Some(fleet) = state.fleets.get_mut(&id.key()) {
        fleet.gone = Some(gone);
    }
    gone
}
