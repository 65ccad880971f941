//! A simulated EC2 on the wire, for tests.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use skyfleet_core::{Clock, ManualClock, Region, Timestamp};
use skyfleet_simcloud::{Cloud, Fault, Server, ServerOptions, World};

use crate::{AwsProvider, Settings};

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// A provider, the EC2 that it talks to, and the clock by which both live.
pub(crate) struct Bed {
    pub(crate) provider: AwsProvider,
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
        let keys = Credentials::new("AKIAEXAMPLE", "example", None, None, "test");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_config::Region::new(regions[0].to_owned()))
            .endpoint_url(&server.urls().aws)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build();
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let provider = AwsProvider::new(sdk, change(Settings::default()), time);
        Self { provider, clock, server }
    }

    pub(crate) fn world(&self) -> &World {
        self.server.world(Cloud::Aws)
    }

    /// How often an action was called.
    pub(crate) fn calls(&self, action: &str) -> u64 {
        self.world().calls().iter().filter(|(name, _)| name.starts_with(action)).map(|(_, n)| n.calls).sum()
    }

    pub(crate) fn inject(&self, fault: &str) {
        let fault: Fault = serde_json::from_str(fault).unwrap();
        self.world().inject(fault).unwrap();
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
