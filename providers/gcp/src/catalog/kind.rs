//! Compute Engine's description of a machine type, and ours.

use std::sync::Arc;

use google_cloud_compute_v1::model::MachineType;
use google_cloud_compute_v1::model::machine_type::Architecture;
use skyfleet_core::{Arch, Gpu, InstanceType, TypeName};

use super::accelerator::Accelerator;
use super::attached::{Attached, join};

/// The GiB of one bundled local SSD (Compute Engine documentation, "Local SSD disks"): those of the
/// Z3 series are larger.
const LOCAL_SSD_GIB: u32 = 375;
const LOCAL_SSD_Z3_GIB: u32 = 3_000;

/// A machine type, with what its price is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) spec: Arc<InstanceType>,
    /// `n2`, `m1`: what the price list and the quotas call its family.
    pub(crate) series: String,
    /// How much of a core is paid for, in hundredths: less than it has where cores are shared.
    pub(crate) cores_paid_percent: u32,
    /// Its GPUs, its own or attached ones.
    pub(crate) gpus: Option<Attached>,
    /// Machines without a hypervisor are offered only to who asks for them by name.
    pub(crate) bare_metal: bool,
}

impl Kind {
    /// `None` for what no fleet of ours can use: a type that is no longer sold, one with
    /// accelerators that are no GPUs or that nobody here knows, or a description without
    /// processors or memory.
    pub(crate) fn read(machine: &MachineType) -> Option<Self> {
        let name = machine.name.as_deref()?;
        if machine.deprecated.as_ref().and_then(|told| told.state.as_ref()).is_some_and(|state| {
            // `DEPRECATED` types can still be had.
            matches!(state.name(), Some("OBSOLETE" | "DELETED"))
        }) {
            return None;
        }
        let arch = match &machine.architecture {
            Some(Architecture::Arm64) => Arch::Arm64,
            // Older answers leave it out.
            Some(Architecture::X8664 | Architecture::Unspecified) | None => Arch::X86_64,
            Some(_) => return None,
        };
        let count = |number: Option<i32>| number.and_then(|n| u32::try_from(n).ok());
        let vcpus = count(machine.guest_cpus).filter(|n| *n > 0)?;
        let memory_mib = count(machine.memory_mb).filter(|n| *n > 0)?;
        let gpus = match machine.accelerators.as_slice() {
            [] => None,
            [told] => {
                let count = count(told.guest_accelerator_count).filter(|n| *n > 0)?;
                Some(Attached::of(told.guest_accelerator_type.as_deref()?, count)?)
            }
            _ => return None,
        };
        let series = name.split('-').next().unwrap_or(name).to_owned();
        let disk_gib = if series == "z3" { LOCAL_SSD_Z3_GIB } else { LOCAL_SSD_GIB };
        let disks = machine.bundled_local_ssds.as_ref().and_then(|ssds| count(ssds.partition_count));
        let spec = InstanceType {
            name: TypeName::from(name),
            vcpus,
            memory_mib,
            arch,
            gpu: gpus.map(|gpus| gpu(gpus, name)),
            local_ssd_gib: disks.unwrap_or(0).saturating_mul(disk_gib),
        };
        Some(Self {
            cores_paid_percent: shared_core(name).unwrap_or(vcpus * 100),
            bare_metal: name.ends_with("-metal"),
            spec: Arc::new(spec),
            series,
            gpus,
        })
    }

    /// The same machine with GPUs attached: only N1 takes any.
    pub(crate) fn with_gpus(&self, accelerator: &'static Accelerator, count: u32) -> Option<Self> {
        // Shared cores take none (Compute Engine documentation, "GPU machine types").
        let whole = self.cores_paid_percent == self.spec.vcpus * 100;
        if self.series != "n1" || !whole || !accelerator.fits(count, self.spec.vcpus) {
            return None;
        }
        let gpus = Attached { accelerator, count };
        let name = join(self.spec.name.as_str(), gpus);
        let gpu = Some(gpu(gpus, name.as_str()));
        let spec = InstanceType { name, gpu, ..(*self.spec).clone() };
        Some(Self { spec: Arc::new(spec), gpus: Some(gpus), ..self.clone() })
    }
}

/// The smallest types share a core, and pay for a part of it (Compute Engine documentation,
/// "Shared-core machine types").
fn shared_core(name: &str) -> Option<u32> {
    match name {
        "e2-micro" => Some(25),
        "e2-small" => Some(50),
        "e2-medium" => Some(100),
        _ => None,
    }
}

fn gpu(gpus: Attached, machine: &str) -> Gpu {
    let Attached { accelerator, count } = gpus;
    // The smallest of the G4 series have a share of one GPU (Compute Engine documentation, "G4").
    let shares = match machine {
        "g4-standard-6" => 8,
        "g4-standard-12" => 4,
        "g4-standard-24" => 2,
        _ => 1,
    };
    Gpu { model: accelerator.model.into(), count, memory_mib: accelerator.memory_mib / shares }
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::machine_type::Accelerators;
    use google_cloud_compute_v1::model::{BundledLocalSsds, DeprecationStatus};

    use super::*;

    fn machine(name: &str, vcpus: i32, memory_mb: i32) -> MachineType {
        MachineType::new().set_name(name).set_guest_cpus(vcpus).set_memory_mb(memory_mb)
    }

    fn accelerators(kind: &str, count: i32) -> Accelerators {
        Accelerators::new().set_guest_accelerator_type(kind).set_guest_accelerator_count(count)
    }

    #[test]
    fn a_type_is_read_with_its_gpus_and_disks() {
        let told = machine("a3-highgpu-8g", 208, 1_916_928)
            .set_architecture(Architecture::X8664)
            .set_accelerators([accelerators("nvidia-h100-80gb", 8)])
            .set_bundled_local_ssds(BundledLocalSsds::new().set_partition_count(16));
        let kind = Kind::read(&told).unwrap();
        assert_eq!((kind.series.as_str(), kind.cores_paid_percent), ("a3", 20_800));
        assert_eq!(kind.spec.local_ssd_gib, 6_000);
        let gpu = kind.spec.gpu.clone().unwrap();
        assert_eq!((&*gpu.model, gpu.count, gpu.memory_mib), ("H100", 8, 81_510));
        let arm = machine("t2a-standard-2", 2, 8_192).set_architecture(Architecture::Arm64);
        assert_eq!(Kind::read(&arm).unwrap().spec.arch, Arch::Arm64);
    }

    #[test]
    fn shared_cores_are_paid_for_in_part() {
        for (name, vcpus, paid) in
            [("e2-micro", 2, 25), ("e2-small", 2, 50), ("e2-medium", 2, 100), ("e2-standard-2", 2, 200)]
        {
            assert_eq!(Kind::read(&machine(name, vcpus, 4_096)).unwrap().cores_paid_percent, paid, "{name}");
        }
    }

    #[test]
    fn gpus_are_attached_to_n1_alone_and_within_bounds() {
        let t4 = Accelerator::named("nvidia-tesla-t4").unwrap();
        let n1 = Kind::read(&machine("n1-standard-4", 4, 15_360)).unwrap();
        let with = n1.with_gpus(t4, 2).unwrap();
        assert_eq!(with.spec.name.as_str(), "n1-standard-4+2xT4");
        assert_eq!(with.spec.gpu.as_ref().map(|gpu| gpu.count), Some(2));
        assert_eq!((with.spec.vcpus, with.spec.memory_mib), (4, 15_360));
        assert!(n1.with_gpus(t4, 3).is_none());
        let n2 = Kind::read(&machine("n2-standard-4", 4, 16_384)).unwrap();
        assert!(n2.with_gpus(t4, 1).is_none());
    }

    #[test]
    fn what_no_fleet_can_use_is_left_out() {
        let deprecated = |state: &'static str| {
            let status = serde_json::from_value(serde_json::json!({ "state": state })).unwrap();
            machine("n1-standard-1", 1, 3_840).set_deprecated::<DeprecationStatus>(status)
        };
        assert!(Kind::read(&deprecated("DEPRECATED")).is_some());
        for told in [
            machine("n2-standard-2", 0, 8_192),
            machine("n2-standard-2", 2, 0),
            MachineType::new().set_guest_cpus(2).set_memory_mb(8_192),
            machine("ct5lp-hightpu-1t", 24, 49_152).set_accelerators([accelerators("ct5lp", 1)]),
            deprecated("OBSOLETE"),
            deprecated("DELETED"),
        ] {
            assert_eq!(Kind::read(&told), None, "{told:?}");
        }
    }

    #[test]
    fn a_share_of_a_gpu_has_a_share_of_its_memory() {
        let told =
            machine("g4-standard-12", 12, 46_080).set_accelerators([accelerators("nvidia-rtx-pro-6000", 1)]);
        assert_eq!(Kind::read(&told).unwrap().spec.gpu.as_ref().unwrap().memory_mib, 24_471);
    }
}
