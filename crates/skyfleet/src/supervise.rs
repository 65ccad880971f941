use skyfleet_core::{Instance, Preemption, Timestamp};

use crate::{EventKind, Slot};

/// What the cloud said in one look.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Every instance of the fleet.
    pub instances: &'a [Instance],
    /// What is being taken back.
    pub preemptions: &'a [Preemption],
    /// When it was looked.
    pub now: Timestamp,
}

/// What one step decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell the user.
    Tell(EventKind),
    /// Buy instances for these slots.
    Fill(Vec<u32>),
}

/// One step of supervision. Pure: the slots as they are now, what was seen, what to do.
pub fn step(slots: &mut [Slot], seen: Observed<'_>) -> Vec<Action> {
    let _ = (slots, seen);
    todo!()
}
