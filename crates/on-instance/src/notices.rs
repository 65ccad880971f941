use std::fmt;
use std::sync::Arc;

use futures::{Stream, stream};
use skyfleet_core::{Clock, MachineNotice, Result};

use crate::cloud::clock;
use crate::http::Service;
use crate::{Cloud, aws, azure, gcp};

/// What a machine of a cloud is told about its own end, as it happens, by the metadata service at
/// [`Cloud::endpoint`]. Ends after the notice. A machine without a metadata service is told nothing.
///
/// # Errors
/// `InvalidConfig` when the variable that names the service names none.
pub fn notices(cloud: Cloud) -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    let endpoint = cloud.endpoint();
    notices_at(cloud, &endpoint, clock(&endpoint))
}

/// The same at another endpoint and by another clock.
///
/// # Errors
/// As [`notices`].
pub fn notices_at(
    cloud: Cloud,
    endpoint: &str,
    clock: Arc<dyn Clock>,
) -> Result<impl Stream<Item = MachineNotice> + Send + use<>> {
    Ok(stream_of(cloud, Service::new(endpoint)?, clock))
}

pub(crate) fn stream_of(
    cloud: Cloud,
    service: Service,
    clock: Arc<dyn Clock>,
) -> impl Stream<Item = MachineNotice> + Send + use<> {
    let watch = match cloud {
        Cloud::Aws => Watch::Aws(aws::Watch::new(aws::Metadata::new(service, clock))),
        Cloud::Gcp => Watch::Gcp(gcp::Watch::new(gcp::Metadata::new(service, clock))),
        Cloud::Azure => Watch::Azure(azure::Watch::new(azure::Metadata::new(service, clock))),
    };
    stream::unfold(watch, |mut watch| async move { watch.next().await.map(|notice| (notice, watch)) })
}

enum Watch {
    Aws(aws::Watch),
    Gcp(gcp::Watch),
    Azure(azure::Watch),
}

impl Watch {
    async fn next(&mut self) -> Option<MachineNotice> {
        match self {
            Self::Aws(watch) => watch.next().await,
            Self::Gcp(watch) => watch.next().await,
            Self::Azure(watch) => watch.next().await,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
