//! The Instance Metadata Service of Azure, with its scheduled events. Azure documentation, "Azure
//! Instance Metadata Service for virtual machines".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};

use crate::azure::Face;
use crate::catalog::Cloud;
use crate::credential::Credential;
use crate::seed;
use crate::server::azure::token_of;
use crate::server::imds::attached::{self, Variables};
use crate::server::imds::azure::machine::Machine;

mod attested;
pub(crate) mod events;
mod identity;
mod instance;
mod machine;
mod tree;

/// The versions that are told to whoever names none.
const VERSIONS: [&str; 3] = ["2021-12-13", "2021-02-01", "2020-09-01"];

/// The metadata services of all instances.
#[derive(Debug)]
pub(crate) struct Service {
    face: Face,
    /// The token that opens the face, where not every one does.
    token: Option<String>,
}

/// What an instance asks.
struct Asked<'a> {
    method: &'a Method,
    /// From the service's root on, without slashes at its ends.
    path: &'a str,
    query: BTreeMap<String, String>,
    body: &'a [u8],
}

impl Asked<'_> {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// What is answered.
pub(crate) enum Told {
    Json(Value),
    Text(String),
    /// A status, and why.
    No(StatusCode, String),
}

impl Told {
    fn bad(why: &str) -> Self {
        Self::No(StatusCode::BAD_REQUEST, format!("Bad request. {why}"))
    }

    fn missing() -> Self {
        Self::No(StatusCode::NOT_FOUND, "Not found".to_owned())
    }
}

impl Service {
    pub(crate) fn new(face: Face, credentials: &[Credential]) -> Arc<Self> {
        let mut own = credentials.iter().filter(|credential| credential.cloud == Cloud::Azure);
        let token = own.next().map(|own| token_of(&own.key_id.to_lowercase(), &own.secret));
        Arc::new(Self { face, token })
    }

    /// Answers what an instance asks; `instance` is the id of its resource or its `vmId`.
    fn answer(
        &self,
        instance: &str,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        let query = form_urlencoded::parse(query.as_bytes());
        let query = query.map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect();
        let asked = Asked { method, path: path.trim_matches('/'), query, body };
        match self.find(instance, &asked, headers) {
            Told::Json(value) => {
                written(StatusCode::OK, "application/json; charset=utf-8", value.to_string())
            }
            Told::Text(text) => written(StatusCode::OK, "text/plain; charset=utf-8", text),
            Told::No(status, why) => {
                let told = if why.starts_with('{') { why } else { json!({ "error": why }).to_string() };
                written(status, "application/json; charset=utf-8", told)
            }
        }
    }

    fn find(&self, instance: &str, asked: &Asked<'_>, headers: &HeaderMap) -> Told {
        let flag = headers.get("metadata").and_then(|value| value.to_str().ok());
        if !flag.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Told::bad("Required metadata header not specified");
        }
        if headers.contains_key("x-forwarded-for") {
            return Told::bad("Unexpected header: X-Forwarded-For");
        }
        let (first, rest) = asked.path.split_once('/').unwrap_or((asked.path, ""));
        if !first.eq_ignore_ascii_case("metadata") {
            return Told::missing();
        }
        let (service, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let service = service.to_lowercase();
        let reads = matches!(*asked.method, Method::GET | Method::HEAD);
        if !reads && (service != "scheduledevents" || *asked.method != Method::POST) {
            let why = format!("The HTTP method {} is not supported here", asked.method);
            return Told::No(StatusCode::METHOD_NOT_ALLOWED, why);
        }
        if service == "versions" {
            return Told::Json(json!({ "apiVersions": VERSIONS }));
        }
        if !asked.query("api-version").is_some_and(is_version) {
            let told = json!({
                "error": "Bad request. api-version is invalid or was not specified in the request.",
                "newest-versions": VERSIONS,
            });
            return Told::No(StatusCode::BAD_REQUEST, told.to_string());
        }
        self.face.look(|kernel, state| {
            let Some(machine) = Machine::of(kernel, state, instance) else { return Told::missing() };
            match service.as_str() {
                "instance" => instance::answer(kernel, state, &machine, rest, asked.query("format")),
                "scheduledevents" if reads => Told::Json(state.events.document(kernel, &machine)),
                "scheduledevents" => events::start(kernel, &machine, asked.body),
                "attested" if rest.eq_ignore_ascii_case("document") => {
                    attested::answer(kernel, &machine, asked.query("nonce"))
                }
                "identity" if rest.eq_ignore_ascii_case("oauth2/token") => {
                    identity::answer(kernel, &machine, &asked.query, self.token.as_deref())
                }
                _ => Told::missing(),
            }
        })
    }
}

/// `2021-02-01`: any day counts as a version.
fn is_version(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.split('-');
    [4, 2, 2].into_iter().all(|count| parts.next().is_some_and(|part| digits(part, count)))
}

impl attached::Service for Service {
    fn known(&self, instance: &str) -> Option<(u32, Variables)> {
        self.face.look(|kernel, _| Some((*kernel.by_id.get(instance)?, Vec::new())))
    }

    fn variables(address: SocketAddr) -> Variables {
        vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST".to_owned(), format!("http://{address}"))]
    }

    fn router(service: Weak<Self>, instance: Arc<str>) -> Router {
        let answer = async |State((service, instance)): State<(Weak<Self>, Arc<str>)>,
                            method: Method,
                            uri: Uri,
                            headers: HeaderMap,
                            body: Bytes| {
            let Some(service) = service.upgrade() else {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            };
            let query = uri.query().unwrap_or_default();
            service.answer(&instance, &method, uri.path(), query, &headers, &body)
        };
        Router::new().fallback(answer).with_state((service, instance))
    }
}

/// `/imds/azure/<instance>/…` of the admin face, where an instance is the id of its resource,
/// `subscriptions/…`, or its `vmId`.
pub(crate) fn router(service: &Arc<Service>) -> Router {
    let answer = async |State(service): State<Arc<Service>>,
                        method: Method,
                        uri: Uri,
                        headers: HeaderMap,
                        body: Bytes| {
        let path = uri.path().trim_start_matches("/imds/azure").trim_start_matches('/');
        let (instance, path) = split(path);
        let query = uri.query().unwrap_or_default();
        service.answer(&instance, &method, path, query, &headers, &body)
    };
    Router::new().route("/imds/azure/{*path}", any(answer)).with_state(service.clone())
}

/// The instance at the beginning of a path, and the rest.
fn split(path: &str) -> (String, &str) {
    let is_id = path.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("subscriptions/"));
    let parts = if is_id { 8 } else { 1 };
    let end = path.match_indices('/').nth(parts - 1).map_or(path.len(), |(at, _)| at);
    let (id, rest) = path.split_at(end);
    let id = super::super::gcp::percent_decoded(id);
    (if is_id { format!("/{id}") } else { id }, rest)
}

fn written(status: StatusCode, kind: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind), (header::SERVER, "Microsoft-IIS/10.0")], body).into_response()
}

/// A number that is always the same for the same words.
fn digest(words: &[&str]) -> u64 {
    seed::digest(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
