//! The script that every machine of a job runs at its first boot.

use std::time::Duration;

use skyfleet_core::{Capability, Error, ErrorKind, Result};

/// What the script must know beyond what it reads from the store.
#[derive(Clone, Debug)]
pub(crate) struct Worker<'a> {
    /// What is run for each task.
    pub(crate) command: &'a str,
    /// How many tasks the job has.
    pub(crate) tasks: u32,
    /// How long one run may take.
    pub(crate) task_timeout: Option<Duration>,
    /// The path or signed URL of the roster.
    pub(crate) roster: &'a str,
    /// What a signed upload must send: `name: value`.
    pub(crate) upload_headers: &'a [String],
    /// How often it asks for news while there are some, and while there are none.
    pub(crate) poll: Poll,
}

/// How often a worker asks the store for news.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Poll {
    /// A local file: a fraction of a second.
    Local,
    /// A request each time: 2 s, and up to 16 s while nothing comes.
    Remote,
}

/// The longest script that skyfleet sends, in bytes: what is left of the narrowest cloud's limit
/// (16 KiB on EC2) for what a provider puts around it.
const BYTES_MAX: usize = 12 * 1024;

const BODY: &str = include_str!("worker.sh");

impl Worker<'_> {
    /// The script, for a provider that can do this.
    ///
    /// # Errors
    /// `InvalidRequest` when the command makes it longer than the provider's user data may be, or
    /// holds a character that no shell script can.
    pub(crate) fn script(&self, capability: &Capability) -> Result<String> {
        if self.command.contains('\0') {
            return Err(Error::new(ErrorKind::InvalidRequest, "the command has a NUL character in it")
                .with("key", "command"));
        }
        let (poll, poll_max) = match self.poll {
            Poll::Local => ("0.1", "0.1"),
            Poll::Remote => ("2", "16"),
        };
        let limit = self.task_timeout.map_or(0, |t| t.as_millis().div_ceil(1000).max(1));
        let headers: String = self.upload_headers.iter().map(|h| format!(" -H {}", quoted(h))).collect();
        let script = format!(
            "#!/bin/sh\n\
             ROSTER={}\nCOMMAND={}\nCOUNT={} LIMIT={limit} POLL={poll} POLL_MAX={poll_max}\n\
             upload() {{ curl -fsSg --connect-timeout 20 -H Expect:{headers} -T \"$1\" -o /dev/null \"$2\"; }}\n\
             own_id() {{\n{}\n}}\n{BODY}",
            quoted(self.roster),
            quoted(self.command),
            self.tasks,
            capability.instance_id_command,
        );
        let bytes_max = BYTES_MAX.min(capability.user_data_bytes_max);
        if script.len() > bytes_max {
            let room = (bytes_max + self.command.len()).saturating_sub(script.len());
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the command has {} bytes, and about {room} fit into the user data of this cloud: put a \
                     script beside the inputs, or into the image, and call it",
                    self.command.len()
                ),
            )
            .with("key", "command"));
        }
        Ok(script)
    }
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
