//! A world in virtual time, and short ways to act in it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{ManualClock, UsdPerHour};
use skyfleet_core::{Market, Offer, PoolBid, Spread, Timestamp, tag};
use skyfleet_simcloud::{
    BillLine, Bought, Call, Cloud, Ended, FaultId, LineKind, MachineSpec, Order, Refusal, Scenario, World,
    WorldOptions,
};

pub(crate) const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

pub(crate) struct Bed {
    pub(crate) world: World,
    pub(crate) clock: ManualClock,
}

impl Bed {
    pub(crate) fn new(cloud: Cloud) -> Self {
        Self::playing(cloud, "[market]\nprocess = \"constant\"\n")
    }

    pub(crate) fn playing(cloud: Cloud, scenario: &str) -> Self {
        Self::with(cloud, scenario, |_| {})
    }

    pub(crate) fn with(cloud: Cloud, scenario: &str, change: impl FnOnce(&mut WorldOptions)) -> Self {
        let clock = ManualClock::new(START);
        let mut options = WorldOptions::new(Arc::new(clock.clone())).playing(cloud);
        options.scenario = Scenario::parse(scenario, "test.toml", ".".as_ref()).unwrap();
        change(&mut options);
        Self { world: World::new(options).unwrap(), clock }
    }

    pub(crate) fn pass(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub(crate) fn fault(&self, json: &str) -> FaultId {
        self.world.inject(serde_json::from_str(json).unwrap()).unwrap()
    }

    /// The offers of the smallest type in the first region, one for each zone.
    pub(crate) fn offers(&self, market: Market) -> Vec<Offer> {
        let mut offers = self.world.look(|kernel| kernel.offers(|offer| offer.market == market));
        let smallest =
            offers.iter().min_by_key(|offer| (offer.instance_type.vcpus, offer.id())).unwrap().clone();
        offers.retain(|o| o.region == smallest.region && o.instance_type.name == smallest.instance_type.name);
        offers
    }

    pub(crate) fn order(&self, market: Market, count: u32) -> Order {
        let offers = self.offers(market);
        let tags = Arc::new(BTreeMap::from([(tag::OWNER.to_owned(), "ada".to_owned())]));
        Order {
            token: None,
            region: offers[0].region.clone(),
            market,
            pools: offers.iter().map(|offer| PoolBid { offer: offer.id(), price_max: None }).collect(),
            count,
            count_min: 1,
            spread: Spread::Even,
            spec: MachineSpec { disk_gib: 10, public_ip: true, ..MachineSpec::default() },
            disk_tags: tags.clone(),
            interface_tags: tags.clone(),
            tags,
            native_expiry: None,
            name_prefix: "ada-words".to_owned(),
            names: Vec::new(),
        }
    }

    pub(crate) fn launch(&self, order: &Order) -> Result<Bought, Refusal> {
        let action = self.world.look(|kernel| kernel.rules().actions.launch);
        self.world
            .call(Call::write(action, order.region.as_str(), order.count), |kernel| kernel.launch(order))
    }

    /// Launches spot machines and gives their ids.
    pub(crate) fn spot(&self, count: u32) -> Vec<Arc<str>> {
        let bought = self.launch(&self.order(Market::Spot, count)).unwrap();
        assert_eq!(bought.missing, []);
        bought.machines.into_iter().map(|machine| machine.id).collect()
    }

    pub(crate) fn terminate(&self, ids: &[Arc<str>]) -> Vec<Ended> {
        self.world
            .call(Call::write("terminate", "test", 0), |kernel| {
                Ok(ids.iter().map(|id| kernel.terminate(id)).collect())
            })
            .unwrap()
    }

    pub(crate) fn bill(&self) -> Vec<BillLine> {
        self.world.look(|kernel| kernel.bill())
    }

    /// How long the one machine of this world is paid for, in seconds.
    pub(crate) fn paid(&self) -> u64 {
        let bill = self.bill();
        bill.iter().find(|line| line.kind == LineKind::Instance).unwrap().paid.as_secs()
    }

    pub(crate) fn price(&self, order: &Order) -> UsdPerHour {
        self.world.look(|kernel| kernel.price(&order.pools[0].offer)).unwrap()
    }
}
