use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Arch, Region, TypeName, Usd, UsdPerHour, Zone};

/// What the user wants, in neutral words: nothing in here knows a cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What each instance must be.
    pub need: Need,
    /// How many instances at most, and what the fleet grows back to.
    pub target: u32,
    /// Fewer than this and the launch failed.
    pub min: u32,
    /// What to do while the target is not reached.
    pub fulfilment: Fulfilment,
    /// How long a launch may try; `None` is one pass over all candidates.
    pub deadline: Option<Duration>,
    /// One zone, or as many as there are.
    pub zones: ZoneMode,
    /// Spot, on-demand, or both.
    pub market: MarketMix,
    /// What may be spent, and how long it may run.
    pub limits: Limits,
    /// The image: `debian-12`, `ubuntu-24.04`, or the cloud's own name for one.
    pub image: String,
    /// The script that each machine runs at its first boot; empty for none.
    pub user_data: String,
    /// The boot disk, in GiB.
    pub disk_gib: u32,
    /// Whether each instance gets a public address.
    pub public_ip: bool,
    /// TCP ports that the internet may reach.
    pub inbound_ports: Vec<u16>,
    /// The user's own labels.
    pub labels: BTreeMap<String, String>,
}

/// What each instance must be. What is not named does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Need {
    /// At least this many vCPUs.
    pub vcpus: Option<u32>,
    /// At least this much memory, in GiB.
    pub memory_gib: Option<u32>,
    /// This instruction set.
    pub arch: Option<Arch>,
    /// These accelerators.
    pub gpu: Option<GpuNeed>,
    /// At least this much local SSD, in GiB.
    pub local_ssd_gib: Option<u32>,
    /// Only these instance types.
    pub types: Vec<TypeName>,
    /// Only these regions.
    pub regions: Vec<Region>,
    /// Only these zones.
    pub zones: Vec<Zone>,
}

/// Which accelerators each instance must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GpuNeed {
    /// The model, without its vendor: `T4`, `A100`. Any when not named.
    pub model: Option<String>,
    /// At least this many.
    pub count: Option<u32>,
    /// At least this much memory on each, in GiB.
    pub memory_gib: Option<u32>,
}

/// What to do while the target is not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fulfilment {
    /// The whole target or nothing: what was bought of a partial fleet is given back.
    AllOrNothing,
    /// Try every candidate until the deadline; below `min`, give everything back.
    #[default]
    Greedy,
    /// Take what one pass over the candidates gives, even below `min`.
    BestEffort,
}

/// One zone, or as many as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneMode {
    /// All instances in one zone: low latency between them, no cross-zone traffic to pay.
    Single,
    /// Spread: one zone that goes dry takes few instances with it.
    #[default]
    Multi,
}

/// Which markets the instances come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarketMix {
    /// Spot only.
    Spot,
    /// On-demand only.
    OnDemand,
    /// Spot, with on-demand beside and behind it.
    Mixed {
        /// This share of the target is on-demand from the start, 0 to 1.
        on_demand_share: f64,
        /// Spot that is not there by then is bought on demand; `None` is never.
        on_demand_after: Option<Duration>,
    },
}

/// What may be spent, and how long it may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// All that this fleet may cost.
    pub budget: Option<Usd>,
    /// What the whole fleet may cost in an hour.
    pub usd_per_hour_max: Option<UsdPerHour>,
    /// What one instance may cost in an hour.
    pub price_max: Option<UsdPerHour>,
    /// The fleet ends itself after this long.
    pub lifetime_max: Option<Duration>,
    /// The fleet ends itself after this long without a sign of work.
    pub idle_max: Option<Duration>,
    /// Whether an offer without a known price may be bought.
    pub unknown_prices: bool,
}

impl Spec {
    /// A spec for `target` spot instances of any kind, spread over zones, without public address.
    pub fn new(target: u32) -> Self {
        Self {
            need: Need::default(),
            target,
            min: 1,
            fulfilment: Fulfilment::default(),
            deadline: None,
            zones: ZoneMode::default(),
            market: MarketMix::Spot,
            limits: Limits::default(),
            image: "debian-12".to_owned(),
            user_data: String::new(),
            disk_gib: 10,
            public_ip: false,
            inbound_ports: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Checks that the values fit together.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, what is wrong with it, and what would be right.
    pub fn check(&self) -> skyfleet_core::Result<()> {
        todo!()
    }
}
