//! Azure's error codes and our kinds: one table.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use azure_core_021 as legacy;
use serde_json::Value;
use skyfleet_core::{Chain, Error, ErrorKind, Market, OfferId, QuotaId, Region, Retry, Scope};

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
    /// The quota that the message names.
    Quota,
    /// The account.
    Account,
}

/// Resource Manager's codes and those of its providers. Azure documentation, "Error codes for Spot
/// Virtual Machines and scale sets instances", "Resolve allocation failures", "Common Azure
/// deployment errors", "Troubleshoot API throttling errors".
const CODES: &[(&str, ErrorKind, Closes)] = &[
    // There is no spot room for the size; or the subscription may not have it, in the same words.
    ("SkuNotAvailable", NoCapacity, Offer),
    // The region has no room for the size.
    ("AllocationFailed", NoCapacity, Offer),
    // The zone has no room for the size: whoever pays in full is served before spot.
    ("ZonalAllocationFailed", NoCapacity, TypeInZone),
    // Size, priority and network features together cannot be had; the second form names the zone.
    ("OverconstrainedAllocationRequest", NoCapacity, Offer),
    ("OverconstrainedZonalAllocationRequest", NoCapacity, TypeInZone),
    ("SpotPriceGreaterThanProvidedMaxPrice", NoCapacity, Offer),
    ("QuotaExceeded", QuotaExceeded, Quota),
    // Quotas of spaces that are no machines: addresses, resource groups.
    ("PublicIPCountLimitReached", QuotaExceeded, Quota),
    ("ResourceGroupQuotaExceeded", QuotaExceeded, Account),
    // Resource Manager's bucket, and those of the providers behind it; the call was not made.
    ("SubscriptionRequestsThrottled", RateLimited, Nothing),
    ("TenantRequestsThrottled", RateLimited, Nothing),
    ("TooManyRequests", RateLimited, Nothing),
    ("RetryableErrorDueToAnotherOperation", Unavailable, Nothing),
    ("RetryableError", Unavailable, Nothing),
    ("AnotherOperationInProgress", Unavailable, Nothing),
    ("ResourceGroupBeingDeleted", Unavailable, Nothing),
    // The service failed; it may have acted.
    ("InternalServerError", Unavailable, Nothing),
    ("InternalExecutionError", Unavailable, Nothing),
    ("InternalOperationError", Unavailable, Nothing),
    ("NetworkingInternalOperationError", Unavailable, Nothing),
    ("ServerTimeout", Unavailable, Nothing),
    ("GatewayTimeout", Unavailable, Nothing),
    ("ServiceUnavailable", Unavailable, Nothing),
    ("AuthenticationFailed", Unauthenticated, Account),
    ("InvalidAuthenticationToken", Unauthenticated, Account),
    ("InvalidAuthenticationTokenTenant", Unauthenticated, Account),
    ("ExpiredAuthenticationToken", Unauthenticated, Account),
    // The identity is good and may not do this.
    ("AuthorizationFailed", PermissionDenied, Account),
    ("LinkedAuthorizationFailed", PermissionDenied, Account),
    ("RequestDisallowedByPolicy", PermissionDenied, Account),
    ("ReadOnlyDisabledSubscription", PermissionDenied, Account),
    // The provider was never switched on in the subscription.
    ("MissingSubscriptionRegistration", PermissionDenied, Account),
    ("AzureSpotFeatureNotEnabledForSubscription", PermissionDenied, Account),
    ("SubscriptionNotFound", InvalidConfig, Account),
    ("ResourceNotFound", NotFound, Nothing),
    ("ResourceGroupNotFound", NotFound, Nothing),
    ("ParentResourceNotFound", NotFound, Nothing),
    ("NotFound", NotFound, Nothing),
    ("OperationNotFound", NotFound, Nothing),
    // A resource keeps what it was made with.
    ("PropertyChangeNotAllowed", Conflict, Nothing),
    ("OperationNotAllowed", Conflict, Nothing),
    ("InUse", Conflict, Nothing),
    ("InUseSubnetCannotBeDeleted", Conflict, Nothing),
    ("InUseNetworkSecurityGroupCannotBeDeleted", Conflict, Nothing),
    ("PublicIPAddressCannotBeDeleted", Conflict, Nothing),
    ("NicInUse", Conflict, Nothing),
    ("NicReservedForAnotherVm", Conflict, Nothing),
    ("Conflict", Conflict, Nothing),
    ("ConflictingServerOperation", Conflict, Nothing),
    ("PreconditionFailed", Conflict, Nothing),
    ("ScopeLocked", PermissionDenied, Nothing),
    ("MaxPriceValueInvalid", InvalidRequest, Nothing),
    ("AzureSpotIsNotSupportedForThisVMSize", InvalidRequest, Offer),
    ("VMSizeIsNotPermittedToEnableAcceleratedNetworking", InvalidRequest, Nothing),
    ("InvalidParameter", InvalidRequest, Nothing),
    ("InvalidRequestContent", InvalidRequest, Nothing),
    ("InvalidRequestFormat", InvalidRequest, Nothing),
    ("InvalidResourceReference", InvalidRequest, Nothing),
    ("InvalidResourceLocation", InvalidRequest, Nothing),
    ("InvalidResourceGroupLocation", InvalidRequest, Nothing),
    ("LocationNotAvailableForResourceGroup", InvalidRequest, Nothing),
    ("LocationNotAvailableForResourceType", InvalidRequest, Nothing),
    ("NoRegisteredProviderFound", InvalidRequest, Nothing),
    ("PlatformImageNotFound", InvalidRequest, Nothing),
    ("ImageNotFound", InvalidRequest, Nothing),
    ("GalleryImageNotFound", InvalidRequest, Nothing),
    ("SubnetIsFull", NoCapacity, Nothing),
    ("NotImplemented", Unsupported, Nothing),
];

/// How long a network interface stays reserved for a machine that failed or was deleted: "reserved
/// for another Virtual Machine for 180 seconds", as the refusal says.
pub(crate) const NIC_RESERVED: Duration = Duration::from_secs(180);

/// Everything that Resource Manager says when it refuses: in an answer, in an operation, of a
/// machine. Travels through the generated client inside its own error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArmError {
    /// 0 for one that stands in no answer of its own.
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Codes and messages of what it consists of, from the outside in.
    pub(crate) details: Vec<(String, String)>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<String>,
}

impl ArmError {
    /// An answer of this status; `header` finds its headers.
    pub(crate) fn answered(status: u16, header: impl Fn(&str) -> Option<String>, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let millis = || header("retry-after-ms").or_else(|| header("x-ms-retry-after-ms"));
        let after = millis().and_then(|text| text.parse().ok()).map(Duration::from_millis);
        let seconds =
            || header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        Self {
            status,
            retry_after: after.or_else(seconds),
            request_id: header("x-ms-request-id"),
            ..Self::told(&body)
        }
    }

    /// What stands below `error`, or is itself the error, as in the status of a machine.
    pub(crate) fn told(body: &Value) -> Self {
        let error = body.get("error").unwrap_or(body);
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut details = Vec::new();
        let mut open: Vec<&Value> = vec![error];
        while let Some(outer) = open.pop() {
            for inner in outer.get("details").and_then(Value::as_array).into_iter().flatten() {
                details.push((text(inner, "code"), text(inner, "message")));
                open.push(inner);
            }
        }
        Self { code: text(error, "code"), message: text(error, "message"), details, ..Self::default() }
    }

    /// Which row says it best: the outermost code that the table knows, unless what it consists of
    /// says more. Compute wraps quotas and throttles in `OperationNotAllowed`.
    fn row(&self) -> (&str, &str, ErrorKind, Closes) {
        // Whatever the body calls it: who is not known cannot have asked for anything wrong.
        if self.status == 401 {
            return (&self.code, &self.message, Unauthenticated, Account);
        }
        let outer = [(self.code.as_str(), self.message.as_str())].into_iter();
        let inner = self.details.iter().map(|(code, message)| (code.as_str(), message.as_str()));
        if let Some((code, message)) = outer.clone().chain(inner.clone()).find(|(_, text)| is_quota(text)) {
            return (code, message, QuotaExceeded, Quota);
        }
        if self.status == 429 {
            return (&self.code, &self.message, RateLimited, Nothing);
        }
        let vague =
            |code: &str| matches!(code, "OperationNotAllowed" | "Conflict" | "BadRequest" | "NotFound");
        let rows = outer.chain(inner).filter_map(|(code, message)| {
            let (_, kind, closes) = CODES.iter().find(|(row, ..)| row.eq_ignore_ascii_case(code))?;
            Some((code, message, *kind, *closes))
        });
        let rows: Vec<_> = rows.collect();
        let said = rows.iter().find(|(code, ..)| !vague(code)).or(rows.first());
        said.copied().unwrap_or((&self.code, &self.message, guess(self.status), Offer))
    }

    /// Our error for it, as of a call.
    pub(crate) fn error(&self) -> Error {
        self.of_place(None)
    }

    /// Our error for it, as of one pool of a launch.
    pub(crate) fn reason(&self, place: Place<'_>) -> Error {
        self.of_place(Some(place))
    }

    fn of_place(&self, place: Option<Place<'_>>) -> Error {
        let (code, text, kind, closes) = self.row();
        let mut error = Error::new(kind, self.sentence(text, kind, code));
        let quota = quota_in(text);
        let scope = match (closes, place) {
            (Nothing, _) => None,
            (Account, _) => Some(Scope::Account),
            (Quota, place) => quota.map(Scope::Quota).or_else(|| place.map(|place| place.market_in_region())),
            (Offer, place) => place.and_then(|place| place.offer).map(|offer| Scope::Offer(offer.clone())),
            (TypeInZone, place) => place
                .and_then(|place| place.offer)
                .map(|offer| Scope::TypeInZone(offer.instance_type.clone(), offer.zone.clone())),
        };
        if let Some(scope) = scope.filter(|scope| *scope != Scope::Account || place.is_none()) {
            error = error.closing(scope);
        }
        if !code.is_empty() {
            error = error.with("code", code);
        }
        if self.status != 0 {
            error = error.with("status", self.status);
        }
        if let Some(id) = &self.request_id {
            error = error.with("request_id", id);
        }
        if let Some(place) = place {
            error = error.with("region", place.region);
            if let Some(offer) = place.offer {
                error = error.with("offer", offer);
            }
        }
        if code.eq_ignore_ascii_case("SubscriptionNotFound") {
            error = error.with("key", "providers.azure.subscription_id");
        }
        match (kind, code) {
            (Conflict, "NicReservedForAnotherVm") => error.retrying(Retry::After(Some(NIC_RESERVED))),
            (RateLimited | Unavailable, _) => error.retrying(Retry::After(self.retry_after)),
            _ => error,
        }
    }

    fn sentence(&self, text: &str, kind: ErrorKind, code: &str) -> String {
        let text = if text.is_empty() { self.message.trim() } else { text.trim() };
        match (kind, text) {
            (Unauthenticated, "") => "Azure does not accept the credentials".to_owned(),
            (Unauthenticated, text) => {
                format!("Azure does not accept the credentials; log in again with `az login`: {text}")
            }
            (_, "") if code.is_empty() => format!("Azure refuses the call with status {}", self.status),
            (_, "") => format!("Azure gives no reason beside {code}"),
            (_, text) if code == "MissingSubscriptionRegistration" => {
                format!(
                    "the subscription does not use the provider yet; `az provider register` does it: {text}"
                )
            }
            (_, text) => text.to_owned(),
        }
    }
}

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl StdError for ArmError {}

/// The kind of a code that has no row: by the answer's status.
fn guess(status: u16) -> ErrorKind {
    match status {
        400 | 412 | 413 | 422 => InvalidRequest,
        401 => Unauthenticated,
        403 => PermissionDenied,
        404 | 410 => NotFound,
        409 => Conflict,
        408 | 500.. => Unavailable,
        429 => RateLimited,
        _ => Unexpected,
    }
}

/// "…exceeding approved LowPriorityCores quota", "…results in exceeding quota limits of Core":
/// the code beside it is `OperationNotAllowed` or `QuotaExceeded` (Karpenter's provider for Azure,
/// `pkg/providers/instance/skuerrors`).
fn is_quota(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("quota") && (text.contains("exceed") || text.contains("current limit"))
}

/// `eastus/lowPriorityCores` out of "…exceeding approved LowPriorityCores quota. Additional details
/// (Deployment Model: Resource Manager, Location: eastus, Current Limit: 3, Current Usage: 0…".
fn quota_in(text: &str) -> Option<QuotaId> {
    let (_, rest) = text.split_once("approved ")?;
    let (name, rest) = rest.split_once(" quota")?;
    let (_, rest) = rest.split_once("Location: ")?;
    let region = rest.split([',', ' ', '.']).next().filter(|region| !region.is_empty())?;
    let name = match name.trim() {
        name if name.eq_ignore_ascii_case("LowPriorityCores") => "lowPriorityCores",
        name if name.eq_ignore_ascii_case("Total Regional Cores") => "cores",
        // Of a family: `standardDSv5Family Cores`.
        name => name.strip_suffix(" Cores").unwrap_or(name),
    };
    Some(QuotaId::from(format!("{}/{name}", region.to_ascii_lowercase())))
}

/// Where an error happened: as much as is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) region: &'a Region,
    pub(crate) market: Market,
    pub(crate) offer: Option<&'a OfferId>,
}

impl Place<'_> {
    fn market_in_region(&self) -> Scope {
        Scope::MarketInRegion(self.market, self.region.clone())
    }
}

/// Our error for a call of the generated client that failed.
pub(crate) fn refused(operation: &'static str, error: &legacy::Error) -> Error {
    let ours = error.downcast_ref::<ArmError>().map(ArmError::error);
    let ours = ours.or_else(|| error.downcast_ref::<Error>().cloned());
    let unread = || Error::new(Unexpected, format!("an answer of Azure cannot be read: {error}"));
    ours.unwrap_or_else(unread).at(operation)
}

/// Nothing came back: Azure may have acted.
pub(crate) fn unanswered(error: reqwest::Error) -> Error {
    let message = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "Azure did not answer in time, it may have acted",
        (_, true) => "Azure cannot be reached, nothing was sent",
        _ => "the answer of Azure was lost, it may have acted",
    };
    // Its URL may be a link that Azure made, and lets in whoever has it.
    let chain = Chain::of(&error.without_url());
    Error::new(Unavailable, format!("{message}: {}", chain.root())).because(chain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offer() -> OfferId {
        OfferId { zone: "eastus-1".into(), instance_type: "Standard_D2s_v5".into(), market: Market::Spot }
    }

    fn arm(status: u16, code: &str, message: &str) -> ArmError {
        let body = json!({ "error": { "code": code, "message": message } });
        ArmError::answered(status, |_| None, body.to_string().as_bytes())
    }

    fn reason(error: &ArmError) -> Error {
        let (region, offer) = (Region::from("eastus"), offer());
        error.reason(Place { region: &region, market: Market::Spot, offer: Some(&offer) })
    }

    #[test]
    fn every_row_gives_its_kind_and_closes_no_more_than_it_names() {
        for (code, kind, closes) in CODES {
            let error = reason(&arm(409, code, "for a reason"));
            assert_eq!((error.kind(), error.fact("code")), (*kind, Some(*code)));
            let scope = match closes {
                Nothing | Account => None,
                Quota => Some(Scope::MarketInRegion(Market::Spot, "eastus".into())),
                Offer => Some(Scope::Offer(offer())),
                TypeInZone => Some(Scope::TypeInZone("Standard_D2s_v5".into(), "eastus-1".into())),
            };
            assert_eq!(error.scope(), scope.as_ref(), "{code}");
        }
        for (row, ..) in CODES {
            assert_eq!(CODES.iter().filter(|(code, ..)| code == row).count(), 1, "{row} twice");
        }
    }

    #[test]
    fn a_quota_is_read_out_of_the_text() {
        for (name, id) in [
            ("LowPriorityCores", "eastus/lowPriorityCores"),
            ("lowPriorityCores", "eastus/lowPriorityCores"),
            ("Total Regional Cores", "eastus/cores"),
            ("standardDSv5Family Cores", "eastus/standardDSv5Family"),
            ("standardDSv5Family", "eastus/standardDSv5Family"),
        ] {
            let text = format!(
                "Operation could not be completed as it results in exceeding approved {name} quota. Additional \
                 details - Deployment Model: Resource Manager, Location: eastus, Current Limit: 3, Current Usage: 0, \
                 Additional Required: 6, (Minimum) New Limit Required: 6."
            );
            for error in [arm(409, "OperationNotAllowed", &text), arm(403, "QuotaExceeded", &text)] {
                let error = reason(&error);
                assert_eq!(error.kind(), QuotaExceeded);
                assert_eq!(error.scope(), Some(&Scope::Quota(id.into())), "{name}");
                assert_eq!(error.retry(), Retry::Never);
            }
        }
        assert_eq!(reason(&arm(409, "OperationNotAllowed", "The VM is deallocated.")).kind(), Conflict);
    }

    #[test]
    fn the_throttles_of_both_layers_say_when_to_come_again() {
        let bodies = [
            json!({ "error": { "code": "SubscriptionRequestsThrottled", "message": "slow" } }),
            json!({ "error": { "code": "OperationNotAllowed", "message": "The server rejected the request.",
                "details": [{ "code": "TooManyRequests", "message": "{\"operationGroup\":\"HighCostGet3Min\"}" }] } }),
        ];
        for body in bodies {
            let header = |name: &str| match name {
                "retry-after" => Some("17".to_owned()),
                "x-ms-request-id" => Some("r-1".to_owned()),
                _ => None,
            };
            let error = ArmError::answered(429, header, body.to_string().as_bytes()).error();
            assert_eq!((error.kind(), error.fact("request_id")), (RateLimited, Some("r-1")));
            assert_eq!(error.retry(), Retry::After(Some(Duration::from_secs(17))));
        }
    }

    #[test]
    fn what_an_error_consists_of_says_more_than_its_wrapping() {
        let body = json!({ "error": { "code": "DeploymentFailed", "message": "see details", "details": [
            { "code": "Conflict", "message": "no" ,
              "details": [{ "code": "ZonalAllocationFailed", "message": "no room in zone 1" }] },
        ] } });
        let error = reason(&ArmError::told(&body));
        assert_eq!((error.kind(), error.message()), (NoCapacity, "no room in zone 1"));
        assert_eq!(error.fact("code"), Some("ZonalAllocationFailed"));
    }

    #[test]
    fn an_unknown_code_closes_the_one_pool_and_its_kind_is_by_the_status() {
        let error = reason(&arm(409, "NeverHeardOf", "what?"));
        assert_eq!((error.kind(), error.scope()), (Conflict, Some(&Scope::Offer(offer()))));
        for (status, kind) in [(400, InvalidRequest), (401, Unauthenticated), (403, PermissionDenied)] {
            assert_eq!(arm(status, "", "").error().kind(), kind);
        }
        assert_eq!(ArmError::answered(502, |_| None, b"<html>").error().kind(), Unavailable);
    }

    #[test]
    fn a_reserved_interface_is_free_after_three_minutes() {
        let error = arm(400, "NicReservedForAnotherVm", "reserved for 180 seconds").error();
        assert_eq!(error.retry(), Retry::After(Some(NIC_RESERVED)));
    }
}
