//! Virtual machines: what there is, and what is done with one.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod ending;
pub(crate) mod interfaces;
pub(crate) mod item;
pub(crate) mod status;

use crate::azure::error::{coded, not_found};
use crate::azure::id::Id;
use crate::azure::launched::Found;
use crate::azure::made::{self, Here};
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, list, subscriptions};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::Whose;

use item::Expand;

pub(crate) const KIND: &str = "Microsoft.Compute/virtualMachines";

const ONE: &str =
    "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}";

pub(crate) const METHODS: &[Method] = &[
    Method { id: "virtualMachines.PUT", verb: "PUT", path: ONE, answer: create::put },
    Method { id: "virtualMachines.PATCH", verb: "PATCH", path: ONE, answer: change::patch },
    Method { id: "virtualMachines.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "virtualMachines.DELETE", verb: "DELETE", path: ONE, answer: ending::delete },
    Method {
        id: "virtualMachines.GET",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}/instanceView",
        answer: instance_view,
    },
    Method {
        id: "virtualMachines.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines",
        answer: list_all,
    },
    Method {
        id: "virtualMachines.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachines",
        answer: list_all,
    },
    Method {
        id: "virtualMachines.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/virtualMachines",
        answer: list_all,
    },
    Method {
        id: "virtualMachines.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}/deallocate",
        answer: ending::deallocate,
    },
    Method {
        id: "virtualMachines.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}/powerOff",
        answer: ending::power_off,
    },
    Method {
        id: "virtualMachines.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}/start",
        answer: ending::start,
    },
    Method {
        id: "virtualMachines.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}/restart",
        answer: ending::restart,
    },
    Method {
        id: "virtualMachines.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}/simulateEviction",
        answer: ending::evict,
    },
];

/// How many machines a page of a list has. Ours: no figure is published.
const PAGE: usize = 1_000;

/// The machine that a path names.
///
/// # Errors
/// `ResourceNotFound`, `ResourceGroupNotFound`.
pub(crate) fn found<'s>(
    kernel: &Kernel,
    state: &'s State,
    request: &Request<'_>,
) -> Result<Found<'s>, Refusal> {
    let id = made::id_of(state, request, KIND)?;
    state.launched.find(kernel, &id).ok_or_else(|| not_found(KIND, id.name(), &id.group))
}

/// All that lists show, those that could not be made with them.
pub(crate) fn all<'s>(
    kernel: &Kernel,
    state: &'s State,
    mut wanted: impl FnMut(&Id) -> bool,
) -> Vec<(Id, Found<'s>)> {
    let launched = &state.launched;
    let mut found: Vec<(Id, Found<'s>)> = kernel.machines_as(&Whose::default(), |view| {
        launched.of(view.launch)?;
        let id = Id::parse(&view.id).filter(&mut wanted)?;
        Some((id, Found::Made(Box::new(view))))
    });
    let failed = launched.failed().filter(|failed| wanted(&failed.id));
    found.extend(failed.map(|failed| (failed.id.clone(), Found::Failed(failed))));
    found
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let expand = expand(request)?;
    request.look("global", |kernel, state| {
        let found = found(kernel, state, request)?;
        Answer::ok(&item::machine(kernel, &state.launched, &found, expand))
    })
}

/// `$expand`: one word, or several with commas between them.
fn expand(request: &Request<'_>) -> Result<Expand, Refusal> {
    let mut expand = Expand::default();
    for word in request.option("$expand").unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
        match word.trim().to_lowercase().as_str() {
            "instanceview" => expand.instance_view = true,
            "userdata" => expand.user_data = true,
            _ => {
                let message = format!("The value '{word}' of $expand is not supported.");
                return Err(coded(400, "BadRequest", message));
            }
        }
    }
    Ok(expand)
}

fn instance_view(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        let found = found(kernel, state, request)?;
        Answer::ok(&status::view(kernel, &state.launched, &found))
    })
}

fn list_all(request: &Request<'_>) -> Result<Answer, Refusal> {
    let is =
        |name: &str, value: &str| request.option(name).is_some_and(|own| own.eq_ignore_ascii_case(value));
    // Only the list of a whole subscription can be had in short.
    let in_short = is("statusonly", "true") && request.part("group").is_empty();
    let expand = Expand { instance_view: is("$expand", "instanceView"), user_data: false };
    let set = request.option("$filter").map(scale_set).transpose()?;
    request.look("global", |kernel, state| {
        let here = Here::of(state, request)?;
        let region = match request.part("location") {
            "" => None,
            _ => Some(subscriptions::region_of(kernel, request)?),
        };
        let mut found = all(kernel, state, |id| here.has(id));
        found.retain(|(_, found)| {
            region.as_ref().is_none_or(|region| found.region(kernel) == region.as_str())
                && set.as_ref().is_none_or(|set| found.is_in(&state.launched, set))
        });
        list::page_of(request, found, PAGE, |found| match in_short {
            true => item::in_short(kernel, &state.launched, found),
            false => item::machine(kernel, &state.launched, found, expand),
        })
    })
}

/// The only filter that there is: `'virtualMachineScaleSet/id' eq '/subscriptions/…'`. Compute API
/// reference, "Virtual Machines - List".
fn scale_set(filter: &str) -> Result<Id, Refusal> {
    let read = || {
        let (name, value) = filter.trim().split_once(" eq ")?;
        name.trim().trim_matches('\'').eq_ignore_ascii_case("virtualMachineScaleSet/id").then_some(())?;
        Id::parse(value.trim().strip_prefix('\'')?.strip_suffix('\'')?)
    };
    read().ok_or_else(|| coded(400, "BadRequest", format!("The filter '{filter}' is not supported.")))
}

#[cfg(test)]
pub(crate) mod tests;
