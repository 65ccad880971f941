use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::aws::error::{Fault, coded, fault};
use crate::aws::query::Query;
use crate::aws::{self, Face, action, request_id, xml};
use crate::catalog::Cloud;
use crate::credential::Credential;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::server::reply::Reply;
use crate::server::signature::Signature;
use crate::server::signature_v2;

/// The longest request that is read: user data of a launch is 16 KB, a request with a thousand ids
/// and fifty tags far below this.
const BODY_BYTES_MAX: usize = 8 << 20;

/// Where a request without a signature goes: the region of an endpoint without a region.
const DEFAULT_REGION: &str = "us-east-1";

/// The port of AWS: tells from the signature's scope which region and which service is meant.
#[derive(Debug)]
struct Front {
    face: Face,
    rules: Rules,
    regions: BTreeSet<String>,
    /// The secrets by key id; empty lets everybody in.
    keys: BTreeMap<String, String>,
    /// How many requests never reached the world: they have ids too.
    strays: AtomicU64,
}

/// The services behind the port, by how they write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// EC2 Query: form in, XML out.
    Ec2,
    /// The AWS Query protocol, with an error envelope of its own.
    Sts,
    /// AWS JSON 1.1: pricing, quotas, parameters.
    Json,
}

pub(crate) fn router(face: &Face, credentials: &[Credential]) -> Router {
    let regions = face.look(|kernel, _| kernel.regions());
    let keys = credentials.iter().filter(|credential| credential.cloud == Cloud::Aws);
    let front = Front {
        face: face.clone(),
        rules: Rules::of(Cloud::Aws),
        regions: regions.iter().map(ToString::to_string).collect(),
        keys: keys.map(|key| (key.key_id.clone(), key.secret.clone())).collect(),
        strays: AtomicU64::new(0),
    };
    Router::new().fallback(answer).with_state(Arc::new(front))
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let message = format!("The request is longer than {BODY_BYTES_MAX} bytes.");
        let refused = front.refuse(Service::Ec2, coded(413, "RequestEntityTooLarge", message), None);
        return refused.send(Duration::ZERO).await;
    };
    let (reply, delay) = front.answer(&head, &body);
    reply.send(delay).await
}

impl Front {
    /// The answer, and by how much it is late.
    fn answer(&self, head: &Parts, body: &[u8]) -> (Reply, Duration) {
        let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        let query = match (target, head.uri.query()) {
            (Some(_), query) => Query::parse(query.unwrap_or_default().as_bytes()),
            (None, None) => Query::parse(body),
            (None, Some(query)) => Query::parse(&[query.as_bytes(), b"&", body].concat()),
        };
        let root = query.root();
        let signature = Signature::read(head, |name| root.text(name));
        let service = match (target, signature.as_ref().map(|signature| signature.service)) {
            (Some(_), _) => Service::Json,
            (None, Some("sts")) => Service::Sts,
            (None, _) => Service::Ec2,
        };
        let region = signature.as_ref().map_or(DEFAULT_REGION, |signature| signature.region);
        if let Err(refusal) = self.let_in(signature.as_ref(), &root, service, head, body) {
            return (self.refuse(service, refusal, None), Duration::ZERO);
        }
        // The small services have one endpoint, in whatever region the caller is.
        if service == Service::Ec2 && !self.regions.contains(region) {
            return (self.refuse(service, unknown_credentials(service), None), Duration::ZERO);
        }
        if let Some(target) = target {
            let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation);
            let reply = match aws::services::answer_json(&self.face, target, region, body) {
                Ok(answer) => Reply::Whole(self.json(StatusCode::OK, &answer, self.stray())),
                Err(refusal) => self.refuse(service, refusal, None),
            };
            return (reply, self.face.world.latency(operation));
        }
        let Some(name) = root.text("Action") else {
            let refusal = coded(400, "MissingAction", "The request must contain the parameter Action");
            return (self.refuse(service, refusal, None), Duration::ZERO);
        };
        let request = aws::Request::new(&self.face, name, region, &query);
        let reply = match action::answer(&request) {
            Ok(answer) => Reply::Whole(respond(StatusCode::OK, XML, answer, &request.request_id())),
            Err(refusal) => self.refuse(service, refusal, request.number()),
        };
        (reply, self.face.world.latency(name))
    }

    /// Checks who calls, when anybody is named who may.
    fn let_in(
        &self,
        signature: Option<&Signature<'_>>,
        parameters: &aws::query::Node<'_>,
        service: Service,
        head: &Parts,
        body: &[u8],
    ) -> Result<(), Refusal> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let (key_id, known) = match (signature, parameters.text("AWSAccessKeyId")) {
            (Some(signature), _) => (signature.key_id, self.keys.get(signature.key_id)),
            (None, Some(key_id)) => (key_id, self.keys.get(key_id)),
            (None, None) => {
                let message = "Request is missing Authentication Token";
                return Err(coded(403, "MissingAuthenticationToken", message));
            }
        };
        let Some(secret) = known else {
            tracing::info!(key_id, "this key is not known");
            return Err(unknown_credentials(service));
        };
        let signed = match signature {
            Some(signature) => signature.is_by(secret, head, body),
            None => signature_v2::is_by(secret, head, body),
        };
        if signed {
            return Ok(());
        }
        let (status, code) = match service {
            Service::Json => (400, "InvalidSignatureException"),
            Service::Ec2 | Service::Sts => (403, "SignatureDoesNotMatch"),
        };
        let message = "The request signature we calculated does not match the signature you provided. Check your \
                       AWS Secret Access Key and signing method. Consult the service documentation for details.";
        Err(coded(status, code, message))
    }

    /// A refusal in the service's own envelope.
    fn refuse(&self, service: Service, refusal: Refusal, number: Option<u64>) -> Reply {
        let Fault { status, code, message, lost } = fault(&self.rules, refusal);
        if lost {
            return Reply::Lost;
        }
        let id = number.map_or_else(|| self.stray(), request_id);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Reply::Whole(match service {
            Service::Ec2 => respond(status, XML, xml::error(&code, &message, &id), &id),
            Service::Sts => respond(status, STS_XML, sts_error(status, &code, &message, &id), &id),
            Service::Json => {
                // The JSON services have a name of their own for it ("Common error types").
                let (status, code) = match code.as_str() {
                    "RequestLimitExceeded" => (StatusCode::BAD_REQUEST, "ThrottlingException"),
                    other => (status, other),
                };
                self.json(status, &serde_json::json!({ "__type": code, "message": message }), id)
            }
        })
    }

    fn json(&self, status: StatusCode, body: &serde_json::Value, id: String) -> Response {
        respond(status, "application/x-amz-json-1.1", body.to_string(), &id)
    }

    /// The id of a request that the world does not number.
    fn stray(&self) -> String {
        request_id(1 << 63 | self.strays.fetch_add(1, Ordering::Relaxed))
    }
}

const XML: &str = "text/xml;charset=UTF-8";
const STS_XML: &str = "text/xml";

fn respond(status: StatusCode, kind: &'static str, body: String, id: &str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// What a service says to a key id that it does not know, and EC2 also to a region that the account
/// has not.
fn unknown_credentials(service: Service) -> Refusal {
    match service {
        Service::Ec2 => {
            coded(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        }
        Service::Sts => {
            coded(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        }
        Service::Json => coded(
            400,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
    }
}

/// The error envelope of the AWS Query protocol.
fn sts_error(status: StatusCode, code: &str, message: &str, id: &str) -> String {
    let whose = if status.is_server_error() { "Receiver" } else { "Sender" };
    let (code, message) = (quick_xml::escape::escape(code), quick_xml::escape::escape(message));
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>{whose}</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
    )
}
