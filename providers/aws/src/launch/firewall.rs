//! The security group of a fleet: nobody comes in unless asked.

use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, SecurityGroup};
use skyfleet_core::{Clock, Error, ErrorKind, Region, Resource, ResourceKind, Result, tag};

use super::Thing;
use super::blueprint::Wanted;
use super::site::Site;
use super::template::digest;
use crate::client::Client;
use crate::client::fleet::filter;
use crate::convert;

/// How long something that EC2 says exists may not be listed yet.
const LATE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(2);

/// The group of a fleet in a region, with its rules. Made at once; only a name that is taken is
/// looked up.
pub(super) async fn find_or_make(client: &Client, site: &Site, wanted: &Wanted<'_>) -> Result<Thing> {
    let (region, blueprint) = (&site.region, wanted.blueprint);
    let rules = rules(wanted);
    let name = format!("skyfleet-{}-{}-{}", blueprint.owner, blueprint.fleet, digest(&rules_text(&rules)));
    match client.create_group(region, &name, site.vpc.as_deref(), &wanted.tags).await {
        Ok(id) => {
            if !rules.is_empty() {
                client.allow(region, &id, rules).await?;
            }
            Ok(Thing { resource: resource(region, wanted, &id), is_new: true })
        }
        Err(error) if error.fact("code") == Some("InvalidGroup.Duplicate") => {
            let found = patiently(client, error, || find(client, site, &name)).await?;
            let id = found.group_id().unwrap_or_default();
            ours(&found, wanted)?;
            // Whoever made it may have stopped before the rules.
            let missing = missing(&found, rules);
            if !missing.is_empty() {
                match client.allow(region, id, missing).await {
                    Err(error) if error.fact("code") == Some("InvalidPermission.Duplicate") => {}
                    answer => answer?,
                }
            }
            renew(client, region, id, &convert::map(found.tags()), wanted).await?;
            Ok(Thing { resource: resource(region, wanted, id), is_new: false })
        }
        Err(error) if matches!(error.fact("code"), Some("VPCIdNotSpecified" | "DefaultVpcDoesNotExist")) => {
            let message = format!(
                "{region} has no default VPC; name one in providers.aws.vpc, \
                 or make it with `aws ec2 create-default-vpc --region {region}`"
            );
            Err(super::blueprint::invalid("vpc", message).with("region", region).at("aws.prepare"))
        }
        Err(error) => Err(error),
    }
}

async fn find(client: &Client, site: &Site, name: &str) -> Result<Option<SecurityGroup>> {
    let mut filters = vec![filter("group-name", [name])];
    filters.extend(site.vpc.as_ref().map(|vpc| filter("vpc-id", [vpc])));
    Ok(client.groups(&site.region, filters).await?.into_iter().next())
}

/// Looks for something that EC2 says exists until a list shows it.
pub(super) async fn patiently<T, F>(client: &Client, taken: Error, find: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let clock: &dyn Clock = &**client.clock();
    let end = clock.now() + LATE;
    loop {
        if let Some(found) = find().await? {
            return Ok(found);
        }
        if clock.now() >= end {
            let message = format!("EC2 says that it exists and does not show it: {}", taken.message());
            return Err(Error::new(ErrorKind::Unavailable, message).because(taken).at("aws.prepare"));
        }
        clock.sleep(LOOK).await;
    }
}

/// A group with our name that is not ours must not be used: it would be deleted with the fleet.
fn ours(group: &SecurityGroup, wanted: &Wanted<'_>) -> Result<()> {
    let tags = convert::map(group.tags());
    if tags.get(tag::OWNER).map(String::as_str) == Some(wanted.blueprint.owner.as_str()) {
        return Ok(());
    }
    let name = group.group_name().unwrap_or_default();
    let message =
        format!("the security group {name:?} exists and is somebody else's: it has not the owner's tag");
    Err(Error::new(ErrorKind::Conflict, message).at("aws.prepare"))
}

/// A fleet that lives longer than planned takes what it shares between launches along: a sweep
/// goes by the tag.
pub(super) async fn renew(
    client: &Client,
    region: &Region,
    id: &str,
    tags: &std::collections::BTreeMap<String, String>,
    wanted: &Wanted<'_>,
) -> Result<()> {
    if tag::expires(tags) == tag::expires(&wanted.tags) {
        return Ok(());
    }
    client.tag(region, id, &wanted.tags).await
}

fn resource(region: &Region, wanted: &Wanted<'_>, id: &str) -> Resource {
    Resource {
        kind: ResourceKind::Firewall,
        id: id.into(),
        region: region.clone(),
        fleet: Some(wanted.blueprint.fleet.clone()),
        price: None,
        expires: wanted.blueprint.expires,
    }
}

fn rules(wanted: &Wanted<'_>) -> Vec<IpPermission> {
    let mut rules = Vec::new();
    for port in &wanted.blueprint.inbound_ports {
        rules.push(tcp(*port).ip_ranges(v4("0.0.0.0/0")).ipv6_ranges(v6("::/0")).build());
    }
    if let Some(cidr) = &wanted.settings.ssh_cidr {
        let text = cidr.to_string();
        let rule = tcp(22);
        rules
            .push(if cidr.is_v6() { rule.ipv6_ranges(v6(&text)) } else { rule.ip_ranges(v4(&text)) }.build());
    }
    rules
}

fn tcp(port: u16) -> aws_sdk_ec2::types::builders::IpPermissionBuilder {
    IpPermission::builder().ip_protocol("tcp").from_port(port.into()).to_port(port.into())
}

fn v4(cidr: &str) -> IpRange {
    IpRange::builder().cidr_ip(cidr).build()
}

fn v6(cidr: &str) -> Ipv6Range {
    Ipv6Range::builder().cidr_ipv6(cidr).build()
}

/// Port and source, for the name: other rules make another group.
fn rules_text(rules: &[IpPermission]) -> Vec<(i32, Vec<&str>)> {
    rules
        .iter()
        .map(|rule| {
            let v4 = rule.ip_ranges().iter().filter_map(|range| range.cidr_ip());
            let all = v4.chain(rule.ipv6_ranges().iter().filter_map(|range| range.cidr_ipv6()));
            (rule.from_port().unwrap_or_default(), all.collect())
        })
        .collect()
}

/// The rules that a group has not; of one rule with two ranges both are asked for again.
fn missing(group: &SecurityGroup, rules: Vec<IpPermission>) -> Vec<IpPermission> {
    let has = |rule: &IpPermission| {
        let (port, cidrs) = &rules_text(std::slice::from_ref(rule))[0];
        cidrs.iter().all(|cidr| {
            group.ip_permissions().iter().any(|there| {
                let (from, there) = &rules_text(std::slice::from_ref(there))[0];
                from == port && there.contains(cidr)
            })
        })
    };
    rules.into_iter().filter(|rule| !has(rule)).collect()
}
