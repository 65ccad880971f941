//! The admin face: what a test and a person ask a simulated cloud about itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use skyfleet_core::{Error, ErrorKind, ManualClock};

use crate::catalog::Cloud;
use crate::server::CLOUDS;
use crate::server::worlds::Worlds;

mod clock;
mod events;
mod faults;
mod inventory;

/// Everything that the admin face looks into.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) worlds: Worlds,
    /// The clock, if it may be moved.
    pub(crate) manual: Option<ManualClock>,
    /// How many faces answer.
    pub(crate) faces: Arc<AtomicUsize>,
    /// The events of all worlds in one row.
    pub(crate) log: Mutex<events::Log>,
}

/// How many faces there are: three clouds and this one.
pub(crate) const FACES: usize = CLOUDS.len() + 1;

pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(async || ([(header::CACHE_CONTROL, "no-cache")], Html(CONSOLE))))
        .route("/healthz", get(health))
        .route("/v1/ledger", get(inventory::ledger))
        .route("/v1/instances", get(inventory::instances))
        .route("/v1/calls", get(inventory::calls))
        .route("/v1/events", get(events::events))
        .route("/v1/clock", get(clock::read).post(clock::advance))
        .route("/v1/faults", get(faults::list).post(faults::add).delete(faults::lift))
        .route("/v1/reset", post(reset))
        .fallback(async |method: Method, uri: Uri| {
            Refused::new(StatusCode::NOT_FOUND, format!("there is no {method} {}", uri.path()))
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} takes no {method}", uri.path()))
        })
        .with_state(admin)
}

/// The web page, which asks this face for all that it shows.
const CONSOLE: &str = include_str!("console.html");

async fn health(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Refused> {
    match admin.faces.load(Ordering::Relaxed) {
        FACES => Ok(Json(json!({ "status": "ok" }))),
        up => {
            let message = format!("{up} of {FACES} faces answer");
            Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, message))
        }
    }
}

/// Empty worlds of the same seed, at the time that it is.
async fn reset(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let mut log = admin.log();
    admin.worlds.aws.reset();
    admin.worlds.gcp.reset();
    admin.worlds.azure.reset();
    *log = events::Log::default();
    Json(json!({ "reset": true }))
}

/// The cloud that is meant, if it has a face.
fn known(cloud: Option<Cloud>) -> Result<Option<Cloud>, Refused> {
    match cloud {
        Some(Cloud::Neutral) => Err(Refused::bad("cloud is \"neutral\": it must be aws, gcp or azure")),
        cloud => Ok(cloud),
    }
}

/// An answer that is none: the status, and a message that says what would be right.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidConfig | ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let key = error.fact("key").filter(|key| !error.message().contains(key));
        let place = key.map_or_else(String::new, |key| format!("{key}: "));
        Self::new(status, format!("{place}{}", error.message()))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "message": self.message }))).into_response()
    }
}
