use std::time::Duration;

use skyfleet_core::{Availability, Offer, OfferId, Timestamp, UsdPerHour, Zone};

use crate::kernel::Kernel;
use crate::refusal::Closed;

/// How far back prices are told. EC2 API, `DescribeSpotPriceHistory`: 90 days; Azure the same.
const HISTORY: Duration = Duration::from_secs(90 * 86_400);

impl Kernel {
    /// The offers that match, with today's price and, where the cloud says it, what is sold out.
    pub fn offers(&mut self, matches: impl Fn(&Offer) -> bool) -> Vec<Offer> {
        let catalog = self.setup.catalog.clone();
        let mut offers = Vec::new();
        for (pool, offer) in (0u32..).zip(catalog.offers()) {
            if self.in_scope(&offer.region) && matches(offer) {
                let mut offer = offer.clone();
                self.refresh(pool);
                offer.price = self.pools[pool as usize].price(self.now);
                offer.availability = self.availability(pool, &offer);
                offers.push(offer);
            }
        }
        offers
    }

    fn availability(&self, pool: u32, offer: &Offer) -> Availability {
        if !self.setup.rules.tells_sold_out {
            return Availability::Unknown;
        }
        let faulty = self.trouble.room(offer).is_some_and(|(room, _)| room == 0);
        match faulty || self.trouble.restricted(offer) || self.pools[pool as usize].room() == 0 {
            true => Availability::SoldOut,
            false => Availability::Open,
        }
    }

    /// How likely `count` instances of an offer can be had, 0 to 100; `None` for an unknown offer.
    pub fn score(&mut self, id: &OfferId, count: u32) -> Option<u8> {
        let pool = self.setup.catalog.offer_index(id)? as u32;
        self.refresh(pool);
        let faulty = self.trouble.room(self.offer(pool)).map_or(u32::MAX, |(room, _)| room);
        let room = self.pools[pool as usize].room().min(faulty);
        let share = u64::from(room) * 100 / u64::from(count.max(1));
        Some(share.min(100) as u8)
    }

    /// What an hour of an offer costs now; `None` for what is not sold, or has no known price.
    pub fn price(&self, id: &OfferId) -> Option<UsdPerHour> {
        let pool = self.setup.catalog.offer_index(id)?;
        self.pools[pool].price(self.now).known()
    }

    /// How many machines a pool holds at most, and how many are in it; `None` for what is not sold.
    pub fn pool(&self, id: &OfferId) -> Option<(u32, u32)> {
        let pool = &self.pools[self.setup.catalog.offer_index(id)?];
        Some((pool.size, pool.used))
    }

    /// A quota's limit and what is used of it, in its own unit.
    pub fn quota(&self, id: &str) -> Option<(u32, u32)> {
        self.quotas.get(id).map(|quota| (quota.limit, quota.used))
    }

    /// What an hour of an offer costs at a time; `None` for what is not sold, or has no known
    /// price.
    pub fn price_at(&self, offer: &OfferId, at: Timestamp) -> Option<UsdPerHour> {
        let pool = self.setup.catalog.offer_index(offer)?;
        self.pools[pool].price(at).known()
    }

    /// What a part of the machines of an offer costs now that costs so much in the catalogue, and
    /// since when, if it ever moved; `None` for what is not sold.
    #[cfg(feature = "server")]
    pub(crate) fn part_price(
        &self,
        offer: &OfferId,
        list: UsdPerHour,
    ) -> Option<(UsdPerHour, Option<Timestamp>)> {
        let pool = &self.pools[self.setup.catalog.offer_index(offer)?];
        let Some(market) = &pool.market else { return Some((list, None)) };
        Some((market.part_at(list, self.now), market.price_since(self.now)))
    }

    /// How the price of an offer moved between two times, oldest first: the change in force at
    /// `from` with its own, earlier, time, and those up to `to`. It reaches back 90 days at most,
    /// and not into the future. Empty for what is not sold, or has no known price.
    pub fn price_changes(
        &self,
        offer: &OfferId,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(Timestamp, UsdPerHour)> {
        let oldest = self.now - HISTORY;
        let (from, to) = (from.max(oldest), to.min(self.now));
        let Some(pool) = self.setup.catalog.offer_index(offer).map(|pool| &self.pools[pool]) else {
            return Vec::new();
        };
        let since = |at: Timestamp| match &pool.market {
            Some(market) => market.price_since(at).map_or(oldest, |since| since.max(oldest)),
            None => oldest,
        };
        if from > to {
            return Vec::new();
        }
        // A step at which the price stayed the same is no change.
        let (mut first, mut price) = (since(from), pool.price(from).known());
        while first > oldest {
            let before = first - Duration::from_nanos(1);
            if pool.price(before).known() != price {
                break;
            }
            first = since(before);
        }
        let (mut changes, mut at) = (Vec::from_iter(price.map(|price| (first, price))), from);
        let next = |at: Timestamp| pool.market.as_ref().and_then(|market| market.next_price_change(at));
        while let Some(moment) = next(at).filter(|moment| *moment <= to) {
            at = moment;
            let moved = pool.price(moment).known();
            if moved != price {
                changes.extend(moved.map(|moved| (moment, moved)));
                price = moved;
            }
        }
        changes
    }

    /// How many more machines of an offer can start, as far as the cloud's side goes: its room,
    /// faults and restrictions, not the account's quotas. 0 for what is not sold.
    pub fn room_of(&mut self, offer: &OfferId) -> u32 {
        let Some(pool) = self.setup.catalog.offer_index(offer) else { return 0 };
        self.refresh(pool as u32);
        let offer = self.offer(pool as u32);
        let faulty = self.trouble.room(offer).map_or(u32::MAX, |(room, _)| room);
        match self.trouble.restricted(offer) {
            true => 0,
            false => self.pools[pool].room().min(faulty),
        }
    }

    /// The quota that has no room for so many more machines of an offer, if one has not: what a cloud
    /// that checks the whole request first refuses it for.
    pub fn over_quota(&self, offer: &OfferId, count: u32) -> Option<Closed> {
        let offer = self.setup.catalog.offer(offer)?;
        offer.quotas.iter().find_map(|draw| {
            let (quota, needed) = (self.quotas.get(&draw.quota)?, draw.counts.units(&offer.instance_type));
            let (limit, used) = (quota.limit, quota.used);
            (u64::from(used) + u64::from(needed) * u64::from(count) > u64::from(limit))
                .then(|| Closed::Quota { id: draw.quota.clone(), counts: draw.counts, limit, used, needed })
        })
    }

    /// How many of `wanted` machines a pool can take now, and why not more.
    pub(crate) fn room(
        &self,
        index: u32,
        price_max: Option<UsdPerHour>,
        wanted: u32,
    ) -> (u32, Option<Closed>) {
        let (offer, pool) = (self.offer(index), &self.pools[index as usize]);
        let id = offer.id();
        if self.trouble.restricted(offer) {
            return (0, Some(Closed::Restricted(id.clone())));
        }
        if let Some(max) = price_max {
            let now = pool.price(self.now).known();
            if now.is_none_or(|now| now > max) {
                return (0, Some(Closed::Price { offer: id.clone(), now, max }));
            }
        }
        let (mut fits, mut why) = (wanted, None);
        let mut bound = |most: u32, closed: &dyn Fn() -> Closed| {
            if most < fits {
                (fits, why) = (most, Some(closed()));
            }
        };
        bound(pool.room(), &|| Closed::Capacity(id.clone()));
        if let Some((most, whole_zone)) = self.trouble.room(offer) {
            bound(most, &|| match whole_zone {
                true => Closed::Zone(id.zone.clone()),
                false => Closed::Capacity(id.clone()),
            });
        }
        for draw in offer.quotas.iter() {
            let (needed, counts) = (draw.counts.units(&offer.instance_type), draw.counts);
            let Some(quota) = self.quotas.get(&draw.quota).filter(|_| needed > 0) else { continue };
            let (limit, used) = (quota.limit, quota.used);
            bound(limit.saturating_sub(used) / needed, &|| Closed::Quota {
                id: draw.quota.clone(),
                counts,
                limit,
                used,
                needed,
            });
        }
        (fits, why)
    }

    /// Counts machines into a pool and its quotas, or back out of them.
    pub(crate) fn occupy(&mut self, pool: u32, machines: u32, back: bool) {
        let offer = &self.setup.catalog.offers()[pool as usize];
        let used = &mut self.pools[pool as usize].used;
        *used = if back { *used - machines } else { *used + machines };
        for (id, units) in offer.draws() {
            if let Some(quota) = self.quotas.get_mut(id) {
                let units = machines * units;
                quota.used = if back { quota.used - units } else { quota.used + units };
            }
        }
        self.trouble.started(offer, machines, back);
    }

    /// The zones of a region, in order.
    pub fn zones(&self, region: &str) -> Vec<Zone> {
        let zones = self.setup.catalog.zones().iter().filter(|spec| spec.region.as_str() == region);
        zones.map(|spec| spec.zone.clone()).collect()
    }
}
