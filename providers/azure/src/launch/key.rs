//! Who may log in: Azure's Linux machines must have a password or a public key, and ours never have a
//! password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use skyfleet_core::{FleetName, Owner};

/// The user that a machine has where nobody is to log in.
const NOBODY: &str = "skyfleet";

/// A user and a public key: those of the settings, else a key that nobody has the other half of.
pub(super) fn login(given: Option<&str>, owner: &Owner, fleet: &FleetName) -> (String, String) {
    match given.and_then(|given| given.split_once(':')) {
        Some((user, key)) => (user.to_owned(), key.to_owned()),
        None => (NOBODY.to_owned(), nobodys(owner, fleet)),
    }
}

/// A public key out of a digest: no private key was ever made for it, and none can be found. The same
/// for the same fleet, so that a repeated launch is the same request.
fn nobodys(owner: &Owner, fleet: &FleetName) -> String {
    let point = Sha256::digest(format!("skyfleet: nobody logs in to {owner}/{fleet}"));
    let mut blob = Vec::new();
    for part in [b"ssh-ed25519".as_slice(), point.as_slice()] {
        blob.extend(u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
        blob.extend(part);
    }
    format!("ssh-ed25519 {} nobody", STANDARD.encode(blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(fleet: &str) -> (Owner, FleetName) {
        (Owner::parse("ada").unwrap(), FleetName::parse(fleet).unwrap())
    }

    #[test]
    fn without_a_key_there_is_one_that_nobody_has() {
        let (owner, fleet) = named("words");
        let (user, key) = login(None, &owner, &fleet);
        assert_eq!(user, "skyfleet");
        let body = key.split(' ').nth(1).unwrap();
        let blob = STANDARD.decode(body).unwrap();
        assert_eq!((blob.len(), &blob[4..15]), (51, b"ssh-ed25519".as_slice()));
        assert_eq!(login(None, &owner, &fleet).1, key);
        let (_, other) = named("other");
        assert_ne!(login(None, &owner, &other).1, key);
    }

    #[test]
    fn a_given_key_is_taken_as_it_is() {
        let (owner, fleet) = named("words");
        let (user, key) = login(Some("bob:ssh-rsa AAAA bob@home"), &owner, &fleet);
        assert_eq!((user.as_str(), key.as_str()), ("bob", "ssh-rsa AAAA bob@home"));
    }
}
