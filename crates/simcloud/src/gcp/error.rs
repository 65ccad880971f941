//! Refusals in Google's envelope: AIP-193, and the older `errors` list beside it that Compute Engine
//! still writes.

use serde_json::{Value, json};

use crate::refusal::{Closed, Refusal};

/// What an answer says that is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    /// `notFound`, `rateLimitExceeded`.
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The cloud acted, and the answer gets lost: the connection closes without one.
    pub(crate) lost: bool,
}

/// A refusal in Compute Engine's own words: the reason is that of the `errors` list.
pub(crate) fn coded(status: u16, reason: &str, message: impl Into<String>) -> Refusal {
    Refusal::Coded { status, code: reason.to_owned(), message: message.into() }
}

/// A field with a value that is none: `invalid("resource.count", "0", "must be at least 1")`.
pub(crate) fn invalid(field: &str, value: &str, why: &str) -> Refusal {
    coded(400, "invalid", format!("Invalid value for field '{field}': '{value}'. {why}"))
}

/// A field that must be there.
pub(crate) fn required(field: &str) -> Refusal {
    coded(400, "required", format!("Required field '{field}' not specified"))
}

/// A resource that is not there: its path is `zones/z/instances/n`.
pub(crate) fn not_found(project: &str, path: &str) -> Refusal {
    coded(404, "notFound", format!("The resource 'projects/{project}/{path}' was not found"))
}

/// A resource whose name is taken.
pub(crate) fn exists(project: &str, path: &str) -> Refusal {
    coded(409, "alreadyExists", format!("The resource 'projects/{project}/{path}' already exists"))
}

/// A resource that another one uses.
pub(crate) fn in_use(project: &str, path: &str, by: &str) -> Refusal {
    let message = format!(
        "The resource 'projects/{project}/{path}' is already being used by 'projects/{project}/{by}'"
    );
    coded(400, "resourceInUseByAnotherResource", message)
}

/// The world's refusal as Compute Engine says it in an answer. What only shows while a launch is
/// under way stands in its operation instead: see [`told`].
pub(crate) fn fault(refusal: Refusal) -> Fault {
    let (status, reason, message, lost) = match refusal {
        Refusal::Coded { status, code, message } => (status, code, message, false),
        Refusal::Throttled(throttle) => {
            let message = format!(
                "Quota exceeded for quota group '{}' and limit 'Queries per minute' of service \
                 'compute.googleapis.com'.",
                throttle.limit
            );
            (throttle.status, throttle.code.to_owned(), message, false)
        }
        Refusal::Failed { status, code, acted } => {
            let reason = code.unwrap_or_else(|| outage(status).to_owned());
            (status, reason.clone(), sentence(&reason).to_owned(), acted)
        }
        Refusal::Unknown { what, name, .. } => match what {
            "zone" | "region" => {
                let message = format!("Invalid value for field '{what}': '{name}'. Unknown {what}.");
                (400, "invalid".to_owned(), message, false)
            }
            _ => (404, "notFound".to_owned(), format!("The resource '{name}' was not found"), false),
        },
        Refusal::Invalid { field, message } => {
            (400, "invalid".to_owned(), format!("Invalid value for field '{field}': {message}."), false)
        }
        Refusal::TokenReused { token } | Refusal::TokenSpent { token } => {
            let message =
                format!("Invalid value for field 'requestId': '{token}'. It was used with another request.");
            (400, "invalid".to_owned(), message, false)
        }
        Refusal::InUse { id, .. } => {
            let message = format!("The resource '{id}' is already being used by another resource");
            (400, "resourceInUseByAnotherResource".to_owned(), message, false)
        }
        Refusal::Full(closed) => {
            let told = told(&closed);
            let (status, reason) = match closed {
                Closed::Quota { .. } => (403, "quotaExceeded"),
                _ => (503, "insufficientCapacity"),
            };
            (status, reason.to_owned(), told.message, false)
        }
        Refusal::WrongState { id, action, .. } => {
            let message = format!("The resource '{id}' is not ready for {action}");
            (400, "resourceNotReady".to_owned(), message, false)
        }
        Refusal::State { message } => (500, "internalError".to_owned(), message, false),
    };
    Fault { status, reason, message, lost }
}

/// Why an operation could not do what it was for: an entry of `error.errors`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) message: String,
    /// The entries of `errorDetails`.
    pub(crate) details: Vec<Value>,
    /// `httpErrorStatusCode` of the operation.
    pub(crate) status: u16,
}

impl Told {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: Vec::new(), status }
    }

    pub(crate) fn show(&self) -> Value {
        let mut shown = json!({ "code": self.code, "message": self.message });
        if !self.details.is_empty() {
            shown["errorDetails"] = Value::Array(self.details.clone());
        }
        shown
    }
}

/// Why a pool gives no more machines, as the operations of launches say it. A stock-out comes in the
/// form `_WITH_DETAILS`, which is what inserts answer in practice.
pub(crate) fn told(closed: &Closed) -> Told {
    match closed {
        Closed::Capacity(offer) => {
            let zone = offer.zone.as_str();
            exhausted(zone, Some(machine_type(offer.instance_type.as_str())))
        }
        Closed::Zone(zone) => exhausted(zone.as_str(), None),
        Closed::Restricted(offer) | Closed::NotSold(offer) => {
            let (name, zone) = (machine_type(offer.instance_type.as_str()), &offer.zone);
            let mut told = Told::new(
                503,
                "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
                format!("The zone '{zone}' does not offer the machine type {name} in this form."),
            );
            told.details.push(json!({ "errorInfo": {
                "reason": "unsupported_combination",
                "domain": "compute.googleapis.com",
                "metadatas": { "zone": zone.as_str(), "vmType": name },
            } }));
            told
        }
        Closed::Quota { id, limit, .. } => {
            let (region, metric) = id.as_str().split_once('/').unwrap_or(("global", id.as_str()));
            let message = format!("Quota '{metric}' exceeded.  Limit: {limit}.0 in region {region}.");
            let mut told = Told::new(403, "QUOTA_EXCEEDED", message);
            let scope = if region == "global" { "PER-PROJECT" } else { "PER-PROJECT-REGION" };
            told.details.push(json!({ "quotaInfo": {
                "metricName": format!("compute.googleapis.com/{}", metric.to_lowercase()),
                "limitName": format!("{}-{scope}", metric.replace('_', "-")),
                "dimensions": { "region": region },
                "limit": f64::from(*limit),
            } }));
            told
        }
        Closed::Price { offer, .. } => Told::new(
            400,
            "INVALID_FIELD",
            format!("Spot VMs of {} take no highest price.", machine_type(offer.instance_type.as_str())),
        ),
    }
}

fn exhausted(zone: &str, vm_type: Option<&str>) -> Told {
    let message = format!(
        "The zone '{zone}' does not have enough resources available to fulfill the request.  \
         '(resource type:compute)'."
    );
    let mut metadatas = json!({ "zone": zone });
    if let Some(vm_type) = vm_type {
        metadatas["vmType"] = vm_type.into();
    }
    let details = vec![
        json!({ "errorInfo": {
            "reason": "resource_availability",
            "domain": "compute.googleapis.com",
            "metadatas": metadatas,
        } }),
        json!({ "localizedMessage": { "locale": "en-US", "message": message } }),
        json!({ "help": { "links": [
            { "description": "Troubleshooting documentation", "url": "https://cloud.google.com/compute/docs/resource-error" },
        ] } }),
    ];
    Told { code: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS".to_owned(), message, details, status: 503 }
}

/// The machine type of an offer whose name also says what is attached: `n1-standard-4+T4`.
fn machine_type(name: &str) -> &str {
    name.split_once('+').map_or(name, |(machine, _)| machine)
}

/// The envelope.
pub(crate) fn envelope(status: u16, reason: &str, message: &str) -> Value {
    let domain = if reason == "rateLimitExceeded" { "usageLimits" } else { "global" };
    let mut error = json!({
        "code": status,
        "message": message,
        "errors": [{ "message": message, "domain": domain, "reason": reason }],
    });
    if let Some(canonical) = canonical(status, reason) {
        error["status"] = canonical.into();
    }
    if let Some((reason, service)) = info(reason) {
        error["details"] = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "googleapis.com",
            "metadata": { "service": service },
        }]);
    }
    json!({ "error": error })
}

/// The canonical code of the answers that carry one: those of Google's front end, not those of
/// Compute Engine itself.
fn canonical(status: u16, reason: &str) -> Option<&'static str> {
    match (status, reason) {
        (401, _) => Some("UNAUTHENTICATED"),
        (403, "accessNotConfigured" | "forbidden" | "rateLimitExceeded") => Some("PERMISSION_DENIED"),
        (501, _) => Some("UNIMPLEMENTED"),
        _ => None,
    }
}

fn info(reason: &str) -> Option<(&'static str, &'static str)> {
    match reason {
        "accessNotConfigured" => Some(("SERVICE_DISABLED", "compute.googleapis.com")),
        "rateLimitExceeded" => Some(("RATE_LIMIT_EXCEEDED", "compute.googleapis.com")),
        "authError" => Some(("ACCESS_TOKEN_EXPIRED", "compute.googleapis.com")),
        "required" | "forbidden" => None,
        _ => None,
    }
}

/// The reason of an answer that a fault made fail, by the status that the fault chose.
fn outage(status: u16) -> &'static str {
    match status {
        401 => "authError",
        403 => "forbidden",
        404 => "notFound",
        409 => "alreadyExists",
        429 => "rateLimitExceeded",
        400..=499 => "invalid",
        500 => "internalError",
        _ => "backendError",
    }
}

/// What Google says beside a reason.
fn sentence(reason: &str) -> &'static str {
    match reason {
        "authError" => {
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
             valid authentication credential."
        }
        "accessNotConfigured" => {
            "Compute Engine API has not been used in this project before or it is disabled. Enable it and retry."
        }
        "forbidden" => "Required permission is missing for this project.",
        "rateLimitExceeded" => "Rate Limit Exceeded",
        "quotaExceeded" => "Quota exceeded.",
        "internalError" => "Internal error. Please try again.",
        "backendError" => "Backend Error",
        _ => "The request could not be served.",
    }
}
