//! The network interfaces of new instances.

use crate::gcp::blueprint::Place;
use crate::gcp::blueprint::properties::InterfaceSpec;
use crate::gcp::error::{coded, required};
use crate::gcp::launched::Interface;
use crate::gcp::made::{self, Store};
use crate::gcp::networks;
use crate::gcp::state::State;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// Reads `networkInterfaces`.
///
/// # Errors
/// `required` when there is none, `invalid` for a network that there is not.
pub(crate) fn read(
    kernel: &Kernel,
    state: &mut State,
    place: Place<'_>,
    specs: &[InterfaceSpec],
) -> Result<Vec<Interface>, Refusal> {
    if specs.is_empty() {
        return Err(required("resource.networkInterfaces"));
    }
    let store = made::all(kernel, state);
    (0..).zip(specs).map(|(number, spec)| one(store, place, number, spec)).collect()
}

fn one(store: &Store, place: Place<'_>, number: u32, spec: &InterfaceSpec) -> Result<Interface, Refusal> {
    let not_simulated = |what: &str| {
        Err(coded(501, "notImplemented", format!("{what} is not simulated: an instance gets its own.")))
    };
    if spec.network_ip.is_some() {
        return not_simulated("an internal address of the caller's choice");
    }
    if spec.access_configs.iter().any(|access| access.nat_ip.is_some()) {
        return not_simulated("an instance with a static external address");
    }
    if number > 0 && !spec.access_configs.is_empty() {
        return not_simulated("an external address of a second interface");
    }
    let field = format!("resource.networkInterfaces[{number}]");
    let named = (spec.network.as_deref(), spec.subnetwork.as_deref());
    let networks::Attached { network, subnetwork } = networks::attach(store, place.region, named, &field)?;
    let access = spec.access_configs.first().map(|access| {
        let or = |text: &Option<String>, usual: &str| text.clone().unwrap_or_else(|| usual.to_owned());
        (or(&access.name, "External NAT"), or(&access.network_tier, "PREMIUM"))
    });
    Ok(Interface {
        network,
        subnetwork,
        access,
        nic_type: spec.nic_type.clone(),
        stack_type: spec.stack_type.clone().unwrap_or_else(|| "IPV4_ONLY".to_owned()),
    })
}
