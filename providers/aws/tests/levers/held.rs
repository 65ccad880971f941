//! An HTTP client during whose requests a clock does not jump: whoever waits for an answer over a
//! socket only seems idle.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use skyfleet_core::ManualClock;

#[derive(Clone, Debug)]
pub(super) struct Held<T> {
    inner: T,
    clock: ManualClock,
}

impl Held<SharedHttpClient> {
    pub(super) fn new(inner: SharedHttpClient, clock: ManualClock) -> Self {
        Self { inner, clock }
    }
}

impl HttpClient for Held<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Held { inner, clock: self.clock.clone() })
    }
}

impl HttpConnector for Held<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let hold = self.clock.hold();
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            drop(hold);
            answer
        })
    }
}
