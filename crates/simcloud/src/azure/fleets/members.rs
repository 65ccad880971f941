//! The machines of a fleet, each with what became of it.

use serde_json::{Value, json};
use skyfleet_core::{OfferId, Timestamp};

use super::{Failure, Fleet, KIND};
use crate::azure::blueprint::sizes::number;
use crate::azure::error::coded;
use crate::azure::machines;
use crate::azure::purchase::{herd, priority};
use crate::azure::request::{Answer, Request};
use crate::azure::{list, made, scale_sets};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::rules::mix;

/// How many machines a page has. Ours: no figure is published.
const PAGE: usize = 1_000;

/// After how many milliseconds at least, and how many at most, a machine is there that is being made.
/// Third-party measurement of bulk calls, 2026: half of them within 3.5 to 6.6 s.
const THERE_MS: (u64, u64) = (2_000, 8_000);

pub(crate) fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    if let Some(filter) = request.option("$filter") {
        return Err(coded(400, "BadRequest", format!("The filter '{filter}' is not supported.")));
    }
    let shown = request.look("global", |kernel, state| {
        let made = made::found(state, request, KIND)?;
        let fleet = state.fleets.get(&made.id.key());
        let zonal = |launch| state.launched.of(launch).is_none_or(|details| details.zonal);
        Ok(fleet.map_or_else(Vec::new, |fleet| shown(kernel, fleet, zonal)))
    })?;
    list::page(request, shown, PAGE)
}

fn shown(kernel: &Kernel, fleet: &Fleet, zonal: impl Fn(u32) -> bool) -> Vec<Value> {
    let now = kernel.now();
    let made = herd::machines(kernel, &fleet.launches).map(|m| {
        let machine = &kernel.machines[m as usize];
        let lot = &kernel.lots[machine.lot as usize];
        let up = machine.running_at;
        let cut_short = machine.leaving_at.filter(|leaving| *leaving < up && *leaving <= now);
        let (status, error) = match cut_short {
            Some(_) => ("Failed", Some(preempted())),
            None if up <= now => ("Succeeded", None),
            None => (coming(lot.at, now, m), None),
        };
        one(&machine.id, &kernel.offer(machine.pool).id(), zonal(machine.lot), (status, error))
    });
    let zones = |failure: &Failure| {
        let part = fleet.parts.iter().find(|part| part.market == failure.offer.market);
        part.is_none_or(|part| part.blueprint.details.zonal)
    };
    let failed = (0u32..).zip(&fleet.failed).map(|(number, failure)| {
        let (status, error) = match failure.at <= now {
            true => ("Failed", Some(failure.told.show())),
            false => (coming(fleet.created, now, !number), None),
        };
        one(&failure.id.to_string(), &failure.offer, zones(failure), (status, error))
    });
    made.chain(failed).collect()
}

/// How far a machine is that is not up yet.
fn coming(from: Timestamp, now: Timestamp, number: u32) -> &'static str {
    let (least, most) = THERE_MS;
    let there = least + mix(u64::from(number)) % (most - least);
    let passed = u128::try_from(now.duration_since(from).as_millis()).unwrap_or_default();
    if passed < u128::from(there) { "Launching" } else { "Creating" }
}

/// Azure documentation, "Troubleshoot allocation failures": whoever deletes what is being made stops
/// its making.
fn preempted() -> Value {
    json!({ "code": "OperationPreempted", "message": "The operation has been preempted by a more recent operation." })
}

fn one(id: &str, offer: &OfferId, zonal: bool, (status, error): (&str, Option<Value>)) -> Value {
    let mut shown = json!({
        "name": id.rsplit('/').next().unwrap_or(id),
        "id": id,
        "type": machines::KIND,
        "operationStatus": status,
        "vmSize": offer.instance_type,
        "priority": priority(offer.market),
    });
    if zonal {
        shown["zone"] = number(&offer.zone).into();
    }
    if let Some(error) = error {
        shown["error"] = error;
    }
    shown
}

/// The scale sets of a fleet: one for each priority of a managed one, none of one in launch mode.
pub(crate) fn scale_sets(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look("global", |kernel, state| {
        let made = made::found(state, request, KIND)?;
        let fleet = state.fleets.get(&made.id.key());
        let parts = fleet.map_or(&[][..], |fleet| &fleet.parts);
        let shown = parts.iter().filter_map(|part| {
            let id = part.blueprint.details.scale_set.as_ref()?;
            let set = state.scale_sets.get(&id.key())?;
            Some(json!({ "id": id.to_string(), "name": id.name(), "type": scale_sets::KIND,
                "operationStatus": set.state(kernel.now()) }))
        });
        Ok(shown.collect())
    })?;
    list::page(request, shown, PAGE)
}
