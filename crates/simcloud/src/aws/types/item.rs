use serde::Serialize;

use crate::aws::images::arch_name;
use crate::aws::types::Sold;
use crate::aws::types::facts;
use crate::aws::xml::Items;

/// One type as `DescribeInstanceTypes` tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TypeItem {
    instance_type: String,
    current_generation: bool,
    free_tier_eligible: bool,
    supported_usage_classes: Items<&'static str>,
    supported_root_device_types: Items<&'static str>,
    supported_virtualization_types: Items<&'static str>,
    bare_metal: bool,
    hypervisor: &'static str,
    processor_info: Processor,
    #[serde(rename = "vCpuInfo")]
    vcpu_info: Vcpus,
    memory_info: Memory,
    instance_storage_supported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_storage_info: Option<Storage>,
    ebs_info: Ebs,
    network_info: Network,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_info: Option<Gpus>,
    placement_group_info: Placement,
    hibernation_supported: bool,
    burstable_performance_supported: bool,
    dedicated_hosts_supported: bool,
    auto_recovery_supported: bool,
    supported_boot_modes: Items<&'static str>,
}

impl TypeItem {
    pub(crate) fn of(sold: &Sold) -> Self {
        let (spec, facts) = (&*sold.spec, &sold.facts);
        let threads = facts::threads_per_core(spec);
        let local_gb = facts::local_gb(spec);
        let disk =
            Disk { size_in_gb: local_gb / u64::from(facts.disks.max(1)), count: facts.disks, kind: "ssd" };
        Self {
            instance_type: spec.name.as_str().to_owned(),
            current_generation: true,
            free_tier_eligible: false,
            supported_usage_classes: sold.usage_classes().into_iter().collect(),
            supported_root_device_types: ["ebs"].into_iter().collect(),
            supported_virtualization_types: ["hvm"].into_iter().collect(),
            bare_metal: facts::bare_metal(spec),
            hypervisor: "nitro",
            processor_info: Processor {
                supported_architectures: [arch_name(spec.arch)].into_iter().collect(),
                sustained_clock_speed_in_ghz: facts.clock_ghz,
                manufacturer: facts::manufacturer(spec),
            },
            vcpu_info: Vcpus {
                default_vcpus: spec.vcpus,
                default_cores: sold.cores(),
                default_threads_per_core: threads,
                valid_cores: [sold.cores()].into_iter().collect(),
                valid_threads_per_core: (1..=threads).collect(),
            },
            memory_info: Memory { size_in_mib: spec.memory_mib },
            instance_storage_supported: spec.local_ssd_gib > 0,
            instance_storage_info: (spec.local_ssd_gib > 0).then(|| Storage {
                total_size_in_gb: local_gb,
                disks: [disk].into_iter().collect(),
                nvme_support: "required",
                encryption_support: "required",
            }),
            ebs_info: Ebs {
                ebs_optimized_support: "default",
                encryption_support: "supported",
                ebs_optimized_info: EbsOptimized {
                    baseline_bandwidth_in_mbps: facts.ebs_baseline_mbps,
                    baseline_throughput: f64::from(facts.ebs_baseline_mbps) / 8.0,
                    baseline_iops: facts.ebs_baseline_iops,
                    maximum_bandwidth_in_mbps: facts.ebs_max_mbps,
                    maximum_throughput: f64::from(facts.ebs_max_mbps) / 8.0,
                    maximum_iops: facts.ebs_max_iops,
                },
                nvme_support: "required",
            },
            network_info: Network::of(sold),
            gpu_info: spec.gpu.as_ref().map(|gpu| Gpus {
                gpus: [Gpu {
                    name: gpu.model.to_string(),
                    manufacturer: "NVIDIA",
                    count: gpu.count,
                    logical_gpu_count: gpu.count,
                    gpu_partition_size: 1.0,
                    memory_info: Memory { size_in_mib: gpu.memory_mib },
                }]
                .into_iter()
                .collect(),
                total_gpu_memory_in_mib: gpu.memory_mib * gpu.count,
            }),
            placement_group_info: Placement {
                // EC2 user guide: no cluster placement groups for burstable types.
                supported_strategies: ["cluster", "partition", "spread"]
                    .into_iter()
                    .filter(|strategy| *strategy != "cluster" || !facts::burstable(spec))
                    .collect(),
            },
            hibernation_supported: sold.hibernates(),
            burstable_performance_supported: facts::burstable(spec),
            dedicated_hosts_supported: true,
            auto_recovery_supported: true,
            supported_boot_modes: sold.boot_modes().iter().copied().collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Processor {
    supported_architectures: Items<&'static str>,
    sustained_clock_speed_in_ghz: f64,
    manufacturer: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Vcpus {
    #[serde(rename = "defaultVCpus")]
    default_vcpus: u32,
    default_cores: u32,
    default_threads_per_core: u32,
    valid_cores: Items<u32>,
    valid_threads_per_core: Items<u32>,
}

#[derive(Serialize)]
struct Memory {
    #[serde(rename = "sizeInMiB")]
    size_in_mib: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Storage {
    #[serde(rename = "totalSizeInGB")]
    total_size_in_gb: u64,
    disks: Items<Disk>,
    nvme_support: &'static str,
    encryption_support: &'static str,
}

#[derive(Serialize)]
struct Disk {
    #[serde(rename = "sizeInGB")]
    size_in_gb: u64,
    count: u32,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ebs {
    ebs_optimized_support: &'static str,
    encryption_support: &'static str,
    ebs_optimized_info: EbsOptimized,
    nvme_support: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EbsOptimized {
    baseline_bandwidth_in_mbps: u32,
    #[serde(rename = "baselineThroughputInMBps")]
    baseline_throughput: f64,
    baseline_iops: u32,
    maximum_bandwidth_in_mbps: u32,
    #[serde(rename = "maximumThroughputInMBps")]
    maximum_throughput: f64,
    maximum_iops: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    network_performance: &'static str,
    maximum_network_interfaces: u32,
    maximum_network_cards: u32,
    default_network_card_index: u32,
    network_cards: Items<Card>,
    ipv4_addresses_per_interface: u32,
    ipv6_addresses_per_interface: u32,
    ipv6_supported: bool,
    ena_support: &'static str,
    efa_supported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    efa_info: Option<Efa>,
    encryption_in_transit_supported: bool,
    ena_srd_supported: bool,
}

impl Network {
    fn of(sold: &Sold) -> Self {
        let facts = &sold.facts;
        let cards = facts.network_cards;
        let card = |index: u32| Card {
            network_card_index: index,
            network_performance: facts.network,
            maximum_network_interfaces: facts.interfaces / cards,
            baseline_bandwidth_in_gbps: facts.network_baseline_gbps / f64::from(cards),
            peak_bandwidth_in_gbps: facts.network_peak_gbps / f64::from(cards),
        };
        Self {
            network_performance: facts.network,
            maximum_network_interfaces: facts.interfaces,
            maximum_network_cards: cards,
            default_network_card_index: 0,
            network_cards: (0..cards).map(card).collect(),
            ipv4_addresses_per_interface: facts.addresses,
            ipv6_addresses_per_interface: facts.addresses,
            ipv6_supported: true,
            ena_support: "required",
            efa_supported: sold.efa(),
            efa_info: sold.efa().then_some(Efa { maximum_efa_interfaces: cards }),
            encryption_in_transit_supported: true,
            ena_srd_supported: false,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Card {
    network_card_index: u32,
    network_performance: &'static str,
    maximum_network_interfaces: u32,
    baseline_bandwidth_in_gbps: f64,
    peak_bandwidth_in_gbps: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Efa {
    maximum_efa_interfaces: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Gpus {
    gpus: Items<Gpu>,
    #[serde(rename = "totalGpuMemoryInMiB")]
    total_gpu_memory_in_mib: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Gpu {
    name: String,
    manufacturer: &'static str,
    count: u32,
    logical_gpu_count: u32,
    gpu_partition_size: f64,
    memory_info: Memory,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    supported_strategies: Items<&'static str>,
}
