use std::collections::BTreeSet;

use serde::Serialize;
use skyfleet_core::{InstanceState, Market};

use crate::aws::Request;
use crate::aws::creation::is_id;
use crate::aws::error::{coded, missing};
use crate::aws::instances::{malformed, unknown};
use crate::aws::launched::{distinct, existing, state};
use crate::aws::xml::{Done, Items};
use crate::kernel::Kernel;
use crate::refusal::{Closed, Refusal};
use crate::view::MachineView;

/// EC2 API, `TerminateInstances`: at most a thousand instances per call.
const MOST: usize = 1_000;

/// `TerminateInstances`. One id that is unknown fails the whole call; a protected instance keeps
/// all of its zone alive (EC2 user guide, termination protection).
pub(crate) fn terminate(request: &Request<'_>) -> Result<String, Refusal> {
    let ids = ids(request)?;
    let changes = request.call(ids.len() as u32, |kernel, ec2| {
        let views = all(kernel, request.region, &ids)?;
        let safe: BTreeSet<&str> = views
            .iter()
            .filter(|view| view.leaving.is_none() && ec2.launched.is_protected(view))
            .map(|view| view.offer.zone.as_str())
            .collect();
        for view in views.iter().filter(|view| !safe.contains(view.offer.zone.as_str())) {
            kernel.terminate(&view.id);
        }
        if let Some(view) = views.iter().find(|view| ec2.launched.is_protected(view) && view.leaving.is_none()) {
            let message = format!(
                "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
                view.id
            );
            return Err(coded(400, "OperationNotPermitted", message));
        }
        Ok(changes(kernel, &views))
    })?;
    request.answer(&changes)
}

/// `StopInstances`.
pub(crate) fn stop(request: &Request<'_>) -> Result<String, Refusal> {
    let ids = ids(request)?;
    let changes = request.call(ids.len() as u32, |kernel, ec2| {
        let views = all(kernel, request.region, &ids)?;
        for view in &views {
            let one_time = ec2.launched.of(view.launch).and_then(|details| details.spot.as_ref());
            if view.offer.market == Market::Spot && one_time.is_none_or(|spot| !spot.persistent) {
                let message = format!(
                    "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
                    view.id
                );
                return Err(coded(400, "UnsupportedOperation", message));
            }
            let wrong = view.leaving.is_some() || view.state == InstanceState::Pending;
            if wrong {
                return Err(wrong_state(view, "stopped"));
            }
        }
        for view in &views {
            kernel.stop(&view.id)?;
        }
        Ok(changes(kernel, &views))
    })?;
    request.answer(&changes)
}

/// `StartInstances`.
pub(crate) fn start(request: &Request<'_>) -> Result<String, Refusal> {
    let ids = ids(request)?;
    let changes = request.call(ids.len() as u32, |kernel, _| {
        let views = all(kernel, request.region, &ids)?;
        let wrong =
            |view: &&MachineView| matches!(view.state, InstanceState::Stopping | InstanceState::Terminated);
        if let Some(view) = views.iter().find(wrong) {
            return Err(wrong_state(view, "started"));
        }
        for view in &views {
            kernel.start(&view.id).map_err(|refusal| full(view, refusal))?;
        }
        Ok(changes(kernel, &views))
    })?;
    request.answer(&changes)
}

/// `RebootInstances`: the instance stays, its lists show nothing of it.
pub(crate) fn reboot(request: &Request<'_>) -> Result<String, Refusal> {
    let ids = ids(request)?;
    request.call(0, |kernel, ec2| {
        let views = all(kernel, request.region, &ids)?;
        if let Some(view) = views.iter().find(|view| !view.state.is_alive()) {
            return Err(wrong_state(view, "rebooted"));
        }
        for view in views {
            ec2.launched.rebooted.insert(view.id.clone(), kernel.now());
        }
        Ok(())
    })?;
    request.answer(&Done { done: true })
}

fn ids<'a>(request: &Request<'a>) -> Result<Vec<&'a str>, Refusal> {
    let ids = distinct(request.root().texts("InstanceId"));
    if ids.is_empty() {
        return Err(missing("InstanceId"));
    }
    if ids.len() > MOST {
        let message = format!("A call names at most {MOST} instances, not {}.", ids.len());
        return Err(coded(400, "InvalidParameterValue", message));
    }
    match ids.iter().find(|id| !is_id("i", id)) {
        Some(id) => Err(malformed(id)),
        None => Ok(ids),
    }
}

/// The instances of all these ids.
fn all(kernel: &Kernel, region: &str, ids: &[&str]) -> Result<Vec<MachineView>, Refusal> {
    let found: Vec<Option<MachineView>> = ids.iter().map(|id| existing(kernel, region, id)).collect();
    let lost: Vec<&str> =
        ids.iter().zip(&found).filter(|(_, view)| view.is_none()).map(|(id, _)| *id).collect();
    if lost.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(unknown(&lost)) }
}

fn wrong_state(view: &MachineView, done: &str) -> Refusal {
    let (_, name) = state(view);
    let message =
        format!("The instance '{}' is not in a state from which it can be {done}: it is {name}.", view.id);
    coded(400, "IncorrectInstanceState", message)
}

/// A start for which there is no room.
fn full(view: &MachineView, refusal: Refusal) -> Refusal {
    let Refusal::Full(why) = refusal else { return refusal };
    let (name, zone) = (&view.offer.instance_type, &view.offer.zone);
    match why {
        Closed::Quota { limit, .. } => coded(
            400,
            "VcpuLimitExceeded",
            format!(
                "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket that the specified instance type belongs to."
            ),
        ),
        Closed::Price { .. } => {
            coded(400, "SpotMaxPriceTooLow", "Your Spot request price is lower than the current Spot price.")
        }
        _ => coded(
            500,
            "InsufficientInstanceCapacity",
            format!(
                "We currently do not have sufficient {name} capacity in the Availability Zone you requested ({zone})."
            ),
        ),
    }
}

/// The answer: where each instance stood, and where it stands now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    instances_set: Items<Change>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    instance_id: String,
    current_state: StateItem,
    previous_state: StateItem,
}

/// A state as answers tell it.
#[derive(Debug, Serialize)]
pub(crate) struct StateItem {
    code: u8,
    name: &'static str,
}

impl StateItem {
    pub(crate) fn of(view: &MachineView) -> Self {
        let (code, name) = state(view);
        Self { code, name }
    }
}

fn changes(kernel: &Kernel, before: &[MachineView]) -> Changes {
    let change = |view: &MachineView| {
        let now = kernel.by_id.get(&view.id).map(|m| kernel.view(*m, kernel.now()));
        Change {
            instance_id: view.id.to_string(),
            current_state: StateItem::of(now.as_ref().unwrap_or(view)),
            previous_state: StateItem::of(view),
        }
    };
    Changes { instances_set: before.iter().map(change).collect() }
}
