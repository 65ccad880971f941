//! The permissions of the README: exactly what the methods need that a complete run of the suite
//! called, no more.

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

/// A custom role as `gcloud iam roles create --file` takes it. A method that the provider's own
/// table does not know stands there by its name: it is to be added to the table.
fn role(called: &BTreeSet<String>) -> String {
    let mut needed = BTreeSet::new();
    for method in called {
        match skyfleet_gcp::permissions::needed(method) {
            Some(known) => needed.extend(known.permissions.iter().map(|permission| (*permission).to_owned())),
            None => drop(needed.insert(format!("? {method}"))),
        }
    }
    let role = json!({ "title": "skyfleet", "stage": "GA", "includedPermissions": needed });
    format!("```json\n{role:#}\n```\n")
}
