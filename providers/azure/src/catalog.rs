//! What can be bought: offers and signals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use skyfleet_core::kept::Kept;
use skyfleet_core::places::{asked, check_types, in_scope};
use skyfleet_core::{
    Availability, CapacitySearch, Draw, Error, Market, Offer, OfferId, OfferQuery, Price, QuotaId, Region,
    Result, Signal, SignalQuery, Timestamp, TypeName, Zone,
};

use crate::client::Client;
use crate::client::market::RegionInfo;
use crate::names::region_of;
use crate::prices::PriceBook;
use crate::{AzureProvider, extras, quotas};

mod accelerator;
mod advice;
mod kind;

use advice::Advice;
pub(crate) use kind::Kind;

/// Azure opens regions a few times a year.
const REGIONS_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// New sizes come a few times a month; but restrictions come and go with the room of a region.
const SHELF_AGE_MAX: Duration = Duration::from_secs(1_800);
/// How many regions are asked at once.
const AT_ONCE: usize = 8;

/// Everything that search knows, and for how long it knows it: regions for a day, prices for an hour,
/// sizes for half an hour, advice for minutes.
///
/// Sizes are asked for region by region, all regions in scope at once: without a filter they are told
/// of all regions of the world, by tens of megabytes.
#[derive(Debug)]
pub(crate) struct Catalogue {
    client: Client,
    prices: PriceBook,
    regions: Kept<(), Vec<RegionInfo>>,
    shelves: Kept<Region, Shelf>,
    advice: Advice,
}

/// What one region sells.
type Shelf = BTreeMap<TypeName, Kind>;

impl Catalogue {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            prices: PriceBook::new(client.clone()),
            regions: Kept::new(REGIONS_AGE_MAX),
            shelves: Kept::new(SHELF_AGE_MAX),
            advice: Advice::default(),
            client,
        }
    }

    /// How old the oldest of what is kept is.
    pub(crate) fn age(&self) -> Option<Duration> {
        let now = self.now();
        self.shelves.age(now).max(self.regions.age(now)).max(self.prices.age(now))
    }

    fn now(&self) -> Timestamp {
        self.client.clock().now()
    }

    /// The regions in scope with their zones in scope: those of the settings, else all that the
    /// subscription has.
    ///
    /// # Errors
    /// `InvalidConfig` for a region or zone of the settings that there is not, with the nearest.
    pub(crate) async fn scope(&self) -> Result<Vec<RegionInfo>> {
        let all = self.regions.get(&(), self.now(), self.client.region_infos("azure.regions")).await?;
        let settings = self.client.settings();
        in_scope("azure", &all, &settings.regions, &settings.zones)
    }

    /// What a region sells.
    async fn shelf(&self, region: &Region) -> Result<Arc<Shelf>> {
        let ask = async {
            let told = self.client.skus(region).await?;
            let kinds = told.iter().filter_map(|sku| Kind::read(sku, region));
            let kinds: Shelf = kinds.map(|kind| (kind.spec.name.clone(), kind)).collect();
            tracing::debug!(%region, sizes = kinds.len(), "the catalogue is as of now");
            Ok(kinds)
        };
        self.shelves.get(region, self.now(), ask).await
    }

    async fn shelves(&self, regions: BTreeSet<Region>) -> Result<BTreeMap<Region, Arc<Shelf>>> {
        let asked = regions.into_iter().map(|region| async move {
            let shelf = self.shelf(&region).await.map_err(|error| error.with("region", &region))?;
            Ok::<_, Error>((region, shelf))
        });
        futures::stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Those of the sizes that a region has.
    pub(crate) async fn kinds(&self, region: &Region, names: &[TypeName]) -> Result<Vec<Kind>> {
        let shelf = self.shelf(region).await?;
        Ok(names.iter().filter_map(|name| shelf.get(name).cloned()).collect())
    }

    /// What these offers cost at these times, in order. `Unknown` for what has no price.
    ///
    /// # Errors
    /// Those of the calls.
    pub(crate) async fn prices_at(&self, wanted: &[(OfferId, Timestamp)]) -> Result<Vec<Price>> {
        let mut sought = BTreeMap::<Region, BTreeSet<TypeName>>::new();
        for (offer, _) in wanted {
            sought.entry(region_of(&offer.zone)).or_default().insert(offer.instance_type.clone());
        }
        let refreshed = sought.iter().map(|(region, names)| async move {
            let names: Vec<TypeName> = names.iter().cloned().collect();
            self.prices.refresh(&[region], Some(&names)).await
        });
        futures::future::try_join_all(refreshed).await?;
        let price = |(offer, time): &(OfferId, Timestamp)| {
            self.prices.at(&region_of(&offer.zone), &offer.instance_type, offer.market, *time)
        };
        Ok(wanted.iter().map(price).collect())
    }

    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        let scope = self.scope().await?;
        let asked = asked("azure", &scope, query, |_| true)?;
        let regions: Vec<&Region> = asked.iter().map(|(info, _)| &info.name).collect();
        let names = Some(&query.instance_types[..]).filter(|names| !names.is_empty());
        let (shelves, ()) = futures::try_join!(
            self.shelves(regions.iter().copied().cloned().collect()),
            self.prices.refresh(&regions, names),
        )?;
        let mut offers = Vec::new();
        for (info, zones) in asked {
            let Some(shelf) = shelves.get(&info.name) else { continue };
            let mut sets = QuotaSets::default();
            for zone in zones {
                for kind in shelf.values().filter(|kind| kind.zones.contains(zone)) {
                    self.offer(query, &info.name, zone, kind, &mut sets, &mut offers);
                }
            }
        }
        let found: BTreeSet<&TypeName> = offers.iter().map(|offer| &offer.instance_type.name).collect();
        let known = self.all_types(&scope);
        check_types("azure", &query.instance_types, |name| found.contains(name), known).await?;
        if let Some(age) = self.age() {
            tracing::debug!(age = ?age, offers = offers.len(), "offers out of the catalogue");
        }
        Ok(offers)
    }

    /// Adds a size's offers in a zone.
    fn offer(
        &self,
        query: &OfferQuery,
        region: &Region,
        zone: &Zone,
        kind: &Kind,
        sets: &mut QuotaSets,
        offers: &mut Vec<Offer>,
    ) {
        let name = &kind.spec.name;
        if !query.instance_types.is_empty() && !query.instance_types.contains(name) {
            return;
        }
        for market in [Market::Spot, Market::OnDemand] {
            let wanted = query.markets.is_empty() || query.markets.contains(&market);
            if !wanted || market == Market::Spot && !kind.spot {
                continue;
            }
            let price = self.prices.now(region, name, market).map(|(price, _)| price);
            offers.push(Offer {
                instance_type: kind.spec.clone(),
                region: region.clone(),
                zone: zone.clone(),
                market,
                price: price.map_or(Price::Unknown, Price::Known),
                // Azure says only what it does not sell to the subscription.
                availability: match kind.restricted.contains(zone) {
                    true => Availability::SoldOut,
                    false => Availability::Unknown,
                },
                quotas: sets.of(region, kind, market),
            });
        }
    }

    /// The sizes that any region in scope sells.
    async fn all_types(&self, scope: &[RegionInfo]) -> Result<BTreeSet<TypeName>> {
        let shelves = self.shelves(scope.iter().map(|info| info.name.clone()).collect()).await?;
        Ok(shelves.values().flat_map(|shelf| shelf.keys().cloned()).collect())
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        if query.offers.is_empty() {
            return Ok(Vec::new());
        }
        let scope = self.scope().await?;
        let known = self.known(&scope, &query.offers).await?;
        let quotas: BTreeSet<QuotaId> = known
            .iter()
            .flat_map(|(region, kind, offer)| {
                let draws = quotas::draws(region, kind, offer.market);
                draws.iter().map(|draw| draw.quota.clone()).collect::<Vec<_>>()
            })
            .collect();
        let spot: Vec<&OfferId> =
            known.iter().map(|(_, _, offer)| offer).filter(|offer| offer.market == Market::Spot).collect();
        let mut sought = BTreeMap::<&Region, BTreeSet<TypeName>>::new();
        for (region, kind, _) in &known {
            sought.entry(*region).or_default().insert(kind.spec.name.clone());
        }
        let refreshed = sought.iter().map(|(region, names)| async move {
            let names: Vec<TypeName> = names.iter().cloned().collect();
            self.prices.refresh(&[*region], Some(&names)).await
        });
        let (_, advice, quotas) = futures::try_join!(
            futures::future::try_join_all(refreshed),
            self.advice.signals(&self.client, &spot, query.count),
            quotas::signals(&self.client, &quotas),
        )?;
        let now = self.now();
        let prices = known.iter().filter(|(_, _, offer)| offer.market == Market::Spot);
        let prices = prices.filter_map(|(region, kind, offer)| {
            let (price, since) = self.prices.now(region, &kind.spec.name, Market::Spot)?;
            Some(Signal::SpotPrice { offer: offer.clone(), price, at: since.min(now) })
        });
        let sold: BTreeSet<(&Region, Market)> =
            known.iter().map(|(region, _, offer)| (*region, offer.market)).collect();
        let extras = sold.into_iter().map(|(region, market)| Signal::Extras {
            region: region.clone(),
            market,
            per_hour: extras::per_hour(region, query.disk_gib, query.public_ip),
        });
        Ok(prices.chain(extras).chain(advice).chain(quotas).collect())
    }

    /// Those of the offers that are sold, each once, in the order in which they were asked about.
    async fn known<'a>(
        &self,
        scope: &'a [RegionInfo],
        asked: &[OfferId],
    ) -> Result<Vec<(&'a Region, Kind, OfferId)>> {
        let home = |zone: &Zone| scope.iter().find(|info| info.zones.contains(zone)).map(|info| &info.name);
        let regions: BTreeSet<&Region> = asked.iter().filter_map(|offer| home(&offer.zone)).collect();
        let shelves = self.shelves(regions.into_iter().cloned().collect()).await?;
        let (mut seen, mut known) = (BTreeSet::new(), Vec::new());
        for offer in asked {
            let Some(region) = home(&offer.zone).filter(|_| seen.insert(offer)) else { continue };
            let kind = shelves.get(region).and_then(|shelf| shelf.get(&offer.instance_type));
            let sold = |kind: &&Kind| {
                kind.zones.contains(&offer.zone) && (kind.spot || offer.market == Market::OnDemand)
            };
            known.extend(kind.filter(sold).map(|kind| (region, kind.clone(), offer.clone())));
        }
        Ok(known)
    }
}

/// The sets of quotas of one region's offers by family and market, each kept once.
#[derive(Default)]
struct QuotaSets(BTreeMap<(Option<String>, Market), Arc<[Draw]>>);

impl QuotaSets {
    fn of(&mut self, region: &Region, kind: &Kind, market: Market) -> Arc<[Draw]> {
        let key = (kind.family.clone(), market);
        self.0.entry(key).or_insert_with(|| quotas::draws(region, kind, market)).clone()
    }
}

#[async_trait]
impl CapacitySearch for AzureProvider {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        Box::pin(self.catalogue.offers(query)).await.map_err(|error| error.at("azure.offers"))
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        Box::pin(self.catalogue.signals(query)).await.map_err(|error| error.at("azure.signals"))
    }
}

impl AzureProvider {
    /// How old the oldest of what search keeps is (regions are kept for a day, prices for an hour,
    /// sizes for half of one); `None` before the first search.
    pub fn catalogue_age(&self) -> Option<Duration> {
        self.catalogue.age()
    }
}

#[cfg(test)]
pub(crate) mod tests;
