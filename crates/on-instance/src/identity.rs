use serde::{Deserialize, Serialize};
use skyfleet_core::{FleetName, InstanceId, Market, Owner, Region, Result, TypeName, Zone};

use crate::Cloud;
use crate::http::strange;

/// What a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of which cloud.
    pub cloud: Cloud,
    /// Its id, as the provider of the cloud writes it: `i-0a1b…`, `zones/Z/instances/NAME`, the id of
    /// an Azure resource.
    pub id: InstanceId,
    /// Where it is.
    pub region: Region,
    /// Where in the region. On Azure a machine may be in none: then it is the region's name.
    pub zone: Zone,
    /// What it is: `m7g.large`, `n2-standard-2`, `Standard_D2s_v5`.
    pub instance_type: TypeName,
    /// How it was bought.
    pub market: Market,
}

/// What a machine is, and whose: where its cloud tells it, by the tags that it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) identity: Identity,
    pub(crate) owner: Option<Owner>,
    pub(crate) fleet: Option<FleetName>,
}

/// The longest word of an identity: an Azure resource group has 90 characters, a name 64.
const WORD_MAX: usize = 128;

/// A word of an identity, with nothing around it: names and ids of all three clouds are made of
/// letters, digits and a few signs.
///
/// # Errors
/// `Unexpected` for what none of them is called.
pub(crate) fn word<'a>(what: &'static str, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    let legal = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    if !text.is_empty() && text.len() <= WORD_MAX && text.chars().all(legal) && text.chars().any(|c| c != '.')
    {
        return Ok(text);
    }
    let told: String = text.chars().take(60).collect();
    Err(strange(format!("what the metadata service calls the machine's {what} is no name"))
        .with(what, told.escape_debug()))
}

/// The owner that a tag names; `None` for one that is not of ours.
pub(crate) fn owner(tag: Option<&str>) -> Option<Owner> {
    Owner::parse(tag?.trim()).ok()
}

/// The fleet that a tag names; `None` for one that is not of ours.
pub(crate) fn fleet(tag: Option<&str>) -> Option<FleetName> {
    FleetName::parse(tag?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_clouds_give_as_names() {
        for text in ["i-0a1b2c3d", "us-east-1a", "Standard_D2s_v5", "run(1)", " eastus\n"] {
            assert_eq!(word("id", text).unwrap(), text.trim());
        }
        for text in ["", "..", "a/b", "a b", "a\nb", "<html>", "\u{0}", &"x".repeat(129)] {
            assert!(word("id", text).is_err(), "{text}");
        }
    }
}
