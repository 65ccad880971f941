use std::time::Duration;

use serde::Serialize;

/// What a provider can do beyond the base contract, and its limits.
///
/// A provider declares this once and keeps to it: what is off is refused with
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before any call is made, and never
/// shows elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// Sells on the spot market.
    pub spot: bool,
    /// Honours a highest price per instance ([`PoolBid::price_max`](crate::PoolBid::price_max)).
    pub price_max: bool,
    /// Launches all or nothing: [`LaunchRequest::count_min`](crate::LaunchRequest::count_min)
    /// above 1 is kept by the cloud itself.
    pub all_or_nothing: bool,
    /// Ends instances by itself at [`LaunchRequest::expires`](crate::LaunchRequest::expires).
    pub native_expiry: bool,
    /// How long before its end a preempted spot instance is announced to a caller outside it;
    /// `None` when the end is the first sign.
    pub notice: Option<Duration>,
    /// Answers with placement scores or eviction rates, next to prices.
    pub capacity_scores: bool,
    /// Answers with quota limits and usage.
    pub quotas: bool,
    /// The most instances that one launch may ask for.
    pub launch_max: u32,
    /// The longest user data, in bytes, before any encoding.
    pub user_data_bytes_max: usize,
    /// A POSIX shell command that prints, on the machine itself, its own
    /// [`InstanceId`](crate::InstanceId); it may use `curl` towards the metadata service.
    pub instance_id_command: &'static str,
    /// The instances are processes of this computer and see its files: those of a simulated cloud.
    pub shares_files: bool,
}
