//! Labels: what they may be, and how they are changed.

use std::sync::Arc;

use serde_json::Value;

use crate::gcp::error::{coded, invalid};
use crate::gcp::resource::print_of;
use crate::refusal::Refusal;
use crate::tags::Tags;

/// How many labels a resource has at most. Compute Engine documentation, "Organize resources using
/// labels".
const MOST: usize = 64;

/// The member `labels` of a body; none is as good as an empty one.
///
/// # Errors
/// `invalid` for labels that are none.
pub(crate) fn read(body: &Value, field: &str) -> Result<Arc<Tags>, Refusal> {
    let labels = match &body["labels"] {
        Value::Null => return Ok(Arc::default()),
        Value::Object(labels) => labels,
        other => return Err(invalid(field, &other.to_string(), "Labels must be an object.")),
    };
    let mut read = Tags::new();
    for (key, value) in labels {
        let Value::String(value) = value else {
            return Err(invalid(field, &value.to_string(), "The value of a label must be a string."));
        };
        read.insert(key.clone(), value.clone());
    }
    check(&read, field)?;
    Ok(Arc::new(read))
}

/// Whether labels are what Compute Engine takes.
///
/// # Errors
/// `invalid` for a key or a value that is none, and for too many.
pub(crate) fn check(labels: &Tags, field: &str) -> Result<(), Refusal> {
    if labels.len() > MOST {
        let why = format!("A resource can have at most {MOST} labels.");
        return Err(invalid(field, &labels.len().to_string(), &why));
    }
    for (key, value) in labels {
        if !key.chars().next().is_some_and(|first| first.is_alphabetic()) || !fits(key) {
            let why = format!(
                "Label key '{key}' violates format constraints. The key must start with a lowercase character, can \
                 only contain lowercase letters, numeric characters, underscores and dashes. The key can be at \
                 most 63 characters long. International characters are allowed."
            );
            return Err(invalid(field, key, &why));
        }
        if !fits(value) {
            let why = format!(
                "Label value '{value}' violates format constraints. The value can only contain lowercase letters, \
                 numeric characters, underscores and dashes. The value can be at most 63 characters long. \
                 International characters are allowed."
            );
            return Err(invalid(field, value, &why));
        }
    }
    Ok(())
}

fn fits(text: &str) -> bool {
    let fits = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || c == '_' || c == '-';
    text.chars().count() <= 63 && text.chars().all(fits)
}

/// The fingerprint of labels, which every resource with labels shows.
pub(crate) fn fingerprint(labels: &Tags) -> String {
    let texts: Vec<&str> = labels.iter().flat_map(|(key, value)| [key.as_str(), value]).collect();
    print_of(&texts)
}

/// The labels of a `setLabels`, for a resource that has `old` ones.
///
/// # Errors
/// `conditionNotMet` when the caller saw others; `invalid` for labels that are none.
pub(crate) fn changed(body: &Value, old: &Tags) -> Result<Arc<Tags>, Refusal> {
    if body["labelFingerprint"].as_str() != Some(&fingerprint(old)) {
        let message = "Labels fingerprint either invalid or resource labels have changed";
        return Err(coded(412, "conditionNotMet", message));
    }
    read(body, "resource.labels")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_of_small_letters() {
        let read = |labels: Value| read(&json!({ "labels": labels }), "resource.labels").is_ok();
        assert!(read(json!({ "skyfleet-owner": "ada_1", "empty": "" })));
        assert!(read(Value::Null));
        for bad in
            [json!({ "Owner": "x" }), json!({ "a": "X" }), json!({ "1a": "x" }), json!({ "a": 1 }), json!([])]
        {
            assert!(!read(bad.clone()), "{bad}");
        }
        assert!(!read(json!({ "a": "x".repeat(64) })));
    }

    #[test]
    fn labels_change_for_whoever_saw_them_as_they_are() {
        let old = Tags::from([("a".to_owned(), "1".to_owned())]);
        let ask = |print: &str| changed(&json!({ "labels": { "b": "2" }, "labelFingerprint": print }), &old);
        assert_eq!(ask(&fingerprint(&old)).unwrap()["b"], "2");
        assert!(matches!(ask(&fingerprint(&Tags::new())), Err(Refusal::Coded { status: 412, .. })));
    }
}
