use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Draw, QuotaId, Region, TypeName, UsdPerHour, Zone};

/// The processor's instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

/// How an instance is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Cheap, and the cloud may take it back.
    Spot,
    /// At the list price, until it is given back.
    OnDemand,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        })
    }
}

/// The accelerators of an instance type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gpu {
    /// The vendor's model name, without the vendor: `T4`, `A100`, `H100`.
    pub model: Arc<str>,
    /// How many of them one instance has. A share of one accelerator counts as 1: see the memory.
    pub count: u32,
    /// The memory of each, in MiB.
    pub memory_mib: u32,
}

/// What a machine of this type is, wherever it is sold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceType {
    /// The cloud's name for it.
    pub name: TypeName,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// The instruction set.
    pub arch: Arch,
    /// Accelerators, if it has any.
    pub gpu: Option<Gpu>,
    /// Local SSD that ends with the instance, all together, in GiB; 0 when there is none.
    pub local_ssd_gib: u32,
}

/// The hourly price of one instance, or the fact that nobody knows it. Unknown is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Price {
    /// What an hour costs.
    Known(UsdPerHour),
    /// The cloud sells it, and no source that was asked has a price for it.
    Unknown,
}

impl Price {
    /// The price, when there is one.
    pub fn known(self) -> Option<UsdPerHour> {
        match self {
            Self::Known(price) => Some(price),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(price) => price.fmt(f),
            Self::Unknown => f.pad("unknown"),
        }
    }
}

/// What is known of an offer's capacity now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// The cloud says that it can be had.
    Open,
    /// The cloud says that it cannot be had now.
    SoldOut,
    /// The cloud does not say: only a launch can tell.
    Unknown,
}

/// Names the unit that is sold: instance type × zone × market.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OfferId {
    /// Where.
    pub zone: Zone,
    /// What.
    pub instance_type: TypeName,
    /// How it is bought.
    pub market: Market,
}

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {} {}", self.zone, self.instance_type, self.market))
    }
}

/// The unit that is sold: an instance type, in a zone, on a market, at a price.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offer {
    /// What a machine of it is.
    pub instance_type: Arc<InstanceType>,
    /// The region of the zone.
    pub region: Region,
    /// Where it is sold.
    pub zone: Zone,
    /// How it is bought.
    pub market: Market,
    /// What an hour of one instance costs, without disk and address.
    pub price: Price,
    /// What is known of its capacity.
    pub availability: Availability,
    /// The quotas that an instance of it draws on.
    pub quotas: Arc<[Draw]>,
}

impl Offer {
    /// The name of this offer.
    pub fn id(&self) -> OfferId {
        OfferId {
            zone: self.zone.clone(),
            instance_type: self.instance_type.name.clone(),
            market: self.market,
        }
    }

    /// The quotas that it draws on, each with the units that one instance takes of it.
    pub fn draws(&self) -> impl Iterator<Item = (&QuotaId, u32)> {
        self.quotas.iter().map(|draw| (&draw.quota, draw.counts.units(&self.instance_type)))
    }
}
