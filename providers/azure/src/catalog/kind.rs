//! Azure's description of a size, and ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use azure_mgmt_compute::models::resource_sku_restrictions::Type;
use azure_mgmt_compute::models::{ResourceSku, ResourceSkuRestrictions};
use skyfleet_core::{Arch, InstanceType, Region, TypeName, Zone};

use super::accelerator;
use crate::names::{plain, zone_of};

/// A size in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) spec: Arc<InstanceType>,
    /// `standardDSv5Family`: what the quotas call it.
    pub(crate) family: Option<String>,
    /// Whether it is sold as a spot machine.
    pub(crate) spot: bool,
    /// The zones that have it; the region's own name where zones are not told apart.
    pub(crate) zones: BTreeSet<Zone>,
    /// Those of the zones in which the subscription may not have it.
    pub(crate) restricted: BTreeSet<Zone>,
}

impl Kind {
    /// `None` for what no fleet of ours can use: no size of a machine, a size that takes only images
    /// of the first generation, or none but encrypted ones; one whose GPUs nobody here knows; a
    /// description without processors or memory.
    pub(crate) fn read(sku: &ResourceSku, region: &Region) -> Option<Self> {
        if !sku.resource_type.as_deref()?.eq_ignore_ascii_case("virtualMachines") {
            return None;
        }
        let name = sku.name.as_deref()?;
        let capability = |wanted: &str| {
            let named =
                |name: &Option<String>| name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(wanted));
            sku.capabilities.iter().find(|told| named(&told.name))?.value.as_deref()
        };
        let number = |name: &str| capability(name)?.trim().parse::<u32>().ok();
        let yes = |name: &str| capability(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if capability("HyperVGenerations").is_some_and(|told| !told.contains("V2"))
            || capability("ConfidentialComputingType").is_some()
        {
            return None;
        }
        // Of some sizes a part of the processors is switched off ("Constrained vCPU capable sizes").
        let vcpus = number("vCPUsAvailable").or_else(|| number("vCPUs")).filter(|n| *n > 0)?;
        let memory_gib: f64 = capability("MemoryGB")?.trim().parse().ok()?;
        let memory_mib = (memory_gib * 1_024.0).round();
        if !(1.0..=f64::from(u32::MAX)).contains(&memory_mib) {
            return None;
        }
        let gpu = match number("GPUs").unwrap_or(0) {
            0 => None,
            count => Some(accelerator::gpu(name, count)?),
        };
        let spec = InstanceType {
            name: TypeName::from(name),
            vcpus,
            memory_mib: memory_mib as u32,
            arch: match capability("CpuArchitectureType") {
                Some(told) if told.eq_ignore_ascii_case("Arm64") => Arch::Arm64,
                _ => Arch::X86_64,
            },
            gpu,
            // The temporary disk that most sizes have beside is not counted: it is small, and the
            // swap of many images.
            local_ssd_gib: number("NvmeDiskSizeInMiB").unwrap_or(0) / 1_024,
        };
        let here = |place: &String| plain(place) == region.as_str();
        let told = sku.location_info.iter().filter(|told| told.location.as_ref().is_some_and(here));
        let mut zones: BTreeSet<Zone> = told
            .flat_map(|told| told.zones.iter().map(|zone| zone_of(region.as_str(), Some(zone))))
            .collect();
        if zones.is_empty() {
            zones.insert(zone_of(region.as_str(), None));
        }
        let barred = |zone: &&Zone| sku.restrictions.iter().any(|told| bars(told, region, zone));
        Some(Self {
            restricted: zones.iter().filter(barred).cloned().collect(),
            spec: Arc::new(spec),
            family: sku.family.clone().filter(|family| !family.is_empty()),
            spot: yes("LowPriorityCapable"),
            zones,
        })
    }
}

/// Whether a restriction is about this zone: one of a region is about all of its zones.
fn bars(told: &ResourceSkuRestrictions, region: &Region, zone: &Zone) -> bool {
    let info = told.restriction_info.clone().unwrap_or_default();
    let here = |places: &[String]| places.iter().any(|place| plain(place) == region.as_str());
    let numbered = || info.zones.iter().any(|number| zone_of(region.as_str(), Some(number)) == *zone);
    match told.type_ {
        Some(Type::Zone) => here(&info.locations) && numbered(),
        _ => here(&info.locations) || here(&told.values),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn sku(
        name: &str,
        family: &str,
        capabilities: &[(&str, &str)],
        restrictions: Value,
    ) -> ResourceSku {
        let capabilities: Vec<Value> =
            capabilities.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        serde_json::from_value(json!({
            "resourceType": "virtualMachines",
            "name": name,
            "family": family,
            "locations": ["EastUS"],
            "locationInfo": [{ "location": "EastUS", "zones": ["1", "3"], "zoneDetails": [] }],
            "capabilities": capabilities,
            "restrictions": restrictions,
        }))
        .unwrap()
    }

    const USUAL: [(&str, &str); 4] =
        [("vCPUs", "2"), ("MemoryGB", "8"), ("LowPriorityCapable", "True"), ("HyperVGenerations", "V1,V2")];

    fn read(sku: &ResourceSku) -> Option<Kind> {
        Kind::read(sku, &"eastus".into())
    }

    fn zones(names: &[&str]) -> BTreeSet<Zone> {
        names.iter().map(|name| Zone::from(*name)).collect()
    }

    #[test]
    fn a_size_is_read_with_its_zones_and_restrictions() {
        let kind = read(&sku("Standard_D2s_v5", "standardDSv5Family", &USUAL, json!([]))).unwrap();
        assert_eq!((kind.spec.vcpus, kind.spec.memory_mib, kind.spec.arch), (2, 8_192, Arch::X86_64));
        assert_eq!((kind.family.as_deref(), kind.spot), (Some("standardDSv5Family"), true));
        assert_eq!((kind.zones, kind.restricted), (zones(&["eastus-1", "eastus-3"]), zones(&[])));
        let zone = json!([{ "type": "Zone", "values": ["eastus"], "reasonCode": "NotAvailableForSubscription",
            "restrictionInfo": { "locations": ["eastus"], "zones": ["3"] } }]);
        assert_eq!(read(&sku("a", "f", &USUAL, zone)).unwrap().restricted, zones(&["eastus-3"]));
        let region = json!([{ "type": "Location", "values": ["eastus"], "reasonCode": "QuotaId",
            "restrictionInfo": { "locations": ["eastus"] } }]);
        assert_eq!(read(&sku("a", "f", &USUAL, region)).unwrap().restricted.len(), 2);
        let elsewhere = json!([{ "type": "Location", "values": ["westus2"],
            "restrictionInfo": { "locations": ["westus2"] } }]);
        assert!(read(&sku("a", "f", &USUAL, elsewhere)).unwrap().restricted.is_empty());
    }

    #[test]
    fn processors_that_are_off_do_not_count_and_disks_are_those_of_the_machine() {
        let told = [
            ("vCPUs", "64"),
            ("vCPUsAvailable", "16"),
            ("MemoryGB", "218.75"),
            ("CpuArchitectureType", "Arm64"),
            ("NvmeDiskSizeInMiB", "1830912"),
            ("MaxResourceVolumeMB", "76800"),
        ];
        let kind = read(&sku("Standard_E64-16s_v3", "f", &told, json!([]))).unwrap();
        assert_eq!((kind.spec.vcpus, kind.spec.memory_mib, kind.spec.arch), (16, 224_000, Arch::Arm64));
        assert_eq!((kind.spec.local_ssd_gib, kind.spot), (1_788, false));
        let gpu = [("vCPUs", "4"), ("MemoryGB", "28"), ("GPUs", "1")];
        let kind = read(&sku("Standard_NC4as_T4_v3", "f", &gpu, json!([]))).unwrap();
        assert_eq!(&*kind.spec.gpu.as_ref().unwrap().model, "T4");
    }

    #[test]
    fn a_size_in_no_zone_is_in_the_region() {
        let mut told = sku("Standard_D2s_v5", "f", &USUAL, json!([]));
        told.location_info[0].zones.clear();
        assert_eq!(read(&told).unwrap().zones, zones(&["eastus"]));
    }

    #[test]
    fn what_no_fleet_can_use_is_left_out() {
        let with =
            |more: &[(&str, &str)]| read(&sku("Standard_X", "f", &[more, &USUAL[..]].concat(), json!([])));
        assert!(with(&[]).is_some());
        for more in
            [("HyperVGenerations", "V1"), ("ConfidentialComputingType", "SNP"), ("GPUs", "2"), ("vCPUs", "0")]
        {
            assert_eq!(with(&[more]), None, "{more:?}");
        }
        let mut disk = sku("Premium_LRS", "f", &USUAL, json!([]));
        disk.resource_type = Some("disks".to_owned());
        assert_eq!(read(&disk), None);
    }
}
