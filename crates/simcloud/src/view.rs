use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::{Availability, InstanceState, Offer, OfferId, Region, Timestamp, UsdPerHour, Zone, tag};

use crate::event::{About, Event, EventKind, WorldEvent};
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::machine::EndCause;

/// One machine, as a list of the cloud shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineView {
    /// Its id.
    pub id: Arc<str>,
    /// What was bought.
    pub offer: OfferId,
    /// Where.
    pub region: Region,
    /// Where it stands in its life.
    pub state: InstanceState,
    /// Why it ended, or ends.
    pub cause: Option<EndCause>,
    /// What an hour of it costs, without disk and address.
    pub price: UsdPerHour,
    /// What an hour of its disk and address costs.
    pub extras: UsdPerHour,
    /// When its launch was accepted.
    pub launched: Timestamp,
    /// When it ends by the cloud's notice.
    pub deadline: Option<Timestamp>,
    /// Its tags.
    pub tags: Arc<BTreeMap<String, String>>,
    /// The user's own labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Its address inside, once it runs.
    pub private_ip: Option<IpAddr>,
    /// Its public address, if it has one.
    pub public_ip: Option<IpAddr>,
}

/// Which machines are meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whose<'a> {
    /// Only of this owner.
    pub owner: Option<&'a str>,
    /// Only of this fleet.
    pub fleet: Option<&'a str>,
    /// Only in this region.
    pub region: Option<&'a str>,
}

impl Whose<'_> {
    fn are(&self, tags: &BTreeMap<String, String>) -> bool {
        let has = |key: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| tags.get(key).is_some_and(|value| value == wanted))
        };
        has(tag::OWNER, self.owner) && has(tag::FLEET, self.fleet)
    }
}

/// A disk or an address that outlived its machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leftover {
    /// What it is.
    pub kind: LineKind,
    /// Its id.
    pub id: Arc<str>,
    /// Where it is.
    pub region: Region,
    /// Its tags.
    pub tags: Arc<BTreeMap<String, String>>,
    /// What an hour costs.
    pub price: UsdPerHour,
}

impl Kernel {
    /// The machines that a list of the cloud shows, in the order of their launch. One may be
    /// missing for a while after its launch; one that ended fades.
    pub fn machines(&self, whose: &Whose<'_>) -> Vec<MachineView> {
        let at = self.seen_at();
        let mut views = Vec::new();
        let mut add = |lot: u32| {
            let lot = &self.lots[lot as usize];
            let faded = lot.left == 0 && at >= lot.gone_at + self.setup.rules.ended_listed;
            if !faded && whose.are(&lot.tags) {
                // A filter hides how many there are: say it, or a list of 100,000 is moved about
                // many times while it grows.
                views.reserve(lot.left as usize);
                views.extend(lot.machines().filter(|m| self.shows(*m, at, whose)).map(|m| self.view(m, at)));
            }
        };
        match whose.owner {
            Some(owner) => self.by_owner.get(owner).into_iter().flatten().for_each(|lot| add(*lot)),
            None => (0..self.lots.len() as u32).for_each(add),
        }
        views
    }

    /// How many events the log has.
    pub fn events_count(&self) -> u64 {
        self.events.len() as u64
    }

    /// One machine, if a list of the cloud shows it.
    pub fn machine(&self, id: &str, whose: &Whose<'_>) -> Option<MachineView> {
        let (m, at) = (*self.by_id.get(id)?, self.seen_at());
        let lot = &self.lots[self.machines[m as usize].lot as usize];
        (whose.are(&lot.tags) && self.shows(m, at, whose)).then(|| self.view(m, at))
    }

    /// Where a machine is, or was; `None` for an id that never was.
    pub fn region_of(&self, id: &str) -> Option<&Region> {
        let m = *self.by_id.get(id)?;
        Some(&self.offer(self.machines[m as usize].pool).region)
    }

    /// The user data that a machine was given; `None` for an id that never was.
    pub fn user_data(&self, id: &str) -> Option<&Arc<str>> {
        let m = *self.by_id.get(id)?;
        Some(&self.lots[self.machines[m as usize].lot as usize].spec.user_data)
    }

    /// The moment that lists show: now, or some time ago.
    fn seen_at(&self) -> Timestamp {
        self.now - self.trouble.stale()
    }

    fn shows(&self, m: u32, at: Timestamp, whose: &Whose<'_>) -> bool {
        let machine = &self.machines[m as usize];
        machine.visible_at <= at
            && machine.ended_at.is_none_or(|ended| at < ended + self.setup.rules.ended_listed)
            && whose.region.is_none_or(|region| self.offer(machine.pool).region.as_str() == region)
    }

    pub(crate) fn view(&self, m: u32, at: Timestamp) -> MachineView {
        let machine = &self.machines[m as usize];
        let lot = &self.lots[machine.lot as usize];
        let offer = self.offer(machine.pool);
        let state = machine.state_at(at);
        let up = state > InstanceState::Pending && state < InstanceState::Terminated;
        let host = m.to_be_bytes();
        let ip =
            |high: [u8; 2], on: bool| on.then(|| Ipv4Addr::new(high[0], high[1], host[2], host[3]).into());
        let lines = machine.lines.0 as usize + 1..machine.lines.1 as usize;
        MachineView {
            id: machine.id.clone(),
            offer: offer.id(),
            region: offer.region.clone(),
            state,
            cause: machine.cause,
            price: self.lines[machine.lines.0 as usize].price,
            extras: self.lines[lines].iter().map(|line| line.price).sum(),
            launched: lot.at,
            deadline: machine.notice.map(|(_, deadline)| deadline),
            tags: lot.tags.clone(),
            labels: lot.spec.labels.clone(),
            private_ip: ip([10, host[1]], up),
            public_ip: ip([198, 18 + (host[1] & 1)], up && lot.spec.public_ip),
        }
    }

    /// Disks and addresses that outlived their machines.
    pub fn leftovers(&self, whose: &Whose<'_>) -> Vec<Leftover> {
        let left = self.leftovers.iter().filter_map(|(id, line)| {
            let line = &self.lines[*line as usize];
            let machine = &self.machines[line.machine as usize];
            let (tags, region) = (&self.lots[machine.lot as usize].tags, &self.offer(machine.pool).region);
            let here = whose.region.is_none_or(|wanted| region.as_str() == wanted);
            (here && whose.are(tags)).then(|| Leftover {
                kind: line.kind,
                id: id.clone(),
                region: region.clone(),
                tags: tags.clone(),
                price: line.price,
            })
        });
        left.collect()
    }

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

    /// A quota's limit and what is used of it, in vCPUs.
    pub fn quota(&self, id: &str) -> Option<(u32, u32)> {
        self.quotas.get(id).map(|quota| (quota.limit, quota.used))
    }

    /// The log after event number `after`, oldest first.
    pub fn events_after(&self, after: u64) -> Vec<WorldEvent> {
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(self.events.len());
        (after + 1..).zip(&self.events[from..]).map(|(number, event)| self.tell(number, event)).collect()
    }

    /// The steps of reclaims after event number `after`, oldest first, and the number of the last
    /// event.
    pub fn reclaims_after(&self, after: u64, whose: &Whose<'_>) -> (Vec<WorldEvent>, u64) {
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(self.events.len());
        let told = (after + 1..).zip(&self.events[from..]).filter(|(_, event)| {
            let step = matches!(event.kind, EventKind::Rebalance | EventKind::Notice | EventKind::Reclaim);
            step && match event.about {
                About::Machine(m) => whose.are(&self.lots[self.machines[m as usize].lot as usize].tags),
                About::Fault(_) => false,
            }
        });
        (told.map(|(number, event)| self.tell(number, event)).collect(), self.events.len() as u64)
    }

    fn tell(&self, number: u64, event: &Event) -> WorldEvent {
        let (instance, market, deadline, detail) = match &event.about {
            About::Fault(detail) => (None, None, None, detail.to_string()),
            About::Machine(m) => {
                let machine = &self.machines[*m as usize];
                let notice = machine.notice.filter(|_| event.kind == EventKind::Notice);
                let detail = match event.kind {
                    EventKind::Notice | EventKind::Reclaim if machine.by_price => {
                        self.setup.rules.reason_price
                    }
                    EventKind::Notice | EventKind::Reclaim => self.setup.rules.reason_capacity,
                    _ => "",
                };
                let market = self.offer(machine.pool).market;
                (Some(machine.id.clone()), Some(market), notice.map(|(_, end)| end), detail.to_owned())
            }
        };
        WorldEvent { number, at: event.at, kind: event.kind, instance, market, deadline, detail }
    }

    /// The zones of a region, in order.
    pub fn zones(&self, region: &str) -> Vec<Zone> {
        let zones = self.setup.catalog.zones().iter().filter(|spec| spec.region.as_str() == region);
        zones.map(|spec| spec.zone.clone()).collect()
    }
}
