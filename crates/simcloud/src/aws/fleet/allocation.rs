use std::cmp::Ordering;

use skyfleet_core::Spread;

use crate::place::{Places, place};

/// How a fleet chooses among its pools. EC2 user guide, "Allocation strategies".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Strategy {
    #[default]
    LowestPrice,
    Diversified,
    CapacityOptimized,
    CapacityOptimizedPrioritized,
    PriceCapacityOptimized,
    /// On demand only.
    Prioritized,
}

impl Strategy {
    pub(crate) const SPOT: [&str; 5] = [
        "lowest-price",
        "diversified",
        "capacity-optimized",
        "capacity-optimized-prioritized",
        "price-capacity-optimized",
    ];
    pub(crate) const ON_DEMAND: [&str; 2] = ["lowest-price", "prioritized"];

    /// From its name; EC2 also takes the names of Spot Fleet (`lowestPrice`).
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "lowest-price" | "lowestPrice" => Self::LowestPrice,
            "diversified" => Self::Diversified,
            "capacity-optimized" | "capacityOptimized" => Self::CapacityOptimized,
            "capacity-optimized-prioritized" | "capacityOptimizedPrioritized" => {
                Self::CapacityOptimizedPrioritized
            }
            "price-capacity-optimized" | "priceCapacityOptimized" => Self::PriceCapacityOptimized,
            "prioritized" => Self::Prioritized,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LowestPrice => "lowest-price",
            Self::Diversified => "diversified",
            Self::CapacityOptimized => "capacity-optimized",
            Self::CapacityOptimizedPrioritized => "capacity-optimized-prioritized",
            Self::PriceCapacityOptimized => "price-capacity-optimized",
            Self::Prioritized => "prioritized",
        }
    }
}

/// One pool, as a strategy sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// Its type and its zone, as numbers.
    pub(crate) instance_type: usize,
    pub(crate) zone: usize,
    /// What one unit of capacity costs, in micro-dollars an hour; `None` when nobody knows.
    pub(crate) unit_price: Option<f64>,
    /// Lower comes first; without one last.
    pub(crate) priority: Option<f64>,
    /// How many units it has room for.
    pub(crate) room: u32,
}

/// What a fleet wants of one market.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) units: u32,
    pub(crate) strategy: Strategy,
    /// `InstancePoolsToUseCount`, for `lowest-price` only.
    pub(crate) pools: u32,
    pub(crate) single_type: bool,
    pub(crate) single_zone: bool,
}

/// Gets the units that a fleet wants from its pools, in the order of its strategy.
pub(crate) fn allocate(wish: Wish, candidates: &[Candidate], places: &mut impl Places) {
    let order = one_group(wish, candidates, ordered(wish, candidates));
    match wish.strategy {
        Strategy::Diversified => {
            fill(Spread::Even, &order, wish.units, places);
        }
        Strategy::LowestPrice if wish.pools > 1 => {
            let (first, rest) = order.split_at(order.len().min(wish.pools as usize));
            let got = fill(Spread::Even, first, wish.units, places);
            fill(Spread::Packed, rest, wish.units - got, places);
        }
        _ => {
            fill(Spread::Packed, &order, wish.units, places);
        }
    }
}

/// Some of the pools, by other numbers.
struct Chosen<'a, P>(&'a [usize], &'a mut P);

impl<P: Places> Places for Chosen<'_, P> {
    fn room(&self, pool: usize, wanted: u32) -> u32 {
        self.1.room(self.0[pool], wanted)
    }

    fn take(&mut self, pool: usize, wanted: u32) -> u32 {
        self.1.take(self.0[pool], wanted)
    }
}

fn fill(spread: Spread, pools: &[usize], units: u32, places: &mut impl Places) -> u32 {
    if units == 0 {
        return 0;
    }
    place(spread, &vec![0; pools.len()], units, &mut Chosen(pools, places)).iter().sum()
}

/// The pools in the order in which a strategy asks them.
fn ordered(wish: Wish, candidates: &[Candidate]) -> Vec<usize> {
    let price = |i: usize| candidates[i].unit_price.unwrap_or(f64::INFINITY);
    let priority = |i: usize| candidates[i].priority.unwrap_or(f64::INFINITY);
    let room = |i: usize| candidates[i].room;
    let deep = candidates.iter().map(|candidate| candidate.room).max().unwrap_or(0);
    // "The most capacity" comes in steps, as the vendor's does: pools that hold the whole wish, or
    // half as much as the deepest, are alike.
    let shallow = |i: usize| room(i) < wish.units && room(i) < deep.div_ceil(2);
    let by = |a: &usize, b: &usize| -> Ordering {
        let (a, b) = (*a, *b);
        match wish.strategy {
            Strategy::LowestPrice | Strategy::Diversified => price(a).total_cmp(&price(b)),
            Strategy::Prioritized => priority(a).total_cmp(&priority(b)),
            Strategy::CapacityOptimized => room(b).cmp(&room(a)),
            Strategy::CapacityOptimizedPrioritized => shallow(a)
                .cmp(&shallow(b))
                .then(priority(a).total_cmp(&priority(b)))
                .then(room(b).cmp(&room(a))),
            Strategy::PriceCapacityOptimized => {
                shallow(a).cmp(&shallow(b)).then(price(a).total_cmp(&price(b))).then(room(b).cmp(&room(a)))
            }
        }
    };
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(by);
    order
}

/// With `SingleInstanceType` or `SingleAvailabilityZone` only pools of one type or one zone: of
/// the first in the order that has room for all, else of the one that has most.
fn one_group(wish: Wish, candidates: &[Candidate], order: Vec<usize>) -> Vec<usize> {
    if !wish.single_type && !wish.single_zone {
        return order;
    }
    let group = |i: usize| {
        let candidate = &candidates[i];
        (wish.single_type.then_some(candidate.instance_type), wish.single_zone.then_some(candidate.zone))
    };
    let room = |of: usize| {
        let pools = order.iter().filter(|i| group(**i) == group(of));
        pools.fold(0u32, |sum, i| sum.saturating_add(candidates[*i].room)).min(wish.units)
    };
    // `max_by_key` gives the last of equals: the order is turned round.
    let Some(&best) = order.iter().rev().max_by_key(|i| room(**i)) else { return order };
    order.iter().copied().filter(|i| group(*i) == group(best)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rooms {
        left: Vec<u32>,
        got: Vec<u32>,
    }

    impl Places for Rooms {
        fn room(&self, pool: usize, wanted: u32) -> u32 {
            self.left[pool].min(wanted)
        }

        fn take(&mut self, pool: usize, wanted: u32) -> u32 {
            let taken = self.room(pool, wanted);
            self.left[pool] -= taken;
            self.got[pool] += taken;
            taken
        }
    }

    /// Type, zone, price, priority, room.
    type Row = (usize, usize, f64, f64, u32);

    fn got(strategy: Strategy, units: u32, rows: &[Row], change: impl FnOnce(&mut Wish)) -> Vec<u32> {
        let candidates: Vec<Candidate> = rows
            .iter()
            .map(|(instance_type, zone, price, priority, room)| Candidate {
                instance_type: *instance_type,
                zone: *zone,
                unit_price: Some(*price),
                priority: Some(*priority),
                room: *room,
            })
            .collect();
        let mut wish = Wish { units, strategy, pools: 1, single_type: false, single_zone: false };
        change(&mut wish);
        let left = rows.iter().map(|row| row.4).collect::<Vec<_>>();
        let mut rooms = Rooms { got: vec![0; left.len()], left };
        allocate(wish, &candidates, &mut rooms);
        rooms.got
    }

    const ROWS: [Row; 4] =
        [(0, 0, 3.0, 2.0, 100), (0, 1, 2.0, 1.0, 5), (1, 0, 1.0, 3.0, 10), (1, 1, 4.0, 0.0, 60)];

    #[test]
    fn each_strategy_asks_the_pools_in_its_own_order() {
        assert_eq!(got(Strategy::LowestPrice, 20, &ROWS, |_| {}), [5, 5, 10, 0]);
        assert_eq!(got(Strategy::Prioritized, 70, &ROWS, |_| {}), [5, 5, 0, 60]);
        assert_eq!(got(Strategy::CapacityOptimized, 120, &ROWS, |_| {}), [100, 0, 0, 20]);
        assert_eq!(got(Strategy::Diversified, 20, &ROWS, |_| {}), [5, 5, 5, 5]);
        assert_eq!(got(Strategy::PriceCapacityOptimized, 50, &ROWS, |_| {}), [50, 0, 0, 0]);
        assert_eq!(got(Strategy::CapacityOptimizedPrioritized, 50, &ROWS, |_| {}), [0, 0, 0, 50]);
    }

    #[test]
    fn the_lowest_price_spreads_over_as_many_pools_as_asked() {
        assert_eq!(got(Strategy::LowestPrice, 20, &ROWS, |wish| wish.pools = 2), [5, 5, 10, 0]);
        assert_eq!(got(Strategy::LowestPrice, 8, &ROWS, |wish| wish.pools = 2), [0, 4, 4, 0]);
    }

    #[test]
    fn a_single_type_or_zone_is_the_first_with_room_for_all() {
        assert_eq!(got(Strategy::LowestPrice, 20, &ROWS, |wish| wish.single_type = true), [0, 0, 10, 10]);
        assert_eq!(got(Strategy::LowestPrice, 80, &ROWS, |wish| wish.single_type = true), [75, 5, 0, 0]);
        assert_eq!(got(Strategy::LowestPrice, 20, &ROWS, |wish| wish.single_zone = true), [10, 0, 10, 0]);
        let both =
            got(Strategy::LowestPrice, 12, &ROWS, |wish| (wish.single_zone, wish.single_type) = (true, true));
        assert_eq!(both, [12, 0, 0, 0]);
    }

    #[test]
    fn nothing_wanted_takes_nothing() {
        assert_eq!(got(Strategy::Diversified, 0, &ROWS, |_| {}), [0; 4]);
        assert_eq!(got(Strategy::LowestPrice, 5, &[], |_| {}), [0; 0]);
    }
}
