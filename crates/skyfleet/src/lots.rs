//! Chooses pools and counts for a plan: which offers go into one bulk launch together, and how many
//! instances the quotas let it have at worst.

use std::borrow::Cow;
use std::collections::BTreeMap;

use skyfleet_core::{Market, OfferId, QuotaId, Region, UsdPerHour};

use crate::catalogue::{Row, UNKNOWN};
use crate::ranking::Ranking;
use crate::search::Least;
use crate::{Search, Terms};

/// How many pools one launch names at most: enough to survive several dry ones, few enough for every
/// cloud's request.
pub(crate) const POOLS_MAX: usize = 20;
/// How many of them may lie in one zone, so that a launch over several zones reaches a second one.
const POOLS_IN_ZONE_MAX: usize = POOLS_MAX / 2;

/// An offer in a draft.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    /// Its row in the catalogue.
    pub(crate) row: usize,
    /// What an hour costs now; [`UNKNOWN`] when nobody knows.
    pub(crate) price: i64,
    /// What an hour costs at most; [`UNKNOWN`] when nobody knows.
    pub(crate) ceiling: i64,
}

/// A lot before its costs are known.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) region: Region,
    pub(crate) market: Market,
    /// Best first; never empty.
    pub(crate) pools: Vec<Pool>,
    pub(crate) count: u32,
}

impl Draft {
    /// What one instance of it costs at most.
    pub(crate) fn ceiling(&self) -> i64 {
        self.pools.iter().map(|pool| pool.ceiling).max().unwrap_or(UNKNOWN)
    }
}

/// How many instances all drafts have.
pub(crate) fn instances(drafts: &[Draft]) -> u32 {
    drafts.iter().map(|draft| draft.count).sum()
}

/// In which order the candidates are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As the search ranked them.
    Rank,
    /// By what they cost at most: when money is short.
    Ceiling,
}

/// Places instances into lots while the quotas last.
#[derive(Debug)]
pub(crate) struct Placer<'a> {
    found: &'a Search,
    terms: &'a Terms,
    price_max: Option<UsdPerHour>,
    order: Order,
    avoid: Vec<usize>,
}

impl<'a> Placer<'a> {
    pub(crate) fn new(
        found: &'a Search,
        terms: &'a Terms,
        price_max: Option<UsdPerHour>,
        order: Order,
        avoid: &[OfferId],
    ) -> Self {
        let price_max = price_max.filter(|_| terms.bids);
        let avoid = avoid.iter().filter_map(|id| found.catalogue().find(id)).collect();
        Self { found, terms, price_max, order, avoid }
    }

    /// Places so many on each market, in one zone or in any. Fewer when the quotas end.
    pub(crate) fn anywhere(&self, wanted: &[(Market, u32)]) -> Vec<Draft> {
        if let Some(zone) = &self.terms.zone {
            let zone = self.found.catalogue().zones.iter().position(|z| z.zone == *zone);
            return zone.map_or(Vec::new(), |zone| self.in_zone(wanted, zone as u32));
        }
        self.place(wanted, POOLS_IN_ZONE_MAX, |market| match self.order {
            Order::Rank => Cow::Borrowed(self.found.ranked(market)),
            Order::Ceiling => {
                let rows = self.found.ranked(market).unordered().map(|row| self.keyed(row));
                Cow::Owned(Ranking::new(rows.collect()))
            }
        })
    }

    /// Places so many on each market, all in the first zone, best first, that takes them all; else
    /// in the one that takes the most.
    pub(crate) fn in_one_zone(&self, wanted: &[(Market, u32)]) -> Vec<Draft> {
        if self.terms.zone.is_some() {
            return self.anywhere(wanted);
        }
        let asked: u32 = wanted.iter().map(|(_, count)| count).sum();
        // Zones by their best candidate.
        let mut zones: Vec<_> =
            (0..).zip(&self.found.catalogue().zones).map(|(n, _)| ((i64::MAX, u32::MAX), n)).collect();
        for (market, _) in wanted {
            for row in self.found.ranked(*market).unordered() {
                let best = &mut zones[self.row(row.1 as usize).zone as usize].0;
                *best = self.keyed(row).min(*best);
            }
        }
        zones.retain(|(best, _)| best.1 != u32::MAX);
        zones.sort_unstable();
        let (mut best, mut best_count) = (Vec::new(), 0);
        for (_, zone) in zones {
            let drafts = self.in_zone(wanted, zone);
            let count = instances(&drafts);
            if count > best_count {
                (best, best_count) = (drafts, count);
            }
            if best_count >= asked {
                break;
            }
        }
        best
    }

    fn in_zone(&self, wanted: &[(Market, u32)], zone: u32) -> Vec<Draft> {
        self.place(wanted, POOLS_MAX, |market| {
            let rows = self.found.ranked_in(zone, market).map(|row| self.keyed(row));
            Cow::Owned(Ranking::new(rows.collect()))
        })
    }

    /// A row with the price that decides its place.
    fn keyed(&self, (rank, n): (i64, u32)) -> (i64, u32) {
        match self.order {
            Order::Rank => (rank, n),
            Order::Ceiling => (self.pool(n as usize).ceiling, n),
        }
    }

    fn place(
        &self,
        wanted: &[(Market, u32)],
        in_zone_max: usize,
        ranking: impl Fn(Market) -> Cow<'a, Ranking>,
    ) -> Vec<Draft> {
        let mut left = Left::new(self.found);
        let mut drafts = Vec::new();
        for &(market, count) in wanted {
            let ranking = ranking(market);
            let (mut missing, mut from) = (count, 0);
            while missing > 0 {
                let draft = self.draft(market, missing, &ranking, in_zone_max, &mut left, &mut from);
                let Some(draft) = draft else { break };
                missing -= draft.count;
                drafts.push(draft);
            }
        }
        drafts
    }

    /// One lot: the best pool that has room, and what is near it in the same region. `from` is where
    /// to begin; what stands before it has no room any more.
    fn draft(
        &self,
        market: Market,
        missing: u32,
        ranking: &Ranking,
        in_zone_max: usize,
        left: &mut Left<'_>,
        from: &mut usize,
    ) -> Option<Draft> {
        let allowed = |n: usize| !self.avoid.contains(&n);
        let (key, first) = loop {
            let (key, n) = ranking.get(*from)?;
            if allowed(n as usize) && left.room(self.row(n as usize)) > 0 {
                break (key, n as usize);
            }
            *from += 1;
        };
        let zones = &self.found.catalogue().zones;
        let region = &zones[self.row(first).zone as usize].region;
        let room = left.room(self.row(first));
        let count = room.min(missing);
        // "Near" is within a quarter of the best.
        let near = key.saturating_add(key / 4);
        let mut pools: Vec<Pool> = Vec::new();
        let mut in_zone = BTreeMap::<u32, usize>::new();
        let rest = (*from..).map_while(|place| ranking.get(place));
        for (_, n) in rest.take_while(|(key, _)| *key <= near) {
            let (n, row) = (n as usize, self.row(n as usize));
            if pools.len() == POOLS_MAX {
                break;
            }
            if !allowed(n) || zones[row.zone as usize].region != *region {
                continue;
            }
            // The cloud may take all instances from any one of the pools: each must have the room.
            // Where the quota ends before the count does, the lot stays within that quota, so that
            // the next lot finds the others untouched.
            let room = if count < missing {
                row.quotas == self.row(first).quotas && self.draws_no_more(n, first)
            } else {
                left.room(row) >= count
            };
            let taken = in_zone.entry(row.zone).or_default();
            if room && *taken < in_zone_max {
                *taken += 1;
                pools.push(self.pool(n));
            }
        }
        left.take(pools.iter().map(|pool| self.row(pool.row)), count);
        Some(Draft { region: region.clone(), market, pools, count })
    }

    fn row(&self, n: usize) -> &Row {
        &self.found.catalogue().rows()[n]
    }

    /// Whether an instance of a row takes no more of any quota than one of another row with the
    /// same quotas.
    fn draws_no_more(&self, n: usize, than: usize) -> bool {
        let kind = |n: usize| self.found.kind(self.row(n));
        let set = &self.found.catalogue().quota_sets[self.row(n).quotas as usize];
        set.iter().all(|draw| draw.counts.units(kind(n)) <= draw.counts.units(kind(than)))
    }

    fn pool(&self, n: usize) -> Pool {
        let (row, price) = (self.row(n), self.found.price(n));
        let bid = self.price_max.map_or(UNKNOWN, UsdPerHour::micros);
        let ceiling = match row.market {
            Market::OnDemand => price,
            Market::Spot if bid.min(row.on_demand) == UNKNOWN => price,
            Market::Spot => bid.min(row.on_demand),
        };
        Pool { row: n, price, ceiling }
    }
}

/// What the quotas have left while lots are placed.
#[derive(Debug)]
struct Left<'a> {
    found: &'a Search,
    quotas: BTreeMap<QuotaId, u32>,
    /// The least that is left in each set of quotas.
    sets: Vec<Least>,
}

impl<'a> Left<'a> {
    fn new(found: &'a Search) -> Self {
        let mut left = Self { found, quotas: found.quotas_left(), sets: Vec::new() };
        left.add_up();
        left
    }

    fn add_up(&mut self) {
        let sets = &self.found.catalogue().quota_sets;
        let left = |id: &QuotaId| self.quotas.get(id).copied();
        self.sets = sets.iter().map(|set| Least::of(set, left)).collect();
    }

    /// How many instances of a row still fit.
    fn room(&self, row: &Row) -> u32 {
        self.sets[row.quotas as usize].room(self.found.kind(row))
    }

    /// Takes what `count` instances out of these pools need at worst.
    fn take<'r>(&mut self, pools: impl Iterator<Item = &'r Row>, count: u32) {
        let found = self.found;
        let mut most = BTreeMap::<&QuotaId, u32>::new();
        for row in pools {
            for draw in found.catalogue().quota_sets[row.quotas as usize].iter() {
                let entry = most.entry(&draw.quota).or_default();
                *entry = draw.counts.units(found.kind(row)).max(*entry);
            }
        }
        for (id, units) in most {
            if let Some(left) = self.quotas.get_mut(id) {
                *left = left.saturating_sub(units.saturating_mul(count));
            }
        }
        self.add_up();
    }
}
