use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Error, FleetName, InstanceId, Owner, Region, Result, Timestamp, UsdPerHour};

/// Gives everything back, and proves it.
#[async_trait]
pub trait Teardown: Send + Sync {
    /// Ends instances, by the cloud's bulk call where it has one. Unknown and gone ids succeed;
    /// calling it again is harmless.
    ///
    /// # Errors
    /// Those of any call; then some may have been ended, and the call is repeated whole.
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt>;

    /// Everything that an owner still has, of every kind, in all regions in scope: what costs
    /// money and what only blocks a deletion.
    ///
    /// # Errors
    /// Those of any call. A part of the cloud that could not be asked makes the inventory
    /// incomplete, not an error.
    async fn inventory(&self, owner: &Owner) -> Result<Inventory>;

    /// Deletes resources, in the order that the cloud demands. One that is still in use is
    /// reported as pending, not as an error; one that is gone succeeds. Instances among them are
    /// ended as by [`Teardown::terminate`].
    ///
    /// # Errors
    /// Those of any call; then some may have been deleted, and the call is repeated whole.
    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt>;
}

/// What became of instances that were to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminateReceipt {
    /// The cloud accepted these and is ending them.
    pub ending: Vec<InstanceId>,
    /// These are gone, or never were.
    pub gone: Vec<InstanceId>,
}

/// The kinds of things that a fleet can leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResourceKind {
    /// A machine that is not yet terminated.
    Instance,
    /// A spot request that may still be filled.
    SpotRequest,
    /// A fleet object, scale set or instance group: it may start instances by itself.
    FleetObject,
    /// A disk.
    Disk,
    /// A network interface.
    NetworkInterface,
    /// A public address.
    Address,
    /// A security group or firewall rule.
    Firewall,
    /// A launch template.
    Template,
    /// A network or subnet.
    Network,
    /// A resource group.
    ResourceGroup,
    /// A key pair for logging in.
    KeyPair,
    /// A placement group.
    PlacementGroup,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Instance => "instance",
            Self::SpotRequest => "spot-request",
            Self::FleetObject => "fleet-object",
            Self::Disk => "disk",
            Self::NetworkInterface => "network-interface",
            Self::Address => "address",
            Self::Firewall => "firewall",
            Self::Template => "template",
            Self::Network => "network",
            Self::ResourceGroup => "resource-group",
            Self::KeyPair => "key-pair",
            Self::PlacementGroup => "placement-group",
        })
    }
}

/// One thing that belongs to an owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// The cloud's name for it, enough for the provider to find it again.
    pub id: Arc<str>,
    /// Where it is.
    pub region: Region,
    /// Its fleet, where its tag says so.
    pub fleet: Option<FleetName>,
    /// What it costs while it exists, if anything is known.
    pub price: Option<UsdPerHour>,
    /// When its tag says that a sweep may delete it.
    pub expires: Option<Timestamp>,
}

/// Everything of an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What there is, by kind, region and id.
    pub resources: Vec<Resource>,
    /// Where the cloud could not be asked: while this is not empty, absence proves nothing.
    pub unreached: Vec<Region>,
}

impl Inventory {
    /// A complete inventory without a resource: the only proof that nothing is left.
    pub fn proves_empty(&self) -> bool {
        self.resources.is_empty() && self.unreached.is_empty()
    }
}

/// What became of resources that were to be deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteReceipt {
    /// These are gone: the cloud says so.
    pub deleted: Vec<Resource>,
    /// These are not gone yet, and why.
    pub pending: Vec<Leftover>,
}

/// A resource that is still there, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    /// Which.
    pub resource: Resource,
    /// What the cloud said.
    pub reason: Error,
}
