//! Managed disks: those that callers make, those of machines, and those that outlived theirs.

use serde_json::{Map, Value, json};
use skyfleet_core::Zone;

use crate::azure::error::{coded, invalid, not_found};
use crate::azure::id::Id;
use crate::azure::made::{self, Here};
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, groups, list};
use crate::disk::Disk;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::Whose;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "disks.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "disks.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "disks.PATCH", verb: "PATCH", path: ONE, answer: patch },
    Method { id: "disks.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method {
        id: "disks.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/disks",
        answer: list_all,
    },
    Method {
        id: "disks.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Compute/disks",
        answer: list_all,
    },
];

const ONE: &str =
    "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/disks/{name}";

const KIND: &str = "Microsoft.Compute/disks";

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(&made::called(request), 0, |kernel, state| {
        let wanted = made::wanted(kernel, state, request, KIND)?;
        let id = wanted.id.to_string();
        let body = Map::from_iter(["properties", "sku", "zones"].into_iter().filter_map(|member| {
            let value = request.body.get(member).filter(|value| !value.is_null())?;
            Some((member.to_owned(), value.clone()))
        }));
        let gib = &made::properties(request.body)?.remove("diskSizeGB").unwrap_or_default();
        let Some(gib) = gib.as_u64().and_then(|gib| u32::try_from(gib).ok()) else {
            return Err(invalid("diskSizeGB", "It must be a number of GiB."));
        };
        match kernel.disk(&id) {
            Some(disk) if disk.gib != gib => {
                return Err(resized());
            }
            Some(_) => {
                kernel.retag(&id, |tags| *tags = (*wanted.tags).clone());
            }
            None => {
                let zones = kernel.zones(wanted.location.as_str());
                let said = request.body["zones"][0].as_str();
                let own = |zone: &&Zone| said.is_none_or(|said| number(zone) == said);
                let Some(zone) = zones.iter().find(own) else {
                    return Err(invalid("zones", "The location has no such zone."));
                };
                kernel.create_disk_named(zone, &id, gib, wanted.tags.clone())?;
            }
        }
        made::note(kernel, state, &wanted, body);
        let disk = kernel.disk(&id).ok_or_else(|| not_found(KIND, wanted.id.name(), &wanted.id.group))?;
        let shown = show(state, &wanted.id, &disk);
        // Compute API reference, "Disks - Create Or Update": accepted, whether it is new or not.
        let headers = made::begin(kernel, state, request, &wanted.id, &wanted.location);
        Ok(Answer::new(202, &shown)?.with(headers))
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        let (id, disk) = found(kernel, state, request)?;
        Answer::ok(&show(state, &id, &disk))
    })
}

/// Changes the tags, which is all that can be changed.
fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    let tags = made::tags(request.body)?;
    let size = made::properties(request.body)?.remove("diskSizeGB").filter(|size| !size.is_null());
    request.change("global", 0, |kernel, state| {
        let (id, disk) = found(kernel, state, request)?;
        groups::stays(state, &id)?;
        if size.is_some_and(|size| size != disk.gib) {
            return Err(resized());
        }
        if !request.body["tags"].is_null() {
            kernel.retag(&disk.id, |own| *own = (*tags).clone());
        }
        let (id, disk) = found(kernel, state, request)?;
        let headers = made::begin(kernel, state, request, &id, &disk.region);
        Ok(Answer::new(202, &show(state, &id, &disk))?.with(headers))
    })
}

fn resized() -> Refusal {
    coded(409, "OperationNotAllowed", "Changing the size of a disk is not simulated.")
}

fn list_all(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look("global", |kernel, state| {
        let here = Here::of(state, request)?;
        let all = all(kernel).filter(|(id, _)| here.has(id));
        Ok(all.map(|(id, disk)| show(state, &id, &disk)).collect())
    })?;
    list::page(request, shown, 1_000)
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let Ok((id, disk)) = found(kernel, state, request) else {
            made::id_of(state, request, KIND)?;
            return Ok(Answer::empty(204));
        };
        match kernel.delete_disk(&disk.id) {
            Ok(_) => {}
            Err(Refusal::InUse { .. }) => {
                let message =
                    format!("Disk {} is attached to VM {}.", id.name(), disk.machine.unwrap_or_default());
                return Err(coded(409, "OperationNotAllowed", message));
            }
            Err(other) => return Err(other),
        }
        state.made.remove(&id.key());
        Ok(Answer::empty(202).with(made::begin(kernel, state, request, &id, &disk.region)))
    })
}

/// A disk as it is told; `None` for what is none.
pub(crate) fn whole(kernel: &Kernel, state: &State, id: &Id) -> Option<Value> {
    let disk = Some(id).filter(|id| id.is_a(KIND)).and_then(|id| kernel.disk(&id.to_string()))?;
    Some(show(state, id, &disk))
}

fn all(kernel: &Kernel) -> impl Iterator<Item = (Id, Disk)> {
    let all = kernel.disks(&Whose::default()).into_iter();
    all.filter_map(|disk| Some((Id::parse(&disk.id)?, disk)))
}

fn found(kernel: &Kernel, state: &State, request: &Request<'_>) -> Result<(Id, Disk), Refusal> {
    let id = made::id_of(state, request, KIND)?;
    let exact = kernel.disk(&id.to_string()).map(|disk| (id.clone(), disk));
    let any = || all(kernel).find(|(other, _)| other.key() == id.key());
    exact.or_else(any).ok_or_else(|| not_found(KIND, id.name(), &id.group))
}

/// `1` of `eastus-1`.
fn number(zone: &Zone) -> &str {
    zone.as_str().rsplit_once('-').map_or("", |(_, number)| number)
}

fn show(state: &State, id: &Id, disk: &Disk) -> Value {
    let mut shown = json!({
        "id": disk.id,
        "name": id.name(),
        "type": KIND,
        "location": disk.region,
        "tags": *disk.tags,
        "sku": { "name": "StandardSSD_LRS", "tier": "Standard" },
        "properties": {},
    });
    match state.made.get(&id.key()) {
        Some(made) => shown.as_object_mut().into_iter().for_each(|shown| shown.extend(made.body.clone())),
        // The disk that a machine boots from.
        None => {
            shown["zones"] = json!([number(&disk.zone)]);
            shown["properties"] =
                json!({ "osType": "Linux", "creationData": { "createOption": "FromImage" } });
        }
    }
    if let Some(machine) = &disk.machine {
        shown["managedBy"] = (**machine).into();
    }
    let properties = &mut shown["properties"];
    properties["diskSizeGB"] = disk.gib.into();
    properties["diskState"] = if disk.machine.is_some() { "Attached" } else { "Unattached" }.into();
    properties["timeCreated"] = disk.created.to_string().into();
    properties["provisioningState"] = "Succeeded".into();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn a_disk_costs_money_until_it_is_deleted() {
        let trial = Trial::with_group();
        let path = "/resourceGroups/g/providers/Microsoft.Compute/disks/D";
        let body = |zone: &str| {
            json!({ "location": "eastus", "zones": [zone], "tags": { "skyfleet-owner": "ada" },
            "properties": { "diskSizeGB": 32, "creationData": { "createOption": "Empty" } } })
        };
        assert_eq!(trial.refusal("PUT", path, body("9")).1, "InvalidParameter");
        trial.done("PUT", path, body("2"));
        let shown = trial.get(&path.to_lowercase());
        assert_eq!((&shown["name"], &shown["properties"]["diskState"]), (&json!("D"), &json!("Unattached")));
        assert_eq!((trial.live("ada"), &shown["zones"]), (1, &json!(["2"])));
        trial.done("PATCH", path, json!({ "tags": { "skyfleet-owner": "ada", "b": "c" } }));
        assert_eq!(trial.get(path)["tags"]["b"], "c");
        let bigger = trial.refusal("PATCH", path, json!({ "properties": { "diskSizeGB": 64 } }));
        assert_eq!(bigger.1, "OperationNotAllowed");
        trial.done("DELETE", path, Value::Null);
        assert_eq!((trial.live("ada"), trial.names("/providers/Microsoft.Compute/disks").len()), (0, 0));
    }
}
