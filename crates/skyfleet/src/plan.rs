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
    let (kind, message) = if found.is_empty() {
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
        let mut quotas: Vec<_> =
            ids.into_iter().filter_map(|draw| Some((*left.get(&draw.quota)?, draw))).collect();
        quotas.sort_unstable_by(|a, b| b.cmp(a));
        let quotas: Vec<String> = (quotas.iter().take(REASONS_MAX))
            .map(|(left, draw)| format!("quota {} has {left} {} left", draw.quota, draw.counts))
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

#[cfg(test)]
mod tests {
    use skyfleet_core::{Offer, Signal, Timestamp};

    use super::*;
    use crate::sample::{offer, vcpus};
    use crate::{CapacityMemory, Catalogue, search};

    const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "eu-west-1a"];

    /// Two types in three zones on both markets, spot at a third of the price.
    fn offers() -> Vec<Offer> {
        let mut offers = Vec::new();
        for (n, zone) in ZONES.into_iter().enumerate() {
            for (name, micros) in [("small", 90_000), ("large", 93_000)] {
                let micros = micros + 1_000 * n as i64;
                offers.push(offer(zone, name, Market::OnDemand, micros));
                offers.push(offer(zone, name, Market::Spot, micros / 3));
            }
        }
        offers
    }

    fn quota(id: &str, limit: u32) -> Signal {
        Signal::Quota { id: id.into(), limit: Some(limit), used: 0 }
    }

    fn make(spec: &Spec, signals: &[Signal], terms: &Terms) -> Result<Plan> {
        let catalogue = Catalogue::new(offers());
        let found = search(&catalogue, signals, spec, &CapacityMemory::default(), Timestamp::UNIX_EPOCH);
        plan(spec, &found, spec.target, terms)
    }

    fn zones(lot: &Lot) -> BTreeSet<&str> {
        lot.pools.iter().map(|pool| pool.offer.zone.as_str()).collect()
    }

    fn dollars(per_hour: f64) -> Option<UsdPerHour> {
        UsdPerHour::from_dollars(per_hour)
    }

    #[test]
    fn one_lot_spreads_over_types_and_zones_of_the_best_region() {
        let plan = make(&Spec::new(10), &[], &Terms::default()).unwrap();
        let [lot] = plan.lots.as_slice() else { panic!("{plan:?}") };
        assert_eq!((lot.region.as_str(), lot.market, lot.spread), ("us-east-1", Market::Spot, Spread::Even));
        assert_eq!((zones(lot).len(), lot.pools.len()), (2, 4));
        assert_eq!(lot.expected, [3, 3, 2, 2]);
        // At worst all ten come at the on-demand price of the dearest pool.
        assert_eq!(plan.worst.per_hour, UsdPerHour::from_micros(940_000));
        assert!(plan.expected.per_hour < UsdPerHour::from_micros(320_000) && plan.expected.total.is_none());
    }

    #[test]
    fn a_single_zone_takes_all_or_the_next_zone_does() {
        let mut spec = Spec::new(10);
        spec.zones = ZoneMode::Single;
        let small = make(&spec, &[quota("us-east-1/spot", 12)], &Terms::default()).unwrap();
        assert_eq!(zones(&small.lots[0]), ["eu-west-1a"].into());
        assert_eq!(small.lots[0].spread, Spread::SingleZone);
        let here = Terms { zone: Some("us-east-1b".into()), ..Terms::default() };
        assert_eq!(zones(&make(&spec, &[], &here).unwrap().lots[0]), ["us-east-1b"].into());
    }

    #[test]
    fn what_a_quota_does_not_hold_goes_to_the_next_region() {
        let plan = make(&Spec::new(10), &[quota("us-east-1/spot", 13)], &Terms::default()).unwrap();
        let lots: Vec<(&str, u32)> = plan.lots.iter().map(|lot| (lot.region.as_str(), lot.count)).collect();
        assert_eq!((lots, plan.missing), (vec![("us-east-1", 6), ("eu-west-1", 4)], 0));
    }

    #[test]
    fn quotas_that_hold_less_than_the_minimum_are_named() {
        let signals = [quota("us-east-1/spot", 4), quota("eu-west-1/spot", 2)];
        let mut spec = Spec::new(10);
        spec.min = 3;
        let plan = make(&spec, &signals, &Terms::default()).unwrap();
        assert_eq!((plan.count(), plan.missing), (3, 7));
        spec.min = 4;
        let error = make(&spec, &signals, &Terms::default()).unwrap_err();
        assert_eq!((error.kind(), error.fact("possible")), (ErrorKind::QuotaExceeded, Some("3")));
        assert!(error.message().contains("us-east-1/spot has 4 vCPUs"), "{error}");
    }

    #[test]
    fn a_mixed_fleet_keeps_its_share_over_its_life() {
        let mut spec = Spec::new(10);
        spec.market = MarketMix::Mixed { on_demand_share: 0.25, on_demand_after: None };
        let counts = |terms: &Terms| -> Vec<(Market, u32)> {
            make(&spec, &[], terms).unwrap().lots.iter().map(|lot| (lot.market, lot.count)).collect()
        };
        assert_eq!(counts(&Terms::default()), [(Market::OnDemand, 3), (Market::Spot, 7)]);
        let later = Terms { instances: 30, on_demand: 8, ..Terms::default() };
        assert_eq!(counts(&later), [(Market::OnDemand, 2), (Market::Spot, 8)]);
        let now = Terms { market: Some(Market::OnDemand), ..Terms::default() };
        assert_eq!(counts(&now), [(Market::OnDemand, 10)]);
    }

    #[test]
    fn dear_pools_are_left_out_before_a_limit_refuses() {
        let mut spec = Spec::new(10);
        spec.limits.usd_per_hour_max = dollars(0.91);
        let plan = make(&spec, &[], &Terms::default()).unwrap();
        assert!(plan.worst.per_hour <= dollars(0.91).unwrap());
        assert_eq!(plan.lots[0].pools.len(), 2);
        spec.limits.usd_per_hour_max = dollars(0.8);
        let error = make(&spec, &[], &Terms::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
        assert_eq!(
            (error.fact("key"), error.fact("enough_for")),
            (Some("limits.usd_per_hour_max"), Some("8"))
        );
        assert!(error.message().contains("up to $0.90/h for 10 instances"), "{error}");
    }

    #[test]
    fn a_bid_below_on_demand_makes_the_worst_case_cheaper() {
        let mut spec = Spec::new(10);
        (spec.limits.usd_per_hour_max, spec.limits.price_max) = (dollars(0.8), dollars(0.05));
        assert!(make(&spec, &[], &Terms::default()).is_err());
        let plan = make(&spec, &[], &Terms { bids: true, ..Terms::default() }).unwrap();
        assert_eq!(plan.worst.per_hour, dollars(0.5).unwrap());
        assert!(plan.lots[0].pools.iter().all(|pool| pool.price_max == dollars(0.05)));
    }

    #[test]
    fn a_budget_holds_for_the_lifetime_with_what_is_spent_and_runs() {
        let mut spec = Spec::new(10);
        spec.limits.budget = Usd::from_dollars(2.0);
        spec.limits.lifetime_max = Some(Duration::from_secs(2 * 3_600));
        let plan = make(&spec, &[], &Terms::default()).unwrap();
        assert_eq!(plan.worst.total, Usd::from_dollars(1.88));
        let half_way =
            Terms { spent: Usd::from_micros(1_100_000), age: Duration::from_secs(3_600), ..Terms::default() };
        // Trimmed to the pools of 90 cents on demand, an hour of ten still costs as much as is left.
        let plan = make(&spec, &[], &half_way).unwrap();
        assert_eq!(plan.worst.total, Usd::from_dollars(0.9));
        let with_others = Terms { instances: 1, per_hour: UsdPerHour::from_micros(1), ..half_way };
        let error = make(&spec, &[], &with_others).unwrap_err();
        assert_eq!((error.fact("key"), error.fact("enough_for")), (Some("limits.budget_usd"), Some("9")));
        spec.limits.lifetime_max = None;
        let long = make(&spec, &[], &Terms::default()).unwrap();
        assert_eq!(long.worst.total, None);
        spec.limits.budget = Usd::from_dollars(0.5);
        assert!(make(&spec, &[], &Terms::default()).unwrap_err().message().contains("in the first hour"));
    }

    #[test]
    fn pools_to_avoid_are_used_only_when_there_is_nothing_else() {
        let all: Vec<OfferId> = offers().iter().map(Offer::id).collect();
        let avoid = |zone: &str| all.iter().filter(|id| id.zone.as_str() == zone).cloned().collect();
        let plan = |avoid| make(&Spec::new(4), &[], &Terms { avoid, ..Terms::default() }).unwrap();
        assert_eq!(zones(&plan(avoid("us-east-1a")).lots[0]), ["us-east-1b"].into());
        assert_eq!(plan(all.clone()).count(), 4);
    }

    #[test]
    fn an_impossible_need_is_no_matter_of_waiting() {
        let mut spec = Spec::new(1);
        spec.need.vcpus = Some(64);
        let error = make(&spec, &[], &Terms::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("6 × needs 64 vCPUs, has 2"), "{error}");
        spec.need.vcpus = None;
        spec.limits.price_max = dollars(0.01);
        assert_eq!(make(&spec, &[], &Terms::default()).unwrap_err().kind(), ErrorKind::BudgetExceeded);
    }

    #[test]
    fn a_quota_counts_the_largest_type_that_could_come() {
        let offers = vec![
            offer("us-east-1a", "small", Market::Spot, 10),
            vcpus(offer("us-east-1a", "huge", Market::Spot, 11), 16),
        ];
        let spec = Spec::new(10);
        let catalogue = Catalogue::new(offers);
        let signals = [quota("us-east-1/spot", 32)];
        let found = search(&catalogue, &signals, &spec, &CapacityMemory::default(), Timestamp::UNIX_EPOCH);
        let plan = plan(&spec, &found, 10, &Terms::default()).unwrap();
        assert_eq!(plan.lots[0].pools.len(), 1);
    }
}
