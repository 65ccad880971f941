//! A hundred thousand instances: nothing may grow faster than their number.

use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{
    CapacitySearch, Clock, FleetBlueprint, FleetLaunch, FleetName, InstanceState, LaunchRequest, ManualClock,
    Market, OfferQuery, Owner, PoolBid, Selector, Spread, Teardown, Timestamp, Token,
};
use skyfleet_sim::{SimProvider, World, WorldOptions};

/// 1,000 in the tests; the variable asks for more.
fn size() -> u32 {
    std::env::var("SKYFLEET_SCALE").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

#[tokio::test]
async fn a_big_fleet_comes_up_and_goes() {
    let clock = ManualClock::auto(Timestamp::constant(1_767_225_600, 0));
    let scenario = "[pools]\ndefault_capacity = 1000000\n";
    let mut options = WorldOptions::new(Arc::new(clock.clone()));
    options.scenario = skyfleet_simcloud::Scenario::parse(scenario, "scale", ".".as_ref()).unwrap();
    let provider = SimProvider::new(World::new(options).unwrap());
    let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("crowd").unwrap());
    let query = OfferQuery { markets: vec![Market::Spot], ..OfferQuery::default() };
    let mut offers = provider.offers(&query).await.unwrap();
    let region = offers[0].region.clone();
    offers.retain(|offer| offer.region == region);
    for (quota, _) in offers.iter().flat_map(|offer| offer.draws()) {
        let (region, name) = quota.as_str().split_once('/').unwrap();
        let fault = format!(r#"{{"kind":"quota","region":"{region}","name":"{name}","limit":10000000}}"#);
        provider.world().inject(serde_json::from_str(&fault).unwrap()).unwrap();
    }
    let blueprint = FleetBlueprint::new(&owner, &fleet, region.clone());
    let prepared = provider.prepare(&blueprint).await.unwrap();
    let size = size();
    for attempt in 0..size.div_ceil(10_000) {
        let request = LaunchRequest {
            token: Token::derive(&owner, &fleet, attempt),
            prepared: prepared.clone(),
            region: region.clone(),
            market: Market::Spot,
            pools: offers.iter().map(|o| PoolBid { offer: o.id(), price_max: None }).collect(),
            count: size.min(10_000),
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        };
        let launched = provider.launch(&request).await.unwrap();
        assert_eq!(launched.shortfalls, []);
    }
    clock.sleep(Duration::from_secs(120)).await;
    let list = provider.list(&Selector::owner(&owner)).await.unwrap();
    assert_eq!(list.len() as u32, size);
    assert!(list.iter().all(|instance| instance.state == InstanceState::Running));
    let ids: Vec<_> = list.into_iter().map(|instance| instance.id).collect();
    assert_eq!(provider.terminate(&ids).await.unwrap().ending.len() as u32, size);
    clock.sleep(Duration::from_secs(120)).await;
    let inventory = provider.inventory(&owner).await.unwrap();
    assert!(provider.delete(&inventory.resources).await.unwrap().pending.is_empty());
    assert!(provider.inventory(&owner).await.unwrap().proves_empty());
    assert!(provider.world().ledger().proves_empty());
}
