use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use skyfleet_core::Timestamp;

use crate::server::signature::{hex, mac};

/// The longest session: six hours (EC2 user guide, "Use the Instance Metadata Service").
pub(crate) const TTL_S_MAX: u32 = 21_600;

/// Session tokens. Nothing is kept of them: a token says itself until when it holds, and a keyed
/// digest says that it was given here, to this instance.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: Vec<u8>,
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        Self { key: mac(&seed.to_le_bytes(), "metadata tokens") }
    }

    /// A token for an instance, for so many seconds from now on.
    pub(crate) fn give(&self, instance: &str, now: Timestamp, ttl_s: u32) -> String {
        let end = now.as_second() + i64::from(ttl_s);
        URL_SAFE.encode(format!("{end}:{}", self.digest(instance, end)))
    }

    /// For how many seconds a token still holds for an instance; `None` when it does not.
    pub(crate) fn left(&self, token: &str, instance: &str, now: Timestamp) -> Option<u32> {
        let text = String::from_utf8(URL_SAFE.decode(token).ok()?).ok()?;
        let (end, digest) = text.split_once(':')?;
        let end: i64 = end.parse().ok()?;
        let left = u32::try_from(end - now.as_second()).ok().filter(|left| *left > 0)?;
        (self.digest(instance, end) == digest).then_some(left)
    }

    fn digest(&self, instance: &str, end: i64) -> String {
        hex(&mac(&self.key, &format!("{instance} {end}"))[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_instance_and_its_time() {
        let tokens = Tokens::new(7);
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let token = tokens.give("i-1", at(1_000), 60);
        assert_eq!(tokens.left(&token, "i-1", at(1_000)), Some(60));
        assert_eq!(tokens.left(&token, "i-1", at(1_059)), Some(1));
        assert_eq!(tokens.left(&token, "i-1", at(1_060)), None);
        assert_eq!(tokens.left(&token, "i-2", at(1_000)), None);
        assert_eq!(Tokens::new(8).left(&token, "i-1", at(1_000)), None);
        for wrong in ["", "AAAA", "not base 64!"] {
            assert_eq!(tokens.left(wrong, "i-1", at(1_000)), None);
        }
    }
}
