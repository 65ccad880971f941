use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{
    Arch, Availability, Counts, Draw, Error, ErrorKind, Gpu, InstanceType, Market, Offer, OfferId, Price,
    QuotaId, Region, Result, TypeName, UsdPerHour, Zone,
};

use crate::rules::mix;

mod parts;

#[cfg(feature = "server")]
pub(crate) use parts::Part;
pub(crate) use parts::{Makeup, PartPrices, series};

/// Which cloud the world plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// No real cloud: small numbers that are easy to reckon with.
    #[default]
    Neutral,
    /// Amazon EC2.
    Aws,
    /// Google Compute Engine.
    Gcp,
    /// Microsoft Azure.
    Azure,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Neutral, Self::Aws, Self::Gcp, Self::Azure];

    /// The name in configs, faults and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Cloud {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|cloud| cloud.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(
                ErrorKind::InvalidConfig,
                format!("there is no simulated cloud {text:?}; known: {known}"),
            )
        })
    }
}

/// One zone of a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ZoneSpec {
    /// The name that a launch uses: `us-east-1a`, `us-central1-a`, `eastus-1`.
    pub zone: Zone,
    /// The id that is the same for every account: `use1-az4` on AWS, elsewhere the zone's name.
    pub id: Arc<str>,
    /// Its region.
    pub region: Region,
}

/// How hard spot capacity of a type is to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scarcity {
    /// Common: an instance is taken back with a chance of 5 to 10 % in a month.
    Plenty,
    /// In demand: above 20 % in a month.
    Tight,
    /// The whole pool comes and goes, for hours at most.
    Scarce,
}

/// Everything that one cloud sells, and the quotas of an established account.
#[derive(Clone, Debug)]
pub struct Catalog {
    cloud: Cloud,
    /// Ordered by region and name, as the offers are.
    zones: Vec<ZoneSpec>,
    types: BTreeMap<TypeName, (Arc<InstanceType>, Scarcity)>,
    offers: Vec<Offer>,
    quotas: BTreeMap<QuotaId, u32>,
    /// What the parts of machines cost, on a cloud that prices those.
    parts: PartPrices,
}

impl Catalog {
    /// The embedded catalogue of a cloud. Each call builds it anew: keep the `Arc`.
    ///
    /// The figures stand in `catalog/*.csv` of this crate, where each file says how old they are
    /// and which of them are estimates.
    pub fn of(cloud: Cloud) -> Arc<Self> {
        let zone_rows: Vec<ZoneRow> =
            rows(ZONES).into_iter().filter(|row: &ZoneRow| row.cloud == cloud).collect();
        let quota_rows: Vec<QuotaRow> =
            rows(QUOTAS).into_iter().filter(|row: &QuotaRow| row.cloud == cloud).collect();
        let type_rows: Vec<TypeRow> = rows(types_of(cloud));

        let mut catalog = Self {
            cloud,
            zones: zone_rows.iter().map(ZoneRow::spec).collect(),
            types: BTreeMap::new(),
            offers: Vec::new(),
            quotas: BTreeMap::new(),
            parts: match cloud {
                Cloud::Gcp => PartPrices::read(&zone_rows),
                _ => PartPrices::default(),
            },
        };
        catalog.zones.sort_by(|a, b| (&a.region, &a.zone).cmp(&(&b.region, &b.zone)));
        // One list of quotas for all offers of the same family, GPU, market and region.
        let mut drawn: BTreeMap<Drawing<'_>, Arc<[Draw]>> = BTreeMap::new();
        for row in &type_rows {
            let spec = Arc::new(row.spec());
            for zone in zone_rows.iter().filter(|zone| row.sold_in(zone)) {
                for market in [Market::Spot, Market::OnDemand] {
                    let price = match cloud {
                        Cloud::Gcp => {
                            catalog.parts.makeup(&spec, &zone.region, market).map(|makeup| makeup.price())
                        }
                        _ => row.price(zone, market),
                    };
                    let Some(price) = price else { continue };
                    let key = (row.family.as_str(), row.gpu(), market, &zone.region);
                    let quotas = drawn.entry(key).or_insert_with(|| {
                        let rows = quota_rows.iter().filter(|quota| quota.covers(row, market));
                        rows.map(|quota| {
                            let id = quota.id(&zone.region);
                            catalog.quotas.insert(id.clone(), quota.limit);
                            Draw { quota: id, counts: quota.counts }
                        })
                        .collect()
                    });
                    catalog.offers.push(Offer {
                        instance_type: Arc::clone(&spec),
                        region: zone.region.clone(),
                        zone: zone.zone.clone(),
                        market,
                        price: Price::Known(price),
                        availability: Availability::Unknown,
                        quotas: Arc::clone(quotas),
                    });
                }
            }
            catalog.types.insert(spec.name.clone(), (spec, row.scarcity));
        }
        catalog.offers.sort_by(|a, b| order(a).cmp(&order(b)));
        Arc::new(catalog)
    }

    /// Whose it is.
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// Every offer at its list price, ordered by region, zone, type and market. The availability
    /// is `Unknown`: the world fills it in where the cloud says it. A spot price is the zone's
    /// usual one, around which [`SpotMarket`](crate::market::SpotMarket) moves it.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The offer of this name.
    pub fn offer(&self, id: &OfferId) -> Option<&Offer> {
        self.offer_index(id).map(|index| &self.offers[index])
    }

    /// The place of an offer in [`Catalog::offers`], by binary search.
    pub fn offer_index(&self, id: &OfferId) -> Option<usize> {
        let region = &self.zone(id.zone.as_str())?.region;
        let wanted = (region, &id.zone, &id.instance_type, id.market);
        self.offers.binary_search_by(|offer| order(offer).cmp(&wanted)).ok()
    }

    /// The zones, ordered by region and name.
    pub fn zones(&self) -> &[ZoneSpec] {
        &self.zones
    }

    /// The regions, in order.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.zones.chunk_by(|a, b| a.region == b.region).map(|zones| &zones[0].region)
    }

    /// A zone by its name.
    pub fn zone(&self, name: &str) -> Option<&ZoneSpec> {
        self.zones.iter().find(|spec| spec.zone.as_str() == name)
    }

    /// Whether there is such a region.
    pub fn has_region(&self, name: &str) -> bool {
        self.regions().any(|region| region.as_str() == name)
    }

    /// The types, ordered by name.
    pub fn instance_types(&self) -> impl Iterator<Item = &Arc<InstanceType>> {
        self.types.values().map(|(spec, _)| spec)
    }

    /// A type by its name.
    pub fn instance_type(&self, name: &str) -> Option<&Arc<InstanceType>> {
        self.types.get(name).map(|(spec, _)| spec)
    }

    /// How hard spot capacity of a type is to keep; `Plenty` for an unknown type.
    pub fn scarcity(&self, name: &str) -> Scarcity {
        self.types.get(name).map_or(Scarcity::Plenty, |(_, scarcity)| *scarcity)
    }

    /// What the parts of machines cost; empty where machines are priced as a whole.
    #[cfg(feature = "server")]
    pub(crate) fn parts(&self) -> &PartPrices {
        &self.parts
    }

    /// How the list price of an offer is made up; `None` where machines are priced as a whole.
    pub(crate) fn makeup(&self, offer: &Offer) -> Option<Makeup> {
        self.parts.makeup(&offer.instance_type, &offer.region, offer.market)
    }

    /// The default limit of every quota, in its own unit.
    pub fn quotas(&self) -> &BTreeMap<QuotaId, u32> {
        &self.quotas
    }

    /// The types whose names are nearest to one that does not exist, best first: for errors.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        nearest(name, self.types.keys().map(TypeName::as_str))
    }
}

/// The names nearest to one that does not exist, best first, at most three.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&wanted, &known.to_lowercase()), known))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, known)| known).collect()
}

/// By what offers draw on the same quotas: family, GPU, market and region.
type Drawing<'a> = (&'a str, Option<(&'a str, u32)>, Market, &'a Region);

/// The order of the offers.
fn order(offer: &Offer) -> (&Region, &Zone, &TypeName, Market) {
    (&offer.region, &offer.zone, &offer.instance_type.name, offer.market)
}

const ZONES: &str = include_str!("../catalog/zones.csv");
const QUOTAS: &str = include_str!("../catalog/quotas.csv");

fn types_of(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Neutral => include_str!("../catalog/neutral.csv"),
        Cloud::Aws => include_str!("../catalog/aws.csv"),
        Cloud::Gcp => include_str!("../catalog/gcp.csv"),
        Cloud::Azure => include_str!("../catalog/azure.csv"),
    }
}

/// The rows of one of our own files, which the tests read whole.
fn rows<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("the embedded catalogue is well-formed")).collect()
}

#[derive(Deserialize)]
struct ZoneRow {
    cloud: Cloud,
    region: Region,
    zone: Zone,
    zone_id: Arc<str>,
    price: PriceColumn,
    percent: u32,
    own: Answer,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PriceColumn {
    Us,
    Eu,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Yes,
    No,
}

impl ZoneRow {
    fn spec(&self) -> ZoneSpec {
        ZoneSpec { zone: self.zone.clone(), id: Arc::clone(&self.zone_id), region: self.region.clone() }
    }
}

#[derive(Deserialize)]
struct QuotaRow {
    cloud: Cloud,
    family: String,
    gpu: String,
    gpu_memory_mib: Option<u32>,
    market: Market,
    scope: QuotaScope,
    name: String,
    counts: Counts,
    limit: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum QuotaScope {
    Region,
    Global,
}

impl QuotaRow {
    fn covers(&self, row: &TypeRow, market: Market) -> bool {
        let gpu = match (self.gpu.as_str(), row.gpu()) {
            ("", _) => true,
            (_, None) => false,
            (model, Some((has, memory_mib))) => {
                (model == "*" || model == has) && self.gpu_memory_mib.is_none_or(|mib| mib == memory_mib)
            }
        };
        self.market == market && (self.family == "*" || self.family == row.family) && gpu
    }

    fn id(&self, region: &Region) -> QuotaId {
        match self.scope {
            QuotaScope::Region => format!("{region}/{}", self.name).into(),
            QuotaScope::Global => format!("global/{}", self.name).into(),
        }
    }
}

#[derive(Deserialize)]
struct TypeRow {
    instance_type: TypeName,
    vcpus: u32,
    memory_mib: u32,
    arch: Arch,
    gpu_model: Option<Arc<str>>,
    gpu_count: Option<u32>,
    gpu_memory_mib: Option<u32>,
    local_ssd_gib: u32,
    /// Absent where the parts of machines have prices, and not machines.
    us_on_demand: Option<f64>,
    us_spot: Option<f64>,
    eu_on_demand: Option<f64>,
    eu_spot: Option<f64>,
    family: String,
    scarcity: Scarcity,
    only_in: String,
    not_in: String,
}

impl TypeRow {
    fn spec(&self) -> InstanceType {
        let gpu = self.gpu_model.clone().zip(self.gpu_count).zip(self.gpu_memory_mib);
        InstanceType {
            name: self.instance_type.clone(),
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            arch: self.arch,
            gpu: gpu.map(|((model, count), memory_mib)| Gpu { model, count, memory_mib }),
            local_ssd_gib: self.local_ssd_gib,
        }
    }

    /// Its GPU's model and memory.
    fn gpu(&self) -> Option<(&str, u32)> {
        self.gpu_model.as_deref().zip(self.gpu_memory_mib)
    }

    fn sold_in(&self, zone: &ZoneRow) -> bool {
        let names = |list: &str| {
            list.split_whitespace().any(|name| name == zone.zone.as_str() || name == zone.region.as_str())
        };
        (self.only_in.is_empty() || names(&self.only_in)) && !names(&self.not_in)
    }

    /// The price in a zone; `None` where it is not sold on this market.
    fn price(&self, zone: &ZoneRow, market: Market) -> Option<UsdPerHour> {
        let (on_demand, spot) = match zone.price {
            PriceColumn::Us => (self.us_on_demand, self.us_spot),
            PriceColumn::Eu => (self.eu_on_demand, self.eu_spot),
        };
        let (on_demand, factor) = (on_demand?, f64::from(zone.percent) / 100.0);
        let dollars = match market {
            Market::OnDemand => on_demand * factor,
            // A type without a discount has none anywhere (Azure's H100 sizes).
            Market::Spot if spot? >= on_demand => on_demand * factor,
            Market::Spot => (spot? * factor * (1.0 + self.spot_shift(zone))).min(on_demand * factor),
        };
        UsdPerHour::from_dollars(dollars)
    }

    /// By how much a zone's usual spot price differs from the listed one: always the same for the
    /// same type and place. EC2 prices each zone (the zones of us-east-1 lie up to 15 % around
    /// their median); Azure prices the whole region.
    fn spot_shift(&self, zone: &ZoneRow) -> f64 {
        let (place, span) = match zone.cloud {
            Cloud::Aws => (zone.zone.as_str(), 0.12),
            Cloud::Azure if zone.own == Answer::No => (zone.region.as_str(), 0.06),
            _ => return 0.0,
        };
        let hash = fingerprint(&[self.instance_type.as_str(), place]);
        span * (hash as f64 / u64::MAX as f64 * 2.0 - 1.0)
    }
}

/// A number that is always the same for the same texts, and looks random.
pub(crate) fn fingerprint(texts: &[&str]) -> u64 {
    texts.iter().fold(0, |hash, text| {
        text.bytes().fold(mix(hash ^ text.len() as u64), |hash, byte| mix(hash ^ u64::from(byte)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer_id(zone: &str, instance_type: &str, market: Market) -> OfferId {
        OfferId { zone: zone.into(), instance_type: instance_type.into(), market }
    }

    fn micros(catalog: &Catalog, zone: &str, instance_type: &str, market: Market) -> i64 {
        let offer = catalog.offer(&offer_id(zone, instance_type, market)).expect("sold there");
        offer.price.known().expect("known").micros()
    }

    #[test]
    fn every_cloud_has_its_regions_with_three_zones_or_more_and_all_its_types() {
        for (cloud, types, regions) in [
            (Cloud::Aws, 30, "ap-southeast-2 eu-central-1 eu-west-1 us-east-1 us-east-2 us-west-2"),
            (Cloud::Gcp, 30, "australia-southeast1 europe-west1 europe-west4 us-central1 us-east1 us-west1"),
            (Cloud::Azure, 30, "australiaeast eastus eastus2 northeurope westeurope westus2"),
            (Cloud::Neutral, 8, "sim-east sim-north sim-west"),
        ] {
            let catalog = Catalog::of(cloud);
            let names: Vec<&str> = catalog.regions().map(Region::as_str).collect();
            assert_eq!(names.join(" "), regions);
            for region in &names {
                assert!(catalog.zones().iter().filter(|zone| zone.region.as_str() == *region).count() >= 3);
            }
            assert_eq!(catalog.instance_types().count(), types, "{cloud}");
            for spec in catalog.instance_types() {
                let sold = catalog.offers().iter().any(|offer| offer.instance_type.name == spec.name);
                assert!(sold, "{cloud} sells {} nowhere", spec.name);
            }
        }
    }

    #[test]
    fn offers_are_in_order_unique_and_found_by_name() {
        for cloud in Cloud::ALL {
            let catalog = Catalog::of(cloud);
            assert!(catalog.offers().is_sorted_by(|a, b| order(a) < order(b)), "{cloud}");
            for (index, offer) in catalog.offers().iter().enumerate() {
                assert_eq!(catalog.offer_index(&offer.id()), Some(index));
            }
            assert_eq!(catalog.offer_index(&offer_id("nowhere-1a", "x", Market::Spot)), None);
        }
    }

    #[test]
    fn spot_never_costs_more_than_on_demand_and_both_have_a_price() {
        for cloud in Cloud::ALL {
            let catalog = Catalog::of(cloud);
            for spot in catalog.offers().iter().filter(|offer| offer.market == Market::Spot) {
                let id = OfferId { market: Market::OnDemand, ..spot.id() };
                let on_demand = catalog.offer(&id).and_then(|offer| offer.price.known());
                assert!(spot.price.known() > Some(UsdPerHour::ZERO), "{}", spot.id());
                assert!(spot.price.known() <= on_demand, "{}", spot.id());
            }
        }
    }

    #[test]
    fn the_listed_prices_stand_where_they_were_listed() {
        let (aws, gcp, azure) = (Catalog::of(Cloud::Aws), Catalog::of(Cloud::Gcp), Catalog::of(Cloud::Azure));
        assert_eq!(micros(&aws, "us-east-1a", "m7g.large", Market::OnDemand), 81_600);
        assert_eq!(micros(&aws, "ap-southeast-2a", "m7g.large", Market::OnDemand), 102_000);
        assert_eq!(micros(&gcp, "us-central1-a", "n2-standard-2", Market::Spot), 25_120);
        assert_eq!(micros(&azure, "westeurope-3", "Standard_D2s_v5", Market::Spot), 12_650);
        assert_eq!(micros(&azure, "eastus-1", "Standard_NC40ads_H100_v5", Market::Spot), 6_980_000);
        assert_eq!(micros(&gcp, "us-central1-c", "n1-standard-4+T4", Market::OnDemand), 539_999);
    }

    #[test]
    fn zones_of_ec2_differ_in_spot_price_and_regions_of_the_others() {
        let (aws, gcp) = (Catalog::of(Cloud::Aws), Catalog::of(Cloud::Gcp));
        let a = micros(&aws, "us-east-1a", "m7g.large", Market::Spot);
        let b = micros(&aws, "us-east-1b", "m7g.large", Market::Spot);
        assert!(a != b && (34_496..=43_904).contains(&a) && (34_496..=43_904).contains(&b), "{a} {b}");
        let zone = |zone| micros(&gcp, zone, "e2-standard-2", Market::Spot);
        assert_eq!(zone("us-east1-b"), zone("us-east1-c"));
        assert_ne!(zone("us-east1-b"), zone("us-west1-b"));
    }

    #[test]
    fn a_type_without_a_spot_price_is_not_sold_on_the_spot_market() {
        let gcp = Catalog::of(Cloud::Gcp);
        for name in ["n4-standard-2", "m3-ultramem-32"] {
            assert!(gcp.offer(&offer_id("us-central1-a", name, Market::OnDemand)).is_some());
            assert!(gcp.offer(&offer_id("us-central1-a", name, Market::Spot)).is_none());
        }
    }

    #[test]
    fn some_types_are_sold_in_some_zones_only_and_every_zone_named_exists() {
        let aws = Catalog::of(Cloud::Aws);
        assert!(aws.offer(&offer_id("us-east-1a", "p5.48xlarge", Market::OnDemand)).is_none());
        assert!(aws.offer(&offer_id("us-east-1b", "p5.48xlarge", Market::OnDemand)).is_some());
        let zones: Vec<ZoneRow> = rows(ZONES);
        for cloud in Cloud::ALL {
            for row in rows::<TypeRow>(types_of(cloud)) {
                for name in row.only_in.split_whitespace().chain(row.not_in.split_whitespace()) {
                    let known = zones.iter().any(|z| z.zone.as_str() == name || z.region.as_str() == name);
                    assert!(known, "{}: {name}", row.instance_type);
                }
            }
        }
    }

    #[test]
    fn offers_draw_on_the_clouds_own_quotas_which_hold_a_thousand_small_instances() {
        let drawn = |cloud, zone, name, market| {
            let catalog = Catalog::of(cloud);
            let offer = catalog.offer(&offer_id(zone, name, market)).expect("sold there");
            for (id, units) in offer.draws() {
                assert!(offer.instance_type.vcpus > 8 || catalog.quotas()[id] >= 1_000 * units);
            }
            offer.quotas.iter().map(|draw| draw.quota.as_str()).collect::<Vec<_>>().join(" ")
        };
        use Market::{OnDemand, Spot};
        assert_eq!(drawn(Cloud::Aws, "us-east-1a", "m7g.large", Spot), "us-east-1/L-34B43A08");
        assert_eq!(drawn(Cloud::Aws, "us-east-1a", "m7g.large", OnDemand), "us-east-1/L-1216C47A");
        assert_eq!(drawn(Cloud::Aws, "us-east-1a", "g5.xlarge", Spot), "us-east-1/L-3819A6DF");
        assert_eq!(
            drawn(Cloud::Gcp, "us-east1-b", "n2-standard-2", OnDemand),
            "global/CPUS_ALL_REGIONS us-east1/N2_CPUS"
        );
        assert_eq!(drawn(Cloud::Gcp, "us-east1-b", "n2-standard-2", Spot), "us-east1/PREEMPTIBLE_CPUS");
        assert_eq!(
            drawn(Cloud::Gcp, "us-central1-c", "n1-standard-4+T4", OnDemand),
            "global/CPUS_ALL_REGIONS us-central1/CPUS us-central1/NVIDIA_T4_GPUS global/GPUS_ALL_REGIONS"
        );
        assert_eq!(
            drawn(Cloud::Gcp, "us-central1-a", "a2-ultragpu-1g", Spot),
            "us-central1/PREEMPTIBLE_CPUS us-central1/PREEMPTIBLE_NVIDIA_A100_80GB_GPUS global/GPUS_ALL_REGIONS"
        );
        assert_eq!(
            drawn(Cloud::Azure, "eastus-1", "Standard_D2s_v5", OnDemand),
            "eastus/cores eastus/standardDSv5Family"
        );
        assert_eq!(drawn(Cloud::Azure, "eastus-1", "Standard_D2s_v5", Spot), "eastus/lowPriorityCores");
    }

    #[test]
    fn every_offer_draws_on_some_quota() {
        for cloud in Cloud::ALL {
            let catalog = Catalog::of(cloud);
            assert!(catalog.offers().iter().all(|offer| !offer.quotas.is_empty()), "{cloud}");
        }
    }

    #[test]
    fn a_misspelt_type_or_cloud_is_told_the_right_ones() {
        assert_eq!(Catalog::of(Cloud::Aws).nearest("m7g.larg")[0], "m7g.large");
        assert_eq!(Catalog::of(Cloud::Azure).nearest("standard_d2s_v5")[0], "Standard_D2s_v5");
        let error = "aws2".parse::<Cloud>().unwrap_err();
        assert!(error.to_string().contains("neutral, aws, gcp, azure"), "{error}");
    }
}
