use skyfleet_core::ResourceKind;

use crate::client::fleet::{COMPUTE, DISKS, FLEETS, NETWORK, RESOURCES};
use crate::names::Id;

/// What we make, or what a launch leaves, in the order in which Azure lets go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Machine,
    Fleet,
    Interface,
    Address,
    Disk,
    SecurityGroup,
    Network,
    Group,
}

impl Kind {
    /// Those that have a list of their own.
    pub(super) const LISTED: [Self; 6] =
        [Self::Fleet, Self::Interface, Self::Address, Self::Disk, Self::SecurityGroup, Self::Network];

    pub(super) fn of(id: &Id) -> Option<Self> {
        match id.kind.as_str() {
            "" => Some(Self::Group),
            "microsoft.compute/virtualmachines" => Some(Self::Machine),
            other => Self::LISTED.into_iter().find(|kind| kind.path().eq_ignore_ascii_case(other)),
        }
    }

    /// As a path names it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Machine => "Microsoft.Compute/virtualMachines",
            Self::Fleet => "Microsoft.AzureFleet/fleets",
            Self::Interface => "Microsoft.Network/networkInterfaces",
            Self::Address => "Microsoft.Network/publicIPAddresses",
            Self::Disk => "Microsoft.Compute/disks",
            Self::SecurityGroup => "Microsoft.Network/networkSecurityGroups",
            Self::Network => "Microsoft.Network/virtualNetworks",
            Self::Group => "",
        }
    }

    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Machine => COMPUTE,
            Self::Disk => DISKS,
            Self::Fleet => FLEETS,
            Self::Interface | Self::Address | Self::SecurityGroup | Self::Network => NETWORK,
            Self::Group => RESOURCES,
        }
    }

    /// In the words of the contract.
    pub(super) fn resource(self) -> ResourceKind {
        match self {
            Self::Machine => ResourceKind::Instance,
            Self::Fleet => ResourceKind::FleetObject,
            Self::Interface => ResourceKind::NetworkInterface,
            Self::Address => ResourceKind::Address,
            Self::Disk => ResourceKind::Disk,
            Self::SecurityGroup => ResourceKind::Firewall,
            Self::Network => ResourceKind::Network,
            Self::Group => ResourceKind::ResourceGroup,
        }
    }

    pub(super) fn is_held_by_machines(self) -> bool {
        self >= Self::Interface
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_by_its_path() {
        for kind in Kind::LISTED {
            let id =
                Id::parse(&format!("/subscriptions/s/resourceGroups/g/providers/{}/n", kind.path())).unwrap();
            assert_eq!(Kind::of(&id), Some(kind));
            assert!(id.to_string().contains(kind.path()), "{id}");
        }
        let other =
            Id::parse("/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/accounts/n").unwrap();
        assert_eq!(Kind::of(&other), None);
    }
}
