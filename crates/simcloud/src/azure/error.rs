//! Refusals in Resource Manager's envelope: `{"error":{"code","message","details"}}`.

use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::Market;

use crate::refusal::{Closed, Refusal};

/// What an answer says that is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) told: Told,
    pub(crate) retry_after: Option<Duration>,
    /// The cloud acted, and the answer gets lost: the connection closes without one.
    pub(crate) lost: bool,
}

/// An error as Azure tells it: in an answer, in an operation, in the status of a machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) message: String,
    /// The codes and messages of `details`.
    pub(crate) details: Vec<(String, String)>,
}

impl Told {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: Vec::new() }
    }

    fn with(mut self, code: &str, message: &str) -> Self {
        self.details.push((code.to_owned(), message.to_owned()));
        self
    }

    pub(crate) fn show(&self) -> Value {
        let mut shown = json!({ "code": self.code, "message": self.message });
        if !self.details.is_empty() {
            let details = self.details.iter();
            shown["details"] =
                details.map(|(code, message)| json!({ "code": code, "message": message })).collect();
        }
        shown
    }
}

/// A refusal in Azure's own words.
pub(crate) fn coded(status: u16, code: &str, message: impl Into<String>) -> Refusal {
    Refusal::Coded { status, code: code.to_owned(), message: message.into() }
}

/// A member of the body with a value that is none.
pub(crate) fn invalid(member: &str, message: &str) -> Refusal {
    coded(400, "InvalidParameter", format!("The value of parameter {member} is invalid. {message}"))
}

/// A resource that is not there.
pub(crate) fn not_found(kind: &str, name: &str, group: &str) -> Refusal {
    let message = format!(
        "The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details please go to \
         https://aka.ms/ARMResourceNotFoundFix"
    );
    coded(404, "ResourceNotFound", message)
}

/// A resource group that is not there.
pub(crate) fn no_group(group: &str) -> Refusal {
    coded(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
}

/// The world's refusal as Azure says it.
pub(crate) fn fault(refusal: Refusal) -> Fault {
    let plain = |status, code: &str, message: String| Fault {
        status,
        told: Told::new(code, message),
        retry_after: None,
        lost: false,
    };
    match refusal {
        Refusal::Coded { status, code, message } => plain(status, &code, message),
        Refusal::Throttled(throttle) => {
            let message =
                "The request is being throttled as the limit has been reached for operation type - ";
            let mut told = Told::new(throttle.code, format!("{message}{}.", throttle.limit));
            if throttle.code == "OperationNotAllowed" {
                told =
                    told.with("TooManyRequests", &format!("{{\"operationGroup\":\"{}\"}}", throttle.limit));
            }
            let seconds = throttle.retry_after.as_secs_f64().ceil().max(1.0);
            let retry_after = Some(Duration::from_secs(seconds as u64));
            Fault { status: throttle.status, told, retry_after, lost: false }
        }
        Refusal::Failed { status, code, acted } => {
            let code = code.unwrap_or_else(|| outage(status).to_owned());
            Fault {
                lost: acted,
                ..plain(status, &code, "The service could not serve the request.".to_owned())
            }
        }
        Refusal::Unknown { what: "region", name, .. } => {
            let message = format!("The provided location '{name}' is not available for resource group.");
            plain(400, "LocationNotAvailableForResourceGroup", message)
        }
        Refusal::Unknown { what: "instance type", name, .. } => {
            let message = format!("The value {name} provided for the VM size is not valid.");
            plain(400, "InvalidParameter", message)
        }
        Refusal::Unknown { what, name, .. } => {
            plain(404, "NotFound", format!("There is no {what} '{name}'."))
        }
        Refusal::Invalid { field, message } => plain(400, "InvalidParameter", format!("{field}: {message}")),
        Refusal::TokenReused { token } => {
            plain(409, "PropertyChangeNotAllowed", format!("Changing '{token}' is not allowed."))
        }
        Refusal::TokenSpent { token } => plain(409, "Conflict", format!("'{token}' was used before.")),
        Refusal::InUse { id, .. } => plain(409, "InUse", format!("Resource {id} is in use.")),
        Refusal::Full(closed) => {
            let (status, told) = told(&closed);
            Fault { status, told, retry_after: None, lost: false }
        }
        Refusal::WrongState { id, action, .. } => {
            plain(409, "OperationNotAllowed", format!("Cannot {action} '{id}' in its state."))
        }
        Refusal::State { message } => plain(500, "InternalServerError", message),
    }
}

/// Why a pool gives no more machines, and the status of the answer. Azure documentation, "Error
/// codes for Spot VMs", "Allocation failures".
pub(crate) fn told(closed: &Closed) -> (u16, Told) {
    match closed {
        Closed::Capacity(offer) if offer.market == Market::Spot => {
            (409, sku_not_available(offer.instance_type.as_str(), offer.zone.as_str()))
        }
        Closed::Capacity(offer) => {
            let message = format!(
                "Allocation failed. We do not have sufficient capacity for the requested VM size {} in this zone {}.",
                offer.instance_type, offer.zone
            );
            (409, Told::new("ZonalAllocationFailed", message))
        }
        Closed::Zone(zone) => {
            let message =
                format!("Allocation failed. We do not have sufficient capacity in this zone {zone}.");
            (409, Told::new("ZonalAllocationFailed", message))
        }
        Closed::Restricted(offer) => {
            (409, sku_not_available(offer.instance_type.as_str(), offer.zone.as_str()))
        }
        Closed::NotSold(offer) => {
            let message = format!(
                "Allocation failed. The VM size {} cannot be allocated in zone {} with these constraints.",
                offer.instance_type, offer.zone
            );
            (409, Told::new("OverconstrainedZonalAllocationRequest", message))
        }
        Closed::Quota { id, limit, used, needed, .. } => {
            let (region, name) = id.as_str().split_once('/').unwrap_or(("", id.as_str()));
            let message = format!(
                "Operation could not be completed as it results in exceeding approved {name} quota. Additional \
                 details - Deployment Model: Resource Manager, Location: {region}, Current Limit: {limit}, Current \
                 Usage: {used}, Additional Required: {needed}, (Minimum) New Limit Required: {}.",
                used.saturating_add(*needed)
            );
            (409, Told::new("OperationNotAllowed", message))
        }
        Closed::Price { now, max, .. } => {
            let now = now.map_or_else(|| "unknown".to_owned(), |price| price.to_string());
            let message =
                format!("The current Spot price {now} is greater than the provided max price {max}.");
            (400, Told::new("SpotPriceGreaterThanProvidedMaxPrice", message))
        }
    }
}

fn sku_not_available(size: &str, place: &str) -> Told {
    Told::new(
        "SkuNotAvailable",
        format!(
            "The requested VM size for resource '{size}' is currently not available in location '{place}'. Please \
             try another size or deploy to a different location or different zone."
        ),
    )
}

/// The envelope.
pub(crate) fn envelope(told: &Told) -> Value {
    json!({ "error": told.show() })
}

/// The code of an answer that a fault made fail, by the status that the fault chose.
fn outage(status: u16) -> &'static str {
    match status {
        401 => "InvalidAuthenticationToken",
        403 => "AuthorizationFailed",
        404 => "ResourceNotFound",
        409 => "Conflict",
        429 => "TooManyRequests",
        400..=499 => "BadRequest",
        500 => "InternalServerError",
        _ => "ServerTimeout",
    }
}
