//! What is wrong is named, with the fix, and nothing is launched.

mod skyfleet;

use skyfleet::Home;

/// The command line, the exit code, and what the error must say.
type Case = (&'static [&'static str], i32, &'static [&'static str]);

#[test]
fn a_wrong_word_is_named_with_what_would_be_right() {
    let home = Home::new();
    let cases: &[Case] = &[
        (&["plan", "--set", "colour=red"], 2, &["colour"]),
        (&["plan", "--set", "fleet.targt=3"], 2, &["targt", "target"]),
        (&["plan", "--set", "nonsense"], 2, &["nonsense", "="]),
        (&["plan", "--set", "providers.sim.sed=3"], 2, &["sed", "seed"]),
        (&["plan", "--provider", "simm"], 2, &["simm", "sim"]),
        (&["plan", "--owner", "Ada Lovelace"], 2, &["owner", "Ada Lovelace"]),
        (&["plan", "-n", "0"], 2, &["target"]),
        (&["plan", "-n", "-3"], 2, &["-3"]),
        (&["plan", "-n", "3", "--min", "5"], 2, &["min", "5", "3"]),
        (&["plan", "--vcpus", "0"], 2, &["vcpus"]),
        (&["plan", "--arch", "arm"], 2, &["arch", "arm64"]),
        (&["plan", "--fulfilment", "greed"], 2, &["fulfilment", "greedy"]),
        (&["plan", "--lifetime", "soon"], 2, &["lifetime", "soon"]),
        (&["plan", "--budget", "-1"], 2, &["-1"]),
        (&["offers", "--config", "missing.toml"], 2, &["missing.toml"]),
        (&["sim", "fault", r#"{"kind":"flood"}"#], 2, &["flood", "preempt"]),
        (&["sim", "fault", "{"], 2, &["fault"]),
        (&["sim", "advance", "soon"], 2, &["soon"]),
        (&["run", "--tasks", "1", "--", ""], 2, &["command", "empty"]),
        (&["run", "--", "true"], 2, &["--input"]),
        (&["run", "--tasks", "0", "--", "true"], 2, &["task"]),
        (&["run", "--tasks", "1", "--store", "nope://x/y", "--", "true"], 2, &["nope"]),
        (&["run", "--input", "missing", "--", "true"], 2, &["missing"]),
        (&["run", "--tasks", "1", "--task-timeout", "5", "--", "true"], 2, &["--task-timeout"]),
        (&["run", "--tasks", "1", "--timeline", "no/such/x.svg", "--", "true"], 2, &["--timeline", "x.svg"]),
    ];
    for (args, code, words) in cases {
        home.run(args).refused(*code, words);
    }
    assert_eq!(home.live(), 0);
}

#[test]
fn a_name_that_the_cloud_does_not_have_gets_the_nearest() {
    let home = Home::new();
    const AWS: &str = "providers.sim.impersonate=aws";
    let cases: &[Case] = &[
        (&["plan", "--set", AWS, "--type", "m7g.lrage"], 2, &["m7g.lrage", "m7g.large"]),
        (&["plan", "--set", AWS, "--zone", "us-east-1x"], 2, &["us-east-1x", "us-east-1a"]),
        (&["plan", "--set", AWS, "--region", "us-esat-1"], 2, &["us-esat-1", "us-east-1"]),
        (&["plan", "--set", AWS, "--gpu", "T44"], 2, &["T44", "T4"]),
        (&["offers", "--set", AWS, "--zone", "us-east-1x"], 2, &["us-east-1x", "us-east-1a"]),
    ];
    for (args, code, words) in cases {
        home.run(args).refused(*code, words);
    }
}

#[test]
fn a_budget_below_the_cheapest_plan_buys_nothing() {
    let home = Home::new();
    for command in ["plan", "up"] {
        let ended =
            home.run(&[command, "-n", "4", "--vcpus", "2", "--budget", "0.000001", "--lifetime", "1h"]);
        ended.refused(3, &["budget"]);
    }
    assert_eq!(home.live(), 0);
}

#[test]
fn a_need_that_no_offer_meets_is_a_wrong_request() {
    let home = Home::new();
    let ended = home.run(&["up", "--vcpus", "100000"]);
    assert!([2, 3].contains(&ended.code), "{ended:?}");
    ended.refused(ended.code, &["100000"]);
    assert_eq!(home.live(), 0);
}

#[test]
fn user_data_over_the_clouds_limit_is_refused_before_anything_is_bought() {
    let home = Home::new();
    let script = format!("#!/bin/sh\n# {}\n", "x".repeat(70_000));
    home.write("fleet.toml", &format!(
        "provider = \"sim\"\n[need]\nvcpus = 2\n[fleet]\ntarget = 2\nuser_data = '''{script}'''\n[providers.sim]\nimpersonate = \"aws\"\n"
    ));
    home.run(&["up"]).refused(2, &["user_data"]);
    assert_eq!(home.live(), 0);
}

#[test]
fn a_broken_file_is_named_with_the_line() {
    let home = Home::new();
    home.write("fleet.toml", "provider = \"sim\"\n[fleet\ntarget = 3\n");
    home.run(&["plan"]).refused(2, &["fleet.toml", "2"]);
}

#[test]
fn a_wrong_key_in_the_environment_is_refused_like_one_in_the_file() {
    let home = Home::new();
    let args = ["plan"];
    home.run_with(&args, "SKYFLEET_PROVIDER", "simm").refused(2, &["simm", "sim"]);
    home.run_with(&args, "SKYFLEET_LOG", "a=b=c").refused(2, &["SKYFLEET_LOG"]);
}
