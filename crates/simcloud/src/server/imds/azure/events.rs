//! `/metadata/scheduledevents`: what will happen to the machine. Azure documentation, "Scheduled
//! Events for Linux VMs".

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use skyfleet_core::{InstanceState, Timestamp};

use crate::azure::id::Id;
use crate::azure::operation::guid;
use crate::kernel::Kernel;
use crate::server::imds::azure::machine::Machine;
use crate::server::imds::azure::{Told, digest};
use crate::view::MachineView;

/// What instances were told last, by their `vmId`. The first question of a machine switches the
/// service on for it; Azure takes up to two minutes for that, here it is at once.
#[derive(Debug, Default)]
pub(crate) struct Events {
    told: BTreeMap<String, Document>,
}

/// The document that a machine was told last.
#[derive(Clone, Copy, Debug)]
struct Document {
    /// Grows with every change.
    incarnation: u64,
    digest: u64,
}

impl Events {
    /// The document of a machine: the events of all machines that are managed together with it, which
    /// here are those of its launch. Whoever reads it must look for himself in `Resources`.
    pub(crate) fn document(&mut self, kernel: &Kernel, machine: &Machine) -> Value {
        let events: Vec<Value> = events(kernel, machine).map(|(_, event)| event).collect();
        let digest = digest(&[&json!(events).to_string()]);
        let document = self.told.entry(machine.vm_id.clone()).or_insert(Document { incarnation: 1, digest });
        if document.digest != digest {
            *document = Document { incarnation: document.incarnation + 1, digest };
        }
        json!({ "DocumentIncarnation": document.incarnation, "Events": events })
    }
}

/// `StartRequests`: whoever is ready need not wait. The events begin now.
pub(crate) fn start(kernel: &mut Kernel, machine: &Machine, body: &[u8]) -> Told {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Approval {
        start_requests: Vec<Start>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Start {
        event_id: String,
    }
    let Ok(approval) = serde_json::from_slice::<Approval>(body) else {
        return Told::bad("The body is not of the form {\"StartRequests\":[{\"EventId\":\"...\"}]}");
    };
    let known: Vec<(u32, Value)> = events(kernel, machine).collect();
    let mut starting = Vec::new();
    for Start { event_id } in &approval.start_requests {
        let event = known.iter().find(|(_, event)| event["EventId"] == event_id.as_str());
        let Some((m, _)) = event else {
            return Told::bad(&format!("There is no event {event_id}"));
        };
        starting.push(*m);
    }
    starting.into_iter().for_each(|m| kernel.reclaim_now(m));
    Told::Text(String::new())
}

/// The events that a machine is told, with the numbers of the machines that they are about.
fn events(kernel: &Kernel, machine: &Machine) -> impl Iterator<Item = (u32, Value)> {
    let now = kernel.now();
    kernel.lots[machine.view.launch as usize].machines().filter_map(move |m| {
        // Most have no notice: these need no closer look.
        kernel.machines[m as usize].notice?;
        Some((m, preempt(kernel, &kernel.view(m, now), now)?))
    })
}

/// `Preempt`, while the machine has not gone.
fn preempt(kernel: &Kernel, view: &MachineView, now: Timestamp) -> Option<Value> {
    let (noticed, deadline) = (view.noticed?, view.deadline?);
    if !matches!(view.state, InstanceState::Running | InstanceState::Stopping) {
        return None;
    }
    // Once it has begun there is no time to tell.
    let (status, not_before) = match deadline > now {
        true => ("Scheduled", deadline.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        false => ("Started", String::new()),
    };
    let number = u64::from(view.number) << 32 ^ noticed.as_second().unsigned_abs();
    Some(json!({
        "EventId": guid(kernel.seed ^ 0x5072_6565, number),
        "EventStatus": status,
        "EventType": "Preempt",
        "ResourceType": "VirtualMachine",
        "Resources": [Id::parse(&view.id)?.name()],
        "NotBefore": not_before,
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }))
}
