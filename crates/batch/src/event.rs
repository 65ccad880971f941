use std::fmt;
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

/// One line for people: `task 7: done in 1.2 s (8 finished)`.
impl fmt::Display for JobEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet { happened } => happened.fmt(f),
            Self::WorkerReady { instance } => write!(f, "{instance} is ready for tasks"),
            Self::WorkerSilent { instance } => {
                write!(f, "{instance} runs and has not reached the store: has it curl, and a way there?")
            }
            Self::TaskDealt { index, attempt, instance } => {
                write!(f, "task {index}: try {attempt} goes to {instance}")
            }
            Self::TaskReturned { index, attempt, instance } => {
                write!(f, "task {index}: try {attempt} was cut off on {instance}, it will run again")
            }
            Self::TaskRetried { index, attempt, reason } => {
                write!(f, "task {index}: try {attempt} failed: {reason}; it will be tried again")
            }
            Self::TaskDone { index, took, finished, .. } => {
                write!(f, "task {index}: done in {:.1} s ({finished} finished)", took.as_secs_f64())
            }
            Self::TaskFailed { index, attempt, reason, finished } => {
                write!(f, "task {index}: failed after {attempt} tries: {reason} ({finished} finished)")
            }
            Self::StoreTrouble { reason } => write!(f, "trouble with the store: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_one_line() {
        let done =
            JobEvent::TaskDone { index: 7, attempt: 1, took: Duration::from_millis(1234), finished: 8 };
        assert_eq!(done.to_string(), "task 7: done in 1.2 s (8 finished)");
        let instance = InstanceId::from("i-1");
        assert_eq!(
            JobEvent::TaskReturned { index: 7, attempt: 1, instance }.to_string(),
            "task 7: try 1 was cut off on i-1, it will run again"
        );
    }
}
