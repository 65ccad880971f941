//! Where the instances of a bulk insert come to lie.

use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{Spread, Zone};

use crate::gcp::blueprint::Blueprint;
use crate::gcp::bulk::request::Wanted;
use crate::gcp::instances::insert::offer;
use crate::kernel::Kernel;
use crate::place::{Places, place};
use crate::refusal::Closed;

/// A machine type in a zone.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) zone: Zone,
    /// How many instances the zone may have.
    pub(crate) most: u32,
    pub(crate) rank: i64,
    /// The place of its machine type among all that will do.
    pub(crate) order: usize,
    pub(crate) blueprint: Arc<Blueprint>,
}

/// How many instances each pool can have, and why those that have too few do.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) got: Vec<u32>,
    pub(crate) short: Vec<Short>,
}

#[derive(Debug)]
pub(crate) struct Short {
    /// Which pool.
    pub(crate) pool: usize,
    pub(crate) why: Closed,
}

impl Found {
    /// The quota that is in the way, if nothing else is.
    pub(crate) fn only_quota(&self) -> Option<&Closed> {
        let quota = |short: &Short| matches!(short.why, Closed::Quota { .. });
        self.short.iter().all(quota).then(|| self.short.first().map(|short| &short.why))?
    }
}

/// Finds places for as many instances. Nothing is taken yet.
pub(crate) fn find(kernel: &mut Kernel, pools: &[Pool], wanted: &Wanted, count: u32) -> Found {
    let mut zones: Vec<&Zone> = Vec::new();
    for pool in pools {
        if !zones.contains(&&pool.zone) {
            zones.push(&pool.zone);
        }
    }
    let zone_of = |pool: &Pool| zones.iter().position(|zone| **zone == pool.zone).unwrap_or_default();
    let mut taking = Taking::new(kernel, pools);
    // Lower ranks first; of one rank where there is more room, else in the order of the request.
    let mut order: Vec<usize> = (0..pools.len()).collect();
    order.sort_by_key(|index| {
        let pool = &pools[*index];
        (pool.rank, std::cmp::Reverse(taking.fits(*index, count).0), pool.order)
    });
    taking.order = order;
    match wanted.spread {
        Spread::Even => {
            let mut by_zone = ByZone { zone_of: pools.iter().map(zone_of).collect(), taking };
            let all: Vec<usize> = (0..zones.len()).collect();
            place(Spread::Even, &all, count, &mut by_zone);
            by_zone.taking.release()
        }
        spread => {
            let ordered: Vec<usize> = taking.order.iter().map(|index| zone_of(&pools[*index])).collect();
            place(spread, &ordered, count, &mut taking);
            taking.release()
        }
    }
}

/// Takes places of the world, to see what fits together; they are given back.
struct Taking<'a> {
    kernel: &'a mut Kernel,
    pools: &'a [Pool],
    /// The numbers of the pools in the world; `None` for what is not sold.
    numbers: Vec<Option<u32>>,
    /// The pools, best first.
    order: Vec<usize>,
    got: Vec<u32>,
    short: BTreeMap<usize, Closed>,
}

impl<'a> Taking<'a> {
    fn new(kernel: &'a mut Kernel, pools: &'a [Pool]) -> Self {
        let mut numbers = Vec::with_capacity(pools.len());
        for pool in pools {
            let number = kernel.catalog().offer_index(&offer(&pool.blueprint, &pool.zone));
            let number = number.map(|number| number as u32);
            if let Some(number) = number {
                kernel.refresh(number);
            }
            numbers.push(number);
        }
        let got = vec![0; pools.len()];
        Self { kernel, pools, numbers, order: Vec::new(), got, short: BTreeMap::new() }
    }

    /// How many instances of a pool fit, of as many as wanted, and why not more. Where only the
    /// caller's own limit is in the way, there is no reason.
    fn fits(&self, index: usize, wanted: u32) -> (u32, Option<Closed>) {
        let pool = &self.pools[index];
        let here = self.pools.iter().zip(&self.got).filter(|(other, _)| other.zone == pool.zone);
        let allowed = pool.most.saturating_sub(here.map(|(_, got)| got).sum()).min(wanted);
        match self.numbers[index] {
            Some(number) => self.kernel.room(number, None, allowed),
            None => (0, Some(Closed::NotSold(offer(&pool.blueprint, &pool.zone)))),
        }
    }

    fn take_of(&mut self, index: usize, wanted: u32) -> u32 {
        let (fits, why) = self.fits(index, wanted);
        if let Some(why) = why {
            self.short.insert(index, why);
        }
        if let Some(number) = self.numbers[index].filter(|_| fits > 0) {
            self.kernel.occupy(number, fits, false);
        }
        self.got[index] += fits;
        fits
    }

    fn release(self) -> Found {
        for (number, got) in self.numbers.iter().zip(&self.got) {
            if let Some(number) = number.filter(|_| *got > 0) {
                self.kernel.occupy(number, *got, true);
            }
        }
        let short = self.short.into_iter().map(|(pool, why)| Short { pool, why }).collect();
        Found { got: self.got, short }
    }
}

impl Places for Taking<'_> {
    fn room(&self, pool: usize, wanted: u32) -> u32 {
        self.fits(self.order[pool], wanted).0
    }

    fn take(&mut self, pool: usize, wanted: u32) -> u32 {
        self.take_of(self.order[pool], wanted)
    }
}

/// Whole zones: each gives what its pools have, best first, of machine types that are wanted alike
/// as many each. The latter is ours; Compute Engine says nothing of it.
struct ByZone<'a> {
    zone_of: Vec<usize>,
    taking: Taking<'a>,
}

impl ByZone<'_> {
    /// The pools of a zone by their rank.
    fn inside(&self, zone: usize) -> BTreeMap<i64, Vec<usize>> {
        let mut ranks: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for index in self.taking.order.iter().filter(|index| self.zone_of[**index] == zone) {
            ranks.entry(self.taking.pools[*index].rank).or_default().push(*index);
        }
        ranks
    }
}

impl Places for ByZone<'_> {
    fn room(&self, zone: usize, wanted: u32) -> u32 {
        let pools = self.inside(zone).into_values().flatten();
        let rooms = pools.map(|index| self.taking.fits(index, wanted).0);
        rooms.fold(0u32, u32::saturating_add).min(wanted)
    }

    fn take(&mut self, zone: usize, wanted: u32) -> u32 {
        let mut left = wanted;
        for pools in self.inside(zone).into_values() {
            let all: Vec<usize> = (0..pools.len()).collect();
            let mut alike = Alike { pools, taking: &mut self.taking };
            left -= place(Spread::Even, &all, left, &mut alike).iter().sum::<u32>();
        }
        wanted - left
    }
}

/// Pools of one zone and one rank.
struct Alike<'b, 'a> {
    pools: Vec<usize>,
    taking: &'b mut Taking<'a>,
}

impl Places for Alike<'_, '_> {
    fn room(&self, pool: usize, wanted: u32) -> u32 {
        self.taking.fits(self.pools[pool], wanted).0
    }

    fn take(&mut self, pool: usize, wanted: u32) -> u32 {
        self.taking.take_of(self.pools[pool], wanted)
    }
}
