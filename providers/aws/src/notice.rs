//! What EC2 takes back, seen from the machine itself: for the code of a job.

use std::sync::Arc;

use futures::Stream;
use skyfleet_core::{Clock, MachineNotice, Result};
use skyfleet_on_instance::{Cloud, notices, notices_at};

/// What EC2 tells this machine about its own end, as it happens: asks the metadata service (its
/// second version, at `AWS_EC2_METADATA_SERVICE_ENDPOINT` or `169.254.169.254`) every five
/// seconds. Ends after the notice. A machine without a metadata service is told nothing. Code that
/// is to run on every cloud takes `skyfleet::on_instance`, of which this is a part.
///
/// ```no_run
/// use futures::StreamExt;
/// # async fn save() {}
/// # async fn job() -> skyfleet_core::Result<()> {
/// let mut notices = std::pin::pin!(skyfleet_aws::notice()?);
/// while let Some(notice) = notices.next().await {
///     save().await; // two minutes are left, or a few more
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `InvalidConfig` when the variable names no metadata service.
pub fn notice() -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    notices(Cloud::Aws)
}

/// The same at another endpoint and by another clock.
///
/// # Errors
/// As [`notice`].
pub fn notice_at(
    endpoint: &str,
    clock: Arc<dyn Clock>,
) -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    notices_at(Cloud::Aws, endpoint, clock)
}
