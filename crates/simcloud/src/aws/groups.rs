pub(crate) mod changes;
pub(crate) mod rules;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::aws::creation::{fixed_id, is_id, new_id, tags_at_creation};
use crate::aws::error::{coded, missing};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::groups::rules::{IpPermission, Peer, Permission, permissions};
use crate::aws::network::default_vpc;
use crate::aws::page::Page;
use crate::aws::query::Node;
use crate::aws::state::State;
use crate::aws::xml::{Items, Tag, tag_set};
use crate::aws::{ACCOUNT, Request};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The account's security groups, of all regions. The default one of a region is there from the
/// first look at the region on.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) by_id: BTreeMap<String, Group>,
}

/// One security group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) region: String,
    pub(crate) rules: Vec<Rule>,
}

/// One rule of a group.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) egress: bool,
    pub(crate) permission: Permission,
    pub(crate) description: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

const DEFAULT: &str = "default";

/// The id of a region's default group.
pub(crate) fn default_id(region: &str) -> String {
    fixed_id("sg", &["default", region])
}

/// The group of this id, as `(id, name)`, for a launch.
///
/// # Errors
/// `InvalidGroup.NotFound`, `InvalidGroupId.Malformed`.
pub(crate) fn named_id(state: &State, region: &str, id: &str) -> Result<(String, String), Refusal> {
    match id == default_id(region) {
        true => Ok((id.to_owned(), DEFAULT.to_owned())),
        false => state.groups.with_id(region, id).map(|group| (group.id.clone(), group.name.clone())),
    }
}

/// The same by its name, in the default VPC.
///
/// # Errors
/// `InvalidGroup.NotFound`.
pub(crate) fn named(state: &State, region: &str, name: &str) -> Result<(String, String), Refusal> {
    match name == DEFAULT {
        true => Ok((default_id(region), DEFAULT.to_owned())),
        false => state.groups.with_name(region, name).map(|group| (group.id.clone(), group.name.clone())),
    }
}

impl Groups {
    /// The same, with the default group of a region.
    pub(crate) fn of(&mut self, region: &str) -> &mut Self {
        let id = default_id(region);
        self.by_id.entry(id.clone()).or_insert_with(|| {
            let rule = |egress: bool, permission: Permission| Rule {
                id: fixed_id("sgr", &[region, if egress { "out" } else { "in" }]),
                egress,
                permission,
                description: None,
                tags: BTreeMap::new(),
            };
            Group {
                rules: vec![rule(false, Permission::from_group(&id)), rule(true, Permission::anywhere())],
                id,
                name: DEFAULT.to_owned(),
                description: "default VPC security group".to_owned(),
                region: region.to_owned(),
            }
        });
        self
    }

    pub(crate) fn with_id(&self, region: &str, id: &str) -> Result<&Group, Refusal> {
        if !is_id("sg", id) {
            let message = format!("Invalid id: \"{id}\" (expecting \"sg-...\")");
            return Err(coded(400, "InvalidGroupId.Malformed", message));
        }
        self.by_id.get(id).filter(|group| group.region == region).ok_or_else(|| {
            coded(400, "InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
        })
    }

    pub(crate) fn with_name(&self, region: &str, name: &str) -> Result<&Group, Refusal> {
        self.by_id.values().find(|group| group.region == region && group.name == name).ok_or_else(|| {
            let vpc = default_vpc(region);
            let message = format!("The security group '{name}' does not exist in default VPC '{vpc}'");
            coded(400, "InvalidGroup.NotFound", message)
        })
    }

    /// The group that a request names, by `GroupId` or `GroupName`.
    pub(crate) fn asked(&self, region: &str, root: &Node<'_>) -> Result<&Group, Refusal> {
        match (root.text("GroupId"), root.text("GroupName")) {
            (Some(id), _) => self.with_id(region, id),
            (None, Some(name)) => self.with_name(region, name),
            (None, None) => Err(missing("GroupId")),
        }
    }
}

/// `CreateSecurityGroup`: it lets everything out and nothing in.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let (name, description) = (root.required("GroupName")?, root.required("GroupDescription")?);
    check_text("GroupName", name)?;
    check_text("GroupDescription", description)?;
    if name.to_lowercase().starts_with("sg-") {
        let message = format!("Invalid value '{name}' for groupName. It may not begin with sg-.");
        return Err(coded(400, "InvalidParameterValue", message));
    }
    if name.eq_ignore_ascii_case("default") {
        let message = "Cannot use reserved security group name: default";
        return Err(coded(400, "InvalidParameterValue", message));
    }
    let vpc = root.text("VpcId").map_or_else(|| default_vpc(region), str::to_owned);
    let tags = tags_at_creation(&root, "security-group")?;
    let answer = tag_set(&tags);
    let id = request.call(0, |kernel, state| {
        if vpc != default_vpc(region) {
            let message = format!("The vpc ID '{vpc}' does not exist");
            return Err(coded(400, "InvalidVpcID.NotFound", message));
        }
        if state.groups.of(region).with_name(region, name).is_ok() {
            let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
            return Err(coded(400, "InvalidGroup.Duplicate", message));
        }
        let id = new_id(kernel, state, "sg");
        kernel.make_fixture(FixtureKind::Firewall, id.as_str(), region, tags);
        let rule = Rule {
            id: new_id(kernel, state, "sgr"),
            egress: true,
            permission: Permission::anywhere(),
            description: None,
            tags: BTreeMap::new(),
        };
        let group = Group {
            id: id.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            region: region.to_owned(),
            rules: vec![rule],
        };
        state.groups.by_id.insert(id.clone(), group);
        Ok(id)
    })?;
    let security_group_arn = arn(region, &id);
    request.answer(&Created { group_id: id, tag_set: answer, security_group_arn })
}

/// `DeleteSecurityGroup`, by id or name.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let id = request.call(0, |kernel, state| {
        let group = state.groups.of(region).asked(region, &root)?;
        let (id, name) = (group.id.clone(), group.name.clone());
        if id == default_id(region) {
            let message =
                format!("the specified group: \"{id}\" name: \"{name}\" cannot be deleted by a user");
            return Err(coded(400, "CannotDelete", message));
        }
        let refers = |group: &Group| {
            group.id != id && group.rules.iter().any(|rule| rule.permission.peer == Peer::Group(id.clone()))
        };
        let depended_on = || {
            let message = format!("resource {id} has a dependent object");
            coded(400, "DependencyViolation", message)
        };
        if state.groups.by_id.values().any(refers) {
            return Err(depended_on());
        }
        kernel.delete_fixture(&id)?;
        state.groups.by_id.remove(&id);
        Ok(id)
    })?;
    request.answer(&Deleted { done: true, group_id: id })
}

/// `DescribeSecurityGroups`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let filters = Filters::read(&root, FILTERS)?;
    let page = Page::read(&root, 5..=1_000, 1_000)?;
    let (ids, names) = (root.texts("GroupId"), root.texts("GroupName"));
    let everything =
        filters.is_empty() && ids.is_empty() && names.is_empty() && root.text("MaxResults").is_none();
    let action = if everything { "DescribeSecurityGroups unfiltered" } else { request.action };
    let (groups, next_token) = request.call_as(action, 0, |kernel, state| {
        let State { groups, own_tags, .. } = state;
        let groups = groups.of(region);
        for id in &ids {
            groups.with_id(region, id)?;
        }
        for name in &names {
            groups.with_name(region, name)?;
        }
        let wanted = |group: &&Group| {
            let named = ids.is_empty() && names.is_empty()
                || ids.contains(&group.id.as_str())
                || names.contains(&group.name.as_str());
            group.region == region && named
        };
        let seen = groups.by_id.values().filter(wanted).map(|group| Seen {
            vpc: default_vpc(region),
            tags: tags(kernel, own_tags, &group.id),
            group,
        });
        let (page, next) = page.cut(seen.filter(|seen| filters.matches(seen)));
        Ok((page.iter().map(Seen::told).collect(), next))
    })?;
    request.answer(&Many { security_group_info: groups, next_token })
}

/// The tags of a group as they are now.
fn tags(
    kernel: &Kernel,
    own: &BTreeMap<String, BTreeMap<String, String>>,
    id: &str,
) -> Arc<BTreeMap<String, String>> {
    match kernel.fixture(id) {
        Some(fixture) => Arc::clone(&fixture.tags),
        None => own.get(id).cloned().map(Arc::new).unwrap_or_default(),
    }
}

pub(crate) fn arn(region: &str, id: &str) -> String {
    format!("arn:aws:ec2:{region}:{ACCOUNT}:security-group/{id}")
}

/// EC2 API, `CreateSecurityGroup`: at most 255 of these characters.
fn check_text(parameter: &str, text: &str) -> Result<(), Refusal> {
    let known = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    match text.chars().count() <= 255 && text.chars().all(known) {
        true => Ok(()),
        false => {
            let message = format!(
                "Value ({text}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported; at most 255 of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{{}}!$* are."
            );
            Err(coded(400, "InvalidParameterValue", message))
        }
    }
}

/// EC2 API, `DescribeSecurityGroups`, filters.
const FILTERS: &[&str] = &[
    "description",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.group-name",
    "egress.ip-permission.ipv6-cidr",
    "egress.ip-permission.prefix-list-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "egress.ip-permission.user-id",
    "group-id",
    "group-name",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.group-name",
    "ip-permission.ipv6-cidr",
    "ip-permission.prefix-list-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "ip-permission.user-id",
    "owner-id",
    "vpc-id",
];

struct Seen<'a> {
    group: &'a Group,
    vpc: String,
    tags: Arc<BTreeMap<String, String>>,
}

impl Seen<'_> {
    fn told(&self) -> SecurityGroup {
        let group = self.group;
        let side = |egress: bool| {
            let rules = group.rules.iter().filter(move |rule| rule.egress == egress);
            permissions(rules.map(|rule| (&rule.permission, rule.description.as_deref())))
        };
        SecurityGroup {
            group_id: group.id.clone(),
            ip_permissions_egress: side(true),
            tag_set: tag_set(&self.tags),
            vpc_id: self.vpc.clone(),
            security_group_arn: arn(&group.region, &group.id),
            owner_id: ACCOUNT,
            group_name: group.name.clone(),
            group_description: group.description.clone(),
            ip_permissions: side(false),
        }
    }
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let group = self.group;
        let one: &str = match filter {
            "description" => &group.description,
            "group-id" => &group.id,
            "group-name" => &group.name,
            "owner-id" => ACCOUNT,
            "vpc-id" => &self.vpc,
            _ => {
                let (egress, of_rule) = match filter.strip_prefix("egress.ip-permission.") {
                    Some(of_rule) => (true, of_rule),
                    None => (false, filter.strip_prefix("ip-permission.")?),
                };
                let rules = group.rules.iter().filter(|rule| rule.egress == egress);
                return Some(rules.filter_map(|rule| of(&rule.permission, of_rule)).collect());
            }
        };
        Some(vec![one.into()])
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

fn of<'a>(permission: &'a Permission, filter: &str) -> Option<Cow<'a, str>> {
    match (filter, &permission.peer) {
        ("cidr", Peer::V4(text))
        | ("ipv6-cidr", Peer::V6(text))
        | ("group-id", Peer::Group(text))
        | ("prefix-list-id", Peer::PrefixList(text)) => Some(text.into()),
        ("user-id", Peer::Group(_)) => Some(ACCOUNT.into()),
        ("protocol", _) => Some(permission.protocol.as_str().into()),
        ("from-port", _) => permission.ports.map(|(from, _)| from.to_string().into()),
        ("to-port", _) => permission.ports.map(|(_, to)| to.to_string().into()),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    group_id: String,
    tag_set: Items<Tag>,
    security_group_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    #[serde(rename = "return")]
    done: bool,
    group_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    security_group_info: Items<SecurityGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecurityGroup {
    group_id: String,
    ip_permissions_egress: Items<IpPermission>,
    tag_set: Items<Tag>,
    vpc_id: String,
    security_group_arn: String,
    owner_id: &'static str,
    group_name: String,
    group_description: String,
    ip_permissions: Items<IpPermission>,
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::{Trial, texts};

    const MADE: &str = "GroupName=mine&GroupDescription=d";

    #[test]
    fn a_new_group_lets_everything_out_and_nothing_in() {
        let trial = Trial::new();
        trial.ask("CreateSecurityGroup", MADE).unwrap();
        let answer = trial.ask("DescribeSecurityGroups", "GroupName.1=mine").unwrap();
        assert!(answer.contains("<ipPermissions/>") || answer.contains("<ipPermissions></ipPermissions>"));
        assert_eq!(texts(&answer, "cidrIp"), ["0.0.0.0/0"]);
        for (form, code) in [
            (MADE, "InvalidGroup.Duplicate"),
            ("GroupName=sg-x&GroupDescription=d", "InvalidParameterValue"),
            ("GroupName=default&GroupDescription=d", "InvalidParameterValue"),
            ("GroupName=x&GroupDescription=d&VpcId=vpc-1", "InvalidVpcID.NotFound"),
            ("GroupName=x", "MissingParameter"),
            ("GroupName=%C3%A4&GroupDescription=d", "InvalidParameterValue"),
        ] {
            assert_eq!(trial.refusal("CreateSecurityGroup", form), code, "{form}");
        }
    }

    #[test]
    fn a_group_goes_when_neither_a_machine_nor_another_group_needs_it() {
        let trial = Trial::new();
        let id = trial.get("CreateSecurityGroup", MADE, "groupId");
        let other = trial.get("CreateSecurityGroup", "GroupName=other&GroupDescription=d", "groupId");
        let rule =
            format!("GroupId={other}&IpPermissions.1.IpProtocol=-1&IpPermissions.1.Groups.1.GroupId={id}");
        trial.ask("AuthorizeSecurityGroupIngress", &rule).unwrap();
        let gone = format!("GroupId={id}");
        assert_eq!(trial.refusal("DeleteSecurityGroup", &gone), "DependencyViolation");
        trial.ask("DeleteSecurityGroup", "GroupName=other").unwrap();
        let image =
            trial.get("DescribeImages", "Filter.1.Name=architecture&Filter.1.Value.1=arm64", "imageId");
        let run =
            format!("ImageId={image}&InstanceType=m7g.large&MinCount=1&MaxCount=1&SecurityGroupId.1={id}");
        let machine = trial.get("RunInstances", &run, "instanceId");
        assert_eq!(trial.refusal("DeleteSecurityGroup", &gone), "DependencyViolation");
        trial.wait(60);
        trial.ask("TerminateInstances", &format!("InstanceId.1={machine}")).unwrap();
        trial.wait(300);
        trial.ask("DeleteSecurityGroup", &gone).unwrap();
        assert_eq!(trial.refusal("DeleteSecurityGroup", &gone), "InvalidGroup.NotFound");
        assert_eq!(trial.refusal("DeleteSecurityGroup", "GroupName=default"), "CannotDelete");
        assert!(trial.face.world.ledger().proves_empty());
    }

    #[test]
    fn a_list_of_everything_has_a_bucket_of_its_own() {
        let trial = Trial::new();
        trial.ask("DescribeSecurityGroups", "").unwrap();
        trial.ask("DescribeSecurityGroups", "Filter.1.Name=group-name&Filter.1.Value.1=def*").unwrap();
        let calls = trial.face.world.calls();
        assert_eq!(
            calls["DescribeSecurityGroups"].calls
                + calls.get("DescribeSecurityGroups unfiltered").map_or(0, |count| count.calls),
            2
        );
    }
}
