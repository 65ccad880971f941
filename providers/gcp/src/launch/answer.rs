//! What Compute Engine says to a bulk insert: in its operation, and in those of its instances.

use std::collections::BTreeSet;

use google_cloud_compute_v1::model::Operation;
use skyfleet_core::{Error, ErrorKind, OfferId, Result, Timestamp, Zone};

use super::order::{Order, Part};
use crate::client::Client;
use crate::client::operations::told;
use crate::error::{Place, Told};
use crate::whereabouts::last;

const OPERATION: &str = "gcp.launch";

/// What one bulk insert came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How many instances it made and kept.
    pub(super) made: u32,
    /// The names of those that it could not make. A list may show them for a moment.
    pub(super) failed: BTreeSet<String>,
    /// Why there are not more.
    pub(super) reasons: Vec<Error>,
}

/// Reads a bulk insert that is over. Only where something is missing the operations of the single
/// instances are read: one call for each zone that failed.
pub(super) async fn read(
    client: &Client,
    order: &Order<'_>,
    part: &Part<'_>,
    over: &Operation,
    count: u32,
) -> Result<Outcome> {
    let mut outcome = Outcome { made: made(over), ..Outcome::default() };
    if outcome.made >= count {
        return Ok(outcome);
    }
    let mut all = told(over);
    if let Some(group) = &over.operation_group_id {
        let filter = format!("operationGroupId = \"{group}\"");
        for zone in short(over, part) {
            for child in client.operations_in(OPERATION, &zone, &filter).await? {
                let mut errors = told(&child);
                // The bulk insert itself may be listed with its instances.
                if child.name == over.name || errors.is_empty() {
                    continue;
                }
                for error in &mut errors {
                    error.zone.get_or_insert_with(|| zone.to_string());
                }
                // One that was taken back while it booted is still there, stopped.
                let remains = errors.iter().any(|error| error.code == "PREEMPTED");
                let name = child.target_link.as_deref().map(last).filter(|_| !remains);
                outcome.failed.extend(name.map(str::to_owned));
                all.extend(errors);
            }
        }
    }
    outcome.reasons = reasons(order, part, all);
    Ok(outcome)
}

/// A refusal of the whole call, said of each pool, if it is one that belongs in an answer.
///
/// # Errors
/// The refusal itself when no other pool could mend it.
pub(super) fn refused(order: &Order<'_>, part: &Part<'_>, error: Error) -> Result<Outcome> {
    match error.kind() {
        ErrorKind::NoCapacity | ErrorKind::QuotaExceeded => {
            let reasons = reasons(order, part, vec![Told::by(&error)]);
            Ok(Outcome { reasons, ..Outcome::default() })
        }
        _ => Err(error),
    }
}

/// How many instances a bulk insert made and did not delete again.
fn made(over: &Operation) -> u32 {
    let metadata = over.instances_bulk_insert_operation_metadata.as_ref();
    let places = metadata.iter().flat_map(|metadata| metadata.per_location_status.values());
    let count = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    places.map(|place| count(place.created_vm_count).saturating_sub(count(place.deleted_vm_count))).sum()
}

/// The zones where something could not be made; all of them where Compute Engine does not say.
fn short(over: &Operation, part: &Part<'_>) -> BTreeSet<Zone> {
    let metadata = over.instances_bulk_insert_operation_metadata.as_ref();
    let places = metadata.iter().flat_map(|metadata| &metadata.per_location_status);
    let failed = places.filter(|(_, place)| place.failed_to_create_vm_count.is_some_and(|count| count > 0));
    let zones: BTreeSet<Zone> = failed.map(|(place, _)| Zone::from(last(place))).collect();
    if zones.is_empty() { part.zones.iter().map(|zone| (*zone).clone()).collect() } else { zones }
}

/// Our errors for what was told, of each pool that it is about; each thing once.
fn reasons(order: &Order<'_>, part: &Part<'_>, told: Vec<Told>) -> Vec<Error> {
    // That the least number was not reached says nothing where something else says why.
    let why = told.iter().any(|one| one.code != BELOW_LEAST);
    let mut reasons: Vec<Error> = Vec::new();
    for one in told.iter().filter(|one| !why || one.code != BELOW_LEAST) {
        let mut offers = part.pools(order, one.zone.as_deref(), one.vm_type.as_deref());
        if offers.is_empty() {
            offers = part.pools(order, None, None);
        }
        for offer in offers {
            let reason = reason(order, one, Some(offer));
            let same = |other: &Error| (other.kind(), other.scope()) == (reason.kind(), reason.scope());
            if !reasons.iter().any(same) {
                reasons.push(reason);
            }
        }
    }
    if reasons.is_empty() {
        let silent = Told::silent();
        reasons = part
            .pools(order, None, None)
            .into_iter()
            .map(|offer| reason(order, &silent, Some(offer)))
            .collect();
    }
    reasons
}

const BELOW_LEAST: &str = "VM_MIN_COUNT_NOT_REACHED";

fn reason(order: &Order<'_>, told: &Told, offer: Option<&OfferId>) -> Error {
    let request = order.request;
    told.reason(Place { region: &request.region, market: request.market, offer }).at(OPERATION)
}

/// What a bulk insert's request was used for another time.
pub(super) fn is_other_request(error: &Error) -> bool {
    error.kind() == ErrorKind::InvalidRequest && error.message().contains("requestId")
}

/// When a bulk insert was over, where its operation says it.
pub(super) fn over_at(operation: &Operation) -> Option<Timestamp> {
    operation.end_time.as_deref()?.parse().ok()
}
