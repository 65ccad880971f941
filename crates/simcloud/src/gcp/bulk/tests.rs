use serde_json::{Value, json};

use crate::gcp::instances::tests::end;
use crate::gcp::trial::Trial;

const REGIONAL: &str = "regions/us-central1/instances/bulkInsert";
const ZONE: &str = "zones/us-central1-a";

/// Properties of spot instances of Debian.
fn properties() -> Value {
    json!({
        "machineType": "n2-standard-2",
        "disks": [{ "boot": true, "autoDelete": true, "initializeParams": {
            "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
        "networkInterfaces": [{ "network": "global/networks/default" }],
        "labels": { "skyfleet-owner": "ada" },
        "scheduling": { "provisioningModel": "SPOT", "instanceTerminationAction": "DELETE" },
    })
}

fn bulk(count: u32) -> Value {
    json!({ "count": count.to_string(), "namePattern": "run-####", "instanceProperties": properties(),
        "locationPolicy": { "targetShape": "ANY" } })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn room(trial: &Trial, zone: &str, machine: &str, available: u32) {
    trial.fault(json!({ "kind": "capacity", "cloud": "gcp", "zone": zone, "instance_type": machine,
        "market": "all", "available": available }));
}

/// The instances of all zones: zone and name.
fn instances(trial: &Trial) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let all = trial.get("aggregated/instances");
    for (zone, here) in all["items"].as_object().unwrap() {
        for item in here["instances"].as_array().into_iter().flatten() {
            let text = |name: &str| item[name].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            found.push((zone.trim_start_matches("zones/").to_owned(), text("name"), text("machineType")));
        }
    }
    found
}

fn operation(trial: &Trial, operation: &Value) -> Value {
    let link = operation["selfLink"].as_str().unwrap();
    trial.get(link.split_once("/projects/p/").unwrap().1)
}

/// The operations of the same request, but for the one that was answered.
fn children(trial: &Trial, parent: &Value) -> Vec<Value> {
    let group = parent["operationGroupId"].as_str().unwrap();
    let filter = format!("aggregated/operations?filter=operationGroupId%3D%22{group}%22");
    let all = trial.get(&filter);
    let scopes = all["items"].as_object().unwrap().values();
    let all = scopes.flat_map(|scope| scope["operations"].as_array().cloned().unwrap_or_default());
    all.filter(|one| one["name"] != parent["name"]).collect()
}

#[test]
fn as_many_are_made_as_were_asked_for_and_each_has_an_operation() {
    let trial = Trial::new();
    let parent = trial.in_project("POST", REGIONAL, bulk(5));
    assert_eq!((&parent["operationType"], &parent["status"]), (&json!("bulkInsert"), &json!("RUNNING")));
    trial.wait(2);
    let names: Vec<String> = instances(&trial).into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["run-0001", "run-0002", "run-0003", "run-0004", "run-0005"]);
    trial.wait(300);
    let done = operation(&trial, &parent);
    assert_eq!((&done["status"], done.get("error")), (&json!("DONE"), None), "{done}");
    let places = done["instancesBulkInsertOperationMetadata"]["perLocationStatus"].as_object().unwrap();
    let created: u64 = places.values().map(|place| place["createdVmCount"].as_u64().unwrap()).sum();
    assert_eq!(created, 5);
    let children = children(&trial, &parent);
    assert_eq!(children.len(), 5);
    assert!(children.iter().all(|child| child["operationType"] == "insert" && child["status"] == "DONE"));
    // The next ones go on counting.
    trial.in_project("POST", REGIONAL, bulk(1));
    trial.wait(2);
    assert!(instances(&trial).iter().any(|(_, name, _)| name == "run-0006"));
    end(&trial);
}

#[test]
fn what_fits_is_kept_when_the_least_is_reached_and_children_say_what_failed() {
    let trial = Trial::new();
    for zone in ["us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"] {
        room(&trial, zone, "n2-standard-2", if zone.ends_with('b') { 3 } else { 0 });
    }
    let parent = trial.in_project("POST", REGIONAL, with(bulk(5), "minCount", "1".into()));
    trial.wait(1);
    assert_eq!(instances(&trial).len(), 5, "those that fail are there for a moment");
    trial.wait(300);
    assert_eq!(instances(&trial).len(), 3);
    let done = operation(&trial, &parent);
    assert_eq!((&done["status"], done.get("error")), (&json!("DONE"), None));
    let failed: Vec<Value> =
        children(&trial, &parent).into_iter().filter(|child| !child["error"].is_null()).collect();
    assert_eq!(failed.len(), 2);
    for child in failed {
        let code = child["error"]["errors"][0]["code"].as_str().unwrap();
        assert!(code.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED"), "{child}");
    }
    end(&trial);
}

#[test]
fn the_shapes_lie_as_their_names_say() {
    let trial = Trial::new();
    let zones = |body: Value| -> Vec<usize> {
        trial.change("POST", REGIONAL, body);
        let mut count = std::collections::BTreeMap::<String, usize>::new();
        instances(&trial).into_iter().for_each(|(zone, ..)| *count.entry(zone).or_default() += 1);
        end(&trial);
        count.into_values().collect()
    };
    let shape = |shape: &str| with(bulk(8), "locationPolicy", json!({ "targetShape": shape }));
    assert_eq!(zones(shape("BALANCED")), [2, 2, 2, 2]);
    assert_eq!(zones(shape("ANY_SINGLE_ZONE")), [8]);
    assert_eq!(zones(with(bulk(8), "locationPolicy", json!({}))), [8]);
    let limited = json!({ "targetShape": "BALANCED", "locations": {
        "zones/us-central1-a": { "preference": "ALLOW", "constraints": { "maxCount": 1 } },
        "zones/us-central1-b": { "preference": "DENY" } } });
    assert_eq!(zones(with(bulk(7), "locationPolicy", limited)), [1, 3, 3]);
    let tight = json!({ "targetShape": "ANY", "locations": {
        "zones/us-central1-a": { "constraints": { "maxCount": 1 } },
        "zones/us-central1-b": { "constraints": { "maxCount": 1 } },
        "zones/us-central1-c": { "preference": "DENY" }, "zones/us-central1-f": { "preference": "DENY" } } });
    assert_eq!(trial.refusal("POST", REGIONAL, with(bulk(3), "locationPolicy", tight)).0, 400);
}

#[test]
fn lower_ranks_are_used_up_first() {
    let trial = Trial::new();
    for zone in ["us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"] {
        room(&trial, zone, "n2d-standard-2", 1);
    }
    let mut body = bulk(6);
    body["instanceProperties"].as_object_mut().unwrap().remove("machineType");
    body["instanceFlexibilityPolicy"] = json!({ "instanceSelections": {
        "alt": { "machineTypes": ["n2-standard-2"], "rank": "2" },
        "pref": { "machineTypes": ["n2d-standard-2"], "rank": "1" } } });
    trial.change("POST", REGIONAL, body.clone());
    let count = |machine: &str| instances(&trial).iter().filter(|(_, _, is)| is == machine).count();
    assert_eq!((count("n2d-standard-2"), count("n2-standard-2")), (4, 2));
    let zonal = trial.refusal("POST", &format!("{ZONE}/instances/bulkInsert"), body);
    assert_eq!(zonal.0, 400, "a flexibility policy is for regions");
    end(&trial);
}

#[test]
fn types_that_are_wanted_alike_lie_evenly_in_a_balanced_shape() {
    let trial = Trial::new();
    let mut body = with(bulk(8), "locationPolicy", json!({ "targetShape": "BALANCED" }));
    body["instanceProperties"].as_object_mut().unwrap().remove("machineType");
    body["instanceFlexibilityPolicy"] = json!({ "instanceSelections": {
        "any": { "machineTypes": ["n2-standard-2", "n2d-standard-2"] } } });
    trial.change("POST", REGIONAL, body);
    let mut pools: Vec<(String, String)> =
        instances(&trial).into_iter().map(|(zone, _, machine)| (zone, machine)).collect();
    pools.sort();
    pools.dedup();
    assert_eq!(pools.len(), 8);
    end(&trial);
}

#[test]
fn names_of_the_callers_own_are_used_and_a_taken_one_fails_alone() {
    let trial = Trial::new();
    let body = |names: Value| json!({ "minCount": "1", "perInstanceProperties": names, "instanceProperties": properties() });
    let zonal = format!("{ZONE}/instances/bulkInsert");
    trial.change("POST", &zonal, body(json!({ "a": {}, "b": { "hostname": "b.example.com" } })));
    assert_eq!(trial.get(&format!("{ZONE}/instances/b"))["hostname"], "b.example.com");
    let parent = trial.change("POST", &zonal, body(json!({ "b": {}, "c": {} })));
    assert_eq!(trial.names(&format!("{ZONE}/instances")), ["a", "b", "c"]);
    let codes: Vec<String> = children(&trial, &parent)
        .iter()
        .filter_map(|child| child["error"]["errors"][0]["code"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(codes, ["RESOURCE_ALREADY_EXISTS"]);
    end(&trial);
}

#[test]
fn what_can_never_be_is_refused_at_once() {
    let trial = Trial::new();
    let no = |body: Value| trial.refusal("POST", REGIONAL, body);
    let properties_with =
        |name: &str, value: Value| with(bulk(1), "instanceProperties", with(properties(), name, value));
    for (what, body) in [
        ("no count", with(bulk(1), "count", Value::Null)),
        ("nothing", with(bulk(1), "count", "0".into())),
        ("a least above the count", with(bulk(1), "minCount", "2".into())),
        ("a pattern without a number", with(bulk(1), "namePattern", "run".into())),
        ("no pattern", with(bulk(1), "namePattern", Value::Null)),
        ("no shape", with(bulk(1), "locationPolicy", json!({ "targetShape": "ROUND" }))),
        (
            "a zone of elsewhere",
            with(bulk(1), "locationPolicy", json!({ "locations": { "zones/us-east1-b": {} } })),
        ),
        ("an unknown type", properties_with("machineType", "n9-mega".into())),
        (
            "an unknown image",
            properties_with(
                "disks",
                json!([{ "boot": true, "initializeParams": { "sourceImage": "nothing" } }]),
            ),
        ),
        (
            "a termination action of a standard instance",
            properties_with("scheduling", json!({ "instanceTerminationAction": "DELETE" })),
        ),
    ] {
        assert_eq!(no(body).0, 400, "{what}");
    }
    let address = properties_with("machineType", "zones/us-central1-a/machineTypes/n2-standard-2".into());
    assert_eq!(no(address).0, 503, "an address of a machine type");
    trial.fault(json!({ "kind": "quota", "cloud": "gcp", "region": "us-central1", "name": "PREEMPTIBLE_CPUS", "limit": 4 }));
    assert_eq!(no(bulk(3)), (403, "quotaExceeded".to_owned()));
    let parent = trial.change("POST", REGIONAL, with(bulk(3), "minCount", "1".into()));
    let codes: Vec<Value> =
        children(&trial, &parent).iter().map(|child| child["error"]["errors"][0]["code"].clone()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "QUOTA_EXCEEDED").count(), 1, "{codes:?}");
    end(&trial);
}

#[test]
fn a_partial_gpu_request_fills_the_rest_from_the_next_zone() {
    let trial = Trial::new();
    for (zone, available) in [("us-central1-a", 2), ("us-central1-b", 0), ("us-central1-c", 1)] {
        room(&trial, zone, "g2-standard-8", available);
    }
    let mut body = with(bulk(4), "minCount", "1".into());
    body["instanceProperties"]["machineType"] = "g2-standard-8".into();
    trial.change("POST", REGIONAL, body);
    let mut zones: Vec<String> = instances(&trial).into_iter().map(|(zone, ..)| zone).collect();
    zones.sort();
    assert_eq!(zones, ["us-central1-a", "us-central1-a", "us-central1-c"]);
    let item = trial.get(&format!("{ZONE}/instances"))["items"][0].clone();
    assert_eq!(item["guestAccelerators"][0]["acceleratorCount"], 1);
    end(&trial);
}

#[test]
fn an_accelerator_is_attached_to_an_n1() {
    let trial = Trial::new();
    let mut body = bulk(1);
    body["instanceProperties"]["machineType"] = "n1-standard-4".into();
    body["instanceProperties"]["guestAccelerators"] =
        json!([{ "acceleratorType": "nvidia-tesla-t4", "acceleratorCount": 1 }]);
    trial.change("POST", REGIONAL, body.clone());
    assert_eq!(instances(&trial)[0].2, "n1-standard-4");
    body["instanceProperties"]["guestAccelerators"][0]["acceleratorCount"] = 3.into();
    assert_eq!(trial.refusal("POST", REGIONAL, body).0, 400);
    end(&trial);
}
