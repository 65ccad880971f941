use std::collections::BTreeSet;
use std::time::Duration;

use skyfleet::core::layers::Fault;
use skyfleet::core::{ErrorKind, Market};
use skyfleet::{Config, Fleet, Fulfilment, MarketMix, Spec, ZoneMode};
use skyfleet_sim::Cloud;

use crate::bed::{Bed, count, spec, watch};
use skyfleet::EventKind;

#[tokio::test]
async fn a_fleet_is_launched_runs_and_leaves_nothing_on_every_cloud() {
    for cloud in Cloud::ALL {
        let bed = Bed::playing(cloud, 3, "[market]\nprocess = \"constant\"\n");
        let mut wanted = Spec::new(20);
        (wanted.need.vcpus, wanted.need.memory_gib) = (Some(2), Some(4));
        wanted.public_ip = true;
        let fleet = bed.fleet(wanted);
        let report = fleet.launch().await.unwrap_or_else(|e| panic!("{cloud}: {e:?}"));
        assert_eq!(report.instances.len(), 20, "{cloud}: {:?}", report.shortfalls);
        assert_eq!(report.obtained().iter().map(|o| o.count).sum::<u32>(), 20);
        assert_eq!((report.on(Market::Spot), report.attached), (20, false));
        assert_eq!(bed.alive().len(), 20);

        let mut up = 0;
        let events = watch(&fleet, 3_600, |event| {
            up += u32::from(matches!(event, EventKind::Running { .. }));
            up == 20
        })
        .await;
        assert_eq!(count(&events, |e| matches!(e, EventKind::Filled { .. })), 20, "{cloud}");
        assert_eq!(up, 20, "{cloud}: {events:?}");
        bed.sleep(1_800).await;

        let done = fleet.teardown().await.unwrap_or_else(|e| panic!("{cloud}: {e:?}"));
        assert!(done.is_clean(), "{cloud}: {:?}", done.leftovers);
        assert_eq!(done.instances, 20, "{cloud}");
        bed.assert_nothing_left();
        let bill = fleet.bill();
        assert!(bill.spent.micros() > 0 && bill.spent < bill.on_demand, "{cloud}: {bill:?}");
        let again = fleet.teardown().await.unwrap();
        assert!(again.is_clean() && again.instances == 0);
    }
}

#[tokio::test]
async fn what_a_closed_pool_does_not_give_spills_over_and_what_started_is_kept() {
    let bed = Bed::new();
    for zone in ["sim-east-a", "sim-east-b"] {
        let fault = format!(r#"{{"kind":"capacity","zone":"{zone}","available":3}}"#);
        bed.trouble(&fault);
    }
    let fleet = bed.fleet(spec(30));
    let report = fleet.launch().await.unwrap();
    assert_eq!(report.instances.len(), 30);
    assert_eq!(report.shortfalls, []);
    assert_eq!(bed.bought(), 30, "nothing was given back and bought again");
    let zones: BTreeSet<_> = report.instances.iter().map(|i| i.offer.zone.as_str()).collect();
    assert!(
        zones.len() > 2
            || report.instances.iter().filter(|i| i.offer.zone.as_str() == "sim-east-a").count() <= 3
    );
    bed.tear_down().await;
}

#[tokio::test]
async fn all_or_nothing_gives_a_partial_fleet_back() {
    let bed = Bed::new();
    close_east(&bed, 4);
    let mut wanted = spec(30);
    (wanted.fulfilment, wanted.min) = (Fulfilment::AllOrNothing, 30);
    let error = bed.fleet(wanted).launch().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoCapacity, "{error:?}");
    assert!(error.message().starts_with("got ") && error.message().contains("of 30"), "{error}");
    assert!(error.fact("leftovers").is_none());
    bed.assert_nothing_left();
}

#[tokio::test]
async fn below_the_minimum_everything_is_given_back_and_at_it_kept() {
    for (min, kept) in [(13, false), (12, true)] {
        let bed = Bed::new();
        close_east(&bed, 4);
        let mut wanted = spec(30);
        wanted.min = min;
        let fleet = bed.fleet(wanted);
        match fleet.launch().await {
            Ok(report) => {
                assert!(kept);
                assert_eq!(report.instances.len(), 12);
                assert_eq!(report.shortfalls.iter().map(|s| s.count).sum::<u32>(), 18);
                bed.tear_down().await;
            }
            Err(error) => {
                assert!(!kept, "{error:?}");
                assert!(error.message().contains("got 12 of 30 instances, min 13"), "{error}");
                bed.assert_nothing_left();
            }
        }
    }
}

#[tokio::test]
async fn no_capacity_anywhere_is_a_clear_error_and_leaves_nothing() {
    let bed = Bed::new();
    close_east(&bed, 0);
    let error = bed.fleet(spec(5)).launch().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoCapacity, "{error:?}");
    assert_eq!(bed.bought(), 0);
    bed.assert_nothing_left();
}

#[tokio::test]
async fn a_launch_with_a_deadline_waits_for_capacity() {
    let bed = Bed::new();
    let lift = close_east(&bed, 0);
    let mut wanted = spec(5);
    wanted.deadline = Some(Duration::from_secs(1_800));
    let fleet = bed.fleet(wanted);
    let (report, ()) = tokio::join!(fleet.launch(), async {
        bed.sleep(400).await;
        for fault in lift {
            bed.trouble(&fault);
        }
    });
    assert_eq!(report.unwrap().instances.len(), 5);
    bed.tear_down().await;
}

#[tokio::test]
async fn spot_that_does_not_come_is_bought_on_demand() {
    let bed = Bed::new();
    for zone in ["sim-east-a", "sim-east-b", "sim-east-c"] {
        bed.trouble(&format!(r#"{{"kind":"capacity","zone":"{zone}","market":"spot","available":2}}"#));
    }
    let mut wanted = spec(10);
    let after = Some(Duration::from_secs(300));
    wanted.market = MarketMix::Mixed { on_demand_share: 0.0, on_demand_after: after };
    let fleet = bed.fleet(wanted);
    let begun = bed.clock.now();
    let report = fleet.launch().await.unwrap();
    assert_eq!((report.on(Market::Spot), report.on(Market::OnDemand)), (6, 4));
    assert!(bed.clock.now() >= begun + Duration::from_secs(300), "spot had its time");
    bed.tear_down().await;
}

#[tokio::test]
async fn on_demand_stands_in_at_once_where_spot_is_sold_out_and_that_is_allowed() {
    let bed = Bed::new();
    for zone in ["sim-east-a", "sim-east-b", "sim-east-c"] {
        bed.trouble(&format!(r#"{{"kind":"capacity","zone":"{zone}","market":"spot","available":0}}"#));
    }
    let mut wanted = spec(6);
    wanted.market = MarketMix::Mixed { on_demand_share: 0.0, on_demand_after: Some(Duration::ZERO) };
    let report = bed.fleet(wanted).launch().await.unwrap();
    assert_eq!(report.on(Market::OnDemand), 6);
    bed.tear_down().await;
}

#[tokio::test]
async fn a_fleet_that_was_attached_to_is_kept_below_its_minimum() {
    let bed = Bed::new();
    let mut wanted = spec(8);
    wanted.min = 8;
    let first = bed.fleet(wanted.clone());
    first.launch().await.unwrap();
    bed.sleep(300).await;
    close_east(&bed, 0);
    let ids: Vec<_> = bed.alive().into_iter().take(3).collect();
    first.provider().terminate(&ids).await.unwrap();
    bed.sleep(300).await;
    let report = bed.fleet(wanted).launch().await.unwrap();
    assert_eq!((report.attached, report.instances.len()), (true, 5));
    assert_eq!(report.shortfalls.iter().map(|s| s.count).sum::<u32>(), 3);
    bed.tear_down().await;
}

#[tokio::test]
async fn the_on_demand_share_is_kept_over_a_spill() {
    let bed = Bed::new();
    bed.trouble(r#"{"kind":"capacity","zone":"sim-east-a","market":"spot","available":1}"#);
    let mut wanted = spec(20);
    wanted.market = MarketMix::Mixed { on_demand_share: 0.25, on_demand_after: None };
    let report = bed.fleet(wanted).launch().await.unwrap();
    assert_eq!((report.on(Market::Spot), report.on(Market::OnDemand)), (15, 5));
    bed.tear_down().await;
}

#[tokio::test]
async fn a_single_zone_fleet_moves_as_a_whole() {
    let bed = Bed::new();
    let zones = ["sim-east-a", "sim-east-b"];
    for zone in zones {
        bed.trouble(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":6}}"#));
    }
    let mut wanted = spec(10);
    (wanted.zones, wanted.min) = (ZoneMode::Single, 10);
    let report = bed.fleet(wanted).launch().await.unwrap();
    let found: BTreeSet<_> = report.instances.iter().map(|i| i.offer.zone.as_str()).collect();
    assert_eq!((report.instances.len(), found.len()), (10, 1));
    assert_eq!(bed.alive().len(), 10);
    bed.tear_down().await;
}

#[tokio::test]
async fn a_living_fleet_is_attached_to_and_filled_up() {
    let bed = Bed::new();
    let first = bed.fleet(spec(8));
    first.launch().await.unwrap();
    bed.sleep(300).await;
    let ids: Vec<_> = bed.alive().into_iter().take(3).collect();
    let report = bed.fleet(spec(8)).launch().await.unwrap();
    assert!(report.attached && report.plan.is_none());
    let slots: Vec<_> = report.instances.iter().map(|i| i.id.clone()).collect();
    assert_eq!(slots, first.slots().into_iter().map(|s| s.instance.unwrap().id).collect::<Vec<_>>());

    first.provider().terminate(&ids).await.unwrap();
    bed.sleep(300).await;
    let successor = bed.fleet(spec(8));
    let report = successor.launch().await.unwrap();
    assert!(report.attached && report.plan.is_some());
    assert_eq!((report.instances.len(), bed.alive().len(), bed.bought()), (8, 8, 11));
    assert_eq!(bed.fleet(spec(8)).attach().await.unwrap().instances.len(), 8);
    bed.tear_down().await;
    assert_eq!(bed.fleet(spec(8)).attach().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_name_can_be_used_again_after_a_teardown() {
    let bed = Bed::new();
    for target in [4, 4, 6] {
        let fleet = bed.fleet(spec(target));
        assert_eq!(fleet.launch().await.unwrap().instances.len(), target as usize);
        assert!(fleet.teardown().await.unwrap().is_clean());
        assert_eq!(fleet.launch().await.unwrap().instances.len(), target as usize, "by the same handle");
        assert!(fleet.teardown().await.unwrap().is_clean());
        bed.assert_nothing_left();
    }
}

#[tokio::test]
async fn a_thousand_instances_take_few_calls() {
    let bed = Bed::new();
    let fault = Fault::new(bed.clock.clone());
    let mut wanted = Spec::new(1_000);
    wanted.need.vcpus = Some(2);
    let fleet = bed.fleet_behind(&fault, wanted);
    assert_eq!(fleet.launch().await.unwrap().instances.len(), 1_000);
    let calls = fault.seen().len();
    assert!(calls <= 20, "{calls} calls: {:?}", fault.seen());
    bed.sleep(60).await;
    fleet.teardown().await.unwrap();
    let calls: u64 = bed.world.calls().values().map(|c| c.calls).sum();
    assert!(calls <= 200, "{calls} calls of the cloud's API: {:#?}", bed.world.calls());
    bed.assert_nothing_left();
}

#[tokio::test]
async fn a_spec_made_in_code_is_checked_before_anything_is_bought() {
    let bed = Bed::new();
    let mut wanted = spec(3);
    wanted.min = 5;
    let error = bed.fleet(wanted).launch().await.unwrap_err();
    assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidConfig, Some("fleet.min")), "{error:?}");
    assert_eq!(bed.bought(), 0);
    bed.assert_nothing_left();
}

#[tokio::test]
async fn disks_and_addresses_are_in_the_plan_and_in_the_bill() {
    let bed = Bed::new();
    let (bare, mut with) = (spec(4), spec(4));
    (with.public_ip, with.disk_gib) = (true, 100);
    let cheap = bed.fleet(bare).plan().await.unwrap().worst.per_hour;
    let fleet = bed.fleet(with);
    assert!(fleet.plan().await.unwrap().worst.per_hour > cheap);

    fleet.launch().await.unwrap();
    bed.sleep(36_000).await;
    let (bill, ledger) = (fleet.bill().spent, bed.world.ledger().accrued_usd);
    let apart = (bill.micros() - ledger.micros()).abs();
    assert!(apart * 100 < ledger.micros(), "the bill says {bill}, the ledger {ledger}");
    assert!(fleet.teardown().await.unwrap().is_clean());
    bed.assert_nothing_left();
}

#[test]
fn an_unknown_provider_is_named_with_the_known_ones() {
    let config = Config { provider: "simm".into(), ..config() };
    let error = Fleet::open_with(&skyfleet::drivers(), config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("simm") && error.to_string().contains("sim"), "{error}");
}

#[test]
fn the_bare_provider_can_be_had_by_its_type() {
    let fleet = Fleet::open_with(&skyfleet::drivers(), config()).unwrap();
    assert!(fleet.provider_as::<skyfleet_sim::SimProvider>().is_some());
}

fn config() -> Config {
    Config::new("sim", "ada".parse_own(), "words".parse_name(), spec(1))
}

trait Own {
    fn parse_own(&self) -> skyfleet::core::Owner;
    fn parse_name(&self) -> skyfleet::core::FleetName;
}

impl Own for str {
    fn parse_own(&self) -> skyfleet::core::Owner {
        skyfleet::core::Owner::parse(self).unwrap()
    }

    fn parse_name(&self) -> skyfleet::core::FleetName {
        skyfleet::core::FleetName::parse(self).unwrap()
    }
}

/// Leaves room for so many in each zone of sim-east; answers what lifts it.
fn close_east(bed: &Bed, available: u32) -> Vec<String> {
    let zones = ["sim-east-a", "sim-east-b", "sim-east-c"];
    for zone in zones {
        bed.trouble(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":{available}}}"#));
    }
    zones.map(|zone| format!(r#"{{"kind":"capacity","zone":"{zone}","available":null}}"#)).into()
}
