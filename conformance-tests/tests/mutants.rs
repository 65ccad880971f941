//! The suite is itself under test: each provider here is wrong in one way, and must be found out by
//! the clause that it breaks. A clause that no mutant breaks is listed as not yet trusted.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use skyfleet_conformance::{Arm, Outcome};
use skyfleet_core::{
    Availability, Capability, CapacitySearch, Cursor, DeleteReceipt, Error, ErrorKind, FleetBlueprint,
    FleetLaunch, Instance, InstanceId, InstanceState, Inventory, LaunchRequest, Launched, Market, Offer,
    OfferQuery, Owner, Preemption, PreemptionHandling, PreemptionKind, PreemptionPage, Prepared, Price,
    Provider, Resource, ResourceKind, Result, Selector, Shortfall, Signal, SignalQuery, Spread, Teardown,
    TerminateReceipt, Token, UsdPerHour,
};
use skyfleet_simcloud::Cloud;

#[path = "../../providers/sim/tests/levers/mod.rs"]
mod levers;

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    FreeOffers,
    HalfOfTheOffers,
    ShuffledOffers,
    IgnoresTheZoneFilter,
    NothingIsUnknown,
    DropsSoldOutOffers,
    SignalsAboutOthers,
    ScoresAboveTheScale,
    DeniesSpotAndSellsIt,
    DeclaresScoresAndHasNone,
    ForgetsTokens,
    ForgetsTokensAfterALostAnswer,
    TakesATokenForAnything,
    HidesShortfalls,
    FailsAfterBuying,
    KeepsPartOfAllOrNothing,
    LiesAboutSpot,
    IgnoresPriceMax,
    TagsAfterCreation,
    PricesOfToday,
    ForgetsSingleZone,
    PacksWhatShouldBeEven,
    ForgetsTheUserData,
    AlwaysAPublicAddress,
    NeverExpires,
    MakesThingsAgain,
    DropsPageTwo,
    ListsOtherOwners,
    Flickers,
    NotFoundForUnknownIds,
    RunningAtOnce,
    StatesGoBack,
    LosesReclaims,
    NoNotices,
    RepeatsEvents,
    UserEndsArePreemptions,
    AnyCursorWillDo,
    NewestFirst,
    TerminateDoesNothing,
    UnknownIdsFailTheTermination,
    ReceiptsForgetIds,
    TerminatesTheNeighbour,
    LeaksTheTemplate,
    InventoryWithoutFirewalls,
    InUseIsAnError,
    DeletedTooEarly,
    QuotaIsCapacity,
    CapacityWithoutScope,
    ThrottleIsAnOutage,
    OutageIsNotFound,
    BadRequestsAreRetried,
    DeclaresLess,
    OneCallPerInstance,
    PrintsASecret,
    SecretsInErrors,
}

use Bug::*;

/// Which clause finds out which mutant.
const MUTANTS: &[(&str, Bug)] = &[
    ("SEARCH-1", FreeOffers),
    ("SEARCH-2", HalfOfTheOffers),
    ("SEARCH-3", ShuffledOffers),
    ("SEARCH-4", IgnoresTheZoneFilter),
    ("SEARCH-5", NothingIsUnknown),
    ("SEARCH-6", DropsSoldOutOffers),
    ("SEARCH-8", SignalsAboutOthers),
    ("SEARCH-9", ScoresAboveTheScale),
    ("SEARCH-10", DeniesSpotAndSellsIt),
    ("SEARCH-11", DeclaresScoresAndHasNone),
    ("LAUNCH-2", TagsAfterCreation),
    ("LAUNCH-3", ForgetsTokens),
    ("LAUNCH-4", ForgetsTokens),
    ("LAUNCH-4", ForgetsTokensAfterALostAnswer),
    ("LAUNCH-5", TakesATokenForAnything),
    ("LAUNCH-6", HidesShortfalls),
    ("LAUNCH-6", FailsAfterBuying),
    ("LAUNCH-7", HidesShortfalls),
    ("LAUNCH-8", KeepsPartOfAllOrNothing),
    ("LAUNCH-10", LiesAboutSpot),
    ("LAUNCH-12", IgnoresPriceMax),
    ("LAUNCH-14", PricesOfToday),
    ("LAUNCH-16", ForgetsSingleZone),
    ("LAUNCH-17", PacksWhatShouldBeEven),
    ("LAUNCH-18", MakesThingsAgain),
    ("LAUNCH-20", AlwaysAPublicAddress),
    ("LAUNCH-21", ForgetsTheUserData),
    ("LAUNCH-22", NeverExpires),
    ("LIST-1", DropsPageTwo),
    ("LIST-2", ListsOtherOwners),
    ("LIST-3", Flickers),
    ("LIST-4", NotFoundForUnknownIds),
    ("LIST-5", PricesOfToday),
    ("LIST-6", StatesGoBack),
    ("LIST-7", RunningAtOnce),
    ("PREEMPT-1", LosesReclaims),
    ("PREEMPT-2", NoNotices),
    ("PREEMPT-4", RepeatsEvents),
    ("PREEMPT-5", UserEndsArePreemptions),
    ("PREEMPT-6", AnyCursorWillDo),
    ("PREEMPT-7", NewestFirst),
    ("TEARDOWN-1", TerminateDoesNothing),
    ("TEARDOWN-2", UnknownIdsFailTheTermination),
    ("TEARDOWN-3", ReceiptsForgetIds),
    ("TEARDOWN-4", TerminatesTheNeighbour),
    ("TEARDOWN-5", LeaksTheTemplate),
    ("TEARDOWN-6", InventoryWithoutFirewalls),
    ("TEARDOWN-7", InUseIsAnError),
    ("TEARDOWN-9", DeletedTooEarly),
    ("ERRORS-1", CapacityWithoutScope),
    ("ERRORS-2", QuotaIsCapacity),
    ("ERRORS-3", ThrottleIsAnOutage),
    ("ERRORS-4", OutageIsNotFound),
    ("ERRORS-5", BadRequestsAreRetried),
    ("LIMITS-1", DeclaresLess),
    ("LIMITS-2", OneCallPerInstance),
    ("SECRETS-1", PrintsASecret),
    ("SECRETS-2", SecretsInErrors),
];

/// Clauses that no mutant breaks yet.
const NOT_YET_TRUSTED: &[&str] = &[
    "SEARCH-7",
    "SEARCH-12",
    "SEARCH-13",
    "SEARCH-14",
    "LAUNCH-1",
    "LAUNCH-9",
    "LAUNCH-11",
    "LAUNCH-13",
    "LAUNCH-15",
    "LAUNCH-19",
    "PREEMPT-3",
    "PREEMPT-8",
    "TEARDOWN-8",
    "TEARDOWN-10",
    "TEARDOWN-11",
    "ERRORS-6",
    "ERRORS-7",
    "LIMITS-3",
    "LIMITS-4",
    "LIMITS-5",
    "LIMITS-6",
];

#[test]
fn every_mutant_is_found_out_by_its_clause() {
    let mut missed = Vec::new();
    for (clause, bug) in MUTANTS {
        let verdicts = skyfleet_conformance::judge(&arm(Some(*bug)), clause);
        assert!(!verdicts.is_empty(), "{clause} has no case");
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
        for (case, outcome) in skyfleet_conformance::judge(&arm(None), clause) {
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

const SECRET: &str = "correct-horse-battery-staple";

/// A neutral simulated cloud behind a provider with this bug.
fn arm(bug: Option<Bug>) -> Arm {
    let pin = concat!(env!("CARGO_MANIFEST_DIR"), "/../providers/sim/tests/capability.sim.toml");
    Arm::new("mutant", move |seed| {
        let mut world = levers::world(Cloud::Neutral, seed)?;
        world.levers.secrets.push(SECRET.to_owned());
        if let Some(bug) = bug {
            let inner = world.connected.provider;
            world.connected.provider =
                Arc::new(Mutant { inner, bug, calls: AtomicU32::new(0), seen: Mutex::default() });
        }
        Ok(world)
    })
    .pinned_in(pin)
}

/// A provider that is right but for one bug.
struct Mutant {
    inner: Arc<dyn Provider>,
    bug: Bug,
    calls: AtomicU32,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    owners: BTreeSet<Owner>,
    ended: Vec<InstanceId>,
    tokens: BTreeSet<Token>,
    lost: bool,
}

impl Mutant {
    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often it was asked, this time included.
    fn count(&self) -> u32 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// Launches under another token and pretends that it was this one.
    async fn under_another_token(&self, request: &LaunchRequest) -> Result<Launched> {
        let attempt = 1_000 * self.count() + request.token.attempt();
        let token = Token::derive(request.token.owner(), request.token.fleet(), attempt);
        let mut launched = self.inner.launch(&LaunchRequest { token, ..request.clone() }).await?;
        launched.instances.iter_mut().for_each(|i| i.token = request.token.clone());
        Ok(launched)
    }

    fn wrong_error(&self, error: Error) -> Error {
        match (self.bug, error.kind()) {
            (ThrottleIsAnOutage, ErrorKind::RateLimited) => {
                Error::new(ErrorKind::Unavailable, error.message())
            }
            (OutageIsNotFound, ErrorKind::Unavailable) => Error::new(ErrorKind::NotFound, error.message()),
            (BadRequestsAreRetried, ErrorKind::InvalidRequest) => {
                Error::new(ErrorKind::Unavailable, error.message())
            }
            (SecretsInErrors, _) => error.with("authorization", SECRET),
            _ => error,
        }
    }
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.is(PrintsASecret) { SECRET } else { "hidden" };
        f.debug_struct("Mutant").field("bug", &self.bug).field("secret", &secret).finish()
    }
}

#[async_trait]
impl CapacitySearch for Mutant {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        let mut query = query.clone();
        match self.bug {
            IgnoresTheZoneFilter => query.zones.clear(),
            NothingIsUnknown => query.instance_types.retain(|name| name.as_str() != "quantum.42xlarge"),
            _ => {}
        }
        let mut offers = self.inner.offers(&query).await.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            FreeOffers => offers.iter_mut().step_by(7).for_each(|o| o.price = Price::Known(UsdPerHour::ZERO)),
            HalfOfTheOffers if query == OfferQuery::default() => offers.truncate(offers.len() / 2),
            ShuffledOffers => offers.reverse(),
            DropsSoldOutOffers => offers.retain(|o| o.availability != Availability::SoldOut),
            _ => {}
        }
        Ok(offers)
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        let mut signals = self.inner.signals(query).await.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            SignalsAboutOthers => {
                if let Some(offer) = self.inner.offers(&OfferQuery::default()).await?.last() {
                    signals.push(Signal::PlacementScore { offer: offer.id(), score: 3 });
                }
            }
            ScoresAboveTheScale => signals.iter_mut().for_each(|signal| {
                if let Signal::PlacementScore { score, .. } = signal {
                    *score = 101;
                }
                if let Signal::EvictionRate { per_hour_ppm, .. } = signal {
                    *per_hour_ppm = 1_000_001;
                }
            }),
            DeclaresScoresAndHasNone => {
                signals.retain(|s| !matches!(s, Signal::PlacementScore { .. } | Signal::EvictionRate { .. }))
            }
            _ => {}
        }
        Ok(signals)
    }
}

#[async_trait]
impl FleetLaunch for Mutant {
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared> {
        self.seen(|seen| seen.owners.insert(blueprint.owner.clone()));
        let mut blueprint = blueprint.clone();
        match self.bug {
            ForgetsTheUserData => blueprint.user_data = "".into(),
            AlwaysAPublicAddress => blueprint.public_ip = true,
            // Its answer then names other handles, as a second set of templates would.
            MakesThingsAgain if self.count() > 1 => blueprint.inbound_ports.push(9_999),
            _ => {}
        }
        let mut prepared = self.inner.prepare(&blueprint).await.map_err(|e| self.wrong_error(e))?;
        if self.is(MakesThingsAgain) {
            prepared.resources.truncate(1);
            prepared.resources.iter_mut().for_each(|r| r.id = format!("copy-{}", self.count()).into());
        }
        Ok(prepared)
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        let mut request = request.clone();
        let again = !self.seen(|seen| seen.tokens.insert(request.token.clone()));
        let asked = request.market;
        match self.bug {
            ForgetsTokens => return self.under_another_token(&request).await,
            ForgetsTokensAfterALostAnswer if self.seen(|seen| seen.lost) => {
                return self.under_another_token(&request).await;
            }
            TakesATokenForAnything if again => return self.under_another_token(&request).await,
            KeepsPartOfAllOrNothing => request.count_min = 1,
            LiesAboutSpot => {
                request.market = Market::OnDemand;
                request.pools.iter_mut().for_each(|pool| pool.offer.market = Market::OnDemand);
            }
            IgnoresPriceMax => request.pools.iter_mut().for_each(|pool| pool.price_max = None),
            ForgetsSingleZone if request.spread == Spread::SingleZone => request.spread = Spread::Even,
            PacksWhatShouldBeEven => request.spread = Spread::Packed,
            NeverExpires => request.expires = None,
            OneCallPerInstance => {
                let mut all = Launched::default();
                for attempt in 0..request.count {
                    let token =
                        Token::derive(request.token.owner(), request.token.fleet(), 1_000_000 + attempt);
                    let one = LaunchRequest { token, count: 1, count_min: 1, ..request.clone() };
                    let launched = self.inner.launch(&one).await?;
                    all.instances.extend(launched.instances);
                    all.shortfalls.extend(launched.shortfalls);
                }
                return Ok(all);
            }
            _ => {}
        }
        let answer = self.inner.launch(&request).await;
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            self.seen(|seen| seen.lost = true);
        }
        let mut launched = answer.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            HidesShortfalls => launched.shortfalls.clear(),
            FailsAfterBuying if !launched.shortfalls.is_empty() => {
                return Err(launched.shortfalls.remove(0).reason);
            }
            LiesAboutSpot => launched.instances.iter_mut().for_each(|i| i.offer.market = asked),
            QuotaIsCapacity => launched.shortfalls.iter_mut().for_each(|Shortfall { reason, .. }| {
                if reason.kind() == ErrorKind::QuotaExceeded {
                    *reason = Error::new(ErrorKind::NoCapacity, "no room").with("code", "full");
                }
            }),
            CapacityWithoutScope => {
                launched.shortfalls.iter_mut().for_each(|Shortfall { reason, .. }| {
                    *reason = Error::new(reason.kind(), reason.message()).with("code", "full");
                })
            }
            _ => {}
        }
        Ok(launched)
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>> {
        let mut list = self.inner.list(selector).await.map_err(|e| self.wrong_error(e))?;
        let count = self.count();
        match self.bug {
            DropsPageTwo => list.truncate(1_000),
            ListsOtherOwners => {
                for owner in self.seen(|seen| seen.owners.clone()) {
                    if owner != selector.owner {
                        list.extend(self.inner.list(&Selector::owner(&owner)).await?);
                    }
                }
            }
            Flickers if count % 3 == 0 => list.clear(),
            NotFoundForUnknownIds if selector.ids.iter().any(|id| list.iter().all(|i| i.id != *id)) => {
                return Err(Error::new(ErrorKind::NotFound, "no such instance"));
            }
            RunningAtOnce => list.iter_mut().for_each(|i| {
                if i.state == InstanceState::Pending {
                    i.state = InstanceState::Running;
                }
            }),
            StatesGoBack if count % 4 == 0 => list.iter_mut().for_each(|i| i.state = InstanceState::Pending),
            TagsAfterCreation => list.iter_mut().for_each(|i| {
                if i.state == InstanceState::Pending {
                    i.labels = Arc::default();
                }
            }),
            PricesOfToday => list
                .iter_mut()
                .for_each(|i| i.price = Price::Known(UsdPerHour::from_micros(1_000 + i64::from(count)))),
            _ => {}
        }
        Ok(list)
    }
}

#[async_trait]
impl PreemptionHandling for Mutant {
    async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage> {
        let page = match self.inner.preemptions(selector, after).await {
            Err(_) if self.is(AnyCursorWillDo) => self.inner.preemptions(selector, &Cursor::start()).await,
            page => page,
        };
        let mut page = page.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            LosesReclaims => page.preemptions.retain(|p| p.kind != PreemptionKind::Reclaimed),
            NoNotices => page.preemptions.retain(|p| p.kind != PreemptionKind::Notice),
            RepeatsEvents if *after != Cursor::start() && !page.preemptions.is_empty() => {
                page.preemptions = self.inner.preemptions(selector, &Cursor::start()).await?.preemptions;
            }
            NewestFirst => page.preemptions.reverse(),
            UserEndsArePreemptions => {
                let ended = self.seen(|seen| std::mem::take(&mut seen.ended));
                page.preemptions.extend(ended.into_iter().map(|instance| Preemption {
                    instance,
                    kind: PreemptionKind::Reclaimed,
                    at: skyfleet_core::Timestamp::UNIX_EPOCH,
                    deadline: None,
                    reason: "terminated".to_owned(),
                }));
            }
            _ => {}
        }
        Ok(page)
    }
}

#[async_trait]
impl Teardown for Mutant {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        match self.bug {
            // One call in two, so that the clean-up after the case gets through.
            TerminateDoesNothing if self.count() % 2 == 1 => {
                return Ok(TerminateReceipt { ending: instances.to_vec(), gone: Vec::new() });
            }
            UnknownIdsFailTheTermination if instances.contains(&"never-was".into()) => {
                return Err(Error::new(ErrorKind::NotFound, "no such instance"));
            }
            TerminatesTheNeighbour => {
                for owner in self.seen(|seen| seen.owners.clone()) {
                    let list = self.inner.list(&Selector::owner(&owner)).await?;
                    let ids: Vec<_> = list.into_iter().map(|i| i.id).collect();
                    self.inner.terminate(&ids).await?;
                }
            }
            UserEndsArePreemptions => self.seen(|seen| seen.ended.extend_from_slice(instances)),
            _ => {}
        }
        let mut receipt = self.inner.terminate(instances).await.map_err(|e| self.wrong_error(e))?;
        if self.is(ReceiptsForgetIds) {
            receipt.gone.clear();
        }
        Ok(receipt)
    }

    async fn inventory(&self, owner: &Owner) -> Result<Inventory> {
        let mut inventory = self.inner.inventory(owner).await.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            LeaksTheTemplate => inventory.resources.retain(|r| r.kind != ResourceKind::Template),
            InventoryWithoutFirewalls => inventory.resources.retain(|r| r.kind != ResourceKind::Firewall),
            _ => {}
        }
        Ok(inventory)
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        let mut receipt = self.inner.delete(resources).await.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            InUseIsAnError if !receipt.pending.is_empty() => return Err(receipt.pending.remove(0).reason),
            DeletedTooEarly => {
                let pending = std::mem::take(&mut receipt.pending);
                receipt.deleted.extend(pending.into_iter().map(|leftover| leftover.resource));
            }
            _ => {}
        }
        Ok(receipt)
    }
}

impl Provider for Mutant {
    fn name(&self) -> &'static str {
        "mutant"
    }

    fn capability(&self) -> Capability {
        let capability = self.inner.capability();
        match self.bug {
            DeniesSpotAndSellsIt => Capability { spot: false, ..capability },
            DeclaresLess => Capability { all_or_nothing: false, ..capability },
            _ => capability,
        }
    }
}
