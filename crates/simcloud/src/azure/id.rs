//! Names of resources: `/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/virtualMachines/N`.
//! Azure keeps the case of names and does not tell them apart by it.

use std::fmt;

/// The name of a resource in a resource group, in the case in which its caller wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) subscription: String,
    pub(crate) group: String,
    /// `Microsoft.Compute/virtualMachines`; of a resource inside another one
    /// `Microsoft.Network/virtualNetworks/subnets`. Empty for the group itself.
    pub(crate) kind: String,
    /// Its own name, after those of the resources that it is inside: one for each part of the kind
    /// behind the provider.
    pub(crate) names: Vec<String>,
}

impl Id {
    /// A resource group.
    pub(crate) fn group(subscription: &str, group: &str) -> Self {
        Self {
            subscription: subscription.into(),
            group: group.into(),
            kind: String::new(),
            names: Vec::new(),
        }
    }

    /// A resource in a group: `Id::new("s", "g", "Microsoft.Compute/disks", &["d"])`.
    pub(crate) fn new(subscription: &str, group: &str, kind: &str, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { subscription: subscription.into(), group: group.into(), kind: kind.into(), names }
    }

    /// Reads a name; `None` for a text of another shape.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('/')?.split('/');
        let mut word = |wanted: &str| parts.next().filter(|part| part.eq_ignore_ascii_case(wanted));
        word("subscriptions")?;
        let subscription = parts.next()?;
        let is =
            |part: Option<&str>, wanted: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(wanted));
        if !is(parts.next(), "resourceGroups") {
            return None;
        }
        let group = parts.next().filter(|group| !group.is_empty())?;
        let mut id = Self::group(subscription, group);
        match parts.next() {
            None => return Some(id),
            part if is(part, "providers") => id.kind = parts.next()?.to_owned(),
            Some(_) => return None,
        }
        while let Some(kind) = parts.next() {
            id.kind = format!("{}/{kind}", id.kind);
            id.names.push(parts.next().filter(|name| !name.is_empty())?.to_owned());
        }
        (!id.names.is_empty()).then_some(id)
    }

    /// Its own name: of a group, the group's.
    pub(crate) fn name(&self) -> &str {
        self.names.last().map_or(&self.group, String::as_str)
    }

    /// Whether it is of a kind.
    pub(crate) fn is_a(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
    }

    /// The same for every way to write it: what it is kept under.
    pub(crate) fn key(&self) -> String {
        self.to_string().to_lowercase()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/subscriptions/{}/resourceGroups/{}", self.subscription, self.group)?;
        let mut kinds = self.kind.split('/');
        let Some(provider) = kinds.next().filter(|provider| !provider.is_empty()) else { return Ok(()) };
        write!(f, "/providers/{provider}")?;
        kinds.zip(&self.names).try_for_each(|(kind, name)| write!(f, "/{kind}/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_written_as_it_was() {
        for text in [
            "/subscriptions/s/resourceGroups/G",
            "/subscriptions/s/resourceGroups/G/providers/Microsoft.Compute/virtualMachines/Vm_1",
            "/subscriptions/s/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/net/subnets/default",
        ] {
            assert_eq!(Id::parse(text).unwrap().to_string(), text);
        }
        let id = Id::parse("/SUBSCRIPTIONS/s/resourcegroups/G/PROVIDERS/microsoft.compute/Disks/D").unwrap();
        assert!(id.is_a("Microsoft.Compute/disks"));
        assert_eq!((id.name(), id.group.as_str()), ("D", "G"));
        assert_eq!(id.key(), Id::new("s", "g", "Microsoft.Compute/disks", &["d"]).key());
    }

    #[test]
    fn what_is_no_name_is_none() {
        for text in [
            "",
            "subscriptions/s/resourceGroups/g",
            "/subscriptions/s",
            "/subscriptions/s/resourceGroups/",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/",
            "/subscriptions/s/groups/g",
        ] {
            assert!(Id::parse(text).is_none(), "{text}");
        }
    }
}
