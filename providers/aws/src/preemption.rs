//! What EC2 takes back, seen from outside the machine.
//!
//! The status of an instance's spot request changes at the moment of the notice, two minutes
//! before the end (EC2 user guide, "Spot request status codes"): one question about the requests
//! with such a status serves a whole fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName, SpotInstanceRequest};
use futures::future::try_join_all;
use skyfleet_core::read_to::{Known, ReadTo};
use skyfleet_core::{
    Cursor, InstanceId, Preemption, PreemptionHandling, PreemptionKind, PreemptionPage, Region, Result,
    Selector, Timestamp, tag,
};

use crate::AwsProvider;
use crate::client::fleet::{FILTER_MAX, filter};
use crate::convert;

mod queue;

/// What this provider's cursors begin with.
const WORD: &str = "aws1";

/// From the notice to the end (EC2 user guide, "Spot Instance interruption notices").
pub(crate) const LEAD: Duration = Duration::from_secs(120);

/// The status codes of a request whose instance EC2 takes back, or has taken.
const TAKEN: [&str; 7] = [
    "marked-for-termination",
    "instance-terminated-no-capacity",
    "instance-terminated-by-price",
    "instance-terminated-by-service",
    "instance-terminated-capacity-oversubscribed",
    "instance-terminated-launch-group-constraint",
    "instance-terminated-by-experiment",
];

#[async_trait]
impl PreemptionHandling for AwsProvider {
    async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage> {
        let mut place = ReadTo::parse(WORD, after).map_err(|error| error.at("aws.preemptions"))?;
        let regions = self.client.regions().await?;
        let notices = regions.iter().map(|region| self.notices(region, selector));
        let notices: BTreeMap<InstanceId, Notice> =
            try_join_all(notices).await?.into_iter().flatten().collect();

        let mut told = Vec::new();
        let mut waiting: BTreeMap<InstanceId, Notice> = BTreeMap::new();
        for (id, at) in place.pending() {
            // One whose request EC2 has forgotten meanwhile is still looked for.
            let lost = || Notice { region: None, at, reason: "instance-terminated".to_owned() };
            waiting.insert(id.clone(), notices.get(id).cloned().unwrap_or_else(lost));
        }
        for (id, notice) in notices {
            if place.of(&id, notice.at).is_some() {
                continue;
            }
            place.note(id.clone(), Known { notice: notice.at, over: false });
            told.push(notice.told(&id, PreemptionKind::Notice));
            waiting.insert(id, notice);
        }
        for (id, end) in self.ends(&regions, &waiting).await? {
            let notice = &waiting[&id];
            let at = place.of(&id, notice.at).map_or(notice.at, |known| known.notice);
            if end == End::Reclaimed {
                told.push(notice.told(&id, PreemptionKind::Reclaimed));
            }
            place.note(id, Known { notice: at, over: true });
        }
        told.extend(self.advice(selector).await?);
        // Of one moment the ends first: they were decided before.
        told.sort_by(|a, b| (a.at, b.kind, &a.instance).cmp(&(b.at, a.kind, &b.instance)));
        place.tidy();
        Ok(PreemptionPage { preemptions: told, next: place.cursor() })
    }
}

/// EC2 takes an instance back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Notice {
    region: Option<Region>,
    at: Timestamp,
    reason: String,
}

impl Notice {
    fn deadline(&self) -> Timestamp {
        self.at + LEAD
    }

    fn told(&self, id: &InstanceId, kind: PreemptionKind) -> Preemption {
        let is_notice = kind == PreemptionKind::Notice;
        Preemption {
            instance: id.clone(),
            kind,
            at: if is_notice { self.at } else { self.deadline() },
            deadline: is_notice.then(|| self.deadline()),
            reason: self.reason.clone(),
        }
    }
}

/// How an instance ended that had a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reclaimed,
    /// Its user was faster.
    ByUser,
}

impl AwsProvider {
    /// The instances of a region that EC2 takes back or has taken.
    async fn notices(&self, region: &Region, selector: &Selector) -> Result<Vec<(InstanceId, Notice)>> {
        let mut filters = whose(selector);
        filters.push(filter("status-code", TAKEN));
        let ids: BTreeSet<&str> = selector.ids.iter().map(|id| id.as_str()).collect();
        let mut notices = Vec::new();
        let take = |request: SpotInstanceRequest| {
            let read = read(region, request);
            notices.extend(read.filter(|(id, _)| ids.is_empty() || ids.contains(id.as_str())));
        };
        self.client.spot_requests("aws.preemptions", region, filters, take).await?;
        Ok(notices)
    }

    /// Of instances whose notice is old enough those that have ended, and how. EC2 is only asked
    /// when there is such a one.
    async fn ends(
        &self,
        regions: &[Region],
        waiting: &BTreeMap<InstanceId, Notice>,
    ) -> Result<BTreeMap<InstanceId, End>> {
        let now = self.client.clock().now();
        let due = |region: &Region| -> Vec<&str> {
            let here = |notice: &Notice| notice.region.as_ref().is_none_or(|own| own == region);
            let due = waiting.iter().filter(|(_, notice)| notice.deadline() <= now && here(notice));
            due.map(|(id, _)| id.as_str()).collect()
        };
        let asks = regions.iter().map(|region| async move {
            let due = due(region);
            let mut states = BTreeMap::new();
            for ids in due.chunks(FILTER_MAX) {
                let filters = vec![filter("instance-id", ids.iter().copied())];
                let take = |instance: Instance| states.extend(end(&instance));
                self.client.instances("aws.preemptions", region, filters, take).await?;
            }
            Ok::<_, skyfleet_core::Error>((due, states))
        });
        let mut ends = BTreeMap::new();
        for (due, states) in try_join_all(asks).await? {
            for id in due {
                match states.get(id) {
                    Some(None) => drop(ends.remove(id)),
                    Some(Some(end)) => drop(ends.insert(InstanceId::from(id), *end)),
                    // EC2 has forgotten it, and nobody else ended it as far as is known.
                    None => drop(ends.entry(id.into()).or_insert(End::Reclaimed)),
                }
            }
        }
        Ok(ends)
    }

    /// What EC2 advises to leave, from the queue of the settings. A message is taken out of the
    /// queue when it is told: advice that is lost in a crash is no loss.
    async fn advice(&self, selector: &Selector) -> Result<Vec<Preemption>> {
        let Some(queue) = &self.client.settings().queue_url else { return Ok(Vec::new()) };
        let mut told = Vec::new();
        let mut receipts = Vec::new();
        for message in self.client.messages(queue).await? {
            let Some(advice) = message.body().and_then(queue::advice) else { continue };
            let wanted = selector.ids.is_empty() || selector.ids.contains(&advice.instance);
            if !wanted || !self.is_ours(&advice.instance, selector).await? {
                continue;
            }
            receipts.extend(message.receipt_handle().map(str::to_owned));
            told.push(Preemption {
                instance: advice.instance,
                kind: PreemptionKind::Rebalance,
                at: advice.at,
                deadline: None,
                reason: "rebalance-recommendation".to_owned(),
            });
        }
        if !receipts.is_empty() {
            self.client.delete_messages(queue, &receipts).await?;
        }
        Ok(told)
    }

    /// Whether an instance is of the selection: several fleets may share a queue.
    async fn is_ours(&self, id: &InstanceId, selector: &Selector) -> Result<bool> {
        let regions = match self.whereabouts.region(id) {
            Some(region) => vec![region],
            None => self.client.regions().await?,
        };
        let mut found = false;
        for region in &regions {
            let mut filters = whose(selector);
            filters.push(filter("instance-id", [id.as_str()]));
            self.client.instances("aws.preemptions", region, filters, |_| found = true).await?;
        }
        Ok(found)
    }
}

fn whose(selector: &Selector) -> Vec<Filter> {
    let owner = filter(format!("tag:{}", tag::OWNER), [selector.owner.as_str()]);
    let fleet = selector.fleet.as_ref().map(|fleet| filter(format!("tag:{}", tag::FLEET), [fleet.as_str()]));
    [owner].into_iter().chain(fleet).collect()
}

fn read(region: &Region, request: SpotInstanceRequest) -> Option<(InstanceId, Notice)> {
    let status = request.status()?;
    let code = status.code().filter(|code| TAKEN.contains(code))?;
    // Whole seconds, as a cursor keeps them.
    let at = Timestamp::from_second(convert::time(status.update_time()?)?.as_second()).ok()?;
    let notice = Notice { region: Some(region.clone()), at, reason: code.to_owned() };
    Some((request.instance_id()?.into(), notice))
}

/// An instance and its end; `None` when it has not ended.
fn end(instance: &Instance) -> Option<(String, Option<End>)> {
    use InstanceStateName::{ShuttingDown, Stopped, Stopping, Terminated};
    let state = instance.state()?.name()?;
    let ended = [ShuttingDown, Terminated, Stopping, Stopped].contains(state);
    let by_user = instance.state_reason().and_then(|reason| reason.code()).is_some_and(|code| {
        // `Client.UserInitiatedShutdown`, `Client.InstanceInitiatedShutdown`
        code.starts_with("Client.")
    });
    let end = ended.then_some(if by_user { End::ByUser } else { End::Reclaimed });
    Some((instance.instance_id()?.to_owned(), end))
}
