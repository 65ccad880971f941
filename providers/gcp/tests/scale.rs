//! A thousand instances through the official SDK, against Compute Engine's documented quotas and
//! boot times: how soon they are there, and how few calls it takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{
    Arch, CapacitySearch, Clock, Cursor, ErrorKind, FleetBlueprint, FleetLaunch, FleetName, InstanceState,
    LaunchRequest, ManualClock, Market, OfferQuery, Owner, PoolBid, PreemptionHandling, Prepared, Region,
    Selector, Spread, Teardown, Timestamp, Token, Zone,
};
use skyfleet_gcp::{GcpProvider, Settings, bearer};
use skyfleet_simcloud::fault::{Fault, Markets};
use skyfleet_simcloud::{Cloud, Server, ServerOptions};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);
const REGION: &str = "us-central1";

struct Bed {
    server: Server,
    clock: ManualClock,
    provider: GcpProvider,
    owner: Owner,
    fleet: FleetName,
}

impl Bed {
    fn new() -> Self {
        let clock = ManualClock::auto(START);
        let mut options = ServerOptions::manual(clock.clone());
        options.regions = vec![Region::from(REGION)];
        options.scenario.pools.default_capacity = Some(5_000);
        // One boot in a hundred takes five times as long: with one seed in thirty the slowest of a
        // thousand is up later than this test says.
        options.seed = 7;
        let server = Server::start(options).unwrap();
        let settings = Settings {
            project: Some("batch-474711".to_owned()),
            endpoint_url: Some(server.urls().gcp.clone()),
            ..Settings::default()
        };
        let provider = GcpProvider::new(bearer("ya29.scale").unwrap(), settings, Arc::new(clock.clone()));
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("crowd").unwrap());
        Self { server, clock, provider, owner, fleet }
    }

    async fn prepared(&self) -> Prepared {
        let blueprint = FleetBlueprint {
            archs: vec![Arch::X86_64],
            ..FleetBlueprint::new(&self.owner, &self.fleet, Region::from(REGION))
        };
        self.provider.prepare(&blueprint).await.unwrap()
    }

    async fn pools(&self, types: &[&str], market: Market) -> Vec<PoolBid> {
        let query = OfferQuery {
            regions: vec![REGION.into()],
            instance_types: types.iter().map(|name| (*name).into()).collect(),
            markets: vec![market],
            ..OfferQuery::default()
        };
        let offers = self.provider.offers(&query).await.unwrap();
        offers.iter().map(|offer| PoolBid { offer: offer.id(), price_max: None }).collect()
    }

    fn request(&self, prepared: &Prepared, pools: Vec<PoolBid>, count: u32) -> LaunchRequest {
        LaunchRequest {
            token: Token::derive(&self.owner, &self.fleet, 0),
            prepared: prepared.clone(),
            region: REGION.into(),
            market: pools[0].offer.market,
            pools,
            count,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    /// How often Compute Engine was called, by method.
    fn calls(&self) -> BTreeMap<String, u64> {
        let calls = self.server.world(Cloud::Gcp).calls();
        calls.into_iter().map(|(method, count)| (method, count.calls)).collect()
    }

    /// What was called since, without the looks at operations.
    fn since(&self, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let more = |(method, count): (String, u64)| {
            let more = count - before.get(&method).copied().unwrap_or(0);
            (more > 0 && !method.ends_with("Operations.get")).then_some((method, more))
        };
        self.calls().into_iter().filter_map(more).collect()
    }

    fn close(&self, zone: &Zone, name: &str, room: u32) {
        let fault = Fault::Capacity {
            cloud: None,
            zone: zone.clone(),
            instance_type: Some(name.into()),
            market: Markets::All,
            available: Some(room),
        };
        self.server.world(Cloud::Gcp).inject(fault).unwrap();
    }

    async fn end(&self) {
        let watched = Selector::fleet(&self.owner, &self.fleet);
        let ids: Vec<_> = self.provider.list(&watched).await.unwrap().into_iter().map(|i| i.id).collect();
        self.provider.terminate(&ids).await.unwrap();
        self.clock.sleep(Duration::from_secs(180)).await;
        let inventory = self.provider.inventory(&self.owner).await.unwrap();
        assert!(inventory.proves_empty(), "{inventory:?}");
        let ledger = self.server.world(Cloud::Gcp).ledger();
        assert!(ledger.proves_empty(), "{:?} {:?}", ledger.live, ledger.blocking);
    }
}

fn sum(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

#[tokio::test]
async fn a_thousand_instances_are_ready_in_90_seconds_and_gone_in_a_call_each() {
    let bed = Bed::new();
    let pools = bed.pools(&["n2-standard-2", "n2d-standard-2", "e2-standard-2"], Market::Spot).await;
    assert!(pools.len() >= 9, "three types in three zones: {pools:?}");
    let prepared = bed.prepared().await;
    let (before, begun) = (bed.calls(), bed.clock.now());

    let launched = bed.provider.launch(&bed.request(&prepared, pools, 1_000)).await.unwrap();
    assert_eq!((launched.instances.len(), launched.shortfalls.len()), (1_000, 0));
    let up = bed.since(&before);
    assert!(sum(&up) <= 3, "one bulk insert and two pages of a list: {up:?}");

    // Waiting costs no calls: one look when the last one should be up.
    let spent = Duration::try_from(bed.clock.now().duration_since(begun)).unwrap();
    bed.clock.sleep(Duration::from_secs(90).saturating_sub(spent)).await;
    let took = bed.clock.now().duration_since(begun).as_secs();
    let (before, watched) = (bed.calls(), Selector::fleet(&bed.owner, &bed.fleet));
    let list = bed.provider.list(&watched).await.unwrap();
    let running = list.iter().filter(|instance| instance.state == InstanceState::Running).count();
    assert!(took <= 90, "{took} s");
    assert_eq!((list.len(), running), (1_000, 1_000), "after {took} s");
    assert!(sum(&bed.since(&before)) <= 2, "{:?}", bed.since(&before));

    // A look for preemptions: who is there, and once in a while why others are not.
    let start = bed.provider.preemptions(&watched, &Cursor::start()).await.unwrap();
    assert!(start.preemptions.is_empty(), "{start:?}");
    let before = bed.calls();
    let quiet = bed.provider.preemptions(&watched, &start.next).await.unwrap();
    assert!(quiet.preemptions.is_empty(), "{quiet:?}");
    assert!(sum(&bed.since(&before)) <= 2, "{:?}", bed.since(&before));

    let (before, begun) = (bed.calls(), bed.clock.now());
    let ids: Vec<_> = list.into_iter().map(|instance| instance.id).collect();
    assert_eq!(bed.provider.terminate(&ids).await.unwrap().ending.len(), 1_000);
    let took = bed.clock.now().duration_since(begun).as_secs();
    assert!(took <= 60, "within the quota of a minute: {took} s");
    bed.clock.sleep(Duration::from_secs(120)).await;
    assert!(bed.provider.inventory(&bed.owner).await.unwrap().proves_empty());
    let down = bed.since(&before);
    assert!(sum(&down) <= 1_004, "a call each, and four lists: {down:?}");
    bed.end().await;
}

#[tokio::test]
async fn more_deletions_than_the_quota_of_a_minute_wait_for_the_next_one() {
    let bed = Bed::new();
    let pools = bed.pools(&["e2-standard-2"], Market::OnDemand).await;
    let prepared = bed.prepared().await;
    for attempt in 0..2 {
        let token = Token::derive(&bed.owner, &bed.fleet, attempt);
        let request = LaunchRequest { token, ..bed.request(&prepared, pools.clone(), 1_000) };
        assert_eq!(bed.provider.launch(&request).await.unwrap().instances.len(), 1_000);
    }
    bed.clock.sleep(Duration::from_secs(120)).await;
    let watched = Selector::fleet(&bed.owner, &bed.fleet);
    let ids: Vec<_> = bed.provider.list(&watched).await.unwrap().into_iter().map(|i| i.id).collect();
    let begun = bed.clock.now();
    let receipt = bed.provider.terminate(&ids).await.unwrap();
    assert_eq!((receipt.ending.len(), receipt.gone.len()), (2_000, 0));
    let took = bed.clock.now().duration_since(begun).as_secs();
    assert!((1..=180).contains(&took), "1,500 in a minute: {took} s");
    bed.end().await;
}

/// A zone's stock of H100s is a handful: what it has is kept, and the next zone gives the rest.
#[tokio::test]
async fn a_zone_with_a_part_of_the_h100s_is_helped_by_the_next_one() {
    let bed = Bed::new();
    let name = "a3-highgpu-8g";
    let pools = bed.pools(&[name], Market::OnDemand).await;
    assert!(pools.len() >= 2, "{pools:?}");
    let prepared = bed.prepared().await;
    let zones: Vec<Zone> = pools.iter().map(|bid| bid.offer.zone.clone()).collect();
    bed.close(&zones[0], name, 3);
    bed.close(&zones[1], name, 4);
    let request = LaunchRequest { spread: Spread::Packed, ..bed.request(&prepared, pools, 5) };
    let launched = bed.provider.launch(&request).await.unwrap();
    assert_eq!((launched.instances.len(), launched.shortfalls.len()), (5, 0), "{:?}", launched.shortfalls);
    let mut places: BTreeMap<&Zone, usize> = BTreeMap::new();
    launched.instances.iter().for_each(|instance| *places.entry(&instance.offer.zone).or_default() += 1);
    assert_eq!(places.len(), 2, "{places:?}");

    // Two are left in both zones together.
    let token = Token::derive(&bed.owner, &bed.fleet, 1);
    let launched = bed.provider.launch(&LaunchRequest { token, ..request }).await.unwrap();
    assert_eq!(launched.instances.len(), 2);
    let short: u32 = launched.shortfalls.iter().map(|shortfall| shortfall.count).sum();
    assert_eq!(short, 3, "{:?}", launched.shortfalls);
    for shortfall in &launched.shortfalls {
        assert_eq!(shortfall.reason.kind(), ErrorKind::NoCapacity, "{}", shortfall.reason);
    }
    bed.end().await;
}
