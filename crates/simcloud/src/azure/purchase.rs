//! Machines that are bought many at once, for fleets and for scale sets.

pub(crate) mod herd;

use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{InstanceType, Market, OfferId, PoolBid, Spread, TypeName, UsdPerHour};

use crate::azure::blueprint::Blueprint;
use crate::azure::error::{self, Told, coded};
use crate::azure::id::Id;
use crate::azure::machines::create;
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::refusal::{Closed, Refusal};
use crate::tags::Tags;

/// In which order sizes are tried. Within one the machines lie evenly over its zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// From what is cheapest.
    LowestPrice,
    /// From what has most room.
    CapacityOptimized,
    /// From all alike: none of them is emptied.
    PriceCapacityOptimized,
    /// In this order.
    Prioritized(Vec<TypeName>),
}

/// A size, and its rank where the sizes are tried in an order.
pub(crate) type Ranked = (Arc<InstanceType>, Option<u32>);

impl Strategy {
    /// In the order of the ranks; what has none comes last.
    pub(crate) fn by_rank(sizes: &[Ranked]) -> Self {
        let mut ranked: Vec<&Ranked> = sizes.iter().collect();
        ranked.sort_by_key(|(_, rank)| rank.unwrap_or(u32::MAX));
        Self::Prioritized(ranked.into_iter().map(|(size, _)| size.name.clone()).collect())
    }
}

/// What came of a purchase.
#[derive(Debug, Default)]
pub(crate) struct Purchase {
    /// The world's launches.
    pub(crate) launches: Vec<u32>,
    /// Those that came to nothing, and why.
    pub(crate) failed: Vec<(Id, OfferId, Told, Duration)>,
    /// Until it is known of all of them what became of them.
    pub(crate) takes: Duration,
}

/// Looks whether a purchase can be made at all, before anything is bought.
///
/// # Errors
/// Why not: the quota has no room for all of them wherever they came from; fewer than the least can be
/// had; no pool may be used, for its price or the subscription.
pub(crate) fn check(
    kernel: &mut Kernel,
    blueprint: &Blueprint,
    count: u32,
    least: u32,
) -> Result<(), Refusal> {
    let pools = &blueprint.pools;
    if count == 0 {
        return Ok(());
    }
    let over = pools.iter().map(|bid| kernel.over_quota(&bid.offer, count));
    let over: Option<Vec<Closed>> = over.collect();
    if let Some(closed) = over.and_then(|over| over.into_iter().next()) {
        return Err(Refusal::Full(closed));
    }
    let (obtainable, reasons) = obtainable(kernel, pools, count);
    let barred = |why: &Closed| matches!(why, Closed::Restricted(_) | Closed::Price { .. });
    match reasons.into_iter().next() {
        Some(why) if obtainable < least.max(1) && (obtainable < least || barred(&why)) => {
            let (status, _) = error::told(&why);
            let told = create::allocation(&why, &blueprint.details);
            Err(coded(status, &told.code, told.message))
        }
        _ => Ok(()),
    }
}

/// How many machines could be had now, and why not more.
fn obtainable(kernel: &mut Kernel, pools: &[PoolBid], count: u32) -> (u32, Vec<Closed>) {
    let (mut left, mut taken, mut reasons) = (count, Vec::new(), Vec::new());
    for bid in pools {
        let Some(pool) = kernel.catalog().offer_index(&bid.offer) else {
            reasons.push(Closed::NotSold(bid.offer.clone()));
            continue;
        };
        let pool = pool as u32;
        kernel.refresh(pool);
        let (fits, why) = kernel.room(pool, bid.price_max, left);
        kernel.occupy(pool, fits, false);
        taken.push((pool, fits));
        left -= fits;
        reasons.extend(why);
        if left == 0 {
            break;
        }
    }
    for (pool, fits) in taken {
        kernel.occupy(pool, fits, true);
    }
    (count - left, reasons)
}

/// Buys as many machines as there are names; those for which there is no room come to nothing, which
/// shows after a while.
///
/// # Errors
/// Those of the world for an order that is none.
pub(crate) fn buy(
    kernel: &mut Kernel,
    state: &mut State,
    blueprint: &Blueprint,
    strategy: &Strategy,
    names: &[Id],
    tags: &Arc<Tags>,
) -> Result<Purchase, Refusal> {
    let (mut purchase, mut left, mut reasons) = (Purchase::default(), names, Vec::new());
    for pools in stages(kernel, &blueprint.pools, strategy) {
        if left.is_empty() {
            break;
        }
        let wanted = left.iter().map(|id| id.to_string().into()).collect();
        let mut order = blueprint.order(wanted, tags);
        (order.pools, order.spread) = (pools, Spread::Even);
        let bought = kernel.launch_part(&order)?;
        reasons.extend(bought.missing.into_iter().map(|missing| missing.why));
        left = left.get(bought.machines.len()..).unwrap_or_default();
        if bought.machines.is_empty() {
            continue;
        }
        let up = bought.machines.iter().map(|view| create::until_up(kernel, view.number)).max();
        purchase.takes = purchase.takes.max(up.unwrap_or_default());
        state.launched.add(kernel, bought.launch, blueprint.details.clone());
        purchase.launches.push(bought.launch);
    }
    for (number, id) in left.iter().enumerate() {
        let why = reasons.get(number % reasons.len().max(1));
        let offer =
            why.map_or_else(|| blueprint.pools[0].offer.clone(), |why| offer_of(why, &blueprint.pools));
        let told = match why {
            Some(why) => create::allocation(why, &blueprint.details),
            None => Told::new("AllocationFailed", "Allocation failed."),
        };
        let takes = create::fail(kernel, state, id, offer.clone(), (blueprint, tags), told.clone());
        purchase.takes = purchase.takes.max(takes);
        purchase.failed.push((id.clone(), offer, told, takes));
    }
    Ok(purchase)
}

/// The pool that a reason is about, or one of those.
fn offer_of(why: &Closed, pools: &[PoolBid]) -> OfferId {
    match why {
        Closed::Capacity(offer)
        | Closed::NotSold(offer)
        | Closed::Restricted(offer)
        | Closed::Price { offer, .. } => offer.clone(),
        Closed::Zone(zone) => {
            let here = pools.iter().find(|bid| bid.offer.zone == *zone);
            here.unwrap_or(&pools[0]).offer.clone()
        }
        Closed::Quota { .. } => pools[0].offer.clone(),
    }
}

/// The pools, in groups of which a later one gives what the earlier ones have not.
fn stages(kernel: &mut Kernel, pools: &[PoolBid], strategy: &Strategy) -> Vec<Vec<PoolBid>> {
    if *strategy == Strategy::PriceCapacityOptimized {
        return vec![pools.to_vec()];
    }
    let mut sizes: Vec<Vec<PoolBid>> = Vec::new();
    for bid in pools {
        let same = |other: &&mut Vec<PoolBid>| other[0].offer.instance_type == bid.offer.instance_type;
        match sizes.iter_mut().find(same) {
            Some(group) => group.push(bid.clone()),
            None => sizes.push(vec![bid.clone()]),
        }
    }
    match strategy {
        Strategy::LowestPrice => {
            let cheapest = |group: &Vec<PoolBid>| {
                let prices = group.iter().filter_map(|bid| kernel.price(&bid.offer));
                prices.min().unwrap_or(UsdPerHour::from_micros(i64::MAX))
            };
            sizes.sort_by_key(cheapest);
        }
        Strategy::CapacityOptimized => {
            let mut room = |group: &Vec<PoolBid>| {
                group.iter().map(|bid| u64::from(kernel.room_of(&bid.offer))).sum::<u64>()
            };
            sizes.sort_by_cached_key(|group| std::cmp::Reverse(room(group)));
        }
        Strategy::Prioritized(order) => {
            let rank =
                |group: &Vec<PoolBid>| order.iter().position(|name| *name == group[0].offer.instance_type);
            sizes.sort_by_key(|group| rank(group).unwrap_or(usize::MAX));
        }
        Strategy::PriceCapacityOptimized => {}
    }
    sizes
}

/// `Spot`, `Regular`: how Azure calls a market.
pub(crate) fn priority(market: Market) -> &'static str {
    match market {
        Market::Spot => "Spot",
        Market::OnDemand => "Regular",
    }
}
