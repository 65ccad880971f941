//! What can be bought: offers and signals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use skyfleet_core::kept::Kept;
use skyfleet_core::places::{check_types, no_such};
use skyfleet_core::{
    Availability, CapacitySearch, Draw, Error, ErrorKind, Market, Offer, OfferId, OfferQuery, Price, QuotaId,
    Region, Result, Signal, SignalQuery, Timestamp, TypeName, Zone,
};

use crate::client::Client;
use crate::client::market::ZoneName;
use crate::prices::PriceBook;
use crate::{AwsProvider, extras, quotas};

mod kind;
mod scores;

use kind::Kind;
use scores::Scores;

/// Amazon adds types and sells them in more zones a few times a month.
const SHELF_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Everything that search knows, and for how long it knows it: types, offerings and list prices for
/// a day, spot prices for five minutes, placement scores for ten.
#[derive(Debug)]
pub(crate) struct Catalogue {
    client: Client,
    prices: PriceBook,
    shelves: Kept<ShelfKey, Shelf>,
    names: Kept<Region, BTreeSet<TypeName>>,
    zones: Kept<Region, Vec<ZoneName>>,
    scores: Scores,
}

/// A region, and the types that were asked for; `None` for all.
type ShelfKey = (Region, Option<Vec<TypeName>>);

/// What one region sells.
#[derive(Debug)]
struct Shelf {
    kinds: BTreeMap<TypeName, Kind>,
    /// Which types each zone sells.
    zones: BTreeMap<Zone, BTreeSet<TypeName>>,
}

impl Shelf {
    /// The pools that have a spot price.
    fn spot_pools(&self, wanted: impl Fn(&Zone, &Kind) -> bool) -> BTreeSet<(Zone, TypeName)> {
        let sold = self.zones.iter().flat_map(|(zone, names)| names.iter().map(move |name| (zone, name)));
        let spot = sold
            .filter(|(zone, name)| self.kinds.get(*name).is_some_and(|kind| kind.spot && wanted(zone, kind)));
        spot.map(|(zone, name)| (zone.clone(), name.clone())).collect()
    }

    fn sells(&self, offer: &OfferId) -> bool {
        self.kinds.get(&offer.instance_type).is_some_and(|kind| kind.sold_on(offer.market))
            && self.zones.get(&offer.zone).is_some_and(|names| names.contains(&offer.instance_type))
    }
}

impl Catalogue {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            prices: PriceBook::new(client.clone()),
            shelves: Kept::new(SHELF_AGE_MAX),
            names: Kept::new(SHELF_AGE_MAX),
            zones: Kept::new(SHELF_AGE_MAX),
            scores: Scores::default(),
            client,
        }
    }

    /// The prices, for whoever must say what an instance costs.
    pub(crate) fn prices(&self) -> &PriceBook {
        &self.prices
    }

    /// How old the oldest of what is kept is: types, offerings and list prices.
    pub(crate) fn age(&self) -> Option<Duration> {
        let now = self.now();
        self.shelves.age(now).max(self.prices.list_age(now))
    }

    fn now(&self) -> Timestamp {
        self.client.clock().now()
    }

    /// What a region sells of these types, or of all.
    async fn shelf(&self, region: &Region, names: Option<&[TypeName]>) -> Result<Arc<Shelf>> {
        let now = self.now();
        let everything = (region.clone(), None);
        if let Some(shelf) = self.shelves.peek(&everything, now) {
            return Ok(shelf);
        }
        let key = (region.clone(), names.map(<[TypeName]>::to_vec));
        let ask = async {
            let types = self.client.instance_types(region, names);
            let (types, offerings) = futures::try_join!(types, self.client.offerings(region, names))?;
            let kinds = types.iter().filter_map(Kind::read);
            let kinds: BTreeMap<_, _> = kinds.map(|kind| (kind.spec.name.clone(), kind)).collect();
            let mut zones = BTreeMap::<Zone, BTreeSet<TypeName>>::new();
            for (name, zone) in offerings {
                zones.entry(zone).or_default().insert(name);
            }
            tracing::debug!(%region, types = kinds.len(), zones = zones.len(), "the catalogue is as of now");
            Ok(Shelf { kinds, zones })
        };
        self.shelves.get(&key, now, ask).await
    }

    /// The zones of a region; asked for only where offers and prices do not tell.
    async fn zones(&self, region: &Region) -> Result<Arc<Vec<ZoneName>>> {
        self.zones.get(region, self.now(), self.client.zones(region)).await
    }

    /// The vCPUs of those of the types that a region has.
    pub(crate) async fn sizes(&self, region: &Region, names: &[TypeName]) -> Result<Vec<(TypeName, u32)>> {
        let shelf = self.shelf(region, Some(names)).await?;
        let known = names.iter().filter_map(|name| Some((name.clone(), shelf.kinds.get(name)?.spec.vcpus)));
        Ok(known.collect())
    }

    /// How many vCPUs a type has, when it was met in any region.
    pub(crate) fn vcpus(&self, regions: &[Region], name: &TypeName) -> Option<u32> {
        let now = self.now();
        regions.iter().find_map(|region| {
            let shelf = self.shelves.peek(&(region.clone(), None), now)?;
            shelf.kinds.get(name).map(|kind| kind.spec.vcpus)
        })
    }

    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        let scope = self.client.regions().await?;
        let asked = self.asked_regions(&scope, query)?;
        let mut names = query.instance_types.clone();
        names.sort();
        names.dedup();
        let names = (!names.is_empty()).then_some(names);
        let regions = asked.iter().map(|region| self.region_offers(region, names.as_deref(), query));
        let found = match try_join_all(regions).await {
            Ok(found) => found,
            Err(error) => return Err(self.explain(error).await),
        };
        let is_found = |name: &TypeName| found.iter().any(|found| found.shelf.kinds.contains_key(name));
        check_types("aws", names.as_deref().unwrap_or_default(), is_found, self.all_types(&scope)).await?;
        self.check_zones(&scope, &found, &query.zones).await?;
        if let Some(age) = self.age() {
            tracing::debug!(age = ?age, regions = asked.len(), "offers out of the catalogue");
        }
        Ok(found.into_iter().flat_map(|found| found.offers).collect())
    }

    /// A region of the settings that does not answer may be one that there is not, or one that the
    /// account has not enabled: then the settings are wrong, and waiting does not help.
    async fn explain(&self, error: Error) -> Error {
        let named = &self.client.settings().regions;
        let Some(region) = named.iter().find(|region| error.fact("region") == Some(region.as_str())) else {
            return error;
        };
        if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unauthenticated) {
            return error;
        }
        let Ok(all) = self.client.all_regions().await else { return error };
        let wrong = match all.iter().find(|(known, _)| known == region) {
            Some((_, true)) => return error,
            Some((_, false)) => format!("the account has not enabled the region {region}"),
            None => no_such("aws", "region", region.as_str(), all.iter().map(|(region, _)| region.as_str()))
                .message()
                .to_owned(),
        };
        Error::new(ErrorKind::InvalidConfig, wrong).with("key", "providers.aws.regions").because(error)
    }

    /// The regions where an answer can be: those asked for, as far as a zone of them is asked for.
    fn asked_regions(&self, scope: &[Region], query: &OfferQuery) -> Result<Vec<Region>> {
        if let Some(unknown) = query.regions.iter().find(|region| !scope.contains(region)) {
            return Err(no_such("aws", "region", unknown.as_str(), scope.iter().map(Region::as_str)));
        }
        let wanted = |region: &&Region| {
            (query.regions.is_empty() || query.regions.contains(region))
                && (query.zones.is_empty() || query.zones.iter().any(|zone| lies_in(zone, region)))
        };
        Ok(scope.iter().filter(wanted).cloned().collect())
    }

    async fn region_offers(
        &self,
        region: &Region,
        names: Option<&[TypeName]>,
        query: &OfferQuery,
    ) -> Result<Found> {
        let shelf = self.shelf(region, names).await?;
        let wanted = |zone: &Zone, kind: &Kind| {
            let named = query.instance_types.contains(&kind.spec.name);
            (query.zones.contains(zone) || query.zones.is_empty() && is_regular(zone, region))
                && (named || query.instance_types.is_empty() && !kind.bare_metal)
        };
        let listed = |market| query.markets.is_empty() || query.markets.contains(&market);
        let pools = if listed(Market::Spot) { shelf.spot_pools(wanted) } else { BTreeSet::new() };
        let (list, ()) = futures::try_join!(
            async {
                if listed(Market::OnDemand) { self.prices.list(region).await.map(Some) } else { Ok(None) }
            },
            async {
                if pools.is_empty() { Ok(()) } else { self.prices.refresh(region, &pools, names).await }
            },
        )?;
        let mut quotas = BTreeMap::<QuotaId, Arc<[Draw]>>::new();
        let mut offers = Vec::new();
        for (zone, sold) in &shelf.zones {
            for kind in sold.iter().filter_map(|name| shelf.kinds.get(name)) {
                for market in [Market::Spot, Market::OnDemand] {
                    if !listed(market) || !kind.sold_on(market) || !wanted(zone, kind) {
                        continue;
                    }
                    let name = &kind.spec.name;
                    let price = match market {
                        Market::Spot => self.prices.newest(region, zone, name).map(|(price, _)| price),
                        Market::OnDemand => list.as_ref().and_then(|list| list.get(name).copied()),
                    };
                    let quota = quotas::quota_of(region, name.as_str(), market);
                    offers.push(Offer {
                        instance_type: Arc::clone(&kind.spec),
                        region: region.clone(),
                        zone: zone.clone(),
                        market,
                        price: price.map_or(Price::Unknown, Price::Known),
                        // EC2 says whether there is room only to a launch.
                        availability: Availability::Unknown,
                        quotas: quota.map_or_else(
                            || Arc::from([]),
                            |id| {
                                quotas
                                    .entry(id.clone())
                                    .or_insert_with(|| Arc::from([Draw::vcpus(id)]))
                                    .clone()
                            },
                        ),
                    });
                }
            }
        }
        Ok(Found { shelf, offers })
    }

    /// The types that any region in scope sells.
    async fn all_types(&self, scope: &[Region]) -> Result<BTreeSet<TypeName>> {
        let known = scope.iter().map(|region| async move {
            let ask = async { Ok(self.client.type_names(region).await?.into_iter().collect()) };
            self.names.get(region, self.now(), ask).await
        });
        Ok(try_join_all(known).await?.iter().flat_map(|names| names.iter().cloned()).collect())
    }

    /// Refuses zones that no region in scope has.
    async fn check_zones(&self, scope: &[Region], found: &[Found], zones: &[Zone]) -> Result<()> {
        let seen = |zone: &Zone| found.iter().any(|found| found.shelf.zones.contains_key(zone.as_str()));
        for zone in zones.iter().filter(|zone| !seen(zone)) {
            let mut known = BTreeSet::new();
            let home: Vec<&Region> = scope.iter().filter(|region| lies_in(zone, region)).collect();
            // Of a zone in no region, the nearest may be in any.
            let regions = if home.is_empty() { scope.iter().collect() } else { home };
            for names in try_join_all(regions.into_iter().map(|region| self.zones(region))).await? {
                known.extend(names.iter().map(|zone| zone.name.clone()));
            }
            if !known.contains(zone) {
                return Err(no_such("aws", "zone", zone.as_str(), known.iter().map(Zone::as_str)));
            }
        }
        Ok(())
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        if query.offers.is_empty() {
            return Ok(Vec::new());
        }
        let scope = self.client.regions().await?;
        let known = try_join_all(scope.iter().map(|region| self.known_offers(region, &query.offers))).await?;
        let known: Vec<(&Region, Vec<OfferId>)> =
            scope.iter().zip(known).filter(|(_, offers)| !offers.is_empty()).collect();
        let quotas: BTreeSet<QuotaId> = known
            .iter()
            .flat_map(|(region, offers)| {
                offers.iter().filter_map(|o| quotas::quota_of(region, o.instance_type.as_str(), o.market))
            })
            .collect();
        let (prices, scores, quotas) = futures::try_join!(
            try_join_all(known.iter().map(|(region, offers)| self.spot_prices(region, offers))),
            self.placement(&known, query.count),
            quotas::signals(&self.client, &quotas, |name| self.vcpus(&scope, name)),
        )?;
        let sold: BTreeSet<(&Region, Market)> = (known.iter())
            .flat_map(|(region, offers)| offers.iter().map(|offer| (*region, offer.market)))
            .collect();
        let extras = sold.into_iter().map(|(region, market)| Signal::Extras {
            region: region.clone(),
            market,
            per_hour: extras::per_hour(region, query.disk_gib, query.public_ip),
        });
        Ok(prices.into_iter().flatten().chain(extras).chain(scores).chain(quotas).collect())
    }

    /// Those of the offers that a region sells, each once and in order.
    async fn known_offers(&self, region: &Region, asked: &[OfferId]) -> Result<Vec<OfferId>> {
        let here: BTreeSet<&OfferId> = asked.iter().filter(|offer| lies_in(&offer.zone, region)).collect();
        if here.is_empty() {
            return Ok(Vec::new());
        }
        let names: BTreeSet<&TypeName> = here.iter().map(|offer| &offer.instance_type).collect();
        let names: Vec<TypeName> = names.into_iter().cloned().collect();
        let shelf = self.shelf(region, Some(&names)).await?;
        Ok(here.into_iter().filter(|offer| shelf.sells(offer)).cloned().collect())
    }

    async fn spot_prices(&self, region: &Region, offers: &[OfferId]) -> Result<Vec<Signal>> {
        let spot = offers.iter().filter(|offer| offer.market == Market::Spot);
        let pools: BTreeSet<(Zone, TypeName)> =
            spot.clone().map(|offer| (offer.zone.clone(), offer.instance_type.clone())).collect();
        if pools.is_empty() {
            return Ok(Vec::new());
        }
        let names: BTreeSet<&TypeName> = pools.iter().map(|(_, name)| name).collect();
        let names: Vec<TypeName> = names.into_iter().cloned().collect();
        self.prices.refresh(region, &pools, Some(&names)).await?;
        let told = spot.filter_map(|offer| {
            let (price, at) = self.prices.newest(region, &offer.zone, &offer.instance_type)?;
            Some(Signal::SpotPrice { offer: offer.clone(), price, at })
        });
        Ok(told.collect())
    }

    /// The scores of the spot offers: a zone's, for each type that the question was about.
    async fn placement(&self, known: &[(&Region, Vec<OfferId>)], count: u32) -> Result<Vec<Signal>> {
        let spot: Vec<(&Region, &OfferId)> = known
            .iter()
            .flat_map(|(region, offers)| offers.iter().map(move |offer| (*region, offer)))
            .filter(|(_, offer)| offer.market == Market::Spot)
            .collect();
        if spot.is_empty() || !self.client.settings().placement_scores {
            return Ok(Vec::new());
        }
        let types: BTreeSet<TypeName> = spot.iter().map(|(_, offer)| offer.instance_type.clone()).collect();
        let regions: BTreeSet<Region> = spot.iter().map(|(region, _)| (*region).clone()).collect();
        let regions: Vec<Region> = regions.into_iter().collect();
        let answers = self.scores.of(&self.client, &types, count, &regions).await?;
        let mut signals = Vec::new();
        for answer in &answers {
            let mut by_name = BTreeMap::<Zone, u8>::new();
            for ((region, id), score) in &answer.by_zone {
                if let Some(zone) = self.zone_of(region, id).await? {
                    by_name.insert(zone, *score);
                }
            }
            let told = spot.iter().filter(|(_, offer)| answer.types.contains(&offer.instance_type));
            signals.extend(told.filter_map(|(_, offer)| {
                let score = *by_name.get(&offer.zone)?;
                Some(Signal::PlacementScore { offer: (*offer).clone(), score })
            }));
        }
        Ok(signals)
    }

    /// The account's name of a zone: the price answers tell it, else there is a call for it.
    async fn zone_of(&self, region: &Region, id: &str) -> Result<Option<Zone>> {
        if let Some(zone) = self.prices.zone_of(region, id) {
            return Ok(Some(zone));
        }
        let zones = self.zones(region).await?;
        Ok(zones.iter().find(|zone| zone.id == id).map(|zone| zone.name.clone()))
    }
}

/// What a query found in one region.
struct Found {
    shelf: Arc<Shelf>,
    offers: Vec<Offer>,
}

#[async_trait]
impl CapacitySearch for AwsProvider {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        Box::pin(self.catalogue.offers(query)).await.map_err(|error| error.at("aws.offers"))
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        Box::pin(self.catalogue.signals(query)).await.map_err(|error| error.at("aws.signals"))
    }
}

impl AwsProvider {
    /// How old the oldest of what search keeps is (types, offerings and list prices are kept for a
    /// day); `None` before the first search.
    pub fn catalogue_age(&self) -> Option<Duration> {
        self.catalogue.age()
    }
}

/// Whether a zone belongs to a region, by its name: `us-east-1a`, and the local zones
/// `us-west-2-lax-1a`.
fn lies_in(zone: &Zone, region: &Region) -> bool {
    zone.as_str().strip_prefix(region.as_str()).is_some_and(|rest| {
        let mut rest = rest.chars();
        rest.next().is_some_and(|c| c == '-' || c.is_ascii_lowercase())
    })
}

/// Whether it is one of the region's own zones. Local and wavelength zones are offered only to who
/// asks for them by name: default networks have no subnet there.
fn is_regular(zone: &Zone, region: &Region) -> bool {
    let rest = zone.as_str().strip_prefix(region.as_str()).unwrap_or_default();
    rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests;
