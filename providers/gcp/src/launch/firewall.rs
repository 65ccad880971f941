//! The firewall rules of a fleet: none, unless something inbound was asked for. A rule has no
//! labels, so that its description says whose it is; a network tag ties it to the machines.

use std::collections::BTreeMap;
use std::time::Duration;

use google_cloud_compute_v1::model::Firewall;
use google_cloud_compute_v1::model::firewall::{Allowed, Direction};
use serde::Serialize;
use skyfleet_core::{Clock, Error, ErrorKind, Resource, ResourceKind, Result, tag};

use super::Thing;
use super::blueprint::Wanted;
use super::site::Site;
use crate::client::Client;
use crate::names;
use crate::whereabouts::GLOBAL;

/// How long a rule that is being made may not be there yet.
const LATE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(2);

/// The tag of the machines, if any rule is needed.
pub(super) fn network_tag(site: &Site, wanted: &Wanted<'_>) -> Option<String> {
    let rules = rules(site, wanted);
    rules.first().map(|_| name_of(wanted, &rules, 0))
}

/// Finds or makes what lets in who was asked for.
///
/// # Errors
/// With what was made before it failed.
pub(super) async fn find_or_make(
    client: &Client,
    site: &Site,
    wanted: &Wanted<'_>,
    things: &mut Vec<Thing>,
) -> Result<()> {
    let rules = rules(site, wanted);
    let Some(tag) = network_tag(site, wanted) else { return Ok(()) };
    for (number, rule) in rules.iter().enumerate() {
        let name = name_of(wanted, &rules, number);
        let is_new = match client.create_firewall(&site.project, rule.body(&name, &tag, wanted)).await {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let found = patiently(client, site, &name, error).await?;
                renew(client, site, &name, &found, wanted).await?;
                false
            }
            Err(error) => return Err(error),
        };
        things.push(Thing { resource: resource(&name, wanted), is_new });
    }
    Ok(())
}

/// A rule that somebody else has begun to make is looked for until it is there.
async fn patiently(client: &Client, site: &Site, name: &str, taken: Error) -> Result<Firewall> {
    let clock: &dyn Clock = &**client.clock();
    let end = clock.now() + LATE;
    loop {
        match client.firewall(&site.project, name).await {
            Err(error) if error.kind() == ErrorKind::NotFound && clock.now() < end => clock.sleep(LOOK).await,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let message = format!("Compute Engine says that {name} exists and does not show it");
                return Err(Error::new(ErrorKind::Unavailable, message).because(taken).at("gcp.prepare"));
            }
            found => return found,
        }
    }
}

/// A rule with our name that is not ours must not be used: it would be deleted with the fleet. One
/// of a fleet that lives longer than planned is told so: a sweep goes by what it says.
async fn renew(
    client: &Client,
    site: &Site,
    name: &str,
    found: &Firewall,
    wanted: &Wanted<'_>,
) -> Result<()> {
    let tags = tags(found);
    if tags.get(tag::OWNER).map(String::as_str) != Some(wanted.blueprint.owner.as_str()) {
        let message = format!(
            "the firewall rule {name:?} exists and is somebody else's: its description does not name the owner"
        );
        return Err(Error::new(ErrorKind::Conflict, message).at("gcp.prepare"));
    }
    if tag::expires(&tags) == tag::expires(&wanted.tags) {
        return Ok(());
    }
    client.describe_firewall(&site.project, name, &description(&wanted.tags)).await
}

/// What a rule's description says of its owner; empty for what is none of ours.
pub(crate) fn tags(rule: &Firewall) -> BTreeMap<String, String> {
    let words = rule.description.as_deref().unwrap_or_default().split_whitespace();
    let pair = |word: &str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    words.filter_map(pair).collect()
}

/// `skyfleet-fleet=words skyfleet-owner=ada`: no value of ours has a space in it.
fn description(tags: &BTreeMap<String, String>) -> String {
    let words: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    words.join(" ")
}

fn resource(name: &str, wanted: &Wanted<'_>) -> Resource {
    Resource {
        kind: ResourceKind::Firewall,
        id: format!("{GLOBAL}/firewalls/{name}").into(),
        region: GLOBAL.into(),
        fleet: Some(wanted.blueprint.fleet.clone()),
        price: None,
        expires: wanted.blueprint.expires,
    }
}

/// Who may reach which TCP ports.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Rule<'a> {
    network: &'a str,
    ports: Vec<u16>,
    source: String,
}

fn rules<'a>(site: &'a Site, wanted: &Wanted<'_>) -> Vec<Rule<'a>> {
    let network = site.network.as_str();
    let mut ports = wanted.blueprint.inbound_ports.clone();
    ports.sort_unstable();
    ports.dedup();
    let open = (!ports.is_empty()).then(|| Rule { network, ports, source: "0.0.0.0/0".to_owned() });
    let ssh = wanted.settings.ssh_cidr.as_ref();
    let ssh = ssh.map(|cidr| Rule { network, ports: vec![22], source: cidr.to_string() });
    open.into_iter().chain(ssh).collect()
}

fn name_of(wanted: &Wanted<'_>, rules: &[Rule<'_>], number: usize) -> String {
    names::firewall(&wanted.blueprint.owner, &wanted.blueprint.fleet, &(rules, number))
}

impl Rule<'_> {
    fn body(&self, name: &str, tag: &str, wanted: &Wanted<'_>) -> Firewall {
        let ports = self.ports.iter().map(u16::to_string);
        Firewall::new()
            .set_name(name)
            .set_description(description(&wanted.tags))
            .set_network(self.network)
            .set_direction(Direction::Ingress)
            .set_source_ranges([self.source.clone()])
            .set_target_tags([tag])
            .set_allowed([Allowed::new().set_ip_protocol("tcp").set_ports(ports)])
    }
}

#[cfg(test)]
mod tests {
    use skyfleet_core::{Arch, FleetBlueprint, FleetName, Owner};

    use super::*;
    use crate::config::Settings;
    use crate::launch::image::WantedImage;

    fn blueprint(ports: &[u16]) -> FleetBlueprint {
        FleetBlueprint {
            owner: Owner::parse("ada").unwrap(),
            fleet: FleetName::parse("words").unwrap(),
            regions: vec!["us-central1".into()],
            archs: vec![Arch::X86_64],
            image: "debian-12".to_owned(),
            user_data: "".into(),
            disk_gib: 20,
            public_ip: false,
            inbound_ports: ports.to_vec(),
            labels: BTreeMap::new(),
            expires: None,
        }
    }

    fn site() -> Site {
        Site { project: "p".into(), network: "global/networks/default".into(), subnetworks: BTreeMap::new() }
    }

    fn with<T>(ports: &[u16], ssh: Option<&str>, then: impl FnOnce(&Wanted<'_>) -> T) -> T {
        let ssh_cidr = ssh.map(|cidr| cidr.parse().unwrap());
        let (blueprint, settings) = (blueprint(ports), Settings { ssh_cidr, ..Settings::default() });
        let tags = tag::of_fleet(&blueprint.owner, &blueprint.fleet, None);
        let image = WantedImage::of("debian-12").unwrap();
        then(&Wanted { blueprint: &blueprint, settings: &settings, image, tags })
    }

    #[test]
    fn nobody_comes_in_unless_asked() {
        with(&[], None, |wanted| {
            assert_eq!(network_tag(&site(), wanted), None);
            assert!(rules(&site(), wanted).is_empty());
        });
    }

    #[test]
    fn a_rule_says_whose_it_is_and_lets_in_only_what_was_asked() {
        with(&[443, 80, 443], Some("203.0.113.0/24"), |wanted| {
            let site = site();
            let rules = rules(&site, wanted);
            let tag = network_tag(&site, wanted).unwrap();
            assert_eq!(rules.len(), 2, "{rules:?}");
            let open = rules[0].body("n", &tag, wanted);
            assert_eq!(open.allowed[0].ports, ["80", "443"]);
            assert_eq!(
                (open.source_ranges.as_slice(), open.target_tags.as_slice()),
                (&["0.0.0.0/0".to_owned()][..], &[tag.clone()][..])
            );
            assert_eq!(tags(&open), wanted.tags);
            let ssh = rules[1].body("n", &tag, wanted);
            assert_eq!(
                (ssh.allowed[0].ports[0].as_str(), ssh.source_ranges[0].as_str()),
                ("22", "203.0.113.0/24")
            );
            assert_ne!(name_of(wanted, &rules, 0), name_of(wanted, &rules, 1));
        });
    }

    #[test]
    fn other_ports_make_another_rule_and_a_strangers_description_says_nothing() {
        let tag = |ports: &[u16]| with(ports, None, |wanted| network_tag(&site(), wanted));
        assert_ne!(tag(&[80]), tag(&[81]));
        assert_eq!(tag(&[80, 443]), tag(&[443, 80]));
        assert!(tags(&Firewall::new().set_description("web servers")).is_empty());
    }
}
