use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{InstanceType, Market, OfferId, UsdPerHour};

use crate::aws::creation::check_tags;
use crate::aws::error::{coded, invalid, missing, not_found};
use crate::aws::launched::{Details, DiskTerms, MetadataTerms, SpotTerms, Tags};
use crate::aws::network::Subnet;
use crate::aws::state::State;
use crate::aws::templates::data::{DeviceSpec, InterfaceSpec, LaunchTemplateData};
use crate::aws::{ACCOUNT, groups, images, keys, placement};
use crate::kernel::Kernel;
use crate::order::{MachineSpec, OnReclaim, OnShutdown};
use crate::refusal::Refusal;

/// What instances of one launch, in one subnet, are made of: checked, with all defaults of EC2.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    pub(crate) instance_type: Arc<InstanceType>,
    pub(crate) subnet: Subnet,
    pub(crate) market: Market,
    pub(crate) spec: MachineSpec,
    pub(crate) details: Details,
    /// Of the instances; a launch adds its own.
    pub(crate) tags: Tags,
    pub(crate) disk_tags: Arc<Tags>,
    pub(crate) interface_tags: Arc<Tags>,
    pub(crate) price_max: Option<UsdPerHour>,
}

/// What a launch says beside its data.
#[derive(Clone, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) region: &'a str,
    /// All of the region.
    pub(crate) subnets: &'a [Subnet],
    /// The script of the data, decoded once for all zones.
    pub(crate) user_data: &'a Arc<str>,
    pub(crate) instance_type: &'a str,
    /// A subnet by its id, or a zone by its name or id; without one the first of the region.
    pub(crate) place: Option<&'a str>,
    pub(crate) market: Market,
    pub(crate) price_max: Option<UsdPerHour>,
    pub(crate) persistent: bool,
    /// `terminate`, `stop` or `hibernate`.
    pub(crate) interruption: &'static str,
    /// The tags of the request, by type of resource, over those of the data.
    pub(crate) tags: &'a BTreeMap<String, Tags>,
}

/// Makes the blueprint of a launch.
///
/// # Errors
/// EC2's for what does not exist, does not go together or cannot be had here.
pub(crate) fn draw(
    kernel: &Kernel,
    state: &State,
    data: &LaunchTemplateData,
    terms: &Terms<'_>,
) -> Result<Blueprint, Refusal> {
    let image_id = data.image_id.as_deref().ok_or_else(|| missing("ImageId"))?;
    let instance_type = known_type(kernel, terms.instance_type)?;
    let interface = interface(data)?;
    let subnet = subnet(kernel, data, terms, interface)?;
    let image = images::find(terms.region, image_id)?;
    if image.architecture != instance_type.arch {
        let message = format!(
            "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.",
            instance_type.arch, image.architecture
        );
        return Err(coded(400, "InvalidParameterValue", message));
    }
    if let Some(key) = &data.key_name {
        keys::check(state, terms.region, key)?;
    }
    let held = data.placement_group.as_ref().map(|name| placement::check(state, terms.region, name));
    let groups = security_groups(state, data, terms.region, interface)?;
    let tags = |kind: &str| -> Result<Tags, Refusal> {
        let mut tags = data.tags_of(kind);
        tags.extend(terms.tags.get(kind).cloned().unwrap_or_default());
        check_tags(&tags)?;
        Ok(tags)
    };
    let root = root_device(data, image.root_device)?;
    let disk_gib = root.and_then(|disk| disk.size_gib).unwrap_or(image.disk_gib);
    if disk_gib < image.disk_gib {
        let message = format!(
            "Volume of size {disk_gib}GB is smaller than snapshot '{}', expect size >= {}GB",
            image.snapshot, image.disk_gib
        );
        return Err(coded(400, "InvalidBlockDeviceMapping", message));
    }
    let delete_on_termination = root.and_then(|disk| disk.delete_on_termination).unwrap_or(true);
    let spot = (terms.market == Market::Spot)
        .then(|| {
            Ok::<_, Refusal>(SpotTerms {
                max_price: terms.price_max,
                persistent: terms.persistent,
                interruption: terms.interruption,
                tags: Arc::new(tags("spot-instances-request")?),
            })
        })
        .transpose()?;
    let protected = data.disable_api_termination.unwrap_or(false);
    if protected && spot.is_some() {
        let message = "You cannot use disableApiTermination with Spot Instances.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let stops = data.shutdown.as_deref().unwrap_or("stop") == "stop"
        && spot.as_ref().is_none_or(|spot| spot.persistent);
    let spec = MachineSpec {
        user_data: terms.user_data.clone(),
        disk_gib,
        // EC2 user guide: a default subnet gives public addresses unless the launch says no.
        public_ip: interface.and_then(|interface| interface.public_address).unwrap_or(true),
        delete_with_instance: delete_on_termination,
        holds: groups.iter().map(|(id, _)| id.as_str()).chain(held.transpose()?).map(Into::into).collect(),
        on_reclaim: if terms.interruption == "terminate" { OnReclaim::Terminate } else { OnReclaim::Stop },
        on_shutdown: if stops { OnShutdown::Stop } else { OnShutdown::Terminate },
        ..MachineSpec::default()
    };
    let metadata = &data.metadata;
    let details = Details {
        reservation: "".into(),
        image: image.id.clone(),
        root_device: image.root_device.to_owned(),
        key: data.key_name.clone(),
        subnet: subnet.id.clone(),
        vpc: subnet.vpc_id.clone(),
        zone_id: subnet.zone_id.clone(),
        groups,
        profile: profile(data)?,
        monitoring: data.monitoring.unwrap_or(false),
        ebs_optimized: data.ebs_optimized.unwrap_or(false),
        metadata: MetadataTerms {
            token_required: metadata.tokens.as_deref() == Some("required"),
            hop_limit: metadata.hop_limit.unwrap_or(1),
            enabled: metadata.endpoint.unwrap_or(true),
            tags: metadata.tags.unwrap_or(false),
        },
        client_token: None,
        fleet: None,
        stops_on_shutdown: stops,
        protected,
        delete_on_termination,
        disk: DiskTerms {
            kind: root
                .and_then(|disk| disk.volume_type.clone())
                .unwrap_or_else(|| image.volume_type.to_owned()),
            encrypted: root.and_then(|disk| disk.encrypted).unwrap_or(false),
            iops: root.and_then(|disk| disk.iops),
            throughput: root.and_then(|disk| disk.throughput),
            snapshot: image.snapshot.clone(),
        },
        interface_description: interface
            .and_then(|interface| interface.description.clone())
            .unwrap_or_default(),
        placement_group: data.placement_group.clone(),
        tenancy: data.tenancy.clone().unwrap_or_else(|| "default".to_owned()),
        spot,
    };
    Ok(Blueprint {
        instance_type,
        subnet,
        market: terms.market,
        spec,
        details,
        tags: tags("instance")?,
        disk_tags: Arc::new(tags("volume")?),
        interface_tags: Arc::new(tags("network-interface")?),
        price_max: terms.price_max.filter(|_| terms.market == Market::Spot),
    })
}

/// `InvalidParameterValue` for one that does not exist: `InvalidInstanceType` is only what
/// `DescribeInstanceTypes` says.
pub(crate) fn known_type(kernel: &Kernel, name: &str) -> Result<Arc<InstanceType>, Refusal> {
    kernel.catalog().instance_type(name).cloned().ok_or_else(|| {
        let near = kernel.catalog().nearest(name);
        let hint =
            if near.is_empty() { String::new() } else { format!(", did you mean {}?", near.join(" or ")) };
        coded(400, "InvalidParameterValue", format!("Invalid value '{name}' for InstanceType{hint}."))
    })
}

/// A price, as EC2 takes it: above 0.001 dollars an hour (EC2 API, `CreateFleet`, `MaxPrice`).
pub(crate) fn price(parameter: &str, text: Option<&str>) -> Result<Option<UsdPerHour>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let price = text.parse().ok().filter(|price: &f64| *price > 0.001).and_then(UsdPerHour::from_dollars);
    price.map(Some).ok_or_else(|| invalid(parameter, text, "a price in dollars above 0.001, such as 0.05"))
}

/// The name of an interruption behaviour that was checked against the model.
pub(crate) fn interruption(name: Option<&str>) -> &'static str {
    match name {
        Some("stop") => "stop",
        Some("hibernate") => "hibernate",
        _ => "terminate",
    }
}

/// The types of resources that a launch of instances tags.
pub(crate) const TAGGED: [&str; 4] = ["instance", "volume", "network-interface", "spot-instances-request"];

/// Checks that a launch tags what it makes: no spot requests, no tags for them.
pub(crate) fn check_tagged<'a>(
    kinds: impl Iterator<Item = &'a str>,
    known: &[&str],
    spot: bool,
) -> Result<(), Refusal> {
    for kind in kinds {
        if !known.contains(&kind) {
            let message = format!("'{kind}' is not a valid taggable resource type for this operation.");
            return Err(coded(400, "InvalidParameterValue", message));
        }
        if kind == "spot-instances-request" && !spot {
            let message = "You cannot specify tags for Spot instances requests if there are no Spot instances requests being created by the request.";
            return Err(coded(400, "InvalidParameterValue", message));
        }
    }
    Ok(())
}

/// The script of launch data, as instances run it.
///
/// # Errors
/// `InvalidUserData.Malformed` for what is no text.
pub(crate) fn user_data(data: &LaunchTemplateData) -> Result<Arc<str>, Refusal> {
    let text = String::from_utf8(data.user_data_bytes()).map_err(|_| {
        let message = "This simulated EC2 runs user data as text: they must be UTF-8, not compressed.";
        coded(400, "InvalidUserData.Malformed", message)
    })?;
    Ok(text.into())
}

/// The one network interface.
fn interface(data: &LaunchTemplateData) -> Result<Option<&InterfaceSpec>, Refusal> {
    match data.network_interfaces.as_slice() {
        [] => Ok(None),
        [one] if one.device_index != 0 => {
            let message = "The network interface with device index 0 is missing.";
            Err(coded(400, "InvalidParameterCombination", message))
        }
        [one] if one.interface_id.is_some() => Err(coded(
            400,
            "UnsupportedOperation",
            "This simulated EC2 makes the network interface of an instance itself; it takes no existing one.",
        )),
        [one] => Ok(Some(one)),
        _ => Err(coded(
            400,
            "UnsupportedOperation",
            "This simulated EC2 gives an instance one network interface.",
        )),
    }
}

fn subnet(
    kernel: &Kernel,
    data: &LaunchTemplateData,
    terms: &Terms<'_>,
    interface: Option<&InterfaceSpec>,
) -> Result<Subnet, Refusal> {
    let inherited = interface
        .and_then(|interface| interface.subnet_id.as_deref())
        .or(data.zone.as_deref())
        .or(data.zone_id.as_deref());
    let named = |wanted: &str| {
        let is =
            |subnet: &&Subnet| [&subnet.id, &subnet.zone, &subnet.zone_id].iter().any(|it| *it == wanted);
        terms.subnets.iter().find(is).cloned()
    };
    match terms.place.or(inherited) {
        Some(id) if id.starts_with("subnet-") => {
            named(id).ok_or_else(|| not_found("InvalidSubnetID.NotFound", "subnet ID", id))
        }
        Some(zone) => named(zone).ok_or_else(|| {
            let known: Vec<&str> = terms.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
            let message = format!(
                "Invalid availability zone: [{zone}]. The zones of {} are {}.",
                terms.region,
                known.join(", ")
            );
            coded(400, "InvalidParameterValue", message)
        }),
        // EC2 chooses the zone: the first that sells the type.
        None => {
            let sold = |subnet: &&Subnet| {
                let offer = offer(terms.instance_type, &subnet.zone, terms.market);
                kernel.catalog().offer_index(&offer).is_some()
            };
            let chosen = terms.subnets.iter().find(sold).or(terms.subnets.first());
            chosen.cloned().ok_or_else(|| coded(400, "VPCIdNotSpecified", "No default VPC for this user"))
        }
    }
}

/// The name of a pool.
pub(crate) fn offer(instance_type: &str, zone: &str, market: Market) -> OfferId {
    OfferId { zone: zone.into(), instance_type: instance_type.into(), market }
}

/// The disk of the image among the block devices; EC2's other volumes are not simulated.
fn root_device<'a>(data: &'a LaunchTemplateData, root: &str) -> Result<Option<&'a DeviceSpec>, Refusal> {
    let other = data.block_devices.iter().find(|disk| disk.device_name != root && disk.size_gib.is_some());
    if let Some(other) = other {
        let message = format!(
            "This simulated EC2 gives an instance one volume, {root}: {} is another. Create and attach it afterwards.",
            other.device_name
        );
        return Err(coded(400, "UnsupportedOperation", message));
    }
    Ok(data.block_devices.iter().find(|disk| disk.device_name == root))
}

fn security_groups(
    state: &State,
    data: &LaunchTemplateData,
    region: &str,
    interface: Option<&InterfaceSpec>,
) -> Result<Vec<(String, String)>, Refusal> {
    let named = !data.security_group_ids.is_empty() || !data.security_groups.is_empty();
    let of_interface = interface.map(|interface| interface.groups.as_slice()).unwrap_or_default();
    if named && interface.is_some() {
        let message = "Network interfaces and an instance-level security groups may not be specified on the same request";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let ids = data.security_group_ids.iter().chain(of_interface).map(String::as_str);
    let mut found: Vec<(String, String)> =
        ids.map(|id| groups::named_id(state, region, id)).collect::<Result<_, _>>()?;
    for name in &data.security_groups {
        found.push(groups::named(state, region, name)?);
    }
    if found.is_empty() {
        found.push((groups::default_id(region), "default".to_owned()));
    }
    Ok(found)
}

/// The ARN of the instance profile. Profiles are IAM's, which is not simulated: any name is one.
fn profile(data: &LaunchTemplateData) -> Result<Option<String>, Refusal> {
    let Some(profile) = &data.profile else { return Ok(None) };
    match (&profile.arn, &profile.name) {
        (Some(_), Some(_)) => {
            let message = "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'";
            Err(coded(400, "InvalidParameterCombination", message))
        }
        (Some(arn), None) if !arn.contains(":instance-profile/") => {
            let message = format!(
                "Value ({arn}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN"
            );
            Err(coded(400, "InvalidParameterValue", message))
        }
        (Some(arn), None) => Ok(Some(arn.clone())),
        (None, name) => {
            Ok(name.as_ref().map(|name| format!("arn:aws:iam::{ACCOUNT}:instance-profile/{name}")))
        }
    }
}
