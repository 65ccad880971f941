//! Many requests in one: `POST /batch/compute/v1`, which gcloud sends when it is about several machines. Compute
//! Engine documentation, "Batching API requests". Each of them counts in the rate quotas by itself.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Request, Uri, header};
use axum::response::Response;

use crate::gcp::error::coded;
use crate::refusal::Refusal;
use crate::server::gcp::{Front, refuse};
use crate::server::reply::Reply;

/// How many requests a batch has at most.
const PARTS_MAX: usize = 1_000;

/// Between the answers; no line of JSON begins like this.
const BOUNDARY: &str = "batch_answers";
const MIXED: &str = "multipart/mixed; boundary=batch_answers";

/// One request of a batch.
#[derive(Debug)]
struct Part {
    /// `Content-ID`, without its brackets.
    id: String,
    head: Parts,
    body: Vec<u8>,
}

/// Whether a request is a batch.
pub(super) fn is_batch(head: &Parts) -> bool {
    let path = head.uri.path();
    path == "/batch" || path.starts_with("/batch/")
}

/// Answers all requests of a batch, one after the other. An answer that gets lost takes the others with it, and the
/// slowest says when they come.
pub(super) async fn answer(front: &Front, head: &Parts, body: &[u8]) -> (Reply, Duration) {
    let parts = match split(head, body) {
        Ok(parts) => parts,
        Err(refusal) => return (refuse(refusal), Duration::ZERO),
    };
    let (mut whole, mut late) = (String::new(), Duration::ZERO);
    for part in parts {
        let (reply, delay) = front.answer(&part.head, &part.body).await;
        late = late.max(delay);
        let Reply::Whole(response) = reply else { return (Reply::Lost, late) };
        whole.push_str(&written(&part.id, response).await);
    }
    whole.push_str(&format!("--{BOUNDARY}--\r\n"));
    let mut response = Response::new(Body::from(whole));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MIXED));
    (Reply::Whole(response), late)
}

/// An answer as a part of the whole.
async fn written(id: &str, response: Response) -> String {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let phrase = head.status.canonical_reason().unwrap_or_default();
    let mut text = format!("--{BOUNDARY}\r\nContent-Type: application/http\r\n");
    if !id.is_empty() {
        text.push_str(&format!("Content-ID: <response-{id}>\r\n"));
    }
    text.push_str(&format!("\r\nHTTP/1.1 {} {phrase}\r\n", head.status.as_u16()));
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{}\r\n", body.len(), String::from_utf8_lossy(&body)));
    text
}

/// The requests of a batch. What they do not say themselves about who calls, the batch says for all.
fn split(outer: &Parts, body: &[u8]) -> Result<Vec<Part>, Refusal> {
    let bad = |why: &str| coded(400, "badRequest", format!("Failed to parse batch request, error: {why}."));
    let kind = outer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = kind.and_then(boundary).ok_or_else(|| bad("the Content-Type has no boundary"))?;
    let text = std::str::from_utf8(body).map_err(|_| bad("it is not UTF-8"))?;
    let between = format!("--{boundary}");
    // What stands before the first boundary and after the last is no part.
    let pieces: Vec<&str> = text.split(between.as_str()).skip(1).collect();
    let ends = pieces.iter().position(|piece| piece.starts_with("--"));
    let pieces = &pieces[..ends.ok_or_else(|| bad("the last boundary is missing"))?];
    if pieces.is_empty() || pieces.len() > PARTS_MAX {
        return Err(bad(&format!("it has {} requests, not 1 to {PARTS_MAX}", pieces.len())));
    }
    pieces.iter().map(|piece| part(outer, piece).ok_or_else(|| bad("a part is no HTTP request"))).collect()
}

/// The boundary of a `multipart/mixed`.
fn boundary(kind: &str) -> Option<&str> {
    let mut fields = kind.split(';').map(str::trim);
    if !fields.next()?.eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let found = fields.find_map(|field| field.strip_prefix("boundary="))?.trim_matches('"');
    (!found.is_empty()).then_some(found)
}

/// A part: its own headers, and the request in it.
fn part(outer: &Parts, piece: &str) -> Option<Part> {
    let mut lines = Lines(piece.strip_prefix("\r\n").or_else(|| piece.strip_prefix('\n'))?);
    let mut id = String::new();
    while let Some((name, value)) = lines.header()? {
        if name.eq_ignore_ascii_case("content-id") {
            id = value.trim_matches(|c| c == '<' || c == '>').to_owned();
        }
    }
    let mut words = lines.next()?.split(' ').filter(|word| !word.is_empty());
    let (verb, target) = (words.next()?, words.next()?);
    let mut request = Request::builder().method(verb).uri(target.parse::<Uri>().ok()?);
    let mut named = false;
    while let Some((name, value)) = lines.header()? {
        named |= name.eq_ignore_ascii_case("authorization");
        let (name, value) = (name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?);
        request = request.header(name, value);
    }
    if let Some(caller) = outer.headers.get(header::AUTHORIZATION).filter(|_| !named) {
        request = request.header(header::AUTHORIZATION, caller);
    }
    let (head, ()) = request.body(()).ok()?.into_parts();
    // The break before the next boundary is the boundary's.
    let body = lines.0.trim_end_matches(['\r', '\n']).as_bytes().to_vec();
    Some(Part { id, head, body })
}

/// The lines of a part, whichever way they end.
struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (line, rest) = self.0.split_once('\n').unwrap_or((self.0, ""));
        self.0 = rest;
        Some(line.trim_end_matches('\r'))
    }

    /// A header; `Some(None)` for the empty line behind the last, `None` for what is none.
    fn header(&mut self) -> Option<Option<(&'a str, &'a str)>> {
        match self.next() {
            None | Some("") => Some(None),
            Some(line) => line.split_once(':').map(|(name, value)| Some((name.trim(), value.trim()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outer(kind: &'static str) -> Parts {
        let request = Request::builder().uri("/batch/compute/v1").header(header::CONTENT_TYPE, kind);
        request.header(header::AUTHORIZATION, "Bearer t").body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_parts_of_a_batch_are_requests() {
        let text = "\
            --=====\nContent-Type: application/http\nMIME-Version: 1.0\nContent-ID: <a+1>\n\n\
            GET /compute/v1/projects/p/zones?alt=json HTTP/1.1\nContent-Type: application/json\nHost: h\n\n\n\
            --=====\r\nContent-Type: application/http\r\nContent-ID: <a+2>\r\n\r\n\
            POST /x HTTP/1.1\r\nauthorization: Bearer own\r\n\r\n{\"a\": 1}\r\n\
            --=====--";
        let parts = split(&outer("multipart/mixed; boundary=\"=====\""), text.as_bytes()).unwrap();
        let [first, second] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!((first.id.as_str(), first.head.method.as_str()), ("a+1", "GET"));
        assert_eq!(
            (first.head.uri.path(), first.head.uri.query()),
            ("/compute/v1/projects/p/zones", Some("alt=json"))
        );
        assert_eq!(first.head.headers["authorization"], "Bearer t");
        assert!(first.body.is_empty());
        assert_eq!((second.id.as_str(), second.body.as_slice()), ("a+2", &b"{\"a\": 1}"[..]));
        assert_eq!(second.head.headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer own"]);
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let good = "multipart/mixed; boundary=b";
        for (kind, text) in [
            ("application/json", "{}"),
            ("multipart/mixed", "--b\n\nGET / HTTP/1.1\n\n--b--"),
            (good, ""),
            (good, "--b--"),
            (good, "--b\n\nGET / HTTP/1.1\n\n"),
            (good, "--b\n\n\n--b--"),
            (good, "--b\n\nGET\n--b--"),
        ] {
            let refused = split(&outer(kind), text.as_bytes());
            assert!(matches!(refused, Err(Refusal::Coded { status: 400, .. })), "{kind} {text}");
        }
    }
}
