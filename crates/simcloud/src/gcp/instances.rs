//! Instances: what there is, and what is done with one.

pub(crate) mod changes;
pub(crate) mod console;
pub(crate) mod ending;
pub(crate) mod insert;
pub(crate) mod item;

use serde_json::Value;
use skyfleet_core::{Zone, tag};

use crate::gcp::error::not_found;
use crate::gcp::launched::{Flash, existing, name_of};
use crate::gcp::list::{self, Wanted};
use crate::gcp::method::Method;
use crate::gcp::request::{Answer, Request};
use crate::gcp::state::State;
use crate::gcp::url::Scope;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::{MachineView, Whose};

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "instances.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances",
        answer: insert::insert,
    },
    Method {
        id: "instances.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}",
        answer: get,
    },
    Method {
        id: "instances.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/instances",
        answer: list,
    },
    Method {
        id: "instances.aggregatedList",
        verb: "GET",
        path: "compute/v1/projects/{project}/aggregated/instances",
        answer: aggregated,
    },
    Method {
        id: "instances.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}",
        answer: ending::delete,
    },
    Method {
        id: "instances.stop",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/stop",
        answer: ending::stop,
    },
    Method {
        id: "instances.start",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/start",
        answer: ending::start,
    },
    Method {
        id: "instances.reset",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/reset",
        answer: ending::reset,
    },
    Method {
        id: "instances.simulateMaintenanceEvent",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/simulateMaintenanceEvent",
        answer: ending::maintain,
    },
    Method {
        id: "instances.setLabels",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/setLabels",
        answer: changes::labels,
    },
    Method {
        id: "instances.setMetadata",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/setMetadata",
        answer: changes::metadata,
    },
    Method {
        id: "instances.setTags",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/setTags",
        answer: changes::tags,
    },
    Method {
        id: "instances.setDeletionProtection",
        verb: "POST",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{resource}/setDeletionProtection",
        answer: changes::protection,
    },
    Method {
        id: "instances.getSerialPortOutput",
        verb: "GET",
        path: "compute/v1/projects/{project}/zones/{zone}/instances/{instance}/serialPort",
        answer: console::output,
    },
];

/// An instance as a list finds it.
enum Found<'s> {
    Made(Box<MachineView>),
    Flash(&'s Flash),
}

impl Found<'_> {
    fn name(&self) -> String {
        match self {
            Self::Made(view) => name_of(&view.id).to_owned(),
            Self::Flash(flash) => flash.name.to_string(),
        }
    }

    fn zone(&self) -> &Zone {
        match self {
            Self::Made(view) => &view.offer.zone,
            Self::Flash(flash) => &flash.offer.zone,
        }
    }

    fn show(&self, kernel: &Kernel, state: &State, project: &str) -> Value {
        match self {
            Self::Made(view) => item::instance(kernel, &state.launched, view, project).unwrap_or(Value::Null),
            Self::Flash(flash) => item::flash(flash, kernel.now(), project),
        }
    }
}

/// The instance of the path.
///
/// # Errors
/// `invalid` for a zone that there is not, `notFound`.
pub(crate) fn named(kernel: &Kernel, state: &State, request: &Request<'_>) -> Result<MachineView, Refusal> {
    existing_named(kernel, state, request, "instance")
}

/// The same where the parameter of the path is called otherwise.
pub(crate) fn existing_named(
    kernel: &Kernel,
    state: &State,
    request: &Request<'_>,
    parameter: &str,
) -> Result<MachineView, Refusal> {
    let (zone, name) = (request.zone(kernel)?, request.part(parameter));
    let found = existing(kernel, &zone, name).filter(|view| state.launched.of(view.launch).is_some());
    found.ok_or_else(|| not_found(request.project(), &format!("zones/{zone}/instances/{name}")))
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| {
        let (zone, name) = (request.zone(kernel)?, request.part("instance"));
        if let Some(flash) = state.launched.flash_named(&zone, name) {
            return Ok(item::flash(flash, kernel.now(), request.project()));
        }
        let view = named(kernel, state, request)?;
        Ok(Found::Made(Box::new(view)).show(kernel, state, request.project()))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let zone = request.zone(kernel)?;
        let found = all(kernel, state, &wanted, Some(&zone));
        let found = found.into_iter().map(|found| (found.name(), found)).collect();
        let show = |found: &Found<'_>| found.show(kernel, state, request.project());
        Ok(wanted.page_of(found, show, "compute#instanceList", &format!("zones/{zone}/instances"), request))
    })?;
    request.answer(&page)
}

fn aggregated(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let found = all(kernel, state, &wanted, None).into_iter();
        let found = found.map(|found| (Scope::Zone(found.zone().clone()), found.name(), found)).collect();
        let show = |found: &Found<'_>| found.show(kernel, state, request.project());
        let kind = ("compute#instanceAggregatedList", "instances");
        Ok(wanted.aggregated_of(found, show, &list::zones(kernel), kind, request))
    })?;
    request.answer(&page)
}

/// The instances that a list may want. What the world can look up at once need not be filtered out
/// of everything.
fn all<'s>(kernel: &Kernel, state: &'s State, wanted: &Wanted, zone: Option<&Zone>) -> Vec<Found<'s>> {
    let label = |key: &str| wanted.filter.exact(&format!("labels.{key}"));
    let whose = Whose {
        owner: label(tag::OWNER),
        fleet: label(tag::FLEET),
        zone: zone.map(Zone::as_str),
        ..Whose::default()
    };
    let launched = &state.launched;
    let mut found: Vec<Found<'s>> = kernel
        .machines_as(&whose, |view| launched.of(view.launch).is_some().then(|| Found::Made(Box::new(view))));
    let here = launched.flashes().filter(|flash| zone.is_none_or(|zone| flash.offer.zone == *zone));
    found.extend(here.map(Found::Flash));
    found
}

#[cfg(test)]
pub(crate) mod tests;
