//! What Compute Engine's face must do to be taken for Compute Engine.

use serde_json::{Value, json};

use crate::gcp::instances::tests::{body, end};
use crate::gcp::trial::Trial;

const REGIONAL: &str = "regions/us-central1/instances/bulkInsert";
const ZONE: &str = "zones/us-central1-a";
const TYPE: &str = "n2d-standard-2";

fn bulk(count: u32) -> Value {
    json!({
        "count": count.to_string(),
        "namePattern": "run-####",
        "instanceProperties": {
            "machineType": TYPE,
            "disks": [{ "boot": true, "autoDelete": true, "initializeParams": {
                "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
            "networkInterfaces": [{ "network": "global/networks/default" }],
            "scheduling": { "provisioningModel": "SPOT", "instanceTerminationAction": "DELETE" },
        },
    })
}

/// At most so many more instances can start in a zone.
fn room(trial: &Trial, zone: &str, available: u32) {
    trial.fault(json!({ "kind": "capacity", "cloud": "gcp", "zone": zone, "instance_type": TYPE,
        "market": "all", "available": available }));
}

fn path(operation: &Value) -> String {
    operation["selfLink"].as_str().unwrap().split_once("/projects/p/").unwrap().1.to_owned()
}

fn children(trial: &Trial, parent: &Value, zone: &str) -> Vec<Value> {
    let group = parent["operationGroupId"].as_str().unwrap();
    let page = trial.get(&format!("{zone}/operations?filter=operationGroupId%3D%22{group}%22"));
    page["items"].as_array().cloned().unwrap_or_default()
}

fn places(operation: &Value) -> Vec<Value> {
    let metadata = &operation["instancesBulkInsertOperationMetadata"]["perLocationStatus"];
    metadata.as_object().unwrap().values().cloned().collect()
}

fn spot(name: &str, action: &str) -> Value {
    let mut body = body(name);
    body["scheduling"] = json!({ "provisioningModel": "SPOT", "instanceTerminationAction": action });
    body
}

fn preempt(trial: &Trial, name: &str) {
    trial.fault(
        json!({ "kind": "preempt", "cloud": "gcp", "instance_id": format!("{ZONE}/instances/{name}") }),
    );
}

fn preemptions(trial: &Trial) -> Vec<Value> {
    let page =
        trial.get(&format!("{ZONE}/operations?filter=operationType%3D%22compute.instances.preempted%22"));
    page["items"].as_array().cloned().unwrap_or_default()
}

/// 10. Without `minCount`, all or nothing.
#[test]
fn when_one_of_five_hundred_fails_all_are_rolled_back() {
    let trial = Trial::new();
    for zone in ["us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"] {
        room(&trial, zone, 0);
    }
    room(&trial, "us-central1-b", 499);
    let parent = trial.in_project("POST", REGIONAL, bulk(500));
    let first: Vec<Value> = places(&parent).iter().map(|place| place["status"].clone()).collect();
    assert_eq!(first, ["CREATING"]);
    let mut seen = vec!["CREATING".to_owned()];
    let mut done = Value::Null;
    for _ in 0..60 {
        trial.wait(1);
        done = trial.get(&path(&parent));
        let status = places(&done)[0]["status"].as_str().unwrap().to_owned();
        if seen.last() != Some(&status) {
            seen.push(status);
        }
    }
    assert_eq!(seen, ["CREATING", "ROLLING_BACK", "DONE"]);
    assert_eq!(done["error"]["errors"][0]["code"], "VM_MIN_COUNT_NOT_REACHED");
    assert!(done["error"]["errors"][1]["code"].as_str().unwrap().starts_with("ZONE_RESOURCE_POOL_EXHAUSTED"));
    let place = &places(&done)[0];
    assert_eq!((&place["targetVmCount"], &place["failedToCreateVmCount"]), (&json!(500), &json!(1)));
    assert_eq!((&place["createdVmCount"], &place["deletedVmCount"]), (&json!(499), &json!(499)));
    assert!(trial.names("zones/us-central1-b/instances").is_empty());
    assert_eq!(trial.face.world.ledger().live.len(), 0);
    end(&trial);
}

/// 11. `requestId`.
#[test]
fn a_request_id_gives_the_same_operation_again_and_zero_is_refused() {
    let trial = Trial::new();
    let asked = |id: &str, body: Value| {
        trial.ask("POST", &format!("/compute/v1/projects/p/{REGIONAL}?requestId={id}"), body)
    };
    let id = "6f0e1c52-9d5a-4f6e-8a4b-1f2e3d4c5b6a";
    let (_, first) = asked(id, bulk(3));
    trial.wait(5);
    let (status, again) = asked(id, bulk(3));
    assert_eq!((status, &again["name"]), (200, &first["name"]));
    assert_eq!(trial.face.world.instances().len(), 3);
    assert_eq!(asked(id, bulk(4)).0, 400, "another request under the same id");
    assert_eq!(asked("00000000-0000-0000-0000-000000000000", bulk(3)).0, 400);
    end(&trial);
}

/// 12. Child operations, and instances that flash.
#[test]
fn children_share_a_group_and_a_failed_instance_flashes() {
    let trial = Trial::new();
    let zonal = format!("{ZONE}/instances/bulkInsert");
    room(&trial, "us-central1-a", 2);
    let mut asked = bulk(3);
    asked["minCount"] = "1".into();
    let parent = trial.in_project("POST", &zonal, asked);
    let group = parent["operationGroupId"].as_str().unwrap().to_owned();
    let all = children(&trial, &parent, ZONE);
    let inserts: Vec<&Value> = all.iter().filter(|one| one["operationType"] == "insert").collect();
    assert_eq!(inserts.len(), 3);
    assert!(inserts.iter().all(|one| one["operationGroupId"] == *group));
    trial.wait(1);
    assert_eq!(trial.names(&format!("{ZONE}/instances")).len(), 3);
    trial.wait(120);
    assert_eq!(trial.names(&format!("{ZONE}/instances")).len(), 2);
    let failed: Vec<Value> =
        children(&trial, &parent, ZONE).into_iter().filter(|one| !one["error"].is_null()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["httpErrorStatusCode"], 503);
    end(&trial);
}

/// 13. The longer form of a stock-out.
#[test]
fn most_stock_outs_come_with_details_and_some_without() {
    let trial = Trial::new();
    room(&trial, "us-central1-a", 1);
    let mut asked = bulk(100);
    asked["minCount"] = "1".into();
    let parent = trial.in_project("POST", &format!("{ZONE}/instances/bulkInsert"), asked);
    trial.wait(60);
    let codes: Vec<Value> = children(&trial, &parent, ZONE)
        .iter()
        .map(|one| one["error"]["errors"][0]["code"].clone())
        .filter(|code| !code.is_null())
        .collect();
    let count = |wanted: &str| codes.iter().filter(|code| **code == wanted).count();
    let (long, short) =
        (count("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"), count("ZONE_RESOURCE_POOL_EXHAUSTED"));
    assert_eq!((codes.len(), long + short), (99, 99));
    assert!(long >= 50 && short >= 5, "{long} with details, {short} without");
    end(&trial);
}

/// 14. Rate limits.
#[test]
fn quotas_come_back_at_the_full_minute_and_bulk_inserts_have_their_own() {
    let trial = Trial::new();
    let delete =
        || trial.ask("DELETE", &format!("/compute/v1/projects/p/{ZONE}/instances/none"), Value::Null);
    trial.wait(15);
    for _ in 0..1_500 {
        assert_eq!(delete().0, 404);
    }
    let (status, told) = delete();
    assert_eq!((status, &told["reason"]), (403, &json!("rateLimitExceeded")));
    trial.wait(44);
    assert_eq!(delete().0, 403);
    trial.wait(1);
    assert_eq!(delete().0, 404);

    let bulk_insert = |number: u32| {
        let mut asked = bulk(1);
        asked["namePattern"] = format!("bulk{number}-#").into();
        trial.ask("POST", &format!("/compute/v1/projects/p/{REGIONAL}"), asked)
    };
    trial.wait(60);
    for number in 0..10 {
        assert_eq!(bulk_insert(number).0, 200, "{number}");
    }
    let (status, told) = bulk_insert(10);
    assert_eq!((status, &told["reason"]), (403, &json!("rateLimitExceeded")));
    trial.wait(300);
    assert_eq!(bulk_insert(11).0, 200);
    trial.wait(300);
    // Twenty a second, whether they come to something or not.
    let none = || {
        let mut asked = bulk(1);
        asked["instanceProperties"]["machineType"] = "n9-none".into();
        trial.ask("POST", &format!("/compute/v1/projects/p/{REGIONAL}"), asked).0
    };
    let statuses: Vec<u16> = (0..21).map(|_| none()).collect();
    assert_eq!((statuses[19], statuses[20]), (400, 403));
    end(&trial);
}

/// 15. Preemptions.
#[test]
fn a_preempted_instance_stops_within_thirty_seconds_and_rests_or_is_gone() {
    let trial = Trial::new();
    for (name, action) in [("rests", "STOP"), ("goes", "DELETE")] {
        trial.change("POST", &format!("{ZONE}/instances"), spot(name, action));
    }
    trial.wait(60);
    for name in ["rests", "goes"] {
        preempt(&trial, name);
        assert_eq!(trial.get(&format!("{ZONE}/instances/{name}"))["status"], "STOPPING");
    }
    trial.wait(30);
    assert_eq!(trial.get(&format!("{ZONE}/instances/rests"))["status"], "TERMINATED");
    assert_eq!(trial.refusal("GET", &format!("{ZONE}/instances/goes"), Value::Null).0, 404);
    let told = preemptions(&trial);
    assert_eq!(told.len(), 2);
    for one in &told {
        assert!(one["name"].as_str().unwrap().starts_with("systemevent-"), "{one}");
        assert_eq!((&one["user"], &one["status"]), (&json!("system"), &json!("DONE")));
        assert_eq!(one["statusMessage"], "Instance was preempted.");
    }
    end(&trial);
}

/// 15, again: not every operation of many is listed.
#[test]
fn under_load_some_preemptions_are_not_listed() {
    let trial = Trial::new();
    trial.change("POST", &format!("{ZONE}/instances/bulkInsert"), bulk(300));
    trial.wait(60);
    trial.fault(json!({ "kind": "preempt", "cloud": "gcp", "count": 200 }));
    trial.wait(60);
    let running = trial.face.world.instances().len();
    let told = preemptions(&trial).len();
    let gone = 300 - running;
    assert!(gone >= 200 && told < gone && told > gone * 8 / 10, "{told} of {gone}");
    end(&trial);
}

/// 16. An outage of polling is no failure of the operation.
#[test]
fn an_operation_goes_on_while_polling_it_fails() {
    let trial = Trial::new();
    trial.fault(json!({ "kind": "error", "cloud": "gcp", "action": "zoneOperations.get", "probability": 0.5,
        "status": 503, "when": "before" }));
    let operation = trial.in_project("POST", &format!("{ZONE}/instances"), body("one"));
    let target = format!("/compute/v1/projects/p/{}", path(&operation));
    let (mut failed, mut last) = (0, Value::Null);
    for _ in 0..60 {
        trial.wait(2);
        match trial.ask("GET", &target, Value::Null) {
            (200, shown) => last = shown,
            (status, _) => {
                assert_eq!(status, 503);
                failed += 1;
            }
        }
    }
    assert!(failed > 10, "{failed}");
    assert_eq!((&last["status"], last.get("error")), (&json!("DONE"), None));
    assert_eq!(trial.names(&format!("{ZONE}/instances")), ["one"]);
    end(&trial);
}

/// An instance that is taken back before it is up.
#[test]
fn a_preemption_while_booting_fails_the_operation_of_the_insert() {
    let trial = Trial::new();
    let operation = trial.in_project("POST", &format!("{ZONE}/instances"), spot("one", "STOP"));
    trial.wait(1);
    preempt(&trial, "one");
    trial.wait(31);
    let done = trial.get(&path(&operation));
    assert_eq!(done["error"]["errors"][0]["code"], "PREEMPTED", "{done}");
    assert_eq!(trial.get(&format!("{ZONE}/instances/one"))["status"], "TERMINATED");
    end(&trial);
}

/// The notice of two minutes.
#[test]
fn a_notice_lets_an_instance_run_for_two_minutes_more() {
    let trial = Trial::new();
    let mut noticed = spot("one", "DELETE");
    noticed["scheduling"]["preemptionNoticeDuration"] = json!({ "seconds": "120" });
    trial.change("POST", &format!("{ZONE}/instances"), noticed);
    trial.wait(60);
    preempt(&trial, "one");
    trial.wait(119);
    assert_eq!(trial.get(&format!("{ZONE}/instances/one"))["status"], "RUNNING");
    assert!(preemptions(&trial).is_empty());
    trial.wait(2);
    assert_eq!(trial.get(&format!("{ZONE}/instances/one"))["status"], "STOPPING");
    assert_eq!(preemptions(&trial).len(), 1);
    end(&trial);
}

/// `maxRunDuration`.
#[test]
fn a_limited_run_ends_by_itself() {
    let trial = Trial::new();
    let mut limited = body("one");
    limited["scheduling"] =
        json!({ "maxRunDuration": { "seconds": "3600" }, "instanceTerminationAction": "DELETE" });
    trial.change("POST", &format!("{ZONE}/instances"), limited);
    let item = trial.get(&format!("{ZONE}/instances/one"));
    assert!(item["resourceStatus"]["scheduling"]["terminationTimestamp"].is_string(), "{item}");
    trial.wait(3_590);
    assert_eq!(trial.get(&format!("{ZONE}/instances/one"))["status"], "RUNNING");
    trial.wait(10 + 61);
    assert_eq!(trial.refusal("GET", &format!("{ZONE}/instances/one"), Value::Null).0, 404);
    let told = trial.get(&format!("{ZONE}/operations?filter=user%3Dsystem"));
    assert_eq!(told["items"][0]["operationType"], "delete");
    end(&trial);
}
