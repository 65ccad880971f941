use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use skyfleet_core::{Gpu, InstanceType, Market, Region, UsdPerHour};

use super::{Answer, PriceColumn, ZoneRow, fingerprint, rows};

/// Something with a price of its own on Compute Engine's price list. A machine costs what its parts
/// cost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A core of a series (`n2`), for an hour.
    Core(Arc<str>),
    /// A GiB of memory of a series, for an hour.
    Ram(Arc<str>),
    /// A GPU, by model and memory in MiB, for an hour.
    Gpu(Arc<str>, u32),
    /// A GiB of local SSD, for a month.
    LocalSsd,
}

/// The hours of a month, as price lists count them.
const MONTH_H: i64 = 730;

/// How a machine's price is made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Makeup {
    /// The parts whose price moves, all in step: how many of each, and what one costs.
    pub(crate) moving: Arc<[(u32, UsdPerHour)]>,
    /// What the rest costs: local SSD.
    pub(crate) still: UsdPerHour,
}

impl Makeup {
    /// What an hour of the machine costs.
    pub(crate) fn price(&self) -> UsdPerHour {
        let moving: i64 = self.moving.iter().map(|(units, price)| i64::from(*units) * price.micros()).sum();
        UsdPerHour::from_micros(moving + self.still.micros())
    }
}

/// What all parts cost, by region and market; micro-dollars for the part's own time.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartPrices(BTreeMap<(Region, Market, Part), i64>);

/// A series: what the name of a machine type begins with.
pub(crate) fn series(instance_type: &str) -> &str {
    instance_type.split('-').next().unwrap_or(instance_type)
}

/// How many cores of a machine type are paid for: those of a shared core are not whole ones. Compute
/// Engine documentation, "Shared-core machine types".
fn cores_paid(spec: &InstanceType) -> u32 {
    if spec.name.as_str() == "e2-medium" { 1 } else { spec.vcpus }
}

impl PartPrices {
    /// Reads the price list for these zones.
    pub(super) fn read(zones: &[ZoneRow]) -> Self {
        let mut prices = BTreeMap::new();
        for row in rows::<PartRow>(PARTS) {
            for zone in zones {
                for market in [Market::OnDemand, Market::Spot] {
                    if let Some(micros) = row.micros(zone, market) {
                        prices.insert((zone.region.clone(), market, row.part()), micros);
                    }
                }
            }
        }
        Self(prices)
    }

    /// Every part that is sold, where and on which market; micro-dollars, by region, market and part.
    #[cfg(feature = "server")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&(Region, Market, Part), i64)> {
        self.0.iter().map(|(key, micros)| (key, *micros))
    }

    /// What a machine is made of in a region; `None` when one of its parts is not sold there.
    pub(crate) fn makeup(&self, spec: &InstanceType, region: &Region, market: Market) -> Option<Makeup> {
        let price = |part: Part| self.0.get(&(region.clone(), market, part)).copied();
        let of: Arc<str> = series(spec.name.as_str()).into();
        let mut wanted =
            vec![(cores_paid(spec), Part::Core(of.clone())), (spec.memory_mib / 1_024, Part::Ram(of))];
        if let Some(Gpu { model, count, memory_mib }) = &spec.gpu {
            wanted.push((*count, Part::Gpu(model.clone(), *memory_mib)));
        }
        let moving =
            wanted.into_iter().map(|(units, part)| Some((units, UsdPerHour::from_micros(price(part)?))));
        let still = match spec.local_ssd_gib {
            0 => 0,
            // A micro-dollar that began is a whole one.
            gib => (i64::from(gib) * price(Part::LocalSsd)? + MONTH_H - 1) / MONTH_H,
        };
        Some(Makeup { moving: moving.collect::<Option<_>>()?, still: UsdPerHour::from_micros(still) })
    }
}

const PARTS: &str = include_str!("../../catalog/gcp_parts.csv");

#[derive(Deserialize)]
struct PartRow {
    part: Kind,
    /// Of a GPU: with whose spot prices its own moves.
    series: String,
    gpu_model: Option<Arc<str>>,
    gpu_memory_mib: Option<u32>,
    us_on_demand: f64,
    us_spot: Option<f64>,
    eu_on_demand: f64,
    eu_spot: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Core,
    Ram,
    Gpu,
    LocalSsd,
}

impl PartRow {
    fn part(&self) -> Part {
        match self.part {
            Kind::Core => Part::Core(self.series.as_str().into()),
            Kind::Ram => Part::Ram(self.series.as_str().into()),
            Kind::Gpu => {
                Part::Gpu(self.gpu_model.clone().unwrap_or_default(), self.gpu_memory_mib.unwrap_or_default())
            }
            Kind::LocalSsd => Part::LocalSsd,
        }
    }

    /// The price in a zone's region, in whole micro-dollars: then sums are, too.
    fn micros(&self, zone: &ZoneRow, market: Market) -> Option<i64> {
        let (on_demand, spot) = match zone.price {
            PriceColumn::Us => (self.us_on_demand, self.us_spot),
            PriceColumn::Eu => (self.eu_on_demand, self.eu_spot),
        };
        let dollars = match market {
            Market::OnDemand => on_demand,
            Market::Spot => spot? * (1.0 + self.spot_shift(zone)),
        };
        Some((dollars * f64::from(zone.percent) * 10_000.0).round() as i64)
    }

    /// By how much the usual spot price of a region without prices of its own differs from the
    /// listed one: the same for all parts of a series.
    fn spot_shift(&self, zone: &ZoneRow) -> f64 {
        if zone.own == Answer::Yes || self.series.is_empty() {
            return 0.0;
        }
        let hash = fingerprint(&[self.series.as_str(), zone.region.as_str()]);
        0.06 * (hash as f64 / u64::MAX as f64 * 2.0 - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Cloud};

    #[test]
    fn every_offer_of_compute_engine_costs_what_its_parts_cost() {
        let catalog = Catalog::of(Cloud::Gcp);
        for offer in catalog.offers() {
            let makeup = catalog.makeup(offer).expect("all parts have a price");
            assert_eq!(offer.price.known(), Some(makeup.price()), "{}", offer.id());
        }
        let aws = Catalog::of(Cloud::Aws);
        assert!(aws.makeup(&aws.offers()[0]).is_none(), "EC2 prices machines as a whole");
    }

    #[test]
    fn a_gpu_moves_with_the_series_that_it_is_in() {
        let series_of = |spec: &InstanceType| series(spec.name.as_str()).to_owned();
        for spec in Catalog::of(Cloud::Gcp).instance_types() {
            let Some(gpu) = &spec.gpu else { continue };
            let rows = rows::<PartRow>(PARTS);
            let row = rows.iter().find(|row| row.part() == Part::Gpu(gpu.model.clone(), gpu.memory_mib));
            assert_eq!(row.expect("it has a price").series, series_of(spec), "{spec:?}");
        }
    }

    #[test]
    fn local_ssd_is_priced_by_the_month() {
        let catalog = Catalog::of(Cloud::Gcp);
        let zone = catalog.zone("us-central1-a").unwrap();
        let spec = catalog.instance_type("a3-highgpu-8g").unwrap();
        let makeup = catalog.parts.makeup(spec, &zone.region, Market::OnDemand).unwrap();
        // 6,000 GiB at $0.08 a month.
        assert_eq!(makeup.still.micros(), 657_535);
    }
}
