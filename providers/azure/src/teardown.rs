//! Giving everything back.
//!
//! A resource group that is ours alone goes as a whole, by one call. Machines in one that is not are
//! ended by the hundred, and what they leave is deleted singly, in the order in which Azure lets go
//! of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;
use skyfleet_core::{
    DeleteReceipt, Error, ErrorKind, InstanceId, Inventory, Leftover, Owner, Region, Resource, Result, Retry,
    Teardown, TerminateReceipt,
};

use crate::AzureProvider;
use crate::client::arm::Call;
use crate::client::fleet::DELETE_MAX;
use crate::error::ArmError;
use crate::names::{Id, Machine, guid, plain};

mod groups;
mod inventory;
mod kind;

use kind::Kind;

const TERMINATE: &str = "azure.terminate";
const DELETE: &str = "azure.delete";

/// How many single deletions are under way at once: Resource Manager gives ten back each second
/// (Azure documentation, "Understand how Azure Resource Manager throttles requests").
const AT_ONCE: usize = 16;
/// How long the deletion of one thing is waited for: seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[async_trait]
impl Teardown for AzureProvider {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        let mut receipt = TerminateReceipt::default();
        let mut known = BTreeMap::new();
        for id in instances.iter().collect::<BTreeSet<_>>() {
            match Machine::parse(id.as_str()) {
                Some(machine) => drop(known.insert(machine.id(), id.clone())),
                None => receipt.gone.push(id.clone()),
            }
        }
        let ids: Vec<&InstanceId> = known.keys().collect();
        for (id, gone) in self.end(TERMINATE, &ids).await? {
            let asked = known.get(&id).cloned().unwrap_or(id);
            if gone { &mut receipt.gone } else { &mut receipt.ending }.push(asked);
        }
        Ok(receipt)
    }

    async fn inventory(&self, owner: &Owner) -> Result<Inventory> {
        inventory::of(self, owner).await
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        let mut receipt = DeleteReceipt::default();
        let mut wanted: BTreeMap<&Resource, (Kind, Id)> = BTreeMap::new();
        for resource in resources.iter().collect::<BTreeSet<_>>() {
            match Id::parse(&resource.id).and_then(|id| Some((Kind::of(&id)?, id))) {
                Some(what) => drop(wanted.insert(resource, what)),
                None => receipt.pending.push(leftover(resource, foreign(resource))),
            }
        }
        let fates = groups::of(self, &wanted).await?;
        let mut machines: BTreeMap<InstanceId, &Resource> = BTreeMap::new();
        let mut others: BTreeMap<Kind, Vec<(&Resource, Id)>> = BTreeMap::new();
        for (resource, (kind, id)) in wanted {
            match (fates.get(&id.group), kind) {
                (Some(groups::Fate::Gone), _) => receipt.deleted.push(resource.clone()),
                (Some(groups::Fate::Going), _) => receipt.pending.push(leftover(resource, going(&id.group))),
                (Some(groups::Fate::Held(why)), Kind::Group) => {
                    receipt.pending.push(leftover(resource, held(why)))
                }
                (_, Kind::Machine) => drop(machines.insert(InstanceId::from(id.to_string()), resource)),
                _ => others.entry(kind).or_default().push((resource, id)),
            }
        }
        let ids: Vec<&InstanceId> = machines.keys().collect();
        let mut ending: BTreeSet<String> = BTreeSet::new();
        for (id, gone) in self.end(DELETE, &ids).await? {
            let Some(resource) = machines.get(&id) else { continue };
            if gone {
                receipt.deleted.push((*resource).clone());
            } else {
                ending.extend(Id::parse(id.as_str()).map(|id| id.group));
                receipt.pending.push(leftover(resource, still_ending()));
            }
        }
        for (kind, these) in others {
            // Azure would refuse: machines of this very call still hold it.
            let (held, free): (Vec<_>, Vec<_>) = these
                .into_iter()
                .partition(|(_, id)| kind.is_held_by_machines() && ending.contains(&id.group));
            receipt.pending.extend(held.into_iter().map(|(resource, _)| leftover(resource, in_use())));
            self.remove(kind, free, &mut receipt).await?;
        }
        Ok(receipt)
    }
}

impl AzureProvider {
    /// Ends machines and says of each whether it was gone already.
    async fn end(&self, operation: &'static str, ids: &[&InstanceId]) -> Result<Vec<(InstanceId, bool)>> {
        let mut ended = Vec::new();
        let mut places: BTreeMap<Region, Vec<&InstanceId>> = BTreeMap::new();
        let mut strangers = BTreeSet::new();
        for id in ids {
            match self.whereabouts.region(id) {
                Some(region) => places.entry(region).or_default().push(id),
                None => drop(strangers.insert(*id)),
            }
        }
        if !strangers.is_empty() {
            // One question finds all of them.
            let mut found = BTreeMap::new();
            for machine in self.client.machines(operation).await? {
                found.extend(crate::convert::id(&machine).map(|id| (id, plain(&machine.resource.location))));
            }
            for id in strangers {
                match found.get(id) {
                    Some(region) => places.entry(region.as_str().into()).or_default().push(id),
                    None => ended.push((id.clone(), true)),
                }
            }
        }
        for (region, ids) in places {
            ended.extend(self.end_in(operation, &region, &ids).await?);
        }
        Ok(ended)
    }

    /// Ends machines of one region, as many to a call as Azure takes.
    ///
    /// # Errors
    /// Those of the calls, and what is said of a machine that could not be ended.
    pub(crate) async fn end_in(
        &self,
        operation: &'static str,
        region: &Region,
        ids: &[&InstanceId],
    ) -> Result<Vec<(InstanceId, bool)>> {
        let mut ended = Vec::new();
        let mut begun = false;
        for batch in ids.chunks(DELETE_MAX) {
            let correlation = guid(&(batch, self.client.clock().now().as_millisecond()));
            let told = self.client.end(operation, region, batch, &correlation, begun).await?;
            begun = true;
            let mut fates: BTreeMap<InstanceId, Option<ArmError>> = BTreeMap::new();
            for one in &told {
                let id = one.get("resourceId").and_then(Value::as_str).and_then(Machine::parse);
                fates.extend(id.map(|id| (id.id(), refusal(one))));
            }
            for id in batch {
                match fates.get(*id) {
                    Some(Some(refusal)) if refusal.error().kind() == ErrorKind::NotFound => {
                        ended.push(((*id).clone(), true));
                    }
                    Some(Some(refusal)) => return Err(refusal.error().with("instance", id).at(operation)),
                    _ => ended.push(((*id).clone(), false)),
                }
            }
        }
        Ok(ended)
    }

    /// Deletes things of one kind, and waits until Azure says that they are gone.
    async fn remove(
        &self,
        kind: Kind,
        these: Vec<(&Resource, Id)>,
        receipt: &mut DeleteReceipt,
    ) -> Result<()> {
        let removals = these.into_iter().map(|(resource, id)| async move {
            Ok::<_, Error>((resource, self.remove_one(kind, &id).await?))
        });
        let removals: Vec<_> = removals.collect();
        let mut removals = futures::stream::iter(removals).buffered(AT_ONCE);
        while let Some(one) = removals.next().await {
            match one? {
                (resource, None) => receipt.deleted.push(resource.clone()),
                (resource, Some(reason)) => receipt.pending.push(leftover(resource, reason)),
            }
        }
        Ok(())
    }

    /// Deletes one thing; answers why it is still there, if it is.
    async fn remove_one(&self, kind: Kind, id: &Id) -> Result<Option<Error>> {
        let call = Call::delete(DELETE, id.to_string(), kind.version());
        match self.client.done(&call, PATIENCE).await {
            Ok(()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                // An interface that is reserved says until when.
                let again = if let Retry::After(time) = error.retry() { time } else { None };
                Ok(Some(error.retrying(Retry::After(again))))
            }
            Err(error) => Err(error),
        }
    }
}

/// What is said against the end of one machine of a batch.
fn refusal(told: &Value) -> Option<ArmError> {
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let inner = told.pointer("/operation/resourceOperationError").unwrap_or(&Value::Null);
    let outer = (text(told, "errorCode"), text(told, "errorDetails"));
    let (code, message) =
        if outer.0.is_empty() { (text(inner, "errorCode"), text(inner, "errorDetails")) } else { outer };
    (!code.is_empty()).then(|| ArmError { code, message, ..ArmError::default() })
}

fn leftover(resource: &Resource, reason: Error) -> Leftover {
    Leftover { resource: resource.clone(), reason }
}

fn pending(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, message).retrying(Retry::After(None)).at(DELETE)
}

fn still_ending() -> Error {
    pending("the machine is still ending")
}

fn in_use() -> Error {
    pending("machines that are still ending use it")
}

fn held(why: &str) -> Error {
    pending(why)
}

fn going(group: &str) -> Error {
    pending(format!("the resource group {group:?} is being deleted, with everything in it"))
}

fn foreign(resource: &Resource) -> Error {
    let Resource { kind, id, .. } = resource;
    let message = format!("the {kind} {id:?} is nothing that this provider makes or knows how to delete");
    Error::new(ErrorKind::Unsupported, message).at(DELETE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refused_end_is_told_in_the_answer_or_in_its_operation() {
        let inner = json!({ "operation": { "resourceOperationError": { "errorCode": "ResourceNotFound", "errorDetails": "no" } } });
        assert_eq!(refusal(&inner).unwrap().error().kind(), ErrorKind::NotFound);
        let outer = json!({ "errorCode": "AuthorizationFailed", "errorDetails": "no" });
        assert_eq!(refusal(&outer).unwrap().error().kind(), ErrorKind::PermissionDenied);
        assert_eq!(refusal(&json!({ "operation": { "state": "PendingScheduling" } })), None);
    }
}
