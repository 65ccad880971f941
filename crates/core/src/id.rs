use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind, Result};

/// A name that the cloud gave: cheap to clone, compared and ordered as text.
macro_rules! cloud_name {
    ($(#[$doc:meta])* $name:ident) => {
        shared_text!($(#[$doc])* $name);

        impl $name {
            /// Wraps the cloud's own spelling.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
                Ok(Self(Arc::deserialize(input)?))
            }
        }
    };
}

macro_rules! shared_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, output: S) -> std::result::Result<S::Ok, S::Error> {
                output.serialize_str(&self.0)
            }
        }
    };
}

cloud_name! {
    /// A region, in the cloud's own spelling: `us-east-1`, `us-central1`, `eastus`.
    Region
}
cloud_name! {
    /// A zone, in the cloud's own spelling: `us-east-1a`, `us-central1-a`, `eastus-1`.
    Zone
}
cloud_name! {
    /// The name of an instance type: `m7g.large`, `n2-standard-2`, `Standard_D2s_v5`.
    TypeName
}
cloud_name! {
    /// One instance, for ever. Opaque: a provider puts into it whatever it needs to find the
    /// instance again with nothing else at hand (for example the region before the cloud's id).
    InstanceId
}
cloud_name! {
    /// One quota of the cloud, region included: `us-east-1/L-34B43A08`, `eastus/lowPriorityCores`.
    QuotaId
}
cloud_name! {
    /// A place in a provider's stream of preemptions. Opaque; [`Cursor::start`] is the beginning.
    Cursor
}

impl Cursor {
    /// The beginning of the stream: everything that the cloud still knows.
    pub fn start() -> Self {
        Self("".into())
    }
}

/// A name that we gave and that every cloud must accept inside a tag: lower-case letters, digits
/// and `-`, beginning with a letter, ending with a letter or digit.
macro_rules! own_name {
    ($(#[$doc:meta])* $name:ident, $word:literal, $max:literal) => {
        shared_text!($(#[$doc])* $name);

        impl $name {
            /// The longest text that is accepted, in bytes.
            pub const LENGTH_MAX: usize = $max;

            /// Checks the text.
            ///
            /// # Errors
            /// [`ErrorKind::InvalidConfig`] when the text is empty, too long, or has a character
            /// that some cloud refuses in a tag.
            pub fn parse(text: &str) -> Result<Self> {
                check_own_name($word, text, $max).map(|()| Self(text.into()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
                let text = String::deserialize(input)?;
                Self::parse(&text).map_err(|e| serde::de::Error::custom(e.message()))
            }
        }
    };
}

fn check_own_name(word: &'static str, text: &str, length_max: usize) -> Result<()> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fault = if text.is_empty() {
        "it is empty".to_owned()
    } else if text.len() > length_max {
        format!("it has {} characters, at most {length_max} fit into a tag of every cloud", text.len())
    } else if let Some(c) = text.chars().find(|&c| !legal(c)) {
        format!("{c:?} is not allowed, only lower-case letters, digits and '-'")
    } else if !text.starts_with(|c: char| c.is_ascii_lowercase()) || text.ends_with('-') {
        "it must begin with a letter and end with a letter or digit".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidConfig, format!("{word} {text:?}: {fault}")).with("key", word))
}

own_name! {
    /// Whose resources these are: the tag by which everything is found, adopted and deleted.
    ///
    /// Two people, or two programs, that must not see each other's fleets have two owners.
    ///
    /// ```
    /// use skyfleet_core::Owner;
    /// assert_eq!(Owner::parse("ada")?.as_str(), "ada");
    /// assert!(Owner::parse("Ada Lovelace").is_err());
    /// # Ok::<(), skyfleet_core::Error>(())
    /// ```
    Owner, "owner", 24
}
own_name! {
    /// The name of a fleet, unique for its owner.
    FleetName, "name", 30
}

/// Names one launch. The same token never buys twice.
///
/// Derived, never random: a successor that knows only the owner and the fleet can repeat the last
/// call instead of buying again. The text is `owner_fleet_attempt`: at most 63 characters out of
/// `[a-z0-9_-]`, so that it fits into an EC2 client token and into a label of every cloud.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    owner: Owner,
    fleet: FleetName,
    attempt: u32,
}

impl Token {
    /// The token of a fleet's launch number `attempt`.
    ///
    /// ```
    /// use skyfleet_core::{FleetName, Owner, Token};
    /// let token = Token::derive(&Owner::parse("ada")?, &FleetName::parse("words")?, 3);
    /// assert_eq!(token.to_string(), "ada_words_3");
    /// assert_eq!(Token::parse("ada_words_3"), Some(token));
    /// # Ok::<(), skyfleet_core::Error>(())
    /// ```
    pub fn derive(owner: &Owner, fleet: &FleetName, attempt: u32) -> Self {
        Self { owner: owner.clone(), fleet: fleet.clone(), attempt }
    }

    /// Reads a token back from a tag; `None` when the text is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('_');
        let (owner, fleet, attempt) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            owner: Owner::parse(owner).ok()?,
            fleet: FleetName::parse(fleet).ok()?,
            attempt: attempt.parse().ok()?,
        })
    }

    /// Which launch of its fleet this is, from 0.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whose launch this is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The fleet that is launched.
    pub fn fleet(&self) -> &FleetName {
        &self.fleet
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.owner, self.fleet, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_token_fits_every_clouds_label() {
        let owner = Owner::parse(&"o".repeat(Owner::LENGTH_MAX)).unwrap();
        let fleet = FleetName::parse(&"f".repeat(FleetName::LENGTH_MAX)).unwrap();
        let token = Token::derive(&owner, &fleet, 999_999);
        assert!(token.to_string().len() <= 63, "{token}");
        assert_eq!(Token::parse(&token.to_string()), Some(token));
    }

    #[test]
    fn a_bad_name_says_what_is_wrong_with_it() {
        for (text, part) in
            [("", "empty"), ("A", "'A'"), ("-a", "begin"), ("a-", "end"), ("x".repeat(40).as_str(), "40")]
        {
            let error = FleetName::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_foreign_tag_is_no_token() {
        for text in ["", "a_b", "a_b_c", "a_b_1_2", "A_b_1"] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }
}
