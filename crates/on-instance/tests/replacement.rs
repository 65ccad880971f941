//! The code of a job on spot machines that are real processes behind the faces of the simulated
//! clouds: it saves what it has done when it is told to, and its replacement goes on there.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use serde_json::{Value, json};
use skyfleet_core::{InstanceState, Market, PreemptionKind, ScaledClock, Timestamp};
use skyfleet_on_instance::{Identity, Machine};
use skyfleet_simcloud::{Cloud, Scenario, Server, ServerOptions};

#[path = "../../simcloud/tests/wire/mod.rs"]
mod wire;

use wire::{call, ec2, post};

/// How much faster than here time goes in the clouds.
const FACTOR: f64 = 30.0;
/// How long a machine is told beforehand, by the cloud's time.
const NOTICE_S: u64 = 120;
/// How many steps are still done after a return.
const LAST_STEPS: u64 = 5;
/// The slot that both machines hold, one after the other.
const SLOT: u32 = 7;

/// What a machine runs: this program again, in the part of the job.
fn script(folder: &Path) -> String {
    let program = std::env::current_exe().unwrap();
    format!(
        "#!/bin/sh\nexport JOB_FOLDER='{}' SKYFLEET_SLOT={SLOT}\n\
         exec '{}' the_job_itself --exact --ignored --nocapture\n",
        folder.display(),
        program.display(),
    )
}

/// The job: counts, writes each number down, saves the last one when it is told to.
#[tokio::test]
#[ignore = "what the machines of the other tests run"]
async fn the_job_itself() {
    let Some(folder) = std::env::var_os("JOB_FOLDER").map(PathBuf::from) else { return };
    let machine = Machine::find().await.unwrap();
    let note = |line: Value| {
        let mut file = OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        writeln!(file, "{line}").unwrap();
    };
    let checkpoint = folder.join(format!("slot-{}", machine.slot().unwrap()));
    let saved: Option<u64> = fs::read_to_string(&checkpoint).ok().map(|text| text.parse().unwrap());
    let owner = machine.owner().map(|owner| owner.as_str());
    let fleet = machine.fleet().map(|fleet| fleet.as_str());
    note(json!({ "machine": machine.identity(), "owner": owner, "fleet": fleet }));
    let mut step = saved.unwrap_or(0);
    let mut notices = pin!(machine.notices());
    while saved.is_none_or(|saved| step < saved + LAST_STEPS) {
        tokio::select! {
            Some(notice) = notices.next() => {
                let left = notice.at.duration_since(machine.clock().now()).as_secs();
                note(json!({ "told": notice.kind, "left": left }));
                if notice.kind == PreemptionKind::Notice {
                    let draft = folder.join("draft");
                    fs::write(&draft, step.to_string()).unwrap();
                    fs::rename(&draft, &checkpoint).unwrap();
                    note(json!("saved"));
                    std::future::pending::<()>().await;
                }
            }
            // A step of work.
            () = machine.clock().sleep(Duration::from_secs(2)) => {
                step += 1;
                note(json!({ "step": step }));
            }
        }
    }
    note(json!("done"));
}

/// A cloud, asked as anybody asks it.
trait Face {
    const CLOUD: Cloud;

    /// What must be there before the first machine.
    fn prepare(_: &Server) {}

    /// Buys a spot machine of the fleet `words` of `ada` that runs a script; its id.
    fn buy(server: &Server, name: &str, script: &str) -> String;
}

struct Aws;
struct Gcp;
struct Azure;

impl Face for Aws {
    const CLOUD: Cloud = Cloud::Aws;

    fn buy(server: &Server, _: &str, script: &str) -> String {
        let url = &server.urls().aws;
        let images = "Action=DescribeImages&Owner.1=amazon&Filter.1.Name=architecture&Filter.1.Value.1=arm64";
        let images = ec2(url, images);
        let image = images.element("imageId");
        let script = STANDARD.encode(script).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let tag = |n: u32, key: &str, value: &str| {
            format!("&TagSpecification.1.Tag.{n}.Key={key}&TagSpecification.1.Tag.{n}.Value={value}")
        };
        let form = format!(
            "Action=RunInstances&ImageId={image}&InstanceType=m7g.large&MinCount=1&MaxCount=1\
             &InstanceMarketOptions.MarketType=spot&MetadataOptions.InstanceMetadataTags=enabled\
             &UserData={script}&TagSpecification.1.ResourceType=instance{}{}",
            tag(1, "skyfleet-owner", "ada"),
            tag(2, "skyfleet-fleet", "words"),
        );
        let answer = ec2(url, &form);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.element("instanceId").to_owned()
    }
}

impl Face for Gcp {
    const CLOUD: Cloud = Cloud::Gcp;

    fn buy(server: &Server, name: &str, script: &str) -> String {
        let item = |key: &str, value: &str| json!({ "key": key, "value": value });
        let url = format!("{}/compute/v1/projects/p/zones/us-central1-a/instances", server.urls().gcp);
        let body = json!({
            "name": name,
            "machineType": "zones/us-central1-a/machineTypes/e2-standard-2",
            "scheduling": { "provisioningModel": "SPOT", "instanceTerminationAction": "DELETE",
                "preemptionNoticeDuration": { "seconds": NOTICE_S.to_string() } },
            "disks": [{ "boot": true, "autoDelete": true, "initializeParams": {
                "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
            "networkInterfaces": [{ "network": "global/networks/default" }],
            "metadata": { "items": [item("startup-script", script), item("skyfleet-owner", "ada"),
                item("skyfleet-fleet", "words")] },
        });
        let answer = post(&url, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("zones/us-central1-a/instances/{name}")
    }
}

/// A subscription, and a resource group in it.
const GROUP: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/words";

impl Azure {
    fn put(server: &Server, path: &str, body: &Value) {
        let url = format!("{}{path}?api-version=2024-07-01", server.urls().azure);
        let answer = call("PUT", &url, &[("content-type", "application/json")], &body.to_string());
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
}

impl Face for Azure {
    const CLOUD: Cloud = Cloud::Azure;

    fn prepare(server: &Server) {
        Self::put(server, GROUP, &json!({ "location": "eastus" }));
        let network = json!({ "location": "eastus", "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [{ "name": "all", "properties": { "addressPrefix": "10.0.0.0/16" } }] } });
        Self::put(server, &format!("{GROUP}/providers/Microsoft.Network/virtualNetworks/net"), &network);
    }

    fn buy(server: &Server, name: &str, script: &str) -> String {
        let subnet = format!("{GROUP}/providers/Microsoft.Network/virtualNetworks/net/subnets/all");
        let id = format!("{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}");
        let body = json!({
            "location": "eastus",
            "zones": ["1"],
            "tags": { "skyfleet-owner": "ada", "skyfleet-fleet": "words" },
            "properties": {
                "hardwareProfile": { "vmSize": "Standard_D2s_v5" },
                "priority": "Spot",
                "evictionPolicy": "Delete",
                "storageProfile": {
                    "imageReference": { "publisher": "Debian", "offer": "debian-12", "sku": "12-gen2",
                        "version": "latest" },
                    "osDisk": { "createOption": "FromImage", "deleteOption": "Delete" },
                },
                "osProfile": {
                    "computerName": name,
                    "adminUsername": "skyfleet",
                    "customData": STANDARD.encode(script),
                    "linuxConfiguration": {
                        "disablePasswordAuthentication": true,
                        "ssh": { "publicKeys": [{ "path": "/home/skyfleet/.ssh/authorized_keys",
                            "keyData": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA nobody" }] },
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
        });
        Self::put(server, &id, &body);
        id
    }
}

/// Waits, on this machine's own clock.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_400 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("waited a minute in vain for {what}");
}

fn a_replacement_goes_on<F: Face>() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ScaledClock::new(Timestamp::from_second(1_800_000_000).unwrap(), FACTOR);
    // The cloud takes nothing back but what it is told to.
    let scenario = Scenario::parse("[market]\nprocess = \"constant\"\n", "quiet", Path::new(".")).unwrap();
    let options = ServerOptions { processes: true, scenario, ..ServerOptions::new(Arc::new(clock)) };
    let server = Server::start(options).unwrap();
    let log = || -> Vec<Value> {
        let text = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let steps = || log().iter().filter_map(|line| line["step"].as_u64()).collect::<Vec<u64>>();

    F::prepare(&server);
    let first = F::buy(&server, "words-0", &script(folder.path()));
    until("some work", || steps().len() >= 3);
    let cloud = F::CLOUD.to_string();
    let fault =
        json!({ "kind": "preempt", "cloud": cloud, "instance_id": first, "notice_seconds": NOTICE_S });
    assert_eq!(post(&format!("{}/v1/faults", server.urls().admin), &fault).status, 200);
    until("the checkpoint", || log().contains(&json!("saved")));
    let lives = || {
        let all = server.world(F::CLOUD).instances();
        all.into_iter().any(|view| *view.id == *first && view.state != InstanceState::Terminated)
    };
    assert!(lives(), "there was time to save");
    until("the end of the first", || !lives());
    let saved = steps().len() as u64;
    let second = F::buy(&server, "words-1", &script(folder.path()));
    until("the rest of the work", || log().contains(&json!("done")));

    assert_eq!(steps(), (1..=saved + LAST_STEPS).collect::<Vec<_>>(), "each step is done, and none twice");
    let begun: Vec<Value> = log().into_iter().filter(|line| line["machine"].is_object()).collect();
    assert_eq!(begun.len(), 2, "{begun:?}");
    let views = server.world(F::CLOUD).instances();
    for (line, id) in begun.iter().zip([&first, &second]) {
        let identity: Identity = serde_json::from_value(line["machine"].clone()).unwrap();
        assert_eq!((identity.id.as_str(), identity.cloud.to_string()), (id.as_str(), cloud.clone()));
        assert_eq!(identity.market, Market::Spot);
        assert_eq!((&line["owner"], &line["fleet"]), (&json!("ada"), &json!("words")));
        if let Some(view) = views.iter().find(|view| *view.id == **id) {
            assert_eq!((&identity.region, &identity.zone), (&view.region, &view.offer.zone));
            assert_eq!(identity.instance_type, view.offer.instance_type);
        }
    }
    assert!(views.iter().any(|view| *view.id == *second), "the second still runs");
    let left: Vec<i64> = log()
        .iter()
        .filter(|line| line["told"] == "notice")
        .filter_map(|line| line["left"].as_i64())
        .collect();
    assert!(left.len() == 1 && (1..=120).contains(&left[0]), "told once, in time: {left:?}");
}

#[test]
fn on_ec2_a_replacement_goes_on_where_the_first_machine_was_told_to_stop() {
    a_replacement_goes_on::<Aws>();
}

#[test]
fn on_compute_engine_a_replacement_goes_on_where_the_first_machine_was_told_to_stop() {
    a_replacement_goes_on::<Gcp>();
}

#[test]
fn on_azure_a_replacement_goes_on_where_the_first_machine_was_told_to_stop() {
    a_replacement_goes_on::<Azure>();
}
