use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use skyfleet_core::{Market, OfferId, Region, Timestamp, UsdPerHour};

use crate::catalog::{Part, series};
use crate::gcp::error::{coded, invalid};
use crate::gcp::request::{Answer, Request};
use crate::gcp::services::COMPUTE_ENGINE;
use crate::gcp::services::sku::{Sku, place};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The most entries on a page, and how many there are when nobody says. Cloud Billing reference,
/// `services.skus.list`.
const PAGE_MAX: usize = 5_000;

/// Since when prices stand that never move: since the first day of 2025.
const LISTED_S: i64 = 1_735_689_600;

/// The services that have prices.
pub(super) fn services(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look(|_, _| Ok(()))?;
    request.answer(&json!({ "services": [{
        "name": format!("services/{COMPUTE_ENGINE}"),
        "serviceId": COMPUTE_ENGINE,
        "displayName": "Compute Engine",
        "businessEntityName": "businessEntities/GCP",
    }] }))
}

/// Cloud Billing `services.skus.list`: what the parts of machines cost as of now, entry by entry. What
/// machines are not made of is left out: licences, commitments, custom machines.
pub(super) fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let service = request.part("service");
    if service != COMPUTE_ENGINE {
        return Err(coded(404, "notFound", format!("Service services/{service} was not found.")));
    }
    match request.option("currencyCode") {
        None | Some("USD") => {}
        Some(other) => return Err(invalid("currency_code", other, "Only USD is simulated.")),
    }
    if request.option("startTime").or(request.option("endTime")).is_some() {
        return Err(coded(501, "notImplemented", "Only the latest prices are simulated."));
    }
    let most = match request.parsed::<usize>("pageSize")? {
        None | Some(0) => PAGE_MAX,
        Some(most) => most.min(PAGE_MAX),
    };
    let after = request.option("pageToken").map(read_token).transpose()?;
    let mut skus = request.look(|kernel, _| Ok(all(kernel)))?;
    let from = after.map_or(0, |after| skus.partition_point(|sku| sku.id() <= after));
    let mut page = skus.split_off(from);
    let more = page.len() > most;
    page.truncate(most);
    let next = page.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last.id()));
    let shown: Vec<Value> = page.iter().map(Sku::show).collect();
    request.answer(&json!({ "skus": shown, "nextPageToken": next.unwrap_or_default() }))
}

fn read_token(text: &str) -> Result<String, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let read = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    read.ok_or_else(|| invalid("page_token", text, "The token is none of this list."))
}

/// The whole list, by id.
fn all(kernel: &Kernel) -> Vec<Sku> {
    let mut found: BTreeMap<(Part, Market, &str, i64), Sku> = BTreeMap::new();
    let (sold, listed) = (sold(kernel), Timestamp::from_second(LISTED_S).ok());
    for ((region, market, part), micros) in kernel.catalog().parts().iter() {
        let list = UsdPerHour::from_micros(micros);
        let Some(offer) = sold.get(&(region, *market, part.clone())) else { continue };
        let moved = match part {
            Part::LocalSsd => Some((list, None)),
            _ => kernel.part_price(offer, list),
        };
        let Some((price, since)) = moved else { continue };
        let (place, since) = (place(region, *market), since.or(listed).unwrap_or(Timestamp::UNIX_EPOCH));
        let sku = found.entry((part.clone(), *market, place, price.micros())).or_insert_with(|| Sku {
            part: part.clone(),
            market: *market,
            place,
            regions: Vec::new(),
            price,
            since,
        });
        sku.regions.push(region.clone());
    }
    let mut skus: Vec<Sku> = found.into_values().collect();
    skus.sort_by_cached_key(Sku::id);
    skus
}

/// For every part that is sold in a region and on a market, something that is made of it.
fn sold(kernel: &Kernel) -> BTreeMap<(&Region, Market, Part), OfferId> {
    let mut sold = BTreeMap::new();
    for offer in kernel.catalog().offers().iter().filter(|offer| kernel.in_scope(&offer.region)) {
        let spec = &offer.instance_type;
        let of: Arc<str> = series(spec.name.as_str()).into();
        let gpu = spec.gpu.as_ref().map(|gpu| Part::Gpu(gpu.model.clone(), gpu.memory_mib));
        let ssd = (spec.local_ssd_gib > 0).then_some(Part::LocalSsd);
        for part in [Part::Core(of.clone()), Part::Ram(of)].into_iter().chain(gpu).chain(ssd) {
            sold.entry((&offer.region, offer.market, part)).or_insert_with(|| offer.id());
        }
    }
    sold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    fn read(trial: &Trial) -> Vec<Value> {
        let (mut skus, mut token) = (Vec::new(), String::new());
        loop {
            let target = format!("/v1/services/{COMPUTE_ENGINE}/skus?pageSize=100&pageToken={token}");
            let (status, page) = trial.ask("GET", &target, Value::Null);
            assert_eq!(status, 200, "{page}");
            let found = page["skus"].as_array().unwrap();
            assert!(found.len() <= 100);
            skus.extend(found.iter().cloned());
            token = page["nextPageToken"].as_str().unwrap().to_owned();
            if token.is_empty() {
                return skus;
            }
        }
    }

    /// The price of the one entry whose description begins so, in micro-dollars.
    fn price(skus: &[Value], market: Market, region: &str, description: &str) -> i64 {
        let usage = if market == Market::Spot { "Preemptible" } else { "OnDemand" };
        let fits = |sku: &&Value| {
            let text = sku["description"].as_str().unwrap();
            let regions = sku["serviceRegions"].as_array().unwrap();
            (text.starts_with(&format!("{description} running in ")) || text == description)
                && sku["category"]["usageType"] == usage
                && regions.iter().any(|known| known == region)
        };
        let found: Vec<&Value> = skus.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{description} in {region}: {found:?}");
        let unit = &found[0]["pricingInfo"][0]["pricingExpression"]["tieredRates"][0]["unitPrice"];
        let (units, nanos) = (unit["units"].as_str().unwrap(), unit["nanos"].as_i64().unwrap());
        assert_eq!(nanos % 1_000, 0);
        units.parse::<i64>().unwrap() * 1_000_000 + nanos / 1_000
    }

    #[test]
    fn machines_cost_what_the_entries_of_their_parts_say_on_every_day() {
        let trial = Trial::new();
        for _ in 0..15 {
            let skus = read(&trial);
            for (zone, name, market, parts) in [
                (
                    "us-central1-a",
                    "n2-standard-2",
                    Market::Spot,
                    &[("Spot Preemptible N2 Instance Core", 2), ("Spot Preemptible N2 Instance Ram", 8)][..],
                ),
                (
                    "us-east1-b",
                    "n2-highmem-2",
                    Market::Spot,
                    &[("Spot Preemptible N2 Instance Core", 2), ("Spot Preemptible N2 Instance Ram", 16)],
                ),
                (
                    "us-west1-a",
                    "e2-medium",
                    Market::OnDemand,
                    &[("E2 Instance Core", 1), ("E2 Instance Ram", 4)],
                ),
                (
                    "europe-west1-b",
                    "c2-standard-4",
                    Market::Spot,
                    &[
                        ("Spot Preemptible Compute optimized Core", 4),
                        ("Spot Preemptible Compute optimized Ram", 16),
                    ],
                ),
                (
                    "europe-west4-a",
                    "n1-standard-4+T4",
                    Market::Spot,
                    &[
                        ("Spot Preemptible N1 Predefined Instance Core", 4),
                        ("Spot Preemptible N1 Predefined Instance Ram", 15),
                        ("Nvidia Tesla T4 GPU attached to Spot Preemptible VMs", 1),
                    ],
                ),
            ] {
                let offer = OfferId { zone: zone.into(), instance_type: name.into(), market };
                let (sold, region) = trial.face.look(|kernel, _| {
                    (kernel.price(&offer).unwrap(), kernel.catalog().zone(zone).unwrap().region.clone())
                });
                let sum: i64 = parts
                    .iter()
                    .map(|(part, units)| units * price(&skus, market, region.as_str(), part))
                    .sum();
                assert_eq!(sum, sold.micros(), "{offer}");
            }
            trial.wait(3 * 86_400);
        }
    }

    #[test]
    fn a_machine_with_local_ssd_pays_for_it_by_the_month() {
        let trial = Trial::new();
        let skus = read(&trial);
        let at = |part: &str| price(&skus, Market::Spot, "us-central1", part);
        let ssd = at("SSD backed Local Storage attached to Spot Preemptible VMs in Iowa");
        let parts = 208 * at("Spot Preemptible A3 Instance Core")
            + 1_872 * at("Spot Preemptible A3 Instance Ram")
            + 8 * at("Nvidia H100 80GB GPU attached to Spot Preemptible VMs");
        let sold = trial.face.look(|kernel, _| {
            let instance_type = "a3-highgpu-8g".into();
            kernel.price(&OfferId { zone: "us-central1-a".into(), instance_type, market: Market::Spot })
        });
        // Rounded up, as whoever must not spend more than he has does.
        assert_eq!(sold.unwrap().micros(), parts + (6_000 * ssd + 729) / 730);
    }

    #[test]
    fn what_is_sold_nowhere_has_no_entry_and_every_entry_an_id_of_its_own() {
        let trial = Trial::new();
        let skus = read(&trial);
        let ids: std::collections::BTreeSet<&str> =
            skus.iter().map(|sku| sku["skuId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), skus.len());
        let has =
            |start: &str| skus.iter().any(|sku| sku["description"].as_str().unwrap().starts_with(start));
        assert!(has("N4 Instance Core") && !has("Spot Preemptible N4"), "N4 has no spot price");
        assert!(has("Memory-optimized Instance Core") && has("M3 Memory-optimized Instance Ram"));
        assert!(!skus.iter().any(|sku| sku["description"].as_str().unwrap().contains("Nowhere")));
        let arm = |sku: &&Value| sku["description"] == "T2A Arm Instance Core running in Americas";
        let arm = skus.iter().find(arm).unwrap();
        assert_eq!(arm["serviceRegions"], json!(["us-central1"]), "it is sold there alone");
    }

    #[test]
    fn only_what_is_there_can_be_asked_for() {
        let trial = Trial::new();
        for (target, status) in [
            ("/v1/services/0000-0000-0000/skus", 404),
            ("/v1/services/6F81-5844-456A/skus?currencyCode=EUR", 400),
            ("/v1/services/6F81-5844-456A/skus?pageToken=%25", 400),
            ("/v1/services/6F81-5844-456A/skus?pageSize=x", 400),
            ("/v1/services", 200),
        ] {
            assert_eq!(trial.ask("GET", target, Value::Null).0, status, "{target}");
        }
    }
}
