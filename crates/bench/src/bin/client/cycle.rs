//! Instances up, ready and down, through skyfleet's provider.

use std::time::Duration;

use skyfleet_aws::AwsProvider;
use skyfleet_bench::usage;
use skyfleet_core::{
    Arch, Clock, FleetBlueprint, FleetLaunch, FleetName, InstanceState, LaunchRequest, Market, OfferId,
    Owner, PoolBid, Selector, Spread, Teardown, Token,
};

use crate::Result;
use crate::admin;
use crate::cloud::{Cloud, REGION, TYPES, ZONES};
use crate::report::{Cycle, Report};

/// When the slowest of a thousand is up, by EC2's boot times.
const UP: Duration = Duration::from_secs(90);
/// When the slowest of a thousand is gone.
const GONE: Duration = Duration::from_secs(120);
/// When EC2 lets an account launch a thousand again.
const REFILL: Duration = Duration::from_secs(600);

/// Goes through a cycle for each count, one after the other.
pub(crate) fn run(counts: &[u32]) -> Result<Report> {
    let before = usage::cpu_of_process();
    let cloud = Cloud::start()?;
    let not_ours = usage::cpu_of_process() - before;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let provider = cloud.provider()?;
    let start = usage::cpu_of_process() - not_ours;

    let mut cycles = Vec::new();
    for (number, count) in (0u32..).zip(counts) {
        let bench = Bench { cloud: &cloud, provider: &provider, number };
        cycles.push(runtime.block_on(bench.cycle(*count))?);
        runtime.block_on(cloud.clock.sleep(REFILL));
    }
    cloud.admin.is_empty()?;
    let peak_kib = usage::peak_kib().ok_or("this system does not tell the memory of a process")?;
    Ok(Report { start_s: start.as_secs_f64(), cycles, peak_kib })
}

struct Bench<'a> {
    cloud: &'a Cloud,
    provider: &'a AwsProvider,
    number: u32,
}

impl Bench<'_> {
    async fn cycle(&self, count: u32) -> Result<Cycle> {
        let (provider, clock) = (self.provider, &self.cloud.clock);
        let (owner, fleet) = (Owner::parse("ada")?, FleetName::parse("crowd")?);
        let blueprint = FleetBlueprint {
            archs: vec![Arch::Arm64],
            image: "ubuntu-24.04".into(),
            user_data: "#!/bin/sh\ntrue\n".into(),
            ..FleetBlueprint::new(&owner, &fleet, REGION)
        };
        let before = self.cloud.admin.calls()?;

        let begun = usage::cpu_of_process();
        let prepared = provider.prepare(&blueprint).await?;
        let request = LaunchRequest {
            token: Token::derive(&owner, &fleet, self.number),
            prepared,
            region: REGION.into(),
            market: Market::Spot,
            pools: pools(),
            count,
            count_min: 1,
            spread: Spread::Even,
            expires: None,
        };
        let launched = provider.launch(&request).await?;
        let up = usage::cpu_of_process() - begun;
        is(count, launched.instances.len(), "launched")?;

        clock.sleep(UP).await;
        let begun = usage::cpu_of_process();
        let mut list = provider.list(&Selector::fleet(&owner, &fleet)).await?;
        list.retain(|instance| instance.state == InstanceState::Running);
        let ready = usage::cpu_of_process() - begun;
        is(count, list.len(), "running")?;

        let begun = usage::cpu_of_process();
        let ids: Vec<_> = list.into_iter().map(|instance| instance.id).collect();
        let receipt = provider.terminate(&ids).await?;
        let mut down = usage::cpu_of_process() - begun;
        is(count, receipt.ending.len(), "ending")?;

        clock.sleep(GONE).await;
        let begun = usage::cpu_of_process();
        let receipt = provider.delete(&request.prepared.resources).await?;
        let inventory = provider.inventory(&owner).await?;
        down += usage::cpu_of_process() - begun;
        if !receipt.pending.is_empty() || !inventory.proves_empty() {
            return Err(format!("something was left: {:?} {inventory:?}", receipt.pending).into());
        }

        let calls = admin::since(&before, &self.cloud.admin.calls()?);
        Ok(Cycle {
            instances: count,
            up_s: up.as_secs_f64(),
            ready_s: ready.as_secs_f64(),
            down_s: down.as_secs_f64(),
            calls: calls.values().sum(),
        })
    }
}

fn pools() -> Vec<PoolBid> {
    let pool = |zone: &str, name: &str| PoolBid {
        offer: OfferId { zone: zone.into(), instance_type: name.into(), market: Market::Spot },
        price_max: None,
    };
    ZONES.iter().flat_map(|zone| TYPES.iter().map(|name| pool(zone, name))).collect()
}

fn is(wanted: u32, found: usize, state: &str) -> Result<()> {
    if found == wanted as usize {
        return Ok(());
    }
    Err(format!("{found} of {wanted} instances are {state}").into())
}
