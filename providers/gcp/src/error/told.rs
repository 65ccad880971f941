//! What stands in operations of their failure.

use google_cloud_compute_v1::model::operation::error::Errors;
use skyfleet_core::{Error, ErrorKind, QuotaId};

use super::Closes::TypeInZone;
use super::{Place, look_up};

/// What an operation says of its failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) message: String,
    /// The reason of its details: `resource_availability`.
    reason: Option<String>,
    /// The zone and the machine type that its details name.
    pub(crate) zone: Option<String>,
    pub(crate) vm_type: Option<String>,
    quota: Option<QuotaId>,
    /// The operation, which is what Google's support asks for.
    operation: String,
}

impl Told {
    /// What a refused call says.
    pub(crate) fn by(error: &Error) -> Self {
        Self {
            code: error.fact("code").unwrap_or_default().to_owned(),
            message: error.message().to_owned(),
            quota: quota_in(error.message()),
            operation: error.fact("request_id").unwrap_or_default().to_owned(),
            ..Self::default()
        }
    }

    /// Of what is missing without a reason: no room.
    pub(crate) fn silent() -> Self {
        Self { code: "ZONE_RESOURCE_POOL_EXHAUSTED".to_owned(), ..Self::default() }
    }

    /// What stands in an operation of this id.
    pub(crate) fn read(operation: &str, error: &Errors) -> Self {
        let message = error.message.clone().unwrap_or_default();
        let info = error.error_details.iter().find_map(|detail| detail.error_info.as_ref());
        let of = |key: &str| info.and_then(|info| info.metadatas.get(key)).cloned();
        let quota = error.error_details.iter().find_map(|detail| {
            let info = detail.quota_info.as_ref()?;
            let name = info.limit_name.as_deref().map(metric_of_limit)?;
            let region = info.dimensions.get("region").map_or("global", String::as_str);
            Some(QuotaId::from(format!("{region}/{name}")))
        });
        Self {
            code: error.code.clone().unwrap_or_default(),
            reason: info.and_then(|info| info.reason.clone()),
            zone: of("zone").map(|zone| zone.rsplit('/').next().unwrap_or_default().to_owned()),
            vm_type: of("vmType"),
            quota: quota_in(&message).or(quota),
            message,
            operation: operation.to_owned(),
        }
    }

    /// Our error for it: of one pool of a launch.
    pub(crate) fn reason(&self, place: Place<'_>) -> Error {
        let (mut kind, mut closes) = look_up(&self.code, None);
        if kind == ErrorKind::NoCapacity && self.can_never_work() {
            (kind, closes) = (ErrorKind::InvalidRequest, TypeInZone);
        }
        let message = if self.message.is_empty() { "Compute Engine gives no reason" } else { &self.message };
        let mut error = Error::new(kind, message).with("code", &self.code);
        if let Some(reason) = &self.reason {
            error = error.with("reason", reason);
        }
        if !self.operation.is_empty() {
            error = error.with("request_id", &self.operation);
        }
        error = error.with("region", place.region);
        if let Some(offer) = place.offer {
            error = error.with("offer", offer);
        }
        match place.scope(closes, self.quota.clone()) {
            Some(scope) => error.closing(scope),
            None => error,
        }
    }

    /// Our error for what is no pool of a launch.
    pub(crate) fn error(&self) -> Error {
        let (kind, _) = look_up(&self.code, None);
        let message = if self.message.is_empty() { "Compute Engine gives no reason" } else { &self.message };
        let error = Error::new(kind, message).with("code", &self.code);
        if self.operation.is_empty() { error } else { error.with("request_id", &self.operation) }
    }

    /// An exhausted pool that never had any: the zone does not sell the type in this form. Its code
    /// is that of a stock-out; only the reason of the details tells the two apart.
    fn can_never_work(&self) -> bool {
        let hints = ["unsupported", "not_supported", "invalid", "configuration"];
        self.reason.as_deref().is_some_and(|reason| {
            let reason = reason.to_ascii_lowercase();
            hints.iter().any(|hint| reason.contains(hint))
        })
    }
}

/// `us-central1/PREEMPTIBLE_CPUS` out of "Quota 'PREEMPTIBLE_CPUS' exceeded.  Limit: 24.0 in region
/// us-central1.", as all quota errors of Compute Engine are worded.
pub(super) fn quota_in(message: &str) -> Option<QuotaId> {
    let (_, rest) = message.split_once("Quota '")?;
    let (name, rest) = rest.split_once('\'')?;
    let region = match rest.split_once("in region ") {
        Some((_, region)) => region.split(['.', ' ']).next()?,
        None => "global",
    };
    Some(QuotaId::from(format!("{region}/{name}")))
}

/// `PREEMPTIBLE_CPUS` out of `PREEMPTIBLE-CPUS-PER-PROJECT-REGION`.
fn metric_of_limit(limit: &str) -> String {
    let upper = limit.to_ascii_uppercase();
    upper.split("-PER-PROJECT").next().unwrap_or(&upper).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::operation::error::errors::ErrorDetails;
    use google_cloud_compute_v1::model::{ErrorInfo, QuotaExceededInfo};
    use skyfleet_core::{Market, OfferId, Region, Retry, Scope};

    use ErrorKind::*;

    use super::super::CODES;
    use super::super::Closes::{self, *};
    use super::*;

    fn offer() -> OfferId {
        OfferId { zone: "us-central1-a".into(), instance_type: "n2-standard-2".into(), market: Market::Spot }
    }

    fn reason(told: &Told) -> Error {
        let (region, offer) = (Region::from("us-central1"), offer());
        told.reason(Place { region: &region, market: Market::Spot, offer: Some(&offer) })
    }

    fn coded(code: &str, info: Option<&str>, message: &str) -> Told {
        let detail = |reason: &str| {
            let info = ErrorInfo::new().set_reason(reason);
            ErrorDetails::new().set_error_info(info.set_metadatas([("vmType", "n2-standard-2")]))
        };
        let error = Errors::new().set_code(code).set_message(message);
        Told::read("operation-1", &error.set_error_details(info.map(detail)))
    }

    #[test]
    fn every_code_has_its_kind_and_closes_no_more_than_it_names() {
        for (code, kind, closes) in CODES {
            let error = reason(&coded(code, None, "told"));
            let scope = match closes {
                Nothing => None,
                Offer => Some(Scope::Offer(offer())),
                TypeInZone => Some(Scope::TypeInZone("n2-standard-2".into(), "us-central1-a".into())),
                Quota => Some(Scope::MarketInRegion(Market::Spot, "us-central1".into())),
                Closes::Region => Some(Scope::Region("us-central1".into())),
                Account => Some(Scope::Account),
            };
            assert_eq!((error.kind(), error.scope()), (*kind, scope.as_ref()), "{code}");
            assert_eq!((error.fact("code"), error.fact("request_id")), (Some(*code), Some("operation-1")));
            let waits = matches!(kind, RateLimited | Unavailable);
            assert_eq!(error.retry(), if waits { Retry::After(None) } else { Retry::Never }, "{code}");
        }
    }

    #[test]
    fn a_stock_out_and_what_can_never_work_have_one_code_and_two_kinds() {
        let code = "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS";
        for (info, kind, scope) in [
            (None, NoCapacity, Scope::Offer(offer())),
            (Some("resource_availability"), NoCapacity, Scope::Offer(offer())),
            (
                Some("unsupported_combination"),
                InvalidRequest,
                Scope::TypeInZone("n2-standard-2".into(), "us-central1-a".into()),
            ),
        ] {
            let error = reason(&coded(code, info, "told"));
            assert_eq!((error.kind(), error.scope()), (kind, Some(&scope)), "{info:?}");
        }
    }

    #[test]
    fn a_quota_is_closed_by_its_name() {
        for (message, quota) in [
            (
                "Quota 'PREEMPTIBLE_CPUS' exceeded.  Limit: 24.0 in region us-central1.",
                "us-central1/PREEMPTIBLE_CPUS",
            ),
            ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", "global/GPUS_ALL_REGIONS"),
        ] {
            let error = reason(&coded("QUOTA_EXCEEDED", None, message));
            assert_eq!(error.scope(), Some(&Scope::Quota(quota.into())), "{message}");
        }
        let info = QuotaExceededInfo::new()
            .set_limit_name("N2-CPUS-per-project-region")
            .set_dimensions([("region", "us-east1")]);
        let error = Errors::new().set_code("QUOTA_EXCEEDED").set_message("too much");
        let error = error.set_error_details([ErrorDetails::new().set_quota_info(info)]);
        assert_eq!(reason(&Told::read("o", &error)).scope(), Some(&Scope::Quota("us-east1/N2_CPUS".into())));
    }
}
