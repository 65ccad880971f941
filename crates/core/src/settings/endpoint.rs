use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a cloud's services answer: over the network only what is encrypted, on this machine
/// anything. Kept without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('/');
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it is no URL: they begin with https://".to_owned());
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // Nothing of it is repeated: what stands before the sign may be a password.
        if authority.contains('@') {
            return Err("a URL with a user or a password in it is not accepted".to_owned());
        }
        if rest.contains(['?', '#']) || text.contains(char::is_whitespace) {
            return Err("it is no URL of a service: nothing comes after its path".to_owned());
        }
        let host = host(authority).ok_or_else(|| format!("it is no URL: {authority:?} is no host"))?;
        match scheme {
            "https" => Ok(Self(text.to_owned())),
            "http" if is_this_machine(host) => Ok(Self(text.to_owned())),
            "http" => {
                Err(format!("{host} is another machine: take https, requests are not sent there in the open"))
            }
            scheme => Err(format!("{scheme:?} is no way to call a cloud: take https")),
        }
    }
}

/// Whether a URL leads to this machine: then the cloud behind it is simulated.
pub fn is_near(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host(authority).is_some_and(is_this_machine)
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The host of `host`, `host:port`, `[::1]` and `[::1]:port`.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at(end);
            let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
            (Some(host).filter(|host| named && !host.is_empty())?, port)
        }
    };
    let numbered = port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok();
    numbered.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_on_this_machine_need_no_encryption() {
        for url in [
            "http://127.0.0.1:4001",
            "http://localhost:4001",
            "http://[::1]:4001",
            "http://127.9.9.9",
            "https://example.com",
            "https://example.com:8443/base",
        ] {
            assert_eq!(format!("{url}/").parse::<Endpoint>().unwrap().as_str(), url);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_told_why() {
        for (text, part) in [
            ("http://ec2.example.com", "take https"),
            ("http://127.0.0.1.example.com", "take https"),
            ("ftp://127.0.0.1", "take https"),
            ("127.0.0.1", "no URL"),
            ("https://", "no URL"),
            ("https://:80", "no host"),
            ("https://a:b", "no host"),
            ("https://[::1", "no host"),
            ("https://a b", "no URL"),
            ("https://example.com?x=1", "nothing comes after"),
        ] {
            let wrong = text.parse::<Endpoint>().unwrap_err();
            assert!(wrong.contains(part), "{text}: {wrong}");
        }
        let wrong = "https://ada:hush@example.com".parse::<Endpoint>().unwrap_err();
        assert!(wrong.contains("password") && !wrong.contains("hush"), "{wrong}");
    }

    #[test]
    fn only_an_endpoint_of_this_computer_is_near() {
        for (url, near) in [
            ("http://127.0.0.1:4001", true),
            ("http://localhost:4001", true),
            ("http://[::1]:4001/", true),
            ("http://127.9.9.9", true),
            ("https://ec2.us-east-1.amazonaws.com", false),
            ("https://127.0.0.1.example.com", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_near(url), near, "{url}");
        }
    }
}
