use skyfleet_core::Market;
use skyfleet_core::doctor::Line;

use super::*;
use crate::Settings;
use crate::bed::Bed;

fn fleet(count: u32) -> Wanted {
    Wanted {
        instance_types: vec!["n2-standard-2".into()],
        count,
        markets: vec![Market::Spot],
        ..Wanted::default()
    }
}

fn bad(report: &DoctorReport) -> Vec<Line> {
    report.lines().into_iter().filter(|line| line.verdict == Verdict::Bad).collect()
}

#[tokio::test]
async fn a_project_in_order_is_found_so_and_nothing_is_changed() {
    let bed = Bed::of(&["us-central1", "europe-west4"]);
    let report = bed.provider.doctor(&fleet(100)).await;
    let lines: Vec<Line> = report.lines().into_iter().filter(|line| line.verdict != Verdict::Good).collect();
    assert_eq!(lines, [], "{report}");
    assert_eq!(report.identity.as_ref().unwrap().account, "batch-474711");
    let regions: Vec<&str> = report.regions.iter().map(|region| region.region.as_str()).collect();
    assert_eq!(regions, ["europe-west4", "us-central1"]);
    assert!(report.regions.iter().all(|region| region.network.as_deref() == Some("default")));
    for action in ["compute.instances.create", "compute.instances.delete", "compute.disks.delete"] {
        assert!(report.permissions.iter().any(|permission| permission.action == action), "{report}");
    }
    assert_eq!(report.services.len(), 2, "{report}");
    let ledger = bed.world().ledger();
    assert!(ledger.live.is_empty() && ledger.blocking.is_empty(), "{ledger:?}");
    assert!(bed.world().instances().is_empty());
}

#[tokio::test]
async fn a_quota_that_is_too_small_for_the_fleet_is_bad() {
    let bed = Bed::of(&["us-central1"]);
    bed.inject(r#"{"kind":"quota","region":"us-central1","name":"PREEMPTIBLE_CPUS","limit":64}"#);
    let report = bed.provider.doctor(&fleet(33)).await;
    let [quota] = report.quotas.as_slice() else { panic!("{report}") };
    assert_eq!((quota.limit, quota.machine, quota.machines), (Some(64), 2, Some(32)));
    assert_eq!((quota.code.as_str(), quota.verdict), ("PREEMPTIBLE_CPUS", Verdict::Bad));
    assert_eq!(report.verdict(), Verdict::Bad);
    assert_eq!(bed.provider.doctor(&fleet(32)).await.verdict(), Verdict::Good);
}

#[tokio::test]
async fn gpus_are_counted_beside_the_vcpus() {
    let bed = Bed::of(&["us-central1"]);
    bed.inject(r#"{"kind":"quota","region":"us-central1","name":"NVIDIA_T4_GPUS","limit":3}"#);
    let wanted = Wanted {
        instance_types: vec!["n1-standard-4+T4".into()],
        count: 4,
        markets: vec![Market::OnDemand],
        ..Wanted::default()
    };
    let report = bed.provider.doctor(&wanted).await;
    let lines = bad(&report);
    let [line] = lines.as_slice() else { panic!("{report}") };
    assert_eq!(line.subject, "us-central1/NVIDIA_T4_GPUS");
    assert!(line.detail.contains("0 of 3 GPUs used: room for 3 machines of 1 GPUs"), "{report}");
    assert_eq!(report.quotas.len(), 4, "{report}");
}

#[tokio::test]
async fn a_fleet_without_types_is_examined_with_the_usual_ones() {
    let bed = Bed::of(&["us-central1"]);
    let codes = |gpu, markets: &[Market]| {
        let wanted = Wanted { vcpus: 4, gpu, count: 1, markets: markets.to_vec(), ..Wanted::default() };
        let provider = bed.provider.clone();
        async move {
            let report = provider.doctor(&wanted).await;
            assert_eq!(report.verdict(), Verdict::Good, "{report}");
            report.quotas.into_iter().map(|quota| quota.code).collect::<Vec<_>>()
        }
    };
    assert_eq!(codes(false, &[Market::Spot]).await, ["PREEMPTIBLE_CPUS"]);
    assert_eq!(codes(false, &[Market::OnDemand]).await, ["CPUS_ALL_REGIONS", "CPUS", "N2_CPUS"]);
    let gpus = codes(true, &[Market::Spot]).await;
    assert!(gpus.contains(&"PREEMPTIBLE_NVIDIA_L4_GPUS".to_owned()), "{gpus:?}");
}

#[tokio::test]
async fn an_api_that_is_off_is_said_with_the_way_to_switch_it_on() {
    let bed = Bed::of(&["us-central1"]);
    bed.inject(
        r#"{"kind":"error","action":"projects.get","probability":1.0,"status":403,"code":"accessNotConfigured","when":"before"}"#,
    );
    let report = bed.provider.doctor(&fleet(1)).await;
    let lines = bad(&report);
    let [line] = lines.as_slice() else { panic!("{report}") };
    assert_eq!((line.area, line.subject.as_str()), ("service", "compute.googleapis.com"));
    assert!(line.detail.contains("gcloud services enable compute.googleapis.com"), "{report}");
    assert!(report.regions.is_empty() && report.permissions.is_empty());
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_nothing_else_is_asked() {
    let bed = Bed::of(&["us-central1"]);
    bed.inject(
        r#"{"kind":"error","action":"projects.get","probability":1.0,"status":401,"code":"authError","when":"before"}"#,
    );
    let report = bed.provider.doctor(&fleet(1)).await;
    let lines = bad(&report);
    let [line] = lines.as_slice() else { panic!("{report}") };
    assert_eq!(line.area, "identity", "{report}");
    assert!(report.regions.is_empty() && report.permissions.is_empty());
}

#[tokio::test]
async fn a_network_that_is_not_there_is_bad_in_every_region() {
    let bed = Bed::with(&["us-central1", "us-east1"], |settings| Settings {
        network: Some("batch".to_owned()),
        ..settings
    });
    let report = bed.provider.doctor(&fleet(1)).await;
    assert_eq!(report.regions.len(), 2);
    assert!(
        report.regions.iter().all(|region| region.verdict == Verdict::Bad && region.detail.contains("batch")),
        "{report}"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_said_once_and_clearly() {
    let bed = Bed::of(&["us-central1"]);
    let provider = bed.provider.clone();
    drop(bed);
    let report = provider.doctor(&fleet(1)).await;
    let lines = bad(&report);
    assert_eq!(lines.len(), 1, "{report}");
}
