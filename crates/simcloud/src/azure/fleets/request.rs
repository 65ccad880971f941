//! What a fleet is asked to be. Compute Fleet API reference, "Fleets - Create Or Update"; Azure
//! documentation, "Compute Fleet", launch mode.

use std::sync::Arc;

use serde_json::Value;
use skyfleet_core::{InstanceType, Market, Region};

use crate::azure::blueprint::sizes::{self, Zones};
use crate::azure::blueprint::terms::{Eviction, Terms};
use crate::azure::blueprint::{Blueprint, Draft, draw, member, unsimulated};
use crate::azure::error::invalid;
use crate::azure::id::Id;
use crate::azure::purchase::{Ranked, Strategy};
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// The most machines of one request.
const CAPACITY_MAX: u32 = 10_000;

/// The longest beginning of names: with an id and a number behind it the whole has 64 letters at most.
const PREFIX_MAX: usize = 48;

/// What becomes of a fleet once its machines are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It looks after them.
    Managed,
    /// It has launched them, and goes.
    Launch,
}

/// A fleet, as its body says it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) mode: Mode,
    /// What the names of its machines begin with.
    pub(crate) prefix: String,
    /// Spot first.
    pub(crate) parts: Vec<Part>,
}

/// The machines of a fleet of one priority.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) market: Market,
    /// In machines.
    pub(crate) capacity: u32,
    pub(crate) least: u32,
    pub(crate) strategy: Strategy,
    /// Whether what goes is replaced.
    pub(crate) maintains: bool,
    pub(crate) blueprint: Blueprint,
}

/// Reads the body of a PUT.
///
/// # Errors
/// `InvalidParameter` and its like for what is missing or malformed; those of the profile;
/// `NotImplemented` for what is not simulated.
pub(crate) fn read(
    kernel: &Kernel,
    state: &State,
    (id, region): (&Id, &Region),
    body: &Value,
    kind: &str,
) -> Result<Wanted, Refusal> {
    let properties = &body["properties"];
    for (name, called) in [
        ("vmAttributes", "A fleet by attributes of its sizes"),
        ("additionalLocationsProfile", "A fleet in several locations"),
    ] {
        if properties.get(name).is_some_and(|value| !value.is_null()) {
            return Err(unsimulated(called));
        }
    }
    let modes = [("Managed", Mode::Managed), ("Launch", Mode::Launch)];
    let mode = member::word(properties, "mode", &modes)?.unwrap_or(Mode::Managed);
    let sizes = read_sizes(kernel, region, properties, mode)?;
    let zones = Zones::read(kernel, region, body, kind)?;
    let unit = unit(properties, &sizes)?;
    let profile = &properties["computeProfile"]["baseVirtualMachineProfile"];
    if !profile.is_object() {
        return Err(invalid("computeProfile.baseVirtualMachineProfile", "It must be an object."));
    }
    let kinds: Vec<Arc<InstanceType>> = sizes.iter().map(|(size, _)| size.clone()).collect();
    let draw = |terms: Terms| {
        let draft = Draft {
            group: Id::group(&id.subscription, &id.group),
            region,
            zones: zones.clone(),
            sizes: &kinds,
            terms,
            computer: "computerNamePrefix",
            scale_set: None,
            identity: Value::Null,
        };
        draw(kernel, state, draft, profile)
    };
    let mut parts = Vec::new();
    let spot = &properties["spotPriorityProfile"];
    let (capacity, least) = capacity(spot, "spotPriorityProfile", unit)?;
    if capacity > 0 {
        let words = [
            ("LowestPrice", Strategy::LowestPrice),
            ("CapacityOptimized", Strategy::CapacityOptimized),
            ("PriceCapacityOptimized", Strategy::PriceCapacityOptimized),
        ];
        // What is there when nothing is said is not documented in the reference: these are the choices
        // that the documentation advises.
        let eviction = member::word(spot, "evictionPolicy", &Eviction::WORDS)?.unwrap_or(Eviction::Delete);
        let strategy = strategy(spot, &words)?.unwrap_or(Strategy::PriceCapacityOptimized);
        let maintains = maintains(spot, mode)?;
        let blueprint = draw(Terms::spot(eviction, &spot["maxPricePerVM"])?)?;
        parts.push(Part { market: Market::Spot, capacity, least, strategy, maintains, blueprint });
    }
    let regular = &properties["regularPriorityProfile"];
    let (capacity, least) = self::capacity(regular, "regularPriorityProfile", unit)?;
    if capacity > 0 {
        let words = [("LowestPrice", Strategy::LowestPrice), ("Prioritized", Strategy::by_rank(&sizes))];
        let strategy = strategy(regular, &words)?.unwrap_or(Strategy::LowestPrice);
        let blueprint = draw(Terms::regular())?;
        parts.push(Part { market: Market::OnDemand, capacity, least, strategy, maintains: false, blueprint });
    }
    let total: u64 = parts.iter().map(|part| u64::from(part.capacity)).sum();
    if total == 0 {
        let message = "At least one of spotPriorityProfile and regularPriorityProfile must have a capacity.";
        return Err(invalid("capacity", message));
    }
    if total > u64::from(CAPACITY_MAX) {
        return Err(invalid("capacity", &format!("It must be at most {CAPACITY_MAX}, not {total}.")));
    }
    Ok(Wanted { mode, prefix: prefix(id, properties, mode)?, parts })
}

/// Sizes, and their ranks.
fn read_sizes(
    kernel: &Kernel,
    region: &Region,
    properties: &Value,
    mode: Mode,
) -> Result<Vec<Ranked>, Refusal> {
    let most = if mode == Mode::Launch { 10 } else { 15 };
    let written = member::list(properties, "vmSizesProfile")?;
    if written.is_empty() || written.len() > most {
        return Err(invalid(
            "vmSizesProfile",
            &format!("It must have 1 to {most} sizes, not {}.", written.len()),
        ));
    }
    let prioritized = properties["regularPriorityProfile"]["allocationStrategy"]
        .as_str()
        .is_some_and(|strategy| strategy.eq_ignore_ascii_case("Prioritized"));
    let mut sizes: Vec<Ranked> = Vec::new();
    for one in written {
        let name =
            member::text(one, "name")?.ok_or_else(|| invalid("vmSizesProfile", "Each must have a name."))?;
        let size = sizes::named(kernel, region, name)?;
        let rank = member::whole(one, "rank")?;
        if rank.is_some() && !prioritized {
            let message = "A rank goes with the allocation strategy Prioritized only.";
            return Err(invalid("vmSizesProfile.rank", message));
        }
        if sizes.iter().any(|(other, _)| other.name == size.name) {
            return Err(invalid("vmSizesProfile", &format!("{} is there twice.", size.name)));
        }
        sizes.push((size, rank));
    }
    Ok(sizes)
}

/// How many units of capacity a machine is.
fn unit(properties: &Value, sizes: &[Ranked]) -> Result<u32, Refusal> {
    let in_cores =
        member::word(properties, "capacityType", &[("VM", false), ("VCpu", true)])?.unwrap_or(false);
    let cores = sizes.first().map_or(1, |(size, _)| size.vcpus);
    match in_cores {
        false => Ok(1),
        true if sizes.iter().all(|(size, _)| size.vcpus == cores) => Ok(cores),
        true => Err(unsimulated("A capacity in processors over sizes with unlike numbers of them")),
    }
}

/// The capacity of a profile and the least of it, in machines.
fn capacity(profile: &Value, name: &str, unit: u32) -> Result<(u32, u32), Refusal> {
    if !profile.is_null() && !profile.is_object() {
        return Err(invalid(name, "It must be an object."));
    }
    let capacity = member::whole(profile, "capacity")?.unwrap_or(0);
    let least = member::whole(profile, "minCapacity")?.unwrap_or(0);
    if least > capacity {
        let message = format!("It must be at most the capacity {capacity}, not {least}.");
        return Err(invalid(&format!("{name}.minCapacity"), &message));
    }
    Ok((capacity.div_ceil(unit), least.div_ceil(unit)))
}

fn strategy(profile: &Value, words: &[(&str, Strategy)]) -> Result<Option<Strategy>, Refusal> {
    let places: Vec<(&str, usize)> = words.iter().enumerate().map(|(at, (word, _))| (*word, at)).collect();
    let found = member::word(profile, "allocationStrategy", &places)?;
    Ok(found.map(|at| words[at].1.clone()))
}

/// "Maintain is enabled by default": of a fleet that stays.
fn maintains(profile: &Value, mode: Mode) -> Result<bool, Refusal> {
    let said = member::flag(profile, "maintain")?;
    match (mode, said) {
        (Mode::Launch, Some(true)) => {
            Err(invalid("spotPriorityProfile.maintain", "A fleet in launch mode maintains nothing."))
        }
        (Mode::Launch, _) => Ok(false),
        (Mode::Managed, said) => Ok(said.unwrap_or(true)),
    }
}

fn prefix(id: &Id, properties: &Value, mode: Mode) -> Result<String, Refusal> {
    let given = member::text(properties, "vmNamePrefix")?.filter(|prefix| !prefix.is_empty());
    if given.is_some() && mode == Mode::Managed {
        return Err(invalid("vmNamePrefix", "It can be used only with launch mode."));
    }
    let prefix = given.unwrap_or(id.name());
    let fits = prefix.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !fits || prefix.len() > PREFIX_MAX || !prefix.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let message = format!(
            "'{prefix}' cannot begin the name of a machine: it has at most {PREFIX_MAX} letters, digits, '-', '_' or '.'."
        );
        return Err(invalid("vmNamePrefix", &message));
    }
    Ok(prefix.to_owned())
}
