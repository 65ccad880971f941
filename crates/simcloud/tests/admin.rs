//! The admin face: each call, and each way in which it is refused.

#![cfg(feature = "server")]

mod wire;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::{Market, SystemClock};
use skyfleet_simcloud::{Call, Cloud, Fixture, FixtureKind, MachineSpec, Server, ServerOptions};
use wire::{Answer, buy, call, ec2, get, pass, post, server};

fn admin(server: &Server, path: &str) -> String {
    format!("{}{path}", server.urls().admin)
}

/// It was refused with this status, in JSON, and the message has all the words.
fn refused(answer: &Answer, status: u16, words: &[&str]) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    let message = body["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "{word:?} is not said in {message:?}");
    }
}

fn disk() -> MachineSpec {
    MachineSpec { disk_gib: 10, ..MachineSpec::default() }
}

#[test]
fn what_is_over_is_in_no_book_though_nobody_has_asked_its_cloud() {
    let server = server();
    let group =
        format!("{}/subscriptions/s/resourcegroups/words?api-version=2021-04-01", server.urls().azure);
    let blocking =
        || get(&admin(&server, "/v1/ledger")).json()["blocking"].as_array().map_or(0, |left| left.len());
    let made = call("PUT", &group, &[], r#"{"location":"eastus"}"#);
    assert_eq!((made.status, blocking()), (201, 1), "{made:?}");
    let deleted = call("DELETE", &group, &[], "");
    assert_eq!((deleted.status, blocking()), (202, 1), "{deleted:?}");
    pass(&server, 600);
    assert_eq!(blocking(), 0);
}

#[test]
fn all_faces_are_up() {
    let server = server();
    assert_eq!(get(&admin(&server, "/healthz")).status, 200);
}

#[test]
fn the_ledger_spans_the_clouds_and_can_be_asked_by_owner_and_cloud() {
    let server = server();
    buy(&server, Cloud::Aws, Market::Spot, 2, disk());
    buy(&server, Cloud::Gcp, Market::OnDemand, 1, disk());
    let fixture = Fixture {
        kind: FixtureKind::ResourceGroup,
        id: "group-1".into(),
        region: "eastus".into(),
        inside: None,
        tags: Arc::default(),
        created: server.world(Cloud::Azure).clock().now(),
    };
    server.world(Cloud::Azure).look(|kernel| kernel.put_fixture(fixture, None));
    pass(&server, 3_600);

    let ledger = |query: &str| get(&admin(&server, &format!("/v1/ledger{query}"))).json();
    let all = ledger("");
    assert_eq!(all["now"], "2027-01-15T09:00:00Z");
    let live = all["live"].as_array().unwrap();
    for key in [
        "cloud",
        "kind",
        "id",
        "region",
        "zone",
        "owner",
        "market",
        "state",
        "usd_per_hour",
        "accrued_usd",
        "created",
    ] {
        assert!(live.iter().all(|line| line.get(key).is_some()), "{key}: {live:?}");
    }
    assert!(live.iter().filter(|line| line["kind"] == "instance").count() == 3, "{live:?}");
    let sum = |key: &str| live.iter().map(|line| line[key].as_f64().unwrap()).sum::<f64>();
    assert!((all["usd_per_hour"].as_f64().unwrap() - sum("usd_per_hour")).abs() < 1e-9);
    assert!((all["accrued_usd"].as_f64().unwrap() - sum("accrued_usd")).abs() < 1e-9);
    assert!(all["accrued_usd"].as_f64().unwrap() > 0.0);
    assert_eq!(all["blocking"][0]["id"], "group-1");
    assert_eq!(all["blocking"][0]["cloud"], "azure");

    let of_gcp = ledger("?cloud=gcp&owner=ada");
    assert!(
        of_gcp["live"]
            .as_array()
            .unwrap()
            .iter()
            .all(|line| line["cloud"] == "gcp" && line["owner"] == "ada")
    );
    assert!(!of_gcp["live"].as_array().unwrap().is_empty());
    let of_nobody = ledger("?owner=nobody");
    assert_eq!((&of_nobody["live"], &of_nobody["blocking"]), (&json!([]), &json!([])));
    assert_eq!(of_nobody["accrued_usd"], 0.0);

    refused(&get(&admin(&server, "/v1/ledger?ownr=ada")), 400, &["ownr", "owner"]);
    refused(&get(&admin(&server, "/v1/ledger?cloud=ibm")), 400, &["ibm", "aws"]);
    refused(&get(&admin(&server, "/v1/ledger?cloud=neutral")), 400, &["neutral", "aws, gcp or azure"]);
}

#[test]
fn every_instance_is_listed_before_the_clouds_own_lists_show_it() {
    let server = server();
    let ids = buy(&server, Cloud::Aws, Market::Spot, 1, disk());
    let listed = get(&admin(&server, "/v1/instances")).json();
    let instance = &listed["instances"][0];
    assert_eq!(instance["id"], ids[0].as_str());
    assert_eq!(
        (&instance["cloud"], &instance["market"], &instance["state"]),
        (&json!("aws"), &json!("spot"), &json!("pending"))
    );
    assert!(instance["zone"].is_string() && instance["instance_type"].is_string());
    assert_eq!(instance["tags"]["Name"], "worker");
}

#[test]
fn calls_are_counted_by_cloud_and_action() {
    let server = server();
    post(&admin(&server, "/v1/faults"), &json!({ "kind": "error", "cloud": "gcp", "action": "b" }));
    for action in ["a", "a", "b"] {
        let _ = server.world(Cloud::Gcp).call(Call::read(action, "us-east1"), |_| Ok(()));
    }
    let calls = get(&admin(&server, "/v1/calls")).json();
    assert_eq!(calls["gcp"]["a"], json!({ "calls": 2, "errors": 0, "throttles": 0 }));
    assert_eq!(calls["gcp"]["b"], json!({ "calls": 1, "errors": 1, "throttles": 0 }));
    assert_eq!((&calls["aws"], &calls["azure"]), (&json!({}), &json!({})));
}

#[test]
fn events_have_one_numbering_over_the_clouds() {
    let server = server();
    buy(&server, Cloud::Azure, Market::OnDemand, 1, disk());
    pass(&server, 1);
    buy(&server, Cloud::Aws, Market::OnDemand, 2, disk());
    let events = |after: u64| get(&admin(&server, &format!("/v1/events?after={after}"))).json();
    let all = events(0);
    let of = |events: &Value, key: &str| -> Vec<Value> {
        events["events"].as_array().unwrap().iter().map(|event| event[key].clone()).collect()
    };
    assert_eq!(of(&all, "cloud"), ["azure", "aws", "aws"]);
    assert_eq!(of(&all, "number"), [1, 2, 3]);
    assert_eq!(of(&all, "kind"), ["launch", "launch", "launch"]);
    pass(&server, 1);
    buy(&server, Cloud::Gcp, Market::OnDemand, 1, disk());
    let newer = events(3);
    assert_eq!((of(&newer, "cloud"), of(&newer, "number")), (vec![json!("gcp")], vec![json!(4)]));
    assert_eq!(newer["last"], 4);
    assert_eq!(of(&events(2), "cloud"), ["aws", "gcp"]);
    assert_eq!(of(&events(u64::MAX), "cloud"), Vec::<Value>::new());
    refused(&get(&admin(&server, "/v1/events?after=x")), 400, &["after"]);
}

#[test]
fn a_manual_clock_is_moved_and_the_worlds_with_it() {
    let server = server();
    let clock = admin(&server, "/v1/clock");
    assert_eq!(get(&clock).json(), json!({ "now": "2027-01-15T08:00:00Z", "manual": true }));
    buy(&server, Cloud::Aws, Market::OnDemand, 1, disk());
    let moved = post(&clock, &json!({ "advance_s": 120 }));
    assert_eq!((moved.status, moved.json()["now"].as_str()), (200, Some("2027-01-15T08:02:00Z")));
    assert_eq!(get(&admin(&server, "/v1/instances")).json()["instances"][0]["state"], "running");
    for (body, words) in [
        (json!({}), &["advance_s"][..]),
        (json!({ "advance_s": -1 }), &["advance_s", "-1"]),
        (json!({ "advance_s": 1e12 }), &["advance_s"]),
        (json!({ "advance_s": "soon" }), &["advance_s"]),
        (json!({ "advance_s": 1, "to": 2 }), &["to"]),
    ] {
        refused(&post(&clock, &body), 400, words);
    }
    assert_eq!(get(&clock).json()["now"], "2027-01-15T08:02:00Z");
}

#[test]
fn a_clock_that_goes_by_itself_is_not_moved() {
    let server = Server::start(ServerOptions::new(Arc::new(SystemClock))).unwrap();
    let clock = admin(&server, "/v1/clock");
    assert_eq!(get(&clock).json()["manual"], false);
    refused(&post(&clock, &json!({ "advance_s": 1 })), 409, &["manual"]);
}

#[test]
fn faults_are_added_listed_and_lifted() {
    let server = server();
    let faults = admin(&server, "/v1/faults");
    let add = |fault: Value| {
        let answer = post(&faults, &fault);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["id"].as_u64().unwrap()
    };
    let quota = add(
        json!({ "kind": "quota", "cloud": "aws", "region": "us-east-1", "name": "L-34B43A08", "limit": 8 }),
    );
    let stale = add(json!({ "kind": "stale", "cloud": "gcp", "seconds": 5 }));
    let slow = add(json!({ "kind": "latency", "cloud": "gcp", "ms": 5 }));
    let listed = get(&faults).json();
    assert_eq!(listed["faults"].as_array().unwrap().len(), 3);
    assert_eq!(
        listed["faults"][0],
        json!({ "id": quota, "cloud": "aws", "kind": "quota", "region": "us-east-1", "name": "L-34B43A08", "limit": 8 })
    );
    let limit = || server.world(Cloud::Aws).look(|kernel| kernel.quota("us-east-1/L-34B43A08").unwrap().0);
    assert_eq!(limit(), 8);

    let delete = |query: &str| call("DELETE", &format!("{faults}{query}"), &[], "");
    assert_eq!(delete(&format!("?cloud=gcp&id={stale}")).json(), json!({ "lifted": 1 }));
    refused(&delete(&format!("?cloud=gcp&id={stale}")), 404, &["gcp"]);
    assert_eq!(delete("?cloud=gcp").json(), json!({ "lifted": 1 }));
    refused(&delete(&format!("?id={slow}")), 404, &[&slow.to_string()]);
    assert_eq!(delete("").json(), json!({ "lifted": 1 }));
    assert!(limit() > 8);
    refused(&delete("?clod=gcp"), 400, &["clod", "cloud"]);
    assert_eq!(get(&faults).json(), json!({ "faults": [] }));

    add(json!({ "kind": "stale", "cloud": "aws", "seconds": 5 }));
    add(json!({ "kind": "stale", "cloud": "azure", "seconds": 5 }));
    let twice = add(json!({ "kind": "latency", "cloud": "azure", "ms": 5 }));
    refused(&delete(&format!("?id={twice}")), 400, &["more than one cloud"]);
    let once = add(json!({ "kind": "latency", "cloud": "azure", "action": "x", "ms": 5 }));
    assert_eq!(delete(&format!("?id={once}")).json(), json!({ "lifted": 1 }));
}

#[test]
fn a_fault_that_is_none_is_refused_by_name() {
    let server = server();
    let faults = admin(&server, "/v1/faults");
    for (fault, status, words) in [
        (json!({ "kind": "meteor", "cloud": "aws" }), 400, &["meteor", "preempt"][..]),
        (json!({ "kind": "stale", "cloud": "aws", "seconds": 1, "minutes": 2 }), 400, &["minutes"]),
        (json!({ "kind": "stale", "cloud": "ibm", "seconds": 1 }), 400, &["ibm"]),
        (json!({ "kind": "stale", "seconds": 1 }), 400, &["cloud", "aws, gcp or azure"]),
        (json!({ "kind": "stale", "cloud": "neutral", "seconds": 1 }), 400, &["neutral"]),
        (json!({ "kind": "latency", "cloud": "aws" }), 400, &["ms"]),
        (
            json!({ "kind": "capacity", "cloud": "aws", "zone": "us-east-1z", "available": 0 }),
            400,
            &["us-east-1a"],
        ),
        (json!({ "kind": "error", "cloud": "aws", "probability": 2 }), 400, &["probability"]),
        (json!({ "kind": "preempt", "cloud": "aws", "instance_id": "i-0" }), 404, &["i-0"]),
        (json!([]), 400, &["not understood"]),
    ] {
        refused(&post(&faults, &fault), status, words);
    }
    refused(&call("POST", &faults, &[], "{"), 400, &["not understood"]);
    assert_eq!(get(&faults).json(), json!({ "faults": [] }));
}

#[test]
fn a_preempted_instance_is_told_in_the_events() {
    let server = server();
    let ids = buy(&server, Cloud::Aws, Market::Spot, 1, disk());
    pass(&server, 120);
    let fault = json!({ "kind": "preempt", "cloud": "aws", "instance_id": ids[0], "notice_seconds": 30 });
    assert_eq!(post(&admin(&server, "/v1/faults"), &fault).status, 200);
    pass(&server, 31);
    let events = get(&admin(&server, "/v1/events")).json();
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in ["launch", "notice", "reclaim", "fault"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}

#[test]
fn a_reset_leaves_empty_worlds_of_the_same_seed() {
    let server = server();
    let first = buy(&server, Cloud::Aws, Market::Spot, 3, disk());
    post(&admin(&server, "/v1/faults"), &json!({ "kind": "stale", "cloud": "gcp", "seconds": 5 }));
    assert_eq!(get(&admin(&server, "/v1/events")).json()["last"], 4);
    assert_eq!(post(&admin(&server, "/v1/reset"), &json!({})).status, 200);
    assert_eq!(get(&admin(&server, "/v1/instances")).json()["instances"], json!([]));
    assert_eq!(get(&admin(&server, "/v1/faults")).json()["faults"], json!([]));
    assert_eq!(get(&admin(&server, "/v1/events")).json(), json!({ "events": [], "last": 0 }));
    assert_eq!(get(&admin(&server, "/v1/ledger")).json()["accrued_usd"], 0.0);
    assert_eq!(buy(&server, Cloud::Aws, Market::Spot, 3, disk()), first);
}

#[test]
fn what_is_not_there_is_refused_in_json() {
    let server = server();
    refused(&get(&admin(&server, "/v1/nothing")), 404, &["/v1/nothing"]);
    refused(&get(&admin(&server, "/v1/reset")), 405, &["GET", "/v1/reset"]);
    refused(&call("DELETE", &admin(&server, "/v1/ledger"), &[], ""), 405, &["DELETE"]);
    refused(&get(&admin(&server, "/imds/nowhere/x/metadata/instance")), 404, &["imds"]);
}

#[test]
fn the_web_page_needs_nothing_from_elsewhere() {
    let server = server();
    let page = get(&admin(&server, "/"));
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    for path in ["/v1/instances", "/v1/ledger", "/v1/events", "/v1/clock"] {
        assert!(page.body.contains(path), "{path}");
    }
    for outside in ["https://", "src=\"http", "@import", "<link rel=\"stylesheet\""] {
        assert!(!page.body.contains(outside), "{outside}");
    }
}

#[test]
fn a_lost_answer_closes_the_connection_and_the_server_lives_on() {
    let server = server();
    let fault = json!({ "kind": "error", "cloud": "aws", "action": "DescribeVpcs", "when": "after" });
    let id = post(&admin(&server, "/v1/faults"), &fault).json()["id"].as_u64().unwrap();
    let mut connection = wire::Connection::open(&server.urls().aws);
    let lost = connection.send("POST", "/", &[], "Action=DescribeVpcs&Version=2016-11-15");
    assert!(lost.is_none(), "{lost:?}");
    let counted = get(&admin(&server, "/v1/calls")).json();
    assert_eq!(counted["aws"]["DescribeVpcs"]["errors"], 1);
    call("DELETE", &admin(&server, &format!("/v1/faults?cloud=aws&id={id}")), &[], "");
    assert_eq!(ec2(&server.urls().aws, "Action=DescribeVpcs&Version=2016-11-15").status, 200);
}

#[test]
fn a_fault_before_the_act_has_the_clouds_envelope_and_latency_is_real() {
    let server = server();
    let faults = admin(&server, "/v1/faults");
    post(&faults, &json!({ "kind": "error", "cloud": "aws", "action": "DescribeVpcs", "status": 503 }));
    post(&faults, &json!({ "kind": "latency", "cloud": "aws", "action": "DescribeVpcs", "ms": 150 }));
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    let (begun, now) = (std::time::Instant::now(), std::time::Instant::now);
    let answer = ec2(&server.urls().aws, "Action=DescribeVpcs&Version=2016-11-15");
    assert_eq!((answer.status, answer.element("Code")), (503, "Unavailable"));
    assert!(now() - begun >= Duration::from_millis(150));
}
