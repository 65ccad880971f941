//! Static external addresses of a region. They cost money whether they are used or not.

use serde_json::{Map, Value, json};
use skyfleet_core::Region;

use crate::address::Address;
use crate::gcp::error::{coded, exists, invalid, not_found};
use crate::gcp::list::{self, Wanted};
use crate::gcp::made::{self, Made};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::gcp::{labels, resource, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::Whose;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "addresses.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/addresses/{address}",
        answer: get,
    },
    Method {
        id: "addresses.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/addresses",
        answer: list,
    },
    Method {
        id: "addresses.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/addresses",
        answer: aggregated,
    },
    Method {
        id: "addresses.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/addresses",
        answer: insert,
    },
    Method {
        id: "addresses.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/regions/{region}/addresses/{address}",
        answer: delete,
    },
    Method {
        id: "addresses.setLabels",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/addresses/{resource}/setLabels",
        answer: set_labels,
    },
];

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| {
        let address = found(kernel, request, &request.region(kernel)?, request.part("address"))?;
        Ok(show(state, request.project(), &address))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let region = request.region(kernel)?;
        let whose = Whose { region: Some(region.as_str()), ..Whose::default() };
        let all = kernel.addresses(&whose).into_iter();
        let shown = all.map(|address| show(state, request.project(), &address));
        Ok(wanted.page(shown, "compute#addressList", &format!("regions/{region}/addresses"), request))
    })?;
    request.answer(&page)
}

fn aggregated(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let mut scopes = list::regions(kernel);
        scopes.push(Scope::Global);
        let all = kernel.addresses(&Whose::default()).into_iter();
        let shown = all
            .map(|address| (Scope::Region(address.region.clone()), show(state, request.project(), &address)));
        Ok(wanted.aggregated(shown, &scopes, "compute#addressAggregatedList", "addresses", request))
    })?;
    request.answer(&page)
}

fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = request.body;
    let labels = labels::read(body, "resource.labels")?;
    let tier = made::text(body, "networkTier")?.unwrap_or("PREMIUM");
    if !["PREMIUM", "STANDARD"].contains(&tier) {
        return Err(invalid("resource.networkTier", tier, "It must be PREMIUM or STANDARD."));
    }
    match made::text(body, "addressType")?.unwrap_or("EXTERNAL") {
        "EXTERNAL" => {}
        other => {
            let message = format!("Only external addresses are simulated, not '{other}'.");
            return Err(coded(501, "notImplemented", message));
        }
    }
    let description = made::text(body, "description")?;
    request.change(0, |kernel, state| {
        let region = request.region(kernel)?;
        let path = format!("regions/{region}/addresses/{}", made::new_name(request)?);
        if kernel.address(&path).is_some() {
            return Err(exists(request.project(), &path));
        }
        kernel.create_address_named(&region, url::last(&path), labels)?;
        let mut notes = Map::new();
        notes.insert("networkTier".to_owned(), tier.into());
        notes.extend(description.map(|text| ("description".to_owned(), text.into())));
        let created = Some(kernel.now());
        state.notes.insert(path.clone(), Made { created, body: notes });
        let id = resource::id(&path, created);
        Ok(New::good("insert", Scope::Region(region), path, id))
    })
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let region = request.region(kernel)?;
        let address = found(kernel, request, &region, request.part("address"))?;
        kernel.delete_address(&address.id)?;
        state.notes.remove(&*address.id);
        let id = resource::id(&address.id, Some(address.created));
        Ok(New::good("delete", Scope::Region(region), address.id.to_string(), id))
    })
}

fn set_labels(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, _| {
        let region = request.region(kernel)?;
        let address = found(kernel, request, &region, request.part("resource"))?;
        let labels = labels::changed(request.body, &address.tags)?;
        kernel.retag(&address.id, |tags| *tags = (*labels).clone());
        let id = resource::id(&address.id, Some(address.created));
        Ok(New::good("setLabels", Scope::Region(region), address.id.to_string(), id))
    })
}

/// An address of a region by its name or its number.
fn found(kernel: &Kernel, request: &Request<'_>, region: &Region, name: &str) -> Result<Address, Refusal> {
    let path = format!("regions/{region}/addresses/{name}");
    let by_number = || {
        let number: u64 = name.parse().ok()?;
        let whose = Whose { region: Some(region.as_str()), ..Whose::default() };
        let mut all = kernel.addresses(&whose).into_iter();
        all.find(|address| resource::id(&address.id, Some(address.created)) == number)
    };
    kernel.address(&path).or_else(by_number).ok_or_else(|| not_found(request.project(), &path))
}

fn show(state: &State, project: &str, address: &Address) -> Value {
    let notes = state.notes.get(&*address.id).filter(|notes| notes.created == Some(address.created));
    let noted = |member: &str| notes.map(|notes| notes.text(member)).filter(|text| !text.is_empty());
    let more = json!({
        "description": noted("description").unwrap_or_default(),
        "address": address.ip.to_string(),
        "addressType": "EXTERNAL",
        "networkTier": noted("networkTier").unwrap_or("PREMIUM"),
        "status": "RESERVED",
        "region": url::link(project, &format!("regions/{}", address.region)),
        "labels": (!address.tags.is_empty()).then(|| json!(*address.tags)),
        "labelFingerprint": labels::fingerprint(&address.tags),
    });
    resource::show(project, "address", &address.id, Some(address.created), more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn an_address_costs_money_until_it_is_given_back() {
        let trial = Trial::new();
        let body = json!({ "name": "a", "labels": { "skyfleet-owner": "ada" } });
        let made = trial.change("POST", "regions/us-west1/addresses", body.clone());
        assert_eq!(trial.refusal("POST", "regions/us-west1/addresses", body).0, 409);
        let shown = trial.get("regions/us-west1/addresses/a");
        assert_eq!((&shown["status"], &shown["id"]), (&json!("RESERVED"), &made["targetId"]));
        assert!(shown["address"].as_str().unwrap().parse::<std::net::Ipv4Addr>().is_ok());
        let all = trial.get("aggregated/addresses?filter=labels.skyfleet-owner%3Dada");
        assert_eq!(all["items"]["regions/us-west1"]["addresses"][0]["name"], "a");
        assert_eq!(all["items"]["global"]["warning"]["code"], "NO_RESULTS_ON_PAGE");
        let live = || trial.face.look(|kernel, _| kernel.ledger(Some("ada")).live.len());
        assert_eq!(live(), 1);
        let numbered = format!("regions/us-west1/addresses/{}", shown["id"].as_str().unwrap());
        trial.change("DELETE", &numbered, Value::Null);
        assert_eq!((live(), trial.names("regions/us-west1/addresses").len()), (0, 0));
        assert_eq!(trial.refusal("DELETE", &numbered, Value::Null).0, 404);
    }
}
