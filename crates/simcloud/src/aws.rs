//! The EC2 face: EC2 Query, and the small JSON services beside it, over one world that plays AWS.
//!
//! | file | what is in it |
//! |---|---|
//! | `query` | the parameters of a request |
//! | `filter`, `page` | `Filter.N`, `MaxResults` and `NextToken` |
//! | `xml`, `error` | answers and EC2's own error codes |
//! | `action` | which action is answered where |
//! | `state` | what EC2 keeps beside the world: groups, templates, fleets |
//! | `creation` | ids, tags and tokens of new things |
//! | `regions`, `types`, `images` | what there is to choose from |
//! | `network`, `groups`, `keys`, `templates`, `placement` | what launches are configured with |
//! | `fleet`, `run`, `blueprint`, `purchase` | launches: what is asked for, what is bought |
//! | `instances`, `launched`, `spot` | what came of them; spot prices and scores |
//! | `volumes`, `interfaces`, `addresses`, `tags` | what goes with them |
//! | `services` | the JSON services: prices, quotas, public parameters, identity |
//! | `shape` | structures that are told as they were given |
//! | `trial` | tests: a face to ask, and what EC2's face must do to be taken for EC2 |

pub(crate) mod action;
pub(crate) mod addresses;
pub(crate) mod blueprint;
pub(crate) mod creation;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod fleet;
pub(crate) mod groups;
pub(crate) mod images;
pub(crate) mod instances;
pub(crate) mod interfaces;
pub(crate) mod keys;
pub(crate) mod launched;
pub(crate) mod network;
pub(crate) mod page;
pub(crate) mod placement;
pub(crate) mod purchase;
pub(crate) mod query;
pub(crate) mod regions;
pub(crate) mod run;
pub(crate) mod services;
pub(crate) mod shape;
pub(crate) mod spot;
pub(crate) mod state;
pub(crate) mod tags;
pub(crate) mod templates;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod types;
pub(crate) mod volumes;
pub(crate) mod xml;

use serde::Serialize;

use crate::aws::query::{Node, Query};
use crate::aws::state::State;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::world::Call;

/// The account of every caller.
pub(crate) const ACCOUNT: &str = "123456789012";

/// One EC2, for all regions.
pub(crate) type Face = crate::face::Face<State>;

/// One request of a caller, read as far as every action needs it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) face: &'a Face,
    /// `CreateFleet`.
    pub(crate) action: &'a str,
    /// The region of the signature's scope.
    pub(crate) region: &'a str,
    /// The parameters.
    pub(crate) query: &'a Query,
    /// The number of the request in the world; set by [`Request::call`].
    number: std::cell::Cell<u64>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(face: &'a Face, action: &'a str, region: &'a str, query: &'a Query) -> Self {
        Self { face, action, region, query, number: std::cell::Cell::new(0) }
    }

    pub(crate) fn root(&self) -> Node<'a> {
        self.query.root()
    }

    /// The one call of the world that every action makes: counted, throttled and made to fail
    /// under the action's name. `resources` is how many machines it starts or ends.
    ///
    /// # Errors
    /// Those of `act`, of the limits and of the faults; `DryRunOperation` when the caller only
    /// wanted to know whether it may.
    pub(crate) fn call<T>(
        &self,
        resources: u32,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.call_as(self.action, resources, act)
    }

    /// As [`Request::call`], counted under another name: `DescribeInstances unfiltered` has a
    /// bucket of its own.
    pub(crate) fn call_as<T>(
        &self,
        action: &str,
        resources: u32,
        act: impl FnOnce(&mut Kernel, &mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let reads = ["Describe", "Get", "List"].iter().any(|verb| action.starts_with(verb));
        let call = match reads {
            true => Call::read(action, self.region),
            false => Call::write(action, self.region, resources),
        };
        let dry = self.root().flag("DryRun")?.unwrap_or(false);
        let (number, answer) = self.face.world.request(call, |kernel| {
            if dry {
                let message = "Request would have succeeded, but DryRun flag is set.";
                return Err(error::coded(412, "DryRunOperation", message));
            }
            self.face.with(kernel, act)
        });
        self.number.set(number);
        answer
    }

    /// The answer, as EC2 writes it.
    pub(crate) fn answer(&self, body: &impl Serialize) -> Result<String, Refusal> {
        xml::response(self.action, &self.request_id(), body)
    }

    /// The answer, when its body is written already.
    pub(crate) fn answer_written(&self, body: String) -> String {
        xml::envelope(self.action, &self.request_id(), body)
    }

    /// The number of the request in the world; `None` for one that never reached it.
    pub(crate) fn number(&self) -> Option<u64> {
        Some(self.number.get()).filter(|number| *number > 0)
    }

    /// The id of this request: another for each.
    pub(crate) fn request_id(&self) -> String {
        request_id(self.number.get())
    }
}

/// A request's number in the shape of EC2's request ids.
pub(crate) fn request_id(number: u64) -> String {
    format!("{:08x}-5eed-4000-8000-{:012x}", number >> 32, number & 0xffff_ffff)
}
