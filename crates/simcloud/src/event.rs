use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Market, Timestamp};

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
