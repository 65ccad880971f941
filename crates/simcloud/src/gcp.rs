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
//! | `resource`, `labels` | what every resource says of itself; labels and their fingerprints |
//! | `projects`, `quotas`, `regions`, `zones` | the project and the places |
//! | `zonal`, `machine_types`, `accelerator_types`, `disk_types` | what is sold in each zone |
//! | `images` | the images that everybody may use, and those of the caller's own |
//! | `instances`, `bulk`, `blueprint` | instances, one by one and many at once; what they are made of |
//! | `launched`, `preemption` | what is kept of them beside the world; what becomes of them by itself |
//! | `advice` | how likely capacity can be had, and what it cost |
//! | `made`, `networks`, `subnetworks`, `firewalls`, `instance_templates` | configuration that costs nothing |
//! | `disks`, `addresses` | what costs money beside instances |
//! | `services` | the price list, permissions, what is enabled |

pub(crate) mod accelerator_types;
pub(crate) mod addresses;
pub(crate) mod advice;
pub(crate) mod blueprint;
pub(crate) mod bulk;
pub(crate) mod disk_types;
pub(crate) mod disks;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod firewalls;
pub(crate) mod images;
pub(crate) mod instance_templates;
pub(crate) mod instances;
pub(crate) mod labels;
pub(crate) mod launched;
pub(crate) mod list;
pub(crate) mod machine_types;
pub(crate) mod made;
pub(crate) mod method;
pub(crate) mod networks;
pub(crate) mod operation;
pub(crate) mod preemption;
pub(crate) mod projects;
pub(crate) mod quotas;
pub(crate) mod regions;
pub(crate) mod request;
pub(crate) mod resource;
pub(crate) mod services;
pub(crate) mod state;
pub(crate) mod subnetworks;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod url;
pub(crate) mod zonal;
pub(crate) mod zones;

pub(crate) use crate::gcp::request::{Answer, Request};

/// One Compute Engine, for all projects.
pub(crate) type Face = crate::face::Face<state::State>;
