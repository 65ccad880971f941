//! A thousand instances through the official SDK, against EC2's documented limits and boot times:
//! how soon they are there, and how few calls it takes.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use skyfleet_aws::{AwsProvider, Settings};
use skyfleet_core::{
    Arch, CapacitySearch, Clock, Cursor, FleetBlueprint, FleetLaunch, FleetName, InstanceState,
    LaunchRequest, ManualClock, Market, OfferQuery, Owner, PoolBid, PreemptionHandling, Region, Selector,
    Spread, Teardown, Timestamp, Token,
};
use skyfleet_simcloud::{Cloud, Server, ServerOptions};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);
const REGION: &str = "us-east-1";

struct Bed {
    server: Server,
    clock: ManualClock,
    provider: AwsProvider,
    owner: Owner,
    fleet: FleetName,
}

impl Bed {
    fn new() -> Self {
        let clock = ManualClock::auto(START);
        let mut options = ServerOptions::manual(clock.clone());
        options.scenario.pools.default_capacity = Some(5_000);
        // One boot in a hundred takes five times as long: with one seed in thirty the slowest of a
        // thousand is up later than this test says.
        options.seed = 7;
        let server = Server::start(options).unwrap();
        let keys = Credentials::new("AKIAEXAMPLE", "example", None, None, "test");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_config::Region::new(REGION))
            .endpoint_url(&server.urls().aws)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build();
        let settings = Settings { regions: vec![Region::from(REGION)], ..Settings::default() };
        let provider = AwsProvider::new(sdk, settings, Arc::new(clock.clone()));
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("crowd").unwrap());
        Self { server, clock, provider, owner, fleet }
    }

    fn blueprint(&self) -> FleetBlueprint {
        FleetBlueprint { archs: vec![Arch::Arm64], ..FleetBlueprint::new(&self.owner, &self.fleet, REGION) }
    }

    async fn pools(&self) -> Vec<PoolBid> {
        let query = OfferQuery {
            regions: vec![REGION.into()],
            instance_types: ["m6g.large", "m7g.large", "m8g.large"].map(Into::into).to_vec(),
            markets: vec![Market::Spot],
            ..OfferQuery::default()
        };
        let offers = self.provider.offers(&query).await.unwrap();
        assert!(offers.len() >= 9, "three types in three zones: {offers:?}");
        offers.iter().map(|offer| PoolBid { offer: offer.id(), price_max: None }).collect()
    }

    /// How often EC2 was called, and by which actions.
    fn calls(&self) -> (u64, String) {
        let calls = self.server.world(Cloud::Aws).calls();
        let told: Vec<String> = calls.iter().map(|(action, n)| format!("{action} {}", n.calls)).collect();
        (calls.values().map(|count| count.calls).sum(), told.join(", "))
    }

    fn is_empty(&self) {
        let ledger = self.server.world(Cloud::Aws).ledger();
        assert!(ledger.proves_empty(), "{:?} {:?}", ledger.live, ledger.blocking);
    }
}

#[tokio::test]
async fn a_thousand_instances_are_ready_in_90_seconds_and_gone_in_ten_calls() {
    let bed = Bed::new();
    let pools = bed.pools().await;
    let (before, _) = bed.calls();
    let begun = bed.clock.now();

    let prepared = bed.provider.prepare(&bed.blueprint()).await.unwrap();
    let request = LaunchRequest {
        token: Token::derive(&bed.owner, &bed.fleet, 0),
        prepared,
        region: REGION.into(),
        market: Market::Spot,
        pools,
        count: 1_000,
        count_min: 1,
        spread: Spread::Even,
        expires: None,
    };
    let launched = bed.provider.launch(&request).await.unwrap();
    assert_eq!((launched.instances.len(), launched.shortfalls.len()), (1_000, 0));

    // Waiting costs no calls: one look when the last one should be up.
    let spent = Duration::try_from(bed.clock.now().duration_since(begun)).unwrap();
    bed.clock.sleep(Duration::from_secs(90).saturating_sub(spent)).await;
    let took = bed.clock.now().duration_since(begun).as_secs();
    let list = bed.provider.list(&Selector::fleet(&bed.owner, &bed.fleet)).await.unwrap();
    let running = list.iter().filter(|instance| instance.state == InstanceState::Running).count();
    assert_eq!((list.len(), running), (1_000, 1_000), "after {took} s");

    let ids: Vec<_> = list.into_iter().map(|instance| instance.id).collect();
    assert_eq!(bed.provider.terminate(&ids).await.unwrap().ending.len(), 1_000);
    bed.clock.sleep(Duration::from_secs(120)).await;
    let receipt = bed.provider.delete(&request.prepared.resources).await.unwrap();
    assert!(receipt.pending.is_empty(), "{:?}", receipt.pending);
    assert!(bed.provider.inventory(&bed.owner).await.unwrap().proves_empty());

    let (after, told) = bed.calls();
    assert!(after - before <= 10, "{} calls, with those of the search: {told}", after - before);
    bed.is_empty();
}

#[tokio::test]
async fn a_thousand_and_first_instance_waits_for_the_bucket() {
    let bed = Bed::new();
    let pools = bed.pools().await;
    let prepared = bed.provider.prepare(&bed.blueprint()).await.unwrap();
    let request = |attempt, count| LaunchRequest {
        token: Token::derive(&bed.owner, &bed.fleet, attempt),
        prepared: prepared.clone(),
        region: REGION.into(),
        market: Market::Spot,
        pools: pools.clone(),
        count,
        count_min: 1,
        spread: Spread::Even,
        expires: None,
    };
    assert_eq!(bed.provider.launch(&request(0, 1_000)).await.unwrap().instances.len(), 1_000);
    let throttled = bed.provider.launch(&request(1, 100)).await.unwrap_err();
    assert_eq!(throttled.kind(), skyfleet_core::ErrorKind::RateLimited, "{throttled}");
    // Two a second come back.
    bed.clock.sleep(Duration::from_secs(50)).await;
    assert_eq!(bed.provider.launch(&request(1, 100)).await.unwrap().instances.len(), 100);

    // EC2 shows a new instance within some seconds.
    bed.clock.sleep(Duration::from_secs(5)).await;
    let watched = Selector::fleet(&bed.owner, &bed.fleet);
    let (before, _) = bed.calls();
    let page = bed.provider.preemptions(&watched, &Cursor::start()).await.unwrap();
    assert!(page.preemptions.is_empty(), "{page:?}");
    let (after, told) = bed.calls();
    assert!(after - before <= 2, "one poll of 1,100 instances is two pages: {told}");

    let ids: Vec<_> = bed.provider.list(&watched).await.unwrap().into_iter().map(|i| i.id).collect();
    bed.provider.terminate(&ids).await.unwrap();
    bed.clock.sleep(Duration::from_secs(180)).await;
    let inventory = bed.provider.inventory(&bed.owner).await.unwrap();
    let receipt = bed.provider.delete(&inventory.resources).await.unwrap();
    assert!(receipt.pending.is_empty(), "{:?}", receipt.pending);
    bed.is_empty();
}
