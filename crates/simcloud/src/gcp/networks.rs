//! Networks: the default one that a project has from the start, and those of the caller's own.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use skyfleet_core::Region;

use crate::fixture::FixtureKind;
use crate::gcp::error::{coded, in_use, invalid};
use crate::gcp::list::Wanted;
use crate::gcp::made::{self, Made, Store};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::url::Scope;
use crate::gcp::{firewalls, resource, subnetworks, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "networks.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/networks/{network}",
        answer: get,
    },
    Method {
        id: "networks.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/networks",
        answer: list,
    },
    Method {
        id: "networks.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/global/networks",
        answer: insert,
    },
    Method {
        id: "networks.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/global/networks/{network}",
        answer: delete,
    },
];

/// The network that a project has from the start.
pub(crate) const DEFAULT: &str = "global/networks/default";

/// What a project has from the start: the default network, its subnetworks, its firewall rules. VPC
/// documentation, "Auto mode VPC networks" and "Pre-populated rules in the default network".
pub(crate) fn from_the_start(kernel: &Kernel) -> Store {
    let mut store = Store::new();
    let network = body(true, "Default network for the project", 1_460, "REGIONAL");
    store.insert(DEFAULT.to_owned(), Made { created: None, body: network });
    for region in kernel.regions() {
        let (path, body) = subnetworks::automatic(DEFAULT, &region);
        store.insert(path, Made { created: None, body });
    }
    for (path, body) in firewalls::from_the_start() {
        store.insert(path, Made { created: None, body });
    }
    store
}

/// The network and the subnetwork of an interface, as paths in the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) network: String,
    pub(crate) subnetwork: String,
}

/// Where an interface in a region lies, by what a request says of it: without a word, in the default
/// network. `field` is that of the interface.
///
/// # Errors
/// `invalid` for what there is not, and for a network and a subnetwork that do not go together.
pub(crate) fn attach(
    store: &Store,
    region: &Region,
    (network, subnetwork): (Option<&str>, Option<&str>),
    field: &str,
) -> Result<Attached, Refusal> {
    let (network, subnetwork) = (said(network), said(subnetwork));
    if let Some(written) = subnetwork {
        let field = format!("{field}.subnetwork");
        let unknown = "The referenced subnetwork resource cannot be found.";
        if url::after("regions", written).is_some_and(|named| named != region.as_str()) {
            return Err(invalid(&field, written, &format!("The subnetwork must be in the region {region}.")));
        }
        let path = format!("regions/{region}/subnetworks/{}", url::last(written));
        let found = store.get(&path).ok_or_else(|| invalid(&field, written, unknown))?;
        let of = found.text("network").to_owned();
        if let Some(network) = network.filter(|network| url::last(network) != url::last(&of)) {
            let why = format!("The subnetwork is not in the network {}.", url::last(network));
            return Err(invalid(&field, written, &why));
        }
        return Ok(Attached { network: of, subnetwork: path });
    }
    let written = network.unwrap_or(DEFAULT);
    let field = format!("{field}.network");
    let path = format!("global/networks/{}", url::last(written));
    let unknown = || invalid(&field, written, "The referenced network resource cannot be found.");
    let found = store.get(&path).ok_or_else(unknown)?;
    let subnetwork = format!("regions/{region}/subnetworks/{}", url::last(&path));
    let is_there = store.get(&subnetwork).is_some_and(|made| made.text("network") == path);
    if is_automatic(found) && is_there {
        return Ok(Attached { network: path, subnetwork });
    }
    let why = "Network interface must specify a subnet if the network resource is in custom subnet mode.";
    Err(invalid(&field, written, why))
}

fn said(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}

/// Whether a network has a subnetwork in each region by itself.
pub(crate) fn is_automatic(network: &Made) -> bool {
    network.body.get("autoCreateSubnetworks") == Some(&Value::Bool(true))
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| {
        let store = made::all(kernel, state);
        let path = format!("global/networks/{}", request.part("network"));
        let (path, made) = made::found(store, request.project(), &path)?;
        Ok(show(request.project(), store, path, made))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let store = made::all(kernel, state);
        let shown =
            made::of(store, "global/networks").map(|(path, made)| show(request.project(), store, path, made));
        Ok(wanted.page(shown, "compute#networkList", "global/networks", request))
    })?;
    request.answer(&page)
}

fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asked = request.body;
    let automatic = match &asked["autoCreateSubnetworks"] {
        Value::Bool(automatic) => *automatic,
        Value::Null => {
            let why = "Legacy networks can no longer be created: autoCreateSubnetworks must be set.";
            return Err(invalid("resource.autoCreateSubnetworks", "", why));
        }
        other => {
            let why = "The value must be true or false.";
            return Err(invalid("resource.autoCreateSubnetworks", &other.to_string(), why));
        }
    };
    let mtu = made::number(asked, "mtu")?.unwrap_or(1_460);
    if !(1_300..=8_896).contains(&mtu) {
        let why = "The value must be between 1300 and 8896.";
        return Err(invalid("resource.mtu", &mtu.to_string(), why));
    }
    let description = made::text(asked, "description")?.unwrap_or_default();
    let routing = asked["routingConfig"]["routingMode"].as_str().unwrap_or("REGIONAL");
    request.change(0, |kernel, state| {
        let path = made::new_path(request, made::all(kernel, state), "global/networks")?;
        let body = body(automatic, description, mtu, routing);
        let tags = made::tags_in(description);
        made::keep(kernel, state, (FixtureKind::Network, &path, "global"), body, tags);
        if automatic {
            // They go with their network: the world need not know them.
            let created = Some(kernel.now());
            for region in kernel.regions() {
                let (path, body) = subnetworks::automatic(&path, &region);
                made::all(kernel, state).insert(path, Made { created, body });
            }
        }
        let id = resource::id(&path, Some(kernel.now()));
        Ok(New::good("insert", Scope::Global, path, id))
    })
}

/// The subnetworks of an automatic network go with it; those of another one are in the way, and so
/// are firewall rules.
fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let store = made::all(kernel, state);
        let path = format!("global/networks/{}", request.part("network"));
        let (path, network) = made::found(store, request.project(), &path)?;
        let (path, automatic) = (path.to_owned(), is_automatic(network));
        let inside = store.iter().filter(|(_, made)| made.text("network") == path);
        let (subnetworks, others): (Vec<_>, Vec<_>) = inside
            .map(|(path, _)| path.clone())
            .partition(|path| automatic && path.contains("/subnetworks/"));
        if let Some(by) = others.first() {
            return Err(in_use(request.project(), &path, by));
        }
        let id = made::delete(kernel, state, request.project(), &path)?;
        for subnetwork in subnetworks {
            made::all(kernel, state).remove(&subnetwork);
        }
        Ok(New::good("delete", Scope::Global, path, id))
    })
}

fn body(automatic: bool, description: &str, mtu: u64, routing: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("autoCreateSubnetworks".to_owned(), automatic.into());
    if !description.is_empty() {
        body.insert("description".to_owned(), description.into());
    }
    body.insert("mtu".to_owned(), mtu.into());
    body.insert("routingConfig".to_owned(), json!({ "routingMode": routing }));
    body
}

fn show(project: &str, store: &Store, path: &str, made: &Made) -> Value {
    let subnetworks = store.iter().filter(|(name, inside)| {
        name.starts_with("regions/") && name.contains("/subnetworks/") && inside.text("network") == path
    });
    let subnetworks: Vec<String> = subnetworks.map(|(name, _)| url::link(project, name)).collect();
    let mut more = made.body.clone();
    if !subnetworks.is_empty() {
        more.insert("subnetworks".to_owned(), json!(subnetworks));
    }
    more.insert("networkFirewallPolicyEnforcementOrder".to_owned(), "AFTER_CLASSIC_FIREWALL".into());
    let id = resource::id(path, made.created);
    let with_id = url::link(project, &format!("global/networks/{id}"));
    more.insert("selfLinkWithId".to_owned(), with_id.into());
    resource::show(project, "network", path, made.created, Value::Object(more))
}

/// The path of the network that a request names in a member of its body.
///
/// # Errors
/// `invalid` with the field for one that there is not.
pub(crate) fn named(store: &Store, written: &str, field: &str) -> Result<String, Refusal> {
    let path = format!("global/networks/{}", url::last(written));
    match store.contains_key(&path) {
        true => Ok(path),
        false => Err(invalid(field, written, "The referenced network resource cannot be found.")),
    }
}

/// The tags of an owned network, for a subnetwork or a rule without any: who deletes the one must
/// find the other.
pub(crate) fn tags_of(kernel: &Kernel, path: &str) -> BTreeMap<String, String> {
    kernel.fixture(path).map(|fixture| (*fixture.tags).clone()).unwrap_or_default()
}

/// Refuses what can only be done in a network with subnetworks of the caller's own.
///
/// # Errors
/// `invalid` for an automatic network.
pub(crate) fn must_be_custom(network: &Made, path: &str) -> Result<(), Refusal> {
    match is_automatic(network) {
        true => {
            let name = url::last(path);
            let message = format!("Cannot create subnetwork in auto mode network '{name}'.");
            Err(coded(400, "invalid", message))
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    fn lies(trial: &Trial, network: Option<&str>, subnetwork: Option<&str>) -> Result<Attached, Refusal> {
        trial.face.look(|kernel, state| {
            let region = Region::new("us-central1");
            attach(made::all(kernel, state), &region, (network, subnetwork), "resource.networkInterfaces[0]")
        })
    }

    #[test]
    fn a_project_has_a_default_network_with_a_subnetwork_in_each_region() {
        let trial = Trial::new();
        let network = trial.get("global/networks/default");
        assert_eq!(network["autoCreateSubnetworks"], true);
        assert_eq!(network["subnetworks"].as_array().unwrap().len(), trial.names("regions").len());
        let subnetwork = trial.get("regions/us-central1/subnetworks/default");
        assert_eq!(subnetwork["ipCidrRange"], "10.128.0.0/20");
        assert_eq!(subnetwork["network"], network["selfLink"]);
        trial.face.look(|kernel, _| assert!(kernel.ledger(None).proves_empty()));
    }

    #[test]
    fn an_interface_lies_in_the_default_network_unless_it_says_otherwise() {
        let trial = Trial::new();
        let default = Attached {
            network: DEFAULT.to_owned(),
            subnetwork: "regions/us-central1/subnetworks/default".to_owned(),
        };
        for (network, subnetwork) in [
            (None, None),
            (Some("global/networks/default"), None),
            (Some("default"), Some("default")),
            (None, Some("projects/p/regions/us-central1/subnetworks/default")),
        ] {
            assert_eq!(
                lies(&trial, network, subnetwork).as_ref(),
                Ok(&default),
                "{network:?} {subnetwork:?}"
            );
        }
        for (network, subnetwork) in [
            (Some("global/networks/mine"), None),
            (None, Some("regions/us-west1/subnetworks/default")),
            (None, Some("other")),
        ] {
            assert!(lies(&trial, network, subnetwork).is_err(), "{network:?} {subnetwork:?}");
        }
    }

    #[test]
    fn a_network_with_something_in_it_is_not_deleted() {
        let trial = Trial::new();
        let description = "skyfleet-owner=ada skyfleet-fleet=run";
        let mine = json!({ "name": "mine", "autoCreateSubnetworks": false, "description": description });
        trial.change("POST", "global/networks", mine.clone());
        assert_eq!(trial.refusal("POST", "global/networks", mine).0, 409);
        assert!(lies(&trial, Some("mine"), None).is_err(), "it has no subnetworks of itself");
        let inside =
            json!({ "name": "inside", "network": "global/networks/mine", "ipCidrRange": "10.1.0.0/16" });
        trial.change("POST", "regions/us-central1/subnetworks", inside);
        assert!(lies(&trial, None, Some("inside")).is_ok());
        trial.face.look(|kernel, _| {
            let left = kernel.ledger(Some("ada")).blocking;
            let ids: Vec<&str> = left.iter().map(|fixture| &*fixture.id).collect();
            assert_eq!(ids, ["global/networks/mine", "regions/us-central1/subnetworks/inside"]);
        });
        let (status, reason) = trial.refusal("DELETE", "global/networks/mine", Value::Null);
        assert_eq!((status, reason.as_str()), (400, "resourceInUseByAnotherResource"));
        trial.change("DELETE", "regions/us-central1/subnetworks/inside", Value::Null);
        trial.change("DELETE", "global/networks/mine", Value::Null);
        assert_eq!(trial.refusal("GET", "global/networks/mine", Value::Null).0, 404);
        trial.face.look(|kernel, _| assert!(kernel.ledger(None).proves_empty()));
    }

    #[test]
    fn an_automatic_network_takes_its_subnetworks_with_it() {
        let trial = Trial::new();
        trial.change("POST", "global/networks", json!({ "name": "wide", "autoCreateSubnetworks": true }));
        assert!(trial.names("regions/us-west1/subnetworks").contains(&"wide".to_owned()));
        trial.change("DELETE", "global/networks/wide", Value::Null);
        assert_eq!(trial.names("regions/us-west1/subnetworks"), ["default"]);
        assert_eq!(trial.refusal("POST", "global/networks", json!({ "name": "old" })).0, 400);
        let bad = json!({ "name": "Bad", "autoCreateSubnetworks": true });
        assert_eq!(trial.refusal("POST", "global/networks", bad).0, 400);
    }
}
