//! What machines cost: the sum of what their parts cost, out of Google's price list.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skyfleet_core::kept::Kept;
use skyfleet_core::{ErrorKind, Market, Price, Region, Result, Timestamp, UsdPerHour};

use crate::catalog::Kind;
use crate::client::Client;

mod sku;

use sku::Part;
pub(crate) use sku::{Rate, rates};

/// Spot prices change at most once a day (Compute Engine documentation, "Spot VMs", pricing), list
/// prices a few times a year. The list takes a handful of calls: once an hour is often enough to see
/// a change, and seldom enough to cost nothing.
const AGE_MAX: Duration = Duration::from_secs(3_600);

/// The hours of a month, as price lists count them.
const MONTH_H: i128 = 730;

/// The series whose bundled disks are the local SSD of the price list; newer ones have disks with
/// prices of their own, which this does not know.
const LOCAL_SSD_SERIES: [&str; 6] = ["a2", "a3", "c3", "c3d", "m3", "n1"];

/// Google's price list, as far as machines are made of it.
#[derive(Debug)]
pub(crate) struct PriceBook {
    client: Client,
    /// When the list was read last, and whether it could be.
    read: Kept<(), bool>,
    rates: Mutex<Rates>,
}

type Rates = BTreeMap<(Part, Market, Region), Vec<(Timestamp, i64)>>;

impl PriceBook {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, read: Kept::new(AGE_MAX), rates: Mutex::default() }
    }

    /// Sees to it that prices are known as of an hour ago; says whether the list can be read at all.
    ///
    /// # Errors
    /// Those of the calls, as long as no prices are known; a project that may not read the list has
    /// unknown prices, and no error.
    pub(crate) async fn refresh(&self) -> Result<bool> {
        let ask = async {
            match self.client.price_list().await {
                Ok(rates) => {
                    self.learn(rates, self.client.clock().now());
                    Ok(true)
                }
                Err(error) if is_closed(error.kind()) => {
                    tracing::warn!(%error, "prices are unknown: the Cloud Billing API cannot be read");
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        };
        match self.read.get(&(), self.client.clock().now(), ask).await {
            Ok(read) => Ok(*read),
            Err(error) if !self.lock().is_empty() => {
                tracing::warn!(%error, "prices are older than an hour");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// What an hour of a machine costs now, and since when, as far as [`PriceBook::refresh`] has
    /// read. `Unknown` when one of its parts has no price: a part is never free.
    pub(crate) fn now(
        &self,
        kind: &Kind,
        region: &Region,
        market: Market,
    ) -> Option<(UsdPerHour, Timestamp)> {
        compose(kind, |part| {
            let rates = self.lock();
            rates.get(&(part, market, region.clone()))?.last().copied()
        })
    }

    /// What an hour of a machine cost at a time: the oldest price that is known, when the time was
    /// before all of them.
    pub(crate) fn at(&self, kind: &Kind, region: &Region, market: Market, time: Timestamp) -> Price {
        let price = compose(kind, |part| {
            let rates = self.lock();
            let moves = rates.get(&(part, market, region.clone()))?;
            let later = moves.partition_point(|(since, _)| *since <= time);
            moves.get(later.saturating_sub(1)).copied()
        });
        price.map_or(Price::Unknown, |(price, _)| Price::Known(price))
    }

    /// How old the prices are.
    pub(crate) fn age(&self, now: Timestamp) -> Option<Duration> {
        self.read.age(now)
    }

    fn learn(&self, list: Vec<Rate>, now: Timestamp) {
        let mut newest = BTreeMap::new();
        for rate in list {
            for region in rate.regions {
                let key = (rate.part.clone(), rate.market, region);
                let told = newest.entry(key).or_insert((rate.since, rate.nanos));
                // Of two prices for one thing the higher one is taken: a budget must hold.
                if (rate.nanos, rate.since) > (told.1, told.0) {
                    *told = (rate.since, rate.nanos);
                }
            }
        }
        let mut known = self.lock();
        for (key, (since, nanos)) in newest {
            let moves = known.entry(key).or_default();
            if moves.last().is_none_or(|(_, last)| *last != nanos) {
                // Whoever was launched since the list was read last was told the price before: what
                // is new holds from now on, so that nobody's price changes after the launch.
                let since = moves.last().map_or(since, |(last, _)| now.max(*last));
                moves.push((since, nanos));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a refusal says that the list cannot be read by this caller at all.
fn is_closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::InvalidConfig | ErrorKind::NotFound
    )
}

/// Sums up the parts of a machine, rounded once, and up: a budget must hold. With the price comes
/// the newest date of a part's.
fn compose(kind: &Kind, rate: impl Fn(Part) -> Option<(Timestamp, i64)>) -> Option<(UsdPerHour, Timestamp)> {
    let series = priced_as(kind);
    let memory = i128::from(kind.spec.memory_mib);
    let mut parts = vec![
        (Part::Core(series.to_owned()), i128::from(kind.cores_paid_percent), 100),
        (Part::Ram(series.to_owned()), memory, 1_024),
    ];
    if let Some(gpus) = kind.gpus {
        // A share of a GPU has no price of its own that this knows.
        let whole = kind.spec.gpu.as_ref().is_some_and(|gpu| gpu.memory_mib == gpus.accelerator.memory_mib);
        whole.then_some(())?;
        parts.push((Part::Gpu(gpus.accelerator.name), i128::from(gpus.count), 1));
    }
    if kind.spec.local_ssd_gib > 0 {
        LOCAL_SSD_SERIES.contains(&series).then_some(())?;
        parts.push((Part::LocalSsd, i128::from(kind.spec.local_ssd_gib), MONTH_H));
    }
    let (mut nanos, mut newest) = (0i128, Timestamp::MIN);
    // In parts of 1/(1024 × 100 × 730) of a nano-dollar, so that nothing is lost before the end.
    let whole: i128 = 1_024 * 100 * MONTH_H;
    for (part, units, per) in parts {
        let (since, price) = rate(part)?;
        nanos += i128::from(price) * units * (whole / per);
        newest = newest.max(since);
    }
    let micros = (nanos + whole * 1_000 - 1) / (whole * 1_000);
    Some((UsdPerHour::from_micros(i64::try_from(micros).ok()?), newest))
}

/// What the price list calls the series of a machine; one type has prices of its own.
fn priced_as(kind: &Kind) -> &str {
    if kind.spec.name.as_str() == "m4-ultramem-224" { "m4ultramem224" } else { &kind.series }
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::machine_type::Accelerators;
    use google_cloud_compute_v1::model::{BundledLocalSsds, MachineType};

    use super::*;

    const SINCE: Timestamp = Timestamp::UNIX_EPOCH;

    fn kind(name: &str, vcpus: i32, memory_mb: i32, gpus: Option<(&str, i32)>, disks: i32) -> Kind {
        let gpus = gpus.map(|(name, count)| {
            Accelerators::new().set_guest_accelerator_type(name).set_guest_accelerator_count(count)
        });
        let told = MachineType::new()
            .set_name(name)
            .set_guest_cpus(vcpus)
            .set_memory_mb(memory_mb)
            .set_accelerators(gpus)
            .set_bundled_local_ssds(BundledLocalSsds::new().set_partition_count(disks));
        Kind::read(&told).unwrap()
    }

    /// The prices of us-central1 in 2026.
    fn listed(part: Part) -> Option<(Timestamp, i64)> {
        let nanos = match part {
            Part::Core(series) => match series.as_str() {
                "n2" | "a2" => 31_611_000,
                "e2" => 21_811_590,
                "c3" => 34_000_000,
                "z3" => 49_600_000,
                _ => return None,
            },
            Part::Ram(series) => match series.as_str() {
                "n2" | "a2" => 4_237_000,
                "e2" => 2_923_530,
                "c3" => 4_550_000,
                "z3" => 6_660_000,
                _ => return None,
            },
            Part::Gpu("nvidia-a100-80gb") => 3_928_080_000,
            Part::Gpu(_) => return None,
            Part::LocalSsd => 80_000_000,
        };
        Some((SINCE, nanos))
    }

    #[test]
    fn a_machine_costs_what_its_parts_cost() {
        for (kind, micros) in [
            (kind("n2-standard-2", 2, 8_192, None, 0), 97_118),
            (kind("e2-standard-2", 2, 8_192, None, 0), 67_012),
            // One core's worth of the two that it shares.
            (kind("e2-medium", 2, 4_096, None, 0), 33_506),
            (kind("a2-ultragpu-1g", 12, 174_080, Some(("nvidia-a100-80gb", 1)), 1), 5_068_798),
            (kind("c3-standard-4-lssd", 4, 16_384, None, 1), 249_896),
        ] {
            let (price, since) = compose(&kind, listed).unwrap();
            assert_eq!((price.micros(), since), (micros, SINCE), "{}", kind.spec.name);
        }
    }

    #[test]
    fn a_machine_with_a_part_of_unknown_price_has_an_unknown_price() {
        for kind in [
            kind("n4-standard-2", 2, 8_192, None, 0),
            kind("a2-highgpu-1g", 12, 87_040, Some(("nvidia-tesla-a100", 1)), 0),
            // Disks that are not the local SSD of the list.
            kind("z3-highmem-88", 88, 720_896, None, 12),
            kind("g4-standard-6", 6, 23_040, Some(("nvidia-rtx-pro-6000", 1)), 0),
            kind("m4-ultramem-224", 224, 6_094_848, None, 0),
        ] {
            assert_eq!(compose(&kind, listed), None, "{}", kind.spec.name);
        }
    }

    fn book() -> PriceBook {
        PriceBook::new(Client::new(
            None,
            crate::Settings::default(),
            std::sync::Arc::new(skyfleet_core::SystemClock),
        ))
    }

    fn told(description: &str, unit: &str, since: i64, nanos: i64) -> Vec<Rate> {
        let mut rates = rates(&sku::tests::sku(description, "Preemptible", &["us-central1"], unit, &[nanos]));
        rates.iter_mut().for_each(|rate| rate.since = Timestamp::from_second(since).unwrap());
        rates
    }

    #[test]
    fn a_machine_of_yesterday_costs_what_it_cost_yesterday() {
        let book = book();
        let (core, ram) =
            ("Spot Preemptible N2 Instance Core in Iowa", "Spot Preemptible N2 Instance Ram in Iowa");
        let n2 = kind("n2-standard-2", 2, 8_192, None, 0);
        let region = Region::from("us-central1");
        let at =
            |second| book.at(&n2, &region, Market::Spot, Timestamp::from_second(second).unwrap()).known();
        let second = |second| Timestamp::from_second(second).unwrap();
        book.learn(
            [told(core, "h", 100, 10_000_000), told(ram, "GiBy.h", 100, 1_000_000)].concat(),
            second(150),
        );
        assert_eq!(at(150), Some(UsdPerHour::from_micros(28_000)));
        // It moved at 160, and who was launched at 180 was told the price before.
        book.learn(
            [told(core, "h", 160, 11_000_000), told(ram, "GiBy.h", 100, 1_000_000)].concat(),
            second(200),
        );
        for (second, micros) in [(50, 28_000), (100, 28_000), (199, 28_000), (200, 30_000), (900, 30_000)] {
            assert_eq!(at(second), Some(UsdPerHour::from_micros(micros)), "at {second}");
        }
        let (price, since) = book.now(&n2, &region, Market::Spot).unwrap();
        assert_eq!((price.micros(), since.as_second()), (30_000, 200));
        assert_eq!(book.now(&n2, &region, Market::OnDemand), None);
        assert_eq!(book.now(&n2, &"us-east1".into(), Market::Spot), None);
    }

    #[test]
    fn of_two_prices_for_one_thing_the_higher_one_counts() {
        let book = book();
        let (core, ram) =
            ("Spot Preemptible N2 Instance Core in Iowa", "Spot Preemptible N2 Instance Ram in Iowa");
        book.learn(
            [told(core, "h", 0, 9_000_000), told(core, "h", 0, 8_000_000), told(ram, "GiBy.h", 0, 1)]
                .concat(),
            Timestamp::UNIX_EPOCH,
        );
        let n2 = kind("n2-standard-2", 2, 8_192, None, 0);
        let (price, _) = book.now(&n2, &"us-central1".into(), Market::Spot).unwrap();
        assert_eq!(price.micros(), 18_001, "and rounded up");
    }
}
