use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::Timestamp;

use crate::catalog::Cloud;

mod documented;

/// A call that came too fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// When the same call may be let in.
    pub retry_after: Duration,
    /// The cloud's own code: `RequestLimitExceeded`, `rateLimitExceeded`, and on Azure
    /// `SubscriptionRequestsThrottled` from Resource Manager but `OperationNotAllowed` from the
    /// service behind it.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Which limit: `RunInstances resources`, `Microsoft.Compute/HighCostGet`.
    pub limit: String,
}

/// The rate limits of one account on one cloud, as documented by it. Deterministic; all of its
/// state is serializable.
///
/// Sources: EC2 developer guide, "Request throttling"; Compute Engine, "Rate quotas" (the last
/// edition that printed default values) and "About bulk creation of VMs"; Azure, "How Resource
/// Manager throttles requests" and "Compute throttling limits".
///
/// Actions are the cloud's own names. EC2: `RunInstances`; a listing without filter and page size
/// is `DescribeInstances unfiltered`. Compute Engine: `instances.delete`. Azure:
/// `virtualMachines.PUT`, `.GET` for one resource and `.LIST` for many. The neutral cloud has no
/// limits.
///
/// ```
/// use skyfleet_simcloud::{Cloud, limits::ApiLimits};
/// let mut limits = ApiLimits::of(Cloud::Aws);
/// let now = skyfleet_core::Timestamp::UNIX_EPOCH;
/// limits.admit("RunInstances", "us-east-1", 1_000, now).unwrap();
/// let throttle = limits.admit("RunInstances", "us-east-1", 20, now).unwrap_err();
/// assert_eq!((throttle.status, throttle.retry_after.as_secs()), (503, 10));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiLimits {
    cloud: Cloud,
    /// What has been drawn, by region and limit. A limit that was never drawn on is full.
    levels: BTreeMap<String, Level>,
    /// When the calls in flight end.
    in_flight: BTreeMap<String, Vec<Timestamp>>,
    overrides: Vec<Override>,
}

/// What is left of one limit, and when that was so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Level {
    left: f64,
    at: Timestamp,
}

/// The fault `throttle`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Override {
    action: Option<String>,
    rps: f64,
    burst: f64,
    level: Option<Level>,
}

/// One documented limit that a call runs into.
struct Limit {
    name: String,
    shape: Shape,
    /// How much of it the call draws.
    draws: f64,
    /// Whether it spans the regions.
    global: bool,
    code: &'static str,
}

#[derive(Clone, Copy)]
enum Shape {
    /// A token bucket that refills all the time.
    Bucket { capacity: f64, per_second: f64 },
    /// So many in each window; windows begin together, at whole multiples of their length.
    Window { most: f64, seconds: i64 },
    /// So many at a time.
    InFlight { most: usize },
}

/// Tokens are drawn in whole numbers and refilled in fractions: what is missing by less than this
/// is a rounding error.
const ROUNDING: f64 = 1e-6;

impl Shape {
    /// What is left at a time.
    fn left(self, level: Option<&Level>, now: Timestamp) -> f64 {
        match (self, level) {
            (Self::Bucket { capacity, .. }, None) => capacity,
            (Self::Bucket { capacity, per_second }, Some(level)) => {
                let seconds = now.duration_since(level.at).as_secs_f64().max(0.0);
                (level.left + seconds * per_second).min(capacity)
            }
            (Self::Window { seconds, .. }, Some(level))
                if window(level.at, seconds) == window(now, seconds) =>
            {
                level.left
            }
            (Self::Window { most, .. }, _) => most,
            (Self::InFlight { most }, _) => most as f64,
        }
    }

    /// How long until `draws` are there, when only `left` are.
    fn wait(self, left: f64, draws: f64, now: Timestamp) -> Duration {
        match self {
            Self::Bucket { capacity, per_second } => {
                let missing = draws.min(capacity) - left;
                // A bucket that never refills: come back in a minute and see.
                let seconds = if per_second > 0.0 { missing / per_second } else { 60.0 };
                Duration::from_millis((seconds * 1_000.0 - ROUNDING).ceil().clamp(1.0, 8.64e7) as u64)
            }
            Self::Window { seconds, .. } => {
                let end = (window(now, seconds) + 1) * seconds;
                Duration::from_nanos((i128::from(end) * 1_000_000_000 - now.as_nanosecond()).max(0) as u64)
            }
            Self::InFlight { .. } => Duration::from_secs(1),
        }
    }
}

fn window(at: Timestamp, seconds: i64) -> i64 {
    at.as_second().div_euclid(seconds)
}

impl ApiLimits {
    /// The documented limits of a cloud, with all buckets full.
    pub fn of(cloud: Cloud) -> Self {
        Self { cloud, levels: BTreeMap::new(), in_flight: BTreeMap::new(), overrides: Vec::new() }
    }

    /// Lets a call in, or not. `region` is `global` for calls that have none. `resources` is how
    /// many instances the call launches or ends. A call that is refused draws on nothing.
    ///
    /// # Errors
    /// A [`Throttle`]: when to come back, and the cloud's own code and status.
    pub fn admit(
        &mut self,
        action: &str,
        region: &str,
        resources: u32,
        now: Timestamp,
    ) -> Result<(), Throttle> {
        let (code, status) = documented::refusal(self.cloud);
        for fault in self.overrides.iter().filter(|fault| fault.covers(action)) {
            let left = fault.shape().left(fault.level.as_ref(), now);
            if left + ROUNDING < 1.0 {
                let retry_after = fault.shape().wait(left, 1.0, now);
                return Err(Throttle { retry_after, code, status, limit: "fault".to_owned() });
            }
        }
        let limits = documented::of_call(self.cloud, action, resources);
        for limit in &limits {
            let key = limit.key(region);
            if let Shape::InFlight { most } = limit.shape {
                let ends = self.in_flight.entry(key).or_default();
                ends.retain(|end| *end > now);
                if ends.len() >= most {
                    let first = ends.iter().min().map_or(Duration::ZERO, |end| until(now, *end));
                    return Err(Throttle { retry_after: first, code, status, limit: limit.name.clone() });
                }
                continue;
            }
            let left = limit.shape.left(self.levels.get(&key), now);
            if left + ROUNDING < limit.draws {
                let retry_after = limit.shape.wait(left, limit.draws, now);
                return Err(Throttle { retry_after, code: limit.code, status, limit: limit.name.clone() });
            }
        }
        for fault in self.overrides.iter_mut().filter(|fault| fault.covers(action)) {
            let left = fault.shape().left(fault.level.as_ref(), now) - 1.0;
            fault.level = Some(Level { left, at: now });
        }
        for limit in limits.iter().filter(|limit| !matches!(limit.shape, Shape::InFlight { .. })) {
            let key = limit.key(region);
            let left = limit.shape.left(self.levels.get(&key), now) - limit.draws;
            self.levels.insert(key, Level { left, at: now });
        }
        Ok(())
    }

    /// Says until when a call that was let in goes on, for limits on calls in flight (bulk
    /// inserts of Compute Engine). A call that nobody holds counts as done.
    pub fn hold(&mut self, action: &str, region: &str, until: Timestamp) {
        for limit in documented::of_call(self.cloud, action, 0) {
            if let Shape::InFlight { .. } = limit.shape {
                self.in_flight.entry(limit.key(region)).or_default().push(until);
            }
        }
    }

    /// What is left of each limit that an action runs into, for the headers that count down
    /// (Azure): `subscription-reads`, `Microsoft.Compute/HighCostGet`.
    pub fn remaining(&self, action: &str, region: &str, now: Timestamp) -> Vec<(String, u32)> {
        let left = |limit: &Limit| limit.shape.left(self.levels.get(&limit.key(region)), now) as u32;
        documented::of_call(self.cloud, action, 0)
            .into_iter()
            .map(|limit| (limit.name.clone(), left(&limit)))
            .collect()
    }

    /// The fault `throttle`: a token bucket in front of the documented limits, for one action or
    /// (with `None`) for all together. It begins full. `rps` `None` lifts it; `burst` is at least
    /// 1 and, unless given, one second's worth.
    pub fn set_throttle(&mut self, action: Option<&str>, rps: Option<f64>, burst: Option<u32>) {
        self.overrides.retain(|fault| fault.action.as_deref() != action);
        if let Some(rps) = rps.filter(|rps| rps.is_finite()) {
            let rps = rps.max(0.0);
            let burst = burst.map_or(rps, f64::from).max(1.0);
            self.overrides.push(Override { action: action.map(str::to_owned), rps, burst, level: None });
        }
    }
}

impl Override {
    fn covers(&self, action: &str) -> bool {
        self.action.as_deref().is_none_or(|covered| covered == action)
    }

    fn shape(&self) -> Shape {
        Shape::Bucket { capacity: self.burst, per_second: self.rps }
    }
}

impl Limit {
    fn key(&self, region: &str) -> String {
        format!("{}/{}", if self.global { "global" } else { region }, self.name)
    }
}

fn until(now: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn admitted(limits: &mut ApiLimits, action: &str, times: u32, now: Timestamp) -> u32 {
        (0..times).filter(|_| limits.admit(action, "r", 0, now).is_ok()).count() as u32
    }

    #[test]
    fn ec2_lets_a_thousand_instances_go_in_a_burst_and_twenty_more_after_ten_seconds() {
        let mut limits = ApiLimits::of(Cloud::Aws);
        limits.admit("RunInstances", "us-east-1", 1_000, at(0)).unwrap();
        let throttle = limits.admit("RunInstances", "us-east-1", 1, at(0)).unwrap_err();
        assert_eq!((throttle.code, throttle.status), ("RequestLimitExceeded", 503));
        assert_eq!(throttle.limit, "RunInstances resources");
        limits.admit("RunInstances", "eu-west-1", 1_000, at(0)).unwrap();
        assert!(limits.admit("RunInstances", "us-east-1", 20, at(9_400)).is_err());
        limits.admit("RunInstances", "us-east-1", 20, at(10_000)).unwrap();
        assert!(limits.admit("RunInstances", "us-east-1", 1, at(10_000)).is_err());
    }

    #[test]
    fn the_sixth_run_instances_within_a_second_is_throttled_and_create_fleet_has_a_bucket_of_its_own() {
        let mut limits = ApiLimits::of(Cloud::Aws);
        assert_eq!(admitted(&mut limits, "RunInstances", 6, at(0)), 5);
        assert_eq!(admitted(&mut limits, "CreateFleet", 51, at(0)), 50);
        assert_eq!(admitted(&mut limits, "CreateFleet", 9, at(1_000)), 5);
        assert_eq!(admitted(&mut limits, "DescribeInstances", 200, at(0)), 100);
        assert_eq!(admitted(&mut limits, "DescribeInstances unfiltered", 200, at(0)), 50);
    }

    #[test]
    fn compute_engine_refills_at_the_full_minute() {
        let mut limits = ApiLimits::of(Cloud::Gcp);
        assert_eq!(admitted(&mut limits, "instances.delete", 1_501, at(15_000)), 1_500);
        let throttle = limits.admit("instances.delete", "r", 1, at(15_500)).unwrap_err();
        assert_eq!((throttle.code, throttle.status), ("rateLimitExceeded", 403));
        assert_eq!(throttle.retry_after, Duration::from_millis(44_500));
        assert!(limits.admit("instances.delete", "r", 1, at(59_999)).is_err());
        limits.admit("instances.delete", "other", 1, at(59_999)).unwrap();
        limits.admit("instances.aggregatedList", "r", 1, at(59_999)).unwrap();
        limits.admit("instances.delete", "r", 1, at(60_000)).unwrap();
    }

    #[test]
    fn compute_engine_counts_lists_reads_and_changes_apart() {
        let mut limits = ApiLimits::of(Cloud::Gcp);
        for group in [
            ["instances.insert", "regionInstances.bulkInsert"],
            ["instances.get", "instances.getSerialPortOutput"],
            ["instances.list", "instanceGroupManagers.listManagedInstances"],
            ["instances.aggregatedList", "zoneOperations.wait"],
            ["zoneOperations.get", "globalOperations.get"],
        ] {
            assert_eq!(admitted(&mut limits, group[0], 2_000, at(0)), 1_500, "{group:?}");
            assert_eq!(admitted(&mut limits, group[1], 1, at(0)), 0, "{group:?}");
        }
        assert_eq!(admitted(&mut limits, "skus.list", 2_000, at(0)), 2_000, "another service");
    }

    #[test]
    fn compute_engine_refuses_the_21st_bulk_insert_in_a_second_and_the_11th_in_flight() {
        let bulk = "regionInstances.bulkInsert";
        let mut limits = ApiLimits::of(Cloud::Gcp);
        assert_eq!(admitted(&mut limits, bulk, 25, at(0)), 20);
        assert_eq!(admitted(&mut limits, bulk, 25, at(1_000)), 20);

        for _ in 0..10 {
            limits.admit(bulk, "r", 1, at(5_000)).unwrap();
            limits.hold(bulk, "r", at(30_000));
        }
        let throttle = limits.admit(bulk, "elsewhere", 1, at(6_000)).unwrap_err();
        assert_eq!(throttle.retry_after, Duration::from_secs(24));
        assert!(
            limits.admit("instances.bulkInsert", "r", 1, at(6_000)).is_err(),
            "a zonal one counts as well"
        );
        limits.admit(bulk, "r", 1, at(30_000)).unwrap();
    }

    #[test]
    fn resource_manager_counts_down_and_the_compute_service_refuses_in_other_words() {
        let mut limits = ApiLimits::of(Cloud::Azure);
        assert_eq!(admitted(&mut limits, "virtualMachines.PUT", 201, at(0)), 200);
        let throttle = limits.admit("virtualMachines.PUT", "r", 1, at(0)).unwrap_err();
        assert_eq!((throttle.code, throttle.status), ("SubscriptionRequestsThrottled", 429));
        assert_eq!(throttle.limit, "subscription-writes");
        assert_eq!(admitted(&mut limits, "virtualMachines.PUT", 20, at(1_000)), 10);

        let reads = |limits: &ApiLimits, now| limits.remaining("virtualMachines.LIST", "r", now)[0].clone();
        assert_eq!(reads(&limits, at(0)), ("subscription-reads".to_owned(), 250));
        assert_eq!(admitted(&mut limits, "virtualMachines.LIST", 300, at(0)), 250);
        assert_eq!(reads(&limits, at(1_000)).1, 25);

        // 25 a second pass the front; the service behind it gives 900 and then 5 a second.
        let mut refused = None;
        for second in 1..60 {
            for _ in 0..25 {
                if let Err(throttle) = limits.admit("virtualMachines.LIST", "r", 0, at(second * 1_000)) {
                    refused.get_or_insert(throttle);
                }
            }
        }
        let throttle = refused.expect("the service's own limit is reached");
        assert_eq!(
            (throttle.code, throttle.limit.as_str()),
            ("OperationNotAllowed", "Microsoft.Compute/HighCostGet")
        );
    }

    proptest::proptest! {
        #[test]
        fn a_bucket_never_gives_more_than_it_held_and_was_refilled(
            calls in proptest::collection::vec((0i64..5_000, 1u32..400), 1..200),
        ) {
            let mut limits = ApiLimits::of(Cloud::Aws);
            let (mut millis, mut started) = (0, 0.0);
            for (pause, count) in calls {
                millis += pause;
                if limits.admit("CreateFleet", "r", count, at(millis)).is_ok() {
                    started += f64::from(count);
                }
                let most = 1_000.0 + 2.0 * millis as f64 / 1_000.0;
                proptest::prop_assert!(started <= most + 1e-3, "{started} of {most}");
            }
        }

        #[test]
        fn who_comes_back_when_told_is_let_in(action_index in 0usize..5, calls in 1u32..400, count in 1u32..1_000) {
            let (cloud, action) = [
                (Cloud::Aws, "RunInstances"),
                (Cloud::Aws, "TerminateInstances"),
                (Cloud::Gcp, "regionInstances.bulkInsert"),
                (Cloud::Azure, "virtualMachines.LIST"),
                (Cloud::Azure, "networkInterfaces.PUT"),
            ][action_index];
            let (mut limits, mut now) = (ApiLimits::of(cloud), at(12_345));
            for _ in 0..calls {
                // One limit after another may ask for a pause.
                for _ in 0..4 {
                    match limits.admit(action, "r", count, now) {
                        Ok(()) => break,
                        Err(throttle) => now += throttle.retry_after,
                    }
                }
            }
            now += Duration::from_secs(600);
            proptest::prop_assert!(limits.admit(action, "r", count, now).is_ok());
            let mut later = now;
            while let Err(throttle) = limits.admit(action, "r", count, later) {
                later += throttle.retry_after;
                proptest::prop_assert!(later < now + Duration::from_secs(1_200), "it is let in at some time");
            }
        }
    }

    #[test]
    fn a_refused_call_draws_on_nothing() {
        let mut limits = ApiLimits::of(Cloud::Aws);
        let before = limits.clone();
        assert!(limits.admit("RunInstances", "r", 1_001, at(0)).is_err());
        assert_eq!(limits, before);
    }

    #[test]
    fn a_throttle_fault_holds_for_its_action_until_it_is_lifted() {
        let mut limits = ApiLimits::of(Cloud::Neutral);
        assert_eq!(admitted(&mut limits, "instances.list", 5_000, at(0)), 5_000);
        limits.set_throttle(Some("instances.list"), Some(2.0), Some(3));
        assert_eq!(admitted(&mut limits, "instances.list", 10, at(0)), 3);
        assert_eq!(admitted(&mut limits, "instances.launch", 10, at(0)), 10);
        assert_eq!(admitted(&mut limits, "instances.list", 10, at(1_000)), 2);
        limits.set_throttle(Some("instances.list"), None, None);
        assert_eq!(admitted(&mut limits, "instances.list", 10, at(1_000)), 10);
        limits.set_throttle(None, Some(0.0), None);
        assert_eq!(admitted(&mut limits, "instances.launch", 10, at(1_000)), 1);
    }

    #[test]
    fn limits_go_on_after_a_snapshot() {
        let mut limits = ApiLimits::of(Cloud::Aws);
        limits.admit("RunInstances", "r", 999, at(0)).unwrap();
        let text = serde_json::to_string(&limits).unwrap();
        let mut copy: ApiLimits = serde_json::from_str(&text).unwrap();
        assert_eq!(copy, limits);
        assert!(copy.admit("RunInstances", "r", 2, at(0)).is_err());
    }
}
