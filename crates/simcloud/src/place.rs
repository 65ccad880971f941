use std::collections::BTreeMap;

use skyfleet_core::Spread;

/// The pools of a launch, by their number in it.
pub(crate) trait Places {
    /// How many of `wanted` machines a pool has room for.
    fn room(&self, pool: usize, wanted: u32) -> u32;

    /// Takes up to `wanted` places and says how many it got; fewer means that the pool is closed.
    fn take(&mut self, pool: usize, wanted: u32) -> u32;
}

/// Puts `count` machines into pools, of which `zones` says the zone; gives how many each pool got.
pub(crate) fn place(spread: Spread, zones: &[usize], count: u32, places: &mut impl Places) -> Vec<u32> {
    let mut got = vec![0; zones.len()];
    let all: Vec<usize> = (0..zones.len()).collect();
    match spread {
        Spread::Packed => packed(&all, count, &mut got, places),
        Spread::Even => even(all, count, &mut got, places),
        Spread::SingleZone => {
            if let Some(zone) = roomiest(zones, count, places) {
                let inside: Vec<usize> = all.into_iter().filter(|pool| zones[*pool] == zone).collect();
                packed(&inside, count, &mut got, places);
            }
        }
    }
    got
}

fn packed(pools: &[usize], count: u32, got: &mut [u32], places: &mut impl Places) {
    let mut left = count;
    for &pool in pools {
        if left == 0 {
            return;
        }
        got[pool] = places.take(pool, left);
        left -= got[pool];
    }
}

/// Fills all pools to the same level; one that is full leaves its share to the others.
fn even(mut open: Vec<usize>, count: u32, got: &mut [u32], places: &mut impl Places) {
    let mut left = count;
    while left > 0 && !open.is_empty() {
        let share = left / open.len() as u32;
        let mut extra = left % open.len() as u32;
        open.retain(|&pool| {
            let wanted = share + u32::from(extra > 0);
            extra = extra.saturating_sub(1);
            let taken = if wanted == 0 { 0 } else { places.take(pool, wanted) };
            got[pool] += taken;
            left -= taken;
            taken == wanted
        });
    }
}

/// The first zone that has room for all; else the one that has most.
fn roomiest(zones: &[usize], count: u32, places: &impl Places) -> Option<usize> {
    let mut rooms: BTreeMap<usize, u32> = BTreeMap::new();
    for (pool, &zone) in zones.iter().enumerate() {
        let room = rooms.entry(zone).or_default();
        *room = count.min(room.saturating_add(places.room(pool, count)));
    }
    let most = *rooms.values().max()?;
    rooms.into_iter().find(|(_, room)| *room == most).map(|(zone, _)| zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Rooms(Vec<u32>);

    impl Places for Rooms {
        fn room(&self, pool: usize, wanted: u32) -> u32 {
            self.0[pool].min(wanted)
        }

        fn take(&mut self, pool: usize, wanted: u32) -> u32 {
            let taken = self.room(pool, wanted);
            self.0[pool] -= taken;
            taken
        }
    }

    fn placed(spread: Spread, zones: &[usize], rooms: &[u32], count: u32) -> Vec<u32> {
        place(spread, zones, count, &mut Rooms(rooms.to_vec()))
    }

    #[test]
    fn packed_empties_the_best_pool_first() {
        assert_eq!(placed(Spread::Packed, &[0, 0, 1], &[5, 5, 5], 7), [5, 2, 0]);
    }

    #[test]
    fn even_levels_the_pools_and_hands_on_what_one_cannot_give() {
        assert_eq!(placed(Spread::Even, &[0, 1, 2], &[9, 9, 9], 7), [3, 2, 2]);
        assert_eq!(placed(Spread::Even, &[0, 1, 2], &[1, 9, 9], 9), [1, 4, 4]);
    }

    #[test]
    fn a_single_zone_is_the_first_with_room_for_all() {
        assert_eq!(placed(Spread::SingleZone, &[0, 1, 1], &[5, 4, 4], 7), [0, 4, 3]);
        assert_eq!(placed(Spread::SingleZone, &[0, 1, 1], &[5, 1, 1], 7), [5, 0, 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_taken_that_is_not_there_or_not_wanted(
            rooms in prop::collection::vec(0u32..50, 1..12), count in 1u32..200, which in 0usize..3,
        ) {
            let zones: Vec<usize> = (0..rooms.len()).map(|i| i % 3).collect();
            let spread = [Spread::Packed, Spread::Even, Spread::SingleZone][which];
            let got = placed(spread, &zones, &rooms, count);
            let total: u32 = got.iter().sum();
            prop_assert!(got.iter().zip(&rooms).all(|(got, room)| got <= room));
            prop_assert!(total <= count);
            if spread != Spread::SingleZone {
                prop_assert_eq!(total, count.min(rooms.iter().sum()));
            }
        }
    }
}
