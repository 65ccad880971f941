//! What a machine is told about its own end, by the metadata service of the simulated EC2.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use skyfleet_aws::notice_at;
use skyfleet_conformance::simcloud;
use skyfleet_core::{Arch, Clock, PreemptionKind, Result};

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::customer;

#[tokio::test]
async fn a_machine_hears_of_its_end_two_minutes_before() -> Result<()> {
    let customer = customer(7)?;
    let bench = &customer.bench;
    let instance = customer.spot_instance("m7g.large", Arch::Arm64).await?;
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
