use skyfleet_core::settings::{At, Cidr, Endpoint, Keys};
use skyfleet_core::{Region, Result, Zone};
use toml::Value;

use crate::whereabouts::region_of;

/// The settings below `[providers.gcp]`. All of them have defaults, and none is a credential: those
/// come from Google's own standard chain, the application default credentials.
///
/// ```toml
/// [providers.gcp]
/// project = "batch-474711"                   # default what the environment, the credentials or the machine name
/// regions = ["us-central1", "europe-west4"]  # only these; default every region that the project has
/// zones = ["us-central1-a"]                  # only these; default all of the regions
/// endpoint_url = "http://127.0.0.1:4002"     # https, or http on this machine; default Google's own
///
/// network = "batch"                          # by name, or projects/HOST/global/networks/NAME; default "default"
/// subnetwork = "workers"                     # by name, in each region; or projects/HOST/regions/REGION/subnetworks/NAME
/// tags = ["egress-only"]                     # network tags of the machines, for firewall rules of one's own
/// ssh_key = "ada:ssh-ed25519 AAAAC3NzaC1lZD" # who may log in, as instance metadata writes it; default nobody
/// ssh_cidr = "203.0.113.0/24"                # who reaches port 22; needs `ssh_key`; default nobody
/// service_account = "worker@batch-474711.iam.gserviceaccount.com" # of the machines; default none
/// image = "projects/debian-cloud/global/images/family/debian-12"  # in place of the fleet's `image`
/// kms_key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k" # encrypts the disks; default Google's
///
/// capacity_advice = true                     # ask for capacity advice and history; default true
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The project; without it what the environment, the credentials or the metadata server name.
    pub project: Option<String>,
    /// Only these regions, in order; empty for every region that the project has.
    pub regions: Vec<Region>,
    /// Only these zones; empty for all of the regions.
    pub zones: Vec<Zone>,
    /// Where all services answer, in place of Google's own addresses.
    pub endpoint_url: Option<String>,
    /// The network, by name or as `projects/HOST/global/networks/NAME`; `None` for `default`, or
    /// that of the subnetwork.
    pub network: Option<String>,
    /// The subnetwork, in each region that is launched in; `None` where the network has one by
    /// itself.
    pub subnetwork: Option<String>,
    /// Network tags that the machines get beside the fleet's own.
    pub tags: Vec<String>,
    /// Who may log in, `USER:KEY` as the metadata key `ssh-keys` writes it.
    pub ssh_key: Option<String>,
    /// Who reaches port 22 of the machines, with the key.
    pub ssh_cidr: Option<Cidr>,
    /// The service account of the machines, by its address; `None` for none.
    pub service_account: Option<String>,
    /// The image, in place of the one that the fleet names.
    pub image: Option<String>,
    /// The KMS key that encrypts the disks; `None` for Google's own.
    pub kms_key: Option<String>,
    /// Whether to ask for capacity advice and history: a project may not be let in to them.
    pub capacity_advice: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            project: None,
            regions: Vec::new(),
            zones: Vec::new(),
            endpoint_url: None,
            network: None,
            subnetwork: None,
            tags: Vec::new(),
            ssh_key: None,
            ssh_cidr: None,
            service_account: None,
            image: None,
            kms_key: None,
            capacity_advice: true,
        }
    }
}

const KEYS: Keys = Keys {
    provider: "gcp",
    known: &[
        "project",
        "regions",
        "zones",
        "endpoint_url",
        "network",
        "subnetwork",
        "tags",
        "ssh_key",
        "ssh_cidr",
        "service_account",
        "image",
        "kms_key",
        "capacity_advice",
    ],
    credentials: "they are Google's application default credentials \
        (`gcloud auth application-default login`, the file that GOOGLE_APPLICATION_CREDENTIALS names, \
        or the service account of the machine)",
};

impl Settings {
    /// Reads the table.
    ///
    /// # Errors
    /// `InvalidConfig`, with the key, what is wrong with it, and what would be right.
    pub fn parse(table: &toml::Table) -> Result<Self> {
        let mut settings = Self::default();
        for (key, value) in table {
            let at = KEYS.at(key);
            match key.as_str() {
                "project" => settings.project = Some(project(at, value)?),
                "regions" => settings.regions = at.regions(value, is_region, "us-central1")?,
                "zones" => settings.zones = zones(at, value)?,
                "endpoint_url" => settings.endpoint_url = Some(at.parsed::<Endpoint>(value)?.into()),
                "network" => settings.network = Some(resource(at, value, "global/networks")?),
                "subnetwork" => {
                    settings.subnetwork = Some(resource(at, value, "regions/us-central1/subnetworks")?);
                }
                "tags" => settings.tags = tags(at, value)?,
                "ssh_key" => settings.ssh_key = Some(ssh_key(at, value)?),
                "ssh_cidr" => settings.ssh_cidr = Some(at.parsed(value)?),
                "service_account" => settings.service_account = Some(service_account(at, value)?),
                "image" => settings.image = Some(at.word(value)?),
                "kms_key" => settings.kms_key = Some(kms_key(at, value)?),
                "capacity_advice" => settings.capacity_advice = at.flag(value)?,
                _ => return Err(at.unknown()),
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// What each setting allows by itself, and all of them together do not.
    fn check(&self) -> Result<()> {
        if self.ssh_cidr.is_some() && self.ssh_key.is_none() {
            let wrong = "nobody could log in: set `ssh_key` too, or leave both out";
            return Err(KEYS.at("ssh_cidr").wrong(wrong));
        }
        let outside = |zone: &&Zone| !self.regions.iter().any(|region| lies_in(zone, region));
        if let Some(zone) = self.zones.iter().find(outside).filter(|_| !self.regions.is_empty()) {
            let wrong = format!("{zone} lies in none of the `regions`: add its region, or leave it out");
            return Err(KEYS.at("zones").wrong(wrong));
        }
        Ok(())
    }
}

fn lies_in(zone: &Zone, region: &Region) -> bool {
    region_of(zone.as_str()) == *region
}

/// `batch-474711`, or `example.com:batch` of the oldest (Resource Manager documentation, "Creating
/// and managing projects"). The number is refused: operations and errors speak of the id.
fn project(at: At<'_>, value: &Value) -> Result<String> {
    let project = at.word(value)?;
    if project.bytes().all(|b| b.is_ascii_digit()) {
        return Err(at.wrong("that is a project's number; its id is wanted, which has letters"));
    }
    let id = project.rsplit_once(':').map_or(project.as_str(), |(_, id)| id);
    let letters = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !letters || !id.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(at.wrong(format!("{project:?} is no project's id; they look like \"batch-474711\"")));
    }
    Ok(project)
}

fn zones(at: At<'_>, value: &Value) -> Result<Vec<Zone>> {
    let mut zones = Vec::new();
    for name in at.texts(value)? {
        let letter = name.rsplit_once('-').is_some_and(|(_, letter)| {
            !letter.is_empty() && letter.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        if !letter || !is_region(region_of(name).as_str()) {
            return Err(at.wrong(format!("{name:?} is no zone; they look like \"us-central1-a\"")));
        }
        zones.push(Zone::from(name));
    }
    zones.sort();
    zones.dedup();
    Ok(zones)
}

/// A name, or a path below a project, with or without the address in front. Kept as it is meant to
/// be sent: the name alone, or `projects/…`.
fn resource(at: At<'_>, value: &Value, collection: &'static str) -> Result<String> {
    let text = at.word(value)?;
    let kind = collection.rsplit('/').next().unwrap_or(collection);
    let wrong =
        || at.wrong(format!("{text:?} is neither a name nor a path like projects/HOST/{collection}/NAME"));
    if is_name(&text) {
        return Ok(text);
    }
    let path = text.find("projects/").map(|start| &text[start..]).ok_or_else(wrong)?;
    let parts: Vec<&str> = path.split('/').collect();
    let wanted = collection.split('/').count() + 3;
    let named = parts.len() == wanted && parts.iter().all(|part| !part.is_empty());
    match (named, parts.last(), parts.iter().rev().nth(1)) {
        (true, Some(name), Some(found)) if is_name(name) && *found == kind => Ok(path.to_owned()),
        _ => Err(wrong()),
    }
}

/// As Compute Engine names what it makes (RFC 1035): up to 63 small letters, digits and dashes.
fn is_name(text: &str) -> bool {
    let letters = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (1..=63).contains(&text.len())
        && letters
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
}

fn tags(at: At<'_>, value: &Value) -> Result<Vec<String>> {
    let tags = at.texts(value)?;
    if let Some(wrong) = tags.iter().find(|tag| !is_name(tag)) {
        let message = format!("{wrong:?} is no network tag: up to 63 small letters, digits and dashes");
        return Err(at.wrong(message));
    }
    Ok(tags.into_iter().map(str::to_owned).collect())
}

/// `USER:TYPE KEY [COMMENT]`, on one line (Compute Engine documentation, "Add SSH keys to VMs").
fn ssh_key(at: At<'_>, value: &Value) -> Result<String> {
    let text = at.word(value)?;
    let wrong =
        || at.wrong("it is no line like \"ada:ssh-ed25519 AAAA…\": the user, a colon, the public key");
    let (user, key) = text.split_once(':').ok_or_else(wrong)?;
    let mut words = key.split_whitespace();
    let known = words.next().is_some_and(|kind| kind.starts_with("ssh-") || kind.starts_with("ecdsa-"));
    let plain = !user.is_empty() && !user.contains(char::is_whitespace) && !text.contains('\n');
    if plain && known && words.next().is_some() { Ok(text) } else { Err(wrong()) }
}

fn service_account(at: At<'_>, value: &Value) -> Result<String> {
    let text = at.word(value)?;
    let address = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if text != "default" && !address {
        let example = "worker@PROJECT.iam.gserviceaccount.com";
        return Err(at.wrong(format!("{text:?} is no service account; they look like {example:?}")));
    }
    Ok(text)
}

fn kms_key(at: At<'_>, value: &Value) -> Result<String> {
    let text = at.word(value)?;
    let parts: Vec<&str> = text.split('/').collect();
    let shaped = matches!(parts.as_slice(),
        ["projects", _, "locations", _, "keyRings", _, "cryptoKeys", _, rest @ ..]
            if matches!(rest, [] | ["cryptoKeyVersions", _]));
    if !shaped || parts.iter().any(|part| part.is_empty()) {
        let example = "projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY";
        return Err(at.wrong(format!("{text:?} is no KMS key; they look like {example:?}")));
    }
    Ok(text)
}

/// `us-central1`, `australia-southeast1`: only the shape; whether there is one says Compute Engine.
fn is_region(name: &str) -> bool {
    let Some((continent, rest)) = name.split_once('-') else { return false };
    let place = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    word(continent) && word(place) && place.len() < rest.len()
}

#[cfg(test)]
mod tests {
    use skyfleet_core::ErrorKind;

    use super::*;

    fn parse(text: &str) -> Result<Settings> {
        Settings::parse(&text.parse().unwrap())
    }

    #[test]
    fn an_empty_table_is_the_project_as_it_is() {
        assert_eq!(parse("").unwrap(), Settings::default());
        assert!(Settings::default().capacity_advice);
    }

    #[test]
    fn the_documented_example_is_read_whole() {
        let source = include_str!("config.rs");
        let example: Vec<&str> = source
            .lines()
            .skip_while(|line| *line != "/// ```toml")
            .skip(1)
            .take_while(|line| *line != "/// ```")
            .map(|line| line.trim_start_matches("///").trim_start())
            .collect();
        let table: toml::Table = example.join("\n").parse().unwrap();
        let own = table["providers"]["gcp"].as_table().unwrap();
        assert!(KEYS.known.iter().all(|key| own.contains_key(*key)), "{own:?}");
        let settings = Settings::parse(own).unwrap();
        assert_eq!(settings.regions, [Region::from("europe-west4"), "us-central1".into()]);
        assert_eq!(settings.ssh_cidr.unwrap().to_string(), "203.0.113.0/24");
        assert_eq!(settings.network.as_deref(), Some("batch"));
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_would_be_right() {
        for (text, key, part) in [
            ("region = [\"us-central1\"]", "region", "did you mean \"regions\""),
            ("colour = 1", "colour", "known: project"),
            ("project = \"123456789012\"", "project", "number"),
            ("project = \"My Project\"", "project", "look like \"batch-474711\""),
            ("regions = [\"us-central1-a\"]", "regions", "look like \"us-central1\""),
            ("regions = [\"us-east-1\"]", "regions", "look like \"us-central1\""),
            ("zones = [\"us-central1\"]", "zones", "look like \"us-central1-a\""),
            ("regions = [\"us-east1\"]\nzones = [\"us-central1-a\"]", "zones", "none of the `regions`"),
            ("endpoint_url = \"http://compute.example.com\"", "endpoint_url", "take https"),
            ("network = \"Default\"", "network", "global/networks"),
            ("network = \"projects/p/global/firewalls/x\"", "network", "global/networks"),
            ("subnetwork = \"projects/p/subnetworks/x\"", "subnetwork", "regions/us-central1/subnetworks"),
            ("tags = [\"A\"]", "tags", "network tag"),
            ("ssh_key = \"AAAA\"", "ssh_key", "ada:ssh-ed25519"),
            ("ssh_cidr = \"10.0.0.0/8\"", "ssh_cidr", "ssh_key"),
            ("service_account = \"worker\"", "service_account", "iam.gserviceaccount.com"),
            ("image = \" \"", "image", "leave it out"),
            ("kms_key = \"alias/batch\"", "kms_key", "cryptoKeys"),
            ("capacity_advice = 1", "capacity_advice", "true or false"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
            assert_eq!(error.fact("key"), Some(format!("providers.gcp.{key}").as_str()), "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_credential_is_refused_with_advice_and_is_not_repeated() {
        for text in ["private_key = \"HUSH\"", "access_token = \"HUSH\"", "credentials = \"HUSH\""] {
            let error = parse(text).unwrap_err();
            assert!(error.message().contains("application default credentials"), "{text}: {error}");
            assert!(!format!("{error:?}").contains("HUSH"), "{error:?}");
        }
    }

    #[test]
    fn networks_are_taken_by_name_path_and_address() {
        for (text, kept) in [
            ("batch", "batch"),
            ("projects/host/global/networks/batch", "projects/host/global/networks/batch"),
            (
                "https://www.googleapis.com/compute/v1/projects/host/global/networks/batch",
                "projects/host/global/networks/batch",
            ),
        ] {
            assert_eq!(parse(&format!("network = {text:?}")).unwrap().network.as_deref(), Some(kept));
        }
    }

    #[test]
    fn a_zone_lies_in_the_region_that_its_name_begins_with() {
        for (zone, region, within) in [
            ("us-central1-a", "us-central1", true),
            ("us-central1-ai1a", "us-central1", true),
            ("us-central1-a", "us-central", false),
            ("us-east1-b", "us-central1", false),
        ] {
            assert_eq!(lies_in(&zone.into(), &region.into()), within, "{zone} {region}");
        }
    }
}
