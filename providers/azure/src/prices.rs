//! What machines cost, out of Azure's retail price list: a price for each size, region and market.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use skyfleet_core::kept::Kept;
use skyfleet_core::{ErrorKind, Market, Price, Region, Result, Timestamp, TypeName, UsdPerHour};

use crate::client::Client;

mod item;

pub(crate) use item::{Rate, rate};

/// Spot prices move slowly, list prices a few times a year. A region takes eight calls for all of its
/// sizes, and one for a few: once an hour is often enough to see a change.
const AGE_MAX: Duration = Duration::from_secs(3_600);
/// How many regions are asked at once.
const AT_ONCE: usize = 8;
/// How many sizes one question names; for more all are asked for.
const NAMES_MAX: usize = 15;

/// Azure's price list, as far as it has been asked for.
#[derive(Debug)]
pub(crate) struct PriceBook {
    client: Client,
    /// What was asked: the prices of these sizes in a region, or of all.
    asked: Kept<(Region, Option<Vec<TypeName>>), ()>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the price of a size in a region was asked for last.
    fresh: BTreeMap<(Region, String), Timestamp>,
    /// The prices that a size had, the oldest first.
    moves: BTreeMap<(Region, String, Market), Vec<(Timestamp, UsdPerHour)>>,
}

/// The price list does not write sizes in one way.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl PriceBook {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, asked: Kept::new(AGE_MAX), known: Mutex::default() }
    }

    /// Sees to it that the prices of these sizes are known as of an hour ago, or of all.
    ///
    /// # Errors
    /// Those of the calls, as long as a region's prices are not known; where the list cannot be read
    /// at all prices are unknown, and that is no error.
    pub(crate) async fn refresh(&self, regions: &[&Region], names: Option<&[TypeName]>) -> Result<()> {
        let asked = regions.iter().map(|region| self.refresh_one(region, names));
        let asked: Vec<_> = asked.collect();
        stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn refresh_one(&self, region: &Region, names: Option<&[TypeName]>) -> Result<()> {
        let now = self.client.clock().now();
        if self.asked.peek(&(region.clone(), None), now).is_some() {
            return Ok(());
        }
        let names =
            names.map(|names| self.stale(region, names, now)).filter(|names| names.len() <= NAMES_MAX);
        if names.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let key = (region.clone(), names);
        let ask = async {
            match self.client.price_list(region, key.1.as_deref()).await {
                Ok(rates) => {
                    self.learn(region, key.1.as_deref(), rates, self.client.clock().now());
                    Ok(())
                }
                Err(error) if is_closed(error.kind()) => {
                    tracing::warn!(%error, "prices are unknown: the retail price list cannot be read");
                    Ok(())
                }
                Err(error) => Err(error),
            }
        };
        match self.asked.get(&key, now, ask).await {
            Ok(_) => Ok(()),
            Err(error) if self.knows(region) => {
                tracing::warn!(%error, %region, "prices are older than an hour");
                Ok(())
            }
            Err(error) => Err(error.with("region", region)),
        }
    }

    /// Those of the names whose prices nobody asked for within the hour, each once and in order.
    fn stale(&self, region: &Region, names: &[TypeName], now: Timestamp) -> Vec<TypeName> {
        let known = self.lock();
        let fresh = |name: &TypeName| {
            let asked = known.fresh.get(&(region.clone(), plain(name.as_str())));
            asked.is_some_and(|at| skyfleet_core::kept::age(*at, now) < AGE_MAX)
        };
        let stale: BTreeSet<&TypeName> = names.iter().filter(|name| !fresh(name)).collect();
        stale.into_iter().cloned().collect()
    }

    fn knows(&self, region: &Region) -> bool {
        self.lock().moves.keys().any(|(known, ..)| known == region)
    }

    /// What an hour of a machine costs now, and since when, as far as [`PriceBook::refresh`] has
    /// read.
    pub(crate) fn now(
        &self,
        region: &Region,
        name: &TypeName,
        market: Market,
    ) -> Option<(UsdPerHour, Timestamp)> {
        let known = self.lock();
        let moves = known.moves.get(&(region.clone(), plain(name.as_str()), market))?;
        moves.last().map(|(since, price)| (*price, *since))
    }

    /// What an hour of a machine cost at a time: the oldest price that is known, when the time was
    /// before all of them.
    pub(crate) fn at(&self, region: &Region, name: &TypeName, market: Market, time: Timestamp) -> Price {
        let known = self.lock();
        let moves = known.moves.get(&(region.clone(), plain(name.as_str()), market));
        let price = moves.and_then(|moves| {
            let later = moves.partition_point(|(since, _)| *since <= time);
            moves.get(later.saturating_sub(1))
        });
        price.map_or(Price::Unknown, |(_, price)| Price::Known(*price))
    }

    /// How old the prices are.
    pub(crate) fn age(&self, now: Timestamp) -> Option<Duration> {
        self.asked.age(now)
    }

    fn learn(&self, region: &Region, names: Option<&[TypeName]>, list: Vec<Rate>, now: Timestamp) {
        let mut newest: BTreeMap<(String, Market), (Timestamp, UsdPerHour)> = BTreeMap::new();
        for rate in list.into_iter().filter(|rate| rate.region == *region && rate.since <= now) {
            let told = newest.entry((plain(&rate.name), rate.market)).or_insert((rate.since, rate.price));
            // Of two prices that hold since the same day the higher one is taken: a budget must hold.
            *told = (*told).max((rate.since, rate.price));
        }
        let mut known = self.lock();
        for name in names.into_iter().flatten() {
            known.fresh.insert((region.clone(), plain(name.as_str())), now);
        }
        for ((name, market), (since, price)) in newest {
            let moves = known.moves.entry((region.clone(), name, market)).or_default();
            if moves.last().is_none_or(|(_, last)| *last != price) {
                // Whoever was launched since the list was read last was told the price before: what
                // is new holds from now on, so that nobody's price changes after the launch.
                let since = moves.last().map_or(since, |(last, _)| now.max(*last));
                moves.push((since, price));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a refusal says that the list cannot be read at all.
fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn told(since: i64, micros: i64) -> Rate {
        Rate {
            region: "eastus".into(),
            name: "Standard_D2s_v5".to_owned(),
            market: Market::Spot,
            since: second(since),
            price: UsdPerHour::from_micros(micros),
        }
    }

    fn book() -> PriceBook {
        let clock = std::sync::Arc::new(skyfleet_core::SystemClock);
        PriceBook::new(Client::new(None, crate::Settings::default(), clock))
    }

    #[test]
    fn a_machine_of_yesterday_costs_what_it_cost_yesterday() {
        let book = book();
        let (region, name) = (Region::from("eastus"), TypeName::from("standard_d2s_v5"));
        let at = |time| book.at(&region, &name, Market::Spot, second(time)).known().map(UsdPerHour::micros);
        assert_eq!(at(100), None);
        book.learn(&region, None, vec![told(100, 10_000)], second(150));
        // It moved at 160, and who was launched at 180 was told the price before.
        book.learn(&region, None, vec![told(160, 12_000)], second(200));
        for (time, micros) in [(50, 10_000), (100, 10_000), (199, 10_000), (200, 12_000), (900, 12_000)] {
            assert_eq!(at(time), Some(micros), "at {time}");
        }
        let (price, since) = book.now(&region, &name, Market::Spot).unwrap();
        assert_eq!((price.micros(), since), (12_000, second(200)));
        assert_eq!(book.now(&region, &name, Market::OnDemand), None);
        assert_eq!(book.now(&"westus2".into(), &name, Market::Spot), None);
    }

    #[test]
    fn of_several_prices_the_newest_that_holds_counts_and_of_two_of_a_day_the_higher() {
        let book = book();
        let (region, name) = (Region::from("eastus"), TypeName::from("Standard_D2s_v5"));
        let rows = vec![told(100, 9_000), told(50, 11_000), told(100, 8_000), told(500, 1_000)];
        book.learn(&region, None, rows, second(150));
        assert_eq!(
            book.now(&region, &name, Market::Spot),
            Some((UsdPerHour::from_micros(9_000), second(100)))
        );
    }

    #[test]
    fn only_what_nobody_asked_for_within_the_hour_is_asked_for() {
        let book = book();
        let region = Region::from("eastus");
        let names = |names: &[&str]| names.iter().map(|name| TypeName::from(*name)).collect::<Vec<_>>();
        book.learn(&region, Some(&names(&["Standard_D2s_v5"])), vec![told(100, 9_000)], second(200));
        let asked = names(&["Standard_D4s_v5", "Standard_D2s_v5", "Standard_D4s_v5"]);
        assert_eq!(book.stale(&region, &asked, second(300)), names(&["Standard_D4s_v5"]));
        assert_eq!(book.stale(&region, &asked, second(200 + 3_600)).len(), 2);
        assert_eq!(book.stale(&"westus2".into(), &asked, second(300)).len(), 2);
    }
}
