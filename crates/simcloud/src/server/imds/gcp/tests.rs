use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::gcp::instances::tests::{body, end};
use crate::gcp::trial::Trial;
use crate::server::imds::gcp::{Service, split};

const ID: &str = "zones/us-central1-a/instances/one";

/// A Spot VM with a notice that runs, and the metadata servers.
fn begin() -> (Trial, Arc<Service>) {
    let trial = Trial::new();
    let mut asked = body("one");
    asked["scheduling"] = json!({ "provisioningModel": "SPOT", "instanceTerminationAction": "DELETE",
        "preemptionNoticeDuration": { "seconds": "120" } });
    trial.change("POST", "zones/us-central1-a/instances", asked);
    let service = Service::new(trial.face.clone(), &[]);
    (trial, service)
}

async fn ask(service: &Service, path: &str, query: &str) -> (StatusCode, String, HeaderMap) {
    let headers = HeaderMap::from_iter([("metadata-flavor".parse().unwrap(), "Google".parse().unwrap())]);
    let path = format!("/computeMetadata/v1/{path}");
    let response = service.answer(ID, &Method::GET, &path, query, &headers).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (head.status, String::from_utf8(body.to_vec()).unwrap(), head.headers)
}

#[tokio::test]
async fn an_instance_is_told_about_itself() {
    let (trial, service) = begin();
    let get = async |path: &str| ask(&service, path, "").await.1;
    assert_eq!(get("instance/name").await, "one");
    assert_eq!(get("instance/attributes/startup-script").await, "#!/bin/sh\ntrue\n");
    assert_eq!(get("instance/attributes/").await, "startup-script\n");
    assert_eq!(get("instance/scheduling/preemptible").await, "TRUE");
    assert_eq!(get("instance/tags").await, "[\"web\"]");
    assert_eq!(get("instance/service-accounts/").await.lines().count(), 2);
    assert_eq!(get("project/project-id").await, "p");
    assert_eq!(get("instance/maintenance-event").await, "NONE");
    let item = trial.get(ID);
    assert_eq!(get("instance/id").await, item["id"].as_str().unwrap());
    assert_eq!(get("instance/network-interfaces/0/ip").await, item["networkInterfaces"][0]["networkIP"]);
    let token: Value = serde_json::from_str(&get("instance/service-accounts/default/token").await).unwrap();
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(3_599)));

    let (_, all, headers) = ask(&service, "instance/", "recursive=true&alt=json").await;
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["machineType"], "projects/123456789012/machineTypes/n2-standard-2");
    assert_eq!(
        (&all["preempted"], headers["metadata-flavor"].to_str().unwrap()),
        (&json!("FALSE"), "Google")
    );
    assert!(all["serviceAccounts"]["default"].get("token").is_none(), "{all}");
    let (status, _, headers) = ask(&service, "instance", "").await;
    assert_eq!(
        (status, &headers["location"]),
        (StatusCode::MOVED_PERMANENTLY, &"instance/".parse().unwrap())
    );
    assert_eq!(ask(&service, "instance/nothing", "").await.0, StatusCode::NOT_FOUND);
    end(&trial);
    assert_eq!(ask(&service, "instance/name", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_does_not_name_the_flavor_is_told_nothing() {
    let (trial, service) = begin();
    let path = "/computeMetadata/v1/instance/name";
    let answer = service.answer(ID, &Method::GET, path, "", &HeaderMap::new()).await;
    assert_eq!(
        (answer.status(), &answer.headers()["metadata-flavor"]),
        (StatusCode::FORBIDDEN, &"Google".parse().unwrap())
    );
    let root = service.answer(ID, &Method::GET, "/", "", &HeaderMap::new()).await;
    assert_eq!(root.status(), StatusCode::OK);
    end(&trial);
}

#[tokio::test]
async fn who_waits_hears_of_the_preemption_two_minutes_ahead() {
    let (trial, service) = begin();
    let (_, value, headers) = ask(&service, "instance/preempted", "").await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(value, "FALSE");
    // A change that was missed is told at once.
    let (_, value, _) = ask(&service, "instance/preempted", "wait_for_change=true&last_etag=other").await;
    assert_eq!(value, "FALSE");

    let query = format!("wait_for_change=true&timeout_sec=600&last_etag={tag}");
    let waiting = ask(&service, "instance/preempted", &query);
    let moving = async {
        tokio::task::yield_now().await;
        trial.fault(json!({ "kind": "preempt", "cloud": "gcp", "instance_id": ID }));
        trial.wait(1);
        tokio::task::yield_now().await;
    };
    let (heard, ()) = tokio::join!(waiting, moving);
    assert_eq!(heard.1, "TRUE");
    assert_ne!(heard.2["etag"].to_str().unwrap(), tag);
    assert_eq!(trial.get(ID)["status"], "RUNNING");
    end(&trial);
}

#[tokio::test]
async fn who_waits_for_nothing_is_answered_when_his_time_is_over() {
    let (trial, service) = begin();
    let waiting = ask(&service, "instance/preempted", "wait_for_change=true&timeout_sec=30");
    let moving = async {
        tokio::task::yield_now().await;
        trial.clock.advance(Duration::from_secs(30));
    };
    let (heard, ()) = tokio::join!(waiting, moving);
    assert_eq!((heard.0, heard.1.as_str()), (StatusCode::OK, "FALSE"));
    end(&trial);
}

#[test]
fn an_instance_is_named_by_its_path_or_its_number() {
    assert_eq!(
        split("zones/z/instances/n/computeMetadata/v1/"),
        Some(("zones/z/instances/n".to_owned(), "/computeMetadata/v1/"))
    );
    assert_eq!(split("zones/z/instances/n"), Some(("zones/z/instances/n".to_owned(), "")));
    let number = crate::gcp::launched::machine_id(7).to_string();
    assert_eq!(split(&format!("{number}/x")), Some((number, "/x")));
    assert_eq!((split("zones/z/disks/n/x"), split("i-1/x")), (None, None));
}
