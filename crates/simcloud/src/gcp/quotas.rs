//! Quotas, of a region and of a project: limit and usage of each metric.

use serde_json::{Value, json};
use skyfleet_core::Market;

use crate::gcp::made;
use crate::gcp::state::State;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::view::Whose;

/// What projects have of what the world does not limit. Figures of established projects.
const PROJECT: [(&str, u32); 7] = [
    ("NETWORKS", 50),
    ("FIREWALLS", 1_000),
    ("SUBNETWORKS", 1_000),
    ("INSTANCE_TEMPLATES", 1_000),
    ("IMAGES", 2_000),
    ("SNAPSHOTS", 5_000),
    ("ROUTES", 500),
];

/// The same of a region: committed use, disks in GB, instances and addresses.
const REGION: [(&str, u32); 8] = [
    ("DISKS_TOTAL_GB", 409_600),
    ("SSD_TOTAL_GB", 512_000),
    ("INSTANCES", 24_000),
    ("IN_USE_ADDRESSES", 4_000),
    ("STATIC_ADDRESSES", 700),
    ("COMMITMENTS", 0),
    ("INSTANCE_GROUP_MANAGERS", 500),
    ("LOCAL_SSD_TOTAL_GB", 600_000),
];

/// What the world limits and `Quota.metric` has no value for: Cloud Quotas alone tells of the newest
/// families. Discovery document.
const UNTOLD: [&str; 7] =
    ["A3_CPUS", "C3D_CPUS", "C4A_CPUS", "C4_CPUS", "G2_CPUS", "N4_CPUS", "NVIDIA_H100_GPUS"];

/// The quotas of a region.
pub(crate) fn of_region(kernel: &Kernel, region: &str) -> Vec<Value> {
    let mut quotas = limited(kernel, region);
    quotas
        .extend(REGION.iter().map(|(metric, limit)| quota(metric, *limit, used_in(kernel, region, metric))));
    sorted(quotas)
}

/// The quotas of the project.
pub(crate) fn of_project(kernel: &Kernel, state: &mut State) -> Vec<Value> {
    let mut quotas = limited(kernel, "global");
    let store = made::all(kernel, state);
    quotas.extend(PROJECT.iter().map(|(metric, limit)| {
        let collection = match *metric {
            "NETWORKS" => "global/networks/",
            "FIREWALLS" => "global/firewalls/",
            "INSTANCE_TEMPLATES" => "global/instanceTemplates/",
            "IMAGES" => "global/images/",
            "SUBNETWORKS" => "/subnetworks/",
            _ => return quota(metric, *limit, 0),
        };
        let used = store.keys().filter(|path| path.contains(collection)).count();
        quota(metric, *limit, used as u32)
    }));
    sorted(quotas)
}

/// The quotas that the world keeps, of a region or of all of them.
fn limited(kernel: &Kernel, scope: &str) -> Vec<Value> {
    let prefix = format!("{scope}/");
    let ids = kernel.catalog().quotas().keys();
    let here = ids.filter_map(|id| Some((id, id.as_str().strip_prefix(&prefix)?)));
    let told = here.filter(|(_, metric)| !UNTOLD.contains(metric));
    told.filter_map(|(id, metric)| {
        let (limit, used) = kernel.quota(id.as_str())?;
        Some(quota(metric, limit, used))
    })
    .collect()
}

fn used_in(kernel: &Kernel, region: &str, metric: &str) -> u32 {
    let whose = Whose { region: Some(region), ..Whose::default() };
    let here = kernel.pools.iter().zip(kernel.catalog().offers());
    let machines = here.filter(|(_, offer)| offer.region.as_str() == region);
    let count = match metric {
        "INSTANCES" => machines.map(|(pool, _)| pool.used as usize).sum(),
        "LOCAL_SSD_TOTAL_GB" => {
            let on_demand = machines.filter(|(_, offer)| offer.market == Market::OnDemand);
            on_demand.map(|(pool, offer)| (pool.used * offer.instance_type.local_ssd_gib) as usize).sum()
        }
        "SSD_TOTAL_GB" => kernel.disks(&whose).iter().map(|disk| disk.gib as usize).sum(),
        "STATIC_ADDRESSES" => kernel.addresses(&whose).len(),
        "IN_USE_ADDRESSES" => {
            let open = kernel.open_lines(LineKind::Address);
            open.filter(|(_, line)| kernel.line_region(line).as_str() == region).count()
        }
        _ => 0,
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn quota(metric: &str, limit: u32, usage: u32) -> Value {
    json!({ "metric": metric, "limit": f64::from(limit), "usage": f64::from(usage) })
}

fn sorted(mut quotas: Vec<Value>) -> Vec<Value> {
    quotas.sort_by(|a, b| a["metric"].as_str().cmp(&b["metric"].as_str()));
    quotas
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gcp::trial::Trial;

    fn quota(holder: &Value, metric: &str) -> Value {
        let quotas = holder["quotas"].as_array().unwrap();
        quotas.iter().find(|quota| quota["metric"] == metric).unwrap_or(&Value::Null).clone()
    }

    #[test]
    fn quotas_are_the_worlds_with_its_faults() {
        let trial = Trial::new();
        let region = trial.get("regions/us-central1");
        let spot = json!({ "metric": "PREEMPTIBLE_CPUS", "limit": 20_000.0, "usage": 0.0 });
        assert_eq!(quota(&region, "PREEMPTIBLE_CPUS"), spot);
        assert_eq!(quota(&region, "PREEMPTIBLE_NVIDIA_T4_GPUS")["limit"], 5_000.0);
        assert_eq!(quota(&region, "CPUS_ALL_REGIONS"), Value::Null, "that is the project's");
        let project = trial.get("");
        assert_eq!(quota(&project, "GPUS_ALL_REGIONS")["limit"], 20_000.0);
        assert_eq!(quota(&project, "NETWORKS"), json!({ "metric": "NETWORKS", "limit": 50.0, "usage": 1.0 }));
        trial.fault(
            json!({ "kind": "quota", "region": "us-central1", "name": "PREEMPTIBLE_CPUS", "limit": 8 }),
        );
        assert_eq!(quota(&trial.get("regions/us-central1"), "PREEMPTIBLE_CPUS")["limit"], 8.0);
    }

    #[test]
    fn what_is_there_is_counted() {
        let trial = Trial::new();
        trial.change("POST", "zones/us-west1-a/disks", json!({ "name": "d", "sizeGb": "50" }));
        trial.change("POST", "regions/us-west1/addresses", json!({ "name": "a" }));
        let region = trial.get("regions/us-west1");
        let used = |metric: &str| quota(&region, metric)["usage"].as_f64().unwrap();
        assert_eq!((used("SSD_TOTAL_GB"), used("STATIC_ADDRESSES"), used("INSTANCES")), (50.0, 1.0, 0.0));
    }
}
