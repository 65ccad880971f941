//! Compute Engine's metadata server. Compute Engine documentation, "Query VM metadata" and "Spot VMs".

use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{Clock, MachineNotice, Market, PreemptionKind, Result, Timestamp, tag};

use crate::Cloud;
use crate::http::{Answer, Question, Service, refused, strange};
use crate::identity::{About, Identity, fleet, owner, word};

/// From the notice to the end, at most: Compute Engine documentation, "Spot VMs".
const LEAD: Duration = Duration::from_secs(30);
/// How long to wait after a question that failed.
const BREATH: Duration = Duration::from_secs(5);
/// How long between two questions at least: a server that answers at once must not keep us busy.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the server may hold an answer back. It answers at once when something changes.
const HOLD_SECONDS: u64 = 60;
/// How long it may take beyond that.
const GRACE: Duration = Duration::from_secs(5);

const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

/// The server.
pub(crate) struct Metadata {
    service: Service,
    clock: Arc<dyn Clock>,
}

/// What the machine is told about its end.
pub(crate) struct Watch {
    metadata: Metadata,
    /// Of the last answer: the next one comes when there is another. `0` is answered at once.
    etag: String,
    over: bool,
}

impl Metadata {
    pub(crate) fn new(service: Service, clock: Arc<dyn Clock>) -> Self {
        Self { service, clock }
    }

    pub(crate) async fn about(&self) -> Result<About> {
        let must = async |path: &str| self.get(path).await?.ok_or_else(|| refused(404));
        let (zone, name) = (must("zone").await?, must("name").await?);
        let (kind, spot) = (must("machine-type").await?, must("scheduling/preemptible").await?);
        let identity = identity(&zone, &name, &kind, &spot)?;
        // Labels are not told to the machine: skyfleet writes these into its metadata, too.
        let attribute = async |name: &str| self.get(&format!("attributes/{name}")).await;
        let (of, within) = (attribute(tag::OWNER).await?, attribute(tag::FLEET).await?);
        Ok(About { identity, owner: owner(of.as_deref()), fleet: fleet(within.as_deref()) })
    }

    /// One entry of the instance; `None` when there is none.
    async fn get(&self, path: &str) -> Result<Option<String>> {
        let _hold = self.clock.hold();
        let path = format!("computeMetadata/v1/instance/{path}");
        let answer = google(self.service.ask(&Question::get(&path, &[FLAVOR])).await?)?;
        match answer.status {
            404 => Ok(None),
            _ => answer.text().map(Some),
        }
    }
}

impl Watch {
    pub(crate) fn new(metadata: Metadata) -> Self {
        Self { metadata, etag: "0".to_owned(), over: false }
    }

    pub(crate) async fn next(&mut self) -> Option<MachineNotice> {
        while !self.over {
            let wait = match self.look().await {
                Ok(true) => {
                    self.over = true;
                    let now = self.metadata.clock.now();
                    let at = now.checked_add(LEAD).unwrap_or(Timestamp::MAX);
                    return Some(MachineNotice { kind: PreemptionKind::Notice, at });
                }
                Ok(false) => PAUSE,
                Err(error) => {
                    tracing::debug!(%error, "the metadata server does not answer");
                    BREATH
                }
            };
            self.metadata.clock.sleep(wait).await;
        }
        None
    }

    async fn look(&mut self) -> Result<bool> {
        let path = format!(
            "computeMetadata/v1/instance/preempted?wait_for_change=true&timeout_sec={HOLD_SECONDS}&last_etag={}",
            self.etag
        );
        let within = Duration::from_secs(HOLD_SECONDS) + GRACE;
        let question = Question { within, ..Question::get(&path, &[FLAVOR]) };
        let answer = google(self.metadata.service.ask(&question).await?)?;
        self.etag = etag(answer.header("etag")).to_owned();
        Ok(is_true(&answer.text()?))
    }
}

/// By its header an answer is the metadata server's: Compute Engine documentation, "Query VM
/// metadata".
fn google(answer: Answer) -> Result<Answer> {
    match answer.header(FLAVOR.0) {
        Some(flavor) if flavor.eq_ignore_ascii_case(FLAVOR.1) => Ok(answer),
        _ => Err(strange("who answers is no metadata server of Compute Engine")),
    }
}

/// The tag to ask with next; with `0` the next answer comes at once.
fn etag(told: Option<&str>) -> &str {
    let fits = |tag: &&str| (1..=64).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    told.filter(fits).unwrap_or("0")
}

fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

/// `projects/123/zones/us-central1-a`, `words-7`, `projects/123/machineTypes/n2-standard-2`, `TRUE`.
fn identity(zone: &str, name: &str, kind: &str, spot: &str) -> Result<Identity> {
    let last = |path: &'static str, text: &str| -> Result<String> {
        Ok(word(path, text.trim().rsplit('/').next().unwrap_or_default())?.to_owned())
    };
    let (zone, kind) = (last("zone", zone)?, last("type", kind)?);
    let region = zone.rsplit_once('-').map(|(region, _)| region).filter(|region| !region.is_empty());
    let region = region.ok_or_else(|| strange("the machine's zone is in no region"))?;
    Ok(Identity {
        cloud: Cloud::Gcp,
        id: format!("zones/{zone}/instances/{}", word("name", name)?).into(),
        region: region.into(),
        instance_type: kind.into(),
        market: if is_true(spot) { Market::Spot } else { Market::OnDemand },
        zone: zone.into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_entries_make_an_identity() {
        let (zone, kind) = ("projects/1/zones/us-central1-a", "projects/1/machineTypes/n2-standard-2");
        let read = identity(zone, "words-7\n", kind, "TRUE").unwrap();
        assert_eq!(read.id.as_str(), "zones/us-central1-a/instances/words-7");
        assert_eq!((read.region.as_str(), read.zone.as_str()), ("us-central1", "us-central1-a"));
        assert_eq!((read.instance_type.as_str(), read.market), ("n2-standard-2", Market::Spot));
        assert_eq!(identity(zone, "w", kind, "FALSE").unwrap().market, Market::OnDemand);
        for (zone, name) in
            [("", "w"), ("nowhere", "w"), ("-a", "w"), (zone, ""), (zone, "a/b"), (zone, "..")]
        {
            assert!(identity(zone, name, kind, "FALSE").is_err(), "{zone} {name}");
        }
    }

    #[test]
    fn only_a_plain_tag_is_asked_with_again() {
        assert_eq!(etag(Some("411261ca6c9e4ad1")), "411261ca6c9e4ad1");
        for wrong in [None, Some(""), Some("a&timeout_sec=0"), Some("a b"), Some(&*"x".repeat(65))] {
            assert_eq!(etag(wrong), "0", "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_brings_it_down(zone in "\\PC{0,60}", name in "\\PC{0,60}", rest in "\\PC{0,60}") {
            if let Ok(read) = identity(&zone, &name, &rest, &rest) {
                prop_assert_eq!(read.id.as_str().split('/').count(), 4);
            }
            prop_assert!(etag(Some(&zone)).len() <= 64);
        }
    }
}
