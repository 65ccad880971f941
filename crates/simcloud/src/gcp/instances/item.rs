//! An instance, as answers show it.

use serde_json::{Map, Value, json};
use skyfleet_core::{InstanceState, OfferId, Timestamp};

use crate::gcp::blueprint::shape::{cpu_platform, machine_type};
use crate::gcp::labels;
use crate::gcp::launched::{
    Details, Flash, Interface, Launched, Metadata, Own, Scheduling, machine_id, name_of,
};
use crate::gcp::resource::print_of;
use crate::gcp::url;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::tags::Tags;
use crate::view::MachineView;

/// What is shown of an instance, whether the world made it or not.
struct Shown<'a> {
    project: &'a str,
    id: u64,
    name: &'a str,
    offer: &'a OfferId,
    status: &'static str,
    created: Timestamp,
    labels: &'a Tags,
    disk_gib: u32,
    details: &'a Details,
    own: Option<&'a Own>,
}

/// An instance of the world; `None` for a machine that was not made by Compute Engine.
pub(crate) fn instance(
    kernel: &Kernel,
    launched: &Launched,
    view: &MachineView,
    project: &str,
) -> Option<Value> {
    let details = launched.of(view.launch)?;
    let own = launched.own(view.number);
    let shown = Shown {
        project,
        id: machine_id(view.number),
        name: name_of(&view.id),
        offer: &view.offer,
        status: status(kernel, view),
        created: view.launched,
        labels: &view.tags,
        disk_gib: disk_gib(kernel, view),
        details,
        own,
    };
    let mut item = shown.item();
    let mut set = |name: &str, value: Value| item.insert(name.to_owned(), value);
    let up = view.running_at.is_some() || view.state != InstanceState::Pending;
    if up {
        set("lastStartTimestamp", view.started.to_string().into());
    }
    if let Some(halted) = view.halted {
        set("lastStopTimestamp", halted.to_string().into());
    }
    let nics = interfaces(details, view, project);
    set("networkInterfaces", nics);
    let termination = view.running_at.and_then(|up| Some(up + details.scheduling.max_run?));
    if let Some(at) = termination.or(details.scheduling.termination) {
        set("resourceStatus", json!({ "scheduling": { "terminationTimestamp": at.to_string() } }));
    }
    Some(Value::Object(item))
}

/// How big its boot disk is: one that was there before it has its own size.
fn disk_gib(kernel: &Kernel, view: &MachineView) -> u32 {
    let mut lines = kernel.lines_of(view.number).map(|line| &kernel.lines[line as usize]);
    lines.find(|line| line.kind == LineKind::Disk).map_or(view.disk_gib, |line| line.gib)
}

/// An instance that comes to nothing.
pub(crate) fn flash(flash: &Flash, now: Timestamp, project: &str) -> Value {
    let stops = flash.stops.is_some_and(|stops| stops <= now);
    let shown = Shown {
        project,
        id: flash.id,
        name: &flash.name,
        offer: &flash.offer,
        status: if stops { "STOPPING" } else { "PROVISIONING" },
        created: flash.from,
        labels: &flash.labels,
        disk_gib: flash.disk_gib,
        details: &flash.details,
        own: None,
    };
    let mut item = shown.item();
    let nics = flash.details.interfaces.iter().enumerate();
    let nics = nics.map(|(place, nic)| interface(project, place, nic, flash.id, None, None));
    item.insert("networkInterfaces".to_owned(), nics.collect());
    Value::Object(item)
}

/// `status`. Compute Engine documentation, "VM instance lifecycle": a stopped one is TERMINATED.
pub(crate) fn status(kernel: &Kernel, view: &MachineView) -> &'static str {
    match view.state {
        InstanceState::Pending => {
            let up = kernel.machines[view.number as usize].comes_up();
            let (whole, past) = (up.duration_since(view.started), kernel.now().duration_since(view.started));
            // Resources are found first, then the machine is prepared. The share is ours.
            if past.as_secs_f64() * 3.0 < whole.as_secs_f64() { "PROVISIONING" } else { "STAGING" }
        }
        InstanceState::Running => "RUNNING",
        InstanceState::Stopping => "STOPPING",
        InstanceState::Stopped | InstanceState::Terminated => "TERMINATED",
    }
}

impl Shown<'_> {
    fn item(&self) -> Map<String, Value> {
        let Self { project, name, offer, details, own, .. } = self;
        let link = |path: &str| Value::from(url::link(project, path));
        let zone = format!("zones/{}", offer.zone);
        let machine = machine_type(offer.instance_type.as_str());
        let metadata = own.and_then(|own| own.metadata.as_ref()).unwrap_or(&details.metadata);
        let tags = own.and_then(|own| own.tags.as_ref()).unwrap_or(&details.tags);
        let mut item = details.told.clone();
        let mut set = |name: &str, value: Value| item.insert(name.to_owned(), value);
        set("kind", "compute#instance".into());
        set("id", self.id.to_string().into());
        set("creationTimestamp", self.created.to_string().into());
        set("name", (*name).into());
        set("selfLink", link(&format!("{zone}/instances/{name}")));
        set("zone", link(&zone));
        set("machineType", link(&format!("{zone}/machineTypes/{machine}")));
        set("status", self.status.into());
        set("cpuPlatform", cpu_platform(machine).into());
        set("disks", self.disks(&zone));
        set("scheduling", scheduling(&details.scheduling));
        if !self.labels.is_empty() {
            set("labels", json!(self.labels));
        }
        set("labelFingerprint", labels::fingerprint(self.labels).into());
        set("metadata", metadata_item(metadata));
        set("tags", tags_item(tags));
        if !details.accounts.is_empty() {
            let accounts = details.accounts.iter();
            let accounts = accounts.map(|(email, scopes)| json!({ "email": email, "scopes": scopes }));
            set("serviceAccounts", accounts.collect());
        }
        if let Some((name, count)) = details.accelerator {
            let path = format!("{zone}/acceleratorTypes/{name}");
            let accelerator = json!({ "acceleratorType": link(&path), "acceleratorCount": count });
            set("guestAccelerators", json!([accelerator]));
        }
        let [secure_boot, vtpm, integrity] = details.shielded;
        set(
            "shieldedInstanceConfig",
            json!({
                "enableSecureBoot": secure_boot,
                "enableVtpm": vtpm,
                "enableIntegrityMonitoring": integrity,
            }),
        );
        set("shieldedInstanceIntegrityPolicy", json!({ "updateAutoLearnPolicy": true }));
        let protected = own.and_then(|own| own.protected).unwrap_or(details.deletion_protection);
        set("deletionProtection", protected.into());
        set("startRestricted", false.into());
        set("satisfiesPzi", true.into());
        if let Some(hostname) = own.and_then(|own| own.hostname.as_ref()) {
            set("hostname", hostname.as_str().into());
        }
        set("fingerprint", print_of(&[name, &self.id.to_string(), &metadata.fingerprint]).into());
        item
    }

    fn disks(&self, zone: &str) -> Value {
        let boot = &self.details.boot;
        let mut first = json!({
            "kind": "compute#attachedDisk",
            "type": "PERSISTENT",
            "mode": "READ_WRITE",
            "index": 0,
            "boot": true,
            "autoDelete": boot.auto_delete,
            "deviceName": boot.device,
            "diskSizeGb": self.disk_gib.to_string(),
            "interface": boot.interface,
            "source": url::link(self.project, &format!("{zone}/disks/{}", self.name)),
            "architecture": boot.architecture,
        });
        if boot.image.is_some() {
            first["guestOsFeatures"] = json!([{ "type": "VIRTIO_SCSI_MULTIQUEUE" }, { "type": "UEFI_COMPATIBLE" }, { "type": "GVNIC" }]);
        }
        let scratch = (1..).zip(&self.details.scratch).map(|(index, (interface, device))| {
            json!({
                "kind": "compute#attachedDisk",
                "type": "SCRATCH",
                "mode": "READ_WRITE",
                "index": index,
                "boot": false,
                "autoDelete": true,
                "deviceName": device,
                // Compute Engine documentation, "Local SSD disks": 375 GiB each.
                "diskSizeGb": "375",
                "interface": interface,
            })
        });
        std::iter::once(first).chain(scratch).collect()
    }
}

fn interfaces(details: &Details, view: &MachineView, project: &str) -> Value {
    let nics = details.interfaces.iter().enumerate().map(|(place, nic)| {
        let id = machine_id(view.number);
        let inside = view.private_ip.filter(|_| place == 0).map(|ip| ip.to_string());
        let outside = view.public_ip.map(|ip| ip.to_string());
        interface(project, place, nic, id, inside, outside)
    });
    nics.collect()
}

fn interface(
    project: &str,
    place: usize,
    nic: &Interface,
    id: u64,
    inside: Option<String>,
    outside: Option<String>,
) -> Value {
    let mut shown = json!({
        "kind": "compute#networkInterface",
        "name": format!("nic{place}"),
        "network": url::link(project, &nic.network),
        "subnetwork": url::link(project, &nic.subnetwork),
        "stackType": nic.stack_type,
        "fingerprint": print_of(&[&id.to_string(), &nic.subnetwork]),
    });
    if let Some(inside) = inside {
        shown["networkIP"] = inside.into();
    }
    if let Some(kind) = &nic.nic_type {
        shown["nicType"] = kind.as_str().into();
    }
    if let Some((name, tier)) = &nic.access {
        let mut access = json!({
            "kind": "compute#accessConfig",
            "type": "ONE_TO_ONE_NAT",
            "name": name,
            "networkTier": tier,
        });
        if let Some(outside) = outside {
            access["natIP"] = outside.into();
        }
        shown["accessConfigs"] = json!([access]);
    }
    shown
}

fn scheduling(scheduling: &Scheduling) -> Value {
    let mut shown = json!({
        "onHostMaintenance": scheduling.on_maintenance,
        "automaticRestart": scheduling.automatic_restart,
        "preemptible": scheduling.preemptible,
        "provisioningModel": scheduling.model,
    });
    if let Some(action) = scheduling.action {
        shown["instanceTerminationAction"] = action.into();
    }
    if let Some(at) = scheduling.termination {
        shown["terminationTime"] = at.to_string().into();
    }
    let spans = [("maxRunDuration", scheduling.max_run), ("preemptionNoticeDuration", scheduling.notice)];
    for (name, span) in spans {
        if let Some(span) = span {
            shown[name] = json!({ "seconds": span.as_secs().to_string() });
            if span.subsec_nanos() > 0 {
                shown[name]["nanos"] = span.subsec_nanos().into();
            }
        }
    }
    shown
}

fn metadata_item(metadata: &Metadata) -> Value {
    let mut shown = json!({ "kind": "compute#metadata", "fingerprint": metadata.fingerprint });
    if !metadata.items.is_empty() {
        let items = metadata.items.iter().map(|(key, value)| json!({ "key": key, "value": value }));
        shown["items"] = items.collect();
    }
    shown
}

fn tags_item(tags: &[String]) -> Value {
    let mut shown = json!({ "fingerprint": tags_fingerprint(tags) });
    if !tags.is_empty() {
        shown["items"] = json!(tags);
    }
    shown
}

pub(crate) fn tags_fingerprint(tags: &[String]) -> String {
    print_of(&tags.iter().map(String::as_str).collect::<Vec<_>>())
}
