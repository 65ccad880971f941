//! What EC2 takes back, seen from the machine itself: for the code of a job.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use skyfleet_core::{Clock, Error, ErrorKind, MachineNotice, PreemptionKind, Result, SystemClock, Timestamp};

use crate::client::near_client;

/// How often to look (EC2 user guide, "Spot Instance interruption notices").
const LOOK: Duration = Duration::from_secs(5);
/// The token of the metadata service lives six hours at most; it is renewed well before.
const TOKEN_SECONDS: u64 = 3_600;
/// How long the metadata service may take: it is on the machine's own link.
const ANSWER: Duration = Duration::from_secs(2);

/// What EC2 tells this machine about its own end, as it happens: asks the metadata service (its
/// second version, at `AWS_EC2_METADATA_SERVICE_ENDPOINT` or `169.254.169.254`) every five
/// seconds. Ends after the notice. A machine without a metadata service is told nothing.
///
/// ```no_run
/// use futures::StreamExt;
/// # async fn save() {}
/// # async fn job() -> skyfleet_core::Result<()> {
/// let mut notices = std::pin::pin!(skyfleet_aws::notice()?);
/// while let Some(notice) = notices.next().await {
///     save().await; // two minutes are left, or a few more
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Unavailable` when the machine cannot make an HTTP client.
pub fn notice() -> Result<impl Stream<Item = MachineNotice> + Send> {
    let variable = std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").ok();
    let endpoint =
        variable.filter(|url| !url.is_empty()).unwrap_or_else(|| "http://169.254.169.254".to_owned());
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
    let service = Metadata {
        http: near_client()?,
        root: format!("{}/latest", endpoint.trim_end_matches('/')),
        token: None,
        clock,
    };
    let watch = Watch { service, advised: None, over: false };
    Ok(stream::unfold(watch, |mut watch| async move { watch.next().await.map(|notice| (notice, watch)) }))
}

struct Watch {
    service: Metadata,
    /// The last advice that was told.
    advised: Option<Timestamp>,
    over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<MachineNotice> {
        while !self.over {
            match self.look().await {
                Ok(Some(notice)) => return Some(notice),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the metadata service does not answer"),
            }
            self.service.clock.clone().sleep(LOOK).await;
        }
        None
    }

    async fn look(&mut self) -> Result<Option<MachineNotice>> {
        #[derive(Deserialize)]
        struct Action {
            time: Timestamp,
        }
        #[derive(Deserialize)]
        struct Recommendation {
            #[serde(rename = "noticeTime")]
            notice_time: Timestamp,
        }
        if let Some(Action { time }) = self.service.get("spot/instance-action").await? {
            self.over = true;
            return Ok(Some(MachineNotice { kind: PreemptionKind::Notice, at: time }));
        }
        let advice = self.service.get::<Recommendation>("events/recommendations/rebalance").await?;
        let new = advice.map(|advice| advice.notice_time).filter(|at| self.advised != Some(*at));
        self.advised = new.or(self.advised);
        Ok(new.map(|at| MachineNotice { kind: PreemptionKind::Rebalance, at }))
    }
}

/// The metadata service of the machine.
struct Metadata {
    http: reqwest::Client,
    root: String,
    /// With the time at which it was got.
    token: Option<(String, Timestamp)>,
    clock: Arc<dyn Clock>,
}

impl Metadata {
    /// One entry; `None` when there is none.
    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>> {
        let token = self.token().await?;
        let ask = self.http.get(format!("{}/meta-data/{path}", self.root)).timeout(ANSWER);
        let answer = ask.header("X-aws-ec2-metadata-token", token).send().await.map_err(unreachable)?;
        match answer.status().as_u16() {
            404 => Ok(None),
            401 => {
                self.token = None;
                Err(refused(401))
            }
            200 => answer.json().await.map(Some).map_err(unreachable),
            status => Err(refused(status)),
        }
    }

    async fn token(&mut self) -> Result<String> {
        let now = self.clock.now();
        let half = Duration::from_secs(TOKEN_SECONDS / 2);
        if let Some((token, _)) = self.token.as_ref().filter(|(_, got)| now < *got + half) {
            return Ok(token.clone());
        }
        let ask = self.http.put(format!("{}/api/token", self.root)).timeout(ANSWER);
        let ask = ask.header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS.to_string());
        let answer = ask.send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(refused(answer.status().as_u16()));
        }
        let token = answer.text().await.map_err(unreachable)?;
        self.token = Some((token.clone(), now));
        Ok(token)
    }
}

fn unreachable(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the metadata service cannot be reached")
        .because(error)
        .at("aws.notice")
}

fn refused(status: u16) -> Error {
    Error::new(ErrorKind::Unavailable, "the metadata service refuses").with("status", status).at("aws.notice")
}
