use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{InstanceState, Timestamp};

use crate::order::{MachineSpec, Missing};
use crate::tags::Tags;

/// Why a machine ended, or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndCause {
    /// Its user ended it.
    User,
    /// The cloud took it back for want of capacity.
    Reclaimed,
    /// It came to the time at which it was to end, or stop, by itself.
    Expired,
    /// Its own system shut down.
    Shutdown,
}

/// Everything that the machines of one launch have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lot {
    pub(crate) at: Timestamp,
    pub(crate) token: Option<String>,
    /// A digest of the order, to tell a repetition from another request.
    pub(crate) digest: u64,
    /// The tags that its machines, their disks and their interfaces were born with.
    pub(crate) tags: Arc<Tags>,
    pub(crate) disk_tags: Arc<Tags>,
    pub(crate) interface_tags: Arc<Tags>,
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
    /// Its lines in the ledger: itself, then its disk, then its address. Each later start has
    /// lines of its own.
    pub(crate) lines: (u32, u32),
    /// Its place in its pool's list of live machines.
    pub(crate) seat: u32,
    /// When its first start came up.
    pub(crate) running_at: Timestamp,
    pub(crate) visible_at: Timestamp,
    /// When the cloud said that it takes it back, and when it then ends.
    pub(crate) notice: Option<(Timestamp, Timestamp)>,
    /// Taken back because the price rose above its own limit.
    pub(crate) by_price: bool,
    /// It counts in its pool and its quotas.
    pub(crate) placed: bool,
    /// Its user data have begun.
    pub(crate) booted: bool,
    /// When it began to end for good; a stop is no end.
    pub(crate) leaving_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) cause: Option<EndCause>,
    /// Its stops, oldest first; hardly any machine has one.
    pub(crate) halts: Vec<Halt>,
}

/// One stop of a machine that can be started again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Halt {
    pub(crate) from: Timestamp,
    /// When it is down.
    pub(crate) down_at: Timestamp,
    pub(crate) cause: EndCause,
    /// The notice that led to it, and whether that was for the price.
    pub(crate) notice: Option<(Timestamp, Timestamp)>,
    pub(crate) by_price: bool,
    /// Only its system is down: it keeps its place, and costs what it costs (Azure: stopped, and not
    /// deallocated).
    #[serde(default)]
    pub(crate) keeps_place: bool,
    pub(crate) again: Option<Restart>,
}

/// A start after a stop.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Restart {
    pub(crate) at: Timestamp,
    pub(crate) running_at: Timestamp,
    /// Its lines in the ledger, from and up to.
    pub(crate) lines: (u32, u32),
}

impl Machine {
    /// Where it stood, or stands, or will stand, at a time.
    pub(crate) fn state_at(&self, at: Timestamp) -> InstanceState {
        let by = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= at);
        let up = |running_at: Timestamp| match running_at <= at {
            true => InstanceState::Running,
            false => InstanceState::Pending,
        };
        if by(self.ended_at) {
            return InstanceState::Terminated;
        }
        if by(self.leaving_at) {
            return InstanceState::Stopping;
        }
        match self.halts.iter().rev().find(|halt| halt.from <= at) {
            None => up(self.running_at),
            Some(halt) => match halt.again.filter(|again| again.at <= at) {
                Some(again) => up(again.running_at),
                None if halt.down_at <= at => InstanceState::Stopped,
                None => InstanceState::Stopping,
            },
        }
    }

    /// Whether it has stopped, or stops, and keeps its place meanwhile.
    pub(crate) fn keeps_place(&self) -> bool {
        self.halts.last().is_some_and(|halt| halt.keeps_place && halt.again.is_none())
    }

    /// When it last came up, by a time.
    pub(crate) fn running_since(&self, at: Timestamp) -> Option<Timestamp> {
        let again = self.halts.iter().map(|halt| halt.again.map(|again| again.running_at));
        let starts = std::iter::once(Some(self.running_at)).chain(again);
        let ends = self.halts.iter().map(|halt| Some(halt.from)).chain([self.leaving_at]);
        // A start that was cut short never came up.
        let up = |(up, end): (Option<Timestamp>, Option<Timestamp>)| {
            up.filter(|up| *up <= at && end.is_none_or(|end| *up < end))
        };
        starts.zip(ends).filter_map(up).last()
    }

    /// When its last start comes up, or came.
    pub(crate) fn comes_up(&self) -> Timestamp {
        let again = self.halts.iter().rev().find_map(|halt| halt.again);
        again.map_or(self.running_at, |again| again.running_at)
    }

    /// The lines of its last start: itself first.
    pub(crate) fn start_lines(&self) -> (u32, u32) {
        let again = self.halts.iter().rev().find_map(|halt| halt.again);
        again.map_or(self.lines, |again| again.lines)
    }

    /// The notice of a moment, which may be of an earlier start, and whether that reclaim was for
    /// the price.
    pub(crate) fn notice_at(&self, at: Timestamp) -> (Option<(Timestamp, Timestamp)>, bool) {
        let about = |notice: Option<(Timestamp, Timestamp)>| {
            notice.is_some_and(|(given, deadline)| given == at || deadline == at)
        };
        let halt = self.halts.iter().find(|halt| about(halt.notice));
        halt.map_or((self.notice, self.by_price), |halt| (halt.notice, halt.by_price))
    }
}
