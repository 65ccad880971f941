use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use skyfleet_core::{
    Availability, Draw, Error, ErrorKind, InstanceType, Market, Offer, OfferId, Region, Result, Scope,
    UsdPerHour, Zone,
};

use crate::Need;
use crate::gpu::GpuName;
use crate::nearest::did_you_mean_or_known;

/// Every offer of a provider, made ready to be searched often: sorted by region, zone, type and
/// market, each once, with the facts that a search looks at side by side.
///
/// Making one costs as much as a sort; each search over it costs milliseconds for 131,000 offers.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    offers: Vec<Offer>,
    /// One for each offer.
    rows: Vec<Row>,
    /// The different types, once each.
    pub(crate) types: Vec<Arc<InstanceType>>,
    /// The zones, by region and name, each with its rows.
    pub(crate) zones: Vec<ZoneRows>,
    zone_numbers: BTreeMap<Zone, u32>,
    /// The different sets of quotas that an offer draws on, once each.
    pub(crate) quota_sets: Vec<Arc<[Draw]>>,
}

/// What a search looks at, with names as numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// In micro-dollars; [`UNKNOWN`] when there is none.
    pub(crate) price: i64,
    /// What the same type in the same zone costs on demand; [`UNKNOWN`] when nobody knows.
    pub(crate) on_demand: i64,
    /// Its place in `types`.
    pub(crate) kind: u32,
    /// Its place in `zones`.
    pub(crate) zone: u32,
    /// Its place in `quota_sets`.
    pub(crate) quotas: u32,
    pub(crate) market: Market,
    pub(crate) sold_out: bool,
}

/// The price that nobody knows: dearer than any other, so that it ranks last.
pub(crate) const UNKNOWN: i64 = i64::MAX;

/// A zone, and where its offers stand.
#[derive(Clone, Debug)]
pub(crate) struct ZoneRows {
    pub(crate) region: Region,
    pub(crate) zone: Zone,
    pub(crate) rows: Range<usize>,
}

impl Catalogue {
    /// Makes the offers ready. Of two with the same id the first stays.
    pub fn new(mut offers: Vec<Offer>) -> Arc<Self> {
        // Providers answer in this order already: then the stable sort is one pass.
        offers.sort_by(|a, b| place(a).cmp(&place(b)));
        offers.dedup_by(|later, first| place(later) == place(first));
        let (mut types, mut quota_sets) = (Numbers::default(), Numbers::default());
        let (mut zones, mut rows) = (Vec::<ZoneRows>::new(), Vec::<Row>::with_capacity(offers.len()));
        for (n, offer) in offers.iter().enumerate() {
            match zones.last_mut() {
                Some(last) if last.zone == offer.zone && last.region == offer.region => last.rows.end = n + 1,
                _ => zones.push(ZoneRows {
                    region: offer.region.clone(),
                    zone: offer.zone.clone(),
                    rows: n..n + 1,
                }),
            }
            rows.push(Row {
                price: offer.price.known().map_or(UNKNOWN, UsdPerHour::micros),
                on_demand: UNKNOWN,
                kind: types.number(&offer.instance_type),
                zone: zones.len() as u32 - 1,
                quotas: quota_sets.number(&offer.quotas),
                market: offer.market,
                sold_out: offer.availability == Availability::SoldOut,
            });
        }
        for n in 0..rows.len() {
            // The same type in the same zone on the other market is the next row or the one before.
            let own = (rows[n].market == Market::OnDemand).then_some(n);
            let next = (n + 1 < rows.len()).then_some(n + 1).filter(|&next| {
                rows[next].zone == rows[n].zone
                    && offers[next].instance_type.name == offers[n].instance_type.name
            });
            if let Some(on_demand) = own.or(next) {
                rows[n].on_demand = rows[on_demand].price;
            }
        }
        let zone_numbers = zones.iter().zip(0..).map(|(z, n)| (z.zone.clone(), n)).collect();
        Arc::new(Self { offers, rows, types: types.items, zones, zone_numbers, quota_sets: quota_sets.items })
    }

    /// The offers, by region, zone, type and market.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// One offer.
    pub fn get(&self, id: &OfferId) -> Option<&Offer> {
        self.find(id).map(|n| &self.offers[n])
    }

    /// What the same type in the same zone costs on demand, where that is known.
    pub fn on_demand(&self, id: &OfferId) -> Option<UsdPerHour> {
        let either = [Market::Spot, Market::OnDemand];
        let row = either.iter().find_map(|&market| self.find(&OfferId { market, ..id.clone() }))?;
        known(self.rows[row].on_demand)
    }

    /// Checks that the names in `need` exist here.
    ///
    /// # Errors
    /// `InvalidConfig` for a type, region, zone or GPU model that no offer has, with the nearest
    /// names.
    pub fn check_names(&self, need: &Need) -> Result<()> {
        let types = || self.types.iter().map(|t| t.name.as_str());
        for name in &need.types {
            exists("need.types", "instance type", name.as_str(), types)?;
        }
        for name in &need.regions {
            exists("need.regions", "region", name.as_str(), || self.zones.iter().map(|z| z.region.as_str()))?;
        }
        for name in &need.zones {
            exists("need.zones", "zone", name.as_str(), || self.zones.iter().map(|z| z.zone.as_str()))?;
        }
        let Some(model) = need.gpu.as_ref().and_then(|gpu| gpu.model.as_deref()) else { return Ok(()) };
        let wanted = GpuName::parse(model);
        let gpus = || self.types.iter().filter_map(|t| t.gpu.as_ref());
        if gpus().any(|gpu| wanted.covers(gpu)) {
            return Ok(());
        }
        exists("need.gpu.model", "GPU model", model, || gpus().map(|gpu| &*gpu.model))
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where an offer stands.
    pub(crate) fn find(&self, id: &OfferId) -> Option<usize> {
        let range = self.zone_rows(&id.zone)?.rows.clone();
        let key = (&id.instance_type, id.market);
        let found = self.offers[range.clone()]
            .binary_search_by(|offer| (&offer.instance_type.name, offer.market).cmp(&key));
        found.ok().map(|n| range.start + n)
    }

    /// The rows and the quota sets that lie in any of these scopes.
    pub(crate) fn mark<'a>(&self, scopes: impl Iterator<Item = &'a Scope>) -> Marks {
        let mut marks = Marks::default();
        for scope in scopes {
            if marks.rows.is_empty() {
                marks =
                    Marks { rows: vec![false; self.rows.len()], sets: vec![false; self.quota_sets.len()] };
            }
            match scope {
                Scope::Offer(id) => self.find(id).into_iter().for_each(|n| marks.rows[n] = true),
                Scope::TypeInZone(name, zone) => {
                    for market in [Market::Spot, Market::OnDemand] {
                        let id = OfferId { zone: zone.clone(), instance_type: name.clone(), market };
                        self.find(&id).into_iter().for_each(|n| marks.rows[n] = true);
                    }
                }
                Scope::Zone(zone) => {
                    self.zone_rows(zone).into_iter().for_each(|z| marks.rows[z.rows.clone()].fill(true));
                }
                Scope::Region(region) => {
                    let zones = self.zones.iter().filter(|z| z.region == *region);
                    zones.for_each(|z| marks.rows[z.rows.clone()].fill(true));
                }
                Scope::MarketInRegion(market, region) => {
                    for zone in self.zones.iter().filter(|z| z.region == *region) {
                        for n in zone.rows.clone() {
                            marks.rows[n] |= self.rows[n].market == *market;
                        }
                    }
                }
                Scope::Quota(id) => {
                    for (mark, set) in marks.sets.iter_mut().zip(&self.quota_sets) {
                        *mark |= set.iter().any(|draw| draw.quota == *id);
                    }
                }
                Scope::Account => marks.rows.fill(true),
                _ => {}
            }
        }
        marks
    }

    fn zone_rows(&self, zone: &Zone) -> Option<&ZoneRows> {
        self.zone_numbers.get(zone).map(|&n| &self.zones[n as usize])
    }
}

/// Which rows lie in some scopes. Empty while there is no scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    rows: Vec<bool>,
    sets: Vec<bool>,
}

impl Marks {
    pub(crate) fn has(&self, n: usize, row: &Row) -> bool {
        !self.rows.is_empty() && (self.rows[n] || self.sets[row.quotas as usize])
    }
}

/// A price out of a row.
pub(crate) fn known(micros: i64) -> Option<UsdPerHour> {
    (micros != UNKNOWN).then(|| UsdPerHour::from_micros(micros))
}

/// By what the offers are sorted.
fn place(offer: &Offer) -> (&str, &str, &str, Market) {
    (offer.region.as_str(), offer.zone.as_str(), offer.instance_type.name.as_str(), offer.market)
}

/// Gives each different item a number.
#[derive(Debug)]
struct Numbers<T> {
    items: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Numbers<T> {
    fn number(&mut self, item: &T) -> u32 {
        if let Some(&number) = self.numbers.get(item) {
            return number;
        }
        let number = self.items.len() as u32;
        self.items.push(item.clone());
        self.numbers.insert(item.clone(), number);
        number
    }
}

fn exists<'a, I: Iterator<Item = &'a str>>(
    key: &'static str,
    word: &str,
    name: &str,
    known: impl Fn() -> I,
) -> Result<()> {
    if known().any(|k| k == name) {
        return Ok(());
    }
    let near = did_you_mean_or_known(name, known());
    let message = format!("{key}: no offer has the {word} {name:?}{near}");
    Err(Error::new(ErrorKind::InvalidConfig, message).with("key", key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GpuNeed;
    use crate::sample::{gpu, offer};

    fn catalogue() -> Arc<Catalogue> {
        let mut offers = Vec::new();
        for zone in ["us-east-1b", "us-east-1a", "eu-west-1a"] {
            offers.push(offer(zone, "m7g.large", Market::OnDemand, 80_000));
            offers.push(offer(zone, "m7g.large", Market::Spot, 30_000));
            offers.push(gpu(offer(zone, "g4dn.xlarge", Market::Spot, 200_000), "T4", 1, 16_384));
        }
        Catalogue::new(offers)
    }

    #[test]
    fn offers_are_found_by_name_whatever_their_order_was() {
        let catalogue = catalogue();
        for offer in catalogue.offers() {
            assert_eq!(catalogue.get(&offer.id()), Some(offer));
        }
        let id = OfferId { zone: "us-east-1a".into(), instance_type: "x".into(), market: Market::Spot };
        assert_eq!(catalogue.get(&id), None);
        assert_eq!(catalogue.offers()[0].region.as_str(), "eu-west-1");
    }

    #[test]
    fn a_spot_offer_knows_its_price_on_demand() {
        let catalogue = catalogue();
        let id = |name: &str| OfferId {
            zone: "us-east-1a".into(),
            instance_type: name.into(),
            market: Market::Spot,
        };
        assert_eq!(catalogue.on_demand(&id("m7g.large")), Some(UsdPerHour::from_micros(80_000)));
        assert_eq!(catalogue.on_demand(&id("g4dn.xlarge")), None);
    }

    #[test]
    fn a_name_that_does_not_exist_brings_the_nearest() {
        let model = |m: &str| Need {
            gpu: Some(GpuNeed { model: Some(m.into()), ..GpuNeed::default() }),
            ..Need::default()
        };
        let cases = [
            (Need { types: vec!["m7.large".into()], ..Need::default() }, "need.types", "\"m7g.large\""),
            (Need { zones: vec!["us-east1-a".into()], ..Need::default() }, "need.zones", "us-east-1a"),
            (Need { regions: vec!["eu-west1".into()], ..Need::default() }, "need.regions", "eu-west-1"),
            (model("T40"), "need.gpu.model", "\"T4\""),
        ];
        for (need, key, near) in cases {
            let error = catalogue().check_names(&need).unwrap_err();
            assert_eq!((error.kind(), error.fact("key")), (ErrorKind::InvalidConfig, Some(key)));
            assert!(error.to_string().contains(near), "{error}");
        }
        catalogue().check_names(&model("nvidia-tesla-t4")).unwrap();
    }

    #[test]
    fn the_same_offer_twice_counts_once() {
        let one = offer("us-east-1a", "m7g.large", Market::Spot, 1);
        assert_eq!(Catalogue::new(vec![one.clone(), one]).offers().len(), 1);
    }
}
