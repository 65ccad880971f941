//! Machine types: what a zone sells. Being listed in a zone is being sold there.

use serde_json::{Value, json};
use skyfleet_core::{Arch, InstanceType, Market, Zone};

use crate::gcp::method::Method;
use crate::gcp::{accelerator_types, resource, zonal};
use crate::kernel::Kernel;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "machineTypes.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/machineTypes/{machineType}",
        answer: |request| ALL.get(request),
    },
    Method {
        id: "machineTypes.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/machineTypes",
        answer: |request| ALL.list(request),
    },
    Method {
        id: "machineTypes.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/machineTypes",
        answer: |request| ALL.aggregated(request),
    },
];

const ALL: zonal::Collection =
    zonal::Collection { name: "machineTypes", kind: "machineType", items: in_zone };

/// The size of one local SSD, in GiB. Compute Engine documentation, "About Local SSD disks".
const LOCAL_SSD_GIB: u32 = 375;

/// Machine types with a share of a core only. Compute Engine documentation, "Shared-core machine
/// types".
const SHARED_CORE: [&str; 5] = ["e2-micro", "e2-small", "e2-medium", "f1-micro", "g1-small"];

/// Whether a type of the catalogue is a machine type, and not one with something attached:
/// `n1-standard-4+T4` is an N1 with an accelerator.
pub(crate) fn is_one(spec: &InstanceType) -> bool {
    !spec.name.as_str().contains('+')
}

/// How an architecture is written.
pub(crate) fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "X86_64",
        Arch::Arm64 => "ARM64",
    }
}

fn in_zone(kernel: &Kernel, project: &str, zone: &Zone) -> Vec<Value> {
    let offers = kernel.catalog().offers().iter();
    let sold = offers.filter(|offer| {
        offer.zone == *zone && offer.market == Market::OnDemand && is_one(&offer.instance_type)
    });
    sold.map(|offer| show(project, zone, &offer.instance_type)).collect()
}

fn show(project: &str, zone: &Zone, spec: &InstanceType) -> Value {
    let name = spec.name.as_str();
    let shared = SHARED_CORE.contains(&name);
    let accelerators = spec.gpu.as_ref().map(|gpu| {
        json!([{
            "guestAcceleratorType": accelerator_types::name(gpu),
            "guestAcceleratorCount": gpu.count,
        }])
    });
    let ssds = (spec.local_ssd_gib > 0)
        .then(|| json!({ "defaultInterface": "nvme", "partitionCount": spec.local_ssd_gib / LOCAL_SSD_GIB }));
    let more = json!({
        "description": description(spec),
        "guestCpus": spec.vcpus,
        "memoryMb": spec.memory_mib,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": if shared { 16 } else { 128 },
        "maximumPersistentDisksSizeGb": if shared { "3072" } else { "263168" },
        "isSharedCpu": shared,
        "architecture": architecture(spec.arch),
        "accelerators": accelerators,
        "bundledLocalSsds": ssds,
        "zone": zone.as_str(),
    });
    resource::show(project, "machineType", &format!("zones/{zone}/machineTypes/{name}"), None, more)
}

/// `4 vCPUs, 16 GB RAM, 1 NVIDIA L4 GPU`.
fn description(spec: &InstanceType) -> String {
    let gib = f64::from(spec.memory_mib) / 1024.0;
    let mut text = format!("{} vCPUs, {gib} GB RAM", spec.vcpus);
    if let Some(gpu) = &spec.gpu {
        text += &format!(", {} NVIDIA {} GPU{}", gpu.count, gpu.model, if gpu.count == 1 { "" } else { "s" });
    }
    if spec.local_ssd_gib > 0 {
        text += &format!(", {} local SSD", spec.local_ssd_gib / LOCAL_SSD_GIB);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn a_zone_lists_what_is_sold_there_without_what_is_only_attached() {
        let trial = Trial::new();
        let names = trial.names("zones/us-central1-b/machineTypes");
        assert!(names.contains(&"n1-standard-4".to_owned()));
        assert!(!names.contains(&"n4-standard-2".to_owned()), "not sold in that zone");
        assert!(names.iter().all(|name| !name.contains('+')), "{names:?}");
    }

    #[test]
    fn a_machine_type_says_what_is_in_it() {
        let trial = Trial::new();
        let h100 = trial.get("zones/us-central1-a/machineTypes/a3-highgpu-8g");
        assert_eq!((&h100["guestCpus"], &h100["memoryMb"]), (&json!(208), &json!(1_916_928)));
        assert_eq!(
            h100["accelerators"],
            json!([{ "guestAcceleratorType": "nvidia-h100-80gb", "guestAcceleratorCount": 8 }])
        );
        assert_eq!(h100["bundledLocalSsds"]["partitionCount"], 16);
        let axion = trial.get("zones/us-central1-a/machineTypes/c4a-standard-4");
        assert_eq!((&axion["architecture"], axion.get("accelerators")), (&json!("ARM64"), None));
        let shared = trial.get("zones/us-central1-a/machineTypes/e2-medium");
        assert_eq!((&shared["isSharedCpu"], &shared["zone"]), (&json!(true), &json!("us-central1-a")));
    }

    #[test]
    fn all_zones_are_listed_at_once_in_pages() {
        let trial = Trial::new();
        let first = trial.get("aggregated/machineTypes?maxResults=200");
        let token = first["nextPageToken"].as_str().expect("more than 200");
        let second = trial.get(&format!("aggregated/machineTypes?maxResults=500&pageToken={token}"));
        let count = |page: &Value| -> usize {
            let zones = page["items"].as_object().unwrap().values();
            zones.filter_map(|zone| zone["machineTypes"].as_array()).map(Vec::len).sum()
        };
        let sold: usize = trial
            .names("zones")
            .iter()
            .map(|zone| trial.names(&format!("zones/{zone}/machineTypes")).len())
            .sum();
        assert_eq!((count(&first), count(&first) + count(&second)), (200, sold));
    }

    #[test]
    fn an_unknown_zone_and_an_unknown_type_are_told_apart() {
        let trial = Trial::new();
        let (status, reason) = trial.refusal("GET", "zones/nowhere/machineTypes", Value::Null);
        assert_eq!((status, reason.as_str()), (400, "invalid"));
        let (status, reason) = trial.refusal("GET", "zones/us-central1-a/machineTypes/n9", Value::Null);
        assert_eq!((status, reason.as_str()), (404, "notFound"));
    }
}
