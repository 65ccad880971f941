//! Fleets: many machines by one request. Microsoft.AzureFleet.

pub(crate) mod members;
pub(crate) mod request;
pub(crate) mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use skyfleet_core::{OfferId, Timestamp};

use crate::azure::error::{Told, coded, invalid};
use crate::azure::id::Id;
use crate::azure::made::{self, Made};
use crate::azure::method::Method;
use crate::azure::operation::{self, Poll, guid};
use crate::azure::purchase;
use crate::azure::state::State;
use crate::azure::{Answer, Request, groups, scale_sets};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::seed;
use crate::tags::Tags;

use request::{Mode, Part};

pub(crate) const METHODS: &[Method] = &[
    Method { id: "fleets.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "fleets.PATCH", verb: "PATCH", path: ONE, answer: patch },
    Method { id: "fleets.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "fleets.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method {
        id: "fleets.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.AzureFleet/fleets",
        answer: list,
    },
    Method {
        id: "fleets.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.AzureFleet/fleets",
        answer: list,
    },
    Method {
        id: "fleets.virtualMachines.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.AzureFleet/fleets/{name}/virtualMachines",
        answer: members::list,
    },
    Method {
        id: "fleets.virtualMachineScaleSets.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.AzureFleet/fleets/{name}/virtualMachineScaleSets",
        answer: members::scale_sets,
    },
];

const ONE: &str =
    "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.AzureFleet/fleets/{name}";

pub(crate) const KIND: &str = "Microsoft.AzureFleet/fleets";

const PROVIDER: &str = "Microsoft.AzureFleet";

/// Members that are told to nobody.
const SECRETS: [&str; 2] = ["adminPassword", "customData"];

/// All fleets, by the keys of their ids.
pub(crate) type Fleets = BTreeMap<String, Fleet>;

/// One fleet, beside what its caller wrote.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) mode: Mode,
    pub(crate) prefix: String,
    pub(crate) parts: Vec<Part>,
    /// Of what it was asked for: a request that says the same is the same.
    digest: u64,
    pub(crate) created: Timestamp,
    pub(crate) unique: String,
    /// The world's launches that it made.
    pub(crate) launches: Vec<u32>,
    /// Machines that came to nothing.
    pub(crate) failed: Vec<Failure>,
    /// When it is known of all machines what became of them.
    pub(crate) done: Timestamp,
    /// How many names it has given.
    pub(crate) named: u32,
    /// How many events the world had when it last looked at its machines.
    pub(crate) looked_at: usize,
    /// Not before this is capacity tried again that was not there.
    pub(crate) next_attempt: Timestamp,
    /// From then on it is gone: it is being deleted.
    pub(crate) gone: Option<Timestamp>,
}

/// A machine of a fleet that came to nothing.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) id: Id,
    pub(crate) offer: OfferId,
    pub(crate) told: Told,
    pub(crate) at: Timestamp,
}

impl Fleet {
    /// Why it failed: when not one machine could be made.
    fn told(&self) -> Option<&Told> {
        let first = self.failed.first().filter(|_| self.launches.is_empty());
        first.map(|failure| &failure.told)
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match (self.gone, now < self.done, self.told()) {
            (Some(_), ..) => "Deleting",
            (_, true, _) => "Creating",
            (_, false, Some(_)) => "Failed",
            (_, false, None) => "Succeeded",
        }
    }

    /// Buys machines of one part, and remembers what came of it.
    pub(crate) fn buy(
        &mut self,
        kernel: &mut Kernel,
        state: &mut State,
        part: usize,
        count: u32,
        (group, tags): (&Id, &Arc<Tags>),
    ) -> Result<(), Refusal> {
        let names: Vec<Id> =
            (self.named..self.named + count).map(|number| self.name(group, part, number)).collect();
        self.named += count;
        let Part { blueprint, strategy, .. } = &self.parts[part];
        let purchase = purchase::buy(kernel, state, blueprint, strategy, &names, tags)?;
        let now = kernel.now();
        let set = self.parts[part].blueprint.details.scale_set.as_ref();
        if let Some(set) = set.and_then(|set| state.scale_sets.get_mut(&set.key())) {
            set.launches.extend(&purchase.launches);
            set.done = set.done.max(now + purchase.takes);
        }
        self.launches.extend(purchase.launches);
        let failed = purchase.failed.into_iter();
        self.failed.extend(failed.map(|(id, offer, told, takes)| Failure {
            id,
            offer,
            told,
            at: now + takes,
        }));
        self.done = self.done.max(now + purchase.takes);
        Ok(())
    }

    /// The name of its machine of a number: the same fleet always gives the same.
    fn name(&self, group: &Id, part: usize, number: u32) -> Id {
        let (prefix, own) = (&self.prefix, &self.unique[..8]);
        let name = match &self.parts[part].blueprint.details.scale_set {
            None => format!("{prefix}_{own}_{number}"),
            Some(set) => {
                let digest = seed::digest(&[self.unique.as_bytes(), &number.to_le_bytes()]);
                format!("{}_{:08x}", set.name(), digest >> 32)
            }
        };
        Id::new(&group.subscription, &group.group, crate::azure::machines::KIND, &[&name])
    }
}

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    let digest = digest(request.body);
    let capacity = |at: &str| request.body["properties"][at]["capacity"].as_u64().unwrap_or(0);
    let total = capacity("spotPriorityProfile").saturating_add(capacity("regularPriorityProfile"));
    request.change(&made::called(request), u32::try_from(total).unwrap_or(u32::MAX), |kernel, state| {
        let wanted = made::wanted(kernel, state, request, KIND)?;
        if let Some(old) = state.fleets.get(&wanted.id.key()) {
            return match (old.digest == digest, old.gone, old.mode) {
                (_, Some(_), _) => Err(going(&wanted.id)),
                (true, ..) => again(kernel, state, request, &wanted, 200),
                (false, _, Mode::Launch) => {
                    let message = format!(
                        "Changing the properties of the launch mode fleet '{}' is not allowed.",
                        wanted.id.name()
                    );
                    Err(coded(409, "PropertyChangeNotAllowed", message))
                }
                (false, _, Mode::Managed) => {
                    upkeep::change(kernel, state, &wanted, request.body)?;
                    again(kernel, state, request, &wanted, 200)
                }
            };
        }
        let asked = request::read(kernel, state, (&wanted.id, &wanted.location), request.body, KIND)?;
        for part in &asked.parts {
            purchase::check(kernel, &part.blueprint, part.capacity, part.least)?;
        }
        let now = kernel.now();
        let number = seed::digest(&[wanted.id.key().as_bytes(), &now.as_nanosecond().to_le_bytes()]);
        let mut fleet = Fleet {
            mode: asked.mode,
            prefix: asked.prefix,
            parts: asked.parts,
            digest,
            created: now,
            unique: guid(kernel.seed, number),
            launches: Vec::new(),
            failed: Vec::new(),
            done: now,
            named: 0,
            looked_at: kernel.events.len(),
            next_attempt: now + upkeep::PAUSE,
            gone: None,
        };
        if fleet.mode == Mode::Managed {
            for (number, part) in fleet.parts.iter_mut().enumerate() {
                let digest = seed::digest(&[fleet.unique.as_bytes(), b"set", &number.to_le_bytes()]);
                let name = format!("{}_{:06x}", fleet.prefix, digest >> 40);
                let set = Id::new(&wanted.id.subscription, &wanted.id.group, scale_sets::KIND, &[&name]);
                Arc::make_mut(&mut part.blueprint.details).scale_set = Some(set);
                scale_sets::of_fleet(kernel, state, &wanted, part, request.body);
            }
        }
        for part in 0..fleet.parts.len() {
            let count = fleet.parts[part].capacity;
            fleet.buy(kernel, state, part, count, (&wanted.id, &wanted.tags))?;
        }
        state.fleets.insert(wanted.id.key(), fleet);
        made::keep(kernel, state, &wanted, FixtureKind::Fleet, told(request.body));
        again(kernel, state, request, &wanted, 201)
    })
}

/// The answer to a PUT: the fleet, and where to ask how far it is.
fn again(
    kernel: &mut Kernel,
    state: &mut State,
    request: &Request<'_>,
    wanted: &made::Wanted,
    status: u16,
) -> Result<Answer, Refusal> {
    let (id, key) = (wanted.id.to_string(), wanted.id.key());
    if status == 200 {
        kernel.retag(&id, |tags| tags.clone_from(&wanted.tags));
    }
    let (takes, told) = match state.fleets.get(&key) {
        Some(fleet) => (operation::left(kernel, fleet.done), fleet.told().cloned()),
        None => (Duration::ZERO, None),
    };
    let shown = show(kernel, state, &state.made[&key]);
    let poll = Poll::Status { provider: PROVIDER, location: wanted.location.as_str() };
    let headers = operation::begin(kernel, state, request, poll, takes, told);
    Ok(Answer::new(status, &shown)?.with(headers))
}

/// Tags, and what a fleet that is managed lets change.
fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        groups::stays(state, &made.id)?;
        let (key, now) = (made.id.key(), kernel.now());
        let fleet =
            state.fleets.get(&key).filter(|fleet| fleet.gone.is_none()).ok_or_else(|| going(&made.id))?;
        let tags = match &request.body["tags"] {
            Value::Null => kernel.tags_of(&made.id.to_string()).unwrap_or_default(),
            _ => made::tags(request.body)?,
        };
        let properties = &request.body["properties"];
        let wanted = made::Wanted { id: made.id, location: made.location, tags, is_new: false };
        if !properties.is_null() {
            if fleet.mode == Mode::Launch {
                let message = "Changing the properties of a launch mode fleet is not allowed.";
                return Err(coded(409, "PropertyChangeNotAllowed", message));
            }
            let mut body = state.made[&key].body.clone();
            let own = body.entry("properties").or_insert_with(|| json!({}));
            merge(own, properties);
            upkeep::change(kernel, state, &wanted, &Value::Object(body))?;
        }
        if let Some(fleet) = state.fleets.get_mut(&key) {
            fleet.done = fleet.done.max(now);
        }
        again(kernel, state, request, &wanted, 200)
    })
}

/// RFC 7396, as Resource Manager reads a PATCH.
pub(crate) fn merge(own: &mut Value, patch: &Value) {
    let (Value::Object(own), Value::Object(patch)) = (&mut *own, patch) else {
        own.clone_from(patch);
        return;
    };
    for (name, value) in patch {
        match value {
            Value::Null => drop(own.remove(name)),
            value => merge(own.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::get(request, KIND, show)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::list(request, KIND, show)
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::end(request, KIND, |kernel, state, id| Ok(upkeep::end(kernel, state, id)))
}

fn going(id: &Id) -> Refusal {
    let message = format!("The fleet '{}' is being deleted.", id.name());
    coded(409, "OperationNotAllowed", message)
}

/// What a request is, tags aside: those can change.
fn digest(body: &Value) -> u64 {
    let text = json!([body["properties"], body["zones"], body["identity"], body["plan"]]).to_string();
    seed::digest(&[text.as_bytes()])
}

/// What is kept of a body, to be told.
fn told(body: &Value) -> Map<String, Value> {
    kept(body, "/computeProfile/baseVirtualMachineProfile/osProfile")
}

/// The same of any body: without the secrets that are in its properties at a place.
pub(crate) fn kept(body: &Value, system: &str) -> Map<String, Value> {
    let members = ["properties", "zones", "identity", "plan"].into_iter().filter_map(|name| {
        let value = body.get(name).filter(|value| !value.is_null())?;
        Some((name.to_owned(), value.clone()))
    });
    let mut told = Map::from_iter(members);
    let system = told.get_mut("properties").and_then(|properties| properties.pointer_mut(system));
    if let Some(Value::Object(system)) = system {
        SECRETS.into_iter().for_each(|name| drop(system.remove(name)));
    }
    told
}

fn show(kernel: &Kernel, state: &State, made: &Made) -> Value {
    let mut shown = made::show(kernel, made);
    if let Some(fleet) = state.fleets.get(&made.id.key()) {
        let properties = &mut shown["properties"];
        properties["provisioningState"] = fleet.state(kernel.now()).into();
        properties["timeCreated"] = fleet.created.to_string().into();
        properties["uniqueId"] = fleet.unique.as_str().into();
        properties["mode"] = if fleet.mode == Mode::Launch { "Launch" } else { "Managed" }.into();
        if properties["capacityType"].is_null() {
            properties["capacityType"] = "VM".into();
        }
    }
    shown
}

/// What a change of a fleet may not touch.
fn fixed(name: &str) -> Refusal {
    invalid(name, "It cannot be changed once there is the fleet.")
}

#[cfg(test)]
mod tests;
