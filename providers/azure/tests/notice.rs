//! What a machine is told about its own end, by the metadata service of the simulated Azure.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use skyfleet_azure::notice_at;
use skyfleet_conformance::simcloud;
use skyfleet_core::{Arch, Clock, PreemptionKind, Result};

#[allow(dead_code, reason = "the conformance suite needs more of it")]
mod levers;

use levers::customer;

#[tokio::test]
async fn a_machine_hears_of_its_end_before_it_comes() -> Result<()> {
    let customer = customer(7)?;
    let bench = &customer.bench;
    let instance = customer.spot_instance("Standard_D2s_v5", Arch::X86_64).await?;
    let endpoint = format!("{}/imds/azure{}", bench.server.urls().admin, instance.id);
    let notices = notice_at(&endpoint, Arc::new(bench.clock.clone()))?;
    let mut notices = pin!(notices);
    simcloud::preempt(bench.sim(), &instance.id)?;
    let decided = bench.clock.now();
    let told = notices.next().await.expect("a notice");
    assert_eq!(told.kind, PreemptionKind::Notice);
    let ahead = told.at.duration_since(decided).as_secs();
    assert!((0..=31).contains(&ahead), "{ahead} s, {told:?}");
    assert!(notices.next().await.is_none(), "the stream ends after the notice");
    Ok(())
}
