//! The price list, which anybody may read: of each size what it costs with Linux and with Windows, on
//! demand, as a Spot VM and at low priority, and reserved for a year. Azure documentation, "Azure Retail
//! Prices overview".

mod filter;
mod meter;

use serde_json::{Value, json};
use skyfleet_core::Market;

use crate::azure::error::coded;
use crate::azure::method::Method;
use crate::azure::{Answer, Request};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use filter::{Case, Filter};
pub(crate) use meter::WINDOWS_MICROS;
use meter::{Meter, System, Term};

pub(crate) const METHODS: &[Method] =
    &[Method { id: "retailPrices.LIST", verb: "GET", path: "api/retail/prices", answer: list }];

/// How many entries a page has. Azure documentation, "Azure Retail Prices overview": 1,000.
const PAGE: usize = 1_000;

/// Since this version the values of filters have a case. The same page.
const CASE_SINCE: &str = "2023-01-01-preview";

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let currency = request.option("currencycode").unwrap_or("USD").trim_matches('\'');
    if currency != "USD" {
        let message = format!("Prices in {currency} are not simulated, only those in USD.");
        return Err(coded(501, "NotImplemented", message));
    }
    let version = request.option("api-version").unwrap_or_default();
    let case = if version >= CASE_SINCE { Case::Matters } else { Case::Ignored };
    let filter = request.option("$filter").map(|text| Filter::parse(text, case)).transpose()?;
    let count = |name: &str| match request.option(name).map(str::parse::<usize>) {
        None => Ok(None),
        Some(Ok(count)) => Ok(Some(count)),
        Some(Err(_)) => Err(coded(400, "BadRequest", format!("{name} must be a number."))),
    };
    let (skip, most) = (count("$skip")?.unwrap_or(0), count("$top")?.unwrap_or(PAGE).clamp(1, PAGE));
    let items = request.look("global", |kernel, _| {
        let all = all(kernel).into_iter();
        Ok(all.filter(|item| filter.as_ref().is_none_or(|filter| filter.takes(item))).collect::<Vec<_>>())
    })?;
    let more = items.len() > skip.saturating_add(most);
    let page: Vec<Value> = items.into_iter().skip(skip).take(most).collect();
    Answer::ok(&json!({
        "BillingCurrency": "USD",
        "CustomerEntityId": "Default",
        "CustomerEntityType": "Retail",
        "Count": page.len(),
        "NextPageLink": more.then(|| next(request, skip + most)),
        "Items": page,
    }))
}

fn next(request: &Request<'_>, skip: usize) -> String {
    let head = request.head;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in head.query.iter().filter(|(name, _)| *name != "$skip") {
        query.append_pair(name, value);
    }
    query.append_pair("$skip", &skip.to_string());
    format!("{}{}?{}", head.base, head.path, query.finish())
}

/// The whole list, region by region.
fn all(kernel: &Kernel) -> Vec<Value> {
    let mut shown = Vec::new();
    for region in kernel.regions() {
        for size in kernel.catalog().instance_types() {
            let listed = |market| meter::listed(kernel, &region, size, market);
            let Some(on_demand) = listed(Market::OnDemand) else { continue };
            let terms = [
                Some((Term::Payg, on_demand)),
                listed(Market::Spot).map(|spot| (Term::Spot, spot)),
                Some((Term::LowPriority, on_demand)),
                Some((Term::Year, on_demand)),
            ];
            for (term, listed) in terms.into_iter().flatten() {
                for system in System::ALL.into_iter().filter(|system| term.is_for(*system)) {
                    shown.push(Meter { region: &region, size, system, term, listed }.show());
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use skyfleet_core::OfferId;

    use super::*;
    use crate::azure::trial::Trial;

    fn pages(trial: &Trial, filter: &str) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut link = format!("/api/retail/prices?api-version=2023-01-01-preview&$filter={filter}");
        loop {
            let said = trial.ask("GET", &link, Value::Null);
            assert_eq!(said.status, 200, "{said:?}");
            let items = said.body["Items"].as_array().unwrap().clone();
            assert_eq!(said.body["Count"], items.len());
            pages.push(items);
            match said.body["NextPageLink"].as_str() {
                Some(next) => link = next.to_owned(),
                None => return pages,
            }
        }
    }

    const SPOT: &str = "serviceName eq 'Virtual Machines' and armRegionName eq 'westus2' and priceType eq \
                        'Consumption' and contains(meterName,'Spot')";

    #[test]
    fn a_size_has_many_prices_told_apart_by_prose() {
        let trial = Trial::new();
        let only = "armRegionName eq 'eastus' and armSkuName eq 'Standard_D2s_v5'";
        let found = pages(&trial, only).concat();
        assert_eq!(found.len(), 7);
        let meters: BTreeSet<_> = found.iter().map(|item| item["meterId"].to_string()).collect();
        assert_eq!(meters.len(), 7);
        let windows = found.iter().filter(|item| item["productName"].as_str().unwrap().ends_with("Windows"));
        assert_eq!(windows.count(), 3);
        let reserved = pages(&trial, &format!("{only} and priceType eq 'Reservation'")).concat();
        assert_eq!((reserved.len(), &reserved[0]["reservationTerm"]), (1, &json!("1 Year")));
        let one = found.iter().find(|item| item["meterName"] == "D2s v5 Spot").unwrap();
        assert_eq!(
            (&one["productName"], &one["type"]),
            (&json!("Virtual Machines Dsv5 Series"), &json!("Consumption"))
        );
    }

    #[test]
    fn the_list_is_what_machines_cost_on_every_day() {
        let trial = Trial::new();
        let mut seen = BTreeSet::new();
        for _ in 0..8 {
            let found = pages(&trial, SPOT).concat();
            let linux = |item: &&Value| {
                item["armSkuName"] == "Standard_D4s_v5"
                    && item["productName"] == "Virtual Machines Dsv5 Series"
            };
            let listed = found.iter().find(linux).unwrap()["retailPrice"].as_f64().unwrap();
            for zone in ["westus2-1", "westus2-3"] {
                let offer = OfferId {
                    zone: zone.into(),
                    instance_type: "Standard_D4s_v5".into(),
                    market: Market::Spot,
                };
                let sold = trial.face.look(|kernel, _| kernel.price(&offer)).unwrap();
                assert_eq!((listed * 1e6).round() as i64, sold.micros());
            }
            seen.insert(listed.to_string());
            trial.wait(7 * 86_400);
        }
        assert!(seen.len() > 3, "{seen:?}");
    }

    #[test]
    fn long_lists_have_pages_and_no_entry_is_lost() {
        let trial = Trial::new();
        let pages = pages(&trial, "serviceFamily eq 'Compute'");
        assert!(pages.len() > 1 && pages[0].len() == PAGE);
        let all: BTreeSet<String> = pages.concat().iter().map(|item| item["meterId"].to_string()).collect();
        let one = |region: &str| {
            let filter = format!("armRegionName eq '{region}'");
            self::pages(&trial, &filter).concat().len()
        };
        let regions = ["australiaeast", "eastus", "eastus2", "northeurope", "westeurope", "westus2"];
        assert_eq!(all.len(), regions.into_iter().map(one).sum::<usize>());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let trial = Trial::new();
        let ask = |query: &str| trial.ask("GET", &format!("/api/retail/prices?{query}"), Value::Null).status;
        for (query, status) in [
            ("$top=1", 200),
            ("currencyCode=EUR", 501),
            ("currencyCode='USD'&$top=1", 200),
            ("$filter=colour eq 'red'", 400),
            ("$filter=armRegionName is 'eastus'", 400),
            ("$skip=x", 400),
        ] {
            assert_eq!(ask(query), status, "{query}");
        }
        let of = |version: &str| {
            let query = format!("api-version={version}&$filter=armRegionName eq 'EastUS'");
            let said = trial.ask("GET", &format!("/api/retail/prices?{query}"), Value::Null);
            said.body["Count"].as_u64().unwrap()
        };
        assert_eq!(of("2023-01-01-preview"), 0, "case matters");
        assert!(of("2021-10-01-preview") > 0, "and did not");
    }
}
