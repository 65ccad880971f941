use serde_json::{Value, json};
use skyfleet_core::Timestamp;

use crate::gcp::error::invalid;
use crate::gcp::projects::{MADE_S, NUMBER};
use crate::gcp::request::{Answer, Request};
use crate::refusal::Refusal;

/// How many permissions one question is about at most. Resource Manager reference,
/// `testIamPermissions`.
const PERMISSIONS_MAX: usize = 100;

/// Services that are enabled; all others are not. Service Usage knows them by these names and titles.
const ENABLED: [(&str, &str); 5] = [
    ("cloudbilling.googleapis.com", "Cloud Billing API"),
    ("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API"),
    ("compute.googleapis.com", "Compute Engine API"),
    ("oslogin.googleapis.com", "Cloud OS Login API"),
    ("serviceusage.googleapis.com", "Service Usage API"),
];

/// Resource Manager v3 `projects.get`.
pub(super) fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let project = request.project();
    let shown = json!({
        "name": format!("projects/{NUMBER}"),
        "parent": "organizations/987654321098",
        "projectId": project,
        "state": "ACTIVE",
        "displayName": project,
        "createTime": made(),
        "updateTime": made(),
        "etag": "W/\"c2t5ZmxlZXQ=\"",
    });
    request.look(|_, _| Ok(()))?;
    request.answer(&shown)
}

/// Resource Manager v1 `projects.get`.
pub(super) fn get_v1(request: &Request<'_>) -> Result<Answer, Refusal> {
    let project = request.project();
    let shown = json!({
        "projectNumber": NUMBER.to_string(),
        "projectId": project,
        "lifecycleState": "ACTIVE",
        "name": project,
        "createTime": made(),
        "parent": { "type": "organization", "id": "987654321098" },
    });
    request.look(|_, _| Ok(()))?;
    request.answer(&shown)
}

/// `projects.testIamPermissions`: which of the permissions the caller has. Here he has all that there
/// are, unless a fault refuses the call.
pub(super) fn test_iam_permissions(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asked = request.body["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if asked.len() > PERMISSIONS_MAX {
        let why = format!("At most {PERMISSIONS_MAX} permissions can be tested at once.");
        return Err(invalid("permissions", &asked.len().to_string(), &why));
    }
    let mut granted = Vec::new();
    for permission in asked {
        let name = permission.as_str().filter(|name| is_permission(name));
        let why = "Permissions are written service.resource.verb, without wildcards.";
        granted.push(name.ok_or_else(|| invalid("permissions", &permission.to_string(), why))?);
    }
    request.look(|_, _| Ok(()))?;
    let answer = if granted.is_empty() { json!({}) } else { json!({ "permissions": granted }) };
    request.answer(&answer)
}

/// Service Usage `services.get`: whether a service is enabled in the project.
pub(super) fn service(request: &Request<'_>) -> Result<Answer, Refusal> {
    let name = request.part("service");
    if !name.contains('.') {
        return Err(invalid("name", name, "Services are named like compute.googleapis.com."));
    }
    let title = ENABLED.iter().find(|(known, _)| *known == name).map(|(_, title)| *title);
    request.look(|_, _| Ok(()))?;
    request.answer(&json!({
        "name": format!("projects/{NUMBER}/services/{name}"),
        "config": { "name": name, "title": title.unwrap_or(name) },
        "state": if title.is_some() { "ENABLED" } else { "DISABLED" },
        "parent": format!("projects/{NUMBER}"),
    }))
}

fn is_permission(name: &str) -> bool {
    let words: Vec<&str> = name.split('.').collect();
    let is_word = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric());
    words.len() >= 3 && words.iter().all(is_word)
}

fn made() -> Value {
    Timestamp::from_second(MADE_S).map_or(Value::Null, |made| made.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn the_caller_has_all_permissions_that_there_are() {
        let trial = Trial::new();
        let ask = |version: &str, permissions: Value| {
            let target = format!("/{version}/projects/p:testIamPermissions");
            trial.ask("POST", &target, json!({ "permissions": permissions }))
        };
        let two = json!(["compute.instances.create", "compute.instances.delete"]);
        for version in ["v1", "v3"] {
            assert_eq!(ask(version, two.clone()), (200, json!({ "permissions": two })));
        }
        for bad in [json!(["compute.*"]), json!(["compute"]), json!([7]), vec!["a.b.c"; 101].into()] {
            assert_eq!(ask("v1", bad.clone()).0, 400, "{bad}");
        }
    }

    #[test]
    fn compute_engine_is_enabled_in_a_project_that_is_there() {
        let trial = Trial::new();
        let state = |service: &str| {
            let (status, shown) =
                trial.ask("GET", &format!("/v1/projects/p/services/{service}"), Value::Null);
            (status, shown["state"].clone())
        };
        assert_eq!(state("compute.googleapis.com"), (200, json!("ENABLED")));
        assert_eq!(state("pubsub.googleapis.com"), (200, json!("DISABLED")));
        assert_eq!(state("compute").0, 400);
        let (_, shown) = trial.ask("GET", "/v3/projects/p", Value::Null);
        assert_eq!((&shown["projectId"], &shown["state"]), (&json!("p"), &json!("ACTIVE")));
        let (_, shown) = trial.ask("GET", "/v1/projects/p", Value::Null);
        assert_eq!(shown["lifecycleState"], "ACTIVE");
    }
}
