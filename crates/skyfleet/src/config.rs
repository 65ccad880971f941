use std::path::Path;

use skyfleet_core::{FleetName, Owner, Result};

use crate::Spec;

/// One config file, read strictly: the only thing that a user writes.
#[derive(Clone, Debug)]
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
    /// Reads a TOML file, then `SKYFLEET_*` from the environment.
    ///
    /// # Errors
    /// `InvalidConfig` with the key, what is wrong with it, and what would be right.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let _ = path;
        todo!()
    }

    /// Reads TOML text, then `SKYFLEET_*` from the environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// The table of the chosen provider; empty when the file has none.
    pub fn provider_settings(&self) -> toml::Table {
        match self.providers.get(&self.provider) {
            Some(toml::Value::Table(table)) => table.clone(),
            _ => toml::Table::new(),
        }
    }
}
