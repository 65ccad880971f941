//! What ends an instance, stops it, or lets it begin anew.

use std::time::Duration;

use skyfleet_core::{InstanceState, Timestamp};

use crate::gcp::error::coded;
use crate::gcp::instances::insert::{said, until_up};
use crate::gcp::instances::named;
use crate::gcp::launched::machine_id;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::url::Scope;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::MachineView;

/// How long a host is under maintenance. Ours; Compute Engine documentation, "Live migration": the
/// notice comes 60 seconds ahead.
const MAINTENANCE: Duration = Duration::from_secs(60);

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(1, |kernel, state| {
        let view = named(kernel, state, request)?;
        if state.launched.is_protected(&view) {
            let message = format!(
                "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion. {}'.",
                view.id
            );
            return Err(coded(400, "invalidResourceUsage", message));
        }
        kernel.terminate(&view.id);
        let gone = kernel.view(view.number, kernel.now()).ended;
        Ok(New { takes: until(kernel, gone), ..about("delete", &view) })
    })
}

pub(crate) fn stop(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let view = named(kernel, state, request)?;
        kernel.stop(&view.id)?;
        let halt = kernel.machines[view.number as usize].halts.last();
        let down = halt.filter(|halt| halt.again.is_none()).map(|halt| halt.down_at);
        Ok(New { takes: until(kernel, down), ..about("stop", &view) })
    })
}

/// A start for which there is no room is told by its operation, as that of a new instance.
pub(crate) fn start(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(1, |kernel, state| {
        let view = named(kernel, state, request)?;
        let mut new = about("start", &view);
        match kernel.start(&view.id) {
            Ok(()) => new.takes = until_up(kernel, view.number),
            Err(Refusal::Full(closed)) => new.told = vec![said(kernel, new.target_id, &closed)],
            Err(refusal) => return Err(refusal),
        }
        Ok(new)
    })
}

pub(crate) fn reset(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let view = named(kernel, state, request)?;
        kernel.reboot(&view.id)?;
        Ok(about("reset", &view))
    })
}

/// Compute Engine documentation, "Test Spot VM preemption": a spot instance is taken back as if for
/// want of capacity. Others see the maintenance of their host, in their metadata.
pub(crate) fn maintain(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let view = named(kernel, state, request)?;
        if view.state != InstanceState::Running {
            let (id, state) = (view.id.to_string(), view.state);
            return Err(Refusal::WrongState { id, state, action: "simulateMaintenanceEvent" });
        }
        if kernel.is_spot(view.number) {
            kernel.give_notice(view.number, None);
        } else {
            let until = kernel.now() + MAINTENANCE;
            state.launched.own_mut(view.number).maintained = Some(until);
        }
        Ok(about("simulateMaintenanceEvent", &view))
    })
}

/// An operation on an instance.
pub(crate) fn about(kind: &'static str, view: &MachineView) -> New {
    let scope = Scope::Zone(view.offer.zone.clone());
    New::good(kind, scope, view.id.to_string(), machine_id(view.number))
}

fn until(kernel: &Kernel, moment: Option<Timestamp>) -> Duration {
    let left = moment.map(|moment| moment.duration_since(kernel.now()));
    left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default()
}
