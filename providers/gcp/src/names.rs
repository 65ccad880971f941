//! The names that we give. Compute Engine knows things by them, and takes lower-case letters,
//! digits and hyphens, at most 63 (Compute Engine documentation, "Naming resources").
//!
//! They are derived, so that a second call under the same token can only find what the first one
//! made, and no machine ever gets the name of a disk that another launch left: it would be started
//! from that disk (Compute Engine API reference, `disks[].initializeParams.diskName`).

use serde::Serialize;
use skyfleet_core::{FleetName, Owner, Selector, Token};

/// An instance of ours: `words-3f2a9c01d4-3-a0007` is number 7 of the first part of launch 3 of
/// the fleet `words`; the digits in the middle stand for the owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InstanceName {
    fleet: FleetName,
    owner: String,
    attempt: u32,
    part: u8,
    number: u32,
}

/// How many calls one launch may be made of.
pub(crate) const PARTS_MAX: u8 = 26;

impl InstanceName {
    /// The names of one call of a launch, which is its part number `part`.
    pub(crate) fn of_launch(token: &Token, part: u8, count: u32) -> impl Iterator<Item = Self> + use<> {
        let (fleet, owner) = (token.fleet().clone(), short(token.owner()));
        let attempt = token.attempt();
        (1..=count).map(move |number| Self {
            fleet: fleet.clone(),
            owner: owner.clone(),
            attempt,
            part,
            number,
        })
    }

    /// `None` for a name that we did not give.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.rsplitn(4, '-');
        let (last, attempt, owner, fleet) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let part = last.bytes().next().filter(u8::is_ascii_lowercase)?;
        let read = Self {
            fleet: FleetName::parse(fleet).ok()?,
            owner: owner.to_owned(),
            attempt: attempt.parse().ok()?,
            part: part - b'a',
            number: last.get(1..)?.parse().ok()?,
        };
        // Not another way to write the same.
        (owner.len() == SHORT && read.to_string() == name).then_some(read)
    }

    /// Whether the instance is of the owner, and of the fleet if one is named.
    pub(crate) fn is_of(&self, selector: &Selector) -> bool {
        self.owner == short(&selector.owner)
            && selector.fleet.as_ref().is_none_or(|fleet| *fleet == self.fleet)
    }
}

impl std::fmt::Display for InstanceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = char::from(b'a' + self.part.min(PARTS_MAX - 1));
        write!(f, "{}-{}-{}-{part}{:04}", self.fleet, self.owner, self.attempt, self.number)
    }
}

/// What the names of an owner's firewall rules begin with.
pub(crate) fn firewall_prefix(owner: &Owner) -> String {
    format!("skyfleet-{}-", short(owner))
}

/// A fleet's firewall rule, also the network tag that ties it to the machines. Named by its
/// content: another rule has another name.
pub(crate) fn firewall(owner: &Owner, fleet: &FleetName, content: &impl Serialize) -> String {
    format!("{}{fleet}-{:08x}", firewall_prefix(owner), digest(content) >> 32)
}

/// The id that makes a call idempotent: a UUID, the same for the same call of the same launch.
pub(crate) fn request_id(token: &Token, part: u8) -> String {
    let text = token.to_string();
    let (a, b) = (digest(&(&text, part, "a")), digest(&(&text, part, "b")));
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

/// How many digits of a digest stand for an owner.
const SHORT: usize = 10;

/// An owner in ten digits: with the fleet's name and a number the whole would be too long.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn token(fleet: &str, attempt: u32) -> Token {
        Token::derive(&Owner::parse("ada").unwrap(), &FleetName::parse(fleet).unwrap(), attempt)
    }

    #[test]
    fn the_longest_names_fit_and_are_read_back() {
        let owner = Owner::parse(&"o".repeat(Owner::LENGTH_MAX)).unwrap();
        let fleet = FleetName::parse(&"f".repeat(FleetName::LENGTH_MAX)).unwrap();
        let token = Token::derive(&owner, &fleet, u32::MAX);
        let longest = InstanceName::of_launch(&token, PARTS_MAX - 1, 1_000).last().unwrap();
        assert!(longest.to_string().len() <= 63, "{longest}");
        assert_eq!(InstanceName::parse(&longest.to_string()), Some(longest));
        let rule = firewall(&owner, &fleet, &"x");
        assert!(rule.len() <= 63 && rule.starts_with(&firewall_prefix(&owner)), "{rule}");
    }

    #[test]
    fn a_name_tells_whose_it_is() {
        let names: Vec<_> = InstanceName::of_launch(&token("a-1", 3), 1, 2).collect();
        assert!(names[1].to_string().ends_with("-3-b0002"), "{}", names[1]);
        let read = InstanceName::parse(&names[1].to_string()).unwrap();
        let whose = |owner: &str, fleet: Option<&str>| Selector {
            fleet: fleet.map(|fleet| FleetName::parse(fleet).unwrap()),
            ..Selector::owner(&Owner::parse(owner).unwrap())
        };
        assert!(read.is_of(&whose("ada", None)) && read.is_of(&whose("ada", Some("a-1"))));
        assert!(!read.is_of(&whose("bob", None)) && !read.is_of(&whose("ada", Some("a"))));
    }

    #[test]
    fn other_names_are_none_of_ours() {
        for name in [
            "",
            "web-1",
            "a-0123456789-3-0001",
            "a-012345678-3-a0001",
            "a-0123456789-03-a0001",
            "a-0123456789-3-a001",
        ] {
            assert_eq!(InstanceName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_request_id_is_a_uuid_of_its_call_alone() {
        let id = request_id(&token("words", 3), 0);
        assert_eq!(id, request_id(&token("words", 3), 0));
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert!(id.as_bytes()[14] == b'8' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
        let others = [
            request_id(&token("words", 4), 0),
            request_id(&token("words", 3), 1),
            request_id(&token("word", 3), 0),
        ];
        assert!(!others.contains(&id));
    }
}
