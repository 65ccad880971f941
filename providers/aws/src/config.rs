use skyfleet_core::settings::{At, Cidr, Endpoint, Keys};
use skyfleet_core::{Region, Result};
use toml::Value;

mod named;

pub use named::Named;

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

const KEYS: Keys = Keys {
    provider: "aws",
    known: &[
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
    ],
    credentials: "they come from the AWS SDK's standard chain \
         (AWS_ACCESS_KEY_ID and its sisters, `aws configure`, SSO, or the role of the machine); \
         `profile` chooses one of them",
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
                "regions" => settings.regions = at.regions(value, is_region, "us-east-1")?,
                "profile" => settings.profile = Some(at.word(value)?),
                "endpoint_url" => settings.endpoint_url = Some(url(at, value)?),
                "vpc" => settings.vpc = Some(named(at, value, "vpc")?),
                "subnets" => settings.subnets = all_named(at, value, "subnet")?,
                "security_groups" => settings.security_groups = all_named(at, value, "sg")?,
                "key_name" => settings.key_name = Some(at.word(value)?),
                "ssh_cidr" => settings.ssh_cidr = Some(at.parsed(value)?),
                "instance_profile" => settings.instance_profile = Some(at.word(value)?),
                "image" => settings.image = Some(named(at, value, "ami")?),
                "kms_key" => settings.kms_key = Some(at.word(value)?),
                "metadata_hop_limit" => {
                    // 1 to 64: EC2's service model, `HttpPutResponseHopLimit`.
                    settings.metadata_hop_limit = u8::try_from(at.number(value, 1..=64)?).unwrap_or(1);
                }
                "queue_url" => settings.queue_url = Some(url(at, value)?),
                "placement_scores" => settings.placement_scores = at.flag(value)?,
                _ => return Err(at.unknown()),
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// What each setting allows by itself, and all of them together do not.
    fn check(&self) -> Result<()> {
        let ssh = KEYS.at("ssh_cidr");
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

fn url(at: At<'_>, value: &Value) -> Result<String> {
    Ok(at.parsed::<Endpoint>(value)?.into())
}

fn named(at: At<'_>, value: &Value, prefix: &'static str) -> Result<Named> {
    Named::parse(at.text(value)?, prefix).map_err(|wrong| at.wrong(wrong))
}

fn all_named(at: At<'_>, value: &Value, prefix: &'static str) -> Result<Vec<Named>> {
    let texts = at.texts(value)?.into_iter();
    texts.map(|text| Named::parse(text, prefix).map_err(|wrong| at.wrong(wrong))).collect()
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

#[cfg(test)]
mod tests {
    use skyfleet_core::ErrorKind;

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
        assert!(KEYS.known.iter().all(|key| own.contains_key(*key)), "{:?}", documented.collect::<Vec<_>>());
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
