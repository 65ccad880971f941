//! Bulk inserts: many instances by one request, in one zone or over the zones of a region. Compute
//! Engine documentation, "About bulk creation of VMs".

pub(crate) mod names;
pub(crate) mod places;
pub(crate) mod request;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{Timestamp, Zone};

use crate::gcp::blueprint::{Blueprint, Place as At, draw};
use crate::gcp::bulk::places::{Found, Pool, Short};
use crate::gcp::bulk::request::Wanted;
use crate::gcp::error::{Told, coded, fault, invalid};
use crate::gcp::instances::insert::{buy, fail, said, until_up};
use crate::gcp::launched::machine_id;
use crate::gcp::method::Method;
use crate::gcp::operation::{self, Bulk, New, Place};
use crate::gcp::request::{Answer, Request};
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::kernel::Kernel;
use crate::refusal::{Closed, Refusal};
use crate::rules::mix;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "instances.bulkInsert",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/bulkInsert",
        answer: insert,
    },
    Method {
        id: "regionInstances.bulkInsert",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/instances/bulkInsert",
        answer: insert,
    },
];

/// An instance that was asked for.
enum Child {
    /// A machine of the world.
    Made(u32),
    /// Why it could not be made.
    Failed(Told),
    /// It was made, and is deleted again with all the others.
    Undone,
}

/// The operations of one bulk insert beside its own.
struct Family {
    group: String,
    zones: BTreeMap<String, Place>,
    /// When the last of them is done.
    done: Timestamp,
}

fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    request.change(wanted.count, |kernel, state| {
        let scope = request.scope(kernel)?;
        let pools = pools(kernel, state, request, &scope, &wanted)?;
        let names = names::choose(kernel, state, &wanted, &scope)?;
        let (taken, free): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.taken.is_some());
        let found = places::find(kernel, &pools, &wanted, free.len() as u32);
        let total: u32 = found.got.iter().sum();
        let too_few = total < wanted.count_min && free.len() as u32 >= wanted.count_min;
        if let Some(closed) = found.only_quota().filter(|_| too_few) {
            return Err(over_quota(closed));
        }
        if found.got.iter().sum::<u32>() < free.len() as u32 && found.short.is_empty() {
            let why = format!("The constraints of the zones allow {total} instances in all.");
            return Err(invalid("resource.locationPolicy.locations", &wanted.count.to_string(), &why));
        }
        let mut family = Family { group: group(kernel, state), zones: BTreeMap::new(), done: kernel.now() };
        let mut reasons = Vec::new();
        for name in taken {
            // Its zone is where the name is.
            let (Some(zone), pool) = (name.taken, &pools[0]) else { continue };
            let path = format!("projects/{}/zones/{zone}/instances/{}", request.project(), name.name);
            let told =
                Told::new(409, "RESOURCE_ALREADY_EXISTS", format!("The resource '{path}' already exists"));
            reasons.push(told.clone());
            child(kernel, state, &mut family, (&zone, &pool.blueprint), &name.name, Child::Failed(told));
        }
        let free: Vec<(Arc<str>, Option<String>)> =
            free.into_iter().map(|name| (name.name, name.hostname)).collect();
        let kept = total >= wanted.count_min;
        match kept {
            true => make(kernel, state, &pools, &found, &free, &mut family)?,
            false => reasons.extend(undo(kernel, state, &pools, &found, &free, &mut family)),
        }
        let target = scope.to_string();
        let mut new = New::good("bulkInsert", scope, target, 0);
        new.takes = Duration::try_from(family.done.duration_since(kernel.now())).unwrap_or_default();
        if !kept {
            new.told = not_reached(&wanted, total, reasons);
        }
        kernel.limits.hold(request.method, "global", family.done);
        new.group = Some(family.group);
        new.bulk = Some(Bulk(family.zones));
        Ok(new)
    })
}

/// Where the instances may come from, best first.
fn pools(
    kernel: &Kernel,
    state: &mut State,
    request: &Request<'_>,
    scope: &Scope,
    wanted: &Wanted,
) -> Result<Vec<Pool>, Refusal> {
    let region = match scope {
        Scope::Zone(zone) => crate::gcp::request::known_zone(kernel, zone)?,
        _ => request.region(kernel)?,
    };
    let zones = wanted.zones(kernel, scope, &region)?;
    let at = At { project: request.project(), region: &region, zone: &zones[0].0 };
    let selections = wanted.selections(kernel, state, request)?;
    let mut pools = Vec::new();
    for (number, selection) in selections.iter().enumerate() {
        let blueprint: Blueprint = draw(kernel, state, at, selection.machine.clone(), &selection.properties)?;
        let blueprint = Arc::new(blueprint);
        for (zone, most) in &zones {
            let mut offers = kernel.catalog().offers().iter();
            let machine = &selection.machine.name;
            if offers.any(|offer| offer.zone == *zone && offer.instance_type.name == *machine) {
                let (zone, blueprint) = (zone.clone(), blueprint.clone());
                pools.push(Pool { zone, most: *most, rank: selection.rank, order: number, blueprint });
            }
        }
    }
    if pools.is_empty() {
        let message = "Invalid value for field 'resource.instanceProperties.machineType': no zone that is allowed \
                       offers any of the machine types.";
        return Err(coded(400, "invalid", message));
    }
    Ok(pools)
}

/// Compute Engine documentation, "About bulk creation of VMs": what the quota can never hold is
/// refused at once.
fn over_quota(closed: &Closed) -> Refusal {
    let fault = fault(Refusal::Full(closed.clone()));
    coded(fault.status, &fault.reason, fault.message)
}

/// Starts what there is room for; the others fail, each in its own operation.
fn make(
    kernel: &mut Kernel,
    state: &mut State,
    pools: &[Pool],
    found: &Found,
    names: &[(Arc<str>, Option<String>)],
    family: &mut Family,
) -> Result<(), Refusal> {
    let mut left = names;
    for (pool, got) in pools.iter().zip(&found.got).filter(|(_, got)| **got > 0) {
        let (mine, rest) = left.split_at((*got as usize).min(left.len()));
        left = rest;
        for mine in mine.chunks(kernel.rules().launch_max as usize) {
            let chosen: Vec<Arc<str>> = mine.iter().map(|(name, _)| name.clone()).collect();
            let (launch, missing) = buy(kernel, state, &pool.blueprint, &pool.zone, chosen)?;
            if let Some(closed) = missing {
                return Err(Refusal::Full(closed));
            }
            for (m, (name, hostname)) in kernel.lots[launch as usize].machines().zip(mine) {
                if hostname.is_some() {
                    state.launched.own_mut(m).hostname.clone_from(hostname);
                }
                let place = (&pool.zone, &*pool.blueprint);
                child(kernel, state, family, place, name, Child::Made(m));
            }
        }
    }
    fail_rest(kernel, state, pools, found, left, family);
    Ok(())
}

/// Fewer than the least could be made: those that could are shown for a moment, and deleted again.
/// The reasons.
fn undo(
    kernel: &mut Kernel,
    state: &mut State,
    pools: &[Pool],
    found: &Found,
    names: &[(Arc<str>, Option<String>)],
    family: &mut Family,
) -> Vec<Told> {
    let total: u32 = found.got.iter().sum();
    let (made, rest) = names.split_at((total as usize).min(names.len()));
    let reasons = fail_rest(kernel, state, pools, found, rest, family);
    let turned = family.done;
    // So long are those deleted that were made. Ours.
    family.done = turned + Duration::from_millis(5_000 + mix(state.numbers) % 5_000);
    let owners =
        pools.iter().zip(&found.got).flat_map(|(pool, got)| std::iter::repeat_n(pool, *got as usize));
    for ((name, _), pool) in made.iter().zip(owners) {
        let place = (&pool.zone, &*pool.blueprint);
        child(kernel, state, family, place, name, Child::Undone);
        if let Some(flash) = state.launched.flash_mut(&pool.zone, name) {
            (flash.stops, flash.until) = (Some(turned), family.done);
        }
    }
    for place in family.zones.values_mut() {
        place.rolls_back = Some(turned);
    }
    reasons
}

/// The instances for which there was no room, spread over the reasons why not; the reasons.
fn fail_rest(
    kernel: &Kernel,
    state: &mut State,
    pools: &[Pool],
    found: &Found,
    names: &[(Arc<str>, Option<String>)],
    family: &mut Family,
) -> Vec<Told> {
    let short: Vec<&Short> = found.short.iter().collect();
    let mut reasons: Vec<Told> = Vec::new();
    for (number, (name, _)) in names.iter().enumerate() {
        let Some(Short { pool, why }) = short.get(number % short.len().max(1)) else { break };
        let told = said(kernel, mix(state.numbers) ^ number as u64, why);
        if !reasons.iter().any(|other| other.code == told.code) {
            reasons.push(told.clone());
        }
        let pool = &pools[*pool];
        child(kernel, state, family, (&pool.zone, &pool.blueprint), name, Child::Failed(told));
    }
    reasons
}

/// One instance of a bulk insert: its own operation, and its place in the count of its zone.
fn child(
    kernel: &Kernel,
    state: &mut State,
    family: &mut Family,
    (zone, blueprint): (&Zone, &Blueprint),
    name: &Arc<str>,
    child: Child,
) {
    let scope = Scope::Zone(zone.clone());
    let mut new = New::good("insert", scope, format!("zones/{zone}/instances/{name}"), 0);
    new.group = Some(family.group.clone());
    let count = family.zones.entry(format!("zones/{zone}")).or_default();
    count.target += 1;
    match child {
        Child::Made(m) => {
            (new.target_id, new.takes) = (machine_id(m), until_up(kernel, m));
            count.ready.push(kernel.now() + new.takes);
        }
        Child::Failed(told) => {
            count.failed += 1;
            let exists = told.code == "RESOURCE_ALREADY_EXISTS";
            new.told = vec![told];
            match exists {
                true => new.takes = Duration::from_secs(1),
                false => (new.target_id, new.takes) = fail(kernel, state, blueprint, zone, name),
            }
        }
        Child::Undone => {
            (new.target_id, new.takes) = fail(kernel, state, blueprint, zone, name);
            count.ready.push(kernel.now() + new.takes);
        }
    }
    family.done = family.done.max(kernel.now() + new.takes);
    let operation = operation::make(kernel, state, "operation", new);
    state.operations.add(operation);
}

fn not_reached(wanted: &Wanted, total: u32, reasons: Vec<Told>) -> Vec<Told> {
    let message = format!(
        "Requested minimum count of {} VMs could not be created: {total} could, and were deleted again.",
        wanted.count_min
    );
    std::iter::once(Told::new(503, "VM_MIN_COUNT_NOT_REACHED", message)).chain(reasons).collect()
}

/// The id that all operations of one request share.
fn group(kernel: &Kernel, state: &mut State) -> String {
    state.numbers += 1;
    let (a, b) = (operation::number(kernel, state.numbers), mix(state.numbers ^ kernel.seed));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32 & 0xffff_ffff,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests;
