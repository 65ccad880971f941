use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::layers::Fault as Stop;
use skyfleet_core::{
    Cursor, DeleteReceipt, ErrorKind, FleetBlueprint, InstanceId, Inventory, Market, Offer, Owner, Provider,
    Resource, ResourceKind, Result, Selector,
};

use crate::bed::{Bed, Fleet, ids};
use crate::case::{Case, Fault, PROVOKES, Proof, RECONNECT, case, ensure, pull};
use crate::runner;

pub(crate) const CASES: &[Case] = &[
    case!("TEARDOWN-1", terminated_instances_end),
    case!("TEARDOWN-2", to_terminate_again_or_the_unknown_succeeds),
    case!("TEARDOWN-3", a_termination_receipt_names_every_id_once),
    case!("TEARDOWN-4", a_neighbour_keeps_everything),
    case!("TEARDOWN-5", everything_goes),
    case!("TEARDOWN-6", the_inventory_holds_everything),
    case!("TEARDOWN-7", what_is_in_use_is_pending_and_goes_later),
    case!("TEARDOWN-8", to_delete_again_succeeds),
    case!("TEARDOWN-9", deleted_means_gone),
    case!("TEARDOWN-10", a_second_client_needs_only_the_owner, [RECONNECT]),
    case!("TEARDOWN-10", a_client_that_dies_at_any_call_leaves_nothing_behind, [RECONNECT, PROVOKES]),
    case!("TEARDOWN-11", an_inventory_holds_no_neighbours_things),
];

async fn terminated_instances_end(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::OnDemand, 3).await?;
    bed.provider.terminate(&ids[..2]).await?;
    let list = bed
        .until("the terminated instances to end", &fleet.selector(), |list| {
            list.iter().all(|i| !ids[..2].contains(&i.id) || !i.state.is_alive())
        })
        .await?;
    let third = list.iter().find(|i| i.id == ids[2]);
    ensure!(third.is_some_and(|i| i.state.is_alive()), "nobody ended {}: {third:?}", ids[2]);
    Ok(())
}

async fn to_terminate_again_or_the_unknown_succeeds(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::OnDemand, 2).await?;
    bed.provider.terminate(&["never-was".into()]).await?;
    bed.provider.terminate(&[]).await?;
    let mut mixed = vec![InstanceId::from("never-was")];
    mixed.extend(ids.iter().cloned());
    bed.provider.terminate(&mixed).await?;
    bed.provider.terminate(&ids).await?;
    bed.until("the instances beside an unknown id to end", &fleet.selector(), |list| {
        list.iter().all(|i| !i.state.is_alive())
    })
    .await?;
    // Long after, when the cloud has forgotten them.
    bed.clock.sleep(Duration::from_secs(3 * 3_600)).await;
    bed.provider.terminate(&ids).await?;
    Ok(())
}

async fn a_termination_receipt_names_every_id_once(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::OnDemand, 2).await?;
    let mut asked = vec![InstanceId::from("never-was")];
    asked.extend(ids.iter().cloned());
    let receipt = bed.provider.terminate(&asked).await?;
    let mut named: Vec<_> = receipt.ending.iter().chain(&receipt.gone).cloned().collect();
    named.sort();
    asked.sort();
    ensure!(named == asked, "asked to end {asked:?}, named {receipt:?}");
    ensure!(receipt.gone.contains(&"never-was".into()), "an id that never was is ending: {receipt:?}");
    ensure!(
        ids.iter().all(|id| receipt.ending.contains(id)),
        "running instances are called gone: {receipt:?}"
    );

    bed.until("the instances to end", &fleet.selector(), |list| list.iter().all(|i| !i.state.is_alive()))
        .await?;
    bed.clock.sleep(Duration::from_secs(3 * 3_600)).await;
    let receipt = bed.provider.terminate(&ids).await?;
    ensure!(receipt.ending.is_empty() && receipt.gone.len() == 2, "three hours after their end: {receipt:?}");
    Ok(())
}

async fn a_neighbour_keeps_everything(bed: &Bed) -> Proof {
    let (their_fleet, theirs) = bed.running(&bed.neighbour, Market::OnDemand, 2).await?;
    let before = inventory(bed, &bed.neighbour).await?;
    let (_, ours) = bed.running(&bed.owner, Market::OnDemand, 2).await?;
    bed.provider.terminate(&ours).await?;
    runner::sweep(&bed.provider, &bed.clock, &Default::default(), &[&bed.owner]).await.map_err(Fault::new)?;
    let alive = bed.provider.list(&their_fleet.selector()).await?;
    let alive: Vec<_> = alive.iter().filter(|i| i.state.is_alive()).map(|i| i.id.clone()).collect();
    ensure!(
        theirs.iter().all(|id| alive.contains(id)),
        "the neighbour had {theirs:?}, and after our teardown {alive:?}"
    );
    let after = inventory(bed, &bed.neighbour).await?;
    let lost: Vec<_> = before.resources.iter().filter(|r| !has(&after.resources, r)).collect();
    ensure!(lost.is_empty(), "after our teardown the neighbour misses {lost:?}");
    Ok(())
}

async fn everything_goes(bed: &Bed) -> Proof {
    // Every kind of thing that a blueprint can ask for, on every market, two fleets, one spread
    // over two regions.
    for market in bed.markets() {
        let mut pools = bed.pools(market, 2).await?;
        let elsewhere = bed.provider.offers(&Default::default()).await?.into_iter().find(|offer| {
            offer.market == market
                && offer.region != pools[0].region
                && offer.instance_type.arch == pools[0].instance_type.arch
        });
        let mut blueprint = bed.blueprint(&bed.owner, &format!("all-{market}"), &pools);
        blueprint.public_ip = true;
        blueprint.inbound_ports = vec![22, 443];
        if let Some(other) = elsewhere {
            blueprint.regions.push(other.region.clone());
            blueprint.regions.sort();
        }
        pools.truncate(1);
        let fleet = bed.prepare(blueprint, pools).await?;
        bed.launch_all(&fleet.request(0, 2)).await?;
        bed.until("the launch to be listed", &fleet.selector(), |list| list.len() == 2).await?;
    }
    runner::sweep(&bed.provider, &bed.clock, &bed.levers, &[&bed.owner]).await.map_err(Fault::new)
}

async fn the_inventory_holds_everything(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::OnDemand, 2).await?;
    let inventory = inventory(bed, &bed.owner).await?;
    for made in &fleet.prepared.resources {
        ensure!(
            has(&inventory.resources, made),
            "prepare made {made:?}, the inventory has {:?}",
            names(&inventory)
        );
    }
    let instances: BTreeSet<_> = instances(&inventory).collect();
    ensure!(
        ids.iter().all(|id| instances.contains(id)),
        "{ids:?} live, the inventory has {:?}",
        names(&inventory)
    );
    let unnamed =
        inventory.resources.iter().find(|r| r.fleet.as_ref().is_some_and(|f| *f != fleet.blueprint.fleet));
    ensure!(unnamed.is_none(), "there is one fleet, and there is {unnamed:?}");
    Ok(())
}

async fn what_is_in_use_is_pending_and_goes_later(bed: &Bed) -> Proof {
    bed.running(&bed.owner, Market::OnDemand, 2).await?;
    let mut inventory = inventory(bed, &bed.owner).await?;
    inventory.resources.retain(|resource| resource.kind != ResourceKind::Instance);
    // While the instances still run, and once more while they are dying.
    for dying in [false, true] {
        if dying {
            let alive = ids(&bed.provider.list(&Selector::owner(&bed.owner)).await?);
            bed.provider.terminate(&alive).await?;
        }
        let receipt = bed.provider.delete(&inventory.resources).await?;
        receipt_is_whole(&inventory.resources, &receipt)?;
    }
    runner::sweep(&bed.provider, &bed.clock, &bed.levers, &[&bed.owner]).await.map_err(Fault::new)
}

async fn to_delete_again_succeeds(bed: &Bed) -> Proof {
    bed.running(&bed.owner, Market::OnDemand, 2).await?;
    let before = inventory(bed, &bed.owner).await?;
    runner::sweep(&bed.provider, &bed.clock, &bed.levers, &[&bed.owner]).await.map_err(Fault::new)?;
    let receipt = bed.provider.delete(&before.resources).await?;
    ensure!(receipt.pending.is_empty(), "long gone, and pending: {:?}", receipt.pending);
    receipt_is_whole(&before.resources, &receipt)?;
    let nothing = bed.provider.delete(&[]).await?;
    ensure!(nothing == DeleteReceipt::default(), "nothing was to be deleted: {nothing:?}");
    Ok(())
}

async fn deleted_means_gone(bed: &Bed) -> Proof {
    bed.running(&bed.owner, Market::OnDemand, 2).await?;
    for round in 0..200 {
        let before = inventory(bed, &bed.owner).await?;
        if before.proves_empty() {
            ensure!(round > 0, "two instances run, and the inventory is empty");
            return Ok(());
        }
        let receipt = bed.provider.delete(&before.resources).await?;
        bed.clock.sleep(bed.staleness()).await;
        let after = inventory(bed, &bed.owner).await?;
        let back = receipt.deleted.iter().find(|resource| has(&after.resources, resource));
        ensure!(back.is_none(), "called deleted, and in the inventory: {back:?}");
        bed.clock.sleep(Duration::from_secs(15)).await;
    }
    Err(Fault::new("200 rounds of deleting, 15 s apart, and still not empty"))
}

async fn a_second_client_needs_only_the_owner(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::OnDemand, 2).await?;
    let second = pull(&bed.levers.reconnect)()?.provider;
    let inventory = second.inventory(&bed.owner).await?;
    let found: BTreeSet<_> = instances(&inventory).collect();
    ensure!(
        ids.iter().all(|id| found.contains(id)),
        "{ids:?} run, the second client finds {:?}",
        names(&inventory)
    );
    for made in &fleet.prepared.resources {
        ensure!(has(&inventory.resources, made), "the second client does not find {made:?}");
    }
    runner::sweep(&second, &bed.clock, &bed.levers, &[&bed.owner]).await.map_err(Fault::new)
}

async fn a_client_that_dies_at_any_call_leaves_nothing_behind(bed: &Bed) -> Proof {
    let pools = bed.pools(Market::OnDemand, 2).await?;
    let second = pull(&bed.levers.reconnect)()?.provider;
    for calls in 0u32.. {
        let blueprint = bed.blueprint(&bed.owner, &format!("crash-{calls}"), &pools);
        let mortal = Stop::new(bed.clock.clone()).stop_after(calls as usize);
        let died = match life(&mortal.layer(bed.provider.clone()), &blueprint, &pools).await {
            Ok(()) => false,
            Err(error) if Stop::is_stop(&error) => true,
            Err(error) => return Err(error.into()),
        };
        // The successor knows owner and fleet, so it makes the same launch again.
        let prepared = second.prepare(&blueprint).await?;
        let request = Fleet { blueprint, pools: pools.clone(), prepared }.request(0, 2);
        let bought: BTreeSet<_> = match second.launch(&request).await {
            Ok(launched) => ids(&launched.instances).into_iter().collect(),
            // What the first one bought has ended: the token is spent.
            Err(error) if error.kind() == ErrorKind::Conflict => BTreeSet::new(),
            Err(error) => return Err(error.into()),
        };
        let alive = bed.settled(&bed.owner).await?;
        let more: Vec<_> = alive.iter().filter(|i| !bought.contains(&i.id)).map(|i| &i.id).collect();
        ensure!(more.is_empty(), "a client died after {calls} calls, and {more:?} were bought twice");
        runner::sweep(&second, &bed.clock, &bed.levers, &[&bed.owner]).await.map_err(Fault::new)?;
        if !died {
            ensure!(calls >= 5, "a whole life took {calls} calls");
            return Ok(());
        }
    }
    Ok(())
}

/// All that a client does with a fleet, without a look to the left or right.
async fn life(provider: &Arc<dyn Provider>, blueprint: &FleetBlueprint, pools: &[Offer]) -> Result<()> {
    let prepared = provider.prepare(blueprint).await?;
    let fleet = Fleet { blueprint: blueprint.clone(), pools: pools.to_vec(), prepared };
    let launched = provider.launch(&fleet.request(0, 2)).await?;
    provider.list(&fleet.selector()).await?;
    provider.preemptions(&fleet.selector(), &Cursor::start()).await?;
    provider.terminate(&ids(&launched.instances)).await?;
    let inventory = provider.inventory(&blueprint.owner).await?;
    provider.delete(&inventory.resources).await.map(drop)
}

async fn an_inventory_holds_no_neighbours_things(bed: &Bed) -> Proof {
    let (their_fleet, theirs) = bed.running(&bed.neighbour, Market::OnDemand, 1).await?;
    let (our_fleet, ours): (Fleet, _) = bed.running(&bed.owner, Market::OnDemand, 1).await?;
    for (owner, strangers, fleet) in
        [(&bed.owner, &theirs, &their_fleet), (&bed.neighbour, &ours, &our_fleet)]
    {
        let inventory = inventory(bed, owner).await?;
        let stranger = instances(&inventory).find(|id| strangers.contains(id));
        ensure!(stranger.is_none(), "{stranger:?} is not {owner}'s");
        let stranger = inventory.resources.iter().find(|r| has(&fleet.prepared.resources, r));
        ensure!(stranger.is_none(), "{stranger:?} is not {owner}'s");
    }
    Ok(())
}

async fn inventory(bed: &Bed, owner: &Owner) -> Proof<Inventory> {
    let inventory = bed.provider.inventory(owner).await?;
    ensure!(inventory.unreached.is_empty(), "not reached: {:?}", inventory.unreached);
    Ok(inventory)
}

/// Every resource that was to be deleted is deleted or pending, once.
fn receipt_is_whole(asked: &[Resource], receipt: &DeleteReceipt) -> Proof {
    let pending = receipt.pending.iter().map(|leftover| &leftover.resource);
    let mut named: Vec<_> = receipt.deleted.iter().chain(pending).map(key).collect();
    let mut asked: Vec<_> = asked.iter().map(key).collect();
    named.sort();
    asked.sort();
    ensure!(named == asked, "asked to delete {asked:?}, the receipt names {named:?}");
    Ok(())
}

fn key(resource: &Resource) -> (ResourceKind, &str, &str) {
    (resource.kind, &resource.id, resource.region.as_str())
}

fn has(resources: &[Resource], one: &Resource) -> bool {
    resources.iter().any(|resource| key(resource) == key(one))
}

fn names(inventory: &Inventory) -> Vec<String> {
    inventory.resources.iter().map(|r| format!("{} {}", r.kind, r.id)).collect()
}

fn instances(inventory: &Inventory) -> impl Iterator<Item = InstanceId> {
    let instances = inventory.resources.iter().filter(|r| r.kind == ResourceKind::Instance);
    instances.map(|r| InstanceId::new(r.id.clone()))
}
