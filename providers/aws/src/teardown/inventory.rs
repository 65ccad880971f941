//! Everything of an owner in one region.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_ec2::types::{Filter, Instance, TagDescription};
use skyfleet_core::{FleetName, Owner, Region, Resource, Result, tag};

use super::kind::Kind;
use crate::client::Client;
use crate::client::fleet::filter;
use crate::convert;
use crate::whereabouts::Whereabouts;

/// From so many living instances on, the tags of their volumes and interfaces fill more pages than
/// two questions for loose ones.
const MANY: usize = 500;

/// Three calls where there is little: the living instances, the spot requests that may start more,
/// and what else has the owner's tag. Requests and instances keep their tags for hours after their
/// end: a list by tag alone would be pages of what is long gone.
pub(super) async fn of(
    client: &Client,
    whereabouts: &Whereabouts,
    region: &Region,
    owner: &Owner,
) -> Result<Vec<Resource>> {
    let whose = || filter(format!("tag:{}", tag::OWNER), [owner.as_str()]);
    let living = living(client, region, whose()).await?;
    let many = living.resources.len() >= MANY;
    let tagged = vec![
        filter("key", [tag::OWNER]),
        filter("value", [owner.as_str()]),
        filter("resource-type", Kind::tagged(!many)),
    ];
    let tagged = client.tags(region, tagged).await?.into_iter().filter_map(|tag| tag.resource_id);
    let mut others: BTreeSet<String> = tagged.collect();
    if many {
        others.extend(client.loose_parts(region, whose()).await?);
    }
    // They go with their instances.
    others.retain(|id| !living.parts.contains(id));
    still_there(client, whereabouts, region, &mut others).await?;
    others.extend(client.restless_requests(region, whose()).await?);

    let mut resources = living.resources;
    if !others.is_empty() {
        let ids: Vec<&str> = others.iter().map(String::as_str).collect();
        let tags = by_resource(client.tags_of(region, &ids).await?);
        let none = BTreeMap::new();
        let found = others.iter().filter_map(|id| resource(region, id, tags.get(id).unwrap_or(&none)));
        resources.extend(found);
    }
    Ok(resources)
}

/// Fleets keep their tags when they are long done: those that start nothing any more are dropped,
/// and not asked about again.
async fn still_there(
    client: &Client,
    whereabouts: &Whereabouts,
    region: &Region,
    others: &mut BTreeSet<String>,
) -> Result<()> {
    others.retain(|id| !whereabouts.records().contains(id));
    let fleets: Vec<String> = others.iter().filter(|id| Kind::of(id) == Some(Kind::Fleet)).cloned().collect();
    if fleets.is_empty() {
        return Ok(());
    }
    let restless = client.restless_fleets(region, &fleets).await?;
    for id in fleets.into_iter().filter(|id| !restless.contains(id)) {
        others.remove(&id);
        whereabouts.records().insert(id);
    }
    Ok(())
}

/// Instances that are not terminated, and what ends together with them.
#[derive(Default)]
struct Living {
    resources: Vec<Resource>,
    parts: BTreeSet<String>,
}

async fn living(client: &Client, region: &Region, whose: Filter) -> Result<Living> {
    let alive = ["pending", "running", "shutting-down", "stopping", "stopped"];
    let filters = vec![whose, filter("instance-state-name", alive)];
    let mut living = Living::default();
    let take = |instance: Instance| {
        living.parts.extend(parts(&instance));
        let tags = convert::map(instance.tags());
        living.resources.extend(instance.instance_id().and_then(|id| resource(region, id, &tags)));
    };
    client.instances("aws.inventory", region, filters, take).await?;
    Ok(living)
}

fn parts(instance: &Instance) -> Vec<String> {
    let disks = instance.block_device_mappings().iter().filter_map(|disk| disk.ebs());
    let disks = disks.filter(|disk| disk.delete_on_termination() == Some(true));
    let interfaces = instance.network_interfaces().iter().filter(|interface| {
        interface.attachment().and_then(|attachment| attachment.delete_on_termination()) == Some(true)
    });
    let disks = disks.filter_map(|disk| disk.volume_id());
    disks.chain(interfaces.filter_map(|i| i.network_interface_id())).map(str::to_owned).collect()
}

fn by_resource(tags: Vec<TagDescription>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for tag in tags {
        if let (Some(id), Some(key)) = (tag.resource_id, tag.key) {
            all.entry(id).or_default().insert(key, tag.value.unwrap_or_default());
        }
    }
    all
}

fn resource(region: &Region, id: &str, tags: &BTreeMap<String, String>) -> Option<Resource> {
    Some(Resource {
        kind: Kind::of(id)?.resource_kind(),
        id: Arc::from(id),
        region: region.clone(),
        fleet: tags.get(tag::FLEET).and_then(|name| FleetName::parse(name).ok()),
        price: None,
        expires: tag::expires(tags),
    })
}
