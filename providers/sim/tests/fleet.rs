//! The whole life of a fleet on each simulated cloud, and what the ledger says in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{
    Arch, CapacitySearch, Clock, Cursor, ErrorKind, FleetBlueprint, FleetLaunch, FleetName, Instance,
    InstanceState, LaunchRequest, Launched, ManualClock, Market, Offer, OfferQuery, Owner, PoolBid,
    PreemptionHandling, PreemptionKind, Prepared, Provider, Selector, Spread, Teardown, Timestamp, Token,
};
use skyfleet_sim::{Cloud, SimProvider, World, WorldOptions};
use skyfleet_simcloud::Fault;

struct Bed {
    provider: SimProvider,
    clock: ManualClock,
    owner: Owner,
    fleet: FleetName,
}

fn bed(cloud: Cloud) -> Bed {
    let clock = ManualClock::auto(Timestamp::constant(1_767_225_600, 0));
    let options = WorldOptions::new(Arc::new(clock.clone())).playing(cloud);
    Bed {
        provider: SimProvider::new(World::new(options).unwrap()),
        clock,
        owner: Owner::parse("ada").unwrap(),
        fleet: FleetName::parse("words").unwrap(),
    }
}

impl Bed {
    fn fault(&self, json: &str) {
        let fault: Fault = serde_json::from_str(json).unwrap();
        self.provider.world().inject(fault).unwrap();
    }

    async fn pools(&self, market: Market) -> Vec<Offer> {
        let query = OfferQuery { markets: vec![market], ..OfferQuery::default() };
        let mut offers = self.provider.offers(&query).await.unwrap();
        offers.sort_by_key(|offer| (offer.instance_type.vcpus, offer.id()));
        // The smallest type of the first region, in each of its zones.
        let first = offers[0].clone();
        offers.retain(|o| o.region == first.region && o.instance_type.name == first.instance_type.name);
        offers
    }

    async fn prepared(&self, offer: &Offer) -> Prepared {
        self.provider.prepare(&self.blueprint(offer)).await.unwrap()
    }

    fn blueprint(&self, offer: &Offer) -> FleetBlueprint {
        FleetBlueprint {
            owner: self.owner.clone(),
            fleet: self.fleet.clone(),
            regions: vec![offer.region.clone()],
            archs: vec![Arch::X86_64],
            image: "ubuntu-24.04".into(),
            user_data: "#!/bin/sh\ntrue\n".into(),
            disk_gib: 10,
            public_ip: true,
            inbound_ports: vec![22],
            labels: BTreeMap::from([("team".into(), "blue".into())]),
            expires: None,
        }
    }

    async fn request(&self, market: Market, count: u32) -> LaunchRequest {
        let pools = self.pools(market).await;
        LaunchRequest {
            token: Token::derive(&self.owner, &self.fleet, 0),
            prepared: self.prepared(&pools[0]).await,
            region: pools[0].region.clone(),
            market,
            pools: pools.iter().map(|offer| PoolBid { offer: offer.id(), price_max: None }).collect(),
            count,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    async fn launch(&self, count: u32) -> Launched {
        self.provider.launch(&self.request(Market::Spot, count).await).await.unwrap()
    }

    async fn sleep(&self, secs: u64) {
        self.clock.sleep(Duration::from_secs(secs)).await;
    }

    async fn list(&self) -> Vec<Instance> {
        self.provider.list(&Selector::fleet(&self.owner, &self.fleet)).await.unwrap()
    }

    /// Gives everything back, and insists on the proof.
    async fn tear_down(&self) {
        for _ in 0..50 {
            let inventory = self.provider.inventory(&self.owner).await.unwrap();
            if inventory.proves_empty() {
                let ledger = self.provider.world().ledger();
                assert!(ledger.proves_empty(), "{ledger:#?}");
                return;
            }
            self.provider.delete(&inventory.resources).await.unwrap();
            self.sleep(15).await;
        }
        panic!("still there: {:#?}", self.provider.inventory(&self.owner).await.unwrap());
    }
}

async fn on_each_cloud<F: Future<Output = ()>>(test: impl Fn(Bed) -> F) {
    for cloud in Cloud::ALL {
        test(bed(cloud)).await;
    }
}

#[tokio::test]
async fn a_fleet_lives_and_leaves_nothing() {
    on_each_cloud(async |bed: Bed| {
        let launched = bed.launch(5).await;
        assert_eq!(launched.instances.len(), 5, "{:?}", launched.shortfalls);
        bed.sleep(300).await;
        let list = bed.list().await;
        assert_eq!(list.len(), 5);
        assert!(list.iter().all(|i| i.state == InstanceState::Running && i.private_ip.is_some()));
        let ledger = bed.provider.world().ledger();
        assert_eq!(ledger.live.len(), 15, "machine, disk and address each");
        assert!(ledger.accrued_usd.micros() > 0);
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_buys_nothing_twice() {
    on_each_cloud(async |bed: Bed| {
        let request = bed.request(Market::Spot, 3).await;
        let action = bed.provider.world().look(|kernel| kernel.rules().actions.launch);
        bed.fault(&format!(r#"{{"kind":"error","action":"{action}","probability":1,"when":"after"}}"#));
        let error = bed.provider.launch(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let world = bed.provider.world();
        let ids: Vec<_> = world.look(|kernel| kernel.faults().map(|(id, _)| id).collect());
        assert!(ids.into_iter().all(|id| world.lift(id)));
        let found = bed.provider.launch(&request).await.unwrap();
        assert_eq!(found.instances.len(), 3);
        bed.sleep(60).await;
        assert_eq!(bed.list().await.len(), 3);
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_is_bound_to_its_request_and_to_its_instances() {
    on_each_cloud(async |bed: Bed| {
        let request = bed.request(Market::OnDemand, 2).await;
        let first = bed.provider.launch(&request).await.unwrap();
        let other = LaunchRequest { count: 3, ..request.clone() };
        assert_eq!(bed.provider.launch(&other).await.unwrap_err().kind(), ErrorKind::Conflict);
        let ids: Vec<_> = first.instances.iter().map(|i| i.id.clone()).collect();
        bed.provider.terminate(&ids).await.unwrap();
        assert_eq!(bed.provider.launch(&request).await.unwrap_err().kind(), ErrorKind::Conflict);
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_pool_is_a_shortfall_that_adds_up() {
    on_each_cloud(async |bed: Bed| {
        let request = bed.request(Market::Spot, 6).await;
        for (pool, room) in request.pools.iter().zip([1, 0, 2, 0, 0, 0]) {
            let (zone, name) = (&pool.offer.zone, &pool.offer.instance_type);
            bed.fault(&format!(
                r#"{{"kind":"capacity","zone":"{zone}","instance_type":"{name}","available":{room}}}"#
            ));
        }
        let launched = bed.provider.launch(&request).await.unwrap();
        let missing: u32 = launched.shortfalls.iter().map(|s| s.count).sum();
        assert_eq!(launched.instances.len() as u32 + missing, 6, "{launched:?}");
        assert!(missing > 0);
        for shortfall in &launched.shortfalls {
            assert_eq!(shortfall.reason.kind(), ErrorKind::NoCapacity);
            assert!(shortfall.reason.scope().is_some() && shortfall.reason.fact("code").is_some());
        }
        let all = LaunchRequest { token: Token::derive(&bed.owner, &bed.fleet, 1), count_min: 6, ..request };
        let none = bed.provider.launch(&all).await.unwrap();
        assert!(none.instances.is_empty());
        assert_eq!(none.shortfalls.iter().map(|s| s.count).sum::<u32>(), 6);
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn a_full_quota_is_told_apart_from_an_empty_pool() {
    on_each_cloud(async |bed: Bed| {
        let request = bed.request(Market::Spot, 5).await;
        let offer = bed.pools(Market::Spot).await.remove(0);
        let quota = offer.quotas.first().expect("a spot offer draws on a quota").quota.to_string();
        let (region, name) = quota.split_once('/').unwrap();
        let limit = offer.instance_type.vcpus * 2;
        bed.fault(&format!(r#"{{"kind":"quota","region":"{region}","name":"{name}","limit":{limit}}}"#));
        let launched = bed.provider.launch(&request).await.unwrap();
        assert_eq!(launched.instances.len(), 2);
        assert_eq!(launched.shortfalls[0].reason.kind(), ErrorKind::QuotaExceeded);
        assert_eq!(launched.shortfalls.iter().map(|s| s.count).sum::<u32>(), 3);
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn a_preemption_is_told_once_and_in_order() {
    on_each_cloud(async |bed: Bed| {
        let launched = bed.launch(3).await;
        bed.sleep(400).await;
        let victim = launched.instances[1].id.clone();
        bed.fault(&format!(r#"{{"kind":"preempt","instance_id":"{victim}"}}"#));
        let selector = Selector::fleet(&bed.owner, &bed.fleet);
        let mut cursor = Cursor::start();
        let mut told = Vec::new();
        for _ in 0..30 {
            let page = bed.provider.preemptions(&selector, &cursor).await.unwrap();
            told.extend(page.preemptions);
            cursor = page.next;
            bed.sleep(10).await;
        }
        let kinds: Vec<_> = told.iter().filter(|p| p.instance == victim).map(|p| p.kind).collect();
        match bed.provider.capability().notice {
            Some(_) => assert_eq!(kinds, [PreemptionKind::Notice, PreemptionKind::Reclaimed]),
            None => assert_eq!(kinds, [PreemptionKind::Reclaimed]),
        }
        assert!(bed.list().await.iter().all(|i| i.id != victim || !i.state.is_alive()));
        let again = bed.provider.preemptions(&selector, &Cursor::start()).await.unwrap();
        assert_eq!(again.preemptions, told);
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_its_user_ended_is_no_preemption() {
    on_each_cloud(async |bed: Bed| {
        let launched = bed.launch(2).await;
        let ids: Vec<_> = launched.instances.iter().map(|i| i.id.clone()).collect();
        bed.provider.terminate(&ids).await.unwrap();
        bed.sleep(600).await;
        let page = bed.provider.preemptions(&Selector::owner(&bed.owner), &Cursor::start()).await.unwrap();
        assert!(page.preemptions.is_empty());
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn a_security_group_waits_for_its_instances() {
    let bed = bed(Cloud::Aws);
    bed.launch(2).await;
    bed.sleep(60).await;
    let inventory = bed.provider.inventory(&bed.owner).await.unwrap();
    let receipt = bed.provider.delete(&inventory.resources).await.unwrap();
    let codes: Vec<_> = receipt.pending.iter().filter_map(|left| left.reason.fact("code")).collect();
    assert!(codes.contains(&"DependencyViolation"), "{:?}", receipt.pending);
    bed.tear_down().await;
}

#[tokio::test]
async fn calls_are_counted_under_the_clouds_own_names() {
    let bed = bed(Cloud::Gcp);
    let launched = bed.launch(4).await;
    let ids: Vec<_> = launched.instances.iter().map(|i| i.id.clone()).collect();
    bed.provider.terminate(&ids).await.unwrap();
    let calls = bed.provider.world().calls();
    assert_eq!(calls["regionInstances.bulkInsert"].calls, 1);
    assert_eq!(calls["instances.delete"].calls, 4);
    bed.tear_down().await;
}

#[tokio::test]
async fn another_owner_sees_and_loses_nothing() {
    on_each_cloud(async |bed: Bed| {
        bed.launch(2).await;
        bed.sleep(60).await;
        let stranger = Owner::parse("bob").unwrap();
        assert!(bed.provider.list(&Selector::owner(&stranger)).await.unwrap().is_empty());
        assert!(bed.provider.inventory(&stranger).await.unwrap().proves_empty());
        bed.tear_down().await;
    })
    .await;
}

#[tokio::test]
async fn a_long_teardown_paces_itself_and_only_its_first_call_is_refused() {
    let bed = bed(Cloud::Gcp);
    let mut request = bed.request(Market::OnDemand, 1_000).await;
    let offer = bed.pools(Market::OnDemand).await.remove(0);
    for (quota, _) in offer.draws() {
        let (region, name) = quota.as_str().split_once('/').unwrap();
        bed.fault(&format!(r#"{{"kind":"quota","region":"{region}","name":"{name}","limit":100000}}"#));
    }
    let mut ids = Vec::new();
    for attempt in 0..2 {
        request.token = Token::derive(&bed.owner, &bed.fleet, attempt);
        let launched = bed.provider.launch(&request).await.unwrap();
        assert_eq!(launched.shortfalls, []);
        ids.extend(launched.instances.into_iter().map(|instance| instance.id));
    }
    let before = bed.clock.now();
    assert_eq!(bed.provider.terminate(&ids).await.unwrap().ending.len(), 2_000);
    let took = bed.clock.now().duration_since(before).as_secs();
    assert!((1..=120).contains(&took), "2,000 deletions at 1,500 a minute took {took} s");
    bed.fault(r#"{"kind":"throttle","rps":0.001,"burst":1}"#);
    let selector = Selector::owner(&bed.owner);
    assert!(!bed.provider.list(&selector).await.unwrap().is_empty());
    let error = bed.provider.list(&selector).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    for (id, _) in bed.provider.world().faults() {
        bed.provider.world().lift(id);
    }
    bed.sleep(120).await;
    bed.tear_down().await;
}

#[tokio::test]
async fn a_region_that_does_not_answer_makes_the_inventory_no_proof() {
    let bed = bed(Cloud::Aws);
    bed.fault(r#"{"kind":"error","action":"DescribeTags"}"#);
    let inventory = bed.provider.inventory(&bed.owner).await.unwrap();
    assert!(inventory.resources.is_empty() && !inventory.unreached.is_empty());
    assert!(!inventory.proves_empty());
}

#[tokio::test]
async fn slow_answers_take_the_worlds_time() {
    let bed = bed(Cloud::Neutral);
    bed.fault(r#"{"kind":"latency","action":"instances.list","ms":4000}"#);
    let (before, regions) = (bed.clock.now(), bed.provider.world().look(|kernel| kernel.regions().len()));
    bed.list().await;
    assert_eq!(bed.clock.now().duration_since(before).as_secs(), 4 * regions as i64);
}

#[tokio::test]
async fn a_cursor_of_another_world_is_refused() {
    let bed = bed(Cloud::Neutral);
    let selector = Selector::owner(&bed.owner);
    for text in ["sim-1", "sim-", "sim--1", "42", "aws:7"] {
        let error = bed.provider.preemptions(&selector, &Cursor::new(text)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text}");
    }
}

#[tokio::test]
async fn a_later_expiry_makes_no_second_template() {
    on_each_cloud(async |bed: Bed| {
        let offer = bed.pools(Market::OnDemand).await.remove(0);
        let first = bed.prepared(&offer).await;
        let mut blueprint = bed.blueprint(&offer);
        blueprint.expires = Some(Timestamp::constant(1_800_000_000, 0));
        let second = bed.provider.prepare(&blueprint).await.unwrap();
        assert_eq!(first.handles, second.handles);
        let inventory = bed.provider.inventory(&bed.owner).await.unwrap();
        assert_eq!(inventory.resources.len(), first.resources.len());
        assert!(inventory.resources.iter().all(|resource| resource.expires == blueprint.expires));
        blueprint.user_data = "#!/bin/sh\nfalse\n".into();
        assert_ne!(bed.provider.prepare(&blueprint).await.unwrap().handles, first.handles);
        bed.tear_down().await;
    })
    .await;
}
