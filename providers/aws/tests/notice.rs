//! What a machine is told about its own end, by the metadata service of the simulated EC2.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use skyfleet_aws::notice_at;
use skyfleet_conformance::simcloud;
use skyfleet_core::{
    Arch, Clock, FleetBlueprint, FleetName, Instance, InstanceState, LaunchRequest, Market, OfferQuery,
    Owner, PoolBid, PreemptionKind, Provider, Result, Selector, Spread, Token,
};

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::{Bench, KEY_ID, bench, connected};

/// One spot instance that runs.
async fn spot_instance(bench: &Bench, provider: &dyn Provider) -> Result<Instance> {
    let (owner, fleet) = (Owner::parse("ada")?, FleetName::parse("told")?);
    let query = OfferQuery {
        regions: vec!["us-east-1".into()],
        instance_types: vec!["m7g.large".into()],
        markets: vec![Market::Spot],
        ..OfferQuery::default()
    };
    let offer = provider.offers(&query).await?.remove(0);
    let blueprint = FleetBlueprint {
        archs: vec![Arch::Arm64],
        labels: [("team".to_owned(), "search".to_owned())].into(),
        ..FleetBlueprint::new(&owner, &fleet, offer.region.clone())
    };
    let request = LaunchRequest {
        token: Token::derive(&owner, &fleet, 0),
        prepared: provider.prepare(&blueprint).await?,
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
async fn a_machine_hears_of_its_end_two_minutes_before() -> Result<()> {
    let bench = bench(7)?;
    let provider = connected(&bench, KEY_ID)?.provider;
    let instance = spot_instance(&bench, &*provider).await?;
    let told_at = bench.clock.now();
    simcloud::preempt(bench.sim(), &instance.id)?;
    let endpoint = format!("{}/imds/aws/{}", bench.server.urls().admin, instance.id);
    let notices = notice_at(&endpoint, Arc::new(bench.clock.clone()))?;
    let told: Vec<_> = pin!(notices).collect().await;
    let last = told.last().expect("the stream ends after the notice");
    assert_eq!(last.kind, PreemptionKind::Notice);
    let ahead = last.at.duration_since(told_at).as_secs();
    assert!((100..=125).contains(&ahead), "{ahead} s, {told:?}");
    assert!(told[..told.len() - 1].iter().all(|notice| notice.kind == PreemptionKind::Rebalance), "{told:?}");
    Ok(())
}
