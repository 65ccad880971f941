//! What becomes of resource groups: one that is ours alone goes as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use skyfleet_core::{InstanceId, Resource, Result, tag};

use super::{DELETE, Kind};
use crate::AzureProvider;
use crate::client::arm::Call;
use crate::client::fleet::RESOURCES;
use crate::client::operations::{Begun, End};
use crate::convert::{id, tags};
use crate::names::{Id, Part};

/// How long the deletion of a group is waited for: it takes minutes. Whoever asks again finds it on
/// its way.
const PATIENCE: Duration = Duration::from_secs(240);

/// What becomes of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not there any more, and nothing that was in it.
    Gone,
    /// It is being deleted, with everything in it.
    Going,
    /// It stays, for this reason; what is in it is deleted singly.
    Held(String),
}

/// Deletes the groups among these resources that may go, and tells the fate of each.
pub(super) async fn of(
    provider: &AzureProvider,
    wanted: &BTreeMap<&Resource, (Kind, Id)>,
) -> Result<BTreeMap<String, Fate>> {
    let groups = wanted.values().filter(|(kind, _)| *kind == Kind::Group).map(|(_, id)| id);
    let groups: BTreeSet<&Id> = groups.collect();
    let ending: BTreeSet<InstanceId> = (wanted.values().filter(|(kind, _)| *kind == Kind::Machine))
        .map(|(_, id)| InstanceId::from(id.to_string()))
        .collect();
    let mut fates = BTreeMap::new();
    for group in groups {
        fates.insert(group.group.clone(), fate(provider, group, &ending).await?);
    }
    Ok(fates)
}

async fn fate(provider: &AzureProvider, group: &Id, ending: &BTreeSet<InstanceId>) -> Result<Fate> {
    let client = &provider.client;
    let path = group.to_string();
    let Some(found) = client.found(&Call::get(DELETE, path.clone(), RESOURCES)).await? else {
        return Ok(Fate::Gone);
    };
    let state = found.pointer("/properties/provisioningState").and_then(Value::as_str);
    if state.is_some_and(|state| state.eq_ignore_ascii_case("Deleting")) {
        return Ok(Fate::Going);
    }
    if let Some(why) = holds(provider, group, &found, ending).await? {
        return Ok(Fate::Held(why));
    }
    let forced = format!("{path}?forceDeletionTypes=Microsoft.Compute/virtualMachines");
    let answer = match client.call(&Call::delete(DELETE, forced, RESOURCES)).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == skyfleet_core::ErrorKind::NotFound => return Ok(Fate::Gone),
        Err(error) if error.fact("code") == Some("ResourceGroupBeingDeleted") => return Ok(Fate::Going),
        Err(error) => return Err(error),
    };
    let Some(begun) = Begun::by(&answer) else { return Ok(Fate::Gone) };
    match client.finished(DELETE, begun, client.clock().now() + PATIENCE).await? {
        End::Succeeded => Ok(Fate::Gone),
        End::Late => Ok(Fate::Going),
        End::Failed(told) => {
            Ok(Fate::Held(format!("Azure could not delete it all: {}", told.error().message())))
        }
    }
}

/// Why a group must stay: something in it is not ours, or a machine in it that nobody wants to end.
async fn holds(
    provider: &AzureProvider,
    group: &Id,
    found: &Value,
    ending: &BTreeSet<InstanceId>,
) -> Result<Option<String>> {
    let owned = tags(found.get("tags"));
    let Some(owner) = owned.get(tag::OWNER) else {
        return Ok(Some(format!("no tag says that the resource group {:?} is ours", group.group)));
    };
    let inside = provider.client.list(DELETE, format!("{group}/resources"), RESOURCES).await?;
    let mut machines = false;
    for thing in &inside {
        let text = |key: &str| thing.get(key).and_then(Value::as_str).unwrap_or_default();
        let of_owner = tags(thing.get("tags")).get(tag::OWNER) == Some(owner);
        // What Azure makes beside a machine may have no tags; its name begins with the machine's.
        if !of_owner && Part::parse(text("name")).is_none() {
            return Ok(Some(format!(
                "the resource group {:?} holds what is not ours: {}",
                group.group,
                text("id")
            )));
        }
        machines |= text("type").eq_ignore_ascii_case(Kind::Machine.path());
    }
    if !machines {
        return Ok(None);
    }
    let alive = provider.client.machines(DELETE).await?.into_iter().filter_map(|machine| {
        let known = id(&machine)?;
        let state =
            machine.properties.and_then(|properties| properties.provisioning_state).unwrap_or_default();
        let here = Id::parse(known.as_str()).is_some_and(|known| known.group == group.group);
        (here && !state.eq_ignore_ascii_case("Deleting") && !ending.contains(&known)).then_some(known)
    });
    Ok(alive
        .into_iter()
        .next()
        .map(|id| format!("the machine {id} is in the resource group {:?}", group.group)))
}
