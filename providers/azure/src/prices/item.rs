//! One row of the retail price list. A size has four and more, told apart by prose alone.

use serde::Deserialize;
use serde_json::Value;
use skyfleet_core::{Market, Region, Timestamp, UsdPerHour};

/// What an hour of a size costs in a region, on a market.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) region: Region,
    pub(crate) name: String,
    pub(crate) market: Market,
    pub(crate) since: Timestamp,
    pub(crate) price: UsdPerHour,
}

/// Azure documentation, "Azure Retail Prices overview", response.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    currency_code: String,
    retail_price: f64,
    arm_region_name: String,
    arm_sku_name: String,
    #[serde(default)]
    product_name: String,
    #[serde(default)]
    sku_name: String,
    #[serde(default)]
    meter_name: String,
    #[serde(default)]
    unit_of_measure: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    effective_start_date: String,
}

/// What a row says about a Linux machine; `None` for the rows of Windows, of dedicated hosts, of what
/// is bought for years, and of low priority, which is what spot was before it.
pub(crate) fn rate(row: &Value) -> Option<Rate> {
    let item = Item::deserialize(row).ok()?;
    let told = [&item.product_name, &item.sku_name, &item.meter_name].map(|text| text.to_ascii_lowercase());
    let says = |word: &str| told.iter().any(|text| text.contains(word));
    if item.kind != "Consumption"
        || item.unit_of_measure != "1 Hour"
        || !matches!(item.currency_code.as_str(), "" | "USD")
        || item.arm_sku_name.is_empty()
        || ["windows", "low priority", "cloud services", "cloudservices", "dedicated host"]
            .iter()
            .any(|w| says(w))
    {
        return None;
    }
    let price = UsdPerHour::from_dollars(item.retail_price).filter(|price| *price > UsdPerHour::ZERO)?;
    Some(Rate {
        region: Region::from(item.arm_region_name),
        name: item.arm_sku_name,
        market: if says("spot") { Market::Spot } else { Market::OnDemand },
        since: item.effective_start_date.parse().unwrap_or(Timestamp::UNIX_EPOCH),
        price,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Rows of `Standard_D2as_v5` in eastus.
    fn row(product: &str, sku: &str, meter: &str, price: f64) -> Value {
        json!({
            "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": price, "unitPrice": price,
            "armRegionName": "eastus", "location": "US East", "effectiveStartDate": "2021-11-01T00:00:00Z",
            "meterName": meter, "productName": product, "skuName": sku, "serviceName": "Virtual Machines",
            "unitOfMeasure": "1 Hour", "type": "Consumption", "armSkuName": "Standard_D2as_v5",
        })
    }

    #[test]
    fn of_the_rows_of_a_size_those_of_linux_count() {
        let linux = "Virtual Machines Dasv5 Series";
        let regular = rate(&row(linux, "D2as v5", "D2as v5", 0.086)).unwrap();
        assert_eq!((regular.market, regular.price.micros()), (Market::OnDemand, 86_000));
        assert_eq!((regular.region.as_str(), regular.name.as_str()), ("eastus", "Standard_D2as_v5"));
        assert_eq!(regular.since.to_string(), "2021-11-01T00:00:00Z");
        let spot = rate(&row(linux, "D2as v5 Spot", "D2as v5 Spot", 0.00946)).unwrap();
        assert_eq!((spot.market, spot.price.micros()), (Market::Spot, 9_460));
        for other in [
            row("Virtual Machines Dasv5 Series Windows", "D2as v5", "D2as v5", 0.178),
            row("Virtual Machines Dasv5 Series Windows", "D2as v5 Spot", "D2as v5 Spot", 0.02),
            row(linux, "D2as v5 Low Priority", "D2as v5 Low Priority", 0.0172),
            row("Dasv5 Series Cloud Services", "D2as v5", "D2as v5", 0.1),
            row(linux, "D2as v5", "D2as v5", 0.0),
        ] {
            assert_eq!(rate(&other), None, "{other}");
        }
        let mut years = row(linux, "D2as v5", "D2as v5", 500.0);
        years["type"] = "Reservation".into();
        assert_eq!(rate(&years), None);
        assert_eq!(rate(&json!({ "retailPrice": "free" })), None);
    }
}
