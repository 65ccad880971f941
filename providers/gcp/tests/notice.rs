//! What a machine is told about its own end, by the metadata server of the simulated Compute Engine.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use skyfleet_conformance::simcloud;
use skyfleet_core::{Arch, Clock, PreemptionKind, Result};
use skyfleet_gcp::notice_at;

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::customer;

#[tokio::test]
async fn a_machine_hears_of_its_end_when_it_is_decided() -> Result<()> {
    let customer = customer(7)?;
    let bench = &customer.bench;
    let instance = customer.spot_instance("e2-standard-2", Arch::X86_64).await?;
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
