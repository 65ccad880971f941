use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Market, OfferId, PoolBid, Region, Result, Spread, Usd, UsdPerHour, Zone};

use crate::{Search, Spec};

/// What will be bought, before any money is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The launches, in the order in which they are tried.
    pub lots: Vec<Lot>,
    /// How many instances were asked for and find no place now, by quota.
    pub missing: u32,
    /// What it costs if everything goes as expected.
    pub expected: Cost,
    /// What it costs at most.
    pub worst: Cost,
}

impl Plan {
    /// How many instances it buys.
    pub fn count(&self) -> u32 {
        self.lots.iter().map(|lot| lot.count).sum()
    }
}

/// One bulk launch to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// Where.
    pub region: Region,
    /// How it is bought.
    pub market: Market,
    /// From which pools, best first.
    pub pools: Vec<PoolBid>,
    /// How many instances are expected from each pool, beside `pools`.
    pub expected: Vec<u32>,
    /// How many instances all together.
    pub count: u32,
    /// How they lie over the pools.
    pub spread: Spread,
}

/// An hourly and, where the lifetime is limited, a total cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The whole plan, per hour.
    pub per_hour: UsdPerHour,
    /// Over the rest of the fleet's lifetime; `None` when it has no limit.
    pub total: Option<Usd>,
    /// How many instances have no known price: they are in neither sum.
    pub unpriced: u32,
}

/// What a plan must reckon with beside the spec: what the fleet has already, and what the caller
/// wants of this one purchase. The default is a new fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How many instances the fleet has.
    pub instances: u32,
    /// How many of them are on-demand.
    pub on_demand: u32,
    /// What they cost per hour.
    pub per_hour: UsdPerHour,
    /// What the fleet has cost so far.
    pub spent: Usd,
    /// How old the fleet is.
    pub age: Duration,
    /// What disk and address of one instance cost per hour, where that is known.
    pub extras: UsdPerHour,
    /// Whether the provider honours a highest price
    /// ([`Capability::price_max`](skyfleet_core::Capability::price_max)).
    pub bids: bool,
    /// Buy on this market, whatever the mix says.
    pub market: Option<Market>,
    /// Buy in this zone: where a single-zone fleet lives.
    pub zone: Option<Zone>,
    /// Pools to leave alone while there are others.
    pub avoid: Vec<OfferId>,
}

/// Plans `count` more instances out of a search. Pure.
///
/// # Errors
/// `NoCapacity`, `QuotaExceeded` or `BudgetExceeded`, each saying what is missing and what would
/// be enough; `InvalidRequest` when no offer of the cloud can ever fit.
pub fn plan(spec: &Spec, found: &Search, count: u32, terms: &Terms) -> Result<Plan> {
    let _ = (spec, found, count, terms);
    todo!()
}
