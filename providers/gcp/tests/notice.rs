//! What a machine is told about its own end, by the metadata server of the simulated Compute Engine.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use skyfleet_conformance::simcloud;
use skyfleet_core::{
    Clock, FleetBlueprint, FleetName, Instance, InstanceState, LaunchRequest, Market, OfferQuery, Owner,
    PoolBid, PreemptionKind, Provider, Result, Selector, Spread, Token,
};
use skyfleet_gcp::notice_at;

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::{Bench, TOKEN, bench, connected};

/// One spot instance that runs.
async fn spot_instance(bench: &Bench, provider: &dyn Provider) -> Result<Instance> {
    let (owner, fleet) = (Owner::parse("ada")?, FleetName::parse("told")?);
    let query = OfferQuery {
        regions: vec!["us-central1".into()],
        instance_types: vec!["e2-standard-2".into()],
        markets: vec![Market::Spot],
        ..OfferQuery::default()
    };
    let offer = provider.offers(&query).await?.remove(0);
    let request = LaunchRequest {
        token: Token::derive(&owner, &fleet, 0),
        prepared: provider.prepare(&FleetBlueprint::new(&owner, &fleet, offer.region.clone())).await?,
        region: offer.region.clone(),
        market: Market::Spot,
        pools: vec![PoolBid { offer: offer.id(), price_max: None }],
        count: 1,
        count_min: 1,
        spread: Spread::Packed,
        expires: None,
    };
    provider.launch(&request).await?;
    loop {
        let listed = provider.list(&Selector::fleet(&owner, &fleet)).await?;
        if let Some(running) = listed.into_iter().find(|i| i.state == InstanceState::Running) {
            return Ok(running);
        }
        bench.clock.sleep(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_machine_hears_of_its_end_when_it_is_decided() -> Result<()> {
    let bench = bench(7)?;
    let provider = connected(&bench, TOKEN)?.provider;
    let instance = spot_instance(&bench, &*provider).await?;
    let endpoint = format!("{}/imds/gcp/{}", bench.server.urls().admin, instance.id);
    let notices = notice_at(&endpoint, Arc::new(bench.clock.clone()))?;
    let mut notices = pin!(notices);
    // The question is held back until there is something to say.
    assert!(futures::poll!(notices.next()).is_pending());
    simcloud::preempt(bench.sim(), &instance.id)?;
    let decided = bench.clock.now();
    let told: Vec<_> = notices.collect().await;
    assert_eq!(told.len(), 1, "the stream ends after the notice: {told:?}");
    assert_eq!(told[0].kind, PreemptionKind::Notice);
    let ahead = told[0].at.duration_since(decided).as_secs();
    assert!((1..=31).contains(&ahead), "{ahead} s, {told:?}");
    Ok(())
}
