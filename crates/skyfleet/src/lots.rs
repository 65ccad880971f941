//! Chooses pools and counts for a plan: which offers go into one bulk launch together, and how many
//! instances the quotas let it have at worst.

use std::collections::BTreeMap;

use skyfleet_core::{Market, OfferId, QuotaId, Region, UsdPerHour};

use crate::catalogue::{Row, UNKNOWN};
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
    /// The candidates in the order in which they are tried: the price that counts, and the row.
    order: Vec<(i64, u32)>,
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
        let mut placer = Self { found, terms, price_max, order: found.ranked().to_vec(), avoid };
        if order == Order::Ceiling {
            // A stable sort keeps the rank among equals.
            let mut order = std::mem::take(&mut placer.order);
            order.iter_mut().for_each(|(key, n)| *key = placer.pool(*n as usize).ceiling);
            order.sort_by_key(|(key, _)| *key);
            placer.order = order;
        }
        placer
    }

    /// Places so many on each market, in one zone or in any. Fewer when the quotas end.
    pub(crate) fn anywhere(&self, wanted: &[(Market, u32)]) -> Vec<Draft> {
        let zone = match &self.terms.zone {
            Some(zone) => match self.found.catalogue().zones.iter().position(|z| z.zone == *zone) {
                Some(n) => Some(n as u32),
                None => return Vec::new(),
            },
            None => None,
        };
        self.place(wanted, zone)
    }

    /// Places so many on each market, all in the first zone, best first, that takes them all; else
    /// in the one that takes the most.
    pub(crate) fn in_one_zone(&self, wanted: &[(Market, u32)]) -> Vec<Draft> {
        if self.terms.zone.is_some() {
            return self.anywhere(wanted);
        }
        let asked: u32 = wanted.iter().map(|(_, count)| count).sum();
        let (mut best, mut best_count) = (Vec::new(), 0);
        let mut seen = vec![false; self.found.catalogue().zones.len()];
        for &(_, n) in &self.order {
            let zone = self.row(n as usize).zone;
            if std::mem::replace(&mut seen[zone as usize], true) {
                continue;
            }
            let drafts = self.place(wanted, Some(zone));
            let count = drafts.iter().map(|draft| draft.count).sum();
            if count > best_count {
                (best, best_count) = (drafts, count);
            }
            if best_count >= asked {
                break;
            }
        }
        best
    }

    fn place(&self, wanted: &[(Market, u32)], zone: Option<u32>) -> Vec<Draft> {
        let mut left = Left::new(self.found);
        let mut drafts = Vec::new();
        for &(market, count) in wanted {
            let (mut missing, mut from) = (count, 0);
            while missing > 0 {
                let Some(draft) = self.draft(market, missing, zone, &mut left, &mut from) else { break };
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
        zone: Option<u32>,
        left: &mut Left<'_>,
        from: &mut usize,
    ) -> Option<Draft> {
        let fits = |row: &Row| row.market == market && zone.is_none_or(|zone| zone == row.zone);
        let start = (*from..self.order.len()).find(|&i| {
            let n = self.order[i].1 as usize;
            fits(self.row(n)) && !self.avoid.contains(&n) && left.room(self.row(n), self.vcpus(n)) > 0
        })?;
        *from = start;
        let (key, first) = (self.order[start].0, self.order[start].1 as usize);
        let zones = &self.found.catalogue().zones;
        let region = &zones[self.row(first).zone as usize].region;
        let room = left.room(self.row(first), self.vcpus(first));
        let count = room.min(missing);
        // "Near" is within a quarter of the best.
        let near = key.saturating_add(key / 4);
        let mut pools: Vec<Pool> = Vec::new();
        let mut in_zone = BTreeMap::<u32, usize>::new();
        for &(key, n) in &self.order[start..] {
            if key > near || pools.len() == POOLS_MAX {
                break;
            }
            let (n, row) = (n as usize, self.row(n as usize));
            if !fits(row) || zones[row.zone as usize].region != *region || self.avoid.contains(&n) {
                continue;
            }
            // The cloud may take all instances from any one of the pools: each must have the room.
            // Where the quota ends before the count does, the lot stays within that quota, so that
            // the next lot finds the others untouched.
            let room = if count < missing {
                row.quotas == self.row(first).quotas && self.vcpus(n) <= self.vcpus(first)
            } else {
                left.room(row, self.vcpus(n)) >= count
            };
            let taken = in_zone.entry(row.zone).or_default();
            if room && (zone.is_some() || *taken < POOLS_IN_ZONE_MAX) {
                *taken += 1;
                pools.push(self.pool(n));
            }
        }
        left.take(&pools.iter().map(|p| (self.row(p.row), self.vcpus(p.row))).collect::<Vec<_>>(), count);
        Some(Draft { region: region.clone(), market, pools, count })
    }

    fn row(&self, n: usize) -> &Row {
        &self.found.catalogue().rows()[n]
    }

    fn vcpus(&self, n: usize) -> u32 {
        self.found.catalogue().types[self.row(n).kind as usize].vcpus
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
    sets: Vec<u32>,
}

impl<'a> Left<'a> {
    fn new(found: &'a Search) -> Self {
        let mut left = Self { found, quotas: found.quotas_left(), sets: Vec::new() };
        left.add_up();
        left
    }

    fn add_up(&mut self) {
        let left = |set: &[QuotaId]| set.iter().filter_map(|id| self.quotas.get(id)).min().copied();
        let sets = &self.found.catalogue().quota_sets;
        self.sets = sets.iter().map(|set| left(set).unwrap_or(u32::MAX)).collect();
    }

    /// How many instances of so many vCPUs still fit.
    fn room(&self, row: &Row, vcpus: u32) -> u32 {
        match self.sets[row.quotas as usize] {
            u32::MAX => u32::MAX,
            left => left / vcpus.max(1),
        }
    }

    /// Takes what `count` instances out of these pools need at worst.
    fn take(&mut self, pools: &[(&Row, u32)], count: u32) {
        let mut most = BTreeMap::<&QuotaId, u32>::new();
        for (row, vcpus) in pools {
            for id in self.found.catalogue().quota_sets[row.quotas as usize].iter() {
                let entry = most.entry(id).or_default();
                *entry = (*vcpus).max(*entry);
            }
        }
        for (id, vcpus) in most {
            if let Some(left) = self.quotas.get_mut(id) {
                *left = left.saturating_sub(vcpus.saturating_mul(count));
            }
        }
        self.add_up();
    }
}
