//! From the command line to an open fleet: config file, environment, flags, `--set`.

use std::ops::Deref;
use std::path::PathBuf;

use skyfleet::{Config, Fleet};
use toml::{Table, Value};

use crate::args::{Common, FleetArgs, MarketArg, NeedArgs};
use crate::exit::Failure;
use crate::output;
#[cfg(feature = "sim")]
use crate::world::{self, KeptTime};

/// The config file that is used when none is named.
const DEFAULT_FILE: &str = "fleet.toml";

/// The simulated cloud's name as a provider.
pub(crate) const SIM: &str = "sim";

/// The flag that sets a key of the config, where there is one.
pub(crate) fn flag_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "provider" => "--provider",
        "owner" => "--owner",
        "name" => "--name",
        "need.vcpus" => "--vcpus",
        "need.memory_gib" => "--memory",
        "need.arch" => "--arch",
        "need.gpu.model" => "--gpu",
        "need.gpu.count" => "--gpu-count",
        "need.gpu.memory_gib" => "--gpu-memory",
        "need.local_ssd_gib" => "--local-ssd",
        "need.types" => "--type",
        "need.regions" => "--region",
        "need.zones" => "--zone",
        "fleet.target" => "--instances",
        "fleet.min" => "--min",
        "fleet.market" => "--market",
        "fleet.zones" => "--single-zone",
        "fleet.fulfilment" => "--fulfilment",
        "fleet.deadline" => "--deadline",
        "limits.price_max_usd" => "--price-max",
        "limits.budget_usd" => "--budget",
        "limits.usd_per_hour_max" => "--usd-per-hour-max",
        "limits.lifetime_max" => "--lifetime",
        // A job's own words are no keys of the config.
        "store" => "--store",
        "tasks" => "--tasks",
        "input" => "--input",
        _ => return None,
    })
}

/// What a command changes of the config: dotted keys, in order, the last one wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes(Vec<(String, Value)>);

impl Changes {
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.push((key.to_owned(), value.into()));
    }

    fn set_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn set_list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.set(key, Value::from(values.to_vec()));
        }
    }

    pub(crate) fn need(&mut self, args: &NeedArgs) {
        self.set_some("need.vcpus", args.vcpus);
        self.set_some("need.memory_gib", args.memory);
        self.set_some("need.arch", args.arch.clone());
        self.set_some("need.gpu.model", args.gpu.clone().filter(|model| model != "any"));
        if args.gpu.is_some() {
            self.set("need.gpu.count", args.gpu_count.unwrap_or(1));
        }
        self.set_some("need.gpu.count", args.gpu_count);
        self.set_some("need.gpu.memory_gib", args.gpu_memory);
        self.set_some("need.local_ssd_gib", args.local_ssd);
        self.set_list("need.types", &args.types);
        self.set_list("need.regions", &args.regions);
        self.set_list("need.zones", &args.zones);
        self.set_some(
            "fleet.market",
            args.market.map(|market| match market {
                MarketArg::Spot => "spot",
                MarketArg::OnDemand => "on-demand",
                MarketArg::Mixed => "mixed",
            }),
        );
        self.set_some("limits.price_max_usd", args.price_max);
    }

    pub(crate) fn fleet(&mut self, args: &FleetArgs) {
        self.set_some("fleet.target", args.instances);
        self.set_some("fleet.min", args.min);
        if args.single_zone {
            self.set("fleet.zones", "single");
        }
        self.set_some("fleet.fulfilment", args.fulfilment.clone());
        self.set_some("fleet.deadline", args.deadline.clone());
        self.set_some("limits.budget_usd", args.budget);
        self.set_some("limits.usd_per_hour_max", args.usd_per_hour_max);
        self.set_some("limits.lifetime_max", args.lifetime.clone());
    }

    fn common(&mut self, common: &Common) -> Result<(), Failure> {
        self.set_some("provider", common.provider.clone());
        self.set_some("owner", common.owner.clone());
        self.set_some("name", common.name.clone());
        for pair in &common.set {
            let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                Failure::usage(format!("--set {pair:?}: there is no `=`")).help("--set fleet.target=20")
            })?;
            self.0.push((key.trim().to_owned(), toml_value(value)));
        }
        Ok(())
    }
}

/// What the user wrote after `=`: TOML where it is TOML, else text.
fn toml_value(text: &str) -> Value {
    match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}

/// How time goes in a simulated world while a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It jumps to whatever is waited for.
    Jumping,
    /// As on the machine.
    Real,
}

/// Where the simulated cloud of a command lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// In a file, where the next command finds it again.
    Kept,
    /// In this process alone; this is the config when there is no file.
    Own {
        /// TOML text.
        otherwise: String,
    },
}

/// A config, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// The file; `None` when there is none.
    pub(crate) file: Option<PathBuf>,
}

impl Settings {
    /// Reads the config, as the command line changes it.
    pub(crate) fn read(common: &Common, mut changes: Changes, world: &World) -> Result<Self, Failure> {
        changes.common(common)?;
        let file = common.config.clone().or_else(|| {
            let here = PathBuf::from(DEFAULT_FILE);
            here.is_file().then_some(here)
        });
        let builder = Config::builder();
        let mut builder = match (&file, world) {
            (Some(path), _) => builder.file(path)?,
            (None, World::Kept) => builder.text("provider = \"sim\""),
            (None, World::Own { otherwise }) => builder.text(otherwise),
        };
        builder = builder.env(environment());
        for (key, value) in changes.0 {
            builder = builder.set(&key, value);
        }
        let mut config = builder.build()?;
        if *world == World::Kept && config.provider == SIM {
            keep_world(&mut config)?;
        }
        Ok(Self { config, file })
    }

    /// The command that ends everything of this owner, for a person to copy.
    pub(crate) fn sweep_command(&self) -> String {
        let file = match &self.file {
            Some(path) => format!(" --config {}", path.display()),
            None => String::new(),
        };
        format!("skyfleet down --all{file} --provider {} --owner {}", self.config.provider, self.config.owner)
    }

    /// Opens the fleet; nothing is called yet.
    #[cfg(feature = "sim")]
    pub(crate) fn open(self, pace: Pace) -> Result<Opened, Failure> {
        if self.config.provider == SIM {
            let (fleet, time) = world::open(self.config, pace)?;
            return Ok(Opened { fleet, time });
        }
        Ok(Opened { fleet: Fleet::open_with(&skyfleet::drivers(), self.config)?, time: None })
    }

    /// Opens the fleet; nothing is called yet.
    #[cfg(not(feature = "sim"))]
    pub(crate) fn open(self, _pace: Pace) -> Result<Opened, Failure> {
        Ok(Opened { fleet: Fleet::open_with(&skyfleet::drivers(), self.config)? })
    }
}

/// A fleet, and the time of the simulated world that it is in, if it is in one.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) fleet: Fleet,
    #[cfg(feature = "sim")]
    pub(crate) time: Option<KeptTime>,
}

impl Opened {
    /// Writes down what time it is in a kept world, for commands that run meanwhile.
    pub(crate) fn keep_time(&self) {
        #[cfg(feature = "sim")]
        if let Some(time) = &self.time {
            time.keep();
        }
    }
}

impl Deref for Opened {
    type Target = Fleet;

    fn deref(&self) -> &Fleet {
        &self.fleet
    }
}

/// Opens the fleet of a command that shares its world with the next one.
pub(crate) fn open(common: &Common, changes: Changes) -> Result<Opened, Failure> {
    Settings::read(common, changes, &World::Kept)?.open(Pace::Jumping)
}

/// The environment without the variables that are the command's own and no keys of the config.
/// What is not UTF-8 is no key either.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !matches!(name.as_str(), "SKYFLEET_CONFIG" | "SKYFLEET_LOG"))
}

/// Has the simulated world kept in a file, unless the config says where already, and says so.
fn keep_world(config: &mut Config) -> Result<(), Failure> {
    let table = config.providers.entry(SIM).or_insert_with(|| Value::Table(Table::new()));
    // What is no table is refused by the provider, by name.
    let Some(table) = table.as_table_mut().filter(|table| !table.contains_key("state")) else {
        return Ok(());
    };
    let path = state_file(table.get("impersonate").and_then(Value::as_str)).ok_or_else(|| {
        Failure::usage("there is no place for the simulated world: neither XDG_STATE_HOME nor HOME is set")
            .help("name a file: --set providers.sim.state=world.json")
    })?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::usage(format!("the simulated world cannot be kept in {}: {error}", folder.display()))
                .help("name another file: --set providers.sim.state=world.json")
        })?;
    }
    output::note(format!("simulated cloud, kept in {}", path.display()));
    table.insert("state".to_owned(), path.display().to_string().into());
    Ok(())
}

/// The file of the simulated world when the config names none: one for each cloud that is played.
fn state_file(cloud: Option<&str>) -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
    // What is no word is no cloud either: the provider refuses it.
    let name = match cloud.filter(|cloud| cloud.chars().all(|c| c.is_ascii_lowercase())) {
        None | Some("neutral" | "") => "world.json".to_owned(),
        Some(cloud) => format!("world-{cloud}.json"),
    };
    Some(state.join("skyfleet").join(name))
}
