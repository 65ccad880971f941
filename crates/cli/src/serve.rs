//! `skyfleet sim` without a command: serves the simulated clouds until it is asked to end.

use std::io::Read;
use std::sync::Arc;

use skyfleet_core::{Clock, ErrorKind, ManualClock, ScaledClock, SystemClock, Timestamp};
use skyfleet_simcloud::{Scenario, Server, ServerOptions};
use tokio::sync::oneshot;

use crate::args::ServeArgs;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;

const EXAMPLE: &str = "skyfleet sim --port 4700 --clock scaled:60";

pub(crate) async fn serve(
    args: ServeArgs,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let time = Time::read(args.clock.as_deref().unwrap_or("real"))?;
    let mut options = match &time {
        Time::Machine => ServerOptions::new(Arc::new(SystemClock)),
        Time::Scaled(clock) => ServerOptions::new(Arc::new(*clock)),
        Time::Manual(clock) => ServerOptions::manual(clock.clone()),
    };
    if let Some(host) = args.host {
        options.host = host;
    }
    if let Some(file) = &args.scenario {
        options.scenario = Scenario::read(file)
            .map_err(|error| Failure::usage(error.message()).help("correct it, or leave --scenario out"))?;
    }
    (options.port, options.seed, options.processes) = (args.port, args.seed.unwrap_or(0), args.processes);

    let server = Server::start(options).map_err(|error| match error.kind() {
        ErrorKind::InvalidConfig => Failure::usage(error.message()).help(EXAMPLE),
        _ => Failure::new(Exit::Failed, error.message()).help("choose another --port, or leave it out"),
    })?;
    if args.env {
        for (name, value) in server.environment(time.shared().as_ref()) {
            output.line(format!("export {name}={}", quoted(&value)))?;
        }
        output.flush()?;
    } else {
        output.object(server.urls())?;
    }
    tokio::select! {
        () = interrupt.asked() => {}
        () = parent_gone(), if args.exit_with_parent => {}
    }
    server.stop();
    Ok(Exit::Ok)
}

/// How time goes in the clouds.
enum Time {
    Machine,
    Scaled(ScaledClock),
    Manual(ManualClock),
}

/// Where a manual clock begins, so that a run can be repeated to the letter:
/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

impl Time {
    fn read(text: &str) -> Result<Self, Failure> {
        match text.split_once(':') {
            None if text == "real" => return Ok(Self::Machine),
            None if text == "manual" => return Ok(Self::Manual(ManualClock::new(EPOCH))),
            Some(("scaled", factor)) => {
                let factor = factor.trim().parse().ok().filter(|factor| (0.001..=1e6).contains(factor));
                if let Some(factor) = factor {
                    return Ok(Self::Scaled(ScaledClock::new(SystemClock.now(), factor)));
                }
            }
            _ => {}
        }
        let message = format!(
            "--clock {text:?} is no clock: there are real, scaled:K with K from 0.001 to 1000000, and manual"
        );
        Err(Failure::usage(message).help(EXAMPLE))
    }

    /// The clock that other processes can keep, too: none where time does not go by itself.
    fn shared(&self) -> Option<ScaledClock> {
        match self {
            Self::Machine => Some(ScaledClock::new(SystemClock.now(), 1.0)),
            Self::Scaled(clock) => Some(*clock),
            Self::Manual(_) => None,
        }
    }
}

/// A value as a shell reads it.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.,_-@=".contains(c);
    match !value.is_empty() && value.chars().all(plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

/// Waits until standard input ends: whoever held its other end is gone.
async fn parent_gone() {
    let (gone, wait) = oneshot::channel();
    let read = move || {
        let mut input = std::io::stdin().lock();
        let mut dropped = [0; 4096];
        // An input that cannot be read has nobody at its other end either.
        while input.read(&mut dropped).is_ok_and(|read| read > 0) {}
        let _ = gone.send(());
    };
    match std::thread::Builder::new().name("parent".to_owned()).spawn(read) {
        Ok(_) => {
            let _ = wait.await;
        }
        Err(error) => {
            tracing::error!(%error, "the end of the parent cannot be watched");
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_quoted_when_a_shell_would_read_it_otherwise() {
        assert_eq!(quoted("http://127.0.0.1:80"), "http://127.0.0.1:80");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("open $HOME"), "'open $HOME'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_clock_that_is_none_is_refused_with_those_that_are() {
        for text in ["", "fast", "scaled", "scaled:", "scaled:0", "scaled:-1", "scaled:inf", "auto"] {
            let failure = Time::read(text).err().unwrap();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains("scaled:K") && !failure.message.contains('\n'), "{failure}");
        }
        assert!(Time::read("manual").unwrap().shared().is_none());
        for text in ["real", "scaled:60"] {
            let told = Time::read(text).unwrap().shared().unwrap().told().unwrap();
            assert!(ScaledClock::shared(&told).is_some(), "{told}");
        }
    }
}
