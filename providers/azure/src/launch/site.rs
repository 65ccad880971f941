//! What a fleet needs before its machines: a resource group, and in each region a network and a
//! security group. Made once; a second call finds them.

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use skyfleet_core::{Clock, Error, ErrorKind, Region, Resource, ResourceKind, Result, Retry, tag};

use super::blueprint::{Wanted, invalid};
use crate::client::Client;
use crate::client::arm::Call;
use crate::client::fleet::{NETWORK, RESOURCES};
use crate::names::{self, Id};

const OPERATION: &str = "azure.prepare";

/// How long a network may take to be there: seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a group may take to be gone, and how often to look: minutes.
const GOING: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_secs(15);

/// The addresses of a fleet's own network: room for 65,000 machines.
const NETWORK_CIDR: &str = "10.0.0.0/16";
const SUBNET: &str = "machines";

/// Where machines of one region are put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) region: Region,
    pub(super) subnet: String,
    pub(super) security_group: String,
}

/// What was found or made for a fleet.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) group: String,
    pub(super) places: Vec<Place>,
    pub(super) resources: Vec<Resource>,
    /// Whether the resource group was made by this call.
    pub(super) is_new: bool,
}

impl Site {
    pub(super) async fn find_or_make(client: &Client, wanted: &Wanted<'_>) -> Result<Self> {
        // Everything is looked at before anything is made.
        let subnets = given_subnets(client, wanted).await?;
        let mut site =
            Self { group: String::new(), places: Vec::new(), resources: Vec::new(), is_new: false };
        site.group(client, wanted).await?;
        let made = wanted.blueprint.regions.iter().map(|region| {
            let given = subnets.iter().find(|(own, _)| own == region).map(|(_, id)| id.clone());
            in_region(client, wanted, &site.group, region, given)
        });
        match try_join_all(made).await {
            Ok(made) => {
                for (place, resources) in made {
                    site.places.push(place);
                    site.resources.extend(resources);
                }
                Ok(site)
            }
            Err(error) => {
                site.undo(client, &error).await;
                Err(error)
            }
        }
    }

    /// A blueprint that can never work leaves nothing behind; everything else is sent again and
    /// finds what there is.
    async fn undo(&self, client: &Client, error: &Error) {
        if error.kind() != ErrorKind::InvalidRequest || !self.is_new {
            return;
        }
        let gone = match client.group_path(&self.group) {
            Ok(path) => client.call(&Call::delete(OPERATION, path, RESOURCES)).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(left) = gone {
            tracing::warn!(error = %left, "what a refused blueprint made is left for the teardown");
        }
    }

    /// The resource group of the settings, which must be there; else one of the fleet's own.
    async fn group(&mut self, client: &Client, wanted: &Wanted<'_>) -> Result<()> {
        let blueprint = wanted.blueprint;
        let given = wanted.settings.resource_group.as_deref();
        self.group = given.map_or_else(|| names::group(&blueprint.owner, &blueprint.fleet), str::to_owned);
        let path = client.group_path(&self.group)?;
        let found = settled(client, &self.group, &path).await?;
        if given.is_some() {
            let message = || {
                let name = &self.group;
                format!(
                    "the subscription has no resource group {name:?}; `az group create --name {name}` makes it"
                )
            };
            return match found {
                Some(_) => Ok(()),
                None => Err(invalid("resource_group", message()).at(OPERATION)),
            };
        }
        let first = blueprint.regions.first().map_or("", Region::as_str);
        let mut location = first.to_owned();
        let mut current = false;
        if let Some(group) = &found {
            let tags = crate::convert::tags(group.get("tags"));
            if tags.get(tag::OWNER).map(String::as_str) != Some(blueprint.owner.as_str()) {
                let message =
                    format!("the resource group {:?} is somebody else's: no tag names the owner", self.group);
                return Err(Error::new(ErrorKind::Conflict, message).at(OPERATION));
            }
            // A fleet that lives longer than planned says so: a sweep goes by it.
            current = tags == wanted.tags;
            location = names::plain(group.get("location").and_then(Value::as_str).unwrap_or(first));
        }
        if !current {
            let body = json!({ "location": location, "tags": wanted.tags });
            client.call(&Call::with(Method::PUT, OPERATION, path.clone(), RESOURCES, &body)).await?;
        }
        self.is_new = found.is_none();
        self.resources.push(resource(wanted, ResourceKind::ResourceGroup, &path, &location.into()));
        Ok(())
    }
}

/// The group, if it is there. One that is still being deleted is waited for: it cannot be used, and
/// its name cannot be used again.
async fn settled(client: &Client, name: &str, path: &str) -> Result<Option<Value>> {
    let clock: &dyn Clock = &**client.clock();
    let end = clock.now() + GOING;
    loop {
        let found = client.found(&Call::get(OPERATION, path.to_owned(), RESOURCES)).await?;
        let state = found.as_ref().and_then(|group| group.pointer("/properties/provisioningState")?.as_str());
        if !state.is_some_and(|state| state.eq_ignore_ascii_case("Deleting")) {
            return Ok(found);
        }
        if clock.now() >= end {
            let message = format!("the resource group {name:?} is still being deleted");
            return Err(Error::new(ErrorKind::Unavailable, message)
                .retrying(Retry::After(Some(LOOK)))
                .at(OPERATION));
        }
        clock.sleep(LOOK).await;
    }
}

/// The subnets of the settings, by the regions of their networks.
async fn given_subnets(client: &Client, wanted: &Wanted<'_>) -> Result<Vec<(Region, String)>> {
    let mut found = Vec::new();
    for subnet in &wanted.settings.subnets {
        let call = Call::get(OPERATION, subnet.network().to_owned(), NETWORK);
        let Some(network) = client.found(&call).await? else {
            let message = format!("there is no network {}", subnet.network());
            return Err(invalid("subnets", message).at(OPERATION));
        };
        let location = names::plain(network.get("location").and_then(Value::as_str).unwrap_or_default());
        found.push((Region::from(location), subnet.id().to_owned()));
    }
    let missing = wanted.blueprint.regions.iter().find(|region| found.iter().all(|(own, _)| own != *region));
    match missing.filter(|_| !found.is_empty()) {
        Some(region) => {
            let message = format!("none of the configured subnets is in {region}");
            Err(invalid("subnets", message).with("region", region).at(OPERATION))
        }
        None => Ok(found),
    }
}

async fn in_region(
    client: &Client,
    wanted: &Wanted<'_>,
    group: &str,
    region: &Region,
    subnet: Option<String>,
) -> Result<(Place, Vec<Resource>)> {
    let blueprint = wanted.blueprint;
    let name = names::of_region(&blueprint.owner, &blueprint.fleet, region);
    let security_group = client.within(group, &format!("Microsoft.Network/networkSecurityGroups/{name}"))?;
    let body =
        json!({ "location": region, "tags": wanted.tags, "properties": { "securityRules": rules(wanted) } });
    let call = Call::with(Method::PUT, OPERATION, security_group.clone(), NETWORK, &body);
    client.done(&call, PATIENCE).await?;
    let mut resources = vec![resource(wanted, ResourceKind::Firewall, &security_group, region)];
    let subnet = match subnet {
        Some(given) => given,
        None => {
            let network = client.within(group, &format!("Microsoft.Network/virtualNetworks/{name}"))?;
            let body = json!({
                "location": region,
                "tags": wanted.tags,
                "properties": {
                    "addressSpace": { "addressPrefixes": [NETWORK_CIDR] },
                    "subnets": [{ "name": SUBNET, "properties": {
                        "addressPrefix": NETWORK_CIDR,
                        // Azure gives up its way out that nobody asked for: said, it is the same everywhere.
                        "defaultOutboundAccess": false,
                    } }],
                },
            });
            let call = Call::with(Method::PUT, OPERATION, network.clone(), NETWORK, &body);
            client.done(&call, PATIENCE).await?;
            resources.push(resource(wanted, ResourceKind::Network, &network, region));
            format!("{network}/subnets/{SUBNET}")
        }
    };
    Ok((Place { region: region.clone(), subnet, security_group }, resources))
}

/// Who may come in: nobody but the machines of the network, unless asked for.
fn rules(wanted: &Wanted<'_>) -> Vec<Value> {
    let mut ports = wanted.blueprint.inbound_ports.clone();
    ports.sort_unstable();
    ports.dedup();
    let rule = |name: &str, priority: u32, source: &str, ports: &[u16]| {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        json!({ "name": name, "properties": {
            "priority": priority,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "Tcp",
            "sourceAddressPrefix": source,
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRanges": ports,
        } })
    };
    let open = (!ports.is_empty()).then(|| rule("inbound", 1_000, "Internet", &ports));
    let ssh = wanted.settings.ssh_cidr.as_ref().map(|cidr| rule("ssh", 1_010, &cidr.to_string(), &[22]));
    open.into_iter().chain(ssh).collect()
}

fn resource(wanted: &Wanted<'_>, kind: ResourceKind, path: &str, region: &Region) -> Resource {
    let id = Id::parse(path).map_or_else(|| path.to_owned(), |id| id.to_string());
    Resource {
        kind,
        id: id.into(),
        region: region.clone(),
        fleet: Some(wanted.blueprint.fleet.clone()),
        price: None,
        expires: wanted.blueprint.expires,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::launch::blueprint::{check, tests::blueprint};

    fn rules_of(ports: &[u16], ssh: Option<&str>) -> Vec<Value> {
        let mut blueprint = blueprint();
        blueprint.inbound_ports = ports.to_vec();
        let settings = Settings { ssh_cidr: ssh.map(|cidr| cidr.parse().unwrap()), ..Settings::default() };
        rules(&check(&blueprint, &settings, &["eastus".into()]).unwrap())
    }

    #[test]
    fn nobody_comes_in_unless_asked() {
        assert!(rules_of(&[], None).is_empty());
        let rules = rules_of(&[443, 80, 443], Some("203.0.113.0/24"));
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0]["properties"]["destinationPortRanges"], json!(["80", "443"]));
        assert_eq!(rules[1]["properties"]["sourceAddressPrefix"], "203.0.113.0/24");
        assert_ne!(rules[0]["properties"]["priority"], rules[1]["properties"]["priority"]);
    }
}
