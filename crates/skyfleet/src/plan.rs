use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{
    Error, ErrorKind, Market, OfferId, PoolBid, Region, Result, Spread, Usd, UsdPerHour, Zone,
};

use crate::lots::{Draft, Order, Placer, Pool, instances};
use crate::purse::{Purse, Sum};
use crate::{Candidate, Fulfilment, MarketMix, Search, Spec, Tally, Why, ZoneMode};

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
/// Each lot holds up to 20 pools of one region and market: the best-ranked one and what is ranked
/// within a quarter of its price, at most 10 of them in one zone unless all must be in one. All pools
/// of a lot go into one bulk launch, so that a dry one costs no further call. A second lot is made only
/// where the quotas end before the count does; regions that hold what a launch did not obtain come
/// in with the next plan.
///
/// Quotas and limits are kept at worst, not on average: every instance of a lot might come from its
/// largest or its dearest pool. The worst price of a spot pool is what the same type costs there on
/// demand, or `limits.price_max` where that is less and the provider takes bids; where neither is known,
/// the price now. `limits.usd_per_hour_max` holds at that price, and `limits.budget` for the rest of the
/// lifetime, or for one hour where `limits.lifetime_max` is not set. Where they are short, the pools with
/// the highest worst price are left out first. Disk and address count as far as [`Terms::extras`] knows
/// them.
///
/// With [`Fulfilment::AllOrNothing`] the whole count must find a place, with
/// [`Fulfilment::Greedy`] what is missing to `spec.min`, with [`Fulfilment::BestEffort`] one.
///
/// # Errors
/// `NoCapacity`, `QuotaExceeded` or `BudgetExceeded`, each saying what is missing and what would
/// be enough; `InvalidRequest` when no offer of the cloud can ever fit.
pub fn plan(spec: &Spec, found: &Search, count: u32, terms: &Terms) -> Result<Plan> {
    let wanted = markets(spec, count, terms);
    let needed = match spec.fulfilment {
        Fulfilment::AllOrNothing => count,
        Fulfilment::Greedy => spec.min.saturating_sub(terms.instances).clamp(1, count.max(1)),
        Fulfilment::BestEffort => 1,
    };
    let purse = Purse::new(&spec.limits, terms);
    let mut cheapest = Vec::new();
    for order in [Order::Rank, Order::Ceiling] {
        let mut drafts = place(spec, found, terms, order, &wanted);
        if instances(&drafts) < needed.min(count) {
            return Err(no_place(found, terms, &wanted, instances(&drafts), needed));
        }
        if purse.trim(&mut drafts) {
            return Ok(finish(spec, found, terms, &purse, drafts, count));
        }
        cheapest = drafts;
    }
    Err(purse.too_dear(&cheapest))
}

/// How many on which market, in the order in which they are bought.
fn markets(spec: &Spec, count: u32, terms: &Terms) -> Vec<(Market, u32)> {
    let on_demand = match (terms.market, &spec.market) {
        (Some(Market::OnDemand), _) | (None, MarketMix::OnDemand) => count,
        (Some(Market::Spot), _) | (None, MarketMix::Spot) => 0,
        (None, MarketMix::Mixed { on_demand_share, .. }) => {
            let all = f64::from(terms.instances.saturating_add(count));
            ((on_demand_share * all).ceil() as u32).saturating_sub(terms.on_demand).min(count)
        }
    };
    let wanted = [(Market::OnDemand, on_demand), (Market::Spot, count - on_demand)];
    wanted.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn place(spec: &Spec, found: &Search, terms: &Terms, order: Order, wanted: &[(Market, u32)]) -> Vec<Draft> {
    let place = |avoid: &[OfferId]| {
        let placer = Placer::new(found, terms, spec.limits.price_max, order, avoid);
        match spec.zones {
            ZoneMode::Single => placer.in_one_zone(wanted),
            ZoneMode::Multi => placer.anywhere(wanted),
        }
    };
    let drafts = place(&terms.avoid);
    let asked: u32 = wanted.iter().map(|(_, count)| count).sum();
    if terms.avoid.is_empty() || instances(&drafts) >= asked {
        return drafts;
    }
    let all = place(&[]);
    if instances(&all) > instances(&drafts) { all } else { drafts }
}

fn finish(
    spec: &Spec,
    found: &Search,
    terms: &Terms,
    purse: &Purse<'_>,
    drafts: Vec<Draft>,
    count: u32,
) -> Plan {
    let missing = count - instances(&drafts);
    let (mut expected, mut worst) = (Sum::default(), Sum::default());
    let mut lots = Vec::with_capacity(drafts.len());
    for draft in drafts {
        worst.add(draft.ceiling(), terms.extras, draft.count);
        let shares = shares(found, &draft);
        for (pool, share) in draft.pools.iter().zip(&shares) {
            expected.add(pool.price, terms.extras, *share);
        }
        let price_max = spec.limits.price_max.filter(|_| terms.bids && draft.market == Market::Spot);
        let offers = found.catalogue().offers();
        let bid = |pool: &Pool| PoolBid { offer: offers[pool.row].id(), price_max };
        lots.push(Lot {
            region: draft.region,
            market: draft.market,
            pools: draft.pools.iter().map(bid).collect(),
            expected: shares,
            count: draft.count,
            spread: match spec.zones {
                ZoneMode::Single => Spread::SingleZone,
                ZoneMode::Multi => Spread::Even,
            },
        });
    }
    Plan { lots, missing, expected: purse.cost(&expected), worst: purse.cost(&worst) }
}

/// Evenly, the better pools first. From a pool that was dry lately none is expected while there
/// are others.
fn shares(found: &Search, draft: &Draft) -> Vec<u32> {
    let probes = draft.pools.iter().filter(|pool| found.probing(pool.row)).count();
    let all = probes == draft.pools.len();
    let sharing = if all { probes } else { draft.pools.len() - probes } as u32;
    let (each, mut rest) = (draft.count / sharing, draft.count % sharing);
    let share = |pool: &Pool| {
        if !all && found.probing(pool.row) {
            return 0;
        }
        let one_more = u32::from(rest > 0);
        rest -= one_more;
        each + one_more
    };
    draft.pools.iter().map(share).collect()
}

/// Why fewer than needed find a place.
fn no_place(found: &Search, terms: &Terms, wanted: &[(Market, u32)], placed: u32, needed: u32) -> Error {
    let tallies = found.tallies();
    let (kind, message) = if found.ranked().is_empty() {
        let kind = match tallies.first().map(|tally| &tally.nearest.why) {
            Some(Why::Quota { .. }) => ErrorKind::QuotaExceeded,
            _ if found.may_pass() => ErrorKind::NoCapacity,
            Some(Why::PriceMax { .. }) => ErrorKind::BudgetExceeded,
            _ => ErrorKind::InvalidRequest,
        };
        let nearest: Vec<String> = tallies.iter().take(REASONS_MAX).map(Tally::to_string).collect();
        let offers = found.catalogue().offers().len();
        (kind, format!("none of {offers} offers will do; nearest misses: {}", nearest.join("; ")))
    } else {
        let usable = |c: &Candidate<'_>| {
            wanted.iter().any(|(market, _)| *market == c.offer.market)
                && terms.zone.as_ref().is_none_or(|zone| *zone == c.offer.zone)
        };
        let left = found.quotas_left();
        let ids: BTreeSet<_> =
            found.candidates().filter(usable).flat_map(|c| c.offer.quotas.iter()).collect();
        let mut quotas: Vec<_> = ids.into_iter().filter_map(|id| Some((*left.get(id)?, id))).collect();
        quotas.sort_unstable_by(|a, b| b.cmp(a));
        let quotas: Vec<String> = (quotas.iter().take(REASONS_MAX))
            .map(|(left, id)| format!("quota {id} has {left} vCPUs left"))
            .collect();
        let room = format!("there is room for {placed} of the {needed} instances that are needed");
        match quotas.is_empty() {
            true => {
                let markets: Vec<String> = wanted.iter().map(|(market, _)| market.to_string()).collect();
                let zone = terms.zone.as_ref().map_or(String::new(), |zone| format!(" in zone {zone}"));
                (ErrorKind::NoCapacity, format!("{room}: too few offers {}{zone}", markets.join(" and ")))
            }
            false => (
                ErrorKind::QuotaExceeded,
                format!("{room}: {}; fleet.target = {placed} would fit", quotas.join(", ")),
            ),
        }
    };
    Error::new(kind, message).with("needed", needed).with("possible", placed)
}

/// How many reasons an error names.
const REASONS_MAX: usize = 3;
