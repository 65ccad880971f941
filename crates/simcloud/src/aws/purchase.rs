use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{Market, PoolBid, Spread, UsdPerHour};

use crate::aws::blueprint::{Blueprint, offer};
use crate::aws::error::coded;
use crate::aws::launched::{Tags, reservation_id};
use crate::aws::state::State;
use crate::kernel::Kernel;
use crate::order::Order;
use crate::place::Places;
use crate::refusal::{Closed, Refusal};
use crate::view::MachineView;

/// Why a pool gave too few: the world's reason, or EC2's own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Short {
    Closed(Closed),
    /// The subnet has no more addresses.
    Addresses(String),
}

/// For whom a launch is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buyer {
    pub(crate) client_token: Option<String>,
    pub(crate) fleet: Option<Arc<str>>,
    /// Tags of EC2's own (`aws:…`) on the instances.
    pub(crate) own_tags: Tags,
}

/// Takes places in pools, so that what is bought afterwards is there; they are given back before.
pub(crate) struct Reserving<'a> {
    kernel: &'a mut Kernel,
    pools: Vec<Reserved<'a>>,
    short: BTreeMap<usize, Short>,
    /// What may still be spent an hour.
    purse: Option<UsdPerHour>,
}

struct Reserved<'a> {
    blueprint: &'a Blueprint,
    /// How many units of capacity an instance of it stands for.
    weight: u32,
    /// Its pool in the world; `None` when the type is not sold there.
    pool: Option<u32>,
    price: Option<UsdPerHour>,
    got: u32,
}

impl<'a> Reserving<'a> {
    /// `pools` are blueprints with the units of capacity that an instance of each stands for.
    pub(crate) fn new(
        kernel: &'a mut Kernel,
        pools: impl IntoIterator<Item = (&'a Blueprint, u32)>,
        purse: Option<UsdPerHour>,
    ) -> Self {
        let mut reserve = |(blueprint, weight): (&'a Blueprint, u32)| {
            let offer = bid(blueprint).offer;
            let pool = kernel.catalog().offer_index(&offer).map(|index| index as u32);
            if let Some(pool) = pool {
                kernel.refresh(pool);
            }
            Reserved { blueprint, weight: weight.max(1), pool, price: kernel.price(&offer), got: 0 }
        };
        let pools = pools.into_iter().map(&mut reserve).collect();
        Self { kernel, pools, short: BTreeMap::new(), purse }
    }

    /// How many units a pool has room for, and what one costs in micro-dollars an hour.
    pub(crate) fn offered(&self, pool: usize, wanted: u32) -> (u32, Option<f64>) {
        let Reserved { weight, price, .. } = &self.pools[pool];
        (self.room(pool, wanted), price.map(|price| price.micros() as f64 / f64::from(*weight)))
    }

    /// How many instances of a pool fit, of as many as wanted, and why not more.
    fn fits(&self, index: usize, wanted: u32) -> (u32, Option<Short>) {
        let Reserved { blueprint, pool, price, .. } = &self.pools[index];
        let subnet = &blueprint.subnet;
        let (mut fits, why) = match pool {
            Some(pool) => self.kernel.room(*pool, blueprint.price_max, wanted),
            None => (0, Some(Closed::NotSold(bid(blueprint).offer))),
        };
        let mut why = why.map(Short::Closed);
        let here = self.pools.iter().filter(|other| other.blueprint.subnet.id == subnet.id);
        let free = subnet.free.saturating_sub(here.map(|other| other.got).sum());
        if free < fits {
            (fits, why) = (free, Some(Short::Addresses(subnet.id.clone())));
        }
        if let (Some(purse), Some(price)) = (self.purse, price) {
            fits = fits.min((purse.micros() / price.micros().max(1)).max(0) as u32);
        }
        (fits, why)
    }

    /// Gives all places back; says how many instances each pool gave, and why those that gave too
    /// few did.
    pub(crate) fn release(self) -> (Vec<u32>, BTreeMap<usize, Short>) {
        for Reserved { pool, got, .. } in &self.pools {
            if let Some(pool) = pool.filter(|_| *got > 0) {
                self.kernel.occupy(pool, *got, true);
            }
        }
        (self.pools.iter().map(|reserved| reserved.got).collect(), self.short)
    }
}

impl Places for Reserving<'_> {
    fn room(&self, pool: usize, wanted: u32) -> u32 {
        let weight = self.pools[pool].weight;
        let (fits, _) = self.fits(pool, wanted.div_ceil(weight));
        fits.saturating_mul(weight).min(wanted)
    }

    fn take(&mut self, pool: usize, wanted: u32) -> u32 {
        let weight = self.pools[pool].weight;
        let (fits, why) = self.fits(pool, wanted.div_ceil(weight));
        if let Some(why) = why {
            self.short.insert(pool, why);
        }
        let reserved = &mut self.pools[pool];
        reserved.got += fits;
        if let Some(pool) = reserved.pool.filter(|_| fits > 0) {
            self.kernel.occupy(pool, fits, false);
        }
        if let (Some(purse), Some(price)) = (&mut self.purse, reserved.price) {
            *purse = UsdPerHour::from_micros(purse.micros() - price.micros() * i64::from(fits));
        }
        fits.saturating_mul(weight).min(wanted)
    }
}

fn bid(blueprint: &Blueprint) -> PoolBid {
    let name = blueprint.instance_type.name.as_str();
    PoolBid { offer: offer(name, &blueprint.subnet.zone, blueprint.market), price_max: blueprint.price_max }
}

/// Buys instances of one blueprint: so many, or none. One launch of the world, or several where
/// there are more than one may have.
pub(crate) fn buy(
    kernel: &mut Kernel,
    state: &mut State,
    blueprint: &Blueprint,
    count: u32,
    buyer: &Buyer,
) -> Result<Vec<(u32, Vec<MachineView>)>, Refusal> {
    let mut tags = blueprint.tags.clone();
    tags.extend(buyer.own_tags.clone());
    let bid = bid(blueprint);
    let mut order = Order {
        token: None,
        region: kernel
            .catalog()
            .zone(&blueprint.subnet.zone)
            .map_or_else(|| "".into(), |zone| zone.region.clone()),
        market: blueprint.market,
        pools: vec![bid],
        count,
        count_min: 1,
        spread: Spread::Packed,
        spec: blueprint.spec.clone(),
        tags: Arc::new(tags),
        disk_tags: blueprint.disk_tags.clone(),
        interface_tags: blueprint.interface_tags.clone(),
        native_expiry: None,
        name_prefix: String::new(),
        names: Vec::new(),
    };
    let mut launches = Vec::new();
    let (mut left, most) = (count, kernel.rules().launch_max);
    while left > 0 {
        order.count = left.min(most);
        left -= order.count;
        let bought = kernel.launch(&order)?;
        let mut details = blueprint.details.clone();
        details.reservation = reservation_id(kernel, bought.launch);
        details.client_token.clone_from(&buyer.client_token);
        details.fleet.clone_from(&buyer.fleet);
        state.launched.add(bought.launch, details);
        launches.push((bought.launch, bought.machines));
    }
    Ok(launches)
}

/// EC2's status, code and sentence for a pool that gave too few. "Error codes for the Amazon EC2
/// API": capacity is the server's fault, a limit the caller's.
pub(crate) fn told(kernel: &Kernel, blueprint: &Blueprint, short: &Short) -> (u16, &'static str, String) {
    let (name, zone) = (&blueprint.instance_type.name, &blueprint.subnet.zone);
    let spot = blueprint.market == Market::Spot;
    match short {
        Short::Addresses(subnet) => (
            400,
            "InsufficientFreeAddressesInSubnet",
            format!(
                "There are not enough free addresses in subnet '{subnet}' to satisfy the requested number of instances."
            ),
        ),
        Short::Closed(Closed::Capacity(_) | Closed::Zone(_)) if spot => (
            500,
            "InsufficientInstanceCapacity",
            "There is no Spot capacity available that matches your request.".to_owned(),
        ),
        Short::Closed(Closed::Capacity(_) | Closed::Zone(_)) => {
            let here = |spec: &&crate::catalog::ZoneSpec| {
                kernel.catalog().zone(zone).is_some_and(|own| own.region == spec.region)
                    && spec.zone.as_str() != zone
            };
            let others: Vec<&str> =
                kernel.catalog().zones().iter().filter(here).map(|spec| spec.zone.as_str()).collect();
            (
                500,
                "InsufficientInstanceCapacity",
                format!(
                    "We currently do not have sufficient {name} capacity in the Availability Zone you requested ({zone}). Our system will be working on provisioning additional capacity. You can currently get {name} capacity by not specifying an Availability Zone in your request or choosing {}.",
                    others.join(", ")
                ),
            )
        }
        Short::Closed(Closed::NotSold(_) | Closed::Restricted(_)) => (
            400,
            "Unsupported",
            format!(
                "Your requested instance type ({name}) is not supported in your requested Availability Zone ({zone}). Please retry your request by not specifying an Availability Zone or choosing another one."
            ),
        ),
        Short::Closed(Closed::Quota { limit, .. }) if spot => {
            let message = format!("Max spot instance count exceeded: the limit is {limit} vCPUs.");
            (400, "MaxSpotInstanceCountExceeded", message)
        }
        Short::Closed(Closed::Quota { limit, .. }) => (
            400,
            "VcpuLimitExceeded",
            format!(
                "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
            ),
        ),
        Short::Closed(Closed::Price { now, max, .. }) => {
            let now = now.map_or_else(|| "unknown".to_owned(), dollars);
            (
                400,
                "SpotMaxPriceTooLow",
                format!(
                    "Your Spot request price of {} is lower than the minimum required Spot request fulfillment price of {now}.",
                    dollars(*max)
                ),
            )
        }
    }
}

/// The same, as the whole answer to a call that launched nothing.
pub(crate) fn refused(kernel: &Kernel, blueprint: &Blueprint, short: &Short) -> Refusal {
    let (status, code, message) = told(kernel, blueprint, short);
    coded(status, code, message)
}

/// A price as EC2 writes it: `0.039200`.
pub(crate) fn dollars(price: UsdPerHour) -> String {
    format!("{}.{:06}", price.micros() / 1_000_000, price.micros() % 1_000_000)
}
