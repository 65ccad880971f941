//! The controller dies at every possible call, and a successor finishes.

use std::collections::BTreeMap;
use std::time::Duration;

use skyfleet::core::layers::{Call, Fault, Verdict};
use skyfleet::core::{Error, ErrorKind, Token};
use skyfleet::{Fleet, MarketMix, Spec};
use skyfleet_sim::Cloud;

use crate::bed::{Bed, spec};

const TARGET: u32 = 12;

/// A fleet of two markets and so of two lots.
fn mixed() -> Spec {
    let mut spec = spec(TARGET);
    spec.market = MarketMix::Mixed { on_demand_share: 0.25, on_demand_after: None };
    spec
}

/// A client that dies at its call number `n`: the future that made it is never polled again. In
/// half of the cases the cloud still gets the call.
fn dies_at(bed: &Bed, n: usize, acts: bool) -> Fault {
    let mut calls = 0;
    Fault::new(bed.clock.clone()).rule(move |_| {
        calls += 1;
        match (calls > n || calls == n && !acts, calls == n) {
            (true, _) => Verdict::FailBefore(dead()),
            (false, true) => Verdict::FailAfter(dead()),
            (false, false) => Verdict::Pass,
        }
    })
}

fn dead() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the client is dead")
}

async fn launched_by_a_successor(bed: &Bed, n: usize) {
    let before = bed.alive().len();
    assert!(before <= TARGET as usize, "call {n}: {before} alive after the crash");
    let report = bed.fleet(mixed()).launch().await.unwrap_or_else(|e| panic!("call {n}: {e:?}"));
    assert_eq!(report.instances.len(), TARGET as usize, "call {n}");
    assert_eq!(bed.alive().len(), TARGET as usize, "call {n}");
    assert_eq!(bed.bought(), TARGET as usize, "call {n}: something was bought twice");
}

#[tokio::test]
async fn a_controller_that_dies_at_any_call_of_its_launch_is_succeeded() {
    for cloud in [Cloud::Neutral, Cloud::Aws] {
        for acts in [false, true] {
            for n in 1.. {
                let bed = Bed::playing(cloud, 2, "[market]\nprocess = \"constant\"\n");
                let fault = dies_at(&bed, n, acts);
                let wanted = if cloud == Cloud::Neutral { mixed() } else { on_aws() };
                let done = bed.fleet_behind(&fault, wanted.clone()).launch().await.is_ok();
                let alive = bed.alive().len();
                assert!(alive <= TARGET as usize);
                if cloud == Cloud::Neutral {
                    launched_by_a_successor(&bed, n).await;
                } else {
                    let report = bed.fleet(wanted).launch().await.unwrap();
                    assert_eq!((report.instances.len(), bed.bought()), (12, 12), "call {n}");
                }
                bed.tear_down().await;
                if done && fault.seen().len() < n {
                    break;
                }
            }
        }
    }
}

fn on_aws() -> Spec {
    let mut spec = Spec::new(TARGET);
    spec.need.vcpus = Some(2);
    spec.market = MarketMix::Mixed { on_demand_share: 0.25, on_demand_after: None };
    spec
}

#[tokio::test]
async fn a_launch_whose_future_is_dropped_anywhere_leaves_only_what_a_teardown_finds() {
    for tick in 0..40 {
        for relaunch in [false, true] {
            let bed = Bed::playing(Cloud::Neutral, 2, "[market]\nprocess = \"constant\"\n");
            // Every call takes a second before and after the cloud acts, so that the drop hits each
            // of them on either side.
            let fault = Fault::new(bed.clock.clone()).rule(|_| Verdict::Delay(Duration::from_secs(1)));
            bed.trouble(r#"{"kind":"latency","ms":1000}"#);
            let fleet = bed.fleet_behind(&fault, mixed());
            let done = tokio::select! {
                biased;
                () = bed.clock.sleep(Duration::from_millis(tick * 500 + 250)) => false,
                launched = fleet.launch() => launched.is_ok(),
            };
            if relaunch {
                // The same handle goes on where it was dropped.
                assert_eq!(fleet.launch().await.unwrap().instances.len(), TARGET as usize, "tick {tick}");
                assert_eq!(bed.bought(), TARGET as usize, "tick {tick}: something was bought twice");
            }
            assert!(bed.alive().len() <= TARGET as usize);
            bed.tear_down().await;
            if done {
                return;
            }
        }
    }
    panic!("the launch takes longer than this test looks at");
}

#[tokio::test]
async fn a_launch_that_wakes_up_after_the_teardown_gives_back_what_it_gets() {
    for tick in (0..30).step_by(2) {
        let bed = Bed::moving();
        let fault = Fault::new(bed.clock.clone()).rule(|_| Verdict::Delay(Duration::from_secs(1)));
        bed.trouble(r#"{"kind":"latency","ms":1000}"#);
        let fleet = bed.fleet_behind(&fault, mixed());
        let mut launch = Box::pin(fleet.launch());
        let asleep = tokio::select! {
            biased;
            () = bed.clock.sleep(Duration::from_millis(tick * 500 + 250)) => true,
            launched = &mut launch => launched.is_err(),
        };
        // Nobody polls the launch while another clone tears the fleet down.
        assert!(fleet.clone().teardown().await.unwrap().is_clean());
        bed.assert_nothing_left();
        if asleep {
            assert!(launch.await.is_err(), "tick {tick}");
            bed.sleep(60).await;
            bed.assert_nothing_left();
        }
    }
}

#[tokio::test]
async fn a_controller_that_dies_at_any_call_of_its_teardown_is_succeeded() {
    for acts in [false, true] {
        for n in 1.. {
            let bed = Bed::playing(Cloud::Neutral, 2, "[market]\nprocess = \"constant\"\n");
            bed.fleet(mixed()).launch().await.unwrap();
            bed.sleep(120).await;
            let fault = dies_at(&bed, n, acts);
            let done = bed.fleet_behind(&fault, mixed()).teardown().await.is_ok();
            bed.tear_down().await;
            if done && fault.seen().len() < n {
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_stays_lost_buys_nothing_twice() {
    for lost in [1, 8, 9, 20, 100] {
        let bed = Bed::playing(Cloud::Neutral, 2, "[market]\nprocess = \"constant\"\n");
        let mut launches = 0;
        let fault = Fault::new(bed.clock.clone()).rule(move |call| {
            launches += usize::from(matches!(call, Call::Launch(_)));
            match call {
                Call::Launch(_) if launches <= lost => {
                    Verdict::FailAfter(Error::new(ErrorKind::Unavailable, "the answer was lost"))
                }
                _ => Verdict::Pass,
            }
        });
        let report = bed.fleet_behind(&fault, mixed()).launch().await.unwrap();
        assert_eq!((report.instances.len(), bed.bought()), (12, 12), "{lost} answers lost");
        bed.tear_down().await;
    }
}

#[tokio::test]
async fn a_token_of_an_earlier_life_is_a_conflict_and_not_a_second_purchase() {
    let bed = Bed::playing(Cloud::Neutral, 2, "[market]\nprocess = \"constant\"\n");
    // An earlier controller bought with another plan, and its instances are not listed yet.
    let mut smaller = mixed();
    smaller.target = 7;
    assert_eq!(bed.fleet(smaller).launch().await.unwrap().instances.len(), 7);
    bed.trouble(r#"{"kind":"stale","seconds":40}"#);
    let successor = bed.fleet(mixed());
    let report = successor.launch().await.unwrap();
    assert_eq!((report.instances.len(), bed.bought(), bed.alive().len()), (12, 12, 12));
    bed.assert_never_more_than(TARGET);
    bed.tear_down().await;
}

#[tokio::test]
async fn no_second_launch_buys_on_top_before_the_first_one_has_shown_an_earlier_life() {
    let bed = Bed::playing(Cloud::Neutral, 2, "[market]\nprocess = \"constant\"\n");
    // One launch before, two now: the second token is free, and all is bought already.
    assert_eq!(bed.fleet(spec(TARGET)).launch().await.unwrap().instances.len(), 12);
    bed.trouble(r#"{"kind":"stale","seconds":40}"#);
    let report = bed.fleet(mixed()).launch().await.unwrap();
    assert_eq!((report.instances.len(), bed.bought()), (12, 12));
    bed.tear_down().await;
}

#[tokio::test]
async fn a_successor_that_sees_only_a_part_of_the_fleet_buys_nothing_twice() {
    for cloud in [Cloud::Aws, Cloud::Gcp, Cloud::Azure] {
        for seconds in 0..15 {
            let bed = Bed::playing(cloud, seconds, "[market]\nprocess = \"constant\"\n");
            assert_eq!(bed.fleet(on_aws()).launch().await.unwrap().instances.len(), 12);
            bed.sleep(seconds).await;
            let successor = bed.fleet(on_aws());
            assert_eq!(successor.launch().await.unwrap().instances.len(), 12, "{cloud}, {seconds} s");
            assert_eq!(bed.bought(), 12, "{cloud}, {seconds} s");
            bed.tear_down().await;
        }
    }
}

#[tokio::test]
async fn a_teardown_right_after_a_launch_waits_until_it_would_be_listed() {
    for cloud in Cloud::ALL {
        let bed = Bed::playing(cloud, 2, "[market]\nprocess = \"constant\"\n");
        bed.trouble(r#"{"kind":"stale","seconds":40}"#);
        bed.fleet(on_aws()).launch().await.unwrap();
        bed.tear_down().await;
    }
}

#[tokio::test]
async fn a_supervision_that_is_dropped_in_the_middle_of_a_fill_is_gone_on_with() {
    let bed = Bed::playing(Cloud::Neutral, 2, "[market]\nprocess = \"constant\"\n");
    let fault = Fault::new(bed.clock.clone()).rule(|_| Verdict::Delay(Duration::from_secs(2)));
    bed.trouble(r#"{"kind":"latency","ms":2000}"#);
    let fleet = bed.fleet_behind(&fault, spec(6));
    fleet.launch().await.unwrap();
    bed.sleep(60).await;
    for round in 0..30_u64 {
        bed.trouble(r#"{"kind":"preempt","nth":1}"#);
        crate::bed::watch(&fleet, 7 + round, |_| false).await;
        let held = |fleet: &Fleet| fleet.slots().iter().filter(|s| s.instance.is_some()).count();
        crate::bed::watch(&fleet, 120, |_| false).await;
        assert_eq!((held(&fleet), bed.alive().len()), (6, 6), "round {round}");
    }
    let mut by_token = BTreeMap::<Token, u32>::new();
    for instance in fleet.list().await.unwrap() {
        *by_token.entry(instance.token).or_default() += 1;
    }
    assert_eq!(bed.bought(), 6 + 30);
    bed.tear_down().await;
}
