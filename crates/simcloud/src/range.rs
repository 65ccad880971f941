use std::net::Ipv4Addr;

/// IPv4 addresses that begin alike: `10.0.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) bits: u32,
}

impl Range {
    /// `None` for a text of another shape, and for an address that does not begin the range.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, bits) = text.split_once('/')?;
        let (first, bits): (Ipv4Addr, u32) = (first.parse().ok()?, bits.parse().ok()?);
        let range = Self { first: first.into(), bits };
        (bits <= 32 && range.first & range.mask() == range.first).then_some(range)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - self.bits).unwrap_or(0)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        let mask = self.mask() & other.mask();
        self.first & mask == other.first & mask
    }

    pub(crate) fn holds(self, other: Self) -> bool {
        self.bits <= other.bits && self.overlaps(other)
    }

    /// The addresses that an interface may have. Azure documentation, "Azure Virtual Network FAQ":
    /// the first four and the last are Azure's own.
    pub(crate) fn usable(self) -> impl Iterator<Item = Ipv4Addr> {
        let last = self.first | !self.mask();
        (self.first.saturating_add(4)..last).map(Ipv4Addr::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_begins_alike() {
        let range = |text: &str| Range::parse(text).unwrap();
        assert!(range("10.0.0.0/16").holds(range("10.0.1.0/24")));
        assert!(!range("10.0.1.0/24").holds(range("10.0.0.0/16")));
        assert!(range("10.0.1.0/24").overlaps(range("10.0.0.0/16")));
        assert!(!range("10.1.0.0/24").overlaps(range("10.0.0.0/16")));
        assert!(
            ["10.0.0.1/16", "10.0.0.0", "10.0.0.0/33", "x/8", ""]
                .iter()
                .all(|text| Range::parse(text).is_none())
        );
        assert_eq!(
            range("10.0.0.0/29").usable().map(|a| a.to_string()).collect::<Vec<_>>(),
            ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
        );
    }
}
