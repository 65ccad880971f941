//! Instance templates, of the project and of a region: what the instances of a group, or of a bulk
//! insert, are made of. A template is kept as it was given.

use serde_json::{Map, Value, json};

use crate::fixture::FixtureKind;
use crate::gcp::error::{invalid, required};
use crate::gcp::list::{self, Wanted};
use crate::gcp::made::{self, Made, Store};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::resource::print_of;
use crate::gcp::url::Scope;
use crate::gcp::{labels, resource, url};
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "instanceTemplates.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/instanceTemplates/{instanceTemplate}",
        answer: get,
    },
    Method {
        id: "instanceTemplates.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/instanceTemplates",
        answer: list,
    },
    Method {
        id: "instanceTemplates.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/global/instanceTemplates",
        answer: insert,
    },
    Method {
        id: "instanceTemplates.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/global/instanceTemplates/{instanceTemplate}",
        answer: delete,
    },
    Method {
        id: "instanceTemplates.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/instanceTemplates",
        answer: aggregated,
    },
    Method {
        id: "regionInstanceTemplates.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/instanceTemplates/{instanceTemplate}",
        answer: get,
    },
    Method {
        id: "regionInstanceTemplates.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/instanceTemplates",
        answer: list,
    },
    Method {
        id: "regionInstanceTemplates.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/instanceTemplates",
        answer: insert,
    },
    Method {
        id: "regionInstanceTemplates.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/regions/{region}/instanceTemplates/{instanceTemplate}",
        answer: delete,
    },
];

/// The members of `InstanceProperties` in the discovery document.
const PROPERTIES: [&str; 23] = [
    "advancedMachineFeatures",
    "canIpForward",
    "confidentialInstanceConfig",
    "description",
    "disks",
    "guestAccelerators",
    "keyRevocationActionType",
    "labels",
    "localSsdEncryptionMode",
    "machineType",
    "metadata",
    "minCpuPlatform",
    "networkInterfaces",
    "networkPerformanceConfig",
    "privateIpv6GoogleAccess",
    "reservationAffinity",
    "resourceManagerTags",
    "resourcePolicies",
    "scheduling",
    "serviceAccounts",
    "shieldedInstanceConfig",
    "tags",
    "workloadIdentityConfig",
];

fn path(scope: &Scope, name: &str) -> String {
    format!("{scope}/instanceTemplates/{name}")
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| {
        let path = path(&request.scope(kernel)?, request.part("instanceTemplate"));
        let (path, made) = made::found(made::all(kernel, state), request.project(), &path)?;
        Ok(show(request.project(), path, made))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let path = format!("{}/instanceTemplates", request.scope(kernel)?);
        let shown = of(made::all(kernel, state), request.project(), &path);
        Ok(wanted.page(shown.into_iter(), "compute#instanceTemplateList", &path, request))
    })?;
    request.answer(&page)
}

fn aggregated(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let mut scopes = list::regions(kernel);
        scopes.push(Scope::Global);
        let store = made::all(kernel, state);
        let shown = scopes.iter().flat_map(|scope| {
            let there = of(store, request.project(), &format!("{scope}/instanceTemplates")).into_iter();
            there.map(|shown| (scope.clone(), shown))
        });
        let kind = "compute#instanceTemplateAggregatedList";
        Ok(wanted.aggregated(shown, &scopes, kind, "instanceTemplates", request))
    })?;
    request.answer(&page)
}

fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asked = request.body;
    let Value::Object(given) = &asked["properties"] else { return Err(required("resource.properties")) };
    let machine_type = given.get("machineType").and_then(Value::as_str).unwrap_or_default();
    if machine_type.is_empty() {
        return Err(required("resource.properties.machineType"));
    }
    for member in ["disks", "networkInterfaces"] {
        let items = given.get(member).and_then(Value::as_array);
        if items.is_none_or(Vec::is_empty) {
            let why = format!("At least one of {member} must be specified.");
            return Err(invalid(&format!("resource.properties.{member}"), "", &why));
        }
    }
    let tags = labels::read(&asked["properties"], "resource.properties.labels")?;
    let known = given.iter().filter(|(member, _)| PROPERTIES.contains(&member.as_str()));
    let properties: Map<String, Value> =
        known.map(|(member, value)| (member.clone(), value.clone())).collect();
    let description = made::text(asked, "description")?;
    request.change(0, |kernel, state| {
        let scope = request.scope(kernel)?;
        let collection = format!("{scope}/instanceTemplates");
        let path = made::new_path(request, made::all(kernel, state), &collection)?;
        let mut body = Map::new();
        body.extend(description.map(|text| ("description".to_owned(), text.into())));
        body.insert("properties".to_owned(), Value::Object(properties));
        let region = url::after("regions", &path).unwrap_or("global").to_owned();
        made::keep(kernel, state, (FixtureKind::Template, &path, &region), body, (*tags).clone());
        let id = resource::id(&path, Some(kernel.now()));
        Ok(New::good("insert", scope, path, id))
    })
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let scope = request.scope(kernel)?;
        let path = path(&scope, request.part("instanceTemplate"));
        let id = made::delete(kernel, state, request.project(), &path)?;
        Ok(New::good("delete", scope, path, id))
    })
}

fn of(store: &Store, project: &str, collection: &str) -> Vec<Value> {
    made::of(store, collection).map(|(path, made)| show(project, path, made)).collect()
}

/// With what Compute Engine adds to what it was given: kinds and fingerprints.
fn show(project: &str, path: &str, made: &Made) -> Value {
    let mut more = made.body.clone();
    if let Some(properties) = more.get_mut("properties") {
        for (member, kind) in [("metadata", Some("compute#metadata")), ("tags", None)] {
            if let Some(Value::Object(inside)) = properties.get_mut(member) {
                let print = print_of(&[&Value::Object(inside.clone()).to_string()]);
                inside.insert("fingerprint".to_owned(), print.into());
                inside.extend(kind.map(|kind| ("kind".to_owned(), kind.into())));
            }
        }
        add_to_each(
            properties.get_mut("networkInterfaces"),
            |number| json!({ "kind": "compute#networkInterface", "name": format!("nic{number}") }),
        );
        for nic in properties["networkInterfaces"].as_array_mut().into_iter().flatten() {
            add_to_each(nic.get_mut("accessConfigs"), |_| json!({ "kind": "compute#accessConfig" }));
        }
        add_to_each(
            properties.get_mut("disks"),
            |number| json!({ "kind": "compute#attachedDisk", "index": number }),
        );
    }
    if let Some(region) = url::after("regions", path) {
        more.insert("region".to_owned(), url::link(project, &format!("regions/{region}")).into());
    }
    resource::show(project, "instanceTemplate", path, made.created, Value::Object(more))
}

fn add_to_each(list: Option<&mut Value>, added: impl Fn(usize) -> Value) {
    let items = list.and_then(Value::as_array_mut).into_iter().flatten();
    for (number, item) in items.enumerate() {
        if let (Value::Object(item), Value::Object(added)) = (item, added(number)) {
            item.extend(added);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    fn template(name: &str) -> Value {
        json!({
            "name": name,
            "properties": {
                "machineType": "n2-standard-2",
                "disks": [{ "boot": true, "initializeParams": { "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
                "networkInterfaces": [{ "network": "global/networks/default" }],
                "metadata": { "items": [{ "key": "startup-script", "value": "true" }] },
                "labels": { "skyfleet-owner": "ada" },
                "unheard": "of",
            },
        })
    }

    #[test]
    fn a_template_is_its_owners_by_its_labels_until_it_is_deleted() {
        let trial = Trial::new();
        trial.change("POST", "global/instanceTemplates", template("t"));
        trial.change("POST", "regions/us-west1/instanceTemplates", template("t"));
        assert_eq!(trial.refusal("POST", "global/instanceTemplates", template("t")).0, 409);
        let left = || {
            trial.face.look(|kernel, _| {
                let left = kernel.ledger(Some("ada")).blocking;
                left.iter().map(|fixture| fixture.id.to_string()).collect::<Vec<_>>()
            })
        };
        assert_eq!(left(), ["global/instanceTemplates/t", "regions/us-west1/instanceTemplates/t"]);
        let shown = trial.get("global/instanceTemplates/t");
        let properties = &shown["properties"];
        assert_eq!(properties["networkInterfaces"][0]["name"], "nic0");
        assert_eq!(properties.get("unheard"), None, "no member that the API does not have");
        assert!(properties["metadata"]["fingerprint"].is_string());
        let all = trial.get("aggregated/instanceTemplates");
        assert_eq!(all["items"]["global"]["instanceTemplates"][0]["name"], "t");
        assert_eq!(all["items"]["regions/us-west1"]["instanceTemplates"][0]["name"], "t");
        trial.change("DELETE", "global/instanceTemplates/t", Value::Null);
        trial.change("DELETE", "regions/us-west1/instanceTemplates/t", Value::Null);
        assert!(left().is_empty());
    }

    #[test]
    fn a_template_without_the_least_is_refused() {
        let trial = Trial::new();
        for member in ["machineType", "disks", "networkInterfaces"] {
            let mut body = template("t");
            body["properties"].as_object_mut().unwrap().remove(member);
            assert_eq!(trial.refusal("POST", "global/instanceTemplates", body).0, 400, "{member}");
        }
        assert_eq!(trial.refusal("POST", "global/instanceTemplates", json!({ "name": "t" })).0, 400);
    }
}
