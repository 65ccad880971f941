//! What Azure refuses, each told apart from the others, and nothing left of it.

use std::time::Duration;

use serde_json::json;
use skyfleet_conformance::simcloud::Customer;
use skyfleet_core::{
    Arch, Clock, ErrorKind, LaunchRequest, Launched, Market, OfferId, OfferQuery, PoolBid, Retry, Scope,
    Selector, Token, UsdPerHour,
};

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::{REGION, SECRET, connected, customer};

const SIZE: &str = "Standard_D2s_v5";

/// A launch of four instances of a size on a market, in every zone.
async fn order(bed: &Customer, market: Market) -> LaunchRequest {
    let pools = bed.pools(&[SIZE], market).await.unwrap();
    let prepared = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap();
    bed.request(&prepared, pools, 4)
}

fn dry(bed: &Customer, zone: &str) {
    let fault =
        json!({ "kind": "capacity", "zone": zone, "instance_type": SIZE, "market": "all", "available": 0 });
    bed.bench.inject(fault).unwrap();
}

fn count(bed: &Customer, method: &str) -> u64 {
    bed.bench.calls().get(method).copied().unwrap_or(0)
}

/// After a teardown nothing is left, by the cloud's own books.
async fn end(bed: &Customer) {
    bed.bench.calm();
    for _ in 0..20 {
        let left = bed.provider.inventory(&bed.owner).await.unwrap();
        if left.proves_empty() {
            break;
        }
        bed.provider.delete(&left.resources).await.unwrap();
        bed.bench.clock.sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(bed.bench.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn spot_without_room_closes_its_pools_and_no_more() {
    let bed = customer(0).unwrap();
    let request = order(&bed, Market::Spot).await;
    dry(&bed, REGION);
    let dry = bed.refusals(&request).await.unwrap();
    assert_eq!(dry.len(), request.pools.len(), "{dry:?}");
    for (reason, bid) in dry.iter().zip(&request.pools) {
        assert_eq!((reason.kind(), reason.fact("code")), (ErrorKind::NoCapacity, Some("SkuNotAvailable")));
        assert_eq!(reason.scope(), Some(&Scope::Offer(bid.offer.clone())), "{reason}");
    }
    end(&bed).await;
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
        let bed = customer(0).unwrap();
        let mut request = order(&bed, Market::OnDemand).await;
        dry(&bed, REGION);
        let offer = OfferId { zone: zone.into(), instance_type: size.into(), market: Market::OnDemand };
        request.pools = vec![PoolBid { offer: offer.clone(), price_max: None }];
        let found = bed.refusals(&request).await.unwrap();
        let [reason] = found.as_slice() else { panic!("{code}: {found:?}") };
        assert_eq!((reason.kind(), reason.fact("code")), (ErrorKind::NoCapacity, Some(code)), "{reason}");
        let scope = match code {
            "AllocationFailed" => Scope::Offer(offer),
            _ => Scope::TypeInZone(size.into(), zone.into()),
        };
        assert_eq!(reason.scope(), Some(&scope), "{reason}");
        let calls = ["fleets.PUT", "fleets.virtualMachines.LIST", "virtualMachinesExecuteDelete.POST"];
        assert_eq!(calls.map(|call| count(&bed, call)), [1, 1, 1], "{code}");
        end(&bed).await;
    }
}

#[tokio::test]
async fn what_one_zone_has_not_the_others_give() {
    let bed = customer(0).unwrap();
    let request = order(&bed, Market::OnDemand).await;
    dry(&bed, "eastus-2");
    let launched = bed.provider.launch(&request).await.unwrap();
    assert_eq!((launched.instances.len(), launched.shortfalls.len()), (4, 0), "{:?}", launched.shortfalls);
    assert!(launched.instances.iter().all(|instance| instance.offer.zone.as_str() != "eastus-2"));
    end(&bed).await;
}

#[tokio::test]
async fn a_full_quota_is_told_with_its_name() {
    for (market, name) in [(Market::Spot, "lowPriorityCores"), (Market::OnDemand, "standardDSv5Family")] {
        let bed = customer(0).unwrap();
        let request = order(&bed, market).await;
        bed.bench.inject(json!({ "kind": "quota", "region": REGION, "name": name, "limit": 1 })).unwrap();
        let quota = Scope::Quota(format!("{REGION}/{name}").into());
        let full = bed.refusals(&request).await.unwrap();
        assert!(!full.is_empty());
        for reason in full {
            assert_eq!((reason.kind(), reason.scope()), (ErrorKind::QuotaExceeded, Some(&quota)), "{reason}");
        }
        end(&bed).await;
    }
}

#[tokio::test]
async fn a_restricted_size_is_sold_out_in_the_offers_and_cannot_be_launched() {
    let bed = customer(0).unwrap();
    let request = order(&bed, Market::Spot).await;
    bed.bench
        .inject(json!({ "kind": "sku-restriction", "region": REGION, "instance_type": SIZE, "on": true }))
        .unwrap();
    for reason in bed.refusals(&request).await.unwrap() {
        assert_eq!(
            (reason.kind(), reason.fact("code")),
            (ErrorKind::NoCapacity, Some("SkuNotAvailable")),
            "{reason}"
        );
    }
    bed.bench.clock.sleep(Duration::from_secs(3_600)).await;
    let query = OfferQuery {
        regions: vec![REGION.into()],
        instance_types: vec![SIZE.into()],
        ..OfferQuery::default()
    };
    let offers = bed.provider.offers(&query).await.unwrap();
    let sold_out = skyfleet_core::Availability::SoldOut;
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer.availability == sold_out), "{offers:?}");
    end(&bed).await;
}

#[tokio::test]
async fn a_highest_price_below_the_spot_price_is_told_as_such() {
    let bed = customer(0).unwrap();
    let mut request = order(&bed, Market::Spot).await;
    request.pools.iter_mut().for_each(|bid| bid.price_max = Some(UsdPerHour::from_micros(1_000)));
    for reason in bed.refusals(&request).await.unwrap() {
        assert_eq!(
            (reason.kind(), reason.fact("code")),
            (ErrorKind::NoCapacity, Some("SpotPriceGreaterThanProvidedMaxPrice")),
            "{reason}"
        );
    }
    end(&bed).await;
}

#[tokio::test]
async fn a_throttle_says_when_to_come_again() {
    let bed = customer(0).unwrap();
    let request = order(&bed, Market::Spot).await;
    bed.bench.inject(json!({ "kind": "throttle", "rps": 0.01, "burst": 1, "action": "fleets.PUT" })).unwrap();
    assert_eq!(bed.provider.launch(&request).await.unwrap().instances.len(), 4, "the first one gets through");
    let token = Token::derive(&bed.owner, &bed.fleet, 1);
    bed.bench
        .inject(json!({ "kind": "throttle", "rps": 0.0001, "burst": 1, "action": "fleets.PUT" }))
        .unwrap();
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
    end(&bed).await;
}

/// The request for the machines went through and its answer was lost: who asks again finds it, and
/// whoever looks at an operation that does not answer looks again.
#[tokio::test]
async fn a_launch_whose_answer_is_lost_is_adopted_and_not_repeated() {
    let bed = customer(0).unwrap();
    let request = order(&bed, Market::Spot).await;
    bed.bench
        .inject(json!({
            "kind": "error", "action": "fleets.PUT", "probability": 1.0, "status": 503, "when": "after",
        }))
        .unwrap();
    let lost = bed.provider.launch(&request).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
    bed.bench.calm();
    // Half of the looks at operations are lost from now on.
    bed.bench
        .inject(json!({
            "kind": "error", "action": "operations.GET", "probability": 0.5, "status": 503, "when": "after",
        }))
        .unwrap();
    // Another process: all that it knows is the token.
    let heir = connected(&bed.bench, SECRET).unwrap().provider;
    let adopted = heir.launch(&request).await.unwrap();
    assert_eq!(adopted.instances.len(), 4, "{adopted:?}");
    let all = heir.list(&Selector::owner(&bed.owner)).await.unwrap();
    assert_eq!(all.len(), 4, "nothing was bought twice");
    let again = bed.provider.launch(&request).await.unwrap();
    let ids = |launched: &Launched| launched.instances.iter().map(|i| i.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&adopted));
    assert_eq!(heir.list(&Selector::owner(&bed.owner)).await.unwrap().len(), 4);
    end(&bed).await;
}

/// A launch waits for its operation through answers that are lost, and never asks for the machines a
/// second time.
#[tokio::test]
async fn a_poller_answer_that_is_lost_is_asked_for_again_and_never_the_call() {
    let bed = customer(0).unwrap();
    let request = order(&bed, Market::Spot).await;
    bed.bench
        .inject(json!({
            "kind": "error", "action": "operations.GET", "probability": 0.7, "status": 503, "when": "after",
        }))
        .unwrap();
    let launched = bed.provider.launch(&request).await.unwrap();
    assert_eq!((launched.instances.len(), count(&bed, "fleets.PUT")), (4, 1), "{launched:?}");
    end(&bed).await;
}

#[tokio::test]
async fn a_refused_secret_and_a_provider_that_is_not_registered_say_what_to_do() {
    let bed = customer(0).unwrap();
    let selector = Selector::owner(&bed.owner);
    let expired = connected(&bed.bench, "a-secret-of-last-year").unwrap().provider;
    let errors = [
        expired.list(&selector).await.unwrap_err(),
        expired.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap_err(),
        expired.inventory(&bed.owner).await.unwrap_err(),
        expired.offers(&OfferQuery::default()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never), "{error}");
        assert!(error.message().contains("az login"), "{error}");
        assert!(!format!("{error:?}").contains("last-year"));
    }
    bed.bench
        .inject(json!({
            "kind": "error", "action": "fleets.PUT", "probability": 1.0, "status": 409,
            "code": "MissingSubscriptionRegistration", "when": "before",
        }))
        .unwrap();
    let request = order(&bed, Market::Spot).await;
    let error = bed.provider.launch(&request).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::PermissionDenied, Retry::Never), "{error}");
    assert!(error.message().contains("az provider register"), "{error}");
    end(&bed).await;
}
