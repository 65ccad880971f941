//! The disks of new instances: a boot disk, and local SSDs beside it.

use skyfleet_core::{InstanceType, Zone};

use crate::gcp::blueprint::Place;
use crate::gcp::blueprint::properties::DiskSpec;
use crate::gcp::error::{coded, invalid, required};
use crate::gcp::launched::BootDisk;
use crate::gcp::machine_types::architecture as architecture_name;
use crate::gcp::state::State;
use crate::gcp::{disk_types, images, labels, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::tags::Tags;

/// The disks of instances of one blueprint.
#[derive(Debug)]
pub(crate) struct Disks {
    pub(crate) boot: BootDisk,
    pub(crate) gib: u32,
    pub(crate) labels: Tags,
    /// Local SSDs: their interface and device name.
    pub(crate) scratch: Vec<(String, String)>,
}

/// Reads `disks`.
///
/// # Errors
/// Compute Engine's for disks that do not go together, or with the machine; `notImplemented` for
/// what the world has no room for: more persistent disks than the boot disk, names that are not the
/// instance's.
pub(crate) fn read(
    kernel: &Kernel,
    state: &mut State,
    place: Place<'_>,
    machine: &InstanceType,
    disks: &[DiskSpec],
) -> Result<Disks, Refusal> {
    let (scratch, persistent): (Vec<&DiskSpec>, Vec<&DiskSpec>) =
        disks.iter().partition(|disk| disk.kind.as_deref() == Some("SCRATCH"));
    let boot = match persistent.as_slice() {
        [] => return Err(required("resource.disks")),
        [only] => *only,
        more => {
            return Err(coded(
                501,
                "notImplemented",
                format!(
                    "{} persistent disks at once are not simulated: an instance begins with its boot disk, and \
                     local SSDs.",
                    more.len()
                ),
            ));
        }
    };
    if !boot.boot {
        return Err(invalid("resource.disks[0].boot", "false", "Boot disk must be the first disk."));
    }
    let params = &boot.initialize_params;
    let field = "resource.disks[0].initializeParams.diskType";
    let kind =
        disk_types::named(params.disk_type.as_deref().unwrap_or(disk_types::USUAL), place.zone, field)?;
    labels::check(&params.labels, "resource.disks[0].initializeParams.labels")?;
    let asked = params.disk_size_gb.or(boot.disk_size_gb).map(|size| size.0);
    let (image, least, architecture) = match (&boot.source, &params.source_image) {
        (Some(_), Some(_)) => {
            let why = "It cannot be set together with source.";
            return Err(invalid("resource.disks[0].initializeParams.sourceImage", "", why));
        }
        // A disk that is there already has its own size.
        (Some(_), None) => (None, 1, machine.arch),
        (None, None) => return Err(required("resource.disks[0].initializeParams.sourceImage")),
        (None, Some(name)) => {
            let field = "resource.disks[0].initializeParams.sourceImage";
            let image = images::named(kernel, state, place.project, name, field)?;
            (Some(image.name), image.disk_gib, image.arch)
        }
    };
    if architecture != machine.arch {
        let why = format!(
            "The image's architecture {} is not that of the machine type {}.",
            architecture_name(architecture),
            machine.name
        );
        return Err(invalid("resource.disks[0].initializeParams.sourceImage", "", &why));
    }
    let gib = match asked {
        None => least,
        Some(asked) => match u32::try_from(asked) {
            Ok(asked) if asked >= least && asked <= 65_536 => asked,
            _ => {
                let why = format!(
                    "Requested disk size cannot be smaller than the image size ({least} GB), or larger than 65536 GB."
                );
                return Err(invalid(
                    "resource.disks[0].initializeParams.diskSizeGb",
                    &asked.to_string(),
                    &why,
                ));
            }
        },
    };
    let scratch = (0..).zip(scratch).map(|(number, disk)| {
        let device = disk.device_name.clone().unwrap_or_else(|| format!("local-ssd-{number}"));
        (disk.interface.clone().unwrap_or_else(|| "SCSI".to_owned()), device)
    });
    Ok(Disks {
        boot: BootDisk {
            device: boot.device_name.clone().unwrap_or_else(|| "persistent-disk-0".to_owned()),
            kind: kind.to_owned(),
            image,
            auto_delete: boot.auto_delete,
            interface: boot.interface.clone().unwrap_or_else(|| "SCSI".to_owned()),
            architecture: architecture_name(architecture),
        },
        gib,
        labels: params.labels.clone(),
        scratch: scratch.collect(),
    })
}

/// A boot disk has its instance's name: the world knows no other.
///
/// # Errors
/// `notImplemented` for another; `invalid` for a source that is not there.
pub(crate) fn check_name(
    kernel: &Kernel,
    zone: &Zone,
    name: &str,
    disks: &[DiskSpec],
) -> Result<(), Refusal> {
    let persistent = disks.iter().filter(|disk| disk.kind.as_deref() != Some("SCRATCH"));
    for disk in persistent {
        let source = disk.source.as_deref();
        let other = source.or(disk.initialize_params.disk_name.as_deref()).map(url::last);
        if let Some(other) = other.filter(|other| *other != name) {
            let message = format!(
                "A boot disk of another name than its instance is not simulated: '{other}' is not '{name}'."
            );
            return Err(coded(501, "notImplemented", message));
        }
        let id = format!("zones/{zone}/disks/{name}");
        match (source, kernel.disk(&id)) {
            (Some(source), None) => {
                let why = "The referenced resource does not exist.";
                return Err(invalid("resource.disks[0].source", source, why));
            }
            (_, Some(disk)) => {
                if let Some(machine) = disk.machine {
                    let message = format!("The disk resource '{id}' is already being used by '{machine}'");
                    return Err(coded(400, "resourceInUseByAnotherResource", message));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
