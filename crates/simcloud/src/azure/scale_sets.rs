//! Scale sets in flexible orchestration: their machines are machines like all others.

pub(crate) mod members;
pub(crate) mod request;
pub(crate) mod upkeep;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use skyfleet_core::{Market, Timestamp};

use crate::azure::error::{Told, coded};
use crate::azure::id::Id;
use crate::azure::machines::ending;
use crate::azure::made::{self, Made, Wanted};
use crate::azure::method::Method;
use crate::azure::operation::{self, Poll, guid};
use crate::azure::purchase::{self, herd};
use crate::azure::state::State;
use crate::azure::{Answer, Request, fleets, groups};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::seed;

use fleets::request::Part;
use request::Model;

const ONE: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}";
const MACHINE: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/virtualMachines/{machine}";

pub(crate) const METHODS: &[Method] = &[
    Method { id: "virtualMachineScaleSets.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "virtualMachineScaleSets.PATCH", verb: "PATCH", path: ONE, answer: patch },
    Method { id: "virtualMachineScaleSets.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "virtualMachineScaleSets.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method {
        id: "virtualMachineScaleSets.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets",
        answer: list,
    },
    Method {
        id: "virtualMachineScaleSets.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachineScaleSets",
        answer: list,
    },
    Method {
        id: "virtualMachineScaleSets.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/virtualMachines",
        answer: members::list,
    },
    Method { id: "virtualMachineScaleSets.GET", verb: "GET", path: MACHINE, answer: members::get },
    Method {
        id: "virtualMachineScaleSets.DELETE",
        verb: "DELETE",
        path: MACHINE,
        answer: members::delete_one,
    },
    Method {
        id: "virtualMachineScaleSets.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/delete",
        answer: members::delete_many,
    },
    Method {
        id: "virtualMachineScaleSets.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/deallocate",
        answer: |request| members::act(request, Kernel::stop),
    },
    Method {
        id: "virtualMachineScaleSets.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/start",
        answer: |request| members::act(request, start),
    },
    Method {
        id: "virtualMachineScaleSets.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/powerOff",
        answer: |request| members::act(request, Kernel::power_off),
    },
    Method {
        id: "virtualMachineScaleSets.POST",
        verb: "POST",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/restart",
        answer: |request| members::act(request, Kernel::reboot),
    },
    Method {
        id: "virtualMachineScaleSets.GET",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/instanceView",
        answer: members::instance_view,
    },
];

pub(crate) const KIND: &str = "Microsoft.Compute/virtualMachineScaleSets";

const PROVIDER: &str = "Microsoft.Compute";

/// How long a scale set takes beside its machines, and an action on these. Ours.
const TAKES: Duration = Duration::from_secs(5);
const ACTS: Duration = Duration::from_secs(60);

/// All scale sets, by the keys of their ids.
pub(crate) type ScaleSets = BTreeMap<String, ScaleSet>;

/// One scale set, beside what its caller wrote.
#[derive(Debug)]
pub(crate) struct ScaleSet {
    pub(crate) model: Model,
    /// How many machines it is to have.
    pub(crate) target: u32,
    pub(crate) created: Timestamp,
    pub(crate) unique: String,
    /// The world's launches that it made.
    pub(crate) launches: Vec<u32>,
    /// When it is known of all machines what became of them, and why some came to nothing.
    pub(crate) done: Timestamp,
    pub(crate) told: Option<Told>,
    /// How many names it has given.
    pub(crate) named: u32,
    /// Not before this are evicted machines tried to be restored.
    pub(crate) next_attempt: Timestamp,
    /// The managed fleet that it is a part of, and that looks after it.
    pub(crate) fleet: Option<Id>,
    /// From then on it is gone: it is being deleted.
    pub(crate) gone: Option<Timestamp>,
}

impl ScaleSet {
    /// One that has no machines yet.
    fn new(kernel: &Kernel, id: &Id, model: Model, fleet: Option<Id>) -> Self {
        let now = kernel.now();
        let number = seed::digest(&[id.key().as_bytes(), &now.as_nanosecond().to_le_bytes()]);
        Self {
            target: model.capacity,
            model,
            created: now,
            unique: guid(kernel.seed ^ 0x7373, number),
            launches: Vec::new(),
            done: now + TAKES,
            told: None,
            named: 0,
            next_attempt: now,
            fleet,
            gone: None,
        }
    }

    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match (self.gone, now < self.done, &self.told) {
            (Some(_), ..) => "Deleting",
            (_, true, _) if self.created + TAKES > now => "Creating",
            (_, true, _) => "Updating",
            (_, false, Some(_)) => "Failed",
            (_, false, None) => "Succeeded",
        }
    }

    /// # Errors
    /// `OperationNotAllowed` for the part of a fleet, which is changed by that.
    fn is_its_own(&self, id: &Id) -> Result<(), Refusal> {
        match &self.fleet {
            None => Ok(()),
            Some(fleet) => {
                let message = format!("The scale set '{}' is managed by the fleet {fleet}.", id.name());
                Err(coded(409, "OperationNotAllowed", message))
            }
        }
    }

    /// Buys machines of one market.
    ///
    /// # Errors
    /// Those of [`purchase::buy`].
    pub(crate) fn buy(
        &mut self,
        kernel: &mut Kernel,
        state: &mut State,
        id: &Id,
        (market, count): (Market, u32),
    ) -> Result<(), Refusal> {
        let Some((_, blueprint)) = self.model.parts.iter().find(|(own, _)| *own == market) else {
            return Ok(());
        };
        let names: Vec<Id> = (self.named..self.named + count).map(|number| self.name(id, number)).collect();
        let tags = kernel.tags_of(&id.to_string()).unwrap_or_default();
        let purchase = purchase::buy(kernel, state, blueprint, &self.model.strategy, &names, &tags)?;
        self.named += count;
        self.launches.extend(purchase.launches);
        self.done = self.done.max(kernel.now() + purchase.takes.max(TAKES));
        if let Some((_, _, told, _)) = purchase.failed.into_iter().next() {
            self.told = Some(told);
        }
        Ok(())
    }

    /// Azure documentation, "Instance naming in flexible orchestration mode": the name of the set, an
    /// underscore and eight letters or digits.
    fn name(&self, id: &Id, number: u32) -> Id {
        let digest = seed::digest(&[self.unique.as_bytes(), &number.to_le_bytes()]);
        let name = format!("{}_{:08x}", id.name(), digest >> 32);
        Id::new(&id.subscription, &id.group, crate::azure::machines::KIND, &[&name])
    }
}

/// Starts a machine that is down; one that is up is up.
fn start(kernel: &mut Kernel, id: &str) -> Result<(), Refusal> {
    match kernel.start(id) {
        Err(Refusal::WrongState { state, .. }) if state.is_alive() => Ok(()),
        other => other,
    }
}

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(&made::called(request), 0, |kernel, state| {
        let wanted = made::wanted(kernel, state, request, KIND)?;
        make(kernel, state, request, &wanted, request.body)
    })
}

/// Makes the scale set of a part of a managed fleet: it has no machines yet.
pub(crate) fn of_fleet(kernel: &mut Kernel, state: &mut State, fleet: &Wanted, part: &Part, body: &Value) {
    let Some(id) = part.blueprint.details.scale_set.clone() else { return };
    let set = ScaleSet::new(kernel, &id, Model::of_fleet(part), Some(fleet.id.clone()));
    state.scale_sets.insert(id.key(), set);
    let mut profile = body["properties"]["computeProfile"]["baseVirtualMachineProfile"].clone();
    let terms = &part.blueprint.details.terms;
    profile["priority"] = json!(terms.priority);
    if let Some(eviction) = terms.eviction {
        profile["evictionPolicy"] = eviction.as_str().into();
    }
    let sizes = &body["properties"]["vmSizesProfile"];
    let several = sizes.as_array().is_some_and(|sizes| sizes.len() > 1);
    let mut own = json!({
        "sku": { "name": if several { json!("Mix") } else { sizes[0]["name"].clone() } },
        "zones": body["zones"],
        "properties": { "orchestrationMode": "Flexible", "virtualMachineProfile": profile },
    });
    if several {
        own["properties"]["skuProfile"] = json!({ "vmSizes": sizes });
    }
    let (location, tags) = (fleet.location.clone(), fleet.tags.clone());
    made::keep(kernel, state, &Wanted { id, location, tags, is_new: true }, FixtureKind::Fleet, told(&own));
}

/// Makes a scale set, or changes one.
fn make(
    kernel: &mut Kernel,
    state: &mut State,
    request: &Request<'_>,
    wanted: &Wanted,
    body: &Value,
) -> Result<Answer, Refusal> {
    let (id, key) = (&wanted.id, wanted.id.key());
    let model = request::read(kernel, state, (id, &wanted.location), body)?;
    let now = kernel.now();
    let old = state.scale_sets.get(&key);
    old.map_or(Ok(()), |old| old.is_its_own(id))?;
    if old.is_some_and(|old| old.gone.is_some()) {
        let message = format!("The scale set '{}' is being deleted.", id.name());
        return Err(coded(409, "OperationNotAllowed", message));
    }
    if old.is_some_and(|old| old.model.fixed != model.fixed) {
        let message = "Changing the zones, the priority, the eviction policy or the fault domains of a scale set is not allowed.";
        return Err(coded(409, "PropertyChangeNotAllowed", message));
    }
    let launches: &[u32] = old.map_or(&[], |old| &old.launches);
    let mut missing = Vec::new();
    for (market, blueprint) in &model.parts {
        let share = model.share(model.capacity, *market);
        let more = share.saturating_sub(herd::there(kernel, launches, *market));
        missing.push((*market, more, herd::there(kernel, launches, *market).saturating_sub(share)));
        purchase::check(kernel, blueprint, more, 0)?;
    }
    let is_new = old.is_none();
    // What came to nothing is given up for what comes in its place.
    for (machine, _) in upkeep::failed(state, id) {
        ending::end(kernel, state, &machine);
    }
    let target = model.capacity;
    let mut set = match state.scale_sets.remove(&key) {
        Some(old) => ScaleSet { model, target, told: None, done: old.done.max(now + TAKES), ..old },
        None => ScaleSet::new(kernel, id, model, None),
    };
    made::keep(kernel, state, wanted, FixtureKind::Fleet, told(body));
    let mut outcome = Ok(());
    for (market, more, fewer) in missing {
        if more > 0 && outcome.is_ok() {
            outcome = set.buy(kernel, state, id, (market, more));
        }
        herd::end_youngest(kernel, state, &set.launches, market, fewer);
    }
    let (takes, why) = (operation::left(kernel, set.done), set.told.clone());
    state.scale_sets.insert(key.clone(), set);
    outcome?;
    let shown = show(kernel, state, &state.made[&key]);
    let poll = Poll::Status { provider: PROVIDER, location: wanted.location.as_str() };
    let headers = operation::begin(kernel, state, request, poll, takes, why);
    Ok(Answer::new(if is_new { 201 } else { 200 }, &shown)?.with(headers))
}

/// A change of some members: the capacity nearly always.
fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        groups::stays(state, &made.id)?;
        let tags = match &request.body["tags"] {
            Value::Null => kernel.tags_of(&made.id.to_string()).unwrap_or_default(),
            _ => made::tags(request.body)?,
        };
        let mut body = Value::Object(made.body);
        if let Some(set) = state.scale_sets.get(&made.id.key()) {
            body["sku"]["capacity"] = set.target.into();
        }
        let mut change = request.body.clone();
        if let Value::Object(change) = &mut change {
            change.remove("tags");
        }
        fleets::merge(&mut body, &change);
        let wanted = Wanted { id: made.id, location: made.location, tags, is_new: false };
        make(kernel, state, request, &wanted, &body)
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::get(request, KIND, show)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::list(request, KIND, show)
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::end(request, KIND, |kernel, state, id| {
        let set = state.scale_sets.get(&id.key());
        set.map_or(Ok(()), |set| set.is_its_own(id))?;
        Ok(upkeep::end(kernel, state, id))
    })
}

/// What is kept of a body, to be told.
fn told(body: &Value) -> Map<String, Value> {
    let mut told = fleets::kept(body, "/virtualMachineProfile/osProfile");
    told.extend(body.get("sku").map(|sku| ("sku".to_owned(), sku.clone())));
    told
}

fn show(kernel: &Kernel, state: &State, made: &Made) -> Value {
    let mut shown = made::show(kernel, made);
    if let Some(set) = state.scale_sets.get(&made.id.key()) {
        shown["sku"]["capacity"] = set.target.into();
        shown["sku"]["tier"] = "Standard".into();
        let properties = &mut shown["properties"];
        properties["provisioningState"] = set.state(kernel.now()).into();
        properties["timeCreated"] = set.created.to_string().into();
        properties["uniqueId"] = set.unique.as_str().into();
        properties["singlePlacementGroup"] = false.into();
        if properties["platformFaultDomainCount"].is_null() {
            properties["platformFaultDomainCount"] = json!(1);
        }
    }
    shown
}

#[cfg(test)]
mod tests;
