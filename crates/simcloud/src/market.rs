use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{OfferId, Price, Timestamp, TypeName, UsdPerHour, Zone};

use crate::catalog::{Cloud, Scarcity};

/// How spot prices and spot capacity move, for all pools of a world.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketConfig {
    /// Which process.
    pub process: Process,
    /// The chance per hour that one running spot instance is taken back, in place of the
    /// catalogue's. As a rate: above 1 is possible.
    pub reclaim_per_hour: Option<f64>,
    /// The steps of a trace, ordered by time.
    #[serde(skip)]
    pub trace: Arc<[TraceStep]>,
}

/// How spot prices and spot capacity move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Process {
    /// Prices stand still and nothing is taken back, unless `reclaim_per_hour` says so.
    Constant,
    /// Drawn from the seed, at each cloud's own pace.
    #[default]
    Seeded,
    /// Read from a file: see [`TraceStep`].
    Trace,
}

/// One line of a trace: from this time on the pool holds so many spot instances, at this price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceStep {
    /// Seconds since the world started.
    pub time_s: f64,
    /// The zone; absent means all zones.
    #[serde(default)]
    pub zone: Option<Zone>,
    /// The type; absent means all types.
    #[serde(default)]
    pub instance_type: Option<TypeName>,
    /// How many spot instances the pool holds from now on; absent leaves it as it is.
    #[serde(default)]
    pub capacity: Option<u32>,
    /// What an hour costs from now on, in dollars; absent leaves it as it is.
    #[serde(default)]
    pub price_usd_per_hour: Option<f64>,
}

/// What the market needs to know of a pool.
#[derive(Clone, Debug)]
pub struct SpotPool<'a> {
    /// Whose pace.
    pub cloud: Cloud,
    /// The pool.
    pub offer: &'a OfferId,
    /// The catalogue's spot price.
    pub price: Price,
    /// The on-demand price of the same type and zone: spot never costs more.
    pub on_demand: Option<UsdPerHour>,
    /// How hard its capacity is to keep.
    pub scarcity: Scarcity,
}

/// The spot market of one pool: its price is a pure function of the time, its reclaims a small
/// state that the world moves.
///
/// The world keeps one per spot pool that it uses, tells it how many instances run
/// ([`set_running`](SpotMarket::set_running)), schedules one event at
/// [`next_change`](SpotMarket::next_change), and then asks [`advance`](SpotMarket::advance) what
/// happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpotMarket {
    base: Price,
}

/// What happened to a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// How many of the running instances are taken back, by a cause of their own. The world
    /// chooses which.
    pub reclaims: u32,
    /// The most spot instances that the pool holds now: running ones above it are taken back too.
    /// `None` when the market sets no limit.
    pub capacity: Option<u32>,
}

impl SpotMarket {
    /// The market of one pool. The same seed and pool give the same market, whenever it is made.
    pub fn new(_config: &MarketConfig, _seed: u64, pool: &SpotPool<'_>, _world_start: Timestamp) -> Self {
        Self { base: pool.price }
    }

    /// What an hour costs at a time. Pure.
    pub fn price_at(&self, _at: Timestamp) -> Price {
        self.base
    }

    /// When the price moves next; `None` when it never does. Pure.
    pub fn next_price_change(&self, _after: Timestamp) -> Option<Timestamp> {
        None
    }

    /// Says how many spot instances run in the pool from now on.
    pub fn set_running(&mut self, _running: u32, _now: Timestamp) {}

    /// When something happens next to the capacity or to a running instance.
    pub fn next_change(&self) -> Option<Timestamp> {
        None
    }

    /// Moves the market to `now` and says what happened since the last call.
    pub fn advance(&mut self, _now: Timestamp) -> Change {
        Change::default()
    }

    /// The most spot instances that the pool holds, as of the last
    /// [`advance`](SpotMarket::advance); `None` when the market sets no limit.
    pub fn capacity(&self) -> Option<u32> {
        None
    }
}
