use serde_json::json;

use super::*;
use crate::azure::blueprint::tests::{profile, trial};
use crate::azure::trial::{SUBSCRIPTION, Said, Trial};

const FLEET: &str = "/resourceGroups/g/providers/Microsoft.AzureFleet/fleets/words-a";

/// A launch of spot machines in zones 1 and 2.
fn launch(count: u32) -> Value {
    json!({ "location": "eastus", "zones": ["1", "2"], "tags": { "skyfleet-owner": "ada" }, "properties": {
        "mode": "Launch",
        "vmNamePrefix": "words-a",
        "capacityType": "VM",
        "vmSizesProfile": [{ "name": "Standard_D2s_v5" }],
        "computeProfile": { "baseVirtualMachineProfile": profile(), "computeApiVersion": "2024-07-01",
            "platformFaultDomainCount": 1 },
        "spotPriorityProfile": { "capacity": count, "allocationStrategy": "PriceCapacityOptimized",
            "evictionPolicy": "Delete", "maintain": false },
    } })
}

/// The same on demand.
fn regular(count: u32) -> Value {
    let mut body = launch(count);
    body["properties"]["spotPriorityProfile"] = Value::Null;
    body["properties"]["regularPriorityProfile"] =
        json!({ "capacity": count, "allocationStrategy": "LowestPrice" });
    body
}

fn managed(count: u32) -> Value {
    let mut body = launch(count);
    body["properties"]["mode"] = "Managed".into();
    body["properties"]["vmNamePrefix"] = Value::Null;
    body["properties"]["spotPriorityProfile"]["maintain"] = true.into();
    body
}

fn put(trial: &Trial, body: Value) -> Said {
    let said = trial.ask("PUT", &format!("{SUBSCRIPTION}{FLEET}"), body);
    assert!(said.status < 300, "{said:?}");
    said
}

fn members(trial: &Trial) -> Vec<Value> {
    trial.get(&format!("{FLEET}/virtualMachines"))["value"].as_array().unwrap().clone()
}

fn statuses(trial: &Trial) -> Vec<String> {
    members(trial).iter().map(|one| one["operationStatus"].as_str().unwrap().to_owned()).collect()
}

fn state(trial: &Trial) -> Value {
    trial.get(FLEET)["properties"]["provisioningState"].clone()
}

/// The code with which a body is refused.
fn refused(trial: &Trial, body: Value) -> (u16, String) {
    trial.refusal("PUT", FLEET, body)
}

/// How many machines there is room for, by zone.
fn room(trial: &Trial, zone: &str, market: &str, available: u32) {
    trial.fault(
        json!({ "kind": "capacity", "cloud": "azure", "zone": zone, "instance_type": "Standard_D2s_v5",
        "market": market, "available": available }),
    );
}

#[test]
fn a_thousand_machines_are_one_request_and_ready_in_150_seconds() {
    let trial = trial();
    let said = put(&trial, launch(1_000));
    assert_eq!((said.status, said.body["properties"]["provisioningState"].as_str()), (201, Some("Creating")));
    assert!(statuses(&trial).iter().all(|status| status == "Launching"));
    trial.wait(150);
    let machines = members(&trial);
    let late: Vec<&Value> = machines.iter().filter(|one| one["operationStatus"] != "Succeeded").collect();
    assert!(late.is_empty(), "{late:?}");
    assert_eq!((machines.len(), state(&trial)), (1_000, json!("Succeeded")));
    let zones = |zone: &str| machines.iter().filter(|one| one["zone"] == zone).count();
    assert_eq!((zones("1"), zones("2")), (500, 500));
    assert_eq!(machines[0]["priority"], "Spot");
    let name = machines[0]["name"].as_str().unwrap();
    let shown = trial.get(&format!("/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/{name}"));
    assert_eq!((&shown["id"], &shown["tags"]["skyfleet-owner"]), (&machines[0]["id"], &json!("ada")));
    assert_eq!(trial.outcome(&said)["status"], "Succeeded");
}

#[test]
fn the_same_request_is_the_same_fleet_and_another_one_is_refused() {
    let trial = trial();
    let first = put(&trial, launch(3));
    let names = |trial: &Trial| trial.names(&format!("{FLEET}/virtualMachines"));
    let before = names(&trial);
    trial.wait(5);
    let mut again = launch(3);
    again["tags"]["more"] = "1".into();
    let second = put(&trial, again);
    assert_eq!((first.status, second.status, names(&trial)), (201, 200, before));
    assert_eq!(trial.live("ada"), 6, "three machines and three disks");
    assert_eq!(refused(&trial, launch(4)), (409, "PropertyChangeNotAllowed".to_owned()));
    let patched = trial.done("PATCH", FLEET, json!({ "tags": { "a": "b" } }));
    assert_eq!((&patched["tags"], trial.live("ada")), (&json!({ "a": "b" }), 6));
    let changed =
        trial.refusal("PATCH", FLEET, json!({ "properties": { "spotPriorityProfile": { "capacity": 9 } } }));
    assert_eq!(changed.1, "PropertyChangeNotAllowed");
    assert_eq!(trial.outcome(&second)["status"], "Succeeded");
}

#[test]
fn machines_without_room_fail_late_each_with_its_reason() {
    for (body, market, zonal, code) in [
        (launch(5), "spot", true, "SkuNotAvailable"),
        (regular(5), "on-demand", true, "ZonalAllocationFailed"),
        (regular(5), "on-demand", false, "AllocationFailed"),
    ] {
        let trial = trial();
        for (zone, available) in [("eastus-1", 2), ("eastus-2", 0), ("eastus-3", 0)] {
            room(&trial, zone, market, available);
        }
        let mut body = body;
        if !zonal {
            body["zones"] = Value::Null;
        }
        let said = put(&trial, body);
        assert!(statuses(&trial).iter().all(|status| status == "Launching"), "{code}");
        assert_eq!(trial.outcome(&said)["status"], "Succeeded", "some are there: {code}");
        let failed: Vec<Value> =
            members(&trial).into_iter().filter(|one| one["operationStatus"] == "Failed").collect();
        assert_eq!((failed.len(), &failed[0]["error"]["code"]), (3, &json!(code)));
        assert_eq!(failed[0]["zone"].is_null(), !zonal);
        let machines = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";
        assert_eq!(trial.names(machines).len(), 5, "what failed stays as a resource");
        let name = failed[0]["name"].as_str().unwrap();
        let shown = trial.get(&format!("{machines}/{name}"));
        assert_eq!(shown["properties"]["provisioningState"], "Failed");
        assert_eq!(trial.live("ada"), 4, "two machines and two disks: {code}");
    }
}

#[test]
fn a_size_that_a_zone_does_not_have_is_overconstrained() {
    let trial = trial();
    let mut body = regular(1);
    body["zones"] = json!(["3"]);
    body["properties"]["vmSizesProfile"] = json!([{ "name": "Standard_NC24ads_A100_v4" }]);
    let said = put(&trial, body);
    let told = trial.outcome(&said);
    assert_eq!(
        (&told["status"], &told["error"]["code"]),
        (&json!("Failed"), &json!("OverconstrainedZonalAllocationRequest"))
    );
    assert_eq!(trial.names(&format!("{FLEET}/virtualMachineScaleSets")).len(), 0);
}

#[test]
fn a_managed_fleet_has_its_machines_in_a_scale_set() {
    let trial = trial();
    let sets = format!("{FLEET}/virtualMachineScaleSets");
    put(&trial, managed(1));
    let set = trial.get(&sets)["value"][0].clone();
    assert_eq!(set["operationStatus"], "Creating");
    let path = set["id"].as_str().unwrap().strip_prefix(SUBSCRIPTION).unwrap().to_owned();
    trial.wait(150);
    let shown = trial.get(&path);
    assert_eq!(
        (&shown["sku"]["capacity"], &shown["properties"]["provisioningState"]),
        (&json!(1), &json!("Succeeded"))
    );
    assert_eq!(trial.get(&format!("{path}/virtualMachines"))["value"][0]["id"], members(&trial)[0]["id"]);
    assert_eq!(trial.refusal("DELETE", &path, Value::Null).1, "OperationNotAllowed");
    assert!(!shown.to_string().contains("customData"));
    trial.done("DELETE", FLEET, Value::Null);
    assert_eq!((trial.refusal("GET", &path, Value::Null).0, trial.live("ada")), (404, 0));
}

#[test]
fn a_fleet_without_one_machine_has_failed() {
    let trial = trial();
    room(&trial, "eastus-1", "all", 0);
    room(&trial, "eastus-2", "all", 0);
    let said = put(&trial, launch(2));
    let outcome = trial.outcome(&said);
    assert_eq!(
        (&outcome["status"], &outcome["error"]["code"]),
        (&json!("Failed"), &json!("SkuNotAvailable"))
    );
    assert_eq!(state(&trial), "Failed");
}

#[test]
fn what_can_never_be_is_refused_at_once_and_buys_nothing() {
    let trial = trial();
    room(&trial, "eastus-1", "spot", 1);
    room(&trial, "eastus-2", "spot", 1);
    let mut all = launch(5);
    all["properties"]["spotPriorityProfile"]["minCapacity"] = 5.into();
    assert_eq!(refused(&trial, all), (409, "SkuNotAvailable".to_owned()));

    let mut some = regular(5);
    some["properties"]["regularPriorityProfile"]["minCapacity"] = 3.into();
    some["zones"] = Value::Null;
    for zone in ["eastus-1", "eastus-2", "eastus-3"] {
        room(&trial, zone, "on-demand", 0);
    }
    assert_eq!(refused(&trial, some), (409, "AllocationFailed".to_owned()));

    let mut cheap = launch(5);
    cheap["properties"]["spotPriorityProfile"]["maxPricePerVM"] = json!(0.000_01);
    assert_eq!(refused(&trial, cheap), (400, "SpotPriceGreaterThanProvidedMaxPrice".to_owned()));

    trial.fault(json!({ "kind": "quota", "cloud": "azure", "region": "eastus", "name": "lowPriorityCores", "limit": 7 }));
    let said = trial.ask("PUT", &format!("{SUBSCRIPTION}{FLEET}"), launch(4));
    let error = &said.body["error"];
    assert_eq!((said.status, &error["code"]), (409, &json!("OperationNotAllowed")));
    assert!(error["message"].as_str().unwrap().contains("Current Limit: 7"), "{error}");

    trial.fault(json!({ "kind": "sku-restriction", "cloud": "azure", "region": "eastus",
        "instance_type": "Standard_D2s_v5", "on": true }));
    assert_eq!(refused(&trial, launch(2)), (409, "SkuNotAvailable".to_owned()));
    assert_eq!((trial.live("ada"), trial.refusal("GET", FLEET, Value::Null).0), (0, 404));
}

#[test]
fn sizes_are_taken_in_the_order_of_the_strategy() {
    let sizes = |trial: &Trial| {
        let mut sizes: Vec<String> =
            members(trial).iter().map(|one| one["vmSize"].as_str().unwrap().to_owned()).collect();
        sizes.dedup();
        sizes
    };
    let profile = json!([{ "name": "Standard_D4s_v5", "rank": 0 }, { "name": "Standard_D2s_v5", "rank": 1 }]);
    let trial = trial();
    let mut body = regular(4);
    body["properties"]["vmSizesProfile"] = profile.clone();
    body["properties"]["regularPriorityProfile"]["allocationStrategy"] = "Prioritized".into();
    put(&trial, body);
    assert_eq!(sizes(&trial), ["Standard_D4s_v5"]);

    let trial = super::super::blueprint::tests::trial();
    let mut body = regular(4);
    body["properties"]["vmSizesProfile"] =
        json!([{ "name": "Standard_D4s_v5" }, { "name": "Standard_D2s_v5" }]);
    put(&trial, body);
    assert_eq!(sizes(&trial), ["Standard_D2s_v5"], "the cheapest");
}

#[test]
fn a_fleet_in_launch_mode_goes_and_its_machines_stay() {
    let trial = trial();
    put(&trial, launch(2));
    trial.wait(4 * 3_600);
    assert_eq!(state(&trial), "Succeeded");
    trial.wait(2 * 3_600);
    assert_eq!(trial.refusal("GET", FLEET, Value::Null).0, 404);
    assert_eq!(trial.live("ada"), 4);

    // Under the same name another one can be made, whose machines have names of their own.
    put(&trial, launch(2));
    assert_eq!(trial.live("ada"), 8);
    trial.done("DELETE", FLEET, Value::Null);
    assert_eq!((trial.refusal("GET", FLEET, Value::Null).0, trial.live("ada")), (404, 8));
    assert_eq!(trial.done("DELETE", FLEET, Value::Null), Value::Null);
}

#[test]
fn a_managed_fleet_replaces_what_is_taken_back_and_takes_its_machines_with_it() {
    let trial = trial();
    put(&trial, managed(3));
    trial.wait(200);
    assert_eq!((state(&trial), trial.live("ada")), (json!("Succeeded"), 6));
    let id = members(&trial)[0]["id"].clone();
    trial.fault(json!({ "kind": "preempt", "cloud": "azure", "instance_id": id, "notice_seconds": 5 }));
    let alive = |trial: &Trial| {
        let machines = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";
        trial.names(machines).len()
    };
    trial.wait(200);
    assert_eq!(state(&trial), "Creating", "the other one comes");
    trial.wait(200);
    assert_eq!((alive(&trial), trial.live("ada")), (3, 6));

    trial.done("PATCH", FLEET, json!({ "properties": { "spotPriorityProfile": { "capacity": 1 } } }));
    trial.wait(200);
    assert_eq!(alive(&trial), 1);
    trial.done("PATCH", FLEET, json!({ "properties": { "spotPriorityProfile": { "capacity": 2 } } }));
    assert_eq!(alive(&trial), 2);
    let fixed = trial.refusal(
        "PATCH",
        FLEET,
        json!({ "properties": { "vmSizesProfile": [{ "name": "Standard_D4s_v5" }] } }),
    );
    assert_eq!(fixed.1, "InvalidParameter");

    trial.done("DELETE", FLEET, Value::Null);
    trial.wait(200);
    assert_eq!((alive(&trial), trial.live("ada")), (0, 0));
    assert_eq!(trial.names("/resources"), ["net", "nsg"]);
}

#[test]
fn a_body_that_does_not_fit_is_refused_by_its_name() {
    let trial = trial();
    for (at, value, code) in [
        ("/properties", Value::Null, "InvalidParameter"),
        ("/properties", json!([1]), "InvalidParameter"),
        ("/location", json!("nowhere"), "LocationNotAvailableForResourceType"),
        ("/zones", json!(["4"]), "AvailabilityZoneNotSupported"),
        ("/properties/mode", json!("Both"), "InvalidParameter"),
        ("/properties/vmSizesProfile", json!([]), "InvalidParameter"),
        ("/properties/vmSizesProfile", json!([{ "name": "Standard_D2s_v5", "rank": 1 }]), "InvalidParameter"),
        ("/properties/vmSizesProfile", json!([{ "name": "Standard_X1" }]), "InvalidParameter"),
        ("/properties/computeProfile", Value::Null, "InvalidParameter"),
        ("/properties/vmNamePrefix", json!("a/b"), "InvalidParameter"),
        ("/properties/spotPriorityProfile", json!({ "capacity": 0 }), "InvalidParameter"),
        ("/properties/spotPriorityProfile", json!({ "capacity": 10_001 }), "InvalidParameter"),
        ("/properties/spotPriorityProfile", json!({ "capacity": 1, "minCapacity": 2 }), "InvalidParameter"),
        ("/properties/spotPriorityProfile", json!({ "capacity": 1, "maintain": true }), "InvalidParameter"),
        (
            "/properties/spotPriorityProfile",
            json!({ "capacity": 1, "allocationStrategy": "Prioritized" }),
            "InvalidParameter",
        ),
        (
            "/properties/spotPriorityProfile",
            json!({ "capacity": 1, "maxPricePerVM": 0 }),
            "MaxPriceValueInvalid",
        ),
        ("/properties/spotPriorityProfile", json!("all"), "InvalidParameter"),
    ] {
        let mut body = launch(2);
        *body.pointer_mut(at).unwrap() = value.clone();
        assert_eq!(refused(&trial, body).1, code, "{at} = {value}");
    }
    let mut attributes = launch(1);
    attributes["properties"]["vmAttributes"] = json!({ "vCpuCount": { "min": 2 } });
    assert_eq!(refused(&trial, attributes), (501, "NotImplemented".to_owned()));
    assert_eq!(trial.live("ada"), 0);
}

#[test]
fn secrets_are_told_to_nobody() {
    let trial = trial();
    put(&trial, launch(1));
    let shown = trial.get(FLEET).to_string();
    assert!(!shown.contains("customData") && shown.contains("adminUsername"), "{shown}");
    assert_eq!(trial.names("/providers/Microsoft.AzureFleet/fleets"), ["words-a"]);
    assert_eq!(trial.names("/resourceGroups/g/providers/Microsoft.AzureFleet/fleets"), ["words-a"]);
}

#[test]
fn nothing_is_changed_in_a_group_that_is_going() {
    let trial = trial();
    put(&trial, managed(2));
    trial.ask("DELETE", &format!("{SUBSCRIPTION}/resourceGroups/g"), Value::Null);
    let more = json!({ "properties": { "spotPriorityProfile": { "capacity": 4 } } });
    assert_eq!(trial.refusal("PATCH", FLEET, more), (409, "ResourceGroupBeingDeleted".to_owned()));
    trial.wait(300);
    assert_eq!((trial.refusal("GET", "/resourceGroups/g", Value::Null).0, trial.live("ada")), (404, 0));
}
