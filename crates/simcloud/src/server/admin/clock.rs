use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use skyfleet_core::Timestamp;

use crate::server::admin::{Admin, Refused};

#[derive(Debug, Serialize)]
pub(crate) struct Time {
    now: Timestamp,
    /// Whether it stands still until it is moved.
    manual: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    advance_s: f64,
}

/// Ten years: far from where a calendar ends.
const STEP_S_MAX: f64 = 10.0 * 365.0 * 86_400.0;

pub(crate) async fn read(State(admin): State<Arc<Admin>>) -> Json<Time> {
    Json(time(&admin))
}

pub(crate) async fn advance(State(admin): State<Arc<Admin>>, body: Bytes) -> Result<Json<Time>, Refused> {
    let step: Step = serde_json::from_slice(&body)
        .map_err(|error| Refused::bad(format!("the body must be like {{\"advance_s\": 120}}: {error}")))?;
    if !(0.0..=STEP_S_MAX).contains(&step.advance_s) {
        let message = format!("advance_s is {}: it must be from 0 to {STEP_S_MAX}", step.advance_s);
        return Err(Refused::bad(message));
    }
    let Some(clock) = &admin.manual else {
        let message = "the clock goes by itself: only one of the kind manual can be moved (--clock manual)";
        return Err(Refused::new(StatusCode::CONFLICT, message));
    };
    let now = admin.worlds.aws.world.clock().now();
    let step = Duration::from_secs_f64(step.advance_s);
    if now.checked_add(step).is_err() {
        return Err(Refused::bad(format!("advance_s: the calendar ends less than {step:?} after {now}")));
    }
    clock.advance(step);
    // The worlds live through the time now, and not when somebody happens to look next.
    for (_, world) in admin.worlds.all() {
        world.look(|_| ());
    }
    Ok(Json(time(&admin)))
}

fn time(admin: &Admin) -> Time {
    Time { now: admin.worlds.aws.world.clock().now(), manual: admin.manual.is_some() }
}
