//! Which method of the discovery document is answered where. Each room lists its own.

use crate::gcp::request::{Answer, Request};
use crate::gcp::{
    accelerator_types, addresses, advice, bulk, disk_types, disks, firewalls, images, instance_templates,
    instances, machine_types, networks, operation, projects, regions, services, subnetworks, zones,
};
use crate::method::{self, Case, Values};
use crate::refusal::Refusal;

/// A method of Compute Engine, or of a small service beside it, by its name in the discovery
/// document.
pub(crate) type Method = method::Method<fn(&Request<'_>) -> Result<Answer, Refusal>>;

/// Lists of methods, by room.
const ROOMS: &[&[Method]] = &[
    operation::METHODS,
    projects::METHODS,
    regions::METHODS,
    zones::METHODS,
    machine_types::METHODS,
    accelerator_types::METHODS,
    disk_types::METHODS,
    images::METHODS,
    networks::METHODS,
    subnetworks::METHODS,
    firewalls::METHODS,
    instance_templates::METHODS,
    disks::METHODS,
    addresses::METHODS,
    services::METHODS,
    instances::METHODS,
    bulk::METHODS,
    advice::METHODS,
];

/// A method and the values of its path's parameters; `None` for what is not simulated.
pub(crate) fn find(verb: &str, path: &str) -> Option<(Method, Values)> {
    method::find(ROOMS, verb, path, Case::Matters)
}

/// The names of all, in order.
pub(crate) fn names() -> Vec<&'static str> {
    method::names(ROOMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_method_and_its_values() {
        let (method, values) = find("GET", "/compute/v1/projects/p/zones/z/operations/op-1").unwrap();
        assert_eq!(method.id, "zoneOperations.get");
        assert_eq!(values.into_values().collect::<Vec<_>>(), ["op-1", "p", "z"]);
        assert!(find("PUT", "/compute/v1/projects/p/zones/z/operations/op-1").is_none());
        assert!(find("GET", "/compute/v1/projects/p/nothing").is_none());
    }

    #[test]
    fn no_method_is_listed_twice() {
        let listed: usize = ROOMS.iter().map(|room| room.len()).sum();
        assert_eq!(names().len(), listed);
    }
}
