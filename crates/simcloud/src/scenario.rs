use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, ErrorKind, Result, TypeName, Zone};

use crate::catalog::{Catalog, nearest};
use crate::credential::Credential;
use crate::fault::{Fault, Markets, known_type, known_zone};
use crate::market::{MarketConfig, Process, TraceStep};

/// What happens in a world, told beforehand: a TOML file.
///
/// ```
/// use skyfleet_simcloud::Scenario;
/// use std::path::Path;
/// let scenario = Scenario::parse(
///     r#"
///     [[event]]                 # a fault, in the words of the admin face
///     at_s = 30                 # seconds after the first launch
///     kind = "preempt"
///     nth = 3                   # the third-launched of the spot instances that run then
///     notice_s = 5
///
///     [[event]]
///     after = "start"           # seconds after the start of the world
///     at_s = 0
///     until_s = 600             # then it is lifted
///     kind = "capacity"
///     zone = "us-east-1a"
///     available = 10
///
///     [market]
///     process = "seeded"        # or "constant", or "trace" with trace = "FILE.csv"
///     reclaim_per_hour = 0.1
///
///     [pools]
///     default_capacity = 1000
///     set = [{ zone = "us-east-1b", instance_type = "m7g.large", market = "spot", capacity = 4 }]
///
///     [boot]
///     median_s = 2.0
///     "#,
///     "example.toml",
///     Path::new("."),
/// )?;
/// assert_eq!(scenario.events.len(), 2);
/// # Ok::<(), skyfleet_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// What goes wrong, and when, ordered by time.
    pub events: Vec<ScenarioEvent>,
    /// How spot prices and spot capacity move.
    pub market: MarketConfig,
    /// How much capacity there is.
    pub pools: PoolSettings,
    /// How fast instances come up.
    pub boot: BootSettings,
    /// Who may call, on the wire; a cloud for which nobody is named lets everybody in.
    pub credentials: Vec<Credential>,
}

/// One fault and its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// How many instances each pool holds; absent means the world's own choice.
    pub default_capacity: Option<u32>,
    /// Exceptions; a later one wins over an earlier one.
    pub set: Vec<PoolSetting>,
}

/// The capacity of some pools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// What to change about the time from launch to running.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BootSettings {
    /// The median, in seconds.
    pub median_s: Option<f64>,
    /// The spread: the standard deviation of the logarithm. 0 makes all boots alike.
    pub sigma: Option<f64>,
    /// The share of stragglers, 0 to 1.
    pub straggler_share: Option<f64>,
}

/// The file's own shape.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    event: Vec<toml::Table>,
    market: MarketSettings,
    pools: PoolSettings,
    boot: BootSettings,
    credentials: Vec<Credential>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MarketSettings {
    process: Option<Process>,
    reclaim_per_hour: Option<f64>,
    trace: Option<String>,
}

/// The keys of an event that are not the fault's.
#[derive(Deserialize)]
struct Times {
    at_s: f64,
    until_s: Option<f64>,
    #[serde(default)]
    after: After,
}

const TIME_KEYS: [&str; 3] = ["at_s", "until_s", "after"];
const KINDS: [&str; 8] =
    ["capacity", "throttle", "quota", "preempt", "sku-restriction", "error", "latency", "stale"];

impl Scenario {
    /// Reads a scenario file. A trace that it names is looked for beside it.
    ///
    /// # Errors
    /// `InvalidConfig`, with the file, the key and what is known there.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|e| bad(&name, "", format!("it cannot be read: {e}")))?;
        Self::parse(&text, &name, path.parent().unwrap_or(Path::new(".")))
    }

    /// Reads a scenario from text; `name` is what errors call it, and `folder` is where a trace
    /// is looked for.
    ///
    /// # Errors
    /// `InvalidConfig`, with the name, the key and what is known there.
    pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Self> {
        let document: Document = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            bad(name, "", format!("line {line}: {}", e.message()))
        })?;
        let mut events = Vec::new();
        for (index, table) in document.event.into_iter().enumerate() {
            let place = format!("event[{index}]");
            events.push(event(table).map_err(|what| bad(name, &place, what))?);
        }
        events.sort_by_key(|event: &ScenarioEvent| event.at);

        let MarketSettings { process, reclaim_per_hour, trace } = document.market;
        let market = |key: &str, what: &str| Err(bad(name, &format!("market.{key}"), what.to_owned()));
        if reclaim_per_hour.is_some_and(|rate| !(0.0..=3_600.0).contains(&rate)) {
            return market("reclaim_per_hour", "it must be a rate from 0 to 3600 per instance and hour");
        }
        let process = process.unwrap_or(match trace {
            Some(_) => Process::Trace,
            None => Process::default(),
        });
        let trace = match (process, trace) {
            (Process::Trace, Some(file)) => TraceStep::read(&folder.join(file)).map_err(|e| {
                Error::new(ErrorKind::InvalidConfig, format!("{name}: {}", e.message()))
                    .with("key", "market.trace")
            })?,
            (Process::Trace, None) => {
                return market("trace", "process = \"trace\" needs trace = \"FILE.csv\"");
            }
            (_, Some(_)) => return market("trace", "a trace needs process = \"trace\""),
            (_, None) => Default::default(),
        };

        let boot = document.boot;
        for (key, value, most) in [
            ("median_s", boot.median_s, 86_400.0),
            ("sigma", boot.sigma, 3.0),
            ("straggler_share", boot.straggler_share, 1.0),
        ] {
            if value.is_some_and(|value| !(0.0..=most).contains(&value)) {
                return Err(bad(name, &format!("boot.{key}"), format!("it must be from 0 to {most}")));
            }
        }
        let market = MarketConfig { process, reclaim_per_hour, trace };
        Ok(Self { events, market, pools: document.pools, boot, credentials: document.credentials })
    }

    /// Checks every name against the catalogue of the cloud that the world plays.
    ///
    /// # Errors
    /// `InvalidConfig`, with the key and the nearest names.
    pub fn check(&self, catalog: &Catalog) -> Result<()> {
        let at = |place: String, result: Result<()>| {
            result.map_err(|e| {
                let message = format!("scenario, {place}: {}", e.message());
                Error::new(ErrorKind::InvalidConfig, message).with("key", place)
            })
        };
        for event in &self.events {
            let place = format!("event at {} s, kind {:?}", event.at.as_secs_f64(), event.fault.kind());
            at(place, event.fault.check(catalog))?;
        }
        let names = |zone: &Option<Zone>, instance_type: &Option<TypeName>| {
            zone.as_ref().map_or(Ok(()), |zone| known_zone(catalog, zone))?;
            instance_type.as_ref().map_or(Ok(()), |name| known_type(catalog, name))
        };
        for (index, set) in self.pools.set.iter().enumerate() {
            at(format!("pools.set[{index}]"), names(&set.zone, &set.instance_type))?;
        }
        for step in self.market.trace.iter() {
            at(format!("trace at {} s", step.time_s), names(&step.zone, &step.instance_type))?;
        }
        Ok(())
    }
}

/// One event out of its table: the times, and the rest is the fault.
fn event(mut table: toml::Table) -> std::result::Result<ScenarioEvent, String> {
    let times: toml::Table =
        TIME_KEYS.iter().filter_map(|key| Some(((*key).to_owned(), table.remove(*key)?))).collect();
    let times: Times = times.try_into().map_err(|e| e.message().to_owned())?;
    let seconds = |key: &str, seconds: f64| {
        if !(0.0..1e9).contains(&seconds) {
            return Err(format!("{key} is {seconds}: it must be a number of seconds from 0 on"));
        }
        Ok(Duration::from_secs_f64(seconds))
    };
    let at = seconds("at_s", times.at_s)?;
    let until = times.until_s.map(|until| seconds("until_s", until)).transpose()?;
    if until.is_some_and(|until| until <= at) {
        return Err("until_s must be after at_s".to_owned());
    }
    let Some(kind) = table.get("kind").and_then(toml::Value::as_str).map(str::to_owned) else {
        return Err(format!("it needs a kind: one of {}", KINDS.join(", ")));
    };
    if !KINDS.contains(&kind.as_str()) {
        let near = nearest(&kind, KINDS);
        let hint = near.first().map_or(String::new(), |near| format!("did you mean {near:?}? "));
        return Err(format!("there is no kind {kind:?}; {hint}known: {}", KINDS.join(", ")));
    }
    let fault: Fault = table.try_into().map_err(|e: toml::de::Error| {
        format!("{}; beside it an event may have {}", e.message(), TIME_KEYS.join(", "))
    })?;
    fault.check_numbers().map_err(|e| e.message().to_owned())?;
    Ok(ScenarioEvent { after: times.after, at, until, fault })
}

fn bad(name: &str, place: &str, what: String) -> Error {
    let at = if place.is_empty() { String::new() } else { format!(", {place}") };
    let error = Error::new(ErrorKind::InvalidConfig, format!("{name}{at}: {}", what.trim_end()));
    if place.is_empty() { error } else { error.with("key", place) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Cloud;
    use crate::fault::When;

    fn parse(text: &str) -> Result<Scenario> {
        Scenario::parse(text, "s.toml", Path::new("."))
    }

    #[test]
    fn every_kind_of_fault_can_be_scheduled() {
        let text = r#"
            [[event]]
            at_s = 40
            kind = "preempt"
            count = 2
            notice_s = 10
            [[event]]
            at_s = 1.5
            kind = "capacity"
            zone = "sim-east-a"
            instance_type = "sim.small"
            available = 3
            until_s = 60
            [[event]]
            after = "start"
            at_s = 2
            kind = "throttle"
            rps = 5
            [[event]]
            at_s = 3
            kind = "quota"
            region = "sim-east"
            name = "spot-vcpus"
            limit = 4
            [[event]]
            at_s = 4
            kind = "error"
            probability = 0.25
            when = "after"
            [[event]]
            at_s = 5
            kind = "latency"
            ms = 20
            [[event]]
            at_s = 6
            kind = "stale"
            seconds = 30
            [[event]]
            at_s = 7
            kind = "sku-restriction"
            region = "sim-east"
            instance_type = "sim.small"
        "#;
        let scenario = parse(text).unwrap();
        scenario.check(&Catalog::of(Cloud::Neutral)).unwrap();
        let kinds: Vec<&str> = scenario.events.iter().map(|event| event.fault.kind()).collect();
        assert_eq!(
            kinds,
            ["capacity", "throttle", "quota", "error", "latency", "stale", "sku-restriction", "preempt"]
        );
        let first = &scenario.events[0];
        assert_eq!((first.at, first.until), (Duration::from_millis(1_500), Some(Duration::from_secs(60))));
        assert_eq!((first.after, scenario.events[1].after), (After::Launch, After::Start));
        assert!(matches!(scenario.events[3].fault, Fault::Error { when: When::After, status: 503, .. }));
        let notice = Some(10.0);
        assert!(matches!(scenario.events[7].fault, Fault::Preempt { count: Some(2), notice_seconds, .. }
            if notice_seconds == notice));
        assert_eq!(parse("").unwrap(), Scenario::default());
    }

    #[test]
    fn every_mistake_is_named_with_its_file_and_key_and_what_would_be_right() {
        for (text, parts) in [
            ("[markets]\n", ["markets", "expected one of"]),
            ("[market]\nproces = \"seeded\"\n", ["proces", "reclaim_per_hour"]),
            ("[market]\nprocess = \"random\"\n", ["random", "seeded"]),
            ("[market]\nreclaim_per_hour = -1\n", ["market.reclaim_per_hour", "from 0"]),
            ("[market]\nprocess = \"trace\"\n", ["market.trace", "FILE.csv"]),
            ("[market]\ntrace = \"none.csv\"\n", ["none.csv", "market.trace"]),
            ("[boot]\nmedian_s = -2\n", ["boot.median_s", "from 0"]),
            ("[pools]\nset = [{ zone = \"a\" }]\n", ["capacity", "line 2"]),
            ("[[event]]\nkind = \"stale\"\nseconds = 1\n", ["at_s", "event[0]"]),
            ("[[event]]\nat_s = 1\n", ["kind", "preempt"]),
            ("[[event]]\nat_s = 1\nkind = \"preemt\"\n", ["preemt", "did you mean \"preempt\"?"]),
            ("[[event]]\nat_s = 1\nkind = \"preempt\"\nnht = 1\n", ["nht", "nth"]),
            ("[[event]]\nat_s = 1\nkind = \"preempt\"\n", ["event[0]", "exactly one"]),
            ("[[event]]\nat_s = 5\nuntil_s = 5\nkind = \"stale\"\nseconds = 1\n", ["until_s", "after at_s"]),
            ("[[event]]\nat_s = -1\nkind = \"stale\"\nseconds = 1\n", ["at_s", "from 0"]),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
            for part in parts.iter().chain(&["s.toml"]) {
                assert!(error.to_string().contains(part), "{part:?} is missing in: {error}");
            }
        }
        let error = Scenario::read(Path::new("no/such/file.toml")).unwrap_err();
        assert!(error.to_string().contains("no/such/file.toml"), "{error}");
    }

    #[test]
    fn names_are_checked_against_the_cloud_that_is_played() {
        for (text, part) in [
            ("[pools]\nset = [{ zone = \"sim-east-x\", capacity = 1 }]\n", "sim-east-a"),
            ("[pools]\nset = [{ instance_type = \"sim.smal\", capacity = 1 }]\n", "sim.small"),
            ("[[event]]\nat_s = 1\nkind = \"capacity\"\nzone = \"sim-eastt\"\n", "sim-east"),
        ] {
            let error = parse(text).unwrap().check(&Catalog::of(Cloud::Neutral)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_trace_is_looked_for_beside_the_scenario() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.csv"), "time_s,capacity\n0,5\n").unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, "[market]\ntrace = \"t.csv\"\n").unwrap();
        let scenario = Scenario::read(&path).unwrap();
        assert_eq!(scenario.market.process, Process::Trace);
        assert_eq!(scenario.market.trace[0].capacity, Some(5));
    }
}
