//! A machine, as answers tell it.

use serde_json::{Map, Value, json};
use skyfleet_core::{OfferId, Timestamp};

use crate::azure::blueprint::sizes;
use crate::azure::id::Id;
use crate::azure::launched::{Details, Failed, Found, Launched, vm_id};
use crate::azure::machines::{KIND, status};
use crate::azure::operation::guid;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::seed::digest;
use crate::tags::Tags;
use crate::view::MachineView;

/// What is told beside what is always told: `$expand`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expand {
    pub(crate) instance_view: bool,
    pub(crate) user_data: bool,
}

/// What is shown of a machine, whether the world made it or not.
struct Shown<'a> {
    id: Id,
    vm_id: String,
    location: &'a str,
    offer: &'a OfferId,
    state: &'static str,
    created: Timestamp,
    tags: &'a Tags,
    disk: Option<(Id, u32)>,
    interface: String,
    details: &'a Details,
}

/// A machine; `None` for one of the world that Azure did not make.
pub(crate) fn machine(
    kernel: &Kernel,
    launched: &Launched,
    found: &Found<'_>,
    expand: Expand,
) -> Option<Value> {
    let shown = shown(kernel, launched, found)?;
    let mut item = shown.item();
    if expand.instance_view {
        item["properties"]["instanceView"] = status::view(kernel, launched, found);
    }
    if let Some(text) = shown.details.os.user_data.as_ref().filter(|_| expand.user_data) {
        item["properties"]["userData"] = text.as_str().into();
    }
    Some(item)
}

/// The same in short, with its state: what a list with `statusOnly` has. Compute API reference,
/// "Virtual Machines - List All".
pub(crate) fn in_short(kernel: &Kernel, launched: &Launched, found: &Found<'_>) -> Option<Value> {
    let shown = shown(kernel, launched, found)?;
    let mut item = shown.head();
    item.insert(
        "properties".to_owned(),
        json!({
            "vmId": shown.vm_id,
            "hardwareProfile": { "vmSize": shown.offer.instance_type },
            "provisioningState": shown.state,
            "timeCreated": shown.created.to_string(),
            "instanceView": status::view(kernel, launched, found),
        }),
    );
    Some(item.into())
}

fn shown<'a>(kernel: &'a Kernel, launched: &'a Launched, found: &'a Found<'_>) -> Option<Shown<'a>> {
    let (id, location, state) = (found.id()?, found.region(kernel), status::provisioning(kernel, found));
    Some(match found {
        Found::Made(view) => Shown {
            id,
            vm_id: vm_id(kernel, view.number),
            location,
            offer: &view.offer,
            state,
            created: view.launched,
            tags: &view.tags,
            disk: disk(kernel, view),
            interface: kernel.interface_id(view.number).to_string(),
            details: launched.of(view.launch)?,
        },
        Found::Failed(failed) => {
            let Failed { offer, from, tags, details, interface, number, .. } = failed;
            let vm_id = guid(!kernel.seed, *number);
            let interface = interface.to_string();
            Shown { id, vm_id, location, offer, state, created: *from, tags, disk: None, interface, details }
        }
    })
}

/// The id and the size of its disk.
fn disk(kernel: &Kernel, view: &MachineView) -> Option<(Id, u32)> {
    let lines = kernel.machines[view.number as usize].lines;
    let line = (lines.0..lines.1).find(|line| kernel.lines[*line as usize].kind == LineKind::Disk)?;
    Some((Id::parse(&kernel.line_id(line))?, kernel.lines[line as usize].gib))
}

impl Shown<'_> {
    fn head(&self) -> Map<String, Value> {
        let mut head = Map::new();
        let mut set = |name: &str, value: Value| head.insert(name.to_owned(), value);
        set("id", self.id.to_string().into());
        set("name", self.id.name().into());
        set("type", KIND.into());
        set("location", self.location.into());
        if !self.tags.is_empty() {
            set("tags", json!(self.tags));
        }
        if self.details.zonal {
            set("zones", json!([sizes::number(&self.offer.zone)]));
        }
        if let Some(identity) = &self.details.identity {
            set("identity", identity.clone());
        }
        head
    }

    fn item(&self) -> Value {
        let Details { terms, scale_set, told, .. } = self.details;
        let mut properties = told.clone();
        let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
        set("vmId", self.vm_id.as_str().into());
        set("hardwareProfile", json!({ "vmSize": self.offer.instance_type }));
        set("provisioningState", self.state.into());
        set("timeCreated", self.created.to_string().into());
        set("storageProfile", self.storage());
        set("osProfile", self.system());
        set("networkProfile", json!({ "networkInterfaces": [self.interface()] }));
        if let Some(priority) = terms.priority {
            set("priority", priority.into());
        }
        if let Some(eviction) = terms.eviction {
            set("evictionPolicy", eviction.as_str().into());
            set("billingProfile", json!({ "maxPrice": terms.max_price.map_or(json!(-1), |max| json!(max)) }));
        }
        if let Some(set_id) = scale_set {
            set("virtualMachineScaleSet", json!({ "id": set_id.to_string() }));
        }
        let mut item = self.head();
        item.insert("properties".to_owned(), properties.into());
        item.into()
    }

    fn storage(&self) -> Value {
        let disk = &self.details.disk;
        let mut shown = json!({
            "osType": "Linux",
            "createOption": "FromImage",
            "caching": disk.caching,
            "deleteOption": option(disk.goes),
            "diskSizeGB": disk.gib,
            "managedDisk": { "storageAccountType": disk.kind },
        });
        if let Some((id, gib)) = &self.disk {
            shown["name"] = id.name().into();
            shown["managedDisk"]["id"] = id.to_string().into();
            shown["diskSizeGB"] = (*gib).into();
        }
        json!({ "imageReference": disk.image, "osDisk": shown, "dataDisks": [] })
    }

    fn system(&self) -> Value {
        let mut system = self.details.os.told.clone();
        let name = computer_name(self.details, &self.id);
        system.insert("computerName".to_owned(), name.into());
        system.into()
    }

    fn interface(&self) -> Value {
        let goes = self.details.interface_goes();
        json!({ "id": self.interface, "properties": { "primary": true, "deleteOption": option(goes) } })
    }
}

/// What a machine is called inside: as its profile says, or as it is called itself. Of several, the
/// profile says the beginning, and six letters and digits follow (Azure documentation, "Instance
/// naming in flexible orchestration mode").
pub(crate) fn computer_name(details: &Details, id: &Id) -> String {
    match &details.os.computer {
        None => id.name().to_owned(),
        Some(name) if !details.os.several => name.clone(),
        Some(beginning) => format!("{beginning}{}", six(digest(&[id.key().as_bytes()]))),
    }
}

/// Six letters and digits.
fn six(mut number: u64) -> String {
    let digits = (0..6).map(|_| {
        let digit = (number % 36) as u32;
        number /= 36;
        char::from_digit(digit, 36).unwrap_or('0').to_ascii_uppercase()
    });
    digits.collect()
}

/// `deleteOption`.
fn option(goes: bool) -> &'static str {
    if goes { "Delete" } else { "Detach" }
}
