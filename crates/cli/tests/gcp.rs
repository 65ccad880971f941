//! The commands with `provider = "gcp"`, through Google's official SDK, against a simulated Compute
//! Engine that another process serves: one value is different, nothing else.

#![cfg(feature = "gcp")]

mod skyfleet;

use skyfleet::wire::{Bed, closed_url};

/// The project and the token that the cloud of [`Bed::with`] knows, when its scenario names some.
const ACCOUNT: &str =
    "[[credentials]]\ncloud = \"gcp\"\nkey_id = \"batch-474711\"\nsecret = \"open sesame\"\n";

#[test]
fn a_batch_job_survives_two_preemptions_and_leaves_nothing() {
    let bed = Bed::with(
        "gcp",
        "[[event]]\nat_s = 60\nkind = \"preempt\"\nnth = 2\nnotice_s = 20\n\
         [[event]]\nat_s = 75\nkind = \"preempt\"\nnth = 3\nnotice_s = 20\n",
    );
    for n in 0..40 {
        bed.home.write(&format!("in/{n:02}.txt"), &"word ".repeat(n + 1));
    }
    let args = ["run", "--input", "in", "-n", "5", "--vcpus", "2", "--region", "us-central1"];
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
    let bed = Bed::new("gcp");
    let up = bed.run(&["up", "-n", "12", "--vcpus", "2", "--region", "us-central1", "--lifetime", "1h"]);
    assert_eq!(up.code, 0, "{up:?}");
    let ps = bed.run(&["ps", "--json"]);
    assert_eq!(ps.code, 0, "{ps:?}");
    assert_eq!(ps.out.matches("/instances/").count(), 12, "{ps:?}");
    let launches = bed.calls("regionInstances.bulkInsert") + bed.calls("instances.bulkInsert");
    assert!((1..=3).contains(&launches), "{launches} calls made twelve instances");
    let down = bed.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(down.err.contains("leftovers: 0") || down.out.contains("leftovers: 0"), "{down:?}");
    assert_eq!(bed.calls("instances.insert"), 0);
    bed.is_empty();
}

/// Which fault, the command line, the exit code, and what the error must say.
type Case = (&'static str, &'static [&'static str], i32, &'static [&'static str]);

#[test]
fn what_cannot_be_had_is_a_clear_error_and_leaves_nothing() {
    const UP: &[&str] = &["up", "-n", "4", "--type", "n2-standard-2", "--region", "us-central1"];
    let cases: &[Case] = &[
        (
            r#"{"kind":"quota","region":"us-central1","name":"PREEMPTIBLE_CPUS","limit":1}"#,
            UP,
            3,
            &["PREEMPTIBLE_CPUS"],
        ),
        (r#"{"kind":"capacity","zone":"us-central1","available":0}"#, UP, 3, &["enough resources"]),
        (
            "",
            &["up", "-n", "1", "--type", "n2-standard-2", "--region", "us-centarl1"],
            2,
            &["us-centarl1", "us-central1"],
        ),
        (
            "",
            &["up", "-n", "1", "--type", "n2-standrad-2", "--region", "us-central1"],
            2,
            &["n2-standrad-2", "n2-standard-2"],
        ),
    ];
    let bed = Bed::new("gcp");
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

const PLAN: &[&str] = &["plan", "-n", "1", "--vcpus", "2", "--region", "us-central1"];

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
    let bed = Bed::new("gcp");
    let url = closed_url();
    let down = [("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", url.as_str())];
    let ended = bed.run_with(PLAN, &down);
    assert!(ended.code != 0, "{ended:?}");
    assert!(ended.err.contains("cannot be reached") && ended.err.contains("refused"), "{ended:?}");
}

#[test]
fn the_doctor_finds_a_project_in_order_and_changes_nothing() {
    let bed = Bed::new("gcp");
    let ended = bed.run(&["doctor", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("simcloud") && ended.out.contains("compute.instances.create"), "{ended:?}");
    bed.is_empty();
    bed.fault(r#"{"kind":"quota","region":"us-central1","name":"PREEMPTIBLE_CPUS","limit":2}"#);
    let args =
        ["doctor", "-n", "4", "--type", "n2-standard-2", "--region", "us-central1", "--market", "spot"];
    let ended = bed.run(&args);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("PREEMPTIBLE_CPUS"), "{ended:?}");
}
