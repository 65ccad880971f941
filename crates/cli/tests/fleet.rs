//! A fleet over several commands: each is a process of its own, and the cloud is what they share.

mod skyfleet;

use std::io::{BufRead, BufReader};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use skyfleet::{Home, until};

#[test]
fn a_fleet_lives_between_commands_and_is_gone_after_down() {
    let home = Home::new();
    let up = home.json(&["up", "-n", "4", "--vcpus", "2", "--json"]);
    assert_eq!((up["asked"].as_u64(), up["obtained"].as_u64()), (Some(4), Some(4)), "{up}");
    assert_eq!(up["attached"], false);

    let ps = home.json(&["ps", "--json"]);
    let instances = ps["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 4, "{ps}");
    let mut slots: Vec<_> = instances.iter().map(|i| i["slot"].as_u64().unwrap()).collect();
    slots.sort_unstable();
    assert_eq!(slots, [0, 1, 2, 3]);
    assert!(instances.iter().all(|i| i["state"] == "running" && i["market"] == "spot"), "{ps}");
    assert!(ps["usd_per_hour"].as_f64().unwrap() > 0.0);
    assert!(home.live() >= 4);

    // The same name again attaches; it buys nothing.
    let again = home.json(&["up", "-n", "4", "--vcpus", "2", "--json"]);
    assert_eq!((again["attached"].as_bool(), again["obtained"].as_u64()), (Some(true), Some(4)), "{again}");

    let down = home.json(&["down", "--json"]);
    assert_eq!(down["instances"].as_u64(), Some(4), "{down}");
    assert_eq!(down["leftovers"].as_array().unwrap().len(), 0);
    let ledger = home.json(&["sim", "ledger", "--json"]);
    assert_eq!(ledger["live"].as_array().unwrap().len(), 0, "{ledger}");
    assert_eq!(ledger["blocking"].as_array().unwrap().len(), 0, "{ledger}");
    assert!(ledger["accrued_usd"].as_f64().unwrap() > 0.0, "{ledger}");
    // Once more is harmless.
    assert_eq!(home.json(&["down", "--json"])["instances"].as_u64(), Some(0));
}

#[test]
fn a_sweep_ends_every_fleet_of_the_owner_and_no_other() {
    let home = Home::new();
    for (owner, name) in [("ada", "one"), ("ada", "two"), ("bob", "one")] {
        home.json(&["up", "-n", "2", "--vcpus", "2", "--owner", owner, "--name", name, "--json"]);
    }
    let all = home.json(&["ps", "--all", "--owner", "ada", "--json"]);
    assert_eq!(all["instances"].as_array().unwrap().len(), 4, "{all}");
    let swept = home.json(&["down", "--all", "--owner", "ada", "--json"]);
    assert_eq!(swept["instances"].as_u64(), Some(4), "{swept}");
    let bob = home.json(&["ps", "--all", "--owner", "bob", "--json"]);
    assert_eq!(bob["instances"].as_array().unwrap().len(), 2, "{bob}");
    home.json(&["down", "--all", "--owner", "bob", "--json"]);
    assert_eq!(home.live(), 0);
}

#[test]
fn the_plan_shows_lots_and_both_costs_and_buys_nothing() {
    let home = Home::new();
    let plan = home.json(&["plan", "-n", "7", "--vcpus", "2", "--lifetime", "2h", "--json"]);
    assert_eq!(plan["instances"].as_u64(), Some(7), "{plan}");
    let lots = plan["lots"].as_array().unwrap();
    assert!(!lots.is_empty());
    for lot in lots {
        let expected: u64 =
            lot["pools"].as_array().unwrap().iter().map(|pool| pool["expected"].as_u64().unwrap()).sum();
        assert_eq!(Some(expected), lot["count"].as_u64(), "{lot}");
        assert!(lot["region"].is_string() && lot["market"] == "spot", "{lot}");
    }
    let cost = |which: &str, what: &str| plan[which][what].as_f64().unwrap();
    assert!(cost("expected", "usd_per_hour") > 0.0);
    assert!(cost("worst", "usd_per_hour") >= cost("expected", "usd_per_hour"));
    assert!(cost("worst", "total_usd") >= cost("expected", "total_usd"));
    assert_eq!(home.live(), 0);
    assert_eq!(home.json(&["sim", "ledger", "--json"])["accrued_usd"].as_f64(), Some(0.0));
}

#[test]
fn offers_are_filtered_and_each_that_is_not_there_has_its_reason() {
    let home = Home::new();
    let aws = ["--set", "providers.sim.impersonate=aws"];
    let found =
        home.json(&["offers", "--vcpus", "8", "--market", "spot", "--limit", "5", "--json", aws[0], aws[1]]);
    let offers = found["offers"].as_array().unwrap();
    assert_eq!(offers.len(), 5, "{found}");
    assert!(offers.iter().all(|o| o["vcpus"].as_u64() >= Some(8) && o["market"] == "spot"), "{found}");
    assert!(found["count"].as_u64().unwrap() > 5);

    let why = home.json(&[
        "offers",
        "--memory",
        "1000",
        "--type",
        "m7g.large",
        "--zone",
        "us-east-1a",
        "--explain",
        "--json",
        aws[0],
        aws[1],
    ]);
    let reasons = why["rejections"].as_array().unwrap();
    assert!(!reasons.is_empty(), "{why}");
    assert!(reasons.iter().all(|r| r["offer"]["instance_type"] == "m7g.large"), "{why}");
    assert!(reasons.iter().any(|r| r["reason"].as_str().unwrap().contains("memory")), "{why}");
    let counted: u64 = why["reasons"].as_array().unwrap().iter().map(|r| r["offers"].as_u64().unwrap()).sum();
    assert_eq!(Some(counted), why["rejected"].as_u64(), "{why}");
}

#[test]
fn a_table_for_a_program_has_no_ornament() {
    let home = Home::new();
    home.json(&["up", "-n", "2", "--vcpus", "2", "--json"]);
    for args in [
        &["offers", "--vcpus", "2", "--explain"][..],
        &["plan", "-n", "2", "--vcpus", "2"],
        &["ps"],
        &["sim", "ledger"],
    ] {
        let ended = home.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        assert!(ended.out.is_ascii() && !ended.out.contains('\u{1b}'), "{args:?}: {}", ended.out);
        assert!(ended.out.lines().count() > 2, "{args:?}: {}", ended.out);
    }
    home.json(&["down", "--json"]);
}

#[test]
fn a_preemption_is_seen_by_the_next_command() {
    let home = Home::new();
    home.json(&["up", "-n", "3", "--vcpus", "2", "--json"]);
    home.json(&["sim", "fault", r#"{"kind":"preempt","nth":1,"notice_seconds":0}"#, "--json"]);
    home.json(&["sim", "advance", "5m", "--json"]);
    let ps = home.json(&["ps", "--json"]);
    let alive = ps["instances"].as_array().unwrap().iter().filter(|i| i["state"] == "running").count();
    assert_eq!(alive, 2, "{ps}");
    let events = home.run(&["sim", "events", "--json"]);
    let kinds: Vec<String> = events
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "reclaim").count(), 1, "{kinds:?}");
    // The name lives: `up` takes it over and fills the slot again.
    let up = home.json(&["up", "-n", "3", "--vcpus", "2", "--json"]);
    assert_eq!(up["attached"].as_bool(), Some(true), "{up}");
    home.json(&["down", "--json"]);
    assert_eq!(home.live(), 0);
}

#[test]
fn time_passes_and_money_with_it() {
    let home = Home::new();
    home.json(&["up", "-n", "1", "--vcpus", "2", "--json"]);
    let before = home.json(&["sim", "ledger", "--json"]);
    home.json(&["sim", "advance", "1h", "--json"]);
    let after = home.json(&["sim", "ledger", "--json"]);
    let spent = after["accrued_usd"].as_f64().unwrap() - before["accrued_usd"].as_f64().unwrap();
    let hour = before["usd_per_hour"].as_f64().unwrap();
    // The first minute is paid in any case.
    assert!((0.97..=1.01).contains(&(spent / hour)), "{spent} in an hour at {hour}");
    home.json(&["sim", "reset", "--json"]);
    assert_eq!(home.live(), 0);
}

#[test]
fn a_watched_fleet_is_filled_again_and_lives_on_after_ctrl_c() {
    let home = Home::new();
    let args = ["up", "-n", "2", "--vcpus", "2", "--watch", "--json"];
    home.write("fleet.toml", "provider = \"sim\"\n[providers.sim]\nclock = \"scaled:60\"\n");
    let mut running = home.start(&args);
    let events = BufReader::new(running.child().stdout.take().unwrap());
    let mut lines = events.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let first = lines.next().unwrap();
    assert_eq!(first["asked"], 2, "{first}");
    let mut count = |kind: &str, wanted: usize| {
        let mut seen = 0;
        while seen < wanted {
            let event = lines.next().unwrap_or_else(|| panic!("the watching ended before {wanted} x {kind}"));
            seen += usize::from(event["event"] == kind);
        }
    };
    count("running", 2);
    home.json(&["sim", "fault", r#"{"kind":"preempt","nth":1,"notice_seconds":0}"#, "--json"]);
    count("preempted", 1);
    count("running", 1);
    kill_process(Pid::from_child(running.child()), Signal::INT).unwrap();
    let ended = running.ended(&args);
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(ended.err.contains("lives on"), "{ended:?}");
    assert_eq!(home.json(&["ps", "--json"])["instances"].as_array().unwrap().len(), 2);
    home.json(&["down", "--json"]);
    assert_eq!(home.live(), 0);
}

#[test]
fn ctrl_c_while_launching_gives_back_what_was_bought() {
    let home = Home::new();
    // Two can be had, four are needed: the launch goes on trying with two in hand.
    home.write(
        "scenario.toml",
        "[pools]\ndefault_capacity = 0\n[[pools.set]]\nzone = \"sim-east-a\"\ninstance_type = \"sim.small\"\ncapacity = 2\n",
    );
    home.write(
        "fleet.toml",
        "provider = \"sim\"\n[providers.sim]\nscenario = \"scenario.toml\"\nclock = \"scaled:60\"\n",
    );
    let args = ["up", "-n", "4", "--min", "4", "--vcpus", "2", "--deadline", "30m", "--watch"];
    let mut running = home.start(&args);
    until("something is bought", || home.live() > 0);
    kill_process(Pid::from_child(running.child()), Signal::INT).unwrap();
    let ended = running.ended(&args);
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(home.live(), 0, "{ended:?}");
}

#[test]
fn a_teardown_that_the_cloud_does_not_let_happen_is_not_called_done() {
    let home = Home::new();
    home.json(&["up", "-n", "1", "--vcpus", "2", "--json"]);
    for action in ["instances.terminate", "resources.delete"] {
        let fault = format!(r#"{{"kind":"error","action":"{action}","probability":1}}"#);
        home.json(&["sim", "fault", &fault, "--json"]);
    }
    let ended = home.run(&["down"]);
    assert_eq!(ended.code, 5, "{ended:?}");
    for left in ["leftovers: 3", "instance  sim-000001", "firewall", "template", "could not serve"] {
        assert!(ended.out.contains(left), "{left:?} is not said in: {}", ended.out);
    }
    assert!(ended.err.contains("go on with: skyfleet down --all"), "{ended:?}");
    assert!(home.live() > 0);
}

#[test]
fn up_waits_for_instances_that_are_not_listed_yet() {
    let home = Home::new();
    // On the simulated EC2 a new instance is missing from lists for some seconds.
    let up = home.json(&["up", "-n", "50", "--set", "providers.sim.impersonate=aws", "--json"]);
    assert_eq!(up["obtained"], 50);
    let instances = up["instances"].as_array().unwrap();
    assert!(instances.iter().all(|instance| instance["state"] == "running"), "{up}");
    let down = home.json(&["down", "--set", "providers.sim.impersonate=aws", "--json"]);
    assert_eq!(down["leftovers"], serde_json::json!([]));
}

#[test]
fn a_launch_without_capacity_is_refused_and_leaves_nothing() {
    let home = Home::new();
    home.write("scenario.toml", "[pools]\ndefault_capacity = 0\n");
    home.write(
        "fleet.toml",
        "provider = \"sim\"\n[need]\nvcpus = 2\n[fleet]\ntarget = 3\n[providers.sim]\nscenario = \"scenario.toml\"\n",
    );
    let ended = home.run(&["up"]);
    ended.refused(3, &[]);
    assert_eq!(home.live(), 0);
}
