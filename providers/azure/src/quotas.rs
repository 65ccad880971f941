//! The subscription's limits, and what is used of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::try_join_all;
use skyfleet_core::{Draw, Market, QuotaId, Region, Result, Signal};

use crate::catalog::Kind;
use crate::client::Client;

/// All vCPUs of a region that are paid for in full, and all spot vCPUs, whatever their sizes are: spot
/// has no quota by family (Azure documentation, "Spot quota").
const CORES: &str = "cores";
const SPOT_CORES: &str = "lowPriorityCores";

/// The id of a quota: `eastus/lowPriorityCores`, `eastus/standardDSv5Family`.
pub(crate) fn id(region: &Region, name: &str) -> QuotaId {
    QuotaId::from(format!("{region}/{name}"))
}

/// The region and the name of an id.
pub(crate) fn parts(id: &QuotaId) -> Option<(&str, &str)> {
    id.as_str().split_once('/')
}

/// The quotas that a machine draws on.
pub(crate) fn draws(region: &Region, kind: &Kind, market: Market) -> Arc<[Draw]> {
    match market {
        Market::Spot => Arc::from([Draw::vcpus(id(region, SPOT_CORES))]),
        Market::OnDemand => {
            let family = kind.family.as_deref().map(|family| Draw::vcpus(id(region, family)));
            [Draw::vcpus(id(region, CORES))].into_iter().chain(family).collect()
        }
    }
}

/// What the subscription may have of these quotas, and what it has: one call for each region.
///
/// # Errors
/// Those of the calls.
pub(crate) async fn signals(client: &Client, quotas: &BTreeSet<QuotaId>) -> Result<Vec<Signal>> {
    let regions: BTreeSet<Region> =
        quotas.iter().filter_map(|quota| Some(Region::from(parts(quota)?.0))).collect();
    let asked = regions.iter().map(|region| async move {
        let limits = client.limits(region).await.map_err(|error| error.with("region", region))?;
        Ok::<_, skyfleet_core::Error>((region.as_str(), limits))
    });
    let told: BTreeMap<&str, _> = try_join_all(asked).await?.into_iter().collect();
    let signals = quotas.iter().filter_map(|quota| {
        let (region, name) = parts(quota)?;
        // A family that the region does not list is so new that nobody knows its limit.
        let known = told.get(region)?.get(&name.to_ascii_lowercase());
        let (limit, used) = known.map_or((None, 0), |known| (known.limit, known.used));
        Some(Signal::Quota { id: quota.clone(), limit, used })
    });
    Ok(signals.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::tests::kind;

    #[test]
    fn spot_has_one_quota_and_on_demand_two() {
        let region = Region::from("eastus");
        let drawn = |market| {
            let draws = draws(&region, &kind("Standard_D2s_v5", "standardDSv5Family"), market);
            draws.iter().map(|draw| draw.quota.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(drawn(Market::Spot), "eastus/lowPriorityCores");
        assert_eq!(drawn(Market::OnDemand), "eastus/cores eastus/standardDSv5Family");
        assert_eq!(
            json!(parts(&id(&region, "Standard NCASv3_T4 Family"))),
            json!(["eastus", "Standard NCASv3_T4 Family"])
        );
    }
}
