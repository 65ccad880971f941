//! What a region has for a fleet: network, groups, images. Only looks, makes nothing.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{ArchitectureValues, Filter, Image as Ec2Image, Subnet};
use skyfleet_core::{Arch, Error, Region, Result, Zone};

use super::blueprint::{Wanted, WantedImage, invalid};
use crate::client::Client;
use crate::client::fleet::filter;
use crate::config::Named;

/// A region, as far as a fleet cares.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) region: Region,
    /// `None` for the default VPC, which EC2 finds by itself.
    pub(super) vpc: Option<String>,
    /// The subnet of each zone; empty for the default ones, which EC2 finds by the zone.
    pub(super) subnets: BTreeMap<Zone, String>,
    /// The user's own groups; empty when the fleet gets one.
    pub(super) groups: Vec<String>,
    pub(super) images: BTreeMap<Arch, Image>,
}

/// An image for one instruction set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// `ami-…`, or `resolve:ssm:…`: EC2 then looks for the newest at each launch.
    pub(super) id: String,
    /// The device that the image calls its root: the disk of the fleet's size goes there.
    pub(super) root_device: String,
    /// The least size of its disk.
    root_gib: u32,
}

/// An image that every cloud has, by the public parameter that its publisher keeps up to date
/// (Canonical: "Find Ubuntu images with SSM"; Debian wiki, "Cloud/AmazonEC2Image").
#[derive(Debug)]
pub(super) struct NeutralImage {
    pub(super) name: &'static str,
    /// `{}` stands for `amd64` or `arm64`.
    parameter: &'static str,
    root_device: &'static str,
}

pub(super) const NEUTRAL_IMAGES: [NeutralImage; 4] = [
    NeutralImage {
        name: "ubuntu-24.04",
        parameter: "/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id",
        root_device: "/dev/sda1",
    },
    NeutralImage {
        name: "ubuntu-22.04",
        parameter: "/aws/service/canonical/ubuntu/server/22.04/stable/current/{}/hvm/ebs-gp2/ami-id",
        root_device: "/dev/sda1",
    },
    NeutralImage {
        name: "debian-13",
        parameter: "/aws/service/debian/release/13/latest/{}",
        root_device: "/dev/xvda",
    },
    NeutralImage {
        name: "debian-12",
        parameter: "/aws/service/debian/release/12/latest/{}",
        root_device: "/dev/xvda",
    },
];

/// The root snapshot of all four.
const NEUTRAL_ROOT_GIB: u32 = 8;

impl NeutralImage {
    fn image(&self, arch: Arch) -> Image {
        let arch = match arch {
            Arch::X86_64 => "amd64",
            Arch::Arm64 => "arm64",
        };
        Image {
            id: format!("resolve:ssm:{}", self.parameter.replace("{}", arch)),
            root_device: self.root_device.to_owned(),
            root_gib: NEUTRAL_ROOT_GIB,
        }
    }
}

impl Site {
    /// Looks at a region. A plain one, without settings of its own, costs no call.
    ///
    /// # Errors
    /// `InvalidRequest` when something that is named is not there.
    pub(super) async fn survey(client: &Client, region: &Region, wanted: &Wanted<'_>) -> Result<Self> {
        let settings = wanted.settings;
        let (vpc, subnets) = network(client, region, wanted).await?;
        let mut groups = Vec::new();
        for named in &settings.security_groups {
            let found = client.groups(region, vec![by(named, "group-id")]).await?;
            if found.is_empty() {
                return Err(absent("security_groups", "security group", named, region));
            }
            groups.extend(found.into_iter().filter_map(|group| group.group_id));
        }
        let images = images(client, region, wanted).await?;
        let disk = wanted.blueprint.disk_gib;
        if let Some(image) = images.values().find(|image| disk != 0 && disk < image.root_gib) {
            let message = format!("the image needs at least {} GiB, the disk has {disk}", image.root_gib);
            return Err(invalid("disk_gib", message).with("region", region).at("aws.prepare"));
        }
        Ok(Self { region: region.clone(), vpc, subnets, groups, images })
    }
}

type Network = (Option<String>, BTreeMap<Zone, String>);

async fn network(client: &Client, region: &Region, wanted: &Wanted<'_>) -> Result<Network> {
    let settings = wanted.settings;
    let vpc = match &settings.vpc {
        None => None,
        Some(named) => {
            let mut found = client.vpcs(region, by(named, "vpc-id")).await?.into_iter();
            match (found.next(), found.next()) {
                (Some(vpc), None) => Some(vpc),
                (None, _) => return Err(absent("vpc", "VPC", named, region)),
                _ => return Err(ambiguous("vpc", "VPCs", named, region)),
            }
        }
    };
    let mut subnets = Vec::new();
    for named in &settings.subnets {
        let found = client.subnets(region, by(named, "subnet-id")).await?;
        if found.is_empty() {
            return Err(absent("subnets", "subnet", named, region));
        }
        subnets.extend(found);
    }
    if let (Some(vpc), []) = (&vpc, &settings.subnets[..]) {
        subnets = client.subnets(region, filter("vpc-id", [vpc.as_str()])).await?;
        if subnets.is_empty() {
            return Err(invalid("vpc", format!("{vpc} has no subnet"))
                .with("region", region)
                .at("aws.prepare"));
        }
    }
    let vpc = match (vpc, subnets.first().and_then(Subnet::vpc_id)) {
        (None, Some(vpc)) => Some(vpc.to_owned()),
        (vpc, _) => vpc,
    };
    if let (Some(vpc), Some(other)) = (&vpc, subnets.iter().find(|subnet| subnet.vpc_id() != vpc.as_deref()))
    {
        let message = format!("{} is not in {vpc}", other.subnet_id().unwrap_or_default());
        return Err(invalid("subnets", message).with("region", region).at("aws.prepare"));
    }
    Ok((vpc, roomiest(subnets)))
}

/// One subnet of each zone: a fleet may not use two (EC2 user guide, "EC2 Fleet limitations"). The
/// one with the most free addresses, of equals the first by name.
fn roomiest(mut subnets: Vec<Subnet>) -> BTreeMap<Zone, String> {
    subnets.sort_by(|a, b| {
        let free = |subnet: &Subnet| subnet.available_ip_address_count().unwrap_or_default();
        free(a).cmp(&free(b)).then_with(|| b.subnet_id().cmp(&a.subnet_id()))
    });
    let pair = |subnet: Subnet| Some((Zone::from(subnet.availability_zone?), subnet.subnet_id?));
    // The last of a zone stays.
    subnets.into_iter().filter_map(pair).collect()
}

async fn images(client: &Client, region: &Region, wanted: &Wanted<'_>) -> Result<BTreeMap<Arch, Image>> {
    let archs = &wanted.blueprint.archs;
    let named = match &wanted.image {
        WantedImage::Neutral(name) => {
            let neutral = NEUTRAL_IMAGES.iter().find(|image| image.name == *name);
            return Ok(archs.iter().filter_map(|arch| Some((*arch, neutral?.image(*arch)))).collect());
        }
        WantedImage::Own(named) => named,
    };
    let mut found = client.images(region, by(named, "image-id")).await?;
    // Of several with the tag the newest.
    found.sort_by(|a, b| a.creation_date().cmp(&b.creation_date()));
    let images: BTreeMap<Arch, Image> =
        found.iter().filter_map(own_image).filter(|(arch, _)| archs.contains(arch)).collect();
    if images.is_empty() {
        let archs: Vec<String> = archs.iter().map(ToString::to_string).collect();
        let what = format!("image for {}", archs.join(" or "));
        return Err(absent("image", &what, named, region));
    }
    Ok(images)
}

fn own_image(image: &Ec2Image) -> Option<(Arch, Image)> {
    let arch = match image.architecture()? {
        ArchitectureValues::X8664 => Arch::X86_64,
        ArchitectureValues::Arm64 => Arch::Arm64,
        _ => return None,
    };
    let root_device = image.root_device_name()?.to_owned();
    let root = image.block_device_mappings().iter().find(|disk| disk.device_name() == Some(&root_device));
    let size = root.and_then(|disk| disk.ebs()?.volume_size()).unwrap_or_default();
    let root_gib = u32::try_from(size).unwrap_or_default();
    Some((arch, Image { id: image.image_id()?.to_owned(), root_device, root_gib }))
}

/// The filter that finds what is named: an id that is not there then gives nothing, not an error.
fn by(named: &Named, id: &str) -> Filter {
    match named {
        Named::Id(value) => filter(id, [value]),
        Named::Tag { key, value } => filter(format!("tag:{key}"), [value]),
    }
}

fn absent(key: &'static str, what: &str, named: &Named, region: &Region) -> Error {
    invalid(key, format!("{region} has no {what} {named}")).with("region", region).at("aws.prepare")
}

fn ambiguous(key: &'static str, what: &str, named: &Named, region: &Region) -> Error {
    invalid(key, format!("{region} has several {what} {named}")).with("region", region).at("aws.prepare")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_zone_has_its_roomiest_subnet() {
        let subnet = |id: &str, zone: &str, free| {
            let builder = Subnet::builder().subnet_id(id).availability_zone(zone);
            builder.available_ip_address_count(free).build()
        };
        let of_zones = roomiest(vec![
            subnet("subnet-1", "us-east-1a", 10),
            subnet("subnet-2", "us-east-1a", 4_000),
            subnet("subnet-4", "us-east-1b", 5),
            subnet("subnet-3", "us-east-1b", 5),
        ]);
        let expected = [("us-east-1a", "subnet-2"), ("us-east-1b", "subnet-3")];
        assert_eq!(of_zones, expected.map(|(zone, id)| (zone.into(), id.to_owned())).into());
    }

    #[test]
    fn a_neutral_image_is_the_newest_of_its_publisher() {
        let image = NEUTRAL_IMAGES[0].image(Arch::Arm64);
        let parameter = "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id";
        assert_eq!(image.id, format!("resolve:ssm:{parameter}"));
    }
}
