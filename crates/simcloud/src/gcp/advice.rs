//! What Compute Engine says of its spare capacity. Compute Engine documentation, "View VM
//! availability".

mod capacity;
mod history;

use std::sync::Arc;

use skyfleet_core::{InstanceType, Market, OfferId, Region, Zone};

use crate::gcp::blueprint::properties::AcceleratorSpec;
use crate::gcp::blueprint::shape;
use crate::gcp::error::{invalid, required};
use crate::gcp::method::Method;
use crate::gcp::url;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "advice.capacity",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/advice/capacity",
        answer: capacity::advise,
    },
    Method {
        id: "advice.capacityHistory",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/advice/capacityHistory",
        answer: history::tell,
    },
];

/// A zone of a region by its name in any form.
fn zone_of(kernel: &Kernel, region: &Region, written: &str, field: &str) -> Result<Zone, Refusal> {
    let name = url::after("zones", written).unwrap_or(written);
    let found = kernel.zones(region.as_str()).into_iter().find(|zone| zone.as_str() == name);
    found.ok_or_else(|| invalid(field, written, &format!("It is no zone of the region {region}.")))
}

/// A machine type by its bare name.
fn machine_of(
    kernel: &Kernel,
    written: &str,
    accelerators: &[AcceleratorSpec],
    field: &str,
) -> Result<Arc<InstanceType>, Refusal> {
    if written.is_empty() {
        return Err(required(field));
    }
    shape::find(kernel, field, written, accelerators)
}

/// The offer of a machine type in a zone, if it is sold there.
fn offer_in(kernel: &Kernel, zone: &Zone, machine: &InstanceType, market: Market) -> Option<OfferId> {
    let id = OfferId { zone: zone.clone(), instance_type: machine.name.clone(), market };
    kernel.catalog().offer(&id).is_some().then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gcp::trial::Trial;

    const CAPACITY: &str = "regions/us-central1/advice/capacity";
    const HISTORY: &str = "regions/us-central1/advice/capacityHistory";

    fn asked(machine: &str, zones: &[&str], shape: &str, size: u32) -> Value {
        let zones: Vec<Value> = zones.iter().map(|zone| json!({ "zone": format!("zones/{zone}") })).collect();
        json!({
            "distributionPolicy": { "targetShape": shape, "zones": zones },
            "instanceProperties": { "scheduling": { "provisioningModel": "SPOT" } },
            "instanceFlexibilityPolicy": { "instanceSelections": { "any": { "machineTypes": [machine] } } },
            "size": size,
        })
    }

    fn room(trial: &Trial, zone: &str, machine: &str, available: u32) {
        trial.fault(json!({ "kind": "capacity", "cloud": "gcp", "zone": zone, "instance_type": machine,
            "market": "all", "available": available }));
    }

    #[test]
    fn plenty_is_obtainable_and_what_is_sold_out_is_not() {
        let trial = Trial::new();
        let ask = |body: Value| trial.in_project("POST", CAPACITY, body)["recommendations"][0].clone();
        let plenty = ask(asked("n2-standard-2", &["us-central1-a"], "ANY", 10));
        assert!(plenty["scores"]["obtainability"].as_f64().unwrap() >= 0.7, "{plenty}");
        assert_eq!(plenty["scores"]["estimatedUptime"], "3600s");
        assert_eq!(plenty["shards"][0]["instanceCount"], 10);
        room(&trial, "us-central1-a", "n2-standard-2", 0);
        let none = ask(asked("n2-standard-2", &["us-central1-a"], "ANY", 10));
        assert!(none["scores"]["obtainability"].as_f64().unwrap() <= 0.3, "{none}");
        let elsewhere = ask(asked("n2-standard-2", &[], "ANY_SINGLE_ZONE", 10));
        assert!(!elsewhere["shards"][0]["zone"].as_str().unwrap().ends_with("us-central1-a"), "{elsewhere}");
    }

    #[test]
    fn the_shards_lie_as_the_shape_says() {
        let trial = Trial::new();
        let shards = |shape: &str| {
            let answer = trial.in_project("POST", CAPACITY, asked("n2-standard-2", &[], shape, 8));
            let shards = answer["recommendations"][0]["shards"].as_array().unwrap().clone();
            shards.iter().map(|shard| shard["instanceCount"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((shards("ANY_SINGLE_ZONE"), shards("BALANCED")), (vec![8], vec![2, 2, 2, 2]));
    }

    #[test]
    fn advice_on_what_there_is_not_is_refused() {
        let trial = Trial::new();
        for body in [
            asked("n9-mega", &[], "ANY", 1),
            asked("n2-standard-2", &["us-east1-b"], "ANY", 1),
            asked("n2-standard-2", &[], "ROUND", 1),
            asked("n2-standard-2", &[], "ANY", 0),
            json!({ "size": 1 }),
        ] {
            assert_eq!(trial.refusal("POST", CAPACITY, body.clone()).0, 400, "{body}");
        }
    }

    #[test]
    fn history_tells_prices_of_the_region_and_a_preemption_rate_a_day() {
        let trial = Trial::new();
        let asked = |types: Value, location: &str, model: &str| {
            json!({ "types": types, "locationPolicy": { "location": location }, "instanceProperties": {
                "machineType": "n2-standard-2", "scheduling": { "provisioningModel": model } } })
        };
        let both = json!(["PREEMPTION", "PRICE"]);
        let told = trial.in_project("POST", HISTORY, asked(both.clone(), "regions/us-central1", "SPOT"));
        let rates = told["preemptionHistory"].as_array().unwrap();
        assert_eq!(rates.len(), 30);
        assert!(rates.iter().all(|one| (0.0..=1.0).contains(&one["preemptionRate"].as_f64().unwrap())));
        let prices = told["priceHistory"].as_array().unwrap();
        let last = &prices[prices.len() - 1]["listPrice"];
        let now = trial.face.world.look(|kernel| {
            let offer = skyfleet_core::OfferId {
                zone: "us-central1-a".into(),
                instance_type: "n2-standard-2".into(),
                market: skyfleet_core::Market::Spot,
            };
            kernel.price(&offer).unwrap().micros()
        });
        assert_eq!((&last["currencyCode"], last["nanos"].as_i64()), (&json!("USD"), Some(now * 1_000)));
        let zonal =
            trial.in_project("POST", HISTORY, asked(json!(["PREEMPTION"]), "zones/us-central1-a", "SPOT"));
        assert!(zonal.get("priceHistory").is_none() && zonal["location"].as_str().unwrap().ends_with("-a"));
        for body in [
            asked(json!([]), "regions/us-central1", "SPOT"),
            asked(json!(["PRICE"]), "zones/us-central1-a", "SPOT"),
            asked(both.clone(), "regions/us-central1", "STANDARD"),
            asked(both.clone(), "regions/us-east1", "SPOT"),
            asked(json!(["WEATHER"]), "regions/us-central1", "SPOT"),
        ] {
            assert_eq!(trial.refusal("POST", HISTORY, body.clone()).0, 400, "{body}");
        }
    }
}
