//! The launch template of a fleet: what its machines are made of, secure by default.

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest as Disk, LaunchTemplateEbsBlockDeviceRequest as Volume,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest as Profile,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest as Metadata,
    LaunchTemplateInstanceMetadataTagsState,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest as Interface, RequestLaunchTemplateData,
    ShutdownBehavior, VolumeType,
};
use serde::Serialize;
use skyfleet_core::{Arch, Error, ErrorKind, Region, Resource, ResourceKind, Result, tag};

use super::Thing;
use super::blueprint::Wanted;
use super::firewall::{patiently, renew};
use super::site::{Image, Site};
use crate::client::Client;
use crate::{convert, user_data};

/// The template of a fleet for one instruction set. Named by its content: another blueprint has
/// another one, and a template never changes.
pub(super) async fn find_or_make(
    client: &Client,
    site: &Site,
    wanted: &Wanted<'_>,
    arch: Arch,
    image: &Image,
    groups: &[String],
) -> Result<Thing> {
    let region = &site.region;
    let content = Content::of(wanted, image, groups);
    let (owner, fleet) = (&wanted.blueprint.owner, &wanted.blueprint.fleet);
    let name = format!("skyfleet-{owner}-{fleet}-{}", digest(&(arch, &content)));
    match client.create_template(region, &name, content.data(), &wanted.tags).await {
        Ok(id) => Ok(Thing { resource: resource(region, wanted, &id), is_new: true }),
        Err(error) if is_taken(&error) => {
            let found = patiently(client, error, || client.template(region, &name)).await?;
            let tags = convert::map(found.tags());
            if tags.get(tag::OWNER).map(String::as_str) != Some(owner.as_str()) {
                let message = format!("the launch template {name:?} exists and has not the owner's tag");
                return Err(Error::new(ErrorKind::Conflict, message).at("aws.prepare"));
            }
            let id = found.launch_template_id().unwrap_or_default();
            renew(client, region, id, &tags, wanted).await?;
            Ok(Thing { resource: resource(region, wanted, id), is_new: false })
        }
        Err(error) => Err(error),
    }
}

fn is_taken(error: &Error) -> bool {
    error.fact("code").is_some_and(|code| code.starts_with("InvalidLaunchTemplateName.AlreadyExists"))
}

fn resource(region: &Region, wanted: &Wanted<'_>, id: &str) -> Resource {
    Resource {
        kind: ResourceKind::Template,
        id: id.into(),
        region: region.clone(),
        fleet: Some(wanted.blueprint.fleet.clone()),
        price: None,
        expires: wanted.blueprint.expires,
    }
}

/// What the machines of a template are made of.
#[derive(Debug, Serialize)]
struct Content<'a> {
    image: &'a str,
    root_device: &'a str,
    disk_gib: u32,
    kms_key: Option<&'a str>,
    user_data: String,
    public_ip: bool,
    groups: &'a [String],
    key_name: Option<&'a str>,
    instance_profile: Option<&'a str>,
    hop_limit: u8,
}

impl<'a> Content<'a> {
    fn of(wanted: &'a Wanted<'_>, image: &'a Image, groups: &'a [String]) -> Self {
        let (blueprint, settings) = (wanted.blueprint, wanted.settings);
        Self {
            image: &image.id,
            root_device: &image.root_device,
            disk_gib: blueprint.disk_gib,
            kms_key: settings.kms_key.as_deref(),
            user_data: user_data::encoded(&blueprint.user_data),
            public_ip: blueprint.public_ip,
            groups,
            key_name: settings.key_name.as_deref(),
            instance_profile: settings.instance_profile.as_deref(),
            hop_limit: settings.metadata_hop_limit,
        }
    }

    /// IMDSv2 only, encrypted disk, nothing that outlives the machine, and a shutdown from within
    /// ends it for good.
    fn data(&self) -> RequestLaunchTemplateData {
        let volume = Volume::builder()
            .set_volume_size((self.disk_gib > 0).then_some(self.disk_gib as i32))
            .volume_type(VolumeType::Gp3)
            .encrypted(true)
            .set_kms_key_id(self.kms_key.map(str::to_owned))
            .delete_on_termination(true);
        let interface = Interface::builder()
            .device_index(0)
            .associate_public_ip_address(self.public_ip)
            .set_groups(Some(self.groups.to_vec()))
            .delete_on_termination(true);
        let metadata = Metadata::builder()
            .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
            .http_tokens(LaunchTemplateHttpTokensState::Required)
            .http_put_response_hop_limit(self.hop_limit.into())
            .instance_metadata_tags(LaunchTemplateInstanceMetadataTagsState::Enabled);
        RequestLaunchTemplateData::builder()
            .image_id(self.image)
            .block_device_mappings(Disk::builder().device_name(self.root_device).ebs(volume.build()).build())
            .network_interfaces(interface.build())
            .metadata_options(metadata.build())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .user_data(&self.user_data)
            .set_key_name(self.key_name.map(str::to_owned))
            .set_iam_instance_profile(self.instance_profile.map(profile))
            .build()
    }
}

fn profile(name: &str) -> Profile {
    let profile = Profile::builder();
    if name.starts_with("arn:") { profile.arn(name) } else { profile.name(name) }.build()
}

/// A short name for a content (FNV-1a).
pub(super) fn digest(content: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(content).unwrap_or_default();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content<'a>() -> Content<'a> {
        Content {
            image: "ami-1",
            root_device: "/dev/sda1",
            disk_gib: 20,
            kms_key: None,
            user_data: "IyEvYmluL3NoCg==".to_owned(),
            public_ip: false,
            groups: &[],
            key_name: None,
            instance_profile: Some("worker"),
            hop_limit: 1,
        }
    }

    #[test]
    fn a_machine_is_closed_encrypted_and_leaves_nothing() {
        let data = content().data();
        let metadata = data.metadata_options().unwrap();
        assert_eq!(metadata.http_tokens(), Some(&LaunchTemplateHttpTokensState::Required));
        assert_eq!(metadata.http_put_response_hop_limit(), Some(1));
        let volume = data.block_device_mappings()[0].ebs().unwrap();
        assert_eq!(
            (volume.encrypted(), volume.delete_on_termination(), volume.volume_size()),
            (Some(true), Some(true), Some(20))
        );
        let interface = &data.network_interfaces()[0];
        assert_eq!(
            (interface.associate_public_ip_address(), interface.delete_on_termination()),
            (Some(false), Some(true))
        );
        assert_eq!(data.instance_initiated_shutdown_behavior(), Some(&ShutdownBehavior::Terminate));
        assert_eq!(data.iam_instance_profile().unwrap().name(), Some("worker"));
    }

    #[test]
    fn another_content_has_another_name() {
        let other = Content { public_ip: true, ..content() };
        assert_ne!(digest(&content()), digest(&other));
        assert_eq!(digest(&content()), digest(&content()));
    }
}
