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
use crate::report;
use crate::world::{Levers, World};

/// How long a case may take, by the provider's clock.
const CASE_TIME_MAX: Duration = Duration::from_secs(12 * 3_600);
/// How long the clean-up after a case may take.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(2 * 3_600);
/// Two looks at an empty inventory lie this far apart: clouds show late what was just made.
const SWEEP_GRACE: Duration = Duration::from_secs(90);

/// What stands between a case and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Nothing.
    Bare,
    /// The standard layers of `skyfleet-core`: they must not change what a clause says.
    Layers,
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
}

/// Runs one case on a world of its own, then cleans up and checks that nothing is left, also after
/// a panic or when the time was up.
pub(crate) fn run(arm: &Arm, case: &Case, stack: Stack, seed: u64) -> Outcome {
    if let Some(gap) = arm.gap(case.clause) {
        return Outcome::Ignored(format!("known gap: {gap}"));
    }
    in_runtime(async {
        let world = match arm.connect(seed) {
            Ok(world) => world,
            Err(error) => {
                return Outcome::Failed(report::failure(
                    arm,
                    case,
                    stack,
                    seed,
                    &[format!("cannot connect: {error:?}")],
                ));
            }
        };
        if let Some(reason) = case.unmet(&world) {
            return Outcome::Ignored(reason.to_owned());
        }
        let faults = run_in(arm, case, stack, seed, world).await;
        if faults.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(report::failure(arm, case, stack, seed, &faults))
        }
    })
}

/// What is known of an arm before any case runs: why each case would not apply.
pub(crate) fn unmet<'a>(
    arm: &Arm,
    cases: impl Iterator<Item = &'a Case>,
    seed: u64,
) -> Result<Vec<Option<String>>> {
    in_runtime(async {
        let world = arm.connect(seed)?;
        Ok(cases
            .map(|case| match arm.gap(case.clause) {
                Some(gap) => Some(format!("known gap: {gap}")),
                None => case.unmet(&world).map(str::to_owned),
            })
            .collect())
    })
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the machine gives a thread its event loop").block_on(work)
}

async fn run_in(arm: &Arm, case: &Case, stack: Stack, seed: u64, world: World) -> Vec<String> {
    let name = format!("{} {}", arm.name(), case.name);
    let bed = Bed::new(world, stack, seed, &name, arm.pinned());
    let mut faults = Vec::new();

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
    let owners = [&bed.owner, &bed.neighbour];
    match AssertUnwindSafe(sweep(&bed.bare, &bed.clock, &bed.levers, &owners)).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(left)) => faults.push(format!("the clean-up after the case: {left}")),
        Err(panic) => faults.push(format!("the clean-up after the case panicked: {}", panic_text(&*panic))),
    }
    faults
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
        })
    }
}
