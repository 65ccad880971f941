use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::value::{Map, Value};
use skyfleet_core::{Error, ErrorKind, FleetName, Owner, Result};

use crate::Config;
use crate::keys::Keys;
use crate::nearest::did_you_mean;

/// Puts a config together: the file, then the environment over it, then the caller over both.
#[derive(Clone, Debug, Default)]
pub struct ConfigBuilder {
    text: String,
    path: Option<PathBuf>,
    env: Vec<(String, String)>,
    set: Vec<(String, toml::Value)>,
}

/// Variables that begin with `SKYFLEET_` and are no keys: those of the command line, of the tasks of a
/// batch job, of an instance, and of the tests.
const NO_KEYS: [&str; 18] = [
    "CONFIG",
    "LOG",
    "INPUT",
    "INPUT_NAME",
    "OUTPUT",
    "TASK_INDEX",
    "TASK_COUNT",
    "TASK_ATTEMPT",
    "INSTANCE_ID",
    "INSTANCE_TYPE",
    "REGION",
    "ZONE",
    "MARKET",
    "ARM",
    "CONFORMANCE_SEED",
    "LIVE_MAX_USD",
    "OFFERS",
    "TEST_OUT",
];

/// Keys whose variable may be a list with commas.
const LISTS: [&str; 4] = ["need.types", "need.regions", "need.zones", "fleet.inbound_ports"];

impl ConfigBuilder {
    /// Takes a TOML file; a `user_data_file` in it is looked for beside it.
    ///
    /// # Errors
    /// `InvalidConfig` when it cannot be read.
    pub fn file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        self.text = std::fs::read_to_string(path).map_err(|error| {
            let text = format!("the config file {} cannot be read: {error}", path.display());
            Error::new(ErrorKind::InvalidConfig, text).because(error)
        })?;
        self.path = Some(path.to_owned());
        Ok(self)
    }

    /// Takes TOML text in place of a file.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        (self.text, self.path) = (text.into(), None);
        self
    }

    /// Takes the `SKYFLEET_*` variables out of an environment, and the login name.
    #[must_use]
    pub fn env(mut self, vars: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(vars);
        self
    }

    /// Sets one key over file and environment: `.set("fleet.target", 20)`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.set.push((key.to_owned(), value.into()));
        self
    }

    /// The config.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, where it stands, what is wrong with it, and what would be right.
    pub fn build(self) -> Result<Config> {
        let keys = self.read()?;
        let folder = self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let config = keys.spec(folder).and_then(|spec| {
            Ok(Config {
                provider: keys.provider.filter(|name| !name.is_empty()).ok_or_else(|| {
                    wrong("provider", "provider is missing: name a cloud, for example provider = \"sim\"")
                })?,
                name: FleetName::parse(keys.name.as_deref().unwrap_or("fleet"))?,
                owner: match &keys.owner {
                    Some(owner) => Owner::parse(owner)?,
                    None => self.login_name()?,
                },
                spec,
                providers: keys.providers,
            })
        });
        config.map_err(|error| match error.fact("key").map(str::to_owned) {
            Some(key) => self.located(error, &key),
            None => error,
        })
    }

    /// The keys out of all layers.
    fn read(&self) -> Result<Keys> {
        let text: toml::Table = toml::from_str(&self.text).map_err(|error| self.bad_syntax(&error))?;
        let mut layers = vec![text, toml::Table::new()];
        for (key, value) in self.variables() {
            put(&mut layers[1], &key, value)?;
        }
        for (key, value) in &self.set {
            // A layer each: what is set later wins.
            let mut layer = toml::Table::new();
            put(&mut layer, key, value.clone())?;
            layers.push(layer);
        }
        let mut figment = Figment::new();
        for layer in layers {
            figment = figment.merge(Layer(layer));
        }
        let keys: Keys = figment.extract().map_err(|error| self.bad_key(error))?;
        match keys.providers.iter().find(|(_, value)| !value.is_table()) {
            Some((name, _)) => {
                let key = format!("providers.{name}");
                let error = wrong(&key, format!("{key} must be a table: [providers.{name}]"));
                Err(self.located(error, &key))
            }
            None => Ok(keys),
        }
    }

    /// The variables that are keys, with dots.
    fn variables(&self) -> impl Iterator<Item = (String, toml::Value)> {
        self.env.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("SKYFLEET_").filter(|name| !NO_KEYS.contains(name))?;
            let key = name.to_lowercase().replace("__", ".");
            let value = variable(&key, value);
            Some((key, value))
        })
    }

    /// The owner when nobody names one.
    fn login_name(&self) -> Result<Owner> {
        let var =
            |name: &str| self.env.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let home = || var("HOME").and_then(|home| Path::new(home).file_name()?.to_str());
        let login = var("USER").or(var("LOGNAME")).or(var("USERNAME")).or_else(home).unwrap_or_default();
        Owner::parse(&fit_for_a_tag(login)).map_err(|_| {
            let text =
                "owner is missing and there is no login name: set owner = \"your-name\" or SKYFLEET_OWNER";
            wrong("owner", text)
        })
    }

    fn bad_syntax(&self, error: &toml::de::Error) -> Error {
        let line = error.span().map(|span| self.line(span.start));
        let place = line.map_or(self.source(), |line| format!("{}:{line}", self.source()));
        Error::new(ErrorKind::InvalidConfig, format!("this is no TOML: {}", error.message().trim()))
            .with("in", place)
    }

    /// What is wrong with a key that serde refused.
    fn bad_key(&self, error: figment::Error) -> Error {
        let mut path = error.path.clone();
        let message = |key: &str| match &error.kind {
            Kind::UnknownVariant(is, known) => {
                let near = did_you_mean(is, known.iter().copied());
                format!("{key} is {is:?}, must be one of {}{near}", quoted(known))
            }
            Kind::InvalidType(is, must) | Kind::InvalidValue(is, must) => {
                format!("{key} must be {}, is {is}", plain_type(must))
            }
            Kind::ISizeOutOfRange(is) => format!("{key} is {is}: that is out of range"),
            Kind::USizeOutOfRange(is) => format!("{key} is {is}: that is out of range"),
            Kind::Message(text) => format!("{key}: {text}"),
            other => format!("{key}: {other}"),
        };
        let (key, message) = match &error.kind {
            Kind::UnknownField(field, known) => {
                if path.last() == Some(field) {
                    path.pop();
                }
                let table = path.join(".");
                let near = did_you_mean(field, known.iter().copied());
                let place = if path.is_empty() { "the top level".to_owned() } else { format!("[{table}]") };
                path.push(field.clone());
                (path.join("."), format!("unknown key {field:?}{near}; {place} has: {}", known.join(", ")))
            }
            _ => (path.join("."), message(&path.join("."))),
        };
        self.located(wrong(&key, message), &key)
    }

    /// Adds where a key was set: by the caller, in a variable, or in which line of the file.
    fn located(&self, error: Error, key: &str) -> Error {
        let within = |outer: &str| key == outer || key.starts_with(&format!("{outer}."));
        if self.set.iter().any(|(set, _)| within(set)) {
            return error.with("set_by", "the caller");
        }
        if let Some((set, _)) = self.variables().find(|(set, _)| within(set)) {
            let name = set.replace('.', "__").to_uppercase();
            return error.with("in", format!("the variable SKYFLEET_{name}"));
        }
        match line_of(&self.text, key) {
            Some(start) => error.with("in", format!("{}:{}", self.source(), self.line(start))),
            None => error,
        }
    }

    fn source(&self) -> String {
        self.path.as_ref().map_or("the config text".to_owned(), |path| path.display().to_string())
    }

    /// The number of the line that a byte stands in.
    fn line(&self, byte: usize) -> usize {
        self.text.as_bytes()[..byte.min(self.text.len())].iter().filter(|b| **b == b'\n').count() + 1
    }
}

/// One source of keys.
struct Layer(toml::Table);

impl figment::Provider for Layer {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named("config")
    }

    fn data(&self) -> std::result::Result<Map<figment::Profile, Map<String, Value>>, figment::Error> {
        let keys = Value::serialize(&self.0)?.into_dict().unwrap_or_default();
        Ok(Map::from([(figment::Profile::Default, keys)]))
    }
}

/// Puts a value where its dotted key says.
fn put(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<()> {
    let Some((first, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return Ok(());
    };
    let inner = table.entry(first).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    match inner.as_table_mut() {
        Some(inner) => put(inner, rest, value),
        None => Err(wrong(key, format!("{first} is set to a value and {key} inside it: keep one of them"))),
    }
}

/// The value of a variable: what TOML reads in it, and text where that is nothing.
fn variable(key: &str, text: &str) -> toml::Value {
    let list = LISTS.contains(&key) && !text.trim_start().starts_with('[');
    if list {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        return toml::Value::Array(items.map(|item| variable("", item)).collect());
    }
    let read = || {
        let table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
        let value = table.get("value").filter(|_| table.len() == 1)?;
        (!value.is_datetime()).then(|| value.clone())
    };
    let as_it_is = key.starts_with("fleet.labels.");
    read().filter(|_| !as_it_is).unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// Lower-case letters, digits and single dashes, beginning with a letter.
fn fit_for_a_tag(login: &str) -> String {
    let mut owner = String::new();
    for c in login.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' => owner.push(c),
            '0'..='9' if !owner.is_empty() => owner.push(c),
            _ if !owner.is_empty() && !owner.ends_with('-') => owner.push('-'),
            _ => {}
        }
    }
    owner.truncate(Owner::LENGTH_MAX);
    owner.trim_end_matches('-').to_owned()
}

/// Where the deepest part of a dotted key that the text has begins.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let (mut table, mut start) = (document.get_ref(), None);
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else { break };
        start = Some(name.span().start);
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    start
}

fn quoted(known: &[&str]) -> String {
    known.iter().map(|k| format!("{k:?}")).collect::<Vec<_>>().join(", ")
}

/// serde's name of a type, for people.
fn plain_type(must: &str) -> &str {
    match must {
        "u16" | "u32" => "a whole number, not negative",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text in quotes",
        "a sequence" => "a list in brackets",
        _ if must.starts_with("struct ") || must == "a map" => "a table",
        _ => must,
    }
}

fn wrong(key: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).with("key", key)
}
