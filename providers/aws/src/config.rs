use std::net::IpAddr;

use skyfleet_core::{Error, ErrorKind, Region, Result};
use toml::Value;

mod named;

pub use named::{Cidr, Named};

/// The settings below `[providers.aws]`. All of them have defaults, and none is a credential: those
/// come from the AWS SDK's own standard chain (environment, shared files, SSO, web identity,
/// container and instance roles), of which `profile` chooses one.
///
/// ```toml
/// [providers.aws]
/// regions = ["us-east-1", "eu-west-1"]       # only these; default every region the account has enabled
/// profile = "batch"                          # of the shared config and credentials files
/// endpoint_url = "http://127.0.0.1:4001"     # https, or http on this machine; default Amazon's own
///
/// vpc = "vpc-0a1b2c3d4e5f60718"              # by id or tag; default the default VPC of each region
/// subnets = ["subnet-0a1b2c3d4e5f60718", "tier=batch"] # by id or tag; default all of the VPC
/// security_groups = ["access=egress-only"]   # by id or tag; default one of the fleet's own, nothing inbound
/// key_name = "ada"                           # an EC2 key pair that the machines let in; default none
/// ssh_cidr = "203.0.113.0/24"                # who reaches port 22; needs `key_name`; default nobody
/// instance_profile = "batch-worker"          # an IAM instance profile, name or ARN; default none
/// image = "role=batch-worker"                # by id or tag, in place of the fleet's `image`
/// kms_key = "alias/batch"                    # encrypts the disks; default the account's EBS key
/// metadata_hop_limit = 1                     # 2 for containers that ask the metadata service; default 1
///
/// queue_url = "https://sqs.us-east-1.amazonaws.com/123456789012/spot" # EventBridge's notices; default none
/// placement_scores = true                    # ask for spot placement scores; default true
/// ```
///
/// What is named by a tag (`key=value`) is looked up in each region, so that one config serves
/// several; an id lives in one region only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Only these regions, in order; empty for every region that the account has enabled.
    pub regions: Vec<Region>,
    /// Which profile of the shared config and credentials files.
    pub profile: Option<String>,
    /// Where all services answer, in place of Amazon's own addresses. Without it the SDK's
    /// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_EC2` are honoured.
    pub endpoint_url: Option<String>,
    /// The network; `None` for the default VPC of each region.
    pub vpc: Option<Named>,
    /// The subnets; empty for all of the network, one per zone.
    pub subnets: Vec<Named>,
    /// The security groups; empty for one of the fleet's own that lets nobody in unless asked.
    pub security_groups: Vec<Named>,
    /// The key pair that the machines let in.
    pub key_name: Option<String>,
    /// Who reaches port 22 of the machines, with the key.
    pub ssh_cidr: Option<Cidr>,
    /// The IAM instance profile, by name or ARN.
    pub instance_profile: Option<String>,
    /// The image, in place of the one that the fleet names.
    pub image: Option<Named>,
    /// The KMS key that encrypts the disks; `None` for the account's own for EBS.
    pub kms_key: Option<String>,
    /// How many network hops an answer of the metadata service survives, 1 to 64.
    pub metadata_hop_limit: u8,
    /// An SQS queue into which an EventBridge rule puts the EC2 spot events.
    pub queue_url: Option<String>,
    /// Whether to ask for spot placement scores: an account may ask for few new configurations a
    /// day, and another program may need them.
    pub placement_scores: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            profile: None,
            endpoint_url: None,
            vpc: None,
            subnets: Vec::new(),
            security_groups: Vec::new(),
            key_name: None,
            ssh_cidr: None,
            instance_profile: None,
            image: None,
            kms_key: None,
            metadata_hop_limit: 1,
            queue_url: None,
            placement_scores: true,
        }
    }
}

const KEYS: [&str; 14] = [
    "regions",
    "profile",
    "endpoint_url",
    "vpc",
    "subnets",
    "security_groups",
    "key_name",
    "ssh_cidr",
    "instance_profile",
    "image",
    "kms_key",
    "metadata_hop_limit",
    "queue_url",
    "placement_scores",
];

/// What shows in the name of a credential, whichever tool it was copied from.
const SECRETS: [&str; 5] = ["access_key", "secret", "token", "password", "credential"];

impl Settings {
    /// Reads the table.
    ///
    /// # Errors
    /// `InvalidConfig`, with the key, what is wrong with it, and what would be right.
    pub fn parse(table: &toml::Table) -> Result<Self> {
        let mut settings = Self::default();
        for (key, value) in table {
            let at = At(key);
            match key.as_str() {
                "regions" => settings.regions = at.regions(value)?,
                "profile" => settings.profile = Some(at.word(value)?),
                "endpoint_url" => settings.endpoint_url = Some(at.url(value)?),
                "vpc" => settings.vpc = Some(at.named(value, "vpc")?),
                "subnets" => settings.subnets = at.all_named(value, "subnet")?,
                "security_groups" => settings.security_groups = at.all_named(value, "sg")?,
                "key_name" => settings.key_name = Some(at.word(value)?),
                "ssh_cidr" => {
                    let cidr = at.text(value)?.parse().map_err(|wrong| at.wrong(wrong))?;
                    settings.ssh_cidr = Some(cidr);
                }
                "instance_profile" => settings.instance_profile = Some(at.word(value)?),
                "image" => settings.image = Some(at.named(value, "ami")?),
                "kms_key" => settings.kms_key = Some(at.word(value)?),
                "metadata_hop_limit" => settings.metadata_hop_limit = at.hops(value)?,
                "queue_url" => settings.queue_url = Some(at.url(value)?),
                "placement_scores" => settings.placement_scores = at.flag(value)?,
                _ => return Err(at.unknown()),
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// What each setting allows by itself, and all of them together do not.
    fn check(&self) -> Result<()> {
        let ssh = At("ssh_cidr");
        if self.ssh_cidr.is_some() && self.key_name.is_none() {
            return Err(ssh.wrong("nobody could log in: set `key_name` too, or leave both out"));
        }
        if self.ssh_cidr.is_some() && !self.security_groups.is_empty() {
            let wrong = "the groups of `security_groups` say themselves who may come in: keep one of the two";
            return Err(ssh.wrong(wrong));
        }
        Ok(())
    }
}

/// Reads the value of one key.
struct At<'a>(&'a str);

impl At<'_> {
    /// An error about this key. Values are quoted by the callers that know them to be no secret.
    fn wrong(&self, message: impl std::fmt::Display) -> Error {
        let key = self.0;
        Error::new(ErrorKind::InvalidConfig, format!("the setting {key:?}: {message}"))
            .with("key", format!("providers.aws.{key}"))
    }

    fn unknown(&self) -> Error {
        let key = self.0;
        let plain = key.to_lowercase().replace('-', "_");
        let message = if SECRETS.iter().any(|secret| plain.contains(secret)) {
            "credentials never stand in a config: they come from the AWS SDK's standard chain \
             (AWS_ACCESS_KEY_ID and its sisters, `aws configure`, SSO, or the role of the machine); \
             `profile` chooses one of them"
                .to_owned()
        } else {
            format!("there is no setting {key:?}; {}", suggest(key))
        };
        Error::new(ErrorKind::InvalidConfig, message).with("key", format!("providers.aws.{key}"))
    }

    fn text<'a>(&self, value: &'a Value) -> Result<&'a str> {
        value.as_str().ok_or_else(|| self.wrong(format!("a text is wanted, not {}", kind(value))))
    }

    /// A text that is not empty.
    fn word(&self, value: &Value) -> Result<String> {
        match self.text(value)?.trim() {
            "" => Err(self.wrong("it is empty: leave it out")),
            word => Ok(word.to_owned()),
        }
    }

    fn texts<'a>(&self, value: &'a Value) -> Result<Vec<&'a str>> {
        let wanted = || self.wrong(format!("a list of texts is wanted, not {}", kind(value)));
        value.as_array().ok_or_else(wanted)?.iter().map(|item| self.text(item)).collect()
    }

    fn flag(&self, value: &Value) -> Result<bool> {
        value.as_bool().ok_or_else(|| self.wrong(format!("true or false is wanted, not {}", kind(value))))
    }

    fn hops(&self, value: &Value) -> Result<u8> {
        let number = value.as_integer().and_then(|number| u8::try_from(number).ok());
        // 1 to 64: EC2's service model, `HttpPutResponseHopLimit`.
        number
            .filter(|hops| (1..=64).contains(hops))
            .ok_or_else(|| self.wrong("a whole number from 1 to 64 is wanted"))
    }

    fn regions(&self, value: &Value) -> Result<Vec<Region>> {
        let mut regions = Vec::new();
        for name in self.texts(value)? {
            if !is_region(name) {
                return Err(self.wrong(format!("{name:?} is no region; they look like \"us-east-1\"")));
            }
            regions.push(Region::from(name));
        }
        regions.sort();
        regions.dedup();
        Ok(regions)
    }

    fn named(&self, value: &Value, prefix: &'static str) -> Result<Named> {
        Named::parse(self.text(value)?, prefix).map_err(|wrong| self.wrong(wrong))
    }

    fn all_named(&self, value: &Value, prefix: &'static str) -> Result<Vec<Named>> {
        let texts = self.texts(value)?.into_iter();
        texts.map(|text| Named::parse(text, prefix).map_err(|wrong| self.wrong(wrong))).collect()
    }

    /// Over the network only what is encrypted; on this machine anything.
    fn url(&self, value: &Value) -> Result<String> {
        let text = self.text(value)?.trim();
        let url = reqwest::Url::parse(text).map_err(|error| self.wrong(format!("it is no URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.wrong("a URL with a user or a password in it is not accepted"));
        }
        let host = url.host_str().unwrap_or_default();
        let here = host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
        match url.scheme() {
            "https" => Ok(text.trim_end_matches('/').to_owned()),
            "http" if here => Ok(text.trim_end_matches('/').to_owned()),
            "http" => {
                let wrong =
                    format!("{host} is another machine: take https, requests are not sent there in the open");
                Err(self.wrong(wrong))
            }
            scheme => Err(self.wrong(format!("{scheme:?} is no way to call a cloud: take https"))),
        }
    }
}

/// `us-east-1`, `ap-southeast-2`, `us-gov-west-1`: only the shape; whether there is one says EC2.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, words)) if words.len() >= 2 => {
            words.iter().all(word) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::String(_) => "a text".to_owned(),
        Value::Integer(_) | Value::Float(_) => "a number".to_owned(),
        Value::Boolean(_) => "true or false".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => format!("a {}", other.type_str()),
    }
}

fn suggest(word: &str) -> String {
    let known = KEYS.join(", ");
    let near = KEYS
        .iter()
        .map(|known| (strsim::jaro_winkler(word, known), *known))
        .filter(|(like, _)| *like > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, near)) => format!("did you mean {near:?}? Known: {known}"),
        None => format!("known: {known}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings> {
        Settings::parse(&text.parse().unwrap())
    }

    #[test]
    fn an_empty_table_is_the_account_as_it_is() {
        assert_eq!(parse("").unwrap(), Settings::default());
        assert_eq!(Settings::default().metadata_hop_limit, 1);
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
        let own = table["providers"]["aws"].as_table().unwrap();
        let documented = own.keys().map(String::as_str);
        assert!(KEYS.iter().all(|key| own.contains_key(*key)), "{:?}", documented.collect::<Vec<_>>());
        // A group of one's own and `ssh_cidr` exclude each other.
        let mut own = own.clone();
        own.remove("security_groups");
        let settings = Settings::parse(&own).unwrap();
        assert_eq!(settings.regions, [Region::from("eu-west-1"), "us-east-1".into()]);
        assert_eq!(settings.vpc, Some(Named::Id("vpc-0a1b2c3d4e5f60718".to_owned())));
        assert_eq!(settings.subnets[1], Named::Tag { key: "tier".to_owned(), value: "batch".to_owned() });
        assert_eq!(settings.ssh_cidr.unwrap().to_string(), "203.0.113.0/24");
        assert_eq!(settings.endpoint_url.as_deref(), Some("http://127.0.0.1:4001"));
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_would_be_right() {
        for (text, key, part) in [
            ("region = [\"us-east-1\"]", "region", "did you mean \"regions\""),
            ("colour = 1", "colour", "known: regions"),
            ("regions = \"us-east-1\"", "regions", "a list of texts is wanted, not a text"),
            ("regions = [\"us-east-1a\"]", "regions", "look like \"us-east-1\""),
            ("profile = \" \"", "profile", "leave it out"),
            ("profile = 3", "profile", "a text is wanted, not a number"),
            ("endpoint_url = \"http://ec2.example.com\"", "endpoint_url", "take https"),
            ("endpoint_url = \"ftp://127.0.0.1\"", "endpoint_url", "take https"),
            ("endpoint_url = \"127.0.0.1\"", "endpoint_url", "no URL"),
            ("vpc = \"sg-01\"", "vpc", "vpc-"),
            ("subnets = [\"tier=\", \"subnet-0123456789abcdef0\"]", "subnets", "key=value"),
            ("security_groups = [3]", "security_groups", "a text is wanted"),
            ("ssh_cidr = \"10.0.0.0\"\nkey_name = \"k\"", "ssh_cidr", "10.0.0.0/32"),
            ("ssh_cidr = \"10.0.0.0/8\"", "ssh_cidr", "key_name"),
            (
                "ssh_cidr = \"10.0.0.0/8\"\nkey_name = \"k\"\nsecurity_groups = [\"a=b\"]",
                "ssh_cidr",
                "keep one",
            ),
            ("metadata_hop_limit = 0", "metadata_hop_limit", "1 to 64"),
            ("metadata_hop_limit = \"1\"", "metadata_hop_limit", "1 to 64"),
            ("placement_scores = 1", "placement_scores", "true or false"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
            assert_eq!(error.fact("key"), Some(format!("providers.aws.{key}").as_str()), "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_credential_is_refused_with_advice_and_is_not_repeated() {
        for text in [
            "access_key = \"AKIAHUSH\"",
            "aws_access_key_id = \"AKIAHUSH\"",
            "secret = \"AKIAHUSH\"",
            "secret-access-key = \"AKIAHUSH\"",
            "SessionToken = \"AKIAHUSH\"",
            "endpoint_url = \"https://ada:AKIAHUSH@example.com\"",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
            let block = format!("{error:?}");
            assert!(!block.contains("AKIAHUSH"), "{block}");
            assert!(block.contains("standard chain") || block.contains("password"), "{block}");
        }
    }

    #[test]
    fn endpoints_on_this_machine_need_no_encryption() {
        for url in
            ["http://127.0.0.1:4001", "http://localhost:4001", "http://[::1]:4001", "https://example.com"]
        {
            let settings = parse(&format!("endpoint_url = \"{url}/\"")).unwrap();
            assert_eq!(settings.endpoint_url.as_deref(), Some(url));
        }
    }
}
