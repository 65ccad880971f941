//! What Azure says to one call of a launch: in its answer, in its operation, of each machine.

use std::collections::BTreeSet;

use serde_json::Value;
use skyfleet_core::{Error, ErrorKind, InstanceId, OfferId, Result};

use super::order::{Order, Part};
use crate::error::{ArmError, Place};
use crate::names::Machine;

const OPERATION: &str = "azure.launch";

/// What calls came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The machines that were made.
    pub(super) made: BTreeSet<InstanceId>,
    /// Those that failed, or did not come in time: nobody wants them any more.
    pub(super) missed: BTreeSet<InstanceId>,
    /// Why there are not more.
    pub(super) reasons: Vec<Error>,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Self) {
        self.made.extend(other.made);
        self.missed.extend(other.missed);
        for reason in other.reasons {
            note(&mut self.reasons, reason);
        }
    }
}

fn note(reasons: &mut Vec<Error>, reason: Error) {
    let same = |other: &Error| (other.kind(), other.scope()) == (reason.kind(), reason.scope());
    if !reasons.iter().any(same) {
        reasons.push(reason);
    }
}

/// Reads the machines of one call of a launch, once nobody waits any more; `failure` is what its
/// operation says.
pub(super) fn read(
    order: &Order<'_>,
    part: &Part<'_>,
    count: u32,
    machines: &[Value],
    failure: Option<&ArmError>,
) -> Outcome {
    let mut outcome = Outcome::default();
    for machine in machines {
        let text = |key: &str| machine.get(key).and_then(Value::as_str);
        let Some(id) = text("id").and_then(Machine::parse).map(|machine| machine.id()) else { continue };
        let told = match text("operationStatus").unwrap_or_default().to_ascii_lowercase().as_str() {
            "succeeded" => {
                outcome.made.insert(id);
                continue;
            }
            "failed" => {
                machine.get("error").filter(|error| !error.is_null()).map_or_else(silent, ArmError::told)
            }
            _ => late(),
        };
        outcome.missed.insert(id);
        for reason in of_pools(order, part, &told, text("zone"), text("vmSize")) {
            note(&mut outcome.reasons, reason);
        }
    }
    let short = u32::try_from(outcome.made.len()).unwrap_or(u32::MAX) < count;
    if short && outcome.reasons.is_empty() {
        let silent = silent();
        outcome.reasons = of_pools(order, part, failure.unwrap_or(&silent), None, None);
    }
    outcome
}

/// A refusal of the whole call, said of each pool, if it is one that belongs in an answer.
///
/// # Errors
/// The refusal itself when no other pool could mend it.
pub(super) fn refused(order: &Order<'_>, part: &Part<'_>, refusal: &ArmError) -> Result<Outcome> {
    let error = refusal.error();
    match error.kind() {
        ErrorKind::NoCapacity | ErrorKind::QuotaExceeded => {
            Ok(Outcome { reasons: of_pools(order, part, refusal, None, None), ..Outcome::default() })
        }
        _ => Err(error.at(OPERATION)),
    }
}

/// Our errors for what was told, of each pool that it is about.
fn of_pools(
    order: &Order<'_>,
    part: &Part<'_>,
    told: &ArmError,
    zone: Option<&str>,
    size: Option<&str>,
) -> Vec<Error> {
    let mut offers = part.pools(order, zone, size);
    if offers.is_empty() {
        offers = part.pools(order, None, None);
    }
    let mut reasons = Vec::new();
    for offer in offers {
        note(&mut reasons, reason(order, told, offer));
    }
    reasons
}

fn reason(order: &Order<'_>, told: &ArmError, offer: &OfferId) -> Error {
    let request = order.request;
    told.reason(Place { region: &request.region, market: request.market, offer: Some(offer) }).at(OPERATION)
}

/// Of what is missing without a reason: no room.
fn silent() -> ArmError {
    let message = "Azure gives no reason".to_owned();
    ArmError { code: "AllocationFailed".to_owned(), message, ..ArmError::default() }
}

/// Of a machine that is still to come: Azure looks for room for spot longer than anybody waits.
fn late() -> ArmError {
    let message = "the machine did not come in time".to_owned();
    ArmError { code: "AllocationFailed".to_owned(), message, ..ArmError::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skyfleet_core::{Market, Price, Scope};

    use super::super::order::tests::{handle, request};
    use super::*;

    fn machine(n: u32, status: &str, error: Value) -> Value {
        json!({
            "id": format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/w_{n}"),
            "name": format!("w_{n}"),
            "operationStatus": status,
            "error": error,
            "vmSize": "Standard_D2s_v5",
            "zone": "2",
        })
    }

    #[test]
    fn what_failed_and_what_is_late_is_told_of_its_pool() {
        let (request, handle) = (request(Market::Spot, &[("1", "D2s_v5"), ("2", "D2s_v5")]), handle());
        let order = Order::new(&request, &handle, |_| Price::Unknown).unwrap();
        let sold_out = json!({ "code": "SkuNotAvailable", "message": "not here" });
        let machines = [
            machine(1, "Succeeded", Value::Null),
            machine(2, "Failed", sold_out),
            machine(3, "Creating", Value::Null),
        ];
        let outcome = read(&order, &order.parts[0], 3, &machines, None);
        assert_eq!((outcome.made.len(), outcome.missed.len(), outcome.reasons.len()), (1, 2, 1));
        assert_eq!(outcome.reasons[0].scope(), Some(&Scope::Offer(request.pools[1].offer.clone())));
        assert_eq!(outcome.reasons[0].fact("code"), Some("SkuNotAvailable"));
        let nothing = read(&order, &order.parts[0], 3, &[], None);
        assert_eq!(nothing.reasons.len(), 2, "one for each pool");
        assert!(read(&order, &order.parts[0], 1, &machines[..1], None).reasons.is_empty());
    }

    #[test]
    fn a_refusal_is_an_answer_only_where_another_pool_could_mend_it() {
        let (request, handle) = (request(Market::Spot, &[("1", "D2s_v5")]), handle());
        let order = Order::new(&request, &handle, |_| Price::Unknown).unwrap();
        let coded = |status, code: &str| ArmError { status, code: code.to_owned(), ..ArmError::default() };
        let dry = refused(&order, &order.parts[0], &coded(409, "SkuNotAvailable")).unwrap();
        assert_eq!(dry.reasons[0].kind(), ErrorKind::NoCapacity);
        let wrong = refused(&order, &order.parts[0], &coded(400, "InvalidParameter")).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::InvalidRequest);
    }
}
