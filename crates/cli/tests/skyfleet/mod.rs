//! Runs the built command in a home of its own.

#![allow(dead_code, reason = "each test program uses a part")]

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
pub(crate) mod cases;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A person's home: a folder with nothing in it, and an environment without surprises.
pub(crate) struct Home {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skyfleet"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("USER", "ada")
            .env("TMPDIR", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running(Some(self.command(args).spawn().unwrap()))
    }

    /// Runs to the end; a panic of the command is a failure of the test, whatever it is about.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.start(args).ended(args)
    }

    /// Runs with one more variable in the environment.
    pub(crate) fn run_with(&self, args: &[&str], name: &str, value: &str) -> Ended {
        Running(Some(self.command(args).env(name, value).spawn().unwrap())).ended(args)
    }

    /// Runs a command that must succeed, and reads its JSON document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {ended:?}"))
    }

    /// Runs a command and says what is left in the kept world after it.
    pub(crate) fn live(&self) -> usize {
        self.json(&["sim", "ledger", "--json"])["live"].as_array().unwrap().len()
    }
}

/// A command that runs; a test that fails does not leave it behind.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn of(mut command: Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub(crate) fn ended(mut self, args: &[&str]) -> Ended {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let ended = Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ended.err.contains("panicked"), "{args:?} panicked: {}", ended.err);
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Ended {
    /// It was refused with this code, in one line that begins with `error:` and has all the words,
    /// and a line of help.
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        let errors: Vec<_> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:?}");
        // A mistake in the command line itself is told over several lines, with the usage.
        let said = if self.err.contains("\nUsage: ") { &self.err } else { errors[0] };
        for word in words {
            assert!(said.contains(word), "{word:?} is not said in: {}", self.err);
        }
        assert!(self.err.contains("help: ") || self.err.contains("--help"), "no help: {}", self.err);
        assert!(!self.err.contains("Inner {") && !self.err.contains("Error("), "a dump: {}", self.err);
    }
}

/// Whether a process lives.
pub(crate) fn lives(pid: u32) -> bool {
    // A zombie has ended: only its parent has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// Waits, at most half a minute, until something is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..300 {
        if so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("waited in vain: {what}");
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
