//! The accelerators of Compute Engine, as far as its API does not describe them.

/// One kind of accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accelerator {
    /// As the API names it: `nvidia-tesla-t4`.
    pub(crate) name: &'static str,
    /// As people name it: `T4`.
    pub(crate) model: &'static str,
    /// The memory of each, in MiB.
    pub(crate) memory_mib: u32,
    /// The quota that counts it: `NVIDIA_T4_GPUS`; of spot machines with `PREEMPTIBLE_` in front.
    pub(crate) quota: &'static str,
    /// What its price is called, before " GPU" or " running in".
    pub(crate) sku: &'static str,
    /// How many can be attached to an N1 machine, each with the most vCPUs that it may have then;
    /// empty for what comes only with machine types of its own.
    pub(crate) attach: &'static [(u32, u32)],
}

/// Sources: Compute Engine documentation, "GPU machine types" (models, memory, what can be attached
/// to N1) and "Allocation quotas" (metrics); the Cloud Billing Catalogue (descriptions). What is sold
/// as a workstation (`-vws`) is left out: it costs a licence more and serves no batch.
const ACCELERATORS: [Accelerator; 15] = [
    Accelerator {
        name: "nvidia-tesla-t4",
        model: "T4",
        memory_mib: 16_384,
        quota: "NVIDIA_T4_GPUS",
        sku: "nvidia tesla t4",
        attach: &[(1, 48), (2, 48), (4, 96)],
    },
    Accelerator {
        name: "nvidia-tesla-p4",
        model: "P4",
        memory_mib: 8_192,
        quota: "NVIDIA_P4_GPUS",
        sku: "nvidia tesla p4",
        attach: &[(1, 24), (2, 48), (4, 96)],
    },
    Accelerator {
        name: "nvidia-tesla-v100",
        model: "V100",
        memory_mib: 16_384,
        quota: "NVIDIA_V100_GPUS",
        sku: "nvidia tesla v100",
        attach: &[(1, 12), (2, 24), (4, 48), (8, 96)],
    },
    Accelerator {
        name: "nvidia-tesla-p100",
        model: "P100",
        memory_mib: 16_384,
        quota: "NVIDIA_P100_GPUS",
        sku: "nvidia tesla p100",
        attach: &[(1, 16), (2, 32), (4, 64)],
    },
    Accelerator {
        name: "nvidia-tesla-k80",
        model: "K80",
        memory_mib: 12_288,
        quota: "NVIDIA_K80_GPUS",
        sku: "nvidia tesla k80",
        attach: &[(1, 8), (2, 16), (4, 32), (8, 64)],
    },
    Accelerator {
        name: "nvidia-l4",
        model: "L4",
        memory_mib: 23_040,
        quota: "NVIDIA_L4_GPUS",
        sku: "nvidia l4",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-tesla-a100",
        model: "A100",
        memory_mib: 40_960,
        quota: "NVIDIA_A100_GPUS",
        sku: "nvidia tesla a100",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-a100-80gb",
        model: "A100",
        memory_mib: 81_920,
        quota: "NVIDIA_A100_80GB_GPUS",
        sku: "nvidia tesla a100 80gb",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-h100-80gb",
        model: "H100",
        memory_mib: 81_510,
        quota: "NVIDIA_H100_GPUS",
        sku: "nvidia h100 80gb",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-h100-mega-80gb",
        model: "H100",
        memory_mib: 81_510,
        quota: "NVIDIA_H100_MEGA_GPUS",
        sku: "nvidia h100 80gb mega",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-h200-141gb",
        model: "H200",
        memory_mib: 143_771,
        quota: "NVIDIA_H200_GPUS",
        sku: "h200 141gb",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-b200",
        model: "B200",
        memory_mib: 183_359,
        quota: "NVIDIA_B200_GPUS",
        sku: "a4 nvidia b200 (1 gpu slice)",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-gb200",
        model: "GB200",
        memory_mib: 189_471,
        quota: "NVIDIA_GB200_GPUS",
        sku: "a4x nvidia gb200 (1 gpu slice)",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-gb300",
        model: "GB300",
        memory_mib: 284_208,
        quota: "NVIDIA_GB300_GPUS",
        sku: "a4x max nvidia gb300 (1 gpu slice)",
        attach: &[],
    },
    Accelerator {
        name: "nvidia-rtx-pro-6000",
        model: "RTX PRO 6000",
        memory_mib: 97_887,
        quota: "NVIDIA_RTX_PRO_6000_GPUS",
        sku: "rtx 6000 96gb",
        attach: &[],
    },
];

impl Accelerator {
    /// By the API's name; `None` for what is newer than the table, and for what is no GPU.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ACCELERATORS.iter().find(|known| known.name == name)
    }

    /// By what its price is called, in small letters.
    pub(crate) fn of_sku(sku: &str) -> Option<&'static Self> {
        let sku = sku.strip_suffix(" gpu").unwrap_or(sku);
        ACCELERATORS.iter().find(|known| known.sku == sku)
    }

    /// Whether so many can be attached to an N1 machine of so many vCPUs.
    pub(crate) fn fits(&self, count: u32, vcpus: u32) -> bool {
        self.attach.iter().any(|(fit, vcpus_max)| *fit == count && vcpus <= *vcpus_max)
    }

    /// Those that can be attached to N1 machines.
    pub(crate) fn attachable() -> impl Iterator<Item = &'static Self> {
        ACCELERATORS.iter().filter(|known| !known.attach.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accelerator_is_found_by_each_of_its_names() {
        for known in &ACCELERATORS {
            assert_eq!(Accelerator::named(known.name), Some(known));
            assert_eq!(Accelerator::of_sku(known.sku), Some(known));
            assert_eq!(Accelerator::of_sku(&format!("{} gpu", known.sku)), Some(known));
            assert!(known.quota.starts_with("NVIDIA_") && known.quota.ends_with("_GPUS"));
        }
        assert_eq!(Accelerator::named("nvidia-tesla-t4-vws"), None);
        assert_eq!(Accelerator::of_sku("nvidia l4 virtual workstation gpu"), None);
    }

    #[test]
    fn only_so_many_gpus_go_with_so_many_vcpus() {
        let t4 = Accelerator::named("nvidia-tesla-t4").unwrap();
        for (count, vcpus, fits) in [(1, 4, true), (1, 64, false), (3, 4, false), (4, 96, true)] {
            assert_eq!(t4.fits(count, vcpus), fits, "{count} with {vcpus}");
        }
        assert!(!Accelerator::named("nvidia-l4").unwrap().fits(1, 4));
        assert_eq!(Accelerator::attachable().count(), 5);
    }
}
