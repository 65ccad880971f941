//! Long-running operations. Azure documentation, "Track asynchronous Azure operations".

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use skyfleet_core::Timestamp;

use crate::azure::error::{Told, coded};
use crate::azure::method::Method;
use crate::azure::request::{Answer, Request};
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::rules::mix;

/// How long operations are told after their end. Ours: no figure is published.
const KEPT: Duration = Duration::from_secs(86_400);

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "operations.GET",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/{provider}/locations/{location}/operations/{operation}",
        answer: status,
    },
    Method {
        id: "operations.GET",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/{provider}/locations/{location}/operationResults/{operation}",
        answer: result,
    },
    Method {
        id: "operations.GET",
        verb: "GET",
        path: "subscriptions/{subscription}/operationresults/{operation}",
        answer: result,
    },
];

/// What a method has begun.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) begun: Timestamp,
    pub(crate) done: Timestamp,
    /// Why it failed.
    pub(crate) told: Option<Told>,
    /// The machine that it makes or starts.
    machine: Option<u32>,
}

/// The operations of a world, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    all: BTreeMap<String, Operation>,
    count: u64,
}

/// Where a caller asks how far an operation is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Poll<'a> {
    /// By `Azure-AsyncOperation`, and `Location` beside it: of a provider, in a location.
    Status { provider: &'a str, location: &'a str },
    /// By `Location` alone: of Resource Manager itself.
    Result,
}

/// How an operation will go.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) takes: Duration,
    /// Why it fails.
    pub(crate) told: Option<Told>,
    /// The machine that it makes or starts.
    pub(crate) machine: Option<u32>,
}

/// Begins an operation that ends after a while: the headers of the answer that says so.
pub(crate) fn begin(
    kernel: &Kernel,
    state: &mut State,
    request: &Request<'_>,
    poll: Poll<'_>,
    takes: Duration,
    told: Option<Told>,
) -> Vec<(&'static str, String)> {
    begin_of(kernel, state, request, poll, Course { takes, told, machine: None })
}

/// The same of an operation that makes or starts a machine: it comes to nothing when the machine is
/// ended or stopped meanwhile.
pub(crate) fn begin_of(
    kernel: &Kernel,
    state: &mut State,
    request: &Request<'_>,
    poll: Poll<'_>,
    course: Course,
) -> Vec<(&'static str, String)> {
    let Course { takes, told, machine } = course;
    let operations = &mut state.operations;
    let now = kernel.now();
    operations.all.retain(|_, operation| operation.done + KEPT > now);
    operations.count += 1;
    let id = guid(kernel.seed, operations.count);
    operations.all.insert(id.clone(), Operation { begun: now, done: now + takes, told, machine });

    let version = request.option("api-version").unwrap_or_default();
    let of = format!("{}/subscriptions/{}", request.head.base, request.subscription());
    let mut headers = match poll {
        Poll::Status { provider, location } => {
            let at = format!("{of}/providers/{provider}/locations/{location}");
            vec![
                ("Azure-AsyncOperation", format!("{at}/operations/{id}?api-version={version}")),
                ("Location", format!("{at}/operationResults/{id}?api-version={version}")),
            ]
        }
        Poll::Result => vec![("Location", format!("{of}/operationresults/{id}?api-version={version}"))],
    };
    headers.push(("Retry-After", retry_after(takes).to_string()));
    headers
}

/// How long it is until then; nothing if that is past.
pub(crate) fn left(kernel: &Kernel, until: Timestamp) -> Duration {
    since(kernel.now(), until)
}

/// How long it is from one moment to a later one.
pub(crate) fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// In how many seconds a caller may ask again.
fn retry_after(left: Duration) -> u64 {
    left.as_secs().clamp(1, 10)
}

/// An id in the shape of Azure's, another for each number.
pub(crate) fn guid(seed: u64, number: u64) -> String {
    let (high, low) = (mix(number ^ mix(seed)), mix(number ^ mix(!seed)));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

/// `Azure-AsyncOperation`: always 200, with a status.
fn status(request: &Request<'_>) -> Result<Answer, Refusal> {
    let location = request.part("location");
    let (operation, now) = find(request, location)?;
    let id = request.part("operation");
    let over = operation.done <= now;
    let mut shown = json!({
        "id": request.head.path,
        "name": id,
        "startTime": operation.begun.to_string(),
        "status": match (over, &operation.told) {
            (false, _) => "InProgress",
            (true, None) => "Succeeded",
            (true, Some(told)) if told.code == PREEMPTED => "Canceled",
            (true, Some(_)) => "Failed",
        },
    });
    if !over {
        let left = since(now, operation.done);
        return Ok(Answer::ok(&shown)?.with([("Retry-After", retry_after(left).to_string())]));
    }
    shown["endTime"] = operation.done.to_string().into();
    if let Some(told) = &operation.told {
        shown["error"] = told.show();
    }
    Answer::ok(&shown)
}

/// `Location`: 202 until it is over, then what came of it.
fn result(request: &Request<'_>) -> Result<Answer, Refusal> {
    let location = request.part("location");
    let (operation, now) = find(request, if location.is_empty() { "global" } else { location })?;
    if operation.done > now {
        let left = since(now, operation.done);
        let again = format!("{}{}?{}", request.head.base, request.head.path, query(request));
        let headers = [("Location", again), ("Retry-After", retry_after(left).to_string())];
        return Ok(Answer::empty(202).with(headers));
    }
    match operation.told {
        Some(told) => Answer::new(409, &json!({ "error": told.show() })),
        None => Ok(Answer::empty(200)),
    }
}

fn query(request: &Request<'_>) -> String {
    format!("api-version={}", request.option("api-version").unwrap_or_default())
}

fn find(request: &Request<'_>, region: &str) -> Result<(Operation, Timestamp), Refusal> {
    let id = request.part("operation").to_lowercase();
    request.look(region, |kernel, state| {
        let found = state.operations.all.get(&id).cloned();
        let found = found.ok_or_else(|| {
            coded(404, "NotFound", format!("The entity was not found: there is no operation '{id}'."))
        })?;
        Ok((found.cut_short(kernel), kernel.now()))
    })
}

/// Seen in answers of Azure.
const PREEMPTED: &str = "OperationPreempted";

impl Operation {
    fn cut_short(mut self, kernel: &Kernel) -> Self {
        let machine = self.machine.map(|m| &kernel.machines[m as usize]);
        let ends = machine
            .into_iter()
            .flat_map(|m| m.leaving_at.into_iter().chain(m.halts.iter().map(|halt| halt.from)));
        if let Some(cut) = ends.filter(|end| (self.begun..self.done).contains(end)).min() {
            self.done = cut;
            let message = "The operation has been preempted by a more recent operation.";
            self.told = Some(Told::new(PREEMPTED, message));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shape_of_a_guid_and_differ() {
        let ids: std::collections::BTreeSet<String> = (0..1_000).map(|number| guid(7, number)).collect();
        assert_eq!(ids.len(), 1_000);
        let lengths: Vec<usize> = ids.first().unwrap().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
