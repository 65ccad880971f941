//! The commands with `provider = "aws"`, through the official SDK, against a simulated EC2 that
//! another process serves: one value is different, nothing else.

#![cfg(feature = "aws")]

mod skyfleet;

use skyfleet::wire::{Bed, closed_url};

/// The keys that the cloud of [`Bed::with`] knows, when its scenario names some.
const ACCOUNT: &str = "[[credentials]]\ncloud = \"aws\"\nkey_id = \"AKIAKNOWN\"\nsecret = \"open sesame\"\n";

#[test]
fn a_batch_job_survives_two_preemptions_and_leaves_nothing() {
    let bed = Bed::with(
        "aws",
        "[[event]]\nat_s = 60\nkind = \"preempt\"\nnth = 2\nnotice_s = 20\n\
         [[event]]\nat_s = 75\nkind = \"preempt\"\nnth = 3\nnotice_s = 20\n",
    );
    for n in 0..40 {
        bed.home.write(&format!("in/{n:02}.txt"), &"word ".repeat(n + 1));
    }
    let args = ["run", "--input", "in", "-n", "5", "--vcpus", "2", "--region", "us-east-1"];
    let command = ["--", "sleep 0.5; wc -w < \"$SKYFLEET_INPUT\""];
    let ended = bed.run(&[&args[..], &command].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let counts: Vec<usize> = ended.out.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert_eq!(counts, (1..=40).collect::<Vec<_>>(), "{ended:?}");
    assert!(ended.err.contains("leftovers: 0"), "{ended:?}");
    let events = bed.admin("GET", "/v1/events", "").to_string();
    assert_eq!(events.matches("\"reclaim\"").count(), 2, "{events}");
    bed.is_empty();
}

#[test]
fn a_fleet_goes_up_is_seen_and_goes_down() {
    let bed = Bed::new("aws");
    let up = bed.run(&["up", "-n", "12", "--vcpus", "2", "--region", "us-east-1", "--lifetime", "1h"]);
    assert_eq!(up.code, 0, "{up:?}");
    let ps = bed.run(&["ps", "--json"]);
    assert_eq!(ps.code, 0, "{ps:?}");
    assert_eq!(ps.out.matches("\"i-0").count(), 12, "{ps:?}");
    assert_eq!(bed.calls("CreateFleet"), 1);
    let down = bed.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(down.err.contains("leftovers: 0") || down.out.contains("leftovers: 0"), "{down:?}");
    // In bulk: what has not gone after a minute of the cloud's clock is asked again, on a slow machine sooner.
    let asked = bed.calls("TerminateInstances");
    assert!((1..=3).contains(&asked), "{asked} calls ended twelve instances");
    assert_eq!(bed.calls("RunInstances"), 0);
    bed.is_empty();
}

/// Which fault, the command line, the exit code, and what the error must say.
type Case = (&'static str, &'static [&'static str], i32, &'static [&'static str]);

#[test]
fn what_cannot_be_had_is_a_clear_error_and_leaves_nothing() {
    const UP: &[&str] = &["up", "-n", "4", "--type", "m7g.large", "--region", "us-east-1"];
    let cases: &[Case] = &[
        (r#"{"kind":"quota","region":"us-east-1","name":"L-34B43A08","limit":1}"#, UP, 3, &["L-34B43A08"]),
        (r#"{"kind":"capacity","zone":"us-east-1","available":0}"#, UP, 3, &["capacity"]),
        (
            "",
            &["up", "-n", "1", "--type", "m7g.large", "--region", "us-esat-1"],
            2,
            &["us-esat-1", "us-east-1"],
        ),
        (
            "",
            &["up", "-n", "1", "--type", "m7g.lrage", "--region", "us-east-1"],
            2,
            &["m7g.lrage", "m7g.large"],
        ),
    ];
    let bed = Bed::new("aws");
    for (fault, args, code, words) in cases {
        if !fault.is_empty() {
            bed.fault(fault);
        }
        let ended = bed.run(args);
        ended.refused(*code, words);
        bed.admin("DELETE", "/v1/faults", "");
        let _left = bed.run(&["down", "--all"]);
        bed.is_empty();
    }
}

#[test]
fn wrong_credentials_are_named_without_being_shown() {
    let bed = Bed::with("aws", ACCOUNT);
    let args = ["plan", "-n", "1", "--vcpus", "2", "--region", "us-east-1"];
    let known = [("AWS_ACCESS_KEY_ID", "AKIAKNOWN"), ("AWS_SECRET_ACCESS_KEY", "open sesame")];
    assert_eq!(bed.run_with(&args, &known).code, 0);
    for wrong in [
        [("AWS_ACCESS_KEY_ID", "AKIASTRANGER"), ("AWS_SECRET_ACCESS_KEY", "open sesame")],
        [("AWS_ACCESS_KEY_ID", "AKIAKNOWN"), ("AWS_SECRET_ACCESS_KEY", "open barley")],
    ] {
        let ended = bed.run_with(&args, &wrong);
        assert!(ended.code != 0 && ended.err.contains("credentials"), "{ended:?}");
        assert!(!ended.err.contains("sesame") && !ended.err.contains("barley"), "{ended:?}");
    }
    bed.is_empty();
}

#[test]
fn an_endpoint_that_is_down_is_said_so() {
    let bed = Bed::new("aws");
    let url = closed_url();
    let down = [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_ENDPOINT_URL_EC2", url.as_str())];
    let ended = bed.run_with(&["plan", "-n", "1", "--vcpus", "2", "--region", "us-east-1"], &down);
    assert!(ended.code != 0, "{ended:?}");
    assert!(ended.err.contains("cannot be reached") && ended.err.contains("refused"), "{ended:?}");
}

#[test]
fn the_doctor_finds_an_account_in_order_and_changes_nothing() {
    let bed = Bed::new("aws");
    let ended = bed.run(&["doctor", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("123456789012"), "{ended:?}");
    bed.is_empty();
}
