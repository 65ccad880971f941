//! The kinds of things that EC2 has, by the beginnings of their ids.

use skyfleet_core::ResourceKind;

/// In the order in which EC2 lets go of them: what starts instances, the instances, what they hold
/// on to, what they were made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Fleet,
    SpotRequest,
    Instance,
    Volume,
    Interface,
    Address,
    Template,
    Group,
    KeyPair,
    PlacementGroup,
}

impl Kind {
    const ALL: [(&'static str, &'static str, Self); 10] = [
        ("fleet-", "fleet", Self::Fleet),
        ("sir-", "spot-instances-request", Self::SpotRequest),
        ("i-", "instance", Self::Instance),
        ("vol-", "volume", Self::Volume),
        ("eni-", "network-interface", Self::Interface),
        ("eipalloc-", "elastic-ip", Self::Address),
        ("lt-", "launch-template", Self::Template),
        ("sg-", "security-group", Self::Group),
        ("key-", "key-pair", Self::KeyPair),
        ("pg-", "placement-group", Self::PlacementGroup),
    ];

    /// The resource types of all but instances and spot requests, which are asked for by themselves. `with_parts`
    /// says whether volumes and interfaces are among them.
    pub(super) fn tagged(with_parts: bool) -> impl Iterator<Item = &'static str> {
        let left_out = move |kind: &Self| match kind {
            Self::Instance | Self::SpotRequest => true,
            Self::Volume | Self::Interface => !with_parts,
            _ => false,
        };
        Self::ALL.iter().filter(move |(.., kind)| !left_out(kind)).map(|(_, tag, _)| *tag)
    }

    pub(super) fn of(id: &str) -> Option<Self> {
        Self::ALL.iter().find(|(start, ..)| id.starts_with(start)).map(|(.., kind)| *kind)
    }

    /// Whether a running instance keeps it from being deleted.
    pub(super) fn is_held_by_instances(self) -> bool {
        matches!(self, Self::Volume | Self::Interface | Self::Group | Self::PlacementGroup)
    }

    /// The neutral word for it.
    pub(super) fn resource_kind(self) -> ResourceKind {
        match self {
            Self::Fleet => ResourceKind::FleetObject,
            Self::SpotRequest => ResourceKind::SpotRequest,
            Self::Instance => ResourceKind::Instance,
            Self::Volume => ResourceKind::Disk,
            Self::Interface => ResourceKind::NetworkInterface,
            Self::Address => ResourceKind::Address,
            Self::Template => ResourceKind::Template,
            Self::Group => ResourceKind::Firewall,
            Self::KeyPair => ResourceKind::KeyPair,
            Self::PlacementGroup => ResourceKind::PlacementGroup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_kind() {
        assert_eq!(Kind::of("i-0a1b2c3d"), Some(Kind::Instance));
        assert_eq!(Kind::of("eipalloc-1"), Some(Kind::Address));
        assert_eq!(Kind::of("vpc-1"), None);
        assert!(
            Kind::tagged(true).any(|tag| tag == "volume") && Kind::tagged(true).all(|tag| tag != "instance")
        );
        assert!(Kind::tagged(false).all(|tag| tag != "volume" && tag != "network-interface"));
    }

    #[test]
    fn what_starts_instances_goes_first_and_what_they_hold_after_them() {
        assert!(
            Kind::Fleet < Kind::Instance && Kind::Instance < Kind::Volume && Kind::Interface < Kind::Group
        );
    }
}
