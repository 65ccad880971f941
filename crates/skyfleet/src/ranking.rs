//! Rows in the order of a price, sorted only as far as somebody looks.

use std::sync::OnceLock;

/// How many are sorted at once: more than a plan looks at unless quotas are nearly used up.
const HEAD: usize = 512;

/// Rows, cheapest first; equal prices go by row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranking {
    head: Vec<(i64, u32)>,
    /// Everything that comes after the head, in no order.
    tail: Vec<(i64, u32)>,
    sorted_tail: OnceLock<Vec<(i64, u32)>>,
}

impl Ranking {
    pub(crate) fn new(mut rows: Vec<(i64, u32)>) -> Self {
        let mut tail = Vec::new();
        if rows.len() > HEAD {
            rows.select_nth_unstable(HEAD);
            tail = rows.split_off(HEAD);
        }
        rows.sort_unstable();
        Self { head: rows, tail, sorted_tail: OnceLock::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// The price and the row at a place.
    pub(crate) fn get(&self, place: usize) -> Option<(i64, u32)> {
        let Some(place) = place.checked_sub(self.head.len()) else { return Some(self.head[place]) };
        if place >= self.tail.len() {
            return None;
        }
        let tail = self.sorted_tail.get_or_init(|| {
            let mut tail = self.tail.clone();
            tail.sort_unstable();
            tail
        });
        Some(tail[place])
    }

    /// All of them, in no order.
    pub(crate) fn unordered(&self) -> impl Iterator<Item = (i64, u32)> {
        self.head.iter().chain(&self.tail).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn head_and_tail_are_one_sorted_list(prices in prop::collection::vec(0i64..50, 0..2_000)) {
            let mut rows: Vec<(i64, u32)> = prices.into_iter().zip(0..).collect();
            rows.reverse();
            let ranking = Ranking::new(rows.clone());
            rows.sort();
            prop_assert_eq!(ranking.len(), rows.len());
            let read: Vec<(i64, u32)> = (0..).map_while(|place| ranking.get(place)).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
