//! Machines that were bought together, and are looked after together.

use skyfleet_core::{InstanceState, Market};

use crate::azure::id::Id;
use crate::azure::machines::ending;
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::machine::EndCause;

/// The machines of some of the world's launches, by their numbers.
pub(crate) fn machines<'a>(kernel: &'a Kernel, launches: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    launches.iter().flat_map(|launch| kernel.lots[*launch as usize].machines())
}

/// Those of one market that run or come up.
pub(crate) fn alive(kernel: &Kernel, launches: &[u32], market: Market) -> u32 {
    let own = of_market(kernel, launches, market);
    let alive = own.filter(|m| kernel.machines[*m as usize].state_at(kernel.now()).is_alive());
    u32::try_from(alive.count()).unwrap_or(u32::MAX)
}

/// Those of one market that are there: not ending, whether they run or not.
pub(crate) fn there(kernel: &Kernel, launches: &[u32], market: Market) -> u32 {
    let own = of_market(kernel, launches, market);
    let there = own.filter(|m| kernel.machines[*m as usize].leaving_at.is_none());
    u32::try_from(there.count()).unwrap_or(u32::MAX)
}

fn of_market<'a>(kernel: &'a Kernel, launches: &'a [u32], market: Market) -> impl Iterator<Item = u32> + 'a {
    machines(kernel, launches)
        .filter(move |m| kernel.offer(kernel.machines[*m as usize].pool).market == market)
}

/// Starts those that were taken back and deallocated, where there is room for them again.
pub(crate) fn restart(kernel: &mut Kernel, launches: &[u32]) {
    let down: Vec<_> = machines(kernel, launches)
        .map(|m| kernel.view(m, kernel.now()))
        .filter(|view| view.state == InstanceState::Stopped && view.halt_cause == Some(EndCause::Reclaimed))
        .map(|view| view.id)
        .collect();
    for id in down {
        // Without room it stays as it is.
        let _ = kernel.start(&id);
    }
}

/// Ends some of one market that are there, the youngest first.
pub(crate) fn end_youngest(
    kernel: &mut Kernel,
    state: &mut State,
    launches: &[u32],
    market: Market,
    count: u32,
) {
    if count == 0 {
        return;
    }
    let own = of_market(kernel, launches, market);
    let mut own: Vec<u32> = own.filter(|m| kernel.machines[*m as usize].leaving_at.is_none()).collect();
    own.sort_unstable_by(|a, b| b.cmp(a));
    own.truncate(count as usize);
    for m in own {
        if let Some(id) = Id::parse(&kernel.machines[m as usize].id.clone()) {
            ending::end(kernel, state, &id);
        }
    }
}
