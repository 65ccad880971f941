use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::Region;

use crate::address::Address;
use crate::aws::creation::{is_id, tags_at_creation};
use crate::aws::error::{coded, invalid, missing, not_found};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::launched::{Tags, existing, interface_id};
use crate::aws::query::Node;
use crate::aws::xml::{Done, Items, Tag, tag_set};
use crate::aws::{ACCOUNT, Request};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::{MachineView, Whose};

/// Which elastic addresses belong to which instances.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// By the instance: the allocation and its address.
    by_instance: BTreeMap<Arc<str>, (Arc<str>, IpAddr)>,
}

impl Addresses {
    /// The elastic address of an instance.
    pub(crate) fn of_instance(&self, instance: &str) -> Option<IpAddr> {
        self.by_instance.get(instance).map(|(_, ip)| *ip)
    }

    /// The instance of an allocation, as long as it is there.
    fn holder(&self, kernel: &Kernel, allocation: &str) -> Option<MachineView> {
        let (instance, _) = self.by_instance.iter().find(|(_, (id, _))| **id == *allocation)?;
        let m = *kernel.by_id.get(instance)?;
        let view = kernel.view(m, kernel.now());
        view.ended.is_none_or(|ended| ended > kernel.now()).then_some(view)
    }

    fn take_off(&mut self, allocation: &str) {
        self.by_instance.retain(|_, (id, _)| **id != *allocation);
    }
}

/// `AllocateAddress`.
pub(crate) fn allocate(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let tags = tags_at_creation(&root, "elastic-ip")?;
    if let Some(other) = root.text("Domain").filter(|domain| !matches!(*domain, "vpc" | "standard")) {
        return Err(invalid("Domain", other, "vpc"));
    }
    for pool in ["Address", "PublicIpv4Pool", "CustomerOwnedIpv4Pool", "IpamPoolId"] {
        if let Some(value) = root.text(pool).filter(|value| *value != "amazon") {
            return Err(invalid(pool, value, "left out: this simulated EC2 allocates from Amazon's pool"));
        }
    }
    let region: Region = request.region.into();
    let address = request.call(0, |kernel, _| {
        let whose = Whose { region: Some(region.as_str()), ..Whose::default() };
        let (used, most) = (kernel.addresses(&whose).len(), limit(kernel));
        if used >= most {
            let message = format!("The maximum number of addresses has been reached ({most}).");
            return Err(coded(400, "AddressLimitExceeded", message));
        }
        let id = kernel.create_address(&region, Arc::new(tags))?;
        kernel.address(&id).ok_or_else(|| Refusal::State { message: format!("{id} is not there") })
    })?;
    request.answer(&Allocated {
        allocation_id: address.id.to_string(),
        public_ipv4_pool: "amazon",
        network_border_group: request.region.to_owned(),
        domain: "vpc",
        public_ip: address.ip.to_string(),
    })
}

/// Service Quotas, "EC2-VPC Elastic IPs" (L-0263D0A3): five in a fresh account.
fn limit(kernel: &Kernel) -> usize {
    kernel.quota("L-0263D0A3").map_or(5, |(limit, _)| limit as usize)
}

/// `DescribeAddresses`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(
        &root,
        &[
            "allocation-id",
            "association-id",
            "domain",
            "instance-id",
            "network-border-group",
            "network-interface-id",
            "network-interface-owner-id",
            "private-ip-address",
            "public-ip",
        ],
    )?;
    let (ids, ips) = (root.texts("AllocationId"), root.texts("PublicIp"));
    let addresses_set = request.call(0, |kernel, state| {
        let whose = Whose { region: Some(request.region), ..Whose::default() };
        let seen: Vec<Seen> = kernel
            .addresses(&whose)
            .into_iter()
            .map(|address| Seen { holder: state.addresses.holder(kernel, &address.id), address })
            .collect();
        for id in &ids {
            if !seen.iter().any(|seen| *seen.address.id == **id) {
                return Err(unknown_allocation(id));
            }
        }
        for ip in &ips {
            if !seen.iter().any(|seen| seen.address.ip.to_string() == **ip) {
                return Err(coded(400, "InvalidAddress.NotFound", format!("Address '{ip}' not found.")));
            }
        }
        let wanted = |seen: &&Seen| {
            (ids.is_empty() || ids.contains(&&*seen.address.id))
                && (ips.is_empty() || ips.contains(&seen.address.ip.to_string().as_str()))
                && filters.matches(*seen)
        };
        Ok(seen.iter().filter(wanted).map(Item::of).collect())
    })?;
    request.answer(&Described { addresses_set })
}

/// `AssociateAddress`: with an instance, or the interface of one.
pub(crate) fn associate(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let instance = match (root.text("InstanceId"), root.text("NetworkInterfaceId")) {
        (Some(id), None) => id.to_owned(),
        (None, Some(interface)) => interface.replacen("eni-", "i-", 1),
        _ => {
            let message = "You must specify either InstanceId or NetworkInterfaceId, and not both.";
            return Err(coded(400, "InvalidParameterCombination", message));
        }
    };
    let again = root.flag("AllowReassociation")?.unwrap_or(true);
    let association_id = request.call(0, |kernel, state| {
        let address = named(kernel, request.region, &root)?;
        let view = existing(kernel, request.region, &instance)
            .filter(|view| view.leaving.is_none())
            .ok_or_else(|| crate::aws::instances::unknown(&[&instance]))?;
        let holder = state.addresses.holder(kernel, &address.id);
        if !again && holder.is_some_and(|holder| holder.id != view.id) {
            let message = format!("resource {} is already associated", address.id);
            return Err(coded(400, "Resource.AlreadyAssociated", message));
        }
        state.addresses.take_off(&address.id);
        state.addresses.by_instance.insert(view.id, (address.id.clone(), address.ip));
        Ok(association(&address.id))
    })?;
    request.answer(&Associated { association_id })
}

/// `DisassociateAddress`.
pub(crate) fn disassociate(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    request.call(0, |kernel, state| {
        let allocation = match (root.text("AssociationId"), root.text("PublicIp")) {
            (Some(id), _) => id.replacen("eipassoc-", "eipalloc-", 1).into(),
            (None, _) => named(kernel, request.region, &root)?.id,
        };
        if kernel.address(&allocation).is_none() || state.addresses.holder(kernel, &allocation).is_none() {
            let id = root.text("AssociationId").unwrap_or_default();
            let message = format!("The association ID '{id}' does not exist");
            return Err(coded(400, "InvalidAssociationID.NotFound", message));
        }
        state.addresses.take_off(&allocation);
        Ok(())
    })?;
    request.answer(&Done { done: true })
}

/// `ReleaseAddress`.
pub(crate) fn release(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    request.call(0, |kernel, state| {
        let address = named(kernel, request.region, &root)?;
        if state.addresses.holder(kernel, &address.id).is_some() {
            let message = format!("Address {} is in use.", address.ip);
            return Err(coded(400, "InvalidIPAddress.InUse", message));
        }
        state.addresses.take_off(&address.id);
        match kernel.delete_address(&address.id)? {
            true => Ok(()),
            false => Err(unknown_allocation(&address.id)),
        }
    })?;
    request.answer(&Done { done: true })
}

/// The address that a request names.
fn named(kernel: &Kernel, region: &str, root: &Node<'_>) -> Result<Address, Refusal> {
    let here = |address: &Address| address.region.as_str() == region;
    match (root.text("AllocationId"), root.text("PublicIp")) {
        (Some(id), _) if !is_id("eipalloc", id) => {
            Err(coded(400, "InvalidAllocationID.Malformed", format!("Invalid id: \"{id}\"")))
        }
        (Some(id), _) => kernel.address(id).filter(here).ok_or_else(|| unknown_allocation(id)),
        (None, Some(ip)) => {
            let whose = Whose { region: Some(region), ..Whose::default() };
            let found = kernel.addresses(&whose).into_iter().find(|address| address.ip.to_string() == ip);
            found.ok_or_else(|| coded(400, "InvalidAddress.NotFound", format!("Address '{ip}' not found.")))
        }
        (None, None) => Err(missing("AllocationId")),
    }
}

fn unknown_allocation(id: &str) -> Refusal {
    not_found("InvalidAllocationID.NotFound", "allocation ID", id)
}

fn association(allocation: &str) -> String {
    allocation.replacen("eipalloc-", "eipassoc-", 1)
}

/// An address, as a filter sees it.
struct Seen {
    address: Address,
    holder: Option<MachineView>,
}

impl Filtered for Seen {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let holder = self.holder.as_ref();
        let text = match filter {
            "allocation-id" => self.address.id.to_string(),
            "association-id" => association(holder.map(|_| &*self.address.id)?),
            "domain" => "vpc".to_owned(),
            "instance-id" => holder?.id.to_string(),
            "network-border-group" => self.address.region.to_string(),
            "network-interface-id" => interface_id(&holder?.id),
            "network-interface-owner-id" => holder.map(|_| ACCOUNT.to_owned())?,
            "private-ip-address" => holder?.private_ip?.to_string(),
            "public-ip" => self.address.ip.to_string(),
            _ => return None,
        };
        Some(vec![text.into()])
    }

    fn tags(&self) -> &Tags {
        &self.address.tags
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Allocated {
    allocation_id: String,
    public_ipv4_pool: &'static str,
    network_border_group: String,
    domain: &'static str,
    public_ip: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Associated {
    association_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    addresses_set: Items<Item>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    allocation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    association_id: Option<String>,
    domain: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_interface_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_interface_owner_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_ip_address: Option<String>,
    tag_set: Items<Tag>,
    public_ipv4_pool: &'static str,
    network_border_group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    public_ip: String,
}

impl Item {
    fn of(seen: &Seen) -> Self {
        let (address, holder) = (&seen.address, seen.holder.as_ref());
        Self {
            allocation_id: address.id.to_string(),
            association_id: holder.map(|_| association(&address.id)),
            domain: "vpc",
            network_interface_id: holder.map(|view| interface_id(&view.id)),
            network_interface_owner_id: holder.map(|_| ACCOUNT),
            private_ip_address: holder.and_then(|view| view.private_ip).map(|ip| ip.to_string()),
            tag_set: tag_set(&address.tags),
            public_ipv4_pool: "amazon",
            network_border_group: address.region.to_string(),
            instance_id: holder.map(|view| view.id.to_string()),
            public_ip: address.ip.to_string(),
        }
    }
}
