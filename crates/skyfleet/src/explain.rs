use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use skyfleet_core::{Arch, Counts, Market, OfferId, QuotaId, Scope, Timestamp, UsdPerHour};

use crate::search::{Rule, needs_prices};
use crate::{Candidate, Search};

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
        /// What it counts.
        counts: Counts,
        /// The account's limit.
        limit: u32,
        /// What is used of it.
        used: u32,
        /// What one instance needs.
        needs: u32,
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
            Self::Quota { id, counts, limit, used, needs } => write!(
                f,
                "needs {needs} {counts} of quota {id}, which has {} left of {limit}",
                limit.saturating_sub(*used)
            ),
        }
    }
}

impl Search {
    /// What does not fit, in the order of the catalogue, with the reason. Made as it is read.
    pub fn rejections(&self) -> impl Iterator<Item = Rejection> {
        let rules = self.verdicts.iter().enumerate();
        rules.filter_map(|(n, rule)| rule.map(|rule| self.rejection(n, rule)))
    }

    /// What became of one offer: `Ok` for a candidate; `None` for an offer that nobody sells.
    pub fn explain(&self, id: &OfferId) -> Option<Result<Candidate<'_>, Rejection>> {
        let n = self.catalogue.find(id)?;
        Some(match self.verdicts[n] {
            Some(rule) => Err(self.rejection(n, rule)),
            None => Ok(self.candidate_at(n)),
        })
    }

    /// How many offers each rule removed, nearest misses first: the rules are applied in order, so
    /// that an offer which the last one removed had passed all others.
    pub fn tallies(&self) -> Vec<Tally> {
        let mut tallies = BTreeMap::<Rule, (u32, i64, usize)>::new();
        for (n, rule) in self.verdicts.iter().enumerate() {
            let Some(rule) = *rule else { continue };
            let size = self.size(n, rule);
            let tally = tallies.entry(rule).or_insert((0, size, n));
            tally.0 += 1;
            if size > tally.1 {
                (tally.1, tally.2) = (size, n);
            }
        }
        let tally = |(rule, (count, _, n))| Tally { count, nearest: self.rejection(n, rule) };
        tallies.into_iter().rev().map(tally).collect()
    }

    /// How near an offer is to passing a rule: more is nearer.
    fn size(&self, n: usize, rule: Rule) -> i64 {
        let row = &self.catalogue.rows()[n];
        let kind = &self.catalogue.types[row.kind as usize];
        let gpu = |number: fn(&skyfleet_core::Gpu) -> u32| kind.gpu.as_ref().map_or(0, number).into();
        match rule {
            Rule::Vcpus => kind.vcpus.into(),
            Rule::Memory => kind.memory_mib.into(),
            Rule::GpuCount => gpu(|g| g.count),
            Rule::GpuMemory => gpu(|g| g.memory_mib),
            Rule::LocalSsd => kind.local_ssd_gib.into(),
            Rule::PriceMax => -self.price(n),
            _ => 0,
        }
    }

    fn rejection(&self, n: usize, rule: Rule) -> Rejection {
        let offer = &self.catalogue.offers()[n];
        let row = &self.catalogue.rows()[n];
        let kind = &offer.instance_type;
        let gpu = kind.gpu.as_ref();
        let wanted = self.need.gpu.clone().unwrap_or_default();
        let price = || UsdPerHour::from_micros(self.price(n));
        let why = match rule {
            Rule::Market => Why::Market { has: offer.market },
            Rule::Region => Why::Region,
            Rule::Zone => Why::Zone,
            Rule::Type => Why::Type,
            Rule::Arch => Why::Arch { needs: self.need.arch.unwrap_or(kind.arch), has: kind.arch },
            Rule::Vcpus => Why::Vcpus { needs: self.need.vcpus.unwrap_or(0), has: kind.vcpus },
            Rule::Memory => {
                Why::Memory { needs_gib: self.need.memory_gib.unwrap_or(0), has_mib: kind.memory_mib }
            }
            Rule::GpuModel => Why::GpuModel { needs: wanted.model, has: gpu.map(|g| g.model.to_string()) },
            Rule::GpuCount => {
                Why::GpuCount { needs: wanted.count.unwrap_or(0), has: gpu.map_or(0, |g| g.count) }
            }
            Rule::GpuMemory => Why::GpuMemory {
                needs_gib: wanted.memory_gib.unwrap_or(0),
                has_mib: gpu.map_or(0, |g| g.memory_mib),
            },
            Rule::LocalSsd => {
                Why::LocalSsd { needs_gib: self.need.local_ssd_gib.unwrap_or(0), has_gib: kind.local_ssd_gib }
            }
            Rule::UnknownPrice => {
                Why::UnknownPrice { limit: needs_prices(&self.limits).filter(|_| self.limits.unknown_prices) }
            }
            Rule::PriceMax => {
                Why::PriceMax { price: price(), max: self.limits.price_max.unwrap_or_default() }
            }
            Rule::DearerThanOnDemand => {
                Why::DearerThanOnDemand { price: price(), on_demand: UsdPerHour::from_micros(row.on_demand) }
            }
            Rule::SoldOut => Why::SoldOut,
            Rule::Closed => match self.memory.closed(offer, self.now) {
                Some((scope, until)) => Why::Closed { scope: scope.clone(), until },
                None => Why::SoldOut,
            },
            Rule::Quota => {
                let full = offer.quotas.iter().find_map(|draw| {
                    let (quota, needs) = (self.quotas.get(&draw.quota)?, draw.counts.units(kind));
                    (quota.left() < needs).then_some((draw, quota, needs))
                });
                match full {
                    Some((draw, quota, needs)) => Why::Quota {
                        id: draw.quota.clone(),
                        counts: draw.counts,
                        limit: quota.limit,
                        used: quota.used,
                        needs,
                    },
                    None => Why::SoldOut,
                }
            }
        };
        Rejection { offer: offer.id(), why }
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
                Why::Quota { id: "r/q".into(), counts: Counts::Vcpus, limit: 10, used: 9, needs: 2 },
                "needs 2 vCPUs of quota r/q, which has 1 left of 10",
            ),
        ] {
            assert_eq!(why.to_string(), text);
        }
    }
}
