//! What a scale set is asked to be. Compute API reference, "Virtual Machine Scale Sets - Create Or
//! Update"; Azure documentation, "Orchestration modes for Virtual Machine Scale Sets".

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::{InstanceType, Market, Region};

use crate::azure::blueprint::sizes::{self, Zones};
use crate::azure::blueprint::terms::Terms;
use crate::azure::blueprint::{Blueprint, Draft, draw, member, unsimulated};
use crate::azure::error::{coded, invalid};
use crate::azure::fleets::request::Part;
use crate::azure::id::Id;
use crate::azure::purchase::{Ranked, Strategy};
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The most machines of a scale set, and of one that spreads them over a fixed number of fault
/// domains.
const CAPACITY_MAX: (u32, u32) = (1_000, 200);

/// The most sizes of an instance mix, and the families that it may have. Azure documentation, "Use
/// multiple virtual machine sizes with instance mix".
const MIX_MAX: usize = 5;
const MIX_FAMILIES: &str = "ABDEF";

/// The name of a size that stands for several.
const MIX: &str = "Mix";

/// How long evicted machines are tried to be restored where nothing is said. Ours.
const RESTORES_FOR: Duration = Duration::from_secs(3_600);

/// A scale set, as its body says it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) capacity: u32,
    pub(crate) strategy: Strategy,
    /// Of the machines of one priority, spot first.
    pub(crate) parts: Vec<(Market, Blueprint)>,
    mix: Option<Mix>,
    /// How long evicted machines are tried to be restored, if they are.
    pub(crate) restores: Option<Duration>,
    /// What cannot be changed.
    pub(crate) fixed: Value,
}

/// How many machines are paid in full beside those that are not.
#[derive(Clone, Copy, Debug)]
struct Mix {
    base: u32,
    percent: u32,
}

impl Model {
    /// The part of a managed fleet: that one looks after it.
    pub(crate) fn of_fleet(part: &Part) -> Self {
        Self {
            capacity: part.capacity,
            strategy: part.strategy.clone(),
            parts: vec![(part.market, part.blueprint.clone())],
            mix: None,
            restores: None,
            fixed: Value::Null,
        }
    }

    /// How many of so many machines are of a market.
    pub(crate) fn share(&self, capacity: u32, market: Market) -> u32 {
        let spot = match (&self.mix, self.parts.first()) {
            (Some(mix), _) => {
                let above = capacity.saturating_sub(mix.base);
                // Rounded up in favour of what stays. Ours.
                let regular = (u64::from(above) * u64::from(mix.percent)).div_ceil(100);
                above - u32::try_from(regular).unwrap_or(above).min(above)
            }
            (None, Some((Market::Spot, _))) => capacity,
            (None, _) => 0,
        };
        if market == Market::Spot { spot } else { capacity - spot }
    }
}

/// Reads the body of a PUT.
///
/// # Errors
/// `InvalidParameter` and its like for what is missing or does not go together; those of the profile;
/// `NotImplemented` for what is not simulated: uniform orchestration before all.
pub(crate) fn read(
    kernel: &Kernel,
    state: &State,
    (id, region): (&Id, &Region),
    body: &Value,
) -> Result<Model, Refusal> {
    let properties = &body["properties"];
    let modes = [("Uniform", false), ("Flexible", true)];
    if !member::word(properties, "orchestrationMode", &modes)?.unwrap_or(false) {
        return Err(unsimulated("A scale set in uniform orchestration mode"));
    }
    if member::flag(properties, "singlePlacementGroup")? == Some(true) {
        let message = "It must be false in flexible orchestration mode.";
        return Err(invalid("singlePlacementGroup", message));
    }
    for (name, called) in
        [("proximityPlacementGroup", "A proximity placement group"), ("hostGroup", "A dedicated host")]
    {
        if properties.get(name).is_some_and(|value| !value.is_null()) {
            return Err(unsimulated(called));
        }
    }
    let zones = Zones::read(kernel, region, body, super::KIND)?;
    let domains = member::whole(properties, "platformFaultDomainCount")?.unwrap_or(1);
    if zones.named && domains != 1 || !(1..=5).contains(&domains) {
        let message = "It must be 1, or in a region without zones 1 to 5.";
        return Err(invalid("platformFaultDomainCount", message));
    }
    let capacity = member::whole(&body["sku"], "capacity")?.unwrap_or(0);
    let most = if domains > 1 { CAPACITY_MAX.1 } else { CAPACITY_MAX.0 };
    if capacity > most {
        return Err(invalid("sku.capacity", &format!("It must be at most {most}, not {capacity}.")));
    }
    let (sizes, strategy) = read_sizes(kernel, region, body)?;
    let profile = &properties["virtualMachineProfile"];
    if !profile.is_object() {
        return Err(invalid("virtualMachineProfile", "It must be an object."));
    }
    let terms = Terms::read(profile)?;
    let market = terms.market();
    let mix = mix(&properties["priorityMixPolicy"], market)?;
    let restores = restores(&properties["spotRestorePolicy"], market)?;
    let draw = |terms: Terms| {
        let draft = Draft {
            group: Id::group(&id.subscription, &id.group),
            region,
            zones: zones.clone(),
            sizes: &sizes,
            terms,
            computer: "computerNamePrefix",
            scale_set: Some(id.clone()),
            identity: Value::Null,
        };
        draw(kernel, state, draft, profile)
    };
    let fixed =
        json!([body["zones"], terms.priority, terms.eviction.map(|eviction| eviction.as_str()), domains]);
    let mut parts = vec![(market, draw(terms)?)];
    if mix.is_some() {
        parts.push((Market::OnDemand, draw(Terms::regular())?));
    }
    Ok(Model { capacity, strategy, parts, mix, restores, fixed })
}

fn read_sizes(
    kernel: &Kernel,
    region: &Region,
    body: &Value,
) -> Result<(Vec<Arc<InstanceType>>, Strategy), Refusal> {
    let profile = &body["properties"]["skuProfile"];
    let name = member::text(&body["sku"], "name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| invalid("sku.name", "It must be a size, or Mix."))?;
    if !name.eq_ignore_ascii_case(MIX) {
        if !profile.is_null() {
            return Err(invalid("skuProfile", "It goes with the sku Mix only."));
        }
        return Ok((vec![sizes::named(kernel, region, name)?], Strategy::LowestPrice));
    }
    let written = member::list(profile, "vmSizes")?;
    if written.is_empty() || written.len() > MIX_MAX {
        let message = format!("It must have 1 to {MIX_MAX} sizes, not {}.", written.len());
        return Err(invalid("skuProfile.vmSizes", &message));
    }
    let mut sizes: Vec<Ranked> = Vec::new();
    for one in written {
        let name = member::text(one, "name")?
            .ok_or_else(|| invalid("skuProfile.vmSizes", "Each must have a name."))?;
        let size = sizes::named(kernel, region, name)?;
        let family = size.name.as_str().trim_start_matches("Standard_").chars().next().unwrap_or_default();
        if !MIX_FAMILIES.contains(family) {
            let message = format!("{} is of no family that can be mixed: A, B, D, E, F.", size.name);
            return Err(invalid("skuProfile.vmSizes", &message));
        }
        if sizes.iter().any(|(other, _)| other.name == size.name || other.arch != size.arch) {
            let message = format!("{} is there twice, or for another processor than the others.", size.name);
            return Err(invalid("skuProfile.vmSizes", &message));
        }
        sizes.push((size, member::whole(one, "rank")?));
    }
    let words = [("LowestPrice", 0), ("CapacityOptimized", 1), ("Prioritized", 2)];
    let chosen = member::word(profile, "allocationStrategy", &words)?.unwrap_or(0);
    if chosen != 2 && sizes.iter().any(|(_, rank)| rank.is_some()) {
        let message = "A rank goes with the allocation strategy Prioritized only.";
        return Err(invalid("skuProfile.vmSizes.rank", message));
    }
    let strategy = match chosen {
        0 => Strategy::LowestPrice,
        1 => Strategy::CapacityOptimized,
        _ => Strategy::by_rank(&sizes),
    };
    Ok((sizes.into_iter().map(|(size, _)| size).collect(), strategy))
}

fn mix(policy: &Value, market: Market) -> Result<Option<Mix>, Refusal> {
    if policy.is_null() {
        return Ok(None);
    }
    if market != Market::Spot {
        let message = "A priority mix needs virtualMachineProfile.priority Spot.";
        return Err(invalid("priorityMixPolicy", message));
    }
    let base = member::whole(policy, "baseRegularPriorityCount")?.unwrap_or(0);
    let percent = member::whole(policy, "regularPriorityPercentageAboveBase")?.unwrap_or(0);
    if percent > 100 {
        return Err(invalid("regularPriorityPercentageAboveBase", "It must be 0 to 100."));
    }
    Ok(Some(Mix { base, percent }))
}

fn restores(policy: &Value, market: Market) -> Result<Option<Duration>, Refusal> {
    let enabled = member::flag(policy, "enabled")?.unwrap_or(false);
    let timeout = match member::text(policy, "restoreTimeout")? {
        None => RESTORES_FOR,
        Some(text) => {
            let read =
                text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
            read.ok_or_else(|| invalid("restoreTimeout", "It must be an ISO 8601 duration such as PT1H."))?
        }
    };
    if enabled && market != Market::Spot {
        let message = "Spot restore is supported only for Azure Spot Virtual Machines.";
        return Err(coded(400, "InvalidParameter", message));
    }
    Ok(enabled.then_some(timeout))
}
