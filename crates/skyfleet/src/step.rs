use std::collections::BTreeMap;
use std::time::Duration;

use skyfleet_core::{Instance, InstanceId, InstanceState, Market, OfferId, Preemption, Timestamp};

use crate::policy::{PreemptionPolicy, Replacement, Situation};
use crate::roster::{Place, Roster, VISIBILITY_GRACE};
use crate::state::since;
use crate::{EventKind, MarketMix};

/// How long an instance that was told its end, and was replaced, may live on before it is given
/// back: a notice that the cloud took back must not cost two instances for ever.
const LEAVING_MAX: Duration = Duration::from_secs(600);

/// What the cloud said in one look.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Every instance of the fleet, in any order; `None` when the list could not be had.
    pub instances: Option<&'a [Instance]>,
    /// What is being taken back, oldest first; asked for after the list, so that an end in the list
    /// finds its explanation here.
    pub preemptions: &'a [Preemption],
    /// When it was looked.
    pub now: Timestamp,
}

/// What one step decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell the user.
    Tell(EventKind),
    /// Buy one instance for each of these slots. They are marked as being filled, until
    /// [`Roster::settle`] is told the outcome.
    Fill {
        /// Which slots.
        slots: Vec<u32>,
        /// On which market.
        market: Market,
        /// Pools to leave alone while others have room.
        avoid: Vec<OfferId>,
    },
    /// Give these instances back: no slot wants them.
    Release(Vec<InstanceId>),
}

/// One step of supervision. Pure: the roster as it is, what was seen, what to do about it.
///
/// - An instance that ended leaves its slot, and the slot is filled by policy. One that was told
///   its end is replaced at once, so that the fleet stays whole: the replacement takes the slot over,
///   and the old instance is watched until it is gone.
/// - A slot is filled by one launch at a time. An instance that was launched just now and is not
///   listed yet still holds its slot; one that vanished from the lists loses it only when two
///   looks, [`VISIBILITY_GRACE`] apart, miss it.
/// - A living instance that nobody knows (the answer to its launch was lost in an earlier life)
///   takes a slot that wants one, or is given back.
///
/// O(n log n) in the number of instances, near O(n) when the list comes in the order of the last look.
///
/// ```
/// use skyfleet::{Action, AnotherPool, MarketMix, Observed, Roster, step};
/// use skyfleet::core::Timestamp;
/// let mut roster = Roster::new(2);
/// let seen = Observed { instances: Some(&[]), preemptions: &[], now: Timestamp::UNIX_EPOCH };
/// let actions = step(&mut roster, seen, &AnotherPool::default(), &MarketMix::Spot);
/// assert!(matches!(&actions[..], [Action::Fill { slots, .. }] if *slots == [0, 1]));
/// assert_eq!(step(&mut roster, seen, &AnotherPool::default(), &MarketMix::Spot), []);
/// ```
pub fn step(
    roster: &mut Roster,
    seen: Observed<'_>,
    policy: &dyn PreemptionPolicy,
    markets: &MarketMix,
) -> Vec<Action> {
    let mut events = Vec::new();
    for preemption in seen.preemptions {
        roster.preempted(preemption, &mut events);
    }
    let mut unwanted = Vec::new();
    if let Some(instances) = seen.instances {
        compare(roster, instances, seen.now, &mut events, &mut unwanted);
        roster.forget(seen.now);
    }
    let mut actions: Vec<Action> = events.into_iter().map(Action::Tell).collect();
    if !unwanted.is_empty() {
        actions.push(Action::Release(unwanted));
    }
    actions.extend(fills(roster, seen.now, policy, markets));
    actions
}

/// Compares the roster with a list, both in the order of ids.
fn compare(
    roster: &mut Roster,
    instances: &[Instance],
    now: Timestamp,
    events: &mut Vec<EventKind>,
    unwanted: &mut Vec<InstanceId>,
) {
    let order = in_order(std::mem::take(&mut roster.order), instances);
    let mut listed = order.iter().map(|at| &instances[*at as usize]).peekable();
    let (mut gone, mut strays) = (Vec::new(), Vec::new());

    for (id, &slot) in &roster.seats {
        while let Some(stranger) = listed.next_if(|i| i.id < *id) {
            strays.push(stranger);
        }
        let found = listed.next_if(|i| i.id == *id);
        let place = &mut roster.places[slot as usize];
        match (roster.leaving.get(id), found) {
            (None, Some(instance)) => {
                if let Some(event) = update(place, instance) {
                    events.push(event);
                }
                if has_ended(instance, place.doomed) {
                    gone.push(id.clone());
                }
            }
            (None, None) => {
                if is_missed(place, now) {
                    gone.push(id.clone());
                }
            }
            (Some(_), Some(instance)) if has_ended(instance, true) => gone.push(id.clone()),
            (Some(leaving), None) if leaving.since + VISIBILITY_GRACE <= now => gone.push(id.clone()),
            (Some(leaving), Some(_)) if leaving.since + LEAVING_MAX <= now => unwanted.push(id.clone()),
            (Some(_), _) => {}
        }
        if found.is_some_and(|i| i.state == InstanceState::Stopped) {
            unwanted.push(id.clone());
        }
    }
    strays.extend(listed);
    roster.order = order;

    for id in gone {
        roster.gone(&id, false, now, events);
    }
    strays.retain(|i| is_stray(roster, i, now));
    seat_strays(roster, strays, now, events, unwanted);
    for id in unwanted {
        roster.release(id, now);
    }
}

/// The places of the listed instances in the order of their ids. Lists come in much the same order
/// each time, whatever it is: begun with the places of the last look, the sort has next to nothing
/// to do.
fn in_order(mut places: Vec<u32>, instances: &[Instance]) -> Vec<u32> {
    let (before, now) = (places.len() as u32, instances.len() as u32);
    places.retain(|at| *at < now);
    places.extend(before..now);
    places.sort_by(|a, b| instances[*a as usize].id.cmp(&instances[*b as usize].id));
    places
}

/// Whether a listed instance is lost to its slot. One that was told its end may still do its work
/// while it is stopping; any other that stops is not ours any more.
fn has_ended(instance: &Instance, doomed: bool) -> bool {
    match instance.state {
        InstanceState::Pending | InstanceState::Running => false,
        InstanceState::Stopping => !doomed,
        InstanceState::Stopped | InstanceState::Terminated => true,
    }
}

/// Takes over what the list says of a holder.
fn update(place: &mut Place, seen: &Instance) -> Option<EventKind> {
    let holder = place.slot.instance.as_mut()?;
    place.missing = None;
    // States only move forward: a list that lags takes nothing back.
    if holder.state < seen.state {
        holder.state = seen.state;
    }
    if holder.private_ip != seen.private_ip || holder.public_ip != seen.public_ip {
        (holder.private_ip, holder.public_ip) = (seen.private_ip, seen.public_ip);
    }
    if place.running || holder.state != InstanceState::Running {
        return None;
    }
    place.running = true;
    Some(EventKind::Running { slot: place.slot.index, instance: holder.id.clone() })
}

/// Whether a holder that is not listed must be taken for ended.
fn is_missed(place: &mut Place, now: Timestamp) -> bool {
    let young = place.slot.instance.as_ref().is_some_and(|i| i.launched + VISIBILITY_GRACE > now);
    if young {
        return false;
    }
    now >= *place.missing.get_or_insert(now) + VISIBILITY_GRACE
}

/// Whether a listed instance that holds no slot costs money for nothing.
fn is_stray(roster: &Roster, instance: &Instance, now: Timestamp) -> bool {
    let costs = instance.state.is_alive() || instance.state == InstanceState::Stopped;
    let asked = roster.released.get(&instance.id);
    costs
        && !roster.attempts_open.contains(&instance.token.attempt())
        && !roster.ended.contains_key(&instance.id)
        // Given back already: again when the cloud has not heard it.
        && asked.is_none_or(|at| *at + VISIBILITY_GRACE <= now)
}

fn seat_strays(
    roster: &mut Roster,
    mut strays: Vec<&Instance>,
    now: Timestamp,
    events: &mut Vec<EventKind>,
    unwanted: &mut Vec<InstanceId>,
) {
    if strays.is_empty() {
        return;
    }
    strays.sort_by(|a, b| (a.launched, &a.id).cmp(&(b.launched, &b.id)));
    let open = |place: &&Place| !place.filling && (place.slot.instance.is_none() || place.doomed);
    let slots: Vec<u32> = roster.places.iter().filter(open).map(|place| place.slot.index).collect();
    let mut slots = slots.into_iter();
    for stray in strays {
        let fits = stray.state.is_alive() && !roster.released.contains_key(&stray.id);
        match if fits { slots.next() } else { None } {
            Some(slot) => roster.seat(slot, stray.clone(), now, events),
            None => unwanted.push(stray.id.clone()),
        }
    }
}

/// What to buy for the slots that want an instance, one action per market and set of pools.
fn fills(
    roster: &mut Roster,
    now: Timestamp,
    policy: &dyn PreemptionPolicy,
    markets: &MarketMix,
) -> Vec<Action> {
    if roster.replacing_stopped {
        return Vec::new();
    }
    let mut groups = BTreeMap::<Replacement, Vec<u32>>::new();
    for place in &mut roster.places {
        if place.slot.instance.is_some() && !place.doomed {
            continue;
        }
        let waited = since(*place.wanted.get_or_insert(now), now);
        if place.filling || place.not_before.is_some_and(|at| at > now) {
            continue;
        }
        let (ended, interruptions) = (place.ended.as_slice(), &roster.interruptions);
        let situation = Situation { now, ended, interruptions, waited, markets };
        let replacement = policy.replacement(&situation);
        if replacement != Replacement::None {
            place.filling = true;
            groups.entry(replacement).or_default().push(place.slot.index);
        }
    }
    let action = |(replacement, slots)| match replacement {
        Replacement::None => None,
        Replacement::Buy { market, avoid } => Some(Action::Fill { slots, market, avoid }),
    };
    groups.into_iter().filter_map(action).collect()
}
