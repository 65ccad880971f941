//! How machines come, are seen, and go.

mod bed;

use std::sync::Arc;
use std::time::Duration;

use bed::{Bed, START};
use skyfleet_core::{InstanceState, Market, Spread};
use skyfleet_simcloud::{Call, Closed, Cloud, Ended, EventKind, Fixture, FixtureKind, Refusal};

#[test]
fn a_new_machine_is_pending_then_running_and_listed_late_where_the_cloud_is_late() {
    for cloud in Cloud::ALL {
        let bed = Bed::new(cloud);
        bed.spot(50);
        let at_once = bed.world.instances().len();
        assert!(if cloud == Cloud::Neutral { at_once == 50 } else { at_once < 50 }, "{cloud}: {at_once}");
        bed.pass(5);
        let seen = bed.world.instances();
        assert_eq!(seen.len(), 50, "{cloud}");
        assert!(seen.iter().any(|machine| machine.state == InstanceState::Pending), "{cloud}");
        bed.pass(300);
        let seen = bed.world.instances();
        assert!(seen.iter().all(|machine| machine.state == InstanceState::Running), "{cloud}");
        assert!(seen.iter().all(|machine| machine.private_ip.is_some() && machine.public_ip.is_some()));
    }
}

#[test]
fn an_ended_machine_is_listed_as_long_as_its_cloud_remembers_it() {
    for (cloud, hour) in [(Cloud::Aws, true), (Cloud::Gcp, false), (Cloud::Azure, false)] {
        let bed = Bed::new(cloud);
        let ids = bed.spot(1);
        bed.pass(60);
        assert_eq!(bed.terminate(&ids), [Ended::Ending]);
        assert_eq!(bed.world.instances()[0].state, InstanceState::Stopping, "{cloud}");
        bed.pass(180);
        assert_eq!(bed.terminate(&ids), [Ended::Gone], "{cloud}");
        let listed = bed.world.instances();
        assert_eq!(listed.len(), usize::from(hour), "{cloud}");
        bed.pass(3_600);
        assert!(bed.world.instances().is_empty(), "{cloud}");
    }
}

#[test]
fn a_notice_comes_before_the_end_as_each_cloud_has_it() {
    for (cloud, lead, meanwhile) in [
        (Cloud::Neutral, 30, InstanceState::Running),
        (Cloud::Aws, 120, InstanceState::Running),
        (Cloud::Gcp, 30, InstanceState::Stopping),
    ] {
        let bed = Bed::new(cloud);
        let ids = bed.spot(1);
        bed.pass(600);
        // Some leads are shorter on some clouds: ask for the usual one.
        bed.fault(&format!(r#"{{"kind":"preempt","instance_id":"{}","notice_seconds":{lead}}}"#, ids[0]));
        let notice = bed.world.events_after(0).into_iter().find(|event| event.kind == EventKind::Notice);
        let deadline = notice.unwrap().deadline.unwrap();
        assert_eq!(deadline, START + Duration::from_secs(600 + lead), "{cloud}");
        assert_eq!(bed.world.instances()[0].state, meanwhile, "{cloud}");
        bed.pass(lead - 1);
        let reclaims = |bed: &Bed| {
            bed.world.events_after(0).iter().filter(|event| event.kind == EventKind::Reclaim).count()
        };
        assert_eq!(reclaims(&bed), 0, "{cloud}");
        bed.pass(1);
        assert_eq!(reclaims(&bed), 1, "{cloud}");
        bed.pass(600);
        assert!(bed.world.ledger().proves_empty(), "{cloud}");
    }
}

#[test]
fn a_user_who_is_faster_than_the_deadline_ends_the_machine_himself() {
    let bed = Bed::new(Cloud::Aws);
    let ids = bed.spot(1);
    bed.pass(600);
    bed.fault(&format!(r#"{{"kind":"preempt","instance_id":"{}"}}"#, ids[0]));
    bed.pass(60);
    bed.terminate(&ids);
    bed.pass(600);
    assert!(bed.world.events_after(0).iter().all(|event| event.kind != EventKind::Reclaim));
}

#[test]
fn the_market_takes_machines_back_with_advice_first_on_ec2() {
    let bed = Bed::playing(Cloud::Aws, "[market]\nprocess = \"constant\"\nreclaim_per_hour = 2.0\n");
    bed.spot(40);
    bed.pass(6 * 3_600);
    let events = bed.world.events_after(0);
    let count = |kind| events.iter().filter(|event| event.kind == kind).count();
    assert!(count(EventKind::Reclaim) > 30, "{}", count(EventKind::Reclaim));
    assert_eq!(count(EventKind::Notice), count(EventKind::Reclaim));
    let (advised, told) = (count(EventKind::Rebalance), count(EventKind::Notice));
    assert!(advised > 0 && advised < told, "{advised} of {told}");
}

#[test]
fn a_capacity_fault_counts_what_starts() {
    let bed = Bed::new(Cloud::Gcp);
    let mut order = bed.order(Market::Spot, 5);
    order.pools.truncate(1);
    let offer = order.pools[0].offer.clone();
    let (zone, name) = (&offer.zone, &offer.instance_type);
    bed.fault(&format!(
        r#"{{"kind":"capacity","zone":"{zone}","instance_type":"{name}","market":"spot","available":7}}"#
    ));
    assert_eq!(bed.launch(&order).unwrap().machines.len(), 5);
    let second = bed.launch(&order).unwrap();
    assert_eq!(second.machines.len(), 2);
    assert_eq!((second.missing[0].count, &second.missing[0].why), (3, &Closed::Capacity(offer.clone())));
    bed.fault(&format!(r#"{{"kind":"capacity","zone":"{zone}","instance_type":"{name}","market":"spot"}}"#));
    assert_eq!(bed.launch(&order).unwrap().machines.len(), 5, "lifted");
}

#[test]
fn a_closed_zone_closes_its_zone() {
    let bed = Bed::new(Cloud::Azure);
    let mut order = bed.order(Market::OnDemand, 4);
    let zone = order.pools[0].offer.zone.clone();
    bed.fault(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":0}}"#));
    assert_eq!(bed.launch(&order).unwrap().missing, [], "the other zones are open");
    order.pools.truncate(1);
    assert_eq!(bed.launch(&order).unwrap().missing[0].why, Closed::Zone(zone));
}

#[test]
fn a_restricted_size_is_no_empty_pool() {
    let bed = Bed::new(Cloud::Azure);
    let order = bed.order(Market::OnDemand, 1);
    let (region, name) = (&order.region, &order.pools[0].offer.instance_type);
    let fault = |on| {
        format!(r#"{{"kind":"sku-restriction","region":"{region}","instance_type":"{name}","on":{on}}}"#)
    };
    bed.fault(&fault(true));
    let bought = bed.launch(&order).unwrap();
    assert!(matches!(bought.missing[0].why, Closed::Restricted(_)), "{bought:?}");
    bed.fault(&fault(false));
    assert_eq!(bed.launch(&order).unwrap().missing, []);
}

#[test]
fn all_or_nothing_keeps_nothing() {
    for cloud in Cloud::ALL {
        let bed = Bed::new(cloud);
        let mut order = bed.order(Market::Spot, 5);
        let zones: Vec<_> = order.pools.iter().map(|pool| pool.offer.zone.clone()).collect();
        for zone in &zones {
            bed.fault(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":1}}"#));
        }
        order.count = zones.len() as u32 + 1;
        order.count_min = order.count;
        let bought = bed.launch(&order).unwrap();
        assert!(bought.machines.is_empty(), "{cloud}");
        assert_eq!(bought.missing.iter().map(|missing| missing.count).sum::<u32>(), order.count);
        assert!(bed.world.ledger().proves_empty(), "{cloud}");
        // What was rolled back is there for the next one.
        order.count -= 1;
        order.count_min = order.count;
        assert_eq!(bed.launch(&order).unwrap().missing, [], "{cloud}");
    }
}

#[test]
fn a_single_zone_launch_lies_in_one_zone() {
    let bed = Bed::new(Cloud::Aws);
    let mut order = bed.order(Market::OnDemand, 9);
    order.spread = Spread::SingleZone;
    let bought = bed.launch(&order).unwrap();
    assert!(bought.machines.iter().all(|machine| machine.offer.zone == bought.machines[0].offer.zone));
}

#[test]
fn the_thousand_and_first_machine_of_a_burst_waits_on_ec2() {
    let bed =
        Bed::playing(Cloud::Aws, "[market]\nprocess = \"constant\"\n[pools]\ndefault_capacity = 5000\n");
    let order = bed.order(Market::OnDemand, 1_000);
    for quota in bed.offers(Market::OnDemand)[0].draws().map(|(quota, _)| quota.as_str()) {
        let (region, name) = quota.split_once('/').unwrap();
        bed.fault(&format!(r#"{{"kind":"quota","region":"{region}","name":"{name}","limit":100000}}"#));
    }
    assert_eq!(bed.launch(&order).unwrap().machines.len(), 1_000);
    let mut more = bed.order(Market::OnDemand, 20);
    more.token = Some("more".to_owned());
    let refusal = bed.launch(&more).unwrap_err();
    assert!(matches!(&refusal, Refusal::Throttled(throttle) if throttle.status == 503), "{refusal:?}");
    bed.pass(10);
    assert_eq!(bed.launch(&more).unwrap().machines.len(), 20);
}

#[test]
fn lists_lag_behind_when_they_are_stale() {
    let bed = Bed::new(Cloud::Neutral);
    let ids = bed.spot(1);
    bed.pass(300);
    bed.fault(r#"{"kind":"stale","seconds":60}"#);
    bed.terminate(&ids);
    bed.pass(30);
    assert_eq!(bed.world.instances()[0].state, InstanceState::Running, "as of half a minute before the end");
    bed.pass(60);
    assert_eq!(bed.world.instances()[0].state, InstanceState::Terminated);
}

#[test]
fn an_answer_that_fails_before_did_nothing_and_one_that_fails_after_did_all() {
    for (when, machines) in [("before", 0), ("after", 2)] {
        let bed = Bed::new(Cloud::Neutral);
        let fault = format!(r#"{{"kind":"error","action":"instances.launch","when":"{when}","status":500}}"#);
        let id = bed.fault(&fault);
        let order = bed.order(Market::Spot, 2);
        let refusal = bed.launch(&order).unwrap_err();
        assert!(matches!(refusal, Refusal::Failed { status: 500, .. }), "{refusal:?}");
        assert_eq!(bed.world.instances().len(), machines, "{when}");
        assert!(bed.world.lift(id));
        assert_eq!(bed.world.calls()["instances.launch"].errors, 1);
    }
}

#[test]
fn a_native_expiry_ends_what_its_user_forgot() {
    let bed = Bed::new(Cloud::Gcp);
    let mut order = bed.order(Market::OnDemand, 3);
    order.native_expiry = Some(START + Duration::from_secs(7_200));
    bed.launch(&order).unwrap();
    bed.pass(7_199);
    assert!(bed.world.instances().iter().all(|machine| machine.state == InstanceState::Running));
    bed.pass(600);
    assert!(bed.world.ledger().proves_empty());
}

#[test]
fn a_group_takes_all_that_is_in_it_along() {
    let bed = Bed::new(Cloud::Azure);
    let mut order = bed.order(Market::OnDemand, 2);
    let (group, network): (Arc<str>, Arc<str>) = ("group".into(), "group/network".into());
    let fixture = |kind, id: &Arc<str>, inside| Fixture {
        kind,
        id: id.clone(),
        region: order.region.clone(),
        inside,
        tags: Arc::default(),
        created: START,
    };
    bed.world.look(|kernel| {
        kernel.put_fixture(fixture(FixtureKind::ResourceGroup, &group, None), None);
        kernel.put_fixture(fixture(FixtureKind::Network, &network, Some(group.clone())), None);
    });
    order.spec.holds = vec![group.clone(), network.clone()];
    bed.launch(&order).unwrap();
    bed.pass(300);
    let delete = |id: &str| bed.world.call(Call::write("DELETE", "x", 0), |kernel| kernel.delete_fixture(id));
    assert_eq!(delete("group/network"), Err(Refusal::InUse { id: network.to_string(), by: 2 }));
    assert!(matches!(delete("group"), Err(Refusal::InUse { .. })), "its machines are still ending");
    bed.pass(300);
    assert_eq!(delete("group"), Ok(true));
    assert_eq!(delete("group/network"), Ok(false));
    assert!(bed.world.ledger().proves_empty());
}

#[test]
fn a_fault_that_names_what_there_is_not_is_refused() {
    let bed = Bed::new(Cloud::Aws);
    for (json, part) in [
        (r#"{"kind":"capacity","zone":"us-east-1z","available":0}"#, "us-east-1z"),
        (r#"{"kind":"latency","cloud":"gcp","ms":5}"#, "gcp"),
        (r#"{"kind":"preempt","instance_id":"i-nobody"}"#, "i-nobody"),
    ] {
        let error = bed.world.inject(serde_json::from_str(json).unwrap()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(bed.world.faults().is_empty());
}
