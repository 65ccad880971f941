use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::Serialize;

use crate::aws::Request;
use crate::aws::error::{coded, invalid, missing};
use crate::aws::filter::wildcard;
use crate::aws::images::arch_name;
use crate::aws::page::Page;
use crate::aws::query::Node;
use crate::aws::shape::Given;
use crate::aws::templates::members::REQUIREMENTS;
use crate::aws::types::facts;
use crate::aws::types::{Sold, sold};
use crate::aws::xml::Items;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// Reads `InstanceRequirements`.
///
/// # Errors
/// `MissingParameter` without the two attributes that must be there, `InvalidParameterValue` for
/// one that is none, `InvalidParameterCombination` for both lists of types.
pub(crate) fn read(node: &Node<'_>) -> Result<Given, Refusal> {
    let given = Given::read(node, REQUIREMENTS)?;
    for (range, takes) in [("vCpuCount", "VCpuCount"), ("memoryMiB", "MemoryMiB")] {
        if given.part(range).and_then(|part| part.text("min")).is_none() {
            return Err(missing(node.node(takes).node("Min").name()));
        }
    }
    let both = ["allowedInstanceTypeSet", "excludedInstanceTypeSet"]
        .iter()
        .all(|list| !given.texts(list).is_empty());
    if both {
        let message = "AllowedInstanceTypes and ExcludedInstanceTypes cannot be used together.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    Ok(given)
}

/// The types that a region sells and that have the attributes, by name. `architectures` may be
/// empty for any.
pub(crate) fn types(kernel: &Kernel, region: &str, given: &Given, architectures: &[&str]) -> Vec<Sold> {
    let of_architecture =
        |sold: &Sold| architectures.is_empty() || architectures.contains(&arch_name(sold.spec.arch));
    sold(kernel, region).into_values().filter(|sold| of_architecture(sold) && matches(sold, given)).collect()
}

/// `GetInstanceTypesFromInstanceRequirements`. The price protection, which needs a lowest price to
/// compare with, is left to the launch.
pub(crate) fn preview(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let page = Page::read(&root, 1..=1_000, 1_000)?;
    let (architectures, virtualizations) = (root.texts("ArchitectureType"), root.texts("VirtualizationType"));
    if architectures.is_empty() {
        return Err(missing("ArchitectureType"));
    }
    if virtualizations.is_empty() {
        return Err(missing("VirtualizationType"));
    }
    check_each("ArchitectureType", &architectures, ARCHITECTURES)?;
    check_each("VirtualizationType", &virtualizations, &["hvm", "paravirtual"])?;
    let node = root.node("InstanceRequirements");
    if !node.is_given() {
        return Err(missing("InstanceRequirements"));
    }
    let given = read(&node)?;
    let (types, next_token) = request.call(0, |kernel, _| {
        let found = match virtualizations.contains(&"hvm") {
            true => types(kernel, request.region, &given, &architectures),
            // Nothing that is sold today is paravirtual.
            false => Vec::new(),
        };
        let (page, next) = page.cut(found);
        let told = page.iter().map(|sold| Type { instance_type: sold.spec.name.as_str().to_owned() });
        Ok((told.collect(), next))
    })?;
    request.answer(&Types { instance_type_set: types, next_token })
}

pub(crate) const ARCHITECTURES: &[&str] = &["i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"];

/// Refuses a value that is not among those that there are.
pub(crate) fn check_each(parameter: &str, values: &[&str], known: &[&str]) -> Result<(), Refusal> {
    match values.iter().find(|value| !known.contains(value)) {
        Some(value) => Err(invalid(parameter, value, &format!("one of {}", known.join(", ")))),
        None => Ok(()),
    }
}

/// EC2 API, `InstanceRequirementsRequest`: what is not given does not matter, but for bare metal
/// and burstable types, which are left out unless included.
fn matches(sold: &Sold, given: &Given) -> bool {
    let (spec, facts) = (&*sold.spec, &sold.facts);
    let name = spec.name.as_str();
    let within = |range: &str, value: f64| bounds(given, range).contains(&value);
    let one_of = |list: &str, value: &str| {
        let wanted = given.texts(list);
        wanted.is_empty() || wanted.iter().any(|wanted| wanted == value)
    };
    let wanted_or = |attribute: &str, usual: &str, is: bool| match given.text(attribute).unwrap_or(usual) {
        "included" => true,
        "required" => is,
        _ => !is,
    };
    let named = |list: &str| given.texts(list).iter().any(|pattern| wildcard(pattern, name));
    let maker = match facts::manufacturer(spec) {
        "AWS" => "amazon-web-services",
        "AMD" => "amd",
        _ => "intel",
    };
    let local = spec.local_ssd_gib > 0;
    let gpu = spec.gpu.as_ref();
    let of_gpu =
        |list: &str, value: &str| given.texts(list).is_empty() || gpu.is_some() && one_of(list, value);
    let count = gpu.map_or(0, |gpu| gpu.count);
    let gpu_name = gpu.map(|gpu| gpu.model.to_lowercase()).unwrap_or_default();
    let gpu_memory = gpu.map_or(0.0, |gpu| f64::from(gpu.memory_mib) * f64::from(gpu.count));
    let memory = f64::from(spec.memory_mib);

    within("vCpuCount", f64::from(spec.vcpus))
        && within("memoryMiB", memory)
        && within("memoryGiBPerVCpu", memory / 1_024.0 / f64::from(spec.vcpus.max(1)))
        && one_of("cpuManufacturerSet", maker)
        && one_of("instanceGenerationSet", "current")
        && wanted_or("bareMetal", "excluded", facts::bare_metal(spec))
        && wanted_or("burstablePerformance", "excluded", facts::burstable(spec))
        && (!given.flag("requireHibernateSupport").unwrap_or(false) || sold.hibernates())
        && within("networkInterfaceCount", f64::from(facts.interfaces))
        && within("networkBandwidthGbps", facts.network_peak_gbps)
        && within("baselineEbsBandwidthMbps", f64::from(facts.ebs_baseline_mbps))
        && wanted_or("localStorage", "included", local)
        && (!local || one_of("localStorageTypeSet", "ssd"))
        && (given.part("totalLocalStorageGB").is_none()
            || within("totalLocalStorageGB", facts::local_gb(spec) as f64))
        && within("acceleratorCount", f64::from(count))
        && of_gpu("acceleratorTypeSet", "gpu")
        && of_gpu("acceleratorManufacturerSet", "nvidia")
        && of_gpu("acceleratorNameSet", &gpu_name)
        && (given.part("acceleratorTotalMemoryMiB").is_none()
            || within("acceleratorTotalMemoryMiB", gpu_memory))
        && (given.texts("allowedInstanceTypeSet").is_empty() || named("allowedInstanceTypeSet"))
        && !named("excludedInstanceTypeSet")
}

fn bounds(given: &Given, range: &str) -> RangeInclusive<f64> {
    let bound = |name: &str| given.part(range).and_then(|part| part.number::<f64>(name));
    bound("min").unwrap_or(0.0)..=bound("max").unwrap_or(f64::INFINITY)
}

/// The names of types, for comparing lists.
pub(crate) fn names(types: &[Sold]) -> BTreeSet<&str> {
    types.iter().map(|sold| sold.spec.name.as_str()).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    instance_type_set: Items<Type>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Type {
    instance_type: String,
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::{Trial, texts};

    const ALL: &str = "ArchitectureType.1=x86_64&ArchitectureType.2=arm64&VirtualizationType.1=hvm\
                       &InstanceRequirements.VCpuCount.Min=1&InstanceRequirements.MemoryMiB.Min=1";

    fn found(more: &str) -> Vec<String> {
        let form = format!("{ALL}&{more}");
        let answer = Trial::new().ask("GetInstanceTypesFromInstanceRequirements", &form).unwrap();
        texts(&answer, "instanceType")
    }

    #[test]
    fn every_attribute_counts() {
        for (more, types) in [
            ("InstanceRequirements.AcceleratorName.1=t4", "g4dn.xlarge"),
            (
                "InstanceRequirements.AcceleratorCount.Min=8&InstanceRequirements.TotalLocalStorageGB.Max=9000",
                "p4d.24xlarge",
            ),
            ("InstanceRequirements.BurstablePerformance=required", "t4g.medium"),
            (
                "InstanceRequirements.AllowedInstanceType.1=m7*&InstanceRequirements.CpuManufacturer.1=amd",
                "m7a.large",
            ),
            (
                "InstanceRequirements.LocalStorage=required&InstanceRequirements.AcceleratorCount.Max=0",
                "i4g.large i4i.large m6gd.large",
            ),
            (
                "InstanceRequirements.MemoryGiBPerVCpu.Min=8&InstanceRequirements.ExcludedInstanceType.1=r*",
                "g6e.xlarge i4g.large i4i.large p4d.24xlarge p5.48xlarge",
            ),
            ("InstanceRequirements.AcceleratorManufacturer.1=amd", ""),
            ("InstanceRequirements.InstanceGeneration.1=previous", ""),
            ("InstanceRequirements.BareMetal=required", ""),
        ] {
            assert_eq!(found(more).join(" "), types, "{more}");
        }
        assert!(!found("MaxResults=100").contains(&"t4g.medium".to_owned()));
    }

    #[test]
    fn what_must_be_said_is_asked_for() {
        let trial = Trial::new();
        for (form, code) in [
            ("VirtualizationType.1=hvm", "MissingParameter"),
            ("ArchitectureType.1=arm64&VirtualizationType.1=hvm", "MissingParameter"),
            (&*ALL.replace("MemoryMiB.Min", "MemoryMiB.Max"), "MissingParameter"),
            (&*ALL.replace("x86_64", "vax"), "InvalidParameterValue"),
            (
                &*format!(
                    "{ALL}&InstanceRequirements.AllowedInstanceType.1=a&InstanceRequirements.ExcludedInstanceType.1=b"
                ),
                "InvalidParameterCombination",
            ),
        ] {
            assert_eq!(trial.refusal("GetInstanceTypesFromInstanceRequirements", form), code, "{form}");
        }
    }
}
