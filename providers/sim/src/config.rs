use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use skyfleet_core::{
    Clock, Error, ErrorKind, ManualClock, Region, Result, ScaledClock, SystemClock, Timestamp,
};
use skyfleet_simcloud::{Cloud, Scenario, WorldOptions};

/// The settings below `[providers.sim]`. All of them have defaults.
///
/// ```toml
/// [providers.sim]
/// impersonate = "aws"          # neutral (default), aws, gcp, azure
/// seed = 7                     # where all chance comes from; default 0
/// clock = "scaled:60"          # real (default), scaled:K, auto, manual
/// scenario = "scenario.toml"   # what happens in the world, told beforehand
/// processes = true             # user data runs as local processes; default false
/// state = "world.json"         # a file that several programs share as one world
/// regions = ["us-east-1"]      # only these; default all
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which cloud is played.
    pub impersonate: Cloud,
    /// Where all chance comes from.
    pub seed: u64,
    /// How time goes.
    pub clock: ClockSetting,
    /// The scenario file.
    pub scenario: Option<PathBuf>,
    /// Whether user data runs as local processes. With a state file it does not.
    pub processes: bool,
    /// A file that several programs share as one world.
    pub state: Option<PathBuf>,
    /// Only these regions; empty for all.
    pub regions: Vec<Region>,
}

/// How time goes in the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockSetting {
    /// As on the machine.
    #[default]
    Real,
    /// So many times as fast, in thousandths.
    Scaled(u64),
    /// It stands still until it is moved.
    Manual,
    /// It jumps to the next moment that anybody waits for.
    Auto,
}

const KEYS: [&str; 7] = ["impersonate", "seed", "clock", "scenario", "processes", "state", "regions"];

/// The same, as it stands in the table. Keys are checked by hand before: serde would name only
/// the first wrong one, and nothing like it.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    impersonate: String,
    seed: u64,
    clock: String,
    scenario: Option<PathBuf>,
    processes: bool,
    state: Option<PathBuf>,
    regions: Vec<Region>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            impersonate: "neutral".to_owned(),
            seed: 0,
            clock: "real".to_owned(),
            scenario: None,
            processes: false,
            state: None,
            regions: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads the table.
    ///
    /// # Errors
    /// `InvalidConfig`, with the key, what is wrong with it, and what would be right.
    pub fn parse(table: &toml::Table) -> Result<Self> {
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(invalid(key, format!("there is no setting {key:?}; {}", suggest(key, &KEYS))));
        }
        let mut read = Table::default();
        for key in table.keys() {
            // One key at a time, so that the message can say which one is of the wrong type.
            let one = toml::Table::from_iter([(key.clone(), table[key].clone())]);
            let part: Table = one.try_into().map_err(|error: toml::de::Error| {
                invalid(key, format!("the setting {key:?}: {}", error.message()))
            })?;
            match key.as_str() {
                "impersonate" => read.impersonate = part.impersonate,
                "seed" => read.seed = part.seed,
                "clock" => read.clock = part.clock,
                "scenario" => read.scenario = part.scenario,
                "processes" => read.processes = part.processes,
                "state" => read.state = part.state,
                _ => read.regions = part.regions,
            }
        }
        let settings = Self {
            impersonate: cloud(&read.impersonate)?,
            seed: read.seed,
            clock: clock(&read.clock)?,
            scenario: read.scenario,
            processes: read.processes,
            state: read.state,
            regions: read.regions,
        };
        settings.check()
    }

    fn check(self) -> Result<Self> {
        let jumps = matches!(self.clock, ClockSetting::Auto);
        if self.processes && jumps {
            let message = "a process needs real time, and the clock \"auto\" jumps over it: take \"real\" or \"scaled:K\"";
            return Err(invalid("clock", message.to_owned()));
        }
        Ok(self)
    }

    /// Refuses what cannot be had without a clock from outside: several programs share the world of
    /// a state file, and their time must not start anew with each of them.
    pub(crate) fn check_shared_time(&self) -> Result<()> {
        if self.state.is_some() && self.clock != ClockSetting::Real {
            let message =
                "several programs share the world of a state file, so it lives by the clock \"real\"";
            return Err(invalid("clock", message.to_owned()));
        }
        Ok(())
    }

    /// What the world is made of.
    ///
    /// # Errors
    /// `InvalidConfig` for a scenario that cannot be read.
    pub fn world_options(self) -> Result<WorldOptions> {
        let scenario = self.scenario.as_deref().map(Scenario::read).transpose()?;
        Ok(WorldOptions {
            cloud: self.impersonate,
            seed: self.seed,
            clock: self.clock.start(),
            scenario: scenario.unwrap_or_default(),
            regions: self.regions,
            processes: self.processes,
            state: self.state,
        })
    }
}

impl ClockSetting {
    fn start(self) -> Arc<dyn Clock> {
        // Worlds whose time does not come from the machine begin at one fixed moment, so that a
        // run can be repeated to the letter.
        match self {
            Self::Real => Arc::new(SystemClock),
            Self::Scaled(thousandths) => Arc::new(ScaledClock::new(EPOCH, thousandths as f64 / 1_000.0)),
            Self::Manual => Arc::new(ManualClock::new(EPOCH)),
            Self::Auto => Arc::new(ManualClock::auto(EPOCH)),
        }
    }
}

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn cloud(text: &str) -> Result<Cloud> {
    let known = Cloud::ALL.map(Cloud::as_str);
    text.parse().map_err(|_| {
        invalid("impersonate", format!("there is no simulated cloud {text:?}; {}", suggest(text, &known)))
    })
}

fn clock(text: &str) -> Result<ClockSetting> {
    let wrong = || {
        let message = format!(
            "{text:?} is no clock; known: \"real\", \"scaled:K\" with K above 0, \"auto\", \"manual\""
        );
        invalid("clock", message)
    };
    match text.split_once(':') {
        None => match text {
            "real" => Ok(ClockSetting::Real),
            "manual" => Ok(ClockSetting::Manual),
            "auto" => Ok(ClockSetting::Auto),
            _ => Err(wrong()),
        },
        Some(("scaled", factor)) => {
            let factor: f64 = factor.trim().parse().map_err(|_| wrong())?;
            let thousandths = (factor * 1_000.0).round();
            if !(1.0..=1e12).contains(&thousandths) {
                return Err(wrong());
            }
            Ok(ClockSetting::Scaled(thousandths as u64))
        }
        Some(_) => Err(wrong()),
    }
}

fn suggest(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(word, known), *known))
        .filter(|(like, _)| *like > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, near)) => format!("did you mean {near:?}? Known: {}", known.join(", ")),
        None => format!("known: {}", known.join(", ")),
    }
}

fn invalid(key: &str, message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).with("key", format!("providers.sim.{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings> {
        Settings::parse(&text.parse().unwrap())
    }

    #[test]
    fn an_empty_table_is_a_neutral_world_in_real_time() {
        assert_eq!(parse("").unwrap(), Settings::default());
    }

    #[test]
    fn all_settings_are_read() {
        let settings = parse(
            "impersonate = \"gcp\"\nseed = 7\nclock = \"scaled:2.5\"\nscenario = \"s.toml\"\nprocesses = true\nregions = [\"us-east1\"]",
        )
        .unwrap();
        assert_eq!(
            settings,
            Settings {
                impersonate: Cloud::Gcp,
                seed: 7,
                clock: ClockSetting::Scaled(2_500),
                scenario: Some("s.toml".into()),
                processes: true,
                state: None,
                regions: vec!["us-east1".into()],
            }
        );
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_would_be_right() {
        for (text, key, part) in [
            ("impersonat = \"aws\"", "impersonat", "did you mean \"impersonate\""),
            ("impersonate = \"awss\"", "impersonate", "did you mean \"aws\""),
            ("impersonate = 3", "impersonate", "string"),
            ("clock = \"fast\"", "clock", "scaled:K"),
            ("clock = \"scaled:0\"", "clock", "above 0"),
            ("clock = \"scaled:nan\"", "clock", "above 0"),
            ("seed = -1", "seed", "seed"),
            ("processes = true\nclock = \"auto\"", "clock", "real time"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
            assert_eq!(error.fact("key"), Some(format!("providers.sim.{key}").as_str()), "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
