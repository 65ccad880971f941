//! What resources say of each other, and the parts inside them.

use serde_json::{Map, Value};

use crate::azure::error::{coded, invalid};
use crate::azure::id::Id;
use crate::azure::state::State;
use crate::refusal::Refusal;

/// Refuses to go on while another resource names this one, or a part of it.
///
/// # Errors
/// The code, with the id of the resource that does.
pub(crate) fn unused(state: &State, id: &str, code: &str) -> Result<(), Refusal> {
    let key = id.to_lowercase();
    match state.made.values().find(|made| !made.id.key().eq(&key) && names(&made.body, &key)) {
        None => Ok(()),
        Some(by) => Err(coded(400, code, format!("{id} is in use by {} and cannot be deleted.", by.id))),
    }
}

/// Whether a body names a resource, or a part of it.
fn names(body: &Map<String, Value>, key: &str) -> bool {
    fn any(value: &Value, key: &str) -> bool {
        match value {
            Value::String(text) => {
                let text = text.to_lowercase();
                text.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Value::Array(items) => items.iter().any(|item| any(item, key)),
            Value::Object(members) => members.values().any(|member| any(member, key)),
            _ => false,
        }
    }
    body.values().any(|member| any(member, key))
}

/// The resource that a body refers to by `{"id": …}`, if it does.
///
/// # Errors
/// `InvalidResourceReference` for one that is not there.
pub(crate) fn reference(
    state: &State,
    value: &Value,
    kind: &str,
    field: &str,
) -> Result<Option<Id>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    let Some(written) = value["id"].as_str() else {
        return Err(invalid(field, "It must be an object with an id."));
    };
    let missing = || {
        let message = format!("Resource {written} referenced by {field} was not found.");
        coded(400, "InvalidResourceReference", message)
    };
    let id = Id::parse(written).filter(|id| id.is_a(kind)).ok_or_else(missing)?;
    state.made.contains_key(&id.key()).then_some(Some(id)).ok_or_else(missing)
}

/// The properties of a body.
///
/// # Errors
/// `InvalidParameter` for what is no object.
pub(crate) fn properties(body: &Value) -> Result<Map<String, Value>, Refusal> {
    match &body["properties"] {
        Value::Null => Ok(Map::new()),
        Value::Object(properties) => Ok(properties.clone()),
        _ => Err(invalid("properties", "It must be an object.")),
    }
}

/// The parts inside a resource as it is told, with their ids: subnets, rules, addresses.
pub(crate) fn parts(shown: &Value, member: &str, kind: &str) -> Value {
    let (id, properties) = (shown["id"].as_str().unwrap_or_default(), &shown["properties"]);
    let all = properties[member].as_array().into_iter().flatten().map(|part| {
        let mut part = part.clone();
        let name = part["name"].as_str().unwrap_or_default();
        part["id"] = format!("{id}/{member}/{name}").into();
        part["type"] = kind.into();
        part["properties"]["provisioningState"] = properties["provisioningState"].clone();
        part
    });
    all.collect()
}
