use std::future::Future;

use skyfleet::Fleet;
use skyfleet_core::Result;

use crate::{JobEvent, JobReport};

/// A job that was checked and can start.
#[derive(Debug)]
pub struct JobRun {
    fleet: Fleet,
    names: Vec<String>,
}

impl JobRun {
    /// The fleet that it will run on: for its plan, before, and for the world behind it, after.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The names of the tasks, by index.
    pub fn task_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Runs it: launch, deal, supervise, teardown. When `cancel` ends first, the fleet is torn
    /// down at once and the report says what was finished; `std::future::pending()` never cancels.
    ///
    /// To end a run early, let `cancel` end: a dropped run leaves its fleet alive.
    ///
    /// # Errors
    /// Those of a launch that obtained too little; then everything was given back, or the error
    /// names what was not. Once a fleet runs, the report says what went wrong.
    pub async fn run(
        self,
        cancel: impl Future<Output = ()>,
        on_event: impl FnMut(&JobEvent),
    ) -> Result<JobReport> {
        let _ = (cancel, on_event);
        todo!()
    }
}
