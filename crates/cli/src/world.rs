//! The simulated world that is kept in a file between commands, and its time.
//!
//! Waiting in it costs no real time: a command jumps over what it would wait for, and how far the
//! world is ahead of the machine's clock is kept in a file beside it. Only `up --watch` lives in
//! real time, as a person watches it, or so many times as fast with `clock = "scaled:K"`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use skyfleet::{Config, Fleet};
use skyfleet_core::{Clock, Connected, ManualClock, ScaledClock, SystemClock, Timestamp};
use skyfleet_sim::{ClockSetting, Settings, SimProvider, World};

use crate::exit::Failure;
use crate::settings::Pace;

/// The time of a kept world. Dropped, it writes down how far it is ahead.
#[derive(Debug)]
pub(crate) struct KeptTime {
    file: PathBuf,
    clock: Arc<dyn Clock>,
    jumping: Option<ManualClock>,
}

impl KeptTime {
    fn read(state: &Path, pace: Pace, factor: f64) -> Result<Self, Failure> {
        let mut name = state.as_os_str().to_owned();
        name.push(".ahead");
        let file = PathBuf::from(name);
        let origin = SystemClock
            .now()
            .checked_add(Duration::from_millis(ahead(&file)?))
            .map_err(|_| broken(&file, "it is ahead by more than a calendar holds"))?;
        let jumping = (pace == Pace::Jumping).then(|| ManualClock::auto(origin));
        let clock: Arc<dyn Clock> = match &jumping {
            Some(clock) => Arc::new(clock.clone()),
            None => Arc::new(ScaledClock::new(origin, factor)),
        };
        Ok(Self { file, clock, jumping })
    }

    /// Lets time pass; says what time it is then.
    pub(crate) fn advance(&self, time: Duration) -> Result<Timestamp, Failure> {
        let now = self.clock.now();
        // Ten years: far from where a calendar ends, and beyond any fleet.
        if now.checked_add(time).is_err() || time > Duration::from_secs(10 * 365 * 86_400) {
            return Err(
                Failure::usage("that is too far ahead").help("ten years at most: skyfleet sim advance 1h")
            );
        }
        if let Some(clock) = &self.jumping {
            clock.advance(time);
        }
        Ok(self.clock.now())
    }
}

impl Drop for KeptTime {
    fn drop(&mut self) {
        self.keep();
    }
}

impl KeptTime {
    /// Writes down how far the world is ahead, for commands that run meanwhile and later.
    pub(crate) fn keep(&self) {
        // The machine's clock first, and rounded up: a command that reads this is never behind what was
        // seen here, or an instance that was called running would be pending to it.
        let machine = SystemClock.now();
        let own = self.clock.now().as_nanosecond() - machine.as_nanosecond();
        // Another command may have gone further meanwhile: time never goes back.
        let ahead = u64::try_from(own).unwrap_or(0).div_ceil(1_000_000).max(ahead(&self.file).unwrap_or(0));
        // By way of another file: a command that reads meanwhile sees the old or the new time whole.
        let mut draft = self.file.as_os_str().to_owned();
        draft.push(format!(".{}", std::process::id()));
        let text = format!("{}.{:03}\n", ahead / 1_000, ahead % 1_000);
        let written = std::fs::write(&draft, text);
        if let Err(error) = written.and_then(|()| std::fs::rename(&draft, &self.file)) {
            tracing::warn!(%error, file = %self.file.display(), "the time of the simulated world was not kept");
        }
    }
}

/// By how many milliseconds the world is ahead of the machine's clock; the file holds seconds.
fn ahead(file: &Path) -> Result<u64, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let seconds: Option<f64> = text.trim().parse().ok().filter(|seconds| *seconds >= 0.0);
            let seconds = seconds.ok_or_else(|| broken(file, "it does not hold seconds"))?;
            Ok((seconds * 1_000.0).round() as u64)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(broken(file, &error.to_string())),
    }
}

fn broken(file: &Path, why: &str) -> Failure {
    Failure::usage(format!("the time of the simulated world, {}: {why}", file.display()))
        .help("delete that file, and the world goes on at the machine's time")
}

/// Opens a fleet on the world that the config's `[providers.sim] state` names.
pub(crate) fn open(config: Config, pace: Pace) -> Result<(Fleet, Option<KeptTime>), Failure> {
    let mut table = config.provider_settings();
    // The provider itself takes a shared world at the machine's time only.
    let state = table.remove("state").and_then(|state| state.as_str().map(PathBuf::from));
    let Some(state) = state else {
        return Ok((Fleet::open_with(&skyfleet::drivers(), config)?, None));
    };
    let settings = Settings::parse(&table)?;
    let factor = match settings.clock {
        ClockSetting::Scaled(thousandths) => thousandths as f64 / 1_000.0,
        ClockSetting::Real | ClockSetting::Manual | ClockSetting::Auto => 1.0,
    };
    let time = KeptTime::read(&state, pace, factor)?;
    let settings = Settings { state: Some(state), ..settings };
    let mut options = settings.world_options()?;
    options.clock = time.clock.clone();
    let provider = Arc::new(SimProvider::new(World::new(options)?));
    let connected = Connected { provider, clock: time.clock.clone() };
    Ok((Fleet::on(connected, config), Some(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_finds_the_time_that_the_last_one_left() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("world.json");
        let first = KeptTime::read(&state, Pace::Jumping, 1.0).unwrap();
        let later = first.advance(Duration::from_secs(7_200)).unwrap();
        drop(first);
        let next = KeptTime::read(&state, Pace::Real, 1.0).unwrap();
        let apart = next.clock.now().as_second() - later.as_second();
        assert!((-2..60).contains(&apart), "{apart} s apart");
    }

    #[test]
    fn a_command_that_reads_meanwhile_is_not_behind_by_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("world.json");
        let watching = KeptTime::read(&state, Pace::Real, 600.0).unwrap();
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(3));
            let seen = watching.clock.now();
            watching.keep();
            let meanwhile = KeptTime::read(&state, Pace::Jumping, 1.0).unwrap();
            let now = meanwhile.clock.now();
            assert!(now >= seen, "{now} is before {seen}");
        }
    }

    #[test]
    fn a_broken_time_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.ahead"), "soon").unwrap();
        let failure = KeptTime::read(&folder.path().join("w"), Pace::Real, 1.0).unwrap_err();
        assert!(failure.message.contains("w.ahead"), "{failure}");
    }
}
