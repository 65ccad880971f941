use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, ErrorKind, Market, Region, Result, TypeName, Zone};

use crate::catalog::{Catalog, Cloud};

/// Something that goes wrong on purpose. A scenario file and the admin face say it in the same
/// words; the world applies it.
///
/// `cloud` is which simulated cloud is meant; absent means the one that the world plays. Faults draw from the
/// world's seed: the same seed and the same calls get the same answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// At most `available` more instances of a type can start in a zone; `None` lifts it.
    Capacity {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// The zone; on Azure also a region alone, for launches without a zone.
        zone: Zone,
        /// The type; absent means every type of the zone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance_type: Option<TypeName>,
        /// Which markets.
        #[serde(default)]
        market: Markets,
        /// How many more can start; absent or null lifts.
        #[serde(default)]
        available: Option<u32>,
    },
    /// Calls above a rate get the cloud's own throttling answer.
    Throttle {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Calls per second; absent or null lifts.
        #[serde(default)]
        rps: Option<f64>,
        /// How many calls may come at once; at least 1.
        #[serde(default)]
        burst: Option<u32>,
        /// Only this API action; absent means all of them together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
    },
    /// Sets a quota, by the cloud's own name for it.
    Quota {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// In which region; `global` for a quota over all regions.
        region: Region,
        /// `L-34B43A08`, `PREEMPTIBLE_CPUS`, `lowPriorityCores`.
        name: String,
        /// In vCPUs; absent or null goes back to the catalogue's own limit.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Takes running spot instances back. Exactly one of `instance_id`, `nth` and `count` says
    /// which.
    Preempt {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// This one, by the cloud's own id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance_id: Option<String>,
        /// The nth-launched of the spot instances that run at that time, counted from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nth: Option<u32>,
        /// This many of them, drawn from the seed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        /// The lead time in seconds; absent means the cloud's own.
        #[serde(default, alias = "notice_s", skip_serializing_if = "Option::is_none")]
        notice_seconds: Option<f64>,
    },
    /// A size may not be used by the subscription in a region (Azure).
    SkuRestriction {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Where.
        region: Region,
        /// Which size.
        instance_type: TypeName,
        /// False lifts.
        #[serde(default = "yes")]
        on: bool,
    },
    /// Answers fail.
    Error {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Only this API action; absent means every action.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// The chance that one answer fails, 0 to 1.
        #[serde(default = "always")]
        probability: f64,
        /// The HTTP status of the answer.
        #[serde(default = "service_unavailable")]
        status: u16,
        /// The cloud's error code in the answer; absent means its own code for an outage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Whether the cloud acted.
        #[serde(default)]
        when: When,
    },
    /// Answers are slow.
    Latency {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// Only this API action; absent means every action.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// By how many milliseconds; 0 lifts.
        ms: u64,
    },
    /// Lists show the world as it was some time ago.
    Stale {
        /// Which cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<Cloud>,
        /// How many seconds ago; 0 lifts.
        seconds: f64,
    },
}

/// Which markets a fault or a setting is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Markets {
    /// Both.
    #[default]
    All,
    /// Spot only.
    Spot,
    /// On-demand only.
    OnDemand,
}

impl Markets {
    /// Whether a market is meant.
    pub fn contains(self, market: Market) -> bool {
        match self {
            Self::All => true,
            Self::Spot => market == Market::Spot,
            Self::OnDemand => market == Market::OnDemand,
        }
    }
}

/// On which side of a failed answer the cloud acted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The cloud refused before it did anything.
    #[default]
    Before,
    /// The cloud acted, and the answer was lost.
    After,
}

fn yes() -> bool {
    true
}

fn always() -> f64 {
    1.0
}

fn service_unavailable() -> u16 {
    503
}

impl Fault {
    /// Which cloud is meant; `None` is the one that the world plays.
    pub fn cloud(&self) -> Option<Cloud> {
        match self {
            Self::Capacity { cloud, .. }
            | Self::Throttle { cloud, .. }
            | Self::Quota { cloud, .. }
            | Self::Preempt { cloud, .. }
            | Self::SkuRestriction { cloud, .. }
            | Self::Error { cloud, .. }
            | Self::Latency { cloud, .. }
            | Self::Stale { cloud, .. } => *cloud,
        }
    }

    /// The word of the key `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Capacity { .. } => "capacity",
            Self::Throttle { .. } => "throttle",
            Self::Quota { .. } => "quota",
            Self::Preempt { .. } => "preempt",
            Self::SkuRestriction { .. } => "sku-restriction",
            Self::Error { .. } => "error",
            Self::Latency { .. } => "latency",
            Self::Stale { .. } => "stale",
        }
    }

    /// Checks what the shape alone cannot say: numbers in range, one way to choose, and names that
    /// the catalogue has.
    ///
    /// # Errors
    /// `InvalidRequest`, with the key and what would be right.
    pub fn check(&self, _catalog: &Catalog) -> Result<()> {
        let _ = Error::new(ErrorKind::InvalidRequest, "");
        Ok(())
    }
}
