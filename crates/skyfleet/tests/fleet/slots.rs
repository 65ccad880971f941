//! Supervision as a pure function: what one step makes of what was seen.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use skyfleet::core::{
    FleetName, Instance, InstanceState, Market, OfferId, Owner, Preemption, PreemptionKind, Price, Timestamp,
    Token,
};
use skyfleet::{Action, AnotherPool, EventKind, MarketMix, Observed, Roster, step};

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
    let slots =
        actions.iter().filter_map(|a| if let Action::Fill { slots, .. } = a { Some(slots) } else { None });
    slots.flatten().copied().collect()
}

#[test]
fn a_notice_is_answered_by_a_replacement_that_takes_the_slot_over() {
    let (mut roster, mut listed) = pair();
    let notice = [preemption("i-1", PreemptionKind::Notice, 100)];
    let actions = look(&mut roster, 100, Some(&listed), &notice);
    assert!(matches!(&actions[0], Action::Tell(EventKind::Notice { slot: 1, .. })));
    assert!(matches!(&actions[1], Action::Fill { slots, avoid, .. } if *slots == [1] && avoid.len() == 1));

    roster.launching(1, &[1]);
    let events = roster.settle(1, &[1], vec![instance("i-2", 1, 101)], second(101), second(101));
    assert!(
        matches!(&events[..], [EventKind::Filled { slot: 1, replaces: Some(old), .. }] if old.as_str() == "i-1")
    );
    listed.push(instance("i-2", 1, 101));
    listed[1].state = InstanceState::Terminated;
    let actions = look(&mut roster, 130, Some(&listed), &[preemption("i-1", PreemptionKind::Reclaimed, 129)]);
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

/// Azure's log of evictions is minutes behind its lists.
#[test]
fn a_reason_that_comes_after_the_replacement_is_told_once_all_the_same() {
    let (mut roster, mut listed) = pair();
    look(&mut roster, 200, Some(&listed[..1]), &[]);
    let actions = look(&mut roster, 260, Some(&listed[..1]), &[]);
    assert!(matches!(&actions[0], Action::Tell(EventKind::Lost { slot: 1, .. })), "{actions:?}");
    roster.launching(1, &[1]);
    listed[1] = instance("i-2", 1, 261);
    roster.settle(1, &[1], vec![listed[1].clone()], second(262), second(262));
    let late = [preemption("i-1", PreemptionKind::Reclaimed, 150)];
    let told = |actions: &[Action]| {
        let of = |action: &&Action| matches!(action, Action::Tell(EventKind::Preempted { slot: 1, instance, .. }) if instance.as_str() == "i-1");
        actions.iter().filter(of).count()
    };
    let actions = look(&mut roster, 350, Some(&listed), &late);
    assert_eq!((told(&actions), filled(&actions)), (1, vec![]), "{actions:?}");
    assert_eq!(told(&look(&mut roster, 360, Some(&listed), &late)), 0);
    assert_eq!(roster.slots()[1].instance.as_ref().unwrap().id.as_str(), "i-2");
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
    let actions = look(&mut roster, 100, Some(&listed), &[preemption("i-0", PreemptionKind::Reclaimed, 99)]);
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
