use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, written as clouds keep it: the bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Whether these are IPv6 addresses.
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
    fn a_range_is_kept_as_clouds_keep_it() {
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
