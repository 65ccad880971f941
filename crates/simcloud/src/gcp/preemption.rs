//! What Compute Engine does to instances by itself, as its operations tell it: preemptions, ends of
//! limited runs, systems that shut down. Derived from the world's log, whenever somebody looks.

use std::time::Duration;

use skyfleet_core::Timestamp;

use crate::event::{About, EventKind};
use crate::gcp::error::Told;
use crate::gcp::launched::machine_id;
use crate::gcp::operation::{self, New};
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::kernel::Kernel;
use crate::machine::EndCause;
use crate::order::OnReclaim;
use crate::rules::mix;

/// More preemptions than these in a minute, and lists of operations miss some: a large user saw it
/// (fuzzbench). How many and how often is ours.
const CROWD: u32 = 20;
const MISSED_OF: u64 = 20;

/// How far the log was read.
#[derive(Debug, Default)]
pub(crate) struct Preemptions {
    seen: usize,
    /// Machines with a notice that go on running.
    noticed: Vec<u32>,
    /// The minute of the last preemption, and how many it has seen.
    minute: (i64, u32),
}

/// Notes what has happened since somebody looked last.
pub(crate) fn tend(kernel: &Kernel, state: &mut State) {
    let from = state.preemptions.seen.min(kernel.events.len());
    state.preemptions.seen = kernel.events.len();
    let waiting = std::mem::take(&mut state.preemptions.noticed);
    for m in waiting {
        preempted(kernel, state, m);
    }
    for event in &kernel.events[from..] {
        let About::Machine(m) = event.about else { continue };
        if state.launched.of(kernel.machines[m as usize].lot).is_none() {
            continue;
        }
        match event.kind {
            EventKind::Notice => preempted(kernel, state, m),
            EventKind::Terminate | EventKind::Stop => ended(kernel, state, m, event.at),
            _ => {}
        }
    }
}

/// A machine is taken back: told from when it begins to stop.
fn preempted(kernel: &Kernel, state: &mut State, m: u32) {
    let machine = &kernel.machines[m as usize];
    let left = machine.leaving_at.filter(|_| machine.cause == Some(EndCause::Reclaimed));
    let halted = machine.halts.iter().rev().find(|halt| halt.cause == EndCause::Reclaimed);
    let Some(at) = left.or(halted.map(|halt| halt.from)) else {
        if machine.notice.is_some() && machine.state_at(kernel.now()).is_alive() {
            state.preemptions.noticed.push(m);
        }
        return;
    };
    cut_short(state, m, at);
    let minute = at.as_second().div_euclid(60);
    let (last, count) = &mut state.preemptions.minute;
    *count = if *last == minute { *count + 1 } else { 1 };
    *last = minute;
    let crowded = *count > CROWD;
    if crowded && mix(u64::from(m) ^ mix(kernel.seed ^ 0x6d69_7373)).is_multiple_of(MISSED_OF) {
        return;
    }
    tell(kernel, state, m, at, ("compute.instances.preempted", Some("Instance was preempted.")));
}

/// A machine ended or stopped by itself.
fn ended(kernel: &Kernel, state: &mut State, m: u32, at: Timestamp) {
    let machine = &kernel.machines[m as usize];
    let halt = machine.halts.iter().find(|halt| halt.from == at).map(|halt| halt.cause);
    let cause = machine.cause.filter(|_| machine.leaving_at == Some(at)).or(halt);
    match cause {
        Some(EndCause::Shutdown) => {
            let message = "Instance terminated by guest OS shutdown.";
            tell(kernel, state, m, at, ("compute.instances.guestTerminate", Some(message)));
        }
        // The end of a limited run is the termination action of the instance.
        Some(EndCause::Expired) => match kernel.on_reclaim(m) {
            OnReclaim::Terminate => tell(kernel, state, m, at, ("delete", None)),
            OnReclaim::Stop => tell(kernel, state, m, at, ("stop", None)),
        },
        _ => {}
    }
}

fn tell(
    kernel: &Kernel,
    state: &mut State,
    m: u32,
    at: Timestamp,
    (kind, message): (&'static str, Option<&'static str>),
) {
    let machine = &kernel.machines[m as usize];
    let zone = kernel.offer(machine.pool).zone.clone();
    let mut new = New::good(kind, Scope::Zone(zone), machine.id.to_string(), machine_id(m));
    new.takes = Duration::ZERO;
    let mut told = operation::make(kernel, state, "systemevent", new);
    (told.begun, told.done, told.message) = (at, at, message);
    state.operations.add(told);
}

/// An instance that was taken back before it was up fails the operation that was to bring it up.
fn cut_short(state: &mut State, m: u32, at: Timestamp) {
    let Some((group, zone, was)) = state.operations.fail(machine_id(m), at, preempted_told()) else { return };
    let Some(bulk) = group.and_then(|group| state.operations.bulk_of(&group)) else { return };
    let Some(place) = bulk.0.get_mut(&zone) else { return };
    if let Some(one) = place.ready.iter().position(|ready| *ready == was) {
        place.ready.swap_remove(one);
        place.failed += 1;
    }
}

/// As inserts tell it (Scylla's cloud tests, 2026).
fn preempted_told() -> Told {
    Told::new(400, "PREEMPTED", "Instance failed to start due to preemption.")
}
