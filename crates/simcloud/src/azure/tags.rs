//! The tags of anything, by themselves. Azure documentation, "Tags - REST API".

use serde_json::{Value, json};

use crate::azure::error::{coded, invalid, not_found};
use crate::azure::id::Id;
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, groups, inventory, made};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::tags::Tags;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "tags.GET", verb: "GET", path: GROUP, answer: get },
    Method { id: "tags.PUT", verb: "PUT", path: GROUP, answer: put },
    Method { id: "tags.PATCH", verb: "PATCH", path: GROUP, answer: patch },
    Method { id: "tags.DELETE", verb: "DELETE", path: GROUP, answer: delete },
    Method { id: "tags.GET", verb: "GET", path: RESOURCE, answer: get },
    Method { id: "tags.PUT", verb: "PUT", path: RESOURCE, answer: put },
    Method { id: "tags.PATCH", verb: "PATCH", path: RESOURCE, answer: patch },
    Method { id: "tags.DELETE", verb: "DELETE", path: RESOURCE, answer: delete },
];

const GROUP: &str =
    "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Resources/tags/default";
const RESOURCE: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{kind}/{name}/providers/Microsoft.Resources/tags/default";

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        let id = found(kernel, state, request)?;
        answer(kernel, &id)
    })
}

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    let tags = made::tags(&request.body["properties"])?;
    change(request, |own| *own = (*tags).clone())
}

fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    let tags = made::tags(&request.body["properties"])?;
    match request.body["operation"].as_str().map(str::to_lowercase).as_deref() {
        Some("merge") => change(request, |own| own.extend((*tags).clone())),
        Some("replace") => change(request, |own| *own = (*tags).clone()),
        Some("delete") => change(request, |own| own.retain(|name, _| !tags.contains_key(name))),
        _ => Err(invalid("operation", "It must be Merge, Replace or Delete.")),
    }
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    change(request, Tags::clear)?;
    Ok(Answer::empty(200))
}

fn change(request: &Request<'_>, change: impl FnOnce(&mut Tags)) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let id = found(kernel, state, request)?;
        groups::stays(state, &id)?;
        let mut tags = kernel.tags_of(&id.to_string()).map(|tags| (*tags).clone()).unwrap_or_default();
        change(&mut tags);
        // What is too much in the end is refused before anything is changed.
        let tags = made::tags(&json!({ "tags": tags }))?;
        if !kernel.retag(&id.to_string(), |own| *own = (*tags).clone()) {
            return Err(coded(
                409,
                "OperationNotAllowed",
                format!("The tags of {id} cannot be changed now."),
            ));
        }
        answer(kernel, &id)
    })
}

/// What a path names, as it is called.
fn found(kernel: &Kernel, state: &State, request: &Request<'_>) -> Result<Id, Refusal> {
    let group = groups::find(state, request)?;
    let (namespace, kind, name) = (request.part("namespace"), request.part("kind"), request.part("name"));
    if name.is_empty() {
        return Ok(group.clone());
    }
    let wanted = Id::new(&group.subscription, &group.group, &format!("{namespace}/{kind}"), &[name]);
    let found = inventory::find(kernel, state, &wanted);
    found.ok_or_else(|| not_found(&wanted.kind, name, &group.group))
}

fn answer(kernel: &Kernel, id: &Id) -> Result<Answer, Refusal> {
    let tags = kernel.tags_of(&id.to_string()).unwrap_or_default();
    Answer::ok(&json!({
        "id": format!("{id}/providers/Microsoft.Resources/tags/default"),
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": { "tags": if tags.is_empty() { Value::Object(serde_json::Map::new()) } else { json!(*tags) } },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn tags_are_merged_replaced_and_deleted() {
        let trial = Trial::with_group();
        let disk = "/resourceGroups/g/providers/Microsoft.Compute/disks/d";
        let body = json!({ "location": "eastus", "tags": { "a": "1" }, "properties": { "diskSizeGB": 1 } });
        trial.done("PUT", disk, body);
        let path = |scope: &str| format!("{scope}/providers/Microsoft.Resources/tags/default");
        let patch = |scope: &str, operation: &str, tags: Value| {
            let body = json!({ "operation": operation, "properties": { "tags": tags } });
            trial.done("PATCH", &path(scope), body)["properties"]["tags"].clone()
        };
        assert_eq!(patch(&disk.to_uppercase(), "Merge", json!({ "b": "2" })), json!({ "a": "1", "b": "2" }));
        assert_eq!(trial.get(disk)["tags"], json!({ "a": "1", "b": "2" }));
        assert_eq!(patch(disk, "Delete", json!({ "a": "" })), json!({ "b": "2" }));
        assert_eq!(patch("/resourceGroups/g", "Replace", json!({ "c": "3" })), json!({ "c": "3" }));
        assert_eq!(trial.get(&path("/resourceGroups/g"))["properties"]["tags"], json!({ "c": "3" }));
        trial.done("DELETE", &path(disk), Value::Null);
        assert_eq!(trial.get(&path(disk))["properties"]["tags"], json!({}));
        let body = json!({ "operation": "Add", "properties": { "tags": {} } });
        assert_eq!(trial.refusal("PATCH", &path(disk), body).0, 400);
        assert_eq!(
            trial
                .refusal("GET", &path("/resourceGroups/g/providers/Microsoft.Compute/disks/e"), Value::Null)
                .0,
            404
        );
        let many: serde_json::Map<_, _> = (0..50).map(|n| (format!("t{n}"), "x".into())).collect();
        patch(disk, "Merge", many.into());
        let body = json!({ "operation": "Merge", "properties": { "tags": { "one": "more" } } });
        assert_eq!(trial.refusal("PATCH", &path(disk), body).1, "InvalidTagsFormat");
    }
}
