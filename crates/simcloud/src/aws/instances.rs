pub(crate) mod attributes;
pub(crate) mod console;
pub(crate) mod ending;
pub(crate) mod item;
pub(crate) mod status;

use std::borrow::Cow;

use skyfleet_core::{Market, tag};

use crate::aws::creation::is_id;
use crate::aws::error::coded;
use crate::aws::filter::{Filtered, Filters};
use crate::aws::instances::item::{
    Moment, Source, Xml, instance, private_name, public_name, reason, reservation,
};
use crate::aws::launched::{Details, Tags, distinct, interface_id, request_id, state, volume_id};
use crate::aws::page::Page;
use crate::aws::query::Node;
use crate::aws::state::State;
use crate::aws::{ACCOUNT, Request};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::{MachineView, Whose};

/// The filters of `DescribeInstances`, beside those of tags.
pub(crate) const FILTERS: &[&str] = &[
    "architecture",
    "availability-zone",
    "availability-zone-id",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.status",
    "block-device-mapping.volume-id",
    "client-token",
    "dns-name",
    "group-id",
    "group-name",
    "hypervisor",
    "iam-instance-profile.arn",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "key-name",
    "launch-index",
    "launch-time",
    "metadata-options.http-endpoint",
    "metadata-options.http-tokens",
    "metadata-options.instance-metadata-tags",
    "monitoring-state",
    "network-interface.addresses.private-ip-address",
    "network-interface.group-id",
    "network-interface.network-interface-id",
    "network-interface.subnet-id",
    "network-interface.vpc-id",
    "owner-id",
    "placement-group-name",
    "private-dns-name",
    "private-ip-address",
    "reservation-id",
    "root-device-name",
    "root-device-type",
    "spot-instance-request-id",
    "state-reason-code",
    "subnet-id",
    "tenancy",
    "virtualization-type",
    "vpc-id",
];

/// An instance, as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) view: &'a MachineView,
    pub(crate) details: &'a Details,
    pub(crate) source: Source<'a>,
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let Self { view, details, .. } = self;
        let gone = state(view).0 == 48;
        let one = |text: &str| Some(vec![Cow::Owned(text.to_owned())]);
        let own = |text: String| Some(vec![Cow::Owned(text)]);
        let living = |text: &str| if gone { None } else { one(text) };
        let switch = |on: bool| one(if on { "enabled" } else { "disabled" });
        let public = self.source.addresses.of_instance(&view.id).or(view.public_ip);
        match filter {
            "architecture" => {
                let spec = self.source.catalog.instance_type(view.offer.instance_type.as_str())?;
                own(spec.arch.to_string())
            }
            "availability-zone" => one(view.offer.zone.as_str()),
            "availability-zone-id" => one(&details.zone_id),
            "block-device-mapping.delete-on-termination" => own(details.delete_on_termination.to_string()),
            "block-device-mapping.device-name" | "root-device-name" => one(&details.root_device),
            "block-device-mapping.status" => living("attached"),
            "block-device-mapping.volume-id" => living(&volume_id(&view.id)),
            "client-token" => one(details.client_token.as_deref()?),
            "dns-name" => own(public_name(public?, view.region.as_str())),
            "group-id" | "instance.group-id" | "network-interface.group-id" => {
                Some(details.groups.iter().map(|(id, _)| Cow::Borrowed(id.as_str())).collect())
            }
            "group-name" | "instance.group-name" => {
                Some(details.groups.iter().map(|(_, name)| Cow::Borrowed(name.as_str())).collect())
            }
            "hypervisor" => one("xen"),
            "iam-instance-profile.arn" => one(details.profile.as_deref()?),
            "image-id" => one(&details.image),
            "instance-id" => one(&view.id),
            "instance-lifecycle" if view.offer.market == Market::Spot => one("spot"),
            "instance-state-code" => own(state(view).0.to_string()),
            "instance-state-name" => one(state(view).1),
            "instance-type" => one(view.offer.instance_type.as_str()),
            "ip-address" => own(public.filter(|_| !gone)?.to_string()),
            "key-name" => one(details.key.as_deref()?),
            "launch-index" => own(view.index.to_string()),
            "launch-time" => own(Moment(view.started).to_string()),
            "metadata-options.http-endpoint" => switch(details.metadata.enabled),
            "metadata-options.http-tokens" => {
                one(if details.metadata.token_required { "required" } else { "optional" })
            }
            "metadata-options.instance-metadata-tags" => switch(details.metadata.tags),
            "monitoring-state" => switch(details.monitoring),
            "network-interface.network-interface-id" => living(&interface_id(&view.id)),
            "network-interface.addresses.private-ip-address" | "private-ip-address" => {
                own(view.private_ip.filter(|_| !gone)?.to_string())
            }
            "owner-id" => one(ACCOUNT),
            "placement-group-name" => one(details.placement_group.as_deref()?),
            "private-dns-name" => own(private_name(view.private_ip.filter(|_| !gone)?, view.region.as_str())),
            "reservation-id" => one(&details.reservation),
            "root-device-type" => one("ebs"),
            "spot-instance-request-id" if view.offer.market == Market::Spot => own(request_id(view.number)),
            "state-reason-code" => one(reason(view)?.0),
            "subnet-id" | "network-interface.subnet-id" => living(&details.subnet),
            "tenancy" => one(&details.tenancy),
            "virtualization-type" => one("hvm"),
            "vpc-id" | "network-interface.vpc-id" => living(&details.vpc),
            _ => None,
        }
    }

    fn tags(&self) -> &Tags {
        &self.view.tags
    }
}

/// `DescribeInstances`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, FILTERS)?;
    let (ids, page) = ids_or_page(&root)?;
    let unfiltered = filters.is_empty() && ids.is_empty() && root.text("MaxResults").is_none();
    let action = if unfiltered { "DescribeInstances unfiltered" } else { request.action };
    let xml = request.call_as(action, 0, |kernel, state| {
        let (views, next) = seen(kernel, state, request.region, &ids, page, &filters)?;
        Ok(written(kernel, state, &views, next))
    })?;
    Ok(request.answer_written(xml.0))
}

/// The ids of a request, or its page: not both.
pub(crate) fn ids_or_page<'a>(root: &Node<'a>) -> Result<(Vec<&'a str>, Page), Refusal> {
    let ids = distinct(root.texts("InstanceId"));
    if !ids.is_empty() && root.text("MaxResults").is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    if let Some(id) = ids.iter().find(|id| !is_id("i", id)) {
        return Err(malformed(id));
    }
    Ok((ids, Page::read(root, 5..=1_000, 1_000)?))
}

pub(crate) fn malformed(id: &str) -> Refusal {
    coded(400, "InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""))
}

/// EC2's words for instances that it does not know (yet, or any more).
pub(crate) fn unknown(ids: &[&str]) -> Refusal {
    let message = match ids {
        [id] => format!("The instance ID '{id}' does not exist"),
        ids => format!("The instance IDs '{}' do not exist", ids.join(", ")),
    };
    coded(400, "InvalidInstanceID.NotFound", message)
}

/// The instances of these ids, or one page of those that match, and the token of the next page.
pub(crate) fn seen(
    kernel: &Kernel,
    ec2: &State,
    region: &str,
    ids: &[&str],
    page: Page,
    filters: &Filters<'_>,
) -> Result<(Vec<MachineView>, Option<String>), Refusal> {
    let source = Source::of(kernel, ec2);
    let matches = |view: &MachineView| {
        let details = ec2.launched.of(view.launch);
        details.is_some_and(|details| filters.is_empty() || filters.matches(&Seen { view, details, source }))
    };
    let mut whose = Whose { region: Some(region), ..Whose::default() };
    if !ids.is_empty() {
        let found: Vec<Option<MachineView>> = ids.iter().map(|id| kernel.machine(id, &whose)).collect();
        let missing: Vec<&str> =
            ids.iter().zip(&found).filter(|(_, view)| view.is_none()).map(|(id, _)| *id).collect();
        if !missing.is_empty() {
            return Err(unknown(&missing));
        }
        return Ok((found.into_iter().flatten().filter(matches).collect(), None));
    }
    // What the world can look up at once need not be filtered out of everything.
    let owner_filter = format!("tag:{}", tag::OWNER);
    let fleet_filter = format!("tag:{}", tag::FLEET);
    whose.owner = filters.exact(&owner_filter);
    whose.fleet = filters.exact(&fleet_filter);
    let (mut from, mut views) = (u32::try_from(page.from).unwrap_or(u32::MAX), Vec::new());
    // One more than the page holds says whether there is another page.
    let most = page.most + 1;
    while views.len() < most {
        let chunk = kernel.machines_from(&whose, from, most.max(1_000));
        let Some(last) = chunk.last() else { break };
        from = last.number.saturating_add(1);
        let ended = chunk.len() < most.max(1_000);
        views.extend(chunk.into_iter().filter(matches));
        if ended {
            break;
        }
    }
    let next = views.get(page.most).map(|view| Page { from: view.number as usize, most: 0 }.token());
    views.truncate(page.most);
    Ok((views, next))
}

/// The body of `DescribeInstances`: neighbours of one launch share a reservation.
fn written(kernel: &Kernel, ec2: &State, views: &[MachineView], next: Option<String>) -> Xml {
    let source = Source::of(kernel, ec2);
    // About what an instance takes.
    let mut xml = Xml::with_capacity(views.len() * 4_608 + 1_024);
    xml.part("reservationSet", |xml| {
        for launch in views.chunk_by(|a, b| a.launch == b.launch) {
            let Some(details) = launch.first().and_then(|view| ec2.launched.of(view.launch)) else {
                continue;
            };
            xml.part("item", |xml| {
                reservation(xml, details, |xml| {
                    for view in launch {
                        xml.part("item", |xml| instance(xml, source, view, details));
                    }
                });
            });
        }
    });
    xml.maybe("nextToken", next.as_deref());
    xml
}
