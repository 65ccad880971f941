//! Run any program as an indexed job over a fleet.
//!
//! The machine needs a POSIX shell, and `curl` when the store is remote: no agent, no inbound
//! port, no credential. What passes between this process and the machines passes through the
//! store; see [`Job`] for what a command finds, and `worker.sh` for all that a machine does.
//!
//! | to find | look in |
//! |---|---|
//! | what to run, and over what | [`Job`], [`Tasks`] |
//! | where inputs and results lie | [`Store`] |
//! | a job that was checked and can start | [`JobRun`] |
//! | what happens meanwhile | [`JobEvent`] |
//! | what came of it | [`JobReport`], [`TaskReport`] |
//!
//! ```no_run
//! # async fn example() -> skyfleet_core::Result<()> {
//! use skyfleet_batch::{Job, Store, Tasks};
//!
//! let report = Job::new("words", r#"wc -w < "$SKYFLEET_INPUT""#)
//!     .tasks(Tasks::Objects("texts".into()))
//!     .store(Store::open("results")?)
//!     .run(skyfleet::Config::load("fleet.toml")?)
//!     .await?;
//! assert!(report.succeeded());
//! # Ok(())
//! # }
//! ```

mod board;
mod desk;
mod event;
mod inputs;
mod job;
mod protocol;
mod report;
mod run;
mod store;
mod tasks;
mod worker;

pub use event::JobEvent;
pub use job::Job;
pub use report::{JobReport, Outcome, TaskReport, TaskState};
pub use run::JobRun;
pub use store::Store;
pub use tasks::Tasks;
