//! Reading a provider's own table of the config, `[providers.<name>]`: what is wrong is named, with
//! what would be right.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Value;

use crate::{Error, ErrorKind, Region, Result};

mod cidr;
mod endpoint;
mod simulated;

pub use cidr::Cidr;
pub use endpoint::{Endpoint, is_near};
pub use simulated::clock;

/// What shows in the name of a credential, whichever tool it was copied from.
const SECRETS: [&str; 6] = ["access_key", "private_key", "secret", "token", "password", "credential"];

/// The keys that a provider's table may have.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Whose table it is: `aws`.
    pub provider: &'static str,
    /// The keys.
    pub known: &'static [&'static str],
    /// Where credentials come from, said to who writes one into a config.
    pub credentials: &'static str,
}

impl Keys {
    /// Reads the value of one key.
    pub fn at<'a>(&'a self, key: &'a str) -> At<'a> {
        At { keys: self, key }
    }
}

/// Reads the value of one key.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    keys: &'a Keys,
    key: &'a str,
}

impl At<'_> {
    /// An error about this key. Values are quoted by the callers that know them to be no secret.
    pub fn wrong(&self, message: impl fmt::Display) -> Error {
        self.error(format!("the setting {:?}: {message}", self.key))
    }

    /// There is no such key: the nearest are named, and a credential is not repeated.
    pub fn unknown(&self) -> Error {
        let plain = self.key.to_lowercase().replace('-', "_");
        if SECRETS.iter().any(|secret| plain.contains(secret)) {
            let credentials = self.keys.credentials;
            return self.error(format!("credentials never stand in a config: {credentials}"));
        }
        let known = self.keys.known.join(", ");
        let near = (self.keys.known.iter())
            .map(|known| (strsim::jaro_winkler(self.key, known), *known))
            .filter(|(like, _)| *like > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let advice = match near {
            Some((_, near)) => format!("did you mean {near:?}? Known: {known}"),
            None => format!("known: {known}"),
        };
        self.error(format!("there is no setting {:?}; {advice}", self.key))
    }

    /// A text.
    ///
    /// # Errors
    /// `InvalidConfig`, as for all readers.
    pub fn text<'v>(&self, value: &'v Value) -> Result<&'v str> {
        value.as_str().ok_or_else(|| self.wrong(format!("a text is wanted, not {}", kind(value))))
    }

    /// A text that is not empty.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn word(&self, value: &Value) -> Result<String> {
        match self.text(value)?.trim() {
            "" => Err(self.wrong("it is empty: leave it out")),
            word => Ok(word.to_owned()),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn texts<'v>(&self, value: &'v Value) -> Result<Vec<&'v str>> {
        let wanted = || self.wrong(format!("a list of texts is wanted, not {}", kind(value)));
        value.as_array().ok_or_else(wanted)?.iter().map(|item| self.text(item)).collect()
    }

    /// True or false.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn flag(&self, value: &Value) -> Result<bool> {
        value.as_bool().ok_or_else(|| self.wrong(format!("true or false is wanted, not {}", kind(value))))
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn number(&self, value: &Value, bounds: RangeInclusive<i64>) -> Result<i64> {
        let number = value.as_integer().filter(|number| bounds.contains(number));
        let wanted = || format!("a whole number from {} to {} is wanted", bounds.start(), bounds.end());
        number.ok_or_else(|| self.wrong(wanted()))
    }

    /// A text that its own type reads; its error is a sentence.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn parsed<T: FromStr<Err = String>>(&self, value: &Value) -> Result<T> {
        self.text(value)?.parse().map_err(|wrong| self.wrong(wrong))
    }

    /// Regions, in order and each once. Only their shape is looked at: whether there is one says
    /// the cloud.
    ///
    /// # Errors
    /// `InvalidConfig`, with an example.
    pub fn regions(&self, value: &Value, shaped: fn(&str) -> bool, example: &str) -> Result<Vec<Region>> {
        let mut regions = Vec::new();
        for name in self.texts(value)? {
            if !shaped(name) {
                return Err(self.wrong(format!("{name:?} is no region; they look like {example:?}")));
            }
            regions.push(Region::from(name));
        }
        regions.sort();
        regions.dedup();
        Ok(regions)
    }

    fn error(&self, message: String) -> Error {
        Error::new(ErrorKind::InvalidConfig, message)
            .with("key", format!("providers.{}.{}", self.keys.provider, self.key))
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::String(_) => "a text".to_owned(),
        Value::Integer(_) | Value::Float(_) => "a number".to_owned(),
        Value::Boolean(_) => "true or false".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => format!("a {}", other.type_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        provider: "cellar",
        known: &["regions", "endpoint_url", "shelves"],
        credentials: "they come from the keyring",
    };

    #[test]
    fn a_wrong_value_is_said_with_its_key_and_what_would_be_right() {
        let (text, number, list) = (Value::from("x"), Value::from(7), Value::from(vec!["x"]));
        let at = KEYS.at("shelves");
        for (error, part) in [
            (at.text(&number).unwrap_err(), "a text is wanted, not a number"),
            (at.word(&Value::from("  ")).unwrap_err(), "leave it out"),
            (at.texts(&text).unwrap_err(), "a list of texts is wanted, not a text"),
            (at.flag(&list).unwrap_err(), "true or false is wanted, not a list"),
            (at.number(&number, 1..=6).unwrap_err(), "from 1 to 6"),
            (at.number(&text, 1..=6).unwrap_err(), "from 1 to 6"),
            (at.parsed::<Cidr>(&text).unwrap_err(), "203.0.113.0/24"),
            (at.regions(&list, |name| name.len() > 1, "us-1").unwrap_err(), "look like \"us-1\""),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert_eq!(error.fact("key"), Some("providers.cellar.shelves"), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
        assert_eq!(at.number(&number, 1..=7).unwrap(), 7);
        assert_eq!(at.regions(&list, |_| true, "").unwrap(), [Region::from("x")]);
    }

    #[test]
    fn an_unknown_key_brings_the_nearest_and_a_credential_advice() {
        let error = KEYS.at("region").unknown();
        assert!(error.message().contains("did you mean \"regions\""), "{error}");
        assert!(KEYS.at("colour").unknown().message().contains("known: regions, endpoint_url"));
        for key in ["access-key", "SessionToken", "client_secret"] {
            let error = KEYS.at(key).unknown();
            assert!(error.message().contains("they come from the keyring"), "{error}");
        }
    }
}
