//! AWS's error codes and our kinds: one table.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::request_id::RequestId;
use skyfleet_core::{Chain, Error, ErrorKind, Market, OfferId, QuotaId, Region, Scope};

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
    /// A whole zone.
    Zone,
    /// Everything that draws on the quota of the type's family.
    Quota,
    /// The market in the region.
    MarketInRegion,
    /// The region.
    Region,
    /// The account.
    Account,
}

/// EC2's codes as "Error codes for the Amazon EC2 API" lists them, and those that all services
/// share; the comment says in our words what AWS says there. Where AWS knows more than one code
/// for a thing, both have a row.
const CODES: &[(&str, ErrorKind, Closes)] = &[
    // There is not enough capacity for the request; try another type or zone, or later.
    ("InsufficientInstanceCapacity", NoCapacity, Offer),
    // The spot pool has none left, or the fleet found none that fits.
    ("UnfulfillableCapacity", NoCapacity, Offer),
    ("InsufficientHostCapacity", NoCapacity, TypeInZone),
    ("InsufficientCapacity", NoCapacity, Offer),
    // The reserved capacity is used up.
    ("ReservationCapacityExceeded", NoCapacity, Offer),
    // The subnet has no free private address.
    ("InsufficientFreeAddressesInSubnet", NoCapacity, Zone),
    // The highest price is below the spot price.
    ("SpotMaxPriceTooLow", NoCapacity, Offer),
    // The type is not offered in the zone, or cannot be had in this way.
    ("Unsupported", NoCapacity, TypeInZone),
    ("UnsupportedOperation", NoCapacity, TypeInZone),
    // The limit of vCPUs for spot instances of the family in the region.
    ("MaxSpotInstanceCountExceeded", QuotaExceeded, Quota),
    // The limit of vCPUs for on-demand instances of the family in the region.
    ("VcpuLimitExceeded", QuotaExceeded, Quota),
    ("InstanceLimitExceeded", QuotaExceeded, MarketInRegion),
    ("MaxSpotFleetRequestCountExceeded", QuotaExceeded, MarketInRegion),
    ("MaxFleetCountExceeded", QuotaExceeded, Region),
    ("TargetCapacityLimitExceededException", QuotaExceeded, Nothing),
    // More was asked for than one call may.
    ("RequestResourceCountExceeded", InvalidRequest, Nothing),
    ("ResourceCountExceeded", QuotaExceeded, Region),
    ("ResourceLimitExceeded", QuotaExceeded, Region),
    // Other limits of the account in the region: groups, templates, interfaces, disks.
    ("SecurityGroupLimitExceeded", QuotaExceeded, Region),
    ("RulesPerSecurityGroupLimitExceeded", QuotaExceeded, Region),
    ("NetworkInterfaceLimitExceeded", QuotaExceeded, Region),
    ("VolumeLimitExceeded", QuotaExceeded, Region),
    ("MaxIOPSLimitExceeded", QuotaExceeded, Region),
    ("LaunchTemplateLimitExceeded", QuotaExceeded, Region),
    ("AddressLimitExceeded", QuotaExceeded, Region),
    ("TagLimitExceeded", InvalidRequest, Nothing),
    // Only so many new questions for placement scores are answered in a day.
    ("MaxConfigLimitExceededException", QuotaExceeded, Nothing),
    // Too many calls, or too many instances too fast; the call was not made.
    ("RequestLimitExceeded", RateLimited, Nothing),
    ("EC2ThrottledException", RateLimited, Nothing),
    ("Throttling", RateLimited, Nothing),
    ("ThrottlingException", RateLimited, Nothing),
    ("ThrottledException", RateLimited, Nothing),
    ("RequestThrottled", RateLimited, Nothing),
    ("RequestThrottledException", RateLimited, Nothing),
    ("TooManyRequestsException", RateLimited, Nothing),
    ("BandwidthLimitExceeded", RateLimited, Nothing),
    // The service failed or is overloaded; it may have acted.
    ("Unavailable", Unavailable, Nothing),
    ("ServiceUnavailable", Unavailable, Nothing),
    ("ServiceUnavailableException", Unavailable, Nothing),
    ("InternalError", Unavailable, Nothing),
    ("InternalFailure", Unavailable, Nothing),
    ("InternalServiceError", Unavailable, Nothing),
    ("ServerInternal", Unavailable, Nothing),
    ("InternalServerError", Unavailable, Nothing),
    ("RequestTimeout", Unavailable, Nothing),
    ("RequestTimeoutException", Unavailable, Nothing),
    // Something that was made just now is not seen everywhere yet.
    ("IncorrectState", Unavailable, Nothing),
    ("IncorrectInstanceState", Unavailable, Nothing),
    // The key, the token or the signature is not accepted, or the clock is wrong.
    ("AuthFailure", Unauthenticated, Account),
    ("InvalidClientTokenId", Unauthenticated, Account),
    ("UnrecognizedClientException", Unauthenticated, Account),
    ("SignatureDoesNotMatch", Unauthenticated, Account),
    ("IncompleteSignature", Unauthenticated, Account),
    ("MissingAuthenticationToken", Unauthenticated, Account),
    ("MissingAuthenticationTokenException", Unauthenticated, Account),
    ("InvalidAccessKeyId", Unauthenticated, Account),
    ("ExpiredToken", Unauthenticated, Account),
    ("ExpiredTokenException", Unauthenticated, Account),
    ("RequestExpired", Unauthenticated, Account),
    // The identity is good and may not do this.
    ("UnauthorizedOperation", PermissionDenied, Account),
    ("AccessDenied", PermissionDenied, Account),
    ("AccessDeniedException", PermissionDenied, Account),
    ("OperationNotPermitted", PermissionDenied, Nothing),
    // The region or the service must be switched on for the account first.
    ("OptInRequired", PermissionDenied, Region),
    ("PendingVerification", PermissionDenied, Region),
    ("Blocked", PermissionDenied, Account),
    // The token was used with other parameters, or what it made is gone.
    ("IdempotentParameterMismatch", Conflict, Nothing),
    ("IdempotentInstanceTerminated", Conflict, Nothing),
    // Something else uses it or hangs on it.
    ("DependencyViolation", Conflict, Nothing),
    ("InvalidGroup.InUse", Conflict, Nothing),
    ("InvalidIPAddress.InUse", Conflict, Nothing),
    ("InvalidNetworkInterface.InUse", Conflict, Nothing),
    ("InvalidPlacementGroup.InUse", Conflict, Nothing),
    ("VolumeInUse", Conflict, Nothing),
    ("ResourceInUse", Conflict, Nothing),
    // The name is taken.
    ("InvalidGroup.Duplicate", Conflict, Nothing),
    ("InvalidKeyPair.Duplicate", Conflict, Nothing),
    ("InvalidPermission.Duplicate", Conflict, Nothing),
    ("InvalidLaunchTemplateName.AlreadyExistsException", Conflict, Nothing),
    ("InvalidLaunchTemplateName.AlreadyExists", Conflict, Nothing),
    // A fresh account, or one whose default network was deleted.
    ("VPCIdNotSpecified", InvalidRequest, Region),
    ("DefaultVpcDoesNotExist", InvalidRequest, Region),
    ("MissingInput", InvalidRequest, Nothing),
    // The whole of what was sent is wrong.
    ("ValidationError", InvalidRequest, Nothing),
    ("ValidationException", InvalidRequest, Nothing),
    ("UnknownParameter", InvalidRequest, Nothing),
    ("UnsupportedInstanceTypeOnHost", InvalidRequest, Nothing),
    // A size, zone or combination that does not exist.
    ("InvalidInstanceType", InvalidRequest, TypeInZone),
    ("InvalidFleetConfiguration", InvalidRequest, Nothing),
    ("InvalidFleetConfig", InvalidRequest, Nothing),
    // EC2 does not know the action.
    ("InvalidAction", Unsupported, Nothing),
    ("UnknownOperationException", Unsupported, Nothing),
    ("NoSuchResourceException", NotFound, Nothing),
];

/// The kind of a code that has no row: by its spelling, then by the answer's status. AWS names
/// hundreds of codes in these four ways.
fn guess(code: Option<&str>, status: Option<u16>) -> ErrorKind {
    let code = code.unwrap_or_default();
    let gone = [".NotFound", ".Unknown", "NotFoundException", "NotFound"];
    if gone.iter().any(|end| code.ends_with(end)) {
        return NotFound;
    }
    if code.ends_with("LimitExceeded") {
        return QuotaExceeded;
    }
    if ["Invalid", "Missing", "Malformed", "Unknown"].iter().any(|start| code.starts_with(start)) {
        return InvalidRequest;
    }
    match status {
        Some(401) => Unauthenticated,
        Some(403) => PermissionDenied,
        Some(429) => RateLimited,
        Some(500..) => Unavailable,
        _ => Unexpected,
    }
}

fn look_up(code: Option<&str>, status: Option<u16>) -> (ErrorKind, Closes) {
    match CODES.iter().find(|(row, ..)| Some(*row) == code) {
        Some((_, kind, closes)) => (*kind, *closes),
        None => (guess(code, status), Offer),
    }
}

/// Where an error happened: as much as is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) region: &'a Region,
    pub(crate) market: Option<Market>,
    pub(crate) offer: Option<&'a OfferId>,
    /// The quota that the offer draws on.
    pub(crate) quota: Option<&'a QuotaId>,
}

impl Place<'_> {
    /// What a code closes here: never more than the code names, and nothing where the place is not
    /// known well enough.
    fn scope(&self, closes: Closes) -> Option<Scope> {
        let market = self.market.map(|market| Scope::MarketInRegion(market, self.region.clone()));
        let offer = self.offer;
        match closes {
            Closes::Nothing => None,
            Closes::Offer => offer.map(|offer| Scope::Offer(offer.clone())),
            Closes::TypeInZone => {
                offer.map(|offer| Scope::TypeInZone(offer.instance_type.clone(), offer.zone.clone()))
            }
            Closes::Zone => offer.map(|offer| Scope::Zone(offer.zone.clone())),
            Closes::Quota => self.quota.map(|quota| Scope::Quota(quota.clone())).or(market),
            Closes::MarketInRegion => market,
            Closes::Region => Some(Scope::Region(self.region.clone())),
            Closes::Account => Some(Scope::Account),
        }
    }
}

/// Our error for a code that came inside an answer: of one pool of a fleet.
pub(crate) fn coded(place: Place<'_>, code: &str, message: &str) -> Error {
    let (kind, closes) = look_up(Some(code), None);
    let message = if message.is_empty() { "EC2 gives no reason" } else { message };
    let mut error = Error::new(kind, message).with("code", code).with("region", place.region);
    if let Some(offer) = place.offer {
        error = error.with("offer", offer);
    }
    match place.scope(closes) {
        Some(scope) => error.closing(scope),
        None => error,
    }
}

/// Our error for a call that failed.
pub(crate) fn refused<E>(operation: &'static str, region: &Region, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let ours = match &error {
        SdkError::ServiceError(_) => answered(region, &error),
        _ => unanswered(&error),
    };
    ours.with("region", region).at(operation)
}

/// AWS answered, and said no.
fn answered<E>(region: &Region, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let (kind, closes) = look_up(error.code(), status);
    let message = match (kind, error.message().unwrap_or_default()) {
        (Unauthenticated, text) => format!("AWS does not accept the credentials: {text}"),
        (_, "") => format!("AWS refuses the call with status {}", status.unwrap_or_default()),
        (_, text) => text.to_owned(),
    };
    let mut ours = Error::new(kind, message);
    if let Some(scope) = (Place { region, market: None, offer: None, quota: None }).scope(closes) {
        ours = ours.closing(scope);
    }
    if let Some(code) = error.code() {
        ours = ours.with("code", code);
    }
    if let Some(status) = status {
        ours = ours.with("status", status);
    }
    let header = error.raw_response().and_then(|answer| answer.request_id());
    match error.meta().request_id().or(header) {
        Some(id) => ours.with("request_id", id),
        None => ours,
    }
}

/// There was no answer, or none that could be read, or the call was never sent.
fn unanswered<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: StdError + 'static,
{
    let chain = Chain::of(error);
    if let Some(kind) = credentials(error) {
        let message = match kind {
            Unavailable => "the source of credentials does not answer",
            _ => {
                "no AWS credentials were found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                 or log in with `aws sso login`"
            }
        };
        return Error::new(kind, message).because(chain);
    }
    let (kind, message) = match error {
        SdkError::ConstructionFailure(_) => (InvalidRequest, "the call cannot be made"),
        SdkError::TimeoutError(_) => (Unavailable, "no answer came in time, the cloud may have acted"),
        SdkError::ResponseError(_) => (Unavailable, "the answer cannot be read, the cloud may have acted"),
        _ if never_sent(error) => (Unavailable, "AWS cannot be reached, nothing was sent"),
        _ => (Unavailable, "no answer came, the cloud may have acted"),
    };
    Error::new(kind, format!("{message}: {}", chain.root())).because(chain)
}

/// Whether there was not even a connection.
fn never_sent(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |link: &&(dyn StdError + 'static)| (*link).source())
        .any(|link| link.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect))
}

/// Whether the call failed for want of credentials.
fn credentials(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut error = Some(error);
    while let Some(link) = error {
        if let Some(found) = link.downcast_ref::<CredentialsError>() {
            return Some(match found {
                CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_) => Unavailable,
                _ => Unauthenticated,
            });
        }
        error = link.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_sdk_ec2::error::ErrorMetadata;
    use aws_sdk_ec2::operation::create_fleet::CreateFleetError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use skyfleet_core::Retry;

    use super::*;

    fn offer() -> OfferId {
        OfferId { zone: "us-east-1a".into(), instance_type: "m7g.large".into(), market: Market::Spot }
    }

    /// The scope of each row's code in one pool, and none where nothing is known of the place.
    #[test]
    fn every_code_has_its_kind_and_closes_no_more_than_it_names() {
        let (region, offer, quota) =
            (Region::from("us-east-1"), offer(), QuotaId::from("us-east-1/L-34B43A08"));
        let place =
            Place { region: &region, market: Some(Market::Spot), offer: Some(&offer), quota: Some(&quota) };
        let nowhere = Place { region: &region, market: None, offer: None, quota: None };
        for (code, kind, closes) in CODES {
            let scope = match closes {
                Nothing => None,
                Offer => Some(Scope::Offer(offer.clone())),
                TypeInZone => Some(Scope::TypeInZone("m7g.large".into(), "us-east-1a".into())),
                Zone => Some(Scope::Zone("us-east-1a".into())),
                Quota => Some(Scope::Quota(quota.clone())),
                MarketInRegion => Some(Scope::MarketInRegion(Market::Spot, region.clone())),
                Closes::Region => Some(Scope::Region(region.clone())),
                Account => Some(Scope::Account),
            };
            let error = coded(place, code, "told");
            assert_eq!((error.kind(), error.scope()), (*kind, scope.as_ref()), "{code}");
            assert_eq!((error.fact("code"), error.message()), (Some(*code), "told"));
            let waits = matches!(kind, RateLimited | Unavailable);
            assert_eq!(error.retry(), if waits { Retry::After(None) } else { Retry::Never }, "{code}");
            let scope = coded(nowhere, code, "").scope().cloned();
            assert!(matches!(scope, None | Some(Scope::Region(_) | Scope::Account)), "{code}: {scope:?}");
        }
    }

    #[test]
    fn no_code_has_two_rows() {
        let codes: BTreeSet<&str> = CODES.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn the_codes_that_a_launch_meets_lead_to_the_right_decisions() {
        for (code, kind, closes) in [
            ("InsufficientInstanceCapacity", NoCapacity, Offer),
            ("UnfulfillableCapacity", NoCapacity, Offer),
            ("MaxSpotInstanceCountExceeded", QuotaExceeded, Quota),
            ("VcpuLimitExceeded", QuotaExceeded, Quota),
            ("InsufficientFreeAddressesInSubnet", NoCapacity, Zone),
            ("SpotMaxPriceTooLow", NoCapacity, Offer),
            ("Unsupported", NoCapacity, TypeInZone),
            ("RequestLimitExceeded", RateLimited, Nothing),
            ("IdempotentParameterMismatch", Conflict, Nothing),
            ("IdempotentInstanceTerminated", Conflict, Nothing),
            ("UnauthorizedOperation", PermissionDenied, Account),
            ("AuthFailure", Unauthenticated, Account),
            ("DependencyViolation", Conflict, Nothing),
            ("InvalidInstanceType", InvalidRequest, TypeInZone),
        ] {
            assert_eq!(look_up(Some(code), Some(400)), (kind, closes), "{code}");
        }
    }

    #[test]
    fn a_code_without_a_row_is_judged_by_its_spelling_then_by_the_status() {
        for (code, status, kind) in [
            (Some("InvalidInstanceID.NotFound"), Some(400), NotFound),
            (Some("InvalidSpotInstanceRequestID.NotFound"), Some(400), NotFound),
            (Some("InvalidParameterValue"), Some(400), InvalidRequest),
            (Some("MissingParameter"), Some(400), InvalidRequest),
            (Some("NatGatewayLimitExceeded"), Some(400), QuotaExceeded),
            (Some("SomethingNew"), Some(400), Unexpected),
            (Some("SomethingNew"), Some(500), Unavailable),
            (Some("SomethingNew"), None, Unexpected),
            (None, Some(503), Unavailable),
            (None, Some(429), RateLimited),
            (None, Some(403), PermissionDenied),
            (None, Some(401), Unauthenticated),
        ] {
            assert_eq!(look_up(code, status), (kind, Offer), "{code:?} {status:?}");
        }
    }

    fn response(status: u16) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::empty())
    }

    #[test]
    fn an_answer_keeps_code_status_region_and_request_id() {
        let meta = ErrorMetadata::builder().code("AuthFailure").message("not valid");
        let meta = meta.custom("aws_request_id", "req-7").build();
        let error = SdkError::service_error(CreateFleetError::generic(meta), response(401));
        let error = refused("aws.launch", &"us-east-1".into(), error);
        assert_eq!(
            error.to_string(),
            "Unauthenticated at aws.launch: AWS does not accept the credentials: not valid (code: AuthFailure, \
             status: 401, request_id: req-7, region: us-east-1)"
        );
    }

    #[test]
    fn what_was_not_answered_may_have_been_done() {
        let region = Region::from("us-east-1");
        let lost: SdkError<CreateFleetError, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::io("connection refused".into()));
        let error = refused("aws.launch", &region, lost);
        assert_eq!((error.kind(), error.retry()), (Unavailable, Retry::After(None)));
        assert!(error.message().contains("connection refused"), "{error}");
        let late: SdkError<CreateFleetError, HttpResponse> = SdkError::timeout_error("60 s");
        assert_eq!(refused("aws.launch", &region, late).kind(), Unavailable);
    }

    #[test]
    fn missing_credentials_say_what_to_do() {
        let cause = CredentialsError::not_loaded("no providers in chain provided credentials");
        let error: SdkError<CreateFleetError, HttpResponse> = SdkError::construction_failure(cause);
        let error = refused("aws.list", &"us-east-1".into(), error);
        assert_eq!((error.kind(), error.retry()), (Unauthenticated, Retry::Never));
        assert!(error.message().contains("AWS_PROFILE"), "{error}");
    }
}
