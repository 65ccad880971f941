//! The network interfaces of machines: those that are made with them, and those that are there.

use serde_json::Value;
use skyfleet_core::Region;

use super::storage::goes;
use super::{member, required, unsimulated};
use crate::azure::error::{coded, invalid};
use crate::azure::id::Id;
use crate::azure::made::Made;
use crate::azure::network::{interfaces, networks, security_groups};
use crate::azure::state::State;
use crate::refusal::Refusal;

/// A network interface of machines.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// One that was there before its machine; else it is made with it.
    pub(crate) given: Option<Id>,
    pub(crate) primary: bool,
    /// Whether it goes with its machine.
    pub(crate) goes: bool,
    /// `…/virtualNetworks/V/subnets/S`, in the case of the network. None of one that was there.
    pub(crate) subnet: Option<Id>,
    pub(crate) security_group: Option<Id>,
    pub(crate) accelerated: bool,
    /// The name of its first address inside.
    pub(crate) configuration: String,
    /// The public address that is made with it.
    pub(crate) address: Option<PublicAddress>,
}

/// A public address that is made with an interface.
#[derive(Clone, Debug)]
pub(crate) struct PublicAddress {
    /// Whether it goes with its machine.
    pub(crate) goes: bool,
}

const SUBNETS: &str = "Microsoft.Network/virtualNetworks/subnets";

/// Reads `networkProfile`.
///
/// # Errors
/// For what is missing or not there; `NotImplemented` for what is not simulated.
pub(crate) fn read(state: &State, region: &Region, profile: &Value) -> Result<Vec<Interface>, Refusal> {
    let network = &profile["networkProfile"];
    let given = member::list(network, "networkInterfaces")?;
    let made = member::list(network, "networkInterfaceConfigurations")?;
    let mut interfaces = match (given, made) {
        ([], []) => return Err(required("networkProfile")),
        ([_, ..], [_, ..]) => {
            let message = "Network interfaces and network interface configurations cannot be specified at the same time.";
            return Err(coded(400, "InvalidParameter", message));
        }
        (given, []) => given.iter().map(|one| there(state, region, one)).collect::<Result<Vec<_>, _>>()?,
        ([], made) => made.iter().map(|one| new(state, region, one)).collect::<Result<Vec<_>, _>>()?,
    };
    match interfaces.as_mut_slice() {
        [only] => only.primary = true,
        _ => return Err(unsimulated("A machine with more than one network interface")),
    }
    Ok(interfaces)
}

/// An interface that is there.
fn there(state: &State, region: &Region, one: &Value) -> Result<Interface, Refusal> {
    let id = known(state, region, one, interfaces::KIND, "networkInterfaces")?
        .ok_or_else(|| required("networkInterface"))?;
    Ok(Interface {
        given: Some(id),
        primary: true,
        goes: goes(&one["properties"])?,
        subnet: None,
        security_group: None,
        accelerated: false,
        configuration: String::new(),
        address: None,
    })
}

/// An interface that is made with its machine.
fn new(state: &State, region: &Region, one: &Value) -> Result<Interface, Refusal> {
    name(one, "networkInterfaceConfigurations")?;
    let properties = &one["properties"];
    let (first, more) = match member::list(properties, "ipConfigurations")? {
        [] => return Err(required("ipConfigurations")),
        [first, more @ ..] => (first, more),
    };
    if !more.is_empty() {
        return Err(unsimulated("A network interface with more than one address inside"));
    }
    let own = &first["properties"];
    let subnet = subnet(state, region, &own["subnet"])?;
    let public = &own["publicIPAddressConfiguration"];
    let address = match public {
        Value::Null => None,
        public => {
            name(public, "publicIPAddressConfiguration")?;
            Some(PublicAddress { goes: goes(&public["properties"])? })
        }
    };
    Ok(Interface {
        given: None,
        primary: member::flag(properties, "primary")?.unwrap_or(false),
        goes: goes(properties)?,
        subnet: Some(subnet),
        security_group: known(
            state,
            region,
            &properties["networkSecurityGroup"],
            security_groups::KIND,
            "networkSecurityGroup",
        )?,
        accelerated: member::flag(properties, "enableAcceleratedNetworking")?.unwrap_or(false),
        configuration: name(first, "ipConfigurations")?,
        address,
    })
}

fn name(of: &Value, field: &str) -> Result<String, Refusal> {
    let name = member::text(of, "name")?.filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| invalid(field, "It must have a name."))
}

/// The resource that a body refers to by `{"id": …}`, if it does, in the case of its own name.
fn known(
    state: &State,
    region: &Region,
    value: &Value,
    kind: &str,
    field: &str,
) -> Result<Option<Id>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    let written =
        member::text(value, "id")?.ok_or_else(|| invalid(field, "It must be an object with an id."))?;
    let found = Id::parse(written).filter(|id| id.is_a(kind)).and_then(|id| state.made.get(&id.key()));
    match found.filter(|found| found.location == *region) {
        Some(found) => Ok(Some(found.id.clone())),
        None => Err(missing(written, field)),
    }
}

fn subnet(state: &State, region: &Region, value: &Value) -> Result<Id, Refusal> {
    let written = member::text(value, "id")?.ok_or_else(|| required("subnet"))?;
    let id = Id::parse(written).filter(|id| id.is_a(SUBNETS)).ok_or_else(|| missing(written, "subnet"))?;
    let network = Id::new(&id.subscription, &id.group, networks::KIND, &[&id.names[0]]);
    let there = |network: &&Made| network.location == *region && networks::has_subnet(network, id.name());
    let network = state.made.get(&network.key()).filter(there).ok_or_else(|| missing(written, "subnet"))?;
    let own = &network.id;
    Ok(Id::new(&own.subscription, &own.group, SUBNETS, &[own.name(), id.name()]))
}

fn missing(written: &str, field: &str) -> Refusal {
    let message = format!(
        "Resource {written} referenced by {field} was not found. Please make sure that the referenced resource exists, \
         and that both resources are in the same region."
    );
    coded(400, "InvalidResourceReference", message)
}

impl Interface {
    /// The network, and whatever else its machine holds by it.
    pub(crate) fn held(&self) -> impl Iterator<Item = Id> {
        let network = self
            .subnet
            .as_ref()
            .map(|subnet| Id::new(&subnet.subscription, &subnet.group, networks::KIND, &[&subnet.names[0]]));
        [network, self.security_group.clone(), self.given.clone()].into_iter().flatten()
    }
}
