//! What ends a machine, stops it, or lets it begin anew.

use std::time::Duration;

use skyfleet_core::{InstanceState, Timestamp};

use super::create::{allocation, is_late, until_up};
use super::{KIND, found};
use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::launched::Found;
use crate::azure::made;
use crate::azure::operation::{self, Course, Poll};
use crate::azure::state::State;
use crate::azure::{Answer, Request};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::MachineView;

/// How long the deletion of a machine takes that could not be made. Ours.
const UNMADE: Duration = Duration::from_secs(10);

/// How long a restart takes. Ours.
const RESTART: Duration = Duration::from_secs(15);

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 1, |kernel, state| {
        let id = made::id_of(state, request, KIND)?;
        let takes = end(kernel, state, &id);
        match takes {
            None => Ok(Answer::empty(204)),
            Some((takes, region)) => Ok(begun(kernel, state, request, &region, takes)),
        }
    })
}

/// Begins to end a machine, whether it could be made or not: how long that takes, and where; `None`
/// for one that is not there.
pub(crate) fn end(kernel: &mut Kernel, state: &mut State, id: &Id) -> Option<(Duration, String)> {
    let found = state.launched.find(kernel, id)?;
    let region = found.region(kernel).to_owned();
    let gone = match found {
        Found::Failed(failed) => failed.gone.unwrap_or(kernel.now() + UNMADE),
        Found::Made(view) => {
            kernel.terminate(&view.id);
            let gone = kernel.view(view.number, kernel.now()).ended;
            return Some((until(kernel, gone), region));
        }
    };
    if let Some(failed) = state.launched.failed_mut(id) {
        failed.gone = Some(gone);
    }
    Some((until(kernel, Some(gone)), region))
}

pub(crate) fn deallocate(request: &Request<'_>) -> Result<Answer, Refusal> {
    stop(request, Kernel::stop)
}

pub(crate) fn power_off(request: &Request<'_>) -> Result<Answer, Refusal> {
    stop(request, Kernel::power_off)
}

fn stop(
    request: &Request<'_>,
    act: impl FnOnce(&mut Kernel, &str) -> Result<(), Refusal>,
) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let view = made_one(kernel, state, request)?;
        act(kernel, &view.id)?;
        let halt = kernel.machines[view.number as usize].halts.last();
        let takes = until(kernel, halt.map(|halt| halt.down_at));
        Ok(begun(kernel, state, request, view.region.as_str(), takes))
    })
}

/// Whether a deallocated machine finds a place shows late or at once, as that of a new one.
pub(crate) fn start(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 1, |kernel, state| {
        let view = made_one(kernel, state, request)?;
        let (takes, told) = match kernel.start(&view.id) {
            Ok(()) => (until_up(kernel, view.number), None),
            Err(Refusal::Full(why)) if is_late(&why) => {
                let details = state.launched.of(view.launch);
                (UNMADE, details.map(|details| allocation(&why, details)))
            }
            Err(refusal) => return Err(refusal),
        };
        let machine = told.is_none().then_some(view.number);
        let course = Course { takes, told, machine };
        let poll = Poll::Status { provider: "Microsoft.Compute", location: view.region.as_str() };
        let headers = operation::begin_of(kernel, state, request, poll, course);
        Ok(Answer::empty(202).with(headers))
    })
}

pub(crate) fn restart(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let view = made_one(kernel, state, request)?;
        kernel.reboot(&view.id)?;
        Ok(begun(kernel, state, request, view.region.as_str(), RESTART))
    })
}

/// Compute API reference, "Virtual Machines - Simulate Eviction": only of spot machines that run.
pub(crate) fn evict(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let view = made_one(kernel, state, request)?;
        if !kernel.is_spot(view.number) {
            let message = "The operation 'simulateEviction' is allowed only on Azure Spot Virtual Machines.";
            return Err(coded(409, "OperationNotAllowed", message));
        }
        if view.state != InstanceState::Running {
            let (id, state) = (view.id.to_string(), view.state);
            return Err(Refusal::WrongState { id, state, action: "simulateEviction" });
        }
        kernel.give_notice(view.number, None);
        Ok(Answer::empty(204))
    })
}

/// The machine of a path, if it could be made.
fn made_one(kernel: &Kernel, state: &State, request: &Request<'_>) -> Result<Box<MachineView>, Refusal> {
    match found(kernel, state, request)? {
        Found::Made(view) => Ok(view),
        Found::Failed(failed) => {
            let message =
                format!("The machine {} could not be made: only its PUT or DELETE can be called.", failed.id);
            Err(coded(409, "OperationNotAllowed", message))
        }
    }
}

fn begun(kernel: &Kernel, state: &mut State, request: &Request<'_>, region: &str, takes: Duration) -> Answer {
    let poll = Poll::Status { provider: "Microsoft.Compute", location: region };
    Answer::empty(202).with(operation::begin(kernel, state, request, poll, takes, None))
}

fn until(kernel: &Kernel, moment: Option<Timestamp>) -> Duration {
    moment.map_or(Duration::ZERO, |moment| operation::left(kernel, moment))
}
