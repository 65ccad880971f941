//! The custom role of the README: exactly the actions that the calls need that a complete run of the
//! suite made, no more.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use skyfleet_conformance::permissions;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Compares the role with the README's, or writes it there when a report is written too.
pub(crate) fn check() -> ExitCode {
    permissions::check(Path::new(README), env!("CARGO_PKG_NAME"), role)
}

/// A custom role as `az role definition create --role-definition` takes it. A call that the
/// provider's own table does not know stands there by its name: it is to be added to the table.
fn role(called: &BTreeSet<String>) -> String {
    let mut needed = BTreeSet::new();
    for call in called {
        match skyfleet_azure::permissions::needed(call) {
            Some(actions) => needed.extend(actions.iter().map(|action| (*action).to_owned())),
            None => drop(needed.insert(format!("? {call}"))),
        }
    }
    let role = json!({
        "Name": "skyfleet",
        "Description": "Launches, watches and ends fleets of virtual machines.",
        "Actions": needed,
        "AssignableScopes": ["/subscriptions/SUBSCRIPTION"],
    });
    format!("```json\n{role:#}\n```\n")
}
