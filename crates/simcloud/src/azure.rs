//! The face of Azure Resource Manager, and the small services beside it, over one world that plays
//! Azure.
//!
//! | file | what is in it |
//! |---|---|
//! | `method` | which path is answered where |
//! | `id` | names of resources: case does not matter in them |
//! | `request` | what a method is asked with, and what it answers |
//! | `list` | lists and their pages |
//! | `error` | refusals in Resource Manager's envelope |
//! | `operation` | long-running operations, by `Azure-AsyncOperation` and by `Location` |
//! | `activity_log` | what was done to machines, and by whom |
//! | `state` | what Azure keeps beside the world |

pub(crate) mod activity_log;
pub(crate) mod error;
pub(crate) mod id;
pub(crate) mod list;
pub(crate) mod method;
pub(crate) mod operation;
pub(crate) mod request;
pub(crate) mod state;

pub(crate) use crate::azure::request::{Answer, Request};

/// One Azure, for all subscriptions.
pub(crate) type Face = crate::face::Face<state::State>;
