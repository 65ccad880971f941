//! Names of resources: `https://www.googleapis.com/compute/v1/projects/P/zones/Z/instances/N`, and
//! every shorter form of it that Compute Engine takes.

use std::fmt;

use skyfleet_core::{Region, Zone};

/// What every name of a resource begins with, in answers.
pub(crate) const ROOT: &str = "https://www.googleapis.com/compute/v1";

/// Where a resource is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Global,
    Region(Region),
    Zone(Zone),
}

/// As in a name: `global`, `regions/R`, `zones/Z`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Region(region) => write!(f, "regions/{region}"),
            Self::Zone(zone) => write!(f, "zones/{zone}"),
        }
    }
}

/// The whole name of what is at a path in a project: `link("p", "zones/z/instances/n")`.
pub(crate) fn link(project: &str, path: &str) -> String {
    format!("{ROOT}/projects/{project}/{path}")
}

/// The path in its project of a name in any form: `zones/z/instances/n`, `global/networks/default`.
/// A bare name stays as it is.
pub(crate) fn path(name: &str) -> &str {
    let name = match name.split_once("/projects/") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => match name.strip_prefix("projects/") {
            Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
            None => name,
        },
    };
    name.trim_matches('/')
}

/// The project of a name, if it names one.
pub(crate) fn project(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once("projects/")?;
    rest.split('/').next().filter(|project| !project.is_empty())
}

/// The last part of a name: `n` of `…/instances/n`.
pub(crate) fn last(name: &str) -> &str {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
}

/// The part of a name behind a collection: `after("zones", "…/zones/z/instances/n")` is `z`.
pub(crate) fn after<'a>(collection: &str, name: &'a str) -> Option<&'a str> {
    let mut parts = name.split('/');
    parts.find(|part| *part == collection)?;
    parts.next().filter(|part| !part.is_empty())
}

/// Compute Engine's rule for names of resources (RFC 1035): a lower-case letter, then lower-case
/// letters, digits and `-`, at most 63, no `-` at the end.
pub(crate) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes[bytes.len() - 1] != b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name_means_the_same() {
        for name in [
            "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances/n",
            "http://127.0.0.1:9/compute/v1/projects/p/zones/z/instances/n",
            "//compute.googleapis.com/projects/p/zones/z/instances/n",
            "projects/p/zones/z/instances/n",
            "zones/z/instances/n",
        ] {
            assert_eq!(path(name), "zones/z/instances/n", "{name}");
            assert_eq!((last(name), after("zones", name)), ("n", Some("z")));
        }
        assert_eq!((path("n1-standard-4"), last("n1-standard-4")), ("n1-standard-4", "n1-standard-4"));
        assert_eq!(project("projects/p/global/networks/n"), Some("p"));
        assert_eq!(project("global/networks/n"), None);
    }

    #[test]
    fn names_follow_rfc_1035() {
        for (name, good) in
            [("a", true), ("a-1", true), ("1a", false), ("a-", false), ("A", false), ("", false)]
        {
            assert_eq!(is_name(name), good, "{name}");
        }
        assert!(is_name(&"a".repeat(63)) && !is_name(&"a".repeat(64)));
    }
}
