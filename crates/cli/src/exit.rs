//! How a command ends: the exit code, and the two lines that say why and what to do.

use std::fmt;
use std::io;
use std::process::ExitCode;

use skyfleet_core::{Error, ErrorKind};

use crate::settings::flag_of;

/// The exit codes. This list is the only one: help, man page and tests are made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Denied = 4,
    Leftovers = 5,
    Interrupted = 130,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Denied,
        Self::Leftovers,
        Self::Interrupted,
    ];

    /// What the code means, for the help.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; for `run`: every task succeeded",
            Self::Failed => "failed; for `run`: some task failed for good",
            Self::Usage => "wrong command line, config or request; nothing was bought",
            Self::Refused => "no capacity, over quota or over budget; what was bought is given back",
            Self::Denied => "no credentials, or a permission is missing",
            Self::Leftovers => "something is left, or nothing proves that nothing is",
            Self::Interrupted => "interrupted by Ctrl-C or SIGTERM",
        }
    }

    /// The code for an error of the library.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidConfig | ErrorKind::InvalidRequest | ErrorKind::Unsupported => Self::Usage,
            ErrorKind::NoCapacity | ErrorKind::QuotaExceeded | ErrorKind::BudgetExceeded => Self::Refused,
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => Self::Denied,
            // NotFound, Conflict, RateLimited, Unavailable, Unexpected, and what comes later.
            _ => Self::Failed,
        }
    }

    /// The worse of two ends of one command: what is left wins, since it costs money.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Leftovers {
            self
        } else if other == Self::Leftovers {
            other
        } else {
            self.max(other)
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The section of the help that lists the exit codes.
pub(crate) fn help_section() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>3}  {}\n", exit as u8, exit.meaning()));
    }
    text.pop();
    text
}

/// Why a command failed, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: None }
    }

    /// A wrong command line or config.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Says what would be right.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message from a cloud may have several lines; ours is one.
        write!(f, "error: {}", self.message.split_whitespace().collect::<Vec<_>>().join(" "))?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // A launch that failed and could not give everything back says so in these facts.
        let left = error.fact("leftovers").is_some() || error.fact("not_given_back").is_some();
        let exit = if left { Exit::Leftovers } else { Exit::of(error.kind()) };
        let help = if left { "`skyfleet down` gives back what is left".to_owned() } else { advice(&error) };
        Self { exit, message: sentence(&error), help: Some(help) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

/// The error's own words with its facts, without the names of our code.
fn sentence(error: &Error) -> String {
    let mut text = error.message().to_owned();
    // A fact that the sentence says already is not said twice.
    let facts: Vec<_> = error
        .context()
        .iter()
        .filter(|(key, value)| *key != "set_by" && !text.contains(value.as_str()))
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    if !facts.is_empty() {
        text.push_str(&format!(" ({})", facts.join(", ")));
    }
    text
}

fn advice(error: &Error) -> String {
    match error.kind() {
        ErrorKind::InvalidConfig => wrong_key(error),
        ErrorKind::InvalidRequest => {
            "correct what is named; `skyfleet offers --explain` shows what there is".to_owned()
        }
        ErrorKind::Unauthenticated => {
            "log in with the cloud's own tool: skyfleet reads its standard credentials".to_owned()
        }
        ErrorKind::PermissionDenied => "grant the permission that is named to the account".to_owned(),
        ErrorKind::NotFound => "`skyfleet ps --all` lists every fleet of the owner".to_owned(),
        ErrorKind::Conflict => {
            "choose another --name, or end what holds this one with `skyfleet down`".to_owned()
        }
        ErrorKind::NoCapacity => {
            "allow more types, zones or markets; `skyfleet offers --explain` says what fell out".to_owned()
        }
        ErrorKind::QuotaExceeded => {
            "ask for fewer instances or other regions, or have the cloud raise the quota".to_owned()
        }
        ErrorKind::RateLimited | ErrorKind::Unavailable => {
            "wait a minute and run the same command again: it buys nothing twice".to_owned()
        }
        ErrorKind::Unsupported => {
            "leave out what this provider cannot do, or choose another --provider".to_owned()
        }
        ErrorKind::BudgetExceeded => {
            "raise the limit or ask for less; `skyfleet plan` shows the worst case".to_owned()
        }
        _ => "report it with these lines; `skyfleet down` gives back what was bought".to_owned(),
    }
}

/// Where to correct a wrong value: where it was set, or the flag for it.
fn wrong_key(error: &Error) -> String {
    if error.fact("input").is_some() {
        return "--input takes a folder with files in it".to_owned();
    }
    let Some(key) = error.fact("key") else {
        return match error.fact("in") {
            Some(place) => format!("correct {place}"),
            None => "name a TOML file with --config, or leave it out and use flags".to_owned(),
        };
    };
    let unknown = error.message().starts_with("unknown key");
    match (error.fact("in"), flag_of(key)) {
        (Some(place), _) if unknown => format!("correct it in {place}"),
        (Some(place), Some(flag)) => format!("correct it in {place}, or override it with {flag}"),
        (Some(place), None) => format!("correct it in {place}, or override it with --set {key}=VALUE"),
        (None, Some(flag)) => format!("correct {flag}"),
        (None, None) => format!("correct the --set, the variable or the line of the config that sets {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_code_that_the_help_promises() {
        use ErrorKind::*;
        for (kind, code) in [
            (InvalidConfig, 2),
            (InvalidRequest, 2),
            (Unsupported, 2),
            (Unauthenticated, 4),
            (PermissionDenied, 4),
            (NoCapacity, 3),
            (QuotaExceeded, 3),
            (BudgetExceeded, 3),
            (NotFound, 1),
            (Conflict, 1),
            (RateLimited, 1),
            (Unavailable, 1),
            (Unexpected, 1),
        ] {
            assert_eq!(Exit::of(kind) as u8, code, "{kind}");
        }
    }

    #[test]
    fn the_help_lists_every_code_once_in_order() {
        let section = help_section();
        let codes: Vec<u8> = section
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 130]);
    }

    #[test]
    fn a_failure_is_one_line_and_a_fix() {
        let error = Error::new(ErrorKind::BudgetExceeded, "the cheapest plan\ncosts $2/h")
            .with("key", "usd_per_hour_max")
            .at("fleet.plan");
        let text = Failure::from(error).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "error: the cheapest plan costs $2/h (key: usd_per_hour_max)");
        assert!(lines[1].starts_with("  help: raise the limit"), "{text}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_launch_that_could_not_give_back_ends_with_the_code_for_leftovers() {
        let error = Error::new(ErrorKind::NoCapacity, "the pools are empty").with("leftovers", 2);
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::Leftovers);
        assert!(failure.to_string().contains("skyfleet down"), "{failure}");
    }

    #[test]
    fn a_wrong_key_is_corrected_where_it_was_set() {
        let wrong = || Error::new(ErrorKind::InvalidConfig, "no").with("key", "fleet.target");
        let help = |error: Error| Failure::from(error).help.unwrap();
        assert_eq!(help(wrong().with("set_by", "the caller")), "correct --instances");
        assert!(help(wrong().with("in", "fleet.toml:3")).contains("in fleet.toml:3"));
        let odd = Error::new(ErrorKind::InvalidConfig, "no").with("key", "fleet.colour");
        assert!(help(odd).contains("fleet.colour"));
    }

    #[test]
    fn what_is_left_outweighs_what_failed() {
        assert_eq!(Exit::Failed.or(Exit::Leftovers), Exit::Leftovers);
        assert_eq!(Exit::Interrupted.or(Exit::Leftovers), Exit::Leftovers);
        assert_eq!(Exit::Ok.or(Exit::Failed), Exit::Failed);
    }
}
