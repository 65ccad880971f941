//! Configuration that callers make and that costs nothing: networks, subnetworks, firewall rules,
//! instance templates, images. The world knows the owned ones as fixtures.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use skyfleet_core::Timestamp;

use crate::fixture::FixtureKind;
use crate::gcp::error::{exists, in_use, invalid, not_found, required};
use crate::gcp::request::Request;
use crate::gcp::state::State;
use crate::gcp::{networks, resource, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::tags::Tags;

/// One of them, as it is kept. Members that name other resources hold their paths.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// None for what a project has from the start.
    pub(crate) created: Option<Timestamp>,
    pub(crate) body: Map<String, Value>,
}

impl Made {
    /// A member that is a text.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.body.get(member).and_then(Value::as_str).unwrap_or_default()
    }
}

/// All of them, by their paths.
pub(crate) type Store = BTreeMap<String, Made>;

/// Everything that is configured; a project has a default network from the start.
pub(crate) fn all<'s>(kernel: &Kernel, state: &'s mut State) -> &'s mut Store {
    state.made.get_or_insert_with(|| networks::from_the_start(kernel))
}

/// Those of a collection: `global/firewalls`.
pub(crate) fn of<'s>(store: &'s Store, collection: &str) -> impl Iterator<Item = (&'s str, &'s Made)> {
    let prefix = format!("{collection}/");
    let from = store.range(prefix.clone()..);
    from.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(path, made)| (path.as_str(), made))
}

/// One by its path, or by the number at the path's end.
///
/// # Errors
/// `notFound`.
pub(crate) fn found<'s>(store: &'s Store, project: &str, path: &str) -> Result<(&'s str, &'s Made), Refusal> {
    if let Some((path, made)) = store.get_key_value(path) {
        return Ok((path, made));
    }
    let numbered = path.rsplit_once('/').and_then(|(collection, number)| {
        let number: u64 = number.parse().ok()?;
        of(store, collection).find(|(path, made)| resource::id(path, made.created) == number)
    });
    numbered.ok_or_else(|| not_found(project, path))
}

/// The path of what a request wants to make in a collection.
///
/// # Errors
/// `required` and `invalid` for a name that is none; `alreadyExists`.
pub(crate) fn new_path(request: &Request<'_>, store: &Store, collection: &str) -> Result<String, Refusal> {
    let name = new_name(request)?;
    let path = format!("{collection}/{name}");
    match store.contains_key(&path) {
        true => Err(exists(request.project(), &path)),
        false => Ok(path),
    }
}

/// The name of what a request wants to make.
///
/// # Errors
/// `required` and `invalid` for a name that is none.
pub(crate) fn new_name<'r>(request: &'r Request<'_>) -> Result<&'r str, Refusal> {
    let name = request.body["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(required("resource.name"));
    }
    match url::is_name(name) {
        true => Ok(name),
        false => {
            let why = "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'";
            Err(invalid("resource.name", name, why))
        }
    }
}

/// Keeps what was made, and shows it to the world as a fixture with these tags.
pub(crate) fn keep(
    kernel: &mut Kernel,
    state: &mut State,
    (kind, path, region): (FixtureKind, &str, &str),
    body: Map<String, Value>,
    tags: Tags,
) {
    let created = Some(kernel.now());
    all(kernel, state).insert(path.to_owned(), Made { created, body });
    kernel.make_fixture(kind, path, region, tags);
}

/// Deletes something; gives its number.
///
/// # Errors
/// `notFound`; `resourceInUseByAnotherResource` while machines hold it.
pub(crate) fn delete(
    kernel: &mut Kernel,
    state: &mut State,
    project: &str,
    path: &str,
) -> Result<u64, Refusal> {
    let store = all(kernel, state);
    let (path, made) = found(store, project, path)?;
    let (path, id) = (path.to_owned(), resource::id(path, made.created));
    if let Some(machine) = holder(kernel, &path) {
        return Err(in_use(project, &path, &machine));
    }
    kernel.delete_fixture(&path)?;
    all(kernel, state).remove(&path);
    Ok(id)
}

/// A machine that has not ended and holds what is at a path.
fn holder(kernel: &Kernel, path: &str) -> Option<String> {
    let holds =
        |lot: &&crate::machine::Lot| lot.left > 0 && lot.spec.holds.iter().any(|held| **held == *path);
    let mut machines = kernel.lots.iter().filter(holds).flat_map(|lot| lot.machines());
    let there = machines.find(|m| {
        let state = kernel.machines[*m as usize].state_at(kernel.now());
        state != skyfleet_core::InstanceState::Terminated
    })?;
    Some(kernel.machines[there as usize].id.to_string())
}

/// Tags in a description, for what has no labels: words of the form `key=value`.
pub(crate) fn tags_in(description: &str) -> Tags {
    let words = description.split_whitespace().filter_map(|word| word.split_once('='));
    words
        .map(|(key, value)| (key.trim_matches(PUNCTUATION), value.trim_matches(PUNCTUATION)))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

const PUNCTUATION: &[char] = &[',', ';', '(', ')', '"', '\''];

/// A member of a body that is a text; `None` when it is absent.
///
/// # Errors
/// `invalid` for another value.
pub(crate) fn text<'v>(body: &'v Value, member: &str) -> Result<Option<&'v str>, Refusal> {
    match &body[member] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        other => {
            Err(invalid(&format!("resource.{member}"), &other.to_string(), "The value must be a string."))
        }
    }
}

/// A member of a body that is a whole number, written as one or as a text.
///
/// # Errors
/// `invalid` for another value.
pub(crate) fn number(body: &Value, member: &str) -> Result<Option<u64>, Refusal> {
    let read = match &body[member] {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    read.map(Some).ok_or_else(|| {
        invalid(&format!("resource.{member}"), &body[member].to_string(), "The value must be a whole number.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_a_description() {
        let tags = tags_in("skyfleet-owner=ada skyfleet-fleet=run-1, made for (tests=yes) a= =b");
        let read: Vec<(&str, &str)> =
            tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(read, [("skyfleet-fleet", "run-1"), ("skyfleet-owner", "ada"), ("tests", "yes")]);
        assert!(tags_in("no tags at all").is_empty());
    }
}
