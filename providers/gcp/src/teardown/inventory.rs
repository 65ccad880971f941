//! Everything of an owner, in all zones and regions: four lists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use google_cloud_compute_v1::model::Instance;
use skyfleet_core::{FleetName, Inventory, Owner, Region, Resource, ResourceKind, Result, Zone, tag};

use crate::catalog::Catalogue;
use crate::client::Client;
use crate::client::fleet::whose;
use crate::convert::map;
use crate::launch::firewall;
use crate::names;
use crate::whereabouts::{GLOBAL, Whereabouts};

pub(super) async fn of(client: &Client, catalogue: &Catalogue, owner: &Owner) -> Result<Inventory> {
    let scope = catalogue.scope().await?;
    let zones: Vec<Zone> = scope.iter().flat_map(|region| region.zones.iter().cloned()).collect();
    let regions: Vec<Region> = scope.iter().map(|region| region.name.clone()).collect();
    let (filter, prefix) = (whose(owner, None), names::firewall_prefix(owner));
    let (instances, disks, addresses, rules) = futures::try_join!(
        client.all_instances(&filter, &zones),
        client.all_disks(&filter, &zones),
        client.all_addresses(&filter, &regions),
        client.firewalls_named(&prefix),
    )?;
    let mut inventory = Inventory::default();
    let mut unreached: BTreeSet<Region> = BTreeSet::new();
    unreached.extend(instances.unreached);
    unreached.extend(disks.unreached);
    unreached.extend(addresses.unreached);
    inventory.unreached = unreached.into_iter().collect();

    let found = &mut inventory.resources;
    // They go with their instances.
    let parts: BTreeSet<String> = instances.found.iter().flat_map(parts).collect();
    for instance in &instances.found {
        found.extend(resource(
            ResourceKind::Instance,
            instance.self_link.as_deref(),
            &map(instance.labels.iter()),
        ));
    }
    for disk in &disks.found {
        let read = resource(ResourceKind::Disk, disk.self_link.as_deref(), &map(disk.labels.iter()));
        found.extend(read.filter(|disk| !parts.contains(&*disk.id)));
    }
    for address in &addresses.found {
        let labels = map(address.labels.iter());
        found.extend(resource(ResourceKind::Address, address.self_link.as_deref(), &labels));
    }
    for rule in &rules {
        let tags = firewall::tags(rule);
        if tags.get(tag::OWNER).map(String::as_str) == Some(owner.as_str()) {
            let name = rule.name.as_deref().map(|name| format!("{GLOBAL}/firewalls/{name}"));
            found.extend(resource(ResourceKind::Firewall, name.as_deref(), &tags));
        }
    }
    found.sort_by(|a, b| (a.kind, &a.region, &a.id).cmp(&(b.kind, &b.region, &b.id)));
    Ok(inventory)
}

/// The disks that are deleted together with an instance.
fn parts(instance: &Instance) -> Vec<String> {
    let own = instance.disks.iter().filter(|disk| disk.auto_delete == Some(true));
    let names = own.filter_map(|disk| disk.source.as_deref().and_then(Whereabouts::parse));
    names.map(|what| what.to_string()).collect()
}

fn resource(kind: ResourceKind, name: Option<&str>, tags: &BTreeMap<String, String>) -> Option<Resource> {
    let what = Whereabouts::parse(name?)?;
    Some(Resource {
        kind,
        id: Arc::from(what.to_string()),
        region: what.region(),
        fleet: tags.get(tag::FLEET).and_then(|name| FleetName::parse(name).ok()),
        price: None,
        expires: tag::expires(tags),
    })
}
