pub(crate) mod facts;
pub(crate) mod item;
pub(crate) mod requirements;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::{Arch, InstanceType, Market};

use crate::aws::Request;
use crate::aws::error::{coded, invalid};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::images::arch_name;
use crate::aws::page::Page;
use crate::aws::types::facts::Facts;
use crate::aws::types::item::TypeItem;
use crate::aws::xml::Items;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// A type as a region sells it.
#[derive(Clone, Debug)]
pub(crate) struct Sold {
    pub(crate) spec: Arc<InstanceType>,
    pub(crate) facts: Facts,
    /// On which markets.
    pub(crate) markets: BTreeSet<Market>,
}

/// What a region sells, by name.
pub(crate) fn sold(kernel: &Kernel, region: &str) -> BTreeMap<String, Sold> {
    let mut sold: BTreeMap<String, Sold> = BTreeMap::new();
    for offer in kernel.catalog().offers().iter().filter(|offer| offer.region.as_str() == region) {
        let spec = &offer.instance_type;
        let entry = sold.entry(spec.name.as_str().to_owned()).or_insert_with(|| Sold {
            spec: Arc::clone(spec),
            facts: facts::of(spec),
            markets: BTreeSet::new(),
        });
        entry.markets.insert(offer.market);
    }
    sold
}

/// `DescribeInstanceTypes`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, FILTERS)?;
    let names = root.texts("InstanceType");
    if names.len() > 100 {
        let message = "The maximum number of instance types that can be specified in one request is 100.";
        return Err(coded(400, "InvalidParameterValue", message));
    }
    if !names.is_empty() && root.text("MaxResults").is_some() {
        let message = "The parameter InstanceTypes cannot be used with the parameter MaxResults.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let page = Page::read(&root, 5..=100, 100)?;
    let (types, next_token) = request.call(0, |kernel, _| {
        let sold = sold(kernel, request.region);
        let unknown: Vec<&str> = names.iter().copied().filter(|name| !sold.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let message =
                format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
            return Err(coded(400, "InvalidInstanceType", message));
        }
        let wanted = sold
            .values()
            .filter(|sold| names.is_empty() || names.contains(&sold.spec.name.as_str()))
            .filter(|sold| filters.matches(*sold));
        let (page, next) = page.cut(wanted);
        Ok((page.into_iter().map(TypeItem::of).collect(), next))
    })?;
    request.answer(&Types { instance_type_set: types, next_token })
}

/// `DescribeInstanceTypeOfferings`: of the region, or of each of its zones.
pub(crate) fn offerings(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, &["instance-type", "location"])?;
    let page = Page::read(&root, 5..=1_000, 1_000)?;
    let location_type = root.text("LocationType").unwrap_or("region");
    if !["region", "availability-zone", "availability-zone-id", "outpost"].contains(&location_type) {
        let expected = "region, availability-zone, availability-zone-id or outpost";
        return Err(invalid("LocationType", location_type, expected));
    }
    let (offerings, next_token) = request.call(0, |kernel, _| {
        let catalog = kernel.catalog();
        let offers = catalog.offers().iter().filter(|offer| offer.region.as_str() == request.region);
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        for offer in offers {
            let location = match location_type {
                "region" => request.region.to_owned(),
                "availability-zone" => offer.zone.as_str().to_owned(),
                "availability-zone-id" => match catalog.zone(offer.zone.as_str()) {
                    Some(spec) => spec.id.to_string(),
                    None => continue,
                },
                // No outposts here.
                _ => continue,
            };
            seen.insert((location, offer.instance_type.name.as_str().to_owned()));
        }
        let all = seen.into_iter().map(|(location, instance_type)| Offering {
            instance_type,
            location_type: location_type.to_owned(),
            location,
        });
        let (page, next) = page.cut(all.filter(|offering| filters.matches(offering)));
        Ok((page.into_iter().collect(), next))
    })?;
    request.answer(&Offerings { instance_type_offering_set: offerings, next_token })
}

impl Sold {
    /// `on-demand`, `spot`; `capacity-block` for the P types, which are sold by it too.
    pub(crate) fn usage_classes(&self) -> Vec<&'static str> {
        let classes = [
            (self.markets.contains(&Market::OnDemand), "on-demand"),
            (self.markets.contains(&Market::Spot), "spot"),
            (facts::family(&self.spec).starts_with('p'), "capacity-block"),
        ];
        classes.into_iter().filter(|(is, _)| *is).map(|(_, class)| class).collect()
    }

    pub(crate) fn boot_modes(&self) -> &'static [&'static str] {
        match self.spec.arch {
            Arch::X86_64 => &["legacy-bios", "uefi"],
            Arch::Arm64 => &["uefi"],
        }
    }

    /// Hibernation is for what has no accelerator and at most 150 GiB: EC2 user guide.
    pub(crate) fn hibernates(&self) -> bool {
        self.spec.gpu.is_none() && self.spec.memory_mib <= 150 * 1_024
    }

    pub(crate) fn efa(&self) -> bool {
        self.facts.network_cards > 1
    }

    pub(crate) fn cores(&self) -> u32 {
        (self.spec.vcpus / facts::threads_per_core(&self.spec)).max(1)
    }
}

/// EC2 API, `DescribeInstanceTypes`, filters.
const FILTERS: &[&str] = &[
    "auto-recovery-supported",
    "bare-metal",
    "burstable-performance-supported",
    "current-generation",
    "dedicated-hosts-supported",
    "ebs-info.attachment-limit-type",
    "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
    "ebs-info.ebs-optimized-info.baseline-iops",
    "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
    "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
    "ebs-info.ebs-optimized-info.maximum-iops",
    "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
    "ebs-info.ebs-optimized-support",
    "ebs-info.encryption-support",
    "ebs-info.maximum-ebs-attachments",
    "ebs-info.nvme-support",
    "free-tier-eligible",
    "hibernation-supported",
    "hypervisor",
    "instance-storage-info.disk.count",
    "instance-storage-info.disk.size-in-gb",
    "instance-storage-info.disk.type",
    "instance-storage-info.encryption-support",
    "instance-storage-info.nvme-support",
    "instance-storage-info.total-size-in-gb",
    "instance-storage-supported",
    "instance-type",
    "memory-info.size-in-mib",
    "network-info.bandwidth-weightings",
    "network-info.efa-info.maximum-efa-interfaces",
    "network-info.efa-supported",
    "network-info.ena-support",
    "network-info.encryption-in-transit-supported",
    "network-info.flexible-ena-queues-support",
    "network-info.ipv4-addresses-per-interface",
    "network-info.ipv6-addresses-per-interface",
    "network-info.ipv6-supported",
    "network-info.maximum-network-cards",
    "network-info.maximum-network-interfaces",
    "network-info.network-performance",
    "nitro-enclaves-support",
    "nitro-tpm-info.supported-versions",
    "nitro-tpm-support",
    "processor-info.supported-architecture",
    "processor-info.supported-features",
    "processor-info.sustained-clock-speed-in-ghz",
    "reboot-migration-support",
    "supported-boot-mode",
    "supported-root-device-type",
    "supported-usage-class",
    "supported-virtualization-type",
    "vcpu-info.default-cores",
    "vcpu-info.default-threads-per-core",
    "vcpu-info.default-vcpus",
    "vcpu-info.valid-cores",
    "vcpu-info.valid-threads-per-core",
];

impl Filtered for Sold {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let (spec, facts) = (&*self.spec, &self.facts);
        let local = spec.local_ssd_gib > 0;
        let value: Cow<'_, str> = match filter {
            "supported-usage-class" => {
                return Some(self.usage_classes().into_iter().map(Cow::from).collect());
            }
            "supported-boot-mode" => {
                return Some(self.boot_modes().iter().map(|mode| Cow::from(*mode)).collect());
            }
            "instance-type" => spec.name.as_str().into(),
            "bare-metal" => facts::bare_metal(spec).to_string().into(),
            "burstable-performance-supported" => facts::burstable(spec).to_string().into(),
            "current-generation" | "auto-recovery-supported" | "network-info.ipv6-supported" => "true".into(),
            "free-tier-eligible" => "false".into(),
            "dedicated-hosts-supported" => "true".into(),
            "hibernation-supported" => self.hibernates().to_string().into(),
            "hypervisor" => "nitro".into(),
            "supported-root-device-type" => "ebs".into(),
            "supported-virtualization-type" => "hvm".into(),
            "processor-info.supported-architecture" => arch_name(spec.arch).into(),
            "processor-info.sustained-clock-speed-in-ghz" => facts.clock_ghz.to_string().into(),
            "vcpu-info.default-vcpus" => spec.vcpus.to_string().into(),
            "vcpu-info.default-cores" | "vcpu-info.valid-cores" => self.cores().to_string().into(),
            "vcpu-info.default-threads-per-core" => facts::threads_per_core(spec).to_string().into(),
            "memory-info.size-in-mib" => spec.memory_mib.to_string().into(),
            "instance-storage-supported" => local.to_string().into(),
            "instance-storage-info.total-size-in-gb" if local => facts::local_gb(spec).to_string().into(),
            "instance-storage-info.disk.count" if local => facts.disks.to_string().into(),
            "instance-storage-info.disk.size-in-gb" if local => {
                (facts::local_gb(spec) / u64::from(facts.disks.max(1))).to_string().into()
            }
            "instance-storage-info.disk.type" if local => "ssd".into(),
            "instance-storage-info.encryption-support" | "instance-storage-info.nvme-support" if local => {
                "required".into()
            }
            "ebs-info.ebs-optimized-support" => "default".into(),
            "ebs-info.encryption-support" => "supported".into(),
            "ebs-info.nvme-support" | "network-info.ena-support" => "required".into(),
            "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps" => {
                facts.ebs_baseline_mbps.to_string().into()
            }
            "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps" => facts.ebs_max_mbps.to_string().into(),
            "ebs-info.ebs-optimized-info.baseline-iops" => facts.ebs_baseline_iops.to_string().into(),
            "ebs-info.ebs-optimized-info.maximum-iops" => facts.ebs_max_iops.to_string().into(),
            "network-info.efa-supported" => self.efa().to_string().into(),
            "network-info.encryption-in-transit-supported" => "true".into(),
            "network-info.ipv4-addresses-per-interface" | "network-info.ipv6-addresses-per-interface" => {
                facts.addresses.to_string().into()
            }
            "network-info.maximum-network-cards" => facts.network_cards.to_string().into(),
            "network-info.maximum-network-interfaces" => facts.interfaces.to_string().into(),
            "network-info.network-performance" => facts.network.into(),
            _ => return None,
        };
        Some(vec![value])
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    instance_type_set: Items<TypeItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Offerings {
    instance_type_offering_set: Items<Offering>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Offering {
    instance_type: String,
    location_type: String,
    location: String,
}

impl Filtered for Offering {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value = match filter {
            "instance-type" => self.instance_type.as_str(),
            "location" => self.location.as_str(),
            _ => return None,
        };
        Some(vec![value.into()])
    }
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::{Trial, texts};

    #[test]
    fn types_are_told_by_name_by_filter_or_by_page() {
        let trial = Trial::new();
        let form = "InstanceType.1=p5.48xlarge";
        let answer = trial.ask("DescribeInstanceTypes", form).unwrap();
        assert_eq!(texts(&answer, "totalSizeInGB"), ["30400"]);
        assert_eq!(texts(&answer, "totalGpuMemoryInMiB"), ["655360"]);
        assert!(answer.contains("<item>capacity-block</item>"));
        let form = "Filter.1.Name=instance-type&Filter.1.Value.1=c*&Filter.2.Name=processor-info.supported-architecture&Filter.2.Value.1=x86_64";
        let answer = trial.ask("DescribeInstanceTypes", form).unwrap();
        assert_eq!(texts(&answer, "instanceType"), ["c7a.large", "c7i.large"]);
        let first = trial.ask("DescribeInstanceTypes", "MaxResults=5").unwrap();
        assert_eq!((texts(&first, "instanceType").len(), texts(&first, "nextToken").len()), (5, 1));
        for (form, code) in [
            ("InstanceType.1=m77.large", "InvalidInstanceType"),
            ("InstanceType.1=m7g.large&MaxResults=5", "InvalidParameterCombination"),
            ("MaxResults=101", "InvalidParameterValue"),
        ] {
            assert_eq!(trial.refusal("DescribeInstanceTypes", form), code, "{form}");
        }
        // Not sold in this region at all.
        assert!(trial.ask_in("eu-west-1", "DescribeInstanceTypes", "InstanceType.1=g6.xlarge").is_err());
    }

    #[test]
    fn offerings_name_the_places_in_three_ways() {
        let trial = Trial::new();
        let of = |kind: &str| {
            let form = format!("LocationType={kind}&Filter.1.Name=instance-type&Filter.1.Value.1=g6e.xlarge");
            texts(&trial.ask("DescribeInstanceTypeOfferings", &form).unwrap(), "location")
        };
        assert_eq!(of("region"), ["us-east-1"]);
        assert_eq!(of("availability-zone"), ["us-east-1b", "us-east-1c", "us-east-1d"]);
        assert_eq!(of("availability-zone-id"), ["use1-az1", "use1-az2", "use1-az6"]);
        assert!(of("outpost").is_empty());
        assert_eq!(
            trial.refusal("DescribeInstanceTypeOfferings", "LocationType=star"),
            "InvalidParameterValue"
        );
    }
}
