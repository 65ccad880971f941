//! The one place where the contracts are forwarded. A layer says what it does around a call; it
//! cannot forget one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::layers::Call;
use crate::{
    Capability, CapacitySearch, Cursor, DeleteReceipt, FleetBlueprint, FleetLaunch, Instance, InstanceId,
    Inventory, LaunchRequest, Launched, Offer, OfferQuery, Owner, PreemptionHandling, PreemptionPage,
    Prepared, Provider, Resource, Result, Selector, Signal, SignalQuery, Teardown, TerminateReceipt,
};

/// Sends the call to the provider further in; may be called again to send it again.
pub(super) type Next<'a, T> = &'a (dyn Fn() -> BoxFuture<'a, Result<T>> + Send + Sync);

/// What a layer does around every call.
pub(super) trait Around: fmt::Debug + Send + Sync + 'static {
    /// Lets the call through by `next`, or answers for the provider.
    fn around<T: Any + Send>(
        &self,
        provider: &dyn Provider,
        call: Call<'_>,
        next: Next<'_, T>,
    ) -> impl Future<Output = Result<T>> + Send;
}

/// A provider with a layer around it.
pub(super) fn wrap<L: Around>(layer: L, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
    Arc::new(Wrapped { layer, inner })
}

#[derive(Debug)]
struct Wrapped<L> {
    layer: L,
    inner: Arc<dyn Provider>,
}

impl<L: Around> Wrapped<L> {
    async fn send<'a, T: Any + Send>(&'a self, call: Call<'a>, next: Next<'a, T>) -> Result<T> {
        self.layer.around(&*self.inner, call, next).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<L: Around> CapacitySearch for Wrapped<L> {
    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>> {
        self.send(Call::Offers(query), &|| self.inner.offers(query)).await
    }

    async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>> {
        self.send(Call::Signals(query), &|| self.inner.signals(query)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<L: Around> FleetLaunch for Wrapped<L> {
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared> {
        self.send(Call::Prepare(blueprint), &|| self.inner.prepare(blueprint)).await
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        self.send(Call::Launch(request), &|| self.inner.launch(request)).await
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>> {
        self.send(Call::List(selector), &|| self.inner.list(selector)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<L: Around> PreemptionHandling for Wrapped<L> {
    async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage> {
        self.send(Call::Preemptions(selector, after), &|| self.inner.preemptions(selector, after)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<L: Around> Teardown for Wrapped<L> {
    async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt> {
        self.send(Call::Terminate(instances), &|| self.inner.terminate(instances)).await
    }

    async fn inventory(&self, owner: &Owner) -> Result<Inventory> {
        self.send(Call::Inventory(owner), &|| self.inner.inventory(owner)).await
    }

    async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt> {
        self.send(Call::Delete(resources), &|| self.inner.delete(resources)).await
    }
}

#[deny(clippy::missing_trait_methods)]
impl<L: Around> Provider for Wrapped<L> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }
}
