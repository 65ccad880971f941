//! Machines that are ended many at once. Microsoft.ComputeSchedule, `virtualMachinesExecuteDelete`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::{Region, Timestamp};

use crate::azure::blueprint::member;
use crate::azure::error::{Told, invalid, not_found};
use crate::azure::id::Id;
use crate::azure::machines::{self, ending};
use crate::azure::method::Method;
use crate::azure::operation::guid;
use crate::azure::request::{Answer, Request};
use crate::azure::state::State;
use crate::azure::{error, subscriptions};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "virtualMachinesExecuteDelete.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/providers/Microsoft.ComputeSchedule/locations/{location}/virtualMachinesExecuteDelete",
        answer: delete,
    },
    Method {
        id: "virtualMachinesGetOperationStatus.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/providers/Microsoft.ComputeSchedule/locations/{location}/virtualMachinesGetOperationStatus",
        answer: status,
    },
];

/// How long a deletion is told after its end. Ours: no figure is published.
const KEPT: Duration = Duration::from_secs(86_400);

/// How long a deletion waits before it begins, as far as it is told. Ours.
const WAITS: Duration = Duration::from_secs(3);

/// The deletions of a world.
#[derive(Debug, Default)]
pub(crate) struct BulkDeletes {
    by_id: BTreeMap<String, Deletion>,
    count: u64,
}

/// The deletion of one machine.
#[derive(Clone, Debug)]
struct Deletion {
    machine: String,
    subscription: String,
    region: Region,
    begun: Timestamp,
    done: Timestamp,
    retries: Value,
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = request.body;
    let ids = texts(&body["resources"], "ids")?;
    member::flag(body, "forceDeletion")?;
    member::text(body, "correlationid")?;
    let parameters = &body["executionParameters"];
    if !parameters.is_object() {
        return Err(invalid("executionParameters", "It must be an object."));
    }
    let retries = &parameters["retryPolicy"];
    member::whole(retries, "retryCount")?;
    member::whole(retries, "retryWindowInMinutes")?;
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let shown = request.change(request.part("location"), count, |kernel, state| {
        let region = subscriptions::region_of(kernel, request)?;
        most(&ids, "resources.ids", kernel.rules().terminate_max)?;
        let (now, subscription) = (kernel.now(), request.subscription());
        state.bulk_deletes.by_id.retain(|_, deletion| deletion.done + KEPT > now);
        let mut seen = BTreeSet::new();
        let mut results = Vec::new();
        for written in ids.into_iter().filter(|id| seen.insert(id.to_lowercase())) {
            results.push(match one(kernel, state, (subscription, &region), written) {
                Err(told) => {
                    json!({ "resourceId": written, "errorCode": told.code, "errorDetails": told.message })
                }
                Ok(takes) => {
                    let deletions = &mut state.bulk_deletes;
                    deletions.count += 1;
                    let id = guid(kernel.seed ^ 0x6465_6c65, deletions.count);
                    let deletion = Deletion {
                        machine: written.to_owned(),
                        subscription: subscription.to_owned(),
                        region: region.clone(),
                        begun: now,
                        done: now + takes,
                        retries: retries.clone(),
                    };
                    let shown = deletion.show(&id, now);
                    deletions.by_id.insert(id, deletion);
                    shown
                }
            });
        }
        Ok(json!({ "description": "Delete Resource request", "type": "VirtualMachines", "location": region,
            "results": results }))
    })?;
    Answer::ok(&shown)
}

/// Begins to end one machine: how long that takes.
fn one(
    kernel: &mut Kernel,
    state: &mut State,
    (subscription, region): (&str, &Region),
    written: &str,
) -> Result<Duration, Told> {
    let id = Id::parse(written).filter(|id| id.is_a(machines::KIND));
    let id = id.filter(|id| id.subscription.eq_ignore_ascii_case(subscription)).ok_or_else(|| {
        Told::new(
            "BadRequest",
            format!("'{written}' is no virtual machine of the subscription {subscription}."),
        )
    })?;
    let here = state.launched.find(kernel, &id).is_some_and(|found| found.region(kernel) == region.as_str());
    let ended = if here { ending::end(kernel, state, &id) } else { None };
    let missing = || error::fault(not_found(machines::KIND, id.name(), &id.group)).told;
    ended.map(|(takes, _)| takes).ok_or_else(missing)
}

/// What became of deletions.
fn status(request: &Request<'_>) -> Result<Answer, Refusal> {
    let ids = texts(request.body, "operationIds")?;
    member::text(request.body, "correlationid")?;
    let results: Vec<Value> = request.look(request.part("location"), |kernel, state| {
        let region = subscriptions::region_of(kernel, request)?;
        most(&ids, "operationIds", kernel.rules().terminate_max)?;
        let own = |deletion: &&Deletion| {
            deletion.region == region && deletion.subscription.eq_ignore_ascii_case(request.subscription())
        };
        let show = |id: &&str| match state.bulk_deletes.by_id.get(&id.to_lowercase()).filter(own) {
            Some(deletion) => deletion.show(id, kernel.now()),
            None => json!({ "errorCode": "OperationNotFound", "errorDetails": format!("There is no operation '{id}'.") }),
        };
        Ok(ids.iter().map(show).collect())
    })?;
    Answer::ok(&json!({ "results": results }))
}

impl Deletion {
    fn show(&self, id: &str, now: Timestamp) -> Value {
        let state = match () {
            () if now >= self.done => "Succeeded",
            () if now >= self.begun + WAITS => "Executing",
            () => "PendingScheduling",
        };
        let mut operation = json!({
            "operationId": id,
            "resourceId": self.machine,
            "opType": "Unknown",
            "subscriptionId": self.subscription,
            "deadline": self.begun.to_string(),
            "deadlineType": "InitiateAt",
            "state": state,
            "timezone": "UTC",
        });
        if now >= self.done {
            operation["completedAt"] = self.done.to_string().into();
        }
        if !self.retries.is_null() {
            operation["retryPolicy"] = self.retries.clone();
        }
        json!({ "resourceId": self.machine, "operation": operation })
    }
}

/// A list of texts, with something in it.
fn texts<'v>(of: &'v Value, name: &str) -> Result<Vec<&'v str>, Refusal> {
    let texts = member::list(of, name)?.iter().map(|one| one.as_str());
    let texts: Option<Vec<&str>> = texts.collect();
    let texts = texts.filter(|texts| !texts.is_empty());
    texts.ok_or_else(|| invalid(name, "It must be a list of at least one text."))
}

fn most(texts: &[&str], name: &str, most: u32) -> Result<(), Refusal> {
    match texts.len() <= most as usize {
        true => Ok(()),
        false => Err(invalid(name, &format!("There are {}; one call takes {most} at most.", texts.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::blueprint::tests::{machine, trial};
    use crate::azure::trial::{SUBSCRIPTION, Trial};

    const PATH: &str = "/providers/Microsoft.ComputeSchedule/locations/eastus/virtualMachinesExecuteDelete";
    const MACHINES: &str = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";

    fn body(ids: &[String]) -> Value {
        json!({ "resources": { "ids": ids }, "forceDeletion": true, "correlationid": "c",
            "executionParameters": { "retryPolicy": { "retryCount": 3, "retryWindowInMinutes": 30 } } })
    }

    fn id(name: &str) -> String {
        format!("{SUBSCRIPTION}{MACHINES}/{name}")
    }

    fn state(trial: &Trial, operation: &Value) -> String {
        let path = PATH.replace("ExecuteDelete", "GetOperationStatus");
        let told = trial.done("POST", &path, json!({ "operationIds": [operation], "correlationid": "c" }));
        told["results"][0]["operation"]["state"].as_str().unwrap().to_owned()
    }

    #[test]
    fn machines_are_ended_by_one_call_and_it_is_said_of_each() {
        let trial = trial();
        for name in ["a", "b"] {
            trial.done("PUT", &format!("{MACHINES}/{name}"), machine());
        }
        let told = trial.done("POST", PATH, body(&[id("A"), id("b"), id("gone"), id("a"), "/x".to_owned()]));
        let results = told["results"].as_array().unwrap();
        assert_eq!(results.len(), 4, "one of them was there twice");
        assert_eq!(
            (&results[2]["errorCode"], &results[3]["errorCode"]),
            (&json!("ResourceNotFound"), &json!("BadRequest"))
        );
        let operation = results[0]["operation"]["operationId"].clone();
        assert_eq!(
            (state(&trial, &operation).as_str(), trial.names(MACHINES).len()),
            ("PendingScheduling", 2)
        );
        trial.wait(10);
        assert_eq!(state(&trial, &operation), "Executing");
        trial.wait(120);
        assert_eq!((state(&trial, &operation).as_str(), trial.names(MACHINES).len()), ("Succeeded", 0));
    }

    #[test]
    fn a_call_takes_a_hundred_of_its_own_location() {
        let trial = trial();
        trial.done("PUT", &format!("{MACHINES}/a"), machine());
        let many: Vec<String> = (0..101).map(|n| id(&n.to_string())).collect();
        assert_eq!(trial.refusal("POST", PATH, body(&many)), (400, "InvalidParameter".to_owned()));
        assert_eq!(trial.refusal("POST", PATH, body(&[])).0, 400);
        assert_eq!(trial.refusal("POST", PATH, json!({ "resources": { "ids": [id("a")] } })).0, 400);
        let elsewhere = trial.done("POST", &PATH.replace("eastus", "westus2"), body(&[id("a")]));
        assert_eq!(elsewhere["results"][0]["errorCode"], "ResourceNotFound");
        assert_eq!(trial.names(MACHINES), ["a"]);
        assert_eq!(trial.refusal("POST", &PATH.replace("eastus", "nowhere"), body(&many[..1])).0, 400);
    }
}
