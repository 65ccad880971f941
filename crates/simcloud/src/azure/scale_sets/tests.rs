use serde_json::json;

use super::*;
use crate::azure::blueprint::tests::{profile, trial};
use crate::azure::trial::{SUBSCRIPTION, Trial};

const SET: &str = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/words";
const MACHINES: &str = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";

/// A scale set of spot machines in zones 1 and 2.
fn spot(capacity: u32) -> Value {
    let mut machine = profile();
    machine["priority"] = "Spot".into();
    machine["evictionPolicy"] = "Delete".into();
    json!({ "location": "eastus", "zones": ["1", "2"], "tags": { "skyfleet-owner": "ada" },
        "sku": { "name": "Standard_D2s_v5", "tier": "Standard", "capacity": capacity },
        "properties": { "orchestrationMode": "Flexible", "platformFaultDomainCount": 1,
            "singlePlacementGroup": false, "virtualMachineProfile": machine } })
}

fn members(trial: &Trial) -> Vec<Value> {
    trial.get(&format!("{SET}/virtualMachines"))["value"].as_array().unwrap().clone()
}

fn capacity(trial: &Trial) -> Value {
    trial.get(SET)["sku"]["capacity"].clone()
}

/// How many machines there are of a priority.
fn count(trial: &Trial, priority: &str) -> usize {
    let all = trial.get(MACHINES)["value"].as_array().unwrap().clone();
    all.iter().filter(|one| one["properties"]["priority"] == priority).count()
}

#[test]
fn a_scale_set_has_as_many_machines_as_its_capacity_says() {
    let trial = trial();
    let made = trial.done("PUT", SET, spot(4));
    assert_eq!(
        (&made["sku"]["capacity"], &made["properties"]["singlePlacementGroup"]),
        (&json!(4), &json!(false))
    );
    let machines = members(&trial);
    assert_eq!((machines.len(), trial.live("ada")), (4, 8));
    let zones = |zone: &str| machines.iter().filter(|one| one["zones"][0] == zone).count();
    assert_eq!((zones("1"), zones("2")), (2, 2));
    let name = machines[0]["instanceId"].as_str().unwrap();
    assert!(name.starts_with("words_") && machines[0]["properties"]["latestModelApplied"] == true);
    assert_eq!(trial.get(&format!("{SET}/virtualMachines/{name}"))["id"], machines[0]["id"]);
    let shown = trial.get(&format!("{MACHINES}/{name}"));
    assert!(shown["properties"]["virtualMachineScaleSet"]["id"].as_str().unwrap().ends_with("/words"));

    trial.done("PUT", SET, spot(4));
    assert_eq!(trial.live("ada"), 8, "the same is the same");
    trial.done("PATCH", SET, json!({ "sku": { "capacity": 6 } }));
    assert_eq!((capacity(&trial), members(&trial).len()), (json!(6), 6));
    trial.done("PATCH", SET, json!({ "sku": { "capacity": 1 } }));
    trial.wait(200);
    assert_eq!((capacity(&trial), members(&trial).len(), trial.live("ada")), (json!(1), 1, 2));
    let mut moved = spot(1);
    moved["zones"] = json!(["3"]);
    assert_eq!(trial.refusal("PUT", SET, moved), (409, "PropertyChangeNotAllowed".to_owned()));

    trial.done("DELETE", SET, Value::Null);
    trial.wait(10);
    assert_eq!((trial.live("ada"), trial.refusal("GET", SET, Value::Null).0), (0, 404));
    assert_eq!(trial.names("/resources"), ["net", "nsg"]);
}

#[test]
fn many_machines_are_deleted_by_one_call() {
    let trial = trial();
    trial.done("PUT", SET, spot(5));
    let names: Vec<Value> = members(&trial).iter().map(|one| one["instanceId"].clone()).collect();
    trial.done("POST", &format!("{SET}/delete"), json!({ "instanceIds": names[..3] }));
    trial.wait(200);
    assert_eq!((members(&trial).len(), capacity(&trial)), (2, json!(2)));
    let gone = trial.refusal("POST", &format!("{SET}/delete"), json!({ "instanceIds": names[..1] }));
    assert_eq!(gone, (400, "InvalidParameter".to_owned()));
    assert_eq!(trial.refusal("POST", &format!("{SET}/delete"), json!({})).0, 400);
    trial.done("DELETE", &format!("{SET}/virtualMachines/{}", names[4].as_str().unwrap()), Value::Null);
    trial.wait(200);
    assert_eq!(capacity(&trial), 1);
    trial.done("POST", &format!("{SET}/deallocate"), Value::Null);
    trial.wait(60);
    let state = trial.get(&format!("{SET}/virtualMachines?$expand=instanceView"));
    assert!(state.to_string().contains("PowerState/deallocated"), "{state}");
    trial.done("POST", &format!("{SET}/start"), Value::Null);
    trial.wait(200);
    trial.done("POST", &format!("{SET}/restart"), Value::Null);
    trial.done("POST", &format!("{SET}/powerOff"), json!({ "instanceIds": ["*"] }));
    let view = trial.get(&format!("{SET}/instanceView"));
    let summary = json!([{ "code": "ProvisioningState/succeeded", "count": 1 }]);
    assert_eq!(view["virtualMachine"]["statusesSummary"], summary);
}

#[test]
fn a_priority_mix_has_its_share_of_each() {
    let trial = trial();
    let mut body = spot(10);
    body["properties"]["priorityMixPolicy"] =
        json!({ "baseRegularPriorityCount": 2, "regularPriorityPercentageAboveBase": 50 });
    trial.done("PUT", SET, body);
    assert_eq!((count(&trial, "Spot"), count(&trial, "Regular")), (4, 6));
    trial.done("PATCH", SET, json!({ "sku": { "capacity": 2 } }));
    trial.wait(200);
    assert_eq!((count(&trial, "Spot"), count(&trial, "Regular")), (0, 2));
}

#[test]
fn a_mix_of_sizes_takes_them_in_the_order_of_its_strategy() {
    let trial = trial();
    trial.fault(
        json!({ "kind": "capacity", "cloud": "azure", "zone": "eastus-1", "instance_type": "Standard_D4s_v5",
        "market": "spot", "available": 1 }),
    );
    trial.fault(
        json!({ "kind": "capacity", "cloud": "azure", "zone": "eastus-2", "instance_type": "Standard_D4s_v5",
        "market": "spot", "available": 0 }),
    );
    let mut body = spot(3);
    body["sku"]["name"] = "Mix".into();
    body["properties"]["skuProfile"] = json!({ "allocationStrategy": "Prioritized",
        "vmSizes": [{ "name": "Standard_D2s_v5", "rank": 2 }, { "name": "Standard_D4s_v5", "rank": 1 }] });
    trial.done("PUT", SET, body);
    let sizes: Vec<Value> = members(&trial).iter().map(|one| one["sku"]["name"].clone()).collect();
    assert_eq!(sizes.iter().filter(|size| *size == "Standard_D4s_v5").count(), 1);
    assert_eq!((sizes.len(), capacity(&trial)), (3, json!(3)));
}

#[test]
fn what_is_evicted_comes_back_where_that_is_asked_for() {
    for restored in [true, false] {
        let trial = trial();
        let mut body = spot(2);
        body["properties"]["spotRestorePolicy"] =
            json!({ "enabled": restored, "restoreTimeout": "PT99999999H" });
        trial.done("PUT", SET, body);
        let id = members(&trial)[0]["id"].clone();
        trial.fault(json!({ "kind": "preempt", "cloud": "azure", "instance_id": id, "notice_seconds": 5 }));
        for _ in 0..4 {
            trial.wait(100);
            capacity(&trial);
        }
        let left = if restored { 2 } else { 1 };
        assert_eq!((members(&trial).len(), capacity(&trial)), (left, json!(left)), "restored: {restored}");
    }
}

#[test]
fn want_of_room_shows_late_and_the_next_change_tries_again() {
    let trial = trial();
    for zone in ["eastus-1", "eastus-2"] {
        trial.fault(
            json!({ "kind": "capacity", "cloud": "azure", "zone": zone, "instance_type": "Standard_D2s_v5",
            "market": "spot", "available": 1 }),
        );
    }
    let said = trial.ask("PUT", &format!("{SUBSCRIPTION}{SET}"), spot(3));
    assert_eq!(said.status, 201);
    let told = trial.outcome(&said);
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("Failed"), &json!("SkuNotAvailable")));
    assert_eq!(trial.get(SET)["properties"]["provisioningState"], "Failed");
    assert_eq!((members(&trial).len(), trial.live("ada")), (3, 4), "one of them is only tried");
    trial.face.world.look(|kernel| {
        let all: Vec<_> = kernel.faults().map(|(id, _)| id).collect();
        assert!(all.into_iter().all(|id| kernel.lift(id)));
    });
    trial.done("PUT", SET, spot(3));
    assert_eq!(
        (trial.get(SET)["properties"]["provisioningState"].clone(), trial.live("ada")),
        (json!("Succeeded"), 6)
    );

    trial.fault(json!({ "kind": "quota", "cloud": "azure", "region": "eastus", "name": "lowPriorityCores", "limit": 7 }));
    let over = trial.refusal("PATCH", SET, json!({ "sku": { "capacity": 9 } }));
    assert_eq!((over, trial.live("ada")), ((409, "OperationNotAllowed".to_owned()), 6));
}

#[test]
fn what_does_not_go_together_is_refused_by_its_name() {
    let trial = trial();
    for (at, value, code) in [
        ("/properties", Value::Null, "NotImplemented"),
        ("/properties/orchestrationMode", json!("Uniform"), "NotImplemented"),
        ("/properties/singlePlacementGroup", json!(true), "InvalidParameter"),
        ("/properties/platformFaultDomainCount", json!(5), "InvalidParameter"),
        ("/properties/virtualMachineProfile", Value::Null, "InvalidParameter"),
        ("/sku", Value::Null, "InvalidParameter"),
        ("/sku/capacity", json!(1_001), "InvalidParameter"),
        ("/sku/name", json!("Mix"), "InvalidParameter"),
        ("/sku/name", json!("Standard_X1"), "InvalidParameter"),
        ("/zones", json!(["9"]), "AvailabilityZoneNotSupported"),
    ] {
        let mut body = spot(1);
        *body.pointer_mut(at).unwrap() = value.clone();
        assert_eq!(trial.refusal("PUT", SET, body).1, code, "{at} = {value}");
    }
    for (name, value) in [
        ("skuProfile", json!({ "vmSizes": [{ "name": "Standard_D2s_v5" }] })),
        ("spotRestorePolicy", json!({ "enabled": true, "restoreTimeout": "an hour" })),
        ("priorityMixPolicy", json!({ "regularPriorityPercentageAboveBase": 101 })),
    ] {
        let mut body = spot(1);
        body["properties"][name] = value;
        assert_eq!(trial.refusal("PUT", SET, body).1, "InvalidParameter", "{name}");
    }
    assert_eq!(trial.live("ada"), 0);
}

#[test]
fn nothing_is_changed_in_a_group_that_is_going() {
    let trial = trial();
    trial.done("PUT", SET, spot(2));
    trial.ask("DELETE", &format!("{SUBSCRIPTION}/resourceGroups/g"), Value::Null);
    let late = trial.refusal("PATCH", SET, json!({ "sku": { "capacity": 4 } }));
    assert_eq!(late, (409, "ResourceGroupBeingDeleted".to_owned()));
    trial.wait(300);
    assert_eq!((trial.refusal("GET", "/resourceGroups/g", Value::Null).0, trial.live("ada")), (404, 0));
}
