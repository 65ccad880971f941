use std::path::Path;

use skyfleet_core::{Error, ErrorKind, FleetName, Owner, Result};

use crate::nearest::did_you_mean;
use crate::{ConfigBuilder, Spec};

/// One config, read strictly: the only thing that a user writes.
///
/// A TOML file, then the environment over it, then the caller over both:
///
/// ```
/// use skyfleet::Config;
/// let config = Config::builder()
///     .text(r#"
///         provider = "sim"
///         name = "words"
///
///         [need]
///         vcpus = 2
///         gpu = { model = "T4", count = 1 }
///
///         [fleet]
///         target = 20
///         deadline = "5m"
///
///         [limits]
///         budget_usd = 10
///         lifetime_max = "2h"
///     "#)
///     .env([("SKYFLEET_OWNER".to_owned(), "ada".to_owned())])
///     .set("fleet.target", 30)
///     .build()?;
/// assert_eq!((config.owner.as_str(), config.spec.target), ("ada", 30));
/// # Ok::<(), skyfleet::core::Error>(())
/// ```
///
/// Every key, with its default. A key that is not here is refused by name.
///
/// | key | default | meaning |
/// |---|---|---|
/// | `provider` | must be set | which cloud: the one value that changes when the cloud changes |
/// | `name` | `"fleet"` | the fleet's name: launching one that lives attaches to it |
/// | `owner` | the login name | whose resources these are, as the tag says on all of them |
/// | `need.vcpus` | any | at least this many vCPUs |
/// | `need.memory_gib` | any | at least this much memory |
/// | `need.arch` | any | `"x86_64"` or `"arm64"` |
/// | `need.gpu.model` | any | `"T4"`, `"A100-80GB"`; case and vendor do not matter |
/// | `need.gpu.count` | any | at least this many GPUs |
/// | `need.gpu.memory_gib` | any | at least this much memory on each GPU, as vendors count it |
/// | `need.local_ssd_gib` | any | at least this much local SSD |
/// | `need.types` | any | only these instance types |
/// | `need.regions` | any | only these regions |
/// | `need.zones` | any | only these zones |
/// | `fleet.target` | `1` | how many instances |
/// | `fleet.min` | `1`, or the target | fewer than this and the launch failed |
/// | `fleet.fulfilment` | `"greedy"` | `"all-or-nothing"`, `"greedy"` (try until the deadline), `"best-effort"` (try once) |
/// | `fleet.deadline` | one pass | how long a launch may try |
/// | `fleet.zones` | `"multi"` | `"single"`: all in one zone |
/// | `fleet.market` | `"spot"` | `"spot"`, `"on-demand"`, `"mixed"` |
/// | `fleet.on_demand_share` | `0` | the on-demand share of a mixed fleet, 0 to 1 |
/// | `fleet.on_demand_after` | never | when a mixed fleet buys on demand what spot did not give |
/// | `fleet.image` | `"debian-12"` | `"debian-12"`, `"ubuntu-24.04"`, or the cloud's own name for one |
/// | `fleet.disk_gib` | `10` | the boot disk |
/// | `fleet.user_data` | none | the script that each machine runs at its first boot, as root |
/// | `fleet.user_data_file` | none | the same, from a file beside the config |
/// | `fleet.public_ip` | `false` | whether each instance gets a public address |
/// | `fleet.inbound_ports` | none | TCP ports that the internet may reach |
/// | `fleet.labels` | none | your own labels: `{ team = "nlp" }` |
/// | `limits.budget_usd` | none | all that the fleet may cost |
/// | `limits.usd_per_hour_max` | none | what the whole fleet may cost in an hour |
/// | `limits.price_max_usd` | none | what one instance may cost in an hour |
/// | `limits.lifetime_max` | none | the fleet ends itself after this long |
/// | `limits.idle_max` | none | the fleet ends itself after this long without work |
/// | `limits.unknown_prices` | `false` | whether an offer without a known price may be bought |
/// | `providers` | none | `[providers.sim]` and so on: what only one cloud has |
///
/// Times are written `"90s"`, `"5m"`, `"2h 30m"`, `"1d"` (the friendly format of the crate jiff; a day
/// has 24 hours). An environment variable is a key in capitals with `SKYFLEET_` before it and two
/// underscores for each dot: `SKYFLEET_FLEET__TARGET=20`; a list may be written with commas. The login
/// name is `USER`, `LOGNAME`, `USERNAME` or the last part of `HOME`, made fit for a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Which cloud: the one value that changes when the cloud changes.
    pub provider: String,
    /// Whose resources these are.
    pub owner: Owner,
    /// The fleet's name.
    pub name: FleetName,
    /// What is wanted.
    pub spec: Spec,
    /// `[providers.<name>]`: what only one cloud has.
    pub providers: toml::Table,
}

impl Config {
    /// A config made in code, without a file.
    pub fn new(provider: impl Into<String>, owner: Owner, name: FleetName, spec: Spec) -> Self {
        Self { provider: provider.into(), owner, name, spec, providers: toml::Table::new() }
    }

    /// Starts a config from parts: a file, the environment, the caller's own values.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// Reads a TOML file, then `SKYFLEET_*` from the environment.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, what is wrong with it, and what would be right.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().file(path)?.env(process_env()).build()
    }

    /// Reads TOML text, then `SKYFLEET_*` from the environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self> {
        Self::builder().text(text).env(process_env()).build()
    }

    /// The table of the chosen provider; empty when the file has none.
    pub fn provider_settings(&self) -> toml::Table {
        match self.providers.get(&self.provider) {
            Some(toml::Value::Table(table)) => table.clone(),
            _ => toml::Table::new(),
        }
    }
}

/// The environment, as far as it is text.
fn process_env() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The error for a `provider` that this build does not have.
pub fn unknown_provider(name: &str, known: &[&str]) -> Error {
    let near = did_you_mean(name, known.iter().copied());
    let message = format!("provider {name:?} is unknown{near}; this build has: {}", known.join(", "));
    Error::new(ErrorKind::InvalidConfig, message).with("key", "provider")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use skyfleet_core::{Arch, Usd, UsdPerHour};

    use super::*;
    use crate::{Fulfilment, MarketMix, ZoneMode};

    const SMALL: &str = "provider = \"sim\"\nowner = \"ada\"\n";

    fn build(text: &str, env: &[(&str, &str)]) -> Result<Config> {
        let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Config::builder().text(text).env(env).build()
    }

    fn refusal(text: &str, env: &[(&str, &str)]) -> Error {
        let error = build(text, env).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        error
    }

    #[test]
    fn every_key_reaches_the_spec() {
        let config = build(
            r#"
            provider = "sim"
            name = "words"
            owner = "ada"
            [need]
            vcpus = 2
            memory_gib = 4
            arch = "arm64"
            gpu = { model = "T4", count = 1, memory_gib = 16 }
            local_ssd_gib = 100
            types = ["a", "b"]
            regions = ["r"]
            zones = ["ra"]
            [fleet]
            target = 20
            min = 10
            fulfilment = "greedy"
            deadline = "5m"
            zones = "single"
            market = "mixed"
            on_demand_share = 0.25
            on_demand_after = "90s"
            image = "ubuntu-24.04"
            disk_gib = 30
            user_data = "echo"
            public_ip = true
            inbound_ports = [22]
            labels = { team = "nlp" }
            [limits]
            budget_usd = 10
            usd_per_hour_max = 1.5
            price_max_usd = 0.1
            lifetime_max = "1d"
            idle_max = "2h 30m"
            unknown_prices = true
            [providers.sim]
            seed = 7
            "#,
            &[],
        )
        .unwrap();
        let spec = &config.spec;
        assert_eq!((spec.target, spec.min, spec.need.arch), (20, 10, Some(Arch::Arm64)));
        assert_eq!(spec.need.gpu.as_ref().unwrap().memory_gib, Some(16));
        assert_eq!((spec.zones, spec.fulfilment), (ZoneMode::Single, Fulfilment::Greedy));
        let after = Some(Duration::from_secs(90));
        assert_eq!(spec.market, MarketMix::Mixed { on_demand_share: 0.25, on_demand_after: after });
        assert_eq!(spec.limits.budget, Some(Usd::from_micros(10_000_000)));
        assert_eq!(spec.limits.price_max, Some(UsdPerHour::from_micros(100_000)));
        assert_eq!(spec.limits.lifetime_max, Some(Duration::from_secs(86_400)));
        assert_eq!(spec.limits.idle_max, Some(Duration::from_secs(9_000)));
        assert_eq!(spec.labels["team"], "nlp");
        assert_eq!(config.provider_settings()["seed"].as_integer(), Some(7));
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_caller_over_both() {
        let env = [
            ("SKYFLEET_FLEET__TARGET", "30"),
            ("SKYFLEET_NEED__TYPES", "m7g.large, n2-standard-2"),
            ("SKYFLEET_FLEET__LABELS__RUN", "42"),
            ("SKYFLEET_FLEET__DEADLINE", "5m"),
            ("SKYFLEET_PROVIDERS__SIM__SEED", "9"),
            ("SKYFLEET_LOG", "debug"),
            ("PATH", "/bin"),
        ];
        let text = format!("{SMALL}[fleet]\ntarget = 20\nmin = 5\n");
        let config = build(&text, &env).unwrap();
        assert_eq!((config.spec.target, config.spec.min), (30, 5));
        assert_eq!(config.spec.need.types, ["m7g.large".into(), "n2-standard-2".into()]);
        assert_eq!(config.spec.labels["run"], "42");
        assert_eq!(config.spec.deadline, Some(Duration::from_secs(300)));
        assert_eq!(config.provider_settings()["seed"].as_integer(), Some(9));
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::builder().text(text).env(env).set("fleet.target", 40).set("fleet.target", 41);
        assert_eq!(config.build().unwrap().spec.target, 41);
    }

    #[test]
    fn a_wrong_key_says_where_what_and_what_would_be_right() {
        let cases: [(&str, &str, &str); 22] = [
            ("[fleet]\ntargt = 3", "fleet.targt", "did you mean \"target\""),
            ("[need.gpu]\nmodell = \"T4\"", "need.gpu.modell", "has: model, count, memory_gib"),
            ("fleet = 3", "fleet", "a table"),
            ("[fleet]\ntarget = 0", "fleet.target", "from 1 to"),
            ("[fleet]\ntarget = -3", "fleet.target", "a whole number, not negative"),
            ("[fleet]\ntarget = \"many\"", "fleet.target", "a whole number"),
            ("[fleet]\ntarget = 3\nmin = 4", "fleet.min", "which is 3"),
            ("[fleet]\nfulfilment = \"gready\"", "fleet.fulfilment", "did you mean \"greedy\""),
            ("[fleet]\ndeadline = \"soon\"", "fleet.deadline", "\"5m\""),
            ("[fleet]\ndeadline = 5", "fleet.deadline", "\"5m\""),
            ("[fleet]\ndeadline = \"-5m\"", "fleet.deadline", "no time"),
            ("[fleet]\non_demand_share = 0.5", "fleet.on_demand_share", "mixed"),
            ("[fleet]\nmarket = \"mixed\"\non_demand_share = 2", "fleet.on_demand_share", "from 0 to 1"),
            ("[fleet]\nuser_data = \"a\"\nuser_data_file = \"b\"", "fleet.user_data_file", "keep one"),
            ("[fleet]\nuser_data_file = \"no-such-file\"", "fleet.user_data_file", "cannot be read"),
            ("[fleet]\nlabels = { Team = \"x\" }", "fleet.labels", "\"Team\""),
            ("[limits]\nbudget_usd = nan", "limits.budget_usd", "no amount"),
            ("[limits]\nbudget_usd = -1", "limits.budget_usd", "more than 0"),
            ("[limits]\nbudget_usd = \"ten\"", "limits.budget_usd", "an amount of dollars"),
            ("[limits]\nunknown_prices = 1", "limits.unknown_prices", "true or false"),
            ("[need]\narch = \"sparc\"", "need.arch", "\"arm64\""),
            ("[providers]\nsim = 3", "providers.sim", "[providers.sim]"),
        ];
        for (text, key, part) in cases {
            let error = refusal(&format!("{SMALL}{text}"), &[]);
            assert_eq!(error.fact("key"), Some(key), "{text}: {error}");
            assert!(error.message().contains(part), "{text}: {error}");
            let line = if text.starts_with("fleet = ") { 3 } else { 2 + text.lines().count() };
            // Where the key is the last line of its text, that is where it stands.
            let place = error.fact("in").unwrap();
            let right = place.strip_prefix("the config text:").unwrap().parse::<usize>().unwrap();
            assert!(right == line || right + 1 == line, "{text}: {place}");
        }
    }

    #[test]
    fn what_the_environment_or_the_caller_did_is_said_to_be_theirs() {
        let error = refusal(SMALL, &[("SKYFLEET_FLEET__TARGTE", "3")]);
        assert_eq!(error.fact("in"), Some("the variable SKYFLEET_FLEET__TARGTE"), "{error}");
        let error = refusal(SMALL, &[("SKYFLEET_OWNERS", "ada")]);
        assert!(error.message().contains("did you mean \"owner\""), "{error}");
        let error = Config::builder().text(SMALL).set("fleet.min", 7).build().unwrap_err();
        assert_eq!((error.fact("key"), error.fact("set_by")), (Some("fleet.min"), Some("the caller")));
        let error = Config::builder().text(SMALL).set("fleet", 1).set("fleet.min", 7).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }

    #[test]
    fn broken_toml_names_the_line() {
        let error = refusal("provider = \"sim\"\n[fleet\n", &[]);
        assert_eq!(error.fact("in"), Some("the config text:2"), "{error}");
        let error = Config::load("no-such-fleet.toml").unwrap_err();
        assert!(error.message().contains("no-such-fleet.toml"), "{error}");
    }

    #[test]
    fn the_owner_is_the_login_name_made_fit() {
        let owner = |env: &[(&str, &str)]| build("provider = \"sim\"", env).map(|c| c.owner.to_string());
        assert_eq!(owner(&[("USER", "Ada.Lovelace")]).unwrap(), "ada-lovelace");
        assert_eq!(owner(&[("LOGNAME", "7of9")]).unwrap(), "of9");
        assert_eq!(owner(&[("HOME", "/root")]).unwrap(), "root");
        assert_eq!(
            owner(&[("USER", "a-name-of-more-than-24-characters")]).unwrap(),
            "a-name-of-more-than-24-c"
        );
        assert_eq!(owner(&[]).unwrap_err().fact("key"), Some("owner"));
        let error = refusal("provider = \"sim\"\nowner = \"Ada\"", &[]);
        assert_eq!(error.fact("in"), Some("the config text:2"), "{error}");
    }

    #[test]
    fn only_the_provider_must_be_named() {
        assert_eq!(refusal("", &[]).fact("key"), Some("provider"));
        let config = build("", &[("SKYFLEET_PROVIDER", "sim"), ("SKYFLEET_OWNER", "ada")]).unwrap();
        assert_eq!((config.name.as_str(), config.spec), ("fleet", Spec::new(1)));
        let error = unknown_provider("asw", &["aws", "gcp"]);
        assert!(
            error.message().contains("did you mean \"aws\"") && error.message().contains("gcp"),
            "{error}"
        );
    }

    #[test]
    fn all_or_nothing_needs_all_unless_told_otherwise() {
        let config = build(&format!("{SMALL}[fleet]\ntarget = 9\nfulfilment = \"all-or-nothing\""), &[]);
        assert_eq!(config.unwrap().spec.min, 9);
    }

    #[test]
    fn user_data_is_read_beside_the_config() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("boot.sh"), "echo up").unwrap();
        let file = folder.path().join("fleet.toml");
        std::fs::write(&file, format!("{SMALL}[fleet]\nuser_data_file = \"boot.sh\"")).unwrap();
        let config = Config::builder().file(&file).unwrap().build().unwrap();
        assert_eq!(config.spec.user_data, "echo up");
    }

    /// The keys that serde knows: those it lists when it refuses another one.
    fn known_keys(table: &str) -> BTreeSet<String> {
        let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
        let error = Config::builder().text(SMALL).set(&format!("{prefix}zzz"), 1).build().unwrap_err();
        let (_, known) = error.message().rsplit_once("has: ").unwrap();
        known.split(", ").map(|key| format!("{prefix}{key}")).collect()
    }

    #[test]
    fn the_table_of_keys_is_complete() {
        let tables = ["", "need", "need.gpu", "fleet", "limits"];
        let mut known: BTreeSet<String> = tables.iter().flat_map(|table| known_keys(table)).collect();
        tables.iter().for_each(|table| _ = known.remove(*table));
        let rows = include_str!("config.rs").lines().filter_map(|line| line.strip_prefix("/// | `"));
        let documented: BTreeSet<String> =
            rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
        assert_eq!(documented, known);
    }
}
