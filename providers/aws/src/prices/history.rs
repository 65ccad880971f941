//! What a spot pool cost when.

use std::collections::BTreeMap;

use skyfleet_core::{Price, Timestamp, UsdPerHour};

/// The price of one pool over time, as far as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    /// From when on which price held.
    moves: BTreeMap<Timestamp, UsdPerHour>,
    /// The times of which every change is known, apart from each other and in order.
    known: Vec<(Timestamp, Timestamp)>,
}

impl History {
    /// Adds what an answer says: every change from `since` to `until`, and the last one before.
    pub(super) fn add(
        &mut self,
        moves: impl IntoIterator<Item = (Timestamp, UsdPerHour)>,
        since: Timestamp,
        until: Timestamp,
    ) {
        let mut from = since;
        for (at, price) in moves {
            from = from.min(at);
            self.moves.insert(at, price);
        }
        self.know(from, until.max(since));
    }

    /// The price that held at a time; `None` when that was never asked, and `Unknown` when it was
    /// and EC2 has none.
    pub(super) fn at(&self, time: Timestamp) -> Option<Price> {
        let covered = self.known.iter().find(|(from, to)| (*from..=*to).contains(&time))?;
        let last = self.moves.range(covered.0..=time).next_back();
        Some(last.map_or(Price::Unknown, |(_, price)| Price::Known(*price)))
    }

    /// The newest price, from when on it holds, and up to when that is known.
    pub(super) fn newest(&self) -> Option<(UsdPerHour, Timestamp, Timestamp)> {
        let (_, to) = self.known.last()?;
        let (at, price) = self.moves.range(..=*to).next_back()?;
        Some((*price, *at, *to))
    }

    /// Up to when every change is known.
    pub(super) fn known_until(&self) -> Option<Timestamp> {
        self.known.last().map(|(_, to)| *to)
    }

    fn know(&mut self, from: Timestamp, to: Timestamp) {
        let (mut from, mut to) = (from, to);
        self.known.retain(|&(a, b)| {
            let apart = b < from || to < a;
            if !apart {
                (from, to) = (from.min(a), to.max(b));
            }
            apart
        });
        let place = self.known.partition_point(|(a, _)| *a < from);
        self.known.insert(place, (from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn usd(micros: i64) -> UsdPerHour {
        UsdPerHour::from_micros(micros)
    }

    #[test]
    fn the_price_in_force_is_the_last_change_before() {
        let mut history = History::default();
        history.add([(t(40), usd(4)), (t(110), usd(11)), (t(150), usd(15))], t(100), t(200));
        for (time, price) in [
            (39, None),
            (40, Some(4)),
            (100, Some(4)),
            (109, Some(4)),
            (110, Some(11)),
            (150, Some(15)),
            (200, Some(15)),
            (201, None),
        ] {
            let expected = price.map(|micros| Price::Known(usd(micros)));
            assert_eq!(history.at(t(time)), expected, "at {time}");
        }
        assert_eq!(history.newest(), Some((usd(15), t(150), t(200))));
    }

    #[test]
    fn a_pool_without_a_price_is_known_to_have_none() {
        let mut history = History::default();
        history.add([], t(100), t(200));
        assert_eq!(history.at(t(150)), Some(Price::Unknown));
        assert_eq!(history.at(t(99)), None);
    }

    #[test]
    fn a_gap_stays_unknown_until_it_is_asked_for() {
        let mut history = History::default();
        history.add([(t(10), usd(1))], t(10), t(20));
        history.add([(t(90), usd(9))], t(100), t(110));
        assert_eq!(history.at(t(50)), None);
        assert_eq!(history.at(t(15)), Some(Price::Known(usd(1))));
        assert_eq!(history.at(t(95)), Some(Price::Known(usd(9))));
        // The last change before 60 is the one of 10: nothing moved in between.
        history.add([(t(10), usd(1)), (t(90), usd(9))], t(60), t(120));
        assert_eq!(history.known, [(t(10), t(120))]);
        assert_eq!(history.at(t(50)), Some(Price::Known(usd(1))));
    }
}
