//! Which actions of a role each call needs (Azure documentation, "Azure permissions", by provider).

/// What a call needs, by the type of resource and the verb: `virtualMachines.LIST`. `None` for a call
/// that this provider does not make; empty for one that everybody may make.
pub fn needed(call: &str) -> Option<&'static [&'static str]> {
    NEEDED.iter().find(|(known, _)| *known == call).map(|(_, actions)| *actions)
}

/// All actions, each once, in order.
pub fn all() -> Vec<&'static str> {
    let mut all: Vec<&str> = NEEDED.iter().flat_map(|(_, actions)| actions.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a fleet is had without an action too: what it tells is left out then.
pub fn is_optional(action: &str) -> bool {
    let of = |call: &&(&str, &[&str])| call.1.contains(&action);
    let mut calls = NEEDED.iter().filter(of).peekable();
    calls.peek().is_some() && calls.all(|(call, _)| OPTIONAL.contains(call))
}

/// Scores order offers, and without the activity log a machine that was taken back is only gone; the
/// others are a doctor's.
const OPTIONAL: [&str; 5] =
    ["activityLogs.LIST", "placementScores.POST", "providers.GET", "providers.LIST", "subscriptions.GET"];

/// The calls, and what Azure does in the name of whoever makes them: a fleet makes its machines with
/// their disks, interfaces and addresses.
const NEEDED: &[(&str, &[&str])] = &[
    ("activityLogs.LIST", &["Microsoft.Insights/eventtypes/values/Read"]),
    ("disks.DELETE", &["Microsoft.Compute/disks/delete"]),
    ("disks.LIST", &["Microsoft.Compute/disks/read"]),
    ("fleets.DELETE", &["Microsoft.AzureFleet/fleets/delete"]),
    ("fleets.GET", &["Microsoft.AzureFleet/fleets/read"]),
    ("fleets.LIST", &["Microsoft.AzureFleet/fleets/read"]),
    (
        "fleets.PUT",
        &[
            "Microsoft.AzureFleet/fleets/write",
            "Microsoft.Compute/disks/write",
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.Network/networkInterfaces/join/action",
            "Microsoft.Network/networkInterfaces/write",
            "Microsoft.Network/networkSecurityGroups/join/action",
            "Microsoft.Network/publicIPAddresses/join/action",
            "Microsoft.Network/publicIPAddresses/write",
            "Microsoft.Network/virtualNetworks/subnets/join/action",
        ],
    ),
    ("fleets.virtualMachines.LIST", &["Microsoft.AzureFleet/fleets/virtualMachines/read"]),
    ("locations.LIST", &["Microsoft.Resources/subscriptions/locations/read"]),
    ("networkInterfaces.DELETE", &["Microsoft.Network/networkInterfaces/delete"]),
    ("networkInterfaces.LIST", &["Microsoft.Network/networkInterfaces/read"]),
    ("networkSecurityGroups.DELETE", &["Microsoft.Network/networkSecurityGroups/delete"]),
    ("networkSecurityGroups.LIST", &["Microsoft.Network/networkSecurityGroups/read"]),
    ("networkSecurityGroups.PUT", &["Microsoft.Network/networkSecurityGroups/write"]),
    ("operations.GET", &[]),
    ("permissions.LIST", &[]),
    ("placementScores.POST", &["Microsoft.Compute/locations/placementScores/generate/action"]),
    ("providers.GET", &["Microsoft.Resources/subscriptions/providers/read"]),
    ("providers.LIST", &["Microsoft.Resources/subscriptions/providers/read"]),
    ("publicIPAddresses.DELETE", &["Microsoft.Network/publicIPAddresses/delete"]),
    ("publicIPAddresses.LIST", &["Microsoft.Network/publicIPAddresses/read"]),
    ("resourceGraph.POST", &["Microsoft.ResourceGraph/resources/read"]),
    (
        "resourceGroups.DELETE",
        // It needs what each thing in it needs.
        &[
            "Microsoft.AzureFleet/fleets/delete",
            "Microsoft.Compute/disks/delete",
            "Microsoft.Compute/virtualMachines/delete",
            "Microsoft.Network/networkInterfaces/delete",
            "Microsoft.Network/networkSecurityGroups/delete",
            "Microsoft.Network/publicIPAddresses/delete",
            "Microsoft.Network/virtualNetworks/delete",
            "Microsoft.Resources/subscriptions/resourceGroups/delete",
        ],
    ),
    ("resourceGroups.GET", &["Microsoft.Resources/subscriptions/resourceGroups/read"]),
    ("resourceGroups.LIST", &["Microsoft.Resources/subscriptions/resourceGroups/read"]),
    ("resourceGroups.PUT", &["Microsoft.Resources/subscriptions/resourceGroups/write"]),
    ("resources.LIST", &["Microsoft.Resources/subscriptions/resourceGroups/resources/read"]),
    ("retailPrices.LIST", &[]),
    ("skus.LIST", &["Microsoft.Compute/skus/read"]),
    ("subscriptions.GET", &["Microsoft.Resources/subscriptions/read"]),
    ("usages.LIST", &["Microsoft.Compute/locations/usages/read"]),
    ("virtualMachines.LIST", &["Microsoft.Compute/virtualMachines/read"]),
    (
        "virtualMachinesExecuteDelete.POST",
        &[
            "Microsoft.Compute/virtualMachines/delete",
            "Microsoft.ComputeSchedule/locations/virtualMachinesExecuteDelete/action",
        ],
    ),
    ("virtualNetworks.DELETE", &["Microsoft.Network/virtualNetworks/delete"]),
    ("virtualNetworks.GET", &["Microsoft.Network/virtualNetworks/read"]),
    ("virtualNetworks.LIST", &["Microsoft.Network/virtualNetworks/read"]),
    ("virtualNetworks.PUT", &["Microsoft.Network/virtualNetworks/write"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_stands_once_and_in_order() {
        assert!(NEEDED.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(needed("virtualMachines.LIST"), Some(&["Microsoft.Compute/virtualMachines/read"][..]));
        assert_eq!((needed("operations.GET"), needed("vaults.LIST")), (Some(&[][..]), None));
    }

    #[test]
    fn an_action_is_optional_where_all_its_calls_are() {
        let optional: Vec<&str> = all().into_iter().filter(|action| is_optional(action)).collect();
        assert_eq!(
            optional,
            [
                "Microsoft.Compute/locations/placementScores/generate/action",
                "Microsoft.Insights/eventtypes/values/Read",
                "Microsoft.Resources/subscriptions/providers/read",
                "Microsoft.Resources/subscriptions/read",
            ]
        );
        assert!(!is_optional("Microsoft.Nothing/at/all"));
    }

    #[test]
    fn an_action_has_a_provider_a_type_and_a_verb() {
        for action in all() {
            let parts: Vec<&str> = action.split('/').collect();
            assert!(parts.len() >= 3 && parts[0].starts_with("Microsoft."), "{action}");
        }
    }
}
