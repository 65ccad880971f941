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
use crate::prices::PriceBook;
use crate::whereabouts::region_of;
use crate::{GcpProvider, extras, quotas};

mod accelerator;
mod advice;
mod attached;
mod kind;

pub(crate) use accelerator::Accelerator;
use advice::Advice;
pub(crate) use attached::{Attached, join, split};
pub(crate) use kind::Kind;

/// Google adds types and sells them in more zones a few times a month.
const SHELF_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How many zones are asked at once.
const AT_ONCE: usize = 16;

/// Everything that search knows, and for how long it knows it: regions and types for a day, prices
/// for an hour, advice for minutes.
///
/// Types are asked for zone by zone, all zones in scope at once, and not by one aggregated list of
/// all zones: a zone's types are one page, while the pages of an aggregated list come one after
/// another, a hundred of them for Compute Engine as it is, and each counts against the quota of
/// heavy-weight reads. Accelerators are few, so that of them the aggregated list is the cheaper one.
#[derive(Debug)]
pub(crate) struct Catalogue {
    client: Client,
    prices: PriceBook,
    regions: Kept<(), Vec<RegionInfo>>,
    shelves: Kept<Zone, Shelf>,
    accelerators: Kept<(), Accelerators>,
    advice: Advice,
}

/// What one zone sells, before anything is attached to it.
type Shelf = BTreeMap<TypeName, Kind>;

/// The accelerators of each zone, each with how many a machine can have at most.
type Accelerators = BTreeMap<Zone, Vec<(String, u32)>>;

impl Catalogue {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            prices: PriceBook::new(client.clone()),
            regions: Kept::new(SHELF_AGE_MAX),
            shelves: Kept::new(SHELF_AGE_MAX),
            accelerators: Kept::new(SHELF_AGE_MAX),
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

    /// All regions of the project with all their zones, in scope or not.
    pub(crate) async fn regions(&self) -> Result<Arc<Vec<RegionInfo>>> {
        self.regions.get(&(), self.now(), self.client.region_infos()).await
    }

    /// The regions in scope with their zones in scope: those of the settings, else all that the
    /// project has.
    ///
    /// # Errors
    /// `InvalidConfig` for a region or zone of the settings that there is not, with the nearest.
    pub(crate) async fn scope(&self) -> Result<Vec<RegionInfo>> {
        let all = self.regions().await?;
        let settings = self.client.settings();
        in_scope("gcp", &all, &settings.regions, &settings.zones)
    }

    /// What a zone sells.
    async fn shelf(&self, zone: &Zone) -> Result<Arc<Shelf>> {
        let ask = async {
            let told = self.client.zone_types(zone).await?;
            let kinds: Shelf =
                told.iter().filter_map(Kind::read).map(|kind| (kind.spec.name.clone(), kind)).collect();
            tracing::debug!(%zone, types = kinds.len(), "the catalogue is as of now");
            Ok(kinds)
        };
        self.shelves.get(zone, self.now(), ask).await
    }

    async fn shelves(&self, zones: Vec<Zone>) -> Result<BTreeMap<Zone, Arc<Shelf>>> {
        let asked = zones.into_iter().map(|zone| async move {
            let shelf = self.shelf(&zone).await?;
            Ok::<_, Error>((zone, shelf))
        });
        futures::stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn accelerators(&self) -> Result<Arc<Accelerators>> {
        self.accelerators.get(&(), self.now(), self.client.zone_accelerators()).await
    }

    /// A type of a zone, with whatever its name says is attached to it.
    async fn kind(&self, zone: &Zone, name: &TypeName) -> Result<Option<Kind>> {
        let Some((machine, attached)) = split(name) else { return Ok(None) };
        let shelf = self.shelf(zone).await?;
        Ok(shelf.get(machine).and_then(|kind| match attached {
            None => Some(kind.clone()),
            Some(gpus) => kind.with_gpus(gpus.accelerator, gpus.count),
        }))
    }

    /// What these offers cost at these times, in order. `Unknown` for what is not sold, or has no
    /// price.
    ///
    /// # Errors
    /// Those of the calls.
    pub(crate) async fn prices_at(&self, wanted: &[(OfferId, Timestamp)]) -> Result<Vec<Price>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let different: BTreeSet<(&Zone, &TypeName)> =
            wanted.iter().map(|(offer, _)| (&offer.zone, &offer.instance_type)).collect();
        let zones: BTreeSet<&Zone> = different.iter().map(|(zone, _)| *zone).collect();
        let zones = zones.into_iter().cloned().collect();
        futures::try_join!(self.shelves(zones), self.prices.refresh())?;
        let mut kinds = BTreeMap::new();
        for (zone, name) in different {
            kinds.insert((zone, name), self.kind(zone, name).await?);
        }
        let priced = wanted.iter().map(|(offer, time)| {
            let kind = kinds.get(&(&offer.zone, &offer.instance_type)).and_then(Option::as_ref);
            let region = region_of(offer.zone.as_str());
            kind.map_or(Price::Unknown, |kind| self.prices.at(kind, &region, offer.market, *time))
        });
        Ok(priced.collect())
    }

    /// Those of the types that a region has, each once: all that a zone of it sells.
    pub(crate) async fn kinds(&self, region: &RegionInfo, names: &[TypeName]) -> Result<Vec<Kind>> {
        let mut found = BTreeMap::new();
        for zone in region.zones.iter().filter(|zone| is_regular(zone)) {
            for name in names {
                if let Some(kind) = self.kind(zone, name).await? {
                    found.entry(name.clone()).or_insert(kind);
                }
            }
        }
        Ok(found.into_values().collect())
    }

    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        let scope = self.scope().await?;
        let asked = asked("gcp", &scope, query, is_regular)?;
        let zones: Vec<Zone> = asked.iter().flat_map(|(_, zones)| zones.iter().copied().cloned()).collect();
        let (shelves, accelerators, priced) =
            futures::try_join!(self.shelves(zones), self.accelerators(), self.prices.refresh())?;
        let mut offers = Vec::new();
        for (region, zones) in asked {
            let mut sets = QuotaSets::default();
            for zone in zones {
                let Some(shelf) = shelves.get(zone) else { continue };
                let attachable = accelerators.get(zone).map_or(&[][..], Vec::as_slice);
                for kind in all_kinds(shelf, attachable).values() {
                    self.offer(query, region, zone, kind, priced, &mut sets, &mut offers);
                }
            }
        }
        let found: BTreeSet<&TypeName> = offers.iter().map(|offer| &offer.instance_type.name).collect();
        let known = self.all_types(&scope);
        check_types("gcp", &query.instance_types, |name| found.contains(name), known).await?;
        if let Some(age) = self.age() {
            tracing::debug!(age = ?age, offers = offers.len(), "offers out of the catalogue");
        }
        Ok(offers)
    }

    /// Adds a type's offers in a zone.
    #[expect(clippy::too_many_arguments, reason = "one place, called once")]
    fn offer(
        &self,
        query: &OfferQuery,
        region: &RegionInfo,
        zone: &Zone,
        kind: &Kind,
        priced: bool,
        sets: &mut QuotaSets,
        offers: &mut Vec<Offer>,
    ) {
        let named = query.instance_types.contains(&kind.spec.name);
        if !named && (!query.instance_types.is_empty() || kind.bare_metal) {
            return;
        }
        let price = |market| self.prices.now(kind, &region.name, market).map(|(price, _)| price);
        for market in [Market::Spot, Market::OnDemand] {
            if !query.markets.is_empty() && !query.markets.contains(&market) {
                continue;
            }
            let price = price(market);
            // Compute Engine does not say which types are sold as spot machines: those that have a
            // spot price. Of a type that has no price at all, nobody knows.
            if market == Market::Spot && priced && price.is_none() && self.sold_on_demand_only(kind, region) {
                continue;
            }
            offers.push(Offer {
                instance_type: kind.spec.clone(),
                region: region.name.clone(),
                zone: zone.clone(),
                market,
                price: price.map_or(Price::Unknown, Price::Known),
                // Compute Engine says whether there is room only to a launch.
                availability: Availability::Unknown,
                quotas: sets.of(region, kind, market),
            });
        }
    }

    fn sold_on_demand_only(&self, kind: &Kind, region: &RegionInfo) -> bool {
        let has = |market| self.prices.now(kind, &region.name, market).is_some();
        has(Market::OnDemand) && !has(Market::Spot)
    }

    /// The types that any zone in scope sells.
    async fn all_types(&self, scope: &[RegionInfo]) -> Result<BTreeSet<TypeName>> {
        let zones: Vec<Zone> = scope.iter().flat_map(|region| region.zones.iter().cloned()).collect();
        let (shelves, accelerators) = futures::try_join!(self.shelves(zones), self.accelerators())?;
        let mut known = BTreeSet::new();
        for (zone, shelf) in &shelves {
            let attachable = accelerators.get(zone).map_or(&[][..], Vec::as_slice);
            known.extend(all_kinds(shelf, attachable).into_keys());
        }
        Ok(known)
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
        let (_, advice, quotas) = futures::try_join!(
            self.prices.refresh(),
            self.advice.signals(&self.client, &spot, query.count),
            quotas::signals(&self.client, &quotas),
        )?;
        let now = self.now();
        let prices = known.iter().filter(|(_, _, offer)| offer.market == Market::Spot);
        let prices = prices.filter_map(|(region, kind, offer)| {
            let (price, since) = self.prices.now(kind, &region.name, Market::Spot)?;
            Some(Signal::SpotPrice { offer: offer.clone(), price, at: since.min(now) })
        });
        let sold: BTreeSet<(&Region, Market)> =
            known.iter().map(|(region, _, offer)| (&region.name, offer.market)).collect();
        let extras = sold.into_iter().map(|(region, market)| Signal::Extras {
            region: region.clone(),
            market,
            per_hour: extras::per_hour(region, market, query.disk_gib, query.public_ip),
        });
        Ok(prices.chain(extras).chain(advice).chain(quotas).collect())
    }

    /// Those of the offers that are sold, each once, in the order in which they were asked about.
    async fn known<'a>(
        &self,
        scope: &'a [RegionInfo],
        asked: &[OfferId],
    ) -> Result<Vec<(&'a RegionInfo, Kind, OfferId)>> {
        let home = |zone: &Zone| scope.iter().find(|region| region.zones.contains(zone));
        let zones: BTreeSet<&Zone> =
            asked.iter().map(|offer| &offer.zone).filter(|zone| home(zone).is_some()).collect();
        self.shelves(zones.into_iter().cloned().collect()).await?;
        let (mut seen, mut known) = (BTreeSet::new(), Vec::new());
        for offer in asked {
            let Some(region) = home(&offer.zone).filter(|_| seen.insert(offer)) else { continue };
            if let Some(kind) = self.kind(&offer.zone, &offer.instance_type).await? {
                known.push((region, kind, offer.clone()));
            }
        }
        Ok(known)
    }
}

/// What decides about the quotas of a machine in a region: its series, its accelerators, the market.
type DrawsBy = (String, Option<&'static str>, Market);

/// The sets of quotas of one region's offers, each kept once.
#[derive(Default)]
struct QuotaSets(BTreeMap<DrawsBy, Arc<[Draw]>>);

impl QuotaSets {
    fn of(&mut self, region: &RegionInfo, kind: &Kind, market: Market) -> Arc<[Draw]> {
        let key = (kind.series.clone(), kind.gpus.map(|gpus| gpus.accelerator.name), market);
        self.0.entry(key).or_insert_with(|| quotas::draws(region, kind, market)).clone()
    }
}

/// A zone's types by name, with every combination of an N1 machine and GPUs that fit it.
fn all_kinds(shelf: &Shelf, accelerators: &[(String, u32)]) -> Shelf {
    let mut kinds = shelf.clone();
    for (name, most) in accelerators {
        let Some(accelerator) = Accelerator::named(name) else { continue };
        let counts = accelerator.attach.iter().map(|(count, _)| *count).filter(|count| count <= most);
        let attached = counts
            .flat_map(|count| shelf.values().filter_map(move |kind| kind.with_gpus(accelerator, count)));
        kinds.extend(attached.map(|kind| (kind.spec.name.clone(), kind)));
    }
    kinds
}

/// Whether it is one of the region's own zones, `us-central1-a`; AI zones are `us-central1-ai1a`. Those
/// are offered only to who asks for them by name, as launches leave them out too.
fn is_regular(zone: &Zone) -> bool {
    zone.as_str().rsplit_once('-').is_some_and(|(_, letter)| letter.len() == 1)
}

#[async_trait]
impl CapacitySearch for GcpProvider {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        Box::pin(self.catalogue.offers(query)).await.map_err(|error| error.at("gcp.offers"))
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        Box::pin(self.catalogue.signals(query)).await.map_err(|error| error.at("gcp.signals"))
    }
}

impl GcpProvider {
    /// How old the oldest of what search keeps is (regions and types are kept for a day, prices for
    /// an hour); `None` before the first search.
    pub fn catalogue_age(&self) -> Option<Duration> {
        self.catalogue.age()
    }
}

#[cfg(test)]
mod tests;
