//! Everything that there is, whatever it is: configuration, machines, and what machines left behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use skyfleet_core::Region;

use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::launched::Found;
use crate::azure::machines::item::{self, Expand};
use crate::azure::machines::{self, interfaces as parts, status};
use crate::azure::made::{self, Here};
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, disks, list};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::tags::Tags;
use crate::view::Whose;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "resources.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resources",
        answer: list_all,
    },
    Method {
        id: "resources.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/resources",
        answer: list_all,
    },
];

/// One resource, without what is in it.
pub(crate) struct Thing {
    pub(crate) id: Id,
    pub(crate) location: Region,
    pub(crate) tags: Arc<Tags>,
}

impl Thing {
    pub(crate) fn show(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "name": self.id.name(),
            "type": self.id.kind,
            "location": self.location,
            "tags": *self.tags,
        })
    }
}

/// All of them but the resource groups, in the order of their ids.
pub(crate) fn all(kernel: &Kernel, state: &State) -> Vec<Thing> {
    let made = state.made.values().map(|made| {
        let id = made.id.to_string();
        let tags = kernel.tags_of(&id).unwrap_or_default();
        (id, made.location.clone(), tags)
    });
    let whose = Whose::default();
    let machines = kernel.machines(&whose).into_iter().map(|m| (m.id.to_string(), m.region, m.tags));
    let disks = kernel.disks(&whose).into_iter().map(|disk| (disk.id.to_string(), disk.region, disk.tags));
    let addresses = kernel.addresses(&whose).into_iter();
    let addresses = addresses.map(|address| (address.id.to_string(), address.region, address.tags));
    let fixtures = kernel.fixtures(None).filter(|fixture| fixture.kind == FixtureKind::Interface);
    let interfaces =
        fixtures.map(|fixture| (fixture.id.to_string(), fixture.region.clone(), fixture.tags.clone()));
    let failed = state.launched.failed().map(|failed| {
        let region = Found::Failed(failed).region(kernel).into();
        (failed.id.to_string(), region, failed.tags.clone())
    });
    let parts = parts::of_machines(kernel, &state.launched).into_iter();
    let parts = parts.chain(parts::addresses_of_machines(kernel, &state.launched));
    let parts = parts.map(|part| (part.id.to_string(), part.location, part.tags));
    let all = made.chain(machines).chain(disks).chain(addresses).chain(interfaces).chain(failed).chain(parts);
    let things: BTreeMap<String, Thing> = all
        .filter_map(|(id, location, tags)| {
            let id = Id::parse(&id).filter(|id| !id.kind.is_empty())?;
            Some((id.key(), Thing { id, location, tags }))
        })
        .collect();
    things.into_values().collect()
}

/// The id of the resource that one names, as it is called.
pub(crate) fn find(kernel: &Kernel, state: &State, wanted: &Id) -> Option<Id> {
    if wanted.is_a(machines::KIND) {
        return state.launched.find(kernel, wanted)?.id();
    }
    let key = wanted.key();
    if let Some(made) = state.made.get(&key) {
        return Some(made.id.clone());
    }
    // What came with machines is known by its exact name; what is written otherwise is looked for.
    if kernel.tags_of(&wanted.to_string()).is_some() {
        return Some(wanted.clone());
    }
    all(kernel, state).into_iter().map(|thing| thing.id).find(|id| id.key() == key)
}

/// One resource with what is in it.
pub(crate) fn whole(kernel: &Kernel, state: &State, thing: &Thing) -> Value {
    if let Some(disk) = disks::whole(kernel, state, &thing.id) {
        return disk;
    }
    if let Some(found) = state.launched.find(kernel, &thing.id)
        && let Some(mut machine) = item::machine(kernel, &state.launched, &found, Expand::default())
    {
        // Resource Graph alone tells it so. Azure documentation, "Sample Azure Resource Graph queries".
        let view = status::view(kernel, &state.launched, &found);
        let mut statuses = view["statuses"].as_array().into_iter().flatten();
        let power =
            statuses.find(|one| one["code"].as_str().is_some_and(|code| code.starts_with("PowerState/")));
        machine["properties"]["extended"]["instanceView"]["powerState"] = json!(power);
        return machine;
    }
    let part = parts::found(kernel, &state.launched, &thing.id);
    if let Some(part) = part.or_else(|| parts::found_address(kernel, &state.launched, &thing.id)) {
        return part.show();
    }
    match state.made.get(&thing.id.key()) {
        Some(made) => made::show(kernel, made),
        None => thing.show(),
    }
}

/// `$filter` of lists of resources and of resource groups: `tagName eq 'a' and tagValue eq 'b'`,
/// `resourceType eq 'Microsoft.Compute/disks'`, `location eq 'eastus'`, `name eq 'n'`.
#[derive(Default)]
pub(crate) struct Filter {
    wanted: BTreeMap<String, String>,
}

impl Filter {
    /// # Errors
    /// `InvalidFilterInQueryString` for what is none.
    pub(crate) fn read(request: &Request<'_>) -> Result<Self, Refusal> {
        let Some(text) = request.option("$filter") else { return Ok(Self::default()) };
        let read = |part: &str| {
            let (name, value) = part.trim().split_once(" eq ")?;
            let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            let name = name.trim().to_lowercase();
            let known = ["tagname", "tagvalue", "resourcetype", "location", "name"];
            known.contains(&name.as_str()).then(|| (name, value.replace("''", "'")))
        };
        let wanted: Option<BTreeMap<String, String>> = text.split(" and ").map(read).collect();
        let wanted = wanted.filter(|all| all.contains_key("tagname") || !all.contains_key("tagvalue"));
        wanted.map(|wanted| Self { wanted }).ok_or_else(|| {
            let message = format!("Invalid $filter '{text}' specified in the query string.");
            coded(400, "InvalidFilterInQueryString", message)
        })
    }

    pub(crate) fn takes(&self, id: &Id, kind: &str, location: &Region, tags: &Tags) -> bool {
        let tag = |name: &str| tags.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        self.wanted.iter().all(|(name, wanted)| match name.as_str() {
            "tagname" => tag(wanted).is_some(),
            "tagvalue" => {
                let found = self.wanted.get("tagname").and_then(|name| tag(name));
                found.is_some_and(|(_, value)| value == wanted)
            }
            "resourcetype" => kind.eq_ignore_ascii_case(wanted),
            "location" => location.as_str().eq_ignore_ascii_case(wanted),
            _ => id.name().eq_ignore_ascii_case(wanted),
        })
    }
}

fn list_all(request: &Request<'_>) -> Result<Answer, Refusal> {
    let filter = Filter::read(request)?;
    let all = request.look("global", |kernel, state| {
        let here = Here::of(state, request)?;
        let all = all(kernel, state).into_iter().filter(|thing| {
            let Thing { id, location, tags } = thing;
            here.has(id) && filter.takes(id, &id.kind, location, tags)
        });
        Ok(all.map(|thing| (thing.id.clone(), thing)).collect())
    })?;
    list::page_of(request, all, 1_000, |thing| Some(thing.show()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn what_carries_a_tag_is_found_in_pages_of_any_kind() {
        let trial = Trial::with_group();
        let inside = "/resourceGroups/g/providers/Microsoft.Network";
        for (kind, tag) in [("networkSecurityGroups", "run1"), ("publicIPAddresses", "run2")] {
            let body = json!({ "location": "eastus", "tags": { "run": tag } });
            trial.done("PUT", &format!("{inside}/{kind}/{tag}"), body);
        }
        let found = |filter: &str| trial.names(&format!("/resources?$filter={filter}"));
        assert_eq!(found("tagName eq 'run'"), ["run1", "run2"]);
        assert_eq!(found("tagName eq 'run' and tagValue eq 'run2'"), ["run2"]);
        assert_eq!(found("resourceType eq 'Microsoft.Network/networkSecurityGroups'"), ["run1"]);
        assert_eq!(trial.refusal("GET", "/resources?$filter=tagValue eq 'run2'", Value::Null).0, 400);
    }
}
