use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use skyfleet_core::{Clock, Owner, Provider, Result};

use crate::arm::Arm;
use crate::bed::Bed;
use crate::case::Case;
use crate::live::Live;
use crate::report;
use crate::world::{Levers, World};

/// How long a case may take, by the provider's clock.
const CASE_TIME_MAX: Duration = Duration::from_secs(12 * 3_600);
/// How long the clean-up after a case may take.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(2 * 3_600);
/// Two looks at an empty inventory lie this far apart: clouds show late what was just made.
const SWEEP_GRACE: Duration = Duration::from_secs(90);

/// What stands between a case and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stack {
    /// Nothing.
    Bare,
    /// The standard layers of `skyfleet-core`: they must not change what a clause says.
    Layers,
    /// The same layers, and between them and the provider calls that are throttled, lost, answered
    /// in vain or delayed, at a seeded rate; lists are stale where the world has that lever. The
    /// layers must hide it.
    Faults,
}

impl Stack {
    /// Every stack, in the order in which cases run.
    pub const ALL: [Self; 3] = [Self::Bare, Self::Layers, Self::Faults];
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider keeps the clause, as far as this case can tell.
    Passed,
    /// It does not: the clause, what happened, the seed.
    Failed(String),
    /// The case does not apply, and why.
    Ignored(String),
    /// The clause is a known gap of the arm, and why: neither passed nor failed.
    KnownGap(String),
}

/// Runs one case on a world of its own, then cleans up and checks that nothing is left, also after
/// a panic or when the time was up.
pub(crate) fn run(arm: &Arm, case: &Case, stack: Stack, seed: u64) -> Outcome {
    match arm.gap(case.clause) {
        Some(gap) => Outcome::KnownGap(gap.to_owned()),
        None => run_anyway(arm, case, stack, seed),
    }
}

/// What is wrong with a known gap: it names no clause, gives no reason, or is one no more, as each
/// case of the clause passes or does not apply.
pub(crate) fn stale_gap(
    arm: &Arm,
    (clause, reason): (&str, &str),
    seed: u64,
) -> std::result::Result<(), String> {
    if reason.trim().is_empty() {
        return Err(format!("the known gap {clause} has no reason"));
    }
    let mut cases = crate::cases().filter(|case| case.clause == clause).peekable();
    if cases.peek().is_none() {
        return Err(format!("the known gap {clause} names no clause of CONTRACT.md"));
    }
    let fails = |(case, stack)| matches!(run_anyway(arm, case, stack, seed), Outcome::Failed(_));
    if cases.flat_map(|case| Stack::ALL.map(|stack| (case, stack))).any(fails) {
        return Ok(());
    }
    Err(format!("{clause} is kept, or does not apply: its known gap ({reason}) is out of date"))
}

fn run_anyway(arm: &Arm, case: &Case, stack: Stack, seed: u64) -> Outcome {
    let failed = |faults: &[String]| Outcome::Failed(report::failure(arm, case, stack, seed, faults));
    if let Some(reason) = arm.money().and_then(Live::off) {
        return Outcome::Ignored(reason);
    }
    in_runtime(async {
        let world = match arm.connect(seed) {
            Ok(world) => world,
            Err(error) => return failed(&[format!("cannot connect: {error:?}")]),
        };
        if let Some(reason) = case.unmet(&world, stack) {
            return Outcome::Ignored(reason.to_owned());
        }
        let Some(live) = arm.money() else {
            let Ran { faults, .. } = run_in(arm, case, stack, seed, world).await;
            return if faults.is_empty() { Outcome::Passed } else { failed(&faults) };
        };
        let (world, meter) = match live.metered(world, CASE_TIME_MAX + SWEEP_TIME_MAX).await {
            Ok(metered) => metered,
            Err(error) => return failed(&[error]),
        };
        let Ran { faults, clean } = run_in(arm, case, stack, seed, world).await;
        match (meter.settle(clean), faults.is_empty()) {
            // Whatever else went wrong came from a launch that was not allowed.
            (Some(refused), _) if clean => Outcome::Ignored(refused),
            (None, true) => Outcome::Passed,
            _ => failed(&faults),
        }
    })
}

/// What is known of an arm before any case runs: which cases do not apply or are known gaps.
pub(crate) fn exceptions<'a>(
    arm: &Arm,
    cases: impl Iterator<Item = &'a Case>,
    stack: Stack,
    seed: u64,
) -> Result<Vec<Option<Outcome>>> {
    if let Some(reason) = arm.money().and_then(Live::off) {
        return Ok(cases.map(|_| Some(Outcome::Ignored(reason.clone()))).collect());
    }
    in_runtime(async {
        let world = arm.connect(seed)?;
        Ok(cases
            .map(|case| match arm.gap(case.clause) {
                Some(gap) => Some(Outcome::KnownGap(gap.to_owned())),
                None => case.unmet(&world, stack).map(|reason| Outcome::Ignored(reason.to_owned())),
            })
            .collect())
    })
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the machine gives a thread its event loop").block_on(work)
}

async fn run_in(arm: &Arm, case: &Case, stack: Stack, seed: u64, world: World) -> Ran {
    let name = format!("{} {}", arm.name(), case.name);
    let bed = match Bed::new(world, stack, seed, &name, arm) {
        Ok(bed) => bed,
        Err(error) => return Ran::not(format!("the bad weather could not be made: {error:?}")),
    };
    let mut faults = Vec::new();
    let owners = [&bed.owner, &bed.neighbour];
    // Owners have the same names in each run: what an earlier one left behind goes first.
    if arm.money().is_some()
        && let Err(left) = sweep(&bed.bare, &bed.clock, &bed.levers, &owners).await
    {
        return Ran { clean: false, ..Ran::not(format!("the clean-up before the case: {left}")) };
    }

    let ran = AssertUnwindSafe((case.run)(&bed)).catch_unwind();
    match within(&bed.clock, CASE_TIME_MAX, ran).await {
        Some(Ok(Ok(()))) => {}
        Some(Ok(Err(fault))) => faults.push(fault.to_string()),
        Some(Err(panic)) => faults.push(format!("panicked: {}", panic_text(&*panic))),
        None => faults.push(format!(
            "did not end within {} h of the provider's clock",
            CASE_TIME_MAX.as_secs() / 3_600
        )),
    }

    if let Some(calm) = &bed.levers.calm {
        calm();
    }
    let swept = AssertUnwindSafe(sweep(&bed.bare, &bed.clock, &bed.levers, &owners)).catch_unwind().await;
    let clean = matches!(swept, Ok(Ok(())));
    match swept {
        Ok(Ok(())) => {}
        Ok(Err(left)) => faults.push(format!("the clean-up after the case: {left}")),
        Err(panic) => faults.push(format!("the clean-up after the case panicked: {}", panic_text(&*panic))),
    }
    Ran { faults, clean }
}

/// How a case went.
struct Ran {
    faults: Vec<String>,
    /// The clean-up proved that nothing is left.
    clean: bool,
}

impl Ran {
    /// It could not begin.
    fn not(fault: String) -> Self {
        Self { faults: vec![fault], clean: true }
    }
}

async fn within<T>(clock: &Arc<dyn Clock>, time: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(clock.sleep(time))).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(_) => None,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("(no text)")
}

/// Deletes everything of the owners by the provider's own contracts and insists on the proof: an
/// empty inventory twice, and nothing in the cloud's own books.
pub(crate) async fn sweep(
    provider: &Arc<dyn Provider>,
    clock: &Arc<dyn Clock>,
    levers: &Levers,
    owners: &[&Owner],
) -> std::result::Result<(), String> {
    let end = clock.now() + SWEEP_TIME_MAX;
    let (mut looks_empty, mut wait) = (0, Duration::from_secs(5));
    loop {
        let left = match look_and_delete(provider, owners).await {
            Ok(left) => left,
            Err(error) => format!("{error:?}"),
        };
        if left.is_empty() {
            looks_empty += 1;
            if looks_empty == 2 {
                break;
            }
            clock.sleep(SWEEP_GRACE).await;
            continue;
        }
        looks_empty = 0;
        if clock.now() >= end {
            return Err(format!("after {} min still left: {left}", SWEEP_TIME_MAX.as_secs() / 60));
        }
        clock.sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(120));
    }
    match levers.leftovers.as_ref().map(|leftovers| leftovers()) {
        Some(lines) if !lines.is_empty() => Err(format!(
            "the inventory is empty, the cloud's books are not:\n      {}",
            lines.join("\n      ")
        )),
        _ => Ok(()),
    }
}

/// Asks to delete what there is; says what there was, or nothing when there was nothing.
async fn look_and_delete(provider: &Arc<dyn Provider>, owners: &[&Owner]) -> Result<String> {
    let mut left = Vec::new();
    for owner in owners {
        let inventory = provider.inventory(owner).await?;
        if inventory.proves_empty() {
            continue;
        }
        left.extend(inventory.unreached.iter().map(|region| format!("region {region} not reached")));
        let receipt = provider.delete(&inventory.resources).await?;
        left.extend(
            receipt.pending.iter().map(|p| format!("{} {}: {}", p.resource.kind, p.resource.id, p.reason)),
        );
        left.extend(receipt.deleted.iter().map(|r| format!("{} {} (called deleted)", r.kind, r.id)));
        if left.is_empty() {
            left.push(format!("{} resources of which the receipt says nothing", inventory.resources.len()));
        }
    }
    Ok(left.join("; "))
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bare => "bare",
            Self::Layers => "layers",
            Self::Faults => "faults",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use skyfleet_core::{Connected, Error, ErrorKind, ManualClock, Market, Timestamp};
    use skyfleet_sim::SimProvider;
    use skyfleet_simcloud::{World as Sim, WorldOptions};

    use super::*;
    use crate::case::{Proof, QUOTA, case, ensure};

    /// The worlds that were connected, to look into afterwards.
    type Worlds = Arc<Mutex<Vec<Sim>>>;

    fn arm() -> (Arm, Worlds) {
        let worlds = Worlds::default();
        let made = worlds.clone();
        let arm = Arm::new("test", move |seed| {
            let clock = Arc::new(ManualClock::auto(Timestamp::UNIX_EPOCH));
            let sim = Sim::new(WorldOptions { seed, ..WorldOptions::new(clock) })?;
            made.lock().unwrap().push(sim.clone());
            let clock = sim.clock().clone();
            Ok(World::bare(Connected { provider: Arc::new(SimProvider::new(sim)), clock }))
        });
        (arm, worlds)
    }

    fn nothing_left(worlds: &Worlds) -> bool {
        let worlds = worlds.lock().unwrap();
        !worlds.is_empty() && worlds.iter().all(|sim| sim.ledger().proves_empty())
    }

    async fn launches_and_ends(bed: &Bed) -> Proof {
        bed.running(&bed.owner, Market::OnDemand, 2).await.map(drop)
    }

    async fn launches_and_panics(bed: &Bed) -> Proof {
        bed.running(&bed.owner, Market::OnDemand, 2).await?;
        panic!("in the middle of it");
    }

    async fn launches_and_finds_fault(bed: &Bed) -> Proof {
        bed.running(&bed.neighbour, Market::OnDemand, 1).await?;
        ensure!(bed.clock.now() < Timestamp::UNIX_EPOCH, "it is later than that");
        Ok(())
    }

    async fn launches_and_waits_for_ever(bed: &Bed) -> Proof {
        bed.running(&bed.owner, Market::OnDemand, 1).await?;
        loop {
            bed.clock.sleep(Duration::from_secs(60)).await;
        }
    }

    #[test]
    fn whatever_becomes_of_a_case_nothing_is_left() {
        for (case, part) in [
            (case!("LAUNCH-1", launches_and_ends), None),
            (case!("LAUNCH-1", launches_and_panics), Some("panicked: in the middle of it")),
            (case!("LAUNCH-1", launches_and_finds_fault), Some("it is later than that")),
            (case!("LAUNCH-1", launches_and_waits_for_ever), Some("did not end within 12 h")),
        ] {
            for stack in Stack::ALL {
                let (arm, worlds) = arm();
                let outcome = run(&arm, &case, stack, 7);
                match (part, &outcome) {
                    (None, Outcome::Passed) => {}
                    (Some(part), Outcome::Failed(text)) => assert!(text.contains(part), "{text}"),
                    _ => panic!("{} ended as {outcome:?}", case.name),
                }
                assert!(nothing_left(&worlds), "{}", case.name);
            }
        }
    }

    #[test]
    fn the_same_seed_replays_to_the_letter() {
        let log = |case: &Case, stack, seed| {
            let (arm, worlds) = arm();
            run(&arm, case, stack, seed);
            let log = worlds.lock().unwrap()[0].events_after(0);
            assert!(!log.is_empty(), "{} did nothing", case.name);
            log
        };
        for case in crate::cases().filter(|case| case.clause == "LIST-6" || case.clause == "TEARDOWN-7") {
            for stack in Stack::ALL {
                assert_eq!(log(case, stack, 3), log(case, stack, 3), "{} {stack}", case.name);
            }
        }
    }

    #[test]
    fn a_failure_says_the_clause_its_sentence_what_happened_and_the_seed() {
        let (arm, _) = arm();
        let case = case!("LAUNCH-3", launches_and_finds_fault);
        let Outcome::Failed(text) = run(&arm, &case, Stack::Layers, 7) else { panic!("it must fail") };
        for part in [
            "LAUNCH-3: The same token",
            "what happened: it is later than that (seen at conformance-tests/src/runner.rs:",
            "SKYFLEET_CONFORMANCE_SEED=7",
            "'test+layers::LAUNCH-3 launches_and_finds_fault'",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn what_does_not_apply_is_ignored_with_its_reason() {
        let (arm, _) = arm();
        let case = case!("LAUNCH-1", launches_and_panics, [QUOTA]);
        assert_eq!(run(&arm, &case, Stack::Bare, 7), Outcome::Ignored("needs the lever `quota`".to_owned()));
        let arm = arm.known_gap("LAUNCH-1", "not built yet");
        assert_eq!(run(&arm, &case, Stack::Bare, 7), Outcome::KnownGap("not built yet".to_owned()));
    }

    #[test]
    fn a_known_gap_that_is_none_fails() {
        let (arm, _) = arm();
        let stale = |clause, reason| stale_gap(&arm, (clause, reason), 7).unwrap_err();
        assert!(stale("LIST-4", "not built yet").contains("out of date"));
        assert!(stale("LIST-4", " ").contains("no reason"));
        assert!(stale("LIST-400", "not built yet").contains("names no clause"));
        // The pin of this arm is nowhere: that gap is real.
        assert_eq!(stale_gap(&arm, ("LIMITS-1", "not pinned yet"), 7), Ok(()));
    }

    #[test]
    fn an_arm_that_cannot_be_connected_fails() {
        let arm = Arm::new("", |_| Err(Error::new(ErrorKind::InvalidConfig, "no such region")));
        let case = case!("LAUNCH-1", launches_and_ends);
        let outcome = run(&arm, &case, Stack::Bare, 7);
        assert!(matches!(&outcome, Outcome::Failed(text) if text.contains("no such region")), "{outcome:?}");
    }
}
