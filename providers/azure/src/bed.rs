//! A simulated Resource Manager on the wire, for tests.

use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{Clock, ManualClock, Region, Timestamp};
use skyfleet_simcloud::{Cloud, Fault, Server, ServerOptions, World};

use crate::{AzureProvider, Settings, client_secret};

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// A provider, the Azure that it talks to, and the clock by which both live.
pub(crate) struct Bed {
    pub(crate) provider: AzureProvider,
    pub(crate) clock: ManualClock,
    server: Server,
}

impl Bed {
    /// A cloud of these regions.
    pub(crate) fn of(regions: &[&str]) -> Self {
        Self::with(regions, |settings| settings)
    }

    pub(crate) fn with(regions: &[&str], change: impl FnOnce(Settings) -> Settings) -> Self {
        let clock = ManualClock::auto(EPOCH);
        let mut options = ServerOptions::manual(clock.clone());
        options.regions = regions.iter().map(|region| Region::from(*region)).collect();
        let server = Server::start(options).unwrap();
        let provider = connected(&server, &clock, change);
        Self { provider, clock, server }
    }

    /// Another client of the same cloud.
    pub(crate) fn again(&self, change: impl FnOnce(Settings) -> Settings) -> AzureProvider {
        connected(&self.server, &self.clock, change)
    }

    pub(crate) fn world(&self) -> &World {
        self.server.world(Cloud::Azure)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn inject(&self, fault: serde_json::Value) {
        let fault: Fault = serde_json::from_value(fault).unwrap();
        self.world().inject(fault).unwrap();
    }

    /// From now on a method is refused.
    pub(crate) fn fail(&self, method: &str, status: u16, code: &str) {
        self.inject(serde_json::json!({
            "kind": "error", "action": method, "probability": 1.0, "status": status, "code": code, "when": "before",
        }));
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> u64 {
        self.world().calls().get(method).map_or(0, |counted| counted.calls)
    }
}

fn connected(
    server: &Server,
    clock: &ManualClock,
    change: impl FnOnce(Settings) -> Settings,
) -> AzureProvider {
    let url = &server.urls().azure;
    let settings = Settings {
        subscription_id: Some("00000000-0000-4000-8000-000000000001".to_owned()),
        endpoint_url: Some(url.clone()),
        ..Settings::default()
    };
    let time: Arc<dyn Clock> = Arc::new(clock.clone());
    let credential = client_secret("tenant", "client", "secret", Some(url), time.clone()).unwrap();
    AzureProvider::new(credential, change(settings), time)
}
