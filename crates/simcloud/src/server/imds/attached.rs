use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::metadata::Metadata;
use crate::server::imds::{Imds, page};
use crate::server::listen::Listener;

/// The metadata services of instances that are local processes: each has an address of its own, as
/// long as the process lives, and is told where by the variable that the SDKs read.
///
/// The services are held weakly: the world holds this, and they hold the world.
#[derive(Debug)]
pub(crate) struct Attached {
    imds: Weak<Imds>,
    runtime: Handle,
    /// What ends a service when it is dropped, by instance.
    open: Mutex<BTreeMap<String, oneshot::Sender<()>>>,
}

impl Attached {
    pub(crate) fn new(imds: &Arc<Imds>, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { imds: Arc::downgrade(imds), runtime, open: Mutex::default() })
    }

    fn services(&self) -> MutexGuard<'_, BTreeMap<String, oneshot::Sender<()>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metadata for Attached {
    fn open(&self, instance: &str) -> Vec<(String, String)> {
        let known = self.imds.upgrade().and_then(|imds| {
            imds.face.look(|kernel, _| {
                let number = *kernel.by_id.get(instance)?;
                Some((number, kernel.view(number, kernel.now()).region))
            })
        });
        let Some((number, region)) = known else { return Vec::new() };
        let mut variables = vec![
            ("AWS_REGION".to_owned(), region.to_string()),
            ("AWS_DEFAULT_REGION".to_owned(), region.to_string()),
        ];
        // Not every system has all of 127.0.0.0/8: the port alone does, too.
        let listener =
            Listener::open(address(number), 0).or_else(|_| Listener::open(Ipv4Addr::LOCALHOST.into(), 0));
        match listener {
            Ok(listener) => {
                variables.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), listener.url()));
                let (end, ended) = oneshot::channel();
                let router = router(self.imds.clone(), instance.into());
                self.runtime.spawn(listener.serve_until(router, async {
                    // An error means that the sender was dropped: that is how it ends.
                    let _ = ended.await;
                }));
                self.services().insert(instance.to_owned(), end);
            }
            Err(error) => tracing::warn!(%error, instance, "the instance has no metadata service of its own"),
        }
        variables
    }

    fn close(&self, instance: &str) {
        self.services().remove(instance);
    }
}

/// The address of machine number `number`: `127.1.0.0` and on.
fn address(number: u32) -> IpAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1 + high % 254, middle, low).into()
}

/// The service of one instance, at the root.
fn router(imds: Weak<Imds>, instance: Arc<str>) -> Router {
    let answer = async |State((imds, instance)): State<(Weak<Imds>, Arc<str>)>,
                        method: Method,
                        uri: Uri,
                        headers: HeaderMap| {
        match imds.upgrade() {
            Some(imds) => imds.answer(&instance, &method, uri.path(), &headers),
            None => page(StatusCode::SERVICE_UNAVAILABLE),
        }
    };
    Router::new().fallback(answer).with_state((imds, instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_differ_and_are_loopback() {
        let numbers = [0, 1, 255, 256, 70_000, 10_000_000];
        let addresses: std::collections::BTreeSet<IpAddr> = numbers.into_iter().map(address).collect();
        assert_eq!(addresses.len(), numbers.len());
        assert!(addresses.iter().all(IpAddr::is_loopback));
    }
}
