//! The terms of a launch: market, price, spread, and what the machines are given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skyfleet_core::{
    ErrorKind, Instance, InstanceState, LaunchRequest, Market, Offer, OfferId, OfferQuery, Price, Spread,
    UsdPerHour,
};

use super::adds_up;
use crate::bed::{Bed, Fleet, ids, summary};
use crate::case::{Proof, ensure, pull};

pub(super) async fn spot_asked_is_spot_obtained(bed: &Bed) -> Proof {
    obtained_as_asked(bed, Market::Spot).await
}

pub(super) async fn on_demand_asked_is_on_demand_obtained(bed: &Bed) -> Proof {
    obtained_as_asked(bed, Market::OnDemand).await
}

async fn obtained_as_asked(bed: &Bed, market: Market) -> Proof {
    let fleet = bed.fleet(market, 2).await?;
    let request = fleet.request(0, 4);
    let launched = bed.provider.launch(&request).await?;
    adds_up(&request, &launched)?;
    ensure!(!launched.instances.is_empty(), "cheap {market} pools gave nothing; {}", summary(&launched));
    let wanted = ids(&launched.instances);
    let listed = bed
        .until("the list to show the launch", &fleet.selector(), |list| {
            wanted.iter().all(|id| list.iter().any(|i| i.id == *id))
        })
        .await?;
    for instance in launched.instances.iter().chain(&listed) {
        ensure!(
            instance.offer.market == market,
            "{} was asked for, {} is {}",
            market,
            instance.id,
            instance.offer
        );
    }
    Ok(())
}

pub(super) async fn spot_is_refused_where_there_is_none(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let mut request = LaunchRequest { market: Market::Spot, ..fleet.request(0, 1) };
    request.pools[0].offer.market = Market::Spot;
    bed.refused(&request, ErrorKind::Unsupported).await
}

pub(super) async fn a_highest_price_is_honoured(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::Spot, 2).await?;
    let price = |pool: &Offer| pool.price.known().expect("the suite's pools have a price");

    let mut low = fleet.request(0, 2);
    for (bid, pool) in low.pools.iter_mut().zip(&fleet.pools) {
        bid.price_max = Some(UsdPerHour::from_micros(price(pool).micros() / 2));
    }
    let launched = bed.provider.launch(&low).await?;
    adds_up(&low, &launched)?;
    let caps = caps(&low);
    for instance in &launched.instances {
        let cap = caps.get(&instance.offer).copied().flatten();
        ensure!(
            matches!((instance.price, cap), (Price::Known(price), Some(cap)) if price <= cap),
            "{} costs {}, the bid for {} was at most {cap:?}",
            instance.id,
            instance.price,
            instance.offer
        );
    }

    let mut high = fleet.request(1, 2);
    for (bid, pool) in high.pools.iter_mut().zip(&fleet.pools) {
        bid.price_max = Some(UsdPerHour::from_micros(price(pool).micros() * 4));
    }
    let launched = bed.provider.launch(&high).await?;
    adds_up(&high, &launched)?;
    ensure!(!launched.instances.is_empty(), "four times the price bought nothing; {}", summary(&launched));
    Ok(())
}

pub(super) async fn a_highest_price_is_refused_where_it_cannot_be_kept(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let mut request = fleet.request(0, 1);
    request.pools[0].price_max = fleet.pools[0].price.known();
    bed.refused(&request, ErrorKind::Unsupported).await
}

pub(super) async fn the_price_stays_as_it_was_at_launch(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 1).await?;
        let fleet = bed.prepare(bed.blueprint(&bed.owner, &format!("price-{market}"), &pools), pools).await?;
        let launched = bed.launch_all(&fleet.request(0, 2)).await?;
        let at_launch: BTreeMap<_, _> = launched.iter().map(|i| (i.id.clone(), i.price)).collect();
        for _ in 0..4 {
            for instance in bed.provider.list(&fleet.selector()).await? {
                let then = at_launch.get(&instance.id);
                ensure!(
                    then == Some(&instance.price),
                    "{}: {:?} at launch, {} now",
                    instance.id,
                    then,
                    instance.price
                );
                ensure!(instance.price.known() != Some(UsdPerHour::ZERO), "{} costs nothing", instance.id);
            }
            bed.clock.sleep(Duration::from_secs(3_600)).await;
        }
    }
    Ok(())
}

pub(super) async fn single_zone_is_one_zone(bed: &Bed) -> Proof {
    let fleet = across_zones(bed, Market::OnDemand).await?;
    let request = LaunchRequest { spread: Spread::SingleZone, ..fleet.request(0, 6) };
    let launched = bed.provider.launch(&request).await?;
    adds_up(&request, &launched)?;
    let zones: BTreeSet<_> = launched.instances.iter().map(|i| &i.offer.zone).collect();
    ensure!(zones.len() == 1, "one zone was asked for, obtained {zones:?}; {}", summary(&launched));
    Ok(())
}

pub(super) async fn an_even_spread_uses_more_than_one_pool(bed: &Bed) -> Proof {
    // Where there is a spot market it is about that one: nobody reclaims the others.
    let market = if bed.capability().spot { Market::Spot } else { Market::OnDemand };
    let fleet = across_zones(bed, market).await?;
    let instances = bed.launch_all(&LaunchRequest { spread: Spread::Even, ..fleet.request(0, 6) }).await?;
    let pools: BTreeSet<_> = instances.iter().map(|i| &i.offer).collect();
    ensure!(pools.len() > 1, "6 instances over {} pools all came from {pools:?}", fleet.pools.len());
    Ok(())
}

pub(super) async fn to_prepare_again_makes_nothing(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let before = bed.provider.inventory(&bed.owner).await?;
    let again = bed.provider.prepare(&fleet.blueprint).await?;
    ensure!(again == fleet.prepared, "the second call gave {again:?}, the first {:?}", fleet.prepared);
    let after = bed.provider.inventory(&bed.owner).await?;
    ensure!(before == after, "the second call made something: {before:?} before, {after:?} after");
    Ok(())
}

pub(super) async fn a_refused_blueprint_makes_nothing(bed: &Bed) -> Proof {
    let pools = bed.pools(Market::OnDemand, 1).await?;
    let good = bed.blueprint(&bed.owner, "refused", &pools);
    let mut nowhere = good.clone();
    // The good region first: what was made there before the bad one was seen must go again.
    nowhere.regions.push("atlantis-1".into());
    let mut no_image = good;
    no_image.image = "no-such-image-anywhere".to_owned();
    for bad in [nowhere, no_image] {
        match bed.provider.prepare(&bad).await {
            Ok(prepared) => ensure!(false, "{:?}, image {}: {prepared:?}", bad.regions, bad.image),
            Err(error) => ensure!(error.kind() == ErrorKind::InvalidRequest, "{error}"),
        }
    }
    bed.clock.sleep(Duration::from_secs(90)).await;
    let inventory = bed.provider.inventory(&bed.owner).await?;
    ensure!(inventory.proves_empty(), "refused, and yet there is {inventory:?}");
    Ok(())
}

pub(super) async fn a_public_address_only_when_asked(bed: &Bed) -> Proof {
    let pools = bed.pools(Market::OnDemand, 1).await?;
    for public_ip in [false, true] {
        let mut blueprint = bed.blueprint(&bed.owner, if public_ip { "open" } else { "closed" }, &pools);
        blueprint.public_ip = public_ip;
        let fleet = bed.prepare(blueprint, pools.clone()).await?;
        bed.launch_all(&fleet.request(0, 2)).await?;
        let listed = bed.until("two running instances", &fleet.selector(), |list| running(list) == 2).await?;
        for instance in listed {
            ensure!(
                instance.public_ip.is_some() == public_ip,
                "public_ip = {public_ip}, and {} has {:?}",
                instance.id,
                instance.public_ip
            );
        }
    }
    Ok(())
}

pub(super) async fn user_data_reaches_the_instance(bed: &Bed) -> Proof {
    let pools = bed.pools(Market::OnDemand, 1).await?;
    let mut blueprint = bed.blueprint(&bed.owner, "script", &pools);
    blueprint.user_data = "#!/bin/sh\nprintf '%s\\n' \"a 'quoted' ünïcode line\" > /tmp/x\n".into();
    let fleet = bed.prepare(blueprint, pools).await?;
    for instance in bed.launch_all(&fleet.request(0, 2)).await? {
        let given = pull(&bed.levers.user_data)(&instance.id)?;
        ensure!(given == *fleet.blueprint.user_data, "{} was given {given:?}", instance.id);
    }
    Ok(())
}

pub(super) async fn an_instance_ends_at_its_expiry(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let expires = bed.in_future(Duration::from_secs(1_800));
    bed.launch_all(&LaunchRequest { expires: Some(expires), ..fleet.request(0, 2) }).await?;
    bed.until("two running instances", &fleet.selector(), |list| running(list) == 2).await?;
    let left = Duration::try_from(expires.duration_since(bed.clock.now())).unwrap_or_default();
    bed.clock.sleep(left).await;
    bed.until("the instances to end by themselves", &fleet.selector(), |list| {
        list.iter().all(|i| !i.state.is_alive())
    })
    .await?;
    Ok(())
}

pub(super) async fn what_comes_with_an_instance_is_tagged_from_the_start(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 2).await?;
        let mut blueprint = bed.blueprint(&bed.owner, &format!("tags-{market}"), &pools);
        blueprint.public_ip = true;
        let fleet = bed.prepare(blueprint, pools).await?;
        all_tagged(bed, "after the preparation")?;
        bed.launch_all(&fleet.request(0, 3)).await?;
        all_tagged(bed, "after the launch")?;
        bed.until("three running instances", &fleet.selector(), |list| running(list) == 3).await?;
        all_tagged(bed, "when the instances run")?;
    }
    Ok(())
}

fn all_tagged(bed: &Bed, when: &str) -> Proof {
    let untagged = pull(&bed.levers.untagged)();
    ensure!(untagged.is_empty(), "{when} there is without an owner: {}", untagged.join("; "));
    Ok(())
}

fn caps(request: &LaunchRequest) -> BTreeMap<OfferId, Option<UsdPerHour>> {
    request.pools.iter().map(|bid| (bid.offer.clone(), bid.price_max)).collect()
}

fn running(list: &[Instance]) -> usize {
    list.iter().filter(|i| i.state == InstanceState::Running).count()
}

/// A fleet over one cheap type in each zone of a region that sells it in at least two.
async fn across_zones(bed: &Bed, market: Market) -> Proof<Fleet> {
    let cheapest = bed.pools(market, 1).await?.remove(0);
    let query = OfferQuery {
        regions: vec![cheapest.region.clone()],
        instance_types: vec![cheapest.instance_type.name.clone()],
        markets: vec![market],
        ..OfferQuery::default()
    };
    let pools = bed.provider.offers(&query).await?;
    ensure!(pools.len() > 1, "{} is sold in one zone only", cheapest.id());
    bed.prepare(bed.blueprint(&bed.owner, "zones", &pools), pools).await
}
