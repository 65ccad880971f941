//! The simulated EC2 in a process of its own, so that what a client uses is all that is measured. It
//! lives by the client's clock: waiting costs nothing.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use skyfleet_aws::{AwsProvider, Settings};
use skyfleet_core::{Clock, Hold, ManualClock, Region, Timestamp};
use skyfleet_simcloud::{Cloud as Which, Fault, Server, ServerOptions};

use crate::Result;
use crate::admin::Admin;

pub(crate) const REGION: &str = "us-east-1";
/// Spot pools of three types in three zones.
pub(crate) const TYPES: [&str; 3] = ["m6g.large", "m7g.large", "m8g.large"];
pub(crate) const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Room for the largest fleet: nine pools, and vCPUs of the account's quota for spot machines.
const POOL: u32 = 5_000;
const QUOTA: &str =
    r#"{"kind":"quota","cloud":"aws","region":"us-east-1","name":"L-34B43A08","limit":100000}"#;

/// Is the simulated EC2: tells where it is, then reads by how many nanoseconds its clock moves, a line each.
/// Ends with its standard input.
pub(crate) fn serve() -> Result<()> {
    let clock = ManualClock::new(START);
    let mut options = ServerOptions::manual(clock.clone());
    options.scenario.pools.default_capacity = Some(POOL);
    options.regions = vec![Region::from(REGION)];
    // As in the provider's own test of a thousand: with one seed in thirty a machine is up later.
    options.seed = 7;
    let server = Server::start(options)?;
    server.world(Which::Aws).inject(serde_json::from_str::<Fault>(QUOTA)?)?;
    let mut told = std::io::stdout().lock();
    writeln!(told, "{}", serde_json::to_string(server.urls())?)?;
    told.flush()?;
    for step in std::io::stdin().lock().lines() {
        clock.advance(Duration::from_nanos(step?.parse()?));
        writeln!(told)?;
        told.flush()?;
    }
    Ok(())
}

/// That process, and the clock of whoever talks to it.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) clock: ManualClock,
    pub(crate) url: String,
    pub(crate) admin: Admin,
    time: Option<Arc<Time>>,
    process: Child,
}

impl Cloud {
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = process.stdin.take().ok_or("the simulated EC2 has no input")?;
        let mut from = BufReader::new(process.stdout.take().ok_or("the simulated EC2 has no output")?);
        let mut line = String::new();
        from.read_line(&mut line)?;
        let urls: serde_json::Value = serde_json::from_str(&line)?;
        let url = |face: &str| urls[face].as_str().map(str::to_owned).ok_or("no address was told");
        let clock = ManualClock::auto(START);
        let time = Time { clock: clock.clone(), theirs: Mutex::new(Theirs { now: START, to, from }) };
        Ok(Self { clock, url: url("aws")?, admin: Admin(url("admin")?), time: Some(Arc::new(time)), process })
    }

    /// skyfleet's provider for it.
    pub(crate) fn provider(&self) -> Result<AwsProvider> {
        let time = self.time.clone().ok_or("the simulated EC2 is gone")?;
        let keys = Credentials::new("AKIAEXAMPLE", "example", None, None, "benchmark");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_config::Region::new(REGION))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build();
        let settings = Settings { regions: vec![Region::from(REGION)], ..Settings::default() };
        Ok(AwsProvider::new(sdk, settings, time))
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // With the last holder of its input it ends by itself; a provider may still hold it.
        drop(self.time.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The time of the client, and how far the other process was told of it: before each request.
#[derive(Debug)]
struct Time {
    clock: ManualClock,
    theirs: Mutex<Theirs>,
}

#[derive(Debug)]
struct Theirs {
    now: Timestamp,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Time {
    /// Moves the other clock to where ours is.
    fn tell(&self) -> std::io::Result<()> {
        let mut theirs = self.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let ahead = Duration::try_from(now.duration_since(theirs.now)).unwrap_or_default();
        if !ahead.is_zero() {
            writeln!(theirs.to, "{}", ahead.as_nanos())?;
            theirs.from.read_line(&mut String::new())?;
            theirs.now = now;
        }
        Ok(())
    }
}

#[async_trait]
impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    /// Each request begins with this.
    fn hold(&self) -> Hold {
        let hold = self.clock.hold();
        // A process that cannot be told does not answer the request either, and that is an error.
        let _ = self.tell();
        hold
    }
}
