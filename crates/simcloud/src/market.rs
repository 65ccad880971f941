use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{OfferId, Price, Timestamp, UsdPerHour};

use crate::catalog::{Cloud, Makeup, Scarcity, fingerprint};
use crate::rules::mix;

mod price;
mod trace;

use price::PriceProcess;
pub use trace::TraceStep;

/// How spot prices and spot capacity move, for all pools of a world.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MarketConfig {
    /// Which process.
    pub process: Process,
    /// How often one running spot instance is taken back, per hour, in place of the process's own
    /// reclaims. A rate: 0.5 is once in two hours on average, above 1 is possible.
    pub reclaim_per_hour: Option<f64>,
    /// The steps of a trace.
    pub trace: Arc<[TraceStep]>,
}

/// How spot prices and spot capacity move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Process {
    /// Prices stand still and nothing is taken back, unless `reclaim_per_hour` says so.
    Constant,
    /// Drawn from the seed.
    ///
    /// Prices: EC2 within ±5 % in steps of minutes to hours; Compute Engine within ±4 %, at most
    /// once a day; Azure within ±3 %, once a week; the neutral cloud's stand still. Reclaims: 7.5 %
    /// a month for common types and 25 % for those in demand (the bands of AWS's spot advisor).
    /// The pools of scarce types come and go as a whole: for a median of 0.3 to 1.4 hours and
    /// then away for 0.12 to 0.8, both with a heavy tail (AWS and Compute Engine GPU pools,
    /// measured 2022 to 2024).
    #[default]
    Seeded,
    /// Read from a file: see [`TraceStep`].
    Trace,
}

/// What the market needs to know of a pool.
#[derive(Clone, Debug)]
pub struct SpotPool<'a> {
    /// Whose pace.
    pub cloud: Cloud,
    /// The pool.
    pub offer: &'a OfferId,
    /// The catalogue's spot price.
    pub price: Price,
    /// The on-demand price of the same type and zone: spot never costs more.
    pub on_demand: Option<UsdPerHour>,
    /// How hard its capacity is to keep.
    pub scarcity: Scarcity,
    /// How its price is made up, on a cloud that prices the parts of machines.
    pub(crate) makeup: Option<Makeup>,
}

/// The spot market of one pool: its price is a pure function of the time, its capacity and its
/// reclaims a small state that the world moves.
///
/// The world keeps one per spot pool, tells it how many instances run
/// ([`set_running`](SpotMarket::set_running)), schedules one event at
/// [`next_change`](SpotMarket::next_change), and then asks [`advance`](SpotMarket::advance) what
/// happened. A pool in which nothing runs needs no event: the next `advance` catches up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpotMarket {
    /// What every draw of this pool comes from.
    key: u64,
    draws: u64,
    price: PriceProcess,
    capacity: CapacityProcess,
    hazard: Hazard,
}

/// What happened to a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// How many of the running instances are taken back, each by itself. The world chooses which.
    pub reclaims: u32,
    /// The most spot instances that the pool holds now: running ones above it are taken back too.
    /// `None` when the market sets no limit.
    pub capacity: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum CapacityProcess {
    Unlimited,
    /// Comes and goes as a whole.
    Turns {
        open_h: f64,
        away_h: f64,
        partial_share: f64,
        now: Option<u32>,
        until: Timestamp,
    },
    Steps {
        steps: Arc<[(Timestamp, u32)]>,
        seen: Timestamp,
    },
}

/// Reclaims of single instances: the world spends a random budget of instance-hours, and one is
/// taken back whenever it is used up. How often the count changes does not shift what comes out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Hazard {
    per_hour: f64,
    running: u32,
    /// In expected reclaims.
    budget: f64,
    since: Timestamp,
}

const HOUR_S: f64 = 3_600.0;
/// The hours of a month, as price lists count them.
const MONTH_H: f64 = 730.0;

impl SpotMarket {
    /// The market of one pool. The same seed and pool give the same market.
    pub fn new(config: &MarketConfig, seed: u64, pool: &SpotPool<'_>, world_start: Timestamp) -> Self {
        let offer = pool.offer;
        let key = mix(seed) ^ fingerprint(&[offer.zone.as_str(), offer.instance_type.as_str()]);
        let mut market = Self {
            key,
            draws: 0,
            price: PriceProcess::Fixed(pool.price),
            capacity: CapacityProcess::Unlimited,
            hazard: Hazard { per_hour: 0.0, running: 0, budget: 0.0, since: world_start },
        };
        match config.process {
            Process::Constant => {}
            Process::Seeded => {
                market.price = PriceProcess::seeded(seed, pool);
                match pool.scarcity {
                    Scarcity::Plenty => market.hazard.per_hour = monthly(0.075),
                    Scarcity::Tight => market.hazard.per_hour = monthly(0.25),
                    Scarcity::Scarce if config.reclaim_per_hour.is_none() => {
                        market.come_and_go(pool.cloud, world_start);
                    }
                    Scarcity::Scarce => {}
                }
            }
            Process::Trace => market.follow(&config.trace, pool, world_start),
        }
        if let Some(per_hour) = config.reclaim_per_hour {
            market.hazard.per_hour = per_hour.max(0.0);
        }
        market.hazard.budget = market.exponential();
        market
    }

    /// What an hour costs at a time. Pure.
    pub fn price_at(&self, at: Timestamp) -> Price {
        self.price.at(at)
    }

    /// What a part of the machine costs at a time that costs so much in the catalogue. Pure.
    #[cfg(feature = "server")]
    pub(crate) fn part_at(&self, list: UsdPerHour, at: Timestamp) -> UsdPerHour {
        self.price.part_at(list, at)
    }

    /// Since when the price of a time has stood, or could have moved last; `None` when it never
    /// moved. Pure.
    pub fn price_since(&self, at: Timestamp) -> Option<Timestamp> {
        self.price.since(at)
    }

    /// When the price may move next; `None` when it never will. Pure.
    pub fn next_price_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.price.next_change(after)
    }

    /// Says how many spot instances run in the pool from now on.
    pub fn set_running(&mut self, running: u32, now: Timestamp) {
        self.hazard.spend(now);
        self.hazard.running = running;
    }

    /// When something happens next to the capacity or to a running instance.
    pub fn next_change(&self) -> Option<Timestamp> {
        let capacity = match &self.capacity {
            CapacityProcess::Unlimited => None,
            CapacityProcess::Turns { until, .. } => Some(*until),
            CapacityProcess::Steps { steps, seen } => {
                steps.get(steps.partition_point(|(since, _)| since <= seen)).map(|(since, _)| *since)
            }
        };
        match (capacity, self.hazard.next()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Moves the market to `now` and says what happened since the last call.
    pub fn advance(&mut self, now: Timestamp) -> Change {
        self.hazard.spend(now);
        let mut reclaims = 0;
        while self.hazard.budget <= 0.0 && reclaims < self.hazard.running {
            self.hazard.budget += self.exponential();
            reclaims += 1;
        }
        if self.hazard.budget <= 0.0 {
            // All of them went, and nobody told the market before more would have.
            self.hazard.budget = self.exponential();
        }
        if let CapacityProcess::Steps { seen, .. } = &mut self.capacity {
            *seen = now.max(*seen);
        }
        while let CapacityProcess::Turns { until, .. } = self.capacity
            && until <= now
        {
            self.turn(until);
        }
        Change { reclaims, capacity: self.capacity() }
    }

    /// The most spot instances that the pool holds, as of the last
    /// [`advance`](SpotMarket::advance); `None` when the market sets no limit.
    pub fn capacity(&self) -> Option<u32> {
        match &self.capacity {
            CapacityProcess::Unlimited => None,
            CapacityProcess::Turns { now, .. } => *now,
            CapacityProcess::Steps { steps, seen } => {
                let next = steps.partition_point(|(since, _)| since <= seen);
                next.checked_sub(1).map(|last| steps[last].1)
            }
        }
    }

    /// A pool that comes and goes. How long it usually does is drawn for each pool.
    fn come_and_go(&mut self, cloud: Cloud, start: Timestamp) {
        let open_h = 0.3 + 1.1 * self.unit();
        let away_h = 0.12 + 0.68 * self.unit();
        // How often a pool that is going keeps a part: seldom on EC2 (3 to 17 %), often on Compute
        // Engine (a third).
        let partial_share = if cloud == Cloud::Gcp { 0.33 } else { 0.1 };
        let away = self.unit() < away_h / (open_h + away_h);
        // The turn at the start goes to the other side of what is drawn.
        let now = if away { None } else { Some(0) };
        self.capacity = CapacityProcess::Turns { open_h, away_h, partial_share, now, until: start };
        self.turn(start);
    }

    fn turn(&mut self, at: Timestamp) {
        let (median_u, median_v, part) = (self.unit(), self.unit(), self.unit());
        let normal = (-2.0 * median_u.ln()).sqrt() * (std::f64::consts::TAU * median_v).cos();
        if let CapacityProcess::Turns { open_h, away_h, partial_share, now, until } = &mut self.capacity {
            let hours = match now {
                None => {
                    // 1 to 8 stay, all chances alike.
                    *now = Some(if part < *partial_share {
                        1 + (part / *partial_share * 8.0) as u32
                    } else {
                        0
                    });
                    *away_h * normal.exp()
                }
                Some(_) => {
                    *now = None;
                    *open_h * (1.2 * normal).exp()
                }
            };
            *until = at + Duration::from_secs_f64((hours * HOUR_S).clamp(60.0, 30.0 * 86_400.0).round());
        }
    }

    fn follow(&mut self, trace: &[TraceStep], pool: &SpotPool<'_>, start: Timestamp) {
        let mine = || trace.iter().filter(|step| step.concerns(pool.offer));
        let time = |step: &TraceStep| start + Duration::from_secs_f64(step.time_s);
        let mut capacities: Vec<_> = mine().filter_map(|step| Some((time(step), step.capacity?))).collect();
        capacities.sort_by_key(|(at, _)| *at);
        if !capacities.is_empty() {
            self.capacity = CapacityProcess::Steps { steps: capacities.into(), seen: start };
        }
        let price = |step: &TraceStep| UsdPerHour::from_dollars(step.price_usd_per_hour?);
        let mut prices: Vec<_> = mine().filter_map(|step| Some((time(step), price(step)?))).collect();
        prices.sort_by_key(|(at, _)| *at);
        if !prices.is_empty() {
            self.price = PriceProcess::Steps { before: pool.price, steps: prices.into() };
        }
    }

    /// The next draw, above 0 and at most 1.
    fn unit(&mut self) -> f64 {
        self.draws += 1;
        1.0 - unit(mix(self.key ^ mix(self.draws)))
    }

    fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }
}

impl Hazard {
    fn rate_per_hour(&self) -> f64 {
        self.per_hour * f64::from(self.running)
    }

    fn spend(&mut self, now: Timestamp) {
        let hours = now.duration_since(self.since).as_secs_f64().max(0.0) / HOUR_S;
        self.budget -= hours * self.rate_per_hour();
        self.since = self.since.max(now);
    }

    /// To the millisecond, rounded up, so that the budget is used up when it comes.
    fn next(&self) -> Option<Timestamp> {
        let rate = self.rate_per_hour();
        let millis = (self.budget.max(0.0) / rate * HOUR_S * 1_000.0).ceil() + 1.0;
        // Beyond a hundred years is never.
        (rate > 0.0 && millis < 3e12).then(|| self.since + Duration::from_millis(millis as u64))
    }
}

/// The hourly rate of a chance per month.
fn monthly(chance: f64) -> f64 {
    -(1.0 - chance).ln() / MONTH_H
}

/// At least 0 and below 1.
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfleet_core::{ErrorKind, Market};
    use std::path::Path;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn hours(h: f64) -> Timestamp {
        START + Duration::from_secs_f64(h * HOUR_S)
    }

    fn offer(zone: &str) -> OfferId {
        OfferId { zone: zone.into(), instance_type: "t".into(), market: Market::Spot }
    }

    fn market_of(
        cloud: Cloud,
        zone: &str,
        scarcity: Scarcity,
        config: &MarketConfig,
        seed: u64,
    ) -> SpotMarket {
        let pool = SpotPool {
            cloud,
            offer: &offer(zone),
            price: Price::Known(UsdPerHour::from_micros(100_000)),
            on_demand: Some(UsdPerHour::from_micros(300_000)),
            scarcity,
            makeup: None,
        };
        SpotMarket::new(config, seed, &pool, START)
    }

    fn micros(market: &SpotMarket, at: Timestamp) -> i64 {
        market.price_at(at).known().unwrap().micros()
    }

    #[test]
    fn prices_move_at_each_clouds_own_pace_and_stay_near_the_list() {
        // The number of different prices within four weeks, and how far they lie from the list.
        for (cloud, zone, changes, span) in [
            (Cloud::Aws, "us-east-1a", 100..2_100, 0.05),
            (Cloud::Gcp, "us-central1-a", 10..30, 0.04),
            (Cloud::Azure, "eastus-1", 2..7, 0.03),
            (Cloud::Neutral, "sim-east-a", 1..2, 0.0),
        ] {
            let market = market_of(cloud, zone, Scarcity::Plenty, &MarketConfig::default(), 7);
            let (mut at, mut seen) = (START, vec![micros(&market, START)]);
            while let Some(next) = market.next_price_change(at).filter(|next| *next < hours(24.0 * 28.0)) {
                assert!(next > at);
                let before = next - Duration::from_secs(1);
                assert_eq!(micros(&market, before), *seen.last().unwrap(), "it moved early");
                seen.push(micros(&market, next));
                at = next;
            }
            for price in &seen {
                assert!((*price as f64 / 100_000.0 - 1.0).abs() <= span + 1e-9, "{cloud}: {price}");
            }
            seen.dedup();
            assert!(changes.contains(&seen.len()), "{cloud}: {} prices", seen.len());
        }
    }

    #[test]
    fn zones_of_ec2_have_prices_of_their_own_and_regions_of_compute_engine() {
        let price = |cloud, zone| {
            micros(&market_of(cloud, zone, Scarcity::Plenty, &MarketConfig::default(), 7), hours(30.0))
        };
        assert_ne!(price(Cloud::Aws, "us-east-1a"), price(Cloud::Aws, "us-east-1b"));
        assert_eq!(price(Cloud::Gcp, "us-east1-b"), price(Cloud::Gcp, "us-east1-c"));
        assert_ne!(price(Cloud::Gcp, "us-east1-b"), price(Cloud::Gcp, "us-west1-b"));
    }

    #[test]
    fn spot_without_a_discount_never_moves() {
        let price = UsdPerHour::from_micros(6_980_000);
        let pool = SpotPool {
            cloud: Cloud::Azure,
            offer: &offer("eastus-1"),
            price: Price::Known(price),
            on_demand: Some(price),
            scarcity: Scarcity::Plenty,
            makeup: None,
        };
        let market = SpotMarket::new(&MarketConfig::default(), 1, &pool, START);
        assert_eq!(market.next_price_change(START), None);
        assert_eq!(market.price_at(hours(5_000.0)), Price::Known(price));
    }

    /// Runs a pool that is kept at `running`, and counts the reclaims.
    fn reclaims(market: &mut SpotMarket, running: u32, until: Timestamp) -> u32 {
        market.set_running(running, START);
        let mut reclaims = 0;
        while let Some(at) = market.next_change().filter(|at| *at <= until) {
            reclaims += market.advance(at).reclaims;
            market.set_running(running, at);
        }
        reclaims
    }

    #[test]
    fn common_types_are_rarely_taken_back_and_a_rate_raises_it() {
        let mut calm = market_of(Cloud::Aws, "us-east-1a", Scarcity::Plenty, &MarketConfig::default(), 3);
        assert_eq!(reclaims(&mut calm, 20, hours(1.0)), 0);
        let mut month = market_of(Cloud::Aws, "us-east-1a", Scarcity::Plenty, &MarketConfig::default(), 3);
        let in_a_month = reclaims(&mut month, 10_000, hours(MONTH_H));
        assert!((700..860).contains(&in_a_month), "{in_a_month}");

        let config = MarketConfig { reclaim_per_hour: Some(0.5), ..MarketConfig::default() };
        let mut raised = market_of(Cloud::Aws, "us-east-1a", Scarcity::Scarce, &config, 3);
        let taken = reclaims(&mut raised, 100, hours(20.0));
        assert!((900..1_100).contains(&taken), "{taken}");
    }

    #[test]
    fn asking_more_often_shifts_nothing() {
        let config = MarketConfig { reclaim_per_hour: Some(1.0), ..MarketConfig::default() };
        let mut plain = market_of(Cloud::Aws, "z", Scarcity::Plenty, &config, 9);
        let mut asked = plain.clone();
        plain.set_running(5, START);
        asked.set_running(5, START);
        let first = plain.next_change().unwrap();
        for part in 1..10 {
            asked.set_running(5, START + first.duration_since(START).unsigned_abs() / 10 * part);
        }
        let shift = first.duration_since(asked.next_change().unwrap()).unsigned_abs();
        assert!(shift <= Duration::from_millis(2), "{shift:?}");
        assert_eq!(plain.advance(first).reclaims, 1);
    }

    #[test]
    fn a_scarce_pool_comes_and_goes_and_catches_up_when_nobody_looked() {
        let (mut open, mut away) = (Vec::new(), Vec::new());
        for seed in 0..200 {
            let mut market =
                market_of(Cloud::Aws, "us-east-1a", Scarcity::Scarce, &MarketConfig::default(), seed);
            let mut lazy = market.clone();
            let mut at = START;
            for _ in 0..40 {
                let (was, next) = (market.capacity(), market.next_change().unwrap());
                let length = next.duration_since(at).as_secs_f64() / HOUR_S;
                if was.is_none() { &mut open } else { &mut away }.push(length);
                let change = market.advance(next);
                assert_ne!(change.capacity.is_none(), was.is_none(), "it turns each time");
                at = next;
            }
            assert_eq!(lazy.advance(at).capacity, market.capacity());
            assert_eq!(lazy, market);
        }
        let median = |list: &mut Vec<f64>| {
            list.sort_by(f64::total_cmp);
            list[list.len() / 2]
        };
        let (open, away) = (median(&mut open), median(&mut away));
        assert!((0.3..1.4).contains(&open) && (0.12..0.8).contains(&away), "{open} {away}");
    }

    #[test]
    fn a_trace_sets_capacity_and_price_of_the_pools_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.csv");
        let text =
            "time_s,zone,capacity,price_usd_per_hour\n60,z-a,5,\n0,,,0.2\n120,z-b,0,\n180,z-a,2,0.25\n";
        std::fs::write(&path, text).unwrap();
        let trace = TraceStep::read(&path).unwrap();
        let config = MarketConfig { process: Process::Trace, trace, ..MarketConfig::default() };
        let mut market = market_of(Cloud::Gcp, "z-a", Scarcity::Plenty, &config, 1);
        let second = |s| START + Duration::from_secs(s);
        assert_eq!((market.capacity(), micros(&market, START)), (None, 200_000));
        assert_eq!(market.next_change(), Some(second(60)));
        assert_eq!(market.advance(second(60)).capacity, Some(5));
        assert_eq!(market.next_change(), Some(second(180)));
        assert_eq!(market.advance(second(500)).capacity, Some(2));
        assert_eq!((market.next_change(), micros(&market, second(500))), (None, 250_000));
        assert_eq!(market.next_price_change(START), Some(second(180)));
    }

    #[test]
    fn a_bad_trace_names_the_file_and_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.csv");
        for (text, part) in [
            ("time_s,capazity\n0,1\n", "capazity"),
            ("time_s,capacity\nsoon,1\n", "line: 2"),
            ("time_s,capacity\n-5,1\n", "time_s is -5"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = TraceStep::read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains("trace.csv") && error.to_string().contains(part), "{error}");
        }
        assert!(TraceStep::read(Path::new("nowhere.csv")).is_err());
    }

    #[test]
    fn a_market_goes_on_after_a_snapshot() {
        let mut market = market_of(Cloud::Gcp, "us-east1-b", Scarcity::Scarce, &MarketConfig::default(), 5);
        market.set_running(3, START);
        market.advance(hours(2.0));
        let text = serde_json::to_string(&market).unwrap();
        let mut copy: SpotMarket = serde_json::from_str(&text).unwrap();
        assert_eq!(copy.next_change(), market.next_change());
        assert_eq!(copy.advance(hours(9.0)), market.advance(hours(9.0)));
    }
}
