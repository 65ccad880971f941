//! What callers configure: resource groups, and what is in them. The world knows each by the id under
//! which it was made: as a fixture, an address or a disk.

mod references;
mod with_machines;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use skyfleet_core::{Region, Timestamp};

use crate::azure::error::{coded, not_found};
use crate::azure::id::Id;
use crate::azure::operation::{self, Poll};
use crate::azure::state::State;
use crate::azure::{Answer, Request, groups, machines, subscriptions};
use crate::fixture::{Fixture, FixtureKind};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::tags::Tags;
use crate::view::Whose;

pub(crate) use references::{parts, properties, reference, unused};
pub(crate) use with_machines::{get_with, list_with, patch_with};

/// The most tags of a resource, and the longest names and values of one. Azure documentation, "Use
/// tags to organize your Azure resources".
const TAGS_MAX: (usize, usize, usize) = (50, 512, 256);

/// How many resources a page of a list has. Ours: no figure is published.
const PAGE: usize = 1_000;

/// How long a change of a resource takes. Ours: a few seconds, as networks do.
const TAKES: Duration = Duration::from_secs(3);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: Id,
    pub(crate) location: Region,
    /// Until then it is being made or changed.
    pub(crate) ready: Timestamp,
    /// What its caller wrote beside the id, the location and the tags: `properties`, `sku`, `zones`.
    pub(crate) body: Map<String, Value>,
}

/// All of them, by the keys of their ids.
pub(crate) type Store = BTreeMap<String, Made>;

/// What a request wants to make or change.
pub(crate) struct Wanted {
    pub(crate) id: Id,
    pub(crate) location: Region,
    pub(crate) tags: Arc<Tags>,
    pub(crate) is_new: bool,
}

/// The region that a body names, for the rate limits.
pub(crate) fn called(request: &Request<'_>) -> String {
    let location = request.body["location"].as_str().unwrap_or("global");
    location.replace(' ', "").to_lowercase()
}

/// The id of the resource that a path names, in the case of its resource group.
pub(crate) fn id_of(state: &State, request: &Request<'_>, kind: &str) -> Result<Id, Refusal> {
    let group = groups::find(state, request)?;
    Ok(Id::new(&group.subscription, &group.group, kind, &[request.part("name")]))
}

/// Reads a PUT of a resource in a group.
///
/// # Errors
/// For a group that is not there or going, a name, a location or tags that are none, for what is
/// there already when only something new may be made, and for another location than it has.
pub(crate) fn wanted(
    kernel: &Kernel,
    state: &State,
    request: &Request<'_>,
    kind: &str,
) -> Result<Wanted, Refusal> {
    let mut id = id_of(state, request, kind)?;
    groups::stays(state, &id)?;
    let name = id.name();
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if name.len() > 80 || !fits || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(coded(400, "InvalidResourceName", format!("Resource name {name} is invalid.")));
    }
    let location = location(kernel, request, kind)?;
    let tags = tags(request.body)?;
    let old = state.made.get(&id.key());
    if let Some(old) = old {
        if request.head.only_new {
            return Err(coded(412, "PreconditionFailed", format!("The resource {id} exists.")));
        }
        if old.location != location {
            let message = format!(
                "The resource '{name}' already exists in location '{}'. A resource with the same name cannot be \
                 created in location '{location}'. Please select a new resource name.",
                old.location
            );
            return Err(coded(409, "InvalidResourceLocation", message));
        }
        id = old.id.clone();
    }
    Ok(Wanted { id, location, tags, is_new: old.is_none() })
}

/// The location of a body.
///
/// # Errors
/// `LocationRequired`, `LocationNotAvailableForResourceType`.
pub(crate) fn location(kernel: &Kernel, request: &Request<'_>, kind: &str) -> Result<Region, Refusal> {
    let Some(location) = request.body["location"].as_str() else {
        return Err(coded(400, "LocationRequired", "The location property is required for this definition."));
    };
    subscriptions::region(kernel, location).ok_or_else(|| {
        let message =
            format!("The provided location '{location}' is not available for resource type '{kind}'.");
        coded(400, "LocationNotAvailableForResourceType", message)
    })
}

/// The tags of a body.
///
/// # Errors
/// `InvalidTags` and its like for what is none.
pub(crate) fn tags(body: &Value) -> Result<Arc<Tags>, Refusal> {
    let bad = |message: String| Err(coded(400, "InvalidTagsFormat", message));
    let written = match &body["tags"] {
        Value::Null => return Ok(Arc::default()),
        Value::Object(written) => written,
        _ => return bad("The tags must be an object of texts.".to_owned()),
    };
    let (most, name_max, value_max) = TAGS_MAX;
    if written.len() > most {
        return bad(format!("There are {} tags; a resource has {most} at most.", written.len()));
    }
    let mut tags = Tags::new();
    for (name, value) in written {
        match value.as_str() {
            Some(value) if !name.is_empty() && name.len() <= name_max && value.len() <= value_max => {
                tags.insert(name.clone(), value.to_owned());
            }
            _ => return bad(format!("The tag '{name}' is invalid.")),
        }
    }
    Ok(Arc::new(tags))
}

/// Keeps what was made or changed, and what the world knows it as.
pub(crate) fn keep(
    kernel: &mut Kernel,
    state: &mut State,
    wanted: &Wanted,
    fixture: FixtureKind,
    body: Map<String, Value>,
) {
    let (region, tags) = (wanted.location.clone(), wanted.tags.clone());
    let inside = (fixture != FixtureKind::ResourceGroup)
        .then(|| Id::group(&wanted.id.subscription, &wanted.id.group).to_string().into());
    let id = wanted.id.to_string().into();
    kernel.put_fixture(Fixture { kind: fixture, id, region, inside, tags, created: kernel.now() }, None);
    note(kernel, state, wanted, body);
}

/// Keeps what the world knows already.
pub(crate) fn note(kernel: &Kernel, state: &mut State, wanted: &Wanted, body: Map<String, Value>) {
    let (id, location) = (wanted.id.clone(), wanted.location.clone());
    state.made.insert(id.key(), Made { id, location, ready: kernel.now() + TAKES, body });
}

/// The answer to a PUT: what was made, and where to ask how far it is.
pub(crate) fn begun(
    kernel: &Kernel,
    state: &mut State,
    request: &Request<'_>,
    wanted: &Wanted,
    shown: &Value,
) -> Result<Answer, Refusal> {
    let headers = begin(kernel, state, request, &wanted.id, &wanted.location);
    Ok(Answer::new(if wanted.is_new { 201 } else { 200 }, shown)?.with(headers))
}

/// Begins the operation of a change: the headers that say where to ask.
pub(crate) fn begin(
    kernel: &Kernel,
    state: &mut State,
    request: &Request<'_>,
    id: &Id,
    location: &Region,
) -> Vec<(&'static str, String)> {
    let poll = Poll::Status { provider: provider(id), location: location.as_str() };
    operation::begin(kernel, state, request, poll, TAKES, None)
}

/// `Microsoft.Network` of anything that is its.
fn provider(id: &Id) -> &str {
    id.kind.split('/').next().unwrap_or_default()
}

/// Changes the tags of what a path names, which is all that can be changed so.
///
/// # Errors
/// Those of [`found`] and of [`tags`]; while the group is going.
pub(crate) fn patch(
    request: &Request<'_>,
    kind: &str,
    show: impl Fn(&Kernel, &State, &Made) -> Value,
) -> Result<Answer, Refusal> {
    patch_checked(request, kind, |_, _, _| Ok(()), show)
}

/// The same; `check` refuses what may not be changed, whether a caller made it or not.
///
/// # Errors
/// Those of `check`, too.
fn patch_checked(
    request: &Request<'_>,
    kind: &str,
    check: impl FnOnce(&Kernel, &State, &Id) -> Result<(), Refusal>,
    show: impl Fn(&Kernel, &State, &Made) -> Value,
) -> Result<Answer, Refusal> {
    let tags = tags(request.body)?;
    request.change("global", 0, |kernel, state| {
        adopt(kernel, state);
        check(kernel, state, &id_of(state, request, kind)?)?;
        let made = found(state, request, kind)?;
        groups::stays(state, &made.id)?;
        if !request.body["tags"].is_null() {
            kernel.retag(&made.id.to_string(), |own| *own = (*tags).clone());
        }
        Answer::ok(&show(kernel, state, made))
    })
}

/// Deletes what a path names: 204 for what is not there.
///
/// # Errors
/// Those of `release`, which takes it out of the world.
pub(crate) fn delete(
    request: &Request<'_>,
    kind: &str,
    release: impl FnOnce(&mut Kernel, &mut State, &Made) -> Result<(), Refusal>,
) -> Result<Answer, Refusal> {
    delete_checked(request, kind, |_, _, _| Ok(()), release)
}

/// The same; `check` refuses what may not be deleted, whether a caller made it or not.
///
/// # Errors
/// Those of `check` and of `release`.
pub(crate) fn delete_checked(
    request: &Request<'_>,
    kind: &str,
    check: impl FnOnce(&Kernel, &State, &Id) -> Result<(), Refusal>,
    release: impl FnOnce(&mut Kernel, &mut State, &Made) -> Result<(), Refusal>,
) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        adopt(kernel, state);
        let id = id_of(state, request, kind)?;
        check(kernel, state, &id)?;
        let Some(made) = state.made.get(&id.key()).cloned() else { return Ok(Answer::empty(204)) };
        release(kernel, state, &made)?;
        state.made.remove(&id.key());
        Ok(Answer::empty(202).with(begin(kernel, state, request, &made.id, &made.location)))
    })
}

/// What a path names.
///
/// # Errors
/// `ResourceNotFound`, `ResourceGroupNotFound`.
pub(crate) fn found<'s>(state: &'s State, request: &Request<'_>, kind: &str) -> Result<&'s Made, Refusal> {
    let id = id_of(state, request, kind)?;
    state.made.get(&id.key()).ok_or_else(|| not_found(kind, id.name(), &id.group))
}

/// One resource as it is told.
///
/// # Errors
/// Those of [`found`].
pub(crate) fn get(
    request: &Request<'_>,
    kind: &str,
    show: impl Fn(&Kernel, &State, &Made) -> Value,
) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| Answer::ok(&show(kernel, state, found(state, request, kind)?)))
}

/// Begins to delete what a path names, with its machines: 204 for what is not there. `end` says when
/// it is gone.
///
/// # Errors
/// Those of `end`.
pub(crate) fn end(
    request: &Request<'_>,
    kind: &str,
    end: impl FnOnce(&mut Kernel, &mut State, &Id) -> Result<Timestamp, Refusal>,
) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let id = id_of(state, request, kind)?;
        let Some(made) = state.made.get(&id.key()).cloned() else { return Ok(Answer::empty(204)) };
        let gone = end(kernel, state, &made.id)?;
        let takes = operation::left(kernel, gone);
        let poll = Poll::Status { provider: provider(&made.id), location: made.location.as_str() };
        Ok(Answer::empty(202).with(operation::begin(kernel, state, request, poll, takes, None)))
    })
}

/// Forgets what was deleted some time ago and is gone now, and the world with it.
pub(crate) fn gone(kernel: &mut Kernel, state: &mut State, key: &str) {
    let Some(made) = state.made.remove(key) else { return };
    if let Err(refusal) = kernel.delete_fixture(&made.id.to_string()) {
        tracing::warn!(?refusal, id = %made.id, "what is gone stays among what is left");
    }
}

/// The resources of a kind in a group or, where the path names none, in a subscription.
pub(crate) fn list(
    request: &Request<'_>,
    kind: &str,
    show: impl Fn(&Kernel, &State, &Made) -> Value,
) -> Result<Answer, Refusal> {
    list_with(request, kind, |_, _| Vec::new(), show)
}

/// Where a list looks.
pub(crate) struct Here<'r> {
    subscription: &'r str,
    group: Option<&'r str>,
}

impl<'r> Here<'r> {
    /// # Errors
    /// `ResourceGroupNotFound`.
    pub(crate) fn of(state: &State, request: &'r Request<'_>) -> Result<Self, Refusal> {
        let group = Some(request.part("group")).filter(|group| !group.is_empty());
        if group.is_some() {
            groups::find(state, request)?;
        }
        Ok(Self { subscription: request.subscription(), group })
    }

    pub(crate) fn has(&self, id: &Id) -> bool {
        id.subscription.eq_ignore_ascii_case(self.subscription)
            && self.group.is_none_or(|group| id.group.eq_ignore_ascii_case(group))
    }
}

/// A resource as it is told.
pub(crate) fn show(kernel: &Kernel, made: &Made) -> Value {
    let id = made.id.to_string();
    let mut shown = json!({
        "id": id,
        "name": made.id.name(),
        "type": made.id.kind,
        "location": made.location,
        "tags": kernel.tags_of(&id).filter(|tags| !tags.is_empty()).map(|tags| json!(*tags)),
        "properties": {},
    });
    if let Value::Object(shown) = &mut shown {
        shown.retain(|_, value| !value.is_null());
        shown.extend(made.body.clone());
    }
    let ready = made.ready <= kernel.now();
    shown["properties"]["provisioningState"] = if ready { "Succeeded" } else { "Updating" }.into();
    shown
}

/// Takes what is free out of the world.
///
/// # Errors
/// The code, while machines hold it.
pub(crate) fn release(kernel: &mut Kernel, id: &str, code: &str) -> Result<(), Refusal> {
    match kernel.delete_fixture(id) {
        Ok(_) => Ok(()),
        Err(Refusal::InUse { by, .. }) => {
            Err(coded(400, code, format!("{id} is in use by {by} machines and cannot be deleted.")))
        }
        Err(other) => Err(other),
    }
}

/// Takes note of the interfaces and addresses that machines left behind.
pub(crate) fn adopt(kernel: &Kernel, state: &mut State) {
    let interfaces = kernel.fixtures(None).filter(|fixture| fixture.kind == FixtureKind::Interface);
    let interfaces = interfaces.map(|fixture| (fixture.id.clone(), fixture.region.clone()));
    let addresses = kernel.addresses(&Whose::default()).into_iter();
    let left = interfaces.chain(addresses.map(|address| (address.id, address.region)));
    for (id, location) in left {
        let Some(id) = Id::parse(&id) else { continue };
        let key = id.key();
        if !state.made.contains_key(&key) {
            let body = machines::interfaces::left(kernel, &state.launched, &id).unwrap_or_default();
            state.made.insert(key, Made { id, location, ready: kernel.now(), body });
        }
    }
}
