use std::borrow::Cow;

use serde::Serialize;

use crate::aws::Request;
use crate::aws::error::{coded, invalid};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::network::default_vpc;
use crate::aws::xml::Items;
use crate::catalog::ZoneSpec;
use crate::refusal::Refusal;

/// `DescribeRegions`. Every region of the simulated account is enabled by default, so that
/// `AllRegions` adds none.
pub(crate) fn describe_regions(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, &["endpoint", "opt-in-status", "region-name"])?;
    let wanted = root.texts("RegionName");
    root.flag("AllRegions")?;
    let regions = request.call(0, |kernel, _| {
        let all: Vec<SeenRegion> =
            kernel.regions().iter().map(|region| SeenRegion(region.as_str().to_owned())).collect();
        if let Some(unknown) = wanted.iter().find(|name| all.iter().all(|region| region.0 != **name)) {
            let message = format!("Invalid region provided: [{unknown}]");
            return Err(coded(400, "InvalidParameterValue", message));
        }
        let named = |region: &&SeenRegion| wanted.is_empty() || wanted.contains(&region.0.as_str());
        let matching = all.iter().filter(named).filter(|region| filters.matches(*region));
        Ok(matching.map(Region::of).collect())
    })?;
    request.answer(&Regions { region_info: regions })
}

/// `DescribeAvailabilityZones`, of the request's own region.
pub(crate) fn describe_zones(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, ZONE_FILTERS)?;
    let (names, ids) = (root.texts("ZoneName"), root.texts("ZoneId"));
    root.flag("AllAvailabilityZones")?;
    let zones = request.call(0, |kernel, _| {
        let here = kernel.catalog().zones().iter().filter(|spec| spec.region.as_str() == request.region);
        let all: Vec<SeenZone<'_>> = here.map(SeenZone).collect();
        if let Some(unknown) = names.iter().find(|name| all.iter().all(|zone| zone.0.zone.as_str() != **name))
        {
            let message = format!("Invalid availability zone: [{unknown}]");
            return Err(coded(400, "InvalidParameterValue", message));
        }
        if let Some(unknown) = ids.iter().find(|id| all.iter().all(|zone| &*zone.0.id != **id)) {
            let message = format!("Invalid availability zone-id: [{unknown}]");
            return Err(coded(400, "InvalidParameterValue", message));
        }
        let named = |zone: &&SeenZone<'_>| {
            names.is_empty() && ids.is_empty()
                || names.contains(&zone.0.zone.as_str())
                || ids.contains(&&*zone.0.id)
        };
        let matching = all.iter().filter(named).filter(|zone| filters.matches(*zone));
        Ok(matching.map(|zone| Zone::of(zone.0)).collect())
    })?;
    request.answer(&Zones { availability_zone_info: zones })
}

/// `DescribeAccountAttributes`. What is not about the default VPC are limits of EC2-Classic times,
/// which every account still has.
pub(crate) fn describe_account(request: &Request<'_>) -> Result<String, Refusal> {
    let wanted_by = request.root();
    let wanted = wanted_by.texts("AttributeName");
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", default_vpc(request.region)),
        ("max-instances", "20".to_owned()),
        ("vpc-max-security-groups-per-interface", "5".to_owned()),
        ("max-elastic-ips", "5".to_owned()),
        ("vpc-max-elastic-ips", "5".to_owned()),
    ];
    if let Some(unknown) = wanted.iter().find(|name| all.iter().all(|(known, _)| known != *name)) {
        let known = all.each_ref().map(|(name, _)| *name).join(", ");
        return Err(invalid("AttributeName", unknown, &format!("one of {known}")));
    }
    let attributes = request.call(0, |_, _| {
        let named = all.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
        let told = named.map(|(attribute_name, attribute_value)| Attribute {
            attribute_name,
            attribute_value_set: Items { item: vec![AttributeValue { attribute_value }] },
        });
        Ok(told.collect())
    })?;
    request.answer(&Attributes { account_attribute_set: attributes })
}

/// EC2 API, `DescribeAvailabilityZones`, filters.
const ZONE_FILTERS: &[&str] = &[
    "group-long-name",
    "group-name",
    "message",
    "opt-in-status",
    "parent-zone-id",
    "parent-zone-name",
    "region-name",
    "state",
    "zone-id",
    "zone-name",
    "zone-type",
];

struct SeenRegion(String);

impl SeenRegion {
    fn endpoint(&self) -> String {
        format!("ec2.{}.amazonaws.com", self.0)
    }
}

impl Filtered for SeenRegion {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value: Cow<'_, str> = match filter {
            "endpoint" => self.endpoint().into(),
            "opt-in-status" => OPT_IN.into(),
            "region-name" => self.0.as_str().into(),
            _ => return None,
        };
        Some(vec![value])
    }
}

struct SeenZone<'a>(&'a ZoneSpec);

impl Filtered for SeenZone<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value: Cow<'_, str> = match filter {
            "group-name" => group(self.0).into(),
            "opt-in-status" => OPT_IN.into(),
            "region-name" => self.0.region.as_str().into(),
            "state" => "available".into(),
            "zone-id" => (&*self.0.id).into(),
            "zone-name" => self.0.zone.as_str().into(),
            "zone-type" => "availability-zone".into(),
            _ => return None,
        };
        Some(vec![value])
    }
}

const OPT_IN: &str = "opt-in-not-required";

/// The one group of a region's zones.
fn group(spec: &ZoneSpec) -> String {
    format!("{}-zg-1", spec.region)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Regions {
    region_info: Items<Region>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    opt_in_status: &'static str,
    region_name: String,
    region_endpoint: String,
}

impl Region {
    fn of(region: &SeenRegion) -> Self {
        Self { opt_in_status: OPT_IN, region_name: region.0.clone(), region_endpoint: region.endpoint() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Zones {
    availability_zone_info: Items<Zone>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Zone {
    opt_in_status: &'static str,
    message_set: Items<()>,
    region_name: String,
    zone_name: String,
    zone_id: String,
    group_name: String,
    network_border_group: String,
    zone_type: &'static str,
    zone_state: &'static str,
}

impl Zone {
    fn of(spec: &ZoneSpec) -> Self {
        Self {
            opt_in_status: OPT_IN,
            message_set: Items::default(),
            region_name: spec.region.as_str().to_owned(),
            zone_name: spec.zone.as_str().to_owned(),
            zone_id: spec.id.to_string(),
            group_name: group(spec),
            network_border_group: spec.region.as_str().to_owned(),
            zone_type: "availability-zone",
            zone_state: "available",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    account_attribute_set: Items<Attribute>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attribute {
    attribute_name: &'static str,
    attribute_value_set: Items<AttributeValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttributeValue {
    attribute_value: String,
}

#[cfg(test)]
mod tests {
    use crate::aws::trial::{Trial, texts};

    #[test]
    fn regions_and_zones_are_those_of_the_catalogue() {
        let trial = Trial::new();
        let regions = trial.ask("DescribeRegions", "AllRegions=true").unwrap();
        assert_eq!(texts(&regions, "regionName").len(), 6);
        assert_eq!(trial.refusal("DescribeRegions", "RegionName.1=moon-1"), "InvalidParameterValue");
        let form = "Filter.1.Name=zone-id&Filter.1.Value.1=use1-az4";
        assert_eq!(trial.get("DescribeAvailabilityZones", form, "zoneName"), "us-east-1a");
        assert_eq!(
            trial.refusal("DescribeAvailabilityZones", "ZoneName.1=us-east-1z"),
            "InvalidParameterValue"
        );
        let elsewhere = trial.ask_in("eu-west-1", "DescribeAvailabilityZones", "").unwrap();
        assert_eq!(texts(&elsewhere, "zoneId"), ["euw1-az2", "euw1-az3", "euw1-az1"]);
    }

    #[test]
    fn the_account_has_a_default_vpc() {
        let trial = Trial::new();
        let vpc = trial.get("DescribeVpcs", "", "vpcId");
        let form = "AttributeName.1=default-vpc";
        assert_eq!(trial.get("DescribeAccountAttributes", form, "attributeValue"), vpc);
        assert_eq!(
            trial.refusal("DescribeAccountAttributes", "AttributeName.1=colour"),
            "InvalidParameterValue"
        );
        assert_eq!(trial.refusal("DescribeRegions", "DryRun=true"), "DryRunOperation");
    }
}
