use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

use crate::catalog::Cloud;
use crate::credential::Credential;
use crate::gcp::error::{Fault, coded, envelope, fault};
use crate::gcp::{self, Answer, Face, images, method};
use crate::refusal::Refusal;
use crate::server::gcp::caller::Caller;
use crate::server::reply::Reply;

mod batch;
mod caller;

/// The longest request that is read: metadata of an instance is 512 KB at most.
const BODY_BYTES_MAX: usize = 8 << 20;

/// How long an answer that waits for the world's clock is held back at most, on the caller's: a
/// clock that nobody moves holds nobody for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// The port of Google Cloud: Compute Engine, and the small services beside it.
#[derive(Debug)]
struct Front {
    face: Face,
    /// The tokens that are let in, and the projects that they are for; empty lets everybody in.
    keys: BTreeSet<(String, String)>,
    /// How many requests there were.
    requests: AtomicU64,
}

/// In this header Google's front ends say which request an answer belongs to (Cloud Trace documentation,
/// "Trace context"): it is what finds the request in logs.
const TRACE: HeaderName = HeaderName::from_static("x-cloud-trace-context");

pub(crate) fn router(face: &Face, credentials: &[Credential]) -> Router {
    let keys = credentials.iter().filter(|credential| credential.cloud == Cloud::Gcp);
    let front = Front {
        face: face.clone(),
        keys: keys.map(|key| (key.secret.clone(), key.key_id.clone())).collect(),
        requests: AtomicU64::new(0),
    };
    Router::new().fallback(answer).with_state(Arc::new(front))
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let number = front.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let mut response = respond(&front, request).await;
    if let Ok(trace) = HeaderValue::from_str(&format!("{number:032x}/1")) {
        response.headers_mut().insert(TRACE, trace);
    }
    response
}

async fn respond(front: &Front, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let message = format!("The request is longer than {BODY_BYTES_MAX} bytes.");
        return refuse(coded(413, "uploadTooLarge", message)).send(Duration::ZERO).await;
    };
    if let Some(response) = Caller::new(front.keys.first()).answer(&head, &body) {
        return response;
    }
    let (reply, delay) = match batch::is_batch(&head) {
        true => batch::answer(front, &head, &body).await,
        false => front.answer(&head, &body).await,
    };
    reply.send(delay).await
}

impl Front {
    /// The answer, and by how much it is late.
    async fn answer(&self, head: &Parts, body: &[u8]) -> (Reply, Duration) {
        let path = percent_decoded(head.uri.path());
        let Some((method, parts)) = method::find(head.method.as_str(), &path) else {
            return (unsimulated(head), Duration::ZERO);
        };
        if let Err(refusal) = self.let_in(head, parts.get("project").map(String::as_str)) {
            return (refuse(refusal), Duration::ZERO);
        }
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let body = match body {
            [] => Value::Null,
            body => match serde_json::from_slice(body) {
                Ok(body) => body,
                Err(error) => {
                    let message = format!("Invalid JSON payload received. {error}");
                    return (refuse(coded(400, "parseError", message)), Duration::ZERO);
                }
            },
        };
        let mut request = gcp::Request::new(&self.face, method.id, parts, &query, &body);
        let mut answered = (method.answer)(&request);
        if let Ok(Answer::Later(until)) = answered {
            self.hold(until).await;
            request.waited = true;
            answered = (method.answer)(&request);
        }
        (reply(answered), self.face.world.latency(method.id))
    }

    /// Waits for the world's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "a caller's patience is his own, whatever the world's clock"
    )]
    async fn hold(&self, until: skyfleet_core::Timestamp) {
        let clock = self.face.world.clock();
        let left = Duration::try_from(until.duration_since(clock.now())).unwrap_or_default();
        // What is late by then is told as it stands.
        let _ = tokio::time::timeout(PATIENCE, clock.sleep(left)).await;
    }

    /// Checks who calls, when anybody is named who may: the token, then the project.
    fn let_in(&self, head: &Parts, project: Option<&str>) -> Result<(), Refusal> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let given = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let mut projects = self.keys.iter().filter(|(known, _)| known == token).map(|(_, project)| project);
        if token.is_empty() {
            let message = "Request is missing required authentication credential. Expected OAuth 2 access token, \
                           login cookie or other valid authentication credential.";
            return Err(coded(401, "required", message));
        }
        let Some(first) = projects.next() else {
            let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login \
                           cookie or other valid authentication credential.";
            return Err(coded(401, "authError", message));
        };
        match project {
            Some(project) if images::is_public(project) => Ok(()),
            Some(project) if project != first && !projects.any(|known| known == project) => {
                Err(coded(404, "notFound", format!("The resource 'projects/{project}' was not found")))
            }
            _ => Ok(()),
        }
    }
}

fn reply(answered: Result<Answer, Refusal>) -> Reply {
    match answered {
        Ok(Answer::Now(body)) => Reply::Whole(json(StatusCode::OK, body)),
        Ok(Answer::Empty | Answer::Later(_)) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Reply::Whole(response)
        }
        Err(refusal) => refuse(refusal),
    }
}

/// A refusal in Google's envelope.
fn refuse(refusal: Refusal) -> Reply {
    let Fault { status, reason, message, lost } = fault(refusal);
    if lost {
        return Reply::Lost;
    }
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply::Whole(json(code, envelope(status, &reason, &message).to_string()))
}

fn unsimulated(head: &Parts) -> Reply {
    let (method, path) = (&head.method, head.uri.path());
    tracing::warn!(%method, %path, "this method of Google Cloud is not simulated");
    refuse(coded(501, "notImplemented", format!("{method} {path} is not simulated.")))
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A path as it was meant: `%3A` is a colon.
pub(super) fn percent_decoded(path: &str) -> String {
    if !path.contains('%') {
        return path.to_owned();
    }
    // A form's `+` is a space, a path's is a plus.
    let pair = path.replace('+', "%2B");
    let decoded = form_urlencoded::parse(pair.as_bytes()).next().map(|(key, _)| key.into_owned());
    decoded.unwrap_or_else(|| path.to_owned())
}
