//! Long-running operations, of a zone, a region or the project. Compute Engine API reference,
//! "Handling API responses".

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use skyfleet_core::Timestamp;

use crate::gcp::error::{Told, coded, invalid, not_found};
use crate::gcp::filter::Filter;
use crate::gcp::list;
use crate::gcp::method::Method;
use crate::gcp::request::{Answer, Request};
use crate::gcp::state::State;
use crate::gcp::url::{self, Scope};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::rules::mix;
use crate::seed;

/// The longest that `wait` holds an answer back. Discovery document, `zoneOperations.wait`.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// How long operations are kept. Compute Engine documentation, "Handling API responses": 14 days.
const KEPT: Duration = Duration::from_secs(14 * 86_400);

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "globalOperations.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/global/operations/{operation}",
        answer: delete,
    },
    Method {
        id: "globalOperations.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/operations/{operation}",
        answer: get,
    },
    Method {
        id: "globalOperations.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/operations",
        answer: list,
    },
    Method {
        id: "globalOperations.wait",
        verb: "POST",
        path: "compute/v1/projects/{project}/global/operations/{operation}/wait",
        answer: wait,
    },
    Method {
        id: "regionOperations.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/regions/{region}/operations/{operation}",
        answer: delete,
    },
    Method {
        id: "regionOperations.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/operations/{operation}",
        answer: get,
    },
    Method {
        id: "regionOperations.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/regions/{region}/operations",
        answer: list,
    },
    Method {
        id: "regionOperations.wait",
        verb: "POST",
        path: "compute/v1/projects/{project}/regions/{region}/operations/{operation}/wait",
        answer: wait,
    },
    Method {
        id: "zoneOperations.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/zones/{zone}/operations/{operation}",
        answer: delete,
    },
    Method {
        id: "zoneOperations.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/operations/{operation}",
        answer: get,
    },
    Method {
        id: "zoneOperations.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/operations",
        answer: list,
    },
    Method {
        id: "zoneOperations.wait",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/operations/{operation}/wait",
        answer: wait,
    },
    Method {
        id: "globalOperations.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/operations",
        answer: aggregated,
    },
];

/// What a method has begun.
#[derive(Debug)]
pub(crate) struct New {
    /// `insert`, `bulkInsert`, `delete`, `setLabels`.
    pub(crate) kind: &'static str,
    pub(crate) scope: Scope,
    /// The path of what it is about: `zones/z/instances/n`.
    pub(crate) target: String,
    pub(crate) target_id: u64,
    /// Until it is done.
    pub(crate) takes: Duration,
    /// Why it could not do what it was for.
    pub(crate) told: Vec<Told>,
    /// What it shares with the other operations of one bulk request.
    pub(crate) group: Option<String>,
    /// How a bulk insert goes.
    pub(crate) bulk: Option<Bulk>,
}

impl New {
    /// One that goes well, in a second.
    pub(crate) fn good(kind: &'static str, scope: Scope, target: String, target_id: u64) -> Self {
        let takes = Duration::from_secs(1);
        Self { kind, scope, target, target_id, takes, told: Vec::new(), group: None, bulk: None }
    }
}

/// How a bulk insert goes in each zone, by `zones/z`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bulk(pub(crate) BTreeMap<String, Place>);

/// How it goes in one zone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// How many machines were wanted there.
    pub(crate) target: u32,
    /// When each that was made came up, or will.
    pub(crate) ready: Vec<Timestamp>,
    /// How many could not be made.
    pub(crate) failed: u32,
    /// When it shows that too few can be made, and those that were made are deleted again.
    pub(crate) rolls_back: Option<Timestamp>,
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) scope: Scope,
    pub(crate) target: String,
    pub(crate) target_id: u64,
    pub(crate) begun: Timestamp,
    pub(crate) done: Timestamp,
    pub(crate) told: Vec<Told>,
    pub(crate) group: Option<String>,
    pub(crate) bulk: Option<Bulk>,
    /// `system` for what Compute Engine does by itself.
    pub(crate) user: &'static str,
    /// `Instance was preempted.`
    pub(crate) message: Option<&'static str>,
}

impl Operation {
    /// As the API shows it in a project.
    pub(crate) fn show(&self, project: &str, kernel: &Kernel) -> Value {
        let now = kernel.now();
        let over = self.done <= now;
        let mut shown = Map::new();
        let mut set = |name: &str, value: Value| {
            shown.insert(name.to_owned(), value);
        };
        set("kind", "compute#operation".into());
        set("id", self.id.to_string().into());
        set("name", self.name.as_str().into());
        set("operationType", self.kind.as_str().into());
        match &self.scope {
            Scope::Global => {}
            Scope::Region(_) => set("region", url::link(project, &self.scope.to_string()).into()),
            Scope::Zone(_) => set("zone", url::link(project, &self.scope.to_string()).into()),
        }
        let path = format!("{}/operations/{}", self.scope, self.name);
        set("selfLink", url::link(project, &path).into());
        set("targetLink", url::link(project, &self.target).into());
        set("targetId", self.target_id.to_string().into());
        set("user", self.user.into());
        set("status", if over { "DONE" } else { "RUNNING" }.into());
        set("progress", if over { 100 } else { 0 }.into());
        set("insertTime", self.begun.to_string().into());
        set("startTime", self.begun.to_string().into());
        if let Some(group) = &self.group {
            set("operationGroupId", group.as_str().into());
        }
        if let Some(message) = self.message {
            set("statusMessage", message.into());
        }
        if let Some(bulk) = &self.bulk {
            set("instancesBulkInsertOperationMetadata", bulk.show(now, over));
        }
        if over {
            set("endTime", self.done.to_string().into());
            if let Some(first) = self.told.first() {
                set("httpErrorStatusCode", first.status.into());
                set("httpErrorMessage", phrase(first.status).into());
                let errors: Vec<Value> = self.told.iter().map(Told::show).collect();
                set("error", json!({ "errors": errors }));
            } else if self.user == "system" {
                // So Compute Engine tells what it did by itself.
                set("httpErrorStatusCode", 200.into());
            }
        }
        Value::Object(shown)
    }
}

impl Bulk {
    fn show(&self, now: Timestamp, over: bool) -> Value {
        let places = self.0.iter().map(|(zone, place)| {
            let created = place.ready.iter().filter(|ready| over || **ready <= now).count() as u32;
            let status = match place.rolls_back {
                _ if over => "DONE",
                Some(at) if at <= now => "ROLLING_BACK",
                _ => "CREATING",
            };
            let deleted = if over && place.rolls_back.is_some() { created } else { 0 };
            let shown = json!({
                "targetVmCount": place.target,
                "createdVmCount": created,
                "failedToCreateVmCount": place.failed,
                "deletedVmCount": deleted,
                "status": status,
            });
            (zone.clone(), shown)
        });
        json!({ "perLocationStatus": places.collect::<Map<_, _>>() })
    }
}

/// The operations of a world, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    all: BTreeMap<u64, Operation>,
    by_name: BTreeMap<String, u64>,
    tokens: BTreeMap<String, (u64, u64, Timestamp)>,
    count: u64,
}

impl Operations {
    /// One by its name, where it is.
    pub(crate) fn find(&self, scope: &Scope, name: &str) -> Option<&Operation> {
        let by_number = || name.parse().ok().and_then(|id: u64| self.all.values().find(|one| one.id == id));
        let found = self.by_name.get(name).and_then(|number| self.all.get(number)).or_else(by_number);
        found.filter(|one| one.scope == *scope)
    }

    /// Those that a filter may let through: what a plain comparison tells need not be shown first.
    fn wanted<'s>(&'s self, filter: &Filter) -> impl Iterator<Item = &'s Operation> {
        let exact = |field: &str| filter.exact(field).map(str::to_owned);
        let (kind, group, target) = (exact("operationType"), exact("operationGroupId"), exact("targetId"));
        self.all.values().filter(move |one| {
            kind.as_ref().is_none_or(|kind| one.kind == *kind)
                && group.as_ref().is_none_or(|group| one.group.as_ref() == Some(group))
                && target.as_ref().is_none_or(|target| one.target_id.to_string() == *target)
        })
    }

    /// Puts one among them.
    pub(crate) fn add(&mut self, operation: Operation) {
        self.count += 1;
        self.by_name.insert(operation.name.clone(), self.count);
        self.all.insert(self.count, operation);
    }

    /// Lets the operation fail that was to bring an instance up after this moment; gives its group,
    /// its zone, and when it would have been done.
    pub(crate) fn fail(
        &mut self,
        target_id: u64,
        at: Timestamp,
        told: Told,
    ) -> Option<(Option<String>, String, Timestamp)> {
        let brings_up = |one: &&mut Operation| {
            one.target_id == target_id && one.done > at && matches!(&*one.kind, "insert" | "start")
        };
        let one = self.all.values_mut().rev().find(brings_up)?;
        one.told = vec![told];
        let was = std::mem::replace(&mut one.done, at);
        Some((one.group.clone(), one.scope.to_string(), was))
    }

    /// How the bulk insert of a group goes.
    pub(crate) fn bulk_of(&mut self, group: &str) -> Option<&mut Bulk> {
        let mut all = self.all.values_mut().rev();
        all.find_map(|one| one.bulk.as_mut().filter(|_| one.group.as_deref() == Some(group)))
    }

    fn remove(&mut self, scope: &Scope, name: &str) -> bool {
        let Some(name) = self.find(scope, name).map(|one| one.name.clone()) else { return false };
        self.by_name.remove(&name).is_some_and(|number| self.all.remove(&number).is_some())
    }

    fn forget(&mut self, now: Timestamp) {
        let before = self.all.len();
        while let Some(first) = self.all.first_entry() {
            if first.get().done + KEPT > now {
                break;
            }
            let old = first.remove();
            self.by_name.remove(&old.name);
        }
        if self.all.len() < before {
            self.tokens.retain(|_, (number, _, _)| self.all.contains_key(number));
        }
    }

    /// The operation that an earlier request with this token was given.
    ///
    /// # Errors
    /// `invalid` when that was another request.
    pub(crate) fn repeated(
        &mut self,
        token: Option<&Token>,
        now: Timestamp,
    ) -> Result<Option<&Operation>, Refusal> {
        let Some(token) = token else { return Ok(None) };
        let Some((number, digest, until)) = self.tokens.get(&token.id) else { return Ok(None) };
        if *until < now {
            return Ok(None);
        }
        if *digest != token.digest {
            return Err(Refusal::TokenReused { token: token.id.clone() });
        }
        Ok(self.all.get(number))
    }

    pub(crate) fn remember(&mut self, token: Token, operation: &Operation) {
        if let Some(number) = self.by_name.get(&operation.name) {
            self.tokens.insert(token.id, (*number, token.digest, operation.begun + token.kept));
        }
    }
}

/// A `requestId`, and what was asked under it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    id: String,
    digest: u64,
    kept: Duration,
}

impl Token {
    /// The token of a request.
    ///
    /// # Errors
    /// `invalid` for one that is no UUID, or the zero UUID.
    pub(crate) fn read(request: &Request<'_>) -> Result<Option<Self>, Refusal> {
        let Some(id) = request.option("requestId") else { return Ok(None) };
        if !is_uuid(id) {
            return Err(invalid("requestId", id, "It must be a UUID that is not zero."));
        }
        let asked = format!("{} {:?} {}", request.method, request.parts(), request.body);
        let kept = request.face.world.look(|kernel| kernel.rules().token_kept);
        Ok(Some(Self { id: id.to_lowercase(), digest: seed::digest(&[asked.as_bytes()]), kept }))
    }
}

/// Eight, four, four, four and twelve hexadecimal digits, not all zero.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
        && text.bytes().any(|b| b != b'-' && b != b'0')
}

/// Notes what a method has begun.
pub(crate) fn begin(kernel: &Kernel, state: &mut State, request: &Request<'_>, new: New) -> Operation {
    let operation = make(kernel, state, "operation", new);
    tracing::debug!(method = request.method, name = operation.name, "an operation begins");
    state.operations.add(operation.clone());
    operation
}

/// An operation with a name and a number of its own: `prefix` is `operation`, or `systemevent`.
pub(crate) fn make(kernel: &Kernel, state: &mut State, prefix: &str, new: New) -> Operation {
    let now = kernel.now();
    state.operations.forget(now);
    state.numbers += 1;
    let id = number(kernel, state.numbers);
    let name = format!(
        "{prefix}-{}-{:013x}-{:08x}-{:08x}",
        now.as_millisecond(),
        state.numbers,
        id >> 32,
        id & 0xffff_ffff
    );
    Operation {
        id,
        name,
        kind: new.kind.to_owned(),
        scope: new.scope,
        target: new.target,
        target_id: new.target_id,
        begun: now,
        done: now + new.takes,
        told: new.told,
        group: new.group,
        bulk: new.bulk,
        user: if prefix == "systemevent" { "system" } else { "caller@simulated.iam.gserviceaccount.com" },
        message: None,
    }
}

/// A number as Compute Engine gives them to resources: 19 digits at most, never the same twice.
pub(crate) fn number(kernel: &Kernel, n: u64) -> u64 {
    mix(n ^ mix(kernel.seed)) >> 1
}

pub(crate) fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| shown(request, kernel, state).map(|(shown, _)| shown))?;
    request.answer(&shown)
}

/// Holds its answer back until the operation is done, for two minutes at most.
pub(crate) fn wait(request: &Request<'_>) -> Result<Answer, Refusal> {
    if request.waited {
        let shown = request.face.look(|kernel, state| shown(request, kernel, state));
        return request.answer(&shown?.0);
    }
    let (shown, until) = request.look(|kernel, state| {
        let (shown, done) = shown(request, kernel, state)?;
        let until = (done > kernel.now()).then(|| done.min(kernel.now() + WAIT_MAX));
        Ok((shown, until))
    })?;
    match until {
        Some(until) => Ok(Answer::Later(until)),
        None => request.answer(&shown),
    }
}

pub(crate) fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look(|kernel, state| {
        let scope = request.scope(kernel)?;
        match state.operations.remove(&scope, request.part("operation")) {
            true => Ok(Answer::Empty),
            false => Err(missing(request, &scope)),
        }
    })
}

pub(crate) fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let filter = list::Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let scope = request.scope(kernel)?;
        let all = state.operations.wanted(&filter.filter).filter(|one| one.scope == scope);
        let shown = all.map(|one| one.show(request.project(), kernel));
        Ok(filter.page(shown, "compute#operationList", &format!("{scope}/operations"), request))
    })?;
    request.answer(&page)
}

pub(crate) fn aggregated(request: &Request<'_>) -> Result<Answer, Refusal> {
    let filter = list::Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let all = state.operations.wanted(&filter.filter);
        let shown = all.map(|one| (one.scope.clone(), one.show(request.project(), kernel)));
        let mut scopes = list::zones(kernel);
        scopes.extend(list::regions(kernel));
        scopes.push(Scope::Global);
        let kind = "compute#operationAggregatedList";
        Ok(filter.aggregated(shown, &scopes, kind, "operations", request))
    })?;
    request.answer(&page)
}

fn shown(request: &Request<'_>, kernel: &Kernel, state: &State) -> Result<(Value, Timestamp), Refusal> {
    let scope = request.scope(kernel)?;
    let found = state.operations.find(&scope, request.part("operation"));
    let found = found.ok_or_else(|| missing(request, &scope))?;
    Ok((found.show(request.project(), kernel), found.done))
}

fn missing(request: &Request<'_>, scope: &Scope) -> Refusal {
    let name = request.part("operation");
    if name.is_empty() {
        return coded(400, "required", "Required field 'operation' not specified");
    }
    not_found(request.project(), &format!("{scope}/operations/{name}"))
}

/// The words of HTTP beside an operation's status.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "BAD REQUEST",
        403 => "FORBIDDEN",
        404 => "NOT FOUND",
        409 => "CONFLICT",
        412 => "PRECONDITION FAILED",
        503 => "SERVICE UNAVAILABLE",
        _ => "INTERNAL SERVER ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_uuid_that_is_not_zero() {
        for (text, good) in [
            ("6f0e1c52-9d5a-4f6e-8a4b-1f2e3d4c5b6a", true),
            ("00000000-0000-0000-0000-000000000000", false),
            ("6f0e1c529d5a4f6e8a4b1f2e3d4c5b6a", false),
            ("", false),
            ("6f0e1c52-9d5a-4f6e-8a4b-1f2e3d4c5b6g", false),
        ] {
            assert_eq!(is_uuid(text), good, "{text}");
        }
    }
}
