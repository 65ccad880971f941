//! The metadata server of Compute Engine, for instances that are local processes.

#![cfg(feature = "server")]

mod wire;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_simcloud::{Cloud, Server, ServerOptions};
use wire::{call, options, pass, post};

const PROJECT: &str = "compute/v1/projects/p";
const ZONE: &str = "zones/us-central1-a";
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// Asks Compute Engine for something.
fn ask(server: &Server, method: &str, path: &str, body: Value) -> Value {
    let url = format!("{}/{PROJECT}/{path}", server.urls().gcp);
    let answer = match body {
        Value::Null => call(method, &url, &[], ""),
        body => post(&url, &body),
    };
    assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
    answer.json()
}

fn wait(what: &str, so: &mut dyn FnMut() -> bool) {
    for _ in 0..400 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("waited in vain: {what}");
}

#[test]
fn a_startup_script_runs_at_each_boot_and_finds_its_metadata_server() {
    let server = Server::start(ServerOptions { processes: true, ..options() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    let script = format!(
        "#!/bin/sh\necho it begins\nenv > {0}.draft && mv {0}.draft {0}\nsleep 300\n",
        file.display()
    );
    let body = json!({
        "name": "one",
        "machineType": format!("{ZONE}/machineTypes/e2-standard-2"),
        "disks": [{ "boot": true, "autoDelete": true, "initializeParams": {
            "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
        "networkInterfaces": [{ "network": "global/networks/default" }],
        "metadata": { "items": [{ "key": "startup-script", "value": script }, { "key": "fleet", "value": "f" }] },
    });
    ask(&server, "POST", &format!("{ZONE}/instances"), body);
    pass(&server, 300);
    wait("the script runs", &mut || file.exists());
    let env = std::fs::read_to_string(&file).unwrap();
    let value = |env: &str, name: &str| {
        let line = env.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is not set: {env}")).to_owned()
    };
    let host = value(&env, "GCE_METADATA_HOST");
    assert_eq!((value(&env, "GCE_METADATA_IP"), host.starts_with("127.")), (host.clone(), true));
    let get = |path: &str| call("GET", &format!("http://{host}/computeMetadata/v1/{path}"), &[FLAVOR], "");
    let answer = get("instance/attributes/fleet");
    assert_eq!((answer.body.as_str(), answer.header("metadata-flavor")), ("f", Some("Google")));
    assert_eq!(get("instance/name").body, "one");
    let serial = ask(&server, "GET", &format!("{ZONE}/instances/one/serialPort"), Value::Null);
    assert!(serial["contents"].as_str().unwrap().contains("it begins"), "{serial}");

    // A reset is another boot.
    std::fs::remove_file(&file).unwrap();
    ask(&server, "POST", &format!("{ZONE}/instances/one/reset"), json!({}));
    pass(&server, 60);
    wait("the script runs again", &mut || file.exists());
    let again = value(&std::fs::read_to_string(&file).unwrap(), "GCE_METADATA_HOST");
    let name = call("GET", &format!("http://{again}/computeMetadata/v1/instance/name"), &[FLAVOR], "");
    assert_eq!(name.body, "one");

    ask(&server, "DELETE", &format!("{ZONE}/instances/one"), Value::Null);
    pass(&server, 300);
    wait("the service ends", &mut || TcpStream::connect(&again).is_err());
    assert!(server.world(Cloud::Gcp).ledger().proves_empty());
}

#[test]
fn the_admin_face_has_the_metadata_servers_of_all_instances() {
    let server = wire::server();
    let body = json!({
        "count": "2",
        "namePattern": "run-#",
        "instanceProperties": {
            "machineType": "e2-standard-2",
            "disks": [{ "boot": true, "autoDelete": true, "initializeParams": {
                "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
            "networkInterfaces": [{}],
        },
    });
    ask(&server, "POST", &format!("{ZONE}/instances/bulkInsert"), body);
    pass(&server, 300);
    let item = ask(&server, "GET", &format!("{ZONE}/instances/run-2"), Value::Null);
    let admin = &server.urls().admin;
    for id in [format!("{ZONE}/instances/run-2"), item["id"].as_str().unwrap().to_owned()] {
        let url = format!("{admin}/imds/gcp/{id}/computeMetadata/v1/instance/name");
        assert_eq!(call("GET", &url, &[FLAVOR], "").body, "run-2");
        assert_eq!(call("GET", &url, &[], "").status, 403);
    }
    let none = format!("{admin}/imds/gcp/{ZONE}/instances/none/computeMetadata/v1/instance/name");
    assert_eq!(call("GET", &none, &[FLAVOR], "").status, 404);
}
