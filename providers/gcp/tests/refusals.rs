//! What Google refuses, each told apart from the others, and nothing left of it.

use std::sync::Arc;

use skyfleet_core::{
    Arch, CapacitySearch, Error, ErrorKind, FleetBlueprint, FleetLaunch, FleetName, LaunchRequest, Launched,
    ManualClock, Market, OfferQuery, Owner, PoolBid, Region, Result, Retry, Scope, Selector, Spread,
    Teardown, Timestamp, Token,
};
use skyfleet_gcp::{GcpProvider, Settings, bearer};
use skyfleet_simcloud::fault::Fault;
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions, World};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);
const REGION: &str = "us-central1";
const PROJECT: &str = "batch-474711";
const TOKEN: &str = "ya29.refusals";

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
        options.credentials =
            vec![Credential { cloud: Cloud::Gcp, key_id: PROJECT.to_owned(), secret: TOKEN.to_owned() }];
        let server = Server::start(options).unwrap();
        let provider = client(&server, &clock, PROJECT, TOKEN);
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("refused").unwrap());
        Self { server, clock, provider, owner, fleet }
    }

    fn world(&self) -> &World {
        self.server.world(Cloud::Gcp)
    }

    fn inject(&self, fault: serde_json::Value) {
        let fault: Fault = serde_json::from_value(fault).unwrap();
        self.world().inject(fault).unwrap();
    }

    fn blueprint(&self, archs: &[Arch]) -> FleetBlueprint {
        FleetBlueprint {
            archs: archs.to_vec(),
            ..FleetBlueprint::new(&self.owner, &self.fleet, Region::from(REGION))
        }
    }

    /// A launch of four spot instances of these types, wherever they are sold.
    async fn request(&self, types: &[&str]) -> LaunchRequest {
        let query = OfferQuery {
            instance_types: types.iter().map(|name| (*name).into()).collect(),
            markets: vec![Market::Spot],
            ..OfferQuery::default()
        };
        let offers = self.provider.offers(&query).await.unwrap();
        let prepared = self.provider.prepare(&self.blueprint(&[Arch::X86_64, Arch::Arm64])).await.unwrap();
        LaunchRequest {
            token: Token::derive(&self.owner, &self.fleet, 0),
            prepared,
            region: REGION.into(),
            market: Market::Spot,
            pools: offers.iter().map(|offer| PoolBid { offer: offer.id(), price_max: None }).collect(),
            count: 4,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        }
    }

    fn is_empty(&self) {
        let ledger = self.world().ledger();
        assert!(ledger.proves_empty(), "{:?} {:?}", ledger.live, ledger.blocking);
    }
}

fn client(server: &Server, clock: &ManualClock, project: &str, token: &str) -> GcpProvider {
    let settings = Settings {
        project: Some(project.to_owned()),
        endpoint_url: Some(server.urls().gcp.clone()),
        ..Settings::default()
    };
    GcpProvider::new(bearer(token).unwrap(), settings, Arc::new(clock.clone()))
}

fn reasons(launched: Result<Launched>) -> Vec<Error> {
    let launched = launched.unwrap();
    assert!(launched.instances.is_empty(), "{:?}", launched.instances);
    launched.shortfalls.into_iter().map(|shortfall| shortfall.reason).collect()
}

#[tokio::test]
async fn a_stock_out_a_full_quota_a_throttle_and_what_can_never_work_are_told_apart() {
    let name = "n2-standard-2";
    let quota = Scope::Quota("us-central1/PREEMPTIBLE_CPUS".into());

    let bed = Bed::new();
    let request = bed.request(&[name]).await;
    for bid in &request.pools {
        bed.inject(serde_json::json!({
            "kind": "capacity", "zone": bid.offer.zone, "instance_type": name, "market": "all", "available": 0,
        }));
    }
    let dry = reasons(bed.provider.launch(&request).await);
    assert_eq!(dry.len(), request.pools.len(), "{dry:?}");
    for (reason, bid) in dry.iter().zip(&request.pools) {
        assert_eq!(
            (reason.kind(), reason.scope()),
            (ErrorKind::NoCapacity, Some(&Scope::Offer(bid.offer.clone())))
        );
        let code = reason.fact("code").unwrap();
        assert!(code.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED"), "{reason}");
    }
    bed.is_empty();

    let bed = Bed::new();
    let request = bed.request(&[name]).await;
    bed.inject(
        serde_json::json!({ "kind": "quota", "region": REGION, "name": "PREEMPTIBLE_CPUS", "limit": 1 }),
    );
    for reason in reasons(bed.provider.launch(&request).await) {
        assert_eq!((reason.kind(), reason.scope()), (ErrorKind::QuotaExceeded, Some(&quota)), "{reason}");
    }
    bed.is_empty();

    let bed = Bed::new();
    let request = bed.request(&[name]).await;
    bed.inject(
        serde_json::json!({ "kind": "sku-restriction", "region": REGION, "instance_type": name, "on": true }),
    );
    let never = bed.provider.launch(&request).await.unwrap_err();
    assert_eq!((never.kind(), never.retry()), (ErrorKind::InvalidRequest, Retry::Never), "{never}");
    assert!(matches!(never.scope(), Some(Scope::TypeInZone(..))), "{:?}", never.scope());
    bed.is_empty();

    let bed = Bed::new();
    let request = bed.request(&[name]).await;
    let slow = serde_json::json!({ "kind": "throttle", "rps": 0.0001, "burst": 1, "action": "regionInstances.bulkInsert" });
    bed.inject(slow);
    assert_eq!(bed.provider.launch(&request).await.unwrap().instances.len(), 4, "the first one gets through");
    let token = Token::derive(&bed.owner, &bed.fleet, 1);
    let throttled = bed.provider.launch(&LaunchRequest { token, ..request }).await.unwrap_err();
    assert_eq!(
        (throttled.kind(), throttled.retry()),
        (ErrorKind::RateLimited, Retry::After(None)),
        "{throttled}"
    );
}

#[tokio::test]
async fn a_wrong_project_an_expired_token_and_an_api_that_is_off_say_what_to_do() {
    let bed = Bed::new();
    let selector = Selector::owner(&bed.owner);
    let stranger = client(&bed.server, &bed.clock, "no-such-project", TOKEN);
    let expired = client(&bed.server, &bed.clock, PROJECT, "ya29.expired");
    for (provider, kind, part) in [
        (&stranger, ErrorKind::InvalidConfig, "no such project"),
        (&expired, ErrorKind::Unauthenticated, "gcloud auth application-default login"),
    ] {
        let errors = [
            provider.list(&selector).await.unwrap_err(),
            provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap_err(),
            provider.inventory(&bed.owner).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.retry()), (kind, Retry::Never), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }
    let off = serde_json::json!({ "kind": "error", "probability": 1.0, "status": 403, "code": "accessNotConfigured", "when": "before" });
    bed.inject(off);
    let error = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::PermissionDenied, Retry::Never), "{error}");
    assert!(error.message().contains("gcloud services enable compute.googleapis.com"), "{error}");
    bed.is_empty();
}

/// Two processors and a machine with a GPU attached: three images and kinds of machine in one launch.
#[tokio::test]
async fn one_launch_takes_processors_of_both_kinds_and_gpus_attached() {
    let bed = Bed::new();
    let types = ["n2-standard-2", "t2a-standard-2", "n1-standard-4+T4"];
    let request = LaunchRequest { count: 12, ..bed.request(&types).await };
    let launched = bed.provider.launch(&request).await.unwrap();
    assert!(launched.instances.len() >= 8, "{launched:?}");
    let asked =
        |instance: &skyfleet_core::Instance| request.pools.iter().any(|bid| bid.offer == instance.offer);
    assert!(launched.instances.iter().all(asked), "{launched:?}");
    let with_gpu = launched.instances.iter().filter(|i| i.offer.instance_type.as_str() == types[2]).count();
    assert!(with_gpu > 0, "{launched:?}");
    assert!(launched.instances.iter().all(|instance| instance.price.known().is_some()), "{launched:?}");
    let again = bed.provider.launch(&request).await.unwrap();
    assert_eq!(again.instances, launched.instances);
    let ids: Vec<_> = launched.instances.into_iter().map(|instance| instance.id).collect();
    bed.provider.terminate(&ids).await.unwrap();
}
