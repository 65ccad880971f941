use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::aws::creation::fixed_id;
use crate::aws::error::not_found;
use crate::aws::filter::{Filtered, Filters};
use crate::aws::page::Page;
use crate::aws::state::State;
use crate::aws::xml::{Items, Tag, tag_set};
use crate::aws::{ACCOUNT, Request, groups};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

type Tags = BTreeMap<String, String>;

/// The addresses of a default VPC: "Default VPC components", VPC user guide.
const VPC_CIDR: &str = "172.31.0.0/16";

/// The addresses of a `/20` that EC2 does not keep for itself: all but five.
const SUBNET_ADDRESSES: u32 = 4_096 - 5;

/// A default subnet: one per zone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) vpc_id: String,
    pub(crate) zone: String,
    /// `use1-az4`.
    pub(crate) zone_id: String,
    pub(crate) cidr: String,
    /// How many addresses are free in it.
    pub(crate) free: u32,
}

/// The id of a region's default VPC.
pub(crate) fn default_vpc(region: &str) -> String {
    fixed_id("vpc", &[region])
}

/// The default subnets of a region, in the order of their zones.
pub(crate) fn subnets(kernel: &Kernel, region: &str) -> Vec<Subnet> {
    let zones = kernel.catalog().zones().iter().filter(|spec| spec.region.as_str() == region);
    let subnet = |(index, spec): (usize, &crate::catalog::ZoneSpec)| {
        let pools = kernel.pools.iter().zip(kernel.catalog().offers());
        let used: u32 = pools.filter(|(_, offer)| offer.zone == spec.zone).map(|(pool, _)| pool.used).sum();
        Subnet {
            id: fixed_id("subnet", &[spec.zone.as_str()]),
            vpc_id: default_vpc(region),
            zone: spec.zone.as_str().to_owned(),
            zone_id: spec.id.to_string(),
            cidr: format!("172.31.{}.0/20", index * 16),
            free: SUBNET_ADDRESSES.saturating_sub(used),
        }
    };
    zones.enumerate().map(subnet).collect()
}

/// Changes the tags of what the account has from the start: default VPCs, subnets and groups. Says
/// whether the id is one of theirs.
pub(crate) fn retag_own(
    kernel: &Kernel,
    state: &mut State,
    id: &str,
    change: impl FnOnce(&mut Tags),
) -> bool {
    let own = is_own(kernel, id);
    if own {
        change(state.own_tags.entry(id.to_owned()).or_default());
    }
    own
}

/// What the account has from the start in a region: the default VPC, its group, a subnet per zone.
pub(crate) fn own_ids(kernel: &Kernel, region: &str) -> Vec<String> {
    let zones = kernel.catalog().zones().iter().filter(|spec| spec.region.as_str() == region);
    let subnets = zones.map(|spec| fixed_id("subnet", &[spec.zone.as_str()]));
    subnets.chain([default_vpc(region), groups::default_id(region)]).collect()
}

/// Whether an id is of what the account has from the start.
pub(crate) fn is_own(kernel: &Kernel, id: &str) -> bool {
    let kind = matches!(id.split('-').next(), Some("vpc" | "subnet" | "sg"));
    kind && kernel.regions().iter().any(|region| own_ids(kernel, region.as_str()).iter().any(|own| own == id))
}

/// The type of resource and the tags of what the account has from the start, for `DescribeTags`.
pub(crate) fn own_tags(state: &State) -> impl Iterator<Item = (&str, &'static str, &Tags)> {
    state.own_tags.iter().map(|(id, tags)| {
        let kind = match id.split('-').next() {
            Some("vpc") => "vpc",
            Some("subnet") => "subnet",
            _ => "security-group",
        };
        (id.as_str(), kind, tags)
    })
}

/// `DescribeVpcs`.
pub(crate) fn describe_vpcs(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, VPC_FILTERS)?;
    let (page, ids) = (Page::read(&root, 5..=1_000, 1_000)?, root.texts("VpcId"));
    let (vpcs, next_token) = request.call(0, |_, state| {
        let id = default_vpc(request.region);
        if let Some(unknown) = ids.iter().find(|wanted| **wanted != id) {
            return Err(not_found("InvalidVpcID.NotFound", "vpc ID", unknown));
        }
        let tags = state.own_tags.get(&id).cloned().unwrap_or_default();
        let (page, next) = page.cut([SeenVpc { id, tags }].into_iter().filter(|vpc| filters.matches(vpc)));
        Ok((page.iter().map(Vpc::of).collect(), next))
    })?;
    request.answer(&Vpcs { vpc_set: vpcs, next_token })
}

/// `DescribeSubnets`.
pub(crate) fn describe_subnets(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, SUBNET_FILTERS)?;
    let (page, ids) = (Page::read(&root, 5..=1_000, 1_000)?, root.texts("SubnetId"));
    let (subnets, next_token) = request.call(0, |kernel, state| {
        let all = subnets(kernel, request.region);
        if let Some(unknown) = ids.iter().find(|id| all.iter().all(|subnet| subnet.id != **id)) {
            return Err(not_found("InvalidSubnetID.NotFound", "subnet ID", unknown));
        }
        let seen = all.into_iter().filter(|subnet| ids.is_empty() || ids.contains(&subnet.id.as_str()));
        let seen = seen.map(|subnet| SeenSubnet {
            arn: format!("arn:aws:ec2:{}:{ACCOUNT}:subnet/{}", request.region, subnet.id),
            tags: state.own_tags.get(&subnet.id).cloned().unwrap_or_default(),
            subnet,
        });
        let (page, next) = page.cut(seen.filter(|subnet| filters.matches(subnet)));
        Ok((page.into_iter().map(SubnetItem::of).collect(), next))
    })?;
    request.answer(&Subnets { subnet_set: subnets, next_token })
}

/// EC2 API, `DescribeVpcs`, filters.
const VPC_FILTERS: &[&str] = &[
    "cidr",
    "cidr-block-association.association-id",
    "cidr-block-association.cidr-block",
    "cidr-block-association.state",
    "dhcp-options-id",
    "is-default",
    "owner-id",
    "state",
    "vpc-id",
    "ipv6-cidr-block-association.association-id",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "ipv6-cidr-block-association.ipv6-pool",
    "ipv6-cidr-block-association.state",
];

/// EC2 API, `DescribeSubnets`, filters, with the older spellings that it still takes.
const SUBNET_FILTERS: &[&str] = &[
    "availability-zone",
    "availability-zone-id",
    "availabilityZone",
    "availabilityZoneId",
    "available-ip-address-count",
    "cidr",
    "cidr-block",
    "cidrBlock",
    "customer-owned-ipv4-pool",
    "default-for-az",
    "defaultForAz",
    "enable-dns64",
    "enable-lni-at-device-index",
    "ipv6-cidr-block-association.association-id",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "ipv6-cidr-block-association.state",
    "ipv6-native",
    "map-customer-owned-ip-on-launch",
    "map-public-ip-on-launch",
    "outpost-arn",
    "owner-id",
    "private-dns-name-options-on-launch.hostname-type",
    "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
    "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
    "state",
    "subnet-arn",
    "subnet-id",
    "vpc-id",
];

struct SeenVpc {
    id: String,
    tags: Tags,
}

impl Filtered for SeenVpc {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value: Cow<'_, str> = match filter {
            "cidr" | "cidr-block-association.cidr-block" => VPC_CIDR.into(),
            "cidr-block-association.association-id" => fixed_id("vpc-cidr-assoc", &[&self.id]).into(),
            "cidr-block-association.state" => "associated".into(),
            "dhcp-options-id" => fixed_id("dopt", &[&self.id]).into(),
            "is-default" => "true".into(),
            "owner-id" => ACCOUNT.into(),
            "state" => "available".into(),
            "vpc-id" => self.id.as_str().into(),
            _ => return None,
        };
        Some(vec![value])
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

struct SeenSubnet {
    subnet: Subnet,
    arn: String,
    tags: Tags,
}

impl Filtered for SeenSubnet {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let subnet = &self.subnet;
        let value: Cow<'_, str> = match filter {
            "availability-zone" | "availabilityZone" => subnet.zone.as_str().into(),
            "availability-zone-id" | "availabilityZoneId" => subnet.zone_id.as_str().into(),
            "available-ip-address-count" => subnet.free.to_string().into(),
            "cidr" | "cidr-block" | "cidrBlock" => subnet.cidr.as_str().into(),
            "default-for-az" | "defaultForAz" | "map-public-ip-on-launch" => "true".into(),
            "enable-dns64" | "ipv6-native" | "map-customer-owned-ip-on-launch" => "false".into(),
            "private-dns-name-options-on-launch.hostname-type" => "ip-name".into(),
            "private-dns-name-options-on-launch.enable-resource-name-dns-a-record"
            | "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record" => "false".into(),
            "owner-id" => ACCOUNT.into(),
            "state" => "available".into(),
            "subnet-arn" => self.arn.as_str().into(),
            "subnet-id" => subnet.id.as_str().into(),
            "vpc-id" => subnet.vpc_id.as_str().into(),
            _ => return None,
        };
        Some(vec![value])
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Vpcs {
    vpc_set: Items<Vpc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Vpc {
    owner_id: &'static str,
    instance_tenancy: &'static str,
    cidr_block_association_set: Items<CidrAssociation>,
    is_default: bool,
    tag_set: Items<Tag>,
    vpc_id: String,
    state: &'static str,
    cidr_block: &'static str,
    dhcp_options_id: String,
}

impl Vpc {
    fn of(vpc: &SeenVpc) -> Self {
        let association = CidrAssociation {
            association_id: fixed_id("vpc-cidr-assoc", &[&vpc.id]),
            cidr_block: VPC_CIDR,
            cidr_block_state: CidrState { state: "associated" },
        };
        Self {
            owner_id: ACCOUNT,
            instance_tenancy: "default",
            cidr_block_association_set: Items { item: vec![association] },
            is_default: true,
            tag_set: tag_set(&vpc.tags),
            vpc_id: vpc.id.clone(),
            state: "available",
            cidr_block: VPC_CIDR,
            dhcp_options_id: fixed_id("dopt", &[&vpc.id]),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CidrAssociation {
    association_id: String,
    cidr_block: &'static str,
    cidr_block_state: CidrState,
}

#[derive(Serialize)]
struct CidrState {
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subnets {
    subnet_set: Items<SubnetItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubnetItem {
    availability_zone_id: String,
    map_customer_owned_ip_on_launch: bool,
    owner_id: &'static str,
    assign_ipv6_address_on_creation: bool,
    tag_set: Items<Tag>,
    subnet_arn: String,
    enable_dns64: bool,
    ipv6_native: bool,
    private_dns_name_options_on_launch: DnsOptions,
    subnet_id: String,
    state: &'static str,
    vpc_id: String,
    cidr_block: String,
    available_ip_address_count: u32,
    availability_zone: String,
    default_for_az: bool,
    map_public_ip_on_launch: bool,
}

impl SubnetItem {
    fn of(seen: SeenSubnet) -> Self {
        let subnet = seen.subnet;
        Self {
            availability_zone_id: subnet.zone_id,
            map_customer_owned_ip_on_launch: false,
            owner_id: ACCOUNT,
            assign_ipv6_address_on_creation: false,
            tag_set: tag_set(&seen.tags),
            subnet_arn: seen.arn,
            enable_dns64: false,
            ipv6_native: false,
            private_dns_name_options_on_launch: DnsOptions {
                hostname_type: "ip-name",
                enable_resource_name_dns_a_record: false,
                enable_resource_name_dns_aaaa_record: false,
            },
            subnet_id: subnet.id,
            state: "available",
            vpc_id: subnet.vpc_id,
            cidr_block: subnet.cidr,
            available_ip_address_count: subnet.free,
            availability_zone: subnet.zone,
            default_for_az: true,
            map_public_ip_on_launch: true,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DnsOptions {
    hostname_type: &'static str,
    #[serde(rename = "enableResourceNameDnsARecord")]
    enable_resource_name_dns_a_record: bool,
    #[serde(rename = "enableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::trial::{Trial, texts};

    #[test]
    fn every_zone_has_a_default_subnet_of_the_default_vpc() {
        let trial = Trial::new();
        let answer =
            trial.ask("DescribeSubnets", "Filter.1.Name=default-for-az&Filter.1.Value.1=true").unwrap();
        assert_eq!(
            texts(&answer, "availabilityZoneId"),
            ["use1-az4", "use1-az6", "use1-az1", "use1-az2", "use1-az5"]
        );
        let vpc = trial.get("DescribeVpcs", "Filter.1.Name=is-default&Filter.1.Value.1=true", "vpcId");
        assert!(texts(&answer, "vpcId").iter().all(|id| *id == vpc));
        assert_eq!(trial.refusal("DescribeSubnets", "SubnetId.1=subnet-1"), "InvalidSubnetID.NotFound");
        assert_eq!(trial.refusal("DescribeVpcs", "VpcId.1=vpc-1"), "InvalidVpcID.NotFound");
        assert_eq!(trial.refusal("DescribeVpcs", "MaxResults=4"), "InvalidParameterValue");
    }

    #[test]
    fn what_the_account_has_from_the_start_can_be_tagged_and_is_no_leftover() {
        let trial = Trial::new();
        let ids =
            [default_vpc("us-east-1"), groups::default_id("us-east-1"), fixed_id("subnet", &["us-east-1a"])];
        for id in &ids {
            let tagged = trial.face.look(|kernel, state| {
                retag_own(kernel, state, id, |tags| drop(tags.insert("a".into(), "1".into())))
            });
            assert!(tagged, "{id}");
        }
        let filter = "Filter.1.Name=tag:a&Filter.1.Value.1=1";
        assert_eq!(trial.get("DescribeVpcs", filter, "vpcId"), ids[0]);
        assert_eq!(trial.get("DescribeSecurityGroups", filter, "groupId"), ids[1]);
        assert_eq!(trial.get("DescribeSubnets", filter, "subnetId"), ids[2]);
        assert!(trial.face.world.ledger().proves_empty());
        assert!(!trial.face.look(|kernel, state| retag_own(kernel, state, "vpc-1", |_| {})));
    }
}
