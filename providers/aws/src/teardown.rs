//! Giving everything back.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use skyfleet_core::{
    DeleteReceipt, Error, ErrorKind, InstanceId, Inventory, Leftover, Owner, Region, Resource, Result, Retry,
    Teardown, TerminateReceipt,
};

use crate::AwsProvider;
use crate::client::fleet::{FILTER_MAX, filter};
use crate::client::pages::Pages;

mod inventory;
mod kind;

use kind::Kind;

/// The most ids that one `TerminateInstances` takes (EC2 API reference).
const TERMINATE_MAX: usize = 1_000;

#[async_trait]
impl Teardown for AwsProvider {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        let mut receipt = TerminateReceipt::default();
        let mut places: BTreeMap<Region, Vec<&InstanceId>> = BTreeMap::new();
        let mut strangers = Vec::new();
        for id in instances.iter().collect::<BTreeSet<_>>() {
            match self.whereabouts.region(id) {
                Some(region) => places.entry(region).or_default().push(id),
                None if is_instance_id(id.as_str()) => strangers.push(id),
                None => receipt.gone.push(id.clone()),
            }
        }
        receipt.gone.extend(self.look_up(strangers, &mut places).await?);
        let ends = places.iter().map(|(region, ids)| self.end(region, ids));
        for ended in try_join_all(ends).await? {
            receipt.ending.extend(ended.ending);
            receipt.gone.extend(ended.gone);
        }
        Ok(receipt)
    }

    async fn inventory(&self, owner: &Owner) -> Result<Inventory> {
        let regions = self.client.regions().await?;
        let asks = regions.iter().map(|region| inventory::of(&self.client, &self.whereabouts, region, owner));
        let found = join_all(asks).await;
        let mut inventory = Inventory::default();
        for (region, found) in regions.iter().zip(found) {
            match found {
                Ok(resources) => inventory.resources.extend(resources),
                // One region that is out of order must not hide the others.
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::warn!(%region, %error, "a region cannot be asked what is there");
                    inventory.unreached.push(region.clone());
                }
                Err(error) => return Err(error),
            }
        }
        inventory.resources.sort_by(|a, b| (a.kind, &a.region, &a.id).cmp(&(b.kind, &b.region, &b.id)));
        Ok(inventory)
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        let mut by_region: BTreeMap<&Region, BTreeSet<&Resource>> = BTreeMap::new();
        for resource in resources {
            by_region.entry(&resource.region).or_default().insert(resource);
        }
        let regions = by_region.into_iter().map(|(region, these)| self.delete_in(region, these));
        let mut receipt = DeleteReceipt::default();
        for part in try_join_all(regions).await? {
            receipt.deleted.extend(part.deleted);
            receipt.pending.extend(part.pending);
        }
        Ok(receipt)
    }
}

/// `i-` and hexadecimal digits: 17, or 8 in ids from before 2016. EC2 calls everything else
/// malformed; it never was an instance.
fn is_instance_id(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("i-").is_some_and(|digits| matches!(digits.len(), 8 | 17) && digits.bytes().all(hex))
}

impl AwsProvider {
    /// Finds the regions of instances that this client never met. Answers those that are nowhere.
    async fn look_up<'a>(
        &self,
        strangers: Vec<&'a InstanceId>,
        places: &mut BTreeMap<Region, Vec<&'a InstanceId>>,
    ) -> Result<Vec<InstanceId>> {
        if strangers.is_empty() {
            return Ok(Vec::new());
        }
        let regions = self.client.regions().await?;
        if let [only] = &regions[..] {
            places.entry(only.clone()).or_default().extend(strangers);
            return Ok(Vec::new());
        }
        let strangers = &strangers;
        let asks = regions.iter().map(|region| async move {
            let mut found = BTreeSet::new();
            for ids in strangers.chunks(FILTER_MAX) {
                let filters = vec![filter("instance-id", ids.iter().map(|id| id.as_str()))];
                let take = |instance: aws_sdk_ec2::types::Instance| found.extend(instance.instance_id);
                self.client.instances("aws.terminate", region, filters, take).await?;
            }
            Ok::<_, Error>(found)
        });
        let found = try_join_all(asks).await?;
        let mut nowhere = Vec::new();
        for id in strangers {
            match regions.iter().zip(&found).find(|(_, found)| found.contains(id.as_str())) {
                Some((region, _)) => places.entry(region.clone()).or_default().push(id),
                None => nowhere.push((*id).clone()),
            }
        }
        Ok(nowhere)
    }

    /// Ends the instances of one region, as many to a call as EC2 takes.
    async fn end(&self, region: &Region, ids: &[&InstanceId]) -> Result<TerminateReceipt> {
        let mut receipt = TerminateReceipt::default();
        // EC2 ends a thousand at once and then twenty a second: later batches wait for that.
        let mut calls = Pages::new(&self.client, "aws.terminate", region);
        for batch in ids.chunks(TERMINATE_MAX) {
            let mut batch: BTreeSet<&str> = batch.iter().map(|id| id.as_str()).collect();
            while !batch.is_empty() {
                let asked: Vec<&str> = batch.iter().copied().collect();
                match self.client.terminate(&mut calls, region, &asked).await {
                    Ok(changes) => {
                        for change in changes {
                            let Some(id) = change.instance_id().filter(|id| batch.remove(*id)) else {
                                continue;
                            };
                            let was = change.previous_state().and_then(|state| state.name());
                            let gone = was == Some(&aws_sdk_ec2::types::InstanceStateName::Terminated);
                            if gone { &mut receipt.gone } else { &mut receipt.ending }.push(id.into());
                        }
                        // EC2 answers for every id that it accepts.
                        receipt.ending.extend(batch.iter().map(|id| InstanceId::from(*id)));
                        break;
                    }
                    Err(error) => {
                        let unknown = unknown_ids(&error, &batch)?;
                        for id in unknown {
                            batch.remove(id.as_str());
                            let id = InstanceId::from(id);
                            if self.whereabouts.is_new(&id, self.client.clock().now()) {
                                let message =
                                    format!("EC2 does not know {id} yet, which it has just launched");
                                return Err(Error::new(ErrorKind::Unavailable, message).at("aws.terminate"));
                            }
                            self.whereabouts.forget(&id);
                            receipt.gone.push(id);
                        }
                    }
                }
            }
        }
        Ok(receipt)
    }

    /// Deletes what is in one region, in the order in which EC2 lets go of it.
    async fn delete_in(&self, region: &Region, resources: BTreeSet<&Resource>) -> Result<DeleteReceipt> {
        let mut by_kind: BTreeMap<Kind, Vec<&Resource>> = BTreeMap::new();
        let mut receipt = DeleteReceipt::default();
        for resource in resources {
            match Kind::of(&resource.id) {
                Some(kind) => by_kind.entry(kind).or_default().push(resource),
                None => {
                    receipt.pending.push(Leftover { resource: resource.clone(), reason: foreign(resource) })
                }
            }
        }
        let mut ending = false;
        for (kind, these) in by_kind {
            match kind {
                Kind::Instance => {
                    let ids: Vec<InstanceId> = these.iter().map(|r| InstanceId::new(r.id.clone())).collect();
                    let ended = self.end(region, &ids.iter().collect::<Vec<_>>()).await?;
                    ending = !ended.ending.is_empty();
                    let gone: BTreeSet<&str> = ended.gone.iter().map(InstanceId::as_str).collect();
                    for resource in these {
                        let reason = (!gone.contains(&*resource.id)).then(still_ending);
                        sort(&mut receipt, resource, reason);
                    }
                }
                Kind::Fleet => {
                    let ids: Vec<&str> = these.iter().map(|r| &*r.id).collect();
                    let refused: BTreeMap<_, _> =
                        self.client.delete_fleets(region, &ids).await?.into_iter().collect();
                    for resource in these {
                        sort(&mut receipt, resource, refused.get(&*resource.id).cloned());
                    }
                }
                Kind::SpotRequest => {
                    let ids: Vec<&str> = these.iter().map(|r| &*r.id).collect();
                    self.client.cancel_requests(region, &ids).await?;
                    these.into_iter().for_each(|resource| sort(&mut receipt, resource, None));
                }
                _ => {
                    for resource in these {
                        // EC2 would refuse: instances of this very call still hold it.
                        let reason = match ending && kind.is_held_by_instances() {
                            true => Some(in_use()),
                            false => self.delete_one(region, kind, &resource.id).await?,
                        };
                        sort(&mut receipt, resource, reason);
                    }
                }
            }
        }
        Ok(receipt)
    }

    /// Deletes one thing; answers why it is still there, if it is.
    async fn delete_one(&self, region: &Region, kind: Kind, id: &str) -> Result<Option<Error>> {
        let client = &self.client;
        let answer = match kind {
            Kind::Volume => client.delete_volume(region, id).await,
            Kind::Interface => client.delete_interface(region, id).await,
            Kind::Address => client.release_address(region, id).await,
            Kind::Template => client.delete_template(region, id).await,
            Kind::KeyPair => client.delete_key_pair(region, id).await,
            Kind::PlacementGroup => client.delete_placement_group(region, id).await,
            _ => client.delete_group(region, id).await,
        };
        match answer {
            Ok(()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Some(error.retrying(Retry::After(None)))),
            Err(error) => Err(error),
        }
    }
}

/// The ids of a batch that EC2 says it does not know.
///
/// # Errors
/// The error itself when it is about something else.
fn unknown_ids(error: &Error, batch: &BTreeSet<&str>) -> Result<Vec<String>> {
    let about_ids = error.fact("code").is_some_and(|code| code.starts_with("InvalidInstanceID."));
    // "The instance IDs 'i-0a, i-0b' do not exist"
    let words = error.message().split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let named: BTreeSet<&str> = words.filter(|word| batch.contains(word)).collect();
    if !about_ids || named.is_empty() {
        return Err(error.clone());
    }
    Ok(named.into_iter().map(str::to_owned).collect())
}

fn sort(receipt: &mut DeleteReceipt, resource: &Resource, reason: Option<Error>) {
    match reason {
        None => receipt.deleted.push(resource.clone()),
        Some(reason) => receipt.pending.push(Leftover { resource: resource.clone(), reason }),
    }
}

fn still_ending() -> Error {
    Error::new(ErrorKind::Conflict, "the instance is still ending")
        .retrying(Retry::After(None))
        .at("aws.delete")
}

fn in_use() -> Error {
    let message = "instances that are still ending use it";
    Error::new(ErrorKind::Conflict, message).retrying(Retry::After(None)).at("aws.delete")
}

fn foreign(resource: &Resource) -> Error {
    let Resource { kind, id, .. } = resource;
    let message = format!("the {kind} {id:?} is nothing that this provider makes or knows how to delete");
    Error::new(ErrorKind::Unsupported, message).at("aws.delete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_ec2_would_call_malformed_never_were_instances() {
        for id in ["i-0a1b2c3d4e5f60718", "i-0a1b2c3d"] {
            assert!(is_instance_id(id), "{id}");
        }
        for id in ["", "i-", "never-was", "i-0a1b2c3", "i-0A1B2C3D", "vol-0a1b2c3d", "i-0a1b2c3d4e5f6071g"] {
            assert!(!is_instance_id(id), "{id}");
        }
    }

    #[test]
    fn only_the_unknown_ids_of_a_batch_are_dropped() {
        let batch = BTreeSet::from(["i-0a1b2c3d", "i-0a1b2c3e", "i-0a1b2c3f"]);
        let error = |code, message: &str| Error::new(ErrorKind::NotFound, message).with("code", code);
        let two =
            error("InvalidInstanceID.NotFound", "The instance IDs 'i-0a1b2c3d, i-0a1b2c3f' do not exist");
        assert_eq!(unknown_ids(&two, &batch).unwrap(), ["i-0a1b2c3d", "i-0a1b2c3f"]);
        let none = error("InvalidInstanceID.NotFound", "The instance ID 'i-ffffffff' does not exist");
        assert!(unknown_ids(&none, &batch).is_err());
        assert!(unknown_ids(&error("UnauthorizedOperation", "i-0a1b2c3d"), &batch).is_err());
    }
}
