//! Images: those that everybody may use, and those of the caller's own, which cost nothing here.

use serde_json::{Map, Value, json};
use skyfleet_core::{Arch, Timestamp};

use crate::gcp::error::{coded, invalid, not_found, required};
use crate::gcp::list::Wanted;
use crate::gcp::made::{self, Made};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::gcp::{labels, machine_types, resource, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

mod public;

pub(crate) use public::is_public;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "images.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/images/{image}",
        answer: get,
    },
    Method {
        id: "images.getFromFamily",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/images/family/{family}",
        answer: get_from_family,
    },
    Method {
        id: "images.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/images",
        answer: list,
    },
    Method {
        id: "images.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/global/images",
        answer: insert,
    },
    Method {
        id: "images.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/global/images/{image}",
        answer: delete,
    },
];

/// When the published images were published: 2026-09-15.
const PUBLISHED_S: i64 = 1_789_430_400;

/// What a launch must know of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// Its name as disks show it: `projects/debian-cloud/global/images/debian-12-bookworm-v20260915`.
    pub(crate) name: String,
    pub(crate) arch: Arch,
    /// A disk of it is at least that big.
    pub(crate) disk_gib: u32,
}

/// The image that a name in any form means: of an image, or of a family, whose latest it is. A name
/// without a project is of the caller's own.
///
/// # Errors
/// `invalid` with the field for an image that there is not.
pub(crate) fn named(
    kernel: &Kernel,
    state: &mut State,
    project: &str,
    written: &str,
    field: &str,
) -> Result<Image, Refusal> {
    let (of, path) = (url::project(written).unwrap_or(project), url::path(written));
    let short = path.strip_prefix("global/images/").unwrap_or(path);
    // As a zone sees a family, which gcloud asks for: `zones/-/imageFamilyViews/debian-12`.
    let family = short.strip_prefix("family/").or_else(|| url::after("imageFamilyViews", path));
    let found = match family {
        Some(family) => latest(kernel, state, of, family),
        None => by_name(kernel, state, of, short),
    };
    let shown =
        found.ok_or_else(|| invalid(field, written, "The referenced image resource cannot be found."))?;
    let gib = shown["diskSizeGb"].as_str().and_then(|gib| gib.parse().ok());
    Ok(Image {
        name: format!("projects/{of}/global/images/{}", shown["name"].as_str().unwrap_or_default()),
        arch: if shown["architecture"] == "ARM64" { Arch::Arm64 } else { Arch::X86_64 },
        disk_gib: gib.unwrap_or(kernel.rules().extras.disk_gib_default),
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let name = request.part("image");
    let shown = request.look(|kernel, state| {
        let found = by_name(kernel, state, request.project(), name);
        found.ok_or_else(|| not_found(request.project(), &format!("global/images/{name}")))
    })?;
    request.answer(&shown)
}

/// The latest image of a family that is not deprecated.
fn get_from_family(request: &Request<'_>) -> Result<Answer, Refusal> {
    let family = request.part("family");
    let shown = request.look(|kernel, state| {
        let found = latest(kernel, state, request.project(), family);
        found.ok_or_else(|| not_found(request.project(), &format!("global/images/family/{family}")))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let all = all(kernel, state, request.project()).into_iter();
        Ok(wanted.page(all, "compute#imageList", "global/images", request))
    })?;
    request.answer(&page)
}

/// An image of a disk, of another image or of a raw disk in a bucket. One of a bucket is taken to be
/// as big as the request says.
fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = request.body;
    let labels = labels::read(body, "resource.labels")?;
    let (disk, image) = (made::text(body, "sourceDisk")?, made::text(body, "sourceImage")?);
    let raw = body["rawDisk"]["source"].as_str();
    let gib = made::number(body, "diskSizeGb")?;
    request.change(0, |kernel, state| {
        own_project(request)?;
        let path = made::new_path(request, made::all(kernel, state), "global/images")?;
        let mut kept = Map::new();
        let (least, arch) = match (disk, image, raw) {
            (Some(disk), None, None) => {
                let source = url::path(disk);
                let found = kernel.disk(source).ok_or_else(|| not_found(request.project(), source))?;
                kept.insert("sourceDisk".to_owned(), source.into());
                (u64::from(found.gib), Arch::X86_64)
            }
            (None, Some(image), None) => {
                let found = named(kernel, state, request.project(), image, "resource.sourceImage")?;
                kept.insert("sourceImage".to_owned(), found.name.into());
                (u64::from(found.disk_gib), found.arch)
            }
            (None, None, Some(_)) => (gib.unwrap_or(10), Arch::X86_64),
            _ => return Err(required("resource.sourceDisk")),
        };
        if let Some(gib) = gib.filter(|gib| *gib < least) {
            let why = format!("The size cannot be smaller than that of the source: {least} GB.");
            return Err(invalid("resource.diskSizeGb", &gib.to_string(), &why));
        }
        let arch = body["architecture"].as_str().unwrap_or(machine_types::architecture(arch));
        kept.insert("architecture".to_owned(), arch.into());
        kept.insert("diskSizeGb".to_owned(), gib.unwrap_or(least).to_string().into());
        for member in ["description", "family"] {
            if let Some(text) = made::text(body, member)? {
                kept.insert(member.to_owned(), text.into());
            }
        }
        kept.insert("labels".to_owned(), json!(*labels));
        kept.insert("labelFingerprint".to_owned(), labels::fingerprint(&labels).into());
        let created = Some(kernel.now());
        let id = resource::id(&path, created);
        made::all(kernel, state).insert(path.clone(), Made { created, body: kept });
        Ok(New::good("insert", Scope::Global, path, id))
    })
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        own_project(request)?;
        let path = format!("global/images/{}", request.part("image"));
        let id = made::delete(kernel, state, request.project(), &path)?;
        Ok(New::good("delete", Scope::Global, path, id))
    })
}

/// The published images can only be read.
fn own_project(request: &Request<'_>) -> Result<(), Refusal> {
    if !is_public(request.project()) {
        return Ok(());
    }
    let permission = request.method.replacen("images.", "compute.images.", 1);
    let message = format!(
        "Required '{}' permission for 'projects/{}'",
        permission.replace("insert", "create"),
        request.project()
    );
    Err(coded(403, "forbidden", message))
}

fn by_name(kernel: &Kernel, state: &mut State, project: &str, name: &str) -> Option<Value> {
    let mut all = all(kernel, state, project).into_iter();
    all.find(|image| image["name"] == name || image["id"] == name)
}

fn latest(kernel: &Kernel, state: &mut State, project: &str, family: &str) -> Option<Value> {
    let all = all(kernel, state, project).into_iter().filter(|image| image["family"] == family);
    all.max_by(|a, b| {
        let time = |image: &Value| image["creationTimestamp"].as_str().map(str::to_owned);
        time(a).cmp(&time(b))
    })
}

/// The images of a project.
fn all(kernel: &Kernel, state: &mut State, project: &str) -> Vec<Value> {
    if is_public(project) {
        let published = Timestamp::from_second(PUBLISHED_S).ok();
        let images = public::IMAGES.iter().filter(|image| image.project == project);
        let shown = images.map(|image| {
            let more = json!({
                "description": image.description,
                "family": image.family,
                "architecture": machine_types::architecture(image.arch),
                "diskSizeGb": image.disk_gib.to_string(),
            });
            show(project, &format!("global/images/{}", image.name), published, more)
        });
        return shown.collect();
    }
    let own = made::of(made::all(kernel, state), "global/images");
    own.map(|(path, made)| {
        let mut more = made.body.clone();
        for source in ["sourceDisk", "sourceImage"] {
            if let Some(Value::String(path)) = more.get_mut(source) {
                *path = match path.starts_with("projects/") {
                    true => format!("{}/{path}", url::ROOT),
                    false => url::link(project, path),
                };
            }
        }
        show(project, path, made.created, Value::Object(more))
    })
    .collect()
}

fn show(project: &str, path: &str, created: Option<Timestamp>, more: Value) -> Value {
    let mut shown = resource::show(project, "image", path, created, more);
    shown["status"] = "READY".into();
    shown["sourceType"] = "RAW".into();
    shown["storageLocations"] = json!(["us"]);
    // Compute Engine measures this; half of the disk is what an image usually packs into.
    let gib: u64 = shown["diskSizeGb"].as_str().and_then(|gib| gib.parse().ok()).unwrap_or(10);
    shown["archiveSizeBytes"] = (gib << 29).to_string().into();
    shown["guestOsFeatures"] = ["UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE", "GVNIC"]
        .map(|feature| json!({ "type": feature }))
        .into();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    fn resolve(trial: &Trial, written: &str) -> Result<Image, Refusal> {
        trial.face.look(|kernel, state| named(kernel, state, "p", written, "resource.disks[0]"))
    }

    #[test]
    fn a_family_means_its_latest_image() {
        let trial = Trial::new();
        let (_, image) = trial.ask(
            "GET",
            "/compute/v1/projects/debian-cloud/global/images/family/debian-12-arm64",
            Value::Null,
        );
        assert_eq!(
            (&image["architecture"], &image["diskSizeGb"], &image["status"]),
            (&json!("ARM64"), &json!("10"), &json!("READY"))
        );
        let name = image["name"].as_str().unwrap();
        let (status, same) =
            trial.ask("GET", &format!("/compute/v1/projects/debian-cloud/global/images/{name}"), Value::Null);
        assert_eq!((status, same), (200, image.clone()));
        let (status, _) =
            trial.ask("GET", "/compute/v1/projects/debian-cloud/global/images/family/debian-1", Value::Null);
        assert_eq!(status, 404);
    }

    #[test]
    fn an_image_is_found_by_every_form_of_its_name() {
        let trial = Trial::new();
        for written in [
            "projects/debian-cloud/global/images/family/debian-12",
            "https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/family/debian-12",
            "projects/debian-cloud/global/images/debian-12-bookworm-v20260915",
        ] {
            let image = resolve(&trial, written).unwrap();
            assert_eq!((image.arch, image.disk_gib), (Arch::X86_64, 10), "{written}");
            assert_eq!(image.name, "projects/debian-cloud/global/images/debian-12-bookworm-v20260915");
        }
        for unknown in ["projects/debian-cloud/global/images/family/debian-1", "family/debian-12", "", "/"] {
            let refusal = resolve(&trial, unknown).unwrap_err();
            assert!(matches!(refusal, Refusal::Coded { status: 400, .. }), "{unknown}");
        }
    }

    #[test]
    fn an_image_of_the_callers_own_is_as_its_source_is() {
        let trial = Trial::new();
        let source = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-arm64";
        trial.change(
            "POST",
            "global/images",
            json!({ "name": "mine", "family": "ours", "sourceImage": source, "labels": { "a": "b" } }),
        );
        let image = resolve(&trial, "global/images/family/ours").unwrap();
        assert_eq!((image.arch, image.name.as_str()), (Arch::Arm64, "projects/p/global/images/mine"));
        assert_eq!(trial.get("global/images/mine")["labels"], json!({ "a": "b" }));
        let again = json!({ "name": "mine", "sourceImage": source });
        assert_eq!(trial.refusal("POST", "global/images", again).0, 409);
        let small = json!({ "name": "small", "sourceImage": source, "diskSizeGb": "5" });
        assert_eq!(trial.refusal("POST", "global/images", small).0, 400);
        trial.change("DELETE", "global/images/mine", Value::Null);
        assert!(trial.names("global/images").is_empty());
        let (status, said) =
            trial.ask("DELETE", "/compute/v1/projects/debian-cloud/global/images/debian-12", Value::Null);
        assert_eq!((status, &said["reason"]), (403, &json!("forbidden")));
    }
}
