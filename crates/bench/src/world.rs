//! The life of many instances in a simulated world: launched, all running, given back, proven gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{
    Arch, Clock, Cursor, Error, ErrorKind, FleetBlueprint, FleetName, InstanceState, LaunchRequest,
    ManualClock, Market, OfferQuery, Owner, PoolBid, Provider, Region, ResourceKind, Result, Selector,
    Spread, Timestamp, Token, layers,
};
use skyfleet_sim::SimProvider;
use skyfleet_simcloud::scenario::{PoolSettings, Scenario};
use skyfleet_simcloud::{Cloud, Fault, World, WorldOptions};

use crate::usage;

const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// What it took.
#[derive(Clone, Debug)]
pub struct Life {
    /// How many instances were launched.
    pub launched: usize,
    /// How many of them the market took back meanwhile.
    pub preempted: usize,
    /// What each stage took, in order: world, launch, running, teardown.
    pub stages: Vec<Stage>,
}

/// What one stage took.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// CPU time of this machine.
    pub cpu: Duration,
    /// Time in the simulated world.
    pub simulated: Duration,
}

/// Lives through the life of `count` spot instances of a cloud, in-process and in virtual time,
/// by the same calls that the facade makes and through the same layers.
///
/// # Errors
/// Any error of the provider, and `Unexpected` when fewer instances are launched than asked for or
/// the ledger does not end empty: then there is no figure.
pub async fn live(cloud: Cloud, count: u32) -> Result<Life> {
    let clock = Arc::new(ManualClock::auto(START));
    let mut stages = Stages::new(clock.clone());
    let world = ample_world(cloud, clock.clone())?;
    let bare: Arc<dyn Provider> = Arc::new(SimProvider::new(world.clone()));
    let provider = layers::standard(bare, clock.clone(), &layers::Limit::new(clock.clone()), 1);
    stages.end();

    let (owner, fleet) = (Owner::parse("bench")?, FleetName::parse("fleet")?);
    let pools = spot_pools(&*provider).await?;
    let blueprint = blueprint(&owner, &fleet, pools.keys().cloned().collect());
    let prepared = provider.prepare(&blueprint).await?;
    let lot_max = provider.capability().launch_max;
    let (mut left, mut attempt, mut launched) = (count, 0, Vec::new());
    for (region, pools) in pools.iter().cycle() {
        if left == 0 {
            break;
        }
        let request = LaunchRequest {
            token: Token::derive(&owner, &fleet, attempt),
            prepared: prepared.clone(),
            region: region.clone(),
            market: Market::Spot,
            pools: pools.clone(),
            count: left.min(lot_max),
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        };
        let answer = provider.launch(&request).await?;
        if let Some(shortfall) = answer.shortfalls.into_iter().next() {
            return Err(shortfall.reason);
        }
        left -= request.count;
        attempt += 1;
        launched.extend(answer.instances.into_iter().map(|instance| instance.id));
    }
    check(launched.len() == count as usize, || format!("{} of {count} launched", launched.len()))?;
    stages.end();

    let selector = Selector::fleet(&owner, &fleet);
    loop {
        clock.sleep(Duration::from_secs(15)).await;
        let listed = provider.list(&selector).await?;
        if listed.iter().all(|instance| instance.state != InstanceState::Pending) {
            break;
        }
    }
    let page = provider.preemptions(&selector, &Cursor::start()).await?;
    stages.end();

    provider.terminate(&launched).await?;
    loop {
        let inventory = provider.inventory(&owner).await?;
        if inventory.proves_empty() {
            break;
        }
        let other = |kind: ResourceKind| kind != ResourceKind::Instance;
        let rest: Vec<_> = inventory.resources.into_iter().filter(|r| other(r.kind)).collect();
        provider.delete(&rest).await?;
        clock.sleep(Duration::from_secs(15)).await;
    }
    stages.end();

    let ledger = world.ledger();
    check(ledger.live.is_empty() && ledger.blocking.is_empty(), || "the ledger is not empty".to_owned())?;
    Ok(Life { launched: launched.len(), preempted: page.preemptions.len(), stages: stages.ended })
}

/// A world whose pools and quotas hold whatever is asked for: room is not what is measured.
fn ample_world(cloud: Cloud, clock: Arc<ManualClock>) -> Result<World> {
    let pools = PoolSettings { default_capacity: Some(1_000_000), ..PoolSettings::default() };
    let mut options = WorldOptions::new(clock).playing(cloud);
    options.scenario = Scenario { pools, ..Scenario::default() };
    let world = World::new(options)?;
    let quotas: Vec<String> =
        world.look(|kernel| kernel.catalog().quotas().keys().map(|id| id.as_str().to_owned()).collect());
    for quota in quotas {
        let Some((region, name)) = quota.split_once('/') else { continue };
        world.inject(Fault::Quota {
            cloud: None,
            region: region.into(),
            name: name.to_owned(),
            limit: Some(u32::MAX),
        })?;
    }
    Ok(world)
}

/// Up to ten spot pools of each region.
async fn spot_pools(provider: &dyn Provider) -> Result<BTreeMap<Region, Vec<PoolBid>>> {
    let query = OfferQuery { markets: vec![Market::Spot], ..OfferQuery::default() };
    let mut pools: BTreeMap<Region, Vec<PoolBid>> = BTreeMap::new();
    for offer in provider.offers(&query).await? {
        let pools = pools.entry(offer.region.clone()).or_default();
        if pools.len() < 10 {
            pools.push(PoolBid { offer: offer.id(), price_max: None });
        }
    }
    Ok(pools)
}

fn blueprint(owner: &Owner, fleet: &FleetName, regions: Vec<Region>) -> FleetBlueprint {
    FleetBlueprint {
        owner: owner.clone(),
        fleet: fleet.clone(),
        regions,
        archs: vec![Arch::X86_64, Arch::Arm64],
        image: "debian-12".to_owned(),
        user_data: "".into(),
        disk_gib: 10,
        public_ip: false,
        inbound_ports: Vec::new(),
        labels: BTreeMap::new(),
        expires: None,
    }
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(ErrorKind::Unexpected, message())) }
}

struct Stages {
    clock: Arc<ManualClock>,
    last: (Duration, Timestamp),
    ended: Vec<Stage>,
}

impl Stages {
    fn new(clock: Arc<ManualClock>) -> Self {
        Self { last: (usage::cpu(), clock.now()), clock, ended: Vec::new() }
    }

    fn end(&mut self) {
        let (cpu, now) = (usage::cpu(), self.clock.now());
        let simulated = Duration::try_from(now.duration_since(self.last.1)).unwrap_or_default();
        self.ended.push(Stage { cpu: cpu.saturating_sub(self.last.0), simulated });
        self.last = (cpu, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_small_life_ends_with_an_empty_ledger_on_every_cloud() {
        for cloud in Cloud::ALL {
            let life = live(cloud, 50).await.unwrap();
            assert_eq!(life.launched, 50, "{cloud}");
            let simulated: Duration = life.stages.iter().map(|stage| stage.simulated).sum();
            assert!(simulated > Duration::from_secs(15), "{cloud}: {life:?}");
        }
    }
}
