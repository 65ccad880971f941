use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::layers::{self, FaultRates};
use skyfleet_core::{
    Availability, Capability, Clock, ErrorKind, FleetBlueprint, FleetName, Instance, InstanceId,
    LaunchRequest, Launched, Market, Offer, OfferQuery, Owner, PoolBid, Prepared, Provider, Region, Result,
    Retry, Selector, Spread, Timestamp, Token,
};

use crate::arm::{Arm, Layers};
use crate::case::{Fault, Proof, ensure};
use crate::runner::Stack;
use crate::world::{Levers, World};

/// How long the suite waits for a state that an instance reaches by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// How often it looks meanwhile: gentle on the clouds' rate limits.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// What goes wrong under [`Stack::Faults`]: one call in four.
const WEATHER: FaultRates = FaultRates {
    throttled_percent: 5,
    lost_before_percent: 5,
    lost_after_percent: 8,
    delayed_percent: 7,
    delay_max: Duration::from_secs(2),
};
/// How old lists are meanwhile, where the world has the lever.
const STALE: Duration = Duration::from_secs(10);

/// What one case stands on: a provider of its own, an owner of its own, a world of its own.
pub(crate) struct Bed {
    /// The provider that the case talks to, with the layers around it if the arm has them.
    pub(crate) provider: Arc<dyn Provider>,
    /// The same without layers.
    pub(crate) bare: Arc<dyn Provider>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) levers: Levers,
    pub(crate) stack: Stack,
    layers: Layers,
    /// What sets the fleets of this run apart from those of another run in the same cloud: their
    /// tokens are spent there. Empty where each case has a cloud of its own.
    run: String,
    pub(crate) seed: u64,
    /// The capability that is pinned for the arm, as TOML, or what is wrong with the pin.
    pub(crate) pinned: std::result::Result<String, String>,
    /// Whose resources the case makes.
    pub(crate) owner: Owner,
    /// Somebody else in the same account.
    pub(crate) neighbour: Owner,
}

impl Bed {
    pub(crate) fn new(world: World, stack: Stack, seed: u64, case: &str, arm: &Arm) -> Result<Self> {
        let World { connected, levers } = world;
        let owner = |role: &str| {
            let name = format!("ct-{role}-{:012x}", digest(&format!("{case} {seed} {role}")) >> 16);
            Owner::parse(&name).expect("twelve hex digits behind a short word are an owner")
        };
        let run = match arm.money() {
            Some(_) => format!("-{:x}", connected.clock.now().as_second()),
            None => String::new(),
        };
        let mut bed = Self {
            provider: connected.provider.clone(),
            bare: connected.provider,
            clock: connected.clock,
            levers,
            stack,
            layers: arm.layers(),
            run,
            seed,
            pinned: arm.pinned(),
            owner: owner("us"),
            neighbour: owner("them"),
        };
        match stack {
            Stack::Bare => {}
            Stack::Layers => bed.provider = bed.layered(bed.bare.clone()),
            Stack::Faults => {
                let bad_weather = layers::Fault::new(bed.clock.clone()).seeded(seed ^ digest(case), WEATHER);
                bed.provider = bed.layered(bad_weather.layer(bed.bare.clone()));
                if let Some(stale) = &bed.levers.stale {
                    stale(STALE)?;
                }
            }
        }
        Ok(bed)
    }

    /// The arm's layers around a provider.
    pub(crate) fn layered(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        (self.layers)(provider, self.clock.clone(), self.seed)
    }

    /// How old lists may be because the suite made them so.
    pub(crate) fn staleness(&self) -> Duration {
        match self.stack {
            Stack::Faults if self.levers.stale.is_some() => STALE,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn capability(&self) -> Capability {
        self.bare.capability()
    }

    /// The seconds of the clock, whole: expiry tags have no more.
    pub(crate) fn in_future(&self, time: Duration) -> Timestamp {
        Timestamp::from_second((self.clock.now() + time).as_second()).expect("a whole second of a timestamp")
    }

    /// The cheapest `count` pools of one region that can be expected to work: with a price, not
    /// sold out, without accelerators. The region is the cheapest that has so many.
    pub(crate) async fn pools(&self, market: Market, count: usize) -> Proof<Vec<Offer>> {
        let query = OfferQuery { markets: vec![market], ..OfferQuery::default() };
        let mut by_region: BTreeMap<Region, Vec<Offer>> = BTreeMap::new();
        for offer in self.provider.offers(&query).await? {
            let usable = offer.availability != Availability::SoldOut && offer.instance_type.gpu.is_none();
            if usable && offer.market == market && offer.price.known().is_some() {
                by_region.entry(offer.region.clone()).or_default().push(offer);
            }
        }
        for offers in by_region.values_mut() {
            offers.sort_by_key(|offer| (offer.price, offer.id()));
            offers.truncate(count);
        }
        by_region
            .into_values()
            .filter(|offers| offers.len() == count)
            .min_by_key(|offers| {
                offers.iter().filter_map(|offer| offer.price.known()).sum::<skyfleet_core::UsdPerHour>()
            })
            .ok_or_else(|| Fault::new(format!("no region lists {count} usable {market} offers")))
    }

    /// A market that every provider has.
    pub(crate) fn markets(&self) -> Vec<Market> {
        if self.capability().spot { vec![Market::OnDemand, Market::Spot] } else { vec![Market::OnDemand] }
    }

    /// What a fleet of this owner over these pools has in common.
    pub(crate) fn blueprint(&self, owner: &Owner, fleet: &str, pools: &[Offer]) -> FleetBlueprint {
        let regions: BTreeSet<_> = pools.iter().map(|offer| offer.region.clone()).collect();
        let archs: BTreeSet<_> = pools.iter().map(|offer| offer.instance_type.arch).collect();
        FleetBlueprint {
            owner: owner.clone(),
            fleet: FleetName::parse(&format!("{fleet}{}", self.run))
                .expect("the suite's fleet names are legal"),
            regions: regions.into_iter().collect(),
            archs: archs.into_iter().collect(),
            image: "ubuntu-24.04".to_owned(),
            user_data: "#!/bin/sh\nexit 0\n".into(),
            disk_gib: 16,
            public_ip: false,
            inbound_ports: vec![22],
            labels: BTreeMap::from([("purpose".to_owned(), "conformance".to_owned())]),
            expires: Some(self.in_future(Duration::from_secs(86_400))),
        }
    }

    /// A fleet of ours, prepared over the cheapest pools of a market.
    pub(crate) async fn fleet(&self, market: Market, pools: usize) -> Proof<Fleet> {
        let pools = self.pools(market, pools).await?;
        self.prepare(self.blueprint(&self.owner, "words", &pools), pools).await
    }

    /// A fleet of whomever the blueprint says.
    pub(crate) async fn prepare(&self, blueprint: FleetBlueprint, pools: Vec<Offer>) -> Proof<Fleet> {
        let prepared = self.provider.prepare(&blueprint).await?;
        Ok(Fleet { blueprint, pools, prepared })
    }

    /// Launches and insists on getting all.
    pub(crate) async fn launch_all(&self, request: &LaunchRequest) -> Proof<Vec<Instance>> {
        let launched = self.provider.launch(request).await?;
        ensure!(
            launched.shortfalls.is_empty() && launched.instances.len() == request.count as usize,
            "{} instances of a cheap pool were asked for; {}",
            request.count,
            summary(&launched)
        );
        Ok(launched.instances)
    }

    /// As many instances as the world takes, in launches as big as the provider allows, over many
    /// pools; at least half of them must be had.
    pub(crate) async fn crowd(&self) -> Proof<(Fleet, BTreeSet<InstanceId>)> {
        let (crowd, launch_max) = (self.levers.crowd.unwrap_or_default(), self.capability().launch_max);
        let fleet = self.fleet(Market::OnDemand, 8).await?;
        let (mut bought, mut reasons) = (BTreeSet::new(), String::new());
        for attempt in 0..crowd.div_ceil(launch_max.max(1)) {
            let count = launch_max.min(crowd - bought.len() as u32);
            let launched = self.patiently(&fleet.request(attempt, count)).await?;
            reasons = summary(&launched);
            bought.extend(ids(&launched.instances));
            if bought.len() as u32 == crowd {
                break;
            }
        }
        ensure!(
            bought.len() as u32 > crowd / 2,
            "of {crowd} instances {} were had; last: {reasons}",
            bought.len()
        );
        Ok((fleet, bought))
    }

    /// Sends a launch again, under its token, while the cloud says that it comes too fast: clouds
    /// limit how many instances may start in a minute.
    async fn patiently(&self, request: &LaunchRequest) -> Result<Launched> {
        for _ in 0..30 {
            match self.provider.launch(request).await {
                Err(error) if error.kind() == ErrorKind::RateLimited => {
                    let hint = if let Retry::After(Some(hint)) = error.retry() { hint } else { LOOK };
                    self.clock.sleep(hint.max(LOOK)).await;
                }
                answer => return answer,
            }
        }
        self.provider.launch(request).await
    }

    /// The layers refuse the launch with this kind, and the provider never hears of it.
    pub(crate) async fn refused(&self, request: &LaunchRequest, kind: ErrorKind) -> Proof {
        let watch = layers::Fault::new(self.clock.clone());
        match self.layered(watch.layer(self.bare.clone())).launch(request).await {
            Ok(launched) => ensure!(false, "not refused: {}", summary(&launched)),
            Err(error) => ensure!(error.kind() == kind, "refused, but as {error}"),
        }
        ensure!(watch.seen().is_empty(), "refused, but the provider saw {:?}", watch.seen());
        Ok(())
    }

    /// A running fleet of one owner: prepared, launched, and up.
    pub(crate) async fn running(
        &self,
        owner: &Owner,
        market: Market,
        count: u32,
    ) -> Proof<(Fleet, Vec<InstanceId>)> {
        let pools = self.pools(market, 2).await?;
        let fleet = self.prepare(self.blueprint(owner, "words", &pools), pools).await?;
        let instances = self.launch_all(&fleet.request(0, count)).await?;
        let ids = ids(&instances);
        self.until("the instances to run", &fleet.selector(), |listed| {
            ids.iter().all(|id| {
                listed.iter().any(|i| i.id == *id && i.state == skyfleet_core::InstanceState::Running)
            })
        })
        .await?;
        Ok((fleet, ids))
    }

    /// Lists until the list is as wanted, for [`PATIENCE`] at most.
    pub(crate) async fn until(
        &self,
        what: &str,
        selector: &Selector,
        wanted: impl Fn(&[Instance]) -> bool,
    ) -> Proof<Vec<Instance>> {
        let end = self.clock.now() + PATIENCE;
        loop {
            let listed = self.provider.list(selector).await?;
            if wanted(&listed) {
                return Ok(listed);
            }
            if self.clock.now() >= end {
                let states: Vec<_> =
                    listed.iter().map(|i| format!("{} {}", i.id, i.state)).take(20).collect();
                return Err(Fault::new(format!(
                    "waited {} s for {what}; the list has {} instances: {}",
                    PATIENCE.as_secs(),
                    listed.len(),
                    states.join(", ")
                )));
            }
            self.clock.sleep(LOOK).await;
        }
    }

    /// What of an owner is alive, after waiting long enough for late instances to show.
    pub(crate) async fn settled(&self, owner: &Owner) -> Result<Vec<Instance>> {
        self.clock.sleep(Duration::from_secs(90)).await;
        let mut listed = self.provider.list(&Selector::owner(owner)).await?;
        listed.retain(|instance| instance.state.is_alive());
        Ok(listed)
    }
}

/// A prepared fleet, and the pools it may launch in.
pub(crate) struct Fleet {
    pub(crate) blueprint: FleetBlueprint,
    pub(crate) pools: Vec<Offer>,
    pub(crate) prepared: Prepared,
}

impl Fleet {
    /// A launch over all its pools that takes what there is.
    pub(crate) fn request(&self, attempt: u32, count: u32) -> LaunchRequest {
        let FleetBlueprint { owner, fleet, expires, .. } = &self.blueprint;
        let first = &self.pools[0];
        LaunchRequest {
            token: Token::derive(owner, fleet, attempt),
            prepared: self.prepared.clone(),
            region: first.region.clone(),
            market: first.market,
            pools: self.pools.iter().map(|pool| PoolBid { offer: pool.id(), price_max: None }).collect(),
            count,
            count_min: 1,
            spread: Spread::default(),
            expires: *expires,
        }
    }

    pub(crate) fn selector(&self) -> Selector {
        Selector::fleet(&self.blueprint.owner, &self.blueprint.fleet)
    }
}

pub(crate) fn ids(instances: &[Instance]) -> Vec<InstanceId> {
    instances.iter().map(|instance| instance.id.clone()).collect()
}

/// What a launch gave, in a line.
pub(crate) fn summary(launched: &Launched) -> String {
    let reasons: Vec<_> =
        launched.shortfalls.iter().map(|s| format!("{} short: {}", s.count, s.reason)).collect();
    format!("obtained {}; {}", launched.instances.len(), reasons.join("; "))
}

/// FNV-1a: short names that differ from case to case and are the same in each run.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
