//! How instances are bought, and what becomes of them when they are taken back or run out.

use std::time::Duration;

use skyfleet_core::Timestamp;

use crate::gcp::blueprint::properties::{SchedulingSpec, Span};
use crate::gcp::error::{coded, invalid};
use crate::gcp::launched::Scheduling;
use crate::refusal::Refusal;

/// Compute Engine documentation, "Limit the run time of a VM": 30 seconds to 120 days.
const RUN_MIN: Duration = Duration::from_secs(30);
const RUN_MAX: Duration = Duration::from_secs(120 * 86_400);

/// Compute Engine documentation, "Preemptible VM instances": the older form ends after 24 hours.
const PREEMPTIBLE_RUN: Duration = Duration::from_secs(86_400);

/// Reads `scheduling`.
///
/// # Errors
/// `invalid` for values that are none or do not go together.
pub(crate) fn read(spec: &SchedulingSpec, has_gpu: bool, now: Timestamp) -> Result<Scheduling, Refusal> {
    let field = |name: &str| format!("resource.scheduling.{name}");
    let no = |name: &str, value: &str, why: &str| Err(invalid(&field(name), value, why));
    let model = match spec.provisioning_model.as_deref() {
        Some("SPOT") => "SPOT",
        None | Some("" | "STANDARD") => "STANDARD",
        Some(other @ ("FLEX_START" | "RESERVATION_BOUND")) => {
            let message = format!("The provisioning model {other} is not simulated.");
            return Err(coded(501, "notImplemented", message));
        }
        Some(other) => return no("provisioningModel", other, "It must be STANDARD or SPOT."),
    };
    let preemptible = spec.preemptible.unwrap_or(false) || model == "SPOT";
    if spec.preemptible == Some(false) && model == "SPOT" {
        return no("preemptible", "false", "A SPOT instance is preemptible.");
    }
    if preemptible && spec.automatic_restart == Some(true) {
        return no("automaticRestart", "true", "It must be false when the instance is preemptible.");
    }
    let on_maintenance = match spec.on_host_maintenance.as_deref() {
        None | Some("") => {
            if preemptible || has_gpu {
                "TERMINATE"
            } else {
                "MIGRATE"
            }
        }
        Some("TERMINATE") => "TERMINATE",
        Some("MIGRATE") if preemptible => {
            return no(
                "onHostMaintenance",
                "MIGRATE",
                "It must be TERMINATE when the instance is preemptible.",
            );
        }
        Some("MIGRATE") if has_gpu => {
            let why = "Instances with guest accelerators do not support live migration.";
            return no("onHostMaintenance", "MIGRATE", why);
        }
        Some("MIGRATE") => "MIGRATE",
        Some(other) => return no("onHostMaintenance", other, "It must be MIGRATE or TERMINATE."),
    };
    let max_run = spec.max_run_duration.map(|span| run(span, &field("maxRunDuration"))).transpose()?;
    let termination = spec.termination_time.as_deref().map(|text| {
        let read: Option<Timestamp> = text.parse().ok();
        let fits = read.filter(|at| *at >= now + RUN_MIN && *at <= now + RUN_MAX);
        fits.ok_or_else(|| {
            let why = "It must be a moment in RFC 3339, 30 seconds to 120 days from now.";
            invalid(&field("terminationTime"), text, why)
        })
    });
    let termination = termination.transpose()?;
    if max_run.is_some() && termination.is_some() {
        return no("terminationTime", "", "It cannot be set together with maxRunDuration.");
    }
    let ends = max_run.is_some() || termination.is_some();
    let action = match spec.instance_termination_action.as_deref() {
        None | Some("" | "INSTANCE_TERMINATION_ACTION_UNSPECIFIED") => None,
        Some(action @ ("STOP" | "DELETE")) if model != "SPOT" && !ends => {
            let why = "You cannot specify a termination action for a VM instance that has the standard \
                       provisioning model (default). To use instance termination action, the VM instance must \
                       use the Spot provisioning model or have a limited run time.";
            return no("instanceTerminationAction", action, why);
        }
        Some("STOP") => Some("STOP"),
        Some("DELETE") => Some("DELETE"),
        Some(other) => return no("instanceTerminationAction", other, "It must be STOP or DELETE."),
    };
    if ends && model != "SPOT" && action.is_none() {
        let why = "A VM instance with a limited run time must have a termination action.";
        return no("instanceTerminationAction", "", why);
    }
    let notice = spec.preemption_notice_duration.map(|span| match span.time().map(|time| time.as_secs()) {
        Some(seconds @ (0 | 120)) if model == "SPOT" => Ok(Duration::from_secs(seconds)),
        Some(seconds @ (0 | 120)) => {
            let why = "Only Spot VMs have a preemption notice.";
            Err(invalid(&field("preemptionNoticeDuration"), &seconds.to_string(), why))
        }
        other => {
            let other = other.map_or_else(String::new, |seconds| seconds.to_string());
            Err(invalid(&field("preemptionNoticeDuration"), &other, "It must be 0 or 120 seconds."))
        }
    });
    Ok(Scheduling {
        model,
        preemptible,
        automatic_restart: spec.automatic_restart.unwrap_or(!preemptible),
        on_maintenance,
        action: action.or((model == "SPOT").then_some("STOP")),
        max_run: match preemptible && model != "SPOT" {
            true => Some(PREEMPTIBLE_RUN),
            false => max_run,
        },
        termination,
        notice: notice.transpose()?,
    })
}

fn run(span: Span, field: &str) -> Result<Duration, Refusal> {
    let time = span.time().filter(|time| (RUN_MIN..=RUN_MAX).contains(time));
    time.ok_or_else(|| invalid(field, &format!("{span:?}"), "It must be 30 seconds to 120 days."))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reads(spec: Value) -> Result<Scheduling, Refusal> {
        read(&serde_json::from_value(spec).unwrap(), false, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_spot_instance_stops_unless_it_is_to_be_deleted() {
        let spot = reads(json!({ "provisioningModel": "SPOT" })).unwrap();
        assert_eq!((spot.action, spot.preemptible, spot.automatic_restart), (Some("STOP"), true, false));
        assert_eq!(spot.on_maintenance, "TERMINATE");
        let standard = reads(json!({})).unwrap();
        assert_eq!((standard.action, standard.preemptible, standard.automatic_restart), (None, false, true));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for spec in [
            json!({ "instanceTerminationAction": "DELETE" }),
            json!({ "instanceTerminationAction": "STOP", "provisioningModel": "STANDARD" }),
            json!({ "provisioningModel": "SPOT", "automaticRestart": true }),
            json!({ "provisioningModel": "SPOT", "onHostMaintenance": "MIGRATE" }),
            json!({ "provisioningModel": "SPOT", "preemptible": false }),
            json!({ "provisioningModel": "SPOT", "instanceTerminationAction": "REST" }),
            json!({ "provisioningModel": "SPOT", "preemptionNoticeDuration": { "seconds": "60" } }),
            json!({ "preemptionNoticeDuration": { "seconds": "120" } }),
            json!({ "provisioningModel": "SPOT", "maxRunDuration": { "seconds": "29" } }),
            json!({ "maxRunDuration": { "seconds": "3600" } }),
            json!({ "provisioningModel": "SPOT", "terminationTime": "1970-01-01T00:00:10Z" }),
            json!({ "provisioningModel": "CHEAP" }),
        ] {
            assert!(matches!(reads(spec.clone()), Err(Refusal::Coded { status: 400, .. })), "{spec}");
        }
    }

    #[test]
    fn a_limited_run_goes_with_a_termination_action() {
        let limited =
            json!({ "maxRunDuration": { "seconds": "3600" }, "instanceTerminationAction": "DELETE" });
        let limited = reads(limited).unwrap();
        assert_eq!((limited.max_run, limited.action), (Some(Duration::from_secs(3_600)), Some("DELETE")));
        let noticed = json!({ "provisioningModel": "SPOT", "preemptionNoticeDuration": { "seconds": 120 } });
        assert_eq!(reads(noticed).unwrap().notice, Some(Duration::from_secs(120)));
    }
}
