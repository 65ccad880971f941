use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{
    FleetName, Instance, InstanceId, Owner, Preemption, PreemptionKind, Price, Resource, ResourceKind,
    Timestamp, Token, tag,
};
use skyfleet_simcloud::{
    Cloud, EventKind, Fixture, FixtureKind, Leftover, LineKind, MachineView, WorldEvent,
};

/// Reads machines as instances. The machines of one launch share their tags, so that these are
/// read once for each launch.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    last: Option<LastRead>,
}

/// The tags that were read last, and what they say.
#[derive(Debug)]
struct LastRead {
    tags: Arc<BTreeMap<String, String>>,
    read: Option<Tags>,
}

#[derive(Clone, Debug)]
struct Tags {
    owner: Owner,
    fleet: FleetName,
    token: Token,
    expires: Option<Timestamp>,
}

impl Reader {
    /// The instance; `None` for a machine that no fleet of ours launched.
    pub(crate) fn instance(&mut self, view: MachineView) -> Option<Instance> {
        let known = self.last.as_ref().is_some_and(|last| Arc::ptr_eq(&last.tags, &view.tags));
        if !known {
            self.last = Some(LastRead { tags: view.tags.clone(), read: Tags::read(&view.tags) });
        }
        let tags = self.last.as_ref()?.read.clone()?;
        Some(Instance {
            id: InstanceId::new(view.id),
            owner: tags.owner,
            fleet: tags.fleet,
            token: tags.token,
            offer: view.offer,
            region: view.region,
            state: view.state,
            price: Price::Known(view.price),
            launched: view.launched,
            labels: view.labels,
            expires: tags.expires,
            private_ip: view.private_ip,
            public_ip: view.public_ip,
        })
    }
}

impl Tags {
    fn read(tags: &BTreeMap<String, String>) -> Option<Self> {
        let token = Token::parse(tags.get(tag::TOKEN)?)?;
        Some(Self {
            owner: Owner::parse(tags.get(tag::OWNER)?).ok()?,
            fleet: FleetName::parse(tags.get(tag::FLEET)?).ok()?,
            token,
            expires: tag::expires(tags),
        })
    }
}

/// A machine as a resource: what it costs includes the disk and the address that go with it.
pub(crate) fn machine_resource(view: &MachineView) -> Resource {
    Resource {
        kind: ResourceKind::Instance,
        id: view.id.clone(),
        region: view.region.clone(),
        fleet: fleet(&view.tags),
        price: Some(view.price + view.extras),
        expires: tag::expires(&view.tags),
    }
}

pub(crate) fn leftover_resource(left: Leftover) -> Resource {
    Resource {
        kind: match left.kind {
            LineKind::Instance => ResourceKind::Instance,
            LineKind::Disk => ResourceKind::Disk,
            LineKind::Address => ResourceKind::Address,
        },
        id: left.id,
        region: left.region,
        fleet: fleet(&left.tags),
        price: Some(left.price),
        expires: tag::expires(&left.tags),
    }
}

pub(crate) fn fixture_resource(fixture: &Fixture) -> Resource {
    Resource {
        kind: match fixture.kind {
            FixtureKind::Template => ResourceKind::Template,
            FixtureKind::Firewall => ResourceKind::Firewall,
            FixtureKind::Interface => ResourceKind::NetworkInterface,
            FixtureKind::Network => ResourceKind::Network,
            FixtureKind::ResourceGroup => ResourceKind::ResourceGroup,
            FixtureKind::KeyPair => ResourceKind::KeyPair,
            FixtureKind::PlacementGroup => ResourceKind::PlacementGroup,
            FixtureKind::Fleet => ResourceKind::FleetObject,
        },
        id: fixture.id.clone(),
        region: fixture.region.clone(),
        fleet: fleet(&fixture.tags),
        price: None,
        expires: tag::expires(&fixture.tags),
    }
}

fn fleet(tags: &BTreeMap<String, String>) -> Option<FleetName> {
    FleetName::parse(tags.get(tag::FLEET)?).ok()
}

/// A step of a reclaim; `None` for another event.
pub(crate) fn preemption(event: WorldEvent) -> Option<Preemption> {
    let kind = match event.kind {
        EventKind::Rebalance => PreemptionKind::Rebalance,
        EventKind::Notice => PreemptionKind::Notice,
        EventKind::Reclaim => PreemptionKind::Reclaimed,
        _ => return None,
    };
    Some(Preemption {
        instance: InstanceId::new(event.instance?),
        kind,
        at: event.at,
        deadline: event.deadline,
        reason: event.detail,
    })
}

/// The cloud's own call that makes a fixture.
pub(crate) fn create_action(cloud: Cloud, kind: FixtureKind) -> &'static str {
    use FixtureKind::*;
    match (cloud, kind) {
        (Cloud::Neutral, Firewall) => "firewall.create",
        (Cloud::Neutral, _) => "template.create",
        (Cloud::Aws, Firewall) => "CreateSecurityGroup",
        (Cloud::Aws, _) => "CreateLaunchTemplate",
        (Cloud::Gcp, Firewall) => "firewalls.insert",
        (Cloud::Gcp, _) => "instanceTemplates.insert",
        (Cloud::Azure, Firewall) => "networkSecurityGroups.PUT",
        (Cloud::Azure, Network) => "virtualNetworks.PUT",
        (Cloud::Azure, _) => "resourceGroups.PUT",
    }
}

/// The cloud's own call that deletes a resource.
pub(crate) fn delete_action(cloud: Cloud, kind: ResourceKind) -> &'static str {
    use ResourceKind::*;
    match (cloud, kind) {
        (Cloud::Neutral, _) => "resources.delete",
        (Cloud::Aws, Disk) => "DeleteVolume",
        (Cloud::Aws, Address) => "ReleaseAddress",
        (Cloud::Aws, NetworkInterface) => "DeleteNetworkInterface",
        (Cloud::Aws, Template) => "DeleteLaunchTemplate",
        (Cloud::Aws, SpotRequest) => "CancelSpotInstanceRequests",
        (Cloud::Aws, FleetObject) => "DeleteFleets",
        (Cloud::Aws, Network) => "DeleteSubnet",
        (Cloud::Aws, KeyPair) => "DeleteKeyPair",
        (Cloud::Aws, PlacementGroup) => "DeletePlacementGroup",
        (Cloud::Aws, _) => "DeleteSecurityGroup",
        (Cloud::Gcp, Disk) => "disks.delete",
        (Cloud::Gcp, Address) => "addresses.delete",
        (Cloud::Gcp, Template) => "instanceTemplates.delete",
        (Cloud::Gcp, Network) => "networks.delete",
        (Cloud::Gcp, FleetObject) => "instanceGroupManagers.delete",
        (Cloud::Gcp, _) => "firewalls.delete",
        (Cloud::Azure, Disk) => "disks.DELETE",
        (Cloud::Azure, Address) => "publicIPAddresses.DELETE",
        (Cloud::Azure, NetworkInterface) => "networkInterfaces.DELETE",
        (Cloud::Azure, Firewall) => "networkSecurityGroups.DELETE",
        (Cloud::Azure, Network) => "virtualNetworks.DELETE",
        (Cloud::Azure, FleetObject) => "fleets.DELETE",
        (Cloud::Azure, _) => "resourceGroups.DELETE",
    }
}
