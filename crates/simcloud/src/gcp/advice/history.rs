use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use skyfleet_core::{Market, OfferId, Timestamp, UsdPerHour, Zone};

use crate::catalog::{Scarcity, fingerprint};
use crate::gcp::advice::capacity::Scheduling;
use crate::gcp::advice::{machine_of, offer_in, zone_of};
use crate::gcp::blueprint::properties::AcceleratorSpec;
use crate::gcp::error::{coded, invalid, required};
use crate::gcp::request::{Answer, Request};
use crate::gcp::url;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

const DAY: Duration = Duration::from_secs(86_400);

/// How far preemption rates reach back. Compute Engine documentation, "View VM availability".
const DAYS: i64 = 30;

/// How far prices reach back. The same; the world's own memory may be shorter.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    types: Vec<String>,
    location_policy: Location,
    instance_properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    location: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    machine_type: String,
    guest_accelerators: Vec<AcceleratorSpec>,
    scheduling: Scheduling,
}

/// `advice.capacityHistory`: how often spot instances of a machine type were preempted, and what they
/// cost.
pub(crate) fn tell(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body: Body = request.read()?;
    if body.types.is_empty() {
        return Err(required("resource.types"));
    }
    if let Some(other) = body.types.iter().find(|kind| !matches!(&***kind, "PREEMPTION" | "PRICE")) {
        return Err(invalid("resource.types", other, "It must be PREEMPTION or PRICE."));
    }
    let wants = |kind: &str| body.types.iter().any(|wanted| wanted == kind);
    let properties = &body.instance_properties;
    let model = properties.scheduling.provisioning_model.as_deref().unwrap_or_default();
    if model != "SPOT" {
        let field = "resource.instanceProperties.scheduling.provisioningModel";
        return Err(invalid(field, model, "This field must be set to SPOT."));
    }
    if !properties.guest_accelerators.is_empty() {
        let message = "There is no history of machine types with attached accelerators.";
        return Err(coded(400, "invalid", message));
    }
    let shown = request.look(|kernel, _| {
        let region = request.region(kernel)?;
        let (field, written) = ("resource.locationPolicy.location", &*body.location_policy.location);
        let zone = match (url::after("zones", written), url::after("regions", written).unwrap_or(written)) {
            (Some(_), _) => Some(zone_of(kernel, &region, written, field)?),
            // Without a location it is the region of the path.
            (None, name) if name.is_empty() || name == region.as_str() => None,
            (None, _) => {
                let why = format!("It must be the region {region}, or a zone of it.");
                return Err(invalid(field, written, &why));
            }
        };
        if zone.is_some() && wants("PRICE") {
            return Err(invalid(field, written, "Prices are those of a region."));
        }
        let field = "resource.instanceProperties.machineType";
        let machine = machine_of(kernel, &properties.machine_type, &[], field)?;
        let zones = zone.clone().map_or_else(|| kernel.zones(region.as_str()), |zone| vec![zone]);
        let mut offers = zones.iter().filter_map(|zone| offer_in(kernel, zone, &machine, Market::Spot));
        let Some(offer) = offers.next() else {
            let why = "It is not sold as a Spot VM there.";
            return Err(invalid(field, &properties.machine_type, why));
        };
        let place = match &zone {
            Some(zone) => format!("zones/{zone}"),
            None => format!("regions/{region}"),
        };
        let mut shown = json!({ "machineType": properties.machine_type, "location": request.link(&place) });
        if wants("PREEMPTION") {
            shown["preemptionHistory"] = preemptions(kernel, &offer, zone.as_ref());
        }
        if wants("PRICE") {
            shown["priceHistory"] = prices(kernel, &offer);
        }
        Ok(shown)
    })?;
    request.answer(&shown)
}

/// A rate for each of the days before today. It is made up around what the machine type is like:
/// the world keeps no history of machines that nobody asked for.
fn preemptions(kernel: &Kernel, offer: &OfferId, zone: Option<&Zone>) -> Value {
    let (name, place) = (offer.instance_type.as_str(), zone.map_or("", Zone::as_str));
    let usual = match kernel.catalog().scarcity(name) {
        Scarcity::Plenty => 0.05,
        Scarcity::Tight => 0.2,
        Scarcity::Scarce => 0.45,
    };
    let today = kernel.now().as_second().div_euclid(DAY.as_secs() as i64);
    let days = (today - DAYS..today).filter_map(|day| {
        let chance = fingerprint(&[name, place, &day.to_string(), &kernel.seed.to_string()]);
        let rate: f64 = usual * (0.5 + chance as f64 / u64::MAX as f64);
        let start = Timestamp::from_second(day * DAY.as_secs() as i64).ok()?;
        Some(json!({
            "interval": interval(start, start + DAY),
            "preemptionRate": (rate.min(1.0) * 1_000.0).round() / 1_000.0,
        }))
    });
    days.collect()
}

fn prices(kernel: &Kernel, offer: &OfferId) -> Value {
    let now = kernel.now();
    let changes = kernel.price_changes(offer, now - YEAR, now);
    let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([now]);
    let told = changes.iter().zip(ends).map(
        |((from, price), until)| json!({ "interval": interval(*from, until), "listPrice": money(*price) }),
    );
    told.collect()
}

fn interval(start: Timestamp, end: Timestamp) -> Value {
    json!({ "startTime": start.to_string(), "endTime": end.to_string() })
}

/// An hour's price.
fn money(price: UsdPerHour) -> Value {
    let micros = price.micros();
    json!({
        "currencyCode": "USD",
        "units": (micros / 1_000_000).to_string(),
        "nanos": micros % 1_000_000 * 1_000,
    })
}
