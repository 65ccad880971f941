use serde_json::{Value, json};

use crate::gcp::trial::Trial;

const ZONE: &str = "zones/us-central1-a";

/// An instance of Debian, to be inserted.
pub(crate) fn body(name: &str) -> Value {
    json!({
        "name": name,
        "machineType": "zones/us-central1-a/machineTypes/n2-standard-2",
        "disks": [{ "boot": true, "autoDelete": true, "initializeParams": {
            "sourceImage": "projects/debian-cloud/global/images/family/debian-12", "diskSizeGb": "20",
            "labels": { "skyfleet-owner": "ada" },
        } }],
        "networkInterfaces": [{ "network": "global/networks/default",
            "accessConfigs": [{ "type": "ONE_TO_ONE_NAT", "name": "External NAT" }] }],
        "labels": { "skyfleet-owner": "ada" },
        "metadata": { "items": [{ "key": "startup-script", "value": "#!/bin/sh\ntrue\n" }] },
        "tags": { "items": ["web"] },
        "serviceAccounts": [{ "email": "default", "scopes": ["https://www.googleapis.com/auth/cloud-platform"] }],
    })
}

fn spot(name: &str) -> Value {
    let mut body = body(name);
    body["scheduling"] = json!({ "provisioningModel": "SPOT", "instanceTerminationAction": "DELETE" });
    body
}

fn status(trial: &Trial, name: &str) -> String {
    trial.get(&format!("{ZONE}/instances/{name}"))["status"].as_str().unwrap().to_owned()
}

/// Deletes everything that lives, and proves that nothing is left.
pub(crate) fn end(trial: &Trial) {
    // Until lists show the youngest.
    trial.wait(2);
    let all = trial.get("aggregated/instances");
    for zone in all["items"].as_object().unwrap().values() {
        for item in zone["instances"].as_array().into_iter().flatten() {
            let link = item["selfLink"].as_str().unwrap();
            let (_, path) = link.split_once("/projects/p/").unwrap();
            trial.ask("DELETE", &format!("/compute/v1/projects/p/{path}"), Value::Null);
        }
    }
    trial.wait(300);
    let ledger = trial.face.world.ledger();
    assert!(ledger.proves_empty(), "{ledger:?}");
}

#[test]
fn an_instance_is_provisioned_staged_and_runs() {
    let trial = Trial::new();
    let operation = trial.in_project("POST", &format!("{ZONE}/instances"), body("one"));
    assert_eq!((&operation["operationType"], &operation["status"]), (&json!("insert"), &json!("RUNNING")));
    assert_eq!(status(&trial, "one"), "PROVISIONING");
    let mut seen = vec!["PROVISIONING".to_owned()];
    for _ in 0..120 {
        trial.wait(1);
        let now = status(&trial, "one");
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, ["PROVISIONING", "STAGING", "RUNNING"]);
    let item = trial.get(&format!("{ZONE}/instances/one"));
    assert_eq!(item["id"], operation["targetId"]);
    assert_eq!(item["disks"][0]["diskSizeGb"], "20");
    assert_eq!(item["disks"][0]["autoDelete"], true);
    assert!(item["networkInterfaces"][0]["networkIP"].is_string(), "{item}");
    assert!(item["networkInterfaces"][0]["accessConfigs"][0]["natIP"].is_string(), "{item}");
    assert!(
        item["networkInterfaces"][0]["subnetwork"]
            .as_str()
            .unwrap()
            .ends_with("regions/us-central1/subnetworks/default")
    );
    assert_eq!(item["scheduling"]["provisioningModel"], "STANDARD");
    assert_eq!(item["tags"]["items"], json!(["web"]));
    let by_number = trial.get(&format!("{ZONE}/instances/{}", item["id"].as_str().unwrap()));
    assert_eq!(by_number["name"], "one");
    end(&trial);
}

#[test]
fn a_deleted_instance_stops_and_then_is_not_found() {
    let trial = Trial::new();
    trial.change("POST", &format!("{ZONE}/instances"), body("one"));
    assert_eq!(status(&trial, "one"), "RUNNING");
    let operation = trial.in_project("DELETE", &format!("{ZONE}/instances/one"), Value::Null);
    assert_eq!((status(&trial, "one").as_str(), &operation["status"]), ("STOPPING", &json!("RUNNING")));
    trial.wait(61);
    assert_eq!(trial.refusal("GET", &format!("{ZONE}/instances/one"), Value::Null).0, 404);
    assert_eq!(trial.refusal("DELETE", &format!("{ZONE}/instances/one"), Value::Null).0, 404);
    // Its name is free again.
    trial.change("POST", &format!("{ZONE}/instances"), body("one"));
    end(&trial);
}

#[test]
fn a_stopped_instance_is_terminated_and_starts_again() {
    let trial = Trial::new();
    trial.change("POST", &format!("{ZONE}/instances"), body("one"));
    let path = format!("{ZONE}/instances/one");
    trial.change("POST", &format!("{path}/stop"), Value::Null);
    assert_eq!(status(&trial, "one"), "TERMINATED");
    let stopped = trial.get(&path);
    assert!(stopped["networkInterfaces"][0]["accessConfigs"][0].get("natIP").is_none(), "{stopped}");
    trial.change("POST", &format!("{path}/start"), Value::Null);
    assert_eq!(status(&trial, "one"), "RUNNING");
    trial.change("POST", &format!("{path}/reset"), Value::Null);
    end(&trial);
}

#[test]
fn a_name_is_given_once() {
    let trial = Trial::new();
    trial.in_project("POST", &format!("{ZONE}/instances"), body("one"));
    let again = trial.refusal("POST", &format!("{ZONE}/instances"), body("one"));
    assert_eq!(again, (409, "alreadyExists".to_owned()));
    let (status, _) = trial.refusal("POST", &format!("{ZONE}/instances"), body("Bad_Name"));
    assert_eq!(status, 400);
    end(&trial);
}

#[test]
fn what_is_wrong_with_an_instance_is_said_with_its_field() {
    let trial = Trial::new();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = body("one");
        change(&mut body);
        let (status, told) = trial.ask("POST", &format!("/compute/v1/projects/p/{ZONE}/instances"), body);
        (status, told["message"].as_str().unwrap_or_default().to_owned())
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Change<'_>); 8] = [
        ("resource.machineType", &|body| {
            body["machineType"] = "zones/us-central1-a/machineTypes/n9-mega".into()
        }),
        ("resource.machineType", &|body| body["machineType"] = "n2-standard-2".into()),
        ("sourceImage", &|body| {
            body["disks"][0]["initializeParams"]["sourceImage"] =
                "projects/debian-cloud/global/images/none".into()
        }),
        ("diskSizeGb", &|body| body["disks"][0]["initializeParams"]["diskSizeGb"] = "1".into()),
        ("network", &|body| body["networkInterfaces"][0]["network"] = "global/networks/none".into()),
        ("labels", &|body| body["labels"] = json!({ "Owner": "Ada" })),
        ("instanceTerminationAction", &|body| {
            body["scheduling"] = json!({ "instanceTerminationAction": "DELETE" })
        }),
        ("resource.disks", &|body| body["disks"] = json!([])),
    ];
    for (field, change) in cases {
        let (status, message) = with(change);
        assert!(status == 400 && message.contains(field), "{field}: {status} {message}");
    }
    end(&trial);
}

#[test]
fn an_instance_for_which_there_is_no_room_flashes_and_is_told_by_its_operation() {
    let trial = Trial::new();
    trial.fault(json!({ "kind": "capacity", "cloud": "gcp", "zone": "us-central1-a",
        "instance_type": "n2-standard-2", "market": "all", "available": 0 }));
    let operation = trial.in_project("POST", &format!("{ZONE}/instances"), body("one"));
    assert_eq!(trial.names(&format!("{ZONE}/instances")), ["one"]);
    let name = operation["name"].as_str().unwrap();
    trial.wait(10);
    let done = trial.get(&format!("{ZONE}/operations/{name}"));
    let code = done["error"]["errors"][0]["code"].as_str().unwrap();
    assert!(code.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED"), "{done}");
    assert!(trial.names(&format!("{ZONE}/instances")).is_empty());
    end(&trial);
}

#[test]
fn a_boot_disk_that_is_there_is_attached() {
    let trial = Trial::new();
    let mut keeps = body("one");
    keeps["disks"][0]["autoDelete"] = false.into();
    trial.change("POST", &format!("{ZONE}/instances"), keeps);
    trial.change("DELETE", &format!("{ZONE}/instances/one"), Value::Null);
    let left: Vec<String> = trial.face.world.ledger().live.iter().map(|line| line.id.to_string()).collect();
    assert_eq!(left, ["zones/us-central1-a/disks/one"]);
    let mut bigger = body("one");
    bigger["disks"][0]["initializeParams"]["diskSizeGb"] = "50".into();
    trial.change("POST", &format!("{ZONE}/instances"), bigger);
    assert_eq!(trial.get(&format!("{ZONE}/instances/one"))["disks"][0]["diskSizeGb"], "20");
    end(&trial);
}

#[test]
fn labels_metadata_and_tags_change_for_whoever_saw_them() {
    let trial = Trial::new();
    trial.change("POST", &format!("{ZONE}/instances"), body("one"));
    let path = format!("{ZONE}/instances/one");
    let item = trial.get(&path);
    let labels =
        json!({ "labels": { "skyfleet-owner": "bob" }, "labelFingerprint": item["labelFingerprint"] });
    trial.change("POST", &format!("{path}/setLabels"), labels.clone());
    assert_eq!(trial.refusal("POST", &format!("{path}/setLabels"), labels).0, 412);
    let metadata =
        json!({ "items": [{ "key": "k", "value": "v" }], "fingerprint": item["metadata"]["fingerprint"] });
    trial.change("POST", &format!("{path}/setMetadata"), metadata.clone());
    assert_eq!(trial.refusal("POST", &format!("{path}/setMetadata"), metadata).0, 412);
    let tags = json!({ "items": ["db"], "fingerprint": item["tags"]["fingerprint"] });
    trial.change("POST", &format!("{path}/setTags"), tags);
    let item = trial.get(&path);
    assert_eq!(item["labels"], json!({ "skyfleet-owner": "bob" }));
    assert_eq!((&item["metadata"]["items"][0]["key"], &item["tags"]["items"]), (&json!("k"), &json!(["db"])));
    // A filter by a label finds it by its new owner.
    let found = trial.get("aggregated/instances?filter=labels.skyfleet-owner%3Dbob");
    assert_eq!(found["items"]["zones/us-central1-a"]["instances"][0]["name"], "one");
    let old = trial.get("aggregated/instances?filter=labels.skyfleet-owner%3Dada");
    assert!(old["items"]["zones/us-central1-a"]["instances"].is_null(), "{old}");
    end(&trial);
}

#[test]
fn a_simulated_maintenance_takes_a_spot_instance_back() {
    let trial = Trial::new();
    trial.change("POST", &format!("{ZONE}/instances"), spot("one"));
    trial.change("POST", &format!("{ZONE}/instances"), body("two"));
    for name in ["one", "two"] {
        trial.in_project("POST", &format!("{ZONE}/instances/{name}/simulateMaintenanceEvent"), Value::Null);
    }
    assert_eq!((status(&trial, "one").as_str(), status(&trial, "two").as_str()), ("STOPPING", "RUNNING"));
    trial.wait(31);
    assert_eq!(trial.names(&format!("{ZONE}/instances")), ["two"]);
    end(&trial);
}

#[test]
fn a_protected_instance_is_not_deleted() {
    let trial = Trial::new();
    let mut protected = body("one");
    protected["deletionProtection"] = true.into();
    trial.change("POST", &format!("{ZONE}/instances"), protected);
    let path = format!("{ZONE}/instances/one");
    assert_eq!(trial.refusal("DELETE", &path, Value::Null).0, 400);
    trial.change("POST", &format!("{path}/setDeletionProtection?deletionProtection=false"), Value::Null);
    assert_eq!(trial.get(&path)["deletionProtection"], false);
    trial.change("DELETE", &path, Value::Null);
    end(&trial);
}

#[test]
fn a_list_has_pages_and_filters() {
    let trial = Trial::new();
    for name in ["c", "a", "b"] {
        trial.in_project("POST", &format!("{ZONE}/instances"), body(name));
    }
    trial.wait(2);
    assert_eq!(trial.names(&format!("{ZONE}/instances?filter=name%20ne%20b")), ["a", "c"]);
    let page = trial.get(&format!("{ZONE}/instances?maxResults=2"));
    let token = page["nextPageToken"].as_str().unwrap();
    assert_eq!(trial.names(&format!("{ZONE}/instances?maxResults=2&pageToken={token}")), ["c"]);
    end(&trial);
}
