//! The project's limits, and what is used of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skyfleet_core::{Counts, Draw, Market, QuotaId, Region, Result, Signal};

use crate::catalog::Kind;
use crate::client::Client;
use crate::client::market::{Limits, RegionInfo};
use crate::whereabouts::GLOBAL;

const CPUS_ALL: &str = "CPUS_ALL_REGIONS";
const GPUS_ALL: &str = "GPUS_ALL_REGIONS";
const SPOT_CPUS: &str = "PREEMPTIBLE_CPUS";

/// The series whose vCPUs are counted together, as `CPUS`; each other has a metric of its own
/// (Compute Engine documentation, "Allocation quotas", CPU quota).
const TOGETHER: [&str; 4] = ["e2", "f1", "g1", "n1"];

/// The id of a quota: `us-central1/N2_CPUS`, `global/CPUS_ALL_REGIONS`.
pub(crate) fn id(place: &str, metric: &str) -> QuotaId {
    QuotaId::from(format!("{place}/{metric}"))
}

/// The place and the metric of an id.
pub(crate) fn parts(id: &QuotaId) -> Option<(&str, &str)> {
    id.as_str().split_once('/')
}

/// The quotas that a machine draws on.
///
/// Spot machines draw on the preemptible quota where the project has been granted one in the region,
/// and on the standard one elsewhere (Compute Engine documentation, "Spot VMs", quotas). A metric
/// that the region does not list is that of a family so new that only Cloud Quotas knows its limit:
/// it is named all the same, so that a refusal that names it is understood, and its limit is unknown.
pub(crate) fn draws(region: &RegionInfo, kind: &Kind, market: Market) -> Arc<[Draw]> {
    let place = region.name.as_str();
    let granted = |metric: &str| {
        let limits = region.limits.as_ref();
        limits.is_none_or(|limits| limits.get(metric).is_some_and(|quota| quota.limit.is_none_or(|l| l > 0)))
    };
    let mut draws = Vec::new();
    if market == Market::Spot && granted(SPOT_CPUS) {
        draws.push(Draw::vcpus(id(place, SPOT_CPUS)));
    } else {
        draws.push(Draw::vcpus(id(GLOBAL, CPUS_ALL)));
        draws.push(Draw::vcpus(id(place, &family(&kind.series))));
    }
    if let Some(gpus) = kind.gpus {
        let standard = gpus.accelerator.quota;
        let spot = format!("PREEMPTIBLE_{standard}");
        let metric = if market == Market::Spot && granted(&spot) { &spot } else { standard };
        draws.push(Draw::gpus(id(place, metric)));
        draws.push(Draw::gpus(id(GLOBAL, GPUS_ALL)));
    }
    draws.into()
}

/// The metric that counts a series' vCPUs.
fn family(series: &str) -> String {
    if TOGETHER.contains(&series) { "CPUS".to_owned() } else { format!("{}_CPUS", series.to_uppercase()) }
}

/// What a metric counts.
pub(crate) fn counts(metric: &str) -> Counts {
    if metric.ends_with("_GPUS") || metric == GPUS_ALL { Counts::Gpus } else { Counts::Vcpus }
}

/// What the project may have of these quotas, and what it has: one call for all regions, and one
/// for what spans them.
///
/// # Errors
/// Those of the calls.
pub(crate) async fn signals(client: &Client, quotas: &BTreeSet<QuotaId>) -> Result<Vec<Signal>> {
    if quotas.is_empty() {
        return Ok(Vec::new());
    }
    let spanning = quotas.iter().any(|quota| parts(quota).is_some_and(|(place, _)| place == GLOBAL));
    let (regions, project) = futures::try_join!(client.region_infos(), async {
        if spanning { client.project_limits().await } else { Ok(None) }
    })?;
    let regions: BTreeMap<Region, Limits> =
        regions.into_iter().map(|info| (info.name, info.limits)).collect();
    let told = quotas.iter().filter_map(|id| {
        let (place, metric) = parts(id)?;
        let limits = if place == GLOBAL { Some(&project) } else { regions.get(place) };
        let told = limits.and_then(|limits| limits.as_ref()?.get(metric));
        let (limit, used) = told.map_or((None, 0), |told| (told.limit, told.used));
        Some(Signal::Quota { id: id.clone(), limit, used })
    });
    Ok(told.collect())
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::MachineType;
    use google_cloud_compute_v1::model::machine_type::Accelerators;

    use super::*;
    use crate::client::market::Limit;

    fn kind(name: &str, gpus: Option<&str>) -> Kind {
        let gpus = gpus
            .map(|gpu| Accelerators::new().set_guest_accelerator_type(gpu).set_guest_accelerator_count(1));
        let told = MachineType::new().set_name(name).set_guest_cpus(8).set_memory_mb(8_192);
        Kind::read(&told.set_accelerators(gpus)).unwrap()
    }

    fn region(limits: Option<&[(&str, u32)]>) -> RegionInfo {
        let limit =
            |(metric, limit): &(&str, u32)| ((*metric).to_owned(), Limit { limit: Some(*limit), used: 0 });
        RegionInfo {
            name: "us-east1".into(),
            zones: Vec::new(),
            limits: limits.map(|limits| limits.iter().map(limit).collect()),
        }
    }

    fn drawn(region: &RegionInfo, kind: &Kind, market: Market) -> String {
        let draws = draws(region, kind, market);
        let names: Vec<&str> = draws.iter().map(|draw| draw.quota.as_str()).collect();
        for draw in &*draws {
            assert_eq!(counts(parts(&draw.quota).unwrap().1), draw.counts, "{}", draw.quota);
        }
        names.join(" ")
    }

    #[test]
    fn on_demand_draws_on_the_familys_quota_and_on_that_of_all_regions() {
        let here = region(Some(&[("CPUS", 24), ("N2_CPUS", 24), ("NVIDIA_L4_GPUS", 1), ("G2_CPUS", 8)]));
        for (kind, expected) in [
            (kind("n2-standard-8", None), "global/CPUS_ALL_REGIONS us-east1/N2_CPUS"),
            (kind("e2-standard-8", None), "global/CPUS_ALL_REGIONS us-east1/CPUS"),
            (kind("n1-standard-8", None), "global/CPUS_ALL_REGIONS us-east1/CPUS"),
            (kind("c4-standard-8", None), "global/CPUS_ALL_REGIONS us-east1/C4_CPUS"),
            (
                kind("g2-standard-8", Some("nvidia-l4")),
                "global/CPUS_ALL_REGIONS us-east1/G2_CPUS us-east1/NVIDIA_L4_GPUS global/GPUS_ALL_REGIONS",
            ),
        ] {
            assert_eq!(drawn(&here, &kind, Market::OnDemand), expected, "{}", kind.spec.name);
        }
    }

    #[test]
    fn spot_draws_on_the_preemptible_quota_only_where_it_is_granted() {
        let (n2, g2) = (kind("n2-standard-8", None), kind("g2-standard-8", Some("nvidia-l4")));
        let granted =
            region(Some(&[("PREEMPTIBLE_CPUS", 100), ("PREEMPTIBLE_NVIDIA_L4_GPUS", 4), ("N2_CPUS", 8)]));
        assert_eq!(drawn(&granted, &n2, Market::Spot), "us-east1/PREEMPTIBLE_CPUS");
        assert_eq!(
            drawn(&granted, &g2, Market::Spot),
            "us-east1/PREEMPTIBLE_CPUS us-east1/PREEMPTIBLE_NVIDIA_L4_GPUS global/GPUS_ALL_REGIONS"
        );
        let none = region(Some(&[
            ("PREEMPTIBLE_CPUS", 0),
            ("PREEMPTIBLE_NVIDIA_L4_GPUS", 0),
            ("N2_CPUS", 8),
            ("NVIDIA_L4_GPUS", 1),
        ]));
        assert_eq!(drawn(&none, &n2, Market::Spot), "global/CPUS_ALL_REGIONS us-east1/N2_CPUS");
        assert_eq!(
            drawn(&none, &g2, Market::Spot),
            "global/CPUS_ALL_REGIONS us-east1/G2_CPUS us-east1/NVIDIA_L4_GPUS global/GPUS_ALL_REGIONS"
        );
    }

    #[test]
    fn where_google_cannot_say_the_usual_quotas_are_named() {
        let silent = region(None);
        assert_eq!(drawn(&silent, &kind("n2-standard-8", None), Market::Spot), "us-east1/PREEMPTIBLE_CPUS");
        let n2 = drawn(&silent, &kind("n2-standard-8", None), Market::OnDemand);
        assert_eq!(n2, "global/CPUS_ALL_REGIONS us-east1/N2_CPUS");
    }
}
