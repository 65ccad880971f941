//! What Compute Engine itself has in each zone: one of it, a zone's, and all zones'.

use serde_json::Value;
use skyfleet_core::Zone;

use crate::gcp::error::not_found;
use crate::gcp::list::{self, Wanted};
use crate::gcp::request::{Answer, Request};
use crate::gcp::url::Scope;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// A collection of things that nobody makes: machine types.
pub(crate) struct Collection {
    /// `machineTypes`.
    pub(crate) name: &'static str,
    /// `compute#machineType`, without the `compute#`.
    pub(crate) kind: &'static str,
    /// Those of a zone, as a project sees them.
    pub(crate) items: fn(&Kernel, &str, &Zone) -> Vec<Value>,
}

impl Collection {
    /// One by the path's parameter that has the name of the kind.
    pub(crate) fn get(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let name = request.part(self.kind);
        let found = request.look(|kernel, _| {
            let zone = request.zone(kernel)?;
            let mut items = (self.items)(kernel, request.project(), &zone).into_iter();
            let is_it = |item: &Value| item["name"] == name || item["id"] == name;
            let path = || format!("zones/{zone}/{}/{name}", self.name);
            items.find(is_it).ok_or_else(|| not_found(request.project(), &path()))
        })?;
        request.answer(&found)
    }

    /// Those of the path's zone.
    pub(crate) fn list(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let wanted = Wanted::read(request)?;
        let page = request.look(|kernel, _| {
            let zone = request.zone(kernel)?;
            let items = (self.items)(kernel, request.project(), &zone);
            let (kind, path) = (format!("compute#{}List", self.kind), format!("zones/{zone}/{}", self.name));
            Ok(wanted.page(items.into_iter(), &kind, &path, request))
        })?;
        request.answer(&page)
    }

    /// Those of all zones.
    pub(crate) fn aggregated(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let wanted = Wanted::read(request)?;
        let page = request.look(|kernel, _| {
            let scopes = list::zones(kernel);
            let items = scopes.iter().flat_map(|scope| {
                let Scope::Zone(zone) = scope else { return Vec::new() };
                let items = (self.items)(kernel, request.project(), zone).into_iter();
                items.map(|item| (scope.clone(), item)).collect()
            });
            let kind = format!("compute#{}AggregatedList", self.kind);
            Ok(wanted.aggregated(items, &scopes, &kind, self.name, request))
        })?;
        request.answer(&page)
    }
}
