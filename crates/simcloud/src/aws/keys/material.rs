use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::aws::error::coded;
use crate::refusal::Refusal;
use crate::seed;

/// The kinds of keys that EC2 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    Rsa,
    Ed25519,
}

impl KeyType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }

    /// OpenSSH's name of it.
    fn ssh(self) -> &'static str {
        match self {
            Self::Rsa => "ssh-rsa",
            Self::Ed25519 => "ssh-ed25519",
        }
    }
}

/// A public key, as OpenSSH writes it: `ssh-ed25519 AAAA…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub(crate) kind: KeyType,
    blob: Vec<u8>,
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.ssh(), STANDARD.encode(&self.blob))
    }
}

/// A pair: the public key, the private one in PEM, and the fingerprint. All have the shape of real
/// ones and none opens anything: no simulated machine listens to SSH.
pub(crate) fn make(kind: KeyType, secret: &str) -> (PublicKey, String, String) {
    let mut random = seed::stream(seed::digest(&[secret.as_bytes()]), "key pair");
    let mut bytes = |length: usize| (0..length).map(|_| random.random::<u8>()).collect::<Vec<u8>>();
    let mut blob = field(kind.ssh().as_bytes());
    let (label, private, fingerprint_bytes) = match kind {
        KeyType::Rsa => {
            blob.extend(field(&[1, 0, 1]));
            // A modulus of 2,048 bits: an odd number whose highest bit is set.
            let mut modulus = bytes(256);
            modulus[0] |= 0x80;
            modulus[255] |= 1;
            modulus.insert(0, 0);
            blob.extend(field(&modulus));
            ("RSA PRIVATE KEY", bytes(1_190), 20)
        }
        KeyType::Ed25519 => {
            blob.extend(field(&bytes(32)));
            ("OPENSSH PRIVATE KEY", bytes(262), 32)
        }
    };
    let text = STANDARD.encode(&private);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let material = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"));
    // EC2 user guide, "Verify the fingerprint": SHA-1 of the private key of a pair that EC2 made.
    let fingerprint = match kind {
        KeyType::Rsa => pairs(&Sha256::digest(&private)[..fingerprint_bytes]),
        KeyType::Ed25519 => STANDARD.encode(Sha256::digest(&blob)),
    };
    (PublicKey { kind, blob }, material, fingerprint)
}

/// A public key that a caller brings, in base64: OpenSSH's line, or the same as RFC 4716 has it.
///
/// # Errors
/// `InvalidKey.Format`.
pub(crate) fn read(material: &str) -> Result<(PublicKey, String), Refusal> {
    let wrong = || coded(400, "InvalidKey.Format", "Key is not in valid OpenSSH public key format");
    let bytes = STANDARD.decode(material.split_whitespace().collect::<String>()).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let encoded = match text.trim().strip_prefix("---- BEGIN SSH2 PUBLIC KEY ----") {
        Some(rest) => {
            let body = rest.split("---- END").next().unwrap_or_default();
            body.lines().filter(|line| !line.contains(':')).map(str::trim).collect::<String>()
        }
        None => text.split_whitespace().nth(1).unwrap_or_default().to_owned(),
    };
    let blob = STANDARD.decode(&encoded).map_err(|_| wrong())?;
    let kind = [KeyType::Rsa, KeyType::Ed25519].into_iter().find(|kind| {
        let head = field(kind.ssh().as_bytes());
        blob.starts_with(&head) && blob.len() > head.len()
    });
    let key = PublicKey { kind: kind.ok_or_else(wrong)?, blob };
    // The same page: MD5 of an RSA key that was imported, in pairs of digits. The simulated one has
    // that shape and is no MD5.
    let fingerprint = match key.kind {
        KeyType::Rsa => pairs(&Sha256::digest(&key.blob)[..16]),
        KeyType::Ed25519 => STANDARD.encode(Sha256::digest(&key.blob)),
    };
    Ok((key, fingerprint))
}

/// A field of OpenSSH's format: its length, then its bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// `1f:51:ae`.
fn pairs(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_ec2_makes_has_the_shape_of_a_real_one() {
        let (public, material, fingerprint) = make(KeyType::Rsa, "one");
        assert!(material.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "{material}");
        assert!(material.ends_with("\n-----END RSA PRIVATE KEY-----"), "{material}");
        assert_eq!(fingerprint.len(), 59);
        assert!(public.to_string().starts_with("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ"), "{public}");
        assert_ne!(make(KeyType::Rsa, "two").2, fingerprint);
        assert_eq!(make(KeyType::Ed25519, "one").2.len(), 44);
    }

    #[test]
    fn an_imported_key_is_known_by_what_it_says_inside() {
        let line = |key: &PublicKey| STANDARD.encode(format!("{key} me@home"));
        for kind in [KeyType::Rsa, KeyType::Ed25519] {
            let (public, ..) = make(kind, "one");
            assert_eq!(read(&line(&public)).unwrap().0, public);
        }
        for wrong in ["", "bm9uc2Vuc2U=", "%%%"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
