//! Where a caller gets his token when he asks for one: at the endpoint that keys and refresh tokens
//! name, or, on a machine in Google's cloud, at the metadata server of that machine. The machines of
//! the simulated cloud have metadata servers of their own; this one is the caller's.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::gcp::projects::{ACCOUNT, NUMBER};

/// Who calls where nobody is named.
const ANYBODY: &str = "simcloud";

/// How long a token holds, in seconds, as Google says it.
const TOKEN_S: u32 = 3_599;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The caller: his token and his project.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    token: &'a str,
    project: &'a str,
}

impl<'a> Caller<'a> {
    /// The first who may call; anybody where all may.
    pub(super) fn new(first: Option<&'a (String, String)>) -> Self {
        let (token, project) =
            first.map_or((ANYBODY, ANYBODY), |(token, project)| (token.as_str(), project.as_str()));
        Self { token, project }
    }

    /// The answer to a question of this kind; `None` for any other.
    pub(super) fn answer(self, head: &Parts, body: &[u8]) -> Option<Response> {
        let path = head.uri.path().trim_end_matches('/');
        match (&head.method, path) {
            (&Method::POST, "/token") => Some(self.grant(body)),
            (&Method::GET | &Method::HEAD, "") => {
                Some(flavored(StatusCode::OK, "computeMetadata/\n", "text"))
            }
            (&Method::GET | &Method::HEAD, _) => {
                let path = path.strip_prefix("/computeMetadata/v1")?;
                Some(self.metadata(path.trim_start_matches('/'), head))
            }
            _ => None,
        }
    }

    fn told(self) -> Value {
        json!({ "access_token": self.token, "expires_in": TOKEN_S, "token_type": "Bearer" })
    }

    /// OAuth 2.0 (RFC 6749 and 7523). Signatures are not checked: who has the address of a simulator
    /// may have its token.
    fn grant(self, body: &[u8]) -> Response {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let refused = |error: &str, why: &str| {
            let body = json!({ "error": error, "error_description": why }).to_string();
            plain(StatusCode::BAD_REQUEST, body, "application/json; charset=UTF-8")
        };
        let (kind, needs) = match form.get("grant_type").map(String::as_str) {
            Some(kind @ "urn:ietf:params:oauth:grant-type:jwt-bearer") => (kind, "assertion"),
            Some(kind @ "refresh_token") => (kind, "refresh_token"),
            Some(other) => return refused("unsupported_grant_type", &format!("Invalid grant_type: {other}")),
            None => return refused("invalid_request", "Required parameter is missing: grant_type"),
        };
        if form.get(needs).is_none_or(String::is_empty) {
            return refused("invalid_request", &format!("{kind} needs the parameter {needs}"));
        }
        plain(StatusCode::OK, self.told().to_string(), "application/json; charset=UTF-8")
    }

    fn metadata(self, path: &str, head: &Parts) -> Response {
        let flavor = head.headers.get("metadata-flavor").is_some_and(|value| value == "Google");
        if !flavor || head.headers.contains_key("x-forwarded-for") {
            return flavored(StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.", "text");
        }
        let recursive = head.uri.query().is_some_and(|query| query.contains("recursive=true"));
        let ok = |body: &str| flavored(StatusCode::OK, body, "text");
        match path {
            "project/project-id" => ok(self.project),
            "project/numeric-project-id" => ok(&NUMBER.to_string()),
            "universe/universe-domain" => ok("googleapis.com"),
            "instance/service-accounts" => ok(&format!("default/\n{ACCOUNT}/\n")),
            _ => {
                let account = path.strip_prefix("instance/service-accounts/").and_then(|path| {
                    let (account, rest) = path.split_once('/').unwrap_or((path, ""));
                    (account == "default" || account == ACCOUNT).then_some(rest)
                });
                match account {
                    Some("token") => flavored(StatusCode::OK, &self.told().to_string(), "json"),
                    Some("email") => ok(ACCOUNT),
                    Some("scopes") => ok(&format!("{SCOPE}\n")),
                    Some("aliases") => ok("default\n"),
                    Some("") if recursive => {
                        let all = json!({ "aliases": ["default"], "email": ACCOUNT, "scopes": [SCOPE] });
                        flavored(StatusCode::OK, &all.to_string(), "json")
                    }
                    Some("") => ok("aliases\nemail\nidentity\nscopes\ntoken\n"),
                    _ => flavored(StatusCode::NOT_FOUND, "Not Found", "text"),
                }
            }
        }
    }
}

/// An answer of a metadata server: programs know it by its header.
fn flavored(status: StatusCode, body: &str, kind: &str) -> Response {
    let kind = if kind == "json" { "application/json" } else { "application/text" };
    let mut response = plain(status, body.to_owned(), kind);
    response.headers_mut().insert("metadata-flavor", HeaderValue::from_static("Google"));
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("Metadata Server for VM"));
    response
}

fn plain(status: StatusCode, body: String, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::Request;

    use super::*;

    async fn ask(method: &str, path: &str, flavor: bool, body: &str) -> Option<(u16, String)> {
        let mut request = Request::builder().method(method).uri(path);
        if flavor {
            request = request.header("Metadata-Flavor", "Google");
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let key = ("t0ken".to_owned(), "mine".to_owned());
        let response = Caller::new(Some(&key)).answer(&head, body.as_bytes())?;
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 10_000).await.unwrap();
        Some((status, String::from_utf8(bytes.to_vec()).unwrap()))
    }

    #[tokio::test]
    async fn the_callers_metadata_server_gives_his_token_to_who_says_what_he_asks() {
        let get = |path: &'static str| ask("GET", path, true, "");
        let token = get("/computeMetadata/v1/instance/service-accounts/default/token").await.unwrap();
        let read: Value = serde_json::from_str(&token.1).unwrap();
        assert_eq!(
            (token.0, &read["access_token"], &read["token_type"]),
            (200, &json!("t0ken"), &json!("Bearer"))
        );
        assert_eq!(get("/computeMetadata/v1/project/project-id").await.unwrap(), (200, "mine".to_owned()));
        let email = get("/computeMetadata/v1/instance/service-accounts/default/email").await.unwrap();
        assert_eq!(email, (200, ACCOUNT.to_owned()));
        let all = get("/computeMetadata/v1/instance/service-accounts/default/?recursive=true").await.unwrap();
        assert!(all.1.contains("cloud-platform"), "{}", all.1);
        assert_eq!(get("/computeMetadata/v1/instance/nothing").await.unwrap().0, 404);
        let bare = ask("GET", "/computeMetadata/v1/project/project-id", false, "").await;
        assert_eq!(bare.unwrap().0, 403);
        assert_eq!(ask("GET", "/", false, "").await.unwrap().0, 200);
        assert_eq!(get("/compute/v1/projects/p").await, None);
    }

    #[tokio::test]
    async fn a_key_and_a_refresh_token_are_good_for_a_token() {
        let post = |body: &'static str| ask("POST", "/token", false, body);
        for (body, status, word) in [
            (
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c",
                200,
                "t0ken",
            ),
            ("grant_type=refresh_token&refresh_token=r&client_id=i&client_secret=s", 200, "t0ken"),
            ("grant_type=refresh_token", 400, "invalid_request"),
            ("grant_type=password", 400, "unsupported_grant_type"),
            ("", 400, "invalid_request"),
        ] {
            let (told, text) = post(body).await.unwrap();
            assert!(told == status && text.contains(word), "{body}: {told} {text}");
        }
    }
}
