//! What Compute Engine takes back, seen from the machine itself: for the code of a job.

use std::sync::Arc;

use futures::Stream;
use skyfleet_core::{Clock, MachineNotice, Result};
use skyfleet_on_instance::{Cloud, notices, notices_at};

/// What Compute Engine tells this machine about its own end, as it happens: the metadata server
/// (at `GCE_METADATA_HOST` or `metadata.google.internal`) answers its entry `instance/preempted`
/// when that changes (Compute Engine documentation, "Spot VMs", preemption detection). Ends after
/// the notice. A machine without a metadata server is told nothing. Code that is to run on every
/// cloud takes `skyfleet::on_instance`, of which this is a part.
///
/// ```no_run
/// use futures::StreamExt;
/// # async fn save() {}
/// # async fn job() -> skyfleet_core::Result<()> {
/// let mut notices = std::pin::pin!(skyfleet_gcp::notice()?);
/// while let Some(notice) = notices.next().await {
///     save().await; // half a minute is left, or less
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `InvalidConfig` when the variable names no metadata server.
pub fn notice() -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    notices(Cloud::Gcp)
}

/// The same at another endpoint and by another clock.
///
/// # Errors
/// As [`notice`].
pub fn notice_at(
    endpoint: &str,
    clock: Arc<dyn Clock>,
) -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    notices_at(Cloud::Gcp, endpoint, clock)
}
