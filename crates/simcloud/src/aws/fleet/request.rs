use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{Timestamp, UsdPerHour};

use crate::aws::blueprint::{check_tagged, interruption, price};
use crate::aws::creation::check_tags;
use crate::aws::error::{coded, invalid, missing};
use crate::aws::fleet::allocation::Strategy;
use crate::aws::launched::Tags;
use crate::aws::query::Node;
use crate::aws::shape::Given;
use crate::aws::templates::data::LaunchTemplateData;
use crate::aws::templates::members::OVERRIDE;
use crate::aws::types::requirements;
use crate::refusal::Refusal;

/// What a fleet is for. EC2 user guide, "Request types".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FleetType {
    /// One attempt, answered at once.
    Instant,
    /// One attempt, not answered.
    Request,
    /// Instances that go are replaced.
    Maintain,
}

impl FleetType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Request => "request",
            Self::Maintain => "maintain",
        }
    }
}

/// A `CreateFleet`, as far as it can be read without looking at the world.
#[derive(Clone, Debug)]
pub(crate) struct FleetRequest {
    pub(crate) kind: FleetType,
    pub(crate) target: Target,
    pub(crate) spot: MarketTerms,
    pub(crate) on_demand: MarketTerms,
    /// `terminate`, `stop` or `hibernate`.
    pub(crate) interruption: &'static str,
    pub(crate) configs: Vec<FleetConfig>,
    /// By the type of the resource.
    pub(crate) tags: BTreeMap<String, Tags>,
    pub(crate) valid_from: Option<Timestamp>,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) ends_with_expiry: bool,
    pub(crate) replaces_unhealthy: bool,
    /// Whether a smaller target ends what is too many.
    pub(crate) ends_excess: bool,
    pub(crate) context: Option<String>,
}

/// How many units of capacity a fleet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) total: u32,
    pub(crate) on_demand: u32,
    pub(crate) spot: u32,
    pub(crate) spot_by_default: bool,
    pub(crate) unit: Unit,
}

/// What capacity is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Units,
    Vcpus,
    MemoryMib,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Vcpus => "vcpu",
            Self::MemoryMib => "memory-mib",
        }
    }
}

/// `SpotOptions` or `OnDemandOptions`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarketTerms {
    pub(crate) strategy: Strategy,
    pub(crate) pools: Option<u32>,
    pub(crate) single_type: bool,
    pub(crate) single_zone: bool,
    pub(crate) least: Option<u32>,
    pub(crate) purse: Option<UsdPerHour>,
}

/// One of `LaunchTemplateConfigs`.
#[derive(Clone, Debug)]
pub(crate) struct FleetConfig {
    /// Where it stands in the request.
    pub(crate) template: String,
    pub(crate) overrides: Vec<Arc<Override>>,
}

/// One of `Overrides`: as it was given, and as far as it says where instances come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Override {
    pub(crate) given: Given,
    pub(crate) instance_type: Option<String>,
    /// Subnets by their ids or zones by their names or ids; none for all of the region.
    pub(crate) places: Vec<String>,
    pub(crate) price_max: Option<UsdPerHour>,
    pub(crate) weight: Option<f64>,
    pub(crate) priority: Option<f64>,
    /// The attributes in place of a type.
    pub(crate) requirements: Option<Given>,
    /// What it says over the template.
    pub(crate) data: LaunchTemplateData,
}

impl FleetRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// EC2's for values that are none and for what does not go together.
    pub(crate) fn read(root: &Node<'_>) -> Result<Self, Refusal> {
        let kind = match root.text("Type") {
            Some("instant") => FleetType::Instant,
            Some("request") => FleetType::Request,
            None | Some("maintain") => FleetType::Maintain,
            Some(other) => return Err(invalid("Type", other, "one of request, maintain, instant")),
        };
        let target = target(&root.node("TargetCapacitySpecification"))?;
        let (spot_options, on_demand_options) = (root.node("SpotOptions"), root.node("OnDemandOptions"));
        let spot = market(&spot_options, &Strategy::SPOT, kind)?;
        let on_demand = market(&on_demand_options, &Strategy::ON_DEMAND, kind)?;
        let behavior = spot_options.text("InstanceInterruptionBehavior");
        if let Some(other) = behavior.filter(|text| !matches!(*text, "terminate" | "stop" | "hibernate")) {
            let expected = "one of hibernate, stop, terminate";
            return Err(invalid("SpotOptions.InstanceInterruptionBehavior", other, expected));
        }
        if kind != FleetType::Maintain && !matches!(behavior, None | Some("terminate")) {
            let message = "The instance interruption behavior must be 'terminate' unless the fleet is of type 'maintain'.";
            return Err(coded(400, "InvalidParameterCombination", message));
        }
        let mut tags: BTreeMap<String, Tags> = BTreeMap::new();
        for specification in root.list("TagSpecification") {
            let own = specification.tags()?;
            check_tags(&own)?;
            tags.entry(specification.required("ResourceType")?.to_owned()).or_default().extend(own);
        }
        let known: &[&str] = match kind {
            FleetType::Instant => {
                &["fleet", "instance", "volume", "network-interface", "spot-instances-request"]
            }
            _ => &["fleet"],
        };
        check_tagged(tags.keys().map(String::as_str), known, target.spot > 0)?;
        Ok(Self {
            configs: configs(root, kind)?,
            kind,
            target,
            spot,
            on_demand,
            interruption: interruption(behavior),
            tags,
            valid_from: root.moment("ValidFrom")?,
            valid_until: root.moment("ValidUntil")?,
            ends_with_expiry: root.flag("TerminateInstancesWithExpiration")?.unwrap_or(false),
            replaces_unhealthy: root.flag("ReplaceUnhealthyInstances")?.unwrap_or(false),
            ends_excess: ends_excess(root)?,
            context: root.text("Context").map(str::to_owned),
        })
    }
}

/// `ExcessCapacityTerminationPolicy`.
pub(crate) fn ends_excess(root: &Node<'_>) -> Result<bool, Refusal> {
    match root.text("ExcessCapacityTerminationPolicy") {
        None | Some("termination") => Ok(true),
        Some("no-termination" | "noTermination") => Ok(false),
        Some(other) => {
            Err(invalid("ExcessCapacityTerminationPolicy", other, "one of no-termination, termination"))
        }
    }
}

/// Reads `TargetCapacitySpecification`. EC2 user guide: at most 10,000 units per fleet.
pub(crate) fn target(node: &Node<'_>) -> Result<Target, Refusal> {
    let total = node.number("TotalTargetCapacity", 0..=10_000)?;
    let total: u32 = total.ok_or_else(|| missing("TargetCapacitySpecification.TotalTargetCapacity"))?;
    let on_demand = node.number("OnDemandTargetCapacity", 0..=10_000)?;
    let spot = node.number("SpotTargetCapacity", 0..=10_000)?;
    let spot_by_default = match node.text("DefaultTargetCapacityType") {
        Some("spot") => true,
        None | Some("on-demand") => false,
        Some(other) => {
            let expected = "one of spot, on-demand";
            return Err(invalid("TargetCapacitySpecification.DefaultTargetCapacityType", other, expected));
        }
    };
    let unit = match node.text("TargetCapacityUnitType") {
        None | Some("units") => Unit::Units,
        Some("vcpu") => Unit::Vcpus,
        Some("memory-mib") => Unit::MemoryMib,
        Some(other) => {
            let expected = "one of vcpu, memory-mib, units";
            return Err(invalid("TargetCapacitySpecification.TargetCapacityUnitType", other, expected));
        }
    };
    let named = on_demand.unwrap_or(0) + spot.unwrap_or(0);
    if named > total {
        let message = format!(
            "The sum of OnDemandTargetCapacity and SpotTargetCapacity ({named}) must not be above TotalTargetCapacity ({total})."
        );
        return Err(coded(400, "InvalidParameterValue", message));
    }
    let rest = total - named;
    let (on_demand, spot) = match spot_by_default {
        true => (on_demand.unwrap_or(0), spot.unwrap_or(0) + rest),
        false => (on_demand.unwrap_or(0) + rest, spot.unwrap_or(0)),
    };
    Ok(Target { total, on_demand, spot, spot_by_default, unit })
}

fn market(node: &Node<'_>, strategies: &[&str], kind: FleetType) -> Result<MarketTerms, Refusal> {
    let strategy = match node.text("AllocationStrategy") {
        None => Strategy::default(),
        Some(name) => {
            let named = Strategy::named(name).filter(|strategy| strategies.contains(&strategy.name()));
            let parameter = format!("{}.AllocationStrategy", node.name());
            named.ok_or_else(|| invalid(&parameter, name, &format!("one of {}", strategies.join(", "))))?
        }
    };
    let terms = MarketTerms {
        strategy,
        pools: node.number("InstancePoolsToUseCount", 1..=1_000)?,
        single_type: node.flag("SingleInstanceType")?.unwrap_or(false),
        single_zone: node.flag("SingleAvailabilityZone")?.unwrap_or(false),
        least: node.number("MinTargetCapacity", 1..=1_000)?,
        purse: price(&format!("{}.MaxTotalPrice", node.name()), node.text("MaxTotalPrice"))?,
    };
    if terms.pools.is_some() && strategy != Strategy::LowestPrice {
        let message = "InstancePoolsToUseCount is only valid with the allocation strategy lowest-price.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let instant_only = terms.single_type || terms.single_zone || terms.least.is_some();
    if instant_only && kind != FleetType::Instant {
        let message = "SingleInstanceType, SingleAvailabilityZone and MinTargetCapacity are only supported for fleets of type instant.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    if terms.least.is_some() && !terms.single_type && !terms.single_zone {
        let message = "MinTargetCapacity requires SingleInstanceType or SingleAvailabilityZone.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    Ok(terms)
}

fn configs(root: &Node<'_>, kind: FleetType) -> Result<Vec<FleetConfig>, Refusal> {
    let configs = root.list("LaunchTemplateConfigs");
    if configs.is_empty() {
        return Err(missing("LaunchTemplateConfigs"));
    }
    if configs.len() > 50 {
        let message =
            format!("A fleet has at most 50 launch template configurations, not {}.", configs.len());
        return Err(coded(400, "InvalidParameterValue", message));
    }
    let mut read = Vec::new();
    for config in &configs {
        let overrides = config.list("Overrides");
        let overrides =
            overrides.iter().map(|node| one_override(node, kind).map(Arc::new)).collect::<Result<_, _>>()?;
        let template = config.node("LaunchTemplateSpecification").name().to_owned();
        read.push(FleetConfig { template, overrides });
    }
    let overrides: usize = read.iter().map(|config: &FleetConfig| config.overrides.len()).sum();
    if overrides > 300 && kind != FleetType::Instant {
        let message = format!("A fleet of type {} has at most 300 overrides, not {overrides}.", kind.name());
        return Err(coded(400, "InvalidParameterValue", message));
    }
    Ok(read)
}

fn one_override(node: &Node<'_>, kind: FleetType) -> Result<Override, Refusal> {
    let number = |name: &str| -> Result<Option<f64>, Refusal> {
        let Some(text) = node.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        let parameter = format!("{}.{name}", node.name());
        number.map(Some).ok_or_else(|| invalid(&parameter, text, "a number that is not negative"))
    };
    let given = Given::read(node, OVERRIDE)?;
    let placement = node.node("Placement");
    let place =
        ["SubnetId", "AvailabilityZone", "AvailabilityZoneId"].into_iter().find_map(|name| node.text(name));
    let place = place.or(placement.text("AvailabilityZone")).or(placement.text("AvailabilityZoneId"));
    let places: Vec<String> = place
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect();
    if places.len() > 1 && kind == FleetType::Instant {
        let message = "An override of a fleet of type instant names one subnet or Availability Zone.";
        return Err(coded(400, "InvalidParameterValue", message));
    }
    let attributes = node.node("InstanceRequirements");
    let requirements = attributes.is_given().then(|| requirements::read(&attributes)).transpose()?;
    if requirements.is_some() && given.text("instanceType").is_some() {
        let message = "InstanceType and InstanceRequirements may not be specified in one override.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    Ok(Override {
        instance_type: given.owned("instanceType"),
        places,
        price_max: price(&format!("{}.MaxPrice", node.name()), node.text("MaxPrice"))?,
        weight: number("WeightedCapacity")?.filter(|weight| *weight > 0.0),
        priority: number("Priority")?,
        requirements,
        // The names are those of launch data.
        data: LaunchTemplateData::read(node)?,
        given,
    })
}
