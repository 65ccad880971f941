//! The commands with `provider = "aws"`, through the official SDK, against a simulated EC2 that
//! another process serves: one value is different, nothing else.

#![cfg(feature = "aws")]

mod skyfleet;

use skyfleet::cases;
use skyfleet::wire::Bed;

/// The keys that the cloud of [`Bed::with`] knows, when its scenario names some.
const ACCOUNT: &str = "[[credentials]]\ncloud = \"aws\"\nkey_id = \"AKIAKNOWN\"\nsecret = \"open sesame\"\n";

const REGION: &str = "us-east-1";

#[test]
fn a_batch_job_survives_two_preemptions_and_leaves_nothing() {
    cases::a_batch_job_survives_two_preemptions_and_leaves_nothing("aws", REGION);
}

#[test]
fn a_fleet_goes_up_is_seen_and_goes_down() {
    cases::a_fleet_goes_up_is_seen_and_goes_down("aws", REGION, "\"i-0", |bed| {
        assert_eq!(bed.calls("CreateFleet"), 1);
        // In bulk: what has not gone after a minute of the cloud's clock is asked again, on a slow machine sooner.
        let asked = bed.calls("TerminateInstances");
        assert!((1..=3).contains(&asked), "{asked} calls ended twelve instances");
        assert_eq!(bed.calls("RunInstances"), 0);
    });
}

#[test]
fn what_cannot_be_had_is_a_clear_error_and_leaves_nothing() {
    const UP: &[&str] = &["up", "-n", "4", "--type", "m7g.large", "--region", REGION];
    let no_region = ["up", "-n", "1", "--type", "m7g.large", "--region", "us-esat-1"];
    let no_type = ["up", "-n", "1", "--type", "m7g.lrage", "--region", REGION];
    cases::what_cannot_be_had_is_a_clear_error_and_leaves_nothing(
        "aws",
        &[
            (
                r#"{"kind":"quota","region":"us-east-1","name":"L-34B43A08","limit":1}"#,
                UP,
                3,
                &["L-34B43A08"],
            ),
            (r#"{"kind":"capacity","zone":"us-east-1","available":0}"#, UP, 3, &["capacity"]),
            ("", &no_region, 2, &["us-esat-1", "us-east-1"]),
            ("", &no_type, 2, &["m7g.lrage", "m7g.large"]),
        ],
    );
}

#[test]
fn wrong_credentials_are_named_without_being_shown() {
    let bed = Bed::with("aws", ACCOUNT);
    let args = ["plan", "-n", "1", "--vcpus", "2", "--region", REGION];
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
    cases::an_endpoint_that_is_down_is_said_so("aws", REGION, &["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"]);
}

#[test]
fn the_doctor_finds_an_account_in_order_and_changes_nothing() {
    cases::the_doctor_finds_all_in_order_and_changes_nothing("aws", &["123456789012"]);
}
