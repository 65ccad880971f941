use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::aws::ACCOUNT;
use crate::aws::error::{coded, invalid, missing};
use crate::aws::query::Node;
use crate::aws::xml::Items;
use crate::refusal::Refusal;

/// What a rule lets through, and from or to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for everything.
    pub(crate) protocol: String,
    /// The first and the last port, or the ICMP type and code.
    pub(crate) ports: Ports,
    pub(crate) peer: Peer,
}

/// The first and the last port, where a protocol has ports.
type Ports = Option<(i32, i32)>;

/// The other end of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    V4(String),
    V6(String),
    Group(String),
    PrefixList(String),
}

impl Permission {
    /// Everything, to everybody: the egress rule that a new group has.
    pub(crate) fn anywhere() -> Self {
        Self { protocol: "-1".to_owned(), ports: None, peer: Peer::V4("0.0.0.0/0".to_owned()) }
    }

    /// Everything, from one group.
    pub(crate) fn from_group(id: &str) -> Self {
        Self { protocol: "-1".to_owned(), ports: None, peer: Peer::Group(id.to_owned()) }
    }

    /// As EC2's messages say it.
    pub(crate) fn told(&self) -> String {
        let peer = match &self.peer {
            Peer::V4(peer) | Peer::V6(peer) | Peer::Group(peer) | Peer::PrefixList(peer) => peer,
        };
        match (self.protocol.as_str(), self.ports) {
            ("-1", _) => format!("peer: {peer}, ALL, ALLOW"),
            (protocol, None) => format!("peer: {peer}, {}, ALLOW", protocol.to_uppercase()),
            (protocol, Some((from, to))) => {
                format!("peer: {peer}, {}, from port: {from}, to port: {to}, ALLOW", protocol.to_uppercase())
            }
        }
    }
}

/// The rules that a request names, each with its description: `IpPermissions.N`, or the members of
/// one rule at the root. `group` finds the id of a group by its name.
///
/// # Errors
/// EC2's for a protocol, a port or a peer that is none, and for no rule at all.
pub(crate) fn read(
    root: &Node<'_>,
    group: &dyn Fn(&str) -> Result<String, Refusal>,
) -> Result<Vec<(Permission, Option<String>)>, Refusal> {
    let mut rules = Vec::new();
    for node in root.list("IpPermissions") {
        let (protocol, ports) = traffic(&node)?;
        let mut add = |peer: Peer, at: &Node<'_>| {
            let permission = Permission { protocol: protocol.clone(), ports, peer };
            rules.push((permission, at.text("Description").map(str::to_owned)));
        };
        for range in node.list("IpRanges") {
            add(Peer::V4(cidr(&range, "CidrIp")?), &range);
        }
        for range in node.list("Ipv6Ranges") {
            add(Peer::V6(cidr(&range, "CidrIpv6")?), &range);
        }
        for list in node.list("PrefixListIds") {
            add(Peer::PrefixList(list.required("PrefixListId")?.to_owned()), &list);
        }
        for pair in node.list("Groups") {
            let id = match (pair.text("GroupId"), pair.text("GroupName")) {
                (Some(id), _) => id.to_owned(),
                (None, Some(name)) => group(name)?,
                (None, None) => return Err(missing(pair.node("GroupId").name())),
            };
            add(Peer::Group(id), &pair);
        }
    }
    if let Some(name) = root.text("SourceSecurityGroupName") {
        rules.push((Permission::from_group(&group(name)?), None));
    }
    if root.text("CidrIp").is_some() {
        let (protocol, ports) = traffic(root)?;
        rules.push((Permission { protocol, ports, peer: Peer::V4(cidr(root, "CidrIp")?) }, None));
    }
    match rules.is_empty() {
        true => Err(missing("IpPermissions")),
        false => Ok(rules),
    }
}

fn traffic(node: &Node<'_>) -> Result<(String, Ports), Refusal> {
    let given = node.required("IpProtocol")?.to_lowercase();
    let protocol = match given.as_str() {
        "all" | "-1" => "-1",
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        other => other,
    };
    let numbered = protocol.parse::<u8>().is_ok();
    if !numbered && !["-1", "tcp", "udp", "icmp", "icmpv6"].contains(&protocol) {
        let name = node.node("IpProtocol");
        return Err(invalid(name.name(), &given, "tcp, udp, icmp, icmpv6, a number from 0 to 255, or -1"));
    }
    let (from, to) = (node.number("FromPort", -1..=65_535)?, node.number("ToPort", -1..=65_535)?);
    let ports = match (protocol, from, to) {
        ("tcp" | "udp", Some(from), Some(to)) if from > to || from < 0 => {
            let message = format!(
                "Invalid value '{from}' for portRange. Must specify both from and to ports with from <= to."
            );
            return Err(coded(400, "InvalidParameterValue", message));
        }
        ("tcp" | "udp", Some(from), Some(to)) => Some((from, to)),
        ("tcp" | "udp", ..) => {
            let message = "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.";
            return Err(coded(400, "InvalidParameterValue", message));
        }
        ("icmp" | "icmpv6", from, to) => Some((from.unwrap_or(-1), to.unwrap_or(-1))),
        _ => None,
    };
    Ok((protocol.to_owned(), ports))
}

/// A block of addresses, without what its mask covers: EC2 keeps `10.1.2.3/8` as `10.0.0.0/8`.
fn cidr(node: &Node<'_>, name: &str) -> Result<String, Refusal> {
    let text = node.required(name)?;
    let malformed = || coded(400, "InvalidParameterValue", format!("CIDR block {text} is malformed"));
    let (address, length) = text.split_once('/').ok_or_else(malformed)?;
    let length: u32 = length.parse().map_err(|_| malformed())?;
    match (address.parse().map_err(|_| malformed())?, name) {
        (IpAddr::V4(address), "CidrIp") if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            Ok(format!("{}/{length}", std::net::Ipv4Addr::from_bits(address.to_bits() & mask)))
        }
        (IpAddr::V6(address), "CidrIpv6") if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            Ok(format!("{}/{length}", std::net::Ipv6Addr::from_bits(address.to_bits() & mask)))
        }
        _ => Err(malformed()),
    }
}

/// Rules as a group lists them: those of one kind of traffic together.
pub(crate) fn permissions<'a>(
    rules: impl IntoIterator<Item = (&'a Permission, Option<&'a str>)>,
) -> Items<IpPermission> {
    let mut together: BTreeMap<(&str, Ports), IpPermission> = BTreeMap::new();
    for (rule, description) in rules {
        let entry = together.entry((&rule.protocol, rule.ports)).or_insert_with(|| IpPermission {
            ip_protocol: rule.protocol.clone(),
            from_port: rule.ports.map(|(from, _)| from),
            to_port: rule.ports.map(|(_, to)| to),
            groups: Items::default(),
            ip_ranges: Items::default(),
            ipv6_ranges: Items::default(),
            prefix_list_ids: Items::default(),
        });
        let description = description.map(str::to_owned);
        match &rule.peer {
            Peer::V4(cidr) => {
                entry.ip_ranges.item.push(IpRange { description, cidr_ip: cidr.clone() });
            }
            Peer::V6(cidr) => {
                entry.ipv6_ranges.item.push(Ipv6Range { description, cidr_ipv6: cidr.clone() });
            }
            Peer::PrefixList(id) => {
                entry.prefix_list_ids.item.push(PrefixList { description, prefix_list_id: id.clone() });
            }
            Peer::Group(id) => {
                entry.groups.item.push(Pair { description, user_id: ACCOUNT, group_id: id.clone() });
            }
        }
    }
    together.into_values().collect()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IpPermission {
    ip_protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_port: Option<i32>,
    groups: Items<Pair>,
    ip_ranges: Items<IpRange>,
    ipv6_ranges: Items<Ipv6Range>,
    prefix_list_ids: Items<PrefixList>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    user_id: &'static str,
    group_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct IpRange {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    cidr_ip: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    cidr_ipv6: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PrefixList {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    prefix_list_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::query::Query;

    fn rules(form: &str) -> Result<Vec<(Permission, Option<String>)>, Refusal> {
        read(&Query::parse(form.as_bytes()).root(), &|name| Ok(format!("sg-of-{name}")))
    }

    #[test]
    fn rules_are_read_in_both_of_ec2s_ways() {
        let one = rules("IpProtocol=tcp&FromPort=22&ToPort=22&CidrIp=10.1.2.3/8").unwrap();
        let many = rules(
            "IpPermissions.1.IpProtocol=6&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22\
             &IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8&IpPermissions.1.IpRanges.1.Description=us\
             &IpPermissions.1.Groups.1.GroupName=ours&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0",
        )
        .unwrap();
        assert_eq!(one[0].0, many[0].0);
        assert_eq!(many[0].1.as_deref(), Some("us"));
        assert_eq!(many[1].0.peer, Peer::V6("::/0".to_owned()));
        assert_eq!(many[2].0.peer, Peer::Group("sg-of-ours".to_owned()));
        assert_eq!(one[0].0.told(), "peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for form in [
            "",
            "IpProtocol=tcp&FromPort=22&CidrIp=0.0.0.0/0",
            "IpProtocol=tcp&FromPort=23&ToPort=22&CidrIp=0.0.0.0/0",
            "IpProtocol=tcp&FromPort=22&ToPort=70000&CidrIp=0.0.0.0/0",
            "IpProtocol=smtp&CidrIp=0.0.0.0/0",
            "IpProtocol=-1&CidrIp=0.0.0.0",
            "IpProtocol=-1&CidrIp=0.0.0.0/33",
            "IpProtocol=-1&CidrIp=::/0",
        ] {
            assert!(matches!(rules(form), Err(Refusal::Coded { status: 400, .. })), "{form}");
        }
    }
}
