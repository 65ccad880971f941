use std::collections::BTreeSet;
use std::time::Duration;

use skyfleet_core::layers::{Call, Fault as FaultLayer, Verdict};
use skyfleet_core::{Error, ErrorKind, Instance, LaunchRequest, Launched, Market, OfferId, Selector, Spread};

use crate::bed::{Bed, Fleet, ids, summary};
use crate::case::{
    ALL_OR_NOTHING, Case, FAIL, GUARDS, NATIVE_EXPIRY, NO_ALL_OR_NOTHING, NO_PRICE_MAX, NO_SPOT, PRICE_MAX,
    PROVOKES, Proof, ROOM, SPOT, UNTAGGED, USER_DATA, case, ensure, pull,
};
use crate::world::Failure;

mod terms;

use terms::*;

pub(crate) const CASES: &[Case] = &[
    case!("LAUNCH-1", a_launch_gives_what_was_asked),
    case!("LAUNCH-2", every_instance_carries_its_tags_from_the_first_look),
    case!("LAUNCH-3", a_token_buys_once),
    case!("LAUNCH-4", a_lost_answer_buys_nothing_twice, [PROVOKES]),
    case!("LAUNCH-4", an_answer_lost_by_the_cloud_buys_nothing_twice, [FAIL, PROVOKES]),
    case!("LAUNCH-4", the_layers_find_a_lost_launch_by_its_token, [GUARDS]),
    case!("LAUNCH-5", a_token_with_another_request_conflicts),
    case!("LAUNCH-6", a_partial_fill_is_reported_and_adds_up, [ROOM]),
    case!("LAUNCH-6", the_other_pools_fill_what_one_cannot, [ROOM]),
    case!("LAUNCH-7", no_room_at_all_is_a_shortfall, [ROOM]),
    case!("LAUNCH-8", all_or_nothing_leaves_nothing, [ALL_OR_NOTHING, ROOM]),
    case!("LAUNCH-8", all_or_nothing_gives_all, [ALL_OR_NOTHING]),
    case!("LAUNCH-9", all_or_nothing_is_refused_where_it_cannot_be_kept, [NO_ALL_OR_NOTHING, GUARDS]),
    case!("LAUNCH-10", spot_asked_is_spot_obtained, [SPOT]),
    case!("LAUNCH-10", on_demand_asked_is_on_demand_obtained),
    case!("LAUNCH-11", spot_is_refused_where_there_is_none, [NO_SPOT, GUARDS]),
    case!("LAUNCH-12", a_highest_price_is_honoured, [PRICE_MAX]),
    case!("LAUNCH-13", a_highest_price_is_refused_where_it_cannot_be_kept, [NO_PRICE_MAX, GUARDS]),
    case!("LAUNCH-14", the_price_stays_as_it_was_at_launch),
    case!("LAUNCH-15", unknown_zones_and_types_buy_nothing),
    case!("LAUNCH-16", single_zone_is_one_zone),
    case!("LAUNCH-17", an_even_spread_uses_more_than_one_pool),
    case!("LAUNCH-18", to_prepare_again_makes_nothing),
    case!("LAUNCH-19", a_refused_blueprint_makes_nothing),
    case!("LAUNCH-20", a_public_address_only_when_asked),
    case!("LAUNCH-21", user_data_reaches_the_instance, [USER_DATA]),
    case!("LAUNCH-22", an_instance_ends_at_its_expiry, [NATIVE_EXPIRY]),
    case!("LAUNCH-23", what_comes_with_an_instance_is_tagged_from_the_start, [UNTAGGED]),
];

async fn a_launch_gives_what_was_asked(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let request = fleet.request(0, 4);
    let launched = bed.provider.launch(&request).await?;
    adds_up(&request, &launched)?;
    ensure!(launched.shortfalls.is_empty(), "two cheap pools were asked for 4; {}", summary(&launched));
    for instance in &launched.instances {
        ensure!(
            instance.state.is_alive(),
            "{} is {} in the answer to its launch",
            instance.id,
            instance.state
        );
        ensure!(instance.region == request.region, "{} is in {}", instance.id, instance.region);
    }
    Ok(())
}

async fn every_instance_carries_its_tags_from_the_first_look(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let request = fleet.request(7, 3);
    let launched = bed.launch_all(&request).await?;
    let tagged = |instance: &Instance| {
        let blueprint = &fleet.blueprint;
        let right = instance.owner == blueprint.owner
            && instance.fleet == blueprint.fleet
            && instance.token == request.token
            && *instance.labels == blueprint.labels
            && instance.expires == request.expires;
        if right {
            Ok(())
        } else {
            Err(crate::case::Fault::new(format!("{instance:?} of {blueprint:?}, token {}", request.token)))
        }
    };
    launched.iter().try_for_each(tagged)?;
    // Whoever lists the owner sees whole instances only: from the first look on.
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        let listed = bed.provider.list(&Selector::owner(&bed.owner)).await?;
        listed.iter().try_for_each(tagged)?;
        seen.extend(ids(&listed));
        if seen.len() == launched.len() {
            return Ok(());
        }
        bed.clock.sleep(Duration::from_secs(1)).await;
    }
    ensure!(false, "of {} instances {} showed in a minute", launched.len(), seen.len());
    Ok(())
}

async fn a_token_buys_once(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 2).await?;
        let fleet = bed.prepare(bed.blueprint(&bed.owner, &format!("once-{market}"), &pools), pools).await?;
        let request = fleet.request(0, 3);
        let first = bed.launch_all(&request).await?;
        let again = bed.launch_all(&request).await?;
        same_ids(&first, &again)?;
        bed.clock.sleep(Duration::from_secs(900)).await;
        let later = bed.provider.launch(&request).await;
        // Spot instances may have been reclaimed meanwhile: then the token is spent.
        match later {
            Ok(later) => ensure!(
                later.instances.iter().all(|i| first.iter().any(|f| f.id == i.id)),
                "a quarter of an hour later the token bought {:?}",
                ids(&later.instances)
            ),
            Err(error) => ensure!(error.kind() == ErrorKind::Conflict, "a quarter of an hour later: {error}"),
        }
        only(bed, &first, &fleet).await?;
    }
    Ok(())
}

async fn a_lost_answer_buys_nothing_twice(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let request = fleet.request(0, 3);
    let deaf = losing_two_answers(bed).layer(bed.provider.clone());
    for _ in 0..2 {
        ensure!(deaf.launch(&request).await.is_err(), "a lost answer arrived");
    }
    let heard = deaf.launch(&request).await?;
    ensure!(heard.instances.len() == 3, "asked again under the same token: {}", summary(&heard));
    only(bed, &heard.instances, &fleet).await
}

async fn the_layers_find_a_lost_launch_by_its_token(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let layered = bed.layered(losing_two_answers(bed).layer(bed.bare.clone()));
    let launched = layered.launch(&fleet.request(0, 3)).await?;
    ensure!(launched.instances.len() == 3, "two answers were lost: {}", summary(&launched));
    only(bed, &launched.instances, &fleet).await
}

async fn an_answer_lost_by_the_cloud_buys_nothing_twice(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let request = fleet.request(0, 3);
    pull(&bed.levers.fail)(Failure::AnswerLost)?;
    match bed.provider.launch(&request).await {
        Ok(launched) => ensure!(false, "no answer got through; {}", summary(&launched)),
        Err(error) => ensure!(error.kind() == ErrorKind::Unavailable, "the answer was lost: {error}"),
    }
    pull(&bed.levers.calm)();
    let heard = bed.launch_all(&request).await?;
    only(bed, &heard, &fleet).await
}

async fn a_token_with_another_request_conflicts(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let request = fleet.request(0, 2);
    let first = bed.launch_all(&request).await?;
    let others = [
        LaunchRequest { count: 5, ..request.clone() },
        LaunchRequest { pools: request.pools[1..].to_vec(), ..request.clone() },
    ];
    for other in others {
        match bed.provider.launch(&other).await {
            Ok(launched) => {
                ensure!(false, "the spent token was taken for another request: {}", summary(&launched))
            }
            Err(error) => ensure!(error.kind() == ErrorKind::Conflict, "{error}"),
        }
    }
    only(bed, &first, &fleet).await
}

async fn a_partial_fill_is_reported_and_adds_up(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 1).await?;
        pull(&bed.levers.room)(&pools[0].id(), 2)?;
        let fleet = bed.prepare(bed.blueprint(&bed.owner, &format!("part-{market}"), &pools), pools).await?;
        let request = fleet.request(0, 5);
        let launched = bed.provider.launch(&request).await?;
        adds_up(&request, &launched)?;
        ensure!(launched.instances.len() == 2, "2 of 5 have room; {}", summary(&launched));
        only(bed, &launched.instances, &fleet).await?;
    }
    Ok(())
}

async fn the_other_pools_fill_what_one_cannot(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 3).await?;
    pull(&bed.levers.room)(&fleet.pools[0].id(), 0)?;
    for (attempt, spread) in [Spread::Packed, Spread::Even].into_iter().enumerate() {
        let request = LaunchRequest { spread, ..fleet.request(attempt as u32, 4) };
        let launched = bed.provider.launch(&request).await?;
        adds_up(&request, &launched)?;
        ensure!(
            launched.instances.len() == 4,
            "two of three pools have room, {spread:?}: {}",
            summary(&launched)
        );
        let closed = fleet.pools[0].id();
        ensure!(
            launched.instances.iter().all(|i| i.offer != closed),
            "{closed} has no room and gave instances"
        );
    }
    Ok(())
}

async fn no_room_at_all_is_a_shortfall(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    close(bed, &fleet, 0)?;
    let request = fleet.request(0, 3);
    let launched = bed.provider.launch(&request).await?;
    adds_up(&request, &launched)?;
    ensure!(launched.instances.is_empty(), "no pool has room; {}", summary(&launched));
    only(bed, &[], &fleet).await
}

async fn all_or_nothing_leaves_nothing(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    close(bed, &fleet, 3)?;
    let request = LaunchRequest { count_min: 5, ..fleet.request(0, 5) };
    let launched = bed.provider.launch(&request).await?;
    adds_up(&request, &launched)?;
    ensure!(launched.instances.is_empty(), "3 of 5 have room, all or nothing: {}", summary(&launched));
    only(bed, &[], &fleet).await
}

async fn all_or_nothing_gives_all(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let request = LaunchRequest { count_min: 5, ..fleet.request(0, 5) };
    let all = bed.launch_all(&request).await?;
    only(bed, &all, &fleet).await
}

async fn all_or_nothing_is_refused_where_it_cannot_be_kept(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    bed.refused(&LaunchRequest { count_min: 5, ..fleet.request(0, 5) }, ErrorKind::Unsupported).await
}

async fn unknown_zones_and_types_buy_nothing(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let known = fleet.pools[0].id();
    let unknown = [
        OfferId { zone: "atlantis-1z".into(), ..known.clone() },
        OfferId { instance_type: "quantum.42xlarge".into(), ..known },
    ];
    for (attempt, offer) in unknown.into_iter().enumerate() {
        let mut request = fleet.request(attempt as u32, 1);
        request.pools[0].offer = offer.clone();
        match bed.provider.launch(&request).await {
            Ok(launched) => ensure!(false, "{offer}: {}", summary(&launched)),
            Err(error) => ensure!(error.kind() == ErrorKind::InvalidRequest, "{offer}: {error}"),
        }
    }
    only(bed, &[], &fleet).await
}

/// The cloud launches twice, and twice nobody hears.
fn losing_two_answers(bed: &Bed) -> FaultLayer {
    let mut lost = 0;
    FaultLayer::new(bed.clock.clone()).rule(move |call| match call {
        Call::Launch(_) if lost < 2 => {
            lost += 1;
            Verdict::FailAfter(Error::new(ErrorKind::Unavailable, "the answer was lost on purpose"))
        }
        _ => Verdict::Pass,
    })
}

/// The counts of an answer add up, its instances are different ones, out of the asked pools.
fn adds_up(request: &LaunchRequest, launched: &Launched) -> Proof {
    let short: u32 = launched.shortfalls.iter().map(|shortfall| shortfall.count).sum();
    ensure!(
        launched.instances.len() as u64 + u64::from(short) == u64::from(request.count),
        "{} were asked for, {} obtained and {short} reported short",
        request.count,
        launched.instances.len()
    );
    let unique: BTreeSet<_> = launched.instances.iter().map(|i| &i.id).collect();
    ensure!(unique.len() == launched.instances.len(), "one id twice: {:?}", ids(&launched.instances));
    for instance in &launched.instances {
        let asked = request.pools.iter().any(|bid| bid.offer == instance.offer);
        ensure!(asked, "{} is {}, which was not asked for", instance.id, instance.offer);
    }
    Ok(())
}

fn same_ids(first: &[Instance], again: &[Instance]) -> Proof {
    let (first, again) = (ids(first), ids(again));
    let same = first.iter().collect::<BTreeSet<_>>() == again.iter().collect::<BTreeSet<_>>();
    ensure!(same, "first {first:?}, then {again:?}");
    Ok(())
}

/// Once late instances had time to show, the owner's living instances of the fleet are among these.
async fn only(bed: &Bed, bought: &[Instance], fleet: &Fleet) -> Proof {
    let alive = bed.settled(&bed.owner).await?;
    let more: Vec<_> = alive
        .iter()
        .filter(|i| i.fleet == fleet.blueprint.fleet && bought.iter().all(|b| b.id != i.id))
        .map(|i| &i.id)
        .collect();
    ensure!(more.is_empty(), "{} instances are known, and there live also {more:?}", bought.len());
    Ok(())
}

fn close(bed: &Bed, fleet: &Fleet, room: u32) -> Proof {
    for pool in &fleet.pools {
        pull(&bed.levers.room)(&pool.id(), room)?;
    }
    Ok(())
}
