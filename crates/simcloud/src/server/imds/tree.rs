use skyfleet_core::Market;

use serde_json::json;

use crate::aws::ACCOUNT;
use crate::server::imds::facts::Facts;

/// The versions of the service that are spoken; `latest` is what everybody asks for ("Instance
/// metadata categories", EC2 user guide).
const VERSIONS: [&str; 4] = ["1.0", "2016-09-02", "2021-03-23", "latest"];

/// What is at a path: a value, or the list of what is below it. `None` when nothing is.
pub(crate) fn find(facts: &Facts, path: &str) -> Option<String> {
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    match (version, rest) {
        ("", _) => return Some(VERSIONS.join("\n")),
        (version, _) if !is_version(version) => return None,
        (_, "user-data") => return facts.user_data.as_deref().map(str::to_owned),
        (_, "") => {
            let all =
                ["dynamic", "meta-data"].into_iter().chain(facts.user_data.is_some().then_some("user-data"));
            return Some(all.collect::<Vec<_>>().join("\n"));
        }
        _ => {}
    }
    let leaves = leaves(facts);
    if let Some((_, value)) = leaves.iter().find(|(name, _)| name == rest) {
        return Some(value.clone());
    }
    let mut below: Vec<String> = leaves
        .iter()
        .filter_map(|(name, _)| name.strip_prefix(rest)?.strip_prefix('/'))
        .map(|name| name.split_once('/').map_or_else(|| name.to_owned(), |(folder, _)| format!("{folder}/")))
        .collect();
    below.sort();
    below.dedup();
    (!below.is_empty()).then(|| below.join("\n"))
}

/// `latest`, `1.0` or the day of a version.
fn is_version(name: &str) -> bool {
    let day = || name.len() == 10 && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    VERSIONS.contains(&name) || day()
}

/// Every value that there is, by its path below the version.
fn leaves(facts: &Facts) -> Vec<(String, String)> {
    let mut leaves: Vec<(String, String)> = Vec::with_capacity(40);
    let mut dynamic = |name: &str, value: String| leaves.push((format!("dynamic/{name}"), value));
    dynamic("instance-identity/document", document(facts));
    let mut data = |name: &str, value: String| leaves.push((format!("meta-data/{name}"), value));

    data("instance-id", facts.id.to_string());
    data("instance-type", facts.instance_type.clone());
    data("instance-action", "none".to_owned());
    data("instance-life-cycle", if facts.market == Market::Spot { "spot" } else { "on-demand" }.to_owned());
    data("ami-launch-index", facts.index.to_string());
    data("ami-manifest-path", "(unknown)".to_owned());
    data("placement/availability-zone", facts.zone.clone());
    data("placement/availability-zone-id", facts.zone_id.clone());
    data("placement/region", facts.region.clone());
    data("services/domain", "amazonaws.com".to_owned());
    data("services/partition", "aws".to_owned());
    data("events/maintenance/history", "[]".to_owned());
    data("events/maintenance/scheduled", "[]".to_owned());
    if let Some(ip) = facts.private_ip {
        data("local-ipv4", ip.to_string());
    }
    if let Some(name) = facts.hostname() {
        data("hostname", name.clone());
        data("local-hostname", name);
    }
    if let Some(ip) = facts.public_ip {
        data("public-ipv4", ip.to_string());
    }
    if let Some(details) = &facts.details {
        let groups: Vec<&str> = details.groups.iter().map(|(_, name)| name.as_str()).collect();
        data("ami-id", details.image.clone());
        data("reservation-id", details.reservation.to_string());
        data("security-groups", groups.join("\n"));
        if let Some(group) = &details.placement_group {
            data("placement/group-name", group.clone());
        }
    }
    if facts.tells_tags() {
        for (key, value) in facts.tags.iter() {
            data(&format!("tags/instance/{key}"), value.clone());
        }
    }
    if let Some(at) = facts.deadline {
        let action = json!({ "action": facts.interruption, "time": format!("{at:.0}") });
        data("spot/instance-action", action.to_string());
        if facts.interruption == "terminate" {
            data("spot/termination-time", format!("{at:.0}"));
        }
    }
    if let Some(at) = facts.advised {
        data("events/recommendations/rebalance", json!({ "noticeTime": format!("{at:.0}") }).to_string());
    }
    leaves
}

/// The instance identity document. It is not signed here: nobody could check it.
fn document(facts: &Facts) -> String {
    let document = json!({
        "accountId": ACCOUNT,
        "architecture": facts.arch.to_string(),
        "availabilityZone": facts.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": facts.details.as_ref().map(|details| details.image.as_str()),
        "instanceId": &*facts.id,
        "instanceType": facts.instance_type,
        "kernelId": null,
        "pendingTime": format!("{:.0}", facts.launched),
        "privateIp": facts.private_ip,
        "ramdiskId": null,
        "region": facts.region,
        "version": "2017-09-30",
    });
    format!("{document:#}")
}
