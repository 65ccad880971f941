//! The commands with `provider = "azure"`, through azure_mgmt_compute and azure_identity, against a
//! simulated Resource Manager that another process serves: one value is different, nothing else.

#![cfg(feature = "azure")]

mod skyfleet;

use skyfleet::cases;
use skyfleet::wire::Bed;

/// The client and the secret that the cloud of [`Bed::with`] knows, when its scenario names some.
const ACCOUNT: &str = "[[credentials]]\ncloud = \"azure\"\nkey_id = \"00000000-0000-4000-8000-000000000003\"\n\
                       secret = \"open sesame\"\n";

const REGION: &str = "eastus";

#[test]
fn a_batch_job_survives_two_preemptions_and_leaves_nothing() {
    cases::a_batch_job_survives_two_preemptions_and_leaves_nothing("azure", REGION);
}

#[test]
fn a_fleet_goes_up_is_seen_and_goes_down() {
    cases::a_fleet_goes_up_is_seen_and_goes_down("azure", REGION, "/virtualMachines/", |bed| {
        let launches = bed.calls("fleets.PUT");
        assert!((1..=3).contains(&launches), "{launches} calls made twelve instances");
        assert_eq!((bed.calls("virtualMachines.PUT"), bed.calls("networkInterfaces.PUT")), (0, 0));
    });
}

#[test]
fn what_cannot_be_had_is_a_clear_error_and_leaves_nothing() {
    const UP: &[&str] = &["up", "-n", "4", "--type", "Standard_D2s_v5", "--region", REGION];
    const QUOTA: &str = r#"{"kind":"quota","region":"eastus","name":"lowPriorityCores","limit":1}"#;
    const RESTRICTED: &str =
        r#"{"kind":"sku-restriction","region":"eastus","instance_type":"Standard_D2s_v5","on":true}"#;
    let no_region = ["up", "-n", "1", "--type", "Standard_D2s_v5", "--region", "eatsus"];
    let no_type = ["up", "-n", "1", "--type", "Standard_D2s_v55", "--region", REGION];
    cases::what_cannot_be_had_is_a_clear_error_and_leaves_nothing(
        "azure",
        &[
            (QUOTA, UP, 3, &["lowPriorityCores"]),
            (RESTRICTED, UP, 3, &["Standard_D2s_v5"]),
            (r#"{"kind":"capacity","zone":"eastus","available":0}"#, UP, 3, &["Standard_D2s_v5"]),
            ("", &no_region, 2, &["eatsus", "eastus"]),
            ("", &no_type, 2, &["Standard_D2s_v55", "Standard_D2s_v5"]),
        ],
    );
}

const PLAN: &[&str] = &["plan", "-n", "1", "--vcpus", "2", "--region", REGION];

#[test]
fn a_wrong_secret_and_a_missing_subscription_are_named_without_being_shown() {
    let bed = Bed::with("azure", ACCOUNT);
    let good = bed.run(PLAN);
    assert_eq!(good.code, 0, "{good:?}");
    let wrong = bed.run_with(PLAN, &[("AZURE_CLIENT_SECRET", "open barley")]);
    assert!(wrong.code != 0 && wrong.err.contains("az login"), "{wrong:?}");
    let nowhere = bed.run_with(PLAN, &[("AZURE_SUBSCRIPTION_ID", "")]);
    assert!(nowhere.code != 0 && nowhere.err.contains("AZURE_SUBSCRIPTION_ID"), "{nowhere:?}");
    for ended in [wrong, good] {
        assert!(!ended.err.contains("sesame") && !ended.err.contains("barley"), "{ended:?}");
    }
    bed.is_empty();
}

#[test]
fn an_endpoint_that_is_down_is_said_so() {
    cases::an_endpoint_that_is_down_is_said_so(
        "azure",
        REGION,
        &["AZURE_RESOURCE_MANAGER_ENDPOINT", "AZURE_AUTHORITY_HOST"],
    );
}

#[test]
fn the_doctor_finds_all_in_order_and_changes_nothing() {
    cases::the_doctor_finds_all_in_order_and_changes_nothing(
        "azure",
        &["00000000-0000-4000-8000-000000000001", "Microsoft.AzureFleet/fleets/write"],
    );
}

#[test]
fn the_doctor_finds_a_quota_that_is_too_small() {
    let bed = Bed::new("azure");
    bed.fault(r#"{"kind":"quota","region":"eastus","name":"lowPriorityCores","limit":2}"#);
    let args = ["doctor", "-n", "4", "--type", "Standard_D2s_v5", "--region", REGION, "--market", "spot"];
    let ended = bed.run(&args);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("lowPriorityCores"), "{ended:?}");
}
