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
//! | `subscriptions` | subscriptions and their locations |
//! | `machines` | virtual machines |
//! | `fleets` | many machines by one request: Microsoft.AzureFleet |
//! | `scale_sets` | machines that are looked after together |
//! | `bulk_deletes` | machines that are ended many at once |
//! | `purchase` | machines that are bought many at once |
//! | `made` | what callers configure, whatever it is |
//! | `groups` | resource groups |
//! | `inventory` | everything that there is, by tag |
//! | `tags` | the tags of anything, by themselves |
//! | `network` | networks, security groups, interfaces, public addresses |
//! | `disks` | managed disks |
//! | `blueprint` | what machines are made of: profiles, read and checked |
//! | `launched` | what is kept of machines beside the world |
//! | `skus`, `usages` | sizes, quotas |
//! | `providers`, `permissions` | what a subscription is registered for, what its owner may do |
//! | `retail_prices` | the price list, which anybody may read |
//! | `placement_scores` | how likely spot machines can be had |
//! | `resource_graph` | questions about everything at once |
//! | `state` | what Azure keeps beside the world |

pub(crate) mod activity_log;
pub(crate) mod blueprint;
pub(crate) mod bulk_deletes;
pub(crate) mod disks;
pub(crate) mod error;
pub(crate) mod fleets;
pub(crate) mod groups;
pub(crate) mod id;
pub(crate) mod inventory;
pub(crate) mod launched;
pub(crate) mod list;
pub(crate) mod machines;
pub(crate) mod made;
pub(crate) mod method;
pub(crate) mod network;
pub(crate) mod operation;
pub(crate) mod permissions;
pub(crate) mod placement_scores;
pub(crate) mod providers;
pub(crate) mod purchase;
pub(crate) mod request;
pub(crate) mod resource_graph;
pub(crate) mod retail_prices;
pub(crate) mod scale_sets;
pub(crate) mod skus;
pub(crate) mod state;
pub(crate) mod subscriptions;
pub(crate) mod tags;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod usages;

pub(crate) use crate::azure::request::{Answer, Request};

/// One Azure, for all subscriptions.
pub(crate) type Face = crate::face::Face<state::State>;
