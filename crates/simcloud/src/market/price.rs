use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{OfferId, Price, Timestamp, UsdPerHour};

use super::{SpotPool, unit};
use crate::catalog::{Cloud, fingerprint, series};
use crate::rules::mix;

/// How the price of one pool moves: a pure function of the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum PriceProcess {
    Fixed(Price),
    /// So many units of each part, which move in step, and what stands still.
    Moving {
        parts: Arc<[(u32, UsdPerHour)]>,
        still: UsdPerHour,
        ceiling: Option<UsdPerHour>,
        key: u64,
        pace: Pace,
    },
    Steps {
        before: Price,
        steps: Arc<[(Timestamp, UsdPerHour)]>,
    },
}

/// How a cloud's spot prices move: in steps, along a line through random heights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    step_s: i64,
    /// How many steps lie between two heights.
    knot: i64,
    /// How far from the base, as a share of it.
    span: f64,
}

impl PriceProcess {
    pub(super) fn seeded(seed: u64, pool: &SpotPool<'_>) -> Self {
        let (Price::Known(base), Some(pace)) = (pool.price, Pace::of(pool.cloud, pool.offer)) else {
            return Self::Fixed(pool.price);
        };
        if pool.on_demand.is_some_and(|on_demand| base >= on_demand) {
            // A type without a discount has none at any time (Azure's H100 sizes).
            return Self::Fixed(pool.price);
        }
        // EC2 prices a zone, the others a whole region.
        let zone = pool.offer.zone.as_str();
        let place = match pool.cloud {
            Cloud::Aws => zone,
            _ => zone.rsplit_once('-').map_or(zone, |(region, _)| region),
        };
        let name = pool.offer.instance_type.as_str();
        let (what, parts, still) = match &pool.makeup {
            // The parts of a series are those of all its types.
            Some(makeup) => (series(name), makeup.moving.clone(), makeup.still),
            None => (name, [(1, base)].into(), UsdPerHour::ZERO),
        };
        let key = mix(seed ^ 1) ^ fingerprint(&[place, what]);
        Self::Moving { parts, still, ceiling: pool.on_demand, key, pace }
    }

    /// What an hour costs at a time.
    pub(super) fn at(&self, at: Timestamp) -> Price {
        match self {
            Self::Fixed(price) => *price,
            Self::Moving { parts, still, ceiling, key, pace } => {
                let cost = |(units, list): &(u32, UsdPerHour)| {
                    i64::from(*units) * pace.price(*list, *key, at).micros()
                };
                let moving: i64 = parts.iter().map(cost).sum();
                let price = UsdPerHour::from_micros(moving + still.micros());
                Price::Known(ceiling.map_or(price, |ceiling| price.min(ceiling)))
            }
            Self::Steps { before, steps } => {
                let next = steps.partition_point(|(since, _)| *since <= at);
                next.checked_sub(1).map_or(*before, |last| Price::Known(steps[last].1))
            }
        }
    }

    /// What a part that costs so much in the catalogue costs at a time. A scenario's own prices say
    /// nothing of parts: those stand.
    #[cfg(feature = "server")]
    pub(super) fn part_at(&self, list: UsdPerHour, at: Timestamp) -> UsdPerHour {
        match self {
            Self::Fixed(_) | Self::Steps { .. } => list,
            Self::Moving { key, pace, .. } => pace.price(list, *key, at),
        }
    }

    /// Since when the price of a time has stood, as far as steps go; `None` for ever.
    pub(super) fn since(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Fixed(_) => None,
            Self::Moving { key, pace, .. } => pace.since(*key, at),
            Self::Steps { steps, .. } => {
                let next = steps.partition_point(|(since, _)| *since <= at);
                next.checked_sub(1).map(|last| steps[last].0)
            }
        }
    }

    /// When the price may move next; `None` when it never will.
    pub(super) fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Fixed(_) => None,
            Self::Moving { key, pace, .. } => pace.next(*key, after),
            Self::Steps { steps, .. } => {
                steps.get(steps.partition_point(|(since, _)| *since <= after)).map(|(since, _)| *since)
            }
        }
    }
}

impl Pace {
    fn of(cloud: Cloud, offer: &OfferId) -> Option<Self> {
        const DAY: i64 = 86_400;
        match cloud {
            Cloud::Neutral => None,
            Cloud::Aws => {
                let hash = fingerprint(&[offer.instance_type.as_str(), offer.zone.as_str()]);
                let step_s = 1_200 + (hash % 9_600) as i64;
                Some(Self { step_s, knot: DAY / step_s, span: 0.05 })
            }
            Cloud::Gcp => Some(Self { step_s: DAY, knot: 7, span: 0.04 }),
            Cloud::Azure => Some(Self { step_s: 7 * DAY, knot: 4, span: 0.03 }),
        }
    }

    /// Steps of different pools begin at different times.
    fn shift(self, key: u64) -> i64 {
        (key % self.step_s as u64) as i64
    }

    fn price(self, base: UsdPerHour, key: u64, at: Timestamp) -> UsdPerHour {
        let step = self.step(key, at);
        let (knot, part) = (step.div_euclid(self.knot), step.rem_euclid(self.knot));
        let height = |knot: i64| unit(mix(key ^ mix(knot as u64))) * 2.0 - 1.0;
        let part = part as f64 / self.knot as f64;
        let shift = self.span * (height(knot) * (1.0 - part) + height(knot + 1) * part);
        UsdPerHour::from_micros((base.micros() as f64 * (1.0 + shift)).round() as i64)
    }

    fn since(self, key: u64, at: Timestamp) -> Option<Timestamp> {
        self.begin(key, self.step(key, at))
    }

    fn next(self, key: u64, after: Timestamp) -> Option<Timestamp> {
        self.begin(key, self.step(key, after) + 1)
    }

    fn step(self, key: u64, at: Timestamp) -> i64 {
        (at.as_second() + self.shift(key)).div_euclid(self.step_s)
    }

    fn begin(self, key: u64, step: i64) -> Option<Timestamp> {
        Timestamp::from_second(step * self.step_s - self.shift(key)).ok()
    }
}
