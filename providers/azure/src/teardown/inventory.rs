//! Everything that an owner still has.
//!
//! The lists of the services are the truth, and each is one question about the whole subscription.
//! Resource Graph knows all kinds of things by their tags, a minute late (Azure documentation,
//! "Azure Resource Graph"): it is asked once the lists are empty, about what they do not have.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;
use skyfleet_core::{FleetName, InstanceId, Inventory, Owner, Resource, Result, Selector, tag};

use super::Kind;
use crate::AzureProvider;
use crate::client::fleet::RESOURCES;
use crate::convert::{Reader, id, tags};
use crate::names::{Id, Machine, Part, plain};

const OPERATION: &str = "azure.inventory";

/// Everything of an owner, in all groups of the subscription.
pub(super) async fn of(provider: &AzureProvider, owner: &Owner) -> Result<Inventory> {
    let client = &provider.client;
    let mut resources = Vec::new();
    let mut reader = Reader::default();
    let mut machines = BTreeSet::new();
    for machine in client.machines(OPERATION).await? {
        let Some(known) = id(&machine) else { continue };
        machines.insert(known.clone());
        let tags = tags(machine.resource.tags.as_ref());
        if !is_of(owner, &tags, machine.resource.name.as_deref().unwrap_or_default()) {
            continue;
        }
        let price = reader.instance(&machine, None).and_then(|instance| instance.price.known());
        resources.push(Resource {
            price,
            ..resource(Kind::Machine, known.as_str(), &machine.resource.location, &tags)
        });
    }
    let filter = format!("tagName eq '{}' and tagValue eq '{owner}'", tag::OWNER);
    let path = format!("/subscriptions/{}/resourcegroups?$filter={filter}", client.subscription()?);
    for group in client.list(OPERATION, path, RESOURCES).await? {
        let tags = tags(group.get("tags"));
        if is_of(owner, &tags, "") {
            resources.push(read(Kind::Group, &group, &tags));
        }
    }
    let lists = Kind::LISTED.into_iter().map(|kind| async move {
        let listed = client.list(OPERATION, client.everywhere(kind.path())?, kind.version()).await?;
        Ok::<_, skyfleet_core::Error>((kind, listed))
    });
    for (kind, listed) in try_join_all(lists).await? {
        for thing in &listed {
            let tags = tags(thing.get("tags"));
            let name = thing.get("name").and_then(Value::as_str).unwrap_or_default();
            if is_of(owner, &tags, name) && !goes_with_machine(thing, &machines) {
                resources.push(read(kind, thing, &tags));
            }
        }
    }
    if resources.is_empty() {
        unlisted(provider, owner).await?;
    }
    resources.sort_by(|a, b| (a.kind, &a.region, &a.id).cmp(&(b.kind, &b.region, &b.id)));
    Ok(Inventory { resources, unreached: Vec::new() })
}

/// By its tag; what Azure makes beside a machine may have none, and a name that begins with the
/// machine's.
fn is_of(owner: &Owner, tags: &BTreeMap<String, String>, name: &str) -> bool {
    match tags.get(tag::OWNER) {
        Some(own) => own == owner.as_str(),
        None => Part::parse(name).is_some_and(|part| part.is_of(&Selector::owner(owner))),
    }
}

/// Whether it belongs to a machine that is there: then it goes with it, or shows afterwards.
fn goes_with_machine(thing: &Value, machines: &BTreeSet<InstanceId>) -> bool {
    let text = |at: &str| thing.pointer(at).and_then(Value::as_str);
    let machine =
        text("/managedBy").or_else(|| text("/properties/virtualMachine/id")).and_then(Machine::parse);
    if let Some(machine) = machine {
        return machines.contains(&machine.id());
    }
    // An address belongs to a part of an interface, which is named after its machine.
    text("/properties/ipConfiguration/id").is_some()
}

fn read(kind: Kind, thing: &Value, tags: &BTreeMap<String, String>) -> Resource {
    let text = |key: &str| thing.get(key).and_then(Value::as_str).unwrap_or_default();
    resource(kind, text("id"), text("location"), tags)
}

fn resource(kind: Kind, id: &str, location: &str, tags: &BTreeMap<String, String>) -> Resource {
    Resource {
        kind: kind.resource(),
        id: Id::parse(id).map_or_else(|| id.to_owned(), |id| id.to_string()).into(),
        region: plain(location).into(),
        fleet: tags.get(tag::FLEET).and_then(|name| FleetName::parse(name).ok()),
        price: None,
        expires: tag::expires(tags),
    }
}

/// Asks Resource Graph for what carries the owner's tag and is of no kind that we list: nothing that
/// we made, so it is told and not deleted.
async fn unlisted(provider: &AzureProvider, owner: &Owner) -> Result<()> {
    let client = &provider.client;
    let query = format!("Resources | where tags['{}'] == '{owner}' | project id, type, location", tag::OWNER);
    let found = client.graph(OPERATION, &query).await?;
    for thing in found.iter().filter_map(|thing| thing.get("id")?.as_str()) {
        if Id::parse(thing).is_none_or(|id| Kind::of(&id).is_none()) {
            tracing::warn!(id = thing, "something carries the owner's tag that this provider never makes");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_to_a_machine_that_is_there_is_no_leftover() {
        let machine = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m";
        let there = BTreeSet::from([InstanceId::from(machine)]);
        let interface = json!({ "properties": { "virtualMachine": { "id": machine.to_uppercase() } } });
        let disk = json!({ "managedBy": machine });
        for thing in [&interface, &disk] {
            assert!(goes_with_machine(thing, &there));
            assert!(!goes_with_machine(thing, &BTreeSet::new()), "its machine is gone");
        }
        assert!(!goes_with_machine(&json!({ "properties": {} }), &there));
    }
}
