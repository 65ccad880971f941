//! What callers make and what comes with machines, under the same paths: interfaces and public
//! addresses.

use super::{Here, Made, PAGE, adopt, found, id_of, patch_checked};
use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::launched::Launched;
use crate::azure::machines::interfaces::Part;
use crate::azure::state::State;
use crate::azure::{Answer, Request, list};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

use serde_json::Value;

/// Finds what came with a machine that is there, by its id.
pub(crate) type Find = fn(&Kernel, &Launched, &Id) -> Option<Part>;

/// Finds all that came with machines that are there.
pub(crate) type FindAll = fn(&Kernel, &Launched) -> Vec<Part>;

/// What a path names.
///
/// # Errors
/// Those of [`found`].
pub(crate) fn get_with(
    request: &Request<'_>,
    kind: &str,
    find: Find,
    show: impl Fn(&Kernel, &State, &Made) -> Value,
) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        adopt(kernel, state);
        match find(kernel, &state.launched, &id_of(state, request, kind)?) {
            Some(part) => Answer::ok(&part.show()),
            None => Answer::ok(&show(kernel, state, found(state, request, kind)?)),
        }
    })
}

/// Changes the tags of what a path names. What came with a machine has the machine's, as long as that
/// is there.
///
/// # Errors
/// Those of [`super::patch`]; `OperationNotAllowed` for what has a machine.
pub(crate) fn patch_with(
    request: &Request<'_>,
    kind: &str,
    find: Find,
    show: impl Fn(&Kernel, &State, &Made) -> Value,
) -> Result<Answer, Refusal> {
    let alone = |kernel: &Kernel, state: &State, id: &Id| match find(kernel, &state.launched, id) {
        None => Ok(()),
        Some(_) => {
            let message =
                format!("Changing the tags of {id}, which came with its machine, is not simulated.");
            Err(coded(409, "OperationNotAllowed", message))
        }
    };
    patch_checked(request, kind, alone, show)
}

/// The resources of a kind in a group or, where the path names none, in a subscription.
///
/// # Errors
/// `ResourceGroupNotFound`, and those of the page.
pub(crate) fn list_with(
    request: &Request<'_>,
    kind: &str,
    all: FindAll,
    show: impl Fn(&Kernel, &State, &Made) -> Value,
) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        adopt(kernel, state);
        let here = Here::of(state, request)?;
        let made = state.made.values().filter(|made| made.id.is_a(kind) && here.has(&made.id));
        let mut listed: Vec<(Id, Listed<'_>)> =
            made.map(|made| (made.id.clone(), Listed::Made(made))).collect();
        let parts = all(kernel, &state.launched).into_iter().filter(|part| here.has(&part.id));
        listed.extend(parts.map(|part| (part.id.clone(), Listed::Part(part))));
        list::page_of(request, listed, PAGE, |listed| {
            Some(match listed {
                Listed::Made(made) => show(kernel, state, made),
                Listed::Part(part) => part.show(),
            })
        })
    })
}

/// What a list shows.
enum Listed<'s> {
    Made(&'s Made),
    Part(Part),
}
