use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Market, Timestamp};

use crate::kernel::Kernel;
use crate::view::Whose;

/// What happened in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A machine was bought.
    Launch,
    /// A machine may be taken back soon.
    Rebalance,
    /// A machine will be taken back at the deadline.
    Notice,
    /// A machine was taken back.
    Reclaim,
    /// A machine ends because its user, or its own expiry, said so.
    Terminate,
    /// A machine stops: it can be started again.
    Stop,
    /// A machine that was stopped starts again.
    Start,
    /// A fault began.
    Fault,
    /// A fault was lifted.
    FaultLifted,
}

/// One line of the world's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorldEvent {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The machine's id; absent for faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<str>>,
    /// How it was bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market: Option<Market>,
    /// When it ends, for a notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The cloud's reason code, or the fault.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The same, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) kind: EventKind,
    pub(crate) about: About,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum About {
    Machine(u32),
    Fault(Box<str>),
}

impl Kernel {
    /// How many events the log has.
    pub fn events_count(&self) -> u64 {
        self.events.len() as u64
    }

    /// The log after event number `after`, oldest first.
    pub fn events_after(&self, after: u64) -> Vec<WorldEvent> {
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(self.events.len());
        (after + 1..).zip(&self.events[from..]).map(|(number, event)| self.tell(number, event)).collect()
    }

    /// The steps of reclaims after event number `after`, oldest first, and the number of the last
    /// event.
    pub fn reclaims_after(&self, after: u64, whose: &Whose<'_>) -> (Vec<WorldEvent>, u64) {
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(self.events.len());
        let told = (after + 1..).zip(&self.events[from..]).filter(|(_, event)| {
            let step = matches!(event.kind, EventKind::Rebalance | EventKind::Notice | EventKind::Reclaim);
            step && match event.about {
                About::Machine(m) => whose.are(self.machine_tags(m)),
                About::Fault(_) => false,
            }
        });
        (told.map(|(number, event)| self.tell(number, event)).collect(), self.events.len() as u64)
    }

    fn tell(&self, number: u64, event: &Event) -> WorldEvent {
        let (instance, market, deadline, detail) = match &event.about {
            About::Fault(detail) => (None, None, None, detail.to_string()),
            About::Machine(m) => {
                let machine = &self.machines[*m as usize];
                let (notice, by_price) = machine.notice_at(event.at);
                let notice = notice.filter(|_| event.kind == EventKind::Notice);
                let detail = match event.kind {
                    EventKind::Notice | EventKind::Reclaim if by_price => self.setup.rules.reason_price,
                    EventKind::Notice | EventKind::Reclaim => self.setup.rules.reason_capacity,
                    _ => "",
                };
                let market = self.offer(machine.pool).market;
                (Some(machine.id.clone()), Some(market), notice.map(|(_, end)| end), detail.to_owned())
            }
        };
        WorldEvent { number, at: event.at, kind: event.kind, instance, market, deadline, detail }
    }
}
