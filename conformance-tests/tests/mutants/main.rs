//! The suite is itself under test: each provider here is wrong in one way, and must be found out by
//! the clause that it breaks. A clause that no mutant breaks is listed as not yet trusted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skyfleet_conformance::{Arm, Outcome, Stack, World};
use skyfleet_core::layers::{Call, Fault, Limit, Retry, Verdict};
use skyfleet_core::{Clock, Connected, Provider};
use skyfleet_simcloud::Cloud;

#[path = "../../../providers/sim/tests/levers/mod.rs"]
mod levers;
mod provider;

use provider::Bug::{self, *};
use provider::Mutant;

/// Which clause finds out which mutant.
const MUTANTS: &[(&str, Bug)] = &[
    ("SEARCH-1", FreeOffers),
    ("SEARCH-2", HalfOfTheOffers),
    ("SEARCH-3", ShuffledOffers),
    ("SEARCH-4", IgnoresTheZoneFilter),
    ("SEARCH-5", NothingIsUnknown),
    ("SEARCH-6", DropsSoldOutOffers),
    ("SEARCH-7", OffersWithoutProcessors),
    ("SEARCH-8", SignalsAboutOthers),
    ("SEARCH-9", ScoresAboveTheScale),
    ("SEARCH-10", DeniesSpotAndSellsIt),
    ("SEARCH-11", DeclaresScoresAndHasNone),
    ("SEARCH-12", DeniesScoresAndGivesThem),
    ("SEARCH-13", DeclaresQuotasAndHasNone),
    ("SEARCH-14", DeniesQuotasAndGivesThem),
    ("LAUNCH-1", LosesAnInstance),
    ("LAUNCH-2", TagsAfterCreation),
    ("LAUNCH-3", ForgetsTokens),
    ("LAUNCH-4", ForgetsTokens),
    ("LAUNCH-4", ForgetsTokensAfterALostAnswer),
    ("LAUNCH-4", RetriesWithoutAToken),
    ("LAUNCH-5", TakesATokenForAnything),
    ("LAUNCH-6", HidesShortfalls),
    ("LAUNCH-6", FailsAfterBuying),
    ("LAUNCH-7", HidesShortfalls),
    ("LAUNCH-8", KeepsPartOfAllOrNothing),
    ("LAUNCH-9", Unguarded),
    ("LAUNCH-10", LiesAboutSpot),
    ("LAUNCH-11", Unguarded),
    ("LAUNCH-12", IgnoresPriceMax),
    ("LAUNCH-13", Unguarded),
    ("LAUNCH-14", PricesOfToday),
    ("LAUNCH-15", UnknownZonesAreEmptyPools),
    ("LAUNCH-16", ForgetsSingleZone),
    ("LAUNCH-17", PacksWhatShouldBeEven),
    ("LAUNCH-18", MakesThingsAgain),
    ("LAUNCH-19", PreparesBeforeItLooks),
    ("LAUNCH-20", AlwaysAPublicAddress),
    ("LAUNCH-21", ForgetsTheUserData),
    ("LAUNCH-22", NeverExpires),
    ("LAUNCH-23", TagsDisksLater),
    ("LIST-1", DropsPageTwo),
    ("LIST-2", ListsOtherOwners),
    ("LIST-3", Flickers),
    ("LIST-4", NotFoundForUnknownIds),
    ("LIST-5", PricesOfToday),
    ("LIST-6", StatesGoBack),
    ("LIST-7", RunningAtOnce),
    ("PREEMPT-1", LosesReclaims),
    ("PREEMPT-2", NoNotices),
    ("PREEMPT-3", DeniesNoticesAndGivesThem),
    ("PREEMPT-4", RepeatsEvents),
    ("PREEMPT-5", UserEndsArePreemptions),
    ("PREEMPT-6", AnyCursorWillDo),
    ("PREEMPT-7", NewestFirst),
    ("PREEMPT-8", ReclaimedAndYetAlive),
    ("TEARDOWN-1", TerminateDoesNothing),
    ("TEARDOWN-2", UnknownIdsFailTheTermination),
    ("TEARDOWN-3", ReceiptsForgetIds),
    ("TEARDOWN-4", TerminatesTheNeighbour),
    ("TEARDOWN-5", LeaksTheTemplate),
    ("TEARDOWN-6", InventoryWithoutFirewalls),
    ("TEARDOWN-7", InUseIsAnError),
    ("TEARDOWN-8", GoneIsAnError),
    ("TEARDOWN-9", DeletedTooEarly),
    ("TEARDOWN-10", KnowsOnlyWhatItMade),
    ("TEARDOWN-11", InventoryOfEverybody),
    ("TEARDOWN-12", KnowsOnlyWhatItMade),
    ("TEARDOWN-12", ListsOnlyWhatItMade),
    ("ERRORS-1", CapacityWithoutScope),
    ("ERRORS-2", QuotaIsCapacity),
    ("ERRORS-3", ThrottleIsAnOutage),
    ("ERRORS-4", OutageIsNotFound),
    ("ERRORS-5", BadRequestsAreRetried),
    ("ERRORS-6", RefusedCredentialsAreAnOutage),
    ("ERRORS-7", ErrorsFromNowhere),
    ("ERRORS-8", ForgetsTheRequestId),
    ("LIMITS-1", DeclaresLess),
    ("LIMITS-2", OneCallPerInstance),
    ("LIMITS-3", Unguarded),
    ("LIMITS-4", CutsUserData),
    ("LIMITS-5", LooksBeforeEachEnd),
    ("LIMITS-6", ListsOneByOne),
    ("SECRETS-1", PrintsASecret),
    ("SECRETS-2", SecretsInErrors),
    ("SECRETS-3", LogsASecret),
];

/// Bugs of a layer: the provider below is right.
const LAYERS_BUGS: &[Bug] = &[RetriesWithoutAToken, ErrorsFromNowhere];

/// Clauses that no mutant breaks yet.
const NOT_YET_TRUSTED: &[&str] = &[];

#[test]
fn every_mutant_is_found_out_by_its_clause() {
    let mut missed = Vec::new();
    for (clause, bug) in MUTANTS {
        let verdicts = skyfleet_conformance::judge(&arm(Some(*bug)), clause, Stack::Bare);
        if !verdicts.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_))) {
            missed.push(format!("{clause} does not see {bug:?}: {verdicts:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_provider_that_the_mutants_are_made_of_passes_the_same_clauses() {
    let broken: BTreeSet<_> = MUTANTS.iter().map(|(clause, _)| *clause).collect();
    let mut failed = Vec::new();
    for clause in broken {
        for (case, outcome) in skyfleet_conformance::judge(&arm(None), clause, Stack::Bare) {
            if let Outcome::Failed(text) = outcome {
                failed.push(format!("{case}: {text}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_clause_without_a_mutant_is_listed_as_not_yet_trusted() {
    let broken: BTreeSet<_> = MUTANTS.iter().map(|(clause, _)| *clause).collect();
    let trusted_by_none: Vec<_> =
        skyfleet_conformance::clauses().into_iter().filter(|clause| !broken.contains(clause)).collect();
    assert_eq!(trusted_by_none, NOT_YET_TRUSTED);
}

/// Layers that let the faults through are not transparent, and under faults the suite says so.
#[test]
fn layers_without_a_retry_are_found_out_under_faults_only() {
    let failed = |stack| {
        let arm = arm(None).layered_by(|provider, _, _| skyfleet_core::layers::Guard.layer(provider));
        ["LAUNCH-1", "LIST-3", "TEARDOWN-5"].map(|clause| {
            let verdicts = skyfleet_conformance::judge(&arm, clause, stack);
            verdicts.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
        })
    };
    assert_eq!(failed(Stack::Layers), [false; 3]);
    assert_eq!(failed(Stack::Faults), [true; 3]);
}

/// A provider that declares none of the optional capabilities, and shows none, passes the clauses
/// about their absence.
#[test]
fn a_modest_provider_is_honest() {
    for clause in ["SEARCH-10", "SEARCH-12", "SEARCH-14", "LAUNCH-9", "LAUNCH-11", "LAUNCH-13"] {
        for (case, outcome) in skyfleet_conformance::judge(&arm(Some(Modest)), clause, Stack::Bare) {
            assert_eq!(outcome, Outcome::Passed, "{clause} {case}");
        }
    }
}

/// A neutral simulated cloud behind a provider with this bug, or under layers with it.
fn arm(bug: Option<Bug>) -> Arm {
    let pin = concat!(env!("CARGO_MANIFEST_DIR"), "/../providers/sim/tests/capability.sim.toml");
    let arm = Arm::new("mutant", move |seed| {
        let mut world = levers::world(Cloud::Neutral, seed)?;
        world.levers.secrets.push(provider::SECRET.to_owned());
        if bug == Some(TagsDisksLater) {
            tag_disks_later(&mut world);
        }
        let Some(bug) = bug.filter(|bug| !LAYERS_BUGS.contains(bug)) else { return Ok(world) };
        world.connected = mutated(world.connected, bug);
        for lever in [&mut world.levers.reconnect, &mut world.levers.impostor] {
            if let Some(connect) = lever.take() {
                *lever = Some(Box::new(move || connect().map(|connected| mutated(connected, bug))));
            }
        }
        Ok(world)
    })
    .pinned_in(pin);
    match bug {
        Some(Unguarded) => arm.layered_by(|provider, clock, seed| retried(provider, clock, seed)),
        Some(ErrorsFromNowhere) => arm.layered_by(|provider, clock, seed| {
            Arc::new(Mutant::new(retried(provider, clock, seed), ErrorsFromNowhere))
        }),
        Some(RetriesWithoutAToken) => arm.layered_by(|provider, clock, seed| {
            retried(Arc::new(Mutant::new(provider, RetriesWithoutAToken)), clock, seed)
        }),
        _ => arm,
    }
}

/// In the cloud's books a launch's disk has no owner until the instances are listed.
fn tag_disks_later(world: &mut World) {
    let late = Arc::new(AtomicBool::new(false));
    let set = late.clone();
    let watch = Fault::new(world.connected.clock.clone()).rule(move |call| {
        match call {
            Call::Launch(_) => set.store(true, Ordering::Relaxed),
            Call::List(_) => set.store(false, Ordering::Relaxed),
            _ => {}
        }
        Verdict::Pass
    });
    world.connected.provider = watch.layer(world.connected.provider.clone());
    if let Some(untagged) = world.levers.untagged.take() {
        world.levers.untagged = Some(Box::new(move || {
            let mut lines = untagged();
            lines.extend(late.load(Ordering::Relaxed).then(|| "a disk".to_owned()));
            lines
        }));
    }
}

/// The standard layers without the guard.
fn retried(provider: Arc<dyn Provider>, clock: Arc<dyn Clock>, seed: u64) -> Arc<dyn Provider> {
    Retry::new(clock.clone(), seed).layer(Limit::new(clock).layer(provider))
}

fn mutated(connected: Connected, bug: Bug) -> Connected {
    Connected { provider: Arc::new(Mutant::new(connected.provider, bug)), ..connected }
}
