use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Clock, Error, ErrorKind, Region, Result};
use tokio::sync::Notify;

use crate::catalog::{Catalog, Cloud};
use crate::drive::{Processes, WeakWorld};
use crate::event::WorldEvent;
use crate::fault::{Fault, When};
use crate::kernel::{Kernel, Setup};
use crate::launch::unknown;
use crate::ledger::LedgerReport;
use crate::metadata::Metadata;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::snapshot::StateFile;
use crate::trouble::FaultId;
use crate::view::{MachineView, Whose};

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Which cloud it plays.
    pub cloud: Cloud,
    /// Where all chance comes from: the same seed and the same calls give the same answers.
    pub seed: u64,
    /// The time it lives by.
    pub clock: Arc<dyn Clock>,
    /// What happens in it, told beforehand.
    pub scenario: Scenario,
    /// Only these regions; empty for all of the catalogue.
    pub regions: Vec<Region>,
    /// Whether machines run their user data as local processes. Not with a state file: processes
    /// end with their program, and the world of the file outlives it.
    pub processes: bool,
    /// A file that several programs share as one world.
    pub state: Option<PathBuf>,
}

impl WorldOptions {
    /// A neutral world, in memory, seed 0, without a scenario.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            cloud: Cloud::Neutral,
            seed: 0,
            clock,
            scenario: Scenario::default(),
            regions: Vec::new(),
            processes: false,
            state: None,
        }
    }

    /// The same, playing a cloud.
    #[must_use]
    pub fn playing(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }
}

/// One call of the cloud's API: what the rate limits, the faults and the counters know it by.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The cloud's own name of the action: `CreateFleet`.
    pub action: &'a str,
    /// The region that it goes to; `global` where the cloud has one place for all.
    pub region: &'a str,
    /// How many machines it launches or ends.
    pub resources: u32,
    /// Whether it changes anything: then a shared state file is written.
    pub writes: bool,
}

impl<'a> Call<'a> {
    /// A call that only looks.
    pub fn read(action: &'a str, region: &'a str) -> Self {
        Self { action, region, resources: 0, writes: false }
    }

    /// A call that changes something.
    pub fn write(action: &'a str, region: &'a str, resources: u32) -> Self {
        Self { action, region, resources, writes: true }
    }
}

/// How often an API action was called, and how that went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    /// All calls.
    pub calls: u64,
    /// Those that were refused or failed, throttles included.
    pub errors: u64,
    /// Those that came too fast.
    pub throttles: u64,
}

/// A simulated cloud: a cheap handle, all clones are the same world.
#[derive(Clone)]
pub struct World(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    kernel: Mutex<Kernel>,
    pub(crate) processes: Option<Processes>,
    state: Option<StateFile>,
    /// Something earlier than expected is due.
    pub(crate) sooner: Arc<Notify>,
    pub(crate) driven: AtomicBool,
}

impl World {
    /// Makes a world, or opens the one in the state file.
    ///
    /// # Errors
    /// `InvalidConfig` for a region that the cloud does not have and for a state file that is not
    /// one, or of another cloud; `Unavailable` when it cannot be read, or when processes cannot be
    /// run here.
    pub fn new(options: WorldOptions) -> Result<Self> {
        let processes = options.processes && options.state.is_none();
        if processes != options.processes {
            tracing::warn!("machines of a world in a state file run no processes");
        }
        let catalog = Catalog::of(options.cloud);
        for region in &options.regions {
            if !catalog.has_region(region.as_str()) {
                return Err(no_region(&catalog, region));
            }
        }
        let setup = Setup {
            rules: Rules::of(options.cloud),
            catalog,
            scenario: options.scenario,
            regions: options.regions.into_iter().collect::<BTreeSet<_>>(),
            processes,
        };
        let mut kernel = Kernel::new(setup, options.seed, options.clock.now());
        let state = options.state.as_deref().map(StateFile::new);
        if let (Some(file), Some(path)) = (&state, &options.state) {
            let read = file.lock().and_then(|_lock| file.load()).map_err(|error| bad_state(path, error))?;
            if let Some(read) = read {
                kernel.take_over(read, path)?;
            }
        }
        let world = Self(Arc::new(Shared {
            clock: options.clock,
            kernel: Mutex::new(kernel),
            processes: processes.then(Processes::new).transpose()?,
            state,
            sooner: Arc::default(),
            driven: AtomicBool::new(false),
        }));
        if let Some(processes) = &world.0.processes {
            processes.belong_to(&world);
        }
        Ok(world)
    }

    /// A world in memory that goes on from a file that [`World::save`] wrote. The options say what
    /// no file holds: the clock, the scenario, the regions.
    ///
    /// # Errors
    /// Those of [`World::new`]; `NotFound` when there is no such file.
    pub fn load(options: WorldOptions, path: &Path) -> Result<Self> {
        let world = Self::new(WorldOptions { state: None, ..options })?;
        let read = StateFile::new(path).load().map_err(|error| bad_state(path, error))?;
        let read = read.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such file").with("file", path.display())
        })?;
        world.lock().take_over(read, path)?;
        Ok(world)
    }

    /// The time it lives by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// One call of the cloud's API: it is counted, the faults and the rate limits have their say,
    /// and then `act` does it.
    ///
    /// # Errors
    /// Those of `act`; [`Refusal::Throttled`]; [`Refusal::Failed`] by a fault, before or after
    /// `act` did its work.
    pub fn call<T>(
        &self,
        call: Call<'_>,
        act: impl FnOnce(&mut Kernel) -> std::result::Result<T, Refusal>,
    ) -> std::result::Result<T, Refusal> {
        self.request(call, act).1
    }

    /// As [`World::call`], with the number of the request: another for each, in the order in which
    /// they came, 0 for one that never reached the world.
    pub fn request<T>(
        &self,
        call: Call<'_>,
        act: impl FnOnce(&mut Kernel) -> std::result::Result<T, Refusal>,
    ) -> (u64, std::result::Result<T, Refusal>) {
        self.with(call.writes, |kernel| {
            let result = kernel.admitted(&call, act);
            kernel.count(&call, result.as_ref().err());
            (kernel.requests, result)
        })
        .unwrap_or_else(|error| (0, Err(Refusal::State { message: error.to_string() })))
    }

    /// How much slower than usual the answers to an action are.
    pub fn latency(&self, action: &str) -> Duration {
        self.look(|kernel| kernel.trouble.latency(action))
    }

    /// Looks at the world, past all rate limits and faults.
    pub fn look<T>(&self, look: impl FnOnce(&mut Kernel) -> T) -> T {
        let mut look = Some(look);
        let seen = self.with(false, |kernel| look.take().map(|look| look(kernel)));
        match (seen, look) {
            (Ok(Some(seen)), _) => seen,
            (_, Some(look)) => look(&mut self.lock()),
            (_, None) => unreachable!("a look that was taken has been used"),
        }
    }

    /// Lets something go wrong from now on.
    ///
    /// # Errors
    /// `InvalidRequest` for a fault that names what there is not; `NotFound` when nothing is there
    /// that could be preempted; `Unavailable` when the state file cannot be used.
    pub fn inject(&self, fault: Fault) -> Result<FaultId> {
        self.with(true, |kernel| kernel.inject(fault)).map_err(|error| bad_io(&error))?
    }

    /// Lifts a fault; says whether it held.
    pub fn lift(&self, id: FaultId) -> bool {
        self.with(true, |kernel| kernel.lift(id)).unwrap_or(false)
    }

    /// The faults that hold, by their id.
    pub fn faults(&self) -> Vec<(FaultId, Fault)> {
        self.look(|kernel| kernel.faults().map(|(id, fault)| (id, fault.clone())).collect())
    }

    /// What everything cost so far, what still costs, and what is left.
    pub fn ledger(&self) -> LedgerReport {
        self.look(|kernel| kernel.ledger(None))
    }

    /// The same of one owner.
    pub fn ledger_of(&self, owner: &str) -> LedgerReport {
        self.look(|kernel| kernel.ledger(Some(owner)))
    }

    /// How often each API action was called.
    pub fn calls(&self) -> BTreeMap<String, CallCount> {
        self.look(|kernel| kernel.calls.clone())
    }

    /// The log after event number `n`; 0 for all of it.
    pub fn events_after(&self, n: u64) -> Vec<WorldEvent> {
        self.look(|kernel| kernel.events_after(n))
    }

    /// Every machine that lists show.
    pub fn instances(&self) -> Vec<MachineView> {
        self.look(|kernel| kernel.machines(&Whose::default()))
    }

    /// An empty world, of the same seed.
    pub fn reset(&self) {
        self.reset_with(|| ());
    }

    /// The same, and something else before anybody looks at the empty world.
    pub(crate) fn reset_with(&self, also: impl FnOnce()) {
        let reset = |kernel: &mut Kernel| {
            kernel.reset();
            also();
        };
        if let Err(error) = self.with(true, reset) {
            tracing::warn!(%error, "the state file was not written");
        }
        if let Some(processes) = &self.0.processes {
            processes.kill_all();
        }
    }

    /// Gives each instance that is a local process a metadata service, from the next one on.
    pub fn serve_metadata(&self, metadata: Arc<dyn Metadata>) {
        if let Some(processes) = &self.0.processes {
            processes.serve(metadata);
        }
    }

    /// What an instance that is a local process wrote so far, also after its end; `None` for any
    /// other.
    pub fn console(&self, instance: &str) -> Option<Vec<u8>> {
        self.0.processes.as_ref()?.console(instance)
    }

    /// A handle that does not keep the world going.
    pub fn downgrade(&self) -> WeakWorld {
        WeakWorld(Arc::downgrade(&self.0))
    }

    /// Writes the whole world into a file, from which another goes on ([`World::load`],
    /// [`WorldOptions::state`]).
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let saved = self.look(|kernel| StateFile::new(path).save(kernel));
        saved.map_err(|error| bad_state(path, error))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Kernel> {
        self.0.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the world up to the time, does something in it, and runs the errands.
    pub(crate) fn with<T>(&self, writes: bool, act: impl FnOnce(&mut Kernel) -> T) -> std::io::Result<T> {
        let mut guard = self.lock();
        let kernel = &mut *guard;
        let _lock = match &self.0.state {
            Some(file) => {
                let lock = file.lock()?;
                if let Some(read) = file.load()? {
                    kernel.adopt(read);
                }
                Some(lock)
            }
            None => None,
        };
        let due = kernel.next_due();
        kernel.advance(self.0.clock.now());
        let done = act(kernel);
        kernel.tell_markets();
        if kernel.next_due() != due {
            self.0.sooner.notify_one();
        }
        let errands = std::mem::take(&mut kernel.errands);
        if let (true, Some(file)) = (writes, &self.0.state) {
            file.save(kernel)?;
        }
        if let Some(processes) = &self.0.processes {
            processes.take(kernel, &errands);
            drop(guard);
            processes.work();
        }
        Ok(done)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.sooner.notify_one();
    }
}

fn no_region(catalog: &Catalog, region: &Region) -> Error {
    let known: Vec<&str> = catalog.regions().map(Region::as_str).collect();
    let near = match unknown("region", region.as_str(), known.iter().copied()) {
        Refusal::Unknown { nearest, .. } if !nearest.is_empty() => {
            format!("did you mean {}?", nearest.join(" or "))
        }
        _ => format!("known: {}", known.join(", ")),
    };
    let message = format!("{} has no region {:?}; {near}", catalog.cloud(), region.as_str());
    Error::new(ErrorKind::InvalidConfig, message).with("key", "regions")
}

fn bad_state(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => ErrorKind::InvalidConfig,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("the state file cannot be used: {error}"))
        .with("key", "state")
        .with("file", path.display())
}

fn bad_io(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the state file cannot be used: {error}"))
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = self.lock();
        f.debug_struct("World")
            .field("cloud", &kernel.cloud())
            .field("seed", &kernel.seed)
            .field("now", &kernel.now())
            .finish_non_exhaustive()
    }
}

impl Kernel {
    /// Goes on from what a file held, if it is a world of the same cloud.
    fn take_over(&mut self, read: Self, path: &Path) -> Result<()> {
        if read.played != self.cloud() || read.pools.len() != self.pools.len() {
            let message = format!("the file holds another world: {}, not {}", read.played, self.cloud());
            let error = Error::new(ErrorKind::InvalidConfig, message);
            return Err(error.with("key", "state").with("file", path.display()));
        }
        self.adopt(read);
        Ok(())
    }

    fn admitted<T>(
        &mut self,
        call: &Call<'_>,
        act: impl FnOnce(&mut Self) -> std::result::Result<T, Refusal>,
    ) -> std::result::Result<T, Refusal> {
        let failure = self.trouble.failure(call.action, &mut self.rng);
        if let Some((status, code, When::Before)) = failure {
            return Err(Refusal::Failed { status, code, acted: false });
        }
        self.limits.admit(call.action, call.region, call.resources, self.now).map_err(Refusal::Throttled)?;
        let done = act(self)?;
        match failure {
            Some((status, code, When::After)) => Err(Refusal::Failed { status, code, acted: true }),
            _ => Ok(done),
        }
    }

    fn count(&mut self, call: &Call<'_>, refusal: Option<&Refusal>) {
        self.requests += 1;
        if !self.calls.contains_key(call.action) {
            self.calls.insert(call.action.to_owned(), CallCount::default());
        }
        if let Some(count) = self.calls.get_mut(call.action) {
            count.calls += 1;
            count.errors += u64::from(refusal.is_some());
            count.throttles += u64::from(matches!(refusal, Some(Refusal::Throttled(_))));
        }
    }
}
