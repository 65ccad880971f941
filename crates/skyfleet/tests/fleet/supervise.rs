use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use skyfleet::core::{Market, Usd};
use skyfleet::{EventKind, MarketMix, Timeline};
use skyfleet_sim::Cloud;

use crate::bed::{Bed, count, spec, watch};

const STILL: &str = "[market]\nprocess = \"constant\"\n";

#[tokio::test]
async fn two_preempted_instances_are_replaced_in_their_slots_from_other_pools() {
    for cloud in Cloud::ALL {
        let scenario = format!(
            "{STILL}[[event]]\nat_s = 600\nkind = \"preempt\"\nnth = 3\n[[event]]\nat_s = 700\nkind = \"preempt\"\nnth = 8\n"
        );
        let bed = Bed::playing(cloud, 5, &scenario);
        let mut wanted = skyfleet::Spec::new(10);
        wanted.need.vcpus = Some(2);
        let fleet = bed.fleet(wanted);
        fleet.launch().await.unwrap();
        let before = fleet.slots();
        let mut replaced = BTreeMap::new();
        let mut preempted = Vec::new();
        let events = watch(&fleet, 3_600, |event| {
            match event {
                EventKind::Preempted { slot, offer, .. } => preempted.push((*slot, offer.clone())),
                EventKind::Filled { slot, offer, replaces: Some(old), .. } => {
                    replaced.insert(*slot, (offer.clone(), old.clone()));
                }
                _ => {}
            }
            false
        })
        .await;
        assert_eq!(preempted.len(), 2, "{cloud}: {events:#?}");
        assert_eq!(replaced.len(), 2, "{cloud}: {events:#?}");
        for (slot, pool) in preempted {
            let (offer, old) = &replaced[&slot];
            assert_ne!(*offer, pool, "{cloud}: replaced in the pool that took the instance back");
            let slot = &fleet.slots()[slot as usize];
            assert_eq!(before[slot.index as usize].instance.as_ref().unwrap().id, *old);
            assert_eq!((slot.generation, slot.instance.is_some()), (2, true));
        }
        assert_eq!((bed.alive().len(), bed.bought()), (10, 12), "{cloud}");
        assert_eq!(count(&events, |e| matches!(e, EventKind::Lost { .. })), 0, "{cloud}: {events:#?}");
        assert!(fleet.teardown().await.unwrap().is_clean());
        bed.assert_nothing_left();

        let mut timeline = Timeline::titled("two preemptions");
        timeline.extend(events);
        timeline.extend(fleet.take_events());
        assert_eq!(timeline.levels().last().unwrap().1.total(), 0);
    }
}

#[tokio::test]
async fn a_fleet_stays_whole_through_hours_of_interruptions_and_falls_back() {
    let bed = Bed::playing(Cloud::Neutral, 11, "[market]\nprocess = \"constant\"\nreclaim_per_hour = 2.0\n");
    let mut wanted = spec(10);
    wanted.market =
        MarketMix::Mixed { on_demand_share: 0.0, on_demand_after: Some(Duration::from_secs(120)) };
    let fleet = bed.fleet(wanted);
    fleet.launch().await.unwrap();
    let events = watch(&fleet, 6 * 3_600, |_| false).await;
    let preempted = count(&events, |e| matches!(e, EventKind::Preempted { .. }));
    assert!(preempted > 20, "{preempted}");
    bed.sleep(1).await;
    watch(&fleet, 300, |_| false).await;
    assert_eq!(fleet.slots().iter().filter(|s| s.instance.is_some()).count(), 10);
    let on_demand =
        |e: &EventKind| matches!(e, EventKind::Filled { offer, .. } if offer.market == Market::OnDemand);
    assert!(count(&events, on_demand) > 0, "a slot that is interrupted again and again goes on demand");
    bed.tear_down().await;
}

#[tokio::test]
async fn a_spent_budget_ends_the_supervision() {
    let bed = Bed::playing(Cloud::Neutral, 1, STILL);
    let mut wanted = spec(10);
    // Ten at 1.2 cents an hour: the budget is spent after about four hours.
    wanted.limits.budget = Usd::from_dollars(0.5);
    let fleet = bed.fleet(wanted);
    fleet.launch().await.unwrap();
    let events = watch(&fleet, 48 * 3_600, |_| false).await;
    let last = &events.last().unwrap().kind;
    assert!(matches!(last, EventKind::LimitReached { reason, .. } if reason.contains("budget")), "{last}");
    assert_eq!(count(&events, |e| matches!(e, EventKind::Warning { .. })), 1);
    assert_eq!(count(&events, |e| matches!(e, EventKind::ReplacingStopped { .. })), 1);
    let spent = fleet.bill().spent;
    assert!(spent >= Usd::from_dollars(0.5).unwrap() && spent < Usd::from_dollars(0.501).unwrap(), "{spent}");
    assert!(fleet.teardown().await.unwrap().is_clean());
    bed.assert_nothing_left();
}

#[tokio::test]
async fn lifetime_and_idle_time_end_the_supervision() {
    for idle in [false, true] {
        let bed = Bed::playing(Cloud::Neutral, 1, STILL);
        let mut wanted = spec(3);
        let limit = Some(Duration::from_secs(1_200));
        *(if idle { &mut wanted.limits.idle_max } else { &mut wanted.limits.lifetime_max }) = limit;
        let fleet = bed.fleet(wanted);
        fleet.launch().await.unwrap();
        let begun = bed.clock.now();
        if idle {
            watch(&fleet, 600, |_| false).await;
            fleet.touch();
        }
        let events = watch(&fleet, 24 * 3_600, |_| false).await;
        assert!(matches!(events.last().unwrap().kind, EventKind::LimitReached { .. }), "{events:?}");
        let lived = bed.clock.now().duration_since(begun).as_secs();
        let expected = if idle { 1_800 } else { 1_200 };
        assert!((expected - 5..expected + 15).contains(&lived), "{lived}");
        assert!(fleet.teardown().await.unwrap().is_clean());
        bed.assert_nothing_left();
    }
}

#[tokio::test]
async fn nothing_is_replaced_after_the_caller_said_so_and_the_stream_ends_with_the_last() {
    let bed = Bed::playing(Cloud::Neutral, 1, STILL);
    let fleet = bed.fleet(spec(4));
    fleet.launch().await.unwrap();
    bed.sleep(60).await;
    fleet.stop_replacing();
    bed.trouble(r#"{"kind":"preempt","count":4}"#);
    let events: Vec<_> = fleet.supervise().collect().await;
    assert_eq!(count(&events, |e| matches!(e, EventKind::Preempted { .. })), 4);
    assert_eq!(bed.bought(), 4);
    assert!(fleet.teardown().await.unwrap().is_clean());
    bed.assert_nothing_left();
}

#[tokio::test]
async fn a_fleet_with_empty_slots_is_filled_when_capacity_comes_back() {
    let bed = Bed::playing(Cloud::Neutral, 1, STILL);
    for zone in ["sim-east-a", "sim-east-b", "sim-east-c"] {
        bed.trouble(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":2}}"#));
    }
    let fleet = bed.fleet(spec(10));
    assert_eq!(fleet.launch().await.unwrap().instances.len(), 6);
    watch(&fleet, 600, |_| false).await;
    assert_eq!(bed.alive().len(), 6);
    for zone in ["sim-east-a", "sim-east-b", "sim-east-c"] {
        bed.trouble(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":null}}"#));
    }
    watch(&fleet, 7_200, |_| false).await;
    assert_eq!((bed.alive().len(), bed.bought()), (10, 10));
    bed.tear_down().await;
}

#[tokio::test]
async fn the_stream_ends_when_the_fleet_is_torn_down_by_another_clone() {
    let bed = Bed::playing(Cloud::Neutral, 1, STILL);
    let fleet = bed.fleet(spec(4));
    fleet.launch().await.unwrap();
    let other = fleet.clone();
    let (events, report) = tokio::join!(watch(&fleet, 100_000, |_| false), async {
        bed.sleep(300).await;
        other.teardown().await.unwrap()
    });
    assert!(report.is_clean());
    assert!(bed.clock.now() < fleet.clock().now() + Duration::from_secs(1));
    assert_eq!(count(&events, |e| matches!(e, EventKind::Running { .. })), 4);
    bed.assert_nothing_left();
}

#[tokio::test]
async fn surplus_instances_of_an_earlier_life_are_given_back() {
    let bed = Bed::playing(Cloud::Neutral, 1, STILL);
    bed.fleet(spec(8)).launch().await.unwrap();
    bed.sleep(120).await;
    let smaller = bed.fleet(spec(5));
    assert_eq!(smaller.launch().await.unwrap().instances.len(), 5);
    let events = watch(&smaller, 120, |_| false).await;
    assert_eq!(count(&events, |e| matches!(e, EventKind::Released { .. })), 3);
    assert_eq!(bed.alive().len(), 5);
    bed.tear_down().await;
}
