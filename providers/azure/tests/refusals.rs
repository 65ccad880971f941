//! What Azure refuses, each told apart from the others, and nothing left of it.

use std::sync::Arc;
use std::time::Duration;

use skyfleet_azure::{AzureProvider, Settings, client_secret};
use skyfleet_core::{
    Arch, CapacitySearch, Clock, Error, ErrorKind, FleetBlueprint, FleetLaunch, FleetName, LaunchRequest,
    Launched, ManualClock, Market, OfferId, OfferQuery, Owner, PoolBid, Region, Result, Retry, Scope,
    Selector, Spread, Teardown, Timestamp, Token, UsdPerHour,
};
use skyfleet_simcloud::fault::Fault;
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions, World};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);
const REGION: &str = "eastus";
const SIZE: &str = "Standard_D2s_v5";
const CLIENT: &str = "00000000-0000-4000-8000-000000000003";
const SECRET: &str = "refusals~hush";
const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";

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
        options.credentials =
            vec![Credential { cloud: Cloud::Azure, key_id: CLIENT.to_owned(), secret: SECRET.to_owned() }];
        let server = Server::start(options).unwrap();
        let provider = client(&server, &clock, SUBSCRIPTION, SECRET);
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("refused").unwrap());
        Self { server, clock, provider, owner, fleet }
    }

    fn world(&self) -> &World {
        self.server.world(Cloud::Azure)
    }

    fn inject(&self, fault: serde_json::Value) {
        let fault: Fault = serde_json::from_value(fault).unwrap();
        self.world().inject(fault).unwrap();
    }

    fn calls(&self, method: &str) -> u64 {
        self.world().calls().get(method).map_or(0, |counted| counted.calls)
    }

    fn blueprint(&self) -> FleetBlueprint {
        FleetBlueprint {
            archs: vec![Arch::X86_64],
            ..FleetBlueprint::new(&self.owner, &self.fleet, Region::from(REGION))
        }
    }

    /// A launch of four instances of a size on a market, in every zone.
    async fn request(&self, market: Market) -> LaunchRequest {
        let query =
            OfferQuery { instance_types: vec![SIZE.into()], markets: vec![market], ..OfferQuery::default() };
        let offers = self.provider.offers(&query).await.unwrap();
        LaunchRequest {
            token: Token::derive(&self.owner, &self.fleet, 0),
            prepared: self.provider.prepare(&self.blueprint()).await.unwrap(),
            region: REGION.into(),
            market,
            pools: offers.iter().map(|offer| PoolBid { offer: offer.id(), price_max: None }).collect(),
            count: 4,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    fn dry(&self, zone: &str) {
        self.inject(serde_json::json!({
            "kind": "capacity", "zone": zone, "instance_type": SIZE, "market": "all", "available": 0,
        }));
    }

    fn calm(&self) {
        for (id, _) in self.world().faults() {
            self.world().lift(id);
        }
    }

    /// After a teardown nothing is left, by the cloud's own books.
    async fn end(&self) {
        self.calm();
        for _ in 0..20 {
            let left = self.provider.inventory(&self.owner).await.unwrap();
            if left.proves_empty() {
                break;
            }
            self.provider.delete(&left.resources).await.unwrap();
            self.clock.sleep(Duration::from_secs(60)).await;
        }
        let ledger = self.world().ledger();
        assert!(ledger.proves_empty(), "{:?} {:?}", ledger.live, ledger.blocking);
    }
}

fn client(server: &Server, clock: &ManualClock, subscription: &str, secret: &str) -> AzureProvider {
    let url = &server.urls().azure;
    let settings = Settings {
        subscription_id: Some(subscription.to_owned()),
        endpoint_url: Some(url.clone()),
        ..Settings::default()
    };
    let time: Arc<dyn Clock> = Arc::new(clock.clone());
    let credential = client_secret("tenant", CLIENT, secret, Some(url), time.clone()).unwrap();
    AzureProvider::new(credential, settings, time)
}

fn reasons(launched: Result<Launched>) -> Vec<Error> {
    let launched = launched.unwrap();
    assert!(launched.instances.is_empty(), "{:?}", launched.instances);
    launched.shortfalls.into_iter().map(|shortfall| shortfall.reason).collect()
}

#[tokio::test]
async fn spot_without_room_closes_its_pools_and_no_more() {
    let bed = Bed::new();
    let request = bed.request(Market::Spot).await;
    bed.dry(REGION);
    let dry = reasons(bed.provider.launch(&request).await);
    assert_eq!(dry.len(), request.pools.len(), "{dry:?}");
    for (reason, bid) in dry.iter().zip(&request.pools) {
        assert_eq!((reason.kind(), reason.fact("code")), (ErrorKind::NoCapacity, Some("SkuNotAvailable")));
        assert_eq!(reason.scope(), Some(&Scope::Offer(bid.offer.clone())), "{reason}");
    }
    bed.end().await;
}

/// Azure takes the request, and its machines fail one by one: nothing of them is left.
#[tokio::test]
async fn want_of_room_on_demand_shows_late_and_each_kind_has_its_scope() {
    for (zone, size, code) in [
        ("eastus-2", SIZE, "ZonalAllocationFailed"),
        // In no zone of the region's.
        ("eastus", SIZE, "AllocationFailed"),
        // In a zone that has no such machines.
        ("eastus-3", "Standard_NC24ads_A100_v4", "OverconstrainedZonalAllocationRequest"),
    ] {
        let bed = Bed::new();
        let mut request = bed.request(Market::OnDemand).await;
        bed.dry(REGION);
        let offer = OfferId { zone: zone.into(), instance_type: size.into(), market: Market::OnDemand };
        request.pools = vec![PoolBid { offer: offer.clone(), price_max: None }];
        let found = reasons(bed.provider.launch(&request).await);
        let [reason] = found.as_slice() else { panic!("{code}: {found:?}") };
        assert_eq!((reason.kind(), reason.fact("code")), (ErrorKind::NoCapacity, Some(code)), "{reason}");
        let scope = match code {
            "AllocationFailed" => Scope::Offer(offer),
            _ => Scope::TypeInZone(size.into(), zone.into()),
        };
        assert_eq!(reason.scope(), Some(&scope), "{reason}");
        let calls = ["fleets.PUT", "fleets.virtualMachines.LIST", "virtualMachinesExecuteDelete.POST"];
        assert_eq!(calls.map(|call| bed.calls(call)), [1, 1, 1], "{code}");
        bed.end().await;
    }
}

#[tokio::test]
async fn what_one_zone_has_not_the_others_give() {
    let bed = Bed::new();
    let request = bed.request(Market::OnDemand).await;
    bed.dry("eastus-2");
    let launched = bed.provider.launch(&request).await.unwrap();
    assert_eq!((launched.instances.len(), launched.shortfalls.len()), (4, 0), "{:?}", launched.shortfalls);
    assert!(launched.instances.iter().all(|instance| instance.offer.zone.as_str() != "eastus-2"));
    bed.end().await;
}

#[tokio::test]
async fn a_full_quota_is_told_with_its_name() {
    for (market, name) in [(Market::Spot, "lowPriorityCores"), (Market::OnDemand, "standardDSv5Family")] {
        let bed = Bed::new();
        let request = bed.request(market).await;
        bed.inject(serde_json::json!({ "kind": "quota", "region": REGION, "name": name, "limit": 1 }));
        let quota = Scope::Quota(format!("{REGION}/{name}").into());
        let full = reasons(bed.provider.launch(&request).await);
        assert!(!full.is_empty());
        for reason in full {
            assert_eq!((reason.kind(), reason.scope()), (ErrorKind::QuotaExceeded, Some(&quota)), "{reason}");
        }
        bed.end().await;
    }
}

#[tokio::test]
async fn a_restricted_size_is_sold_out_in_the_offers_and_cannot_be_launched() {
    let bed = Bed::new();
    let request = bed.request(Market::Spot).await;
    bed.inject(
        serde_json::json!({ "kind": "sku-restriction", "region": REGION, "instance_type": SIZE, "on": true }),
    );
    for reason in reasons(bed.provider.launch(&request).await) {
        assert_eq!(
            (reason.kind(), reason.fact("code")),
            (ErrorKind::NoCapacity, Some("SkuNotAvailable")),
            "{reason}"
        );
    }
    bed.clock.sleep(Duration::from_secs(3_600)).await;
    let query = OfferQuery { instance_types: vec![SIZE.into()], ..OfferQuery::default() };
    let offers = bed.provider.offers(&query).await.unwrap();
    let sold_out = skyfleet_core::Availability::SoldOut;
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer.availability == sold_out), "{offers:?}");
    bed.end().await;
}

#[tokio::test]
async fn a_highest_price_below_the_spot_price_is_told_as_such() {
    let bed = Bed::new();
    let mut request = bed.request(Market::Spot).await;
    request.pools.iter_mut().for_each(|bid| bid.price_max = Some(UsdPerHour::from_micros(1_000)));
    for reason in reasons(bed.provider.launch(&request).await) {
        assert_eq!(
            (reason.kind(), reason.fact("code")),
            (ErrorKind::NoCapacity, Some("SpotPriceGreaterThanProvidedMaxPrice")),
            "{reason}"
        );
    }
    bed.end().await;
}

#[tokio::test]
async fn a_throttle_says_when_to_come_again() {
    let bed = Bed::new();
    let request = bed.request(Market::Spot).await;
    bed.inject(serde_json::json!({ "kind": "throttle", "rps": 0.01, "burst": 1, "action": "fleets.PUT" }));
    assert_eq!(bed.provider.launch(&request).await.unwrap().instances.len(), 4, "the first one gets through");
    let token = Token::derive(&bed.owner, &bed.fleet, 1);
    bed.inject(serde_json::json!({ "kind": "throttle", "rps": 0.0001, "burst": 1, "action": "fleets.PUT" }));
    let second = LaunchRequest { token, ..request.clone() };
    let mut answer = bed.provider.launch(&second).await;
    if answer.is_ok() {
        let token = Token::derive(&bed.owner, &bed.fleet, 2);
        answer = bed.provider.launch(&LaunchRequest { token, ..request }).await;
    }
    let throttled = answer.unwrap_err();
    assert_eq!(throttled.kind(), ErrorKind::RateLimited, "{throttled}");
    assert!(
        matches!(throttled.retry(), Retry::After(Some(after)) if after > Duration::ZERO),
        "{throttled:?}"
    );
    bed.end().await;
}

/// The request for the machines went through and its answer was lost: who asks again finds it, and
/// whoever looks at an operation that does not answer looks again.
#[tokio::test]
async fn a_launch_whose_answer_is_lost_is_adopted_and_not_repeated() {
    let bed = Bed::new();
    let request = bed.request(Market::Spot).await;
    bed.inject(serde_json::json!({
        "kind": "error", "action": "fleets.PUT", "probability": 1.0, "status": 503, "when": "after",
    }));
    let lost = bed.provider.launch(&request).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
    bed.calm();
    // Half of the looks at operations are lost from now on.
    bed.inject(serde_json::json!({
        "kind": "error", "action": "operations.GET", "probability": 0.5, "status": 503, "when": "after",
    }));
    // Another process: all that it knows is the token.
    let heir = client(&bed.server, &bed.clock, SUBSCRIPTION, SECRET);
    let adopted = heir.launch(&request).await.unwrap();
    assert_eq!(adopted.instances.len(), 4, "{adopted:?}");
    let all = heir.list(&Selector::owner(&bed.owner)).await.unwrap();
    assert_eq!(all.len(), 4, "nothing was bought twice");
    let again = bed.provider.launch(&request).await.unwrap();
    let ids = |launched: &Launched| launched.instances.iter().map(|i| i.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&adopted));
    assert_eq!(heir.list(&Selector::owner(&bed.owner)).await.unwrap().len(), 4);
    bed.end().await;
}

/// A launch waits for its operation through answers that are lost, and never asks for the machines a
/// second time.
#[tokio::test]
async fn a_poller_answer_that_is_lost_is_asked_for_again_and_never_the_call() {
    let bed = Bed::new();
    let request = bed.request(Market::Spot).await;
    bed.inject(serde_json::json!({
        "kind": "error", "action": "operations.GET", "probability": 0.7, "status": 503, "when": "after",
    }));
    let launched = bed.provider.launch(&request).await.unwrap();
    assert_eq!((launched.instances.len(), bed.calls("fleets.PUT")), (4, 1), "{launched:?}");
    bed.end().await;
}

#[tokio::test]
async fn a_refused_secret_and_a_provider_that_is_not_registered_say_what_to_do() {
    let bed = Bed::new();
    let selector = Selector::owner(&bed.owner);
    let expired = client(&bed.server, &bed.clock, SUBSCRIPTION, "a-secret-of-last-year");
    let errors = [
        expired.list(&selector).await.unwrap_err(),
        expired.prepare(&bed.blueprint()).await.unwrap_err(),
        expired.inventory(&bed.owner).await.unwrap_err(),
        expired.offers(&OfferQuery::default()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never), "{error}");
        assert!(error.message().contains("az login"), "{error}");
        assert!(!format!("{error:?}").contains("last-year"));
    }
    bed.inject(serde_json::json!({
        "kind": "error", "action": "fleets.PUT", "probability": 1.0, "status": 409,
        "code": "MissingSubscriptionRegistration", "when": "before",
    }));
    let request = bed.request(Market::Spot).await;
    let error = bed.provider.launch(&request).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::PermissionDenied, Retry::Never), "{error}");
    assert!(error.message().contains("az provider register"), "{error}");
    bed.end().await;
}
