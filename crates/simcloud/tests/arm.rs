//! The port of Azure: tokens, versions, cases of paths, operations, limits, what gets lost.

#![cfg(feature = "server")]

mod wire;

use serde_json::{Value, json};
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions};
use wire::{Answer, Connection, call, get, options, pass, post, server};

const SUBSCRIPTION: &str = "/subscriptions/11111111-2222-4333-8444-555555555555";
const VERSION: &str = "api-version=2024-07-01";

fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    let link = if path.contains('?') { format!("{path}&{VERSION}") } else { format!("{path}?{VERSION}") };
    let text = if body.is_null() { String::new() } else { body.to_string() };
    call(method, &format!("{}{SUBSCRIPTION}{link}", server.urls().azure), &[], &text)
}

/// The status and the code of a refusal.
fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn group(server: &Server) {
    let made = ask(server, "PUT", "/resourceGroups/G", &json!({ "location": "eastus" }));
    assert_eq!(made.status, 201, "{made:?}");
}

#[test]
fn paths_have_no_case_and_versions_must_be_named() {
    let server = server();
    group(&server);
    let found = ask(&server, "GET", "/RESOURCEGROUPS/g", &Value::Null);
    assert_eq!((found.status, &found.json()["name"]), (200, &json!("G")));
    assert!(found.header("content-type").unwrap().starts_with("application/json"));
    assert!(
        found.header("x-ms-request-id").is_some() && found.header("x-ms-correlation-request-id").is_some()
    );
    let bare = get(&format!("{}{SUBSCRIPTION}/resourcegroups", server.urls().azure));
    assert_eq!(refusal(&bare), (400, "MissingApiVersionParameter".to_owned()));
    let any = get(&format!("{}{SUBSCRIPTION}/resourcegroups?API-Version=1999-01-01", server.urls().azure));
    assert_eq!(any.status, 200, "any version will do: {any:?}");
    assert_eq!(ask(&server, "HEAD", "/resourceGroups/g", &Value::Null).status, 204);
    let unknown = ask(&server, "GET", "/providers/Microsoft.Storage/storageAccounts", &Value::Null);
    assert_eq!(refusal(&unknown), (501, "NotImplemented".to_owned()));
    let broken =
        call("PUT", &format!("{}{SUBSCRIPTION}/resourceGroups/x?{VERSION}", server.urls().azure), &[], "{");
    assert_eq!(refusal(&broken), (400, "InvalidRequestContent".to_owned()));
}

#[test]
fn a_secret_gets_a_token_of_either_version_and_the_token_opens() {
    let credential = |id: &str, secret: &str| Credential {
        cloud: Cloud::Azure,
        key_id: id.to_owned(),
        secret: secret.to_owned(),
    };
    let credentials = vec![credential("Client", "right")];
    let server = Server::start(ServerOptions { credentials, ..options() }).unwrap();
    let token = |path: &str, secret: &str| {
        let form =
            format!("grant_type=client_credentials&client_id=client&client_secret={secret}&resource=r");
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        call("POST", &format!("{}/tenant{path}", server.urls().azure), &kind, &form)
    };
    let new = token("/oauth2/v2.0/token", "right").json();
    assert_eq!(new["expires_in"], 3_599);
    let old = token("/oauth2/token", "right").json();
    assert_eq!((&old["expires_on"], &old["access_token"]), (&json!("1800003599"), &new["access_token"]));
    let wrong = token("/oauth2/v2.0/token", "wrong");
    assert_eq!((wrong.status, &wrong.json()["error"]), (401, &json!("invalid_client")));
    let with = |header: Option<&str>| {
        let headers: Vec<_> = header.iter().map(|value| ("authorization", *value)).collect();
        call("GET", &format!("{}{SUBSCRIPTION}/resourcegroups?{VERSION}", server.urls().azure), &headers, "")
    };
    assert_eq!(refusal(&with(None)), (401, "AuthenticationFailed".to_owned()));
    assert_eq!(refusal(&with(Some("Bearer made-up"))), (401, "InvalidAuthenticationToken".to_owned()));
    let right = format!("Bearer {}", new["access_token"].as_str().unwrap());
    assert_eq!(with(Some(&right)).status, 200);
    // What things cost is told to everybody.
    assert_eq!(get(&format!("{}/api/retail/prices?$top=1", server.urls().azure)).status, 200);
}

#[test]
fn an_operation_is_followed_by_either_of_its_links() {
    let server = server();
    group(&server);
    let disk = json!({ "location": "eastus", "properties": { "diskSizeGB": 8 } });
    let begun = ask(&server, "PUT", "/resourceGroups/g/providers/Microsoft.Compute/disks/d", &disk);
    let (status, result) = (begun.header("azure-asyncoperation").unwrap(), begun.header("location").unwrap());
    assert_eq!(begun.status, 202);
    assert!(begun.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    // The links lead to the host by which the caller knows the server.
    let here = |link: &str| link.replace("http://sim", &server.urls().azure);
    let under_way = get(&here(status));
    assert_eq!((under_way.status, &under_way.json()["status"]), (200, &json!("InProgress")));
    assert_eq!(get(&here(result)).status, 202);
    pass(&server, 60);
    let over = get(&here(status)).json();
    assert_eq!(over["status"], "Succeeded");
    assert!(over["endTime"].is_string());
    assert_eq!(get(&here(result)).status, 200);
    let strange =
        ask(&server, "GET", "/providers/Microsoft.Compute/locations/eastus/operations/none", &Value::Null);
    assert_eq!(strange.status, 404);
}

#[test]
fn buckets_are_told_as_they_empty_by_region() {
    let server = server();
    let left = |path: &str, header: &str| {
        let answer = ask(&server, "GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header(header).unwrap().to_owned()
    };
    let reads = "x-ms-ratelimit-remaining-subscription-reads";
    let usages =
        |region: &str| left(&format!("/providers/Microsoft.Compute/locations/{region}/usages"), reads);
    assert_eq!(
        (usages("eastus"), usages("EastUS"), usages("westus2")),
        ("249".into(), "248".into(), "249".into())
    );
    let machines = "/providers/Microsoft.Compute/virtualMachines";
    let lists = || left(machines, "x-ms-ratelimit-remaining-resource");
    assert_eq!(
        (lists().as_str(), lists().as_str()),
        ("Microsoft.Compute/HighCostGet;899", "Microsoft.Compute/HighCostGet;898")
    );
    let last = (0..300)
        .map(|_| ask(&server, "GET", "/resourcegroups", &Value::Null))
        .find(|said| said.status != 200);
    let last = last.unwrap();
    assert_eq!(refusal(&last), (429, "SubscriptionRequestsThrottled".to_owned()));
    assert_eq!(last.header("retry-after"), Some("1"));
}

#[test]
fn what_is_only_to_be_made_when_it_is_new_is_not_changed() {
    let server = server();
    let put = |headers: &[(&str, &str)], tag: &str| {
        let body = json!({ "location": "eastus", "tags": { "by": tag } }).to_string();
        call(
            "PUT",
            &format!("{}{SUBSCRIPTION}/resourceGroups/g?{VERSION}", server.urls().azure),
            headers,
            &body,
        )
    };
    let new = [("if-none-match", "*")];
    assert_eq!(put(&new, "ada").status, 201);
    assert_eq!(refusal(&put(&new, "bob")), (412, "PreconditionFailed".to_owned()));
    assert_eq!(ask(&server, "GET", "/resourceGroups/g", &Value::Null).json()["tags"]["by"], "ada");
    assert_eq!(put(&[], "bob").json()["tags"]["by"], "bob");
}

#[test]
fn an_answer_that_gets_lost_has_changed_the_world() {
    let server = server();
    let fault = json!({ "kind": "error", "cloud": "azure", "action": "resourceGroups.PUT", "probability": 1.0,
        "status": 503, "when": "after" });
    assert_eq!(post(&format!("{}/v1/faults", server.urls().admin), &fault).status, 200);
    let mut connection = Connection::open(&server.urls().azure);
    let path = format!("{SUBSCRIPTION}/resourceGroups/g?{VERSION}");
    let body = json!({ "location": "eastus" }).to_string();
    assert!(connection.send("PUT", &path, &[], &body).is_none());
    assert_eq!(ask(&server, "GET", "/resourceGroups/g", &Value::Null).status, 200);
}
