//! What Google refuses, each told apart from the others, and nothing left of it.

use serde_json::json;
use skyfleet_conformance::simcloud::Customer;
use skyfleet_core::{Arch, ErrorKind, LaunchRequest, Market, Retry, Scope, Selector, Token};

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::{REGION, TOKEN, connected, connected_to, customer};

/// A launch of four spot instances of these types, wherever they are sold.
async fn order(bed: &Customer, types: &[&str]) -> LaunchRequest {
    let pools = bed.pools(types, Market::Spot).await.unwrap();
    let prepared = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64, Arch::Arm64])).await.unwrap();
    bed.request(&prepared, pools, 4)
}

fn is_empty(bed: &Customer) {
    assert_eq!(bed.bench.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_stock_out_a_full_quota_a_throttle_and_what_can_never_work_are_told_apart() {
    let name = "n2-standard-2";
    let quota = Scope::Quota("us-central1/PREEMPTIBLE_CPUS".into());

    let bed = customer(0).unwrap();
    let request = order(&bed, &[name]).await;
    for bid in &request.pools {
        bed.bench.inject(json!({
            "kind": "capacity", "zone": bid.offer.zone, "instance_type": name, "market": "all", "available": 0,
        })).unwrap();
    }
    let dry = bed.refusals(&request).await.unwrap();
    assert_eq!(dry.len(), request.pools.len(), "{dry:?}");
    for (reason, bid) in dry.iter().zip(&request.pools) {
        assert_eq!(
            (reason.kind(), reason.scope()),
            (ErrorKind::NoCapacity, Some(&Scope::Offer(bid.offer.clone())))
        );
        let code = reason.fact("code").unwrap();
        assert!(code.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED"), "{reason}");
    }
    is_empty(&bed);

    let bed = customer(0).unwrap();
    let request = order(&bed, &[name]).await;
    bed.bench
        .inject(json!({ "kind": "quota", "region": REGION, "name": "PREEMPTIBLE_CPUS", "limit": 1 }))
        .unwrap();
    for reason in bed.refusals(&request).await.unwrap() {
        assert_eq!((reason.kind(), reason.scope()), (ErrorKind::QuotaExceeded, Some(&quota)), "{reason}");
    }
    is_empty(&bed);

    let bed = customer(0).unwrap();
    let request = order(&bed, &[name]).await;
    bed.bench
        .inject(json!({ "kind": "sku-restriction", "region": REGION, "instance_type": name, "on": true }))
        .unwrap();
    let never = bed.provider.launch(&request).await.unwrap_err();
    assert_eq!((never.kind(), never.retry()), (ErrorKind::InvalidRequest, Retry::Never), "{never}");
    assert!(matches!(never.scope(), Some(Scope::TypeInZone(..))), "{:?}", never.scope());
    is_empty(&bed);

    let bed = customer(0).unwrap();
    let request = order(&bed, &[name]).await;
    let slow =
        json!({ "kind": "throttle", "rps": 0.0001, "burst": 1, "action": "regionInstances.bulkInsert" });
    bed.bench.inject(slow).unwrap();
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
    let bed = customer(0).unwrap();
    let selector = Selector::owner(&bed.owner);
    let stranger = connected_to("no-such-project", &bed.bench, TOKEN).unwrap().provider;
    let expired = connected(&bed.bench, "ya29.expired").unwrap().provider;
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
    let off = json!({ "kind": "error", "probability": 1.0, "status": 403, "code": "accessNotConfigured", "when": "before" });
    bed.bench.inject(off).unwrap();
    let error = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::PermissionDenied, Retry::Never), "{error}");
    assert!(error.message().contains("gcloud services enable compute.googleapis.com"), "{error}");
    is_empty(&bed);
}

/// Two processors and a machine with a GPU attached: three images and kinds of machine in one launch.
#[tokio::test]
async fn one_launch_takes_processors_of_both_kinds_and_gpus_attached() {
    let bed = customer(0).unwrap();
    let types = ["n2-standard-2", "t2a-standard-2", "n1-standard-4+T4"];
    let request = LaunchRequest { count: 12, ..order(&bed, &types).await };
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
