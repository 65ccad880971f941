use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::Timestamp;

use crate::catalog::Cloud;

/// A call that came too fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// When the same call would be let in.
    pub retry_after: Duration,
    /// The cloud's own code: `RequestLimitExceeded`, `rateLimitExceeded`, `SubscriptionRequestsThrottled`.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// Which limit: `RunInstances resources`, `Microsoft.Compute/HighCostGet`.
    pub limit: String,
}

/// The rate limits of one account on one cloud. Deterministic, and all of its state is
/// serializable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiLimits {
    cloud: Cloud,
}

impl ApiLimits {
    /// The documented limits of a cloud, with all buckets full.
    pub fn of(cloud: Cloud) -> Self {
        Self { cloud }
    }

    /// Lets a call in, or not. `resources` is how many instances it launches or ends; a call that
    /// is refused draws on nothing.
    ///
    /// # Errors
    /// A [`Throttle`]: when to come back, and the cloud's own code and status.
    pub fn admit(
        &mut self,
        _action: &str,
        _region: &str,
        _resources: u32,
        _now: Timestamp,
    ) -> Result<(), Throttle> {
        Ok(())
    }

    /// Says until when a call that was let in goes on, for limits on calls in flight (bulk
    /// inserts of Compute Engine). A call that nobody holds counts as done.
    pub fn hold(&mut self, _action: &str, _region: &str, _until: Timestamp) {}

    /// The fault `throttle`: a token bucket before the documented limits, for one action or (with
    /// `None`) for all together. `rps` `None` lifts it.
    pub fn set_throttle(&mut self, _action: Option<&str>, _rps: Option<f64>, _burst: Option<u32>) {}
}
