//! A thousand instances through azure_mgmt_compute and plain Resource Manager, against Azure's
//! documented limits and boot times: how soon they are there, and how few calls it takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_azure::{AzureProvider, Settings, client_secret};
use skyfleet_core::{
    Arch, CapacitySearch, Clock, Cursor, FleetBlueprint, FleetLaunch, FleetName, InstanceState,
    LaunchRequest, ManualClock, Market, OfferQuery, Owner, PoolBid, PreemptionHandling, Prepared, Region,
    Selector, Spread, Teardown, Timestamp, Token,
};
use skyfleet_simcloud::{Cloud, Server, ServerOptions};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);
const REGION: &str = "eastus";

struct Bed {
    server: Server,
    clock: ManualClock,
    provider: AzureProvider,
    owner: Owner,
    fleet: FleetName,
}

impl Bed {
    fn new() -> Self {
        let clock = ManualClock::auto(START);
        let mut options = ServerOptions::manual(clock.clone());
        options.regions = vec![Region::from(REGION)];
        options.scenario.pools.default_capacity = Some(5_000);
        options.seed = 7;
        let server = Server::start(options).unwrap();
        let url = &server.urls().azure;
        let settings = Settings {
            subscription_id: Some("00000000-0000-4000-8000-000000000001".to_owned()),
            endpoint_url: Some(url.clone()),
            ..Settings::default()
        };
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let credential = client_secret("tenant", "client", "scale", Some(url), time.clone()).unwrap();
        let provider = AzureProvider::new(credential, settings, time);
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

    /// How often Azure was called, by method.
    fn calls(&self) -> BTreeMap<String, u64> {
        let calls = self.server.world(Cloud::Azure).calls();
        calls.into_iter().map(|(method, count)| (method, count.calls)).collect()
    }

    /// What was called since, without the looks at operations.
    fn since(&self, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let more = |(method, count): (String, u64)| {
            let more = count - before.get(&method).copied().unwrap_or(0);
            (more > 0 && method != "operations.GET").then_some((method, more))
        };
        self.calls().into_iter().filter_map(more).collect()
    }
}

fn sum(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

#[tokio::test]
async fn a_thousand_instances_are_ready_in_150_seconds_by_one_request_and_gone_by_one() {
    let bed = Bed::new();
    let sizes = ["Standard_D2s_v5", "Standard_D2as_v5", "Standard_D2ds_v5"];
    let pools = bed.pools(&sizes, Market::Spot).await;
    assert_eq!(pools.len(), 9, "three sizes in three zones: {pools:?}");
    let prepared = bed.prepared().await;
    let (before, begun) = (bed.calls(), bed.clock.now());

    let launched = bed.provider.launch(&bed.request(&prepared, pools, 1_000)).await.unwrap();
    assert_eq!(
        (launched.instances.len(), launched.shortfalls.len()),
        (1_000, 0),
        "{:?}",
        launched.shortfalls
    );
    let up = bed.since(&before);
    assert_eq!(up.get("fleets.PUT"), Some(&1), "{up:?}");
    assert!(sum(&up) <= 3, "the request, its machines, and all machines: {up:?}");

    // Waiting costs no calls: one look when the last one should be up.
    let spent = Duration::try_from(bed.clock.now().duration_since(begun)).unwrap();
    bed.clock.sleep(Duration::from_secs(150).saturating_sub(spent)).await;
    let took = bed.clock.now().duration_since(begun).as_secs();
    let (before, watched) = (bed.calls(), Selector::fleet(&bed.owner, &bed.fleet));
    let list = bed.provider.list(&watched).await.unwrap();
    let running = list.iter().filter(|instance| instance.state == InstanceState::Running).count();
    assert!(took <= 150, "{took} s");
    assert_eq!((list.len(), running), (1_000, 1_000), "after {took} s");
    assert!(list.iter().all(|instance| instance.private_ip.is_some() && instance.public_ip.is_none()));
    assert!(sum(&bed.since(&before)) <= 3, "{:?}", bed.since(&before));

    // A look for preemptions reads what Azure noted of the group in the last hour, two hundred entries
    // to a page: that a thousand machines came is among it.
    let before = bed.calls();
    let start = bed.provider.preemptions(&watched, &Cursor::start()).await.unwrap();
    assert!(start.preemptions.is_empty(), "{start:?}");
    assert!(sum(&bed.since(&before)) <= 6, "{:?}", bed.since(&before));
    bed.clock.sleep(Duration::from_secs(3_700)).await;
    let later = bed.provider.preemptions(&watched, &start.next).await.unwrap();
    let before = bed.calls();
    let quiet = bed.provider.preemptions(&watched, &later.next).await.unwrap();
    assert!(quiet.preemptions.is_empty(), "{quiet:?}");
    assert_eq!(bed.since(&before), [("activityLogs.LIST".to_owned(), 1)].into());

    // Everything in the group is ours: it goes as a whole.
    let inventory = bed.provider.inventory(&bed.owner).await.unwrap();
    let before = bed.calls();
    let receipt = bed.provider.delete(&inventory.resources).await.unwrap();
    assert!(receipt.pending.is_empty(), "{:?}", receipt.pending);
    let down = bed.since(&before);
    assert_eq!(down.get("resourceGroups.DELETE"), Some(&1), "{down:?}");
    // What is in the group is looked at before, a thousand things to a page.
    assert!(sum(&down) <= 7, "{down:?}");
    assert!(bed.provider.inventory(&bed.owner).await.unwrap().proves_empty());
    let ledger = bed.server.world(Cloud::Azure).ledger();
    assert!(ledger.proves_empty(), "{:?} {:?}", ledger.live, ledger.blocking);
}

#[tokio::test]
async fn a_thousand_instances_are_ended_by_the_hundred() {
    let bed = Bed::new();
    let pools = bed.pools(&["Standard_D2s_v5"], Market::OnDemand).await;
    let prepared = bed.prepared().await;
    let launched = bed.provider.launch(&bed.request(&prepared, pools, 1_000)).await.unwrap();
    let ids: Vec<_> = launched.instances.into_iter().map(|instance| instance.id).collect();
    let (before, begun) = (bed.calls(), bed.clock.now());
    let receipt = bed.provider.terminate(&ids).await.unwrap();
    assert_eq!((receipt.ending.len(), receipt.gone.len()), (1_000, 0));
    let down = bed.since(&before);
    assert_eq!(down, [("virtualMachinesExecuteDelete.POST".to_owned(), 10)].into());
    let took = bed.clock.now().duration_since(begun).as_secs();
    assert!(took <= 60, "{took} s");
    bed.clock.sleep(Duration::from_secs(300)).await;
    assert!(bed.provider.list(&Selector::fleet(&bed.owner, &bed.fleet)).await.unwrap().is_empty());
    let left = bed.provider.inventory(&bed.owner).await.unwrap();
    let receipt = bed.provider.delete(&left.resources).await.unwrap();
    assert!(receipt.pending.is_empty(), "{:?}", receipt.pending);
    let ledger = bed.server.world(Cloud::Azure).ledger();
    assert!(ledger.proves_empty(), "{:?} {:?}", ledger.live, ledger.blocking);
}
