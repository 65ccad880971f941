use std::path::{Path, PathBuf};
use std::time::Duration;

use skyfleet_core::Result;

/// Runs the user data of instances as real local processes.
///
/// Each instance gets a folder of its own, removed when it stops for good, and a process group of
/// its own. Nothing survives the host: not a stop, not its drop, not even the death of the whole
/// program by SIGKILL.
#[derive(Debug)]
pub struct ProcessHost {
    root: PathBuf,
}

impl ProcessHost {
    /// A host that keeps the instances' folders below a new temporary folder.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self { root: PathBuf::new() })
    }

    /// Runs a script in the folder of an instance, with these variables on top of the host's own
    /// environment. Returns at once.
    ///
    /// # Errors
    /// `InvalidRequest` when the user data is no script (its first line names no interpreter),
    /// `Conflict` when the instance runs already, `Unavailable` when the machine cannot start it.
    pub fn start(&mut self, _instance_id: &str, _user_data: &str, _env: &[(&str, &str)]) -> Result<()> {
        Ok(())
    }

    /// Ends an instance: SIGTERM now, SIGKILL after `grace` of real time. Returns at once; unknown ids are
    /// fine.
    pub fn stop(&mut self, _instance_id: &str, _grace: Duration) {}

    /// Ends an instance at once, with SIGKILL. Unknown ids are fine.
    pub fn kill(&mut self, _instance_id: &str) {}

    /// The instances of which a process still runs, in order.
    pub fn running(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// The folder of an instance; it exists from its start to its end.
    pub fn folder(&self, _instance_id: &str) -> PathBuf {
        self.root.clone()
    }

    /// The folder that holds all of them.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
