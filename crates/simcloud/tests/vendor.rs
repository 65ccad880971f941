//! The simulated EC2 held against the vendor's own programs: botocore's service models, boto3, the AWS CLI
//! and Apache Libcloud's driver. Each check is a Python program in `vendor/` with a server to itself.
//!
//! They need a Python (3.10 or newer) with the packages of `vendor/requirements.txt`; without them the checks
//! are left out and shown as ignored. By hand:
//!
//! ```sh
//! python3 -m venv /tmp/vendor
//! /tmp/vendor/bin/pip install -r crates/simcloud/tests/vendor/requirements.txt
//! SIMCLOUD_VENDOR_PYTHON=/tmp/vendor/bin/python cargo test -p skyfleet-simcloud --features server --test vendor
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `SIMCLOUD_VENDOR_PYTHON` | which Python; otherwise `python3` |
//! | `SIMCLOUD_VENDOR_REQUIRED` | `1`: a check that would be left out fails |

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::{env, io};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use skyfleet_core::{ManualClock, ScaledClock, Timestamp};
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions, aws_actions};

/// What has to be there beside the standard library.
const PACKAGES: &str = "boto3, botocore, awscli, libcloud";

/// The only credentials that the servers let in: every client signs, and is checked.
const KEY_ID: &str = "AKIAVENDORCHECK";
const SECRET: &str = "a secret of the vendor checks";

/// A check that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// One check.
#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    /// The program in `vendor/` and its arguments.
    program: &'static [&'static str],
    clock: Clock,
}

/// By which time the world lives.
#[derive(Clone, Copy)]
enum Clock {
    /// Moved by the check through the admin face.
    Manual,
    /// Runs by itself, a minute each second: for programs that wait.
    Running,
}

const CHECKS: &[Check] = &[
    check("the AWS CLI leads a life", &["cli_life.py"], Clock::Running),
    check("boto3 leads a life", &["boto3_life.py"], Clock::Running),
    check("the walk finds what is wrong", &["walker_finds.py"], Clock::Manual),
    check("every answer of EC2 is as the model says", &["walk_ec2.py"], Clock::Manual),
    check("every answer of the other services is as the model says", &["walk_services.py"], Clock::Manual),
    check("every refusal has EC2's status, code and envelope", &["refusals.py"], Clock::Manual),
    check("every documented filter is taken or a known gap", &["filters.py"], Clock::Manual),
    check("boto3 meets tokens", &["boto3_rules.py", "idempotency"], Clock::Manual),
    check("boto3 meets dry runs", &["boto3_rules.py", "dry_run"], Clock::Manual),
    check("boto3 meets throttles", &["boto3_rules.py", "throttling"], Clock::Manual),
    check("boto3 meets pages", &["boto3_rules.py", "paging"], Clock::Manual),
    check("boto3 meets a cloud that checks signatures", &["boto3_rules.py", "signatures"], Clock::Manual),
    check("Libcloud leads a life", &["libcloud_life.py", "4"], Clock::Manual),
    check("Libcloud leads a life by signatures of version 2", &["libcloud_life.py", "2"], Clock::Manual),
];

const fn check(name: &'static str, program: &'static [&'static str], clock: Clock) -> Check {
    Check { name, program, clock }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let python = env::var("SIMCLOUD_VENDOR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let left_out = if arguments.list { None } else { unusable(&python) };
    let required = env::var("SIMCLOUD_VENDOR_REQUIRED").is_ok_and(|value| value == "1");
    let trials = CHECKS.iter().map(|check| {
        let (python, left_out) = (python.clone(), left_out.clone());
        Trial::ignorable_test(check.name, move || match left_out {
            None => check.run(&python).map(|()| Completion::Completed),
            Some(reason) if required => Err(Failed::from(reason)),
            Some(reason) => Ok(Completion::ignored_with(format!("left out: {reason}"))),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Why a Python cannot run the checks, if it cannot.
fn unusable(python: &str) -> Option<String> {
    let probe = Command::new(python).args(["-c", &format!("import {PACKAGES}")]).output();
    let reason = match probe {
        Ok(probe) if probe.status.success() => return None,
        Ok(probe) => String::from_utf8_lossy(&probe.stderr).lines().last().unwrap_or("it fails").to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("`{python}` cannot import {PACKAGES} ({reason}); see the head of tests/vendor.rs"))
}

impl Check {
    /// Runs the program against a server of its own.
    fn run(&self, python: &str) -> Result<(), Failed> {
        let server = Server::start(self.options())?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vendor");
        let mut command = Command::new(python);
        // What this machine's account and proxies are must not matter.
        let foreign = |name: &str| name.starts_with("AWS_") || name.to_ascii_lowercase().ends_with("_proxy");
        for (name, _) in env::vars().filter(|(name, _)| foreign(name)) {
            command.env_remove(name);
        }
        command
            .arg(folder.join(self.program[0]))
            .args(&self.program[1..])
            .env("SIMCLOUD_VENDOR_AWS", &server.urls().aws)
            .env("SIMCLOUD_VENDOR_ADMIN", &server.urls().admin)
            .env("SIMCLOUD_VENDOR_ACTIONS", aws_actions().join(","))
            .env("AWS_ENDPOINT_URL", &server.urls().aws)
            .env("AWS_ACCESS_KEY_ID", KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
        let ended = end(&mut child)?;
        let said = [out, err].map(|part| part.join().unwrap_or_default()).concat();
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Failed::from(format!("{}: {status}\n{said}", self.program.join(" ")))),
            None => Err(Failed::from(format!(
                "{} was still running after {PATIENCE:?}\n{said}",
                self.program.join(" ")
            ))),
        }
    }

    fn options(&self) -> ServerOptions {
        let start = Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let options = match self.clock {
            Clock::Manual => ServerOptions::manual(ManualClock::new(start)),
            Clock::Running => ServerOptions::new(Arc::new(ScaledClock::new(start, 60.0))),
        };
        let credential =
            Credential { cloud: Cloud::Aws, key_id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
        ServerOptions { credentials: vec![credential], ..options }
    }
}

/// Reads a pipe to its end, beside everything else.
fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        // What came before an error is all there is to show.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Waits for a program to end, and ends it when it takes too long.
fn end(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    const STEP: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(STEP);
        waited += STEP;
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
