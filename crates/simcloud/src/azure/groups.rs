//! Resource groups. Deleting one deletes everything in it, machines included.

use std::time::Duration;

use serde_json::{Map, Value};
use skyfleet_core::Timestamp;

use crate::azure::error::{coded, no_group};
use crate::azure::id::Id;
use crate::azure::made::{self, Made, Wanted};
use crate::azure::method::Method;
use crate::azure::operation::{self, Poll};
use crate::azure::state::State;
use crate::azure::{Answer, Request, inventory, list};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "resourceGroups.PUT", verb: "PUT", path: PATH, answer: put },
    Method { id: "resourceGroups.PATCH", verb: "PATCH", path: PATH, answer: patch },
    Method { id: "resourceGroups.GET", verb: "GET", path: PATH, answer: get },
    Method { id: "resourceGroups.GET", verb: "HEAD", path: PATH, answer: head },
    Method { id: "resourceGroups.DELETE", verb: "DELETE", path: PATH, answer: delete },
    Method {
        id: "resourceGroups.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups",
        answer: list_all,
    },
];

const PATH: &str = "subscriptions/{subscription}/resourceGroups/{group}";

const KIND: &str = "Microsoft.Resources/resourceGroups";

/// The least that a deletion takes. Ours: an empty group is gone within a minute.
const DELETED_IN: Duration = Duration::from_secs(15);

/// The group that a path names, in the case in which it was made.
///
/// # Errors
/// `ResourceGroupNotFound`.
pub(crate) fn find<'s>(state: &'s State, request: &Request<'_>) -> Result<&'s Id, Refusal> {
    Ok(&found(state, request)?.id)
}

/// # Errors
/// `ResourceGroupBeingDeleted` while the group of a resource is.
pub(crate) fn stays(state: &State, id: &Id) -> Result<(), Refusal> {
    let group = &id.group;
    match state.deleting.contains_key(&Id::group(&id.subscription, group).key()) {
        false => Ok(()),
        true => {
            let message = format!(
                "The resource group '{group}' is in deprovisioning state and cannot perform this operation."
            );
            Err(coded(409, "ResourceGroupBeingDeleted", message))
        }
    }
}

/// Ends the deletions whose time has come.
pub(crate) fn finish(kernel: &mut Kernel, state: &mut State) {
    let now = kernel.now();
    let due = state.deleting.iter().filter(|(_, until)| **until <= now);
    let due: Vec<(String, Timestamp)> = due.map(|(key, until)| (key.clone(), *until)).collect();
    for (key, until) in due {
        let Some(group) = state.made.get(&key).map(|made| made.id.clone()) else { continue };
        // A machine that holds it still is ending: its end is waited for.
        if kernel.delete_fixture(&group.to_string()).is_err() {
            state.deleting.insert(key, kernel.freed_at(&group.to_string()) + Duration::from_secs(1));
            continue;
        }
        empty(kernel, state, &group, until);
        state.made.remove(&key);
        state.deleting.remove(&key);
    }
}

/// Deletes everything in a group that is free; it costs nothing from then on.
fn empty(kernel: &mut Kernel, state: &mut State, group: &Id, then: Timestamp) {
    let inside = format!("{}/", group.key());
    state.made.retain(|key, _| !key.starts_with(&inside));
    state.launched.empty(&inside);
    for thing in inventory::all(kernel, state) {
        if thing.id.key().starts_with(&inside) {
            let id = thing.id.to_string();
            // What a machine has goes after the machine.
            let _ = kernel.delete_fixture(&id);
            kernel.delete_thing_at(&id, then);
        }
    }
}

fn found<'s>(state: &'s State, request: &Request<'_>) -> Result<&'s Made, Refusal> {
    let group = request.part("group");
    let key = Id::group(request.subscription(), group).key();
    state.made.get(&key).ok_or_else(|| no_group(group))
}

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    let name = request.part("group");
    let fits = name.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c)) && !name.ends_with('.');
    if name.len() > 90 || !fits {
        let message = format!(
            "The provided resource group name '{name}' has these invalid characters or is longer than 90 letters."
        );
        return Err(coded(400, "InvalidResourceGroup", message));
    }
    let tags = made::tags(request.body)?;
    request.change("global", 0, |kernel, state| {
        let location = made::location(kernel, request, KIND)?;
        let asked = Id::group(request.subscription(), name);
        stays(state, &asked)?;
        let old = state.made.get(&asked.key());
        if let Some(old) = old.filter(|old| old.location != location) {
            let message = format!(
                "Invalid resource group location '{location}'. The Resource group already exists in location '{}'.",
                old.location
            );
            return Err(coded(409, "InvalidResourceGroupLocation", message));
        }
        if old.is_some() && request.head.only_new {
            return Err(coded(412, "PreconditionFailed", format!("The resource group '{name}' exists.")));
        }
        let id = old.map_or(asked, |old| old.id.clone());
        let wanted = Wanted { is_new: old.is_none(), id, location, tags };
        made::keep(kernel, state, &wanted, FixtureKind::ResourceGroup, Map::new());
        let shown = show(kernel, state, &state.made[&wanted.id.key()]);
        Answer::new(if wanted.is_new { 201 } else { 200 }, &shown)
    })
}

fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    let tags = made::tags(request.body)?;
    request.change("global", 0, |kernel, state| {
        let made = found(state, request)?;
        stays(state, &made.id)?;
        if !request.body["tags"].is_null() {
            kernel.retag(&made.id.to_string(), |old| *old = (*tags).clone());
        }
        Answer::ok(&show(kernel, state, made))
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| Answer::ok(&show(kernel, state, found(state, request)?)))
}

fn head(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |_, state| {
        let there = found(state, request).is_ok();
        Ok(Answer::empty(if there { 204 } else { 404 }))
    })
}

fn list_all(request: &Request<'_>) -> Result<Answer, Refusal> {
    let filter = inventory::Filter::read(request)?;
    let shown = request.look("global", |kernel, state| {
        let here = made::Here::of(state, request)?;
        let groups = state.made.values().filter(|made| {
            let tags = kernel.tags_of(&made.id.to_string()).unwrap_or_default();
            made.id.kind.is_empty()
                && here.has(&made.id)
                && filter.takes(&made.id, KIND, &made.location, &tags)
        });
        Ok(groups.map(|made| show(kernel, state, made)).collect())
    })?;
    list::page(request, shown, 1_000)
}

/// All groups, as they are told.
pub(crate) fn all(kernel: &Kernel, state: &State) -> Vec<(Id, Value)> {
    let groups = state.made.values().filter(|made| made.id.kind.is_empty());
    groups.map(|made| (made.id.clone(), show(kernel, state, made))).collect()
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let id = found(state, request)?.id.clone();
        let known = id.to_string();
        let until = match state.deleting.get(&id.key()) {
            Some(until) => *until,
            None => {
                // Machines begin to end now; what they hold stays until they have.
                kernel.end_holders(&known);
                kernel.freed_at(&known).max(kernel.now() + DELETED_IN)
            }
        };
        state.deleting.insert(id.key(), until);
        let takes = operation::left(kernel, until);
        let headers = operation::begin(kernel, state, request, Poll::Result, takes, None);
        Ok(Answer::empty(202).with(headers))
    })
}

fn show(kernel: &Kernel, state: &State, made: &Made) -> Value {
    let mut shown = made::show(kernel, made);
    shown["type"] = KIND.into();
    let going = state.deleting.contains_key(&made.id.key());
    shown["properties"]["provisioningState"] = if going { "Deleting" } else { "Succeeded" }.into();
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::trial::{SUBSCRIPTION, Trial};

    #[test]
    fn a_group_is_made_once_and_its_name_has_no_case() {
        let trial = Trial::new();
        let body = json!({ "location": "East US", "tags": { "skyfleet-owner": "ada" } });
        let path = format!("{SUBSCRIPTION}/resourceGroups/G");
        assert_eq!(trial.ask("PUT", &path, body.clone()).status, 201);
        assert_eq!(trial.ask("PUT", &path.to_lowercase(), body).status, 200);
        let shown = trial.get("/RESOURCEGROUPS/g");
        assert_eq!((&shown["name"], &shown["location"]), (&json!("G"), &json!("eastus")));
        assert_eq!(trial.ask("HEAD", &path, Value::Null).status, 204);
        assert_eq!(trial.ask("HEAD", &format!("{path}2"), Value::Null).status, 404);
        let elsewhere = trial.refusal("PUT", "/resourceGroups/g", json!({ "location": "westus2" }));
        assert_eq!(elsewhere, (409, "InvalidResourceGroupLocation".to_owned()));
        trial.done("PATCH", "/resourceGroups/g", json!({ "tags": { "a": "b" } }));
        let by_tag = |filter: &str| trial.names(&format!("/resourcegroups?$filter={filter}")).len();
        assert_eq!(by_tag("tagName eq 'a' and tagValue eq 'b'"), 1);
        assert_eq!(by_tag("tagName eq 'skyfleet-owner'"), 0);
        let bad = trial.refusal("GET", "/resourcegroups?$filter=name like 'x'", Value::Null);
        assert_eq!(bad.0, 400);
    }

    #[test]
    fn what_went_with_a_group_costs_the_same_whenever_somebody_looks() {
        let spent = |looked_after: u64| {
            let trial = Trial::with_group();
            let disk = json!({ "location": "eastus", "properties": { "diskSizeGB": 32,
                "creationData": { "createOption": "Empty" } } });
            trial.done("PUT", "/resourceGroups/g/providers/Microsoft.Compute/disks/d", disk);
            trial.ask("DELETE", &format!("{SUBSCRIPTION}/resourcegroups/g"), Value::Null);
            trial.wait(looked_after);
            trial.face.look(|kernel, _| kernel.ledger(None).accrued_usd)
        };
        assert_eq!(spent(36_000), spent(3_600));
    }

    #[test]
    fn a_group_goes_with_all_that_is_in_it() {
        let trial = Trial::with_group();
        let tags = json!({ "skyfleet-owner": "ada" });
        let inside = "/resourceGroups/g/providers/Microsoft";
        let disk = json!({ "location": "eastus", "tags": tags, "properties": { "diskSizeGB": 32,
            "creationData": { "createOption": "Empty" } } });
        trial.done("PUT", &format!("{inside}.Compute/disks/d"), disk.clone());
        let group = json!({ "location": "eastus", "tags": tags });
        trial.done("PUT", &format!("{inside}.Network/networkSecurityGroups/n"), group);
        assert_eq!(trial.names("/resourceGroups/g/resources"), ["d", "n"]);
        assert_eq!(trial.live("ada"), 1);

        let said = trial.ask("DELETE", &format!("{SUBSCRIPTION}/resourcegroups/g"), Value::Null);
        assert_eq!(said.status, 202);
        let link = said.headers["Location"].clone();
        assert_eq!(trial.ask("GET", &link, Value::Null).status, 202);
        assert_eq!(trial.get("/resourceGroups/g")["properties"]["provisioningState"], "Deleting");
        let late = trial.refusal("PUT", &format!("{inside}.Compute/disks/e"), disk);
        assert_eq!(late, (409, "ResourceGroupBeingDeleted".to_owned()));
        trial.wait(20);
        assert_eq!(trial.ask("GET", &link, Value::Null).status, 200);
        assert_eq!(trial.live("ada"), 0);
        trial.face.look(|kernel, _| assert_eq!(kernel.fixtures(Some("ada")).count(), 0));
        let gone = trial.refusal("GET", "/resourceGroups/g/resources", Value::Null);
        assert_eq!(gone, (404, "ResourceGroupNotFound".to_owned()));
    }
}
