use crate::refusal::{Closed, Refusal};
use crate::rules::Rules;

/// What an answer says that is none: EC2's code, the HTTP status and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// The cloud acted, and the answer gets lost: the connection closes without one.
    pub(crate) lost: bool,
}

/// A refusal in EC2's own words: "Error codes for the Amazon EC2 API", EC2 developer guide.
pub(crate) fn coded(status: u16, code: &str, message: impl Into<String>) -> Refusal {
    Refusal::Coded { status, code: code.to_owned(), message: message.into() }
}

/// A parameter that is not there.
pub(crate) fn missing(parameter: &str) -> Refusal {
    coded(400, "MissingParameter", format!("The request must contain the parameter {parameter}"))
}

/// A parameter with a value that is none.
pub(crate) fn invalid(parameter: &str, value: &str, expected: &str) -> Refusal {
    let message = format!("Value ({value}) for parameter {parameter} is invalid. It must be {expected}.");
    coded(400, "InvalidParameterValue", message)
}

/// An id that names nothing: `InvalidInstanceID.NotFound`, "The instance ID 'i-0' does not exist".
pub(crate) fn not_found(code: &str, what: &str, id: &str) -> Refusal {
    coded(400, code, format!("The {what} '{id}' does not exist"))
}

/// The world's refusal as EC2 says it.
pub(crate) fn fault(rules: &Rules, refusal: Refusal) -> Fault {
    let codes = &rules.codes;
    let (status, code, message, lost) = match refusal {
        Refusal::Coded { status, code, message } => (status, code, message, false),
        Refusal::Throttled(throttle) => {
            (throttle.status, throttle.code.to_owned(), "Request limit exceeded.".to_owned(), false)
        }
        Refusal::Failed { status, code, acted } => {
            let code = code.unwrap_or_else(|| outage(status, codes.outage).to_owned());
            (status, code, "The service could not serve the request.".to_owned(), acted)
        }
        Refusal::Unknown { what, name, .. } => {
            let code = match what {
                "region" => "InvalidParameterValue",
                "zone" => "InvalidParameterValue",
                "instance type" => "InvalidInstanceType",
                "template" => "InvalidLaunchTemplateId.NotFound",
                _ => codes.not_found,
            };
            (400, code.to_owned(), format!("Invalid {what}: '{name}'"), false)
        }
        Refusal::Invalid { field, message } => {
            (400, codes.invalid.to_owned(), format!("{field}: {message}"), false)
        }
        Refusal::TokenReused { .. } => {
            let message = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).";
            (400, codes.token_conflict.to_owned(), message.to_owned(), false)
        }
        Refusal::TokenSpent { .. } => {
            let message =
                "The client token cannot be reused since the instances it launched have been terminated.";
            (400, codes.token_ended.to_owned(), message.to_owned(), false)
        }
        Refusal::InUse { id, .. } => {
            (400, codes.in_use.to_owned(), format!("resource {id} has a dependent object"), false)
        }
        Refusal::Full(Closed::Quota { needed, limit, used, .. }) => {
            let message = format!(
                "You have requested more vCPU capacity ({needed}) than your current vCPU limit of {limit} allows; {used} are in use."
            );
            (400, codes.quota_on_demand.to_owned(), message, false)
        }
        Refusal::Full(Closed::Price { .. }) => {
            (400, codes.price_max.to_owned(), "The Spot price is above your maximum price.".to_owned(), false)
        }
        Refusal::Full(_) => {
            let message = "There is no capacity available that matches your request.";
            (500, codes.capacity_on_demand.to_owned(), message.to_owned(), false)
        }
        Refusal::WrongState { id, action, .. } => {
            let done = if action == "stop" { "stopped" } else { "started" };
            let message = format!("The instance '{id}' is not in a state from which it can be {done}.");
            (400, "IncorrectInstanceState".to_owned(), message, false)
        }
        Refusal::State { message } => (500, "InternalError".to_owned(), message, false),
    };
    Fault { status, code, message, lost }
}

/// The code of an answer that a fault made fail, by the status that the fault chose.
fn outage(status: u16, unavailable: &'static str) -> &'static str {
    match status {
        401 => "AuthFailure",
        403 => "UnauthorizedOperation",
        400..=499 => "InvalidParameterValue",
        500 => "InternalError",
        _ => unavailable,
    }
}
