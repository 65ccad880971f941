use serde_json::{Value, json};

use crate::azure::blueprint::tests::{machine, trial};
use crate::azure::trial::{SUBSCRIPTION, Said, Trial};

const GROUP: &str = "/resourceGroups/g";
const ONE: &str = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/Vm_1";
const COMPUTE: &str = "/resourceGroups/g/providers/Microsoft.Compute";
const NETWORK: &str = "/resourceGroups/g/providers/Microsoft.Network";

/// The body of a machine on demand with a public address, of which everything stays or goes.
pub(crate) fn regular(option: &str) -> Value {
    let mut body = machine();
    body["tags"] = json!({ "skyfleet-owner": "ada" });
    let properties = &mut body["properties"];
    properties["priority"] = "Regular".into();
    properties["evictionPolicy"] = Value::Null;
    properties["storageProfile"]["osDisk"]["deleteOption"] = option.into();
    let interface = &mut properties["networkProfile"]["networkInterfaceConfigurations"][0]["properties"];
    interface["deleteOption"] = option.into();
    interface["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"] =
        json!({ "name": "pip", "properties": { "deleteOption": option } });
    body
}

fn spot(policy: &str) -> Value {
    let mut body = machine();
    body["tags"] = json!({ "skyfleet-owner": "ada" });
    body["properties"]["evictionPolicy"] = policy.into();
    body
}

fn ask(trial: &Trial, verb: &str, path: &str, body: Value) -> Said {
    trial.ask(verb, &format!("{SUBSCRIPTION}{path}"), body)
}

/// The codes of a machine's statuses.
fn codes(trial: &Trial) -> Vec<String> {
    let view = trial.get(&format!("{ONE}/instanceView"));
    let codes = view["statuses"].as_array().unwrap().iter();
    codes.map(|status| status["code"].as_str().unwrap().to_owned()).collect()
}

fn power(trial: &Trial) -> String {
    codes(trial).pop().unwrap()
}

/// The only resource of a kind.
fn only(trial: &Trial, list: &str) -> Value {
    let all = trial.get(list)["value"].as_array().unwrap().clone();
    assert_eq!(all.len(), 1, "{list}: {all:?}");
    all[0].clone()
}

/// No machine, and nothing that costs or blocks, is left of ada's.
pub(crate) fn end(trial: &Trial) {
    trial.done("DELETE", GROUP, Value::Null);
    trial.face.look(|kernel, state| {
        assert!(kernel.ledger(Some("ada")).proves_empty(), "{:?}", kernel.ledger(Some("ada")));
        assert!(state.made.is_empty(), "{:?}", state.made.keys());
    });
}

#[test]
fn a_machine_comes_up_and_tells_what_it_is() {
    let trial = trial();
    let said = ask(&trial, "PUT", ONE, regular("Delete"));
    assert_eq!((said.status, &said.body["properties"]["provisioningState"]), (201, &json!("Creating")));
    assert!(said.headers.contains_key("Azure-AsyncOperation") && said.headers.contains_key("Retry-After"));
    assert_eq!(codes(&trial), ["ProvisioningState/creating"]);
    trial.wait(300);
    assert_eq!(codes(&trial), ["ProvisioningState/succeeded", "PowerState/running"]);
    let shown = trial.get(&format!("{}?$expand=instanceView", ONE.to_lowercase()));
    let properties = &shown["properties"];
    assert_eq!(
        (&shown["name"], &shown["zones"], &shown["location"]),
        (&json!("Vm_1"), &json!(["2"]), &json!("eastus"))
    );
    assert_eq!(
        (&properties["provisioningState"], &properties["priority"]),
        (&json!("Succeeded"), &json!("Regular"))
    );
    assert_eq!(properties["instanceView"]["computerName"], "words-1");
    assert_eq!(properties["osProfile"]["customData"], Value::Null);
    // What came with it, under ids that the machine names.
    let nic = only(&trial, &format!("{NETWORK}/networkInterfaces"));
    assert_eq!(nic["id"], properties["networkProfile"]["networkInterfaces"][0]["id"]);
    assert_eq!(nic["properties"]["virtualMachine"]["id"], shown["id"]);
    let pip = only(&trial, &format!("{NETWORK}/publicIPAddresses"));
    let inside = &nic["properties"]["ipConfigurations"][0];
    assert_eq!(inside["properties"]["publicIPAddress"]["id"], pip["id"]);
    assert_eq!(pip["properties"]["ipConfiguration"]["id"], inside["id"]);
    let disk = only(&trial, &format!("{COMPUTE}/disks"));
    assert_eq!(properties["storageProfile"]["osDisk"]["managedDisk"]["id"], disk["id"]);
    assert_eq!(disk["managedBy"], shown["id"]);
    let path = |part: &Value| part["id"].as_str().unwrap().strip_prefix(SUBSCRIPTION).unwrap().to_owned();
    assert_eq!(trial.refusal("DELETE", &path(&nic), Value::Null).1, "NicInUse");
    assert_eq!(trial.refusal("DELETE", &path(&pip), Value::Null).1, "PublicIPAddressCannotBeDeleted");
    assert_eq!(trial.refusal("DELETE", &path(&disk), Value::Null).1, "OperationNotAllowed");
    assert_eq!(trial.get(&path(&nic).to_uppercase())["id"], nic["id"]);
    assert_eq!(trial.names(&format!("{GROUP}/resources")).len(), 6);
    for at in ["networkSecurityGroups/nsg", "virtualNetworks/net", "virtualNetworks/net/subnets/s"] {
        assert_eq!(trial.refusal("DELETE", &format!("{NETWORK}/{at}"), Value::Null).0, 400, "{at}");
    }
    end(&trial);
}

#[test]
fn what_is_set_to_delete_goes_with_its_machine_and_the_rest_stays() {
    for (option, left) in [("Delete", 0), ("Detach", 1)] {
        let trial = trial();
        trial.done("PUT", ONE, regular(option));
        assert_eq!(trial.live("ada"), 3);
        assert_eq!(trial.names(&format!("{COMPUTE}/virtualMachines")).len(), 1);
        assert_eq!(ask(&trial, "DELETE", ONE, Value::Null).status, 202);
        assert_eq!(trial.get(ONE)["properties"]["provisioningState"], "Deleting");
        trial.done("DELETE", ONE, Value::Null);
        assert_eq!(trial.refusal("GET", ONE, Value::Null), (404, "ResourceNotFound".to_owned()));
        assert_eq!(ask(&trial, "DELETE", ONE, Value::Null).status, 204);
        for kind in [
            "Microsoft.Network/networkInterfaces",
            "Microsoft.Network/publicIPAddresses",
            "Microsoft.Compute/disks",
        ] {
            assert_eq!(trial.names(&format!("/providers/{kind}")).len(), left, "{option} {kind}");
        }
        assert_eq!(trial.live("ada"), 2 * left);
        if left > 0 {
            let nic = only(&trial, &format!("{NETWORK}/networkInterfaces"));
            assert_eq!(nic["properties"]["virtualMachine"], Value::Null);
            assert!(nic["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"].is_object());
            let name = |shown: &Value| shown["name"].as_str().unwrap().to_owned();
            // The interface holds the address, and the network.
            let pip = name(&only(&trial, &format!("{NETWORK}/publicIPAddresses")));
            let pip = format!("{NETWORK}/publicIPAddresses/{pip}");
            assert_eq!(trial.refusal("DELETE", &pip, Value::Null).1, "PublicIPAddressCannotBeDeleted");
            assert_eq!(
                trial.refusal("DELETE", &format!("{NETWORK}/virtualNetworks/net"), Value::Null).0,
                400
            );
            trial.done("DELETE", &format!("{NETWORK}/networkInterfaces/{}", name(&nic)), Value::Null);
            trial.done("DELETE", &pip, Value::Null);
            let disk = name(&only(&trial, &format!("{COMPUTE}/disks")));
            trial.done("DELETE", &format!("{COMPUTE}/disks/{disk}"), Value::Null);
            assert_eq!(trial.live("ada"), 0);
        }
        end(&trial);
    }
}

#[test]
fn a_stopped_machine_costs_and_a_deallocated_one_does_not() {
    let trial = trial();
    trial.done("PUT", ONE, regular("Delete"));
    trial.done("POST", &format!("{ONE}/powerOff"), Value::Null);
    assert_eq!((power(&trial).as_str(), trial.live("ada")), ("PowerState/stopped", 3));
    assert_eq!(ask(&trial, "POST", &format!("{ONE}/deallocate"), Value::Null).status, 202);
    assert_eq!(power(&trial), "PowerState/deallocating");
    trial.done("POST", &format!("{ONE}/deallocate"), Value::Null);
    assert_eq!((power(&trial).as_str(), trial.live("ada")), ("PowerState/deallocated", 2));
    let used = || {
        let all = trial.get("/providers/Microsoft.Compute/locations/eastus/usages")["value"].clone();
        let cores = all.as_array().unwrap().iter().find(|usage| usage["name"]["value"] == "cores").cloned();
        cores.unwrap()["currentValue"].clone()
    };
    assert_eq!(used(), 2, "it counts all the same");
    trial.done("POST", &format!("{ONE}/start"), Value::Null);
    assert_eq!((power(&trial).as_str(), trial.live("ada")), ("PowerState/running", 3));
    trial.done("POST", &format!("{ONE}/restart"), Value::Null);
    trial.wait(200);
    let entries = trial.ask("GET", &format!(
        "{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values?$filter=eventTimestamp ge '2027-01-01T00:00:00Z'"), Value::Null);
    let told: Vec<&str> = entries.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            entry["operationName"]["value"].as_str().unwrap().rsplit("virtualMachines/").next().unwrap()
        })
        .collect();
    assert_eq!(told, ["start/action", "deallocate/action", "powerOff/action", "write"]);
    end(&trial);
    assert_eq!(used(), 0);
}

#[test]
fn the_same_put_changes_nothing_and_another_machine_is_refused() {
    let trial = trial();
    trial.done("PUT", ONE, regular("Detach"));
    let again = ask(&trial, "PUT", ONE, regular("Detach"));
    assert_eq!((again.status, trial.live("ada")), (200, 3));
    for (at, value, wanted) in [
        ("/zones/0", json!("1"), (409, "PropertyChangeNotAllowed")),
        ("/properties/priority", json!("Spot"), (409, "PropertyChangeNotAllowed")),
        ("/properties/osProfile/adminUsername", json!("ada"), (409, "PropertyChangeNotAllowed")),
        ("/properties/storageProfile/imageReference/sku", json!("13"), (409, "PropertyChangeNotAllowed")),
        ("/properties/hardwareProfile/vmSize", json!("Standard_D4s_v5"), (501, "NotImplemented")),
        ("/properties/storageProfile/dataDisks", json!([{ "lun": 0 }]), (501, "NotImplemented")),
        ("/location", json!("westus2"), (409, "InvalidResourceLocation")),
    ] {
        let mut body = regular("Detach");
        let (of, member) = at.rsplit_once('/').unwrap();
        match body.pointer_mut(of).unwrap() {
            Value::Array(items) => items[0] = value,
            members => members[member] = value,
        }
        let refused = trial.refusal("PUT", ONE, body);
        assert_eq!((refused.0, refused.1.as_str()), wanted, "{at}");
    }
    // What a machine told of itself can be put back, with something else in it.
    let mut shown = trial.get(ONE);
    shown["tags"]["team"] = "search".into();
    shown["properties"]["storageProfile"]["osDisk"]["deleteOption"] = "Delete".into();
    shown["properties"]["networkProfile"]["networkInterfaces"][0]["properties"]["deleteOption"] =
        "Delete".into();
    let told = trial.done("PUT", ONE, shown);
    assert_eq!(told["tags"], json!({ "skyfleet-owner": "ada", "team": "search" }));
    assert_eq!(told["properties"]["storageProfile"]["osDisk"]["deleteOption"], "Delete");
    let change = json!({ "tags": { "skyfleet-owner": "ada" }, "properties": { "licenseType": "RHEL_BYOS" } });
    let told = trial.done("PATCH", ONE, change);
    assert_eq!(
        (&told["tags"], &told["properties"]["licenseType"]),
        (&json!({ "skyfleet-owner": "ada" }), &json!("RHEL_BYOS"))
    );
    trial.done("DELETE", ONE, Value::Null);
    assert_eq!(trial.live("ada"), 1, "the address alone");
    end(&trial);
}

#[test]
fn want_of_room_on_demand_shows_late_and_its_machine_stays_with_an_interface_for_180_seconds() {
    let trial = trial();
    trial.fault(json!({ "kind": "capacity", "cloud": "azure", "zone": "eastus-2", "available": 0 }));
    let said = ask(&trial, "PUT", ONE, regular("Delete"));
    assert_eq!(said.status, 201);
    let poll = |trial: &Trial| trial.ask("GET", &said.headers["Azure-AsyncOperation"], Value::Null).body;
    assert_eq!(poll(&trial)["status"], "InProgress");
    trial.wait(20);
    let told = poll(&trial);
    assert_eq!(
        (&told["status"], &told["error"]["code"]),
        (&json!("Failed"), &json!("ZonalAllocationFailed"))
    );
    assert_eq!(trial.ask("GET", &said.headers["Location"], Value::Null).status, 409);
    assert_eq!(trial.get(ONE)["properties"]["provisioningState"], "Failed");
    assert_eq!(codes(&trial), ["ProvisioningState/failed/ZonalAllocationFailed"]);
    assert_eq!(trial.names("/providers/Microsoft.Compute/virtualMachines?statusOnly=true"), ["Vm_1"]);
    assert_eq!(trial.refusal("POST", &format!("{ONE}/start"), Value::Null).1, "OperationNotAllowed");
    let nic = only(&trial, &format!("{NETWORK}/networkInterfaces"));
    let path = nic["id"].as_str().unwrap().strip_prefix(SUBSCRIPTION).unwrap().to_owned();
    assert_eq!(nic["properties"]["virtualMachine"]["id"], trial.get(ONE)["id"]);
    let reserved = (400, "NicReservedForAnotherVm".to_owned());
    assert_eq!(trial.refusal("DELETE", &path, Value::Null), reserved);
    trial.done("DELETE", ONE, Value::Null);
    assert_eq!(trial.refusal("GET", ONE, Value::Null).0, 404);
    assert_eq!(trial.refusal("DELETE", &path, Value::Null), reserved, "its machine is gone, and it waits");
    trial.wait(180);
    // It was to go with its machine.
    assert_eq!(trial.names(&format!("{NETWORK}/networkInterfaces")).len(), 0);
    end(&trial);
}

#[test]
fn what_could_not_be_made_is_tried_again_by_the_same_put() {
    let trial = trial();
    let fault = |left: Value| {
        trial.fault(json!({ "kind": "capacity", "cloud": "azure", "zone": "eastus-2", "available": left }));
    };
    fault(json!(0));
    for _ in 0..2 {
        ask(&trial, "PUT", ONE, regular("Detach"));
        trial.wait(30);
        only(&trial, &format!("{NETWORK}/networkInterfaces"));
    }
    // A refusal at once leaves it as it is.
    let mut cheap = spot("Delete");
    cheap["properties"]["billingProfile"] = json!({ "maxPrice": 0.00001 });
    assert_eq!(trial.refusal("PUT", ONE, cheap).0, 400);
    assert_eq!(trial.get(ONE)["properties"]["provisioningState"], "Failed");
    fault(Value::Null);
    assert_eq!(ask(&trial, "PUT", ONE, regular("Detach")).status, 200);
    trial.wait(300);
    assert_eq!(power(&trial), "PowerState/running");
    assert_eq!(trial.get(&format!("{COMPUTE}/virtualMachines"))["value"].as_array().unwrap().len(), 1);
    let nic = only(&trial, &format!("{NETWORK}/networkInterfaces"));
    assert_eq!(nic["properties"]["virtualMachine"]["id"], trial.get(ONE)["id"]);
    end(&trial);
}

#[test]
fn what_is_known_before_is_refused_at_once() {
    let trial = trial();
    let size = "Standard_D2s_v5";
    trial.fault(json!({ "kind": "quota", "cloud": "azure", "region": "eastus", "name": "lowPriorityCores", "limit": 1 }));
    assert_eq!(trial.refusal("PUT", ONE, spot("Delete")), (409, "OperationNotAllowed".to_owned()));
    trial.fault(json!({ "kind": "quota", "cloud": "azure", "region": "eastus", "name": "lowPriorityCores", "limit": 100 }));
    let mut cheap = spot("Delete");
    cheap["properties"]["billingProfile"] = json!({ "maxPrice": 0.00001 });
    assert_eq!(trial.refusal("PUT", ONE, cheap).1, "SpotPriceGreaterThanProvidedMaxPrice");
    trial.fault(json!({ "kind": "capacity", "cloud": "azure", "zone": "eastus-2", "instance_type": size,
        "market": "spot", "available": 0 }));
    assert_eq!(trial.refusal("PUT", ONE, spot("Delete")), (409, "SkuNotAvailable".to_owned()));
    trial.fault(json!({ "kind": "sku-restriction", "cloud": "azure", "region": "eastus", "instance_type": size, "on": true }));
    assert_eq!(trial.refusal("PUT", ONE, regular("Delete")), (409, "SkuNotAvailable".to_owned()));
    for name in ["a b", "-", "_x", &"n".repeat(65)] {
        let path = format!("{COMPUTE}/virtualMachines/{name}");
        assert_eq!(trial.refusal("PUT", &path, regular("Delete")).0, 400, "{name}");
    }
    assert_eq!(
        trial.refusal("PUT", &ONE.replace("/g/", "/other/"), regular("Delete")).1,
        "ResourceGroupNotFound"
    );
    assert_eq!(trial.names("/providers/Microsoft.Compute/virtualMachines").len(), 0);
    end(&trial);
}

#[test]
fn an_eviction_deletes_or_deallocates_and_is_in_the_log() {
    for (policy, left) in [("Delete", 0), ("Deallocate", 1)] {
        let trial = trial();
        trial.done("PUT", ONE, spot(policy));
        assert_eq!(trial.get(ONE)["properties"]["evictionPolicy"], policy);
        assert_eq!(ask(&trial, "POST", &format!("{ONE}/simulateEviction"), Value::Null).status, 204);
        trial.wait(300);
        assert_eq!(trial.names(&format!("{COMPUTE}/virtualMachines")).len(), left, "{policy}");
        if left > 0 {
            assert_eq!((power(&trial).as_str(), trial.live("ada")), ("PowerState/deallocated", 1));
        }
        let said = trial.get("/providers/Microsoft.Insights/eventtypes/management/values?$filter=eventTimestamp ge '2027-01-01T00:00:00Z'");
        let last = &said["value"][0];
        assert_eq!(last["operationName"]["value"], "Microsoft.Compute/virtualMachines/evictSpotVM/action");
        assert!(last["resourceId"].as_str().unwrap().ends_with("/virtualMachines/Vm_1"));
        end(&trial);
    }
    let trial = trial();
    trial.done("PUT", ONE, regular("Delete"));
    assert_eq!(trial.refusal("POST", &format!("{ONE}/simulateEviction"), Value::Null).0, 409);
    end(&trial);
}

#[test]
fn a_machine_takes_an_interface_that_is_there_and_no_other_gets_it() {
    let trial = trial();
    let nic = format!("{NETWORK}/networkInterfaces/own");
    let subnet =
        trial.get(&format!("{NETWORK}/virtualNetworks/net"))["properties"]["subnets"][0]["id"].clone();
    let body = json!({ "location": "eastus", "tags": { "skyfleet-owner": "ada" }, "properties": { "ipConfigurations": [
        { "name": "ip", "properties": { "subnet": { "id": subnet } } }] } });
    let id = trial.done("PUT", &nic, body)["id"].clone();
    let with = |option: &str| {
        let mut body = regular(option);
        body["properties"]["networkProfile"] =
            json!({ "networkInterfaces": [{ "id": id, "properties": { "deleteOption": option } }] });
        body["properties"]["storageProfile"]["osDisk"]["name"] = "system".into();
        body
    };
    trial.done("PUT", ONE, with("Detach"));
    assert_eq!(trial.get(&nic)["properties"]["virtualMachine"]["id"], trial.get(ONE)["id"]);
    assert_eq!(trial.get(&format!("{COMPUTE}/disks/SYSTEM"))["managedBy"], trial.get(ONE)["id"]);
    let other = ONE.replace("Vm_1", "other");
    let mut body = with("Detach");
    body["properties"]["storageProfile"]["osDisk"]["name"] = "SYSTEM".into();
    assert_eq!(trial.refusal("PUT", &other, body.clone()).1, "ConflictingUserInput");
    body["properties"]["storageProfile"]["osDisk"]["name"] = "another".into();
    assert_eq!(trial.refusal("PUT", &other, body).1, "NicInUse");
    assert_eq!(trial.refusal("DELETE", &nic, Value::Null).1, "NicInUse");
    trial.done("DELETE", ONE, Value::Null);
    assert_eq!(trial.get(&nic)["properties"]["virtualMachine"], Value::Null);
    trial.done("DELETE", &format!("{COMPUTE}/disks/system"), Value::Null);
    trial.done("PUT", ONE, with("Delete"));
    trial.done("DELETE", ONE, Value::Null);
    assert_eq!(trial.names(&format!("{NETWORK}/networkInterfaces")).len(), 0);
    end(&trial);
}

#[test]
fn a_group_ends_its_machines_wherever_they_stand() {
    let trial = trial();
    for n in 0..3 {
        trial.done("PUT", &format!("{COMPUTE}/virtualMachines/m{n}"), regular("Detach"));
    }
    trial.done("POST", &format!("{COMPUTE}/virtualMachines/m0/deallocate"), Value::Null);
    trial.fault(json!({ "kind": "capacity", "cloud": "azure", "zone": "eastus-2", "available": 0 }));
    ask(&trial, "PUT", &format!("{COMPUTE}/virtualMachines/m3"), regular("Detach"));
    trial.wait(30);
    let listed = trial.get("/providers/Microsoft.Compute/virtualMachines?statusOnly=true");
    let states: Vec<&str> = listed["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            one["properties"]["instanceView"]["statuses"].as_array().unwrap().last().unwrap()["code"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(
        states,
        [
            "PowerState/deallocated",
            "PowerState/running",
            "PowerState/running",
            "ProvisioningState/failed/ZonalAllocationFailed"
        ]
    );
    assert!(listed["value"][1]["properties"]["storageProfile"].is_null());
    assert_eq!(trial.names("/providers/Microsoft.Compute/locations/westus2/virtualMachines").len(), 0);
    let late = ask(&trial, "DELETE", GROUP, Value::Null);
    assert_eq!(late.status, 202);
    assert_eq!(trial.refusal("PUT", ONE, regular("Delete")).1, "ResourceGroupBeingDeleted");
    end(&trial);
}

#[test]
fn a_machine_that_is_deleted_while_it_comes_up_ends_the_operation_that_makes_it() {
    let trial = trial();
    let said = ask(&trial, "PUT", ONE, regular("Delete"));
    trial.wait(1);
    assert_eq!(ask(&trial, "DELETE", ONE, Value::Null).status, 202);
    trial.wait(1);
    let told = trial.ask("GET", &said.headers["Azure-AsyncOperation"], Value::Null).body;
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("Canceled"), &json!("OperationPreempted")));
    end(&trial);
}
