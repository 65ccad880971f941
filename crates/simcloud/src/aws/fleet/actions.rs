use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::Market;

use crate::aws::Request;
use crate::aws::error::{coded, missing};
use crate::aws::filter::{Filtered, Filters};
use crate::aws::fleet::request::{FleetType, MarketTerms, ends_excess, target};
use crate::aws::fleet::upkeep::{drop_fixture, end_all, end_excess, tend};
use crate::aws::fleet::{ErrorItem, Fleet, InstancesItem, TemplateName, errors_of, instances_of};
use crate::aws::instances::item::Moment;
use crate::aws::launched::{Tags, request_id};
use crate::aws::page::Page;
use crate::aws::purchase::dollars;
use crate::aws::shape::Given;
use crate::aws::state::State;
use crate::aws::xml::{Done, Items, Tag, tag_set};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// EC2 API, `DeleteFleets`: per call.
const INSTANT_MAX: usize = 25;
const OTHER_MAX: usize = 100;

/// The fleet of an id.
///
/// # Errors
/// `InvalidFleetId.NotFound`, `InvalidFleetId.Malformed`.
fn known<'a>(state: &'a mut State, region: &str, id: &str) -> Result<&'a mut Fleet, Refusal> {
    if !well_formed(id) {
        return Err(coded(400, "InvalidFleetId.Malformed", format!("Invalid id: \"{id}\"")));
    }
    state
        .fleets
        .by_id
        .get_mut(id)
        .filter(|fleet| fleet.region == region)
        .ok_or_else(|| coded(400, "InvalidFleetId.NotFound", format!("The fleet ID '{id}' does not exist")))
}

fn well_formed(id: &str) -> bool {
    let rest = id.strip_prefix("fleet-").unwrap_or_default();
    rest.len() == 36 && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// `DescribeFleets`: instant ones only by their id.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(
        &root,
        &[
            "activity-status",
            "excess-capacity-termination-policy",
            "fleet-state",
            "replace-unhealthy-instances",
            "type",
        ],
    )?;
    let (page, ids) = (Page::read(&root, 1..=1_000, 1_000)?, root.texts("FleetId"));
    let (fleet_set, next_token) = request.call(0, |kernel, state| {
        for id in &ids {
            known(state, request.region, id)?;
        }
        let wanted = |fleet: &&Fleet| match ids.is_empty() {
            true => fleet.request.kind != FleetType::Instant && fleet.region == request.region,
            false => ids.contains(&&*fleet.id),
        };
        let fleets = state.fleets.by_id.values().filter(wanted);
        let seen = fleets.map(|fleet| Seen::of(kernel, fleet)).filter(|seen| filters.matches(seen));
        let (page, next) = page.cut(seen);
        Ok((page.into_iter().map(|seen| FleetItem::of(kernel, &seen)).collect(), next))
    })?;
    request.answer(&Described { fleet_set, next_token })
}

/// `DescribeFleetInstances`: not of instant fleets.
pub(crate) fn instances(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let filters = Filters::read(&root, &["instance-type"])?;
    let (id, page) = (root.required("FleetId")?, Page::read(&root, 1..=1_000, 1_000)?);
    let (active_instance_set, next_token) = request.call(0, |kernel, state| {
        let fleet = known(state, request.region, id)?;
        not_instant(fleet, "DescribeFleetInstances")?;
        let alive = |(_, m): &(_, u32)| kernel.machines[*m as usize].state_at(kernel.now()).is_alive();
        let item = |(_, m): (_, u32)| {
            let view = kernel.view(m, kernel.now());
            ActiveInstance {
                instance_id: view.id.to_string(),
                instance_type: view.offer.instance_type.to_string(),
                spot_instance_request_id: (view.offer.market == Market::Spot)
                    .then(|| request_id(view.number)),
                instance_health: "healthy",
            }
        };
        let items = fleet.machines(kernel).filter(alive).map(item).filter(|item| filters.matches(item));
        let (page, next) = page.cut(items);
        Ok((page.into_iter().collect(), next))
    })?;
    request.answer(&FleetInstances { active_instance_set, next_token, fleet_id: id.to_owned() })
}

/// `DescribeFleetHistory`.
pub(crate) fn history(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let (id, page) = (root.required("FleetId")?, Page::read(&root, 1..=1_000, 1_000)?);
    let start = root.moment("StartTime")?.ok_or_else(|| missing("StartTime"))?;
    let kind = root.text("EventType");
    let answer = request.call(0, |kernel, state| {
        let fleet = known(state, request.region, id)?;
        not_instant(fleet, "DescribeFleetHistory")?;
        let events = fleet.history.iter().filter(|event| event.at >= start);
        let events = events.filter(|event| kind.is_none_or(|kind| kind == event.kind));
        let (records, next_token) = page.cut(events.map(|event| Record {
            event_information: EventInformation {
                event_description: event.description.clone(),
                event_sub_type: event.sub_type.clone(),
                instance_id: event.instance.as_ref().map(|id| id.to_string()),
            },
            event_type: event.kind,
            timestamp: Moment(event.at),
        }));
        Ok(History {
            history_record_set: records.into_iter().collect(),
            last_evaluated_time: Moment(kernel.now()),
            next_token,
            fleet_id: id.to_owned(),
            start_time: Moment(start),
        })
    })?;
    request.answer(&answer)
}

/// `ModifyFleet`: another target.
pub(crate) fn modify(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let (id, ends) = (root.required("FleetId")?, ends_excess(&root)?);
    if !root.list("LaunchTemplateConfig").is_empty() {
        let message = "This simulated EC2 changes the target capacity of a fleet, not its launch templates.";
        return Err(coded(400, "UnsupportedOperation", message));
    }
    let node = root.node("TargetCapacitySpecification");
    let target = node.is_given().then(|| target(&node)).transpose()?;
    request.call(0, |kernel, state| {
        let fleet = known(state, request.region, id)?;
        if fleet.request.kind != FleetType::Maintain {
            let message = format!("The fleet '{id}' is not of type maintain: it cannot be modified.");
            return Err(coded(400, "UnsupportedOperation", message));
        }
        if !fleet.is_active() {
            let message = format!("The fleet '{id}' is not in a modifiable state.");
            return Err(coded(400, "FleetNotInModifiableState", message));
        }
        fleet.request.ends_excess = ends;
        if let Some(target) = target {
            fleet.request.target = target;
            fleet.next_attempt = kernel.now();
            fleet.looked_at = 0;
            fleet.change(kernel.now(), "modify_in_progress");
            if ends {
                end_excess(kernel, fleet);
            }
        }
        tend(kernel, state);
        Ok(())
    })?;
    request.answer(&Done { done: true })
}

/// `DeleteFleets`.
pub(crate) fn delete(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let ids = root.texts("FleetId");
    if ids.is_empty() {
        return Err(missing("FleetId"));
    }
    let ends = root.flag("TerminateInstances")?.ok_or_else(|| missing("TerminateInstances"))?;
    let deleted = request.call(0, |kernel, state| {
        let instant = |id: &&str| {
            state.fleets.by_id.get(*id).is_some_and(|fleet| fleet.request.kind == FleetType::Instant)
        };
        let (instant, other): (Vec<&str>, Vec<&str>) = ids.iter().copied().partition(instant);
        if instant.len() > INSTANT_MAX || other.len() > OTHER_MAX {
            let message = format!(
                "A call deletes at most {INSTANT_MAX} fleets of type instant and {OTHER_MAX} others, not {} and {}.",
                instant.len(),
                other.len()
            );
            return Err(coded(400, "InvalidParameterValue", message));
        }
        if !ends && !instant.is_empty() {
            let message = "NoTerminateInstances option is not supported for instant fleet";
            return Err(coded(400, "NoTerminateInstancesNotSupported", message));
        }
        let mut deleted = Deletions::default();
        for id in &ids {
            delete_one(kernel, state, request.region, id, ends, &mut deleted);
        }
        Ok(deleted)
    })?;
    request.answer(&deleted)
}

fn delete_one(
    kernel: &mut Kernel,
    state: &mut State,
    region: &str,
    id: &str,
    ends: bool,
    deleted: &mut Deletions,
) {
    let fleet = match known(state, region, id) {
        Ok(fleet) => fleet,
        Err(_) => {
            let code = if well_formed(id) { "fleetIdDoesNotExist" } else { "fleetIdMalformed" };
            let message = format!("The fleet ID '{id}' does not exist");
            let error = DeletionError { code, message };
            deleted.unsuccessful_fleet_deletion_set.item.push(Failed { error, fleet_id: id.to_owned() });
            return;
        }
    };
    let previous_fleet_state = fleet_state(kernel, fleet);
    if fleet.is_active() {
        fleet.deleted = Some((kernel.now(), ends));
        fleet.change(kernel.now(), "deleted");
        if ends {
            end_all(kernel, fleet);
        }
        if fleet.request.kind != FleetType::Instant {
            drop_fixture(kernel, fleet);
        }
    }
    deleted.successful_fleet_deletion_set.item.push(Deletion {
        current_fleet_state: fleet_state(kernel, fleet),
        previous_fleet_state,
        fleet_id: id.to_owned(),
    });
}

fn not_instant(fleet: &Fleet, action: &str) -> Result<(), Refusal> {
    match fleet.request.kind {
        FleetType::Instant => {
            let message = format!("{action} is not supported for fleets of type instant ('{}').", fleet.id);
            Err(coded(400, "UnsupportedOperation", message))
        }
        _ => Ok(()),
    }
}

/// EC2's name of a fleet's state.
fn fleet_state(kernel: &Kernel, fleet: &Fleet) -> &'static str {
    let there =
        |(_, m): (_, u32)| kernel.machines[m as usize].ended_at.is_none_or(|ended| ended > kernel.now());
    match fleet.deleted {
        None => "active",
        Some((_, false)) if fleet.machines(kernel).any(there) => "deleted_running",
        Some((_, true)) if fleet.machines(kernel).any(there) => "deleted_terminating",
        Some(_) => "deleted",
    }
}

/// A fleet, as a filter sees it.
struct Seen<'a> {
    fleet: &'a Fleet,
    state: &'static str,
    activity: &'static str,
    fulfilled: (u32, u32),
    tags: Arc<Tags>,
}

impl<'a> Seen<'a> {
    fn of(kernel: &Kernel, fleet: &'a Fleet) -> Self {
        let fulfilled = fleet.fulfilled(kernel);
        let enough = fulfilled.0 + fulfilled.1 >= fleet.request.target.total;
        let state = fleet_state(kernel, fleet);
        let activity = match (fleet.is_active(), enough) {
            (false, _) if state == "deleted_terminating" => "pending_termination",
            (_, true) => "fulfilled",
            (_, false) if !fleet.errors.is_empty() => "error",
            _ => "pending_fulfillment",
        };
        let tags = kernel.tags_of(&fleet.id).unwrap_or_else(|| fleet.tags.clone());
        Self { fleet, state, activity, fulfilled, tags }
    }
}

impl Filtered for Seen<'_> {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        let request = &self.fleet.request;
        Some(vec![match filter {
            "activity-status" => self.activity.into(),
            "excess-capacity-termination-policy" => excess_policy(request.ends_excess).into(),
            "fleet-state" => self.state.into(),
            "replace-unhealthy-instances" => request.replaces_unhealthy.to_string().into(),
            "type" => request.kind.name().into(),
            _ => return None,
        }])
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

fn excess_policy(ends: bool) -> &'static str {
    if ends { "termination" } else { "no-termination" }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    fleet_set: Items<FleetItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `FleetData`, EC2 service model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FleetItem {
    activity_status: &'static str,
    create_time: Moment,
    fleet_id: String,
    fleet_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_token: Option<String>,
    excess_capacity_termination_policy: &'static str,
    fulfilled_capacity: f64,
    fulfilled_on_demand_capacity: f64,
    launch_template_configs: Items<ConfigItem>,
    target_capacity_specification: TargetItem,
    terminate_instances_with_expiration: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<Moment>,
    replace_unhealthy_instances: bool,
    spot_options: MarketItem,
    on_demand_options: MarketItem,
    tag_set: Items<Tag>,
    error_set: Items<ErrorItem>,
    fleet_instance_set: Items<InstancesItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigItem {
    launch_template_specification: TemplateName,
    overrides: Items<Given>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetItem {
    total_target_capacity: u32,
    on_demand_target_capacity: u32,
    spot_target_capacity: u32,
    default_target_capacity_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_capacity_unit_type: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MarketItem {
    allocation_strategy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_interruption_behavior: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_pools_to_use_count: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    single_instance_type: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    single_availability_zone: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_target_capacity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_total_price: Option<String>,
}

impl MarketItem {
    fn of(terms: &MarketTerms, interruption: Option<&'static str>) -> Self {
        let spot = interruption.is_some();
        let one_pool = spot && terms.strategy == crate::aws::fleet::allocation::Strategy::LowestPrice;
        Self {
            allocation_strategy: terms.strategy.name(),
            instance_interruption_behavior: interruption,
            instance_pools_to_use_count: terms.pools.or(one_pool.then_some(1)),
            single_instance_type: terms.single_type,
            single_availability_zone: terms.single_zone,
            min_target_capacity: terms.least,
            max_total_price: terms.purse.map(dollars),
        }
    }
}

impl FleetItem {
    fn of(kernel: &Kernel, seen: &Seen<'_>) -> Self {
        let fleet = seen.fleet;
        let (request, instant) = (&fleet.request, fleet.request.kind == FleetType::Instant);
        let mut configs: Vec<ConfigItem> = Vec::new();
        for pool in &fleet.pools {
            let version = pool.version.to_string();
            let same = |config: &&mut ConfigItem| {
                let name = &config.launch_template_specification;
                name.launch_template_id == pool.template_id && name.version == version
            };
            if let Some(config) = configs.iter_mut().find(same) {
                config.overrides.item.push(pool.told.clone());
                continue;
            }
            let launch_template_id = pool.template_id.clone();
            configs.push(ConfigItem {
                launch_template_specification: TemplateName { launch_template_id, version },
                overrides: Items { item: vec![pool.told.clone()] },
            });
        }
        let (on_demand, spot) = seen.fulfilled;
        let unit = request.target.unit.name();
        Self {
            activity_status: seen.activity,
            create_time: Moment(fleet.created),
            fleet_id: fleet.id.to_string(),
            fleet_state: seen.state,
            client_token: fleet.client_token.clone(),
            excess_capacity_termination_policy: excess_policy(request.ends_excess),
            fulfilled_capacity: f64::from(on_demand + spot),
            fulfilled_on_demand_capacity: f64::from(on_demand),
            launch_template_configs: configs.into_iter().collect(),
            target_capacity_specification: TargetItem {
                total_target_capacity: request.target.total,
                on_demand_target_capacity: request.target.on_demand,
                spot_target_capacity: request.target.spot,
                default_target_capacity_type: if request.target.spot_by_default {
                    "spot"
                } else {
                    "on-demand"
                },
                target_capacity_unit_type: (unit != "units").then_some(unit),
            },
            terminate_instances_with_expiration: request.ends_with_expiry,
            kind: request.kind.name(),
            valid_from: request.valid_from.map(Moment),
            valid_until: request.valid_until.map(Moment),
            replace_unhealthy_instances: request.replaces_unhealthy,
            spot_options: MarketItem::of(&request.spot, Some(request.interruption)),
            on_demand_options: MarketItem::of(&request.on_demand, None),
            tag_set: tag_set(&seen.tags),
            error_set: if instant { errors_of(fleet) } else { Items::default() },
            fleet_instance_set: if instant { instances_of(kernel, fleet, false) } else { Items::default() },
            context: request.context.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FleetInstances {
    active_instance_set: Items<ActiveInstance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    fleet_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveInstance {
    instance_id: String,
    instance_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    spot_instance_request_id: Option<String>,
    instance_health: &'static str,
}

impl Filtered for ActiveInstance {
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>> {
        (filter == "instance-type").then(|| vec![Cow::Borrowed(self.instance_type.as_str())])
    }

    fn tags(&self) -> &Tags {
        static NONE: Tags = Tags::new();
        &NONE
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct History {
    history_record_set: Items<Record>,
    last_evaluated_time: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    fleet_id: String,
    start_time: Moment,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_information: EventInformation,
    event_type: &'static str,
    timestamp: Moment,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EventInformation {
    event_description: String,
    event_sub_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Deletions {
    successful_fleet_deletion_set: Items<Deletion>,
    unsuccessful_fleet_deletion_set: Items<Failed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Deletion {
    current_fleet_state: &'static str,
    previous_fleet_state: &'static str,
    fleet_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    error: DeletionError,
    fleet_id: String,
}

#[derive(Debug, Serialize)]
struct DeletionError {
    code: &'static str,
    message: String,
}
