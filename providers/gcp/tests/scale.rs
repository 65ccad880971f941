//! A thousand instances through the official SDK, against Compute Engine's documented quotas and
//! boot times: how soon they are there, and how few calls it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use skyfleet_conformance::simcloud::Customer;
use skyfleet_core::{
    Arch, Clock, Cursor, ErrorKind, InstanceState, LaunchRequest, Market, Selector, Spread, Token, Zone,
};

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::customer;

/// From now on a zone has room for so many machines of a type.
fn close(bed: &Customer, zone: &Zone, name: &str, room: u32) {
    let fault = serde_json::json!({
        "kind": "capacity", "zone": zone, "instance_type": name, "market": "all", "available": room,
    });
    bed.bench.inject(fault).unwrap();
}

async fn end(bed: &Customer) {
    let watched = Selector::fleet(&bed.owner, &bed.fleet);
    let ids: Vec<_> = bed.provider.list(&watched).await.unwrap().into_iter().map(|i| i.id).collect();
    bed.provider.terminate(&ids).await.unwrap();
    bed.bench.clock.sleep(Duration::from_secs(180)).await;
    let inventory = bed.provider.inventory(&bed.owner).await.unwrap();
    assert!(inventory.proves_empty(), "{inventory:?}");
    assert_eq!(bed.bench.leftovers(), Vec::<String>::new());
}

fn sum(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

#[tokio::test]
async fn a_thousand_instances_are_ready_in_90_seconds_and_gone_in_a_call_each() {
    let bed = customer(7).unwrap();
    let pools = bed.pools(&["n2-standard-2", "n2d-standard-2", "e2-standard-2"], Market::Spot).await.unwrap();
    assert!(pools.len() >= 9, "three types in three zones: {pools:?}");
    let prepared = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap();
    let (before, begun) = (bed.bench.calls(), bed.bench.clock.now());

    let launched = bed.provider.launch(&bed.request(&prepared, pools, 1_000)).await.unwrap();
    assert_eq!((launched.instances.len(), launched.shortfalls.len()), (1_000, 0));
    let up = bed.bench.calls_since(&before);
    assert!(sum(&up) <= 3, "one bulk insert and two pages of a list: {up:?}");

    // Waiting costs no calls: one look when the last one should be up.
    let spent = Duration::try_from(bed.bench.clock.now().duration_since(begun)).unwrap();
    bed.bench.clock.sleep(Duration::from_secs(90).saturating_sub(spent)).await;
    let took = bed.bench.clock.now().duration_since(begun).as_secs();
    let (before, watched) = (bed.bench.calls(), Selector::fleet(&bed.owner, &bed.fleet));
    let list = bed.provider.list(&watched).await.unwrap();
    let running = list.iter().filter(|instance| instance.state == InstanceState::Running).count();
    assert!(took <= 90, "{took} s");
    assert_eq!((list.len(), running), (1_000, 1_000), "after {took} s");
    assert!(sum(&bed.bench.calls_since(&before)) <= 2, "{:?}", bed.bench.calls_since(&before));

    // A look for preemptions: who is there, and once in a while why others are not.
    let start = bed.provider.preemptions(&watched, &Cursor::start()).await.unwrap();
    assert!(start.preemptions.is_empty(), "{start:?}");
    let before = bed.bench.calls();
    let quiet = bed.provider.preemptions(&watched, &start.next).await.unwrap();
    assert!(quiet.preemptions.is_empty(), "{quiet:?}");
    assert!(sum(&bed.bench.calls_since(&before)) <= 2, "{:?}", bed.bench.calls_since(&before));

    let (before, begun) = (bed.bench.calls(), bed.bench.clock.now());
    let ids: Vec<_> = list.into_iter().map(|instance| instance.id).collect();
    assert_eq!(bed.provider.terminate(&ids).await.unwrap().ending.len(), 1_000);
    let took = bed.bench.clock.now().duration_since(begun).as_secs();
    assert!(took <= 60, "within the quota of a minute: {took} s");
    bed.bench.clock.sleep(Duration::from_secs(120)).await;
    assert!(bed.provider.inventory(&bed.owner).await.unwrap().proves_empty());
    let down = bed.bench.calls_since(&before);
    assert!(sum(&down) <= 1_004, "a call each, and four lists: {down:?}");
    end(&bed).await;
}

#[tokio::test]
async fn more_deletions_than_the_quota_of_a_minute_wait_for_the_next_one() {
    let bed = customer(7).unwrap();
    let pools = bed.pools(&["e2-standard-2"], Market::OnDemand).await.unwrap();
    let prepared = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap();
    for attempt in 0..2 {
        let token = Token::derive(&bed.owner, &bed.fleet, attempt);
        let request = LaunchRequest { token, ..bed.request(&prepared, pools.clone(), 1_000) };
        assert_eq!(bed.provider.launch(&request).await.unwrap().instances.len(), 1_000);
    }
    bed.bench.clock.sleep(Duration::from_secs(120)).await;
    let watched = Selector::fleet(&bed.owner, &bed.fleet);
    let ids: Vec<_> = bed.provider.list(&watched).await.unwrap().into_iter().map(|i| i.id).collect();
    let begun = bed.bench.clock.now();
    let receipt = bed.provider.terminate(&ids).await.unwrap();
    assert_eq!((receipt.ending.len(), receipt.gone.len()), (2_000, 0));
    let took = bed.bench.clock.now().duration_since(begun).as_secs();
    assert!((1..=180).contains(&took), "1,500 in a minute: {took} s");
    end(&bed).await;
}

/// A zone's stock of H100s is a handful: what it has is kept, and the next zone gives the rest.
#[tokio::test]
async fn a_zone_with_a_part_of_the_h100s_is_helped_by_the_next_one() {
    let bed = customer(7).unwrap();
    let name = "a3-highgpu-8g";
    let pools = bed.pools(&[name], Market::OnDemand).await.unwrap();
    assert!(pools.len() >= 2, "{pools:?}");
    let prepared = bed.provider.prepare(&bed.blueprint(&[Arch::X86_64])).await.unwrap();
    let zones: Vec<Zone> = pools.iter().map(|bid| bid.offer.zone.clone()).collect();
    close(&bed, &zones[0], name, 3);
    close(&bed, &zones[1], name, 4);
    let request = LaunchRequest { spread: Spread::Packed, ..bed.request(&prepared, pools, 5) };
    let launched = bed.provider.launch(&request).await.unwrap();
    assert_eq!((launched.instances.len(), launched.shortfalls.len()), (5, 0), "{:?}", launched.shortfalls);
    let mut places: BTreeMap<&Zone, usize> = BTreeMap::new();
    launched.instances.iter().for_each(|instance| *places.entry(&instance.offer.zone).or_default() += 1);
    assert_eq!(places.len(), 2, "{places:?}");

    // Two are left in both zones together.
    let token = Token::derive(&bed.owner, &bed.fleet, 1);
    let launched = bed.provider.launch(&LaunchRequest { token, ..request }).await.unwrap();
    assert_eq!(launched.instances.len(), 2);
    let short: u32 = launched.shortfalls.iter().map(|shortfall| shortfall.count).sum();
    assert_eq!(short, 3, "{:?}", launched.shortfalls);
    for shortfall in &launched.shortfalls {
        assert_eq!(shortfall.reason.kind(), ErrorKind::NoCapacity, "{}", shortfall.reason);
    }
    end(&bed).await;
}
