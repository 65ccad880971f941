use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{InstanceType, QuotaId};

/// A quota that instances of an offer draw on, and what it counts of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Draw {
    /// Which quota.
    pub quota: QuotaId,
    /// In which unit its limit is.
    pub counts: Counts,
}

impl Draw {
    /// On a quota of vCPUs.
    pub fn vcpus(quota: impl Into<QuotaId>) -> Self {
        Self { quota: quota.into(), counts: Counts::Vcpus }
    }

    /// On a quota of GPUs.
    pub fn gpus(quota: impl Into<QuotaId>) -> Self {
        Self { quota: quota.into(), counts: Counts::Gpus }
    }
}

/// What a quota counts of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Its vCPUs: EC2, most of Compute Engine's and Azure's.
    Vcpus,
    /// Its GPUs: Compute Engine, `NVIDIA_L4_GPUS` and its like.
    Gpus,
}

impl Counts {
    /// All of them, in their order: `unit as usize` is the place of a unit in it.
    pub const ALL: [Self; 2] = [Self::Vcpus, Self::Gpus];

    /// How many units one instance of a type draws.
    pub fn units(self, of: &InstanceType) -> u32 {
        match self {
            Self::Vcpus => of.vcpus,
            Self::Gpus => of.gpu.as_ref().map_or(0, |gpu| gpu.count),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vcpus => "vCPUs",
            Self::Gpus => "GPUs",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arch, Gpu};

    #[test]
    fn a_quota_counts_vcpus_or_gpus() {
        let gpu = Gpu { model: "L4".into(), count: 2, memory_mib: 23_034 };
        let mut machine = InstanceType {
            name: "g2-standard-24".into(),
            vcpus: 24,
            memory_mib: 98_304,
            arch: Arch::X86_64,
            gpu: Some(gpu),
            local_ssd_gib: 0,
        };
        assert_eq!(Counts::ALL.map(|unit| unit.units(&machine)), [24, 2]);
        assert!(Counts::ALL.iter().enumerate().all(|(place, unit)| *unit as usize == place));
        machine.gpu = None;
        assert_eq!(Draw::gpus("r/NVIDIA_L4_GPUS").counts.units(&machine), 0);
    }
}
