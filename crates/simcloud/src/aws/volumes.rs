use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::{Timestamp, Zone};

use crate::aws::Request;
use crate::aws::creation::{Tokens, is_id, tags_at_creation};
use crate::aws::error::{coded, invalid, missing, not_found};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::instances::item::Moment;
use crate::aws::launched::{Details, Tags, existing};
use crate::aws::page::Page;
use crate::aws::state::State;
use crate::aws::xml::{Done, Items, Tag, tag_set};
use crate::disk::Disk;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::Whose;

/// What EC2 keeps of volumes beside what the world knows of its disks.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    made: BTreeMap<Arc<str>, Made>,
    attached: BTreeMap<Arc<str>, Attached>,
    tokens: Tokens,
}

/// How a volume was made that came with no instance.
#[derive(Clone, Debug)]
struct Made {
    kind: String,
    encrypted: bool,
    iops: Option<u32>,
    throughput: Option<u32>,
}

/// To what a volume is attached that came with no instance.
#[derive(Clone, Debug)]
struct Attached {
    instance: Arc<str>,
    device: String,
    at: Timestamp,
}

impl Volumes {
    /// The volumes that were attached to an instance after its launch: device, id, since when.
    pub(crate) fn of_instance<'a>(
        &'a self,
        instance: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str, Timestamp)> {
        let here = move |(_, attached): &(&Arc<str>, &Attached)| *attached.instance == *instance;
        self.attached.iter().filter(here).map(|(id, attached)| (attached.device.as_str(), &**id, attached.at))
    }
}

/// `DescribeVolumes`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(
        &root,
        &[
            "attachment.attach-time",
            "attachment.delete-on-termination",
            "attachment.device",
            "attachment.instance-id",
            "attachment.status",
            "availability-zone",
            "availability-zone-id",
            "create-time",
            "encrypted",
            "size",
            "snapshot-id",
            "status",
            "volume-id",
            "volume-type",
        ],
    )?;
    let ids = root.texts("VolumeId");
    if !ids.is_empty() && root.text("MaxResults").is_some() {
        let message = "The parameter volumeSet cannot be used with the parameter maxResults";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let page = Page::read(&root, 5..=1_000, 500)?;
    let whole = filters.is_empty() && ids.is_empty() && root.text("MaxResults").is_none();
    let action = if whole { "DescribeVolumes unfiltered" } else { request.action };
    let (volume_set, next_token) = request.call_as(action, 0, |kernel, state| {
        tidy(kernel, state);
        let whose = Whose { region: Some(request.region), ..Whose::default() };
        let disks = match ids.is_empty() {
            true => kernel.disks(&whose),
            false => ids
                .iter()
                .map(|id| named(kernel, request.region, id))
                .collect::<Result<Vec<Disk>, Refusal>>()?,
        };
        let items =
            disks.into_iter().map(|disk| Item::of(kernel, state, disk)).filter(|item| filters.matches(item));
        Ok(page.cut(items))
    })?;
    request.answer(&Described { next_token, volume_set: volume_set.into_iter().collect() })
}

/// `CreateVolume`.
pub(crate) fn create(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let tags = tags_at_creation(&root, "volume")?;
    let kinds = ["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"];
    // EC2 API, CreateVolume: the default type is gp2.
    let kind = root.text("VolumeType").unwrap_or("gp2");
    if !kinds.contains(&kind) {
        return Err(invalid("VolumeType", kind, &format!("one of {}", kinds.join(", "))));
    }
    let made = Made {
        kind: kind.to_owned(),
        encrypted: root.flag("Encrypted")?.unwrap_or(false),
        iops: root.number("Iops", 100..=256_000)?,
        throughput: root.number("Throughput", 125..=2_000)?,
    };
    if root.text("SnapshotId").is_some() {
        let message = "This simulated EC2 has no snapshots: leave SnapshotId out and give a Size.";
        return Err(coded(400, "InvalidSnapshot.NotFound", message));
    }
    let gib: u32 = root.number("Size", 1..=65_536)?.ok_or_else(|| missing("Size"))?;
    let place = root.text("AvailabilityZone").or(root.text("AvailabilityZoneId"));
    let place = place.ok_or_else(|| missing("AvailabilityZone"))?;
    let (token, digest) = (root.text("ClientToken"), request.query.digest());
    let item = request.call(0, |kernel, state| {
        if let Some(id) = state.volumes.tokens.known(request.region, token, digest)? {
            let disk = named(kernel, request.region, id)?;
            return Ok(Item::of(kernel, state, disk));
        }
        let zone = zone(kernel, request.region, place)?;
        let id = kernel.create_disk(&zone, gib, Arc::new(tags))?;
        state.volumes.made.insert(id.clone(), made);
        state.volumes.tokens.keep(request.region, token, digest, &id);
        let disk = named(kernel, request.region, &id)?;
        Ok(Item::of(kernel, state, disk))
    })?;
    request.answer(&item)
}

/// A zone by its name or its id.
pub(crate) fn zone(kernel: &Kernel, region: &str, place: &str) -> Result<Zone, Refusal> {
    let here = |spec: &&crate::catalog::ZoneSpec| {
        spec.region.as_str() == region && (spec.zone.as_str() == place || &*spec.id == place)
    };
    kernel
        .catalog()
        .zones()
        .iter()
        .find(here)
        .map(|spec| spec.zone.clone())
        .ok_or_else(|| coded(400, "InvalidZone.NotFound", format!("The zone '{place}' does not exist.")))
}

/// `DeleteVolume`.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let id = root.required("VolumeId")?;
    request.call(0, |kernel, state| {
        tidy(kernel, state);
        let disk = named(kernel, request.region, id)?;
        let holder =
            state.volumes.attached.get(id).map(|attached| attached.instance.clone()).or(disk.machine);
        if let Some(instance) = holder {
            let message = format!("Volume {id} is currently attached to {instance}");
            return Err(coded(400, "VolumeInUse", message));
        }
        state.volumes.made.remove(id);
        match kernel.delete_disk(id)? {
            true => Ok(()),
            false => Err(unknown(id)),
        }
    })?;
    request.answer(&Done { done: true })
}

/// `AttachVolume`: of one that came with no instance.
pub(crate) fn attach(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let (id, instance, device) =
        (root.required("VolumeId")?, root.required("InstanceId")?, root.required("Device")?);
    let item = request.call(0, |kernel, state| {
        tidy(kernel, state);
        let disk = named(kernel, request.region, id)?;
        let view = existing(kernel, request.region, instance)
            .ok_or_else(|| crate::aws::instances::unknown(&[instance]))?;
        if view.leaving.is_some() {
            let message = format!("Instance '{instance}' is not 'running'.");
            return Err(coded(400, "IncorrectState", message));
        }
        if view.offer.zone != disk.zone {
            let message =
                format!("The volume '{id}' is not in the same availability zone as instance '{instance}'");
            return Err(coded(400, "InvalidVolume.ZoneMismatch", message));
        }
        if disk.machine.is_some() || state.volumes.attached.contains_key(id) {
            let message = format!("{id} is already attached to an instance");
            return Err(coded(400, "VolumeInUse", message));
        }
        let taken = state.volumes.of_instance(instance).any(|(used, _, _)| used == device)
            || state.launched.of(view.launch).is_some_and(|details| details.root_device == device);
        if taken {
            let message = format!(
                "Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
            );
            return Err(coded(400, "InvalidParameterValue", message));
        }
        let attached = Attached { instance: view.id, device: device.to_owned(), at: kernel.now() };
        let item = Attachment::of(&disk.id, &attached, "attaching");
        state.volumes.attached.insert(disk.id, attached);
        Ok(item)
    })?;
    request.answer(&item)
}

/// `DetachVolume`.
pub(crate) fn detach(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let id = root.required("VolumeId")?;
    let item = request.call(0, |kernel, state| {
        tidy(kernel, state);
        let disk = named(kernel, request.region, id)?;
        if let Some(instance) = &disk.machine {
            let message = format!("Unable to detach root volume '{id}' from instance '{instance}'");
            return Err(coded(400, "OperationNotPermitted", message));
        }
        let attached = state.volumes.attached.remove(id).ok_or_else(|| {
            coded(400, "IncorrectState", format!("Volume '{id}' is in the 'available' state."))
        })?;
        Ok(Attachment::of(&disk.id, &attached, "detaching"))
    })?;
    request.answer(&item)
}

/// Attachments end with their instance; what is known of a volume ends with the volume.
fn tidy(kernel: &Kernel, state: &mut State) {
    let there = |instance: &Arc<str>| {
        kernel
            .by_id
            .get(instance)
            .is_some_and(|m| kernel.machines[*m as usize].ended_at.is_none_or(|ended| ended > kernel.now()))
    };
    state.volumes.attached.retain(|_, attached| there(&attached.instance));
}

fn named(kernel: &Kernel, region: &str, id: &str) -> Result<Disk, Refusal> {
    if !is_id("vol", id) {
        let message = format!("Value ({id}) for parameter volume is invalid. Expected: 'vol-...'.");
        return Err(coded(400, "InvalidParameterValue", message));
    }
    kernel.disk(id).filter(|disk| disk.region.as_str() == region).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Refusal {
    not_found("InvalidVolume.NotFound", "volume", id)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    volume_set: Items<Item>,
}

/// `Volume`, EC2 service model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    availability_zone_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    iops: Option<u32>,
    tag_set: Items<Tag>,
    volume_type: String,
    multi_attach_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    throughput: Option<u32>,
    volume_id: String,
    size: u32,
    snapshot_id: String,
    availability_zone: String,
    status: &'static str,
    create_time: Moment,
    attachment_set: Items<Attachment>,
    encrypted: bool,
    #[serde(skip)]
    tags: Arc<Tags>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    delete_on_termination: bool,
    volume_id: String,
    instance_id: String,
    device: String,
    status: &'static str,
    attach_time: Moment,
}

impl Attachment {
    fn of(volume: &str, attached: &Attached, status: &'static str) -> Self {
        Self {
            delete_on_termination: false,
            volume_id: volume.to_owned(),
            instance_id: attached.instance.to_string(),
            device: attached.device.clone(),
            status,
            attach_time: Moment(attached.at),
        }
    }
}

impl Item {
    fn of(kernel: &Kernel, state: &State, disk: Disk) -> Self {
        let born_with = disk_details(kernel, state, &disk.id);
        let made = state.volumes.made.get(&disk.id).cloned().or_else(|| {
            born_with.map(|(_, details)| Made {
                kind: details.disk.kind.clone(),
                encrypted: details.disk.encrypted,
                iops: details.disk.iops,
                throughput: details.disk.throughput,
            })
        });
        let made =
            made.unwrap_or(Made { kind: "gp3".to_owned(), encrypted: false, iops: None, throughput: None });
        let attachment = match (&disk.machine, born_with) {
            (Some(instance), Some((_, details))) => Some(Attachment {
                delete_on_termination: disk.goes_with_machine,
                volume_id: disk.id.to_string(),
                instance_id: instance.to_string(),
                device: details.root_device.clone(),
                status: "attached",
                attach_time: Moment(disk.created),
            }),
            _ => state.volumes.attached.get(&disk.id).map(|at| Attachment::of(&disk.id, at, "attached")),
        };
        // EBS user guide: the baseline of gp3 is 3,000 operations and 125 MiB a second; gp2 has 3
        // operations per GiB and at least 100.
        let (iops, throughput) = match made.kind.as_str() {
            "gp3" => (made.iops.or(Some(3_000)), made.throughput.or(Some(125))),
            "gp2" => (Some((disk.gib * 3).clamp(100, 16_000)), None),
            _ => (made.iops, None),
        };
        let zone_id = kernel.catalog().zone(disk.zone.as_str()).map(|zone| zone.id.to_string());
        Self {
            availability_zone_id: zone_id.unwrap_or_default(),
            iops,
            tag_set: tag_set(&disk.tags),
            volume_type: made.kind,
            multi_attach_enabled: false,
            throughput,
            volume_id: disk.id.to_string(),
            size: disk.gib,
            snapshot_id: born_with.map(|(_, details)| details.disk.snapshot.clone()).unwrap_or_default(),
            availability_zone: disk.zone.to_string(),
            status: if attachment.is_some() { "in-use" } else { "available" },
            create_time: Moment(disk.created),
            attachment_set: attachment.into_iter().collect(),
            encrypted: made.encrypted,
            tags: disk.tags,
        }
    }
}

/// The machine that a volume came with, and what its launch was.
fn disk_details<'a>(kernel: &Kernel, state: &'a State, volume: &str) -> Option<(u32, &'a Details)> {
    let m = *kernel.by_id.get(volume.replacen("vol-", "i-", 1).as_str())?;
    let details = state.launched.of(kernel.machines[m as usize].lot)?;
    Some((m, details))
}

impl Filtered for Item {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let attachment = self.attachment_set.item.first();
        let text: Cow<'_, str> = match filter {
            "attachment.attach-time" => attachment?.attach_time.to_string().into(),
            "attachment.delete-on-termination" => attachment?.delete_on_termination.to_string().into(),
            "attachment.device" => attachment?.device.as_str().into(),
            "attachment.instance-id" => attachment?.instance_id.as_str().into(),
            "attachment.status" => attachment?.status.into(),
            "availability-zone" => self.availability_zone.as_str().into(),
            "availability-zone-id" => self.availability_zone_id.as_str().into(),
            "create-time" => self.create_time.to_string().into(),
            "encrypted" => self.encrypted.to_string().into(),
            "size" => self.size.to_string().into(),
            "snapshot-id" => self.snapshot_id.as_str().into(),
            "status" => self.status.into(),
            "volume-id" => self.volume_id.as_str().into(),
            "volume-type" => self.volume_type.as_str().into(),
            _ => return None,
        };
        Some(vec![text])
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}
