//! What controller and workers write to each other: lines of `key value`, the last one `end`, so
//! that half a file is never taken for a whole one.

use std::fmt::Write;
use std::time::Duration;

use skyfleet_core::{Error, ErrorKind, InstanceId, Result};

/// One task for one instance. All places are paths, or signed URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Grows with each assignment of an instance: it does each once, in this order.
    pub(crate) serial: u64,
    pub(crate) index: u32,
    pub(crate) attempt: u32,
    /// The input's name; empty without one.
    pub(crate) name: String,
    /// Where the input is; empty without one.
    pub(crate) input: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) output: String,
    pub(crate) status: String,
}

/// The whole inbox of one instance: what it holds now.
pub(crate) fn inbox<'a>(assignments: impl IntoIterator<Item = &'a Assignment>) -> String {
    let mut text = String::new();
    for a in assignments {
        writeln!(text, "task {} {} {}", a.serial, a.index, a.attempt).expect("a String takes all");
        for (key, value) in [
            ("name", &a.name),
            ("input", &a.input),
            ("stdout", &a.stdout),
            ("stderr", &a.stderr),
            ("output", &a.output),
            ("status", &a.status),
        ] {
            if !value.is_empty() {
                writeln!(text, "{key} {value}").expect("a String takes all");
            }
        }
        text.push_str("run\n");
    }
    text.push_str("end\n");
    text
}

/// The inbox that ends a worker.
pub(crate) const STOP: &str = "stop\nend\n";

/// One line of the roster: which slot of the fleet an instance holds, where it finds its inbox, and
/// where it says that it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    pub(crate) inbox: String,
    pub(crate) hello: String,
}

/// The roster: the instances that have not said hello yet.
pub(crate) fn roster<'a>(places: impl IntoIterator<Item = (&'a InstanceId, &'a Place)>) -> String {
    let mut text = String::new();
    for (instance, place) in places {
        let Place { slot, inbox, hello } = place;
        writeln!(text, "instance {instance}\nslot {slot}\ninbox {inbox}\nhello {hello}")
            .expect("a String takes all");
    }
    text.push_str("end\n");
    text
}

/// What a worker says last of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// `None` when the command was not started, or was ended at its time limit.
    pub(crate) exit: Option<i32>,
    pub(crate) took: Duration,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) has_output: bool,
}

/// Why a task failed though no exit code says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The input could not be fetched.
    Input,
    /// The result could not be written to the store.
    Upload,
    /// It ran into its time limit.
    Timeout,
}

impl Status {
    /// Reads what a worker wrote.
    ///
    /// # Errors
    /// `Unexpected` when it is not what our worker writes.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "a task's status is not what our worker writes")
                .with("status", text.chars().take(200).collect::<String>().escape_debug())
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let exit = match value("exit")? {
            "-" => None,
            code => Some(code.parse().ok()?),
        };
        let took = Duration::from_millis(value("millis")?.parse().ok()?);
        let trouble = match value("trouble")? {
            "none" => None,
            "input" => Some(Trouble::Input),
            "upload" => Some(Trouble::Upload),
            "timeout" => Some(Trouble::Timeout),
            _ => return None,
        };
        let has_output = value("output")? == "1";
        (lines.next()? == "end").then_some(Self { exit, took, trouble, has_output })
    }

    /// Why it failed; `None` when it succeeded.
    pub(crate) fn failure(&self, limit: Option<Duration>) -> Option<String> {
        match (self.trouble, self.exit) {
            (None, Some(0)) => None,
            (None, Some(code)) => Some(format!("exit code {code}")),
            (None, None) => Some("it was not started".to_owned()),
            (Some(Trouble::Input), _) => Some("its input could not be fetched".to_owned()),
            (Some(Trouble::Upload), _) => Some("its result could not be written to the store".to_owned()),
            (Some(Trouble::Timeout), _) => {
                Some(format!("it ran longer than {} s", limit.unwrap_or_default().as_secs_f64()))
            }
        }
    }
}

/// What lies in the folder where workers report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sign {
    /// The worker of the instance that joined as number this is there.
    Hello(u32),
    /// This attempt at this task has ended.
    Ended { index: u32, attempt: u32 },
}

impl Sign {
    /// The object's name in the folder.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Hello(joined) => format!("hello.{joined}"),
            Self::Ended { index, attempt } => format!("{index}.{attempt}"),
        }
    }

    /// Reads it back; `None` for what is no sign, such as a file that is still being written.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (left, right) = name.split_once('.')?;
        let right = right.parse().ok()?;
        match left {
            "hello" => Some(Self::Hello(right)),
            index => Some(Self::Ended { index: index.parse().ok()?, attempt: right }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_whole_or_not_at_all() {
        let text = "exit 3\nmillis 1250\ntrouble none\noutput 1\nend\n";
        let status = Status::parse(text).unwrap();
        let took = Duration::from_millis(1250);
        assert_eq!(status, Status { exit: Some(3), took, trouble: None, has_output: true });
        for end in 0..text.len() - 1 {
            assert!(Status::parse(&text[..end]).is_err(), "{:?}", &text[..end]);
        }
    }

    #[test]
    fn a_failure_names_its_cause() {
        let limit = Some(Duration::from_secs(60));
        for (exit, trouble, part) in [
            ("0", "none", None),
            ("3", "none", Some("exit code 3")),
            ("-", "timeout", Some("60 s")),
            ("-", "input", Some("input")),
            ("0", "upload", Some("store")),
        ] {
            let text = format!("exit {exit}\nmillis 1\ntrouble {trouble}\noutput 0\nend\n");
            let failure = Status::parse(&text).unwrap().failure(limit);
            assert_eq!(failure.is_some(), part.is_some(), "{text}");
            assert!(failure.unwrap_or_default().contains(part.unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn a_half_written_file_is_no_sign() {
        for sign in [Sign::Hello(7), Sign::Ended { index: 12, attempt: 2 }] {
            assert_eq!(Sign::parse(&sign.name()), Some(sign));
            assert_eq!(Sign::parse(&format!("{}.part", sign.name())), None);
        }
        assert_eq!(Sign::parse("readme"), None);
    }
}
