use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::aws::error::coded;
use crate::aws::query::Node;
use crate::aws::shape::Given;
use crate::aws::templates::members::DATA;
use crate::refusal::Refusal;

/// What a launch is made of: the content of a launch template, or the same members of a
/// `RunInstances` request, which have the same names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LaunchTemplateData {
    /// `ami-…` or `resolve:ssm:…`.
    pub(crate) image_id: Option<String>,
    pub(crate) instance_type: Option<String>,
    pub(crate) key_name: Option<String>,
    /// Base64, as it came.
    pub(crate) user_data: Option<String>,
    /// Ids.
    pub(crate) security_group_ids: Vec<String>,
    /// Names, of groups of the default network.
    pub(crate) security_groups: Vec<String>,
    pub(crate) network_interfaces: Vec<InterfaceSpec>,
    pub(crate) block_devices: Vec<DeviceSpec>,
    /// By type of resource: `instance`, `volume`, `network-interface`, `spot-instances-request`.
    pub(crate) tags: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) market: Option<MarketOptions>,
    pub(crate) metadata: MetadataOptions,
    pub(crate) profile: Option<Profile>,
    /// `stop` or `terminate`; EC2's default is `stop`.
    pub(crate) shutdown: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) zone_id: Option<String>,
    pub(crate) placement_group: Option<String>,
    pub(crate) tenancy: Option<String>,
    pub(crate) monitoring: Option<bool>,
    pub(crate) ebs_optimized: Option<bool>,
    pub(crate) disable_api_termination: Option<bool>,
    pub(crate) disable_api_stop: Option<bool>,
    /// The attributes in place of a type, if the template has some.
    pub(crate) requirements: Option<Given>,
    /// Everything, as it was given.
    pub(crate) given: Given,
}

/// A network interface that a launch makes or takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InterfaceSpec {
    pub(crate) device_index: u32,
    pub(crate) subnet_id: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) public_address: Option<bool>,
    /// EC2's default is yes.
    pub(crate) delete_on_termination: Option<bool>,
    pub(crate) description: Option<String>,
    /// One that exists already.
    pub(crate) interface_id: Option<String>,
    pub(crate) private_address: Option<String>,
}

/// A disk of a launch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceSpec {
    pub(crate) device_name: String,
    pub(crate) size_gib: Option<u32>,
    pub(crate) volume_type: Option<String>,
    pub(crate) delete_on_termination: Option<bool>,
    pub(crate) encrypted: Option<bool>,
    pub(crate) snapshot_id: Option<String>,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
}

/// How the machines are bought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MarketOptions {
    pub(crate) spot: bool,
    /// Dollars an hour, as it came.
    pub(crate) max_price: Option<String>,
    pub(crate) persistent: bool,
    /// `terminate` (EC2's default), `stop` or `hibernate`.
    pub(crate) interruption: Option<String>,
}

/// How the metadata service answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MetadataOptions {
    /// `optional` or `required`.
    pub(crate) tokens: Option<String>,
    pub(crate) hop_limit: Option<u32>,
    pub(crate) endpoint: Option<bool>,
    pub(crate) tags: Option<bool>,
}

/// An instance profile, by one of its two names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    pub(crate) arn: Option<String>,
    pub(crate) name: Option<String>,
}

impl LaunchTemplateData {
    /// Reads the content of a template, or a launch: `LaunchTemplateData.…`, or the root of
    /// `RunInstances`.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a value that is not of its member's kind;
    /// `InvalidUserData.Malformed` for user data that are not base64, and `InvalidParameterValue`
    /// for more than 16 KB of them.
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Refusal> {
        let given = Given::read(node, DATA)?;
        let hops =
            given.part("metadataOptions").and_then(|part| part.number::<i64>("httpPutResponseHopLimit"));
        if let Some(hops) = hops.filter(|hops| !(1..=64).contains(hops)) {
            let name = node.node("MetadataOptions.HttpPutResponseHopLimit");
            return Err(crate::aws::error::invalid(name.name(), &hops.to_string(), "a number from 1 to 64"));
        }
        if let Some(text) = given.text("userData") {
            check_user_data(text)?;
        }
        for group in given.list("tagSpecificationSet") {
            if group.text("resourceType").is_none() {
                return Err(coded(
                    400,
                    "InvalidParameterValue",
                    "A tag specification needs a resource type.",
                ));
            }
        }
        Ok(Self::of(given))
    }

    /// This content over another: the members that this one has replace the other's.
    pub(crate) fn over(self, below: &Self) -> Self {
        Self::of(self.given.over(&below.given))
    }

    /// Nothing but user data, in base64: what a launch says over its template.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub(crate) fn of_user_data(text: &str) -> Result<Self, Refusal> {
        let given = Given::of(&[("userData", text)]);
        check_user_data(text)?;
        Ok(Self::of(given))
    }

    /// The same with an image in place of the alias of one.
    pub(crate) fn with_image(&self, id: &str) -> Self {
        Self::of(self.given.with_text("imageId", id))
    }

    /// The user data before encoding; empty for none.
    pub(crate) fn user_data_bytes(&self) -> Vec<u8> {
        let text = self.user_data.as_deref().unwrap_or_default().split_whitespace().collect::<String>();
        STANDARD.decode(text).unwrap_or_default()
    }

    /// The tags of one type of resource.
    pub(crate) fn tags_of(&self, resource_type: &str) -> BTreeMap<String, String> {
        self.tags.get(resource_type).cloned().unwrap_or_default()
    }

    fn of(given: Given) -> Self {
        let (placement, monitoring) = (given.part("placement"), given.part("monitoring"));
        let place = |name| placement.and_then(|placement| placement.owned(name));
        let mut tags: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for group in given.list("tagSpecificationSet") {
            let of_type = tags.entry(group.owned("resourceType").unwrap_or_default()).or_default();
            for tag in group.list("tagSet") {
                let key = tag.owned("key").unwrap_or_default();
                of_type.insert(key, tag.owned("value").unwrap_or_default());
            }
        }
        Self {
            image_id: given.owned("imageId"),
            instance_type: given.owned("instanceType"),
            key_name: given.owned("keyName"),
            user_data: given.owned("userData"),
            security_group_ids: given.texts("securityGroupIdSet"),
            security_groups: given.texts("securityGroupSet"),
            network_interfaces: given.list("networkInterfaceSet").map(InterfaceSpec::of).collect(),
            block_devices: given.list("blockDeviceMappingSet").map(DeviceSpec::of).collect(),
            tags,
            market: given.part("instanceMarketOptions").map(MarketOptions::of),
            metadata: given.part("metadataOptions").map(MetadataOptions::of).unwrap_or_default(),
            profile: given
                .part("iamInstanceProfile")
                .map(|part| Profile { arn: part.owned("arn"), name: part.owned("name") }),
            shutdown: given.owned("instanceInitiatedShutdownBehavior"),
            zone: place("availabilityZone"),
            zone_id: place("availabilityZoneId"),
            placement_group: place("groupName"),
            tenancy: place("tenancy"),
            monitoring: monitoring.and_then(|monitoring| monitoring.flag("enabled")),
            ebs_optimized: given.flag("ebsOptimized"),
            disable_api_termination: given.flag("disableApiTermination"),
            disable_api_stop: given.flag("disableApiStop"),
            requirements: given.part("instanceRequirements").cloned(),
            given,
        }
    }
}

fn check_user_data(text: &str) -> Result<(), Refusal> {
    let bytes = STANDARD
        .decode(text.split_whitespace().collect::<String>())
        .map_err(|_| coded(400, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."))?;
    // EC2 user guide, user data: 16 KB before any encoding.
    match bytes.len() {
        0..=16_384 => Ok(()),
        _ => Err(coded(400, "InvalidParameterValue", "User data is limited to 16384 bytes")),
    }
}

impl Serialize for LaunchTemplateData {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        self.given.serialize(output)
    }
}

impl InterfaceSpec {
    fn of(given: &Given) -> Self {
        Self {
            device_index: given.number("deviceIndex").unwrap_or(0),
            subnet_id: given.owned("subnetId"),
            groups: given.texts("groupSet"),
            public_address: given.flag("associatePublicIpAddress"),
            delete_on_termination: given.flag("deleteOnTermination"),
            description: given.owned("description"),
            interface_id: given.owned("networkInterfaceId"),
            private_address: given.owned("privateIpAddress"),
        }
    }
}

impl DeviceSpec {
    fn of(given: &Given) -> Self {
        let none = Given::default();
        let disk = given.part("ebs").unwrap_or(&none);
        Self {
            device_name: given.owned("deviceName").unwrap_or_default(),
            size_gib: disk.number("volumeSize"),
            volume_type: disk.owned("volumeType"),
            delete_on_termination: disk.flag("deleteOnTermination"),
            encrypted: disk.flag("encrypted"),
            snapshot_id: disk.owned("snapshotId"),
            iops: disk.number("iops"),
            throughput: disk.number("throughput"),
        }
    }
}

impl MarketOptions {
    fn of(given: &Given) -> Self {
        let none = Given::default();
        let spot = given.part("spotOptions").unwrap_or(&none);
        Self {
            spot: given.text("marketType") == Some("spot"),
            max_price: spot.owned("maxPrice"),
            persistent: spot.text("spotInstanceType") == Some("persistent"),
            interruption: spot.owned("instanceInterruptionBehavior"),
        }
    }
}

impl MetadataOptions {
    fn of(given: &Given) -> Self {
        let enabled = |name| given.text(name).map(|text| text == "enabled");
        Self {
            tokens: given.owned("httpTokens"),
            hop_limit: given.number("httpPutResponseHopLimit"),
            endpoint: enabled("httpEndpoint"),
            tags: enabled("instanceMetadataTags"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::query::Query;

    fn read(form: &str) -> Result<LaunchTemplateData, Refusal> {
        LaunchTemplateData::read(&Query::parse(form.as_bytes()).root())
    }

    #[test]
    fn everything_that_a_launch_needs_is_read() {
        let data = read(
            "ImageId=ami-1&InstanceType=m7g.large&UserData=IyEvYmluL3No&SecurityGroupId.1=sg-1\
             &NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SecurityGroupId.1=sg-2&NetworkInterface.1.AssociatePublicIpAddress=false\
             &BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.VolumeSize=9&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true\
             &TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=1\
             &InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions.MaxPrice=0.5\
             &MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=1&IamInstanceProfile.Name=p\
             &InstanceInitiatedShutdownBehavior=terminate&Placement.AvailabilityZone=us-east-1a",
        )
        .unwrap();
        assert_eq!(data.user_data_bytes(), b"#!/bin/sh");
        assert_eq!(
            (data.security_group_ids.len(), &data.network_interfaces[0].groups[..]),
            (1, &["sg-2".to_owned()][..])
        );
        assert_eq!(
            (data.block_devices[0].size_gib, data.block_devices[0].delete_on_termination),
            (Some(9), Some(true))
        );
        assert_eq!(data.tags_of("volume")["a"], "1");
        assert!(
            data.market
                .as_ref()
                .is_some_and(|market| market.spot && market.max_price.as_deref() == Some("0.5"))
        );
        assert_eq!((data.metadata.tokens.as_deref(), data.metadata.hop_limit), (Some("required"), Some(1)));
        assert_eq!((data.shutdown.as_deref(), data.zone.as_deref()), (Some("terminate"), Some("us-east-1a")));
        let over = read("InstanceType=m8g.large").unwrap().over(&data);
        assert_eq!(
            (over.instance_type.as_deref(), over.image_id.as_deref()),
            (Some("m8g.large"), Some("ami-1"))
        );
    }

    #[test]
    fn bad_content_is_refused_at_once() {
        let long = base64::Engine::encode(&STANDARD, vec![b'x'; 16_385]);
        for form in [
            "UserData=%25%25",
            &format!("UserData={long}"),
            "MetadataOptions.HttpPutResponseHopLimit=65",
            "InstanceInitiatedShutdownBehavior=sleep",
            "TagSpecification.1.Tag.1.Key=a",
        ] {
            assert!(read(form).is_err(), "{}", &form[..20]);
        }
    }
}
