use std::collections::BTreeSet;

use skyfleet_core::Market;
use skyfleet_core::doctor::Line;

use super::*;
use crate::bed::Bed;

fn fleet(count: u32) -> Wanted {
    Wanted {
        instance_types: vec!["m7g.large".into()],
        count,
        markets: vec![Market::Spot],
        ..Wanted::default()
    }
}

#[tokio::test]
async fn an_account_in_order_is_found_so_and_nothing_is_changed() {
    let bed = Bed::of(&["us-east-1", "eu-west-1"]);
    let report = bed.provider.doctor(&fleet(100)).await;
    let bad: Vec<Line> = report.lines().into_iter().filter(|line| line.verdict != Verdict::Good).collect();
    assert_eq!(bad, [], "{report}");
    assert_eq!(report.identity.as_ref().unwrap().account, "123456789012");
    let regions: Vec<&str> = report.regions.iter().map(|region| region.region.as_str()).collect();
    assert_eq!(regions, ["eu-west-1", "us-east-1"]);
    assert!(report.regions.iter().all(|region| region.network.is_some()));
    assert_eq!(report.clock.as_ref().map(|clock| clock.ahead_s), Some(0));
    for action in ["ec2:CreateFleet", "ec2:RunInstances", "ec2:TerminateInstances", "pricing:GetProducts"] {
        assert!(report.permissions.iter().any(|permission| permission.action == action), "{report}");
    }
    let ledger = bed.world().ledger();
    assert!(ledger.live.is_empty() && ledger.blocking.is_empty(), "{ledger:?}");
    assert!(bed.world().instances().is_empty());
}

#[tokio::test]
async fn a_quota_that_is_too_small_for_the_fleet_is_bad() {
    let bed = Bed::of(&["us-east-1"]);
    bed.inject(r#"{"kind":"quota","region":"us-east-1","name":"L-34B43A08","limit":64}"#);
    let report = bed.provider.doctor(&fleet(33)).await;
    let [quota] = report.quotas.as_slice() else { panic!("{report}") };
    assert_eq!((quota.limit, quota.machine, quota.machines), (Some(64), 2, Some(32)));
    assert_eq!(quota.verdict, Verdict::Bad);
    assert_eq!(report.verdict(), Verdict::Bad);
    assert_eq!(bed.provider.doctor(&fleet(32)).await.verdict(), Verdict::Good);
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named() {
    let bed = Bed::of(&["us-east-1"]);
    for action in ["CreateFleet", "DescribeVolumes"] {
        bed.inject(&format!(
            r#"{{"kind":"error","action":"{action}","probability":1.0,"status":403,"code":"UnauthorizedOperation","when":"before"}}"#
        ));
    }
    let report = bed.provider.doctor(&fleet(1)).await;
    let missing: Vec<&str> = (report.permissions.iter())
        .filter(|permission| permission.verdict == Verdict::Bad)
        .map(|permission| permission.action.as_str())
        .collect();
    assert_eq!(missing, ["ec2:DescribeVolumes", "ec2:CreateFleet"], "{report}");
}

#[tokio::test]
async fn a_region_that_is_not_there_is_bad_and_the_others_are_examined() {
    let settings =
        |settings| crate::Settings { regions: vec!["us-east-1".into(), "xx-nowhere-1".into()], ..settings };
    let bed = Bed::with(&["us-east-1"], settings);
    let report = bed.provider.doctor(&fleet(1)).await;
    let verdicts: Vec<(&str, Verdict, bool)> =
        report.regions.iter().map(|r| (r.region.as_str(), r.verdict, r.answers)).collect();
    assert_eq!(
        verdicts,
        [("us-east-1", Verdict::Good, true), ("xx-nowhere-1", Verdict::Bad, false)],
        "{report}"
    );
    assert!(!report.permissions.is_empty() && !report.quotas.is_empty());
}

#[tokio::test]
async fn a_network_that_is_not_there_is_bad() {
    let vpc = crate::Named::Tag { key: "team".to_owned(), value: "batch".to_owned() };
    let bed = Bed::with(&["us-east-1"], |settings| crate::Settings { vpc: Some(vpc.clone()), ..settings });
    let report = bed.provider.doctor(&fleet(1)).await;
    assert_eq!(report.regions[0].verdict, Verdict::Bad);
    assert!(report.regions[0].answers && report.regions[0].detail.contains("team=batch"), "{report}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_nothing_else_is_asked() {
    let bed = Bed::of(&["us-east-1"]);
    bed.inject(
        r#"{"kind":"error","action":"GetCallerIdentity","probability":1.0,"status":403,"code":"InvalidClientTokenId","when":"before"}"#,
    );
    let report = bed.provider.doctor(&fleet(1)).await;
    let bad: Vec<Line> = report.lines().into_iter().filter(|line| line.verdict == Verdict::Bad).collect();
    let [line] = bad.as_slice() else { panic!("{report}") };
    assert!(line.area == "identity" && line.detail.contains("InvalidClientTokenId"), "{report}");
    assert!(report.regions.is_empty() && report.permissions.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_said_once_and_clearly() {
    let bed = Bed::of(&["us-east-1"]);
    let provider = bed.provider.clone();
    drop(bed);
    let report = provider.doctor(&fleet(1)).await;
    assert_eq!(report.verdict(), Verdict::Bad);
    assert!(!report.problems.is_empty(), "{report}");
}

#[test]
fn only_a_missing_permission_is_called_missing() {
    let error = |kind, code: &str| Error::new(kind, "x").with("code", code);
    for (kind, code, verdict) in [
        (ErrorKind::PermissionDenied, "UnauthorizedOperation", Verdict::Bad),
        (ErrorKind::NotFound, "InvalidInstanceID.NotFound", Verdict::Unclear),
        (ErrorKind::InvalidRequest, "InvalidAMIID.Malformed", Verdict::Unclear),
        (ErrorKind::RateLimited, "RequestLimitExceeded", Verdict::Unclear),
        (ErrorKind::Unavailable, "Unavailable", Verdict::Unclear),
    ] {
        assert_eq!(judge_refusal(&error(kind, code)).0, verdict, "{code}");
    }
}

/// The calls of EC2 that this crate makes, by reading it: `.create_fleet()`.
fn calls_made() -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "probe.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                made.extend(calls_of(&text));
            }
        }
    }
    made
}

fn calls_of(text: &str) -> Vec<String> {
    const VERBS: [&str; 12] = [
        "allocate",
        "authorize",
        "cancel",
        "create",
        "delete",
        "describe",
        "get_spot",
        "modify",
        "release",
        "revoke",
        "run_instances",
        "terminate_instances",
    ];
    // A member of an answer, and a call of SQS.
    const OTHERS: [&str; 2] = ["delete_on_termination", "delete_message_batch"];
    let words = text.split('.').filter_map(|rest| rest.split_once("()").map(|(word, _)| word.trim()));
    let calls = words.filter(|word| {
        word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            && VERBS.iter().any(|verb| word.starts_with(verb))
            && word.contains('_')
            && !OTHERS.contains(word)
    });
    calls
        .map(|word| {
            let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
            format!(
                "ec2:{}",
                word.split('_').filter(|part| !part.is_empty()).map(capital).collect::<String>()
            )
        })
        .collect()
}

#[test]
fn calls_are_found_in_the_source() {
    assert_eq!(calls_of("ec2.create_fleet().send(); answer.error_set()"), ["ec2:CreateFleet"]);
    assert_eq!(calls_of("ec2\n    .describe_vpcs()\n    .send()"), ["ec2:DescribeVpcs"]);
}

#[test]
fn every_call_that_the_provider_makes_is_examined() {
    let probes = include_str!("../client/probe.rs");
    let made = calls_made();
    assert!(
        made.contains("ec2:DescribeInstances") && made.contains("ec2:DescribeSpotPriceHistory"),
        "{made:?}"
    );
    let missing: Vec<&String> =
        made.iter().filter(|action| !probes.contains(&format!("\"{action}\""))).collect();
    assert!(missing.is_empty(), "the doctor does not ask about {missing:?}");
}
