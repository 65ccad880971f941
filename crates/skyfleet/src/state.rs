use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skyfleet_core::{
    Arch, Clock, Cursor, ErrorKind, FleetBlueprint, Instance, InstanceId, LaunchRequest, Launched, Market,
    OfferId, OfferQuery, Prepared, Provider, Region, Result, Selector, Signal, SignalQuery, Timestamp,
    UsdPerHour,
};

use crate::policy::{AnotherPool, PreemptionPolicy};
use crate::roster::{Roster, VISIBILITY_GRACE};
use crate::{CapacityMemory, Catalogue, Config, Event, EventKind, Lot, Meter, Search, Terms, ZoneMode};

/// How long a catalogue is used before it is asked for again.
const CATALOGUE_MAX_AGE: Duration = Duration::from_secs(600);

/// The most offers that signals are asked for: the best ones, of far more that could be bought.
const SIGNAL_OFFERS_MAX: usize = 500;

/// What all clones of a fleet share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) bare: Arc<dyn Provider>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) clock: Arc<dyn Clock>,
    /// One launch at a time.
    pub(crate) launching: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// What is known of the fleet. Never held over an await.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) roster: Roster,
    pub(crate) meter: Meter,
    pub(crate) memory: CapacityMemory,
    pub(crate) policy: Arc<dyn PreemptionPolicy>,
    pub(crate) events: VecDeque<Event>,
    /// The number of the next launch.
    pub(crate) attempt: u32,
    /// By how much the number jumps when it was used in an earlier life.
    pub(crate) skip: u32,
    /// A launch of ours bought something new: no earlier life used the numbers from here on.
    pub(crate) fresh: bool,
    /// Launches whose outcome is not known yet.
    pub(crate) intents: BTreeMap<u32, Intent>,
    /// Those of them that no future is at work on.
    pub(crate) abandoned: BTreeSet<u32>,
    /// Launches that a future is at work on; one that is dropped takes its own away.
    pub(crate) calls: u32,
    pub(crate) launched_last: Timestamp,
    pub(crate) prepared: Option<(FleetBlueprint, Prepared)>,
    catalogue: Option<(Timestamp, Arc<Catalogue>)>,
    pub(crate) cursor: Cursor,
    pub(crate) opened: Timestamp,
    /// When the fleet's life began: its oldest launch.
    pub(crate) started: Option<Timestamp>,
    pub(crate) touched: Timestamp,
    /// A teardown began, and no launch since.
    pub(crate) closing: bool,
    /// Limits that were warned of.
    pub(crate) warned: BTreeSet<&'static str>,
    /// Fills in a row that got nothing.
    pub(crate) dry: u32,
}

/// A launch as it was sent, and the slots that it is for.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) request: LaunchRequest,
    pub(crate) slots: Vec<u32>,
}

impl Inner {
    pub(crate) fn new(
        config: Config,
        bare: Arc<dyn Provider>,
        provider: Arc<dyn Provider>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = clock.now();
        let state = State {
            roster: Roster::new(config.spec.target),
            meter: Meter::new(config.spec.limits.budget, UsdPerHour::ZERO),
            memory: CapacityMemory::default(),
            policy: Arc::new(AnotherPool::default()),
            events: VecDeque::new(),
            attempt: 0,
            skip: 1,
            fresh: false,
            intents: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            calls: 0,
            launched_last: now,
            prepared: None,
            catalogue: None,
            cursor: Cursor::start(),
            opened: now,
            started: None,
            touched: now,
            closing: false,
            warned: BTreeSet::new(),
            dry: 0,
        };
        let state = Mutex::new(state);
        Self { config, bare, provider, clock, launching: tokio::sync::Mutex::default(), state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn selector(&self) -> Selector {
        Selector::fleet(&self.config.owner, &self.config.name)
    }

    pub(crate) fn tell(&self, kind: EventKind) {
        let now = self.clock.now();
        self.state().tell(kind, now);
    }

    /// What could be bought now, for `count` instances.
    pub(crate) async fn search(&self, count: u32) -> Result<Search> {
        let spec = &self.config.spec;
        spec.check()?;
        let catalogue = self.catalogue().await?;
        let search = |signals: &[_]| {
            let now = self.clock.now();
            crate::search(&catalogue, signals, spec, &self.state().memory, now)
        };
        let offers = search(&[]).candidates().take(SIGNAL_OFFERS_MAX).map(|c| c.offer.id()).collect();
        let (disk_gib, public_ip) = (spec.disk_gib, spec.public_ip);
        let query = SignalQuery { offers, count: count.max(1), disk_gib, public_ip };
        if query.offers.is_empty() {
            return Ok(search(&[]));
        }
        match self.provider.signals(&query).await {
            Ok(signals) => {
                // The dearest region's and market's: a limit must hold wherever instances come from.
                let extras = signals.iter().filter_map(|signal| match signal {
                    Signal::Extras { per_hour, .. } => Some(*per_hour),
                    _ => None,
                });
                if let Some(extras) = extras.max() {
                    self.state().meter.set_extras(extras);
                }
                Ok(search(&signals))
            }
            // Signals order candidates, they never veto one.
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::RateLimited) => {
                self.tell(EventKind::Trouble { reason: format!("searching without signals: {error}") });
                Ok(search(&[]))
            }
            Err(error) => Err(error),
        }
    }

    async fn catalogue(&self) -> Result<Arc<Catalogue>> {
        let now = self.clock.now();
        if let Some((at, catalogue)) = &self.state().catalogue
            && now < *at + CATALOGUE_MAX_AGE
        {
            return Ok(catalogue.clone());
        }
        let need = &self.config.spec.need;
        let query = OfferQuery { regions: need.regions.clone(), ..OfferQuery::default() };
        let offers = match self.provider.offers(&query).await {
            // A region that the cloud does not have: the whole catalogue knows the nearest names.
            Err(error) if error.kind() == ErrorKind::InvalidRequest && !query.regions.is_empty() => {
                let all = Catalogue::new(self.provider.offers(&OfferQuery::default()).await?);
                return Err(all.check_names(need).err().unwrap_or(error));
            }
            offers => offers?,
        };
        let catalogue = Catalogue::new(offers);
        catalogue.check_names(need)?;
        self.state().catalogue = Some((now, catalogue.clone()));
        Ok(catalogue)
    }

    /// What the fleet has already, as a plan must reckon with it.
    pub(crate) fn terms(&self) -> Terms {
        let now = self.clock.now();
        let state = self.state();
        let holders = || state.roster.places.iter().filter_map(|place| place.slot.instance.as_ref());
        let single = self.config.spec.zones == ZoneMode::Single;
        let (instances, extras) = (holders().count() as u32, state.meter.extras());
        Terms {
            instances,
            on_demand: holders().filter(|i| i.offer.market == Market::OnDemand).count() as u32,
            per_hour: holders().filter_map(|i| i.price.known()).sum::<UsdPerHour>() + extras * instances,
            spent: state.meter.bill(now).spent,
            extras,
            age: state.started.map(|started| since(started, now)).unwrap_or_default(),
            bids: self.provider.capability().price_max,
            zone: holders().next().filter(|_| single).map(|i| i.offer.zone.clone()),
            ..Terms::default()
        }
    }

    /// Finds or makes what launches of these lots need.
    pub(crate) async fn prepare(&self, found: &Search, lots: &[Lot]) -> Result<Prepared> {
        let spec = &self.config.spec;
        let (mut regions, mut archs) = (BTreeSet::<Region>::new(), BTreeSet::<Arch>::new());
        for lot in lots {
            regions.insert(lot.region.clone());
            archs.extend(
                lot.pools
                    .iter()
                    .filter_map(|p| found.catalogue().get(&p.offer))
                    .map(|o| o.instance_type.arch),
            );
        }
        let expires = {
            let state = self.state();
            if let Some((blueprint, prepared)) = &state.prepared {
                if regions.iter().all(|r| blueprint.regions.contains(r))
                    && archs.iter().all(|a| blueprint.archs.contains(a))
                {
                    return Ok(prepared.clone());
                }
                regions.extend(blueprint.regions.iter().cloned());
                archs.extend(blueprint.archs.iter().copied());
            }
            state.expires(spec.limits.lifetime_max)
        };
        let blueprint = FleetBlueprint {
            owner: self.config.owner.clone(),
            fleet: self.config.name.clone(),
            regions: regions.into_iter().collect(),
            archs: archs.into_iter().collect(),
            image: spec.image.clone(),
            user_data: spec.user_data.as_str().into(),
            disk_gib: spec.disk_gib,
            public_ip: spec.public_ip,
            inbound_ports: spec.inbound_ports.clone(),
            labels: spec.labels.clone(),
            expires,
        };
        let prepared = self.provider.prepare(&blueprint).await?;
        self.state().prepared = Some((blueprint, prepared.clone()));
        Ok(prepared)
    }

    /// Gives instances back that the fleet does not want. What the cloud does not hear now is asked
    /// again by the supervision, and by the teardown.
    pub(crate) async fn release(&self, instances: Vec<InstanceId>, reason: &str) {
        if instances.is_empty() {
            return;
        }
        let now = self.clock.now();
        {
            let mut state = self.state();
            for instance in &instances {
                state.roster.release(instance, now);
                let reason = reason.to_owned();
                state.tell(EventKind::Released { instance: instance.clone(), reason }, now);
            }
        }
        if let Err(error) = self.provider.terminate(&instances).await {
            self.tell(EventKind::Trouble { reason: error.to_string() });
        }
    }

    /// Lists after the time in which an instance may be missing from a list.
    pub(crate) async fn list_after_grace(&self) -> Result<Vec<Instance>> {
        self.clock.sleep(VISIBILITY_GRACE).await;
        self.provider.list(&self.selector()).await
    }

    /// Takes over what is listed: living instances that are not known get the empty slots, and the
    /// next launch is numbered after all that were seen. Answers how many were taken over.
    pub(crate) fn take_over(&self, listed: &[Instance]) -> u32 {
        let now = self.clock.now();
        let mut state = self.state();
        let used = listed.iter().map(|i| i.token.attempt().saturating_add(1)).max();
        state.attempt = state.attempt.max(used.unwrap_or(0));
        let oldest = listed.iter().filter(|i| i.state.is_alive()).map(|i| i.launched).min();
        if let Some(oldest) = oldest {
            state.started = Some(state.started.map_or(oldest, |started| started.min(oldest)));
        }
        let mut events = Vec::new();
        let instances = state.roster.adopt(listed, now, &mut events);
        if instances > 0 {
            state.tell(EventKind::Adopted { instances }, now);
        }
        state.tell_all(events, now);
        instances
    }
}

impl State {
    pub(crate) fn tell(&mut self, kind: EventKind, now: Timestamp) {
        match &kind {
            EventKind::Filled { slot, instance, offer, .. } => {
                let on_demand = self.catalogue.as_ref().and_then(|(_, catalogue)| catalogue.on_demand(offer));
                let holder = self.roster.places.get(*slot as usize).and_then(|p| p.slot.instance.as_ref());
                if let Some(holder) = holder.filter(|holder| holder.id == *instance) {
                    self.meter.started(holder, on_demand);
                }
            }
            EventKind::Preempted { instance, .. }
            | EventKind::Lost { instance, .. }
            | EventKind::Released { instance, .. } => self.meter.ended(instance, now),
            _ => {}
        }
        tracing::debug!(event = %kind);
        self.events.push_back(Event { at: now, kind });
    }

    /// Whether a search was made.
    pub(crate) fn knows_prices(&self) -> bool {
        self.catalogue.is_some()
    }

    /// Takes note of what a launch says about capacity.
    pub(crate) fn learn(&mut self, launched: &Launched, now: Timestamp) {
        if let Some((_, catalogue)) = &self.catalogue {
            let offers: BTreeSet<&OfferId> = launched.instances.iter().map(|i| &i.offer).collect();
            for offer in offers.into_iter().filter_map(|id| catalogue.get(id)) {
                self.memory.note_success(offer);
            }
        }
        for shortfall in &launched.shortfalls {
            self.memory.note(&shortfall.reason, now);
        }
    }

    pub(crate) fn tell_all(&mut self, events: Vec<EventKind>, now: Timestamp) {
        for event in events {
            self.tell(event, now);
        }
    }

    /// When the fleet ends by itself.
    pub(crate) fn expires(&self, lifetime_max: Option<Duration>) -> Option<Timestamp> {
        Some(self.started? + lifetime_max?)
    }
}

/// The time between two moments; none when the second is not later.
pub(crate) fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
