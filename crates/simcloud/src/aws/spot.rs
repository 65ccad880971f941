pub(crate) mod prices;
pub(crate) mod scores;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use skyfleet_core::{InstanceState, Market, Timestamp};

use crate::aws::Request;
use crate::aws::blueprint::offer;
use crate::aws::error::{coded, missing};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::instances::item::{Moment, Xml};
use crate::aws::launched::{Details, SpotTerms, Tags, distinct, request_id, request_number};
use crate::aws::page::Page;
use crate::aws::purchase::dollars;
use crate::aws::state::State;
use crate::aws::xml::Items;
use crate::kernel::Kernel;
use crate::machine::EndCause;
use crate::refusal::Refusal;
use crate::view::MachineView;

/// How long a request can be described after its instance is gone. EC2 user guide: four hours.
const KEPT: Duration = Duration::from_secs(4 * 3_600);

/// One spot request: that of a spot instance, whose life it follows. The same for all clouds of the
/// world is the machine; what is a request's own is when its status changes: at the notice, while
/// the instance runs on (EC2 user guide, "Spot request status").
#[derive(Clone, Debug)]
pub(crate) struct SpotRequest<'a> {
    pub(crate) id: String,
    pub(crate) view: MachineView,
    details: &'a Details,
    terms: &'a SpotTerms,
    pub(crate) tags: Arc<Tags>,
    /// `active`, `closed`, `cancelled`, `open`, `disabled`.
    pub(crate) state: &'static str,
    pub(crate) code: &'static str,
    message: &'static str,
    updated: Timestamp,
}

impl<'a> SpotRequest<'a> {
    /// The request of a machine as it stood at a time; `None` for one that is not a spot instance
    /// of EC2, or not shown.
    fn of(kernel: &Kernel, ec2: &'a State, m: u32, at: Timestamp) -> Option<Self> {
        let machine = kernel.machines.get(m as usize)?;
        let details = ec2.launched.of(machine.lot)?;
        let terms = details.spot.as_ref()?;
        let shown = machine.visible_at <= at && machine.ended_at.is_none_or(|ended| at < ended + KEPT);
        if !shown {
            return None;
        }
        let view = kernel.view(m, at);
        let cancelled = ec2.launched.cancelled.get(&view.id).copied().filter(|when| *when <= at);
        let stopped = machine.halts.last().filter(|halt| halt.notice.is_some()).map(|halt| halt.by_price);
        let (state, code, message, updated) = status(&view, terms, (cancelled, stopped), at);
        let tags = ec2.launched.request_tags(&view);
        Some(Self { id: request_id(view.number), view, details, terms, tags, state, code, message, updated })
    }
}

/// The state and status of a request, and since when. EC2 user guide, "Spot request status codes".
/// `stopped` says whether EC2 stopped it, and if so whether for the price.
fn status(
    view: &MachineView,
    terms: &SpotTerms,
    (cancelled, stopped): (Option<Timestamp>, Option<bool>),
    at: Timestamp,
) -> (&'static str, &'static str, &'static str, Timestamp) {
    let by = |moment: Option<Timestamp>| moment.filter(|moment| *moment <= at);
    let stops = terms.interruption != "terminate";
    let over = if cancelled.is_some() { "cancelled" } else { "closed" };
    if let Some(leaving) = by(view.leaving).filter(|_| view.cause != Some(EndCause::Reclaimed)) {
        let message = "Spot instance terminated by the user.";
        return (over, "instance-terminated-by-user", message, leaving);
    }
    if let Some(noticed) = by(view.noticed) {
        return match (stops, view.by_price) {
            (true, _) => ("active", "marked-for-stop", "The Spot Instance is marked for stopping.", noticed),
            (false, true) => {
                let message =
                    "Your Spot instance was terminated because the Spot price is above your maximum price.";
                (over, "instance-terminated-by-price", message, noticed)
            }
            (false, false) => {
                let message = "Your Spot instance was terminated because there is no capacity available.";
                (over, "instance-terminated-no-capacity", message, noticed)
            }
        };
    }
    match (view.state, by(view.halted)) {
        (InstanceState::Stopping | InstanceState::Stopped, Some(halted)) => {
            let state = |other: &'static str| if cancelled.is_some() { "cancelled" } else { other };
            let (state, code) = match stopped {
                None => (state("disabled"), "instance-stopped-by-user"),
                Some(true) => (state("open"), "instance-stopped-by-price"),
                Some(false) => (state("open"), "instance-stopped-no-capacity"),
            };
            (state, code, "The Spot Instance is stopped.", halted)
        }
        _ => match cancelled {
            Some(when) => {
                let message = "Your Spot request was canceled, and your instance is still running.";
                ("cancelled", "request-canceled-and-instance-running", message, when)
            }
            None => ("active", "fulfilled", "Your Spot request is fulfilled.", view.launched),
        },
    }
}

/// The requests of a region, in the order of their numbers, from one on.
pub(crate) fn requests<'a>(
    kernel: &'a Kernel,
    ec2: &'a State,
    region: &'a str,
    from: u32,
) -> impl Iterator<Item = SpotRequest<'a>> {
    let at = kernel.now() - kernel.trouble.stale();
    let lots = (0u32..).zip(&kernel.lots).filter(move |(number, lot)| {
        let shown = lot.count > 0 && (lot.left > 0 || at < lot.gone_at + KEPT);
        let spot = || ec2.launched.of(*number).is_some_and(|details| details.spot.is_some());
        // A launch of EC2 is in one pool.
        let here = || kernel.offer(kernel.machines[lot.first as usize].pool).region.as_str() == region;
        shown && lot.first + lot.count > from && spot() && here()
    });
    lots.flat_map(|(_, lot)| lot.machines())
        .filter(move |m| *m >= from)
        .filter_map(move |m| SpotRequest::of(kernel, ec2, m, at))
}

impl Filtered for SpotRequest<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let (view, details) = (&self.view, self.details);
        let text: Cow<'_, str> = match filter {
            "create-time" => Moment(view.launched).to_string().into(),
            "instance-id" => (&*view.id).into(),
            "launch.group-id" => {
                return Some(details.groups.iter().map(|(id, _)| id.as_str().into()).collect());
            }
            "launch.group-name" => {
                return Some(details.groups.iter().map(|(_, name)| name.as_str().into()).collect());
            }
            "launch.image-id" => details.image.as_str().into(),
            "launch.instance-type" => view.offer.instance_type.as_str().into(),
            "launch.key-name" => details.key.as_deref()?.into(),
            "launch.monitoring-enabled" => details.monitoring.to_string().into(),
            "launched-availability-zone" => view.offer.zone.as_str().into(),
            "launched-availability-zone-id" => details.zone_id.as_str().into(),
            "network-interface.subnet-id" | "launch.network-interface.subnet-id" => {
                details.subnet.as_str().into()
            }
            "product-description" => "Linux/UNIX".into(),
            "spot-instance-request-id" => self.id.as_str().into(),
            "spot-price" => dollars(self.terms.max_price?).into(),
            "state" => self.state.into(),
            "status-code" => self.code.into(),
            "status-message" => self.message.into(),
            "type" => if self.terms.persistent { "persistent" } else { "one-time" }.into(),
            _ => return None,
        };
        Some(vec![text])
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

const FILTERS: &[&str] = &[
    "availability-zone-group",
    "create-time",
    "fault-code",
    "fault-message",
    "instance-id",
    "launch-group",
    "launch.group-id",
    "launch.group-name",
    "launch.image-id",
    "launch.instance-type",
    "launch.key-name",
    "launch.monitoring-enabled",
    "launch.network-interface.subnet-id",
    "launched-availability-zone",
    "launched-availability-zone-id",
    "network-interface.subnet-id",
    "product-description",
    "spot-instance-request-id",
    "spot-price",
    "state",
    "status-code",
    "status-message",
    "type",
    "valid-from",
    "valid-until",
];

/// `DescribeSpotInstanceRequests`.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, FILTERS)?;
    let ids = distinct(root.texts("SpotInstanceRequestId"));
    if !ids.is_empty() && root.text("MaxResults").is_some() {
        let message = "The parameter spotInstanceRequestIds cannot be used with the parameter maxResults";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let page = Page::read(&root, 5..=1_000, 1_000)?;
    let whole = filters.is_empty() && ids.is_empty() && root.text("MaxResults").is_none();
    let action = if whole { "DescribeSpotInstanceRequests unfiltered" } else { request.action };
    let xml = request.call_as(action, 0, |kernel, ec2| {
        let mut xml = Xml::default();
        if !ids.is_empty() {
            let found = named(kernel, ec2, request.region, &ids)?;
            xml.part("spotInstanceRequestSet", |xml| {
                for request in found.iter().filter(|request| filters.matches(*request)) {
                    item(xml, kernel, request);
                }
            });
            return Ok(xml);
        }
        let from = u32::try_from(page.from).unwrap_or(u32::MAX);
        let mut matching =
            requests(kernel, ec2, request.region, from).filter(|request| filters.matches(request));
        xml.part("spotInstanceRequestSet", |xml| {
            for request in matching.by_ref().take(page.most) {
                item(xml, kernel, &request);
            }
        });
        let next = matching.next().map(|next| Page { from: next.view.number as usize, most: 0 }.token());
        xml.maybe("nextToken", next.as_deref());
        Ok(xml)
    })?;
    Ok(request.answer_written(xml.0))
}

/// `CancelSpotInstanceRequests`: the instances run on.
pub(crate) fn cancel(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let ids = distinct(root.texts("SpotInstanceRequestId"));
    if ids.is_empty() {
        return Err(missing("SpotInstanceRequestId"));
    }
    let cancelled = request.call(0, |kernel, ec2| {
        let found = named(kernel, ec2, request.region, &ids)?;
        let instances: Vec<Arc<str>> = found.iter().map(|request| request.view.id.clone()).collect();
        for instance in instances {
            ec2.launched.cancelled.entry(instance).or_insert(kernel.now());
        }
        let item = |id: &&str| Cancelled { spot_instance_request_id: (*id).to_owned(), state: "cancelled" };
        Ok(Cancellations { spot_instance_request_set: ids.iter().map(item).collect() })
    })?;
    request.answer(&cancelled)
}

/// The requests of all these ids.
fn named<'a>(
    kernel: &Kernel,
    ec2: &'a State,
    region: &str,
    ids: &[&str],
) -> Result<Vec<SpotRequest<'a>>, Refusal> {
    let at = kernel.now() - kernel.trouble.stale();
    let find = |id: &&str| {
        let found = request_number(id).and_then(|number| SpotRequest::of(kernel, ec2, number, at));
        found.filter(|request| request.view.region.as_str() == region).ok_or_else(|| {
            let message = format!("The spot instance request ID '{id}' does not exist");
            coded(400, "InvalidSpotInstanceRequestID.NotFound", message)
        })
    };
    ids.iter().map(find).collect()
}

/// `SpotInstanceRequest`, EC2 service model.
fn item(xml: &mut Xml, kernel: &Kernel, request: &SpotRequest<'_>) {
    let SpotRequest { view, details, terms, .. } = request;
    // EC2 user guide: without a maximum price it is the on-demand price.
    let list = || {
        kernel.price(&offer(view.offer.instance_type.as_str(), view.offer.zone.as_str(), Market::OnDemand))
    };
    xml.part("item", |xml| {
        xml.moment("createTime", view.launched);
        xml.text("instanceId", &view.id);
        xml.part("launchSpecification", |xml| {
            xml.text("imageId", &details.image);
            xml.text("instanceType", view.offer.instance_type.as_str());
            xml.maybe("keyName", details.key.as_deref());
            xml.groups(&details.groups);
            xml.part("placement", |xml| xml.text("availabilityZone", view.offer.zone.as_str()));
            xml.text("subnetId", &details.subnet);
            xml.plain("ebsOptimized", details.ebs_optimized);
            xml.part("monitoring", |xml| xml.plain("enabled", details.monitoring));
        });
        xml.text("launchedAvailabilityZone", view.offer.zone.as_str());
        xml.text("launchedAvailabilityZoneId", &details.zone_id);
        xml.text("productDescription", "Linux/UNIX");
        xml.text("spotInstanceRequestId", &request.id);
        if let Some(price) = terms.max_price.or_else(list) {
            xml.text("spotPrice", &dollars(price));
        }
        xml.text("state", request.state);
        xml.part("status", |xml| {
            xml.text("code", request.code);
            xml.text("message", request.message);
            xml.moment("updateTime", request.updated);
        });
        xml.tags(&request.tags);
        xml.text("type", if terms.persistent { "persistent" } else { "one-time" });
        xml.text("instanceInterruptionBehavior", terms.interruption);
    });
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancellations {
    spot_instance_request_set: Items<Cancelled>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    spot_instance_request_id: String,
    state: &'static str,
}
