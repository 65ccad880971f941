use skyfleet_core::{InstanceType, Market, Offer, Region, Timestamp, UsdPerHour};

use serde_json::{Value, json};

use crate::azure::operation::guid;
use crate::catalog::fingerprint;
use crate::kernel::Kernel;

/// Since when prices stand that never move: since the first day of 2025.
const LISTED_S: i64 = 1_735_689_600;

/// What a licence of Windows costs for a vCPU and an hour, in micro-dollars. Azure, "Windows Virtual
/// Machines Pricing".
pub(crate) const WINDOWS_MICROS: i64 = 46_000;

/// What low priority costs, in hundredths of the price on demand. Azure Batch documentation, "Batch
/// Low-priority VMs".
const LOW_PRIORITY: i64 = 20;

/// What a year in advance costs, in hundredths of the price on demand. Ours: the discount differs from
/// size to size.
const YEAR: i64 = 63;

const HOURS_OF_YEAR: i64 = 8_760;

/// What runs on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    Windows,
}

impl System {
    pub(super) const ALL: [Self; 2] = [Self::Linux, Self::Windows];
}

/// How it is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Payg,
    Spot,
    LowPriority,
    Year,
}

impl Term {
    /// A reservation is of the machine alone, whatever runs on it.
    pub(super) fn is_for(self, system: System) -> bool {
        self != Self::Year || system == System::Linux
    }
}

/// What a size costs with Linux in a region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    price: UsdPerHour,
    since: Timestamp,
}

/// `None` for what is not sold there, or has no known price. The zones of a region cost the same; where
/// a scenario says otherwise, the dearest counts.
pub(super) fn listed(
    kernel: &Kernel,
    region: &Region,
    size: &InstanceType,
    market: Market,
) -> Option<Listed> {
    let sold = |offer: &&Offer| {
        offer.region == *region && offer.market == market && offer.instance_type.name == size.name
    };
    let offers = kernel.catalog().offers().iter().filter(sold).map(Offer::id);
    let (price, offer) = offers.filter_map(|offer| Some((kernel.price(&offer)?, offer))).max()?;
    let now = kernel.now();
    let moved =
        (market == Market::Spot).then(|| kernel.price_changes(&offer, now, now)).into_iter().flatten();
    let since = moved.map(|(since, _)| since).next_back();
    let always = Timestamp::from_second(LISTED_S).unwrap_or_default();
    Some(Listed { price, since: since.unwrap_or(always) })
}

/// One entry of the list.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    pub(super) region: &'a Region,
    pub(super) size: &'a InstanceType,
    pub(super) system: System,
    pub(super) term: Term,
    /// Of spot its spot price, of everything else the price on demand.
    pub(super) listed: Listed,
}

impl Meter<'_> {
    fn micros(&self) -> i64 {
        let linux = self.listed.price.micros();
        let licence = match self.system {
            System::Linux => 0,
            System::Windows => WINDOWS_MICROS * i64::from(self.size.vcpus),
        };
        match self.term {
            Term::Payg | Term::Spot => linux + licence,
            Term::LowPriority => linux * LOW_PRIORITY / 100 + licence,
            Term::Year => linux * HOURS_OF_YEAR / 100 * YEAR,
        }
    }

    /// In Azure's own words.
    pub(super) fn show(&self) -> Value {
        let (size, region) = (self.size.name.as_str(), self.region.as_str());
        let windows = if self.system == System::Windows { " Windows" } else { "" };
        let product = format!("Virtual Machines {} Series{windows}", series(size));
        let plain = size.strip_prefix("Standard_").unwrap_or(size).replace('_', " ");
        let meter = match self.term {
            Term::Payg | Term::Year => plain,
            Term::Spot => format!("{plain} Spot"),
            Term::LowPriority => format!("{plain} Low Priority"),
        };
        let kind = if self.term == Term::Year { "Reservation" } else { "Consumption" };
        let key = fingerprint(&[&product, &meter, kind, region]);
        let product_id = format!("DZH318Z{:05X}", fingerprint(&[&product]) & 0xf_ffff);
        let price = self.micros() as f64 / 1e6;
        let mut shown = json!({
            "currencyCode": "USD",
            "tierMinimumUnits": 0.0,
            "retailPrice": price,
            "unitPrice": price,
            "armRegionName": region,
            "location": location(region),
            "effectiveStartDate": self.listed.since.to_string(),
            "meterId": guid(key, 0),
            "meterName": meter,
            "productId": product_id,
            "skuId": format!("{product_id}/{:04X}", key & 0xffff),
            "productName": product,
            "skuName": meter,
            "serviceName": "Virtual Machines",
            "serviceId": "DZH313Z7MMC8",
            "serviceFamily": "Compute",
            "unitOfMeasure": "1 Hour",
            "type": kind,
            "isPrimaryMeterRegion": true,
            "armSkuName": size,
        });
        if self.term == Term::Year {
            shown["reservationTerm"] = "1 Year".into();
        }
        shown
    }
}

/// `Dsv5` of `Standard_D2s_v5`, `NCasT4 v3` of `Standard_NC4as_T4_v3`.
fn series(size: &str) -> String {
    let plain = size.strip_prefix("Standard_").unwrap_or(size);
    let (first, rest) = plain.split_once('_').unwrap_or((plain, ""));
    let family: String = first.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    format!("{family}{}", rest.replace('_', " "))
}

/// What the list calls a region, which is not what everything else calls it.
fn location(region: &str) -> &str {
    match region {
        "australiaeast" => "AU East",
        "eastus" => "US East",
        "eastus2" => "US East 2",
        "northeurope" => "EU North",
        "westeurope" => "EU West",
        "westus2" => "US West 2",
        _ => region,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_a_size_without_its_number() {
        for (size, wanted) in [
            ("Standard_D2s_v5", "Dsv5"),
            ("Standard_NC4as_T4_v3", "NCasT4 v3"),
            ("Standard_M8ms", "Mms"),
            ("odd", "odd"),
        ] {
            assert_eq!(series(size), wanted);
        }
    }
}
