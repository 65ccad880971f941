use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use skyfleet_core::{Region, Timestamp, Zone};

use crate::gcp::error::invalid;
use crate::gcp::state::State;
use crate::gcp::url::{self, Scope};
use crate::gcp::{Face, operation};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::world::Call;

/// One request of a caller, matched to a method of the discovery document.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) face: &'a Face,
    /// `instances.bulkInsert`.
    pub(crate) method: &'static str,
    /// The values of the path's parameters: `project`, `zone`, `instance`.
    path: BTreeMap<&'static str, String>,
    query: &'a BTreeMap<String, String>,
    /// The body; null when there is none.
    pub(crate) body: &'a Value,
    /// It was held back until its time came: see [`Answer::Later`].
    pub(crate) waited: bool,
}

/// What goes back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A body, in JSON.
    Now(String),
    /// Nothing: 204.
    Empty,
    /// Nothing before this moment of the world's clock; then the request is asked again, with
    /// `waited`.
    Later(Timestamp),
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        face: &'a Face,
        method: &'static str,
        path: BTreeMap<&'static str, String>,
        query: &'a BTreeMap<String, String>,
        body: &'a Value,
    ) -> Self {
        Self { face, method, path, query, body, waited: false }
    }

    /// A parameter of the path; the method's template has it, or this is empty.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// All parameters of the path.
    pub(crate) fn parts(&self) -> &BTreeMap<&'static str, String> {
        &self.path
    }

    pub(crate) fn project(&self) -> &str {
        self.part("project")
    }

    /// A parameter of the query.
    pub(crate) fn option(&self, name: &str) -> Option<&'a str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter of the query, read.
    ///
    /// # Errors
    /// `invalid` for a value that is none.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.option(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| invalid(name, text, "It cannot be read."))
    }

    /// The body as a structure; members that it does not have are left aside.
    ///
    /// # Errors
    /// `invalid` with the place for a body of another shape.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let nothing = Value::Object(serde_json::Map::new());
        let body = if self.body.is_null() { &nothing } else { self.body };
        T::deserialize(body)
            .map_err(|error| invalid("resource", &error.to_string(), "The body cannot be read."))
    }

    /// Where the method acts, by its path. Names are not checked: see [`Request::scope`].
    fn written_scope(&self) -> Scope {
        match (self.path.get("zone"), self.path.get("region")) {
            (Some(zone), _) => Scope::Zone(Zone::new(zone.as_str())),
            (None, Some(region)) => Scope::Region(Region::new(region.as_str())),
            (None, None) => Scope::Global,
        }
    }

    /// Where the method acts, by its path.
    ///
    /// # Errors
    /// `invalid` for a zone or a region that there is not.
    pub(crate) fn scope(&self, kernel: &Kernel) -> Result<Scope, Refusal> {
        let scope = self.written_scope();
        match &scope {
            Scope::Global => {}
            Scope::Region(region) => kernel.known_region(region)?,
            Scope::Zone(zone) => {
                known_zone(kernel, zone)?;
            }
        }
        Ok(scope)
    }

    /// The zone of the path.
    ///
    /// # Errors
    /// `invalid` for a zone that there is not.
    pub(crate) fn zone(&self, kernel: &Kernel) -> Result<Zone, Refusal> {
        let zone = Zone::new(self.part("zone"));
        known_zone(kernel, &zone)?;
        Ok(zone)
    }

    /// The region of the path.
    ///
    /// # Errors
    /// `invalid` for a region that there is not.
    pub(crate) fn region(&self, kernel: &Kernel) -> Result<Region, Refusal> {
        let region = Region::new(self.part("region"));
        kernel.known_region(&region)?;
        Ok(region)
    }

    /// The whole name of something in the request's project: `link("zones/z/instances/n")`.
    pub(crate) fn link(&self, path: &str) -> String {
        url::link(self.project(), path)
    }

    /// The one call of the world that a method makes that only looks: counted, throttled and made
    /// to fail under the method's name.
    ///
    /// # Errors
    /// Those of `act`, of the limits and of the faults.
    pub(crate) fn look<T>(
        &self,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.call(false, 0, act)
    }

    /// The one call of the world that a method makes that changes something. It answers with an
    /// operation; a `requestId` that was used before gets the operation that it got then.
    /// `resources` is how many machines it starts or ends.
    ///
    /// # Errors
    /// Those of `act`, of the limits and of the faults; `invalid` for a `requestId` that is none, or
    /// was used with another request.
    pub(crate) fn change(
        &self,
        resources: u32,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<operation::New, Refusal>,
    ) -> Result<Answer, Refusal> {
        let token = operation::Token::read(self)?;
        let shown = self.call(true, resources, |kernel, state| {
            if let Some(known) = state.operations.repeated(token.as_ref(), kernel.now())? {
                return Ok(known.show(self.project(), kernel));
            }
            let new = act(kernel, state)?;
            let operation = operation::begin(kernel, state, self, new);
            let shown = operation.show(self.project(), kernel);
            if let Some(token) = token {
                state.operations.remember(token, &operation);
            }
            Ok(shown)
        })?;
        self.answer(&shown)
    }

    fn call<T>(
        &self,
        writes: bool,
        resources: u32,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let scope = self.written_scope();
        let region = self.face.world.look(|kernel| {
            let of = |zone: &Zone| kernel.catalog().zone(zone.as_str()).map(|spec| spec.region.to_string());
            match &scope {
                Scope::Global => "global".to_owned(),
                Scope::Region(region) => region.to_string(),
                Scope::Zone(zone) => of(zone).unwrap_or_else(|| "global".to_owned()),
            }
        });
        let call = match writes {
            true => Call::write(self.method, &region, resources),
            false => Call::read(self.method, &region),
        };
        self.face.world.call(call, |kernel| self.face.with(kernel, act))
    }

    /// The answer, in JSON.
    ///
    /// # Errors
    /// `internalError` for what cannot be written, which is a bug.
    pub(crate) fn answer(&self, body: &impl Serialize) -> Result<Answer, Refusal> {
        serde_json::to_string(body)
            .map(Answer::Now)
            .map_err(|error| Refusal::State { message: error.to_string() })
    }
}

/// The region of a zone.
///
/// # Errors
/// `invalid` for a zone that there is not.
pub(crate) fn known_zone(kernel: &Kernel, zone: &Zone) -> Result<Region, Refusal> {
    let spec = kernel.catalog().zone(zone.as_str()).filter(|spec| kernel.in_scope(&spec.region));
    spec.map(|spec| spec.region.clone()).ok_or_else(|| invalid("zone", zone.as_str(), "Unknown zone."))
}
