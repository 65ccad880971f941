//! What Azure takes back, seen from the machine itself: for the code of a job.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use skyfleet_core::{Clock, Error, ErrorKind, MachineNotice, PreemptionKind, Result, SystemClock, Timestamp};

/// How often to look (Azure documentation, "Scheduled Events for Linux VMs", polling frequency).
const LOOK: Duration = Duration::from_secs(1);
/// How long the metadata service may take. It is on the machine's own link; the first question
/// switches scheduled events on, which takes up to two minutes.
const ANSWER: Duration = Duration::from_secs(125);

const EVENTS: &str = "metadata/scheduledevents?api-version=2020-07-01";
const NAME: &str = "metadata/instance/compute/name?api-version=2021-02-01&format=text";

/// What Azure tells this machine about its own end, as it happens: asks the metadata service (at
/// `AZURE_POD_IDENTITY_AUTHORITY_HOST` or `169.254.169.254`) every second for its scheduled events.
/// They are told to all machines that are managed together: only those that name this one count.
/// Ends after the notice. A machine without a metadata service is told nothing.
///
/// ```no_run
/// use futures::StreamExt;
/// # async fn save() {}
/// # async fn job() -> skyfleet_core::Result<()> {
/// let mut notices = std::pin::pin!(skyfleet_azure::notice()?);
/// while let Some(notice) = notices.next().await {
///     save().await; // half a minute is left, or less
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Unavailable` when the machine cannot make an HTTP client.
pub fn notice() -> Result<impl Stream<Item = MachineNotice> + Send> {
    let named = std::env::var("AZURE_POD_IDENTITY_AUTHORITY_HOST").ok().filter(|url| !url.is_empty());
    let endpoint = named.unwrap_or_else(|| "http://169.254.169.254".to_owned());
    notice_at(&endpoint, Arc::new(SystemClock))
}

/// The same at another endpoint and by another clock.
///
/// # Errors
/// As [`notice`].
pub fn notice_at(
    endpoint: &str,
    clock: Arc<dyn Clock>,
) -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    let headers =
        HeaderMap::from_iter([(HeaderName::from_static("metadata"), HeaderValue::from_static("true"))]);
    let http =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).default_headers(headers).timeout(ANSWER);
    let http = http.build().map_err(|error| unreachable(error).at("azure.notice"))?;
    let root = endpoint.trim_end_matches('/').to_owned();
    let watch = Watch { http, root, clock, name: None, over: false };
    Ok(stream::unfold(watch, |mut watch| async move { watch.next().await.map(|notice| (notice, watch)) }))
}

struct Watch {
    http: reqwest::Client,
    root: String,
    clock: Arc<dyn Clock>,
    /// The machine's own, once it is known.
    name: Option<String>,
    over: bool,
}

/// The answer of the metadata service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Events {
    events: Vec<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Event {
    event_type: String,
    resources: Vec<String>,
    not_before: String,
}

impl Event {
    /// Whether it ends this machine. A freeze, a reboot and a move to another host do not.
    fn ends(&self, name: &str) -> bool {
        matches!(self.event_type.as_str(), "Preempt" | "Terminate")
            && self.resources.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// `Mon, 19 Sep 2026 18:29:47 GMT`; nothing once it has begun.
    fn at(&self, now: Timestamp) -> Timestamp {
        let text = self.not_before.trim().replace("GMT", "+0000");
        jiff::fmt::rfc2822::parse(&text).map_or(now, |at| at.timestamp())
    }
}

impl Watch {
    async fn next(&mut self) -> Option<MachineNotice> {
        while !self.over {
            match self.look().await {
                Ok(Some(at)) => {
                    self.over = true;
                    return Some(MachineNotice { kind: PreemptionKind::Notice, at });
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the metadata service does not answer"),
            }
            self.clock.sleep(LOOK).await;
        }
        None
    }

    async fn look(&mut self) -> Result<Option<Timestamp>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let name = self.get(NAME).await?.trim().to_owned();
                self.name.insert(name).clone()
            }
        };
        let told = self.get(EVENTS).await?;
        let told: Events = serde_json::from_str(&told).map_err(|error| {
            let message = "the metadata service answers with no JSON";
            Error::new(ErrorKind::Unavailable, message).because(error).at("azure.notice")
        })?;
        let now = self.clock.now();
        Ok(told.events.iter().find(|event| event.ends(&name)).map(|event| event.at(now)))
    }

    async fn get(&self, what: &str) -> Result<String> {
        let _hold = self.clock.hold();
        let answer = self.http.get(format!("{}/{what}", self.root)).send().await.map_err(unreachable)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Error::new(ErrorKind::Unavailable, "the metadata service refuses")
                .with("status", status.as_u16())
                .at("azure.notice"));
        }
        answer.text().await.map_err(unreachable)
    }
}

fn unreachable(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the metadata service cannot be reached")
        .because(error.without_url())
        .at("azure.notice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_of_this_machine_counts() {
        let told = r#"{"DocumentIncarnation":2,"Events":[
            {"EventId":"a","EventType":"Preempt","ResourceType":"VirtualMachine","Resources":["other"],
             "EventStatus":"Scheduled","NotBefore":"Sat, 19 Sep 2026 18:29:47 GMT"},
            {"EventId":"b","EventType":"Freeze","Resources":["mine"],"NotBefore":""},
            {"EventId":"c","EventType":"Preempt","Resources":["other","Mine"],"EventStatus":"Scheduled",
             "NotBefore":"Sat, 19 Sep 2026 18:30:17 GMT","DurationInSeconds":-1}]}"#;
        let told: Events = serde_json::from_str(told).unwrap();
        let ends: Vec<bool> = told.events.iter().map(|event| event.ends("mine")).collect();
        assert_eq!(ends, [false, false, true]);
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        assert_eq!(told.events[2].at(now).to_string(), "2026-09-19T18:30:17Z");
        assert_eq!(told.events[1].at(now), now, "it has begun");
    }

    #[test]
    fn an_answer_of_another_shape_tells_nothing() {
        for text in ["{}", r#"{"Events":[]}"#, r#"{"Events":[{}]}"#] {
            let told: Events = serde_json::from_str(text).unwrap();
            assert!(!told.events.iter().any(|event| event.ends("mine")), "{text}");
        }
        assert!(serde_json::from_str::<Events>("[1]").is_err());
    }
}
