//! The metadata services: what an instance can ask about itself. This is EC2's.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::json;

use crate::aws::Face;
use crate::server::imds::attached::{Service, Variables};
use crate::server::imds::facts::Facts;
use crate::server::imds::token::Tokens;

mod attached;
pub(crate) mod azure;
mod facts;
pub(crate) mod gcp;
mod token;
mod tree;

pub(crate) use attached::Attached;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The metadata services of all instances.
#[derive(Debug)]
pub(crate) struct Imds {
    face: Face,
    tokens: Tokens,
}

impl Imds {
    pub(crate) fn new(face: Face, seed: u64) -> Arc<Self> {
        Arc::new(Self { face, tokens: Tokens::new(seed) })
    }

    /// Answers what an instance asks: `path` is the service's own, from its root on.
    fn answer(&self, id: &str, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        let facts = self.face.look(|kernel, state| Facts::of(kernel, state, id));
        let Some(facts) = facts else { return page(StatusCode::NOT_FOUND) };
        if !facts.is_enabled() {
            return page(StatusCode::FORBIDDEN);
        }
        let path = path.trim_matches('/');
        match (method, path) {
            (&Method::PUT, "latest/api/token") => self.token(&facts, headers),
            (&Method::GET | &Method::HEAD, "latest/api/token") => page(StatusCode::METHOD_NOT_ALLOWED),
            (&Method::GET | &Method::HEAD, _) => self.get(&facts, path, headers),
            _ => page(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    /// A session of IMDSv2 begins.
    fn token(&self, facts: &Facts, headers: &HeaderMap) -> Response {
        // A request that came by a proxy gets no token: EC2 user guide, "How Instance Metadata
        // Service Version 2 works".
        if headers.contains_key("x-forwarded-for") {
            return page(StatusCode::FORBIDDEN);
        }
        let ttl = headers.get(TTL).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let Some(ttl) = ttl.filter(|ttl| (1..=token::TTL_S_MAX).contains(ttl)) else {
            return page(StatusCode::BAD_REQUEST);
        };
        let mut response = text(self.tokens.give(&facts.id, facts.now, ttl));
        response.headers_mut().insert(TTL, HeaderValue::from(ttl));
        response
    }

    fn get(&self, facts: &Facts, path: &str, headers: &HeaderMap) -> Response {
        let token = headers.get(TOKEN).map(|value| value.to_str().unwrap_or_default());
        let session = token.map(|token| self.tokens.left(token, &facts.id, facts.now));
        let left = match session {
            Some(Some(left)) => Some(left),
            // A token that is none is refused even where none is needed.
            Some(None) => return page(StatusCode::UNAUTHORIZED),
            None if facts.needs_token() => return page(StatusCode::UNAUTHORIZED),
            None => None,
        };
        let mut response = match tree::find(facts, path) {
            Some(body) => text(body),
            None => page(StatusCode::NOT_FOUND),
        };
        if let Some(left) = left {
            response.headers_mut().insert(TTL, HeaderValue::from(left));
        }
        response
    }
}

impl Service for Imds {
    fn known(&self, instance: &str) -> Option<(u32, Variables)> {
        self.face.look(|kernel, _| {
            let number = *kernel.by_id.get(instance)?;
            let region = kernel.view(number, kernel.now()).region.to_string();
            let named = |name: &str| (name.to_owned(), region.clone());
            Some((number, vec![named("AWS_REGION"), named("AWS_DEFAULT_REGION")]))
        })
    }

    fn variables(address: SocketAddr) -> Variables {
        vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), format!("http://{address}"))]
    }

    fn router(service: Weak<Self>, instance: Arc<str>) -> Router {
        let answer = async |State((imds, instance)): State<(Weak<Self>, Arc<str>)>,
                            method: Method,
                            uri: Uri,
                            headers: HeaderMap| {
            match imds.upgrade() {
                Some(imds) => imds.answer(&instance, &method, uri.path(), &headers),
                None => page(StatusCode::SERVICE_UNAVAILABLE),
            }
        };
        Router::new().fallback(answer).with_state((service, instance))
    }
}

/// `/imds/<cloud>/<instance>/…` of the admin face: EC2's, and whatever no other service answers.
pub(crate) fn router(imds: &Arc<Imds>) -> Router {
    let aws = async |State(imds): State<Arc<Imds>>,
                     Path((id, path)): Path<(String, String)>,
                     method: Method,
                     headers: HeaderMap| imds.answer(&id, &method, &path, &headers);
    let root = async |State(imds): State<Arc<Imds>>,
                      Path(id): Path<String>,
                      method: Method,
                      headers: HeaderMap| { imds.answer(&id, &method, "", &headers) };
    Router::new()
        .route("/imds/aws/{id}", any(root))
        .route("/imds/aws/{id}/", any(root))
        .route("/imds/aws/{id}/{*path}", any(aws))
        .route("/imds/{*path}", any(elsewhere))
        .with_state(imds.clone())
}

/// The services of the other clouds.
async fn elsewhere(Path(path): Path<String>) -> Response {
    let message = format!("there is no metadata service at /imds/{path}");
    (StatusCode::NOT_FOUND, axum::Json(json!({ "message": message }))).into_response()
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain"), (header::SERVER, "EC2ws")], body).into_response()
}

/// An answer that is none, as the service writes it.
fn page(status: StatusCode) -> Response {
    let name = format!("{} - {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n \
         <head>\n  <title>{name}</title>\n </head>\n <body>\n  <h1>{name}</h1>\n </body>\n</html>\n"
    );
    (status, [(header::CONTENT_TYPE, "text/html"), (header::SERVER, "EC2ws")], body).into_response()
}
