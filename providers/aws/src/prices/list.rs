//! The Price List's JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use skyfleet_core::{TypeName, UsdPerHour};

/// One product, as far as it is read.
#[derive(Deserialize)]
struct Listing {
    product: Product,
    #[serde(default)]
    terms: Terms,
}

#[derive(Deserialize)]
struct Product {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Terms {
    #[serde(rename = "OnDemand", default)]
    on_demand: BTreeMap<String, Term>,
}

#[derive(Deserialize)]
struct Term {
    #[serde(rename = "priceDimensions", default)]
    dimensions: BTreeMap<String, Dimension>,
}

#[derive(Deserialize)]
struct Dimension {
    #[serde(default)]
    unit: String,
    #[serde(rename = "pricePerUnit", default)]
    per_unit: BTreeMap<String, String>,
}

/// The hourly on-demand price of each type. What has no price above zero is left out: the list
/// holds $0.00 entries for machines that were paid for in another way. Of two prices the higher
/// one is taken: a budget must hold.
pub(super) fn on_demand(products: &[String]) -> BTreeMap<TypeName, UsdPerHour> {
    let mut prices = BTreeMap::new();
    for product in products {
        let listing: Listing = match serde_json::from_str(product) {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(%error, "a product of the price list cannot be read, and its price stays unknown");
                continue;
            }
        };
        let Some(name) = listing.product.attributes.get("instanceType") else { continue };
        let dimensions = listing.terms.on_demand.values().flat_map(|term| term.dimensions.values());
        let hourly = dimensions.filter(|dimension| dimension.unit.is_empty() || dimension.unit == "Hrs");
        let price = hourly.filter_map(|dimension| dollars(dimension.per_unit.get("USD")?)).max();
        if let Some(price) = price {
            let entry = prices.entry(TypeName::from(name.as_str())).or_insert(price);
            *entry = price.max(*entry);
        }
    }
    prices
}

/// A price as AWS writes it, `0.0816000000`; `None` for what is no price above zero.
pub(crate) fn dollars(text: &str) -> Option<UsdPerHour> {
    let price = UsdPerHour::from_dollars(text.trim().parse().ok()?)?;
    (price > UsdPerHour::ZERO).then_some(price)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(name: &str, unit: &str, price: &str) -> String {
        format!(
            r#"{{"product":{{"productFamily":"Compute Instance","attributes":{{"instanceType":"{name}","vcpu":"2"}},"sku":"X"}},
            "serviceCode":"AmazonEC2","terms":{{"OnDemand":{{"X.JRT":{{"priceDimensions":{{"X.JRT.6YS":
            {{"unit":"{unit}","description":"per hour","pricePerUnit":{{"USD":"{price}"}}}}}}}}}}}}}}"#
        )
    }

    #[test]
    fn a_price_is_read_from_where_the_list_keeps_it() {
        let prices = on_demand(&[product("m7g.large", "Hrs", "0.0816000000")]);
        assert_eq!(prices[&TypeName::from("m7g.large")], UsdPerHour::from_micros(81_600));
    }

    #[test]
    fn what_is_no_price_is_unknown_and_never_zero() {
        for (unit, price) in
            [("Hrs", "0.0000000000"), ("Hrs", "free"), ("Hrs", "-1"), ("Quantity", "12.0"), ("Hrs", "NaN")]
        {
            let prices = on_demand(&[product("m7g.large", unit, price)]);
            assert!(prices.is_empty(), "{unit} {price}: {prices:?}");
        }
        let broken = ["", "{}", "[]", r#"{"product":{"attributes":{}}}"#].map(str::to_owned);
        assert!(on_demand(&broken).is_empty());
    }

    #[test]
    fn of_two_prices_the_higher_one_counts() {
        let prices = on_demand(&[
            product("m7g.large", "Hrs", "0.09"),
            product("m7g.large", "Hrs", "0.0816"),
            product("m7g.large", "Hrs", "0.00"),
        ]);
        assert_eq!(prices[&TypeName::from("m7g.large")], UsdPerHour::from_micros(90_000));
    }
}
