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
/// O(n log n) in the number of instances, near O(n) when the list comes ordered by id.
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
    let mut listed: Vec<&Instance> = instances.iter().collect();
    // A stable sort: next to nothing when the list comes in order.
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    let mut listed = listed.into_iter().peekable();
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

    for id in gone {
        roster.gone(&id, false, now, events);
    }
    strays.retain(|i| is_stray(roster, i, now));
    seat_strays(roster, strays, now, events, unwanted);
    for id in unwanted {
        roster.release(id, now);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnotherPool;
    use proptest::prelude::*;
    use skyfleet_core::{FleetName, Owner, PreemptionKind, Price, Token};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn instance(id: &str, attempt: u32, launched: i64) -> Instance {
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        Instance {
            id: id.into(),
            token: Token::derive(&owner, &fleet, attempt),
            owner,
            fleet,
            offer: OfferId { zone: "a".into(), instance_type: "t".into(), market: Market::Spot },
            region: "r".into(),
            state: InstanceState::Running,
            price: Price::Unknown,
            launched: second(launched),
            labels: Arc::default(),
            expires: None,
            private_ip: None,
            public_ip: None,
        }
    }

    fn look(
        roster: &mut Roster,
        now: i64,
        instances: Option<&[Instance]>,
        preemptions: &[Preemption],
    ) -> Vec<Action> {
        let seen = Observed { instances, preemptions, now: second(now) };
        step(roster, seen, &AnotherPool::default(), &MarketMix::Spot)
    }

    fn preemption(id: &str, kind: PreemptionKind, at: i64) -> Preemption {
        Preemption { instance: id.into(), kind, at: second(at), deadline: None, reason: String::new() }
    }

    /// A fleet of two running instances, `i-0` and `i-1`, launched at 0.
    fn pair() -> (Roster, Vec<Instance>) {
        let (mut roster, listed) = (Roster::new(2), vec![instance("i-0", 0, 0), instance("i-1", 0, 0)]);
        assert_eq!(roster.adopt(&listed, second(0), &mut Vec::new()), 2);
        assert_eq!(look(&mut roster, 1, Some(&listed), &[]).len(), 2);
        (roster, listed)
    }

    fn filled(actions: &[Action]) -> Vec<u32> {
        let slots = actions
            .iter()
            .filter_map(|a| if let Action::Fill { slots, .. } = a { Some(slots) } else { None });
        slots.flatten().copied().collect()
    }

    #[test]
    fn a_notice_is_answered_by_a_replacement_that_takes_the_slot_over() {
        let (mut roster, mut listed) = pair();
        let notice = [preemption("i-1", PreemptionKind::Notice, 100)];
        let actions = look(&mut roster, 100, Some(&listed), &notice);
        assert!(matches!(&actions[0], Action::Tell(EventKind::Notice { slot: 1, .. })));
        assert!(
            matches!(&actions[1], Action::Fill { slots, avoid, .. } if *slots == [1] && avoid.len() == 1)
        );

        roster.launching(1, &[1]);
        let events = roster.settle(1, &[1], vec![instance("i-2", 1, 101)], second(101), second(101));
        assert!(
            matches!(&events[..], [EventKind::Filled { slot: 1, replaces: Some(old), .. }] if old.as_str() == "i-1")
        );
        listed.push(instance("i-2", 1, 101));
        listed[1].state = InstanceState::Terminated;
        let actions =
            look(&mut roster, 130, Some(&listed), &[preemption("i-1", PreemptionKind::Reclaimed, 129)]);
        assert!(
            matches!(&actions[0], Action::Tell(EventKind::Preempted { slot: 1, instance, .. }) if instance.as_str() == "i-1")
        );
        assert_eq!(roster.slots()[1].instance.as_ref().unwrap().id.as_str(), "i-2");
        assert_eq!(roster.slots()[1].generation, 2);
        assert_eq!(filled(&actions), [0; 0]);
    }

    #[test]
    fn absence_is_proof_only_after_grace_twice() {
        let (mut roster, listed) = pair();
        assert_eq!(look(&mut roster, 30, Some(&listed[..1]), &[]), [], "still young");
        assert_eq!(look(&mut roster, 200, Some(&listed[..1]), &[]), [], "missed once");
        assert_eq!(look(&mut roster, 259, Some(&listed[..1]), &[]), [], "missed for less than the grace");
        assert_eq!(filled(&look(&mut roster, 260, Some(&listed[..1]), &[])), [1]);
    }

    #[test]
    fn an_instance_that_flickers_keeps_its_slot() {
        let (mut roster, listed) = pair();
        look(&mut roster, 200, Some(&listed[..1]), &[]);
        look(&mut roster, 250, Some(&listed), &[]);
        assert_eq!(look(&mut roster, 270, Some(&listed[..1]), &[]), []);
    }

    #[test]
    fn a_list_that_could_not_be_had_proves_nothing() {
        let (mut roster, _) = pair();
        for now in [100, 1_000, 10_000] {
            assert_eq!(look(&mut roster, now, None, &[]), []);
        }
    }

    #[test]
    fn a_list_that_lags_revives_nobody() {
        let (mut roster, listed) = pair();
        let actions =
            look(&mut roster, 100, Some(&listed), &[preemption("i-0", PreemptionKind::Reclaimed, 99)]);
        assert_eq!(filled(&actions), [0]);
        assert_eq!(look(&mut roster, 105, Some(&listed), &[]), []);
        assert_eq!(roster.held(), 1);
    }

    #[test]
    fn a_stranger_takes_an_empty_slot_or_is_given_back() {
        let (mut roster, mut listed) = pair();
        listed.push(instance("i-2", 7, 50));
        let actions = look(&mut roster, 60, Some(&listed), &[]);
        assert_eq!(actions, [Action::Release(vec!["i-2".into()])]);
        assert_eq!(look(&mut roster, 65, Some(&listed), &[]), [], "asked just now");
        assert_eq!(look(&mut roster, 120, Some(&listed), &[]).len(), 1, "the cloud has not heard it");

        let mut roster = Roster::new(3);
        roster.adopt(&listed[..2], second(0), &mut Vec::new());
        let actions = look(&mut roster, 60, Some(&listed), &[]);
        assert!(actions.iter().any(|a| matches!(a, Action::Tell(EventKind::Filled { slot: 2, .. }))));
        assert_eq!(filled(&actions), [0; 0]);
    }

    #[test]
    fn the_instances_of_a_launch_without_an_answer_are_left_to_it() {
        let (mut roster, mut listed) = (Roster::new(1), Vec::new());
        assert_eq!(filled(&look(&mut roster, 0, Some(&listed), &[])), [0]);
        roster.launching(0, &[0]);
        listed.push(instance("i-0", 0, 1));
        let reclaimed = [preemption("i-0", PreemptionKind::Reclaimed, 5)];
        assert_eq!(look(&mut roster, 5, Some(&listed), &reclaimed), []);
        let events = roster.settle(0, &[0], listed.clone(), second(6), second(6));
        assert!(matches!(&events[..], [EventKind::Filled { .. }, EventKind::Preempted { .. }]));
    }

    #[test]
    fn an_instance_that_ends_without_a_reason_is_lost_and_replaced() {
        let (mut roster, mut listed) = pair();
        listed[0].state = InstanceState::Terminated;
        let actions = look(&mut roster, 10, Some(&listed), &[]);
        assert!(matches!(&actions[0], Action::Tell(EventKind::Lost { slot: 0, .. })));
        assert_eq!(filled(&actions), [0]);
    }

    #[test]
    fn a_stopped_instance_still_costs_and_is_given_back() {
        let (mut roster, mut listed) = pair();
        listed[0].state = InstanceState::Stopped;
        let actions = look(&mut roster, 10, Some(&listed), &[]);
        assert!(actions.contains(&Action::Release(vec!["i-0".into()])), "{actions:?}");
    }

    /// What happens to a fleet between two looks.
    #[derive(Clone, Debug)]
    enum Happens {
        Answer { part: u8 },
        Notice { which: u8 },
        Reclaim { which: u8 },
        Kill { which: u8 },
        Look { preemptions: bool, lag: u8 },
        Pass { seconds: u8 },
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            3 => any::<u8>().prop_map(|part| Happens::Answer { part }),
            1 => any::<u8>().prop_map(|which| Happens::Notice { which }),
            2 => any::<u8>().prop_map(|which| Happens::Reclaim { which }),
            1 => any::<u8>().prop_map(|which| Happens::Kill { which }),
            4 => (any::<bool>(), 0u8..40).prop_map(|(preemptions, lag)| Happens::Look { preemptions, lag }),
            3 => (0u8..90).prop_map(|seconds| Happens::Pass { seconds }),
        ]
    }

    proptest! {
        /// The cloud shows a launch up to 40 s late and old states as late; launches answer late,
        /// in part, or while their instances are listed already.
        #[test]
        fn supervision_never_fills_a_slot_twice(story in prop::collection::vec(happens(), 1..120)) {
            const TARGET: u32 = 4;
            let mut roster = Roster::new(TARGET);
            let (mut cloud, mut told) = (Vec::<(Instance, Option<i64>)>::new(), Vec::new());
            let mut doomed = BTreeSet::new();
            let mut open: Vec<(u32, Vec<u32>, Vec<Instance>)> = Vec::new();
            let (mut now, mut attempts) = (1_000, 0);
            for event in story {
                let pick = |which: u8| cloud.iter().enumerate().filter(|(_, (_, end))| end.is_none())
                    .map(|(n, _)| n).nth(usize::from(which) % (TARGET as usize));
                match event {
                    Happens::Pass { seconds } => now += i64::from(seconds),
                    Happens::Answer { part } => if !open.is_empty() {
                        let (attempt, slots, bought) = open.remove(usize::from(part) % open.len());
                        roster.settle(attempt, &slots, bought, second(now), second(now));
                    },
                    Happens::Notice { which } => if let Some(n) = pick(which) {
                        told.push(preemption(cloud[n].0.id.as_str(), PreemptionKind::Notice, now));
                        doomed.insert(cloud[n].0.id.clone());
                    },
                    Happens::Reclaim { which } => if let Some(n) = pick(which) {
                        told.push(preemption(cloud[n].0.id.as_str(), PreemptionKind::Reclaimed, now));
                        cloud[n].1 = Some(now);
                    },
                    Happens::Kill { which } => if let Some(n) = pick(which) {
                        cloud[n].1 = Some(now);
                    },
                    Happens::Look { preemptions, lag } => {
                        let asof = now - i64::from(lag);
                        let listed: Vec<Instance> = cloud.iter().filter(|(i, _)| i.launched <= second(asof)).map(|(i, end)| {
                            let mut seen = i.clone();
                            if end.is_some_and(|end| end <= asof) {
                                seen.state = InstanceState::Terminated;
                            }
                            seen
                        }).collect();
                        let pulled = if preemptions { std::mem::take(&mut told) } else { Vec::new() };
                        for action in look(&mut roster, now, Some(&listed), &pulled) {
                            match action {
                                Action::Tell(_) => {}
                                Action::Release(ids) => for (instance, end) in &mut cloud {
                                    if ids.contains(&instance.id) { end.get_or_insert(now); }
                                },
                                Action::Fill { slots, .. } => {
                                    for (_, others, _) in &open {
                                        prop_assert!(others.iter().all(|s| !slots.contains(s)), "filled twice");
                                    }
                                    roster.launching(attempts, &slots);
                                    let bought: Vec<Instance> = slots.iter().enumerate().filter(|(n, _)| (now + *n as i64) % 3 != 0)
                                        .map(|(n, _)| instance(&format!("i-{attempts}-{n}"), attempts, now)).collect();
                                    cloud.extend(bought.iter().map(|i| (i.clone(), None)));
                                    open.push((attempts, slots, bought));
                                    attempts += 1;
                                }
                            }
                        }
                    }
                }
                let alive = cloud.iter().filter(|(i, end)| end.is_none() && !doomed.contains(&i.id)).count();
                prop_assert!(alive <= TARGET as usize, "{alive} of {TARGET} alive");
            }
        }
    }
}
