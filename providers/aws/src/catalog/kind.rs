//! EC2's description of a type, and ours.

use std::sync::Arc;

use aws_sdk_ec2::types::{ArchitectureType, InstanceTypeInfo, UsageClassType};
use skyfleet_core::{Arch, Gpu, InstanceType, Market, TypeName};

/// A type, and how it is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) spec: Arc<InstanceType>,
    pub(super) spot: bool,
    pub(super) on_demand: bool,
    pub(super) bare_metal: bool,
}

impl Kind {
    pub(super) fn sold_on(&self, market: Market) -> bool {
        match market {
            Market::Spot => self.spot,
            Market::OnDemand => self.on_demand,
        }
    }

    /// `None` for what no fleet of ours can use: a Mac, 32 bits only, or a description without
    /// processors or memory.
    pub(super) fn read(info: &InstanceTypeInfo) -> Option<Self> {
        let name = TypeName::from(info.instance_type()?.as_str());
        let archs = info.processor_info().map_or(&[][..], |processor| processor.supported_architectures());
        let arch = if archs.contains(&ArchitectureType::X8664) {
            Arch::X86_64
        } else if archs.contains(&ArchitectureType::Arm64) {
            Arch::Arm64
        } else {
            return None;
        };
        let vcpus = u32::try_from(info.v_cpu_info()?.default_v_cpus()?).ok().filter(|n| *n > 0)?;
        let memory_mib = u32::try_from(info.memory_info()?.size_in_mib()?).ok().filter(|n| *n > 0)?;
        let storage = info.instance_storage_info().and_then(|storage| storage.total_size_in_gb());
        let classes = info.supported_usage_classes();
        Some(Self {
            spec: Arc::new(InstanceType {
                name,
                vcpus,
                memory_mib,
                arch,
                gpu: gpu(info),
                local_ssd_gib: storage.map_or(0, gib_of_gb),
            }),
            spot: classes.contains(&UsageClassType::Spot),
            // A few old types say nothing; all are sold on demand but those for capacity blocks.
            on_demand: classes.is_empty() || classes.contains(&UsageClassType::OnDemand),
            bare_metal: info.bare_metal().unwrap_or(false),
        })
    }
}

/// The GPUs; chips for machine learning that are none (Inferentia, Trainium) are left out, since
/// nothing that asks for a GPU runs on them.
fn gpu(info: &InstanceTypeInfo) -> Option<Gpu> {
    let device = info.gpu_info()?.gpus().first()?;
    // Of a share of one GPU (`g6f`), EC2 says a count of 1 and the memory of the share, or 0.
    let count = u32::try_from(device.count().unwrap_or(1)).unwrap_or(1).max(1);
    let memory = device.memory_info().and_then(|memory| memory.size_in_mib());
    let memory_mib = memory.and_then(|mib| u32::try_from(mib).ok()).filter(|mib| *mib > 0).or_else(|| {
        let total = u32::try_from(info.gpu_info()?.total_gpu_memory_in_mib()?).ok()?;
        (total > 0).then_some(total / count)
    })?;
    Some(Gpu { model: Arc::from(device.name()?), count, memory_mib })
}

/// EC2 counts disks in decimal GB.
fn gib_of_gb(gb: i64) -> u32 {
    let gib = gb.max(0) as f64 * 1e9 / f64::from(1u32 << 30);
    gib.round().min(f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{
        GpuDeviceInfo, GpuDeviceMemoryInfo, GpuInfo, InstanceStorageInfo, MemoryInfo, ProcessorInfo, VCpuInfo,
    };

    use super::*;

    fn info(arch: ArchitectureType) -> aws_sdk_ec2::types::builders::InstanceTypeInfoBuilder {
        InstanceTypeInfo::builder()
            .instance_type("g5.12xlarge".into())
            .processor_info(ProcessorInfo::builder().supported_architectures(arch).build())
            .v_cpu_info(VCpuInfo::builder().default_v_cpus(48).build())
            .memory_info(MemoryInfo::builder().size_in_mib(196_608).build())
            .supported_usage_classes(UsageClassType::OnDemand)
            .supported_usage_classes(UsageClassType::Spot)
    }

    #[test]
    fn a_type_is_read_with_its_gpus_and_disks() {
        let memory = GpuDeviceMemoryInfo::builder().size_in_mib(22_888).build();
        let device =
            GpuDeviceInfo::builder().name("A10G").manufacturer("NVIDIA").count(4).memory_info(memory);
        let kind = Kind::read(
            &info(ArchitectureType::X8664)
                .gpu_info(GpuInfo::builder().gpus(device.build()).total_gpu_memory_in_mib(91_552).build())
                .instance_storage_info(InstanceStorageInfo::builder().total_size_in_gb(3_800).build())
                .build(),
        )
        .unwrap();
        assert_eq!(
            *kind.spec,
            InstanceType {
                name: "g5.12xlarge".into(),
                vcpus: 48,
                memory_mib: 196_608,
                arch: Arch::X86_64,
                gpu: Some(Gpu { model: "A10G".into(), count: 4, memory_mib: 22_888 }),
                local_ssd_gib: 3_539,
            }
        );
        assert!(kind.spot && kind.on_demand && !kind.bare_metal);
    }

    #[test]
    fn decimal_gigabytes_become_gib() {
        for (gb, gib) in
            [(0, 0), (59, 55), (118, 110), (250, 233), (468, 436), (8_000, 7_451), (30_400, 28_312), (-1, 0)]
        {
            assert_eq!(gib_of_gb(gb), gib, "{gb} GB");
        }
    }

    #[test]
    fn what_no_fleet_can_use_is_left_out() {
        for arch in [ArchitectureType::Arm64Mac, ArchitectureType::X8664Mac, ArchitectureType::I386] {
            assert_eq!(Kind::read(&info(arch).build()), None);
        }
        let no_memory = info(ArchitectureType::Arm64).set_memory_info(None).build();
        assert_eq!(Kind::read(&no_memory), None);
        let no_vcpus =
            info(ArchitectureType::Arm64).v_cpu_info(VCpuInfo::builder().default_v_cpus(0).build());
        assert_eq!(Kind::read(&no_vcpus.build()), None);
    }

    #[test]
    fn a_type_for_capacity_blocks_alone_is_on_no_market() {
        let block = info(ArchitectureType::X8664)
            .set_supported_usage_classes(Some(vec![UsageClassType::CapacityBlock]))
            .build();
        let kind = Kind::read(&block).unwrap();
        assert!(!kind.sold_on(Market::Spot) && !kind.sold_on(Market::OnDemand));
    }

    #[test]
    fn the_memory_of_a_gpu_can_be_told_by_the_sum() {
        let device = GpuDeviceInfo::builder().name("V100").count(4).build();
        let gpus = GpuInfo::builder().gpus(device).total_gpu_memory_in_mib(65_536).build();
        let kind = Kind::read(&info(ArchitectureType::X8664).gpu_info(gpus).build()).unwrap();
        assert_eq!(kind.spec.gpu, Some(Gpu { model: "V100".into(), count: 4, memory_mib: 16_384 }));
    }
}
