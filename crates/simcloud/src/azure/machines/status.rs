//! How far a machine is, in Azure's words: `provisioningState` and the power states of its instance
//! view. Azure documentation, "States and billing status of Azure Virtual Machines".

use serde_json::{Value, json};
use skyfleet_core::{InstanceState, Timestamp};

use crate::azure::id::Id;
use crate::azure::launched::{Failed, Found, Launched};
use crate::azure::machines::item::computer_name;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::view::MachineView;

/// `provisioningState`.
pub(crate) fn provisioning(kernel: &Kernel, found: &Found<'_>) -> &'static str {
    match found {
        Found::Failed(Failed { gone: Some(_), .. }) => "Deleting",
        Found::Failed(failed) if failed.at > kernel.now() => "Creating",
        Found::Failed(_) => "Failed",
        Found::Made(view) if view.leaving.is_some() => "Deleting",
        Found::Made(view) => match view.state {
            InstanceState::Pending if is_new(view) => "Creating",
            InstanceState::Pending | InstanceState::Stopping => "Updating",
            _ => "Succeeded",
        },
    }
}

/// Whether it comes up for the first time.
fn is_new(view: &MachineView) -> bool {
    view.started == view.launched
}

/// `PowerState/…`: none before a machine has its place. One that is deallocated gave it up and costs
/// nothing; one that is stopped has it still.
fn power(kernel: &Kernel, view: &MachineView) -> Option<(&'static str, &'static str)> {
    let keeps_place = kernel.machines[view.number as usize].keeps_place();
    Some(match view.state {
        InstanceState::Pending if is_new(view) => return None,
        InstanceState::Pending => ("starting", "VM starting"),
        InstanceState::Running => ("running", "VM running"),
        InstanceState::Stopping if keeps_place => ("stopping", "VM stopping"),
        InstanceState::Stopping | InstanceState::Terminated => ("deallocating", "VM deallocating"),
        InstanceState::Stopped if keeps_place => ("stopped", "VM stopped"),
        InstanceState::Stopped => ("deallocated", "VM deallocated"),
    })
}

/// The instance view of a machine.
pub(crate) fn view(kernel: &Kernel, launched: &Launched, found: &Found<'_>) -> Value {
    let state = provisioning(kernel, found);
    let mut statuses = vec![status("ProvisioningState", &state.to_lowercase(), display(state), None)];
    let view = match found {
        Found::Failed(failed) => {
            if state == "Failed" {
                let status = &mut statuses[0];
                status["code"] = format!("ProvisioningState/failed/{}", failed.told.code).into();
                status["level"] = "Error".into();
                status["message"] = failed.told.message.as_str().into();
                status["time"] = failed.at.to_string().into();
            }
            return json!({ "statuses": statuses });
        }
        Found::Made(view) => view,
    };
    statuses[0]["time"] = changed(view).to_string().into();
    statuses.extend(power(kernel, view).map(|(code, text)| status("PowerState", code, text, None)));
    let disk = kernel.lines_of(view.number).find(|line| kernel.lines[*line as usize].kind == LineKind::Disk);
    let disk = disk.map(|line| {
        let id = kernel.line_id(line);
        let ready = status("ProvisioningState", "succeeded", "Provisioning succeeded", Some(view.launched));
        json!({ "name": id.rsplit('/').next(), "statuses": [ready] })
    });
    let mut shown = json!({ "statuses": statuses, "disks": Vec::from_iter(disk), "hyperVGeneration": "V2" });
    if let Some(up) = view.running_at.filter(|_| view.state == InstanceState::Running) {
        let (details, id) = (launched.of(view.launch), Id::parse(&view.id));
        let name = details.zip(id.as_ref()).map(|(details, id)| computer_name(details, id));
        shown["computerName"] = name.into();
        shown["osName"] = "linux".into();
        let ready = status("ProvisioningState", "succeeded", "Ready", Some(up));
        shown["vmAgent"] = json!({ "vmAgentVersion": "2.9.1.1", "statuses": [ready] });
    }
    shown
}

/// When the last change of a machine ended, or began if it goes on.
fn changed(view: &MachineView) -> Timestamp {
    match view.state {
        InstanceState::Running => view.running_at.unwrap_or(view.started),
        _ => view.leaving.or(view.halted).unwrap_or(view.started),
    }
}

fn display(provisioning: &str) -> &'static str {
    match provisioning {
        "Creating" => "Creating",
        "Updating" => "Updating",
        "Deleting" => "Deleting",
        "Failed" => "Provisioning failed",
        _ => "Provisioning succeeded",
    }
}

fn status(kind: &str, code: &str, text: &str, time: Option<Timestamp>) -> Value {
    let mut status = json!({ "code": format!("{kind}/{code}"), "level": "Info", "displayStatus": text });
    if let Some(time) = time {
        status["time"] = time.to_string().into();
    }
    status
}
