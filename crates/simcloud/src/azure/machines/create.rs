//! A machine that is made, by its PUT.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use skyfleet_core::{Market, OfferId};

use super::{KIND, change, item, item::Expand};
use crate::azure::blueprint::{self, Blueprint};
use crate::azure::error::{Told, coded, told};
use crate::azure::id::Id;
use crate::azure::launched::{Details, Failed, Found};
use crate::azure::made;
use crate::azure::operation::{self, Course, Poll};
use crate::azure::state::State;
use crate::azure::{Answer, Request, groups};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::{Closed, Refusal};
use crate::rules::mix;
use crate::tags::Tags;
use crate::view::Whose;

pub(crate) fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    let tags = made::tags(request.body)?;
    request.change(&made::called(request), 1, |kernel, state| {
        let id = made::id_of(state, request, KIND)?;
        groups::stays(state, &id)?;
        check_name(id.name())?;
        let region = made::location(kernel, request, KIND)?;
        let old = state.launched.find(kernel, &id);
        if old.is_some() && request.head.only_new {
            return Err(coded(412, "PreconditionFailed", format!("The resource {id} exists.")));
        }
        if let Some(old) = old.as_ref().filter(|old| old.region(kernel) != region.as_str()) {
            let message = format!(
                "The resource '{}' already exists in location '{}'. A resource with the same name cannot be created \
                 in location '{region}'. Please select a new resource name.",
                id.name(),
                old.region(kernel)
            );
            return Err(coded(409, "InvalidResourceLocation", message));
        }
        if let Some(Found::Made(view)) = old {
            return change::again(kernel, state, request, &view, Some(tags));
        }
        // What could not be made is tried again.
        let is_new = old.is_none();
        let blueprint = blueprint::of_machine(kernel, state, &id, &region, request.body)?;
        check_parts(kernel, state, &id, &blueprint)?;
        let course = make(kernel, state, &id, &blueprint, &tags)?;
        let poll = Poll::Status { provider: "Microsoft.Compute", location: region.as_str() };
        let headers = operation::begin_of(kernel, state, request, poll, course);
        Ok(Answer::new(if is_new { 201 } else { 200 }, &shown(kernel, state, &id))?.with(headers))
    })
}

/// A machine, as the answer to a change of it tells it.
pub(super) fn shown(kernel: &Kernel, state: &State, id: &Id) -> Value {
    let found = state.launched.find(kernel, id);
    found
        .and_then(|found| item::machine(kernel, &state.launched, &found, Expand::default()))
        .unwrap_or_default()
}

/// Buys the machine: how long it takes, and why it comes to nothing if that shows late.
///
/// # Errors
/// Why it comes to nothing, if that shows at once.
fn make(
    kernel: &mut Kernel,
    state: &mut State,
    id: &Id,
    blueprint: &Blueprint,
    tags: &Arc<Tags>,
) -> Result<Course, Refusal> {
    let order = blueprint.order(vec![id.to_string().into()], tags);
    let bought = kernel.launch_part(&order)?;
    let Some(missing) = bought.missing.into_iter().next() else {
        retry(kernel, state, id);
        state.launched.add(kernel, bought.launch, blueprint.details.clone());
        let m = kernel.lots[bought.launch as usize].first;
        return Ok(Course { takes: until_up(kernel, m), told: None, machine: Some(m) });
    };
    if !is_late(&missing.why) {
        return Err(Refusal::Full(missing.why));
    }
    retry(kernel, state, id);
    let told = allocation(&missing.why, &blueprint.details);
    let offer = order.pools[0].offer.clone();
    let takes = fail(kernel, state, id, offer, (blueprint, tags), told.clone());
    Ok(Course { takes, told: Some(told), machine: None })
}

/// Forgets the machine that could not be made before, and the interface that was made for it: the new
/// one has its own.
fn retry(kernel: &mut Kernel, state: &mut State, id: &Id) {
    if let Some(interface) = state.launched.retry(id) {
        // Nothing holds an interface but its machine.
        let _ = kernel.delete_fixture(&interface.to_string());
        state.made.remove(&interface.key());
    }
}

/// Keeps a machine that could not be made, which shows some time after it was asked for; its
/// interface is there already. Gives how long that takes.
pub(crate) fn fail(
    kernel: &mut Kernel,
    state: &mut State,
    id: &Id,
    offer: OfferId,
    (blueprint, tags): (&Blueprint, &Arc<Tags>),
    told: Told,
) -> Duration {
    let number = state.launched.number();
    // Five to twenty seconds. Ours.
    let takes = Duration::from_millis(5_000 + mix(number ^ kernel.seed) % 15_000);
    let interface = blueprint.spec.interface.clone().unwrap_or_else(|| {
        let name = format!("{}-nic-{:08x}", id.name(), mix(!number ^ kernel.seed) >> 32);
        let interface =
            Id::new(&id.subscription, &id.group, crate::azure::network::interfaces::KIND, &[&name]);
        let new: Arc<str> = interface.to_string().into();
        kernel.make_fixture(FixtureKind::Interface, new.clone(), blueprint.region.clone(), tags.clone());
        new
    });
    let (details, tags, from) = (blueprint.details.clone(), tags.clone(), kernel.now());
    let at = from + takes;
    let id = id.clone();
    state.launched.fail(Failed { id, offer, details, tags, from, at, told, interface, number, gone: None });
    takes
}

/// Whether want of a place shows only while the machine is being made. Azure documentation, "Error
/// codes for Azure Spot Virtual Machines", "Troubleshoot allocation failures": size, quota and price
/// are looked at before, room on demand is not.
pub(crate) fn is_late(why: &Closed) -> bool {
    match why {
        Closed::Capacity(offer) => offer.market == Market::OnDemand,
        Closed::Zone(_) | Closed::NotSold(_) => true,
        Closed::Restricted(_) | Closed::Quota { .. } | Closed::Price { .. } => false,
    }
}

/// Why a machine got no place, in the words for one that named its zone, or did not.
pub(crate) fn allocation(why: &Closed, details: &Details) -> Told {
    let (_, mut told) = told(why);
    if !details.zonal {
        let plain = match told.code.as_str() {
            "ZonalAllocationFailed" => "AllocationFailed",
            "OverconstrainedZonalAllocationRequest" => "OverconstrainedAllocationRequest",
            other => other,
        };
        told.code = plain.to_owned();
    }
    told
}

/// How long it takes until a machine is up.
pub(crate) fn until_up(kernel: &Kernel, m: u32) -> Duration {
    operation::left(kernel, kernel.machines[m as usize].comes_up())
}

/// Azure documentation, "Naming rules and restrictions for Azure resources": of Linux, 1 to 64.
fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if name.is_empty() || name.len() > 64 || !fits || name.ends_with(['.', '-']) || name.starts_with('_') {
        let message = format!(
            "The Virtual Machine name '{name}' is invalid: it has 1 to 64 letters, digits, and '-', '_' or '.' inside."
        );
        return Err(coded(400, "InvalidParameter", message));
    }
    Ok(())
}

/// Whether the disk's name is free, and the interface that it is to get.
fn check_parts(kernel: &Kernel, state: &State, id: &Id, blueprint: &Blueprint) -> Result<(), Refusal> {
    let taken = |name: &&str| {
        let disks = kernel.disks(&Whose::default());
        disks.iter().any(|disk| disk.id.eq_ignore_ascii_case(name))
    };
    if let Some(disk) = blueprint.spec.disk_name.as_deref().filter(taken) {
        let message = format!(
            "Disk {} already exists in resource group {}. Only CreateOption.Attach is supported.",
            disk.rsplit('/').next().unwrap_or(disk),
            id.group
        );
        return Err(coded(409, "ConflictingUserInput", message));
    }
    let Some(interface) = blueprint.spec.interface.as_deref().and_then(Id::parse) else { return Ok(()) };
    // One that is reserved for this machine may have it.
    if state.launched.failed_with(&interface).is_some_and(|failed| failed.id.key() == id.key()) {
        return Ok(());
    }
    super::interfaces::check_free(kernel, state, &interface)
}
