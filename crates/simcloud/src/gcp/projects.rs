//! The project: its quotas, and the metadata that all its instances share.

use serde_json::{Value, json};
use skyfleet_core::Timestamp;

use crate::gcp::error::{coded, invalid};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::resource::print_of;
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::gcp::{quotas, resource, url};
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "projects.get", verb: "GET", path: "compute/v1/projects/{project}", answer: get },
    Method {
        id: "projects.setCommonInstanceMetadata",
        verb: "POST",
        path: "compute/v1/projects/{project}/setCommonInstanceMetadata",
        answer: set_common_instance_metadata,
    },
];

/// When the project was made: on the first day of 2024.
pub(crate) const MADE_S: i64 = 1_704_067_200;

/// The longest value of one item of metadata, in bytes. Compute Engine documentation, "About VM
/// metadata".
const VALUE_BYTES_MAX: usize = 262_144;

/// The number of the project, as its service account and its metadata have it. All projects are one
/// here.
pub(crate) const NUMBER: u64 = 123_456_789_012;

/// The account that instances run as when nobody names one.
pub(crate) const ACCOUNT: &str = "123456789012-compute@developer.gserviceaccount.com";

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request
        .look(|kernel, state| Ok(show(request.project(), quotas::of_project(kernel, state), state)))?;
    request.answer(&shown)
}

fn show(project: &str, quotas: Vec<Value>, state: &State) -> Value {
    let metadata = &state.project_metadata;
    let items = metadata.iter().map(|(key, value)| json!({ "key": key, "value": value }));
    let items: Vec<Value> = items.collect();
    let mut common = json!({ "kind": "compute#metadata", "fingerprint": fingerprint(metadata) });
    if !items.is_empty() {
        common["items"] = items.into();
    }
    let more = json!({
        "id": NUMBER.to_string(),
        "selfLink": format!("{}/projects/{project}", url::ROOT),
        "commonInstanceMetadata": common,
        "quotas": quotas,
        "defaultServiceAccount": ACCOUNT,
        "defaultNetworkTier": "PREMIUM",
        "cloudArmorTier": "CA_STANDARD",
        "vmDnsSetting": "ZONAL_ONLY",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
    });
    resource::show(project, "project", project, Timestamp::from_second(MADE_S).ok(), more)
}

/// Sets all items at once; a caller who says which fingerprint he saw is refused when it is another
/// by now.
fn set_common_instance_metadata(request: &Request<'_>) -> Result<Answer, Refusal> {
    let mut wanted = Vec::new();
    for item in request.body["items"].as_array().into_iter().flatten() {
        let (key, value) = (item["key"].as_str(), item["value"].as_str().unwrap_or_default());
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let Some(key) = key.filter(|key| (1..=128).contains(&key.len()) && key.chars().all(fits)) else {
            let why = "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'";
            return Err(invalid("metadata.items.key", &item["key"].to_string(), why));
        };
        if value.len() > VALUE_BYTES_MAX {
            let why = format!("Value is too large: maximum size {VALUE_BYTES_MAX} bytes.");
            return Err(invalid("metadata.items.value", key, &why));
        }
        if wanted.iter().any(|(other, _)| other == key) {
            return Err(invalid("metadata.items.key", key, "The key is there twice."));
        }
        wanted.push((key.to_owned(), value.to_owned()));
    }
    let seen = request.body["fingerprint"].as_str();
    request.change(0, |_, state| {
        if seen.is_some_and(|seen| seen != fingerprint(&state.project_metadata)) {
            return Err(coded(
                412,
                "conditionNotMet",
                "Supplied fingerprint does not match current metadata fingerprint.",
            ));
        }
        state.project_metadata = wanted;
        Ok(New::good("compute.projects.setCommonInstanceMetadata", Scope::Global, String::new(), NUMBER))
    })
}

fn fingerprint(items: &[(String, String)]) -> String {
    let texts: Vec<&str> = items.iter().flat_map(|(key, value)| [key.as_str(), value]).collect();
    print_of(&texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn a_project_has_a_number_and_an_account() {
        let project = Trial::new().get("");
        let id = project["id"].as_str().unwrap();
        assert_eq!((project["name"].as_str(), id.len()), (Some("p"), 12));
        assert_eq!(project["defaultServiceAccount"], format!("{id}-compute@developer.gserviceaccount.com"));
        assert_eq!(project["selfLink"], "https://www.googleapis.com/compute/v1/projects/p");
    }

    #[test]
    fn shared_metadata_changes_for_whoever_saw_it_as_it_is() {
        let trial = Trial::new();
        let seen = trial.get("")["commonInstanceMetadata"]["fingerprint"].clone();
        let keys = json!([{ "key": "ssh-keys", "value": "ada:ssh-ed25519 AAAA" }]);
        let wanted = json!({ "items": keys, "fingerprint": seen });
        trial.change("POST", "setCommonInstanceMetadata", wanted.clone());
        assert_eq!(trial.get("")["commonInstanceMetadata"]["items"], keys);
        assert_eq!(trial.refusal("POST", "setCommonInstanceMetadata", wanted).0, 412);
        let bad = json!({ "items": [{ "key": "a b", "value": "" }] });
        assert_eq!(trial.refusal("POST", "setCommonInstanceMetadata", bad).0, 400);
    }
}
