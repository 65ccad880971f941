//! The IAM policy of the README: exactly what a complete run of the suite called, no more.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use skyfleet_conformance::permissions;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Compares the policy with the README's, or writes it there when a report is written too.
pub(crate) fn check() -> ExitCode {
    permissions::check(Path::new(README), env!("CARGO_PKG_NAME"), policy)
}

/// The service that an action belongs to, as IAM calls it; `None` for what needs no permission.
fn service(action: &str) -> Option<&'static str> {
    match action {
        "GetCallerIdentity" => None,
        "GetProducts" => Some("pricing"),
        "GetServiceQuota" | "GetAWSDefaultServiceQuota" | "ListServiceQuotas" => Some("servicequotas"),
        _ => Some("ec2"),
    }
}

/// The policy that allows these actions, and what EC2 does in their name: `CreateFleet` starts its
/// instances as `RunInstances`, tags at creation are `CreateTags`, and images that are named by a
/// public parameter are read as `ssm:GetParameters` (EC2 user guide, "EC2 Fleet prerequisites").
fn policy(called: &BTreeSet<String>) -> String {
    let mut allowed: BTreeSet<String> = called
        .iter()
        // A list without a filter is the same permission.
        .filter_map(|action| action.split(' ').next())
        .filter_map(|action| Some(format!("{}:{action}", service(action)?)))
        .collect();
    if allowed.contains("ec2:CreateFleet") {
        allowed.extend(["ec2:RunInstances", "ec2:CreateTags", "ssm:GetParameters"].map(str::to_owned));
    }
    let (changing, reading): (Vec<_>, Vec<_>) = allowed.into_iter().partition(|action| {
        let verb = action.split_once(':').map_or("", |(_, verb)| verb);
        !["Describe", "Get", "List"].iter().any(|reads| verb.starts_with(reads))
    });
    let statement = |sid: &str, actions: Vec<String>| json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": "*" });
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [statement("SkyfleetReads", reading), statement("SkyfleetChanges", changing)],
    });
    format!("```json\n{policy:#}\n```\n")
}
