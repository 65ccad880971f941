use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Azure Resource Manager: each request gets its error envelope.
pub(crate) fn azure() -> Router {
    Router::new().fallback(async |request: Request| {
        refuse(
            "azure",
            &request,
            |message| json!({ "error": { "code": "NotImplemented", "message": message } }),
        )
    })
}

fn refuse(cloud: &str, request: &Request, envelope: impl FnOnce(&str) -> Value) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    tracing::warn!(cloud, %method, path, "this call is not simulated");
    let body = envelope(&format!("{method} {path} is not simulated."));
    (StatusCode::NOT_IMPLEMENTED, axum::Json(body)).into_response()
}
