//! What Compute Engine takes back, seen from the machine itself: for the code of a job.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream;
use reqwest::header::{HeaderMap, HeaderValue};
use skyfleet_core::{Clock, Error, ErrorKind, MachineNotice, PreemptionKind, Result, SystemClock};

use crate::preemption::LEAD;

/// How long to wait after a question that failed.
const BREATH: Duration = Duration::from_secs(5);
/// How long the metadata server may hold an answer back. It answers at once when something changes.
const HOLD_SECONDS: u64 = 60;
/// How long it may take beyond that: it is on the machine's own link.
const GRACE: Duration = Duration::from_secs(5);

/// What Compute Engine tells this machine about its own end, as it happens: the metadata server
/// (at `GCE_METADATA_HOST` or `metadata.google.internal`) answers its entry `instance/preempted`
/// when that changes (Compute Engine documentation, "Spot VMs", preemption detection). Ends after
/// the notice. A machine without a metadata server is told nothing.
///
/// ```no_run
/// use futures::StreamExt;
/// # async fn save() {}
/// # async fn job() -> skyfleet_core::Result<()> {
/// let mut notices = std::pin::pin!(skyfleet_gcp::notice()?);
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
    let host = std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| "metadata.google.internal".to_owned());
    notice_at(&format!("http://{host}"), Arc::new(SystemClock))
}

/// The same at another endpoint and by another clock.
///
/// # Errors
/// As [`notice`].
pub fn notice_at(
    endpoint: &str,
    clock: Arc<dyn Clock>,
) -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    let headers = HeaderMap::from_iter([(crate::client::FLAVOUR, HeaderValue::from_static("Google"))]);
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).default_headers(headers).build();
    let http = http.map_err(|error| unreachable(error).at("gcp.notice"))?;
    let url = format!("{}/computeMetadata/v1/instance/preempted", endpoint.trim_end_matches('/'));
    let watch = Watch { http, url, clock, etag: "0".to_owned(), over: false };
    Ok(stream::unfold(watch, |mut watch| async move { watch.next().await.map(|notice| (notice, watch)) }))
}

struct Watch {
    http: reqwest::Client,
    url: String,
    clock: Arc<dyn Clock>,
    /// Of the last answer: the next one comes when there is another. `0` is answered at once.
    etag: String,
    over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<MachineNotice> {
        while !self.over {
            match self.look().await {
                Ok(true) => {
                    self.over = true;
                    let at = self.clock.now() + LEAD;
                    return Some(MachineNotice { kind: PreemptionKind::Notice, at });
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(%error, "the metadata server does not answer");
                    self.clock.sleep(BREATH).await;
                }
            }
        }
        None
    }

    async fn look(&mut self) -> Result<bool> {
        let hold = HOLD_SECONDS.to_string();
        let query = [("wait_for_change", "true"), ("timeout_sec", &hold), ("last_etag", &self.etag)];
        // By the machine's own time: a server that plays may have another one.
        let ask = self.http.get(&self.url).query(&query).timeout(Duration::from_secs(HOLD_SECONDS) + GRACE);
        let answer = ask.send().await.map_err(unreachable)?;
        let status = answer.status();
        if !status.is_success() {
            let message = "the metadata server refuses";
            return Err(Error::new(ErrorKind::Unavailable, message)
                .with("status", status.as_u16())
                .at("gcp.notice"));
        }
        let etag = answer.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let text = answer.text().await.map_err(unreachable)?;
        // Without one the next question is answered at once: then it must not come at once.
        match etag {
            Some(etag) => self.etag = etag,
            None => self.clock.sleep(BREATH).await,
        }
        Ok(text.trim().eq_ignore_ascii_case("true"))
    }
}

fn unreachable(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the metadata server cannot be reached")
        .because(error.without_url())
        .at("gcp.notice")
}
