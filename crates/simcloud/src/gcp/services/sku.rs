use serde_json::{Value, json};
use skyfleet_core::{Gpu, Market, Region, Timestamp, UsdPerHour};

use crate::catalog::{Part, fingerprint};
use crate::gcp::accelerator_types;
use crate::gcp::services::COMPUTE_ENGINE;

/// One entry of the price list: a part that costs the same in some regions.
#[derive(Debug)]
pub(super) struct Sku {
    pub(super) part: Part,
    pub(super) market: Market,
    /// `Iowa`, `Americas`.
    pub(super) place: &'static str,
    pub(super) regions: Vec<Region>,
    /// For the part's own time.
    pub(super) price: UsdPerHour,
    pub(super) since: Timestamp,
}

impl Sku {
    /// In Google's own words.
    fn description(&self) -> String {
        let (place, spot) = (self.place, self.market == Market::Spot);
        let machine = |series: &str, part: &str| {
            let spot = if spot { "Spot Preemptible " } else { "" };
            format!("{spot}{} {part} running in {place}", series_name(series))
        };
        match &self.part {
            Part::Core(series) => machine(series, "Core"),
            Part::Ram(series) => machine(series, "Ram"),
            Part::Gpu(model, memory) => {
                let attached = if spot { " attached to Spot Preemptible VMs" } else { "" };
                format!("{}{attached} running in {place}", gpu_name(model, *memory))
            }
            Part::LocalSsd => match (spot, place) {
                (false, "Americas") => "SSD backed Local Storage".to_owned(),
                (false, _) => format!("SSD backed Local Storage in {place}"),
                (true, _) => {
                    format!("SSD backed Local Storage attached to Spot Preemptible VMs in {place}")
                }
            },
        }
    }

    /// `D041-B8A1-6E0B`.
    pub(super) fn id(&self) -> String {
        let hash = fingerprint(&[&self.description(), &self.price_key()]);
        format!("{:04X}-{:04X}-{:04X}", hash >> 48, hash >> 32 & 0xffff, hash >> 16 & 0xffff)
    }

    /// Tells apart two entries of one description: on demand a price never moves.
    fn price_key(&self) -> String {
        match self.market {
            Market::OnDemand => self.price.micros().to_string(),
            Market::Spot => String::new(),
        }
    }

    /// The unit of the price: as written, in words, its base unit, that in words, and how many of the
    /// base unit it is.
    fn unit(&self) -> (&'static str, &'static str, &'static str, &'static str, f64) {
        const GIB: f64 = 1_073_741_824.0;
        match self.part {
            Part::Core(_) | Part::Gpu(..) => ("h", "hour", "s", "second", 3_600.0),
            Part::Ram(_) => ("GiBy.h", "gibibyte hour", "By.s", "byte second", GIB * 3_600.0),
            // A month of 730 hours.
            Part::LocalSsd => ("GiBy.mo", "gibibyte month", "By.s", "byte second", GIB * 730.0 * 3_600.0),
        }
    }

    pub(super) fn show(&self) -> Value {
        let (family, group) = match &self.part {
            Part::Core(series) | Part::Ram(series) if &**series == "n1" => ("Compute", "N1Standard"),
            Part::Core(_) => ("Compute", "CPU"),
            Part::Ram(_) => ("Compute", "RAM"),
            Part::Gpu(..) => ("Compute", "GPU"),
            Part::LocalSsd => ("Storage", "LocalSSD"),
        };
        let (id, micros) = (self.id(), self.price.micros());
        let (unit, words, base, base_words, factor) = self.unit();
        let regions: Vec<&str> = self.regions.iter().map(Region::as_str).collect();
        let taxonomy = if regions.len() > 1 { "MULTI_REGIONAL" } else { "REGIONAL" };
        json!({
            "name": format!("services/{COMPUTE_ENGINE}/skus/{id}"),
            "skuId": id,
            "description": self.description(),
            "category": {
                "serviceDisplayName": "Compute Engine",
                "resourceFamily": family,
                "resourceGroup": group,
                "usageType": if self.market == Market::Spot { "Preemptible" } else { "OnDemand" },
            },
            "serviceRegions": regions,
            "pricingInfo": [{
                "summary": "",
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": 1,
                    "tieredRates": [{
                        "startUsageAmount": 0,
                        "unitPrice": {
                            "currencyCode": "USD",
                            "units": (micros / 1_000_000).to_string(),
                            "nanos": micros % 1_000_000 * 1_000,
                        },
                    }],
                    "usageUnitDescription": words,
                    "baseUnit": base,
                    "baseUnitDescription": base_words,
                    "baseUnitConversionFactor": factor,
                },
                "currencyConversionRate": 1,
                "effectiveTime": self.since.to_string(),
            }],
            "serviceProviderName": "Google",
            "geoTaxonomy": { "type": taxonomy, "regions": regions },
        })
    }
}

/// Where an entry says that its price holds: on demand the regions of the United States are one
/// place, and each other region one of its own.
pub(super) fn place(region: &Region, market: Market) -> &'static str {
    match region.as_str() {
        "us-central1" | "us-east1" | "us-west1" if market == Market::OnDemand => "Americas",
        "us-central1" => "Iowa",
        "us-east1" => "South Carolina",
        "us-west1" => "Oregon",
        "europe-west1" => "Belgium",
        "europe-west4" => "Netherlands",
        "australia-southeast1" => "Sydney",
        _ => "Nowhere",
    }
}

/// What the price list calls a series.
fn series_name(series: &str) -> String {
    match series {
        "n1" => "N1 Predefined Instance".to_owned(),
        "n2d" | "c2d" | "t2d" => format!("{} AMD Instance", series.to_uppercase()),
        "t2a" | "c4a" => format!("{} Arm Instance", series.to_uppercase()),
        "c2" => "Compute optimized".to_owned(),
        "m1" => "Memory-optimized Instance".to_owned(),
        "m3" => "M3 Memory-optimized Instance".to_owned(),
        _ => format!("{} Instance", series.to_uppercase()),
    }
}

/// What it calls a GPU.
fn gpu_name(model: &str, memory_mib: u32) -> &'static str {
    let gpu = Gpu { model: model.into(), count: 1, memory_mib };
    match accelerator_types::name(&gpu) {
        Some("nvidia-tesla-t4") => "Nvidia Tesla T4 GPU",
        Some("nvidia-l4") => "Nvidia L4 GPU",
        Some("nvidia-tesla-a100") => "Nvidia Tesla A100 GPU",
        Some("nvidia-a100-80gb") => "Nvidia Tesla A100 80GB GPU",
        Some("nvidia-h100-80gb") => "Nvidia H100 80GB GPU",
        _ => "Nvidia GPU",
    }
}
