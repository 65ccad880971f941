use std::fmt;

use serde::Serialize;
use skyfleet_core::{Arch, Market, OfferId, QuotaId, Scope, Timestamp, UsdPerHour};

/// Why an offer is not a candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rejection {
    /// Which offer.
    pub offer: OfferId,
    /// The first rule that removed it.
    pub why: Why,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.offer, self.why)
    }
}

/// How many offers one rule removed, and the one that came nearest to being a candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tally {
    /// How many offers.
    pub count: u32,
    /// The largest, or the cheapest, of them.
    pub nearest: Rejection,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {} ({})", self.count, self.nearest.why, self.nearest.offer)
    }
}

/// The rules that remove an offer, in the order in which they are applied: what was asked for, then
/// money, then what can be had now. `Display` says it with the numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
#[non_exhaustive]
pub enum Why {
    /// It is sold on a market that is not wanted.
    Market {
        /// How it is sold.
        has: Market,
    },
    /// Its region is not among those listed.
    Region,
    /// Its zone is not among those listed.
    Zone,
    /// Its type is not among those listed.
    Type,
    /// Another instruction set.
    Arch {
        /// What is needed.
        needs: Arch,
        /// What it has.
        has: Arch,
    },
    /// Too few vCPUs.
    Vcpus {
        /// What is needed.
        needs: u32,
        /// What it has.
        has: u32,
    },
    /// Too little memory.
    Memory {
        /// What is needed, in GiB.
        needs_gib: u32,
        /// What it has, in MiB.
        has_mib: u32,
    },
    /// Another GPU model, or none.
    GpuModel {
        /// What is needed; `None` is any.
        needs: Option<String>,
        /// What it has.
        has: Option<String>,
    },
    /// Too few GPUs.
    GpuCount {
        /// What is needed.
        needs: u32,
        /// What it has.
        has: u32,
    },
    /// Too little memory on each GPU.
    GpuMemory {
        /// What is needed, in GB as vendors count them.
        needs_gib: u32,
        /// What it has, in MiB.
        has_mib: u32,
    },
    /// Too little local SSD.
    LocalSsd {
        /// What is needed, in GiB.
        needs_gib: u32,
        /// What it has, in GiB.
        has_gib: u32,
    },
    /// Nobody knows its price, and that is not allowed.
    UnknownPrice {
        /// The limit that could not be kept without one, where unknown prices are allowed.
        limit: Option<&'static str>,
    },
    /// It costs more than one instance may.
    PriceMax {
        /// What it costs.
        price: UsdPerHour,
        /// What it may cost.
        max: UsdPerHour,
    },
    /// It costs more than the same instance on demand: there is nothing to gain for the risk.
    DearerThanOnDemand {
        /// What it costs.
        price: UsdPerHour,
        /// What it costs on demand.
        on_demand: UsdPerHour,
    },
    /// The cloud says that it cannot be had now.
    SoldOut,
    /// A launch failed there lately.
    Closed {
        /// What is closed.
        scope: Scope,
        /// Until when.
        until: Timestamp,
    },
    /// A quota of the account has no room for one instance of it.
    Quota {
        /// Which quota.
        id: QuotaId,
        /// The account's limit, in vCPUs.
        limit_vcpus: u32,
        /// What is used of it, in vCPUs.
        used_vcpus: u32,
        /// What one instance needs.
        needs_vcpus: u32,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Market { has } => write!(f, "sold {has}, fleet.market wants the other market"),
            Self::Region => f.write_str("its region is not in need.regions"),
            Self::Zone => f.write_str("its zone is not in need.zones"),
            Self::Type => f.write_str("its type is not in need.types"),
            Self::Arch { needs, has } => write!(f, "needs {needs}, is {has}"),
            Self::Vcpus { needs, has } => write!(f, "needs {needs} vCPUs, has {has}"),
            Self::Memory { needs_gib, has_mib } => {
                write!(f, "needs {needs_gib} GiB of memory, has {}", Gib(*has_mib))
            }
            Self::GpuModel { needs, has } => {
                let needs = needs.as_deref().unwrap_or("any");
                write!(f, "needs GPU {needs}, has {}", has.as_deref().unwrap_or("none"))
            }
            Self::GpuCount { needs, has } => write!(f, "needs {needs} GPUs, has {has}"),
            Self::GpuMemory { needs_gib, has_mib } => {
                write!(f, "needs {needs_gib} GB of memory on each GPU, has {}", Gib(*has_mib))
            }
            Self::LocalSsd { needs_gib, has_gib } => {
                write!(f, "needs {needs_gib} GiB of local SSD, has {has_gib}")
            }
            Self::UnknownPrice { limit: None } => {
                f.write_str("its price is not known, and limits.unknown_prices is false")
            }
            Self::UnknownPrice { limit: Some(limit) } => {
                write!(f, "its price is not known, and {limit} cannot be kept without one")
            }
            Self::PriceMax { price, max } => write!(f, "costs {price}, limits.price_max_usd is {max}"),
            Self::DearerThanOnDemand { price, on_demand } => {
                write!(f, "costs {price} spot and {on_demand} on demand")
            }
            Self::SoldOut => f.write_str("the cloud says it is sold out"),
            Self::Closed { scope, until } => {
                write!(f, "a launch failed there lately: {scope} is left alone until {until:.0}")
            }
            Self::Quota { id, limit_vcpus, used_vcpus, needs_vcpus } => write!(
                f,
                "needs {needs_vcpus} vCPUs of quota {id}, which has {} left of {limit_vcpus}",
                limit_vcpus.saturating_sub(*used_vcpus)
            ),
        }
    }
}

/// MiB, printed as GiB.
struct Gib(u32);

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (u64::from(self.0) * 10 + 512) / 1_024;
        match tenths % 10 {
            0 => write!(f, "{}", tenths / 10),
            rest => write!(f, "{}.{rest}", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_the_numbers() {
        let usd = UsdPerHour::from_micros;
        for (why, text) in [
            (Why::Vcpus { needs: 8, has: 2 }, "needs 8 vCPUs, has 2"),
            (Why::Memory { needs_gib: 4, has_mib: 3_840 }, "needs 4 GiB of memory, has 3.8"),
            (Why::GpuModel { needs: Some("T4".into()), has: None }, "needs GPU T4, has none"),
            (
                Why::PriceMax { price: usd(50_000), max: usd(30_000) },
                "costs $0.05/h, limits.price_max_usd is $0.03/h",
            ),
            (
                Why::Quota { id: "r/q".into(), limit_vcpus: 10, used_vcpus: 9, needs_vcpus: 2 },
                "needs 2 vCPUs of quota r/q, which has 1 left of 10",
            ),
        ] {
            assert_eq!(why.to_string(), text);
        }
    }
}
