use skyfleet_core::{Capability, ErrorKind, Market};

use crate::bed::{Bed, summary};
use crate::case::{CALLS, COUNTS, CROWD, Case, Fault, GUARDS, Proof, case, ensure, pull};

pub(crate) const CASES: &[Case] = &[
    case!("LIMITS-1", the_capability_is_the_pinned_one, [GUARDS]),
    case!("LIMITS-2", a_big_launch_takes_few_calls, [CALLS, CROWD, COUNTS]),
    case!("LIMITS-3", a_launch_over_the_limit_is_refused_unseen, [GUARDS]),
    case!("LIMITS-4", user_data_fits_up_to_its_limit, [GUARDS]),
    case!("LIMITS-5", to_end_a_crowd_takes_few_calls, [CALLS, CROWD, COUNTS]),
    case!("LIMITS-6", to_list_a_crowd_takes_few_calls, [CALLS, CROWD, COUNTS]),
];

async fn the_capability_is_the_pinned_one(bed: &Bed) -> Proof {
    let declared = as_toml(&bed.capability())?;
    let how = format!("declared is\n{declared}");
    let pinned = bed.pinned.as_ref().map_err(|fault| Fault::new(format!("{fault}; {how}")))?;
    ensure!(pinned.trim() == declared.trim(), "pinned is\n{pinned}\n{how}");
    bed.fleet(Market::OnDemand, 1).await?;
    let later = as_toml(&bed.capability())?;
    ensure!(later == declared, "it was\n{declared}\nand is now\n{later}");
    let layered = as_toml(&bed.layered(bed.bare.clone()).capability())?;
    ensure!(layered == declared, "under the layers it is\n{layered}\n{how}");
    Ok(())
}

fn as_toml(capability: &Capability) -> Proof<String> {
    toml::to_string(capability).map_err(|error| Fault::new(format!("{capability:?}: {error}")))
}

async fn a_big_launch_takes_few_calls(bed: &Bed) -> Proof {
    let count = bed.capability().launch_max.min(bed.levers.crowd.unwrap_or_default());
    let fleet = bed.fleet(Market::OnDemand, 8).await?;
    let before = pull(&bed.levers.calls)();
    let launched = bed.provider.launch(&fleet.request(0, count)).await?;
    let calls = pull(&bed.levers.calls)() - before;
    ensure!(
        launched.instances.len() as u32 > count / 2,
        "8 pools were asked for {count}; {}",
        summary(&launched)
    );
    let calls_max = few(launched.instances.len());
    ensure!(calls <= calls_max, "{calls} calls for {} instances", launched.instances.len());
    Ok(())
}

async fn a_launch_over_the_limit_is_refused_unseen(bed: &Bed) -> Proof {
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let over = bed.capability().launch_max.saturating_add(1);
    bed.refused(&fleet.request(0, over), ErrorKind::InvalidRequest).await
}

async fn user_data_fits_up_to_its_limit(bed: &Bed) -> Proof {
    let max = bed.capability().user_data_bytes_max;
    let pools = bed.pools(Market::OnDemand, 1).await?;
    let mut blueprint = bed.blueprint(&bed.owner, "script", &pools);
    let script = |bytes: usize| format!("#!/bin/sh\n{}", "#".repeat(bytes - 10));

    blueprint.user_data = script(max + 1).into();
    match bed.layered(bed.bare.clone()).prepare(&blueprint).await {
        Ok(prepared) => ensure!(false, "{} bytes were accepted: {prepared:?}", max + 1),
        Err(error) => ensure!(error.kind() == ErrorKind::InvalidRequest, "{error}"),
    }
    let inventory = bed.provider.inventory(&bed.owner).await?;
    ensure!(inventory.proves_empty(), "refused, and yet there is {inventory:?}");

    blueprint.user_data = script(max).into();
    let fleet = bed.prepare(blueprint, pools).await?;
    bed.launch_all(&fleet.request(0, 1)).await.map(drop)
}

async fn to_end_a_crowd_takes_few_calls(bed: &Bed) -> Proof {
    let (_, bought) = bed.crowd().await?;
    let bought: Vec<_> = bought.into_iter().collect();
    let before = pull(&bed.levers.calls)();
    bed.provider.terminate(&bought).await?;
    let calls = pull(&bed.levers.calls)() - before;
    ensure!(calls <= bought.len() as u64, "{calls} calls to end {} instances", bought.len());
    Ok(())
}

async fn to_list_a_crowd_takes_few_calls(bed: &Bed) -> Proof {
    let (fleet, bought) = bed.crowd().await?;
    let before = pull(&bed.levers.calls)();
    bed.provider.list(&fleet.selector()).await?;
    let calls = pull(&bed.levers.calls)() - before;
    ensure!(calls <= few(bought.len()), "{calls} calls to list {} instances", bought.len());
    Ok(())
}

/// Forty calls for regions, pages and polls, and one more for every fifty instances.
fn few(instances: usize) -> u64 {
    40 + instances as u64 / 50
}
