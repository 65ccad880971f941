pub(crate) mod material;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::Timestamp;

use crate::aws::Request;
use crate::aws::creation::{new_id, tags_at_creation};
use crate::aws::error::{coded, invalid};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::keys::material::{KeyType, PublicKey};
use crate::aws::state::State;
use crate::aws::xml::{Items, Tag, tag_set};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The account's key pairs, by region and name.
#[derive(Debug, Default)]
pub(crate) struct Keys(BTreeMap<(String, String), KeyPair>);

#[derive(Debug)]
struct KeyPair {
    id: String,
    name: String,
    public: PublicKey,
    fingerprint: String,
    created: Timestamp,
}

/// Whether there is such a key pair, for a launch.
///
/// # Errors
/// `InvalidKeyPair.NotFound`.
pub(crate) fn check(state: &State, region: &str, name: &str) -> Result<(), Refusal> {
    public_key(state, region, name).map(|_| ()).ok_or_else(|| unknown(name))
}

/// The public key of a pair as OpenSSH writes it, for the metadata service.
pub(crate) fn public_key(state: &State, region: &str, name: &str) -> Option<String> {
    let pair = state.keys.0.get(&(region.to_owned(), name.to_owned()))?;
    Some(format!("{} {name}", pair.public))
}

/// `CreateKeyPair`: EC2 makes it and tells the private key, once.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let name = name(root.required("KeyName")?)?;
    let kind = match root.text("KeyType") {
        None | Some("rsa") => KeyType::Rsa,
        Some("ed25519") => KeyType::Ed25519,
        Some(other) => return Err(invalid("KeyType", other, "rsa or ed25519")),
    };
    match root.text("KeyFormat") {
        None | Some("pem") => {}
        Some("ppk") => {
            let message = "This simulated EC2 gives key material as pem only.";
            return Err(coded(400, "UnsupportedOperation", message));
        }
        Some(other) => return Err(invalid("KeyFormat", other, "pem or ppk")),
    }
    let tags = tags_at_creation(&root, "key-pair")?;
    let (pair, material) = request.call(0, |kernel, state| {
        let secret = new_id(kernel, state, "secret");
        let (public, material, fingerprint) = material::make(kind, &secret);
        let pair = keep(kernel, state, request.region, name, (public, fingerprint), tags)?;
        Ok((pair, material))
    })?;
    request.answer(&Created { pair, key_material: Some(material) })
}

/// `ImportKeyPair`: the caller brings the public key.
pub(crate) fn import(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let name = name(root.required("KeyName")?)?;
    let (public, fingerprint) = material::read(root.required("PublicKeyMaterial")?)?;
    let tags = tags_at_creation(&root, "key-pair")?;
    let pair = request
        .call(0, |kernel, state| keep(kernel, state, request.region, name, (public, fingerprint), tags))?;
    request.answer(&Created { pair, key_material: None })
}

fn keep(
    kernel: &mut Kernel,
    state: &mut State,
    region: &str,
    name: &str,
    (public, fingerprint): (PublicKey, String),
    tags: BTreeMap<String, String>,
) -> Result<Pair, Refusal> {
    let key = (region.to_owned(), name.to_owned());
    if state.keys.0.contains_key(&key) {
        let message = format!("The keypair '{name}' already exists.");
        return Err(coded(400, "InvalidKeyPair.Duplicate", message));
    }
    let id = new_id(kernel, state, "key");
    let told = Pair {
        key_pair_id: id.clone(),
        tag_set: tag_set(&tags),
        key_name: name.to_owned(),
        key_fingerprint: fingerprint.clone(),
    };
    kernel.make_fixture(FixtureKind::KeyPair, id.as_str(), region, tags);
    let pair = KeyPair { id, name: name.to_owned(), public, fingerprint, created: kernel.now() };
    state.keys.0.insert(key, pair);
    Ok(told)
}

/// `DeleteKeyPair`, by name or id. EC2 API: one that is not there is no error.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let (name, id) = (root.text("KeyName"), root.text("KeyPairId"));
    if name.is_none() && id.is_none() {
        let message = "Either the KeyName or the KeyPairId parameter must be specified.";
        return Err(coded(400, "MissingParameter", message));
    }
    let key_pair_id = request.call(0, |kernel, state| {
        let is = |pair: &KeyPair| match id {
            Some(id) => pair.id == id,
            None => Some(pair.name.as_str()) == name,
        };
        let mut pairs = state.keys.0.iter();
        let found = pairs.find(|((region, _), pair)| region == request.region && is(pair));
        let Some((key, id)) = found.map(|(key, pair)| (key.clone(), pair.id.clone())) else {
            return Ok(None);
        };
        kernel.delete_fixture(&id)?;
        state.keys.0.remove(&key);
        Ok(Some(id))
    })?;
    request.answer(&Deleted { done: true, key_pair_id })
}

/// `DescribeKeyPairs`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let filters = Filters::read(&root, &["key-pair-id", "fingerprint", "key-name"])?;
    let (names, ids) = (root.texts("KeyName"), root.texts("KeyPairId"));
    let with_key = root.flag("IncludePublicKey")?.unwrap_or(false);
    let pairs = request.call(0, |kernel, state| {
        let pairs: Vec<&KeyPair> =
            state.keys.0.iter().filter(|((of, _), _)| of == region).map(|(_, pair)| pair).collect();
        if let Some(name) = names.iter().find(|name| pairs.iter().all(|pair| pair.name != **name)) {
            return Err(unknown(name));
        }
        if let Some(id) = ids.iter().find(|id| pairs.iter().all(|pair| pair.id != **id)) {
            return Err(unknown(id));
        }
        let wanted = |pair: &&KeyPair| {
            names.is_empty() && ids.is_empty()
                || names.contains(&pair.name.as_str())
                || ids.contains(&pair.id.as_str())
        };
        let seen = pairs.into_iter().filter(wanted).map(|pair| {
            let fixture = kernel.fixture(&pair.id);
            Seen { pair, tags: fixture.map(|fixture| Arc::clone(&fixture.tags)).unwrap_or_default() }
        });
        Ok(seen.filter(|seen| filters.matches(seen)).map(|seen| seen.told(with_key)).collect())
    })?;
    request.answer(&Many { key_set: pairs })
}

/// EC2 API, `CreateKeyPair`: up to 255 ASCII characters.
fn name(name: &str) -> Result<&str, Refusal> {
    match name.len() <= 255 && name.is_ascii() {
        true => Ok(name),
        false => Err(invalid("KeyName", name, "at most 255 ASCII characters")),
    }
}

fn unknown(name: &str) -> Refusal {
    coded(400, "InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist"))
}

struct Seen<'a> {
    pair: &'a KeyPair,
    tags: Arc<BTreeMap<String, String>>,
}

impl Seen<'_> {
    fn told(&self, with_key: bool) -> Told {
        let pair = self.pair;
        Told {
            pair: Pair {
                key_pair_id: pair.id.clone(),
                tag_set: tag_set(&self.tags),
                key_name: pair.name.clone(),
                key_fingerprint: pair.fingerprint.clone(),
            },
            key_type: pair.public.kind.as_str(),
            public_key: with_key.then(|| format!("{} {}", pair.public, pair.name)),
            create_time: pair.created,
        }
    }
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value = match filter {
            "key-pair-id" => self.pair.id.as_str(),
            "fingerprint" => self.pair.fingerprint.as_str(),
            "key-name" => self.pair.name.as_str(),
            _ => return None,
        };
        Some(vec![value.into()])
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

/// What all answers say of a pair.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    key_pair_id: String,
    tag_set: Items<Tag>,
    key_name: String,
    key_fingerprint: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    #[serde(flatten)]
    pair: Pair,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    #[serde(rename = "return")]
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_pair_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    key_set: Items<Told>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    pair: Pair,
    key_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    create_time: Timestamp,
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::Trial;

    #[test]
    fn a_pair_is_made_once_and_deleted_as_often_as_one_likes() {
        let trial = Trial::new();
        let id = trial.get("CreateKeyPair", "KeyName=k&KeyType=ed25519", "keyPairId");
        assert_eq!(trial.refusal("CreateKeyPair", "KeyName=k"), "InvalidKeyPair.Duplicate");
        assert_eq!(trial.refusal("CreateKeyPair", "KeyName=j&KeyType=dsa"), "InvalidParameterValue");
        assert_eq!(trial.get("DescribeKeyPairs", "KeyName.1=k", "keyPairId"), id);
        assert_eq!(trial.refusal("DescribeKeyPairs", "KeyName.1=j"), "InvalidKeyPair.NotFound");
        assert_eq!(trial.face.world.ledger().blocking.len(), 1);
        for _ in 0..2 {
            trial.ask("DeleteKeyPair", "KeyName=k").unwrap();
        }
        assert!(trial.face.world.ledger().proves_empty());
    }

    #[test]
    fn the_public_key_of_an_import_is_told_back() {
        let trial = Trial::new();
        trial.ask("CreateKeyPair", "KeyName=k").unwrap();
        let public = trial.get("DescribeKeyPairs", "IncludePublicKey=true", "publicKey");
        let material = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &public);
        let material: String = form_urlencoded::byte_serialize(material.as_bytes()).collect();
        trial.ask("ImportKeyPair", &format!("KeyName=i&PublicKeyMaterial={material}")).unwrap();
        let told = trial.get("DescribeKeyPairs", "KeyName.1=i&IncludePublicKey=true", "publicKey");
        assert_eq!(told.split(' ').nth(1), public.split(' ').nth(1));
    }
}
