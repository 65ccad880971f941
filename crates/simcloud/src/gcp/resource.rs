//! What every resource says of itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value};
use skyfleet_core::Timestamp;

use crate::catalog::fingerprint;
use crate::gcp::url;

/// When Compute Engine's own things were created, as it tells it: zones, machine types.
const EVER: &str = "1969-12-31T16:00:00.000-08:00";

/// A resource as the API shows it: what every resource has, and `more`, whose null members are left
/// out. `path` is its own in its project: `zones/z/disks/d`.
pub(crate) fn show(project: &str, kind: &str, path: &str, created: Option<Timestamp>, more: Value) -> Value {
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), format!("compute#{kind}").into());
    shown.insert("id".to_owned(), id(path, created).to_string().into());
    let created = created.map_or_else(|| EVER.to_owned(), |created| created.to_string());
    shown.insert("creationTimestamp".to_owned(), created.into());
    shown.insert("name".to_owned(), url::last(path).into());
    shown.insert("selfLink".to_owned(), url::link(project, path).into());
    if let Value::Object(more) = more {
        shown.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(shown)
}

/// The number of a resource: another one for the next of the same name.
pub(crate) fn id(path: &str, created: Option<Timestamp>) -> u64 {
    let created = created.map(|created| created.to_string()).unwrap_or_default();
    // 19 digits, as Compute Engine's have.
    fingerprint(&[path, &created]) >> 2 | 1 << 62
}

/// The fingerprint of something that can be changed: whoever changes it says which one he saw. Bytes
/// stand in the letters of URLs (discovery document, format `byte`), as the official clients read them.
pub(crate) fn print_of(texts: &[&str]) -> String {
    URL_SAFE.encode(fingerprint(texts).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_of_the_same_name_has_another_number() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let path = "zones/z/disks/d";
        assert_ne!(id(path, at(1)), id(path, at(2)));
        assert_eq!(id(path, at(1)), id(path, at(1)));
        assert_eq!((id(path, None).to_string().len(), id(path, at(7)).to_string().len()), (19, 19));
    }

    #[test]
    fn members_that_are_null_are_left_out() {
        let shown = show("p", "disk", "zones/z/disks/d", None, json!({ "users": null, "sizeGb": "10" }));
        assert_eq!((shown.get("users"), &shown["sizeGb"]), (None, &json!("10")));
        assert_eq!(shown["selfLink"], "https://www.googleapis.com/compute/v1/projects/p/zones/z/disks/d");
    }
}
