//! The system disk of machines, and the image that is on it.

use serde_json::{Map, Value};
use skyfleet_core::{Arch, InstanceType};

use super::{member, required, unsimulated};
use crate::azure::error::{coded, invalid};
use crate::refusal::Refusal;

/// The largest system disk. Azure documentation, "Introduction to Azure managed disks": 4,095 GiB.
const MOST_GIB: u32 = 4_095;

/// The system disk of machines.
#[derive(Clone, Debug)]
pub(crate) struct OsDisk {
    pub(crate) gib: u32,
    /// Whether it goes with its machine.
    pub(crate) goes: bool,
    /// `ReadWrite`.
    pub(crate) caching: &'static str,
    /// `StandardSSD_LRS`.
    pub(crate) kind: &'static str,
    /// As the caller wrote it.
    pub(crate) image: Map<String, Value>,
}

const CACHING: [(&str, &str); 3] = [("None", "None"), ("ReadOnly", "ReadOnly"), ("ReadWrite", "ReadWrite")];

const KINDS: [(&str, &str); 5] = [
    ("Standard_LRS", "Standard_LRS"),
    ("StandardSSD_LRS", "StandardSSD_LRS"),
    ("Premium_LRS", "Premium_LRS"),
    ("StandardSSD_ZRS", "StandardSSD_ZRS"),
    ("Premium_ZRS", "Premium_ZRS"),
];

/// What becomes of something when its machine is deleted: it stays unless it is said (Azure
/// documentation, "Delete a VM and attached resources").
pub(crate) fn goes(of: &Value) -> Result<bool, Refusal> {
    Ok(member::word(of, "deleteOption", &[("Delete", true), ("Detach", false)])?.unwrap_or(false))
}

/// Reads `storageProfile`; `least` is how big an image is when nobody says it.
///
/// # Errors
/// For what is missing or does not fit the sizes; `NotImplemented` for what is not simulated.
pub(crate) fn read(
    profile: &Value,
    sizes: &[impl AsRef<InstanceType>],
    least: u32,
) -> Result<OsDisk, Refusal> {
    let storage = &profile["storageProfile"];
    let disk = &storage["osDisk"];
    if !member::list(storage, "dataDisks")?.is_empty() {
        return Err(unsimulated("A data disk at the creation of a machine"));
    }
    if !disk["diffDiskSettings"].is_null() {
        return Err(unsimulated("An ephemeral system disk"));
    }
    if !disk["vhd"].is_null() {
        return Err(unsimulated("An unmanaged disk"));
    }
    let created =
        [("FromImage", true), ("Attach", false), ("Empty", false), ("Copy", false), ("Restore", false)];
    if member::word(disk, "createOption", &created)? == Some(false) {
        return Err(unsimulated("A system disk that is not made from an image"));
    }
    if member::text(disk, "osType")?.is_some_and(|system| system.eq_ignore_ascii_case("Windows")) {
        return Err(unsimulated("Windows"));
    }
    let Some(image) = storage["imageReference"].as_object() else {
        return Err(required("imageReference"));
    };
    let least = check(image, sizes, least)?;
    let gib = match member::whole(disk, "diskSizeGB")? {
        None => least,
        Some(gib) if gib < least => {
            let message = format!(
                "The specified disk size {gib} GB is smaller than the size of the corresponding disk in the VM image: \
                 {least} GB. This is not allowed. Please choose equal or greater size or do not specify an explicit size."
            );
            return Err(coded(409, "OperationNotAllowed", message));
        }
        Some(gib) if gib > MOST_GIB => {
            return Err(invalid("osDisk.diskSizeGB", &format!("It must be at most {MOST_GIB}.")));
        }
        Some(gib) => gib,
    };
    Ok(OsDisk {
        gib,
        goes: goes(disk)?,
        caching: member::word(disk, "caching", &CACHING)?.unwrap_or("ReadWrite"),
        kind: member::word(&disk["managedDisk"], "storageAccountType", &KINDS)?.unwrap_or("Standard_LRS"),
        image: image.clone(),
    })
}

/// Whether the reference is one, and the image fits the processors; the least size of its disk.
fn check(image: &Map<String, Value>, sizes: &[impl AsRef<InstanceType>], least: u32) -> Result<u32, Refusal> {
    let text = |name: &str| image.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(given) =
        ["id", "communityGalleryImageId", "sharedGalleryImageId"].iter().find_map(|key| text(key))
    {
        if !given.starts_with('/') {
            return Err(invalid("imageReference.id", &format!("'{given}' is no id of an image.")));
        }
        // An image of one's own may be of any size, and for any processor.
        return Ok(1);
    }
    let (Some(publisher), Some(offer), Some(sku), Some(_)) =
        (text("publisher"), text("offer"), text("sku"), text("version"))
    else {
        let message = "It must have an id, or a publisher, an offer, a sku and a version.";
        return Err(invalid("imageReference", message));
    };
    if publisher.starts_with("MicrosoftWindows") {
        return Err(unsimulated("Windows"));
    }
    // Images of the platform say it in their names.
    let own = if [offer, sku].iter().any(|name| name.to_lowercase().contains("arm64")) {
        Arch::Arm64
    } else {
        Arch::X86_64
    };
    match sizes.iter().map(AsRef::as_ref).find(|size| size.arch != own) {
        None => Ok(least),
        Some(size) => {
            let called = |arch: Arch| if arch == Arch::Arm64 { "Arm64" } else { "x64" };
            let message = format!(
                "Cannot create a VM of size '{}' because this VM size only supports a CPU Architecture of '{}', but an \
                 image or disk with CPU Architecture '{}' was given. Please make sure both the VM size and the Image or \
                 Disk are compatible.",
                size.name,
                called(size.arch),
                called(own)
            );
            Err(coded(400, "BadRequest", message))
        }
    }
}
