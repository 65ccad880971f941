//! The client on the wire, against a server that says what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use skyfleet_core::{Clock, ErrorKind, ManualClock, Retry, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::arm::Call;
use super::{Client, client_secret};
use crate::Settings;

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Answers in order; `None` closes the connection without one. Tokens are given beside.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Option<String>>>>,
    /// The first lines of what was asked, and whether a token was with it.
    asked: Arc<Mutex<Vec<String>>>,
}

fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Option<String> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    Some(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"))
}

impl Script {
    async fn play(self, listener: TcpListener) {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut read = Vec::new();
            let mut some = [0; 4096];
            while !is_whole(&read) {
                match socket.read(&mut some).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => read.extend_from_slice(&some[..n]),
                }
            }
            let text = String::from_utf8_lossy(&read).into_owned();
            let first = text.lines().next().unwrap_or_default().to_owned();
            let token = text.to_ascii_lowercase().contains("authorization: bearer given");
            let said = if first.contains("/oauth2/v2.0/token") {
                answer("200 OK", &[], r#"{"token_type":"Bearer","expires_in":3599,"access_token":"given"}"#)
            } else {
                self.answers.lock().unwrap().pop_front().flatten()
            };
            self.asked.lock().unwrap().push(if token { first } else { format!("{first} (no token)") });
            if let Some(said) = said {
                let _ = socket.write_all(said.as_bytes()).await;
            }
        }
    }

    fn asked(&self, part: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }
}

fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

/// A client of such a server, the server's script, its address, and the clock of both.
async fn scripted() -> (Client, Script, String, ManualClock) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let script = Script::default();
    tokio::spawn(script.clone().play(listener));
    let clock = ManualClock::auto(EPOCH);
    let time: Arc<dyn Clock> = Arc::new(clock.clone());
    let credential = client_secret("tenant", "client", "hush", Some(&url), time.clone()).unwrap();
    let settings = Settings {
        subscription_id: Some("s".to_owned()),
        endpoint_url: Some(url.clone()),
        ..Settings::default()
    };
    (Client::new(Some(credential), settings, time), script, url, clock)
}

fn say(script: &Script, answers: impl IntoIterator<Item = Option<String>>) {
    script.answers.lock().unwrap().extend(answers);
}

#[tokio::test]
async fn a_poller_answer_that_is_lost_is_asked_for_again_and_never_the_call() {
    let (client, script, url, clock) = scripted().await;
    let poller = format!("{url}/subscriptions/s/operations/1?api-version=1");
    let status = |word: &str| json!({ "status": word }).to_string();
    say(
        &script,
        [
            answer("201 Created", &[("Azure-AsyncOperation", &poller), ("Retry-After", "7")], "{}"),
            None,
            answer("503 Service Unavailable", &[], ""),
            answer("200 OK", &[("Retry-After", "9")], &status("InProgress")),
            answer("200 OK", &[], &status("Succeeded")),
        ],
    );
    let body = json!({});
    let call = Call::with(Method::PUT, "azure.test", "/subscriptions/s/x".to_owned(), "2024-07-01", &body);
    client.done(&call, Duration::from_secs(600)).await.unwrap();
    assert_eq!(script.asked("PUT /subscriptions/s/x?api-version=2024-07-01"), 1);
    assert_eq!(script.asked("GET /subscriptions/s/operations/1?api-version=1"), 4);
    assert_eq!(
        (script.asked("oauth2"), script.asked("(no token)")),
        (1, 1),
        "one token, asked for without one"
    );
    let took = clock.now().duration_since(EPOCH).as_secs();
    assert!((20..=30).contains(&took), "as Azure said: {took} s");
}

#[tokio::test]
async fn what_fails_later_says_why_and_what_lasts_is_left_alone() {
    let (client, script, url, _) = scripted().await;
    let location = format!("{url}/subscriptions/s/operationresults/1?api-version=1");
    let begun = || answer("202 Accepted", &[("Location", &location)], "");
    let failed = json!({ "error": { "code": "ZonalAllocationFailed", "message": "no room" } }).to_string();
    say(&script, [begun(), answer("202 Accepted", &[], ""), answer("409 Conflict", &[], &failed)]);
    let call = Call::delete("azure.test", "/subscriptions/s/x".to_owned(), "2024-07-01");
    let error = client.done(&call, Duration::from_secs(600)).await.unwrap_err();
    assert_eq!((error.kind(), error.fact("code")), (ErrorKind::NoCapacity, Some("ZonalAllocationFailed")));
    say(&script, std::iter::once(begun()).chain((0..100).map(|_| answer("202 Accepted", &[], ""))));
    let error = client.done(&call, Duration::from_secs(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn the_first_page_answers_a_throttle_and_later_ones_wait_for_it() {
    let (client, script, url, clock) = scripted().await;
    let throttled = || {
        let body = json!({ "error": { "code": "SubscriptionRequestsThrottled", "message": "slow" } });
        answer(
            "429 Too Many Requests",
            &[("Retry-After", "17"), ("x-ms-request-id", "r-1")],
            &body.to_string(),
        )
    };
    let path = || "/subscriptions/s/things".to_owned();
    say(&script, [throttled()]);
    let error = client.list("azure.test", path(), "1").await.unwrap_err();
    assert_eq!((error.kind(), error.fact("request_id")), (ErrorKind::RateLimited, Some("r-1")));
    assert_eq!(error.retry(), Retry::After(Some(Duration::from_secs(17))));
    let next = format!("{url}/subscriptions/s/things?api-version=1&$skiptoken=2");
    let first = json!({ "value": [1, 2], "nextLink": next }).to_string();
    let last = json!({ "value": [3] }).to_string();
    say(&script, [answer("200 OK", &[], &first), throttled(), answer("200 OK", &[], &last)]);
    let begun = clock.now();
    let items = client.list("azure.test", path(), "1").await.unwrap();
    assert_eq!(items, [json!(1), json!(2), json!(3)]);
    assert_eq!(clock.now().duration_since(begun).as_secs(), 17);
}

#[tokio::test]
async fn a_token_goes_nowhere_else() {
    let (client, script, _, _) = scripted().await;
    let page = json!({ "value": [], "nextLink": "http://127.0.0.1:9/elsewhere" }).to_string();
    say(&script, [answer("200 OK", &[], &page)]);
    let error = client.list("azure.test", "/subscriptions/s/things".to_owned(), "1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(error.message().contains("is not followed"), "{error}");
}

#[tokio::test]
async fn the_generated_client_gives_our_errors_and_its_token_is_ours() {
    let (client, script, _, _) = scripted().await;
    let refusal = json!({ "error": { "code": "AuthorizationFailed", "message": "may not" } }).to_string();
    say(&script, [answer("403 Forbidden", &[("x-ms-request-id", "r-2")], &refusal), None]);
    let error = client.machines("azure.list").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.fact("code")),
        (ErrorKind::PermissionDenied, Some("AuthorizationFailed"))
    );
    assert_eq!((error.fact("request_id"), error.operation()), (Some("r-2"), Some("azure.list")));
    let lost = client.machines("azure.list").await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
    assert_eq!(
        (
            script.asked("GET /subscriptions/s/providers/Microsoft.Compute/virtualMachines?"),
            script.asked("oauth2")
        ),
        (2, 1)
    );
    assert!(!format!("{client:?} {error:?}").contains("hush"));
}

#[tokio::test]
async fn a_refused_secret_and_a_dead_identity_service_are_told_apart() {
    let (client, _, _, _) = scripted().await;
    drop(client);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let time: Arc<dyn Clock> = Arc::new(ManualClock::auto(EPOCH));
    let credential = client_secret("tenant", "client", "hush", Some(&url), time.clone()).unwrap();
    let settings =
        Settings { subscription_id: Some("s".to_owned()), endpoint_url: Some(url), ..Settings::default() };
    let client = Client::new(Some(credential), settings, time);
    let error = client.machines("azure.list").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let error =
        client_secret("no tenant!", "client", "hush", None, Arc::new(ManualClock::new(EPOCH))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error:?}").contains("hush"));
}
