use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{Market, OfferId, PoolBid, Price, Region, Timestamp, UsdPerHour, tag};

use crate::event::{About, EventKind};
use crate::kernel::{Due, Kernel};
use crate::ledger::{Line, LineKind, Of};
use crate::machine::{Lot, Machine};
use crate::order::{Bought, Missing, Order};
use crate::place::{Places, place};
use crate::refusal::{Closed, Refusal};
use crate::scenario::After;
use crate::seed;

/// A bid of the order with the pool that it is about; `None` when the type is not sold there.
struct Bid<'a> {
    bid: &'a PoolBid,
    pool: Option<u32>,
}

/// What a machine and what comes with it cost in an hour, each as bought and on demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    pub(crate) instance: (UsdPerHour, UsdPerHour),
    pub(crate) disk: (UsdPerHour, UsdPerHour),
    pub(crate) address: (UsdPerHour, UsdPerHour),
}

/// The taking of places for one order, and why bids that gave too few did.
struct Taking<'a> {
    kernel: &'a mut Kernel,
    bids: &'a [Bid<'a>],
    closed: BTreeMap<usize, Closed>,
}

impl Taking<'_> {
    fn room(&self, bid: usize, wanted: u32) -> (u32, Option<Closed>) {
        let Bid { bid, pool } = &self.bids[bid];
        match pool {
            Some(pool) => self.kernel.room(*pool, bid.price_max, wanted),
            None => (0, Some(Closed::NotSold(bid.offer.clone()))),
        }
    }
}

impl Places for Taking<'_> {
    fn room(&self, bid: usize, wanted: u32) -> u32 {
        self.room(bid, wanted).0
    }

    fn take(&mut self, bid: usize, wanted: u32) -> u32 {
        let (fits, why) = self.room(bid, wanted);
        if let Some(pool) = self.bids[bid].pool {
            self.kernel.occupy(pool, fits, false);
        }
        if let Some(why) = why {
            self.closed.insert(bid, why);
        }
        fits
    }
}

impl Kernel {
    /// Buys machines in bulk, once per token.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] and [`Refusal::Unknown`] for a request that can never work,
    /// [`Refusal::TokenReused`] and [`Refusal::TokenSpent`] for its token. Missing capacity and
    /// quota are in the answer.
    pub fn launch(&mut self, order: &Order) -> Result<Bought, Refusal> {
        let bought = self.launch_part(order)?;
        let machines = self.lots[bought.launch as usize].machines();
        let last_up = machines.map(|m| self.machines[m as usize].running_at).max();
        if let Some(last_up) = last_up.filter(|_| !bought.repeated) {
            self.limits.hold(self.setup.rules.actions.launch, order.region.as_str(), last_up);
        }
        Ok(bought)
    }

    /// The same, without counting it among the calls in flight: for a face whose call is made of
    /// several launches, or is not the one that is counted.
    ///
    /// # Errors
    /// Those of [`Kernel::launch`].
    pub(crate) fn launch_part(&mut self, order: &Order) -> Result<Bought, Refusal> {
        let digest = digest(order);
        if let Some(bought) = self.repeat(order, digest)? {
            return Ok(bought);
        }
        let bids = self.bids(order)?;
        let (got, closed) = self.take_places(order, &bids);
        let total: u32 = got.iter().sum();
        let kept = total >= order.count_min;
        if !kept {
            for (bid, n) in bids.iter().zip(&got) {
                if let Some(pool) = bid.pool {
                    self.occupy(pool, *n, true);
                }
            }
        }
        let missing = if kept { order.count - total } else { order.count };
        let lot = self.open_lot(order, digest, share_out(missing, closed));
        if kept {
            for (bid, n) in bids.iter().zip(&got) {
                if let Some(pool) = bid.pool {
                    self.build(order, lot, pool, bid.bid.price_max, *n);
                }
            }
        }
        self.close_lot(order, lot);
        Ok(self.bought(lot, false))
    }

    /// The answer to a token that is known; `None` for a new one.
    fn repeat(&mut self, order: &Order, digest: u64) -> Result<Option<Bought>, Refusal> {
        let Some(token) = &order.token else { return Ok(None) };
        let Some(&index) = self.tokens.get(token) else { return Ok(None) };
        let lot = &self.lots[index as usize];
        if lot.left == 0 && self.now > lot.gone_at + self.setup.rules.token_kept {
            self.tokens.remove(token);
            return Ok(None);
        }
        if lot.digest != digest {
            return Err(Refusal::TokenReused { token: token.clone() });
        }
        let alive = |m: u32| self.machines[m as usize].state_at(self.now).is_alive();
        if lot.count > 0 && !lot.machines().any(alive) {
            return Err(Refusal::TokenSpent { token: token.clone() });
        }
        Ok(Some(self.bought(index, true)))
    }

    fn bought(&self, index: u32, repeated: bool) -> Bought {
        let lot = &self.lots[index as usize];
        Bought {
            launch: index,
            machines: lot.machines().map(|m| self.view(m, self.now)).collect(),
            missing: lot.missing.clone(),
            repeated,
        }
    }

    /// Checks the order and finds its pools.
    fn bids<'a>(&self, order: &'a Order) -> Result<Vec<Bid<'a>>, Refusal> {
        let invalid = |field, message: String| Err(Refusal::Invalid { field, message });
        let rules = &self.setup.rules;
        if order.count == 0 || order.count > rules.launch_max {
            return invalid("count", format!("{} is not between 1 and {}", order.count, rules.launch_max));
        }
        if order.count_min == 0 || order.count_min > order.count {
            return invalid("count_min", format!("{} is not between 1 and {}", order.count_min, order.count));
        }
        if order.pools.is_empty() {
            return invalid("pools", "at least one is needed".to_owned());
        }
        let (bytes, most) = (order.spec.user_data.len(), rules.user_data_bytes_max);
        if bytes > most {
            return invalid("user_data", format!("it has {bytes} bytes, at most {most} are accepted"));
        }
        self.known_region(&order.region)?;
        self.check_names(order)?;
        order.pools.iter().map(|bid| self.bid(order, bid)).collect()
    }

    fn bid<'a>(&self, order: &Order, bid: &'a PoolBid) -> Result<Bid<'a>, Refusal> {
        let OfferId { zone, instance_type, market } = &bid.offer;
        let catalog = &self.setup.catalog;
        let spec = catalog.zone(zone.as_str()).filter(|spec| spec.region == order.region);
        if spec.is_none() {
            let zones = catalog.zones().iter().filter(|spec| spec.region == order.region);
            return Err(unknown("zone", zone.as_str(), zones.map(|spec| spec.zone.as_str())));
        }
        if catalog.instance_type(instance_type.as_str()).is_none() {
            let types = catalog.instance_types().map(|spec| spec.name.as_str());
            return Err(unknown("instance type", instance_type.as_str(), types));
        }
        if *market != order.market {
            let message = format!("{} is not of the market {}", bid.offer, order.market);
            return Err(Refusal::Invalid { field: "pools", message });
        }
        let pool = catalog.offer_index(&bid.offer).map(|index| index as u32);
        Ok(Bid { bid, pool })
    }

    /// Whether there is such a region in scope.
    pub(crate) fn known_region(&self, region: &Region) -> Result<(), Refusal> {
        let regions = self.regions();
        if regions.contains(region) {
            return Ok(());
        }
        Err(unknown("region", region.as_str(), regions.iter().map(Region::as_str)))
    }

    /// Takes places in the pools, and says why those that gave too few did.
    fn take_places(&mut self, order: &Order, bids: &[Bid<'_>]) -> (Vec<u32>, Vec<Closed>) {
        for bid in bids {
            if let Some(pool) = bid.pool {
                self.refresh(pool);
            }
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let zones: Vec<usize> = bids
            .iter()
            .map(|bid| {
                let next = seen.len();
                *seen.entry(bid.bid.offer.zone.as_str()).or_insert(next)
            })
            .collect();
        let mut taking = Taking { kernel: self, bids, closed: BTreeMap::new() };
        let got = place(order.spread, &zones, order.count, &mut taking);
        (got, taking.closed.into_values().collect())
    }

    fn open_lot(&mut self, order: &Order, digest: u64, missing: Vec<Missing>) -> u32 {
        self.lots.push(Lot {
            at: self.now,
            token: order.token.clone(),
            digest,
            tags: order.tags.clone(),
            disk_tags: order.disk_tags.clone(),
            interface_tags: order.interface_tags.clone(),
            spec: order.spec.clone(),
            first: self.machines.len() as u32,
            count: 0,
            missing,
            left: 0,
            gone_at: self.now,
            native_expiry: order.native_expiry,
        });
        self.lots.len() as u32 - 1
    }

    /// Builds machines that have their places.
    fn build(&mut self, order: &Order, lot: u32, pool: u32, price_max: Option<UsdPerHour>, machines: u32) {
        let now = self.now;
        let prices = self.prices(pool, order.spec.disk_gib);
        let zone = self.offer(pool).zone.clone();
        let boot = self.boot_delay();
        for _ in 0..machines {
            let rules = &self.setup.rules;
            let m = self.machines.len() as u32;
            let index = m - self.lots[lot as usize].first;
            let id: Arc<str> = match order.names.get(index as usize) {
                Some(name) => self.named_machine(&zone, name),
                None => rules.instance_id(self.seed, u64::from(m) + 1, &zone, &order.name_prefix).into(),
            };
            let running_at = now + boot.draw(&mut self.rng);
            let visible_at = now + rules.visible_after.draw(&mut self.rng);
            let first_line = self.lines.len() as u32;
            self.open_line(LineKind::Instance, m, prices.instance, running_at);
            if order.spec.disk_gib > 0 {
                self.open_disk(&id, m, (pool, order.spec.disk_gib), prices.disk);
            }
            if order.spec.public_ip {
                self.open_line(LineKind::Address, m, prices.address, now);
            }
            if let Some(name) = &order.spec.disk_name {
                self.named_disks.insert(name.clone(), m);
            }
            self.by_id.insert(id.clone(), m);
            self.machines.push(Machine {
                id,
                lot,
                pool,
                lines: (first_line, self.lines.len() as u32),
                seat: 0,
                running_at,
                visible_at,
                notice: None,
                by_price: false,
                placed: true,
                booted: false,
                leaving_at: None,
                ended_at: None,
                cause: None,
                halts: Vec::new(),
            });
            self.take_seat(m, price_max);
            self.log(EventKind::Launch, About::Machine(m));
            self.plan_boot(m, running_at);
            self.plan_run(m, running_at);
        }
        self.stirred.insert(pool);
    }

    /// What a machine of a pool costs when it starts now.
    pub(crate) fn prices(&self, pool: u32, disk_gib: u32) -> Prices {
        let (offer, held) = (self.offer(pool), &self.pools[pool as usize]);
        let price = match held.price(self.now) {
            Price::Known(price) => price,
            Price::Unknown => held.on_demand.unwrap_or_default(),
        };
        let extras = &self.setup.rules.extras;
        let disk = extras.disk(offer.region.as_str(), disk_gib);
        Prices {
            instance: (price, held.on_demand.unwrap_or(price)),
            disk: (disk, disk),
            address: (extras.address(offer.market), extras.address(Market::OnDemand)),
        }
    }

    /// Opens a line of the ledger: what an hour costs, and what it would cost on demand.
    pub(crate) fn open_line(
        &mut self,
        kind: LineKind,
        m: u32,
        (price, list): (UsdPerHour, UsdPerHour),
        from: Timestamp,
    ) {
        let again = kind == LineKind::Instance && (m as usize) < self.machines.len();
        self.lines.push(Line {
            kind,
            of: Of::Machine(m),
            price,
            list,
            from,
            until: None,
            reclaimed: false,
            again,
            gib: 0,
            asked: self.now,
        });
    }

    /// Puts a machine among the live ones of its pool.
    pub(crate) fn take_seat(&mut self, m: u32, price_max: Option<UsdPerHour>) {
        let machine = &mut self.machines[m as usize];
        let held = &mut self.pools[machine.pool as usize];
        machine.seat = held.live.len() as u32;
        held.live.push(m);
        if let Some(max) = price_max.filter(|_| held.market.is_some()) {
            held.capped.insert(m, max);
        }
        self.stirred.insert(machine.pool);
    }

    /// Plans the moment at which the user data begin.
    pub(crate) fn plan_boot(&mut self, m: u32, running_at: Timestamp) {
        let script = &self.lots[self.machines[m as usize].lot as usize].spec.user_data;
        if self.setup.processes && !script.is_empty() {
            let ready = self.setup.rules.ready.draw(&mut self.rng);
            self.at(running_at + ready, Due::Boot(m));
        }
    }

    /// How long a machine takes to come up.
    pub(crate) fn boot_delay(&self) -> crate::rules::Delay {
        let (mut delay, change) = (self.setup.rules.boot, &self.setup.scenario.boot);
        if let Some(median) = change.median_s.and_then(|s| std::time::Duration::try_from_secs_f64(s).ok()) {
            delay.median = median;
        }
        delay.sigma = change.sigma.unwrap_or(delay.sigma);
        delay.straggler_share = change.straggler_share.unwrap_or(delay.straggler_share);
        delay
    }

    fn close_lot(&mut self, order: &Order, index: u32) {
        let lot = &mut self.lots[index as usize];
        lot.count = self.machines.len() as u32 - lot.first;
        lot.left = lot.count;
        for held in &order.spec.holds {
            if let Some(kept) = self.fixtures.get_mut(held) {
                kept.holders += lot.count;
            }
        }
        if let Some(token) = &order.token {
            self.tokens.insert(token.clone(), index);
        }
        let (count, expiry) = (lot.count, lot.native_expiry);
        self.index_lot(index);
        if let Some(expiry) = expiry.filter(|_| count > 0) {
            self.at(expiry, Due::Expire(index));
        }
        if count > 0 && !std::mem::replace(&mut self.launched, true) {
            self.set_scenes(After::Launch);
        }
    }

    pub(crate) fn index_lot(&mut self, index: u32) {
        if let Some(owner) = self.lots[index as usize].tags.get(tag::OWNER) {
            match self.by_owner.get_mut(owner.as_str()) {
                Some(lots) => lots.push(index),
                None => {
                    self.by_owner.insert(owner.as_str().into(), vec![index]);
                }
            }
        }
    }
}

fn digest(order: &Order) -> u64 {
    let text = serde_json::to_vec(order).unwrap_or_default();
    seed::digest(&[&text])
}

/// Spreads what is missing evenly over the reasons, each named once.
fn share_out(missing: u32, closed: Vec<Closed>) -> Vec<Missing> {
    let mut reasons: Vec<Closed> = Vec::new();
    for why in closed {
        if !reasons.iter().any(|other| other.scope() == why.scope()) {
            reasons.push(why);
        }
    }
    let parts = reasons.len() as u32;
    let share = |i: u32| missing / parts + u32::from(i < missing % parts);
    (0..).zip(reasons).map(|(i, why)| Missing { count: share(i), why }).filter(|m| m.count > 0).collect()
}

/// The refusal of a name, with those that look like it.
pub(crate) fn unknown<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Refusal {
    let mut near: Vec<(f64, &str)> = known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(like, _)| *like > 0.7)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let nearest = near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect();
    Refusal::Unknown { what, name: name.to_owned(), nearest }
}
