//! Names of resources: as Azure gives them, and ours.
//!
//! Ours are derived, so that a second call under the same token can only find what the first one
//! made. Azure keeps the case of names and does not tell them apart by it; lists, answers and the
//! machines' own metadata write the same name in different cases. Ours are written in small letters,
//! and an instance's id is always written in one way.

use std::fmt;

use serde::{Deserialize, Serialize};
use skyfleet_core::{FleetName, InstanceId, Owner, Region, Selector, Token, Zone};

/// What an id of a resource says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) subscription: String,
    pub(crate) group: String,
    /// `microsoft.compute/virtualmachines`; of a subnet
    /// `microsoft.network/virtualnetworks/subnets`; empty of a group. In small letters.
    pub(crate) kind: String,
    /// One for each part of the kind behind its provider.
    pub(crate) names: Vec<String>,
}

impl Id {
    /// Reads an id in any case; everything of it is then in small letters. `None` for other texts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let parts: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
        if !parts.iter().all(|part| is_word(part)) {
            return None;
        }
        let (subscription, group, rest) = match &parts[..] {
            ["subscriptions", subscription, "resourcegroups", group, rest @ ..] => {
                (subscription, group, rest)
            }
            _ => return None,
        };
        let mut id = Self {
            subscription: (*subscription).to_owned(),
            group: (*group).to_owned(),
            kind: String::new(),
            names: Vec::new(),
        };
        match rest {
            [] => Some(id),
            ["providers", provider, pairs @ ..] if !pairs.is_empty() && pairs.len() % 2 == 0 => {
                id.kind = (*provider).to_owned();
                for pair in pairs.chunks(2) {
                    id.kind = format!("{}/{}", id.kind, pair[0]);
                    id.names.push(pair[1].to_owned());
                }
                Some(id)
            }
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.names.last().map_or(&self.group, String::as_str)
    }
}

/// The kinds that we make or meet, as Azure writes them.
const KINDS: [&str; 8] = [
    "Microsoft.AzureFleet/fleets",
    "Microsoft.Compute/disks",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/virtualNetworks/subnets",
];

/// Always written in one way.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/subscriptions/{}/resourceGroups/{}", self.subscription, self.group)?;
        let known = KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(&self.kind));
        let mut kinds = known.map_or(self.kind.as_str(), |kind| *kind).split('/');
        let Some(provider) = kinds.next().filter(|provider| !provider.is_empty()) else { return Ok(()) };
        write!(f, "/providers/{provider}")?;
        kinds.zip(&self.names).try_for_each(|(kind, name)| write!(f, "/{kind}/{name}"))
    }
}

/// Whether Azure could have given the name: whatever else stands in a path goes astray.
fn is_word(part: &str) -> bool {
    let legal = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    !part.is_empty() && part.len() <= 260 && part.chars().all(legal) && !part.chars().all(|c| c == '.')
}

/// Whether a text can be a resource group's name (Azure documentation, "Naming rules").
pub(crate) fn is_group(name: &str) -> bool {
    is_word(name) && name.chars().count() <= 90 && !name.ends_with('.')
}

/// A virtual machine, as its id says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Machine(Id);

impl Machine {
    /// `None` for a text that never was a machine's id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Id::parse(text).filter(|id| id.kind == "microsoft.compute/virtualmachines").map(Self)
    }

    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    /// As we always write it.
    pub(crate) fn id(&self) -> InstanceId {
        InstanceId::from(self.0.to_string())
    }
}

/// A subnet that somebody names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet(String);

impl Subnet {
    /// `/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N`;
    /// `None` for other texts.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let id = Id::parse(text).filter(|id| id.kind == "microsoft.network/virtualnetworks/subnets");
        id.map(|_| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn id(&self) -> &str {
        &self.0
    }

    /// The id of the network that it is in.
    pub(crate) fn network(&self) -> &str {
        let end = self.0.rmatch_indices('/').nth(1).map_or(self.0.len(), |(at, _)| at);
        &self.0[..end]
    }
}

/// The region of a zone: `eastus` of `eastus-1`, and of `eastus`, the zone of what is in none.
pub(crate) fn region_of(zone: &Zone) -> Region {
    let zone = zone.as_str();
    Region::from(zone.rsplit_once('-').map_or(zone, |(region, _)| region))
}

/// The number of a zone, as Azure writes it; `None` of what is in none.
pub(crate) fn number_of(zone: &Zone) -> Option<&str> {
    zone.as_str().rsplit_once('-').map(|(_, number)| number)
}

/// The zone of a region with this number.
pub(crate) fn zone_of(region: &str, number: Option<&str>) -> Zone {
    let region = plain(region);
    match number {
        Some(number) => Zone::from(format!("{region}-{number}")),
        None => Zone::from(region),
    }
}

/// `eastus` of `East US`: some answers tell a region by its title.
pub(crate) fn plain(region: &str) -> String {
    region.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

/// One call of a launch: `words-3f2a9c01-3-a` is the first part of launch 3 of the fleet `words`;
/// the digits in the middle stand for the owner. A fleet object bears the name, and the names of its
/// machines begin with it: `words-3f2a9c01-3-a_1f2e3d4c_7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    fleet: FleetName,
    owner: String,
    attempt: u32,
    part: u8,
}

/// How many calls one launch may be made of.
pub(crate) const PARTS_MAX: u8 = 26;

impl Part {
    pub(crate) fn of(token: &Token, part: u8) -> Self {
        Self { fleet: token.fleet().clone(), owner: short(token.owner()), attempt: token.attempt(), part }
    }

    /// The part that a machine or a fleet object is of; `None` for a name that we did not give.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        // No name of ours has an underscore: Azure puts it behind what it was given.
        let own = name.split('_').next()?;
        let mut parts = own.rsplitn(4, '-');
        let (part, attempt, owner, fleet) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let letter = part.bytes().next().filter(|b| part.len() == 1 && b.is_ascii_lowercase())?;
        let read = Self {
            fleet: FleetName::parse(fleet).ok()?,
            owner: owner.to_owned(),
            attempt: attempt.parse().ok()?,
            part: letter - b'a',
        };
        // Not another way to write the same.
        (owner.len() == SHORT && read.to_string() == own).then_some(read)
    }

    /// Whether it is of the owner, and of the fleet if one is named.
    pub(crate) fn is_of(&self, selector: &Selector) -> bool {
        self.owner == short(&selector.owner)
            && selector.fleet.as_ref().is_none_or(|fleet| *fleet == self.fleet)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = char::from(b'a' + self.part.min(PARTS_MAX - 1));
        write!(f, "{}-{}-{}-{part}", self.fleet, self.owner, self.attempt)
    }
}

/// The resource group of a fleet.
pub(crate) fn group(owner: &Owner, fleet: &FleetName) -> String {
    format!("skyfleet-{fleet}-{}", short(owner))
}

/// What a fleet has in a region beside its machines: a network, a security group.
pub(crate) fn of_region(owner: &Owner, fleet: &FleetName, region: &Region) -> String {
    format!("{fleet}-{}-{region}", short(owner))
}

/// How many digits of a digest stand for an owner.
const SHORT: usize = 8;

/// An owner in eight digits: with the fleet's name and a number the whole would be too long.
fn short(owner: &Owner) -> String {
    let mut digits = format!("{:016x}", digest(&owner.as_str()));
    digits.truncate(SHORT);
    digits
}

/// A short name for a content (FNV-1a).
pub(crate) fn digest(content: &impl Serialize) -> u64 {
    let bytes = serde_json::to_vec(content).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A GUID that is the same for the same content.
pub(crate) fn guid(content: &impl Serialize) -> String {
    let (a, b) = (digest(&(content, "a")), digest(&(content, "b")));
    // Version 8 is for what one makes up oneself (RFC 9562).
    let (a, b) = (a & !0xf000 | 0x8000, b & !(0b11 << 62) | (0b10 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(fleet: &str, attempt: u32) -> Token {
        Token::derive(&Owner::parse("ada").unwrap(), &FleetName::parse(fleet).unwrap(), attempt)
    }

    #[test]
    fn an_id_is_the_same_in_every_case() {
        let ours =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/words-1_a_0";
        for text in [ours.to_owned(), ours.to_uppercase(), ours.to_lowercase()] {
            assert_eq!(Machine::parse(&text).unwrap().id().as_str(), ours);
        }
        let subnet =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/V/subnets/n";
        let read = Id::parse(subnet).unwrap();
        assert_eq!((read.kind.as_str(), read.name()), ("microsoft.network/virtualnetworks/subnets", "n"));
        let subnet = Subnet::parse(subnet).unwrap();
        assert!(subnet.network().ends_with("/virtualNetworks/V"), "{}", subnet.network());
        assert_eq!(Id::parse("/subscriptions/s/resourceGroups/G").unwrap().name(), "g");
    }

    #[test]
    fn what_never_was_an_id_is_none() {
        for text in [
            "",
            "never-was",
            "i-0a1b2c3d",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/../x",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a?b",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d",
            "/subscriptions/s/resourceGroups/g",
        ] {
            assert_eq!(Machine::parse(text), None, "{text}");
        }
        assert_eq!(Subnet::parse("/subscriptions/s/resourceGroups/g"), None);
    }

    #[test]
    fn the_longest_names_fit_and_are_read_back() {
        let owner = Owner::parse(&"o".repeat(Owner::LENGTH_MAX)).unwrap();
        let fleet = FleetName::parse(&"f".repeat(FleetName::LENGTH_MAX)).unwrap();
        let longest = Part::of(&Token::derive(&owner, &fleet, 999_999), PARTS_MAX - 1);
        let machine = format!("{longest}_1f2e3d4c_99999");
        // A Linux machine's name has at most 64 characters (Azure documentation, "Naming rules").
        assert!(machine.len() <= 64, "{machine}");
        assert_eq!(Part::parse(&machine), Some(longest.clone()));
        assert_eq!(Part::parse(&longest.to_string()), Some(longest));
        assert!(is_group(&group(&owner, &fleet)));
        assert!(of_region(&owner, &fleet, &"australiasoutheast".into()).len() <= 64);
    }

    #[test]
    fn a_name_tells_whose_it_is() {
        let read = Part::parse(&format!("{}_1f_0", Part::of(&token("a-1", 3), 1))).unwrap();
        let whose = |owner: &str, fleet: Option<&str>| Selector {
            fleet: fleet.map(|fleet| FleetName::parse(fleet).unwrap()),
            ..Selector::owner(&Owner::parse(owner).unwrap())
        };
        assert!(read.is_of(&whose("ada", None)) && read.is_of(&whose("ada", Some("a-1"))));
        assert!(!read.is_of(&whose("bob", None)) && !read.is_of(&whose("ada", Some("a"))));
        for name in ["", "web-1", "a-01234567-3", "a-0123456-3-a", "a-01234567-03-a", "a-01234567-3-ab"] {
            assert_eq!(Part::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_zone_is_a_number_in_a_region() {
        assert_eq!(zone_of("East US", Some("1")), Zone::from("eastus-1"));
        assert_eq!(zone_of("westus", None), Zone::from("westus"));
        assert_eq!(region_of(&"eastus-1".into()), Region::from("eastus"));
        assert_eq!((number_of(&"eastus-1".into()), number_of(&"westus".into())), (Some("1"), None));
    }

    #[test]
    fn a_guid_is_of_its_content_alone() {
        let id = guid(&"a");
        assert_eq!(id, guid(&"a"));
        assert_ne!(id, guid(&"b"));
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
