//! A simulated Compute Engine on the wire, for tests.

use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::{Clock, ManualClock, Region, Timestamp};
use skyfleet_simcloud::{Cloud, Fault, Server, ServerOptions, World};

use crate::{GcpProvider, Settings, bearer};

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// A provider, the Compute Engine that it talks to, and the clock by which both live.
pub(crate) struct Bed {
    pub(crate) provider: GcpProvider,
    pub(crate) clock: ManualClock,
    server: Server,
}

impl Bed {
    /// A cloud of these regions.
    pub(crate) fn of(regions: &[&str]) -> Self {
        Self::with(regions, |settings| settings)
    }

    pub(crate) fn with(regions: &[&str], change: impl FnOnce(Settings) -> Settings) -> Self {
        let clock = ManualClock::new(EPOCH);
        let mut options = ServerOptions::manual(clock.clone());
        options.regions = regions.iter().map(|region| Region::from(*region)).collect();
        let server = Server::start(options).unwrap();
        let settings = Settings {
            project: Some("batch-474711".to_owned()),
            endpoint_url: Some(server.urls().gcp.clone()),
            ..Settings::default()
        };
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let provider = GcpProvider::new(bearer("ya29.example").unwrap(), change(settings), time);
        Self { provider, clock, server }
    }

    pub(crate) fn world(&self) -> &World {
        self.server.world(Cloud::Gcp)
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> u64 {
        self.world().calls().get(method).map_or(0, |counted| counted.calls)
    }

    pub(crate) fn inject(&self, fault: &str) {
        let fault: Fault = serde_json::from_str(fault).unwrap();
        self.world().inject(fault).unwrap();
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
