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

pub(crate) use crate::gcp::request::{Answer, Request};

/// One Compute Engine, for all projects.
pub(crate) type Face = crate::face::Face<state::State>;
