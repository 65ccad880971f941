use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::azure::error::{Fault, coded, envelope, fault};
use crate::azure::operation::guid;
use crate::azure::request::Head;
use crate::azure::{self, Answer, Face, method};
use crate::catalog::Cloud;
use crate::credential::Credential;
use crate::refusal::Refusal;
use crate::seed;
use crate::server::reply::Reply;

/// The longest request that is read. Azure documentation, "Resource Manager limits": 4 MB.
const BODY_BYTES_MAX: usize = 4 << 20;

/// How long a token of the identity service holds. Microsoft identity platform documentation,
/// "Access tokens": 60 to 90 minutes.
const TOKEN_S: u64 = 3_599;

/// The port of Azure: Resource Manager, the identity service, retail prices.
#[derive(Debug)]
struct Front {
    face: Face,
    /// The secrets by client id; empty lets everybody in.
    keys: BTreeMap<String, String>,
    /// How many requests there were.
    requests: AtomicU64,
}

pub(crate) fn router(face: &Face, credentials: &[Credential]) -> Router {
    let keys = credentials.iter().filter(|credential| credential.cloud == Cloud::Azure);
    let front = Front {
        face: face.clone(),
        keys: keys.map(|key| (key.key_id.to_lowercase(), key.secret.clone())).collect(),
        requests: AtomicU64::new(0),
    };
    Router::new().fallback(answer).with_state(Arc::new(front))
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let message = format!("The request is longer than {BODY_BYTES_MAX} bytes.");
        return front.refuse(coded(413, "RequestEntityTooLarge", message)).send(Duration::ZERO).await;
    };
    let (reply, delay) = front.answer(&head, &body);
    reply.send(delay).await
}

impl Front {
    /// The answer, and by how much it is late.
    fn answer(&self, parts: &Parts, body: &[u8]) -> (Reply, Duration) {
        let head = read(parts);
        if let Some(reply) = self.identity(parts, &head, body) {
            return (reply, Duration::ZERO);
        }
        let Some((method, values)) = method::find(parts.method.as_str(), &head.path) else {
            return (self.unsimulated(parts), Duration::ZERO);
        };
        let managed = ["/subscriptions", "/providers"]
            .iter()
            .any(|root| head.path.get(..root.len()).is_some_and(|start| start.eq_ignore_ascii_case(root)));
        if managed && let Err(refusal) = self.let_in(parts, &head) {
            return (self.refuse(refusal), Duration::ZERO);
        }
        let body = match body {
            [] => Value::Null,
            body => match serde_json::from_slice(body) {
                Ok(body) => body,
                Err(error) => {
                    let message =
                        format!("The request content was invalid and could not be deserialized: '{error}'.");
                    return (self.refuse(coded(400, "InvalidRequestContent", message)), Duration::ZERO);
                }
            },
        };
        let request = azure::Request::new(&self.face, method.id, &head, values, &body);
        let reply = match (method.answer)(&request) {
            Ok(answer) => Reply::Whole(self.whole(answer, method.id, &request.went_to())),
            Err(refusal) => self.refuse(refusal),
        };
        (reply, self.face.world.latency(method.id))
    }

    /// Checks who calls, when anybody is named who may, and that the call names a version.
    fn let_in(&self, parts: &Parts, head: &Head) -> Result<(), Refusal> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.strip_prefix("Bearer "));
        let known = |given: &str| self.keys.iter().any(|(id, secret)| token_of(id, secret) == given);
        match token {
            None if self.keys.is_empty() => {}
            None => {
                let message = "Authentication failed. The 'Authorization' header is missing.";
                return Err(coded(401, "AuthenticationFailed", message));
            }
            Some(token) if self.keys.is_empty() || known(token) => {}
            Some(_) => {
                let message = "The access token is invalid.";
                return Err(coded(401, "InvalidAuthenticationToken", message));
            }
        }
        if head.query.get("api-version").is_none_or(String::is_empty) {
            let message = "The api-version query parameter (?api-version=) is required for all requests.";
            return Err(coded(400, "MissingApiVersionParameter", message));
        }
        Ok(())
    }

    /// The identity service: tokens for client secrets, and where they are given.
    fn identity(&self, parts: &Parts, head: &Head, body: &[u8]) -> Option<Reply> {
        let path = head.path.trim_matches('/');
        if let Some(tenant) = path.strip_suffix("/v2.0/.well-known/openid-configuration") {
            let at = format!("{}/{tenant}", head.base);
            return Some(Reply::Whole(json_response(
                StatusCode::OK,
                &json!({
                    "issuer": format!("{at}/v2.0"),
                    "authorization_endpoint": format!("{at}/oauth2/v2.0/authorize"),
                    "token_endpoint": format!("{at}/oauth2/v2.0/token"),
                }),
            )));
        }
        // Older programs ask by the first version, which says until when as well as how long.
        let first = path.ends_with("/oauth2/token");
        if !(first || path.ends_with("/oauth2/v2.0/token")) || parts.method != "POST" {
            return None;
        }
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let text = |name: &str| form.get(name).map_or("", String::as_str);
        let (id, secret) = (text("client_id").to_lowercase(), text("client_secret"));
        if !self.keys.is_empty() && self.keys.get(&id).map(String::as_str) != Some(secret) {
            let refused = json!({
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in \
                                      the request is the client secret value, not the client secret ID.",
                "error_codes": [7_000_215],
            });
            return Some(Reply::Whole(json_response(StatusCode::UNAUTHORIZED, &refused)));
        }
        let mut given = json!({
            "token_type": "Bearer",
            "expires_in": TOKEN_S,
            "ext_expires_in": TOKEN_S,
            "access_token": token_of(&id, secret),
        });
        if first {
            let now = self.face.world.look(|kernel| kernel.now().as_second());
            given["expires_in"] = TOKEN_S.to_string().into();
            given["expires_on"] = now.saturating_add_unsigned(TOKEN_S).to_string().into();
            given["not_before"] = now.to_string().into();
            given["resource"] = text("resource").into();
        }
        Some(Reply::Whole(json_response(StatusCode::OK, &given)))
    }

    fn whole(&self, answer: Answer, method: &str, region: &str) -> Response {
        let code = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match answer.body {
            Some(body) => written(code, body),
            None => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = code;
                response
            }
        };
        let left = self.face.world.look(|kernel| kernel.limits.remaining(method, region, kernel.now()));
        for (limit, left) in left {
            if limit.starts_with("subscription") {
                set(&mut response, &format!("x-ms-ratelimit-remaining-{limit}"), &left.to_string());
            } else if limit.starts_with("Microsoft.Compute/") {
                set(&mut response, "x-ms-ratelimit-remaining-resource", &format!("{limit};{left}"));
            }
        }
        for (name, value) in &answer.headers {
            set(&mut response, name, value);
        }
        self.number(&mut response);
        response
    }

    /// A refusal in Resource Manager's envelope.
    fn refuse(&self, refusal: Refusal) -> Reply {
        let Fault { status, told, retry_after, lost } = fault(refusal);
        if lost {
            return Reply::Lost;
        }
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_response(code, &envelope(&told));
        if let Some(after) = retry_after {
            set(&mut response, "retry-after", &after.as_secs().to_string());
        }
        self.number(&mut response);
        Reply::Whole(response)
    }

    fn unsimulated(&self, parts: &Parts) -> Reply {
        let (method, path) = (&parts.method, parts.uri.path());
        tracing::warn!(%method, %path, "this call of Azure is not simulated");
        self.refuse(coded(501, "NotImplemented", format!("{method} {path} is not simulated.")))
    }

    fn number(&self, response: &mut Response) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = guid(1, number);
        set(response, "x-ms-request-id", &id);
        set(response, "x-ms-correlation-request-id", &id);
    }
}

/// The token of a client: it holds as long as the server does.
pub(super) fn token_of(id: &str, secret: &str) -> String {
    format!("sim.{:016x}.token", seed::digest(&[id.as_bytes(), b"\n", secret.as_bytes()]))
}

/// What a request says beside its body.
fn read(parts: &Parts) -> Head {
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost");
    let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let none_match = parts.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    Head {
        base: format!("http://{host}"),
        path: super::gcp::percent_decoded(parts.uri.path()),
        query: pairs.map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect(),
        only_new: none_match == Some("*"),
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    written(status, body.to_string())
}

fn written(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn set(response: &mut Response, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.to_lowercase().as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        response.headers_mut().append(name, value);
    }
}
