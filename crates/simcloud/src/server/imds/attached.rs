use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::Router;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::metadata::Metadata;
use crate::server::listen::Listener;

/// A cloud's metadata service, as instances that are local processes reach it: at an address of
/// their own.
pub(crate) trait Service: Debug + Send + Sync + 'static {
    /// The number of an instance, and the variables that it gets in any case; `None` for one that
    /// never was.
    fn known(&self, instance: &str) -> Option<(u32, Variables)>;

    /// The variables by which the SDKs find the service at an address.
    fn variables(address: SocketAddr) -> Variables;

    /// The service of one instance, at the root.
    fn router(service: Weak<Self>, instance: Arc<str>) -> Router;
}

/// Names and values.
pub(crate) type Variables = Vec<(String, String)>;

/// The metadata services of instances that are local processes: each has an address of its own, as
/// long as the process lives, and is told where by the variable that the SDKs read.
///
/// The services are held weakly: the world holds this, and they hold the world.
#[derive(Debug)]
pub(crate) struct Attached<S> {
    service: Weak<S>,
    runtime: Handle,
    /// What ends a service when it is dropped, by instance.
    open: Mutex<BTreeMap<String, oneshot::Sender<()>>>,
}

impl<S: Service> Attached<S> {
    pub(crate) fn new(service: &Arc<S>, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { service: Arc::downgrade(service), runtime, open: Mutex::default() })
    }

    fn services(&self) -> MutexGuard<'_, BTreeMap<String, oneshot::Sender<()>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Service> Metadata for Attached<S> {
    fn open(&self, instance: &str) -> Vec<(String, String)> {
        let known = self.service.upgrade().and_then(|service| service.known(instance));
        let Some((number, mut variables)) = known else { return Vec::new() };
        // Not every system has all of 127.0.0.0/8: the port alone does, too.
        let listener =
            Listener::open(address(number), 0).or_else(|_| Listener::open(Ipv4Addr::LOCALHOST.into(), 0));
        match listener {
            Ok(listener) => {
                variables.extend(S::variables(listener.address()));
                let (end, ended) = oneshot::channel();
                let router = S::router(self.service.clone(), instance.into());
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
