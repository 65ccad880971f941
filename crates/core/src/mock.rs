//! Mocks for the unit tests of whoever builds on skyfleet: expect calls, give answers, no cloud.
//!
//! ```
//! use skyfleet_core::{FleetLaunch, Owner, Provider, Selector, mock};
//! use std::sync::Arc;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let owner = Owner::parse("ada")?;
//! let mut mock = mock::provider(mock::CAPABILITY);
//! mock.expect_list().withf(|selector| selector.owner.as_str() == "ada").once().returning(|_| Ok(vec![]));
//!
//! let provider: Arc<dyn Provider> = Arc::new(mock);
//! assert!(provider.list(&Selector::owner(&owner)).await?.is_empty());
//! # Ok::<(), skyfleet_core::Error>(()) }).unwrap();
//! ```

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mockall::mock;

use crate::{
    Capability, CapacitySearch, Cursor, DeleteReceipt, FleetBlueprint, FleetLaunch, Instance, InstanceId,
    Inventory, LaunchRequest, Launched, Offer, OfferQuery, Owner, PreemptionHandling, PreemptionPage,
    Prepared, Resource, Result, Selector, Signal, SignalQuery, Teardown, TerminateReceipt,
};

/// A capability with everything on, a notice of two minutes and limits that no test meets by
/// accident.
pub const CAPABILITY: Capability = Capability {
    spot: true,
    price_max: true,
    all_or_nothing: true,
    native_expiry: true,
    notice: Some(Duration::from_secs(120)),
    capacity_scores: true,
    quotas: true,
    launch_max: 100_000,
    user_data_bytes_max: 16_384,
    instance_id_command: "hostname",
    shares_files: false,
};

/// A mock that is called `mock` and can do what `capability` says; every other call is still to
/// be expected, or panics.
pub fn provider(capability: Capability) -> MockProvider {
    let mut mock = MockProvider::new();
    mock.expect_name().return_const("mock");
    mock.expect_capability().return_const(capability);
    mock
}

mock! {
    /// A provider whose every call is an expectation: all four contracts and
    /// [`Provider`](crate::Provider).
    pub Provider {}

    #[async_trait]
    impl CapacitySearch for Provider {
        async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>>;
        async fn signals(&self, query: &SignalQuery) -> Result<Vec<Signal>>;
    }

    #[async_trait]
    impl FleetLaunch for Provider {
        async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared>;
        async fn launch(&self, request: &LaunchRequest) -> Result<Launched>;
        async fn list(&self, selector: &Selector) -> Result<Vec<Instance>>;
    }

    #[async_trait]
    impl PreemptionHandling for Provider {
        async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage>;
    }

    #[async_trait]
    impl Teardown for Provider {
        async fn terminate(&self, instances: &[InstanceId]) -> Result<TerminateReceipt>;
        async fn inventory(&self, owner: &Owner) -> Result<Inventory>;
        async fn delete(&self, resources: &[Resource]) -> Result<DeleteReceipt>;
    }

    impl crate::Provider for Provider {
        fn name(&self) -> &'static str;
        fn capability(&self) -> Capability;
    }
}

impl fmt::Debug for MockProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MockProvider")
    }
}
