use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::azure::state::State;
use crate::azure::{Face, providers};
use crate::kernel::Kernel;
use crate::method::Values;
use crate::refusal::Refusal;
use crate::world::Call;

/// One request of a caller, matched to a method.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) face: &'a Face,
    /// Under which it is counted: `virtualMachines.PUT`.
    pub(crate) method: &'static str,
    pub(crate) head: &'a Head,
    path: Values,
    /// The body; null when there is none.
    pub(crate) body: &'a Value,
    /// Where its call of the world went, for the rate limits.
    region: RefCell<String>,
}

/// What a request says beside its path and its body.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Where this server is, as the caller calls it: `http://127.0.0.1:1234`. Links in answers begin
    /// with it.
    pub(crate) base: String,
    /// The path as it was written.
    pub(crate) path: String,
    /// The parameters of the query, by their names in lower case.
    pub(crate) query: BTreeMap<String, String>,
    /// `If-None-Match: *`: only what is not there yet is made.
    pub(crate) only_new: bool,
}

/// What goes back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In JSON; `None` for nothing.
    pub(crate) body: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// # Errors
    /// `InternalServerError` for what cannot be written, which is a bug.
    pub(crate) fn new(status: u16, body: &impl Serialize) -> Result<Self, Refusal> {
        let body =
            serde_json::to_string(body).map_err(|error| Refusal::State { message: error.to_string() })?;
        Ok(Self { status, body: Some(body), headers: Vec::new() })
    }

    /// 200, with this.
    ///
    /// # Errors
    /// Those of [`Answer::new`].
    pub(crate) fn ok(body: &impl Serialize) -> Result<Self, Refusal> {
        Self::new(200, body)
    }

    /// Without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    /// The same, with headers beside those that it has.
    #[must_use]
    pub(crate) fn with(mut self, headers: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.headers.extend(headers);
        self
    }
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        face: &'a Face,
        method: &'static str,
        head: &'a Head,
        path: Values,
        body: &'a Value,
    ) -> Self {
        Self { face, method, head, path, body, region: RefCell::default() }
    }

    /// A parameter of the path; the method's template has it, or this is empty.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    pub(crate) fn subscription(&self) -> &str {
        self.part("subscription")
    }

    /// A parameter of the query, by its name in lower case.
    pub(crate) fn option(&self, name: &str) -> Option<&'a str> {
        self.head.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where its call of the world went: the region whose rate limits it drew on.
    pub(crate) fn went_to(&self) -> String {
        self.region.borrow().clone()
    }

    /// The region of a name in any form, noted.
    fn goes_to(&self, region: &str) -> String {
        let region = region.replace(' ', "").to_lowercase();
        self.region.replace(region.clone());
        region
    }

    /// The one call of the world that a method makes that only looks. `region` is where it goes, for
    /// the rate limits; `global` where that is nowhere.
    ///
    /// # Errors
    /// Those of `act`, of the limits and of the faults.
    pub(crate) fn look<T>(
        &self,
        region: &str,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.call(Call::read(self.method, &self.goes_to(region)), act)
    }

    /// The one call of the world that a method makes that changes something. `resources` is how many
    /// machines it starts or ends.
    ///
    /// # Errors
    /// Those of `act`, of the limits and of the faults.
    pub(crate) fn change<T>(
        &self,
        region: &str,
        resources: u32,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.call(Call::write(self.method, &self.goes_to(region), resources), |kernel, state| {
            if self.method.ends_with(".PUT") {
                providers::registered(kernel, state, self)?;
            }
            act(kernel, state)
        })
    }

    fn call<T>(
        &self,
        call: Call<'_>,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.face.world.request(call, |kernel| self.face.with(kernel, act)).1
    }
}
