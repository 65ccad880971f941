use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use skyfleet_core::{InstanceType, Market, Price, UsdPerHour};

use crate::aws::error::coded;
use crate::aws::types::facts::{self, Facts};
use crate::aws::types::sold;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::seed::digest;

/// One product of the Price List, in the shape of the real one.
pub(crate) struct Product {
    family: &'static str,
    attributes: BTreeMap<&'static str, String>,
    unit: &'static str,
    description: String,
    price: UsdPerHour,
}

/// The offer code that every product here belongs to.
pub(crate) const SERVICE: &str = "AmazonEC2";

/// All products: Linux on demand, by region and type, and general purpose disks.
pub(crate) fn products(kernel: &Kernel) -> Vec<Product> {
    let mut products = Vec::new();
    for region in kernel.regions() {
        let region = region.as_str();
        let place = place(region);
        for sold in sold(kernel, region).into_values().filter(|sold| sold.markets.contains(&Market::OnDemand))
        {
            let offers = kernel.catalog().offers().iter();
            let mut here = offers.filter(|offer| {
                offer.region.as_str() == region
                    && offer.market == Market::OnDemand
                    && offer.instance_type.name == sold.spec.name
            });
            let Some(Price::Known(price)) = here.next().map(|offer| offer.price) else { continue };
            for status in ["Used", "UnusedCapacityReservation", "AllocatedCapacityReservation"] {
                products.push(machine(region, place, &sold.spec, &sold.facts, status, price));
            }
        }
        // 730 GiB for an hour cost as much as one for a month.
        products.push(disk(region, place, kernel.rules().extras.disk(region, 730)));
    }
    products
}

impl Product {
    /// Whether the product has these attributes: `Filters` of a request.
    ///
    /// # Errors
    /// `InvalidParameterException` for a filter that is none.
    pub(crate) fn matches(&self, filter: &Value) -> Result<bool, Refusal> {
        let text = |key: &str| filter[key].as_str();
        let (Some(kind), Some(field), Some(value)) = (text("Type"), text("Field"), text("Value")) else {
            let message = "Each filter needs a Type, a Field and a Value.";
            return Err(coded(400, "InvalidParameterException", message));
        };
        let has = match field.to_lowercase().as_str() {
            "productfamily" => Some(self.family),
            "servicecode" => Some(SERVICE),
            name => {
                let mut attributes = self.attributes.iter();
                attributes
                    .find(|(known, _)| known.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.as_str())
            }
        };
        let among = |has: &str| value.split(',').any(|value| value.trim() == has);
        match kind {
            "TERM_MATCH" | "EQUALS" => Ok(has == Some(value)),
            "CONTAINS" => Ok(has.is_some_and(|has| has.contains(value))),
            "ANY_OF" => Ok(has.is_some_and(among)),
            "NONE_OF" => Ok(!has.is_some_and(among)),
            other => {
                let message = format!(
                    "The filter type {other} is none of TERM_MATCH, EQUALS, CONTAINS, ANY_OF and NONE_OF."
                );
                Err(coded(400, "InvalidParameterException", message))
            }
        }
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The JSON text that stands in `PriceList`.
    pub(crate) fn told(&self) -> String {
        let sku = self.sku();
        let (offer, rate) = (format!("{sku}.{ON_DEMAND}"), format!("{sku}.{ON_DEMAND}.{HOURLY}"));
        let micros = self.price.micros();
        let dollars = format!("{}.{:06}0000", micros / 1_000_000, micros % 1_000_000);
        let product = json!({
            "product": { "productFamily": self.family, "attributes": self.attributes, "sku": sku },
            "serviceCode": SERVICE,
            "terms": { "OnDemand": { &offer: {
                "priceDimensions": { &rate: {
                    "unit": self.unit,
                    "endRange": "Inf",
                    "description": self.description,
                    "appliesTo": [],
                    "rateCode": rate,
                    "beginRange": "0",
                    "pricePerUnit": { "USD": dollars },
                } },
                "sku": sku,
                "effectiveDate": "2026-10-01T00:00:00Z",
                "offerTermCode": ON_DEMAND,
                "termAttributes": {},
            } } },
            "version": "20261015203114",
            "publicationDate": "2026-10-15T20:31:14Z",
        });
        product.to_string()
    }

    /// Sixteen letters and digits that are the product's own.
    fn sku(&self) -> String {
        let key: Vec<&[u8]> =
            self.attributes.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
        let mut number = u128::from(digest(&key)) << 32 ^ u128::from(digest(&[self.description.as_bytes()]));
        let mut sku = String::new();
        for _ in 0..16 {
            sku.push(char::from(b"ABCDEFGHJKMNPQRSTUVWXYZ23456789"[(number % 31) as usize]));
            number /= 31;
        }
        sku
    }
}

/// The names of all attributes.
pub(crate) fn attribute_names(products: &[Product]) -> BTreeSet<&'static str> {
    products.iter().flat_map(|product| product.attributes.keys().copied()).collect()
}

/// The codes of "on demand" and "per hour" in every list of AWS.
const ON_DEMAND: &str = "JRTCKXETXF";
const HOURLY: &str = "6YS6EN2CT7";

/// A region's name in prices, and what its usage types begin with.
type Place = (&'static str, &'static str);

fn place(region: &str) -> Place {
    match region {
        "us-east-1" => ("US East (N. Virginia)", ""),
        "us-east-2" => ("US East (Ohio)", "USE2-"),
        "us-west-2" => ("US West (Oregon)", "USW2-"),
        "eu-west-1" => ("EU (Ireland)", "EU-"),
        "eu-central-1" => ("EU (Frankfurt)", "EUC1-"),
        "ap-southeast-2" => ("Asia Pacific (Sydney)", "APS2-"),
        _ => ("Any", ""),
    }
}

fn machine(
    region: &str,
    (location, prefix): Place,
    spec: &InstanceType,
    facts: &Facts,
    status: &str,
    price: UsdPerHour,
) -> Product {
    let name = spec.name.as_str();
    let (usage, operation, family, price) = match status {
        "Used" => ("BoxUsage", "RunInstances", "Compute Instance", price),
        "UnusedCapacityReservation" => ("UnusedBox", "RunInstances", "Compute Instance", price),
        _ => ("Reservation", "RunInstances", "Compute Instance", UsdPerHour::ZERO),
    };
    let mut attributes = BTreeMap::from([
        ("servicecode", SERVICE.to_owned()),
        ("servicename", "Amazon Elastic Compute Cloud".to_owned()),
        ("location", location.to_owned()),
        ("locationType", "AWS Region".to_owned()),
        ("regionCode", region.to_owned()),
        ("availabilityzone", "NA".to_owned()),
        ("instanceType", name.to_owned()),
        ("currentGeneration", "Yes".to_owned()),
        ("instanceFamily", kind(spec).to_owned()),
        ("vcpu", spec.vcpus.to_string()),
        ("physicalProcessor", processor(spec).to_owned()),
        ("clockSpeed", format!("{} GHz", facts.clock_ghz)),
        ("memory", gib(spec.memory_mib)),
        ("storage", storage(spec, facts)),
        ("networkPerformance", facts.network.to_owned()),
        ("dedicatedEbsThroughput", format!("Up to {} Mbps", facts.ebs_max_mbps)),
        ("processorArchitecture", "64-bit".to_owned()),
        ("tenancy", "Shared".to_owned()),
        ("operatingSystem", "Linux".to_owned()),
        ("licenseModel", "No License required".to_owned()),
        ("preInstalledSw", "NA".to_owned()),
        ("capacitystatus", status.to_owned()),
        ("marketoption", "OnDemand".to_owned()),
        ("usagetype", format!("{prefix}{usage}:{name}")),
        ("operation", operation.to_owned()),
        ("enhancedNetworkingSupported", "Yes".to_owned()),
        ("vpcnetworkingsupport", "true".to_owned()),
        ("classicnetworkingsupport", "false".to_owned()),
    ]);
    if let Some(gpu) = &spec.gpu {
        attributes.insert("gpu", gpu.count.to_string());
        attributes.insert("gpuMemory", gib(gpu.memory_mib * gpu.count));
    }
    let description = format!("${} per {status} On Demand Linux {name} Instance Hour", price.to_dollars());
    let description = description.replace(" per Used ", " per ");
    Product { family, attributes, unit: "Hrs", description, price }
}

fn disk(region: &str, (location, prefix): Place, price: UsdPerHour) -> Product {
    let attributes = BTreeMap::from([
        ("servicecode", SERVICE.to_owned()),
        ("servicename", "Amazon Elastic Compute Cloud".to_owned()),
        ("location", location.to_owned()),
        ("locationType", "AWS Region".to_owned()),
        ("regionCode", region.to_owned()),
        ("storageMedia", "SSD-backed".to_owned()),
        ("volumeType", "General Purpose".to_owned()),
        ("volumeApiName", "gp3".to_owned()),
        ("usagetype", format!("{prefix}EBS:VolumeUsage.gp3")),
        ("operation", String::new()),
    ]);
    let description = format!(
        "${} per GB-month of General Purpose (gp3) provisioned storage - {location}",
        price.to_dollars()
    );
    Product { family: "Storage", attributes, unit: "GB-Mo", description, price }
}

fn kind(spec: &InstanceType) -> &'static str {
    match (spec.gpu.is_some(), spec.name.as_str().as_bytes().first()) {
        (true, _) => "GPU instance",
        (_, Some(b'c')) => "Compute optimized",
        (_, Some(b'r' | b'x')) => "Memory optimized",
        (_, Some(b'i' | b'd')) => "Storage optimized",
        _ => "General purpose",
    }
}

fn processor(spec: &InstanceType) -> &'static str {
    let family = facts::family(spec);
    match facts::manufacturer(spec) {
        "AWS" if family.contains('8') => "AWS Graviton4 Processor",
        "AWS" if family.contains('7') => "AWS Graviton3 Processor",
        "AWS" => "AWS Graviton2 Processor",
        "AMD" => "AMD EPYC",
        _ => "Intel Xeon Scalable",
    }
}

fn storage(spec: &InstanceType, facts: &Facts) -> String {
    match spec.local_ssd_gib {
        0 => "EBS only".to_owned(),
        _ => {
            let each = facts::local_gb(spec) / u64::from(facts.disks.max(1));
            format!("{} x {each} NVMe SSD", facts.disks)
        }
    }
}

/// `1,152 GiB`, as the list writes sizes.
fn gib(mib: u32) -> String {
    let gib = f64::from(mib) / 1_024.0;
    match gib >= 1_000.0 {
        true => format!("{},{:03} GiB", gib as u32 / 1_000, gib as u32 % 1_000),
        false => format!("{} GiB", (gib * 100.0).round() / 100.0),
    }
}
