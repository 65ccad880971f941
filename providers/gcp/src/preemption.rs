//! What Compute Engine takes back, seen from outside the machine.
//!
//! A list shows who is stopping or gone: two calls for a thousand instances. The reason stands in
//! the operations of the project (`compute.instances.preempted`, Compute Engine documentation,
//! "Spot VMs"), which are only read when the list shows that somebody went, and now and then
//! besides. They have been seen to be incomplete when many machines go at once (fuzzbench, issue
//! 674): who is gone for long, and whom nobody ended, was taken back too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use google_cloud_compute_v1::model::Operation;
use skyfleet_core::read_to::{Known, ReadTo};
use skyfleet_core::{
    Cursor, Instance, InstanceId, InstanceState, Market, Preemption, PreemptionHandling, PreemptionKind,
    PreemptionPage, Result, Selector, Timestamp,
};

use crate::GcpProvider;
use crate::client::fleet::whose;
use crate::convert::Reader;
use crate::names::InstanceName;
use crate::whereabouts::Whereabouts;

mod memory;

pub(crate) use memory::Memory;

/// What this provider's cursors begin with.
const WORD: &str = "gcp1";

/// From the notice to the end, at most (Compute Engine documentation, "Spot VMs").
pub(crate) const LEAD: Duration = Duration::from_secs(30);

const OPERATION: &str = "gcp.preemptions";
const PREEMPTED: &str = "compute.instances.preempted";

/// How long the operations may be left unread while nobody seems to go: one that came up and went
/// between two looks shows only there.
const UNREAD_MAX: Duration = Duration::from_secs(60);
/// How long the operation of an instance that is gone may be late.
const UNEXPLAINED_MAX: Duration = Duration::from_secs(90);
/// How many names one filter asks about.
const NAMES_MAX: usize = 20;

#[async_trait]
impl PreemptionHandling for GcpProvider {
    async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage> {
        let mut place = ReadTo::parse(WORD, after).map_err(|error| error.at(OPERATION))?;
        let listed = self.spot_of(selector).await?;
        let now = self.client.clock().now();
        let waits = place.pending().next().is_some();
        if !waits && self.memory.is_quiet(selector, after, &listed, now) {
            return Ok(PreemptionPage { preemptions: Vec::new(), next: after.clone() });
        }
        let mut notices = self.notices(selector).await?;
        self.infer(selector, &listed, &notices).await?;
        for (id, at) in self.memory.inferred() {
            if is_of(&id, selector) {
                notices.entry(id).or_insert(at);
            }
        }

        let mut told = Vec::new();
        for (id, at) in &notices {
            if place.of(id, *at).is_none() {
                place.note(id.clone(), Known { notice: *at, over: false });
                told.push(tell(id, *at, PreemptionKind::Notice));
            }
        }
        let due = place.pending().filter(|(_, notice)| *notice + LEAD <= now);
        let gone = due.filter(|(id, _)| listed.get(*id).is_none_or(|instance| has_ended(instance.state)));
        for (id, notice) in gone.map(|(id, at)| (id.clone(), at)).collect::<Vec<_>>() {
            told.push(tell(&id, notice, PreemptionKind::Reclaimed));
            place.note(id, Known { notice, over: true });
        }
        // Of one moment the ends first: they were decided before.
        told.sort_by(|a, b| (a.at, b.kind, &a.instance).cmp(&(b.at, a.kind, &b.instance)));
        place.tidy();
        let next = place.cursor();
        self.memory.looked(selector, &next, &listed, now);
        Ok(PreemptionPage { preemptions: told, next })
    }
}

fn has_ended(state: InstanceState) -> bool {
    matches!(state, InstanceState::Stopped | InstanceState::Terminated)
}

fn tell(id: &InstanceId, notice: Timestamp, kind: PreemptionKind) -> Preemption {
    let is_notice = kind == PreemptionKind::Notice;
    Preemption {
        instance: id.clone(),
        kind,
        at: if is_notice { notice } else { notice + LEAD },
        deadline: is_notice.then(|| notice + LEAD),
        reason: PREEMPTED.to_owned(),
    }
}

/// Whether an instance is of a selection, as its name says.
fn is_of(id: &InstanceId, selector: &Selector) -> bool {
    let named = Whereabouts::of_instance(id).and_then(|(_, name)| InstanceName::parse(&name));
    named.is_some_and(|name| name.is_of(selector)) && (selector.ids.is_empty() || selector.ids.contains(id))
}

impl GcpProvider {
    /// The spot instances of a selection that a list shows.
    async fn spot_of(&self, selector: &Selector) -> Result<BTreeMap<InstanceId, Instance>> {
        let filter = whose(&selector.owner, selector.fleet.as_ref());
        let listed = self.client.instances_of(OPERATION, &filter).await?;
        let mut reader = Reader::default();
        let read = listed.iter().filter_map(|instance| reader.instance(instance));
        let wanted = |instance: &Instance| {
            instance.offer.market == Market::Spot
                && (selector.ids.is_empty() || selector.ids.contains(&instance.id))
        };
        Ok(read.filter(wanted).map(|instance| (instance.id.clone(), instance)).collect())
    }

    /// The instances of a selection that were taken back, and when.
    async fn notices(&self, selector: &Selector) -> Result<BTreeMap<InstanceId, Timestamp>> {
        let filter = format!("operationType = \"{PREEMPTED}\"");
        let operations = self.client.operations_of(OPERATION, &filter).await?;
        let read = operations.iter().filter_map(notice);
        Ok(read.filter(|(id, _)| is_of(id, selector)).collect())
    }

    /// Notes who is gone for long without an operation that says why.
    async fn infer(
        &self,
        selector: &Selector,
        listed: &BTreeMap<InstanceId, Instance>,
        notices: &BTreeMap<InstanceId, Timestamp>,
    ) -> Result<()> {
        let now = self.client.clock().now();
        let lost = self.memory.lost(selector, listed, notices, now);
        let due: BTreeMap<&InstanceId, Timestamp> = lost
            .iter()
            .filter(|(_, since)| **since + UNEXPLAINED_MAX <= now)
            .map(|(id, at)| (id, *at))
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let ids: Vec<&InstanceId> = due.keys().copied().collect();
        for some in ids.chunks(NAMES_MAX) {
            let known: Vec<String> =
                some.iter().filter_map(|id| Some(Whereabouts::of_instance(id)?.1)).collect();
            // A name has letters, digits and hyphens only: nothing that a pattern would read otherwise.
            let filter = format!("targetLink eq \".*/instances/({})\"", known.join("|"));
            let operations = self.client.operations_of(OPERATION, &filter).await?;
            let ended: BTreeSet<InstanceId> =
                operations.iter().filter(|one| ends(one)).filter_map(target).collect();
            for id in some {
                match (ended.contains(*id), due.get(id)) {
                    (false, Some(since)) => self.memory.infer((*id).clone(), *since - LEAD),
                    _ => self.memory.explained(id),
                }
            }
        }
        Ok(())
    }
}

/// Whether an operation ends its instance, for whatever reason.
fn ends(operation: &Operation) -> bool {
    !matches!(
        operation.operation_type.as_deref(),
        None | Some("insert" | "bulkInsert" | "start" | "setLabels" | "setMetadata")
    )
}

fn target(operation: &Operation) -> Option<InstanceId> {
    let what = Whereabouts::parse(operation.target_link.as_deref()?)?;
    (what.collection == "instances").then(|| InstanceId::from(what.to_string()))
}

fn notice(operation: &Operation) -> Option<(InstanceId, Timestamp)> {
    if operation.operation_type.as_deref() != Some(PREEMPTED) {
        return None;
    }
    let at: Timestamp = operation.insert_time.as_deref()?.parse().ok()?;
    // Whole seconds, as a cursor keeps them.
    Some((target(operation)?, Timestamp::from_second(at.as_second()).ok()?))
}

#[cfg(test)]
mod tests {
    use skyfleet_core::{FleetName, Owner, Token};

    use super::*;

    fn named() -> (Owner, FleetName, String) {
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        let token = Token::derive(&owner, &fleet, 0);
        let name = InstanceName::of_launch(&token, 0, 1).next().unwrap().to_string();
        (owner, fleet, name)
    }

    #[test]
    fn an_operation_tells_who_was_taken_back_and_when() {
        let (owner, fleet, name) = named();
        let link =
            format!("https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-b/instances/{name}");
        let operation = Operation::new()
            .set_operation_type(PREEMPTED)
            .set_target_link(&link)
            .set_insert_time("2026-01-01T00:00:07.250-08:00");
        let (id, at) = notice(&operation).unwrap();
        assert_eq!(id.as_str(), format!("zones/us-east1-b/instances/{name}"));
        assert_eq!(at.to_string(), "2026-01-01T08:00:07Z");
        assert!(is_of(&id, &Selector::fleet(&owner, &fleet)));
        assert!(!is_of(&id, &Selector::owner(&Owner::parse("bob").unwrap())));
        assert_eq!(notice(&operation.set_operation_type("delete")), None);
    }

    #[test]
    fn a_notice_has_its_end_half_a_minute_later() {
        let at = Timestamp::from_second(1_767_225_600).unwrap();
        let id = InstanceId::from("zones/z/instances/i");
        assert_eq!(tell(&id, at, PreemptionKind::Notice).deadline, Some(at + LEAD));
        let end = tell(&id, at, PreemptionKind::Reclaimed);
        assert_eq!((end.at, end.deadline), (at + LEAD, None));
    }
}
