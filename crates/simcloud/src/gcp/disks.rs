//! Persistent disks: those of instances, those they left behind, and those that were made by
//! themselves. The world knows what they cost; what else there is to say of one is noted beside it.

use serde_json::{Map, Value, json};
use skyfleet_core::{Arch, Zone};

use crate::disk::Disk;
use crate::gcp::error::{exists, in_use, invalid, not_found};
use crate::gcp::launched::Details;
use crate::gcp::list::{self, Wanted};
use crate::gcp::made::{self, Made};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::gcp::{disk_types, images, labels, machine_types, resource, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::Whose;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "disks.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/disks/{disk}",
        answer: get,
    },
    Method {
        id: "disks.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/disks",
        answer: list,
    },
    Method {
        id: "disks.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/disks",
        answer: aggregated,
    },
    Method {
        id: "disks.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/disks",
        answer: insert,
    },
    Method {
        id: "disks.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/zones/{zone}/disks/{disk}",
        answer: delete,
    },
    Method {
        id: "disks.setLabels",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/disks/{resource}/setLabels",
        answer: set_labels,
    },
];

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| {
        let disk = found(kernel, request, &request.zone(kernel)?, request.part("disk"))?;
        Ok(show(kernel, state, request.project(), &disk))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let zone = request.zone(kernel)?;
        let disks = kernel.disks(&Whose::default()).into_iter().filter(|disk| disk.zone == zone);
        let shown = disks.map(|disk| show(kernel, state, request.project(), &disk));
        Ok(wanted.page(shown, "compute#diskList", &format!("zones/{zone}/disks"), request))
    })?;
    request.answer(&page)
}

fn aggregated(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let mut scopes = list::zones(kernel);
        scopes.extend(list::regions(kernel));
        let disks = kernel.disks(&Whose::default()).into_iter();
        let shown =
            disks.map(|disk| (Scope::Zone(disk.zone.clone()), show(kernel, state, request.project(), &disk)));
        Ok(wanted.aggregated(shown, &scopes, "compute#diskAggregatedList", "disks", request))
    })?;
    request.answer(&page)
}

/// A disk of an image, or an empty one.
fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = request.body;
    let labels = labels::read(body, "resource.labels")?;
    let asked = made::number(body, "sizeGb")?;
    let source = made::text(body, "sourceImage")?.or_else(|| request.option("sourceImage"));
    for other in ["sourceSnapshot", "sourceDisk"] {
        if let Some(name) = made::text(body, other)? {
            let why = "The referenced resource cannot be found.";
            return Err(invalid(&format!("resource.{other}"), name, why));
        }
    }
    request.change(0, |kernel, state| {
        let zone = request.zone(kernel)?;
        let path = format!("zones/{zone}/disks/{}", made::new_name(request)?);
        if kernel.disk(&path).is_some() {
            return Err(exists(request.project(), &path));
        }
        let kind = made::text(body, "type")?.unwrap_or(disk_types::USUAL);
        let kind = disk_types::named(kind, &zone, "resource.type")?;
        let mut notes = Map::new();
        notes.insert("type".to_owned(), kind.into());
        let mut least = 1;
        if let Some(source) = source {
            let image = images::named(kernel, state, request.project(), source, "resource.sourceImage")?;
            least = image.disk_gib;
            notes.insert("sourceImage".to_owned(), image.name.into());
            notes.insert("architecture".to_owned(), machine_types::architecture(image.arch).into());
        }
        for member in ["description", "architecture"] {
            if let Some(text) = made::text(body, member)? {
                notes.insert(member.to_owned(), text.into());
            }
        }
        let usual = if source.is_some() { least } else { disk_types::usual_gib(kind) };
        let gib = match asked {
            None => usual,
            Some(asked) => u32::try_from(asked).unwrap_or(u32::MAX),
        };
        if !(least..=disk_types::MOST_GIB).contains(&gib) {
            let why =
                format!("Disk size must be between {least} GB and {} GB, inclusive.", disk_types::MOST_GIB);
            return Err(invalid("resource.sizeGb", &gib.to_string(), &why));
        }
        kernel.create_disk_named(&zone, url::last(&path), gib, labels)?;
        let created = Some(kernel.now());
        state.notes.insert(path.clone(), Made { created, body: notes });
        let id = resource::id(&path, created);
        Ok(New::good("insert", Scope::Zone(zone), path, id))
    })
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let zone = request.zone(kernel)?;
        let disk = found(kernel, request, &zone, request.part("disk"))?;
        if let Some(machine) = &disk.machine {
            return Err(in_use(request.project(), &disk.id, machine));
        }
        kernel.delete_disk(&disk.id)?;
        state.notes.remove(&*disk.id);
        let id = resource::id(&disk.id, Some(disk.created));
        Ok(New::good("delete", Scope::Zone(zone), disk.id.to_string(), id))
    })
}

fn set_labels(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, _| {
        let zone = request.zone(kernel)?;
        let disk = found(kernel, request, &zone, request.part("resource"))?;
        let labels = labels::changed(request.body, &disk.tags)?;
        kernel.retag(&disk.id, |tags| *tags = (*labels).clone());
        let id = resource::id(&disk.id, Some(disk.created));
        Ok(New::good("setLabels", Scope::Zone(zone), disk.id.to_string(), id))
    })
}

/// A disk of a zone by its name or its number.
fn found(kernel: &Kernel, request: &Request<'_>, zone: &Zone, name: &str) -> Result<Disk, Refusal> {
    let path = format!("zones/{zone}/disks/{name}");
    let by_number = || {
        let number: u64 = name.parse().ok()?;
        let mut all = kernel.disks(&Whose::default()).into_iter();
        all.find(|disk| disk.zone == *zone && resource::id(&disk.id, Some(disk.created)) == number)
    };
    kernel.disk(&path).or_else(by_number).ok_or_else(|| not_found(request.project(), &path))
}

fn show(kernel: &Kernel, state: &State, project: &str, disk: &Disk) -> Value {
    let zone = &disk.zone;
    let notes = state.notes.get(&*disk.id).filter(|notes| {
        // A machine's own disk has its name from another one that was there before.
        notes.created == Some(disk.created) || disk.machine.is_some()
    });
    let boot = details(kernel, state, disk).map(|details| &details.boot);
    let boot = boot.filter(|boot| boot.image.is_some() || notes.is_none());
    let noted = |member: &str| notes.map(|notes| notes.text(member)).filter(|text| !text.is_empty());
    let (kind, image, arch) = match boot {
        Some(boot) => (boot.kind.as_str(), boot.image.as_deref(), Some(boot.architecture)),
        None => (
            noted("type").unwrap_or(disk_types::USUAL),
            noted("sourceImage"),
            noted("architecture").or_else(|| image_arch(kernel, disk)),
        ),
    };
    let users = disk.machine.as_ref().map(|machine| json!([url::link(project, machine)]));
    let more = json!({
        "description": noted("description"),
        "sizeGb": disk.gib.to_string(),
        "status": "READY",
        "type": url::link(project, &format!("zones/{zone}/diskTypes/{kind}")),
        "zone": url::link(project, &format!("zones/{zone}")),
        "sourceImage": image.map(|image| format!("{}/{image}", url::ROOT)),
        "architecture": arch,
        "users": users,
        "lastAttachTimestamp": disk.machine.as_ref().map(|_| disk.created.to_string()),
        "labels": (!disk.tags.is_empty()).then(|| json!(*disk.tags)),
        "labelFingerprint": labels::fingerprint(&disk.tags),
        "physicalBlockSizeBytes": "4096",
        "enableConfidentialCompute": false,
        "satisfiesPzi": false,
        "satisfiesPzs": false,
    });
    resource::show(project, "disk", &disk.id, Some(disk.created), more)
}

/// The launch of the instance that a disk was made with.
fn details<'s>(kernel: &Kernel, state: &'s State, disk: &Disk) -> Option<&'s Details> {
    let instance = disk.id.replacen("/disks/", "/instances/", 1);
    let m = *kernel.by_id.get(instance.as_str())?;
    let launch = kernel.machines[m as usize].lot;
    state.launched.of(launch).map(|details| &**details)
}

/// The architecture of the machine that has a disk.
fn image_arch(kernel: &Kernel, disk: &Disk) -> Option<&'static str> {
    let m = *kernel.by_id.get(disk.machine.as_ref()?)?;
    let arch: Arch = kernel.offer(kernel.machines[m as usize].pool).instance_type.arch;
    Some(machine_types::architecture(arch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    const DISKS: &str = "zones/us-central1-a/disks";

    #[test]
    fn a_disk_of_an_image_is_as_big_as_the_image_unless_it_says_otherwise() {
        let trial = Trial::new();
        let image = "projects/rocky-linux-cloud/global/images/family/rocky-linux-9-arm64";
        let made = trial.change("POST", DISKS, json!({ "name": "d", "sourceImage": image }));
        let disk = trial.get(&format!("{DISKS}/d"));
        assert_eq!((&disk["sizeGb"], &disk["architecture"]), (&json!("20"), &json!("ARM64")));
        assert_eq!(disk["id"], made["targetId"]);
        assert!(disk["type"].as_str().unwrap().ends_with("/zones/us-central1-a/diskTypes/pd-standard"));
        assert!(disk["sourceImage"].as_str().unwrap().contains("/projects/rocky-linux-cloud/global/images/"));
        for bad in [
            json!({ "name": "e", "sourceImage": image, "sizeGb": "10" }),
            json!({ "name": "e", "sizeGb": "0" }),
            json!({ "name": "e", "sizeGb": "lots" }),
            json!({ "name": "e", "type": "pd-golden" }),
            json!({ "name": "e", "labels": { "A": "b" } }),
            json!({ "sizeGb": "10" }),
        ] {
            assert_eq!(trial.refusal("POST", DISKS, bad.clone()).0, 400, "{bad}");
        }
        let again = trial.refusal("POST", DISKS, json!({ "name": "d", "sizeGb": "10" }));
        assert_eq!(again, (409, "alreadyExists".to_owned()));
    }

    #[test]
    fn a_disk_costs_money_until_it_is_deleted_and_is_found_by_its_labels() {
        let trial = Trial::new();
        let labels = json!({ "skyfleet-owner": "ada" });
        let body = json!({ "name": "d", "sizeGb": "100", "type": "pd-balanced", "labels": labels });
        trial.change("POST", DISKS, body);
        let found = |filter: &str| {
            let all = trial.get(&format!("aggregated/disks?filter={filter}"));
            all["items"]["zones/us-central1-a"]["disks"].as_array().map_or(0, Vec::len)
        };
        assert_eq!((found("labels.skyfleet-owner%3Dada"), found("labels.skyfleet-owner%3Dbob")), (1, 0));
        let live = |owner: &str| trial.face.look(|kernel, _| kernel.ledger(Some(owner)).live.len());
        assert_eq!((live("ada"), live("bob")), (1, 0));

        let print = trial.get(&format!("{DISKS}/d"))["labelFingerprint"].clone();
        let other = json!({ "labels": { "skyfleet-owner": "bob" }, "labelFingerprint": print });
        trial.change("POST", &format!("{DISKS}/d/setLabels"), other.clone());
        assert_eq!((live("ada"), live("bob")), (0, 1));
        assert_eq!(trial.refusal("POST", &format!("{DISKS}/d/setLabels"), other).0, 412);

        trial.change("DELETE", &format!("{DISKS}/d"), Value::Null);
        assert_eq!((live("bob"), trial.names(DISKS).len()), (0, 0));
        assert_eq!(trial.refusal("DELETE", &format!("{DISKS}/d"), Value::Null).0, 404);
    }
}
