//! What a world charges, by each cloud's own rules.

mod bed;

use bed::Bed;
use skyfleet_core::Market;
use skyfleet_simcloud::{Cloud, LineKind, Refusal};

/// Fixed boot times, so that seconds can be counted.
const STEADY: &str =
    "[market]\nprocess = \"constant\"\n[boot]\nmedian_s = 10\nsigma = 0\nstraggler_share = 0\n";

#[test]
fn a_short_life_costs_the_documented_minimum() {
    for (cloud, paid) in [(Cloud::Neutral, 60), (Cloud::Aws, 60), (Cloud::Gcp, 60), (Cloud::Azure, 20)] {
        let bed = Bed::playing(cloud, STEADY);
        let ids = bed.spot(1);
        bed.pass(30);
        bed.terminate(&ids);
        bed.pass(600);
        assert_eq!(bed.paid(), paid, "{cloud}");
    }
}

#[test]
fn a_machine_that_never_ran_is_not_paid() {
    for cloud in Cloud::ALL {
        let bed = Bed::playing(cloud, STEADY);
        let ids = bed.spot(1);
        bed.pass(5);
        bed.terminate(&ids);
        bed.pass(600);
        assert_eq!(bed.paid(), 0, "{cloud}");
    }
}

#[test]
fn a_reclaim_is_free_in_the_first_hour_on_ec2_and_the_first_minute_on_compute_engine() {
    // Seconds of running before the reclaim, and what is paid of them.
    for (cloud, before, paid) in [
        (Cloud::Aws, 3_590, 0),
        (Cloud::Aws, 3_600, 3_600),
        // Since its creation, ten seconds earlier: Compute Engine documentation, Spot VMs.
        (Cloud::Gcp, 49, 0),
        (Cloud::Gcp, 50, 60),
        (Cloud::Gcp, 90, 90),
        (Cloud::Azure, 50, 50),
    ] {
        let bed = Bed::playing(cloud, STEADY);
        let ids = bed.spot(1);
        bed.pass(10 + before);
        bed.fault(&format!(r#"{{"kind":"preempt","instance_id":"{}","notice_seconds":0}}"#, ids[0]));
        bed.pass(600);
        assert_eq!(bed.paid(), paid, "{cloud} after {before} s");
    }
}

#[test]
fn a_user_who_ends_in_the_first_hour_pays_for_it() {
    let bed = Bed::playing(Cloud::Aws, STEADY);
    let ids = bed.spot(1);
    bed.pass(10 + 1_800);
    bed.terminate(&ids);
    bed.pass(600);
    assert_eq!(bed.paid(), 1_800);
}

#[test]
fn the_price_is_the_one_of_the_launch() {
    let bed = Bed::playing(Cloud::Aws, "[boot]\nmedian_s = 10\nsigma = 0\nstraggler_share = 0\n");
    let order = bed.order(Market::Spot, 1);
    let price = bed.price(&order);
    bed.launch(&order).unwrap();
    let line = |bed: &Bed| bed.bill().into_iter().find(|line| line.kind == LineKind::Instance).unwrap();
    assert_eq!(line(&bed).usd_per_hour, price);
    bed.pass(86_400 * 3);
    assert_eq!(line(&bed).usd_per_hour, price);
    assert_ne!(bed.price(&order), price, "three days have not moved the market");
}

#[test]
fn a_disk_that_nobody_asked_to_delete_stays_and_costs() {
    for cloud in Cloud::ALL {
        let bed = Bed::playing(cloud, STEADY);
        let mut order = bed.order(Market::OnDemand, 1);
        order.spec.delete_with_instance = false;
        let bought = bed.launch(&order).unwrap();
        bed.pass(3_600);
        bed.terminate(&[bought.machines[0].id.clone()]);
        bed.pass(3_600);
        let ledger = bed.world.ledger();
        let kinds: Vec<_> = ledger.live.iter().map(|line| line.kind).collect();
        // An address that EC2 or Compute Engine assigned by itself goes with its instance in any case.
        let left = [LineKind::Disk, LineKind::Address];
        let automatic = matches!(cloud, Cloud::Aws | Cloud::Gcp);
        assert_eq!(kinds, if automatic { &left[..1] } else { &left }, "{cloud}");
        assert!(ledger.usd_per_hour.micros() > 0, "{cloud}");
        // On Azure the interface stays as well: it costs nothing and blocks its network.
        assert_eq!(ledger.blocking.len(), usize::from(cloud == Cloud::Azure), "{cloud}");
        for line in &ledger.live {
            assert!(bed.world.look(|kernel| kernel.delete_leftover(&line.id)), "{cloud} {}", line.id);
        }
        for fixture in &ledger.blocking {
            bed.world.look(|kernel| kernel.delete_fixture(&fixture.id)).unwrap();
        }
        assert!(bed.world.ledger().proves_empty(), "{cloud}");
    }
}

#[test]
fn what_goes_with_its_machine_is_not_paid_after_it() {
    for cloud in Cloud::ALL {
        let bed = Bed::playing(cloud, STEADY);
        let ids = bed.spot(3);
        bed.pass(3_600);
        bed.terminate(&ids);
        bed.pass(600);
        let ledger = bed.world.ledger();
        assert!(ledger.proves_empty(), "{cloud}: {ledger:?}");
        bed.pass(86_400);
        assert_eq!(bed.world.ledger().accrued_usd, ledger.accrued_usd, "{cloud}");
    }
}

#[test]
fn the_ledger_compares_with_what_on_demand_would_have_cost() {
    let bed = Bed::playing(Cloud::Aws, STEADY);
    bed.spot(4);
    bed.pass(3_610);
    let spot = bed.world.ledger();
    assert!(spot.on_demand_equivalent_usd > spot.accrued_usd);
    let other = Bed::playing(Cloud::Aws, STEADY);
    let bought = other.launch(&other.order(Market::OnDemand, 4)).unwrap();
    assert_eq!(bought.machines.len(), 4);
    other.pass(3_610);
    assert_eq!(other.world.ledger().accrued_usd, spot.on_demand_equivalent_usd);
}

#[test]
fn an_outbid_machine_goes_for_its_price() {
    let trace = tempfile::tempdir().unwrap();
    std::fs::write(trace.path().join("t.csv"), "time_s,capacity,price_usd_per_hour\n3600,,9.5\n").unwrap();
    let scenario = "[market]\nprocess = \"trace\"\ntrace = \"t.csv\"\n";
    let bed = Bed::with(Cloud::Aws, "", |options| {
        options.scenario = skyfleet_simcloud::Scenario::parse(scenario, "test.toml", trace.path()).unwrap();
    });
    let mut order = bed.order(Market::Spot, 2);
    let max = bed.price(&order);
    order.pools.truncate(1);
    order.pools[0].price_max = Some(max);
    assert_eq!(bed.launch(&order).unwrap().machines.len(), 2);
    let mut free = bed.order(Market::Spot, 1);
    free.pools.truncate(1);
    assert_eq!(bed.launch(&free).unwrap().machines.len(), 1);
    bed.pass(3_600 + 1_200);
    let events = bed.world.events_after(0);
    let outbid = events.iter().filter(|event| event.detail == "instance-terminated-by-price");
    assert_eq!(outbid.count(), 4, "notice and reclaim of two: {events:#?}");
    assert_eq!(bed.launch(&order).unwrap().machines.len(), 0, "now it is too dear");
    // Who set no limit stays.
    assert_eq!(bed.world.ledger().live.iter().filter(|l| l.kind == LineKind::Instance).count(), 1);
}

#[test]
fn user_data_over_the_limit_buys_nothing() {
    let bed = Bed::new(Cloud::Aws);
    let mut order = bed.order(Market::OnDemand, 1);
    order.spec.user_data = "x".repeat(16 * 1_024 + 1).into();
    let refusal = bed.launch(&order).unwrap_err();
    assert!(matches!(refusal, Refusal::Invalid { field: "user_data", .. }), "{refusal:?}");
    assert!(bed.world.ledger().proves_empty());
}
