//! Networks of the caller's: `Microsoft.Network`.

pub(crate) mod addresses;
pub(crate) mod interfaces;
pub(crate) mod networks;
pub(crate) mod security_groups;
pub(crate) mod security_rules;
