//! Many instances, looked after by a fleet of the facade.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use skyfleet::{Config, Event, EventKind, Fleet, Spec};
use skyfleet_bench::usage;
use skyfleet_core::{Clock, Connected, FleetName, Owner};

use crate::Result;
use crate::admin;
use crate::cloud::{Cloud, REGION, TYPES};

/// EC2 starts two instances a second: how long a launch may take beside that.
const SLACK: Duration = Duration::from_secs(3_600);
/// What EC2 lets an account start in a second, and at once (EC2 developer guide, "Request throttling").
const STARTS: u32 = 2;
/// Until every machine is up and the fleet has seen it.
const SETTLE: Duration = Duration::from_secs(180);
/// How long each part is watched.
const WATCH: Duration = Duration::from_secs(300);
/// How many instances in a hundred are taken back in the second part.
const TAKEN: usize = 1;

pub(crate) fn table(count: u32) -> Result<()> {
    let cloud = Cloud::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(watch(&cloud, count))?;
    cloud.admin.is_empty()
}

async fn watch(cloud: &Cloud, count: u32) -> Result<()> {
    let mut spec = Spec::new(count);
    spec.need.types = TYPES.map(Into::into).to_vec();
    spec.need.regions = vec![REGION.into()];
    spec.image = "ubuntu-24.04".to_owned();
    spec.deadline = Some(SLACK + Duration::from_secs((count / STARTS).into()));
    let config = Config::new("aws", Owner::parse("ada")?, FleetName::parse("crowd")?, spec);
    let connected = Connected { provider: Arc::new(cloud.provider()?), clock: Arc::new(cloud.clock.clone()) };
    let fleet = Fleet::on(connected, config);

    let launch = Part::begin(cloud)?;
    let report = fleet.launch().await?;
    if report.instances.len() != count as usize {
        return Err(
            format!("{} of {count} instances: {:?}", report.instances.len(), report.shortfalls).into()
        );
    }
    head();
    launch.row("launch")?;
    fleet.take_events();

    // What happens without a look of ours is over by then.
    run(cloud, &fleet, SETTLE).await;
    let quiet = Part::begin(cloud)?;
    let seen = Seen::of(&run(cloud, &fleet, WATCH).await);
    quiet.row("quiet")?;
    seen.tell("quiet");

    let running = cloud.admin.running()?;
    for instance in running.iter().take(running.len() * TAKEN / 100) {
        cloud.admin.preempt(instance)?;
    }
    let busy = Part::begin(cloud)?;
    let seen = Seen::of(&run(cloud, &fleet, WATCH).await);
    busy.row("1 % taken back")?;
    seen.tell("1 % taken back");

    let end = Part::begin(cloud)?;
    let report = fleet.teardown().await?;
    if !report.leftovers.is_empty() {
        return Err(format!("something was left: {:?}", report.leftovers).into());
    }
    end.row("teardown")
}

/// Reads the fleet's events for a while. Nobody but the fleet waits for the clock: all its jumps are the
/// fleet's own.
async fn run(cloud: &Cloud, fleet: &Fleet, time: Duration) -> Vec<Event> {
    let mut events = fleet.supervise();
    let mut seen = Vec::new();
    let end = cloud.clock.now() + time;
    std::future::poll_fn(|context| {
        while cloud.clock.now() < end {
            match events.poll_next_unpin(context) {
                Poll::Ready(Some(event)) => seen.push(event),
                Poll::Ready(None) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
    seen
}

/// What a fleet told.
#[derive(Default)]
struct Seen {
    notices: usize,
    filled: usize,
    troubles: Vec<String>,
}

impl Seen {
    fn of(events: &[Event]) -> Self {
        let mut seen = Self::default();
        for event in events {
            match &event.kind {
                EventKind::Notice { .. } => seen.notices += 1,
                EventKind::Filled { .. } => seen.filled += 1,
                EventKind::Trouble { reason } => seen.troubles.push(reason.clone()),
                _ => {}
            }
        }
        seen
    }

    fn tell(&self, part: &str) {
        eprintln!("{part}: {} notices, {} instances bought", self.notices, self.filled);
        self.troubles.iter().for_each(|reason| eprintln!("{part}: {reason}"));
    }
}

/// A part of the fleet's life, from its beginning.
struct Part<'a> {
    cloud: &'a Cloud,
    calls: BTreeMap<String, u64>,
    time: skyfleet_core::Timestamp,
    cpu: Duration,
}

impl<'a> Part<'a> {
    fn begin(cloud: &'a Cloud) -> Result<Self> {
        let calls = cloud.admin.calls()?;
        Ok(Self { cloud, calls, time: cloud.clock.now(), cpu: usage::cpu_of_process() })
    }

    fn row(&self, name: &str) -> Result<()> {
        let cpu = usage::cpu_of_process() - self.cpu;
        let minutes = self.cloud.clock.now().duration_since(self.time).as_secs_f64() / 60.0;
        let calls = admin::since(&self.calls, &self.cloud.admin.calls()?);
        let told: Vec<String> = calls.iter().map(|(action, n)| format!("{action} {n}")).collect();
        // Each look asks for the spot requests once, and once more when it brought something.
        let polls = calls.get("DescribeSpotInstanceRequests").copied().unwrap_or(0);
        let peak = usage::peak_kib().ok_or("this system does not tell the memory of a process")?;
        println!(
            "| {name} | {minutes:.1} | {} | {} | {:.0} | {} | {:.0} | {} |",
            per(calls.values().sum::<u64>() as f64, minutes),
            per(polls as f64, minutes),
            cpu.as_secs_f64() * 1e3,
            per(cpu.as_secs_f64() * 1e3, polls as f64),
            peak as f64 / 1_024.0,
            told.join(", "),
        );
        Ok(())
    }
}

/// How much for each; a launch may take no time, and has no looks.
fn per(sum: f64, count: f64) -> String {
    if count > 0.0 { format!("{:.1}", sum / count) } else { "-".to_owned() }
}

fn head() {
    println!(
        "| part | simulated min | calls per min | looks per min | CPU ms | CPU ms per look | peak MB | calls |"
    );
    println!("|---|---|---|---|---|---|---|---|");
}
