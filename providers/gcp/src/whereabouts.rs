//! Names of resources: in which project, where, and what. An instance's id is a name without its
//! project, `zones/us-central1-a/instances/words-…-0001`, so that nothing else is needed to find it
//! again.

use std::fmt;

use skyfleet_core::{InstanceId, Region, Zone};

/// The part behind the last slash.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The region of a zone: all but its last letter.
pub(crate) fn region_of(zone: &str) -> Region {
    Region::from(zone.rsplit_once('-').map_or(zone, |(region, _)| region))
}

/// The region that stands for what belongs to none.
pub(crate) const GLOBAL: &str = "global";

/// A resource in its project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Whereabouts {
    pub(crate) place: Place,
    /// `instances`, `disks`.
    pub(crate) collection: String,
    pub(crate) name: String,
}

/// Where a resource is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Global,
    Region(Region),
    Zone(Zone),
}

impl Whereabouts {
    /// An instance, by its id; `None` for a text that never was one.
    pub(crate) fn of_instance(id: &InstanceId) -> Option<(Zone, String)> {
        match Self::parse(id.as_str())? {
            Self { place: Place::Zone(zone), collection, name } if collection == "instances" => {
                Some((zone, name))
            }
            _ => None,
        }
    }

    /// Reads `zones/Z/instances/N`, also behind `https://www.googleapis.com/compute/v1/projects/P/`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let path = match text.split_once("projects/") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => text,
        };
        let parts: Vec<&str> = path.split('/').collect();
        if !parts.iter().all(|part| is_name(part)) {
            return None;
        }
        let (place, collection, name) = match parts[..] {
            ["zones", zone, collection, name] => (Place::Zone(zone.into()), collection, name),
            ["regions", region, collection, name] => (Place::Region(region.into()), collection, name),
            ["global", collection, name] => (Place::Global, collection, name),
            _ => return None,
        };
        Some(Self { place, collection: collection.to_owned(), name: name.to_owned() })
    }

    pub(crate) fn region(&self) -> Region {
        match &self.place {
            Place::Global => GLOBAL.into(),
            Place::Region(region) => region.clone(),
            Place::Zone(zone) => region_of(zone.as_str()),
        }
    }
}

/// Whether Compute Engine could have given the name: whatever else stands in a path goes astray.
fn is_name(part: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    // `instanceTemplates` and its like are collections.
    !part.is_empty() && part.len() <= 63 && part.bytes().all(|b| legal(b) || b.is_ascii_uppercase())
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Global => f.write_str(GLOBAL)?,
            Place::Region(region) => write!(f, "regions/{region}")?,
            Place::Zone(zone) => write!(f, "zones/{zone}")?,
        }
        write!(f, "/{}/{}", self.collection, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_with_and_without_its_project() {
        for (text, path, region) in [
            ("zones/us-central1-a/instances/a-1", "zones/us-central1-a/instances/a-1", "us-central1"),
            (
                "https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-b/disks/d",
                "zones/us-east1-b/disks/d",
                "us-east1",
            ),
            ("projects/p/regions/us-east1/addresses/a", "regions/us-east1/addresses/a", "us-east1"),
            ("global/firewalls/f", "global/firewalls/f", "global"),
        ] {
            let read = Whereabouts::parse(text).unwrap();
            assert_eq!((read.to_string().as_str(), read.region().as_str()), (path, region));
        }
    }

    #[test]
    fn what_never_was_a_name_is_none() {
        for text in [
            "",
            "i-0a1b2c3d",
            "never-was",
            "zones/z/instances/",
            "zones/z/instances/../x/y",
            "zones/z/instances/a?b",
        ] {
            assert_eq!(Whereabouts::parse(text), None, "{text}");
        }
        assert_eq!(Whereabouts::of_instance(&"zones/z/disks/d".into()), None);
        let read = Whereabouts::of_instance(&"zones/us-east1-b/instances/a".into());
        assert_eq!(read, Some(("us-east1-b".into(), "a".to_owned())));
    }
}
