//! The metadata server of Compute Engine. Compute Engine documentation, "About VM metadata" and
//! "Query VM metadata".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::catalog::Cloud;
use crate::credential::Credential;
use crate::gcp::Face;
use crate::gcp::launched::machine_number;
use crate::seed;
use crate::server::imds::attached::{self, Variables};
use crate::server::imds::gcp::tree::{Found, Node};

mod facts;
mod tree;

/// The root of what there is to ask.
const ROOT: &str = "computeMetadata/v1";

/// How often a request that waits for a change looks again: by the world's clock, and by the caller's
/// at least.
const LOOK: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// The longest that a request is held, on the caller's clock: a clock that nobody moves holds nobody
/// for ever.
const PATIENCE: Duration = Duration::from_secs(600);

/// The metadata servers of all instances.
#[derive(Debug)]
pub(crate) struct Service {
    face: Face,
    /// The token that opens the face, where not every one does.
    token: Option<String>,
}

/// What is asked for.
#[derive(Debug)]
struct Wanted {
    /// From the service's root on, with the slash at its end if it has one.
    path: String,
    recursive: bool,
    /// `alt`: JSON or text, where the caller says it.
    json: Option<bool>,
    waits: bool,
    /// How long it waits at most, by the world's clock.
    timeout: Option<Duration>,
    last: Option<String>,
}

/// What is told: a body, of which kind, and its tag.
#[derive(Debug)]
struct Told {
    body: String,
    json: bool,
    tag: String,
}

impl Service {
    pub(crate) fn new(face: Face, credentials: &[Credential]) -> Arc<Self> {
        let mut own = credentials.iter().filter(|credential| credential.cloud == Cloud::Gcp);
        Arc::new(Self { face, token: own.next().map(|credential| credential.secret.clone()) })
    }

    /// Answers what an instance asks: `path` is the service's own, from its root on.
    async fn answer(
        &self,
        instance: &str,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
    ) -> Response {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "Only GET is supported.");
        }
        // Anybody may ask whether there is a metadata server here.
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            return listed("computeMetadata/\n");
        }
        let flavor = headers.get("metadata-flavor").is_some_and(|value| value == "Google");
        if !flavor || headers.contains_key("x-forwarded-for") {
            return refuse(StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.");
        }
        let wanted = Wanted::read(path, query);
        match wanted.path.strip_prefix(ROOT) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => self.find(instance, &wanted).await,
            _ if path.trim_end_matches('/') == "computeMetadata" => listed("v1/\n"),
            _ => missing(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a caller's patience is his own, whatever the world's clock"
    )]
    async fn find(&self, instance: &str, wanted: &Wanted) -> Response {
        let first = match self.look(instance, wanted) {
            Ok(told) if wanted.waits => told,
            Ok(told) => return told.response(),
            Err(response) => return *response,
        };
        match tokio::time::timeout(PATIENCE, self.change(instance, wanted, &first)).await {
            Ok(Ok(told)) => told.response(),
            Ok(Err(response)) => *response,
            Err(_) => first.response(),
        }
    }

    /// What is there once it is something else, or the caller has waited as long as he wanted.
    async fn change(&self, instance: &str, wanted: &Wanted, first: &Told) -> Result<Told, Box<Response>> {
        let known = wanted.last.as_ref().unwrap_or(&first.tag);
        let clock = self.face.world.clock();
        let begun = clock.now();
        loop {
            let told = self.look(instance, wanted)?;
            if told.tag != *known || wanted.timeout.is_some_and(|timeout| clock.now() >= begun + timeout) {
                return Ok(told);
            }
            self.pause().await;
        }
    }

    /// A while, for everybody: the world's clock may be far faster than the caller's.
    #[expect(clippy::disallowed_methods, reason = "a waiting instance must not keep this program busy")]
    async fn pause(&self) {
        tokio::join!(self.face.world.clock().sleep(LOOK), tokio::time::sleep(PAUSE));
    }

    /// What is there now; a response where nothing is.
    fn look(&self, instance: &str, wanted: &Wanted) -> Result<Told, Box<Response>> {
        let root = self.face.look(|kernel, state| facts::of(kernel, state, instance, self.token.as_deref()));
        let Some(root) = root else { return Err(Box::new(missing())) };
        let path = wanted.path.strip_prefix(ROOT).unwrap_or_default();
        let Some(Found { node, named }) = tree::find(&root, path) else { return Err(Box::new(missing())) };
        let folder = node.is_folder();
        if folder && !wanted.recursive && !path.ends_with('/') {
            // As a web server says it: the folder's name ends in a slash.
            let last = format!("{}/", wanted.path.rsplit('/').next().unwrap_or_default());
            let mut response = (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, last)]).into_response();
            sign(&mut response);
            return Err(Box::new(response));
        }
        let json = match node {
            Node::Json(_) => true,
            _ => wanted.json.unwrap_or(wanted.recursive),
        };
        let body = match (folder && !wanted.recursive, json) {
            (true, false) => node.listing(),
            (true, true) => node.listing_json(),
            (false, true) => node.json(named).to_string(),
            (false, false) => node.text(),
        };
        let tag = format!("{:016x}", seed::digest(&[body.as_bytes()]));
        Ok(Told { body, json, tag })
    }
}

impl Wanted {
    fn read(path: &str, query: &str) -> Self {
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let flag = |name: &str| query.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Self {
            path: path.to_owned(),
            recursive: flag("recursive"),
            json: match query.get("alt").map(String::as_str) {
                Some("json") => Some(true),
                Some("text") => Some(false),
                _ => None,
            },
            waits: flag("wait_for_change"),
            timeout: query.get("timeout_sec").and_then(|text| text.parse().ok()).map(Duration::from_secs),
            last: query.get("last_etag").cloned(),
        }
    }
}

impl Told {
    fn response(self) -> Response {
        let kind = if self.json { "application/json" } else { "application/text" };
        let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::ETAG, self.tag)];
        let mut response = (headers, self.body).into_response();
        sign(&mut response);
        response
    }
}

impl attached::Service for Service {
    fn known(&self, instance: &str) -> Option<(u32, Variables)> {
        self.face.look(|kernel, _| Some((*kernel.by_id.get(instance)?, Vec::new())))
    }

    fn variables(address: SocketAddr) -> Variables {
        // google-auth asks whether there is a server at the second, and all else at the first.
        let names = ["GCE_METADATA_HOST", "GCE_METADATA_IP"];
        names.map(|name| (name.to_owned(), address.to_string())).into()
    }

    fn router(service: Weak<Self>, instance: Arc<str>) -> Router {
        let answer = async |State((service, instance)): State<(Weak<Self>, Arc<str>)>,
                            method: Method,
                            uri: Uri,
                            headers: HeaderMap| {
            let Some(service) = service.upgrade() else { return missing() };
            let query = uri.query().unwrap_or_default();
            service.answer(&instance, &method, uri.path(), query, &headers).await
        };
        Router::new().fallback(answer).with_state((service, instance))
    }
}

/// `/imds/gcp/<instance>/…` of the admin face, where an instance is `zones/Z/instances/NAME` or its
/// numeric id.
pub(crate) fn router(service: &Arc<Service>) -> Router {
    let answer = async |State(service): State<Arc<Service>>, method: Method, uri: Uri, headers: HeaderMap| {
        let path = uri.path().trim_start_matches("/imds/gcp/");
        let Some((instance, path)) = split(path) else { return missing() };
        service.answer(&instance, &method, path, uri.query().unwrap_or_default(), &headers).await
    };
    Router::new().route("/imds/gcp/{*path}", any(answer)).with_state(service.clone())
}

/// The instance at the beginning of a path, and the rest.
fn split(path: &str) -> Option<(String, &str)> {
    let parts = if path.starts_with("zones/") { 4 } else { 1 };
    let end = path.match_indices('/').nth(parts - 1).map_or(path.len(), |(at, _)| at);
    let (id, rest) = path.split_at(end);
    let fits = parts == 1 && id.parse().ok().and_then(machine_number).is_some()
        || parts == 4 && id.split('/').nth(2) == Some("instances");
    fits.then(|| (id.to_owned(), rest))
}

fn listed(body: &'static str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/text")], body).into_response();
    sign(&mut response);
    response
}

fn missing() -> Response {
    refuse(StatusCode::NOT_FOUND, "The requested URL was not found on this server.")
}

fn refuse(status: StatusCode, why: &str) -> Response {
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let body = format!(
        "<!DOCTYPE html>\n<html lang=en>\n  <title>Error {title}</title>\n  <p><b>{title}</b>\n  <p>{why}\n</html>\n"
    );
    let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=UTF-8")], body).into_response();
    sign(&mut response);
    response
}

/// By these headers a caller knows that it was the metadata server who answered.
fn sign(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert("metadata-flavor", HeaderValue::from_static("Google"));
    headers.insert(header::SERVER, HeaderValue::from_static("Metadata Server for VM"));
}

#[cfg(test)]
mod tests;
