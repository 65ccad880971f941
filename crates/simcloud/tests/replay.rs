//! What must hold whatever happens: random programs against random worlds.

mod bed;

use std::sync::Arc;

use bed::Bed;
use proptest::prelude::*;
use skyfleet_core::{Market, Spread, Usd};
use skyfleet_simcloud::{Cloud, Refusal, World, WorldOptions};

/// One step of a program.
#[derive(Clone, Debug)]
enum Step {
    Launch { market: Market, count: u32, all: bool, spread: Spread, token: u8 },
    Terminate { which: usize, count: usize },
    Pass { secs: u64 },
    Preempt { count: u32 },
    Close { zone: usize, available: u32 },
    Break { per_mille: u32, after: bool },
    Calm,
}

fn step() -> impl Strategy<Value = Step> {
    let market = prop_oneof![Just(Market::Spot), Just(Market::OnDemand)];
    let spread = prop_oneof![Just(Spread::Packed), Just(Spread::Even), Just(Spread::SingleZone)];
    prop_oneof![
        4 => (market, 1u32..40, any::<bool>(), spread, 0u8..12).prop_map(
            |(market, count, all, spread, token)| Step::Launch { market, count, all, spread, token }
        ),
        3 => (0usize..200, 1usize..20).prop_map(|(which, count)| Step::Terminate { which, count }),
        4 => (1u64..20_000).prop_map(|secs| Step::Pass { secs }),
        2 => (1u32..5).prop_map(|count| Step::Preempt { count }),
        1 => (0usize..3, 0u32..10).prop_map(|(zone, available)| Step::Close { zone, available }),
        1 => (0u32..600, any::<bool>()).prop_map(|(per_mille, after)| Step::Break { per_mille, after }),
        1 => Just(Step::Calm),
    ]
}

fn cloud() -> impl Strategy<Value = Cloud> {
    prop::sample::select(&Cloud::ALL[..])
}

const LIVELY: &str =
    "[market]\nprocess = \"seeded\"\nreclaim_per_hour = 0.3\n[pools]\ndefault_capacity = 60\n";

fn lively(cloud: Cloud, seed: u64) -> Bed {
    Bed::with(cloud, LIVELY, |options| options.seed = seed)
}

/// Does a step and tells what came of it.
fn act(bed: &Bed, ids: &mut Vec<Arc<str>>, step: &Step) -> String {
    match step {
        Step::Launch { market, count, all, spread, token } => {
            let mut order = bed.order(*market, *count);
            order.count_min = if *all { *count } else { 1 };
            order.spread = *spread;
            order.token = Some(format!("token-{token}"));
            let bought = bed.launch(&order);
            if let Ok(bought) = &bought {
                ids.extend(bought.machines.iter().map(|machine| machine.id.clone()));
                let missing: u32 = bought.missing.iter().map(|missing| missing.count).sum();
                assert_eq!(bought.machines.len() as u32 + missing, *count, "{bought:?}");
            }
            format!("{bought:?}")
        }
        Step::Terminate { which, count } => {
            let end: Vec<_> = ids.iter().skip(*which % ids.len().max(1)).take(*count).cloned().collect();
            let answer: Result<(), Refusal> =
                bed.world.call(skyfleet_simcloud::Call::write("end", "test", 0), |kernel| {
                    for id in &end {
                        kernel.terminate(id);
                    }
                    Ok(())
                });
            format!("{answer:?}")
        }
        Step::Pass { secs } => {
            bed.pass(*secs);
            format!("{:?}", bed.world.instances())
        }
        Step::Preempt { count } => {
            let fault = format!(r#"{{"kind":"preempt","count":{count}}}"#);
            format!("{:?}", bed.world.inject(serde_json::from_str(&fault).unwrap()))
        }
        Step::Close { zone, available } => {
            let zone = &bed.offers(Market::Spot)[*zone % 3].zone;
            format!(
                "{:?}",
                bed.fault(&format!(r#"{{"kind":"capacity","zone":"{zone}","available":{available}}}"#))
            )
        }
        Step::Break { per_mille, after } => {
            let when = if *after { "after" } else { "before" };
            let probability = f64::from(*per_mille) / 1_000.0;
            format!(
                "{:?}",
                bed.fault(&format!(r#"{{"kind":"error","probability":{probability},"when":"{when}"}}"#))
            )
        }
        Step::Calm => {
            let faults = bed.world.faults();
            for (id, _) in &faults {
                bed.world.lift(*id);
            }
            format!("{}", faults.len())
        }
    }
}

fn check(bed: &Bed) -> Result<(), TestCaseError> {
    let (bill, ledger) = bed.world.look(|kernel| (kernel.bill(), kernel.ledger(None)));
    let sum: Usd = bill.iter().map(|line| line.cost).sum();
    prop_assert_eq!(ledger.accrued_usd, sum);
    prop_assert_eq!(ledger.accrued_usd, ledger.by_market.values().map(|total| total.accrued()).sum::<Usd>());
    for line in &bill {
        prop_assert_eq!(line.cost, line.usd_per_hour.over(line.paid));
        prop_assert!(line.until.is_none_or(|until| until <= ledger.now));
    }
    let open = bill.iter().filter(|line| line.until.is_none()).count();
    prop_assert_eq!(open, ledger.live.len());
    let region = bed.offers(Market::Spot)[0].region.clone();
    let offers = bed.world.look(|kernel| kernel.offers(|offer| offer.region == region));
    for offer in &offers {
        let (size, used) = bed.world.look(|kernel| kernel.pool(&offer.id())).unwrap();
        prop_assert!(used <= size, "{}: {} of {}", offer.id(), used, size);
        for (quota, _) in offer.draws() {
            let (limit, used) = bed.world.look(|kernel| kernel.quota(quota.as_str())).unwrap();
            prop_assert!(used <= limit, "{}: {} of {}", quota, used, limit);
        }
    }
    Ok(())
}

fn end_all(bed: &Bed, ids: &[Arc<str>]) -> Result<(), TestCaseError> {
    for (id, _) in bed.world.faults() {
        bed.world.lift(id);
    }
    let all: Vec<_> = bed.world.ledger().live.iter().map(|line| line.id.clone()).collect();
    bed.terminate(&all);
    bed.terminate(ids);
    bed.pass(3_600);
    prop_assert!(bed.world.ledger().proves_empty());
    for offer in bed.world.look(|kernel| kernel.offers(|_| true)) {
        prop_assert_eq!(bed.world.look(|kernel| kernel.pool(&offer.id())).unwrap().1, 0);
        for (quota, _) in offer.draws() {
            prop_assert_eq!(bed.world.look(|kernel| kernel.quota(quota.as_str())).unwrap().1, 0);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pools_and_quotas_are_kept_and_the_ledger_is_the_sum_of_its_lines(
        cloud in cloud(), seed in any::<u64>(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let bed = lively(cloud, seed);
        let mut ids = Vec::new();
        for step in &steps {
            act(&bed, &mut ids, step);
            check(&bed)?;
        }
        end_all(&bed, &ids)?;
    }

    #[test]
    fn the_same_seed_and_the_same_calls_give_the_same_answers(
        cloud in cloud(), seed in any::<u64>(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let (first, second) = (lively(cloud, seed), lively(cloud, seed));
        let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
        for step in &steps {
            prop_assert_eq!(act(&first, &mut of_first, step), act(&second, &mut of_second, step));
        }
        prop_assert_eq!(first.world.events_after(0), second.world.events_after(0));
        prop_assert_eq!(first.world.ledger(), second.world.ledger());
    }

    #[test]
    fn a_world_that_was_saved_and_opened_goes_on_as_if_nothing_had_been(
        cloud in cloud(), seed in any::<u64>(), steps in prop::collection::vec(step(), 2..30), cut in 0usize..30,
    ) {
        let (whole, mut cut_off) = (lively(cloud, seed), lively(cloud, seed));
        let (mut of_whole, mut of_cut_off) = (Vec::new(), Vec::new());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world.json");
        for (i, step) in steps.iter().enumerate() {
            if i == cut % steps.len() {
                cut_off.world.save(&path).unwrap();
                let options = WorldOptions {
                    seed,
                    scenario: skyfleet_simcloud::Scenario::parse(LIVELY, "x", ".".as_ref()).unwrap(),
                    ..WorldOptions::new(Arc::new(cut_off.clock.clone())).playing(cloud)
                };
                cut_off.world = World::load(options, &path).unwrap();
            }
            prop_assert_eq!(act(&whole, &mut of_whole, step), act(&cut_off, &mut of_cut_off, step));
        }
        prop_assert_eq!(whole.world.events_after(0), cut_off.world.events_after(0));
        prop_assert_eq!(whole.world.ledger(), cut_off.world.ledger());
    }
}
