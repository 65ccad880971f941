use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{InstanceState, Timestamp};

use crate::order::{MachineSpec, Missing};

/// Why a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndCause {
    /// Its user ended it.
    User,
    /// The cloud took it back for want of capacity.
    Reclaimed,
    /// It came to the time at which it was to end by itself.
    Expired,
}

/// Everything that the machines of one launch have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lot {
    pub(crate) at: Timestamp,
    pub(crate) token: Option<String>,
    /// A digest of the order, to tell a repetition from another request.
    pub(crate) digest: u64,
    pub(crate) tags: Arc<BTreeMap<String, String>>,
    pub(crate) spec: MachineSpec,
    /// Machines are numbered through the world; a launch gets a row of them.
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) missing: Vec<Missing>,
    /// How many have not ended yet.
    pub(crate) left: u32,
    /// When the last one ended, once `left` is 0.
    pub(crate) gone_at: Timestamp,
    pub(crate) native_expiry: Option<Timestamp>,
}

impl Lot {
    pub(crate) fn machines(&self) -> Range<u32> {
        self.first..self.first + self.count
    }
}

/// One machine. What it shares with its launch is in its lot, what it costs is in the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) id: Arc<str>,
    pub(crate) lot: u32,
    pub(crate) pool: u32,
    /// Its lines in the ledger: itself, then its disk, then its address.
    pub(crate) lines: (u32, u32),
    /// Its place in its pool's list of live machines.
    pub(crate) seat: u32,
    pub(crate) running_at: Timestamp,
    pub(crate) visible_at: Timestamp,
    /// When the cloud said that it takes it back, and when it then ends.
    pub(crate) notice: Option<(Timestamp, Timestamp)>,
    /// Taken back because the price rose above its own limit.
    pub(crate) by_price: bool,
    pub(crate) leaving_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) cause: Option<EndCause>,
}

impl Machine {
    /// Where it stood, or stands, or will stand, at a time.
    pub(crate) fn state_at(&self, at: Timestamp) -> InstanceState {
        let by = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= at);
        if by(self.ended_at) {
            InstanceState::Terminated
        } else if by(self.leaving_at) {
            InstanceState::Stopping
        } else if self.running_at <= at {
            InstanceState::Running
        } else {
            InstanceState::Pending
        }
    }
}
