use std::collections::BTreeSet;

use async_trait::async_trait;
use skyfleet_core::{
    CapacitySearch, Error, ErrorKind, Market, Offer, OfferId, OfferQuery, QuotaId, Region, Result, Signal,
    SignalQuery, UsdPerHour,
};
use skyfleet_simcloud::catalog::Scarcity;
use skyfleet_simcloud::{Call, Cloud, Kernel};

use crate::SimProvider;
use crate::client::Place;

#[async_trait]
impl CapacitySearch for SimProvider {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        let world = self.client.world();
        world.look(|kernel| check(kernel, query)).map_err(|error| error.at("sim.offers"))?;
        let mut operation = self.client.operation("sim.offers");
        let actions = self.client.rules().actions;
        let mut offers = Vec::new();
        for place in self.client.places() {
            if let Place::Region(region) = &place
                && !query.regions.is_empty()
                && !query.regions.contains(region)
            {
                continue;
            }
            let wanted = |offer: &Offer| {
                place.region().is_none_or(|region| region == offer.region.as_str()) && query.matches(offer)
            };
            operation.call(Call::read(actions.offers, place.as_str()), |_| Ok(())).await?;
            let found = operation
                .call(Call::read(actions.prices, place.as_str()), |kernel| Ok(kernel.offers(wanted)))
                .await?;
            operation.pages(actions.prices, &place, found.len()).await?;
            offers.extend(found);
        }
        Ok(offers)
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        let rules = self.client.rules();
        let mut operation = self.client.operation("sim.signals");
        let asked: BTreeSet<&OfferId> = query.offers.iter().collect();
        let known: Vec<Offer> = self.client.world().look(|kernel| {
            let catalog = kernel.catalog();
            let offers = asked.iter().filter_map(|id| catalog.offer_index(id).map(|i| &catalog.offers()[i]));
            offers.cloned().collect()
        });
        let regions: BTreeSet<Region> = known.iter().map(|offer| offer.region.clone()).collect();
        let mut signals = Vec::new();
        for region in &regions {
            let here: Vec<&Offer> = known.iter().filter(|offer| offer.region == *region).collect();
            let place = region.as_str();
            let mut ask = vec![(rules.actions.prices, prices as Answer)];
            if rules.capacity_scores {
                ask.push((rules.actions.scores, scores));
            }
            ask.push((rules.actions.quotas, quotas));
            for (action, answer) in ask {
                let read = |kernel: &mut Kernel| Ok(answer(kernel, &here, query));
                signals.extend(operation.call(Call::read(action, place), read).await?);
            }
        }
        Ok(signals)
    }
}

/// What one call says about the offers of one region.
type Answer = fn(&mut Kernel, &[&Offer], &SignalQuery) -> Vec<Signal>;

/// Refuses names that the cloud does not have, with the nearest that it has.
fn check(kernel: &Kernel, query: &OfferQuery) -> Result<()> {
    let catalog = kernel.catalog();
    let regions = kernel.regions();
    let zones: Vec<&str> = catalog.zones().iter().map(|spec| spec.zone.as_str()).collect();
    let types: Vec<&str> = catalog.instance_types().map(|spec| spec.name.as_str()).collect();
    let regions: Vec<&str> = regions.iter().map(Region::as_str).collect();
    let asked = query.regions.iter().map(|name| ("region", name.as_str(), &regions));
    let asked = asked.chain(query.zones.iter().map(|name| ("zone", name.as_str(), &zones)));
    let mut asked =
        asked.chain(query.instance_types.iter().map(|name| ("instance type", name.as_str(), &types)));
    match asked.find(|(_, name, known)| !known.contains(name)) {
        None => Ok(()),
        Some((what, name, known)) => {
            let near = known
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
            let near = near.map(|near| format!("; the nearest is {near:?}")).unwrap_or_default();
            let message = format!("{} has no {what} {name:?}{near}", catalog.cloud());
            Err(Error::new(ErrorKind::InvalidRequest, message).with("key", what))
        }
    }
}

fn prices(kernel: &mut Kernel, offers: &[&Offer], query: &SignalQuery) -> Vec<Signal> {
    let at = kernel.now();
    let spot = offers.iter().filter(|offer| offer.market == Market::Spot).map(|offer| offer.id());
    let prices =
        spot.filter_map(|offer| kernel.price(&offer).map(|price| Signal::SpotPrice { offer, price, at }));
    let extras = kernel.rules().extras;
    let sold: BTreeSet<(&Region, Market)> =
        offers.iter().map(|offer| (&offer.region, offer.market)).collect();
    let extras = sold.into_iter().map(|(region, market)| {
        let address = if query.public_ip { extras.address(market) } else { UsdPerHour::ZERO };
        let per_hour = extras.disk(region.as_str(), query.disk_gib) + address;
        Signal::Extras { region: region.clone(), market, per_hour }
    });
    prices.chain(extras).collect()
}

fn scores(kernel: &mut Kernel, offers: &[&Offer], query: &SignalQuery) -> Vec<Signal> {
    let mut signals = Vec::new();
    for offer in offers.iter().filter(|offer| offer.market == Market::Spot) {
        let id = offer.id();
        if let Some(score) = kernel.score(&id, query.count) {
            signals.push(Signal::PlacementScore { offer: id.clone(), score });
        }
        if kernel.cloud() != Cloud::Neutral {
            let per_hour_ppm = eviction_rate(kernel.catalog().scarcity(id.instance_type.as_str()));
            signals.push(Signal::EvictionRate { offer: id, per_hour_ppm });
        }
    }
    signals
}

/// The clouds publish bands per month (EC2), day (GCE) or hour (Azure): the middle of each band
/// that the catalogue's scarcity stands for, per hour, in parts per million.
fn eviction_rate(scarcity: Scarcity) -> u32 {
    match scarcity {
        Scarcity::Plenty => 100,
        Scarcity::Tight => 400,
        Scarcity::Scarce => 20_000,
    }
}

fn quotas(kernel: &mut Kernel, offers: &[&Offer], _query: &SignalQuery) -> Vec<Signal> {
    let ids: BTreeSet<&QuotaId> =
        offers.iter().flat_map(|offer| offer.quotas.iter()).map(|draw| &draw.quota).collect();
    let told = ids.into_iter().filter_map(|id| {
        let (limit, used) = kernel.quota(id.as_str())?;
        Some(Signal::Quota { id: id.clone(), limit: Some(limit), used })
    });
    told.collect()
}
