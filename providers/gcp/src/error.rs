//! Google's error codes and our kinds: one table.

use std::error::Error as StdError;

use google_cloud_gax::error::rpc::StatusDetails;
use google_cloud_gax::error::{CredentialsError, Error as SdkError};
use skyfleet_core::{Chain, Error, ErrorKind, Market, OfferId, QuotaId, Region, Scope};

mod told;

pub(crate) use told::Told;
use told::quota_in;

use Closes::*;
use ErrorKind::*;

/// What an error code closes; the place where it happened makes a [`Scope`] of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closes {
    /// Nothing that the planner could avoid.
    Nothing,
    /// One type in one zone on one market.
    Offer,
    /// One type in one zone, on every market.
    TypeInZone,
    /// The quota that the answer names.
    Quota,
    /// The region.
    Region,
    /// The account.
    Account,
}

/// Compute Engine's codes. Those in capitals stand in operations ("Troubleshooting resource
/// availability errors" and "Troubleshooting bulk creation" of its documentation, and the values of
/// `Operation.error.errors[].code`), the others are the reasons of refused calls ("Handling API
/// errors"), and next to them those that AIP-193's `ErrorInfo` has for the same thing.
const CODES: &[(&str, ErrorKind, Closes)] = &[
    // The zone has none of the type left. The longer form has details, and is what inserts answer.
    ("ZONE_RESOURCE_POOL_EXHAUSTED", NoCapacity, Offer),
    ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", NoCapacity, Offer),
    ("REGION_RESOURCE_POOL_EXHAUSTED", NoCapacity, Offer),
    ("STOCKOUT", NoCapacity, Offer),
    ("insufficientCapacity", NoCapacity, Offer),
    // Fewer than the least number could be had, and all of them are gone again.
    ("VM_MIN_COUNT_NOT_REACHED", NoCapacity, Offer),
    // The subnetwork has no free address.
    ("IP_SPACE_EXHAUSTED", NoCapacity, Closes::Region),
    ("IP_SPACE_EXHAUSTED_WITH_DETAILS", NoCapacity, Closes::Region),
    ("QUOTA_EXCEEDED", QuotaExceeded, Quota),
    ("quotaExceeded", QuotaExceeded, Quota),
    ("limitExceeded", QuotaExceeded, Closes::Region),
    ("dailyLimitExceeded", QuotaExceeded, Account),
    // Too many calls in this minute, or too many bulk requests at once; the call was not made.
    ("rateLimitExceeded", RateLimited, Nothing),
    ("userRateLimitExceeded", RateLimited, Nothing),
    ("concurrentLimitExceeded", RateLimited, Nothing),
    ("RATE_LIMIT_EXCEEDED", RateLimited, Nothing),
    ("RESOURCE_OPERATION_RATE_EXCEEDED", RateLimited, Nothing),
    ("operationRateExceeded", RateLimited, Nothing),
    // The service failed; it may have acted.
    ("backendError", Unavailable, Nothing),
    ("internalError", Unavailable, Nothing),
    ("INTERNAL_ERROR", Unavailable, Nothing),
    ("UNAVAILABLE", Unavailable, Nothing),
    // Something is in the middle of something else.
    ("RESOURCE_NOT_READY", Unavailable, Nothing),
    ("resourceNotReady", Unavailable, Nothing),
    // A spot machine was taken back while it booted: there was room, and may be again at once.
    ("PREEMPTED", Unavailable, Nothing),
    ("UNSUPPORTED_OPERATION", Unavailable, Nothing),
    ("authError", Unauthenticated, Account),
    ("ACCESS_TOKEN_EXPIRED", Unauthenticated, Account),
    ("CREDENTIALS_MISSING", Unauthenticated, Account),
    ("UNAUTHENTICATED", Unauthenticated, Account),
    // The identity is good and may not do this.
    ("forbidden", PermissionDenied, Account),
    ("insufficientPermissions", PermissionDenied, Account),
    ("IAM_PERMISSION_DENIED", PermissionDenied, Account),
    ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", PermissionDenied, Account),
    ("PERMISSIONS_ERROR", PermissionDenied, Account),
    ("CONSUMER_INVALID", PermissionDenied, Account),
    ("USER_PROJECT_DENIED", PermissionDenied, Account),
    ("BILLING_DISABLED", PermissionDenied, Account),
    // The API was never switched on in the project.
    ("accessNotConfigured", PermissionDenied, Account),
    ("SERVICE_DISABLED", PermissionDenied, Account),
    ("alreadyExists", Conflict, Nothing),
    ("RESOURCE_ALREADY_EXISTS", Conflict, Nothing),
    ("conflict", Conflict, Nothing),
    ("conditionNotMet", Conflict, Nothing),
    ("resourceInUseByAnotherResource", Conflict, Nothing),
    ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", Conflict, Nothing),
    ("notFound", NotFound, Nothing),
    ("RESOURCE_NOT_FOUND", NotFound, Nothing),
    ("invalid", InvalidRequest, Nothing),
    ("badRequest", InvalidRequest, Nothing),
    ("required", InvalidRequest, Nothing),
    ("invalidParameter", InvalidRequest, Nothing),
    ("INVALID_USAGE", InvalidRequest, Nothing),
    ("INVALID_FIELD", InvalidRequest, Nothing),
    ("INVALID_FIELD_VALUE", InvalidRequest, Nothing),
    ("notSupported", Unsupported, Nothing),
    ("notImplemented", Unsupported, Nothing),
];

/// The kind of a code that has no row: by the answer's status.
pub(crate) fn guess(status: Option<u16>) -> ErrorKind {
    match status {
        Some(400 | 412) => InvalidRequest,
        Some(401) => Unauthenticated,
        Some(403) => PermissionDenied,
        Some(404 | 410) => NotFound,
        Some(409) => Conflict,
        Some(429) => RateLimited,
        Some(500..) => Unavailable,
        _ => Unexpected,
    }
}

fn look_up(code: &str, status: Option<u16>) -> (ErrorKind, Closes) {
    // Whatever the body calls it: who is not known cannot have asked for anything wrong.
    if status == Some(401) {
        return (Unauthenticated, Account);
    }
    match CODES.iter().find(|(row, ..)| *row == code) {
        Some((_, kind, closes)) => (*kind, *closes),
        None if code.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED") => (NoCapacity, Offer),
        None if code.starts_with("INVALID_") => (InvalidRequest, Nothing),
        None => (guess(status), Offer),
    }
}

/// Where an error happened: as much as is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) region: &'a Region,
    pub(crate) market: Market,
    pub(crate) offer: Option<&'a OfferId>,
}

impl Place<'_> {
    /// What a code closes here: never more than the code names, and nothing where the place is not
    /// known well enough.
    fn scope(&self, closes: Closes, quota: Option<QuotaId>) -> Option<Scope> {
        match closes {
            Closes::Nothing => None,
            Closes::Offer => self.offer.map(|offer| Scope::Offer(offer.clone())),
            Closes::TypeInZone => {
                self.offer.map(|offer| Scope::TypeInZone(offer.instance_type.clone(), offer.zone.clone()))
            }
            Closes::Quota => {
                let market = || Scope::MarketInRegion(self.market, self.region.clone());
                Some(quota.map_or_else(market, Scope::Quota))
            }
            Closes::Region => Some(Scope::Region(self.region.clone())),
            Closes::Account => Some(Scope::Account),
        }
    }
}

/// Our error for a call that failed.
pub(crate) fn refused(operation: &'static str, error: &SdkError) -> Error {
    let ours = match error.http_status_code() {
        Some(status) => answered(status, error),
        None => unanswered(error),
    };
    ours.at(operation)
}

/// Google answered, and said no.
fn answered(status: u16, error: &SdkError) -> Error {
    let details = error.status().map(|status| status.details.as_slice()).unwrap_or_default();
    let infos = details.iter().filter_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) => Some(info.reason.as_str()),
        _ => None,
    });
    // One that the table knows, before one that it does not.
    let infos: Vec<&str> = infos.collect();
    let known = infos.iter().find(|code| CODES.iter().any(|(row, ..)| row == *code));
    let code = known.or(infos.first()).copied().unwrap_or_default();
    let text = error.status().map_or("", |status| status.message.as_str());
    let (mut kind, closes) = look_up(code, Some(status));
    let mut message = match (kind, text) {
        (Unauthenticated, "") => "Google does not accept the credentials".to_owned(),
        (Unauthenticated, text) => format!(
            "Google does not accept the credentials; log in again with `gcloud auth application-default \
             login`: {text}"
        ),
        (_, "") => format!("Google refuses the call with status {status}"),
        (_, text) => text.to_owned(),
    };
    let mut key = None;
    if matches!(code, "accessNotConfigured" | "SERVICE_DISABLED") {
        message = format!(
            "the Compute Engine API is not switched on in the project: `gcloud services enable \
             compute.googleapis.com` does it: {message}"
        );
    } else if kind == NotFound && is_about_project(text) {
        kind = InvalidConfig;
        message = format!("there is no such project, or it may not be seen: {text}");
        key = Some("providers.gcp.project");
    }
    let mut ours = Error::new(kind, message);
    if kind == QuotaExceeded {
        ours = match quota_in(text) {
            Some(quota) => ours.closing(Scope::Quota(quota)),
            None => ours,
        };
    } else if closes == Account {
        ours = ours.closing(Scope::Account);
    }
    if let Some(key) = key {
        ours = ours.with("key", key);
    }
    if !code.is_empty() {
        ours = ours.with("code", code);
    }
    ours = ours.with("status", status);
    match request_id(error, details) {
        Some(id) => ours.with("request_id", id),
        None => ours,
    }
}

/// "The resource 'projects/nowhere' was not found": nothing in the project, the project itself.
fn is_about_project(message: &str) -> bool {
    let Some((_, rest)) = message.split_once("'projects/") else { return false };
    rest.split('\'').next().is_some_and(|name| !name.contains('/'))
}

/// What Google's support asks for: the request's own id, or the trace that it belongs to.
fn request_id(error: &SdkError, details: &[StatusDetails]) -> Option<String> {
    let told = details.iter().find_map(|detail| match detail {
        StatusDetails::RequestInfo(info) => Some(info.request_id.clone()),
        _ => None,
    });
    let headers = ["x-goog-request-id", "x-request-id", "x-cloud-trace-context"];
    let of_header = || {
        let found = headers.iter().find_map(|name| error.http_headers()?.get(*name))?;
        Some(found.to_str().ok()?.to_owned())
    };
    told.filter(|id| !id.is_empty()).or_else(of_header)
}

/// There was no answer, or none that could be read, or the call was never sent.
fn unanswered(error: &SdkError) -> Error {
    let chain = Chain::of(error);
    if let Some(transient) = credentials(error) {
        return if transient {
            Error::new(Unavailable, "the source of the credentials does not answer").because(chain)
        } else {
            let message = format!(
                "no Google credentials can be had; log in with `gcloud auth application-default login`, or \
                 set GOOGLE_APPLICATION_CREDENTIALS: {}",
                chain.root()
            );
            Error::new(Unauthenticated, message).closing(Scope::Account).because(chain)
        };
    }
    let (kind, message) = if error.is_binding() || error.is_serialization() {
        (InvalidRequest, "the call cannot be made")
    } else if error.is_timeout() {
        (Unavailable, "no answer came in time, the cloud may have acted")
    } else if error.is_deserialization() {
        (Unavailable, "the answer cannot be read, the cloud may have acted")
    } else if error.is_connect() {
        (Unavailable, "Google cannot be reached, nothing was sent")
    } else {
        (Unavailable, "no answer came, the cloud may have acted")
    };
    Error::new(kind, format!("{message}: {}", chain.root())).because(chain)
}

/// Whether the call failed for want of credentials, and if so whether they may come.
fn credentials(error: &SdkError) -> Option<bool> {
    let mut link: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            return Some(found.is_transient());
        }
        link = error.source();
    }
    error.is_authentication().then_some(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use google_cloud_gax::error::rpc::Status;
    use http::HeaderMap;
    use skyfleet_core::Retry;

    use super::*;

    #[test]
    fn no_code_has_two_rows() {
        let codes: BTreeSet<&str> = CODES.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes.len(), CODES.len());
    }

    fn answer(status: u16, body: &str) -> Error {
        let headers: HeaderMap = [("x-cloud-trace-context", "7f/1")]
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let bytes = bytes_of(body);
        let error = match Status::try_from(&bytes) {
            Ok(told) => SdkError::service_with_http_metadata(told, Some(status), Some(headers)),
            Err(_) => SdkError::http(status, headers, bytes),
        };
        refused("gcp.list", &error)
    }

    fn bytes_of(text: &str) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(text.as_bytes())
    }

    fn body(status: u16, reason: &str, message: &str) -> String {
        let one = serde_json::json!({ "message": message, "domain": "global", "reason": reason });
        serde_json::json!({ "error": { "code": status, "message": message, "errors": [one] } }).to_string()
    }

    #[test]
    fn refusals_of_calls_are_told_apart() {
        for (status, reason, message, kind) in [
            (403, "rateLimitExceeded", "Quota exceeded for quota group 'List'", RateLimited),
            (403, "quotaExceeded", "Quota 'CPUS' exceeded.  Limit: 8.0 in region us-east1.", QuotaExceeded),
            (403, "accessNotConfigured", "Compute Engine API has not been used", PermissionDenied),
            (403, "forbidden", "Required 'compute.instances.list' permission", PermissionDenied),
            (401, "authError", "Invalid Credentials", Unauthenticated),
            (401, "required", "Login Required.", Unauthenticated),
            (404, "notFound", "The resource 'projects/nowhere' was not found", InvalidConfig),
            (404, "notFound", "The resource 'projects/p/zones/z/instances/i' was not found", NotFound),
            (400, "invalid", "Invalid value for field 'resource.count'", InvalidRequest),
            (400, "resourceInUseByAnotherResource", "is already being used by", Conflict),
            (409, "alreadyExists", "already exists", Conflict),
            (503, "backendError", "Backend Error", Unavailable),
            (418, "teapot", "short and stout", Unexpected),
        ] {
            let error = answer(status, &body(status, reason, message));
            assert_eq!((error.kind(), error.fact("code")), (kind, Some(reason)), "{error}");
            assert_eq!(error.fact("request_id"), Some("7f/1"));
            assert!(error.message().contains(message), "{error}");
        }
        assert!(
            answer(403, &body(403, "accessNotConfigured", "x")).message().contains("gcloud services enable")
        );
    }

    #[test]
    fn a_body_without_an_envelope_is_judged_by_its_status() {
        for (status, kind) in
            [(503, Unavailable), (429, RateLimited), (401, Unauthenticated), (404, NotFound)]
        {
            assert_eq!(answer(status, "<html>").kind(), kind, "{status}");
        }
    }

    #[test]
    fn what_was_not_answered_may_have_been_done() {
        for error in
            [SdkError::timeout("60 s"), SdkError::io("connection reset"), SdkError::connect("refused")]
        {
            let ours = refused("gcp.launch", &error);
            assert_eq!((ours.kind(), ours.retry()), (Unavailable, Retry::After(None)), "{ours}");
        }
        assert!(refused("gcp.launch", &SdkError::connect("refused")).message().contains("nothing was sent"));
    }

    #[test]
    fn missing_credentials_say_what_to_do() {
        let error = SdkError::authentication(CredentialsError::from_msg(false, "no key"));
        let ours = refused("gcp.list", &error);
        assert_eq!((ours.kind(), ours.retry()), (Unauthenticated, Retry::Never));
        assert!(ours.message().contains("gcloud auth"), "{ours}");
        let error = SdkError::authentication(CredentialsError::from_msg(true, "slow"));
        assert_eq!(refused("gcp.list", &error).kind(), Unavailable);
    }
}
