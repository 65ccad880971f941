use skyfleet_core::{Market, PoolBid, Region, Result, Spread, Usd, UsdPerHour};

use crate::{Search, Spec};

/// What will be bought, before any money is spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The launches, in the order in which they are tried.
    pub lots: Vec<Lot>,
    /// What it costs if everything goes as expected.
    pub expected: Cost,
    /// What it costs at most.
    pub worst: Cost,
}

/// One bulk launch to be made.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The whole fleet, per hour, with disks and addresses.
    pub per_hour: UsdPerHour,
    /// Over the fleet's lifetime; `None` when it has no limit.
    pub total: Option<Usd>,
}

/// Plans `count` instances out of a search. Pure.
///
/// # Errors
/// `NoCapacity`, `QuotaExceeded` or `BudgetExceeded`, each saying what is missing and what would
/// be enough.
pub fn plan(spec: &Spec, found: &Search, count: u32) -> Result<Plan> {
    let _ = (spec, found, count);
    todo!()
}
