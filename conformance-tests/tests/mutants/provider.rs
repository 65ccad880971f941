use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use skyfleet_core::{
    Availability, Capability, CapacitySearch, Cursor, DeleteReceipt, Error, ErrorKind, FleetBlueprint,
    FleetLaunch, Instance, InstanceId, InstanceState, InstanceType, Inventory, LaunchRequest, Launched,
    Market, Offer, OfferQuery, Owner, Preemption, PreemptionHandling, PreemptionKind, PreemptionPage,
    Prepared, Price, Provider, Resource, ResourceKind, Result, Selector, Shortfall, Signal, SignalQuery,
    Spread, Teardown, TerminateReceipt, Token, UsdPerHour,
};

use Bug::*;

/// What must never show.
pub(crate) const SECRET: &str = "correct-horse-battery-staple";

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    FreeOffers,
    HalfOfTheOffers,
    ShuffledOffers,
    OffersWithoutProcessors,
    IgnoresTheZoneFilter,
    NothingIsUnknown,
    DropsSoldOutOffers,
    SignalsAboutOthers,
    ScoresAboveTheScale,
    DeniesSpotAndSellsIt,
    DeclaresScoresAndHasNone,
    DeniesScoresAndGivesThem,
    DeclaresQuotasAndHasNone,
    DeniesQuotasAndGivesThem,
    LosesAnInstance,
    UnknownZonesAreEmptyPools,
    PreparesBeforeItLooks,
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
    /// Played in the cloud's books, see `tag_disks_later`.
    TagsDisksLater,
    MakesThingsAgain,
    DropsPageTwo,
    ListsOtherOwners,
    Flickers,
    NotFoundForUnknownIds,
    RunningAtOnce,
    StatesGoBack,
    LosesReclaims,
    NoNotices,
    DeniesNoticesAndGivesThem,
    ReclaimedAndYetAlive,
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
    GoneIsAnError,
    KnowsOnlyWhatItMade,
    InventoryOfEverybody,
    QuotaIsCapacity,
    CapacityWithoutScope,
    ThrottleIsAnOutage,
    OutageIsNotFound,
    BadRequestsAreRetried,
    RefusedCredentialsAreAnOutage,
    DeclaresLess,
    OneCallPerInstance,
    LooksBeforeEachEnd,
    ListsOneByOne,
    CutsUserData,
    PrintsASecret,
    SecretsInErrors,
    LogsASecret,
    /// A layer's: a launch is sent again under another token.
    RetriesWithoutAToken,
    /// A layer's: errors lose their place.
    ErrorsFromNowhere,
    ForgetsTheRequestId,
    /// The layers': nothing is refused before it is sent. None of the optional capabilities.
    Unguarded,
    ListsOnlyWhatItMade,
    /// No bug: none of the optional capabilities.
    Modest,
}

/// A provider that is right but for one bug.
pub(crate) struct Mutant {
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
    pub(crate) fn new(inner: Arc<dyn Provider>, bug: Bug) -> Self {
        Self { inner, bug, calls: AtomicU32::new(0), seen: Mutex::default() }
    }

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
            (RefusedCredentialsAreAnOutage, ErrorKind::Unauthenticated) => {
                Error::new(ErrorKind::Unavailable, error.message())
            }
            (ErrorsFromNowhere, kind) => Error::new(kind, error.message()),
            (ForgetsTheRequestId, kind) => {
                let bare = Error::new(kind, error.message()).retrying(error.retry());
                let kept = error.context().iter().filter(|(key, _)| *key != "request_id");
                kept.fold(bare, |error, (key, value)| error.with(key, value))
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
            OffersWithoutProcessors => offers.iter_mut().step_by(5).for_each(|offer| {
                offer.instance_type = Arc::new(InstanceType { vcpus: 0, ..(*offer.instance_type).clone() });
            }),
            Modest | Unguarded => offers.retain(|o| o.market == Market::OnDemand),
            DropsSoldOutOffers => offers.retain(|o| o.availability != Availability::SoldOut),
            _ => {}
        }
        Ok(offers)
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        let mut signals = self.inner.signals(query).await.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            Modest | Unguarded => signals.clear(),
            DeclaresQuotasAndHasNone => signals.retain(|s| !matches!(s, Signal::Quota { .. })),
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
            CutsUserData if blueprint.user_data.len() > 1_000 => {
                return Err(Error::new(ErrorKind::InvalidRequest, "the user data is too long"));
            }
            PreparesBeforeItLooks => {
                let mut part = blueprint.clone();
                part.regions.truncate(1);
                part.image = "debian-12".to_owned();
                self.inner.prepare(&part).await?;
            }
            // Another content is another template.
            MakesThingsAgain => {
                blueprint.user_data = format!(
                    "{}# {}
",
                    blueprint.user_data,
                    self.count()
                )
                .into();
            }
            _ => {}
        }
        self.inner.prepare(&blueprint).await.map_err(|e| self.wrong_error(e))
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
        if self.is(UnknownZonesAreEmptyPools)
            && answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidRequest)
        {
            let reason = Error::new(ErrorKind::NoCapacity, "no room").with("code", "full");
            let shortfalls = vec![Shortfall { count: request.count, reason }];
            return Ok(Launched { instances: Vec::new(), shortfalls });
        }
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            self.seen(|seen| seen.lost = true);
        }
        if self.is(RetriesWithoutAToken) && answer.is_err() {
            return self.under_another_token(&request).await;
        }
        let mut launched = answer.map_err(|e| self.wrong_error(e))?;
        match self.bug {
            HidesShortfalls => launched.shortfalls.clear(),
            LosesAnInstance => launched.instances.truncate(launched.instances.len().saturating_sub(1)),
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
            ListsOnlyWhatItMade => list.retain(|i| self.seen(|seen| seen.tokens.contains(&i.token))),
            DropsPageTwo => list.truncate(1_000),
            LogsASecret => tracing::trace!(authorization = SECRET, "listed"),
            ListsOneByOne => {
                for instance in &list {
                    let ids = vec![instance.id.clone()];
                    self.inner.list(&Selector { ids, ..selector.clone() }).await?;
                }
            }
            ReclaimedAndYetAlive => {
                list.iter_mut().for_each(|i| i.state = i.state.min(InstanceState::Running))
            }
            ListsOtherOwners => {
                for owner in self.seen(|seen| seen.owners.clone()) {
                    if owner != selector.owner {
                        list.extend(self.inner.list(&Selector::owner(&owner)).await?);
                    }
                }
            }
            Flickers if count.is_multiple_of(3) => list.clear(),
            NotFoundForUnknownIds if selector.ids.iter().any(|id| list.iter().all(|i| i.id != *id)) => {
                return Err(Error::new(ErrorKind::NotFound, "no such instance"));
            }
            RunningAtOnce => list.iter_mut().for_each(|i| {
                if i.state == InstanceState::Pending {
                    i.state = InstanceState::Running;
                }
            }),
            StatesGoBack if count.is_multiple_of(4) => {
                list.iter_mut().for_each(|i| i.state = InstanceState::Pending)
            }
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
            TerminateDoesNothing => {
                return Ok(TerminateReceipt { ending: instances.to_vec(), gone: Vec::new() });
            }
            UnknownIdsFailTheTermination if instances.contains(&"never-was".into()) => {
                return Err(Error::new(ErrorKind::NotFound, "no such instance"));
            }
            LooksBeforeEachEnd => {
                for owner in self.seen(|seen| seen.owners.clone()) {
                    for id in instances {
                        let ids = vec![id.clone()];
                        self.inner.list(&Selector { ids, ..Selector::owner(&owner) }).await?;
                    }
                }
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
            KnowsOnlyWhatItMade if !self.seen(|seen| seen.owners.contains(owner)) => {
                inventory.resources.clear()
            }
            InventoryOfEverybody => {
                for other in self.seen(|seen| seen.owners.clone()) {
                    if other != *owner {
                        inventory.resources.extend(self.inner.inventory(&other).await?.resources);
                    }
                }
            }
            LeaksTheTemplate => inventory.resources.retain(|r| r.kind != ResourceKind::Template),
            InventoryWithoutFirewalls => inventory.resources.retain(|r| r.kind != ResourceKind::Firewall),
            _ => {}
        }
        Ok(inventory)
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        if self.is(GoneIsAnError) {
            for owner in self.seen(|seen| seen.owners.clone()) {
                let there = self.inner.inventory(&owner).await?.resources;
                if resources.iter().any(|resource| resource.fleet.is_some() && !there.contains(resource)) {
                    return Err(Error::new(ErrorKind::NotFound, "no such resource"));
                }
            }
        }
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
            DeniesScoresAndGivesThem => Capability { capacity_scores: false, ..capability },
            DeniesQuotasAndGivesThem => Capability { quotas: false, ..capability },
            DeniesNoticesAndGivesThem => Capability { notice: None, ..capability },
            Modest | Unguarded => Capability {
                spot: false,
                price_max: false,
                all_or_nothing: false,
                native_expiry: false,
                notice: None,
                capacity_scores: false,
                quotas: false,
                ..capability
            },
            DeclaresLess => Capability { all_or_nothing: false, ..capability },
            _ => capability,
        }
    }
}
