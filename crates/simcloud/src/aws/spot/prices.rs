use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use skyfleet_core::{Market, Offer, Timestamp, UsdPerHour};

use crate::aws::Request;
use crate::aws::filter::{Filtered, Filters};
use crate::aws::page::Page;
use crate::aws::xml::Items;
use crate::refusal::Refusal;

/// How far back the history goes: EC2 API, `DescribeSpotPriceHistory`.
const DAYS: u64 = 90;

/// The most prices in one answer. No figure is published; EC2 gives this many.
const PAGE: usize = 1_000;

/// `DescribeSpotPriceHistory`: every change between two times, newest first, and before them the
/// one that was in force at the first, so that a start at this very moment gives today's prices.
pub(crate) fn history(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, FILTERS)?;
    let page = Page::read(&root, 1..=usize::MAX, PAGE)?;
    let page = Page { most: page.most.min(PAGE), ..page };
    let (start, end) = (root.moment("StartTime")?, root.moment("EndTime")?);
    let (types, products) = (root.texts("InstanceType"), root.texts("ProductDescription"));
    let (zone, zone_id) = (root.text("AvailabilityZone"), root.text("AvailabilityZoneId"));
    let (prices, next_token) = request.call(0, |kernel, _| {
        let catalog = std::sync::Arc::clone(kernel.catalog());
        let now = kernel.now();
        let oldest = now - Duration::from_secs(DAYS * 86_400);
        let from = start.unwrap_or(oldest).max(oldest).min(now);
        let to = end.unwrap_or(now).min(now).max(from);
        let linux = products.is_empty() || products.iter().any(|product| product.starts_with(PRODUCT));
        let wanted = |offer: &&Offer| {
            let named = types.is_empty() || types.contains(&offer.instance_type.name.as_str());
            let here = zone.is_none_or(|zone| offer.zone.as_str() == zone);
            linux && named && here && offer.market == Market::Spot && offer.region.as_str() == request.region
        };
        let mut changes = Vec::new();
        for offer in catalog.offers().iter().filter(wanted) {
            let id = catalog.zone(offer.zone.as_str()).map(|spec| &*spec.id).unwrap_or_default();
            if zone_id.is_some_and(|wanted| wanted != id) {
                continue;
            }
            let told = kernel.price_changes(&offer.id(), from, to).into_iter();
            changes.extend(told.map(|(at, price)| Seen { offer, zone_id: id, at, price }));
        }
        if !filters.is_empty() {
            changes.retain(|change| filters.matches(change));
        }
        changes.sort_by(|a, b| {
            let place = |seen: &Seen<'_>| (seen.offer.instance_type.name.clone(), seen.offer.zone.clone());
            b.at.cmp(&a.at).then_with(|| place(a).cmp(&place(b)))
        });
        let (page, next) = page.cut(changes);
        Ok((page.iter().map(Seen::told).collect(), next))
    })?;
    // At the end EC2 gives an empty token, not none.
    request.answer(&History { next_token: next_token.unwrap_or_default(), spot_price_history_set: prices })
}

/// The only operating system here.
const PRODUCT: &str = "Linux/UNIX";

/// EC2 API, `DescribeSpotPriceHistory`, filters.
const FILTERS: &[&str] = &[
    "availability-zone",
    "availability-zone-id",
    "instance-type",
    "product-description",
    "spot-price",
    "timestamp",
];

struct Seen<'a> {
    offer: &'a Offer,
    zone_id: &'a str,
    at: Timestamp,
    price: UsdPerHour,
}

impl Seen<'_> {
    fn told(&self) -> Price {
        Price {
            availability_zone: self.offer.zone.as_str().to_owned(),
            availability_zone_id: self.zone_id.to_owned(),
            instance_type: self.offer.instance_type.name.as_str().to_owned(),
            product_description: PRODUCT,
            spot_price: dollars(self.price),
            timestamp: self.at,
        }
    }
}

/// Dollars with six digits after the point, as EC2 writes spot prices.
pub(crate) fn dollars(price: UsdPerHour) -> String {
    let micros = price.micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value: Cow<'_, str> = match filter {
            "availability-zone" => self.offer.zone.as_str().into(),
            "availability-zone-id" => self.zone_id.into(),
            "instance-type" => self.offer.instance_type.name.as_str().into(),
            "product-description" => return Some(vec![PRODUCT.into(), "Linux/UNIX (Amazon VPC)".into()]),
            "spot-price" => dollars(self.price).into(),
            "timestamp" => self.at.to_string().into(),
            _ => return None,
        };
        Some(vec![value])
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct History {
    next_token: String,
    spot_price_history_set: Items<Price>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Price {
    availability_zone: String,
    availability_zone_id: String,
    instance_type: String,
    product_description: &'static str,
    spot_price: String,
    timestamp: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::trial::{Trial, texts};

    #[test]
    fn a_start_now_gives_exactly_the_price_of_each_type_and_zone() {
        let trial = Trial::new();
        let form = "StartTime=2100-01-01T00:00:00Z&InstanceType.1=m7g.large&ProductDescription.1=Linux/UNIX";
        let answer = trial.ask("DescribeSpotPriceHistory", form).unwrap();
        assert_eq!(texts(&answer, "availabilityZone").len(), 5);
        assert!(answer.contains("<nextToken/>") || answer.contains("<nextToken></nextToken>"), "{answer}");
        let now = trial.face.look(|kernel, _| {
            let offers = kernel.catalog().offers().iter();
            let mut offers = offers.filter(|offer| {
                offer.market == Market::Spot
                    && offer.zone.as_str() == texts(&answer, "availabilityZone")[0]
                    && offer.instance_type.name.as_str() == "m7g.large"
            });
            kernel.price(&offers.next().unwrap().id()).unwrap()
        });
        assert_eq!(texts(&answer, "spotPrice")[0], dollars(now));
    }

    #[test]
    fn the_history_is_newest_first_and_reaches_back_to_the_change_before_its_start() {
        let trial = Trial::new();
        let form = "StartTime=2027-01-10T00:00:00Z&EndTime=2027-01-12T00:00:00Z&InstanceType.1=m7g.large&AvailabilityZone=us-east-1a";
        let answer = trial.ask("DescribeSpotPriceHistory", form).unwrap();
        let times: Vec<Timestamp> =
            texts(&answer, "timestamp").iter().map(|at| at.parse().unwrap()).collect();
        assert!(times.len() > 2 && times.is_sorted_by(|a, b| a > b), "{times:?}");
        let (start, end): (Timestamp, Timestamp) =
            ("2027-01-10T00:00:00Z".parse().unwrap(), "2027-01-12T00:00:00Z".parse().unwrap());
        assert!(times[0] <= end && times[times.len() - 1] <= start && times[times.len() - 2] > start);
        let page = trial.ask("DescribeSpotPriceHistory", &format!("{form}&MaxResults=1")).unwrap();
        assert_eq!(texts(&page, "timestamp"), [texts(&answer, "timestamp")[0].clone()]);
        assert!(!texts(&page, "nextToken")[0].is_empty());
        let windows = trial.ask("DescribeSpotPriceHistory", "ProductDescription.1=Windows").unwrap();
        assert!(texts(&windows, "spotPrice").is_empty());
    }
}
