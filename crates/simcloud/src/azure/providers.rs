//! Resource providers: the services of Azure, and which of them a subscription is registered for.
//! Azure documentation, "Azure resource providers and types".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::Timestamp;

use crate::azure::error::coded;
use crate::azure::method::{self, Method};
use crate::azure::state::State;
use crate::azure::{Answer, Request, list, subscriptions};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "providers.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers",
        answer: list_all,
    },
    Method {
        id: "providers.GET",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/{namespace}",
        answer: get,
    },
    Method {
        id: "providers.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/providers/{namespace}/register",
        answer: register,
    },
    Method {
        id: "providers.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/providers/{namespace}/unregister",
        answer: unregister,
    },
];

/// Those that nobody has to register for. The same page.
const FREE: [&str; 3] = ["Microsoft.Authorization", "Microsoft.ResourceGraph", "Microsoft.Resources"];

/// How long a registration takes. Ours: a minute is what it takes at most.
const TAKES: Duration = Duration::from_secs(30);

/// The registrations that are not there, by subscription and provider, in lower case; with when they
/// will be, once somebody has asked for them. A subscription begins with all of them.
pub(crate) type Missing = BTreeMap<(String, String), Option<Timestamp>>;

/// # Errors
/// `MissingSubscriptionRegistration`, when a path wants something made of a provider that the
/// subscription is not registered for.
pub(crate) fn registered(kernel: &Kernel, state: &State, request: &Request<'_>) -> Result<(), Refusal> {
    if state.unregistered.is_empty() {
        return Ok(());
    }
    let path = request.head.path.to_lowercase();
    let Some((_, behind)) = path.rsplit_once("/providers/") else { return Ok(()) };
    let wanted = behind.split('/').next().unwrap_or_default();
    let Some(name) = known().into_keys().find(|name| name.eq_ignore_ascii_case(wanted)) else {
        return Ok(());
    };
    if standing(kernel, state, request.subscription(), name) == "Registered" {
        return Ok(());
    }
    let message = format!(
        "The subscription is not registered to use namespace '{name}'. See https://aka.ms/rps-not-found for how to \
         register subscriptions."
    );
    Err(coded(409, "MissingSubscriptionRegistration", message))
}

/// The providers and the types of their resources: those of all methods that there are.
fn known() -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut known = BTreeMap::from([("Microsoft.Resources", BTreeSet::from(["resourceGroups".to_owned()]))]);
    for (verb, path) in method::paths() {
        let Some((_, behind)) = path.rsplit_once("/providers/").or_else(|| path.split_once("providers/"))
        else {
            continue;
        };
        let mut parts = behind.split('/');
        let Some(name) = parts.next().filter(|name| !name.starts_with('{')) else { continue };
        // Types and names take turns.
        let parts: Vec<&str> = parts.collect();
        let mut words: Vec<&str> = parts.iter().step_by(2).copied().collect();
        // The last word of a POST is what is done with a resource; what is done in a location is a type.
        let of = parts.len().checked_sub(2).map(|before| parts[before]);
        if verb == "POST" && parts.len() % 2 == 1 && of.is_some_and(|of| of != "{location}") {
            words.pop();
        }
        known.entry(name).or_default().insert(words.join("/"));
    }
    known
}

fn standing(kernel: &Kernel, state: &State, subscription: &str, name: &str) -> &'static str {
    match state.unregistered.get(&key(subscription, name)) {
        Some(None) => "NotRegistered",
        Some(Some(ready)) if *ready > kernel.now() => "Registering",
        _ => "Registered",
    }
}

fn key(subscription: &str, name: &str) -> (String, String) {
    (subscription.to_lowercase(), name.to_lowercase())
}

fn list_all(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look("global", |kernel, state| {
        let all = known().into_iter();
        Ok(all.map(|(name, types)| show(kernel, state, request, name, &types)).collect())
    })?;
    list::page(request, shown, 1_000)
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let (name, types) = found(request)?;
    request.look("global", |kernel, state| Answer::ok(&show(kernel, state, request, name, &types)))
}

fn register(request: &Request<'_>) -> Result<Answer, Refusal> {
    let (name, types) = found(request)?;
    request.change("global", 0, |kernel, state| {
        if let Some(ready) = state.unregistered.get_mut(&key(request.subscription(), name)) {
            ready.get_or_insert(kernel.now() + TAKES);
        }
        Answer::ok(&show(kernel, state, request, name, &types))
    })
}

fn unregister(request: &Request<'_>) -> Result<Answer, Refusal> {
    let (name, types) = found(request)?;
    request.change("global", 0, |kernel, state| {
        let inside = |made: &&crate::azure::made::Made| {
            made.id.subscription.eq_ignore_ascii_case(request.subscription())
                && made.id.kind.split('/').next().is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        if let Some(used) = state.made.values().find(inside) {
            let message = format!("The provider '{name}' cannot be unregistered: {} is of it.", used.id);
            return Err(coded(409, "CannotUnregisterResourceProvider", message));
        }
        if !FREE.contains(&name) {
            state.unregistered.insert(key(request.subscription(), name), None);
        }
        Answer::ok(&show(kernel, state, request, name, &types))
    })
}

fn found(request: &Request<'_>) -> Result<(&'static str, BTreeSet<String>), Refusal> {
    let wanted = request.part("namespace");
    known().into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
        coded(404, "InvalidResourceNamespace", format!("The resource namespace '{wanted}' is invalid."))
    })
}

fn show(
    kernel: &Kernel,
    state: &State,
    request: &Request<'_>,
    name: &str,
    types: &BTreeSet<String>,
) -> Value {
    let subscription = request.subscription();
    let regions = kernel.regions();
    let locations: Vec<&str> = regions.iter().map(|region| subscriptions::display(region.as_str())).collect();
    let version = request.option("api-version").unwrap_or_default();
    let types = types.iter().map(|kind| {
        json!({ "resourceType": kind, "locations": locations, "apiVersions": [version], "capabilities": "None" })
    });
    let free = FREE.contains(&name);
    json!({
        "id": format!("/subscriptions/{subscription}/providers/{name}"),
        "namespace": name,
        "registrationPolicy": if free { "RegistrationFree" } else { "RegistrationRequired" },
        "registrationState": standing(kernel, state, subscription, name),
        "resourceTypes": types.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    const COMPUTE: &str = "/providers/Microsoft.Compute";

    fn standing(trial: &Trial) -> Value {
        trial.get(COMPUTE)["registrationState"].clone()
    }

    #[test]
    fn a_provider_tells_its_types_and_where_they_are() {
        let trial = Trial::new();
        let shown = trial.get(&COMPUTE.to_lowercase());
        assert_eq!(
            (&shown["namespace"], &shown["registrationState"]),
            (&json!("Microsoft.Compute"), &json!("Registered"))
        );
        let types = shown["resourceTypes"].as_array().unwrap();
        let names: Vec<&str> = types.iter().map(|kind| kind["resourceType"].as_str().unwrap()).collect();
        for name in ["disks", "locations/usages", "locations/placementScores"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert!(names.iter().all(|name| !name.ends_with("generate")), "{names:?}");
        assert!(types[0]["locations"].as_array().unwrap().contains(&json!("East US")));
        let all = trial.get("/providers")["value"].as_array().unwrap().clone();
        let names: Vec<&str> = all.iter().map(|one| one["namespace"].as_str().unwrap()).collect();
        for name in
            ["Microsoft.Compute", "Microsoft.Network", "Microsoft.Resources", "Microsoft.ResourceGraph"]
        {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert!(all.iter().flat_map(|one| one["resourceTypes"].as_array().unwrap()).all(|kind| {
            kind["resourceType"].as_str().is_some_and(|name| !name.is_empty() && !name.contains('{'))
        }));
        let nothing = trial.refusal("GET", "/providers/Microsoft.Nothing", Value::Null);
        assert_eq!(nothing, (404, "InvalidResourceNamespace".to_owned()));
    }

    #[test]
    fn without_a_registration_nothing_can_be_made() {
        let trial = Trial::with_group();
        let disk = "/resourceGroups/g/providers/Microsoft.Compute/disks/d";
        let body = json!({ "location": "eastus", "properties": { "diskSizeGB": 1 } });
        trial.done("POST", &format!("{COMPUTE}/unregister"), Value::Null);
        assert_eq!(standing(&trial), "NotRegistered");
        let refused = || trial.refusal("PUT", disk, body.clone());
        assert_eq!(refused(), (409, "MissingSubscriptionRegistration".to_owned()));
        assert!(trial.names("/providers/Microsoft.Compute/disks").is_empty());
        trial.done("POST", &format!("{COMPUTE}/register"), Value::Null);
        assert_eq!((standing(&trial), refused().0), (json!("Registering"), 409));
        trial.wait(30);
        assert_eq!(standing(&trial), "Registered");
        trial.done("PUT", disk, body.clone());
        let used = trial.refusal("POST", &format!("{COMPUTE}/unregister"), Value::Null);
        assert_eq!(used, (409, "CannotUnregisterResourceProvider".to_owned()));
        trial.done("POST", "/providers/Microsoft.Resources/unregister", Value::Null);
        assert_eq!(trial.get("/providers/Microsoft.Resources")["registrationState"], "Registered");
    }
}
