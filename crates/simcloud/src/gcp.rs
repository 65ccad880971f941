//! The Compute Engine face: REST v1, and the small services beside it, over one world that plays
//! Google Cloud.
//!
//! | file | what is in it |
//! |---|---|
//! | `method` | which method of the discovery document is answered where |
//! | `url` | names of resources, as callers write them and as the cloud does |
//! | `request` | what a method is asked with, and what it answers |
//! | `filter`, `list` | filters of both grammars; lists, aggregated lists and their pages |
//! | `error` | refusals in Google's envelope |
//! | `operation` | long-running operations of the three scopes |
//! | `state` | what Compute Engine keeps beside the world |

pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod list;
pub(crate) mod method;
pub(crate) mod operation;
pub(crate) mod request;
pub(crate) mod state;
pub(crate) mod url;

use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use crate::gcp::request::{Answer, Request};

use crate::gcp::state::State;
use crate::kernel::Kernel;
use crate::world::World;

/// One Compute Engine, for all projects: the world, and what it keeps beside the world.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) world: World,
    state: Arc<Mutex<State>>,
}

impl Face {
    pub(crate) fn new(world: World) -> Self {
        Self { world, state: Arc::default() }
    }

    /// What Compute Engine keeps beside the world, past all rate limits and faults: for the
    /// metadata service and the admin face.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Kernel, &mut State) -> T) -> T {
        self.world.look(|kernel| self.beside(kernel, look))
    }

    /// The same for whoever has the world already.
    pub(crate) fn beside<T>(
        &self,
        kernel: &mut Kernel,
        look: impl FnOnce(&mut Kernel, &mut State) -> T,
    ) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        look(kernel, &mut state)
    }

    /// Forgets everything that Compute Engine keeps beside the world.
    pub(crate) fn reset(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}
