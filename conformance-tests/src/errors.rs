use std::time::Duration;

use skyfleet_core::{Error, ErrorKind, Market, Offer, OfferQuery, Result, Retry, Scope, Selector, Shortfall};

use crate::bed::{Bed, Fleet, summary};
use crate::case::{Case, FAIL, GUARDS, IMPOSTOR, PROVOKES, Proof, QUOTA, ROOM, case, ensure, pull};
use crate::runner::Stack;
use crate::world::Failure;

pub(crate) const CASES: &[Case] = &[
    case!("ERRORS-1", missing_capacity_closes_the_pool, [ROOM]),
    case!("ERRORS-2", an_exhausted_quota_is_not_capacity, [QUOTA]),
    case!("ERRORS-3", a_throttle_says_wait, [FAIL, PROVOKES]),
    case!("ERRORS-4", an_outage_says_try_again, [FAIL, PROVOKES]),
    case!("ERRORS-5", a_bad_request_is_never_tried_again),
    case!("ERRORS-6", refused_credentials_are_unauthenticated, [IMPOSTOR, PROVOKES]),
    case!("ERRORS-7", the_layers_say_where_it_happened, [GUARDS]),
    case!("ERRORS-8", the_clouds_request_id_is_kept, [FAIL, PROVOKES]),
];

async fn missing_capacity_closes_the_pool(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 1).await?;
        pull(&bed.levers.room)(&pools[0].id(), 0)?;
        let fleet = bed.prepare(bed.blueprint(&bed.owner, &format!("room-{market}"), &pools), pools).await?;
        shortfalls(bed, &fleet, ErrorKind::NoCapacity).await?;
    }
    Ok(())
}

async fn an_exhausted_quota_is_not_capacity(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 1).await?;
        let Some(quota) = pools[0].quotas.first() else { continue };
        pull(&bed.levers.quota)(&quota.quota, 0)?;
        let fleet = bed.prepare(bed.blueprint(&bed.owner, &format!("quota-{market}"), &pools), pools).await?;
        shortfalls(bed, &fleet, ErrorKind::QuotaExceeded).await?;
    }
    Ok(())
}

async fn shortfalls(bed: &Bed, fleet: &Fleet, kind: ErrorKind) -> Proof {
    let launched = bed.provider.launch(&fleet.request(0, 2)).await?;
    ensure!(
        launched.instances.is_empty() && !launched.shortfalls.is_empty(),
        "{kind} was provoked; {}",
        summary(&launched)
    );
    for Shortfall { reason, .. } in &launched.shortfalls {
        ensure!(reason.kind() == kind, "{kind} was provoked, reported is {reason}");
        ensure!(reason.retry() == Retry::Never, "{:?}: {reason}", reason.retry());
        let covered = reason.scope().is_some_and(|scope| covers(scope, &fleet.pools[0]));
        ensure!(covered, "the scope {:?} does not cover {}", reason.scope(), fleet.pools[0].id());
        ensure!(reason.fact("code").is_some_and(|code| !code.is_empty()), "no code of the cloud: {reason}");
    }
    Ok(())
}

async fn a_throttle_says_wait(bed: &Bed) -> Proof {
    failing_calls(bed, Failure::Throttled, ErrorKind::RateLimited).await
}

async fn an_outage_says_try_again(bed: &Bed) -> Proof {
    failing_calls(bed, Failure::Down, ErrorKind::Unavailable).await
}

async fn failing_calls(bed: &Bed, failure: Failure, kind: ErrorKind) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let request = fleet.request(0, 2);
    pull(&bed.levers.fail)(failure)?;
    let launched = bed.provider.launch(&request).await.map(|launched| summary(&launched));
    said(bed, "launch", launched, kind)?;
    let listed = bed.provider.list(&fleet.selector()).await.map(|list| format!("{} instances", list.len()));
    said(bed, "list", listed, kind)?;
    let ended = bed.provider.terminate(&["never-was".into()]).await.map(|receipt| format!("{receipt:?}"));
    // An id that is no id of this cloud needs no call, and then cannot fail.
    if ended.is_err() {
        said(bed, "terminate", ended, kind)?;
    }
    let inventory = bed.provider.inventory(&bed.owner).await;
    ensure!(
        !inventory.is_ok_and(|i| i.proves_empty()),
        "no call gets through, and the inventory proves empty"
    );

    pull(&bed.levers.calm)();
    let alive = bed.settled(&bed.owner).await?;
    ensure!(alive.is_empty(), "the launch was answered with {kind}, and {} instances live", alive.len());
    bed.clock.sleep(Duration::from_secs(120)).await;
    bed.launch_all(&request).await.map(drop)
}

fn said(bed: &Bed, operation: &str, answer: Result<String>, kind: ErrorKind) -> Proof {
    match answer {
        Ok(answer) => ensure!(false, "{operation}: {kind} was provoked, the answer is {answer}"),
        Err(error) => {
            ensure!(error.kind() == kind, "{operation}: {kind} was provoked, reported is {error}");
            let right = match bed.stack {
                Stack::Bare => matches!(error.retry(), Retry::After(_)),
                Stack::Layers | Stack::Faults => error.retry() == Retry::Exhausted,
            };
            ensure!(right, "{operation}: {:?}: {error}", error.retry());
        }
    }
    Ok(())
}

async fn a_bad_request_is_never_tried_again(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let mut nowhere = fleet.request(0, 1);
    nowhere.pools[0].offer.zone = "atlantis-1z".into();
    let mut no_image = fleet.blueprint.clone();
    no_image.image = "no-such-image-anywhere".to_owned();
    let query = OfferQuery { regions: vec!["atlantis-1".into()], ..OfferQuery::default() };
    let errors: [(&str, Option<Error>); 3] = [
        ("launch", bed.provider.launch(&nowhere).await.err()),
        ("prepare", bed.provider.prepare(&no_image).await.err()),
        ("offers", bed.provider.offers(&query).await.err()),
    ];
    for (operation, error) in errors {
        let right = |e: &Error| e.kind() == ErrorKind::InvalidRequest && e.retry() == Retry::Never;
        ensure!(error.as_ref().is_some_and(right), "{operation}: {error:?}");
    }
    Ok(())
}

async fn refused_credentials_are_unauthenticated(bed: &Bed) -> Proof {
    let impostor = pull(&bed.levers.impostor)()?.provider;
    match impostor.list(&Selector::owner(&bed.owner)).await {
        Ok(list) => ensure!(false, "wrong credentials listed {} instances", list.len()),
        Err(error) => {
            ensure!(error.kind() == ErrorKind::Unauthenticated, "{error}");
            ensure!(error.retry() == Retry::Never, "{:?}: {error}", error.retry());
        }
    }
    Ok(())
}

async fn the_layers_say_where_it_happened(bed: &Bed) -> Proof {
    let layered = bed.layered(bed.bare.clone());
    let query = OfferQuery { regions: vec!["atlantis-1".into()], ..OfferQuery::default() };
    let error = layered.offers(&query).await.err();
    ensure!(error.as_ref().is_some_and(|e| e.operation().is_some()), "{error:?}");
    Ok(())
}

async fn the_clouds_request_id_is_kept(bed: &Bed) -> Proof {
    pull(&bed.levers.fail)(Failure::Down)?;
    let selector = Selector::owner(&bed.owner);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let error = bed.provider.list(&selector).await.err();
        let id = error.as_ref().and_then(|e| e.fact("request_id")).unwrap_or_default().to_owned();
        ensure!(!id.is_empty(), "the error has no request_id: {error:?}");
        ids.push(id);
    }
    pull(&bed.levers.calm)();
    ensure!(ids[0] != ids[1], "two calls have the one id {}", ids[0]);
    Ok(())
}

/// Whether a scope closes this pool.
fn covers(scope: &Scope, pool: &Offer) -> bool {
    match scope {
        Scope::Offer(offer) => *offer == pool.id(),
        Scope::TypeInZone(name, zone) => *name == pool.instance_type.name && *zone == pool.zone,
        Scope::Zone(zone) => *zone == pool.zone,
        Scope::Quota(quota) => pool.draws().any(|(id, _)| id == quota),
        Scope::MarketInRegion(market, region) => *market == pool.market && *region == pool.region,
        Scope::Region(region) => *region == pool.region,
        Scope::Account => true,
        _ => false,
    }
}
