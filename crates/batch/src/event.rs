use std::time::Duration;

use serde::Serialize;
use skyfleet::Event;
use skyfleet_core::InstanceId;

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobEvent {
    /// Something happened to the fleet.
    Fleet {
        /// What, and when on the fleet's clock.
        happened: Event,
    },
    /// The worker of an instance reached the store: the machine can do its work.
    WorkerReady {
        /// Where.
        instance: InstanceId,
    },
    /// An instance runs, and its worker has not reached the store for a long time: the machine may
    /// lack `curl`, or a way to the store.
    WorkerSilent {
        /// Where.
        instance: InstanceId,
    },
    /// A task was handed to an instance.
    TaskDealt {
        /// Which task, from 0.
        index: u32,
        /// The how-manieth try, from 1.
        attempt: u32,
        /// To which instance.
        instance: InstanceId,
    },
    /// The instance of a task ended before the task did: it will run again.
    TaskReturned {
        /// Which task.
        index: u32,
        /// The try that was cut off.
        attempt: u32,
        /// Where it was.
        instance: InstanceId,
    },
    /// A task failed and will be tried again.
    TaskRetried {
        /// Which task.
        index: u32,
        /// The try that failed.
        attempt: u32,
        /// Why: `exit code 3`, `it ran longer than 60 s`.
        reason: String,
    },
    /// A task succeeded: its result is counted, and lies in the store.
    TaskDone {
        /// Which task.
        index: u32,
        /// The try that counts.
        attempt: u32,
        /// How long the command ran, in real time.
        took: Duration,
        /// How many tasks are finished now.
        finished: u32,
    },
    /// A task failed for the last time.
    TaskFailed {
        /// Which task.
        index: u32,
        /// The last try.
        attempt: u32,
        /// Why.
        reason: String,
        /// How many tasks are finished now.
        finished: u32,
    },
    /// The store could not be reached for a moment; the job goes on.
    StoreTrouble {
        /// What failed.
        reason: String,
    },
}
