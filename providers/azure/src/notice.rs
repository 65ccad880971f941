//! What Azure takes back, seen from the machine itself: for the code of a job.

use std::sync::Arc;

use futures::Stream;
use skyfleet_core::{Clock, MachineNotice, Result};
use skyfleet_on_instance::{Cloud, notices, notices_at};

/// What Azure tells this machine about its own end, as it happens: asks the metadata service (at
/// `AZURE_POD_IDENTITY_AUTHORITY_HOST` or `169.254.169.254`) every second for its scheduled events.
/// They are told to all machines that are managed together: only those that name this one count.
/// Ends after the notice. A machine without a metadata service is told nothing. Code that is to run
/// on every cloud takes `skyfleet::on_instance`, of which this is a part.
///
/// ```no_run
/// use futures::StreamExt;
/// # async fn save() {}
/// # async fn job() -> skyfleet_core::Result<()> {
/// let mut notices = std::pin::pin!(skyfleet_azure::notice()?);
/// while let Some(notice) = notices.next().await {
///     save().await; // half a minute is left, or less
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `InvalidConfig` when the variable names no metadata service.
pub fn notice() -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    notices(Cloud::Azure)
}

/// The same at another endpoint and by another clock.
///
/// # Errors
/// As [`notice`].
pub fn notice_at(
    endpoint: &str,
    clock: Arc<dyn Clock>,
) -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    notices_at(Cloud::Azure, endpoint, clock)
}
