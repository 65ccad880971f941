use serde::Serialize;

use crate::aws::creation::{new_id, tags_at_creation};
use crate::aws::error::{coded, missing};
use crate::aws::groups::rules::{IpPermission, Peer, Permission, permissions, read};
use crate::aws::groups::{Group, Rule, arn};
use crate::aws::network::default_vpc;
use crate::aws::state::State;
use crate::aws::xml::{Items, Tag, tag_set};
use crate::aws::{ACCOUNT, Request};
use crate::refusal::Refusal;

/// The most rules that a group takes in one direction: "Amazon VPC quotas".
const RULES_MAX: usize = 60;

/// `AuthorizeSecurityGroupIngress`.
pub(crate) fn authorize_ingress(request: &Request<'_>) -> Result<String, Refusal> {
    authorize(request, false)
}

/// `AuthorizeSecurityGroupEgress`.
pub(crate) fn authorize_egress(request: &Request<'_>) -> Result<String, Refusal> {
    authorize(request, true)
}

/// `RevokeSecurityGroupIngress`.
pub(crate) fn revoke_ingress(request: &Request<'_>) -> Result<String, Refusal> {
    revoke(request, false)
}

/// `RevokeSecurityGroupEgress`.
pub(crate) fn revoke_egress(request: &Request<'_>) -> Result<String, Refusal> {
    revoke(request, true)
}

/// Adds all the rules, or none.
fn authorize(request: &Request<'_>, egress: bool) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let tags = tags_at_creation(&root, "security-group-rule")?;
    let added = request.call(0, |kernel, state| {
        let id = state.groups.of(region).asked(region, &root)?.id.clone();
        let mut added: Vec<Rule> = Vec::new();
        for (permission, description) in asked(request, state)? {
            if let Peer::Group(other) = &permission.peer {
                state.groups.with_id(region, other)?;
            }
            let group = state.groups.with_id(region, &id)?;
            let same = |rule: &Rule| rule.egress == egress && rule.permission == permission;
            if group.rules.iter().chain(&added).any(same) {
                let message = format!("the specified rule \"{}\" already exists", permission.told());
                return Err(coded(400, "InvalidPermission.Duplicate", message));
            }
            let rule_id = new_id(kernel, state, "sgr");
            added.push(Rule { id: rule_id, egress, permission, description, tags: tags.clone() });
        }
        let group = state.groups.by_id.get_mut(&id).ok_or_else(|| missing("GroupId"))?;
        if group.rules.iter().filter(|rule| rule.egress == egress).count() + added.len() > RULES_MAX {
            let message = "The maximum number of rules per security group has been reached.";
            return Err(coded(400, "RulesPerSecurityGroupLimitExceeded", message));
        }
        let told = added.iter().map(|rule| Told::of(group, rule)).collect();
        group.rules.extend(added);
        Ok(told)
    })?;
    request.answer(&Authorized { done: true, security_group_rule_set: added })
}

/// Takes all the rules away, or none: by their ids, or by what they say.
fn revoke(request: &Request<'_>, egress: bool) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let ids = root.texts("SecurityGroupRuleId");
    let revoked = request.call(0, |_, state| {
        let id = state.groups.of(region).asked(region, &root)?.id.clone();
        let wanted: Vec<Permission> = match ids.is_empty() {
            true => asked(request, state)?.into_iter().map(|(permission, _)| permission).collect(),
            false => Vec::new(),
        };
        let group = state.groups.by_id.get_mut(&id).ok_or_else(|| missing("GroupId"))?;
        let of_side = || group.rules.iter().filter(|rule| rule.egress == egress);
        if let Some(unknown) = ids.iter().find(|id| of_side().all(|rule| rule.id != **id)) {
            let message = format!("The specified rule '{unknown}' does not exist in this security group.");
            return Err(coded(400, "InvalidSecurityGroupRuleId.NotFound", message));
        }
        if wanted.iter().any(|permission| of_side().all(|rule| rule.permission != *permission)) {
            let message = "The specified rule does not exist in this security group.";
            return Err(coded(400, "InvalidPermission.NotFound", message));
        }
        let named = |rule: &Rule| ids.contains(&rule.id.as_str()) || wanted.contains(&rule.permission);
        let (gone, left) = std::mem::take(&mut group.rules)
            .into_iter()
            .partition::<Vec<Rule>, _>(|rule| rule.egress == egress && named(rule));
        group.rules = left;
        Ok(gone.iter().map(|rule| Revoked::of(group, rule)).collect())
    })?;
    let unknown = permissions([]);
    request.answer(&AllRevoked {
        done: true,
        unknown_ip_permission_set: unknown,
        revoked_security_group_rule_set: revoked,
    })
}

fn asked(request: &Request<'_>, state: &State) -> Result<Vec<(Permission, Option<String>)>, Refusal> {
    let group = |name: &str| state.groups.with_name(request.region, name).map(|group| group.id.clone());
    read(&request.root(), &group)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Authorized {
    #[serde(rename = "return")]
    done: bool,
    security_group_rule_set: Items<Told>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllRevoked {
    #[serde(rename = "return")]
    done: bool,
    unknown_ip_permission_set: Items<IpPermission>,
    revoked_security_group_rule_set: Items<Revoked>,
}

/// What both answers say of a rule.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Traffic {
    security_group_rule_id: String,
    group_id: String,
    is_egress: bool,
    ip_protocol: String,
    from_port: i32,
    to_port: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr_ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_list_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl Traffic {
    fn of(group: &Group, rule: &Rule) -> Self {
        // A rule for everything counts as all ports.
        let (from_port, to_port) = rule.permission.ports.unwrap_or((-1, -1));
        let peer = &rule.permission.peer;
        Self {
            security_group_rule_id: rule.id.clone(),
            group_id: group.id.clone(),
            is_egress: rule.egress,
            ip_protocol: rule.permission.protocol.clone(),
            from_port,
            to_port,
            cidr_ipv4: if let Peer::V4(cidr) = peer { Some(cidr.clone()) } else { None },
            cidr_ipv6: if let Peer::V6(cidr) = peer { Some(cidr.clone()) } else { None },
            prefix_list_id: if let Peer::PrefixList(id) = peer { Some(id.clone()) } else { None },
            description: rule.description.clone(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    traffic: Traffic,
    group_owner_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    referenced_group_info: Option<Referenced>,
    tag_set: Items<Tag>,
    security_group_rule_arn: String,
}

impl Told {
    fn of(group: &Group, rule: &Rule) -> Self {
        let vpc_id = default_vpc(&group.region);
        let referenced = match &rule.permission.peer {
            Peer::Group(id) => Some(Referenced { group_id: id.clone(), user_id: ACCOUNT, vpc_id }),
            _ => None,
        };
        let rule_arn = arn(&group.region, &rule.id).replace(":security-group/", ":security-group-rule/");
        Self {
            traffic: Traffic::of(group, rule),
            group_owner_id: ACCOUNT,
            referenced_group_info: referenced,
            tag_set: tag_set(&rule.tags),
            security_group_rule_arn: rule_arn,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Referenced {
    group_id: String,
    user_id: &'static str,
    vpc_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    #[serde(flatten)]
    traffic: Traffic,
    #[serde(skip_serializing_if = "Option::is_none")]
    referenced_group_id: Option<String>,
}

impl Revoked {
    fn of(group: &Group, rule: &Rule) -> Self {
        let referenced = match &rule.permission.peer {
            Peer::Group(id) => Some(id.clone()),
            _ => None,
        };
        Self { traffic: Traffic::of(group, rule), referenced_group_id: referenced }
    }
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::{Trial, texts};

    #[test]
    fn all_rules_of_a_request_are_added_or_none() {
        let trial = Trial::new();
        let id = trial.get("CreateSecurityGroup", "GroupName=mine&GroupDescription=d", "groupId");
        let rule =
            |port: u16| format!("GroupId={id}&IpProtocol=tcp&FromPort={port}&ToPort={port}&CidrIp=0.0.0.0/0");
        trial.ask("AuthorizeSecurityGroupIngress", &rule(22)).unwrap();
        let both = format!(
            "{}&IpPermissions.1.IpProtocol=udp&IpPermissions.1.FromPort=53&IpPermissions.1.ToPort=53&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0",
            rule(22)
        );
        assert_eq!(trial.refusal("AuthorizeSecurityGroupIngress", &both), "InvalidPermission.Duplicate");
        let listed = trial.ask("DescribeSecurityGroups", &format!("GroupId.1={id}")).unwrap();
        assert_eq!(texts(&listed, "ipProtocol"), ["-1", "tcp"]);
        // The other direction has rules of its own.
        trial.ask("AuthorizeSecurityGroupEgress", &rule(22)).unwrap();
        let answer = trial.ask("RevokeSecurityGroupIngress", &rule(22)).unwrap();
        let rule_id = texts(&answer, "securityGroupRuleId");
        assert_eq!(rule_id.len(), 1);
        assert_eq!(trial.refusal("RevokeSecurityGroupIngress", &rule(22)), "InvalidPermission.NotFound");
        let by_id = format!("GroupId={id}&SecurityGroupRuleId.1={}", rule_id[0]);
        assert_eq!(
            trial.refusal("RevokeSecurityGroupIngress", &by_id),
            "InvalidSecurityGroupRuleId.NotFound"
        );
        assert_eq!(
            trial.refusal("AuthorizeSecurityGroupIngress", &format!("GroupId={id}")),
            "MissingParameter"
        );
    }
}
