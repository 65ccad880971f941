//! The commands with `provider = "gcp"`, through Google's official SDK, against a simulated Compute
//! Engine that another process serves: one value is different, nothing else.

#![cfg(feature = "gcp")]

mod skyfleet;

use skyfleet::cases;
use skyfleet::wire::Bed;

/// The project and the token that the cloud of [`Bed::with`] knows, when its scenario names some.
const ACCOUNT: &str =
    "[[credentials]]\ncloud = \"gcp\"\nkey_id = \"batch-474711\"\nsecret = \"open sesame\"\n";

const REGION: &str = "us-central1";

#[test]
fn a_batch_job_survives_two_preemptions_and_leaves_nothing() {
    cases::a_batch_job_survives_two_preemptions_and_leaves_nothing("gcp", REGION);
}

#[test]
fn a_fleet_goes_up_is_seen_and_goes_down() {
    cases::a_fleet_goes_up_is_seen_and_goes_down("gcp", REGION, "/instances/", |bed| {
        let launches = bed.calls("regionInstances.bulkInsert") + bed.calls("instances.bulkInsert");
        assert!((1..=3).contains(&launches), "{launches} calls made twelve instances");
        assert_eq!(bed.calls("instances.insert"), 0);
    });
}

#[test]
fn what_cannot_be_had_is_a_clear_error_and_leaves_nothing() {
    const UP: &[&str] = &["up", "-n", "4", "--type", "n2-standard-2", "--region", REGION];
    const QUOTA: &str = r#"{"kind":"quota","region":"us-central1","name":"PREEMPTIBLE_CPUS","limit":1}"#;
    let no_region = ["up", "-n", "1", "--type", "n2-standard-2", "--region", "us-centarl1"];
    let no_type = ["up", "-n", "1", "--type", "n2-standrad-2", "--region", REGION];
    cases::what_cannot_be_had_is_a_clear_error_and_leaves_nothing(
        "gcp",
        &[
            (QUOTA, UP, 3, &["PREEMPTIBLE_CPUS"]),
            (r#"{"kind":"capacity","zone":"us-central1","available":0}"#, UP, 3, &["enough resources"]),
            ("", &no_region, 2, &["us-centarl1", "us-central1"]),
            ("", &no_type, 2, &["n2-standrad-2", "n2-standard-2"]),
        ],
    );
}

const PLAN: &[&str] = &["plan", "-n", "1", "--vcpus", "2", "--region", REGION];

#[test]
fn an_expired_token_and_a_wrong_project_are_named_without_being_shown() {
    let bed = Bed::with("gcp", ACCOUNT);
    let good = bed.run(PLAN);
    assert_eq!(good.code, 0, "{good:?}");
    let expired = bed.run_with(PLAN, &[("CLOUDSDK_AUTH_ACCESS_TOKEN", "open barley")]);
    assert!(expired.code != 0 && expired.err.contains("credentials"), "{expired:?}");
    assert!(expired.err.contains("gcloud auth application-default login"), "{expired:?}");
    for name in ["GOOGLE_CLOUD_PROJECT", "SKYFLEET_PROVIDERS__GCP__PROJECT"] {
        let wrong = bed.run_with(PLAN, &[(name, "batch-none")]);
        assert!(wrong.code != 0 && wrong.err.contains("batch-none"), "{name}: {wrong:?}");
    }
    for ended in [expired, good] {
        assert!(!ended.err.contains("sesame") && !ended.err.contains("barley"), "{ended:?}");
    }
    bed.is_empty();
}

#[test]
fn an_api_that_was_never_switched_on_is_said_with_the_way_to_do_it() {
    let bed = Bed::new("gcp");
    bed.fault(
        r#"{"kind":"error","probability":1.0,"status":403,"code":"accessNotConfigured","when":"before"}"#,
    );
    for args in [PLAN, &["doctor"]] {
        let ended = bed.run(args);
        let said = format!("{}{}", ended.out, ended.err);
        assert!(
            ended.code != 0 && said.contains("gcloud services enable compute.googleapis.com"),
            "{ended:?}"
        );
    }
    bed.admin("DELETE", "/v1/faults", "");
    bed.is_empty();
}

#[test]
fn an_endpoint_that_is_down_is_said_so() {
    cases::an_endpoint_that_is_down_is_said_so("gcp", REGION, &["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"]);
}

#[test]
fn the_doctor_finds_a_project_in_order_and_changes_nothing() {
    cases::the_doctor_finds_all_in_order_and_changes_nothing(
        "gcp",
        &["simcloud", "compute.instances.create"],
    );
}

#[test]
fn the_doctor_finds_a_quota_that_is_too_small() {
    let bed = Bed::new("gcp");
    bed.fault(r#"{"kind":"quota","region":"us-central1","name":"PREEMPTIBLE_CPUS","limit":2}"#);
    let args =
        ["doctor", "-n", "4", "--type", "n2-standard-2", "--region", "us-central1", "--market", "spot"];
    let ended = bed.run(&args);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("PREEMPTIBLE_CPUS"), "{ended:?}");
}
