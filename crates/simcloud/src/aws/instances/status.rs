use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use skyfleet_core::InstanceState;

use crate::aws::Request;
use crate::aws::filter::{Filtered, Filters};
use crate::aws::instances::ending::StateItem;
use crate::aws::instances::{ids_or_page, seen};
use crate::aws::launched::{Tags, state};
use crate::aws::xml::Items;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::MachineView;

/// How long the first checks of an instance take. Ours: EC2's take one to three minutes.
const CHECKS: Duration = Duration::from_secs(60);

/// `DescribeInstanceStatus`: of running instances, unless all are asked for.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(
        &root,
        &[
            "availability-zone",
            "availability-zone-id",
            "instance-state-code",
            "instance-state-name",
            "instance-status.reachability",
            "instance-status.status",
            "system-status.reachability",
            "system-status.status",
        ],
    )?;
    let (ids, page) = ids_or_page(&root)?;
    let every = root.flag("IncludeAllInstances")?.unwrap_or(false);
    let whole = filters.is_empty() && ids.is_empty() && root.text("MaxResults").is_none();
    let action = if whole { "DescribeInstanceStatus unfiltered" } else { request.action };
    let (statuses, next_token) = request.call_as(action, 0, |kernel, ec2| {
        let all = crate::aws::page::Page { from: 0, most: usize::MAX - 1 };
        let (views, _) = seen(kernel, ec2, request.region, &ids, all, &Filters::default())?;
        let items = views
            .iter()
            .filter(|view| every || view.state == InstanceState::Running)
            .map(|view| Item::of(kernel, view))
            .filter(|item| filters.matches(item));
        Ok(page.cut(items))
    })?;
    request.answer(&Described { instance_status_set: statuses.into_iter().collect(), next_token })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    instance_status_set: Items<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `InstanceStatus`, EC2 service model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    availability_zone: String,
    availability_zone_id: String,
    instance_id: String,
    instance_state: StateItem,
    instance_status: Summary,
    system_status: Summary,
    #[serde(skip)]
    state: (u8, &'static str),
}

#[derive(Clone, Debug, Serialize)]
struct Summary {
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Items<Check>>,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Check {
    name: &'static str,
    status: &'static str,
}

impl Item {
    fn of(kernel: &Kernel, view: &MachineView) -> Self {
        let checked = view.running_at.is_some_and(|running| running + CHECKS <= kernel.now());
        let (status, reachability) = match (view.state, checked) {
            (InstanceState::Running, true) => ("ok", Some("passed")),
            (InstanceState::Running | InstanceState::Pending, _) => ("initializing", Some("initializing")),
            _ => ("not-applicable", None),
        };
        let check = |status| Items { item: vec![Check { name: "reachability", status }] };
        let summary = Summary { details: reachability.map(check), status };
        let zone = kernel.catalog().zone(view.offer.zone.as_str());
        Self {
            availability_zone: view.offer.zone.to_string(),
            availability_zone_id: zone.map(|zone| zone.id.to_string()).unwrap_or_default(),
            instance_id: view.id.to_string(),
            instance_state: StateItem::of(view),
            instance_status: summary.clone(),
            system_status: summary,
            state: state(view),
        }
    }
}

impl Filtered for Item {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let reachability =
            |summary: &Summary| summary.details.as_ref()?.item.first().map(|check| check.status);
        let text: Cow<'_, str> = match filter {
            "availability-zone" => self.availability_zone.as_str().into(),
            "availability-zone-id" => self.availability_zone_id.as_str().into(),
            "instance-state-code" => self.state.0.to_string().into(),
            "instance-state-name" => self.state.1.into(),
            "instance-status.status" => self.instance_status.status.into(),
            "system-status.status" => self.system_status.status.into(),
            "instance-status.reachability" => reachability(&self.instance_status)?.into(),
            "system-status.reachability" => reachability(&self.system_status)?.into(),
            _ => return None,
        };
        Some(vec![text])
    }

    fn tags(&self) -> &Tags {
        static NONE: Tags = Tags::new();
        &NONE
    }
}
