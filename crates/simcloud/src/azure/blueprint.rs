//! What virtual machines are made of: the profile of one machine, of a fleet or of a scale set, read
//! and checked. Compute API reference, "Virtual Machines - Create Or Update", "Virtual Machine Scale
//! Sets - Create Or Update".

pub(crate) mod member;
pub(crate) mod network;
pub(crate) mod os;
pub(crate) mod sizes;
pub(crate) mod storage;
pub(crate) mod terms;

use std::sync::Arc;

use serde_json::{Map, Value};
use skyfleet_core::{InstanceType, PoolBid, Region, Spread};

use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::launched::Details;
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::order::{Goes, MachineSpec, OnShutdown, Order};
use crate::refusal::Refusal;
use crate::tags::Tags;

use sizes::Zones;
use terms::Terms;

/// The kind of virtual machines.
pub(crate) const MACHINES: &str = "Microsoft.Compute/virtualMachines";

/// Machines of one profile, in one region.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    pub(crate) region: Region,
    /// Where they may come from: those of the first size first, each size in all its zones.
    pub(crate) pools: Vec<PoolBid>,
    pub(crate) spec: MachineSpec,
    pub(crate) details: Arc<Details>,
}

/// What a profile is drawn from beside itself.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// The resource group, as it was made.
    pub(crate) group: Id,
    pub(crate) region: &'a Region,
    pub(crate) zones: Zones,
    pub(crate) sizes: &'a [Arc<InstanceType>],
    pub(crate) terms: Terms,
    /// The member with the computer's name, or the beginning of it.
    pub(crate) computer: &'static str,
    /// Whoever made the machines, if that is a scale set.
    pub(crate) scale_set: Option<Id>,
    /// The identities of the machines, as they were given.
    pub(crate) identity: Value,
}

/// Members of a profile that are told as they were given: the world does not look at them.
pub(crate) const TOLD: [&str; 9] = [
    "additionalCapabilities",
    "applicationProfile",
    "diagnosticsProfile",
    "extensionsTimeBudget",
    "licenseType",
    "platformFaultDomain",
    "scheduledEventsPolicy",
    "scheduledEventsProfile",
    "securityProfile",
];

/// Members that change what a machine is or where it lies, and are not simulated.
const UNSIMULATED: [(&str, &str); 5] = [
    ("capacityReservation", "A capacity reservation"),
    ("host", "A dedicated host"),
    ("hostGroup", "A dedicated host"),
    ("flexProfile", "A machine of one of several sizes"),
    ("proximityPlacementGroup", "A proximity placement group"),
];

/// The blueprint of one virtual machine, from the body of its PUT.
///
/// # Errors
/// Azure's for what is missing, malformed, not there or cannot be had in the region; `NotImplemented`
/// for what is not simulated.
pub(crate) fn of_machine(
    kernel: &Kernel,
    state: &State,
    id: &Id,
    region: &Region,
    body: &Value,
) -> Result<Blueprint, Refusal> {
    let profile = &body["properties"];
    let size =
        member::text(&profile["hardwareProfile"], "vmSize")?.ok_or_else(|| required("hardwareProfile"))?;
    let size = sizes::named(kernel, region, size)?;
    let zones = Zones::read(kernel, region, body, MACHINES)?;
    if zones.named && zones.all.len() > 1 {
        let message = "A virtual machine can be in one availability zone only.";
        return Err(coded(400, "InvalidParameter", message));
    }
    let terms = Terms::read(profile)?;
    if !profile["availabilitySet"].is_null() {
        if terms.eviction.is_some() {
            let message = "Azure Spot Virtual Machine is not supported in Availability Set.";
            return Err(coded(400, "AzureSpotVMNotSupportedInAvailabilitySet", message));
        }
        return Err(unsimulated("An availability set"));
    }
    if !profile["virtualMachineScaleSet"].is_null() {
        return Err(unsimulated("A machine that is put into a scale set by itself"));
    }
    let draft = Draft {
        group: Id::group(&id.subscription, &id.group),
        region,
        zones,
        sizes: std::slice::from_ref(&size),
        terms,
        computer: "computerName",
        scale_set: None,
        identity: body["identity"].clone(),
    };
    let mut blueprint = draw(kernel, state, draft, profile)?;
    let disk = member::text(&profile["storageProfile"]["osDisk"], "name")?.filter(|name| !name.is_empty());
    if let Some(name) = disk {
        let disk = Id::new(&id.subscription, &id.group, "Microsoft.Compute/disks", &[name]);
        blueprint.spec.disk_name = Some(disk.to_string().into());
    }
    Ok(blueprint)
}

/// The blueprint of machines of a profile.
///
/// # Errors
/// Those of [`of_machine`].
pub(crate) fn draw(
    kernel: &Kernel,
    state: &State,
    draft: Draft<'_>,
    profile: &Value,
) -> Result<Blueprint, Refusal> {
    for (name, called) in UNSIMULATED {
        if profile.get(name).is_some_and(|value| !value.is_null()) {
            return Err(unsimulated(called));
        }
    }
    if !member::list(&profile["extensionProfile"], "extensions")?.is_empty() {
        return Err(unsimulated("An extension"));
    }
    let Draft { group, region, zones, sizes, terms, computer, scale_set, identity } = draft;
    let pools = sizes::pools(kernel, region, sizes, &zones, &terms)?;
    let disk = storage::read(profile, sizes, kernel.rules().extras.disk_gib_default)?;
    let os = os::read(profile, computer)?;
    let interfaces = network::read(state, region, profile)?;
    let first = interfaces.first();
    let address = first.and_then(|interface| interface.address.as_ref());
    let held = interfaces.iter().flat_map(|interface| interface.held());
    let holds = std::iter::once(group).chain(held).map(|id| id.to_string().into()).collect();
    let goes = Goes {
        disk: disk.goes,
        interface: first.is_some_and(|interface| interface.goes),
        address: address.is_some_and(|address| address.goes),
    };
    let spec = MachineSpec {
        user_data: os.script.as_str().into(),
        disk_gib: disk.gib,
        public_ip: address.is_some(),
        delete_with_instance: goes.disk,
        goes: Some(goes),
        interface: first.and_then(|interface| interface.given.as_ref()).map(|id| id.to_string().into()),
        holds,
        on_reclaim: terms.on_reclaim(),
        // A machine that shuts itself down is stopped, and goes on costing.
        on_shutdown: OnShutdown::Stop,
        ..MachineSpec::default()
    };
    let told = TOLD.iter().filter_map(|name| {
        let value = profile.get(*name).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), value.clone()))
    });
    let details = Details {
        zonal: zones.named,
        terms,
        disk,
        os,
        interfaces,
        identity: (!identity.is_null()).then_some(identity),
        told: Map::from_iter(told),
        scale_set,
    };
    Ok(Blueprint { region: region.clone(), pools, spec, details: Arc::new(details) })
}

impl Blueprint {
    /// The order of machines with these names, whole ids: as many as there are, if so many can be had.
    pub(crate) fn order(&self, names: Vec<Arc<str>>, tags: &Arc<Tags>) -> Order {
        Order {
            token: None,
            region: self.region.clone(),
            market: self.details.terms.market(),
            pools: self.pools.clone(),
            count: u32::try_from(names.len()).unwrap_or(u32::MAX),
            count_min: 1,
            spread: Spread::Packed,
            spec: self.spec.clone(),
            tags: tags.clone(),
            disk_tags: tags.clone(),
            interface_tags: tags.clone(),
            native_expiry: None,
            name_prefix: String::new(),
            names,
        }
    }
}

/// A member of a profile that must be there.
fn required(name: &str) -> Refusal {
    coded(400, "InvalidParameter", format!("Required parameter '{name}' is missing (null)."))
}

/// What a profile may ask of Azure, and not of this one.
pub(crate) fn unsimulated(what: &str) -> Refusal {
    tracing::warn!(what, "this part of a machine of Azure is not simulated");
    coded(501, "NotImplemented", format!("{what} is not simulated."))
}

#[cfg(test)]
pub(crate) mod tests;
