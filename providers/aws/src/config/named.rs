use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Something of the account, by its id or by a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// `subnet-0a1b2c3d4e5f60718`. It lives in one region.
    Id(String),
    /// `key=value`: what carries this tag, in whichever region is asked.
    Tag {
        /// The tag's key.
        key: String,
        /// The tag's value.
        value: String,
    },
}

impl Named {
    /// Reads an id that begins with `prefix-`, or `key=value`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str, prefix: &str) -> Result<Self, String> {
        let text = text.trim();
        let wanted = || {
            format!("{text:?} is neither an id (\"{prefix}-0123456789abcdef0\") nor a tag (\"key=value\")")
        };
        if let Some((key, value)) = text.split_once('=') {
            let (key, value) = (key.trim(), value.trim());
            if key.is_empty() || value.is_empty() {
                return Err(wanted());
            }
            return Ok(Self::Tag { key: key.to_owned(), value: value.to_owned() });
        }
        // Ids have 17 hexadecimal digits; those from before 2016 have 8.
        let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
        let hex = |digits: &str| {
            digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match digits {
            Some(digits) if hex(digits) => Ok(Self::Id(text.to_owned())),
            _ => Err(wanted()),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.pad(id),
            Self::Tag { key, value } => f.pad(&format!("{key}={value}")),
        }
    }
}

/// A range of addresses, written as EC2 keeps it: the bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Whether these are IPv6 addresses, which EC2 takes in another member.
    pub fn is_v6(self) -> bool {
        self.address.is_ipv6()
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || format!("{text:?} is no range of addresses; they look like \"203.0.113.0/24\"");
        let Some((address, bits)) = text.split_once('/') else {
            return Err(match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => format!("{text:?} is one address: write {:?}", format!("{text}/32")),
                Ok(IpAddr::V6(_)) => format!("{text:?} is one address: write {:?}", format!("{text}/128")),
                Err(_) => wrong(),
            });
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let address = match address {
            IpAddr::V4(address) if bits <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::from((address.to_bits() & mask).to_be_bytes())
            }
            IpAddr::V6(address) if bits <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::from((address.to_bits() & mask).to_be_bytes())
            }
            _ => return Err(wrong()),
        };
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_a_tag_are_told_apart() {
        assert_eq!(Named::parse("sg-0a1b2c3d", "sg"), Ok(Named::Id("sg-0a1b2c3d".to_owned())));
        let tag = Named::parse("team = batch", "sg").unwrap();
        assert_eq!(tag, Named::Tag { key: "team".to_owned(), value: "batch".to_owned() });
        for text in ["", "sg-", "sg-xyz12345", "vpc-0a1b2c3d", "=x", "x=", "default"] {
            let wrong = Named::parse(text, "sg").unwrap_err();
            assert!(wrong.contains("sg-0123456789abcdef0") && wrong.contains("key=value"), "{text}: {wrong}");
        }
    }

    #[test]
    fn a_range_is_kept_as_ec2_keeps_it() {
        for (text, kept) in [
            ("100.68.0.18/18", "100.68.0.0/18"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.7/32", "192.0.2.7/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!(cidr.to_string(), kept);
            assert_eq!(cidr.is_v6(), text.contains(':'));
        }
        for text in ["10.0.0.0/33", "10.0.0/8", "::/129", "a/8", "10.0.0.0/x"] {
            assert!(text.parse::<Cidr>().unwrap_err().contains("203.0.113.0/24"), "{text}");
        }
    }
}
