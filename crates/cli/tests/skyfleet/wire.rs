//! A simulated cloud that another process serves, and a person who uses it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Ended, Home, Running};

/// A simulated cloud on the wire and a person who uses it.
pub(crate) struct Bed {
    pub(crate) home: Home,
    /// The provider that the person's commands use.
    provider: &'static str,
    /// Ended, with all its instances, when the bed is.
    _cloud: Running,
    /// What the cloud said should be in the environment.
    variables: Vec<(String, String)>,
}

impl Bed {
    /// A cloud where half a minute passes in a second.
    pub(crate) fn with(provider: &'static str, scenario: &str) -> Self {
        let home = Home::new();
        let scenario = home.write("scenario.toml", scenario);
        let args = ["sim", "--env", "--processes", "--clock", "scaled:30", "--seed", "7"];
        let mut command = home.command(&args);
        command.arg("--scenario").arg(scenario).arg("--exit-with-parent").stdin(Stdio::piped());
        let mut cloud = Running::of(command);
        let lines = BufReader::new(cloud.child().stdout.take().unwrap()).lines();
        let exported = lines.map_while(Result::ok).filter_map(|line| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('\'').to_owned()))
        });
        // The last line of all is the clock's.
        let mut variables = Vec::new();
        for (name, value) in exported {
            let last = name == "SIMCLOUD_CLOCK";
            variables.push((name, value));
            if last {
                break;
            }
        }
        Self { home, provider, _cloud: cloud, variables }
    }

    pub(crate) fn new(provider: &'static str) -> Self {
        Self::with(provider, "")
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("{name} is not exported: {:?}", self.variables), |(_, value)| value)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .env("SKYFLEET_PROVIDER", self.provider)
            .env("SKYFLEET_OWNER", "ada")
            .env("RUST_BACKTRACE", "1");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, &[])
    }

    pub(crate) fn run_with(&self, args: &[&str], changed: &[(&str, &str)]) -> Ended {
        let mut command = self.command(args);
        command.envs(changed.iter().copied());
        Running::of(command).ended(args)
    }

    /// A call of the admin face.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &str) -> Value {
        let url = self.variable("SIMCLOUD_ADMIN");
        let address = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        let kind = "Content-Type: application/json\r\n";
        write!(stream, "{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    /// A fault of the provider's cloud.
    pub(crate) fn fault(&self, fault: &str) {
        let fault = fault.replacen('{', &format!("{{\"cloud\":{:?},", self.provider), 1);
        let id = self.admin("POST", "/v1/faults", &fault);
        assert!(id.get("id").is_some(), "{fault}: {id}");
    }

    /// Nothing costs money and nothing is left, by the cloud's own books.
    pub(crate) fn is_empty(&self) {
        let ledger = self.admin("GET", "/v1/ledger", "");
        assert_eq!(ledger["live"].as_array().map(Vec::len), Some(0), "{ledger:#}");
        assert_eq!(ledger["blocking"].as_array().map(Vec::len), Some(0), "{ledger:#}");
    }

    pub(crate) fn calls(&self, action: &str) -> u64 {
        self.admin("GET", "/v1/calls", "")[self.provider][action]["calls"].as_u64().unwrap_or(0)
    }
}

/// A URL where nobody listens: a listener has just been there.
pub(crate) fn closed_url() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}
