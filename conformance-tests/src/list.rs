use std::collections::{BTreeMap, BTreeSet};

use skyfleet_core::{Instance, InstanceId, InstanceState, Market, Selector};

use crate::bed::{Bed, LOOK, PATIENCE, ids};
use crate::case::{CROWD, Case, Proof, case, ensure};

pub(crate) const CASES: &[Case] = &[
    case!("LIST-1", a_crowd_is_listed_whole, [CROWD]),
    case!("LIST-1", two_launches_are_listed_whole),
    case!("LIST-2", other_owners_and_fleets_are_invisible),
    case!("LIST-3", a_late_instance_is_not_a_gone_one),
    case!("LIST-4", unknown_and_new_ids_are_no_error),
    case!("LIST-5", the_list_agrees_with_the_launch),
    case!("LIST-6", states_only_move_forward),
    case!("LIST-7", instances_come_up_in_time),
];

async fn a_crowd_is_listed_whole(bed: &Bed) -> Proof {
    let (fleet, bought) = bed.crowd().await?;
    listed_whole(bed, &fleet.selector(), &bought).await
}

async fn two_launches_are_listed_whole(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let mut bought = BTreeSet::new();
    for attempt in 0..2 {
        bought.extend(ids(&bed.launch_all(&fleet.request(attempt, 3)).await?));
    }
    listed_whole(bed, &fleet.selector(), &bought).await?;
    listed_whole(bed, &Selector::owner(&bed.owner), &bought).await
}

async fn listed_whole(bed: &Bed, selector: &Selector, bought: &BTreeSet<InstanceId>) -> Proof {
    let list = bed
        .until("the list to be complete", selector, |list| {
            let listed: BTreeSet<_> = list.iter().map(|i| &i.id).collect();
            bought.iter().all(|id| listed.contains(id))
        })
        .await?;
    ensure!(list.len() == bought.len(), "{} were bought, {} are listed", bought.len(), list.len());
    Ok(())
}

async fn other_owners_and_fleets_are_invisible(bed: &Bed) -> Proof {
    let pools = bed.pools(Market::OnDemand, 1).await?;
    let mut fleets = Vec::new();
    for (owner, name) in [(&bed.owner, "words"), (&bed.owner, "other"), (&bed.neighbour, "words")] {
        let fleet = bed.prepare(bed.blueprint(owner, name, &pools), pools.clone()).await?;
        let bought = ids(&bed.launch_all(&fleet.request(0, 2)).await?);
        fleets.push((fleet, bought));
    }
    // Every one of the three shows in its own list first, so that an empty answer proves nothing.
    for (fleet, bought) in &fleets {
        bed.until("the launch to be listed", &fleet.selector(), |list| list.len() >= bought.len()).await?;
    }
    let [(words, ours), (_, other), (_, theirs)] = &fleets[..] else { unreachable!("three were made") };
    let exactly = async |what: &str, selector: &Selector, expected: &[&[InstanceId]]| {
        let expected: BTreeSet<_> = expected.iter().copied().flatten().cloned().collect();
        let listed: BTreeSet<_> = ids(&bed.provider.list(selector).await?).into_iter().collect();
        ensure!(listed == expected, "{what}: {expected:?} is meant, {listed:?} is listed");
        Ok(())
    };
    exactly("the owner", &Selector::owner(&bed.owner), &[ours, other]).await?;
    exactly("the fleet", &words.selector(), &[ours]).await?;
    let one = vec![ours[0].clone()];
    exactly("one id", &Selector { ids: one.clone(), ..words.selector() }, &[&one]).await?;
    exactly("a neighbour's id", &Selector { ids: theirs.clone(), ..Selector::owner(&bed.owner) }, &[])
        .await?;
    exactly("another fleet's id", &Selector { ids: other.clone(), ..words.selector() }, &[]).await
}

async fn a_late_instance_is_not_a_gone_one(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let bought = ids(&bed.launch_all(&fleet.request(0, 4)).await?);
    let end = bed.clock.now() + PATIENCE;
    let mut seen = BTreeSet::new();
    while bed.clock.now() < end {
        let list = bed.provider.list(&fleet.selector()).await?;
        for id in &bought {
            match list.iter().find(|instance| instance.id == *id) {
                Some(instance) => {
                    ensure!(instance.state.is_alive(), "nobody ended {id}, and it is {}", instance.state);
                    seen.insert(id.clone());
                }
                None => ensure!(!seen.contains(id), "{id} was listed, lives, and is not listed any more"),
            }
        }
        bed.clock.sleep(LOOK).await;
    }
    ensure!(
        seen.len() == bought.len(),
        "of {} instances {} showed in {} s",
        bought.len(),
        seen.len(),
        PATIENCE.as_secs()
    );
    Ok(())
}

async fn unknown_and_new_ids_are_no_error(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let bought = ids(&bed.launch_all(&fleet.request(0, 2)).await?);
    // At once, while the cloud may not know them yet.
    let selector = |ids: Vec<InstanceId>| Selector { ids, ..Selector::owner(&bed.owner) };
    bed.provider.list(&selector(bought.clone())).await?;
    let mut mixed = vec!["never-was".into()];
    mixed.extend(bought.clone());
    bed.until("the known ones beside an unknown id", &selector(mixed), |list| list.len() == bought.len())
        .await?;
    let unknown = bed.provider.list(&selector(vec!["never-was".into()])).await?;
    ensure!(unknown.is_empty(), "an id that never was is listed: {:?}", ids(&unknown));
    Ok(())
}

async fn the_list_agrees_with_the_launch(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 2).await?;
        let fleet = bed.prepare(bed.blueprint(&bed.owner, &format!("same-{market}"), &pools), pools).await?;
        let launched = bed.launch_all(&fleet.request(0, 3)).await?;
        let list =
            bed.until("the launch to be listed", &fleet.selector(), |l| l.len() == launched.len()).await?;
        for before in &launched {
            let after = list.iter().find(|i| i.id == before.id);
            let same = |i: &Instance| {
                let lasting = |i: &Instance| {
                    let Instance {
                        owner, fleet, token, offer, region, price, launched, labels, expires, ..
                    } = i;
                    (
                        (owner.clone(), fleet.clone(), token.clone(), offer.clone(), region.clone()),
                        (*price, *launched, labels.clone(), *expires),
                    )
                };
                lasting(i) == lasting(before)
            };
            ensure!(after.is_some_and(same), "the launch said {before:?}, the list says {after:?}");
        }
    }
    Ok(())
}

async fn states_only_move_forward(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 2).await?;
    let launched = bed.launch_all(&fleet.request(0, 4)).await?;
    let mut states: BTreeMap<InstanceId, InstanceState> =
        launched.iter().map(|i| (i.id.clone(), i.state)).collect();
    let mut watch = async |rounds: u32| {
        for _ in 0..rounds {
            for instance in bed.provider.list(&fleet.selector()).await? {
                let Some(last) = states.get_mut(&instance.id) else {
                    ensure!(false, "{} was not launched", instance.id);
                    continue;
                };
                ensure!(*last <= instance.state, "{} went from {last} to {}", instance.id, instance.state);
                *last = instance.state;
            }
            bed.clock.sleep(LOOK).await;
        }
        Ok(())
    };
    watch(60).await?;
    bed.provider.terminate(&ids(&launched)).await?;
    watch(120).await
}

async fn instances_come_up_in_time(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pools = bed.pools(market, 2).await?;
        let fleet = bed.prepare(bed.blueprint(&bed.owner, &format!("up-{market}"), &pools), pools).await?;
        let launched = bed.launch_all(&fleet.request(0, 3)).await?;
        let list = bed
            .until("every instance to run", &fleet.selector(), |list| {
                list.len() == launched.len() && list.iter().all(|i| i.state >= InstanceState::Running)
            })
            .await?;
        for instance in list.iter().filter(|i| i.state == InstanceState::Running) {
            ensure!(instance.private_ip.is_some(), "{} runs and has no private address", instance.id);
        }
    }
    Ok(())
}
