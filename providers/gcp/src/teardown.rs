//! Giving everything back.
//!
//! Compute Engine has no bulk call that ends machines which no group made: each is a call, and they
//! are made side by side within the rate quota. The README says why not a group.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::StreamExt;
use skyfleet_core::{
    DeleteReceipt, Error, ErrorKind, InstanceId, Inventory, Leftover, Owner, Resource, Result, Retry,
    Teardown, TerminateReceipt, Zone,
};

use crate::GcpProvider;
use crate::client::operations::{is_done, told};
use crate::client::pages::Calls;
use crate::whereabouts::Whereabouts;

mod inventory;

/// How many deletions are under way at once: a thousand take some seconds, and the rate quota of
/// 1,500 calls a minute is what bounds more (Compute Engine documentation, "Rate quotas").
const AT_ONCE: usize = 32;

const TERMINATE: &str = "gcp.terminate";
const DELETE: &str = "gcp.delete";

#[async_trait]
impl Teardown for GcpProvider {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        let mut receipt = TerminateReceipt::default();
        let mut known = Vec::new();
        for id in instances.iter().collect::<BTreeSet<_>>() {
            match Whereabouts::of_instance(id) {
                Some((zone, name)) => known.push((id.clone(), zone, name)),
                None => receipt.gone.push(id.clone()),
            }
        }
        for (id, gone) in self.end(TERMINATE, known).await? {
            if gone { &mut receipt.gone } else { &mut receipt.ending }.push(id);
        }
        Ok(receipt)
    }

    async fn inventory(&self, owner: &Owner) -> Result<Inventory> {
        inventory::of(&self.client, &self.catalogue, owner).await
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        let mut receipt = DeleteReceipt::default();
        let mut instances: BTreeMap<InstanceId, &Resource> = BTreeMap::new();
        let mut others: BTreeMap<Kind, Vec<(&Resource, Whereabouts)>> = BTreeMap::new();
        for resource in resources.iter().collect::<BTreeSet<_>>() {
            let id = InstanceId::new(resource.id.clone());
            let what = Whereabouts::parse(&resource.id);
            match what.and_then(|what| Some((Kind::of(&what)?, what))) {
                Some((Kind::Instance, _)) => drop(instances.insert(id, resource)),
                Some((kind, what)) => others.entry(kind).or_default().push((resource, what)),
                None => receipt.pending.push(leftover(resource, foreign(resource))),
            }
        }
        let known = instances.keys().filter_map(|id| {
            let (zone, name) = Whereabouts::of_instance(id)?;
            Some((id.clone(), zone, name))
        });
        for (id, gone) in self.end(DELETE, known.collect()).await? {
            let Some(resource) = instances.get(&id) else { continue };
            match gone {
                true => receipt.deleted.push((*resource).clone()),
                false => receipt.pending.push(leftover(resource, still_ending())),
            }
        }
        // In the order in which Compute Engine lets go of them.
        for (_, these) in others {
            self.remove(these, &mut receipt).await?;
        }
        Ok(receipt)
    }
}

/// What we make, or what a launch leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Instance,
    Disk,
    Address,
    Firewall,
}

impl Kind {
    fn of(what: &Whereabouts) -> Option<Self> {
        use crate::whereabouts::Place::{Global, Region, Zone};
        match (&what.place, what.collection.as_str()) {
            (Zone(_), "instances") => Some(Self::Instance),
            (Zone(_), "disks") => Some(Self::Disk),
            (Region(_), "addresses") => Some(Self::Address),
            (Global, "firewalls") => Some(Self::Firewall),
            _ => None,
        }
    }
}

impl GcpProvider {
    /// Ends instances, each by a call, and says of each whether it was gone already. The first call
    /// answers a throttle, so that whoever asked can decide; the others wait for the next minute.
    async fn end(
        &self,
        operation: &'static str,
        instances: Vec<(InstanceId, Zone, String)>,
    ) -> Result<Vec<(InstanceId, bool)>> {
        self.memory.ended(instances.iter().map(|(id, ..)| id));
        let mut ended = Vec::with_capacity(instances.len());
        let mut instances = instances.into_iter();
        if let Some((id, zone, name)) = instances.next() {
            let gone = self.end_one(Calls::new(&self.client, operation), &zone, &name).await?;
            ended.push((id, gone));
        }
        let ends = instances.map(|(id, zone, name)| async move {
            let gone = self.end_one(Calls::later(&self.client, operation), &zone, &name).await?;
            Ok::<_, Error>((id, gone))
        });
        let mut ends = futures::stream::iter(ends).buffered(AT_ONCE);
        while let Some(one) = ends.next().await {
            ended.push(one?);
        }
        Ok(ended)
    }

    async fn end_one(&self, mut calls: Calls<'_>, zone: &Zone, name: &str) -> Result<bool> {
        match self.client.delete_instance(&mut calls, zone, name).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Deletes things of one kind, and waits until Compute Engine says that they are gone.
    async fn remove(&self, these: Vec<(&Resource, Whereabouts)>, receipt: &mut DeleteReceipt) -> Result<()> {
        let mut begun = false;
        let removals = these.into_iter().map(|(resource, what)| {
            let calls = match std::mem::replace(&mut begun, true) {
                true => Calls::later(&self.client, DELETE),
                false => Calls::new(&self.client, DELETE),
            };
            async move { Ok::<_, Error>((resource, self.remove_one(calls, &what).await?)) }
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
    async fn remove_one(&self, mut calls: Calls<'_>, what: &Whereabouts) -> Result<Option<Error>> {
        let in_use = |error: Error| error.retrying(Retry::After(None)).at(DELETE);
        let begun = match self.client.delete_thing(&mut calls, what).await {
            Ok(Some(begun)) => begun,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(Some(in_use(error))),
            Err(error) => return Err(error),
        };
        let over = match is_done(&begun) {
            true => begun,
            false => self.client.finished(DELETE, self.client.project().await?, begun).await?,
        };
        let refusal =
            told(&over).into_iter().map(|told| told.error()).find(|e| e.kind() != ErrorKind::NotFound);
        Ok(refusal.map(in_use))
    }
}

fn leftover(resource: &Resource, reason: Error) -> Leftover {
    Leftover { resource: resource.clone(), reason }
}

fn still_ending() -> Error {
    Error::new(ErrorKind::Conflict, "the instance is still ending").retrying(Retry::After(None)).at(DELETE)
}

fn foreign(resource: &Resource) -> Error {
    let Resource { kind, id, .. } = resource;
    let message = format!("the {kind} {id:?} is nothing that this provider makes or knows how to delete");
    Error::new(ErrorKind::Unsupported, message).at(DELETE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_deleted_in_the_order_in_which_they_are_let_go() {
        let kind = |path: &str| Whereabouts::parse(path).and_then(|what| Kind::of(&what));
        let order = [
            "zones/us-east1-b/instances/a",
            "zones/us-east1-b/disks/a",
            "regions/us-east1/addresses/a",
            "global/firewalls/a",
        ];
        let kinds: Vec<_> = order.iter().map(|path| kind(path).unwrap()).collect();
        assert!(kinds.is_sorted() && kinds.windows(2).all(|pair| pair[0] != pair[1]), "{kinds:?}");
        for path in ["regions/us-east1/disks/a", "global/networks/a", "i-0a1b2c3d"] {
            assert_eq!(kind(path), None, "{path}");
        }
    }
}
