//! Which path is answered where. Each room lists its own.

use crate::azure::network::{addresses, interfaces, networks, security_groups};
use crate::azure::request::{Answer, Request};
use crate::azure::{
    activity_log, disks, groups, inventory, machines, operation, placement_scores, resource_graph, retail_prices, skus,
    subscriptions, usages,
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
    disks::METHODS,
    groups::METHODS,
    interfaces::METHODS,
    inventory::METHODS,
    machines::METHODS,
    networks::METHODS,
    operation::METHODS,
    placement_scores::METHODS,
    resource_graph::METHODS,
    retail_prices::METHODS,
    security_groups::METHODS,
    skus::METHODS,
    subscriptions::METHODS,
    usages::METHODS,
];

/// A method and the values of its path's parameters; `None` for what is not simulated. Azure does
/// not tell paths apart by their case.
pub(crate) fn find(verb: &str, path: &str) -> Option<(Method, Values)> {
    method::find(ROOMS, verb, path, Case::Ignored)
}

/// The names of all, in order.
pub(crate) fn names() -> Vec<&'static str> {
    method::names(ROOMS)
}
