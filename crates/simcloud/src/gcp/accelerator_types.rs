//! The GPUs that instances can have, zone by zone.

use serde_json::{Value, json};
use skyfleet_core::{Gpu, Market, Zone};

use crate::gcp::method::Method;
use crate::gcp::{resource, url, zonal};
use crate::kernel::Kernel;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "acceleratorTypes.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/acceleratorTypes/{acceleratorType}",
        answer: |request| ALL.get(request),
    },
    Method {
        id: "acceleratorTypes.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/acceleratorTypes",
        answer: |request| ALL.list(request),
    },
    Method {
        id: "acceleratorTypes.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/acceleratorTypes",
        answer: |request| ALL.aggregated(request),
    },
];

const ALL: zonal::Collection =
    zonal::Collection { name: "acceleratorTypes", kind: "acceleratorType", items: in_zone };

/// A GPU as Compute Engine names it.
struct Accelerator {
    name: &'static str,
    /// The catalogue's model and memory.
    model: (&'static str, u32),
    description: &'static str,
    /// How many of it an instance has at most. Compute Engine documentation, "GPU platforms".
    most: u32,
}

const ACCELERATORS: [Accelerator; 5] = [
    Accelerator {
        name: "nvidia-a100-80gb",
        model: ("A100", 81_920),
        description: "NVIDIA A100 80GB",
        most: 8,
    },
    Accelerator {
        name: "nvidia-h100-80gb",
        model: ("H100", 81_510),
        description: "NVIDIA H100 80GB",
        most: 8,
    },
    Accelerator { name: "nvidia-l4", model: ("L4", 23_040), description: "NVIDIA L4", most: 8 },
    Accelerator {
        name: "nvidia-tesla-a100",
        model: ("A100", 40_960),
        description: "NVIDIA A100 40GB",
        most: 16,
    },
    // Of Compute Engine's own up to four; the N1 machines of the catalogue have one.
    Accelerator { name: "nvidia-tesla-t4", model: ("T4", 16_384), description: "NVIDIA T4", most: 1 },
];

/// How Compute Engine names a GPU of the catalogue; `None` for one that it does not have.
pub(crate) fn name(gpu: &Gpu) -> Option<&'static str> {
    let is_it = |one: &&Accelerator| one.model == (&*gpu.model, gpu.memory_mib);
    ACCELERATORS.iter().find(is_it).map(|one| one.name)
}

fn in_zone(kernel: &Kernel, project: &str, zone: &Zone) -> Vec<Value> {
    let sold = |one: &&Accelerator| {
        let mut offers = kernel.catalog().offers().iter();
        offers.any(|offer| {
            let gpu = offer.instance_type.gpu.as_ref();
            offer.zone == *zone && offer.market == Market::OnDemand && gpu.and_then(name) == Some(one.name)
        })
    };
    let shown = |one: &Accelerator| {
        let path = format!("zones/{zone}/acceleratorTypes/{}", one.name);
        let more = json!({
            "description": one.description,
            "maximumCardsPerInstance": one.most,
            "zone": url::link(project, &format!("zones/{zone}")),
        });
        resource::show(project, "acceleratorType", &path, None, more)
    };
    ACCELERATORS.iter().filter(sold).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Cloud};
    use crate::gcp::trial::Trial;

    #[test]
    fn every_gpu_of_the_catalogue_has_a_name() {
        for spec in Catalog::of(Cloud::Gcp).instance_types() {
            assert!(spec.gpu.as_ref().is_none_or(|gpu| name(gpu).is_some()), "{spec:?}");
        }
    }

    #[test]
    fn a_zone_has_the_gpus_that_are_sold_there() {
        let trial = Trial::new();
        let names = |zone: &str| trial.names(&format!("zones/{zone}/acceleratorTypes"));
        assert_eq!(
            names("us-central1-a"),
            ["nvidia-a100-80gb", "nvidia-h100-80gb", "nvidia-l4", "nvidia-tesla-a100", "nvidia-tesla-t4"]
        );
        assert_eq!(names("us-central1-f"), ["nvidia-tesla-a100", "nvidia-tesla-t4"]);
        assert!(names("australia-southeast1-b").is_empty());
        let t4 = trial.get("zones/us-central1-f/acceleratorTypes/nvidia-tesla-t4");
        assert_eq!(t4["maximumCardsPerInstance"], 1);
        assert_eq!(trial.refusal("GET", "zones/us-central1-f/acceleratorTypes/k80", Value::Null).0, 404);
        let all = trial.get("aggregated/acceleratorTypes?filter=name%3Dnvidia-l4");
        assert_eq!(all["items"]["zones/us-east1-b"]["acceleratorTypes"][0]["name"], "nvidia-l4");
        assert_eq!(all["items"]["zones/us-central1-f"]["warning"]["code"], "NO_RESULTS_ON_PAGE");
    }
}
