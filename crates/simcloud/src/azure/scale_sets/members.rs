//! The machines of a scale set.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{KIND, ScaleSet};
use crate::azure::blueprint::member;
use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::launched::Found;
use crate::azure::machines::item::{self, Expand};
use crate::azure::machines::{self, ending, status};
use crate::azure::operation::{self, Poll};
use crate::azure::purchase::herd;
use crate::azure::request::{Answer, Request};
use crate::azure::state::State;
use crate::azure::{list, made};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// How many machines a page has. Ours: no figure is published.
const PAGE: usize = 1_000;

/// What is told of a machine of a scale set. Compute API reference, "Virtual Machine Scale Set VMs".
const TOLD: [&str; 12] = [
    "additionalCapabilities",
    "diagnosticsProfile",
    "hardwareProfile",
    "instanceView",
    "licenseType",
    "networkProfile",
    "osProfile",
    "provisioningState",
    "securityProfile",
    "storageProfile",
    "timeCreated",
    "vmId",
];

pub(crate) fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let expand = request.option("$expand").is_some_and(|expand| expand.eq_ignore_ascii_case("instanceView"));
    request.look("global", |kernel, state| {
        let set = made::found(state, request, KIND)?.id.clone();
        let mut found = machines::all(kernel, state, |id| same_group(id, &set));
        found.retain(|(_, found)| found.is_in(&state.launched, &set));
        list::page_of(request, found, PAGE, |found| show(kernel, state, found, expand))
    })
}

pub(crate) fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        let set = made::found(state, request, KIND)?.id.clone();
        let id = one(kernel, state, &set, request.part("machine"))?;
        let found = state.launched.find(kernel, &id);
        Answer::ok(&found.and_then(|found| show(kernel, state, &found, false)))
    })
}

fn same_group(id: &Id, set: &Id) -> bool {
    id.subscription.eq_ignore_ascii_case(&set.subscription) && id.group.eq_ignore_ascii_case(&set.group)
}

fn show(kernel: &Kernel, state: &State, found: &Found<'_>, instance_view: bool) -> Option<Value> {
    let expand = Expand { instance_view, user_data: false };
    let mut shown = item::machine(kernel, &state.launched, found, expand)?;
    let size = shown["properties"]["hardwareProfile"]["vmSize"].clone();
    shown["sku"] = json!({ "name": size, "tier": "Standard" });
    shown["instanceId"] = shown["name"].clone();
    let mut properties = Map::new();
    for name in TOLD {
        let value = shown["properties"].get(name).cloned();
        properties.extend(value.map(|value| (name.to_owned(), value)));
    }
    properties.insert("latestModelApplied".to_owned(), true.into());
    shown["properties"] = properties.into();
    Some(shown)
}

/// How many machines are in which state.
pub(crate) fn instance_view(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look("global", |kernel, state| {
        let set = made::found(state, request, KIND)?.id.clone();
        let mut summary: BTreeMap<String, u32> = BTreeMap::new();
        for (_, found) in machines::all(kernel, state, |id| same_group(id, &set)) {
            if found.is_in(&state.launched, &set) {
                let code =
                    format!("ProvisioningState/{}", status::provisioning(kernel, &found).to_lowercase());
                *summary.entry(code).or_default() += 1;
            }
        }
        let summary = summary.into_iter().map(|(code, count)| json!({ "code": code, "count": count }));
        Ok(json!({ "virtualMachine": { "statusesSummary": summary.collect::<Vec<_>>() } }))
    })?;
    Answer::ok(&shown)
}

/// The machine of a scale set that has this name.
///
/// # Errors
/// `InvalidParameter` for one that it does not have.
fn one(kernel: &Kernel, state: &State, set: &Id, name: &str) -> Result<Id, Refusal> {
    let id = Id::new(&set.subscription, &set.group, machines::KIND, &[name]);
    let found = state.launched.find(kernel, &id).filter(|found| found.is_in(&state.launched, set));
    found.and_then(|found| found.id()).ok_or_else(|| {
        let message = format!(
            "The provided instanceId {name} is not an active Virtual Machine Scale Set VM instanceId."
        );
        coded(400, "InvalidParameter", message)
    })
}

/// `delete`: many by one call.
pub(crate) fn delete_many(request: &Request<'_>) -> Result<Answer, Refusal> {
    let names = names(request.body)?;
    let names = names
        .ok_or_else(|| coded(400, "InvalidParameter", "The parameter instanceIds must be specified."))?;
    delete(request, &names)
}

pub(crate) fn delete_one(request: &Request<'_>) -> Result<Answer, Refusal> {
    delete(request, &[request.part("machine").to_owned()])
}

fn delete(request: &Request<'_>, names: &[String]) -> Result<Answer, Refusal> {
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
    request.change("global", count, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        let mut ids = BTreeMap::new();
        for name in names {
            let id = one(kernel, state, &made.id, name)?;
            ids.insert(id.key(), id);
        }
        let mut takes = Duration::ZERO;
        for id in ids.values() {
            takes = takes.max(ending::end(kernel, state, id).map_or(takes, |(takes, _)| takes));
        }
        if let Some(set) = state.scale_sets.get_mut(&made.id.key()) {
            set.target = set.target.saturating_sub(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        }
        let poll = Poll::Status { provider: super::PROVIDER, location: made.location.as_str() };
        Ok(Answer::empty(202).with(operation::begin(kernel, state, request, poll, takes, None)))
    })
}

/// `deallocate`, `start`, `powerOff`, `restart`: of those that are named, or of all.
pub(crate) fn act(
    request: &Request<'_>,
    act: impl Fn(&mut Kernel, &str) -> Result<(), Refusal>,
) -> Result<Answer, Refusal> {
    let names = names(request.body)?;
    request.change("global", 0, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        let set = state.scale_sets.get(&made.id.key());
        let ids = match names {
            Some(names) => {
                let ids = names.iter().map(|name| one(kernel, state, &made.id, name));
                ids.collect::<Result<Vec<_>, _>>()?
            }
            None => set.map_or_else(Vec::new, |set| set.there(kernel)),
        };
        let mut takes = super::ACTS;
        for id in ids {
            act(kernel, &id.to_string())?;
            takes = takes.max(settles(kernel, state, &id));
        }
        let poll = Poll::Status { provider: super::PROVIDER, location: made.location.as_str() };
        Ok(Answer::empty(202).with(operation::begin(kernel, state, request, poll, takes, None)))
    })
}

/// How long it takes until a machine is down, or up again.
fn settles(kernel: &Kernel, state: &State, id: &Id) -> Duration {
    let Some(Found::Made(view)) = state.launched.find(kernel, id) else { return Duration::ZERO };
    let machine = &kernel.machines[view.number as usize];
    let down = machine.halts.last().map(|halt| halt.down_at).filter(|down| *down > kernel.now());
    operation::left(kernel, down.unwrap_or_else(|| machine.comes_up()))
}

/// `instanceIds` of a body; `None` where there are none, or all are meant.
fn names(body: &Value) -> Result<Option<Vec<String>>, Refusal> {
    let named = member::list(body, "instanceIds")?;
    let names: Option<Vec<String>> = named.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    let names =
        names.ok_or_else(|| coded(400, "InvalidParameter", "instanceIds must be a list of texts."))?;
    Ok((!names.is_empty() && names != ["*"]).then_some(names))
}

impl ScaleSet {
    /// The machines that were made and are there.
    fn there(&self, kernel: &Kernel) -> Vec<Id> {
        let own = herd::machines(kernel, &self.launches);
        let own = own.map(|m| &kernel.machines[m as usize]).filter(|machine| machine.leaving_at.is_none());
        own.filter_map(|machine| Id::parse(&machine.id)).collect()
    }
}
