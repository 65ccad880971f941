use std::collections::BTreeMap;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use skyfleet_core::{Market, Offer, Price, QuotaId, Timestamp, UsdPerHour};

use crate::catalog::{Catalog, Cloud, Scarcity};
use crate::market::{MarketConfig, SpotMarket, SpotPool};
use crate::scenario::{PoolSettings, Scenario};
use crate::seed;

/// One pool: an offer of the catalogue, how many machines it holds, and which are in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pool {
    /// How many machines fit into it.
    pub(crate) size: u32,
    /// How many are in it, those that are going included.
    pub(crate) used: u32,
    /// The machines that run or come up and have no notice.
    pub(crate) live: Vec<u32>,
    /// The market; none for on-demand.
    pub(crate) market: Option<SpotMarket>,
    /// When the market's next event is in the agenda.
    pub(crate) change_at: Option<Timestamp>,
    /// The highest price of the live machines that have one.
    pub(crate) capped: BTreeMap<u32, UsdPerHour>,
    /// When the price is looked at next, in the agenda; only while somebody is capped.
    pub(crate) price_at: Option<Timestamp>,
    /// What the same machine costs on demand.
    pub(crate) on_demand: Option<UsdPerHour>,
    /// The list price.
    pub(crate) list: Price,
}

impl Pool {
    /// What an hour costs there now.
    pub(crate) fn price(&self, now: Timestamp) -> Price {
        self.market.as_ref().map_or(self.list, |market| market.price_at(now))
    }

    /// How many more machines fit in.
    pub(crate) fn room(&self) -> u32 {
        let market = self.market.as_ref().and_then(SpotMarket::capacity).unwrap_or(u32::MAX);
        self.size.min(market).saturating_sub(self.used)
    }
}

/// One quota, in its unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Quota {
    /// What the account may use.
    pub(crate) limit: u32,
    /// What it uses.
    pub(crate) used: u32,
}

/// The pools of a new world, in the order of the catalogue's offers.
pub(crate) fn stock(catalog: &Catalog, seed: u64, scenario: &Scenario, start: Timestamp) -> Vec<Pool> {
    let offers = catalog.offers();
    let price = |offer: &Offer, market: Market| {
        let id = skyfleet_core::OfferId { market, ..offer.id() };
        catalog.offer_index(&id).and_then(|index| offers[index].price.known())
    };
    offers
        .iter()
        .map(|offer| {
            let on_demand = price(offer, Market::OnDemand);
            let market = (offer.market == Market::Spot)
                .then(|| spot_market(catalog, offer, on_demand, seed, &scenario.market, start));
            Pool {
                size: size(catalog, offer, seed, &scenario.pools),
                used: 0,
                live: Vec::new(),
                market,
                change_at: None,
                capped: BTreeMap::new(),
                price_at: None,
                on_demand,
                list: offer.price,
            }
        })
        .collect()
}

fn spot_market(
    catalog: &Catalog,
    offer: &Offer,
    on_demand: Option<UsdPerHour>,
    seed: u64,
    config: &MarketConfig,
    start: Timestamp,
) -> SpotMarket {
    let pool = SpotPool {
        cloud: catalog.cloud(),
        offer: &offer.id(),
        price: offer.price,
        on_demand,
        scarcity: catalog.scarcity(offer.instance_type.name.as_str()),
        makeup: catalog.makeup(offer),
    };
    SpotMarket::new(config, seed, &pool, start)
}

/// How many machines fit into a pool: what the scenario says, else drawn from the seed, by how
/// scarce and how big the type is. The neutral cloud has plenty of everything.
fn size(catalog: &Catalog, offer: &Offer, seed: u64, settings: &PoolSettings) -> u32 {
    let set = settings.set.iter().rev().find(|set| {
        set.zone.as_ref().is_none_or(|zone| *zone == offer.zone)
            && set.instance_type.as_ref().is_none_or(|name| *name == offer.instance_type.name)
            && set.market.contains(offer.market)
    });
    if let Some(size) = set.map(|set| set.capacity).or(settings.default_capacity) {
        return size;
    }
    if catalog.cloud() == Cloud::Neutral {
        return 1_000_000;
    }
    let (least, most, sold_out): (f64, f64, f64) = match catalog.scarcity(offer.instance_type.name.as_str()) {
        Scarcity::Plenty => (1_000.0, 20_000.0, 0.02),
        Scarcity::Tight => (50.0, 2_000.0, 0.10),
        Scarcity::Scarce => (1.0, 100.0, 0.40),
    };
    let mut rng = seed::stream(seed, &format!("pool {}", offer.id()));
    let (empty, level): (f64, f64) = (rng.random(), rng.random());
    let sold_out = if offer.market == Market::Spot { sold_out } else { sold_out / 4.0 };
    if empty < sold_out {
        return 0;
    }
    let machines_of_8 = least * f64::powf(most / least, level);
    (machines_of_8 * 8.0 / f64::from(offer.instance_type.vcpus.max(8))).ceil() as u32
}

/// The account's quotas in a new world.
pub(crate) fn quotas(catalog: &Catalog) -> BTreeMap<QuotaId, Quota> {
    catalog.quotas().iter().map(|(id, limit)| (id.clone(), Quota { limit: *limit, used: 0 })).collect()
}
