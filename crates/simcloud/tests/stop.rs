//! Machines that stop and start again, and what that costs.

mod bed;

use std::sync::Arc;
use std::time::Duration;

use bed::{Bed, START};
use skyfleet_core::{InstanceState, Market, Timestamp};
use skyfleet_simcloud::{
    BillLine, Closed, Cloud, EventKind, LineKind, MachineView, OnReclaim, Refusal, Whose,
};

/// Fixed boot times, so that seconds can be counted.
const STEADY: &str =
    "[market]\nprocess = \"constant\"\n[boot]\nmedian_s = 10\nsigma = 0\nstraggler_share = 0\n";

fn one(bed: &Bed, market: Market, on_reclaim: OnReclaim) -> Arc<str> {
    let mut order = bed.order(market, 1);
    order.pools.truncate(1);
    order.spec.on_reclaim = on_reclaim;
    bed.launch(&order).unwrap().machines[0].id.clone()
}

fn stop(bed: &Bed, id: &str) -> Result<(), Refusal> {
    bed.world.look(|kernel| kernel.stop(id))
}

fn start(bed: &Bed, id: &str) -> Result<(), Refusal> {
    bed.world.look(|kernel| kernel.start(id))
}

fn view(bed: &Bed, id: &str) -> MachineView {
    bed.world.look(|kernel| kernel.machine(id, &Whose::default())).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn instance_lines(bed: &Bed) -> Vec<BillLine> {
    bed.bill().into_iter().filter(|line| line.kind == LineKind::Instance).collect()
}

#[test]
fn every_start_pays_its_own_minimum_and_a_stop_pays_the_disk_alone() {
    let bed = Bed::playing(Cloud::Aws, STEADY);
    let id = one(&bed, Market::OnDemand, OnReclaim::Terminate);
    bed.pass(30);
    stop(&bed, &id).unwrap();
    assert_eq!(view(&bed, &id).state, InstanceState::Stopping);
    assert_eq!((view(&bed, &id).leaving, view(&bed, &id).halted), (None, Some(at(30))));
    bed.pass(90);
    let stopped = view(&bed, &id);
    assert_eq!((stopped.state, stopped.public_ip), (InstanceState::Stopped, None));
    assert!(stopped.private_ip.is_some(), "it keeps its address inside");
    let ledger = bed.world.ledger();
    let kinds: Vec<_> = ledger.live.iter().map(|line| (line.kind, line.state)).collect();
    assert_eq!(kinds, [(LineKind::Disk, Some(InstanceState::Stopped))]);
    bed.pass(10_000);
    start(&bed, &id).unwrap();
    assert_eq!(view(&bed, &id).state, InstanceState::Pending);
    bed.pass(10 + 20);
    let running = view(&bed, &id);
    assert_eq!(running.state, InstanceState::Running);
    assert_eq!((running.started, running.running_at), (at(10_120), Some(at(10_130))));
    assert_eq!((running.launched, running.halted), (START, None));
    bed.terminate(std::slice::from_ref(&id));
    bed.pass(600);
    // Twenty seconds of running each time.
    let paid: Vec<u64> = instance_lines(&bed).iter().map(|line| line.paid.as_secs()).collect();
    assert_eq!(paid, [60, 60]);
    let (bill, ledger) = (bed.bill(), bed.world.ledger());
    let of = |kind| bill.iter().filter(move |line| line.kind == kind).map(|line| line.paid.as_secs());
    // The automatic address was given back at the stop and another came with the start.
    let addresses: Vec<u64> = of(LineKind::Address).collect();
    assert!(
        addresses[0] == 30 && (60..=120).contains(&addresses[1]) && addresses.len() == 2,
        "{addresses:?}"
    );
    assert!(of(LineKind::Disk).all(|paid| paid > 10_150), "{bill:?}");
    assert_eq!(ledger.by_market[&Market::OnDemand].instances, 1, "one instance with two starts");
    assert_eq!(ledger.accrued_usd, bill.iter().map(|line| line.cost).sum());
    assert!(ledger.proves_empty());
}

#[test]
fn a_start_pays_the_price_of_its_day() {
    let bed = Bed::playing(Cloud::Aws, "[boot]\nmedian_s = 10\nsigma = 0\nstraggler_share = 0\n");
    let id = one(&bed, Market::Spot, OnReclaim::Stop);
    bed.pass(600);
    stop(&bed, &id).unwrap();
    bed.pass(3 * 86_400);
    start(&bed, &id).unwrap();
    let offer = view(&bed, &id).offer;
    let price = bed.world.look(|kernel| kernel.price(&offer)).unwrap();
    let lines = instance_lines(&bed);
    assert_ne!(lines[0].usd_per_hour, price, "three days have not moved the market");
    assert_eq!((lines[1].usd_per_hour, view(&bed, &id).price), (price, price));
}

#[test]
fn a_stopped_machine_frees_its_place_and_its_quota_and_needs_them_to_start() {
    let bed = Bed::playing(Cloud::Aws, STEADY);
    let id = one(&bed, Market::OnDemand, OnReclaim::Terminate);
    bed.pass(60);
    let offer = view(&bed, &id).offer;
    let quota = bed.offers(Market::OnDemand)[0].quotas[0].quota.clone();
    let used = |bed: &Bed| {
        bed.world.look(|kernel| (kernel.pool(&offer).unwrap().1, kernel.quota(quota.as_str()).unwrap().1))
    };
    let full = used(&bed);
    stop(&bed, &id).unwrap();
    assert_eq!(used(&bed), full, "while it goes down");
    bed.pass(90);
    assert_eq!(used(&bed), (0, 0));
    let (zone, name) = (&offer.zone, &offer.instance_type);
    let fault = |n: &str| {
        format!(
            r#"{{"kind":"capacity","zone":"{zone}","instance_type":"{name}","market":"all","available":{n}}}"#
        )
    };
    bed.fault(&fault("0"));
    assert_eq!(bed.world.look(|kernel| kernel.room_of(&offer)), 0);
    assert_eq!(start(&bed, &id), Err(Refusal::Full(Closed::Capacity(offer.clone()))));
    assert_eq!(view(&bed, &id).state, InstanceState::Stopped);
    bed.fault(&fault("3"));
    assert_eq!(bed.world.look(|kernel| kernel.room_of(&offer)), 3);
    let (region, quota_name) = quota.as_str().split_once('/').unwrap();
    let limit =
        |n: u32| format!(r#"{{"kind":"quota","region":"{region}","name":"{quota_name}","limit":{n}}}"#);
    bed.fault(&limit(0));
    assert!(matches!(start(&bed, &id), Err(Refusal::Full(Closed::Quota { used: 0, .. }))));
    bed.fault(&limit(1_000));
    start(&bed, &id).unwrap();
    assert_eq!(used(&bed), full);
    assert_eq!(bed.world.look(|kernel| kernel.room_of(&offer)), 2, "a start counts as one");
    bed.terminate(std::slice::from_ref(&id));
    bed.pass(600);
    assert_eq!(used(&bed), (0, 0));
}

#[test]
fn a_machine_that_ends_while_it_stops_or_is_stopped_is_gone_once() {
    for wait in [0, 5, 300] {
        let bed = Bed::playing(Cloud::Aws, STEADY);
        let id = one(&bed, Market::OnDemand, OnReclaim::Terminate);
        bed.pass(70);
        let offer = view(&bed, &id).offer;
        stop(&bed, &id).unwrap();
        bed.pass(wait);
        bed.terminate(std::slice::from_ref(&id));
        assert!(view(&bed, &id).leaving.is_some(), "after {wait} s");
        bed.pass(600);
        assert_eq!(view(&bed, &id).state, InstanceState::Terminated);
        assert_eq!(bed.world.look(|kernel| kernel.pool(&offer)).unwrap().1, 0, "after {wait} s");
        assert_eq!(instance_lines(&bed)[0].paid.as_secs(), 60);
        assert!(bed.world.ledger().proves_empty());
    }
}

#[test]
fn what_cannot_stop_or_start_says_why() {
    let bed = Bed::playing(Cloud::Aws, STEADY);
    let id = one(&bed, Market::OnDemand, OnReclaim::Terminate);
    let wrong = |state, action| Err(Refusal::WrongState { id: id.to_string(), state, action });
    assert_eq!(stop(&bed, &id), wrong(InstanceState::Pending, "stop"));
    assert_eq!(start(&bed, &id), Ok(()), "it comes up anyway");
    bed.pass(60);
    stop(&bed, &id).unwrap();
    assert_eq!(stop(&bed, &id), Ok(()), "again is harmless");
    assert_eq!(start(&bed, &id), wrong(InstanceState::Stopping, "start"));
    bed.terminate(std::slice::from_ref(&id));
    assert_eq!(stop(&bed, &id), wrong(InstanceState::Stopping, "stop"));
    bed.pass(600);
    assert_eq!(start(&bed, &id), wrong(InstanceState::Terminated, "start"));
    assert!(matches!(stop(&bed, "i-nobody"), Err(Refusal::Unknown { .. })));
    let spot = one(&bed, Market::Spot, OnReclaim::Terminate);
    bed.pass(60);
    assert!(matches!(stop(&bed, &spot), Err(Refusal::Invalid { .. })));
}

#[test]
fn a_reclaim_stops_where_the_order_says_so_and_is_free_in_the_first_hour_as_any() {
    for (cloud, lead) in [(Cloud::Neutral, 30), (Cloud::Aws, 120), (Cloud::Gcp, 30)] {
        let bed = Bed::playing(cloud, STEADY);
        let id = one(&bed, Market::Spot, OnReclaim::Stop);
        bed.pass(1_800);
        let preempt = format!(r#"{{"kind":"preempt","instance_id":"{id}","notice_seconds":{lead}}}"#);
        bed.fault(&preempt);
        let noticed = view(&bed, &id);
        assert_eq!((noticed.noticed, noticed.deadline), (Some(at(1_800)), Some(at(1_800 + lead))), "{cloud}");
        bed.pass(lead);
        assert_ne!(view(&bed, &id).state, InstanceState::Running, "{cloud}");
        bed.pass(300);
        let stopped = view(&bed, &id);
        assert_eq!((stopped.state, stopped.cause), (InstanceState::Stopped, None), "{cloud}");
        let count = |kind| bed.world.events_after(0).iter().filter(|event| event.kind == kind).count();
        assert_eq!((count(EventKind::Notice), count(EventKind::Reclaim)), (1, 1), "{cloud}");
        if cloud == Cloud::Aws {
            assert_eq!(instance_lines(&bed)[0].paid.as_secs(), 0);
        }
        start(&bed, &id).unwrap();
        bed.pass(60);
        let back = view(&bed, &id);
        assert_eq!(
            (back.state, back.noticed, back.deadline),
            (InstanceState::Running, None, None),
            "{cloud}"
        );
        let notice = bed.world.events_after(0).into_iter().find(|event| event.kind == EventKind::Notice);
        assert_eq!(notice.unwrap().deadline, Some(at(1_800 + lead)), "{cloud}: the log remembers");
        // It can be taken back again.
        bed.fault(&preempt);
        bed.pass(600);
        assert_eq!(view(&bed, &id).state, InstanceState::Stopped, "{cloud}");
        assert_eq!(count(EventKind::Reclaim), 2, "{cloud}");
        bed.terminate(std::slice::from_ref(&id));
        bed.pass(600);
        assert!(bed.world.ledger().proves_empty(), "{cloud}");
    }
}

#[test]
fn a_stop_before_the_deadline_spares_the_reclaim() {
    let bed = Bed::playing(Cloud::Aws, STEADY);
    let id = one(&bed, Market::Spot, OnReclaim::Stop);
    bed.pass(600);
    bed.fault(&format!(r#"{{"kind":"preempt","instance_id":"{id}","notice_seconds":600}}"#));
    stop(&bed, &id).unwrap();
    bed.pass(90);
    start(&bed, &id).unwrap();
    bed.pass(3_600);
    assert_eq!(view(&bed, &id).state, InstanceState::Running);
    assert!(bed.world.events_after(0).iter().all(|event| event.kind != EventKind::Reclaim));
}

#[test]
fn stale_lists_show_the_stops_of_their_moment() {
    let bed = Bed::playing(Cloud::Neutral, STEADY);
    let id = one(&bed, Market::OnDemand, OnReclaim::Terminate);
    bed.pass(600);
    bed.fault(r#"{"kind":"stale","seconds":100}"#);
    stop(&bed, &id).unwrap();
    bed.pass(50);
    start(&bed, &id).unwrap();
    let mut seen = Vec::new();
    for _ in 0..20 {
        let state = view(&bed, &id).state;
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        bed.pass(10);
    }
    use InstanceState::*;
    // The neutral cloud stops in 5 s, which a look every 10 s does not see.
    assert!(
        seen == [Running, Stopping, Stopped, Pending, Running]
            || seen == [Running, Stopped, Pending, Running],
        "{seen:?}"
    );
}

#[test]
fn a_stopped_machine_of_azure_costs_until_it_is_deallocated_and_counts_in_its_quota_until_it_is_deleted() {
    let bed = Bed::playing(Cloud::Azure, STEADY);
    let mut order = bed.order(Market::OnDemand, 1);
    order.pools.truncate(1);
    let vcpus = bed.offers(Market::OnDemand)[0].instance_type.vcpus;
    let id = bed.launch(&order).unwrap().machines[0].id.clone();
    let used = || bed.world.look(|kernel| kernel.quota("australiaeast/cores")).unwrap().1;
    let costs = || instance_lines(&bed).iter().filter(|line| line.until.is_none()).count();
    bed.pass(110);
    bed.world.look(|kernel| kernel.power_off(&id)).unwrap();
    bed.pass(890);
    assert_eq!((view(&bed, &id).state, costs(), used()), (InstanceState::Stopped, 1, vcpus));
    // It kept its place: it comes up whatever there is, on the same line of the bill.
    let zone = &order.pools[0].offer.zone;
    bed.fault(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":0}}"#));
    start(&bed, &id).unwrap();
    bed.pass(100);
    assert_eq!((view(&bed, &id).state, instance_lines(&bed).len()), (InstanceState::Running, 1));

    bed.world.look(|kernel| kernel.power_off(&id)).unwrap();
    bed.pass(200);
    stop(&bed, &id).unwrap();
    assert_eq!((view(&bed, &id).state, costs()), (InstanceState::Stopping, 0));
    bed.pass(200);
    assert_eq!((view(&bed, &id).state, bed.paid()), (InstanceState::Stopped, 1_290));
    let kinds: Vec<_> = bed.world.ledger().live.iter().map(|line| line.kind).collect();
    assert_eq!((kinds, used()), (vec![LineKind::Disk, LineKind::Address], vcpus));
    assert!(matches!(start(&bed, &id), Err(Refusal::Full(Closed::Zone(_)))));
    assert_eq!(used(), vcpus, "a start in vain");
    bed.terminate(&[id]);
    bed.pass(300);
    assert_eq!(used(), 0);
    assert!(bed.world.ledger().proves_empty());
}
