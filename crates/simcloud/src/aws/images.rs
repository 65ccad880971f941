use std::borrow::Cow;

use serde::Serialize;
use skyfleet_core::Arch;

use crate::aws::Request;
use crate::aws::creation::{fixed_id, is_id};
use crate::aws::error::{coded, invalid};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::page::Page;
use crate::aws::services::parameters;
use crate::aws::xml::Items;
use crate::refusal::Refusal;

/// A public machine image in one region.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) owner: &'static str,
    pub(crate) architecture: Arch,
    /// `/dev/sda1`.
    pub(crate) root_device: &'static str,
    /// The least size of its root disk.
    pub(crate) disk_gib: u32,
    pub(crate) snapshot: String,
    pub(crate) volume_type: &'static str,
    release: &'static Release,
}

/// A release that is built for both architectures.
#[derive(Debug, PartialEq)]
pub(crate) struct Release {
    /// `{arch}` stands for the architecture.
    name: &'static str,
    /// What the publisher calls the architectures: x86_64, arm64.
    arches: [&'static str; 2],
    owner: &'static str,
    description: &'static str,
    root_device: &'static str,
    volume_type: &'static str,
    created: &'static str,
    deprecated: &'static str,
    boot_modes: [&'static str; 2],
    /// The public parameters that name the newest image of a line; empty for older ones.
    pub(crate) parameters: &'static [&'static str],
}

impl Release {
    pub(crate) fn arch_names(&self) -> [(Arch, &'static str); 2] {
        [(Arch::X86_64, self.arches[0]), (Arch::Arm64, self.arches[1])]
    }
}

const CANONICAL: &str = "099720109477";
const DEBIAN: &str = "136693071363";
const AMAZON: &str = "137112412989";

/// Two releases of each line, the newer one first. Publishers, names and devices are as the
/// publishers write them; the dates are ours.
pub(crate) const RELEASES: &[Release] = &[
    Release {
        name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-20261015",
        arches: ["amd64", "arm64"],
        owner: CANONICAL,
        description: "Canonical, Ubuntu, 24.04, {arch} noble image",
        root_device: "/dev/sda1",
        volume_type: "gp3",
        created: "2026-10-15T07:42:11.000Z",
        deprecated: "2028-10-15T07:42:11.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &["/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id"],
    },
    Release {
        name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-20260911",
        arches: ["amd64", "arm64"],
        owner: CANONICAL,
        description: "Canonical, Ubuntu, 24.04, {arch} noble image",
        root_device: "/dev/sda1",
        volume_type: "gp3",
        created: "2026-09-11T06:17:40.000Z",
        deprecated: "2028-09-11T06:17:40.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &[],
    },
    Release {
        name: "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server-20261009",
        arches: ["amd64", "arm64"],
        owner: CANONICAL,
        description: "Canonical, Ubuntu, 22.04 LTS, {arch} jammy image",
        root_device: "/dev/sda1",
        volume_type: "gp2",
        created: "2026-10-09T05:58:22.000Z",
        deprecated: "2028-10-09T05:58:22.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &["/aws/service/canonical/ubuntu/server/22.04/stable/current/{arch}/hvm/ebs-gp2/ami-id"],
    },
    Release {
        name: "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server-20260902",
        arches: ["amd64", "arm64"],
        owner: CANONICAL,
        description: "Canonical, Ubuntu, 22.04 LTS, {arch} jammy image",
        root_device: "/dev/sda1",
        volume_type: "gp2",
        created: "2026-09-02T05:12:09.000Z",
        deprecated: "2028-09-02T05:12:09.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &[],
    },
    Release {
        name: "debian-13-{arch}-20261006-2257",
        arches: ["amd64", "arm64"],
        owner: DEBIAN,
        description: "Debian 13 (20261006-2257)",
        root_device: "/dev/xvda",
        volume_type: "gp3",
        created: "2026-10-06T21:03:51.000Z",
        deprecated: "2028-10-06T21:03:51.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &["/aws/service/debian/release/13/latest/{arch}"],
    },
    Release {
        name: "debian-13-{arch}-20260909-2230",
        arches: ["amd64", "arm64"],
        owner: DEBIAN,
        description: "Debian 13 (20260909-2230)",
        root_device: "/dev/xvda",
        volume_type: "gp3",
        created: "2026-09-09T20:44:30.000Z",
        deprecated: "2028-09-09T20:44:30.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &[],
    },
    Release {
        name: "debian-12-{arch}-20261006-2257",
        arches: ["amd64", "arm64"],
        owner: DEBIAN,
        description: "Debian 12 (20261006-2257)",
        root_device: "/dev/xvda",
        volume_type: "gp3",
        created: "2026-10-06T21:01:12.000Z",
        deprecated: "2028-10-06T21:01:12.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &["/aws/service/debian/release/12/latest/{arch}"],
    },
    Release {
        name: "debian-12-{arch}-20260901-2222",
        arches: ["amd64", "arm64"],
        owner: DEBIAN,
        description: "Debian 12 (20260901-2222)",
        root_device: "/dev/xvda",
        volume_type: "gp3",
        created: "2026-09-01T20:39:02.000Z",
        deprecated: "2028-09-01T20:39:02.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &[],
    },
    Release {
        name: "al2023-ami-2023.9.20261020.0-kernel-6.1-{arch}",
        arches: ["x86_64", "arm64"],
        owner: AMAZON,
        description: "Amazon Linux 2023 AMI 2023.9.20261020.0 {arch} HVM kernel-6.1",
        root_device: "/dev/xvda",
        volume_type: "gp3",
        created: "2026-10-19T22:31:45.000Z",
        deprecated: "2027-01-17T22:31:00.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &[
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-{arch}",
        ],
    },
    Release {
        name: "al2023-ami-2023.9.20260922.1-kernel-6.1-{arch}",
        arches: ["x86_64", "arm64"],
        owner: AMAZON,
        description: "Amazon Linux 2023 AMI 2023.9.20260922.1 {arch} HVM kernel-6.1",
        root_device: "/dev/xvda",
        volume_type: "gp3",
        created: "2026-09-21T22:08:03.000Z",
        deprecated: "2026-12-20T22:08:00.000Z",
        boot_modes: ["uefi-preferred", "uefi"],
        parameters: &[],
    },
];

/// The public images of a region.
pub(crate) fn images(region: &str) -> impl Iterator<Item = Image> {
    RELEASES.iter().flat_map(move |release| {
        release.arch_names().map(|(arch, called)| {
            let name = release.name.replace("{arch}", called);
            Image {
                id: fixed_id("ami", &[region, &name]),
                snapshot: fixed_id("snap", &[region, &name]),
                name,
                owner: release.owner,
                architecture: arch,
                root_device: release.root_device,
                disk_gib: 8,
                volume_type: release.volume_type,
                release,
            }
        })
    })
}

/// The image that a launch names: by its id, or by a public parameter (`resolve:ssm:NAME`), which
/// stands for what `GetParameter` answers.
///
/// # Errors
/// `InvalidAMIID.NotFound`, `InvalidAMIID.Malformed`; `InvalidParameterValue` for a parameter that
/// does not exist.
pub(crate) fn find(region: &str, image: &str) -> Result<Image, Refusal> {
    let Some(name) = image.strip_prefix("resolve:ssm:") else { return with_id(region, image) };
    let name = name.rsplit_once(':').map_or(name, |(name, _version)| name);
    let id = parameters::image_of(region, name).ok_or_else(|| {
        invalid("ImageId", image, "an image id or resolve:ssm: with the name of a parameter that exists")
    })?;
    with_id(region, &id)
}

fn with_id(region: &str, id: &str) -> Result<Image, Refusal> {
    if !is_id("ami", id) {
        let message = format!("Invalid id: \"{id}\" (expecting \"ami-...\")");
        return Err(coded(400, "InvalidAMIID.Malformed", message));
    }
    images(region)
        .find(|image| image.id == id)
        .ok_or_else(|| coded(400, "InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist")))
}

/// `DescribeImages`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let (root, region) = (request.root(), request.region);
    let filters = Filters::read(&root, FILTERS)?;
    let page = Page::read(&root, 1..=1_000, 1_000)?;
    let (ids, owners, executable) = (root.texts("ImageId"), root.texts("Owner"), root.texts("ExecutableBy"));
    if !ids.is_empty() && root.text("MaxResults").is_some() {
        let message = "The parameter MaxResults cannot be used with the parameter ImageId.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    if let Some(wrong) = owners.iter().find(|owner| !is_owner(owner)) {
        return Err(invalid("Owner", wrong, "self, amazon, aws-marketplace, aws-backup-vault or an account"));
    }
    let (images, next_token) = request.call(0, |_, _| {
        for id in &ids {
            with_id(region, id)?;
        }
        let owned = |image: &Image| {
            let by = |owner: &&str| *owner == image.owner || *owner == "amazon";
            owners.is_empty() || owners.iter().any(by)
        };
        let public = executable.is_empty() || executable.contains(&"all");
        let wanted = images(region)
            .filter(|image| public && owned(image))
            .filter(|image| ids.is_empty() || ids.contains(&image.id.as_str()))
            .filter(|image| filters.matches(image));
        let (page, next) = page.cut(wanted);
        Ok((page.iter().map(ImageItem::of).collect(), next))
    })?;
    request.answer(&Images { images_set: images, next_token })
}

fn is_owner(text: &str) -> bool {
    let account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    account || ["self", "amazon", "aws-marketplace", "aws-backup-vault"].contains(&text)
}

/// EC2 API, `DescribeImages`, filters.
const FILTERS: &[&str] = &[
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size",
    "block-device-mapping.volume-type",
    "block-device-mapping.encrypted",
    "boot-mode",
    "creation-date",
    "description",
    "ena-support",
    "free-tier-eligible",
    "hypervisor",
    "image-allowed",
    "image-id",
    "image-type",
    "imds-support",
    "is-public",
    "kernel-id",
    "manifest-location",
    "name",
    "owner-alias",
    "owner-id",
    "platform",
    "product-code",
    "product-code.type",
    "ramdisk-id",
    "root-device-name",
    "root-device-type",
    "source-image-id",
    "source-image-region",
    "source-instance-id",
    "sriov-net-support",
    "state",
    "state-reason-code",
    "state-reason-message",
    "tpm-support",
    "virtualization-type",
];

/// What EC2 calls the architecture.
pub(crate) fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Arm64 => "arm64",
    }
}

impl Image {
    /// Whether it is of this release.
    pub(crate) fn is_of(&self, release: &Release) -> bool {
        self.release == release
    }

    /// When it was made, in seconds since 1970.
    pub(crate) fn created_s(&self) -> i64 {
        self.release.created.parse().map_or(0, |at: skyfleet_core::Timestamp| at.as_second())
    }

    fn called(&self, template: &str) -> String {
        template.replace("{arch}", self.release.arches[usize::from(self.architecture != Arch::X86_64)])
    }

    fn boot_mode(&self) -> &'static str {
        self.release.boot_modes[usize::from(self.architecture != Arch::X86_64)]
    }
}

impl Filtered for Image {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let value: Cow<'_, str> = match filter {
            "architecture" => arch_name(self.architecture).into(),
            "block-device-mapping.delete-on-termination" | "ena-support" | "is-public" => "true".into(),
            "block-device-mapping.device-name" | "root-device-name" => self.root_device.into(),
            "block-device-mapping.snapshot-id" => self.snapshot.as_str().into(),
            "block-device-mapping.volume-size" => self.disk_gib.to_string().into(),
            "block-device-mapping.volume-type" => self.volume_type.into(),
            "block-device-mapping.encrypted" => "false".into(),
            "boot-mode" => self.boot_mode().into(),
            "creation-date" => self.release.created.into(),
            "description" => self.called(self.release.description).into(),
            "free-tier-eligible" | "image-allowed" => "true".into(),
            "hypervisor" => "xen".into(),
            "image-id" => self.id.as_str().into(),
            "image-type" => "machine".into(),
            "imds-support" if self.owner == AMAZON => "v2.0".into(),
            "name" => self.name.as_str().into(),
            "owner-alias" => "amazon".into(),
            "owner-id" => self.owner.into(),
            "root-device-type" => "ebs".into(),
            "sriov-net-support" => "simple".into(),
            "state" => "available".into(),
            "virtualization-type" => "hvm".into(),
            "manifest-location" => format!("amazon/{}", self.name).into(),
            _ => return None,
        };
        Some(vec![value])
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Images {
    images_set: Items<ImageItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageItem {
    platform_details: &'static str,
    usage_operation: &'static str,
    block_device_mapping: Items<Device>,
    description: String,
    ena_support: bool,
    hypervisor: &'static str,
    image_owner_alias: &'static str,
    name: String,
    root_device_name: &'static str,
    root_device_type: &'static str,
    sriov_net_support: &'static str,
    virtualization_type: &'static str,
    boot_mode: &'static str,
    deprecation_time: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    imds_support: Option<&'static str>,
    image_id: String,
    image_location: String,
    image_state: &'static str,
    image_owner_id: &'static str,
    creation_date: &'static str,
    is_public: bool,
    architecture: &'static str,
    image_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    device_name: &'static str,
    ebs: Disk,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Disk {
    delete_on_termination: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    iops: Option<u32>,
    snapshot_id: String,
    volume_size: u32,
    volume_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    throughput: Option<u32>,
    encrypted: bool,
}

impl ImageItem {
    fn of(image: &Image) -> Self {
        let gp3 = image.volume_type == "gp3";
        let disk = Disk {
            delete_on_termination: true,
            // What every gp3 disk has: EBS user guide.
            iops: gp3.then_some(3_000),
            snapshot_id: image.snapshot.clone(),
            volume_size: image.disk_gib,
            volume_type: image.volume_type,
            throughput: gp3.then_some(125),
            encrypted: false,
        };
        Self {
            platform_details: "Linux/UNIX",
            usage_operation: "RunInstances",
            block_device_mapping: Items { item: vec![Device { device_name: image.root_device, ebs: disk }] },
            description: image.called(image.release.description),
            ena_support: true,
            hypervisor: "xen",
            image_owner_alias: "amazon",
            name: image.name.clone(),
            root_device_name: image.root_device,
            root_device_type: "ebs",
            sriov_net_support: "simple",
            virtualization_type: "hvm",
            boot_mode: image.boot_mode(),
            deprecation_time: image.release.deprecated,
            imds_support: (image.owner == AMAZON).then_some("v2.0"),
            image_id: image.id.clone(),
            image_location: format!("amazon/{}", image.name),
            image_state: "available",
            image_owner_id: image.owner,
            creation_date: image.release.created,
            is_public: true,
            architecture: arch_name(image.architecture),
            image_type: "machine",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::trial::{Trial, texts};

    #[test]
    fn images_are_found_by_owner_name_and_architecture() {
        let trial = Trial::new();
        let form = "Owner.1=136693071363&Filter.1.Name=name&Filter.1.Value.1=debian-13-*&Filter.2.Name=architecture&Filter.2.Value.1=arm64";
        let answer = trial.ask("DescribeImages", form).unwrap();
        assert_eq!(
            texts(&answer, "name"),
            ["debian-13-arm64-20261006-2257", "debian-13-arm64-20260909-2230"]
        );
        assert!(texts(&trial.ask("DescribeImages", "Owner.1=self").unwrap(), "imageId").is_empty());
        for (form, code) in [
            ("ImageId.1=ami-00000000", "InvalidAMIID.NotFound"),
            ("ImageId.1=debian", "InvalidAMIID.Malformed"),
            ("Owner.1=me", "InvalidParameterValue"),
            ("Filter.1.Name=colour", "InvalidParameterValue"),
        ] {
            assert_eq!(trial.refusal("DescribeImages", form), code, "{form}");
        }
    }

    #[test]
    fn every_region_has_ids_of_its_own_and_a_launch_may_name_a_parameter() {
        let name = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64";
        let (here, there) = (find("us-east-1", name).unwrap(), find("eu-west-1", name).unwrap());
        assert_eq!((here.architecture, &here.name), (Arch::Arm64, &there.name));
        assert_ne!(here.id, there.id);
        assert!(find("eu-west-1", &here.id).is_err());
        assert_eq!(find("us-east-1", &format!("{name}:1")).unwrap(), here);
        assert!(find("us-east-1", "resolve:ssm:/mine").is_err());
    }
}
