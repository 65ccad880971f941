//! The sizes that are sold, region by region, with their zones, capabilities and restrictions.

use serde_json::{Value, json};
use skyfleet_core::{Arch, InstanceType, Market, Offer, Region};

use crate::azure::error::coded;
use crate::azure::method::Method;
use crate::azure::{Answer, Request, subscriptions};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "skus.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Compute/skus",
        answer: list,
    },
    Method {
        id: "vmSizes.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/vmSizes",
        answer: sizes,
    },
];

/// How many data disks a size takes at most. Ours: two for each vCPU, as most sizes do.
const DISKS: (u32, u32) = (2, 64);

/// The only filter that there is: `location eq 'eastus'`. Compute API reference, "Resource Skus -
/// List".
fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = match request.option("$filter") {
        None => None,
        Some(text) => Some(location(text).ok_or_else(|| {
            coded(400, "InvalidFilter", format!("The filter '{text}' is not supported: only location is."))
        })?),
    };
    let shown: Vec<Value> = request.look("global", |kernel, _| {
        let regions = match wanted {
            Some(name) => Vec::from_iter(subscriptions::region(kernel, name)),
            None => kernel.regions(),
        };
        Ok(regions.iter().flat_map(|region| in_region(kernel, region)).collect())
    })?;
    Answer::ok(&json!({ "value": shown }))
}

/// The same in short, as older programs ask for it. Compute API reference, "Virtual Machine Sizes -
/// List".
fn sizes(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown: Vec<Value> = request.look(request.part("location"), |kernel, _| {
        let region = subscriptions::region_of(kernel, request)?;
        let catalog = kernel.catalog();
        let sold = |spec: &&InstanceType| {
            let mut offers = catalog.offers().iter();
            offers.any(|offer| offer.region == region && offer.instance_type.name == spec.name)
        };
        let sizes = catalog.instance_types().map(|spec| &**spec).filter(sold);
        Ok(sizes.map(in_short).collect())
    })?;
    Answer::ok(&json!({ "value": shown }))
}

fn in_short(spec: &InstanceType) -> Value {
    json!({
        "name": spec.name,
        "numberOfCores": spec.vcpus,
        "memoryInMB": spec.memory_mib,
        "osDiskSizeInMB": 1_047_552,
        "resourceDiskSizeInMB": spec.local_ssd_gib * 1_024,
        "maxDataDiskCount": (spec.vcpus * DISKS.0).min(DISKS.1),
    })
}

fn location(filter: &str) -> Option<&str> {
    let (name, value) = filter.trim().split_once(" eq ")?;
    name.trim().eq_ignore_ascii_case("location").then_some(())?;
    value.trim().strip_prefix('\'')?.strip_suffix('\'')
}

fn in_region(kernel: &Kernel, region: &Region) -> Vec<Value> {
    let catalog = kernel.catalog();
    let shown = catalog.instance_types().filter_map(|spec| {
        let offers = catalog.offers().iter();
        let sold = offers.filter(|offer| offer.region == *region && offer.instance_type.name == spec.name);
        let sold: Vec<&Offer> = sold.collect();
        (!sold.is_empty()).then(|| show(kernel, region, spec, &sold))
    });
    shown.collect()
}

fn show(kernel: &Kernel, region: &Region, spec: &InstanceType, sold: &[&Offer]) -> Value {
    let name = spec.name.as_str();
    let of = |market| sold.iter().filter(move |offer| offer.market == market);
    let zones: Vec<&str> =
        of(Market::OnDemand).filter_map(|offer| Some(offer.zone.as_str().rsplit_once('-')?.1)).collect();
    let family = of(Market::OnDemand).flat_map(|offer| offer.quotas.iter()).find_map(|draw| {
        let (_, family) = draw.quota.as_str().split_once('/')?;
        (family != "cores").then_some(family)
    });
    let restricted = sold.iter().any(|offer| kernel.trouble.restricted(offer));
    let restrictions = restricted.then(|| {
        json!({ "type": "Location", "values": [region], "restrictionInfo": { "locations": [region] },
            "reasonCode": "NotAvailableForSubscription" })
    });
    json!({
        "resourceType": "virtualMachines",
        "name": name,
        "tier": "Standard",
        "size": name.strip_prefix("Standard_").unwrap_or(name),
        "family": family,
        "locations": [region],
        "locationInfo": [{ "location": region, "zones": zones, "zoneDetails": [] }],
        "capabilities": capabilities(spec, of(Market::Spot).next().is_some()),
        "restrictions": Vec::from_iter(restrictions),
    })
}

fn capabilities(spec: &InstanceType, spot: bool) -> Vec<Value> {
    let yes = |is: bool| if is { "True" } else { "False" }.to_owned();
    let architecture = match spec.arch {
        Arch::Arm64 => "Arm64",
        _ => "x64",
    };
    let nvme_mib = spec.local_ssd_gib * 1_024;
    let mut all = vec![
        ("vCPUs", spec.vcpus.to_string()),
        ("MemoryGB", (f64::from(spec.memory_mib) / 1_024.0).to_string()),
        ("CpuArchitectureType", architecture.to_owned()),
        ("LowPriorityCapable", yes(spot)),
        ("PremiumIO", yes(true)),
        ("HyperVGenerations", "V1,V2".to_owned()),
        ("AcceleratedNetworkingEnabled", yes(true)),
        ("EphemeralOSDiskSupported", yes(nvme_mib > 0)),
    ];
    if nvme_mib > 0 {
        all.push(("NvmeDiskSizeInMiB", nvme_mib.to_string()));
    }
    all.extend(spec.gpu.as_ref().map(|gpu| ("GPUs", gpu.count.to_string())));
    all.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn a_size_tells_its_zones_its_family_and_what_restricts_it() {
        let trial = Trial::new();
        let path = "/providers/Microsoft.Compute/skus?$filter=location eq 'eastus'";
        let find = || {
            let all = trial.get(path)["value"].as_array().unwrap().clone();
            all.into_iter().find(|sku| sku["name"] == "Standard_D2s_v5").unwrap()
        };
        let sku = find();
        assert_eq!(
            (&sku["family"], &sku["locationInfo"][0]["zones"]),
            (&json!("standardDSv5Family"), &json!(["1", "2", "3"]))
        );
        assert!(sku["capabilities"].as_array().unwrap().contains(&json!({ "name": "vCPUs", "value": "2" })));
        assert_eq!(sku["restrictions"], json!([]));
        trial.fault(json!({ "kind": "sku-restriction", "cloud": "azure", "region": "eastus",
            "instance_type": "Standard_D2s_v5", "on": true }));
        assert_eq!(find()["restrictions"][0]["reasonCode"], "NotAvailableForSubscription");
        let short = trial.get("/providers/Microsoft.Compute/locations/eastus/vmSizes")["value"].clone();
        let short = short.as_array().unwrap().iter().find(|size| size["name"] == "Standard_D2s_v5").unwrap();
        assert_eq!((&short["numberOfCores"], &short["memoryInMB"]), (&json!(2), &json!(8_192)));
        assert_eq!(
            trial.refusal("GET", "/providers/Microsoft.Compute/skus?$filter=name eq 'x'", Value::Null).0,
            400
        );
    }
}
