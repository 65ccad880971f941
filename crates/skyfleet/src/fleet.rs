use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use futures::stream::BoxStream;
use skyfleet_core::{Clock, Connected, Driver, Instance, Inventory, Provider, Result, Selector, layers};

use crate::policy::PreemptionPolicy;
use crate::state::Inner;
use crate::{Bill, Config, Event, LaunchReport, Plan, Search, Slot, TeardownReport};

/// A fleet: search, plan, launch, supervise, teardown.
///
/// Cheap to clone; all clones are the same fleet. Two handles that were opened apart are two
/// controllers of one fleet, and know of each other only through the cloud: use one at a time. The
/// second finds what the first one left, by tags alone.
///
/// Every future of a fleet may be dropped at any point (Ctrl-C): what was bought by then carries the
/// fleet's tags, and [`Fleet::teardown`], of this handle or of any later one, finds it. A launch
/// whose answer was not heard is repeated under its own token, so nothing is bought twice.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(crate) inner: Arc<Inner>,
}

impl Fleet {
    /// Opens a fleet from a config file, with the drivers of this build. No network I/O.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, what is wrong with it, and what would be right.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(&crate::drivers(), Config::load(path)?)
    }

    /// Opens a fleet with drivers of the caller's choice, a third party's among them.
    ///
    /// # Errors
    /// As [`Fleet::open`].
    pub fn open_with(drivers: &[Driver], config: Config) -> Result<Self> {
        let Some(driver) = drivers.iter().find(|driver| driver.name == config.provider) else {
            let known: Vec<&str> = drivers.iter().map(|driver| driver.name).collect();
            return Err(crate::unknown_provider(&config.provider, &known));
        };
        config.spec.check()?;
        let connected = (driver.connect)(&config.provider_settings())?;
        Ok(Self::on(connected, config))
    }

    /// Opens a fleet on a provider that is already connected. A config that was made in code is
    /// checked by the first search, plan or launch.
    pub fn on(connected: Connected, config: Config) -> Self {
        let Connected { provider: bare, clock } = connected;
        let limit = layers::Limit::new(clock.clone());
        let provider = layers::standard(bare.clone(), clock.clone(), &limit, seed(&config));
        Self { inner: Arc::new(Inner::new(config, bare, provider, clock)) }
    }

    /// Replaces the policy by which ended instances are replaced; the usual one is
    /// [`AnotherPool`](crate::AnotherPool).
    pub fn set_policy(&self, policy: impl PreemptionPolicy + 'static) {
        self.inner.state().policy = Arc::new(policy);
    }

    /// What was asked for.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The time that the fleet lives by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The provider behind its layers.
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.inner.provider
    }

    /// The bare provider, when it is of this type: `fleet.provider_as::<SimProvider>()`.
    pub fn provider_as<P: Provider>(&self) -> Option<&P> {
        let bare: &dyn Any = &*self.inner.bare;
        bare.downcast_ref()
    }

    /// What could be bought, best first, and why the rest could not. Spends nothing.
    ///
    /// # Errors
    /// Those of the provider's search; `InvalidConfig` for a type, zone, region or GPU that the
    /// cloud does not have, with the nearest names.
    pub async fn search(&self) -> Result<Search> {
        self.inner.search(self.config().spec.target).await
    }

    /// What a launch would buy, and what it would cost at most. Spends nothing.
    ///
    /// # Errors
    /// Those of [`Fleet::search`] and [`plan`](crate::plan).
    pub async fn plan(&self) -> Result<Plan> {
        let spec = &self.config().spec;
        let found = self.inner.search(spec.target).await?;
        let terms = self.inner.terms();
        crate::plan(spec, &found, spec.target.saturating_sub(terms.instances), &terms)
    }

    /// Launches the fleet, or attaches to the one of this name that lives and fills up what it
    /// misses.
    ///
    /// What started is kept, and what is missing is planned again without the scopes that turned out
    /// to be closed, until the target is reached, the deadline is over, or no candidate is left. A
    /// fleet that was attached to keeps its instances even below the minimum, except when it is
    /// all-or-nothing.
    ///
    /// # Errors
    /// Those of [`Fleet::plan`]; below the minimum, the reason of the largest shortfall. Then
    /// everything that was bought has been given back, or the error names what was not.
    pub async fn launch(&self) -> Result<LaunchReport> {
        Box::pin(self.inner.launch()).await
    }

    /// Attaches to the fleet of this name that lives.
    ///
    /// # Errors
    /// `NotFound` when none lives.
    pub async fn attach(&self) -> Result<LaunchReport> {
        Box::pin(self.inner.attach()).await
    }

    /// Keeps the fleet whole while the stream is read, and tells what happens, the launch included.
    /// Dropping the stream stops the supervision, not the fleet; a new one goes on.
    ///
    /// The stream ends after [`LimitReached`](crate::EventKind::LimitReached), when the fleet is
    /// torn down, and when nothing is replaced any more and no instance is left. Events go to one
    /// reader: two streams share them out.
    pub fn supervise(&self) -> BoxStream<'_, Event> {
        self.inner.supervise()
    }

    /// The events since they were last read, by this or by [`Fleet::supervise`]. For a progress
    /// bar beside a launch, and for what a teardown says.
    pub fn take_events(&self) -> Vec<Event> {
        self.inner.state().events.drain(..).collect()
    }

    /// Stops replacing what ends; for a job whose last tasks are running.
    pub fn stop_replacing(&self) {
        self.inner.stop_replacing("the caller said so");
    }

    /// A sign of work: the idle limit counts from here.
    pub fn touch(&self) {
        let now = self.inner.clock.now();
        self.inner.state().touched = now;
    }

    /// The slots, as they were last seen.
    pub fn slots(&self) -> Vec<Slot> {
        self.inner.state().roster.slots()
    }

    /// The cost so far, as seen from here.
    pub fn bill(&self) -> Bill {
        let now = self.inner.clock.now();
        self.inner.state().meter.bill(now)
    }

    /// Every instance of the fleet that the cloud lists now.
    ///
    /// # Errors
    /// Those of the provider's list.
    pub async fn list(&self) -> Result<Vec<Instance>> {
        let Config { owner, name, .. } = self.config();
        self.provider().list(&Selector::fleet(owner, name)).await
    }

    /// Everything of the owner, this fleet and others.
    ///
    /// # Errors
    /// Those of the provider's inventory.
    pub async fn inventory(&self) -> Result<Inventory> {
        self.provider().inventory(&self.config().owner).await
    }

    /// Gives everything of this fleet back, until a complete inventory proves that nothing is left.
    /// Resources without a fleet's tag are left to [`Fleet::sweep`]. Calling it again is harmless.
    ///
    /// An instance that was launched a moment ago may not be listed yet; so the proof is taken
    /// not earlier than [`VISIBILITY_GRACE`](crate::VISIBILITY_GRACE) after the last launch of this
    /// handle, and after the handle was opened (an earlier controller may have launched just before).
    ///
    /// # Errors
    /// Only when the cloud cannot be asked at all; what could not be deleted is in the report.
    pub async fn teardown(&self) -> Result<TeardownReport> {
        Box::pin(self.inner.teardown(false)).await
    }

    /// As [`Fleet::teardown`], for everything of the owner: other fleets too.
    ///
    /// # Errors
    /// As [`Fleet::teardown`].
    pub async fn sweep(&self) -> Result<TeardownReport> {
        Box::pin(self.inner.teardown(true)).await
    }
}

/// The seed of the jitter: different for fleets that start at the same moment.
fn seed(config: &Config) -> u64 {
    let text = config.owner.as_str().bytes().chain([b'/']).chain(config.name.as_str().bytes());
    // FNV-1a
    text.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
