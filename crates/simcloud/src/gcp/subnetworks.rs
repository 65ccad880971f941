//! Subnetworks: the ranges of a network, region by region.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};
use skyfleet_core::Region;

use crate::fixture::FixtureKind;
use crate::gcp::error::{coded, invalid, required};
use crate::gcp::list::{self, Wanted};
use crate::gcp::made::{self, Made, Store};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::resource::print_of;
use crate::gcp::url::Scope;
use crate::gcp::{networks, resource, url};
use crate::range::Range;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "subnetworks.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/subnetworks/{subnetwork}",
        answer: get,
    },
    Method {
        id: "subnetworks.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/subnetworks",
        answer: list,
    },
    Method {
        id: "subnetworks.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/subnetworks",
        answer: aggregated,
    },
    Method {
        id: "subnetworks.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/subnetworks",
        answer: insert,
    },
    Method {
        id: "subnetworks.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/regions/{region}/subnetworks/{subnetwork}",
        answer: delete,
    },
];

/// The ranges of automatic subnetworks. VPC documentation, "Auto mode IPv4 ranges".
const AUTOMATIC: [(&str, &str); 6] = [
    ("australia-southeast1", "10.152.0.0/20"),
    ("europe-west1", "10.132.0.0/20"),
    ("europe-west4", "10.164.0.0/20"),
    ("us-central1", "10.128.0.0/20"),
    ("us-east1", "10.142.0.0/20"),
    ("us-west1", "10.138.0.0/20"),
];

/// The subnetwork that an automatic network has in a region: its path and its body.
pub(crate) fn automatic(network: &str, region: &Region) -> (String, Map<String, Value>) {
    let range = AUTOMATIC.iter().find(|(name, _)| *name == region.as_str());
    let range = range.map_or("10.250.0.0/20", |(_, range)| range);
    let path = format!("regions/{region}/subnetworks/{}", url::last(network));
    (path, body(network, range, false))
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| {
        let region = request.region(kernel)?;
        let path = format!("regions/{region}/subnetworks/{}", request.part("subnetwork"));
        let (path, made) = made::found(made::all(kernel, state), request.project(), &path)?;
        Ok(show(request.project(), path, made))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let path = format!("regions/{}/subnetworks", request.region(kernel)?);
        let all = made::of(made::all(kernel, state), &path);
        let shown = all.map(|(path, made)| show(request.project(), path, made));
        Ok(wanted.page(shown, "compute#subnetworkList", &path, request))
    })?;
    request.answer(&page)
}

fn aggregated(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let (store, scopes) = (made::all(kernel, state), list::regions(kernel));
        let shown = scopes.iter().flat_map(|scope| {
            let all = made::of(store, &format!("{scope}/subnetworks")).collect::<Vec<_>>();
            all.into_iter().map(|(path, made)| (scope.clone(), show(request.project(), path, made)))
        });
        Ok(wanted.aggregated(shown, &scopes, "compute#subnetworkAggregatedList", "subnetworks", request))
    })?;
    request.answer(&page)
}

fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asked = request.body;
    let written = made::text(asked, "network")?.ok_or_else(|| required("resource.network"))?;
    let text = made::text(asked, "ipCidrRange")?.ok_or_else(|| required("resource.ipCidrRange"))?;
    let bad = |why: &str| invalid("resource.ipCidrRange", text, why);
    let range = Range::parse(text).ok_or_else(|| bad("Must be a valid IPv4 range in CIDR notation."))?;
    if !(8..=29).contains(&range.bits) {
        return Err(bad("The prefix length must be between 8 and 29."));
    }
    request.change(0, |kernel, state| {
        let region = request.region(kernel)?;
        let store = made::all(kernel, state);
        let path = made::new_path(request, store, &format!("regions/{region}/subnetworks"))?;
        let network = networks::named(store, written, "resource.network")?;
        networks::must_be_custom(&store[&network], &network)?;
        if let Some(other) = overlap(store, &network, range) {
            let message =
                format!("Invalid IPCidrRange: {text} conflicts with existing subnetwork '{other}'.");
            return Err(coded(400, "invalid", message));
        }
        let private = asked["privateIpGoogleAccess"].as_bool().unwrap_or(false);
        let mut body = body(&network, text, private);
        let description = made::text(asked, "description")?.unwrap_or_default();
        if !description.is_empty() {
            body.insert("description".to_owned(), description.into());
        }
        let mut tags = made::tags_in(description);
        if tags.is_empty() {
            tags = networks::tags_of(kernel, &network);
        }
        made::keep(kernel, state, (FixtureKind::Network, &path, region.as_str()), body, tags);
        let id = resource::id(&path, Some(kernel.now()));
        Ok(New::good("insert", Scope::Region(region), path, id))
    })
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let region = request.region(kernel)?;
        let store = made::all(kernel, state);
        let path = format!("regions/{region}/subnetworks/{}", request.part("subnetwork"));
        let (path, made) = made::found(store, request.project(), &path)?;
        let (path, network) = (path.to_owned(), made.text("network").to_owned());
        if store.get(&network).is_some_and(networks::is_automatic) {
            let message = format!(
                "Cannot delete auto subnetwork '{}' of network '{}'.",
                url::last(&path),
                url::last(&network)
            );
            return Err(coded(400, "invalid", message));
        }
        let id = made::delete(kernel, state, request.project(), &path)?;
        Ok(New::good("delete", Scope::Region(region), path, id))
    })
}

fn body(network: &str, range: &str, private: bool) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("network".to_owned(), network.into());
    body.insert("ipCidrRange".to_owned(), range.into());
    body.insert("privateIpGoogleAccess".to_owned(), private.into());
    body
}

fn show(project: &str, path: &str, made: &Made) -> Value {
    let region = url::after("regions", path).unwrap_or_default();
    let mut more = made.body.clone();
    let range = Range::parse(made.text("ipCidrRange"));
    more.insert("network".to_owned(), url::link(project, made.text("network")).into());
    let own = json!({
        "region": url::link(project, &format!("regions/{region}")),
        "gatewayAddress": range.map(|range| Ipv4Addr::from(range.first + 1).to_string()),
        "fingerprint": print_of(&[path, made.text("ipCidrRange")]),
        "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
        "purpose": "PRIVATE",
        "stackType": "IPV4_ONLY",
    });
    if let Value::Object(own) = own {
        more.extend(own);
    }
    resource::show(project, "subnetwork", path, made.created, Value::Object(more))
}

/// The name of a subnetwork of a network that has some of these addresses.
fn overlap(store: &Store, network: &str, range: Range) -> Option<String> {
    let mut inside = store.iter().filter(|(_, made)| made.text("network") == network);
    let found = inside
        .find(|(_, made)| Range::parse(made.text("ipCidrRange")).is_some_and(|other| other.overlaps(range)));
    found.map(|(path, _)| url::last(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn a_subnetwork_has_addresses_that_no_other_has() {
        let trial = Trial::new();
        trial.change("POST", "global/networks", json!({ "name": "mine", "autoCreateSubnetworks": false }));
        let ask = |name: &str, network: &str, range: &str| json!({ "name": name, "network": format!("global/networks/{network}"), "ipCidrRange": range });
        trial.change("POST", "regions/us-west1/subnetworks", ask("a", "mine", "10.1.0.0/16"));
        for (name, network, range) in [
            ("b", "mine", "10.1.2.0/24"),
            ("b", "mine", "10.0.0.0/31"),
            ("b", "mine", "nonsense"),
            ("b", "none", "10.2.0.0/16"),
            ("b", "default", "10.2.0.0/16"),
        ] {
            let refused = trial.refusal("POST", "regions/us-central1/subnetworks", ask(name, network, range));
            assert_eq!(refused, (400, "invalid".to_owned()), "{network} {range}");
        }
        let shown = trial.get("regions/us-west1/subnetworks/a");
        assert_eq!(
            (&shown["gatewayAddress"], &shown["stackType"]),
            (&json!("10.1.0.1"), &json!("IPV4_ONLY"))
        );
        let all = trial.get("aggregated/subnetworks");
        assert_eq!(all["items"]["regions/us-west1"]["subnetworks"].as_array().unwrap().len(), 2);
        assert_eq!(trial.refusal("DELETE", "regions/us-west1/subnetworks/default", Value::Null).0, 400);
    }
}
