use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use skyfleet_core::{Market, OfferId, Spread, Zone};

use crate::catalog::Scarcity;
use crate::gcp::advice::{machine_of, offer_in, zone_of};
use crate::gcp::blueprint::properties::{AcceleratorSpec, Int};
use crate::gcp::blueprint::shape::machine_type;
use crate::gcp::error::{invalid, required};
use crate::gcp::request::{Answer, Request};
use crate::kernel::Kernel;
use crate::place::{Places, place};
use crate::refusal::Refusal;

/// What is certain to Compute Engine is never quite so. Ours.
const BEST: f64 = 0.95;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    distribution_policy: Distribution,
    instance_properties: Properties,
    instance_flexibility_policy: Flexibility,
    size: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Distribution {
    target_shape: Option<String>,
    zones: Vec<ZoneSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ZoneSpec {
    zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Properties {
    pub(super) scheduling: Scheduling,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Scheduling {
    pub(super) provisioning_model: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Flexibility {
    instance_selections: BTreeMap<String, Selection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selection {
    machine_types: Vec<String>,
    guest_accelerators: Vec<AcceleratorSpec>,
    rank: Option<Int>,
}

/// What instances could be had of, best first, and how many.
struct Rooms {
    offers: Vec<OfferId>,
    left: Vec<u32>,
}

impl Places for Rooms {
    fn room(&self, pool: usize, wanted: u32) -> u32 {
        self.left[pool].min(wanted)
    }

    fn take(&mut self, pool: usize, wanted: u32) -> u32 {
        let taken = self.room(pool, wanted);
        self.left[pool] -= taken;
        taken
    }
}

/// `advice.capacity`: how likely so many instances can be had, and where.
pub(crate) fn advise(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body: Body = request.read()?;
    let size = body.size.ok_or_else(|| required("resource.size"))?.0;
    let size = u32::try_from(size)
        .ok()
        .filter(|size| *size > 0)
        .ok_or_else(|| invalid("resource.size", &size.to_string(), "It must be at least 1."))?;
    let spread = match body.distribution_policy.target_shape.as_deref() {
        // Discovery document: the default of the capacity advisor.
        None | Some("" | "ANY_SINGLE_ZONE") => Spread::SingleZone,
        Some("ANY") => Spread::Packed,
        Some("BALANCED") => Spread::Even,
        Some(other) => {
            let why = "It must be ANY, ANY_SINGLE_ZONE or BALANCED.";
            return Err(invalid("resource.distributionPolicy.targetShape", other, why));
        }
    };
    let model = body.instance_properties.scheduling.provisioning_model.as_deref();
    let market = match model {
        Some("SPOT") => Market::Spot,
        None | Some("" | "STANDARD") => Market::OnDemand,
        Some(other) => {
            let field = "resource.instanceProperties.scheduling.provisioningModel";
            return Err(invalid(field, other, "It must be SPOT or STANDARD."));
        }
    };
    let shown = request.look(|kernel, _| {
        let region = request.region(kernel)?;
        let field = "resource.distributionPolicy.zones";
        let chosen = body.distribution_policy.zones.iter();
        let chosen: Result<Vec<Zone>, Refusal> =
            chosen.map(|spec| zone_of(kernel, &region, &spec.zone, field)).collect();
        let zones = match chosen? {
            none if none.is_empty() => kernel.zones(region.as_str()),
            chosen => chosen,
        };
        let rooms = rooms(kernel, &body.instance_flexibility_policy, &zones, market)?;
        Ok(recommendation(kernel, rooms, spread, size, market, request))
    })?;
    request.answer(&json!({ "recommendations": [shown] }))
}

fn rooms(
    kernel: &mut Kernel,
    policy: &Flexibility,
    zones: &[Zone],
    market: Market,
) -> Result<Rooms, Refusal> {
    let mut selections: Vec<&Selection> = policy.instance_selections.values().collect();
    selections.sort_by_key(|selection| selection.rank.map_or(0, |rank| rank.0));
    let field = "resource.instanceFlexibilityPolicy.instanceSelections.machineTypes";
    if selections.iter().all(|selection| selection.machine_types.is_empty()) {
        return Err(required(field));
    }
    let mut offers = Vec::new();
    for selection in selections {
        for name in &selection.machine_types {
            let machine = machine_of(kernel, name, &selection.guest_accelerators, field)?;
            offers.extend(zones.iter().filter_map(|zone| offer_in(kernel, zone, &machine, market)));
        }
    }
    let left = offers.iter().map(|offer| kernel.room_of(offer)).collect();
    Ok(Rooms { offers, left })
}

fn recommendation(
    kernel: &Kernel,
    mut rooms: Rooms,
    spread: Spread,
    size: u32,
    market: Market,
    request: &Request<'_>,
) -> Value {
    let mut names: Vec<&Zone> = rooms.offers.iter().map(|offer| &offer.zone).collect();
    names.sort();
    names.dedup();
    let zones = rooms.offers.iter().map(|offer| names.iter().position(|name| **name == offer.zone));
    let zones: Vec<usize> = zones.map(Option::unwrap_or_default).collect();
    let got = place(spread, &zones, size, &mut rooms);
    let had: u32 = got.iter().sum();
    let obtainability = (f64::from(had) / f64::from(size) * BEST * 100.0).round() / 100.0;
    let mut scores = json!({ "obtainability": obtainability });
    if market == Market::Spot {
        let worst =
            rooms.offers.iter().map(|offer| kernel.catalog().scarcity(offer.instance_type.as_str())).max();
        // Compute Engine documentation, "View VM availability": one of these three.
        scores["estimatedUptime"] = match worst {
            Some(Scarcity::Plenty) if had == size => "3600s",
            Some(Scarcity::Plenty | Scarcity::Tight) if had > 0 => "600s",
            _ => "60s",
        }
        .into();
    }
    let model = if market == Market::Spot { "SPOT" } else { "STANDARD" };
    let shards = rooms.offers.iter().zip(&got).filter(|(_, got)| **got > 0).map(|(offer, got)| {
        json!({
            "zone": request.link(&format!("zones/{}", offer.zone)),
            "machineType": machine_type(offer.instance_type.as_str()),
            "instanceCount": got,
            "provisioningModel": model,
        })
    });
    json!({ "scores": scores, "shards": shards.collect::<Vec<_>>() })
}
