use skyfleet_core::settings::{At, Cidr, Endpoint, Keys};
use skyfleet_core::{Region, Result, Zone};
use toml::Value;

use crate::names::{Subnet, is_group, region_of};

/// The settings below `[providers.azure]`. All of them have defaults, and none is a credential:
/// those come from the environment and the tools, as Azure's own libraries read them.
///
/// ```toml
/// [providers.azure]
/// subscription_id = "6f0c…"                  # default AZURE_SUBSCRIPTION_ID
/// regions = ["eastus", "westeurope"]         # only these; default every region that the subscription has
/// zones = ["eastus-1"]                       # only these; default all of the regions
/// endpoint_url = "http://127.0.0.1:4003"     # https, or http on this machine; default Azure's own
///
/// resource_group = "batch"                   # launch into this one; default one for each fleet, made and deleted with it
/// subnets = ["/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N"] # one for each region; default a network of the fleet's own
/// ssh_key = "ada:ssh-ed25519 AAAAC3NzaC1lZD" # who may log in, and by which key; default nobody
/// ssh_cidr = "203.0.113.0/24"                # who reaches port 22; needs `ssh_key`; default nobody
/// image = "Debian:debian-12:12-gen2:latest"  # in place of the fleet's `image`
///
/// placement_scores = true                    # ask for spot placement scores; default true
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The subscription; without it what the environment names.
    pub subscription_id: Option<String>,
    /// Only these regions, in order; empty for every region that the subscription has.
    pub regions: Vec<Region>,
    /// Only these zones; empty for all of the regions.
    pub zones: Vec<Zone>,
    /// Where Resource Manager answers, in place of Azure's own address.
    pub endpoint_url: Option<String>,
    /// The resource group that everything is made in; `None` for one for each fleet.
    pub resource_group: Option<String>,
    /// The subnets that machines are in, at most one for each region; empty for a network of the
    /// fleet's own.
    pub subnets: Vec<Subnet>,
    /// Who may log in, `USER:KEY`.
    pub ssh_key: Option<String>,
    /// Who reaches port 22 of the machines, with the key.
    pub ssh_cidr: Option<Cidr>,
    /// The image, in place of the one that the fleet names.
    pub image: Option<String>,
    /// Whether to ask for spot placement scores: it needs a role of its own ("Compute Recommendations
    /// Role"), and the answers are rationed.
    pub placement_scores: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            subscription_id: None,
            regions: Vec::new(),
            zones: Vec::new(),
            endpoint_url: None,
            resource_group: None,
            subnets: Vec::new(),
            ssh_key: None,
            ssh_cidr: None,
            image: None,
            placement_scores: true,
        }
    }
}

const KEYS: Keys = Keys {
    provider: "azure",
    known: &[
        "subscription_id",
        "regions",
        "zones",
        "endpoint_url",
        "resource_group",
        "subnets",
        "ssh_key",
        "ssh_cidr",
        "image",
        "placement_scores",
    ],
    credentials: "they are those of Azure's own libraries (`az login`; or AZURE_TENANT_ID, AZURE_CLIENT_ID and \
        AZURE_CLIENT_SECRET; or the identity of the machine)",
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
                "subscription_id" => settings.subscription_id = Some(subscription(at, value)?),
                "regions" => settings.regions = at.regions(value, is_region, "eastus")?,
                "zones" => settings.zones = zones(at, value)?,
                "endpoint_url" => settings.endpoint_url = Some(at.parsed::<Endpoint>(value)?.into()),
                "resource_group" => settings.resource_group = Some(group(at, value)?),
                "subnets" => settings.subnets = subnets(at, value)?,
                "ssh_key" => settings.ssh_key = Some(ssh_key(at, value)?),
                "ssh_cidr" => settings.ssh_cidr = Some(at.parsed(value)?),
                "image" => settings.image = Some(at.word(value)?),
                "placement_scores" => settings.placement_scores = at.flag(value)?,
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
        let outside = |zone: &&Zone| !self.regions.contains(&region_of(zone));
        if let Some(zone) = self.zones.iter().find(outside).filter(|_| !self.regions.is_empty()) {
            let wrong = format!("{zone} lies in none of the `regions`: add its region, or leave it out");
            return Err(KEYS.at("zones").wrong(wrong));
        }
        Ok(())
    }
}

/// `6f0c7a52-0b3f-4d5e-9c57-2f6f1f9f7d10`; also one that a simulated cloud made up.
fn subscription(at: At<'_>, value: &Value) -> Result<String> {
    let id = at.word(value)?;
    match id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        true => Ok(id.to_ascii_lowercase()),
        false => Err(at.wrong("that is no subscription's id; `az account show --query id` tells it")),
    }
}

/// `eastus2`: Azure's names of regions, without the spaces of their titles.
fn is_region(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn zones(at: At<'_>, value: &Value) -> Result<Vec<Zone>> {
    let mut zones = Vec::new();
    for name in at.texts(value)? {
        let shaped = name.rsplit_once('-').is_some_and(|(region, number)| {
            is_region(region) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        });
        if !shaped {
            return Err(at.wrong(format!("{name:?} is no zone; they look like \"eastus-1\"")));
        }
        zones.push(Zone::from(name));
    }
    zones.sort();
    zones.dedup();
    Ok(zones)
}

fn group(at: At<'_>, value: &Value) -> Result<String> {
    let name = at.word(value)?;
    match is_group(&name) {
        true => Ok(name),
        false => Err(at.wrong(format!(
            "{name:?} is no name of a resource group: letters, digits, '.', '_', '-' and parentheses, at most 90, \
             no '.' at the end"
        ))),
    }
}

fn subnets(at: At<'_>, value: &Value) -> Result<Vec<Subnet>> {
    let read = |text: &str| {
        Subnet::parse(text).ok_or_else(|| {
            at.wrong(format!(
                "{text:?} is no subnet's id; they look like \"/subscriptions/S/resourceGroups/G/providers/\
                 Microsoft.Network/virtualNetworks/V/subnets/N\""
            ))
        })
    };
    at.texts(value)?.into_iter().map(read).collect()
}

/// `ada:ssh-ed25519 AAAA… comment`. Azure takes no name that every machine has.
fn ssh_key(at: At<'_>, value: &Value) -> Result<String> {
    let text = at.word(value)?;
    let (user, key) = text
        .split_once(':')
        .ok_or_else(|| at.wrong("a user and a public key are wanted: \"ada:ssh-ed25519 AAAAC3NzaC1lZD…\""))?;
    if matches!(user, "" | "root" | "admin" | "administrator" | "user" | "test" | "guest")
        || !user.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    {
        return Err(at.wrong(format!("Azure takes no user {user:?}")));
    }
    let kind = key.split_whitespace().next().unwrap_or_default();
    let whole = key.split_whitespace().nth(1).is_some_and(|body| body.len() > 20) && !key.contains('\n');
    if !matches!(kind, "ssh-rsa" | "ssh-ed25519") || !whole {
        return Err(at.wrong("a public key on one line is wanted, of the kind ssh-rsa or ssh-ed25519"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use skyfleet_core::ErrorKind;

    use super::*;

    fn parsed(text: &str) -> Result<Settings> {
        Settings::parse(&toml::from_str(text).unwrap())
    }

    const SUBNET: &str =
        "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/n";
    const KEY: &str = "ada:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUzq1 ada@home";

    #[test]
    fn everything_has_a_default_and_can_be_said() {
        assert_eq!(parsed("").unwrap(), Settings::default());
        let text = format!(
            "subscription_id = \"6F0C\"\nregions = [\"eastus\"]\nzones = [\"eastus-2\"]\nresource_group = \"batch\"\n\
             subnets = [{SUBNET:?}]\nssh_key = {KEY:?}\nssh_cidr = \"203.0.113.0/24\"\nimage = \"a:b:c:latest\"\n\
             endpoint_url = \"http://127.0.0.1:1/\""
        );
        let settings = parsed(&text).unwrap();
        assert_eq!(settings.subscription_id.as_deref(), Some("6f0c"));
        assert_eq!(settings.zones, [Zone::from("eastus-2")]);
        assert_eq!(settings.endpoint_url.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(settings.subnets[0].id(), SUBNET);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        for (text, part) in [
            ("colour = \"red\"", "known: subscription_id"),
            ("client_secret = \"x\"", "AZURE_CLIENT_SECRET"),
            ("subscription_id = \"a b\"", "az account show"),
            ("regions = [\"East US\"]", "look like \"eastus\""),
            ("zones = [\"eastus\"]", "look like \"eastus-1\""),
            ("regions = [\"westus2\"]\nzones = [\"eastus-1\"]", "none of the `regions`"),
            ("endpoint_url = \"http://example.com\"", "take https"),
            ("resource_group = \"a/b\"", "no name of a resource group"),
            ("subnets = [\"default\"]", "no subnet's id"),
            ("ssh_key = \"root:ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ\"", "\"root\""),
            ("ssh_key = \"ada:AAAA\"", "ssh-ed25519"),
            ("ssh_cidr = \"203.0.113.0/24\"", "ssh_key"),
            ("placement_scores = 1", "true or false"),
        ] {
            let error = parsed(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.message().contains(part), "{text}: {error}");
        }
    }
}
