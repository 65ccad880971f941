use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use skyfleet_core::{InstanceState, Offer, QuotaId, Region, Timestamp, UsdPerHour};

use crate::catalog::{Catalog, Cloud};
use crate::event::{About, Event, EventKind};
use crate::fixture::Kept;
use crate::ledger::Line;
use crate::limits::ApiLimits;
use crate::machine::{Lot, Machine};
use crate::pool::{self, Pool, Quota};
use crate::rules::Rules;
use crate::scenario::{After, Scenario};
use crate::seed;
use crate::snapshot;
use crate::tags::Tags;
use crate::thing::Thing;
use crate::trouble::{FaultId, Trouble};
use crate::world::CallCount;

/// The world's own state, and everything that can be done in it. It is reached through
/// [`World::call`](crate::World::call), which brings it up to the time first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kernel {
    #[serde(skip, default = "Setup::blank")]
    pub(crate) setup: Setup,
    /// Of which format a snapshot is.
    #[serde(default)]
    pub(crate) format: u32,
    /// Which cloud it plays, for whoever reads a snapshot.
    pub(crate) played: Cloud,
    pub(crate) seed: u64,
    pub(crate) now: Timestamp,
    pub(crate) rng: Pcg64,
    /// What comes, by its moment; the number keeps two of one moment apart, in order.
    #[serde(with = "crate::snapshot::pairs")]
    pub(crate) agenda: BTreeMap<(Timestamp, u64), Due>,
    pub(crate) agenda_count: u64,
    pub(crate) pools: Vec<Pool>,
    pub(crate) quotas: BTreeMap<QuotaId, Quota>,
    pub(crate) lots: Vec<Lot>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) lines: Vec<Line>,
    /// Disks and addresses that were made by themselves.
    pub(crate) things: Vec<Thing>,
    /// The tags of machines and of what came with them, by line, where they are no longer those of
    /// the launch.
    #[serde(with = "crate::snapshot::pairs")]
    pub(crate) retagged: BTreeMap<u32, Arc<Tags>>,
    /// When the cloud advised that a machine may go, for those that have no notice yet or had one.
    #[serde(with = "crate::snapshot::pairs")]
    pub(crate) advised: BTreeMap<u32, Timestamp>,
    /// The highest prices of machines that were stopped.
    #[serde(with = "crate::snapshot::pairs")]
    pub(crate) caps: BTreeMap<u32, UsdPerHour>,
    /// When a machine's own system shuts down, as it said.
    #[serde(with = "crate::snapshot::pairs")]
    pub(crate) shutdowns: BTreeMap<u32, Timestamp>,
    /// Disks and addresses whose machine is gone, by id: their line.
    pub(crate) leftovers: BTreeMap<Arc<str>, u32>,
    /// The machines by the ids of their disks, where callers chose those.
    #[serde(default)]
    pub(crate) named_disks: BTreeMap<Arc<str>, u32>,
    pub(crate) fixtures: BTreeMap<Arc<str>, Kept>,
    pub(crate) tokens: BTreeMap<String, u32>,
    pub(crate) limits: ApiLimits,
    pub(crate) trouble: Trouble,
    pub(crate) events: Vec<Event>,
    pub(crate) calls: BTreeMap<String, CallCount>,
    /// How many requests there were: the number of the last one.
    #[serde(default)]
    pub(crate) requests: u64,
    /// Events of the scenario that count from the first launch are in the agenda.
    pub(crate) launched: bool,
    #[serde(skip)]
    pub(crate) by_id: BTreeMap<Arc<str>, u32>,
    #[serde(skip)]
    pub(crate) by_owner: BTreeMap<Arc<str>, Vec<u32>>,
    /// Launches of which a machine has tags of its own.
    #[serde(skip)]
    pub(crate) mixed: BTreeSet<u32>,
    #[serde(skip)]
    pub(crate) by_thing: BTreeMap<Arc<str>, u32>,
    /// Pools whose market must hear how many machines run.
    #[serde(skip)]
    pub(crate) stirred: BTreeSet<u32>,
    /// What the process host must do.
    #[serde(skip)]
    pub(crate) errands: Vec<Errand>,
}

/// What the world is made of and never changes.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) rules: Rules,
    pub(crate) scenario: Scenario,
    /// The regions in scope; empty for all.
    pub(crate) regions: BTreeSet<Region>,
    pub(crate) processes: bool,
}

impl Setup {
    /// Stands in for an instant, while a snapshot is read.
    pub(crate) fn blank() -> Self {
        Self {
            catalog: Catalog::of(Cloud::Neutral),
            rules: Rules::of(Cloud::Neutral),
            scenario: Scenario::default(),
            regions: BTreeSet::new(),
            processes: false,
        }
    }
}

/// What comes at its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Due {
    /// The machine's user data begins.
    Boot(u32),
    /// The cloud announces that it takes the machine back.
    Notice(u32),
    /// A machine with a notice begins to stop; the deadline says by which notice.
    SoftOff(u32, Timestamp),
    /// It takes it back.
    Reclaim(u32),
    /// The machine is gone for good.
    Gone(u32),
    /// The machine has stopped.
    Halted(u32),
    /// The machine's own system shuts down.
    Shutdown(u32),
    /// The machines of a lot come to their expiry.
    Expire(u32),
    /// A machine that came up then has run as long as it may.
    RunOut(u32, Timestamp),
    /// The market of a pool moves.
    Market(u32),
    /// The price of a pool may have moved.
    Price(u32),
    /// An event of the scenario begins.
    Scene(u32),
    /// A fault is lifted.
    Lift(FaultId),
}

/// What the process host must do for a machine.
#[derive(Clone, Debug)]
pub(crate) enum Errand {
    Start(u32),
    Stop(Arc<str>),
}

impl Kernel {
    pub(crate) fn new(setup: Setup, seed: u64, now: Timestamp) -> Self {
        let mut kernel = Self {
            format: snapshot::FORMAT,
            played: setup.catalog.cloud(),
            seed,
            now,
            rng: seed::stream(seed, "world"),
            agenda: BTreeMap::new(),
            agenda_count: 0,
            pools: pool::stock(&setup.catalog, seed, &setup.scenario, now),
            quotas: pool::quotas(&setup.catalog),
            lots: Vec::new(),
            machines: Vec::new(),
            lines: Vec::new(),
            things: Vec::new(),
            retagged: BTreeMap::new(),
            advised: BTreeMap::new(),
            caps: BTreeMap::new(),
            shutdowns: BTreeMap::new(),
            leftovers: BTreeMap::new(),
            named_disks: BTreeMap::new(),
            fixtures: BTreeMap::new(),
            tokens: BTreeMap::new(),
            limits: ApiLimits::of(setup.catalog.cloud()),
            trouble: Trouble::default(),
            events: Vec::new(),
            calls: BTreeMap::new(),
            requests: 0,
            launched: false,
            by_id: BTreeMap::new(),
            by_owner: BTreeMap::new(),
            mixed: BTreeSet::new(),
            by_thing: BTreeMap::new(),
            stirred: BTreeSet::new(),
            errands: Vec::new(),
            setup,
        };
        kernel.set_scenes(After::Start);
        kernel
    }

    /// Which cloud it plays.
    pub fn cloud(&self) -> Cloud {
        self.setup.catalog.cloud()
    }

    /// The time that the world has come to.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What the cloud sells.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.setup.catalog
    }

    /// The cloud's rules.
    pub fn rules(&self) -> &Rules {
        &self.setup.rules
    }

    /// The regions in scope, in order.
    pub fn regions(&self) -> Vec<Region> {
        self.setup.catalog.regions().filter(|region| self.in_scope(region)).cloned().collect()
    }

    pub(crate) fn in_scope(&self, region: &Region) -> bool {
        self.setup.regions.is_empty() || self.setup.regions.contains(region)
    }

    pub(crate) fn offer(&self, pool: u32) -> &Offer {
        &self.setup.catalog.offers()[pool as usize]
    }

    pub(crate) fn at(&mut self, moment: Timestamp, due: Due) {
        self.agenda_count += 1;
        self.agenda.insert((moment.max(self.now), self.agenda_count), due);
    }

    pub(crate) fn log(&mut self, kind: EventKind, about: About) {
        self.events.push(Event { at: self.now, kind, about });
    }

    /// When something happens next by itself.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.agenda.first_key_value().map(|((moment, _), _)| *moment)
    }

    /// Brings the world up to a time, event by event.
    pub(crate) fn advance(&mut self, to: Timestamp) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > to {
                break;
            }
            let ((moment, _), due) = entry.remove_entry();
            self.now = self.now.max(moment);
            self.happen(due);
            self.tell_markets();
        }
        self.now = self.now.max(to);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Boot(m) => self.boot(m),
            Due::Notice(m) => self.give_notice(m, None),
            Due::SoftOff(m, deadline) => self.soft_off(m, deadline),
            Due::Reclaim(m) => self.reclaim(m),
            Due::Gone(m) => self.gone(m),
            Due::Halted(m) => self.halted(m),
            Due::Shutdown(m) => self.shutdown_comes(m),
            Due::Expire(lot) => self.expire(lot),
            Due::RunOut(m, came_up) => self.run_out(m, came_up),
            Due::Market(pool) => self.market_moves(pool),
            Due::Price(pool) => self.price_moves(pool),
            Due::Scene(scene) => self.play_scene(scene as usize),
            Due::Lift(id) => {
                self.lift(id);
            }
        }
    }

    fn boot(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        // The moment may be of an earlier start, which a stop cut short.
        if machine.state_at(self.now) == InstanceState::Running && !machine.booted {
            machine.booted = true;
            self.errands.push(Errand::Start(m));
        }
    }

    /// Puts the scenario's events that count from this moment into the agenda.
    pub(crate) fn set_scenes(&mut self, after: After) {
        let moments: Vec<(u32, Timestamp)> = (0u32..)
            .zip(&self.setup.scenario.events)
            .filter(|(_, event)| event.after == after)
            .map(|(scene, event)| (scene, self.now + event.at))
            .collect();
        for (scene, moment) in moments {
            self.at(moment, Due::Scene(scene));
        }
    }

    fn play_scene(&mut self, scene: usize) {
        let Some(event) = self.setup.scenario.events.get(scene).cloned() else { return };
        match self.inject(event.fault) {
            Ok(id) => {
                if let Some(until) = event.until {
                    let lasts = until.saturating_sub(event.at);
                    self.at(self.now + lasts, Due::Lift(id));
                }
            }
            Err(error) => tracing::warn!(%error, scene, "the scenario's fault does not apply"),
        }
    }
}
