use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Cursor, InstanceId, Result, Selector, Timestamp};

/// Tells which instances the cloud takes back.
#[async_trait]
pub trait PreemptionHandling: Send + Sync {
    /// What happened after `after`, oldest first. A cursor survives the process: the next caller
    /// goes on where the last one stopped, and nothing is lost or told twice.
    ///
    /// An instance that its user ended is never reported. One call serves the whole selection.
    ///
    /// # Errors
    /// `InvalidRequest` for a cursor that is not this provider's.
    async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage>;
}

/// A stretch of the stream of preemptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptionPage {
    /// What happened, oldest first.
    pub preemptions: Vec<Preemption>,
    /// Where to go on.
    pub next: Cursor,
}

/// One step of an instance being taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preemption {
    /// Which instance.
    pub instance: InstanceId,
    /// Which step.
    pub kind: PreemptionKind,
    /// When the cloud decided it.
    pub at: Timestamp,
    /// When the instance ends: known for a notice, where the cloud says it.
    pub deadline: Option<Timestamp>,
    /// The cloud's own reason code: `instance-terminated-no-capacity`, `compute.instances.preempted`.
    pub reason: String,
}

/// The steps of an instance being taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreemptionKind {
    /// It may be taken back soon. Advice: a notice may never follow.
    Rebalance,
    /// It will end at the deadline.
    Notice,
    /// It has ended.
    Reclaimed,
}

impl fmt::Display for PreemptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rebalance => "rebalance",
            Self::Notice => "notice",
            Self::Reclaimed => "reclaimed",
        })
    }
}

/// What a machine is told about its own end, by the metadata service of its cloud: the providers'
/// functions `notice` give a stream of them to the code of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineNotice {
    /// [`PreemptionKind::Rebalance`] for advice to leave, [`PreemptionKind::Notice`] for the end.
    pub kind: PreemptionKind,
    /// For advice when the cloud gave it, for a notice when the machine ends at the latest.
    pub at: Timestamp,
}
