//! Random worlds in which everything goes wrong at once.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use skyfleet::core::layers::{Fault, FaultRates};
use skyfleet::{Fulfilment, MarketMix, Spec, ZoneMode};
use skyfleet_sim::Cloud;

use crate::bed::{Bed, watch};

/// All of them, or `SKYFLEET_SEED=17` for the one that failed.
fn seeds() -> std::ops::Range<u64> {
    match std::env::var("SKYFLEET_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..1_000,
    }
}

#[test]
fn a_thousand_random_worlds_with_faults_end_with_zero_leftovers() {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = |mine: u64| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for seed in seeds().filter(|seed| seed % threads == mine) {
            let life = || runtime.block_on(life(seed));
            if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life)) {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                panic!("SKYFLEET_SEED={seed}: {text}");
            }
        }
    };
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads).map(|mine| scope.spawn(move || share(mine))).collect();
        shares.into_iter().for_each(|share| share.join().expect("a seed failed: see above"));
    });
}

/// A fleet's life in the world of this seed: launch, hours of supervision by controllers that die,
/// teardown by the last one.
async fn life(seed: u64) {
    let mut random = Pcg32::seed_from_u64(seed);
    let reclaims = random.random_range(0.0..3.0);
    let scenario = format!("[market]\nprocess = \"constant\"\nreclaim_per_hour = {reclaims:.3}\n");
    let (cloud, region, zones) = match random.random_range(0..8) {
        0 => (Cloud::Aws, "us-east-1", ["us-east-1a", "us-east-1b", "us-east-1c"]),
        1 => (Cloud::Gcp, "us-central1", ["us-central1-a", "us-central1-b", "us-central1-c"]),
        2 => (Cloud::Azure, "eastus", ["eastus-1", "eastus-2", "eastus-3"]),
        _ => (Cloud::Neutral, "sim-east", ["sim-east-a", "sim-east-b", "sim-east-c"]),
    };
    let bed = Bed::playing(cloud, seed, &scenario);
    if random.random_bool(0.3) {
        bed.trouble(&format!(r#"{{"kind":"stale","seconds":{}}}"#, random.random_range(1..40)));
    }
    if random.random_bool(0.3) {
        bed.trouble(&format!(r#"{{"kind":"latency","ms":{}}}"#, random.random_range(10..3_000)));
    }
    if random.random_bool(0.3) {
        bed.trouble(r#"{"kind":"throttle","rps":2.0,"burst":5}"#);
    }
    for zone in zones {
        if random.random_bool(0.5) {
            let room = random.random_range(0..12);
            bed.trouble(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":{room}}}"#));
        }
    }

    let target = random.random_range(1..25);
    let mut wanted = Spec::new(target);
    (wanted.need.vcpus, wanted.need.regions) = (Some(2), vec![region.into()]);
    wanted.min = random.random_range(1..=target);
    wanted.fulfilment = match random.random_range(0..3) {
        0 => Fulfilment::AllOrNothing,
        1 => Fulfilment::Greedy,
        _ => Fulfilment::BestEffort,
    };
    if wanted.fulfilment == Fulfilment::AllOrNothing {
        wanted.min = target;
    }
    if random.random_bool(0.4) {
        wanted.market = MarketMix::Mixed {
            on_demand_share: f64::from(random.random_range(0..5)) / 4.0,
            on_demand_after: random.random_bool(0.5).then_some(Duration::from_secs(60)),
        };
    }
    if random.random_bool(0.2) {
        wanted.zones = ZoneMode::Single;
    }
    if random.random_bool(0.3) {
        wanted.deadline = Some(Duration::from_secs(random.random_range(60..1_200)));
    }

    let rates = FaultRates {
        throttled_percent: random.random_range(0..10),
        lost_before_percent: random.random_range(0..10),
        lost_after_percent: random.random_range(0..15),
        delayed_percent: random.random_range(0..20),
        delay_max: Duration::from_secs(20),
    };
    let fault = Fault::new(bed.clock.clone()).seeded(seed, rates);
    for _life in 0..random.random_range(1..4) {
        let fleet = bed.fleet_behind(&fault, wanted.clone());
        // A controller may die in the middle of its launch, or of its supervision.
        let patience = if random.random_bool(0.3) { random.random_range(1..120) } else { 100_000 };
        let launched = tokio::select! {
            biased;
            () = bed.clock.sleep(Duration::from_secs(patience)) => None,
            launched = fleet.launch() => Some(launched),
        };
        match launched {
            None => {}
            Some(Ok(_)) => {
                watch(&fleet, random.random_range(1..1_200), |_| false).await;
            }
            Some(Err(error)) => assert!(!error.message().is_empty()),
        }
        bed.sleep(random.random_range(0..200)).await;
    }
    let last = bed.fleet_behind(&fault, wanted);
    let report = last.teardown().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.leftovers);
    bed.assert_nothing_left();
    bed.assert_never_more_than(target);
}
