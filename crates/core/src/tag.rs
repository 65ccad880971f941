//! The tags that every resource carries from its creation on.
//!
//! Keys and values are legal on every cloud: lower-case letters, digits, `_` and `-`, at most 63
//! characters (Compute Engine's rule for labels is the narrowest). Truth is read from the cloud by
//! these tags; there is no state file.

use std::collections::BTreeMap;

use crate::{FleetName, Owner, Timestamp, Token};

/// Whose it is.
pub const OWNER: &str = "skyfleet-owner";
/// The fleet it belongs to.
pub const FLEET: &str = "skyfleet-fleet";
/// The launch that made it.
pub const TOKEN: &str = "skyfleet-token";
/// When a sweep may delete it, in Unix seconds.
pub const EXPIRES: &str = "skyfleet-expires";

/// The tags of everything that one launch makes.
pub fn of_launch(token: &Token, expires: Option<Timestamp>) -> BTreeMap<String, String> {
    let mut tags = of_fleet(token.owner(), token.fleet(), expires);
    tags.insert(TOKEN.to_owned(), token.to_string());
    tags
}

/// The tags of what a fleet shares between its launches (templates, firewalls).
pub fn of_fleet(owner: &Owner, fleet: &FleetName, expires: Option<Timestamp>) -> BTreeMap<String, String> {
    let mut tags =
        BTreeMap::from([(OWNER.to_owned(), owner.to_string()), (FLEET.to_owned(), fleet.to_string())]);
    if let Some(expires) = expires {
        tags.insert(EXPIRES.to_owned(), expires.as_second().to_string());
    }
    tags
}

/// The expiry that a resource's tags carry.
pub fn expires(tags: &BTreeMap<String, String>) -> Option<Timestamp> {
    Timestamp::from_second(tags.get(EXPIRES)?.parse().ok()?).ok()
}
