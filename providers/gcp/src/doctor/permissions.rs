//! Which permission each call needs.

/// The permissions that a method of Google's needs, by the name under which its API documents it
/// (Compute Engine documentation, "IAM permissions by method", and the reference of each method).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// `instances.delete`.
    pub method: &'static str,
    /// All of them; empty for a method that everybody may call who has the API switched on.
    pub permissions: &'static [&'static str],
    /// A fleet is had without it too: what it tells is left out then.
    pub optional: bool,
}

const fn needs(method: &'static str, permissions: &'static [&'static str]) -> Needed {
    Needed { method, permissions, optional: false }
}

const fn likes(method: &'static str, permissions: &'static [&'static str]) -> Needed {
    Needed { method, permissions, optional: true }
}

/// What a bulk insert makes beside the machines: disks with labels, and their place in a network.
const MAKES: [&str; 8] = [
    "compute.instances.create",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setTags",
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
];

/// Every method that the provider may call, by name.
pub const PERMISSIONS: &[Needed] = &[
    needs("acceleratorTypes.aggregatedList", &["compute.acceleratorTypes.list"]),
    needs("addresses.aggregatedList", &["compute.addresses.list"]),
    needs("addresses.delete", &["compute.addresses.delete"]),
    likes("advice.capacity", &["compute.advice.capacity"]),
    likes("advice.capacityHistory", &["compute.advice.capacityHistory"]),
    needs("cloudresourcemanager.projects.testIamPermissions", &[]),
    needs("disks.aggregatedList", &["compute.disks.list"]),
    needs("disks.delete", &["compute.disks.delete"]),
    needs("firewalls.delete", &["compute.firewalls.delete", "compute.networks.updatePolicy"]),
    needs("firewalls.get", &["compute.firewalls.get"]),
    needs("firewalls.insert", &["compute.firewalls.create", "compute.networks.updatePolicy"]),
    needs("firewalls.list", &["compute.firewalls.list"]),
    needs("globalOperations.aggregatedList", &["compute.globalOperations.list"]),
    needs("globalOperations.get", &["compute.globalOperations.get"]),
    needs("globalOperations.list", &["compute.globalOperations.list"]),
    needs("globalOperations.wait", &["compute.globalOperations.get"]),
    needs("images.get", &["compute.images.get"]),
    needs("images.getFromFamily", &["compute.images.getFromFamily"]),
    needs("images.list", &["compute.images.list"]),
    needs("instances.aggregatedList", &["compute.instances.list"]),
    needs("instances.bulkInsert", &MAKES),
    needs("instances.delete", &["compute.instances.delete"]),
    needs("instances.get", &["compute.instances.get"]),
    needs("instances.insert", &MAKES),
    needs("instances.list", &["compute.instances.list"]),
    needs("machineTypes.list", &["compute.machineTypes.list"]),
    needs("networks.get", &["compute.networks.get"]),
    needs("networks.list", &["compute.networks.list"]),
    needs("projects.get", &["compute.projects.get"]),
    needs("regionInstances.bulkInsert", &MAKES),
    needs("regionOperations.get", &["compute.regionOperations.get"]),
    needs("regionOperations.list", &["compute.regionOperations.list"]),
    needs("regionOperations.wait", &["compute.regionOperations.get"]),
    needs("regions.list", &["compute.regions.list"]),
    // Of Cloud Billing.
    needs("skus.list", &[]),
    needs("subnetworks.aggregatedList", &["compute.subnetworks.list"]),
    needs("subnetworks.get", &["compute.subnetworks.get"]),
    needs("subnetworks.list", &["compute.subnetworks.list"]),
    needs("zoneOperations.get", &["compute.zoneOperations.get"]),
    needs("zoneOperations.list", &["compute.zoneOperations.list"]),
    needs("zoneOperations.wait", &["compute.zoneOperations.get"]),
    needs("zones.list", &["compute.zones.list"]),
];

/// What a method needs; `None` for one that is not in the table.
pub fn needed(method: &str) -> Option<&'static Needed> {
    PERMISSIONS.iter().find(|needed| needed.method == method)
}

/// Every permission of the table once, in order, and whether a fleet is had without it.
pub(super) fn all() -> Vec<(&'static str, bool)> {
    let mut all = std::collections::BTreeMap::new();
    for needed in PERMISSIONS {
        for permission in needed.permissions {
            let optional = all.entry(*permission).or_insert(true);
            *optional &= needed.optional;
        }
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_in_order_and_permissions_are_those_of_compute_engine() {
        assert!(PERMISSIONS.is_sorted_by(|a, b| a.method < b.method));
        for (permission, _) in all() {
            assert!(permission.starts_with("compute.") && permission.split('.').count() == 3, "{permission}");
        }
        assert!(needed("instances.bulkInsert").is_some() && needed("instances.dance").is_none());
    }

    #[test]
    fn what_is_optional_is_so_for_all_methods_that_need_it() {
        let optional: Vec<&str> =
            all().into_iter().filter(|(_, optional)| *optional).map(|(permission, _)| permission).collect();
        assert_eq!(optional, ["compute.advice.capacity", "compute.advice.capacityHistory"]);
        // One question asks for a hundred at most (Resource Manager reference, `testIamPermissions`).
        assert!(all().len() <= 100);
    }
}
