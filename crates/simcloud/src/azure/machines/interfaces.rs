//! What comes with machines of the network: their interfaces and public addresses, as resources of
//! their own. The world makes none of them before its machine is gone; they are shown from what the
//! machine is.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use skyfleet_core::{InstanceState, Region};

use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::launched::{Details, Launched};
use crate::azure::network::interfaces;
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::refusal::Refusal;
use crate::tags::Tags;
use crate::view::{MachineView, Whose};

/// What came with a machine: a resource of its own.
pub(crate) struct Part {
    pub(crate) id: Id,
    pub(crate) location: Region,
    pub(crate) tags: Arc<Tags>,
    /// What there is to say beside that: `properties`, `sku`.
    pub(crate) body: Map<String, Value>,
}

/// The interfaces that came with the machines that lists show.
pub(crate) fn of_machines(kernel: &Kernel, launched: &Launched) -> Vec<Part> {
    kernel.machines_as(&Whose::default(), |view| interface(kernel, launched, &view))
}

/// The public addresses that came with the machines that lists show.
pub(crate) fn addresses_of_machines(kernel: &Kernel, launched: &Launched) -> Vec<Part> {
    kernel.machines_as(&Whose::default(), |view| address(kernel, launched, &view))
}

/// The interface with an id that came with a machine that is there.
pub(crate) fn found(kernel: &Kernel, launched: &Launched, id: &Id) -> Option<Part> {
    let view = alive(kernel, launched.with_interface(id)?)?;
    interface(kernel, launched, &view)
}

/// The public address with an id that came with a machine that is there.
pub(crate) fn found_address(kernel: &Kernel, launched: &Launched, id: &Id) -> Option<Part> {
    let view = alive(kernel, launched.with_address(id)?)?;
    address(kernel, launched, &view)
}

/// What is left to say of an interface or an address that outlived its machine, or whose machine
/// could not be made; nothing of those that no machine brought.
pub(crate) fn left(kernel: &Kernel, launched: &Launched, id: &Id) -> Option<Map<String, Value>> {
    if let Some(failed) = launched.failed_with(id) {
        let details = &failed.details;
        let part = configuration(details, id, None, None)?;
        return Some(body(details, part, None));
    }
    if let Some(m) = launched.with_address(id) {
        let view = kernel.view(m, kernel.now());
        return Some(address(kernel, launched, &view)?.body);
    }
    let view = kernel.view(launched.with_interface(id)?, kernel.now());
    let mut body = interface(kernel, launched, &view)?.body;
    if let Some(Value::Object(properties)) = body.get_mut("properties") {
        properties.remove("virtualMachine");
    }
    Some(body)
}

/// Whether a machine that is there lies in a subnet.
pub(crate) fn uses_subnet(kernel: &Kernel, launched: &Launched, subnet: &Id) -> bool {
    let key = subnet.key();
    launched.interfaces().any(|m| {
        let machine = &kernel.machines[m as usize];
        let details = launched.of(machine.lot);
        let own = details.and_then(|details| details.interface()?.subnet.as_ref());
        own.is_some_and(|own| own.key() == key) && alive(kernel, m).is_some()
    })
}

/// The machine that has an interface that was there before it, if one has.
pub(crate) fn holder(kernel: &Kernel, launched: &Launched, id: &Id) -> Option<Arc<str>> {
    alive(kernel, launched.with_interface(id)?).map(|view| view.id)
}

/// Refuses to go on with an interface that a machine has, or that is reserved for one.
///
/// # Errors
/// `NicInUse`, `NicReservedForAnotherVm`.
pub(crate) fn check_free(kernel: &Kernel, state: &State, id: &Id) -> Result<(), Refusal> {
    if let Some(machine) = holder(kernel, &state.launched, id) {
        let message = format!(
            "Network Interface {id} is used by existing resource {machine}. In order to delete the network interface, \
             it must be dissociated from the resource. To learn more, see aka.ms/deletenic."
        );
        return Err(coded(400, "NicInUse", message));
    }
    if state.launched.reserved(id).is_some_and(|until| until > kernel.now()) {
        let machine = state.launched.failed_with(id).map(|failed| failed.id.to_string());
        let message = format!(
            "Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another nic(s) or \
             retry after 180 seconds. Reserved VM: {}",
            machine.as_deref().unwrap_or("a virtual machine that was deleted")
        );
        return Err(coded(400, "NicReservedForAnotherVm", message));
    }
    Ok(())
}

fn alive(kernel: &Kernel, m: u32) -> Option<MachineView> {
    let state = kernel.machines[m as usize].state_at(kernel.now());
    (state != InstanceState::Terminated).then(|| kernel.view(m, kernel.now()))
}

/// The interface that came with a machine; `None` of one that was there before it.
fn interface(kernel: &Kernel, launched: &Launched, view: &MachineView) -> Option<Part> {
    let details = launched.of(view.launch)?;
    if details.interface()?.given.is_some() {
        return None;
    }
    let id = Id::parse(&kernel.interface_id(view.number))?;
    let address =
        address_line(kernel, view).filter(|line| kernel.lines[*line as usize].is_open(kernel.now()));
    let address = address.map(|line| kernel.line_id(line));
    let part = configuration(details, &id, view.private_ip.map(|ip| ip.to_string()), address.as_deref())?;
    let location = view.region.clone();
    let tags = kernel.lots[view.launch as usize].interface_tags.clone();
    Some(Part { body: body(details, part, Some(view)), id, location, tags })
}

/// The one entry of `ipConfigurations`.
fn configuration(
    details: &Details,
    interface: &Id,
    private: Option<String>,
    public: Option<&str>,
) -> Option<Value> {
    let own = details.interface()?;
    let mut properties = json!({
        "provisioningState": "Succeeded",
        "primary": true,
        "privateIPAllocationMethod": "Dynamic",
        "privateIPAddressVersion": "IPv4",
        "subnet": { "id": own.subnet.as_ref().map(Id::to_string) },
    });
    if let Some(private) = private {
        properties["privateIPAddress"] = private.into();
    }
    if let Some(public) = public {
        properties["publicIPAddress"] = json!({ "id": public });
    }
    Some(json!({
        "id": format!("{interface}/ipConfigurations/{}", own.configuration),
        "name": own.configuration,
        "type": format!("{}/ipConfigurations", interfaces::KIND),
        "properties": properties,
    }))
}

fn body(details: &Details, configuration: Value, machine: Option<&MachineView>) -> Map<String, Value> {
    let mut properties = json!({
        "provisioningState": "Succeeded",
        "primary": true,
        "ipConfigurations": [configuration],
    });
    if let Some(own) = details.interface() {
        properties["enableAcceleratedNetworking"] = own.accelerated.into();
        if let Some(group) = &own.security_group {
            properties["networkSecurityGroup"] = json!({ "id": group.to_string() });
        }
    }
    if let Some(view) = machine {
        let [_, b, c, d] = view.number.to_be_bytes();
        properties["virtualMachine"] = json!({ "id": view.id });
        properties["macAddress"] = format!("00-0D-3A-{b:02X}-{c:02X}-{d:02X}").into();
    }
    Map::from_iter([("properties".to_owned(), properties)])
}

/// The line of the public address that came with a machine.
fn address_line(kernel: &Kernel, view: &MachineView) -> Option<u32> {
    let is_one = |line: &u32| kernel.lines[*line as usize].kind == LineKind::Address;
    kernel.lines_of(view.number).find(is_one)
}

fn address(kernel: &Kernel, launched: &Launched, view: &MachineView) -> Option<Part> {
    let details = launched.of(view.launch)?;
    let line = address_line(kernel, view)?;
    let id = Id::parse(&kernel.line_id(line))?;
    let there = view.state != InstanceState::Terminated;
    let interface = details.interface()?;
    let mut properties = json!({
        "provisioningState": "Succeeded",
        "publicIPAddressVersion": "IPv4",
        "publicIPAllocationMethod": "Static",
    });
    properties["ipAddress"] = Kernel::public_ip(view.number).to_string().into();
    if there {
        let by = kernel.interface_id(view.number);
        let configuration = format!("{by}/ipConfigurations/{}", interface.configuration);
        properties["ipConfiguration"] = json!({ "id": configuration });
        let goes = kernel.spec(view.number).goes().address;
        properties["deleteOption"] = if goes { "Delete" } else { "Detach" }.into();
    }
    let sku = json!({ "name": "Standard", "tier": "Regional" });
    let body = Map::from_iter([("properties".to_owned(), properties), ("sku".to_owned(), sku)]);
    Some(Part { id, location: view.region.clone(), tags: kernel.line_tags(line).clone(), body })
}

impl Part {
    /// As its own methods tell it.
    pub(crate) fn show(&self) -> Value {
        let mut shown = json!({
            "id": self.id.to_string(),
            "name": self.id.name(),
            "type": self.id.kind,
            "location": self.location,
        });
        if !self.tags.is_empty() {
            shown["tags"] = json!(*self.tags);
        }
        shown.as_object_mut().into_iter().for_each(|shown| shown.extend(self.body.clone()));
        shown
    }
}
