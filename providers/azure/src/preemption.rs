//! What Azure takes back, seen from outside the machine.
//!
//! A machine that is taken back under the policy `Delete` is gone, and so is one that its user
//! deleted: no list tells the two apart. The activity log does: the platform writes each eviction
//! into it as `Microsoft.Compute/virtualMachines/evictSpotVM/action`, with its time, and keeps it for
//! 90 days. One question serves a whole fleet. The log is some minutes late (Azure documentation,
//! "Azure Monitor activity log"); that a machine is gone shows at once in every list.
//!
//! Azure can publish scheduled events to Resource Graph too, but not of machines that a fleet makes:
//! its profile has no `scheduledEventsPolicy` (azure-mgmt-computefleet, `BaseVirtualMachineProfile`).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use skyfleet_core::read_to::{Known, ReadTo};
use skyfleet_core::{
    Cursor, InstanceId, Preemption, PreemptionHandling, PreemptionKind, PreemptionPage, Result, Selector,
    Timestamp,
};

use crate::AzureProvider;
use crate::names::{self, Machine, Part};

/// What this provider's cursors begin with.
const WORD: &str = "azure1";

const OPERATION: &str = "azure.preemptions";
const EVICTION: &str = "Microsoft.Compute/virtualMachines/evictSpotVM/action";

/// How far back the log can be asked (Azure Monitor API reference, "Activity Logs": 90 days); a day
/// less, because clocks differ.
const KEPT: Duration = Duration::from_secs(89 * 86_400);

#[async_trait]
impl PreemptionHandling for AzureProvider {
    async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage> {
        let mut place = ReadTo::parse(WORD, after).map_err(|error| error.at(OPERATION))?;
        let now = self.client.clock().now();
        let from = place.horizon().max(now - KEPT);
        let events = self.client.activity(OPERATION, self.group_of(selector).as_deref(), from, now).await?;
        // Of one eviction the log has several entries; the first one with an end counts.
        let mut evicted: BTreeMap<InstanceId, Timestamp> = BTreeMap::new();
        for (id, at) in events.iter().filter_map(eviction) {
            if is_of(&id, selector) {
                let first = evicted.entry(id).or_insert(at);
                *first = at.min(*first);
            }
        }
        let mut told = Vec::new();
        for (id, at) in evicted {
            if place.of(&id, at).is_none() {
                place.note(id.clone(), Known { notice: at, over: true });
                told.push(Preemption {
                    instance: id,
                    kind: PreemptionKind::Reclaimed,
                    at,
                    deadline: None,
                    reason: "evictSpotVM".to_owned(),
                });
            }
        }
        told.sort_by(|a, b| (a.at, &a.instance).cmp(&(b.at, &b.instance)));
        place.read_until(now);
        Ok(PreemptionPage { preemptions: told, next: place.cursor() })
    }
}

impl AzureProvider {
    /// The resource group that holds a whole selection, where one does: its log is shorter.
    fn group_of(&self, selector: &Selector) -> Option<String> {
        let fleet = selector.fleet.as_ref()?;
        let own = || names::group(&selector.owner, fleet);
        Some(self.client.settings().resource_group.clone().unwrap_or_else(own))
    }
}

/// Whether a machine is of a selection, as its name says: it is gone, and its tags with it.
fn is_of(id: &InstanceId, selector: &Selector) -> bool {
    let named = Machine::parse(id.as_str()).and_then(|machine| Part::parse(machine.name()));
    named.is_some_and(|part| part.is_of(selector)) && (selector.ids.is_empty() || selector.ids.contains(id))
}

/// The machine that an entry of the log says to be evicted, and when; in whole seconds, as a cursor
/// keeps them.
fn eviction(event: &Value) -> Option<(InstanceId, Timestamp)> {
    let text = |at: &str| event.pointer(at).and_then(Value::as_str);
    if !text("/operationName/value")?.eq_ignore_ascii_case(EVICTION) {
        return None;
    }
    let over = text("/status/value").is_none_or(|status| status.eq_ignore_ascii_case("Succeeded"));
    let at: Timestamp = text("/eventTimestamp").filter(|_| over)?.parse().ok()?;
    Some((Machine::parse(text("/resourceId")?)?.id(), Timestamp::from_second(at.as_second()).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skyfleet_core::{FleetName, Owner, Token};

    use super::*;

    #[test]
    fn an_entry_tells_who_was_evicted_and_when() {
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        let name = format!("{}_1f_0", Part::of(&Token::derive(&owner, &fleet, 0), 0));
        let path =
            format!("/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.COMPUTE/VIRTUALMACHINES/{name}");
        let event = |operation: &str, status: &str| {
            json!({
                "operationName": { "value": operation },
                "status": { "value": status },
                "resourceId": path,
                "eventTimestamp": "2026-01-01T00:00:07.9Z",
            })
        };
        let (id, at) = eviction(&event(EVICTION, "Succeeded")).unwrap();
        assert_eq!(at.as_second(), 1_767_225_607);
        assert!(is_of(&id, &Selector::fleet(&owner, &fleet)), "{id}");
        assert!(!is_of(&id, &Selector::owner(&Owner::parse("bob").unwrap())));
        let ids = vec!["other".into()];
        assert!(!is_of(&id, &Selector { ids, ..Selector::owner(&owner) }));
        assert_eq!(eviction(&event(EVICTION, "Started")), None);
        assert_eq!(eviction(&event("Microsoft.Compute/virtualMachines/delete", "Succeeded")), None);
    }
}
