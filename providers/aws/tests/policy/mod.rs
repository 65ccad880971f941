//! The IAM policy of the README: exactly what a complete run of the suite called, no more.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

/// The actions that the clouds of this run were asked for.
static CALLED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- policy -->\n```json\n";
const END: &str = "```\n<!-- /policy -->";

/// Notes what one cloud was asked for.
pub(crate) fn note(actions: impl IntoIterator<Item = String>) {
    CALLED.lock().unwrap_or_else(PoisonError::into_inner).extend(actions);
}

/// Compares the policy with the README's, or writes it there when a report is written too.
pub(crate) fn check() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let writes = arguments.iter().any(|argument| argument == "--report");
    // A run of some cases proves nothing about all calls.
    if !writes && !arguments.is_empty() {
        return ExitCode::SUCCESS;
    }
    let called = CALLED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match put(Path::new(README), &policy(&called), writes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            #[expect(clippy::print_stderr, reason = "this is the outcome of a test run")]
            {
                eprintln!("{why}");
            }
            ExitCode::FAILURE
        }
    }
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
    format!("{policy:#}\n")
}

fn put(readme: &Path, policy: &str, writes: bool) -> Result<(), String> {
    let name = readme.display();
    let text = std::fs::read_to_string(readme).map_err(|error| format!("{name}: {error}"))?;
    let parts = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?)));
    let Some((head, (written, tail))) = parts else {
        return Err(format!("{name}: there is no policy between its marks"));
    };
    if written == policy {
        return Ok(());
    }
    if writes {
        let text = format!("{head}{BEGIN}{policy}{END}{tail}");
        return std::fs::write(readme, text).map_err(|error| format!("{name}: {error}"));
    }
    Err(format!(
        "the policy in {name} is not what the suite called; write it with\n  cargo test -p skyfleet-aws --test \
         conformance -- --report target/conformance-aws.md\nit would be\n{policy}"
    ))
}
