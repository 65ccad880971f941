//! Machine types and what is attached to them, as requests name them and as the catalogue does.

use std::sync::Arc;

use skyfleet_core::InstanceType;

use crate::gcp::blueprint::properties::{AcceleratorSpec, Int};
use crate::gcp::error::invalid;
use crate::gcp::{accelerator_types, url};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The machine type of an offer whose name also says what is attached: `n1-standard-4+T4`.
pub(crate) fn machine_type(name: &str) -> &str {
    name.split_once('+').map_or(name, |(machine, _)| machine)
}

/// The catalogue's type of a machine type with these accelerators. `field` is where the request has
/// the machine type.
///
/// # Errors
/// `invalid` for a machine type that there is not, and accelerators that it cannot have.
pub(crate) fn find(
    kernel: &Kernel,
    field: &str,
    machine: &str,
    accelerators: &[AcceleratorSpec],
) -> Result<Arc<InstanceType>, Refusal> {
    let catalog = kernel.catalog();
    let unknown = || invalid(field, machine, "The referenced resource does not exist.");
    let mut wanted = accelerators.iter().filter(|spec| spec.accelerator_count != Some(Int(0)));
    let Some(spec) = wanted.next() else {
        let plain = !machine.contains('+');
        return catalog.instance_type(machine).filter(|_| plain).cloned().ok_or_else(unknown);
    };
    if !catalog.instance_types().any(|known| machine_type(known.name.as_str()) == machine) {
        return Err(unknown());
    }
    let name = url::last(&spec.accelerator_type);
    let count = spec.accelerator_count.map_or(1, |count| count.0);
    let has = |known: &&Arc<InstanceType>| {
        machine_type(known.name.as_str()) == machine
            && known.gpu.as_ref().is_some_and(|gpu| {
                accelerator_types::name(gpu) == Some(name) && i64::from(gpu.count) == count
            })
    };
    let found = catalog.instance_types().find(has).filter(|_| wanted.next().is_none());
    found.cloned().ok_or_else(|| {
        let why = format!("{count} of this accelerator cannot be attached to the machine type {machine}.");
        invalid("resource.guestAccelerators", &spec.accelerator_type, &why)
    })
}

/// `cpuPlatform` of an instance. Compute Engine documentation, "CPU platforms".
pub(crate) fn cpu_platform(machine: &str) -> &'static str {
    match machine.split('-').next().unwrap_or_default() {
        "n1" | "m1" => "Intel Skylake",
        "n2" | "c2" | "g2" | "a2" | "m3" => "Intel Cascade Lake",
        "n2d" | "t2d" | "c2d" => "AMD Milan",
        "c3" | "a3" => "Intel Sapphire Rapids",
        "c3d" => "AMD Genoa",
        "c4" | "n4" => "Intel Emerald Rapids",
        "t2a" => "Ampere Altra",
        "c4a" => "Google Axion",
        _ => "Intel Broadwell",
    }
}
