//! The price list's words: which of its many thousand entries prices what.

use google_cloud_billing_v1::model;
use skyfleet_core::{Market, Region, Timestamp};

use crate::catalog::Accelerator;

/// What has a price of its own. That of a machine is the sum of its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A vCPU of a series, for an hour.
    Core(String),
    /// A GiB of memory of a series, for an hour.
    Ram(String),
    /// A GPU, by the API's name of it, for an hour.
    Gpu(&'static str),
    /// A GiB of local SSD, for a month.
    LocalSsd,
}

/// A price, from when on it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) part: Part,
    pub(crate) market: Market,
    pub(crate) regions: Vec<Region>,
    pub(crate) since: Timestamp,
    /// In billionths of a dollar for the part's unit.
    pub(crate) nanos: i64,
}

/// Families whose entries do not say the series that machine types have.
const ALIASES: [(&str, &str); 4] = [
    ("compute optimized", "c2"),
    ("memory-optimized", "m1"),
    ("m3 memory-optimized", "m3"),
    ("m4 memory-optimized", "m4"),
];

/// Words that say nothing about the price.
const FILLERS: [&str; 4] = ["instance", "predefined", "amd", "arm"];

const LOCAL_SSD: &str = "ssd backed local storage";

/// Reads one entry: every price that it had in the time that was asked for. What is sold in another
/// way (commitments, sole tenancy, custom machines, calendars, licences) gives nothing, and so does
/// what is no price above zero.
pub(crate) fn rates(sku: &model::Sku) -> Vec<Rate> {
    let usage = sku.category.as_ref().map_or("", |category| category.usage_type.as_str());
    let market = match usage {
        "OnDemand" => Market::OnDemand,
        "Preemptible" => Market::Spot,
        _ => return Vec::new(),
    };
    let Some(part) = part(&sku.description) else { return Vec::new() };
    let regions: Vec<Region> =
        sku.service_regions.iter().map(|region| Region::from(region.as_str())).collect();
    let priced = sku.pricing_info.iter().filter_map(|info| {
        let expression = info.pricing_expression.as_ref()?;
        if expression.usage_unit != unit(&part) {
            return None;
        }
        // The first tier of some entries is free, for a few hours a month: a fleet is beyond it.
        let prices = expression.tiered_rates.iter().filter_map(|tier| tier.unit_price.as_ref());
        let nanos =
            prices.map(|price| price.units.saturating_mul(1_000_000_000) + i64::from(price.nanos)).max()?;
        let since = info.effective_time.as_ref().and_then(|at| Timestamp::new(at.seconds(), at.nanos()).ok());
        let rate = Rate {
            part: part.clone(),
            market,
            regions: regions.clone(),
            since: since.unwrap_or(Timestamp::UNIX_EPOCH),
            nanos,
        };
        (nanos > 0).then_some(rate)
    });
    priced.collect()
}

/// In which unit a part's price is, as the list writes it.
fn unit(part: &Part) -> &'static str {
    match part {
        Part::Core(_) | Part::Gpu(_) => "h",
        Part::Ram(_) => "GiBy.h",
        Part::LocalSsd => "GiBy.mo",
    }
}

/// What an entry prices, by its description: "Spot Preemptible N2D AMD Instance Core running in
/// Iowa", "Nvidia L4 GPU attached to Spot Preemptible VMs running in Belgium".
fn part(description: &str) -> Option<Part> {
    let words = description.to_lowercase();
    let words =
        words.split_once(" running in ").or_else(|| words.split_once(" in ")).map_or(&*words, |(a, _)| a);
    let words = ["spot preemptible ", "preemptible "]
        .iter()
        .find_map(|start| words.strip_prefix(start))
        .unwrap_or(words);
    let attached = [" attached to spot preemptible vms", " attached to preemptible vms"];
    let words = attached.iter().find_map(|end| words.strip_suffix(end)).unwrap_or(words).trim();
    if words == LOCAL_SSD {
        return Some(Part::LocalSsd);
    }
    if let Some(family) = words.strip_suffix(" core") {
        return series(family).map(Part::Core);
    }
    if let Some(family) = words.strip_suffix(" ram") {
        return series(family).map(Part::Ram);
    }
    Accelerator::of_sku(words).map(|known| Part::Gpu(known.name))
}

/// `n2d` of "n2d amd instance". One word that looks like a series, or one of the old names.
fn series(family: &str) -> Option<String> {
    let words: Vec<&str> = family.split_whitespace().filter(|word| !FILLERS.contains(word)).collect();
    let family = words.join(" ");
    if let Some((_, series)) = ALIASES.iter().find(|(name, _)| *name == family) {
        return Some((*series).to_owned());
    }
    let mut letters = family.chars();
    let shaped = letters.next().is_some_and(|c| c.is_ascii_lowercase())
        && letters.next().is_some_and(|c| c.is_ascii_digit())
        && letters.all(|c| c.is_ascii_alphanumeric());
    shaped.then_some(family)
}

#[cfg(test)]
pub(super) mod tests {
    use google_cloud_billing_v1::model::pricing_expression::TierRate;
    use google_cloud_billing_v1::model::{Category, PricingExpression, PricingInfo, Sku};

    use super::*;

    /// An entry as the list has it, in nano-dollars.
    pub(in crate::prices) fn sku(
        description: &str,
        usage: &str,
        regions: &[&str],
        unit: &str,
        nanos: &[i64],
    ) -> Sku {
        let tiers = nanos.iter().map(|nanos| {
            let price = serde_json::json!({ "currencyCode": "USD", "units": (nanos / 1_000_000_000).to_string(),
                                            "nanos": nanos % 1_000_000_000 });
            serde_json::from_value::<TierRate>(serde_json::json!({ "startUsageAmount": 0.0, "unitPrice": price })).unwrap()
        });
        let expression = PricingExpression::new().set_usage_unit(unit).set_tiered_rates(tiers);
        Sku::new()
            .set_description(description)
            .set_category(Category::new().set_resource_family("Compute").set_usage_type(usage))
            .set_service_regions(regions.iter().copied())
            .set_pricing_info([PricingInfo::new().set_pricing_expression(expression)])
    }

    #[test]
    fn an_entry_is_told_by_its_description() {
        let core = |series: &str| Some(Part::Core(series.to_owned()));
        let ram = |series: &str| Some(Part::Ram(series.to_owned()));
        for (description, expected) in [
            ("N2 Instance Core running in Americas", core("n2")),
            ("N2 Instance Ram running in Americas", ram("n2")),
            ("Spot Preemptible N2 Instance Ram running in Iowa", ram("n2")),
            ("Preemptible N1 Predefined Instance Core running in Americas", core("n1")),
            ("N1 Predefined Instance Ram running in Zurich", ram("n1")),
            ("Spot Preemptible N2D AMD Instance Core running in Frankfurt", core("n2d")),
            ("T2A Arm Instance Core running in Iowa", core("t2a")),
            ("C4A Arm Instance Core running in Northern Virginia", core("c4a")),
            ("Compute optimized Core running in Americas", core("c2")),
            ("Compute optimized Instance Ram running in Mexico", ram("c2")),
            ("Spot Preemptible Compute optimized Core running in Paris", core("c2")),
            ("Memory-optimized Instance Core running in Northern Virginia", core("m1")),
            ("M3 Memory-optimized Instance Ram running in Iowa", ram("m3")),
            ("M4Ultramem224 Instance Core running in Americas", core("m4ultramem224")),
            ("A3 Instance Ram running in Iowa", ram("a3")),
            ("Nvidia Tesla T4 GPU running in Americas", Some(Part::Gpu("nvidia-tesla-t4"))),
            (
                "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Warsaw",
                Some(Part::Gpu("nvidia-tesla-t4")),
            ),
            ("Nvidia Tesla A100 80GB GPU running in Americas", Some(Part::Gpu("nvidia-a100-80gb"))),
            ("Nvidia Tesla A100 GPU running in Americas", Some(Part::Gpu("nvidia-tesla-a100"))),
            ("Nvidia H100 80GB Mega GPU running in Frankfurt", Some(Part::Gpu("nvidia-h100-mega-80gb"))),
            ("H200 141GB GPU running in Belgium", Some(Part::Gpu("nvidia-h200-141gb"))),
            ("SSD backed Local Storage", Some(Part::LocalSsd)),
            ("SSD backed Local Storage in Netherlands", Some(Part::LocalSsd)),
            ("SSD backed Local Storage attached to Spot Preemptible VMs in Iowa", Some(Part::LocalSsd)),
            // Sold in another way, or something else.
            ("N2 Custom Instance Core running in Americas", None),
            ("Custom Instance Core running in Americas", None),
            ("Sole Tenancy Instance Core running in Iowa", None),
            ("N2 Sole Tenancy Instance Ram running in Iowa", None),
            ("DWS Defined Duration A2 Core running in Iowa", None),
            ("Commitment v1: N2 Cpu in Americas for 1 Year", None),
            (
                "Memory Optimized Upgrade Premium for Memory-optimized Instance Core running in Singapore",
                None,
            ),
            ("Nvidia L4 Virtual Workstation GPU running in Netherlands", None),
            ("Nvidia L40 GPU running in Netherlands", None),
            ("Storage PD Capacity", None),
            ("", None),
        ] {
            assert_eq!(part(description), expected, "{description}");
        }
    }

    #[test]
    fn what_is_no_price_is_unknown_and_never_zero() {
        let name = "N2 Instance Core running in Americas";
        let read =
            |usage, unit, nanos: &[i64]| rates(&sku(name, usage, &["us-central1", "us-east1"], unit, nanos));
        let [rate] = &read("OnDemand", "h", &[31_611_000])[..] else { panic!() };
        assert_eq!((rate.market, rate.nanos), (Market::OnDemand, 31_611_000));
        assert_eq!(rate.regions, [Region::from("us-central1"), "us-east1".into()]);
        assert_eq!(read("Preemptible", "h", &[0, 7_000_000])[0].nanos, 7_000_000, "past the free tier");
        for (usage, unit, nanos) in [
            ("OnDemand", "h", &[0][..]),
            ("OnDemand", "h", &[]),
            ("OnDemand", "GiBy.mo", &[31_611_000]),
            ("Commit1Yr", "h", &[31_611_000]),
        ] {
            assert_eq!(read(usage, unit, nanos), [], "{usage} {unit} {nanos:?}");
        }
    }
}
