//! What teardown asks AWS: what there is, and to end it.

use aws_sdk_ec2::types::{
    Filter, FleetData, FleetStateCode, FleetType, InstanceStateChange, SpotInstanceRequest, TagDescription,
};
use skyfleet_core::{Error, ErrorKind, Region, Result};

use super::Client;
use super::fleet::{FILTER_MAX, filter};
use super::pages::Pages;

const PAGE: i32 = 1_000;
/// The most fleets of type `instant` that one `DeleteFleets` takes (EC2's service model).
const FLEETS_MAX: usize = 25;
const OPERATION: &str = "aws.delete";

impl Client {
    /// Tags that pass all filters, from all pages.
    pub(crate) async fn tags(&self, region: &Region, filters: Vec<Filter>) -> Result<Vec<TagDescription>> {
        let ec2 = self.ec2(region).await?;
        let request = ec2.describe_tags().set_filters(Some(filters)).max_results(PAGE);
        let ask = |token| request.clone().set_next_token(token).send();
        let mut tags = Vec::new();
        let mut pages = Pages::new(self, "aws.inventory", region);
        pages
            .all(ask, |page| {
                tags.extend(page.tags.unwrap_or_default());
                page.next_token
            })
            .await?;
        Ok(tags)
    }

    /// All tags of these things.
    pub(crate) async fn tags_of(&self, region: &Region, ids: &[&str]) -> Result<Vec<TagDescription>> {
        let mut tags = Vec::new();
        for some in ids.chunks(FILTER_MAX) {
            tags.extend(self.tags(region, vec![filter("resource-id", some.iter().copied())]).await?);
        }
        Ok(tags)
    }

    /// Of these fleets those that may start instances by themselves: none of type `instant`, which
    /// is but the record of a launch, and none that is deleted.
    pub(crate) async fn restless_fleets(&self, region: &Region, ids: &[String]) -> Result<Vec<String>> {
        let ec2 = self.ec2(region).await?;
        let mut restless = Vec::new();
        let mut todo: Vec<&[String]> = ids.chunks(FLEETS_MAX).collect();
        while let Some(some) = todo.pop() {
            let ask = ec2.describe_fleets().set_fleet_ids(Some(some.to_vec()));
            match self.send("aws.inventory", region, ask.send()).await {
                Ok(answer) => restless.extend(answer.fleets().iter().filter_map(restless_id)),
                // One that has faded fails the call for all: they are asked for one by one.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    todo.extend(some.chunks(1).filter(|_| some.len() > 1));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(restless)
    }

    /// The spot requests that may still start an instance. One that has its instance is `active`;
    /// a persistent one opens again when that ends.
    pub(crate) async fn restless_requests(&self, region: &Region, whose: Filter) -> Result<Vec<String>> {
        let mut restless = Vec::new();
        let filters = vec![whose, filter("state", ["open", "disabled"])];
        let take = |request: SpotInstanceRequest| restless.extend(request.spot_instance_request_id);
        self.spot_requests("aws.inventory", region, filters, take).await?;
        Ok(restless)
    }

    /// Volumes and interfaces that hang on no instance.
    pub(crate) async fn loose_parts(&self, region: &Region, whose: Filter) -> Result<Vec<String>> {
        let ec2 = self.ec2(region).await?;
        let mut pages = Pages::new(self, "aws.inventory", region);
        let mut loose = Vec::new();
        let states = filter("status", ["creating", "available", "error"]);
        let volumes = ec2.describe_volumes().filters(whose.clone()).filters(states).max_results(PAGE);
        let ask = |token| volumes.clone().set_next_token(token).send();
        pages
            .all(ask, |page| {
                loose.extend(page.volumes.unwrap_or_default().into_iter().filter_map(|it| it.volume_id));
                page.next_token
            })
            .await?;
        let states = filter("status", ["pending", "available"]);
        let interfaces = ec2.describe_network_interfaces().filters(whose).filters(states).max_results(PAGE);
        let ask = |token| interfaces.clone().set_next_token(token).send();
        pages
            .all(ask, |page| {
                let interfaces = page.network_interfaces.unwrap_or_default().into_iter();
                loose.extend(interfaces.filter_map(|it| it.network_interface_id));
                page.next_token
            })
            .await?;
        Ok(loose)
    }

    /// Ends instances, at most 1,000. One id that EC2 does not know fails the whole call.
    pub(crate) async fn terminate(
        &self,
        calls: &mut Pages<'_>,
        region: &Region,
        ids: &[&str],
    ) -> Result<Vec<InstanceStateChange>> {
        let ec2 = self.ec2(region).await?;
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let ask = || ec2.terminate_instances().set_instance_ids(Some(ids.clone())).send();
        Ok(calls.page(ask).await?.terminating_instances.unwrap_or_default())
    }

    /// Deletes fleets, and their instances with them. Answers which could not be, and why.
    pub(crate) async fn delete_fleets(&self, region: &Region, ids: &[&str]) -> Result<Vec<(String, Error)>> {
        let ec2 = self.ec2(region).await?;
        let mut refused = Vec::new();
        for some in ids.chunks(FLEETS_MAX) {
            let ids = Some(some.iter().map(|id| (*id).to_owned()).collect());
            let ask = ec2.delete_fleets().set_fleet_ids(ids).terminate_instances(true);
            let answer = self.send(OPERATION, region, ask.send()).await?;
            for item in answer.unsuccessful_fleet_deletions() {
                let (Some(id), Some(error)) = (item.fleet_id(), item.error()) else { continue };
                let code = error.code().map_or("", |code| code.as_str());
                let gone = ["fleetIdDoesNotExist", "fleetNotInDeletableState"];
                if !gone.contains(&code) {
                    let message = error.message().unwrap_or("EC2 gives no reason");
                    let error = Error::new(ErrorKind::Conflict, message).with("code", code).at(OPERATION);
                    refused.push((id.to_owned(), error));
                }
            }
        }
        Ok(refused)
    }

    /// Cancels spot requests.
    pub(crate) async fn cancel_requests(&self, region: &Region, ids: &[&str]) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        for some in ids.chunks(PAGE as usize) {
            let ids = Some(some.iter().map(|id| (*id).to_owned()).collect());
            let ask = ec2.cancel_spot_instance_requests().set_spot_instance_request_ids(ids);
            self.send(OPERATION, region, ask.send()).await?;
        }
        Ok(())
    }

    /// Deletes a volume.
    pub(crate) async fn delete_volume(&self, region: &Region, id: &str) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        self.send(OPERATION, region, ec2.delete_volume().volume_id(id).send()).await.map(drop)
    }

    /// Deletes a network interface.
    pub(crate) async fn delete_interface(&self, region: &Region, id: &str) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.delete_network_interface().network_interface_id(id);
        self.send(OPERATION, region, ask.send()).await.map(drop)
    }

    /// Gives an Elastic IP back; one in use is taken from whatever uses it first.
    pub(crate) async fn release_address(&self, region: &Region, id: &str) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let release = || ec2.release_address().allocation_id(id).send();
        let refused = match self.send(OPERATION, region, release()).await {
            Err(error) if error.fact("code") == Some("InvalidIPAddress.InUse") => error,
            answer => return answer.map(drop),
        };
        let ask = ec2.describe_addresses().allocation_ids(id);
        let found = self.send(OPERATION, region, ask.send()).await?.addresses.unwrap_or_default();
        let Some(association) = found.into_iter().find_map(|address| address.association_id) else {
            return Err(refused);
        };
        let ask = ec2.disassociate_address().association_id(association);
        self.send(OPERATION, region, ask.send()).await?;
        self.send(OPERATION, region, release()).await.map(drop)
    }

    /// Deletes a launch template with all its versions.
    pub(crate) async fn delete_template(&self, region: &Region, id: &str) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.delete_launch_template().launch_template_id(id);
        self.send(OPERATION, region, ask.send()).await.map(drop)
    }

    /// Deletes a security group.
    pub(crate) async fn delete_group(&self, region: &Region, id: &str) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        self.send(OPERATION, region, ec2.delete_security_group().group_id(id).send()).await.map(drop)
    }

    /// Deletes a key pair.
    pub(crate) async fn delete_key_pair(&self, region: &Region, id: &str) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        self.send(OPERATION, region, ec2.delete_key_pair().key_pair_id(id).send()).await.map(drop)
    }

    /// Deletes a placement group, which EC2 takes by its name only.
    pub(crate) async fn delete_placement_group(&self, region: &Region, id: &str) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.describe_placement_groups().group_ids(id);
        let found = self.send(OPERATION, region, ask.send()).await?.placement_groups.unwrap_or_default();
        let Some(name) = found.into_iter().find_map(|group| group.group_name) else { return Ok(()) };
        let ask = ec2.delete_placement_group().group_name(name);
        self.send(OPERATION, region, ask.send()).await.map(drop)
    }
}

fn restless_id(fleet: &FleetData) -> Option<String> {
    let gone = [FleetStateCode::Deleted, FleetStateCode::DeletedTerminatingInstances];
    let is_gone = fleet.fleet_state().is_some_and(|state| gone.contains(state));
    let is_restless = fleet.r#type() != Some(&FleetType::Instant) && !is_gone;
    fleet.fleet_id().filter(|_| is_restless).map(str::to_owned)
}
