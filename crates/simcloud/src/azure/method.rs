//! Which path is answered where. Each room lists its own.

use crate::azure::network::{addresses, interfaces, networks, security_groups, security_rules};
use crate::azure::request::{Answer, Request};
use crate::azure::{
    activity_log, bulk_deletes, disks, fleets, groups, inventory, machines, operation, permissions,
    placement_scores, providers, resource_graph, retail_prices, scale_sets, skus, subscriptions, tags,
    usages,
};
use crate::method::{self, Case, Values};
use crate::refusal::Refusal;

/// A method of Resource Manager, or of a small service beside it, by the name under which it is
/// counted: the resource's type and the verb, `LIST` for many.
pub(crate) type Method = method::Method<fn(&Request<'_>) -> Result<Answer, Refusal>>;

/// Lists of methods, by room.
const ROOMS: &[&[Method]] = &[
    activity_log::METHODS,
    addresses::METHODS,
    bulk_deletes::METHODS,
    disks::METHODS,
    fleets::METHODS,
    groups::METHODS,
    interfaces::METHODS,
    inventory::METHODS,
    machines::METHODS,
    networks::METHODS,
    operation::METHODS,
    permissions::METHODS,
    placement_scores::METHODS,
    providers::METHODS,
    resource_graph::METHODS,
    retail_prices::METHODS,
    scale_sets::METHODS,
    security_groups::METHODS,
    security_rules::METHODS,
    skus::METHODS,
    subscriptions::METHODS,
    tags::METHODS,
    usages::METHODS,
];

/// A method and the values of its path's parameters; `None` for what is not simulated. Azure does
/// not tell paths apart by their case.
pub(crate) fn find(verb: &str, path: &str) -> Option<(Method, Values)> {
    method::find(ROOMS, verb, path, Case::Ignored)
}

/// The verbs and the templates of the paths of all.
pub(crate) fn paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROOMS.iter().copied().flatten().map(|method| (method.verb, method.path))
}

/// The names of all, in order.
pub(crate) fn names() -> Vec<&'static str> {
    method::names(ROOMS)
}
