use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use skyfleet_core::layers::{self, Limit};
use skyfleet_core::{Clock, Provider, Result};

use crate::live::Live;
use crate::world::World;

/// Puts layers around a provider, with a clock and the seed of their randomness.
pub(crate) type Layers =
    Arc<dyn Fn(Arc<dyn Provider>, Arc<dyn Clock>, u64) -> Arc<dyn Provider> + Send + Sync>;

/// One provider in one set-up, under test: how it is connected, and what is expected of it.
#[derive(Clone)]
pub struct Arm {
    name: &'static str,
    connect: Arc<dyn Fn(u64) -> Result<World> + Send + Sync>,
    layers: Layers,
    live: Option<Live>,
    pin: PathBuf,
    gaps: Vec<(&'static str, &'static str)>,
}

impl Arm {
    /// An arm with this name: the first part of its cases' names, and the middle part of the file
    /// where its capability is pinned, `tests/capability.<name>.toml` in the crate under test.
    /// With an empty name there is no first part, and the file is `tests/capability.toml`.
    ///
    /// `connect` is called once for each case, with the seed of its randomness: each case has a
    /// provider of its own, and a simulated arm gives it a world of its own, so that nothing
    /// depends on the order. It does no network I/O. It is also called once at the start, to learn
    /// the capability and the levers.
    pub fn new(name: &'static str, connect: impl Fn(u64) -> Result<World> + Send + Sync + 'static) -> Self {
        let file =
            if name.is_empty() { "capability.toml".to_owned() } else { format!("capability.{name}.toml") };
        let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        let layers: Layers = Arc::new(|provider, clock, seed| {
            let limit = Limit::new(clock.clone());
            layers::standard(provider, clock, &limit, seed)
        });
        let pin = root.join("tests").join(file);
        Self { name, connect: Arc::new(connect), layers, live: None, pin, gaps: Vec::new() }
    }

    /// The capability is pinned in another file.
    #[must_use]
    pub fn pinned_in(mut self, file: impl Into<PathBuf>) -> Self {
        self.pin = file.into();
        self
    }

    /// The arm buys on a real cloud, with real money.
    ///
    /// It does nothing unless [`LIVE_VARIABLE`](crate::LIVE_VARIABLE) says for how many dollars it
    /// may at most, and fails when that is no amount above zero. Then its cases run one after the
    /// other; each sweeps its owners before and after. Before each launch the worst that its
    /// instances can cost, until the case and its clean-up have run out of time, is held against
    /// what is left of the cap: what does not fit is not bought, and the case counts as not run.
    /// A clean-up that fails ends all buying. Disks and addresses are not in the account.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.live = Some(Live::from(std::env::var(crate::LIVE_VARIABLE).ok()));
        self
    }

    /// The same with the cap's text in place of the variable.
    #[cfg(test)]
    pub(crate) fn live_with(mut self, cap: Option<&str>) -> Self {
        self.live = Some(Live::from(cap.map(str::to_owned)));
        self
    }

    /// Users have other layers around the provider than [`skyfleet_core::layers::standard`]: these
    /// are put to the proof in their place. They are given the clock and a seed.
    #[must_use]
    pub fn layered_by(
        mut self,
        layers: impl Fn(Arc<dyn Provider>, Arc<dyn Clock>, u64) -> Arc<dyn Provider> + Send + Sync + 'static,
    ) -> Self {
        self.layers = Arc::new(layers);
        self
    }

    /// A clause that the provider is known not to keep yet, and why. Its cases are ignored with
    /// that reason, never passed; when all of them would pass by now, the run fails, so that the
    /// gap is taken out.
    #[must_use]
    pub fn known_gap(mut self, clause: &'static str, reason: &'static str) -> Self {
        self.gaps.push((clause, reason));
        self
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn connect(&self, seed: u64) -> Result<World> {
        (self.connect)(seed)
    }

    pub(crate) fn money(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// Whether it may spend real money in this run.
    pub(crate) fn spends(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.off().is_none())
    }

    pub(crate) fn layers(&self) -> Layers {
        self.layers.clone()
    }

    pub(crate) fn gap(&self, clause: &str) -> Option<&'static str> {
        self.gaps.iter().find(|(id, _)| *id == clause).map(|(_, reason)| *reason)
    }

    /// The clauses named as gaps, with the reason.
    pub(crate) fn gaps(&self) -> &[(&'static str, &'static str)] {
        &self.gaps
    }

    /// The pinned capability as it is written, or how to pin it.
    pub(crate) fn pinned(&self) -> std::result::Result<String, String> {
        std::fs::read_to_string(&self.pin)
            .map_err(|error| format!("no capability is pinned in {}: {error}", self.pin.display()))
    }
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arm")
            .field("name", &self.name)
            .field("pin", &self.pin)
            .field("gaps", &self.gaps)
            .finish()
    }
}
