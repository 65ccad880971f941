//! Kinds of disks. The world sells all at the price of a balanced one.

use serde_json::{Value, json};
use skyfleet_core::Zone;

use crate::gcp::error::invalid;
use crate::gcp::method::Method;
use crate::gcp::{resource, url, zonal};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "diskTypes.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/diskTypes/{diskType}",
        answer: |request| ALL.get(request),
    },
    Method {
        id: "diskTypes.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/diskTypes",
        answer: |request| ALL.list(request),
    },
    Method {
        id: "diskTypes.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/diskTypes",
        answer: |request| ALL.aggregated(request),
    },
];

const ALL: zonal::Collection = zonal::Collection { name: "diskTypes", kind: "diskType", items: in_zone };

/// Name, description, usual size and valid sizes. Compute Engine documentation, "Choose a disk type".
const TYPES: [(&str, &str, &str, &str); 5] = [
    ("hyperdisk-balanced", "Hyperdisk Balanced Persistent Disk", "100", "4GB-65536GB"),
    ("local-ssd", "Local SSD", "375", "375GB-375GB"),
    ("pd-balanced", "Balanced Persistent Disk", "100", "10GB-65536GB"),
    ("pd-ssd", "SSD Persistent Disk", "100", "10GB-65536GB"),
    ("pd-standard", "Standard Persistent Disk", "500", "10GB-65536GB"),
];

/// The type that a disk has when nobody names one. Compute Engine API, `disks.type`.
pub(crate) const USUAL: &str = "pd-standard";

/// The largest disk of any type, in GB.
pub(crate) const MOST_GIB: u32 = 65_536;

/// How big an empty disk of a type is when nobody says.
pub(crate) fn usual_gib(kind: &str) -> u32 {
    let usual = TYPES.iter().find(|(name, ..)| *name == kind).map(|(_, _, usual, _)| usual.parse());
    usual.and_then(Result::ok).unwrap_or(100)
}

/// A disk type by any form of its name, for a disk in a zone.
///
/// # Errors
/// `invalid` for one that there is not, or is named in another zone.
pub(crate) fn named(written: &str, zone: &Zone, field: &str) -> Result<&'static str, Refusal> {
    let here = url::after("zones", written).is_none_or(|named| named == zone.as_str());
    let found = TYPES.iter().map(|(name, ..)| *name).find(|name| *name == url::last(written));
    found
        .filter(|_| here)
        .ok_or_else(|| invalid(field, written, "The referenced diskType resource cannot be found."))
}

fn in_zone(_: &Kernel, project: &str, zone: &Zone) -> Vec<Value> {
    let shown = |(name, description, usual, valid): &(&str, &str, &str, &str)| {
        let more = json!({
            "description": description,
            "defaultDiskSizeGb": usual,
            "validDiskSize": valid,
            "zone": url::link(project, &format!("zones/{zone}")),
        });
        resource::show(project, "diskType", &format!("zones/{zone}/diskTypes/{name}"), None, more)
    };
    TYPES.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    #[test]
    fn disk_types_have_usual_sizes() {
        let trial = Trial::new();
        assert_eq!(trial.names("zones/us-central1-a/diskTypes").len(), TYPES.len());
        assert_eq!(trial.get("zones/us-central1-a/diskTypes/pd-balanced")["defaultDiskSizeGb"], "100");
        let zone = Zone::new("us-central1-a");
        let known = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a/diskTypes/pd-ssd";
        assert_eq!(named(known, &zone, "resource.type").unwrap(), "pd-ssd");
        assert!(named("zones/us-west1-a/diskTypes/pd-ssd", &zone, "resource.type").is_err());
        assert!(named("pd-golden", &zone, "resource.type").is_err());
    }
}
