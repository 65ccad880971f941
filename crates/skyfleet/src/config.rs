use std::path::Path;

use skyfleet_core::{Error, ErrorKind, FleetName, Owner, Result};

use crate::Spec;
use crate::nearest::did_you_mean;

/// One config file, read strictly: the only thing that a user writes.
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
        Self::builder().file(path)?.env(std::env::vars()).build()
    }

    /// Reads TOML text, then `SKYFLEET_*` from the environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self> {
        Self::builder().text(text).env(std::env::vars()).build()
    }

    /// The table of the chosen provider; empty when the file has none.
    pub fn provider_settings(&self) -> toml::Table {
        match self.providers.get(&self.provider) {
            Some(toml::Value::Table(table)) => table.clone(),
            _ => toml::Table::new(),
        }
    }
}

/// Puts a config together: the file, then the environment over it, then the caller over both.
#[derive(Clone, Debug, Default)]
pub struct ConfigBuilder {
    text: String,
}

impl ConfigBuilder {
    /// Takes a TOML file; a `user_data_file` in it is looked for beside it.
    ///
    /// # Errors
    /// `InvalidConfig` when it cannot be read.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self> {
        let _ = path;
        todo!()
    }

    /// Takes TOML text in place of a file.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Takes the `SKYFLEET_*` variables out of an environment, and the login name.
    #[must_use]
    pub fn env(self, vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let _ = vars.into_iter();
        self
    }

    /// Sets one key over file and environment: `.set("fleet.target", 20)`.
    #[must_use]
    pub fn set(self, key: &str, value: impl Into<toml::Value>) -> Self {
        let _ = (key, value.into());
        self
    }

    /// The config.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, where it stands, what is wrong with it, and what would be right.
    pub fn build(self) -> Result<Config> {
        let _ = self.text;
        todo!()
    }
}

/// The error for a `provider` that this build does not have.
pub fn unknown_provider(name: &str, known: &[&str]) -> Error {
    let message = format!(
        "provider {name:?} is unknown{}; this build has: {}",
        did_you_mean(name, known.iter().copied()),
        known.join(", ")
    );
    Error::new(ErrorKind::InvalidConfig, message).with("key", "provider")
}
