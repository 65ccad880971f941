use std::time::Duration;

use serde::Serialize;
use skyfleet::{Bill, LaunchReport, TeardownReport};
use skyfleet_core::{Error, InstanceId, Result};

use crate::Store;

/// What came of a job.
#[derive(Clone, Debug)]
pub struct JobReport {
    /// The job's name.
    pub job: String,
    /// Where its results lie: `results/<task>/{stdout,stderr,output,status.json}` below this.
    pub folder: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Every task, by index.
    pub tasks: Vec<TaskReport>,
    /// What was asked for and what was obtained at the start; `None` when it was cancelled before.
    pub launch: Option<LaunchReport>,
    /// How many instances the cloud took back.
    pub preemptions: u32,
    /// How many instances ended without a preemption that explains it.
    pub lost: u32,
    /// How many instances were bought in place of one that ended.
    pub replacements: u32,
    /// What it cost, and what it would have cost on demand.
    pub bill: Bill,
    /// What was given back, and what proves it; an error when the cloud could not be asked.
    pub teardown: Result<TeardownReport>,
    /// From the launch to the end of the teardown, on the fleet's clock.
    pub took: Duration,
    /// The same on the machine's clock.
    pub took_real: Duration,
    pub(crate) store: Store,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Every task is finished; those that failed say so.
    Finished,
    /// The caller cancelled it.
    Cancelled,
    /// A limit of the fleet was reached: which, and how.
    LimitReached(String),
    /// It could not go on: the store failed, or no instance was left and none could be bought.
    Stopped(Error),
}

/// What came of one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// Its number, from 0: `SKYFLEET_TASK_INDEX`.
    pub index: u32,
    /// Its name: of its object below the listed folder, or the padded index.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
    /// How many times it was handed to an instance.
    pub attempts: u32,
    /// The try that counts, from 1; `None` while none does.
    pub counted: Option<u32>,
    /// Where that try ran.
    pub instance: Option<InstanceId>,
    /// The exit code of that try; `None` when the command could not be started or was ended at
    /// its time limit.
    pub exit_code: Option<i32>,
    /// Why it failed, if it did.
    pub reason: Option<String>,
    /// How long the command ran, in real time.
    pub took: Duration,
    /// Where the result lies, as a path below the job's folder: `results/<name>`.
    pub folder: String,
    /// Whether the command wrote `SKYFLEET_OUTPUT`.
    pub has_output: bool,
}

/// Where a task stands at the end of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// It succeeded, and was counted once.
    Done,
    /// It failed as often as it may.
    Failed,
    /// The job ended before it did.
    Unfinished,
}

impl JobReport {
    /// Whether every task succeeded. Leftovers are another matter: see
    /// [`teardown`](JobReport::teardown).
    pub fn succeeded(&self) -> bool {
        self.outcome == Outcome::Finished && self.tasks.iter().all(|task| task.state == TaskState::Done)
    }

    /// How many tasks stand there.
    pub fn count(&self, state: TaskState) -> usize {
        self.tasks.iter().filter(|task| task.state == state).count()
    }

    /// What a task wrote to its standard output.
    ///
    /// # Errors
    /// `NotFound` for a task without a result, else those of the store.
    pub async fn stdout(&self, task: &TaskReport) -> Result<Vec<u8>> {
        self.store.read(&format!("{}/{}/stdout", self.job, task.folder)).await
    }

    /// What a task wrote to its standard error.
    ///
    /// # Errors
    /// As [`JobReport::stdout`].
    pub async fn stderr(&self, task: &TaskReport) -> Result<Vec<u8>> {
        self.store.read(&format!("{}/{}/stderr", self.job, task.folder)).await
    }

    /// What a task wrote to `SKYFLEET_OUTPUT`.
    ///
    /// # Errors
    /// As [`JobReport::stdout`]; `NotFound` also when it wrote none.
    pub async fn output(&self, task: &TaskReport) -> Result<Vec<u8>> {
        self.store.read(&format!("{}/{}/output", self.job, task.folder)).await
    }
}
