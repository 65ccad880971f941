//! Subscriptions and their locations. Any subscription may call: each has a world of groups of its own.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use skyfleet_core::Region;

use crate::azure::error::coded;
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, list};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "subscriptions.LIST", verb: "GET", path: "subscriptions", answer: list_all },
    Method { id: "subscriptions.GET", verb: "GET", path: "subscriptions/{subscription}", answer: get },
    Method {
        id: "locations.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/locations",
        answer: locations,
    },
];

/// The one that is there before anything is in it.
const FIRST: &str = "00000000-0000-4000-8000-000000000000";

/// The tenant of all.
pub(crate) const TENANT: &str = "00000000-0000-4000-8000-00000000000f";

/// How regions are called in prose. Azure documentation, "Azure regions list".
const CALLED: [(&str, &str); 6] = [
    ("australiaeast", "Australia East"),
    ("eastus", "East US"),
    ("eastus2", "East US 2"),
    ("northeurope", "North Europe"),
    ("westeurope", "West Europe"),
    ("westus2", "West US 2"),
];

/// How a region is called in prose.
pub(crate) fn display(region: &str) -> &str {
    CALLED.iter().find(|(name, _)| *name == region).map_or(region, |(_, display)| display)
}

/// The region of a name, in prose or not; `None` when there is none.
pub(crate) fn region(kernel: &Kernel, text: &str) -> Option<Region> {
    let plain = text.replace(' ', "").to_lowercase();
    kernel.regions().into_iter().find(|region| region.as_str() == plain)
}

/// The region that a path names.
///
/// # Errors
/// `NoRegisteredProviderFound` where there is none.
pub(crate) fn region_of(kernel: &Kernel, request: &Request<'_>) -> Result<Region, Refusal> {
    let location = request.part("location");
    region(kernel, location).ok_or_else(|| {
        let message = format!("No registered resource provider found for location '{location}'.");
        coded(400, "NoRegisteredProviderFound", message)
    })
}

fn list_all(request: &Request<'_>) -> Result<Answer, Refusal> {
    let all = request.look("global", |_, state| Ok(all(state)))?;
    list::page(request, all.iter().map(|id| show(id)).collect(), 1_000)
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |_, _| Ok(()))?;
    let id = request.subscription();
    let parts: Vec<&str> = id.split('-').collect();
    let is_guid = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.concat().bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_guid {
        let message = format!("The provided subscription identifier '{id}' is malformed or invalid.");
        return Err(coded(400, "InvalidSubscriptionId", message));
    }
    Answer::ok(&show(id))
}

/// The ids of those that something is in, and of the first.
pub(crate) fn all(state: &State) -> BTreeSet<String> {
    let used = state.made.values().map(|made| made.id.subscription.to_lowercase());
    used.chain([FIRST.to_owned()]).collect()
}

pub(crate) fn show(id: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{id}"),
        "subscriptionId": id,
        "tenantId": TENANT,
        "displayName": "Simulated subscription",
        "state": "Enabled",
        "subscriptionPolicies": { "locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off" },
        "authorizationSource": "RoleBased",
    })
}

fn locations(request: &Request<'_>) -> Result<Answer, Refusal> {
    let subscription = request.subscription();
    let shown: Vec<Value> = request.look("global", |kernel, _| {
        let regions = kernel.regions();
        Ok(regions.iter().map(|region| location(kernel, subscription, region)).collect())
    })?;
    Answer::ok(&json!({ "value": shown }))
}

fn location(kernel: &Kernel, subscription: &str, region: &Region) -> Value {
    let name = region.as_str();
    let zones = kernel.zones(name);
    let zones = zones.iter().filter_map(|zone| zone.as_str().rsplit_once('-'));
    let mappings =
        zones.map(|(_, zone)| json!({ "logicalZone": zone, "physicalZone": format!("{name}-az{zone}") }));
    json!({
        "id": format!("/subscriptions/{subscription}/locations/{name}"),
        "name": name,
        "type": "Region",
        "displayName": display(name),
        "regionalDisplayName": display(name),
        "metadata": { "regionType": "Physical", "regionCategory": "Recommended" },
        "availabilityZoneMappings": mappings.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn locations_have_three_zones_and_names_in_prose() {
        let trial = Trial::new();
        let shown = trial.get("/locations");
        let all = shown["value"].as_array().unwrap();
        assert_eq!(all.len(), CALLED.len());
        assert!(all.iter().all(|location| location["displayName"] != location["name"]), "{all:?}");
        let zones = &all[0]["availabilityZoneMappings"];
        assert_eq!((zones.as_array().unwrap().len(), &zones[2]["logicalZone"]), (3, &json!("3")));
    }

    #[test]
    fn subscriptions_are_listed_when_something_is_in_them() {
        let trial = Trial::with_group();
        let listed = trial.ask("GET", "/subscriptions", Value::Null).body;
        assert_eq!(listed["value"].as_array().unwrap().len(), 2);
        assert_eq!(trial.get("")["state"], "Enabled");
        let refused = trial.ask("GET", "/subscriptions/mine", Value::Null);
        assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("InvalidSubscriptionId")));
    }
}
