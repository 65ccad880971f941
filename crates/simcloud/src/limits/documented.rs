use super::{Limit, Shape};
use crate::catalog::Cloud;

/// The cloud's own code and status for a call that comes too fast.
pub(super) fn refusal(cloud: Cloud) -> (&'static str, u16) {
    match cloud {
        Cloud::Neutral => ("rate-limited", 429),
        Cloud::Aws => ("RequestLimitExceeded", 503),
        Cloud::Gcp => ("rateLimitExceeded", 403),
        Cloud::Azure => ("SubscriptionRequestsThrottled", 429),
    }
}

/// Every documented limit that a call runs into.
pub(super) fn of_call(cloud: Cloud, action: &str, resources: u32) -> Vec<Limit> {
    match cloud {
        Cloud::Neutral => Vec::new(),
        Cloud::Aws => aws(action, resources),
        Cloud::Gcp => gcp(action),
        Cloud::Azure => azure(action),
    }
}

/// Per account and region: a bucket of requests for each action, and one of resources for the
/// actions that start and end instances. Whether `CreateFleet` draws on the resources of
/// `RunInstances` is not documented; here it does, which is what a careful caller plans for.
fn aws(action: &str, resources: u32) -> Vec<Limit> {
    let bucket = |name: String, capacity: u32, per_second: u32, draws: u32| Limit {
        name,
        shape: Shape::Bucket { capacity: f64::from(capacity), per_second: f64::from(per_second) },
        draws: f64::from(draws),
        global: false,
        code: "RequestLimitExceeded",
    };
    let reads = ["Describe", "Get", "List", "Search"].iter().any(|verb| action.starts_with(verb));
    let (capacity, per_second) = match action {
        "RunInstances" | "StartInstances" => (5, 2),
        "TerminateInstances"
        | "CreateLaunchTemplateVersion"
        | "CreateVolume"
        | "DeleteVolume"
        | "CreateNetworkInterface"
        | "DeleteNetworkInterface" => (100, 5),
        "CreateTags" | "DeleteTags" => (100, 10),
        "CreateNatGateway" => (10, 1),
        _ if reads && action.ends_with(" unfiltered") => (50, 10),
        _ if reads => (100, 20),
        _ => (50, 5),
    };
    let mut limits = vec![bucket(action.to_owned(), capacity, per_second, 1)];
    let resource = match action {
        "RunInstances" | "CreateFleet" => Some(("RunInstances resources", 2)),
        "StartInstances" => Some(("StartInstances resources", 2)),
        "StopInstances" => Some(("StopInstances resources", 20)),
        "TerminateInstances" => Some(("TerminateInstances resources", 20)),
        _ => None,
    };
    limits.extend(resource.map(|(name, per_second)| bucket(name.to_owned(), 1_000, per_second, resources)));
    limits
}

/// Services of Google Cloud that are none of Compute Engine's and have quotas of their own: prices,
/// permissions, enabled services.
const ELSEWHERE: [&str; 4] = ["skus", "cloudbilling", "cloudresourcemanager", "serviceusage"];

/// Per project and region (or `global`): groups of calls, each with 1,500 a minute that come back
/// together at the full minute, and the limits of bulk inserts, zonal and regional ones together.
fn gcp(action: &str) -> Vec<Limit> {
    let limit = |name: &str, shape, global| Limit {
        name: name.to_owned(),
        shape,
        draws: 1.0,
        global,
        code: "rateLimitExceeded",
    };
    let (resource, method) = action.rsplit_once('.').unwrap_or(("", action));
    if ELSEWHERE.iter().any(|service| resource.starts_with(service)) {
        return Vec::new();
    }
    let group = match method {
        "aggregatedList" | "wait" => "heavy-weight reads",
        "get" if resource.ends_with("Operations") => "operation reads",
        _ if method.starts_with("list") => "lists",
        _ if method.starts_with("get") || method == "testIamPermissions" => "reads",
        _ => "mutations",
    };
    let mut limits = vec![limit(group, Shape::Window { most: 1_500.0, seconds: 60 }, false)];
    if method == "bulkInsert" {
        limits.push(limit("bulk inserts", Shape::Window { most: 20.0, seconds: 1 }, true));
        limits.push(limit("bulk inserts in flight", Shape::InFlight { most: 10 }, true));
    }
    limits
}

/// Two layers: Resource Manager counts every call per subscription and region (and 15 times that
/// over all regions); the compute and network services count behind it.
fn azure(action: &str) -> Vec<Limit> {
    let limit =
        |name: &str, shape, global, code| Limit { name: name.to_owned(), shape, draws: 1.0, global, code };
    let (resource, verb) = action.rsplit_once('.').unwrap_or((action, "GET"));
    if resource == "retailPrices" {
        // Served by another host, to everybody.
        return Vec::new();
    }
    let (class, capacity, per_second) = match verb {
        "GET" | "LIST" => ("reads", 250.0, 25.0),
        "DELETE" => ("deletes", 200.0, 10.0),
        _ => ("writes", 200.0, 10.0),
    };
    let front = |name: &str, times: f64, global| {
        let shape = Shape::Bucket { capacity: capacity * times, per_second: per_second * times };
        limit(&format!("{name}-{class}"), shape, global, "SubscriptionRequestsThrottled")
    };
    let mut limits = vec![front("subscription", 1.0, false), front("subscription-global", 15.0, true)];

    // Per minute and bucket.
    let compute = match (resource, verb) {
        ("virtualMachines", "PUT") => Some(("PutVM", 500.0, 1_500.0)),
        ("virtualMachines", "PATCH") => Some(("UpdateVM", 500.0, 1_500.0)),
        ("virtualMachines", "DELETE" | "POST") => Some(("DeleteVM", 500.0, 1_500.0)),
        ("virtualMachines", "GET") => Some(("LowCostGet", 8_000.0, 24_000.0)),
        ("virtualMachines", "LIST") => Some(("HighCostGet", 300.0, 900.0)),
        ("operations", "GET") => Some(("GetOperation", 5_000.0, 15_000.0)),
        ("virtualMachineScaleSets", "PUT") => Some(("PutVMScaleSet", 125.0, 375.0)),
        ("virtualMachineScaleSets", "PATCH") => Some(("UpdateVMScaleSet", 500.0, 1_500.0)),
        ("virtualMachineScaleSets", "DELETE" | "POST") => Some(("DeleteVMScaleSet", 175.0, 525.0)),
        ("virtualMachineScaleSets", "GET") => Some(("LowCostGetVMScaleSet", 800.0, 2_400.0)),
        ("virtualMachineScaleSets", "LIST") => Some(("HighCostGetVMScaleSet", 360.0, 1_080.0)),
        _ => None,
    };
    limits.extend(compute.map(|(name, per_minute, capacity)| {
        let shape = Shape::Bucket { capacity, per_second: per_minute / 60.0 };
        limit(&format!("Microsoft.Compute/{name}"), shape, false, "OperationNotAllowed")
    }));
    if matches!(
        resource,
        "networkSecurityGroups" | "virtualNetworks" | "networkInterfaces" | "publicIPAddresses"
    ) {
        let (name, most) = if class == "reads" { ("Read", 10_000.0) } else { ("Write", 1_000.0) };
        let shape = Shape::Window { most, seconds: 300 };
        limits.push(limit(&format!("Microsoft.Network/{name}"), shape, false, "TooManyRequests"));
    }
    if resource == "resourceGraph" {
        let shape = Shape::Window { most: 15.0, seconds: 5 };
        limits.push(limit("Microsoft.ResourceGraph/Query", shape, true, "RateLimiting"));
    }
    limits
}
