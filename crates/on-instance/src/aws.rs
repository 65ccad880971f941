//! EC2's metadata service, in its second version. EC2 user guide, "Use the Instance Metadata Service"
//! and "Spot Instance interruption notices".

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use skyfleet_core::{Clock, MachineNotice, Market, PreemptionKind, Result, Timestamp, tag};

use crate::Cloud;
use crate::http::{ANSWER, Answer, Question, Service, refused, strange};
use crate::identity::{About, Identity, fleet, owner, word};

/// How often to look, as EC2 advises.
const LOOK: Duration = Duration::from_secs(5);
/// A session lives six hours at most; it is renewed well before.
const SESSION_SECONDS: u64 = 3_600;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The service, and the session in which it is asked.
pub(crate) struct Metadata {
    service: Service,
    /// With the time at which it was got.
    token: Option<(String, Timestamp)>,
    clock: Arc<dyn Clock>,
}

/// What the machine is told about its end.
pub(crate) struct Watch {
    metadata: Metadata,
    /// The last advice that was told.
    advised: Option<Timestamp>,
    over: bool,
}

impl Metadata {
    pub(crate) fn new(service: Service, clock: Arc<dyn Clock>) -> Self {
        Self { service, token: None, clock }
    }

    pub(crate) async fn about(&mut self) -> Result<About> {
        let document = self.get("dynamic/instance-identity/document").await?;
        let document = document.ok_or_else(|| refused(404))?;
        let market = self.get("meta-data/instance-life-cycle").await?;
        let identity = identity(&document, market.as_deref())?;
        // There only where the launch says so (`InstanceMetadataTags`); skyfleet's do.
        let mut tag = async |name: &str| self.get(&format!("meta-data/tags/instance/{name}")).await;
        let (of, within) = (tag(tag::OWNER).await?, tag(tag::FLEET).await?);
        Ok(About { identity, owner: owner(of.as_deref()), fleet: fleet(within.as_deref()) })
    }

    /// One entry; `None` when there is none.
    async fn get(&mut self, path: &str) -> Result<Option<String>> {
        let token = self.token().await?;
        let answer = self.ask(&Question::get(&format!("latest/{path}"), &[(TOKEN, &token)])).await?;
        match answer.status {
            404 => Ok(None),
            401 => {
                self.token = None;
                Err(refused(401))
            }
            _ => answer.text().map(Some),
        }
    }

    async fn token(&mut self) -> Result<String> {
        let now = self.clock.now();
        let half = Duration::from_secs(SESSION_SECONDS / 2);
        if let Some((token, _)) = self.token.as_ref().filter(|(_, got)| now < *got + half) {
            return Ok(token.clone());
        }
        let ttl = SESSION_SECONDS.to_string();
        let headers = [(TTL, ttl.as_str())];
        let question =
            Question { method: Method::PUT, path: "latest/api/token", headers: &headers, within: ANSWER };
        let token = self.ask(&question).await?.text()?;
        let token = token.trim().to_owned();
        if token.is_empty() || token.len() > 1_024 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(strange("what the metadata service gives is no session token"));
        }
        self.token = Some((token.clone(), now));
        Ok(token)
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Answer> {
        let _hold = self.clock.hold();
        self.service.ask(question).await
    }
}

impl Watch {
    pub(crate) fn new(metadata: Metadata) -> Self {
        Self { metadata, advised: None, over: false }
    }

    pub(crate) async fn next(&mut self) -> Option<MachineNotice> {
        while !self.over {
            match self.look().await {
                Ok(Some(notice)) => return Some(notice),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the metadata service does not answer"),
            }
            self.metadata.clock.clone().sleep(LOOK).await;
        }
        None
    }

    async fn look(&mut self) -> Result<Option<MachineNotice>> {
        if let Some(text) = self.metadata.get("meta-data/spot/instance-action").await? {
            let at = action(&text, self.metadata.clock.now())?;
            self.over = true;
            return Ok(Some(MachineNotice { kind: PreemptionKind::Notice, at }));
        }
        let Some(text) = self.metadata.get("meta-data/events/recommendations/rebalance").await? else {
            return Ok(None);
        };
        let at = advice(&text)?;
        let is_new = self.advised.replace(at) != Some(at);
        Ok(is_new.then_some(MachineNotice { kind: PreemptionKind::Rebalance, at }))
    }
}

/// Reads the instance identity document.
fn identity(document: &str, life_cycle: Option<&str>) -> Result<Identity> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        instance_id: String,
        instance_type: String,
        region: String,
        availability_zone: String,
    }
    let told: Document = serde_json::from_str(document)
        .map_err(|error| strange("what EC2 gives is no instance identity document").because(error))?;
    Ok(Identity {
        cloud: Cloud::Aws,
        id: word("id", &told.instance_id)?.into(),
        region: word("region", &told.region)?.into(),
        zone: word("zone", &told.availability_zone)?.into(),
        instance_type: word("type", &told.instance_type)?.into(),
        market: match life_cycle.map(str::trim) {
            Some("spot") => Market::Spot,
            _ => Market::OnDemand,
        },
    })
}

/// When the machine goes: `{"action":"terminate","time":"2026-09-18T08:22:00Z"}`. It goes also when
/// the time cannot be read: then it may be now.
fn action(text: &str, now: Timestamp) -> Result<Timestamp> {
    #[derive(Deserialize)]
    struct Action {
        action: String,
        #[serde(default)]
        time: Option<String>,
    }
    let told: Action = serde_json::from_str(text)
        .map_err(|error| strange("what EC2 gives is no interruption notice").because(error))?;
    if !matches!(told.action.as_str(), "terminate" | "stop" | "hibernate") {
        return Err(strange("EC2 announces what is no interruption"));
    }
    Ok(told.time.and_then(|time| time.trim().parse().ok()).unwrap_or(now))
}

/// When the machine was advised to go: `{"noticeTime":"2026-09-18T08:12:00Z"}`.
fn advice(text: &str) -> Result<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Recommendation {
        notice_time: String,
    }
    let told: Recommendation = serde_json::from_str(text)
        .map_err(|error| strange("what EC2 gives is no rebalance recommendation").because(error))?;
    let time = told.notice_time.trim();
    time.parse().map_err(|_| strange("the time of a rebalance recommendation is none"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = r#"{"accountId":"1","availabilityZone":"us-east-1b","instanceId":"i-0a1b2c3d4e5f60718",
        "instanceType":"m7g.large","kernelId":null,"region":"us-east-1","pendingTime":"2026-09-18T08:00:00Z"}"#;

    fn second(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_identity_document_is_read() {
        let read = identity(DOCUMENT, Some("spot")).unwrap();
        assert_eq!((read.id.as_str(), read.zone.as_str()), ("i-0a1b2c3d4e5f60718", "us-east-1b"));
        assert_eq!((read.market, read.instance_type.as_str()), (Market::Spot, "m7g.large"));
        assert_eq!(identity(DOCUMENT, None).unwrap().market, Market::OnDemand);
        for wrong in [
            "{}",
            "[]",
            "",
            &DOCUMENT.replace("i-0a1b2c3d4e5f60718", "../../etc"),
            &DOCUMENT.replace("us-east-1b", ""),
        ] {
            assert!(identity(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_notice_without_a_time_is_one_for_now() {
        let now = second("2026-09-18T08:20:00Z");
        let told = |text| action(text, now).ok();
        let due = second("2026-09-18T08:22:00Z");
        assert_eq!(told(r#"{"action":"terminate","time":"2026-09-18T08:22:00Z"}"#), Some(due));
        assert_eq!(told(r#"{"action":"stop"}"#), Some(now));
        assert_eq!(told(r#"{"action":"hibernate","time":"soon"}"#), Some(now));
        for wrong in ["", "none", r#"{"time":"2026-09-18T08:22:00Z"}"#, r#"{"action":"none"}"#] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
        assert_eq!(advice(r#"{"noticeTime":"2026-09-18T08:22:00Z"}"#).unwrap(), due);
        assert!(advice(r#"{"noticeTime":7}"#).is_err() && advice(r#"{"noticeTime":"7"}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_text_brings_it_down(
            text in "\\PC{0,80}|\\{\"(action|time|noticeTime|instanceId|region)\":[ -~]{0,40}\\}",
            time in "[-+0-9TZ:. ]{0,30}",
        ) {
            let now = Timestamp::UNIX_EPOCH;
            let _ = (identity(&text, Some(&text)), action(&text, now), advice(&text));
            let stop = format!(r#"{{"action":"stop","time":"{time}"}}"#);
            prop_assert!(action(&stop, now).is_ok());
            let _ = advice(&format!(r#"{{"noticeTime":"{time}"}}"#));
        }
    }
}
