//! The simulated clouds held against the vendors' own programs: botocore's service models, boto3 and the AWS CLI;
//! Google's discovery documents, its Python clients and gcloud; Azure's Python clients and their models; Apache
//! Libcloud's drivers. Each check is a Python program in `vendor/` with a server to itself.
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
//!
//! gcloud is in no package registry: its check runs where `gcloud` is in the `PATH`, and is left out elsewhere
//! whatever is required.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::{env, io};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use skyfleet_core::{ManualClock, ScaledClock, Timestamp};
use skyfleet_simcloud::{Cloud, Credential, Server, ServerOptions, aws_actions, azure_methods, gcp_methods};

/// What has to be there beside the standard library.
const PACKAGES: [&str; 15] = [
    "boto3",
    "botocore",
    "awscli",
    "libcloud",
    "googleapiclient",
    "google.auth",
    "google.cloud.compute_v1",
    "azure.identity",
    "azure.mgmt.compute",
    "azure.mgmt.computefleet",
    "azure.mgmt.computerecommender",
    "azure.mgmt.network",
    "azure.mgmt.resource.resources",
    "azure.mgmt.resourcegraph",
    "requests",
];

/// Looks for the packages without loading them, which takes seconds.
const PROBE: &str = "\
import importlib.util, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
sys.exit(f'it has no {missing[0]}' if missing else 0)
";

/// The only credentials that the servers let in: on AWS every client signs, and is checked.
const KEY_ID: &str = "AKIAVENDORCHECK";
const SECRET: &str = "a secret of the vendor checks";

/// On Google Cloud, a project and the token that opens it.
const PROJECT: &str = "vendor-check";
const TOKEN: &str = "ya29.a-token-of-the-vendor-checks";

/// On Azure, a subscription, its tenant, and the client whose secret opens both.
const SUBSCRIPTION: &str = "11111111-2222-4333-8444-555555555555";
const TENANT: &str = "00000000-0000-4000-8000-00000000000f";
const CLIENT: &str = "99999999-8888-4777-8666-555555555555";

/// A check that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// One check.
#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    cloud: Cloud,
    /// The program in the cloud's room of `vendor/`, and its arguments.
    program: &'static [&'static str],
    clock: Clock,
    /// A program that has to be in the `PATH` too.
    needs: Option<&'static str>,
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
    aws("the AWS CLI leads a life", &["cli_life.py"], Clock::Running),
    aws("boto3 leads a life", &["boto3_life.py"], Clock::Running),
    aws("the walk of EC2 finds what is wrong", &["walker_finds.py"], Clock::Manual),
    aws("every answer of EC2 is as the model says", &["walk_ec2.py"], Clock::Manual),
    aws("every answer of AWS's other services is as the model says", &["walk_services.py"], Clock::Manual),
    aws("every refusal has EC2's status, code and envelope", &["refusals.py"], Clock::Manual),
    aws("every documented filter of EC2 is taken or a known gap", &["filters.py"], Clock::Manual),
    aws("boto3 meets tokens", &["boto3_rules.py", "idempotency"], Clock::Manual),
    aws("boto3 meets dry runs", &["boto3_rules.py", "dry_run"], Clock::Manual),
    aws("boto3 meets throttles", &["boto3_rules.py", "throttling"], Clock::Manual),
    aws("boto3 meets pages", &["boto3_rules.py", "paging"], Clock::Manual),
    aws("boto3 meets a cloud that checks signatures", &["boto3_rules.py", "signatures"], Clock::Manual),
    aws("Libcloud leads a life on EC2", &["libcloud_life.py", "4"], Clock::Manual),
    aws("Libcloud leads a life on EC2 by signatures of version 2", &["libcloud_life.py", "2"], Clock::Manual),
    gcp("google-cloud-compute leads a life", &["compute_life.py"], Clock::Running),
    Check { needs: Some("gcloud"), ..gcp("gcloud leads a life", &["gcloud_life.py"], Clock::Running) },
    gcp("Libcloud leads a life on Compute Engine", &["libcloud_life.py"], Clock::Running),
    gcp("the walk of Compute Engine finds what is wrong", &["walker_finds.py"], Clock::Manual),
    gcp("every answer of Compute Engine is as its document says", &["walk_compute.py"], Clock::Manual),
    gcp(
        "every answer of Google's other services is as their documents say",
        &["walk_services.py"],
        Clock::Manual,
    ),
    gcp("every refusal has Compute Engine's status, reason and envelope", &["refusals.py"], Clock::Manual),
    gcp(
        "google-cloud-compute meets filters and pages",
        &["compute_rules.py", "filters", "paging"],
        Clock::Manual,
    ),
    gcp(
        "google-cloud-compute meets request ids, limits and failures",
        &["compute_rules.py", "request_ids", "rate_quotas", "bulk_limits", "failures"],
        Clock::Manual,
    ),
    gcp("google-auth and a long poll meet the metadata server", &["metadata.py"], Clock::Manual),
    azure("the walk of azure-mgmt's answers finds what is wrong", &["walker_finds.py"]),
    azure("azure-mgmt clients lead a life", &["mgmt_life.py"]),
    azure("every refusal of azure has its status, code and envelope", &["refusals.py"]),
    azure("azure-identity and azure-mgmt meet a cloud that checks tokens", &["mgmt_rules.py", "credentials"]),
    azure("azure-identity and a machine meet the metadata service", &["metadata.py"]),
    azure("azure-mgmt clients meet pages", &["mgmt_rules.py", "pages"]),
    azure("azure-mgmt clients meet limits", &["mgmt_rules.py", "limits"]),
    azure("azure-mgmt clients meet failures and lost answers", &["mgmt_rules.py", "failures", "lost"]),
    azure("Libcloud leads a life on azure", &["libcloud_life.py"]),
    azure(
        "azure-mgmt clients meet conditions and missing registrations",
        &["mgmt_rules.py", "conditions", "registrations"],
    ),
];

const fn aws(name: &'static str, program: &'static [&'static str], clock: Clock) -> Check {
    Check { name, cloud: Cloud::Aws, program, clock, needs: None }
}

const fn gcp(name: &'static str, program: &'static [&'static str], clock: Clock) -> Check {
    Check { name, cloud: Cloud::Gcp, program, clock, needs: None }
}

/// Where Azure's clients wait, the check moves the clock.
const fn azure(name: &'static str, program: &'static [&'static str]) -> Check {
    Check { name, cloud: Cloud::Azure, program, clock: Clock::Manual, needs: None }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let python = env::var("SIMCLOUD_VENDOR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let left_out = if arguments.list { None } else { unusable(&python) };
    let required = env::var("SIMCLOUD_VENDOR_REQUIRED").is_ok_and(|value| value == "1");
    let trials = CHECKS.iter().map(|check| {
        let (python, left_out) = (python.clone(), left_out.clone());
        Trial::ignorable_test(check.name, move || match (left_out, check.missing()) {
            (Some(reason), _) if required => Err(Failed::from(reason)),
            (Some(reason), _) => Ok(Completion::ignored_with(format!("left out: {reason}"))),
            (None, Some(program)) => {
                Ok(Completion::ignored_with(format!("left out: no {program} in the PATH")))
            }
            (None, None) => check.run(&python).map(|()| Completion::Completed),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Why a Python cannot run the checks, if it cannot.
fn unusable(python: &str) -> Option<String> {
    let probe = Command::new(python).args(["-c", PROBE]).args(PACKAGES).output();
    let reason = match probe {
        Ok(probe) if probe.status.success() => return None,
        Ok(probe) => String::from_utf8_lossy(&probe.stderr).lines().last().unwrap_or("it fails").to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("`{python}` cannot run the checks ({reason}); see the head of tests/vendor.rs"))
}

impl Check {
    /// The program that it needs and that is not there.
    fn missing(&self) -> Option<&'static str> {
        let folders = env::var_os("PATH").unwrap_or_default();
        self.needs.filter(|needed| !env::split_paths(&folders).any(|folder| folder.join(needed).is_file()))
    }

    /// Runs the program against a server of its own.
    fn run(&self, python: &str) -> Result<(), Failed> {
        let server = Server::start(self.options())?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vendor");
        let mut command = Command::new(python);
        // What this machine's accounts and proxies are must not matter.
        for (name, _) in env::vars().filter(|(name, _)| is_foreign(name)) {
            command.env_remove(name);
        }
        command
            .arg(folder.join(self.cloud.as_str()).join(self.program[0]))
            .args(&self.program[1..])
            // What the rooms share.
            .env("PYTHONPATH", &folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SIMCLOUD_VENDOR_ADMIN", &server.urls().admin)
            .env("SIMCLOUD_VENDOR_CLOUD", self.cloud.as_str())
            .envs(self.surroundings(&server))
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

    /// What a program of the cloud finds in its environment.
    fn surroundings(&self, server: &Server) -> Vec<(&'static str, String)> {
        let text = |value: &str| value.to_owned();
        match self.cloud {
            Cloud::Gcp => vec![
                ("SIMCLOUD_VENDOR_GCP", text(&server.urls().gcp)),
                ("SIMCLOUD_VENDOR_METHODS", gcp_methods().join(",")),
                ("SIMCLOUD_VENDOR_PROJECT", text(PROJECT)),
                ("SIMCLOUD_VENDOR_TOKEN", text(TOKEN)),
            ],
            Cloud::Azure => vec![
                ("SIMCLOUD_VENDOR_AZURE", text(&server.urls().azure)),
                ("SIMCLOUD_VENDOR_METHODS", azure_methods().join(",")),
                ("SIMCLOUD_VENDOR_SUBSCRIPTION", text(SUBSCRIPTION)),
                ("SIMCLOUD_VENDOR_TENANT", text(TENANT)),
                ("SIMCLOUD_VENDOR_CLIENT", text(CLIENT)),
                ("SIMCLOUD_VENDOR_SECRET", text(SECRET)),
            ],
            _ => vec![
                ("SIMCLOUD_VENDOR_AWS", text(&server.urls().aws)),
                ("SIMCLOUD_VENDOR_ACTIONS", aws_actions().join(",")),
                ("AWS_ENDPOINT_URL", text(&server.urls().aws)),
                ("AWS_ACCESS_KEY_ID", text(KEY_ID)),
                ("AWS_SECRET_ACCESS_KEY", text(SECRET)),
                ("AWS_REGION", text("us-east-1")),
                ("AWS_DEFAULT_REGION", text("us-east-1")),
                ("AWS_CONFIG_FILE", text("/dev/null")),
                ("AWS_SHARED_CREDENTIALS_FILE", text("/dev/null")),
                ("AWS_EC2_METADATA_DISABLED", text("true")),
                ("AWS_PAGER", String::new()),
            ],
        }
    }

    fn options(&self) -> ServerOptions {
        let start = Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let options = match self.clock {
            Clock::Manual => ServerOptions::manual(ManualClock::new(start)),
            Clock::Running => ServerOptions::new(Arc::new(ScaledClock::new(start, 60.0))),
        };
        let credential = |cloud, key_id: &str, secret: &str| Credential {
            cloud,
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
        };
        let credentials = vec![
            credential(Cloud::Aws, KEY_ID, SECRET),
            credential(Cloud::Gcp, PROJECT, TOKEN),
            credential(Cloud::Azure, CLIENT, SECRET),
        ];
        ServerOptions { credentials, ..options }
    }
}

/// Whether a variable says what the machine's accounts or proxies are.
fn is_foreign(name: &str) -> bool {
    let accounts = ["AWS_", "AZURE_", "GOOGLE_", "GCLOUD_", "GCE_", "CLOUDSDK_"];
    accounts.iter().any(|prefix| name.starts_with(prefix)) || name.to_ascii_lowercase().ends_with("_proxy")
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
