//! A thousand instances through azure_mgmt_compute and plain Resource Manager, against Azure's
//! documented limits and boot times: how soon they are there, and how few calls it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use skyfleet_core::{Arch, Clock, Cursor, InstanceState, Market, Selector};

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::customer;

fn sum(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

#[tokio::test]
async fn a_thousand_instances_are_ready_in_150_seconds_by_one_request_and_gone_by_one() {
    let bed = customer(7).unwrap();
    let sizes = ["Standard_D2s_v5", "Standard_D2as_v5", "Standard_D2ds_v5"];
    let pools = bed.pools(&sizes, Market::Spot).await.unwrap();
    assert_eq!(pools.len(), 9, "three sizes in three zones: {pools:?}");
    let prepared = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap();
    let (before, begun) = (bed.bench.calls(), bed.bench.clock.now());

    let launched = bed.provider.launch(&bed.request(&prepared, pools, 1_000)).await.unwrap();
    assert_eq!(
        (launched.instances.len(), launched.shortfalls.len()),
        (1_000, 0),
        "{:?}",
        launched.shortfalls
    );
    let up = bed.bench.calls_since(&before);
    assert_eq!(up.get("fleets.PUT"), Some(&1), "{up:?}");
    assert!(sum(&up) <= 3, "the request, its machines, and all machines: {up:?}");

    // Waiting costs no calls: one look when the last one should be up.
    let spent = Duration::try_from(bed.bench.clock.now().duration_since(begun)).unwrap();
    bed.bench.clock.sleep(Duration::from_secs(150).saturating_sub(spent)).await;
    let took = bed.bench.clock.now().duration_since(begun).as_secs();
    let (before, watched) = (bed.bench.calls(), Selector::fleet(&bed.owner, &bed.fleet));
    let list = bed.provider.list(&watched).await.unwrap();
    let running = list.iter().filter(|instance| instance.state == InstanceState::Running).count();
    assert!(took <= 150, "{took} s");
    assert_eq!((list.len(), running), (1_000, 1_000), "after {took} s");
    assert!(list.iter().all(|instance| instance.private_ip.is_some() && instance.public_ip.is_none()));
    assert!(sum(&bed.bench.calls_since(&before)) <= 3, "{:?}", bed.bench.calls_since(&before));

    // A look for preemptions reads what Azure noted of the group in the last hour, two hundred entries
    // to a page: that a thousand machines came is among it.
    let before = bed.bench.calls();
    let start = bed.provider.preemptions(&watched, &Cursor::start()).await.unwrap();
    assert!(start.preemptions.is_empty(), "{start:?}");
    assert!(sum(&bed.bench.calls_since(&before)) <= 6, "{:?}", bed.bench.calls_since(&before));
    bed.bench.clock.sleep(Duration::from_secs(3_700)).await;
    let later = bed.provider.preemptions(&watched, &start.next).await.unwrap();
    let before = bed.bench.calls();
    let quiet = bed.provider.preemptions(&watched, &later.next).await.unwrap();
    assert!(quiet.preemptions.is_empty(), "{quiet:?}");
    assert_eq!(bed.bench.calls_since(&before), [("activityLogs.LIST".to_owned(), 1)].into());

    // Everything in the group is ours: it goes as a whole.
    let inventory = bed.provider.inventory(&bed.owner).await.unwrap();
    let before = bed.bench.calls();
    let receipt = bed.provider.delete(&inventory.resources).await.unwrap();
    assert!(receipt.pending.is_empty(), "{:?}", receipt.pending);
    let down = bed.bench.calls_since(&before);
    assert_eq!(down.get("resourceGroups.DELETE"), Some(&1), "{down:?}");
    // What is in the group is looked at before, a thousand things to a page.
    assert!(sum(&down) <= 7, "{down:?}");
    assert!(bed.provider.inventory(&bed.owner).await.unwrap().proves_empty());
    assert_eq!(bed.bench.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_thousand_instances_are_ended_by_the_hundred() {
    let bed = customer(7).unwrap();
    let pools = bed.pools(&["Standard_D2s_v5"], Market::OnDemand).await.unwrap();
    let prepared = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap();
    let launched = bed.provider.launch(&bed.request(&prepared, pools, 1_000)).await.unwrap();
    let ids: Vec<_> = launched.instances.into_iter().map(|instance| instance.id).collect();
    let (before, begun) = (bed.bench.calls(), bed.bench.clock.now());
    let receipt = bed.provider.terminate(&ids).await.unwrap();
    assert_eq!((receipt.ending.len(), receipt.gone.len()), (1_000, 0));
    let down = bed.bench.calls_since(&before);
    assert_eq!(down, [("virtualMachinesExecuteDelete.POST".to_owned(), 10)].into());
    let took = bed.bench.clock.now().duration_since(begun).as_secs();
    assert!(took <= 60, "{took} s");
    bed.bench.clock.sleep(Duration::from_secs(300)).await;
    assert!(bed.provider.list(&Selector::fleet(&bed.owner, &bed.fleet)).await.unwrap().is_empty());
    let left = bed.provider.inventory(&bed.owner).await.unwrap();
    let receipt = bed.provider.delete(&left.resources).await.unwrap();
    assert!(receipt.pending.is_empty(), "{:?}", receipt.pending);
    assert_eq!(bed.bench.leftovers(), Vec::<String>::new());
}
