use skyfleet_core::{Error, ErrorKind, Market, Region, Retry};
use skyfleet_simcloud::rules::Rules;
use skyfleet_simcloud::{Closed, Refusal};

/// Our error for a call that the cloud refused.
pub(crate) fn refused(rules: &Rules, refusal: Refusal) -> Error {
    let codes = &rules.codes;
    match refusal {
        // The account sends faster than its bucket refills; nothing was done.
        Refusal::Throttled(throttle) => {
            Error::new(ErrorKind::RateLimited, "the cloud refuses more calls for now")
                .retrying(Retry::After(Some(throttle.retry_after)))
                .with("code", throttle.code)
                .with("limit", throttle.limit)
        }
        // An outage, or an answer that got lost on its way: the cloud may have acted.
        Refusal::Failed { status, code, acted } => {
            let message = match acted {
                true => "the answer was lost, the cloud may have acted",
                false => "the cloud could not serve the call",
            };
            failed(status, message)
                .with("status", status)
                .with("code", code.as_deref().unwrap_or(codes.outage))
        }
        // A name that the cloud does not have.
        Refusal::Unknown { what, name, nearest } => {
            let hint = match nearest.is_empty() {
                true => String::new(),
                false => format!("; did you mean {}?", nearest.join(", ")),
            };
            Error::new(ErrorKind::InvalidRequest, format!("there is no {what} {name:?}{hint}"))
                .with("code", codes.not_found)
        }
        // A parameter that can never work.
        Refusal::Invalid { field, message } => {
            Error::new(ErrorKind::InvalidRequest, format!("{field}: {message}")).with("code", codes.invalid)
        }
        // The token names another request.
        Refusal::TokenReused { token } => {
            Error::new(ErrorKind::Conflict, "the token was used with another request")
                .with("token", token)
                .with("code", codes.token_conflict)
        }
        // The token's instances have all ended.
        Refusal::TokenSpent { token } => {
            Error::new(ErrorKind::Conflict, "the instances of this token are gone")
                .with("token", token)
                .with("code", codes.token_ended)
        }
        // Something still uses what should be deleted.
        Refusal::InUse { id, by } => Error::new(ErrorKind::Conflict, format!("{by} instances still use it"))
            .with("id", id)
            .with("code", codes.in_use)
            .retrying(Retry::After(None)),
        // A machine that was stopped: no operation of ours starts one again.
        Refusal::Full(why) => {
            Error::new(ErrorKind::NoCapacity, "there is no room to start it again").closing(why.scope())
        }
        Refusal::WrongState { id, state, action } => {
            let message = format!("the instance is {state}: that is no state to {action} it");
            Error::new(ErrorKind::Conflict, message).with("id", id)
        }
        // In the cloud's own words.
        Refusal::Coded { status, code, message } => {
            failed(status, &message).with("status", status).with("code", code)
        }
        // The world's own file.
        Refusal::State { message } => {
            Error::new(ErrorKind::Unavailable, format!("the world's state file: {message}"))
        }
    }
}

/// The kind of a failure that a fault chose by its HTTP status.
fn failed(status: u16, message: &str) -> Error {
    let kind = match status {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, message)
}

/// Why a launch obtained fewer instances: each reason closes what it names and no more.
pub(crate) fn shortfall(rules: &Rules, market: Market, region: &Region, why: &Closed) -> Error {
    let codes = &rules.codes;
    let (kind, message, code) = match why {
        // The pool is empty.
        Closed::Capacity(offer) => {
            (ErrorKind::NoCapacity, format!("no capacity left for {offer}"), codes.capacity(market))
        }
        // The whole zone is closed.
        Closed::Zone(zone) => {
            (ErrorKind::NoCapacity, format!("no capacity left in zone {zone}"), codes.capacity(market))
        }
        // The type is sold in the region, and not here.
        Closed::NotSold(offer) => {
            (ErrorKind::Unsupported, format!("{offer} is not sold there"), codes.not_in_zone)
        }
        // The subscription may not use the size.
        Closed::Restricted(offer) => {
            let message = format!("this account may not use {} here", offer.instance_type);
            (ErrorKind::NoCapacity, message, codes.restricted)
        }
        // The account's limit; waiting does not help.
        Closed::Quota { id, counts, limit, used, needed } => {
            let message = format!(
                "the quota {id} has {used} of {limit} {counts} in use, one more instance takes {needed}"
            );
            (ErrorKind::QuotaExceeded, message, codes.quota(market))
        }
        // The market is dearer than the request allows.
        Closed::Price { offer, now: Some(now), max } => {
            (ErrorKind::NoCapacity, format!("{offer} costs {now}, at most {max} is allowed"), codes.price_max)
        }
        // Nobody knows what it costs, so it cannot be said to be below.
        Closed::Price { offer, now: None, max } => {
            let message = format!("{offer} has no price that could be compared with {max}");
            (ErrorKind::NoCapacity, message, codes.price_max)
        }
    };
    Error::new(kind, message).closing(why.scope()).with("code", code).with("region", region)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use skyfleet_core::{Counts, OfferId, Scope, UsdPerHour};
    use skyfleet_simcloud::Cloud;
    use skyfleet_simcloud::limits::Throttle;

    use super::*;

    fn offer() -> OfferId {
        OfferId { zone: "us-east-1a".into(), instance_type: "m7g.large".into(), market: Market::Spot }
    }

    #[test]
    fn every_refusal_has_its_kind_and_the_clouds_code() {
        let throttle = Throttle {
            retry_after: Duration::from_secs(3),
            code: "RequestLimitExceeded",
            status: 503,
            limit: "non-mutating".into(),
        };
        let failed = |status, acted| Refusal::Failed { status, code: None, acted };
        let rules = Rules::of(Cloud::Aws);
        for (refusal, kind, code) in [
            (Refusal::Throttled(throttle), ErrorKind::RateLimited, "RequestLimitExceeded"),
            (failed(503, false), ErrorKind::Unavailable, "Unavailable"),
            (failed(503, true), ErrorKind::Unavailable, "Unavailable"),
            (failed(401, false), ErrorKind::Unauthenticated, "Unavailable"),
            (failed(403, false), ErrorKind::PermissionDenied, "Unavailable"),
            (
                Refusal::Unknown { what: "zone", name: "x".into(), nearest: vec!["y".into()] },
                ErrorKind::InvalidRequest,
                rules.codes.not_found,
            ),
            (
                Refusal::Invalid { field: "count", message: "0".into() },
                ErrorKind::InvalidRequest,
                "InvalidParameterValue",
            ),
            (Refusal::TokenReused { token: "t".into() }, ErrorKind::Conflict, "IdempotentParameterMismatch"),
            (Refusal::TokenSpent { token: "t".into() }, ErrorKind::Conflict, "IdempotentInstanceTerminated"),
            (Refusal::InUse { id: "sg".into(), by: 2 }, ErrorKind::Conflict, "DependencyViolation"),
        ] {
            let error = refused(&rules, refusal.clone());
            assert_eq!((error.kind(), error.fact("code")), (kind, Some(code)), "{refusal:?}");
        }
    }

    #[test]
    fn a_throttle_says_when_to_come_back() {
        let throttle =
            Throttle { retry_after: Duration::from_secs(3), code: "", status: 503, limit: String::new() };
        let error = refused(&Rules::of(Cloud::Neutral), Refusal::Throttled(throttle));
        assert_eq!(error.retry(), Retry::After(Some(Duration::from_secs(3))));
    }

    #[test]
    fn every_shortfall_closes_no_more_than_it_names() {
        let quota = Closed::Quota {
            id: "us-east-1/L-34B43A08".into(),
            counts: Counts::Vcpus,
            limit: 5,
            used: 4,
            needed: 2,
        };
        let max = UsdPerHour::from_micros(1);
        let type_in_zone = Scope::TypeInZone("m7g.large".into(), "us-east-1a".into());
        for (why, kind, scope, code) in [
            (
                Closed::Capacity(offer()),
                ErrorKind::NoCapacity,
                Scope::Offer(offer()),
                "InsufficientInstanceCapacity",
            ),
            (
                Closed::Zone("us-east-1a".into()),
                ErrorKind::NoCapacity,
                Scope::Zone("us-east-1a".into()),
                "InsufficientInstanceCapacity",
            ),
            (Closed::NotSold(offer()), ErrorKind::Unsupported, Scope::Offer(offer()), "Unsupported"),
            (Closed::Restricted(offer()), ErrorKind::NoCapacity, type_in_zone, "Unsupported"),
            (
                quota,
                ErrorKind::QuotaExceeded,
                Scope::Quota("us-east-1/L-34B43A08".into()),
                "MaxSpotInstanceCountExceeded",
            ),
            (
                Closed::Price { offer: offer(), now: Some(UsdPerHour::from_micros(2)), max },
                ErrorKind::NoCapacity,
                Scope::Offer(offer()),
                "SpotMaxPriceTooLow",
            ),
            (
                Closed::Price { offer: offer(), now: None, max },
                ErrorKind::NoCapacity,
                Scope::Offer(offer()),
                "SpotMaxPriceTooLow",
            ),
        ] {
            let error = shortfall(&Rules::of(Cloud::Aws), Market::Spot, &"us-east-1".into(), &why);
            assert_eq!((error.kind(), error.scope()), (kind, Some(&scope)), "{why:?}");
            assert_eq!(error.fact("code"), Some(code), "{why:?}");
            assert_eq!(error.retry(), Retry::Never, "{why:?}");
        }
    }
}
