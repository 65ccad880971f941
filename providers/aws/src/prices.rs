//! What things cost, and what they cost when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skyfleet_core::kept::{Kept, age};
use skyfleet_core::{
    ErrorKind, Market, OfferId, Price, Region, Result, Timestamp, TypeName, UsdPerHour, Zone,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::client::Client;
use crate::client::market::NAMES_MAX;

mod history;
mod list;

use history::History;
pub(crate) use list::dollars;

/// Amazon changes list prices a few times a year.
const LIST_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Spot prices move in minutes to hours.
const SPOT_AGE_MAX: Duration = Duration::from_secs(300);
/// How far `DescribeSpotPriceHistory` remembers (EC2's service model).
const HISTORY: Duration = Duration::from_secs(90 * 24 * 3_600);

/// On-demand prices from the Price List, and what spot pools cost at every time that was asked for.
#[derive(Debug)]
pub(crate) struct PriceBook {
    client: Client,
    list: Kept<Region, ListPrices>,
    spot: Mutex<BTreeMap<Region, Pools>>,
    /// Held by whoever asks for spot prices of a region: who comes next finds the answer.
    asking: Mutex<BTreeMap<Region, Arc<AsyncMutex<()>>>>,
}

/// The on-demand prices of one region.
pub(crate) type ListPrices = BTreeMap<TypeName, UsdPerHour>;

/// The spot pools of one region.
#[derive(Debug, Default)]
struct Pools {
    histories: BTreeMap<(Zone, TypeName), History>,
    /// The answers name zones by their id too, which saves a call for those.
    zones_by_id: BTreeMap<String, Zone>,
}

impl PriceBook {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, list: Kept::new(LIST_AGE_MAX), spot: Mutex::default(), asking: Mutex::default() }
    }

    /// What the types of a region cost on demand. A type that is missing has an unknown price.
    ///
    /// # Errors
    /// Those of the call; an account that may not read the Price List has unknown prices, and no
    /// error.
    pub(crate) async fn list(&self, region: &Region) -> Result<Arc<ListPrices>> {
        let ask = async {
            match self.client.price_list(region).await {
                Ok(products) => Ok(list::on_demand(&products)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) =>
                {
                    tracing::warn!(%region, %error, "on-demand prices are unknown");
                    Ok(ListPrices::new())
                }
                Err(error) => Err(error),
            }
        };
        match self.list.get(region, self.client.clock().now(), ask).await {
            Err(error) => match self.list.last(region) {
                Some(old) => {
                    tracing::warn!(%region, %error, "on-demand prices are older than a day");
                    Ok(old)
                }
                None => Err(error),
            },
            prices => prices,
        }
    }

    /// Sees to it that the prices of these pools are known as of some minutes ago. `names` is what
    /// to ask for; everything when there are none.
    pub(crate) async fn refresh(
        &self,
        region: &Region,
        pools: &BTreeSet<(Zone, TypeName)>,
        names: Option<&[TypeName]>,
    ) -> Result<()> {
        let asking = self.asking(region);
        let _asking = asking.lock().await;
        let now = self.client.clock().now();
        let fresh = |histories: &BTreeMap<_, History>, pool| {
            let history: Option<&History> = histories.get(pool);
            history.and_then(History::known_until).is_some_and(|until| age(until, now) < SPOT_AGE_MAX)
        };
        let all_fresh = {
            let mut spot = self.lock();
            let region = spot.entry(region.clone()).or_default();
            pools.iter().all(|pool| fresh(&region.histories, pool))
        };
        if all_fresh {
            return Ok(());
        }
        self.ask(region, pools, names, now, now).await
    }

    /// Sees to it that [`PriceBook::at`] knows the prices of these offers at these times: at most
    /// one question for the region, and none when all is known.
    ///
    /// # Errors
    /// Those of the calls.
    pub(crate) async fn ensure(&self, region: &Region, wanted: &[(OfferId, Timestamp)]) -> Result<()> {
        if wanted.iter().any(|(offer, _)| offer.market == Market::OnDemand) {
            self.list(region).await?;
        }
        let asking = self.asking(region);
        let _asking = asking.lock().await;
        let now = self.client.clock().now();
        let (mut pools, mut since) = (BTreeSet::new(), now);
        {
            let mut spot = self.lock();
            let known = spot.entry(region.clone()).or_default();
            for (offer, time) in wanted.iter().filter(|(offer, _)| offer.market == Market::Spot) {
                let (pool, time) = (pool_of(offer), (*time).min(now));
                if known.histories.get(&pool).and_then(|history| history.at(time)).is_none() {
                    pools.insert(pool);
                    since = since.min(time);
                }
            }
        }
        if pools.is_empty() {
            return Ok(());
        }
        let names: BTreeSet<&TypeName> = pools.iter().map(|(_, name)| name).collect();
        let names: Vec<TypeName> = names.into_iter().cloned().collect();
        let names = (names.len() <= NAMES_MAX).then_some(names.as_slice());
        self.ask(region, &pools, names, since, now).await
    }

    /// The price of an offer at a time, as far as [`PriceBook::ensure`] has asked: for spot the one
    /// that was in force then, for on-demand the list price of today. Past the last answer the
    /// newest price is taken.
    pub(crate) fn at(&self, region: &Region, offer: &OfferId, time: Timestamp) -> Price {
        match offer.market {
            Market::OnDemand => {
                let price = self.list.last(region).and_then(|list| list.get(&offer.instance_type).copied());
                price.map_or(Price::Unknown, Price::Known)
            }
            Market::Spot => {
                let spot = self.lock();
                let pools = spot.get(region);
                let Some(history) = pools.and_then(|pools| pools.histories.get(&pool_of(offer))) else {
                    return Price::Unknown;
                };
                match (history.at(time), history.newest()) {
                    (Some(price), _) => price,
                    (None, Some((price, _, until))) if until < time => Price::Known(price),
                    _ => Price::Unknown,
                }
            }
        }
    }

    /// The newest spot price of a pool, and from when on it holds.
    pub(crate) fn newest(
        &self,
        region: &Region,
        zone: &Zone,
        name: &TypeName,
    ) -> Option<(UsdPerHour, Timestamp)> {
        let spot = self.lock();
        let history = spot.get(region)?.histories.get(&(zone.clone(), name.clone()))?;
        history.newest().map(|(price, at, _)| (price, at))
    }

    /// The zone of an id that is the same for every account, as far as the price answers told it.
    pub(crate) fn zone_of(&self, region: &Region, id: &str) -> Option<Zone> {
        self.lock().get(region)?.zones_by_id.get(id).cloned()
    }

    /// The age of the oldest list prices in use.
    pub(crate) fn list_age(&self, now: Timestamp) -> Option<Duration> {
        self.list.age(now)
    }

    async fn ask(
        &self,
        region: &Region,
        pools: &BTreeSet<(Zone, TypeName)>,
        names: Option<&[TypeName]>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let remembered = since.max(now - HISTORY);
        let moves = self.client.spot_prices(region, names, remembered).await?;
        let mut by_pool: BTreeMap<(Zone, TypeName), Vec<(Timestamp, UsdPerHour)>> =
            pools.iter().map(|pool| (pool.clone(), Vec::new())).collect();
        let mut spot = self.lock();
        let known = spot.entry(region.clone()).or_default();
        for change in moves {
            if let Some(id) = change.zone_id {
                known.zones_by_id.insert(id, change.zone.clone());
            }
            let pool = by_pool.entry((change.zone, change.instance_type)).or_default();
            pool.extend(change.price.map(|price| (change.at, price)));
        }
        for (pool, moves) in by_pool {
            known.histories.entry(pool).or_default().add(moves, since, now);
        }
        Ok(())
    }

    fn asking(&self, region: &Region) -> Arc<AsyncMutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.entry(region.clone()).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Region, Pools>> {
        self.spot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pool_of(offer: &OfferId) -> (Zone, TypeName) {
    (offer.zone.clone(), offer.instance_type.clone())
}

#[cfg(test)]
mod tests {
    use skyfleet_core::Clock;

    use super::*;
    use crate::bed::Bed;

    fn offer(zone: &str, market: Market) -> OfferId {
        OfferId { zone: zone.into(), instance_type: "m7g.large".into(), market }
    }

    #[tokio::test]
    async fn an_instance_of_yesterday_costs_what_the_market_asked_yesterday() {
        let bed = Bed::of(&["us-east-1"]);
        let region = Region::from("us-east-1");
        let zones = ["us-east-1a", "us-east-1b", "us-east-1c"];
        let times: Vec<Timestamp> = (0..30)
            .map(|_| {
                bed.advance(1_801);
                bed.clock.now()
            })
            .collect();
        let wanted: Vec<(OfferId, Timestamp)> =
            times.iter().flat_map(|time| zones.map(|zone| (offer(zone, Market::Spot), *time))).collect();
        let book = bed.provider.catalogue.prices();
        book.ensure(&region, &wanted).await.unwrap();
        let mut seen = BTreeSet::new();
        for (offer, time) in &wanted {
            let expected = bed.world().look(|kernel| kernel.price_at(offer, *time)).unwrap();
            assert_eq!(book.at(&region, offer, *time), Price::Known(expected), "{offer} at {time}");
            seen.insert(expected);
        }
        assert!(seen.len() > zones.len(), "no price moved in half a day: {seen:?}");
        assert_eq!(bed.calls("DescribeSpotPriceHistory"), 1);
        // What is known is not asked for again.
        book.ensure(&region, &wanted).await.unwrap();
        assert_eq!(bed.calls("DescribeSpotPriceHistory"), 1);
    }

    #[tokio::test]
    async fn a_thousand_instances_of_one_launch_need_one_question() {
        let bed = Bed::of(&["us-east-1"]);
        let region = Region::from("us-east-1");
        let launched = bed.clock.now();
        bed.advance(600);
        let wanted = vec![(offer("us-east-1a", Market::Spot), launched); 1_000];
        let book = bed.provider.catalogue.prices();
        for _ in 0..3 {
            book.ensure(&region, &wanted).await.unwrap();
        }
        assert_eq!(bed.calls("DescribeSpotPriceHistory"), 1);
        assert_ne!(book.at(&region, &wanted[0].0, launched), Price::Unknown);
    }

    #[tokio::test]
    async fn what_nobody_sells_has_an_unknown_price_and_is_asked_for_once() {
        let bed = Bed::of(&["us-east-1"]);
        let region = Region::from("us-east-1");
        let now = bed.clock.now();
        let strange = OfferId { instance_type: "p4d.24xlarge".into(), ..offer("us-east-1a", Market::Spot) };
        let book = bed.provider.catalogue.prices();
        for _ in 0..2 {
            book.ensure(&region, &[(strange.clone(), now)]).await.unwrap();
            assert_eq!(book.at(&region, &strange, now), Price::Unknown);
        }
        assert_eq!(bed.calls("DescribeSpotPriceHistory"), 1);
    }

    #[tokio::test]
    async fn on_demand_prices_are_those_of_the_price_list() {
        let bed = Bed::of(&["us-east-1", "ap-southeast-2"]);
        let book = bed.provider.catalogue.prices();
        for (region, zone) in [("us-east-1", "us-east-1a"), ("ap-southeast-2", "ap-southeast-2a")] {
            let (region, id) = (Region::from(region), offer(zone, Market::OnDemand));
            let now = bed.clock.now();
            assert_eq!(book.at(&region, &id, now), Price::Unknown, "nobody asked yet");
            book.ensure(&region, &[(id.clone(), now)]).await.unwrap();
            let expected = bed.world().look(|kernel| kernel.price(&id)).unwrap();
            assert_eq!(book.at(&region, &id, now), Price::Known(expected));
        }
    }

    #[tokio::test]
    async fn an_account_that_may_not_read_the_price_list_has_unknown_prices() {
        let bed = Bed::of(&["us-east-1"]);
        bed.inject(
            r#"{"kind":"error","action":"GetProducts","probability":1.0,"status":400,"code":"AccessDeniedException","when":"before"}"#,
        );
        let (region, id) = (Region::from("us-east-1"), offer("us-east-1a", Market::OnDemand));
        let now = bed.clock.now();
        let book = bed.provider.catalogue.prices();
        book.ensure(&region, &[(id.clone(), now)]).await.unwrap();
        assert_eq!(book.at(&region, &id, now), Price::Unknown);
    }
}
