use std::sync::Arc;

use axum::body::to_bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::azure::trial::{SUBSCRIPTION, Trial};
use crate::server::imds::azure::{Service, split};

const NET: &str = "/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net";
const MACHINES: &str = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";

/// The body of a spot machine in the first zone that is deleted when it is taken back.
fn spot() -> Value {
    let subnet = format!("{SUBSCRIPTION}{NET}/subnets/s");
    json!({
        "location": "eastus",
        "zones": ["1"],
        "tags": { "skyfleet-fleet": "words", "team": "a" },
        "identity": { "type": "SystemAssigned" },
        "properties": {
            "hardwareProfile": { "vmSize": "Standard_D2s_v5" },
            "priority": "Spot",
            "evictionPolicy": "Delete",
            "userData": STANDARD.encode("#!/bin/sh\ntrue\n"),
            "storageProfile": {
                "imageReference": { "publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest" },
                "osDisk": { "createOption": "FromImage", "deleteOption": "Delete" },
            },
            "osProfile": {
                "computerName": "inside",
                "adminUsername": "skyfleet",
                "linuxConfiguration": {
                    "disablePasswordAuthentication": true,
                    "ssh": { "publicKeys": [{ "path": "/home/skyfleet/.ssh/authorized_keys", "keyData": "ssh-ed25519 AAAA" }] },
                },
            },
            "networkProfile": {
                "networkApiVersion": "2022-11-01",
                "networkInterfaceConfigurations": [{ "name": "nic", "properties": {
                    "primary": true,
                    "deleteOption": "Delete",
                    "ipConfigurations": [{ "name": "ip", "properties": { "subnet": { "id": subnet } } }],
                } }],
            },
        },
    })
}

fn network() -> Value {
    json!({ "location": "eastus", "properties": {
        "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
        "subnets": [{ "name": "s", "properties": { "addressPrefix": "10.0.0.0/24" } }] } })
}

/// Spot machines that run, and their metadata services.
fn begin(names: &[&str]) -> (Trial, Arc<Service>) {
    let trial = Trial::with_group();
    trial.done("PUT", NET, network());
    for name in names {
        trial.done("PUT", &format!("{MACHINES}/{name}"), spot());
    }
    let service = Service::new(trial.face.clone(), &[]);
    (trial, service)
}

fn id(name: &str) -> String {
    format!("{SUBSCRIPTION}{MACHINES}/{name}")
}

async fn send(
    service: &Service,
    instance: &str,
    method: Method,
    target: &str,
    body: &str,
) -> (StatusCode, String) {
    let headers = HeaderMap::from_iter([("metadata".parse().unwrap(), "true".parse().unwrap())]);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let response = service.answer(instance, &method, path, query, &headers, body.as_bytes());
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn ask(service: &Service, name: &str, target: &str) -> (StatusCode, String) {
    let more = if target.contains('?') { "&" } else { "?" };
    let target = format!("/metadata/{target}{more}api-version=2021-02-01");
    send(service, &id(name), Method::GET, &target, "").await
}

async fn json_of(service: &Service, name: &str, target: &str) -> Value {
    let (status, body) = ask(service, name, target).await;
    assert_eq!(status, StatusCode::OK, "{target}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_machine_is_told_what_it_is() {
    let (trial, service) = begin(&["one"]);
    let machine = trial.get(&format!("{MACHINES}/one"));
    let all = json_of(&service, "one", "instance").await;
    let compute = &all["compute"];
    for (member, value) in [
        ("name", json!("one")),
        ("resourceId", machine["id"].clone()),
        ("vmId", machine["properties"]["vmId"].clone()),
        ("vmSize", json!("Standard_D2s_v5")),
        ("location", json!("eastus")),
        ("zone", json!("1")),
        ("priority", json!("Spot")),
        ("evictionPolicy", json!("Delete")),
        ("offer", json!("debian-12")),
        ("userData", json!(STANDARD.encode("#!/bin/sh\ntrue\n"))),
        ("tags", json!("skyfleet-fleet:words;team:a")),
        ("resourceGroupName", json!("g")),
    ] {
        assert_eq!(compute[member], value, "{member}");
    }
    assert_eq!(compute["tagsList"][0], json!({ "name": "skyfleet-fleet", "value": "words" }));
    assert_eq!(compute["osProfile"]["computerName"], "inside");
    assert_eq!(compute["osProfile"]["disablePasswordAuthentication"], "true");
    let disk = machine["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"].clone();
    assert_eq!(compute["storageProfile"]["osDisk"]["managedDisk"]["id"], disk);
    let interface = &all["network"]["interface"][0];
    assert_eq!(interface["ipv4"]["subnet"], json!([{ "address": "10.0.0.0", "prefix": "24" }]));
    assert_eq!(interface["macAddress"].as_str().unwrap().len(), 12);

    // The machine is found by its `vmId`, too.
    let vm_id = machine["properties"]["vmId"].as_str().unwrap();
    let target = "/metadata/instance/compute/name?api-version=2021-02-01&format=text";
    assert_eq!(send(&service, vm_id, Method::GET, target, "").await, (StatusCode::OK, "one".to_owned()));
    trial.done("DELETE", &format!("{MACHINES}/one"), Value::Null);
    trial.wait(300);
    assert_eq!(ask(&service, "one", "instance").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_asks_otherwise_than_a_machine_does_is_told_nothing() {
    let (_trial, service) = begin(&["one"]);
    let target = "/metadata/instance";
    let answer =
        service.answer(&id("one"), &Method::GET, target, "api-version=2021-02-01", &HeaderMap::new(), b"");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let mut headers = HeaderMap::new();
    headers.insert("metadata", "TRUE".parse().unwrap());
    headers.insert("x-forwarded-for", "10.0.0.1".parse().unwrap());
    let answer = service.answer(&id("one"), &Method::GET, target, "api-version=2021-02-01", &headers, b"");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    for version in ["", "?api-version=", "?api-version=latest", "?format=json"] {
        let (status, told) = send(&service, &id("one"), Method::GET, &format!("{target}{version}"), "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(told.contains("newest-versions"), "{told}");
    }
    let any = format!("{target}?api-version=2099-12-31-preview");
    assert_eq!(send(&service, &id("one"), Method::GET, &any, "").await.0, StatusCode::OK);
    let put = format!("{target}?api-version=2021-02-01");
    assert_eq!(send(&service, &id("one"), Method::PUT, &put, "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&service, "none", "instance").await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(&service, "one", "nothing").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_eviction_is_an_event_until_it_has_happened() {
    let (trial, service) = begin(&["one", "two"]);
    let none = json_of(&service, "one", "scheduledevents").await;
    assert_eq!(none, json!({ "DocumentIncarnation": 1, "Events": [] }));
    let now = trial.face.look(|kernel, _| kernel.now());
    trial.fault(
        json!({ "kind": "preempt", "cloud": "azure", "instance_id": id("one"), "notice_seconds": 30 }),
    );
    let told = json_of(&service, "one", "scheduledevents").await;
    let event = &told["Events"][0];
    assert_eq!((&told["DocumentIncarnation"], &event["EventType"]), (&json!(2), &json!("Preempt")));
    assert_eq!((&event["Resources"], &event["EventStatus"]), (&json!(["one"]), &json!("Scheduled")));
    let at = jiff::fmt::rfc2822::parse(event["NotBefore"].as_str().unwrap()).unwrap().timestamp();
    assert_eq!(at.duration_since(now).as_secs(), 30);
    // Asked again, nothing has changed; the other machine was not launched with it.
    assert_eq!(json_of(&service, "one", "scheduledevents").await, told);
    assert_eq!(json_of(&service, "two", "scheduledevents").await["Events"], json!([]));
    trial.wait(31);
    let begun = json_of(&service, "one", "scheduledevents").await;
    assert_eq!((&begun["DocumentIncarnation"], &begun["Events"][0]["NotBefore"]), (&json!(3), &json!("")));
    assert_eq!(begun["Events"][0]["EventStatus"], "Started");
    trial.wait(600);
    assert_eq!(ask(&service, "one", "scheduledevents").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_is_ready_need_not_wait() {
    let (trial, service) = begin(&["one"]);
    trial.fault(
        json!({ "kind": "preempt", "cloud": "azure", "instance_id": id("one"), "notice_seconds": 600 }),
    );
    let told = json_of(&service, "one", "scheduledevents").await;
    let event = told["Events"][0]["EventId"].as_str().unwrap().to_owned();
    let target = "/metadata/scheduledevents?api-version=2020-07-01";
    let start = async |body: String| send(&service, &id("one"), Method::POST, target, &body).await.0;
    for wrong in ["", "[]", r#"{"StartRequests":[{"EventId":"none"}]}"#] {
        assert_eq!(start(wrong.to_owned()).await, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let approval = json!({ "StartRequests": [{ "EventId": event }] }).to_string();
    assert_eq!(start(approval).await, StatusCode::OK);
    trial.wait(60);
    let state = trial.face.look(|kernel, _| kernel.view(0, kernel.now()).cause);
    assert_eq!(state, Some(crate::machine::EndCause::Reclaimed), "long before its time");
}

#[tokio::test]
async fn a_machine_can_show_who_it_is() {
    let (_trial, service) = begin(&["one"]);
    let told = json_of(&service, "one", "attested/document?nonce=1234").await;
    assert_eq!(told["encoding"], "pkcs7");
    let signed = STANDARD.decode(told["signature"].as_str().unwrap()).unwrap();
    let text = String::from_utf8_lossy(&signed);
    let document: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    let compute = json_of(&service, "one", "instance/compute").await;
    assert_eq!((&document["nonce"], &document["vmId"]), (&json!("1234"), &compute["vmId"]));
    assert_eq!(ask(&service, "one", "attested/document?nonce=12345678901").await.0, StatusCode::BAD_REQUEST);

    let token =
        json_of(&service, "one", "identity/oauth2/token?resource=https://management.azure.com/").await;
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!("86400")));
    assert_eq!(token["resource"], "https://management.azure.com/");
    let (status, told) = ask(&service, "one", "identity/oauth2/token").await;
    assert!(status == StatusCode::BAD_REQUEST && told.contains("invalid_request"), "{told}");
}

#[test]
fn a_path_begins_with_an_instance() {
    let id = "subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/n";
    for path in [format!("{id}/metadata/instance"), id.to_owned()] {
        let (instance, rest) = split(&path);
        assert_eq!((instance.as_str(), rest), (format!("/{id}").as_str(), &path[id.len()..]));
    }
    assert_eq!(split("0-1/metadata/instance"), ("0-1".to_owned(), "/metadata/instance"));
    assert_eq!(split("0-1"), ("0-1".to_owned(), ""));
}

#[tokio::test]
async fn after_a_reset_the_documents_begin_anew() {
    let (trial, service) = begin(&["one"]);
    let incarnation =
        async || json_of(&service, "one", "scheduledevents").await["DocumentIncarnation"].clone();
    assert_eq!(incarnation().await, 1);
    trial.fault(
        json!({ "kind": "preempt", "cloud": "azure", "instance_id": id("one"), "notice_seconds": 30 }),
    );
    assert_eq!(incarnation().await, 2);
    trial.face.reset();
    assert_eq!(ask(&service, "one", "scheduledevents").await.0, StatusCode::NOT_FOUND);
    trial.done("PUT", "/resourceGroups/g", json!({ "location": "eastus" }));
    trial.done("PUT", NET, network());
    trial.done("PUT", &format!("{MACHINES}/one"), spot());
    assert_eq!(incarnation().await, 1);
}
