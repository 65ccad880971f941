//! A simulated cloud in its own time, and fleets on it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use skyfleet::core::layers::Fault;
use skyfleet::core::{
    Clock, Connected, FleetName, InstanceId, ManualClock, Owner, Provider, Region, Timestamp,
};
use skyfleet::{Config, Event, EventKind, Fleet, Spec};
use skyfleet_sim::{Cloud, SimProvider};
use skyfleet_simcloud::{EventKind as WorldEvent, Fault as Trouble, Scenario, World, WorldOptions};

/// 2026-01-01.
const BEGIN: i64 = 1_767_225_600;

#[derive(Clone)]
pub(crate) struct Bed {
    pub(crate) world: World,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::playing(Cloud::Neutral, 7, "")
    }

    pub(crate) fn playing(cloud: Cloud, seed: u64, scenario: &str) -> Self {
        let begin = Timestamp::from_second(BEGIN).unwrap();
        Self::on(Arc::new(ManualClock::auto(begin)), cloud, seed, scenario)
    }

    /// A world whose time goes on by itself: also past a future that nobody polls, for which the
    /// clock that jumps would wait.
    pub(crate) fn moving() -> Self {
        let clock = ManualClock::new(Timestamp::from_second(BEGIN).unwrap());
        let mover = clock.clone();
        tokio::spawn(async move {
            loop {
                for _ in 0..30 {
                    tokio::task::yield_now().await;
                }
                mover.advance(Duration::from_millis(250));
            }
        });
        Self::on(Arc::new(clock), Cloud::Neutral, 2, "[market]\nprocess = \"constant\"\n")
    }

    fn on(clock: Arc<dyn Clock>, cloud: Cloud, seed: u64, scenario: &str) -> Self {
        let mut options = WorldOptions::new(clock.clone()).playing(cloud);
        options.seed = seed;
        options.scenario = Scenario::parse(scenario, "scenario", Path::new(".")).unwrap();
        Self { world: World::new(options).unwrap(), clock }
    }

    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(SimProvider::new(self.world.clone()))
    }

    /// One more controller of the fleet `words`, which knows nothing but the cloud.
    pub(crate) fn fleet(&self, spec: Spec) -> Fleet {
        Fleet::on(Connected { provider: self.provider(), clock: self.clock.clone() }, config(spec))
    }

    /// The same behind something that goes wrong.
    pub(crate) fn fleet_behind(&self, fault: &Fault, spec: Spec) -> Fleet {
        let provider = fault.layer(self.provider());
        Fleet::on(Connected { provider, clock: self.clock.clone() }, config(spec))
    }

    pub(crate) fn trouble(&self, json: &str) {
        let fault: Trouble = serde_json::from_str(json).unwrap();
        self.world.inject(fault).unwrap();
    }

    /// The living instances, as the world's own log knows them: no list shows all of them at once.
    pub(crate) fn alive(&self) -> BTreeSet<InstanceId> {
        let mut alive = BTreeSet::new();
        for event in self.world.events_after(0) {
            let Some(id) = event.instance.map(InstanceId::new) else { continue };
            match event.kind {
                WorldEvent::Launch => alive.insert(id),
                WorldEvent::Reclaim | WorldEvent::Terminate => alive.remove(&id),
                _ => false,
            };
        }
        alive
    }

    /// How many instances were ever bought.
    pub(crate) fn bought(&self) -> usize {
        self.world.events_after(0).iter().filter(|event| event.kind == WorldEvent::Launch).count()
    }

    /// At no moment were more instances alive than the target, those aside that were told their end:
    /// nothing was bought twice, by whatever lives of the fleet.
    #[track_caller]
    pub(crate) fn assert_never_more_than(&self, target: u32) {
        let mut alive = BTreeSet::new();
        for event in self.world.events_after(0) {
            let Some(id) = &event.instance else { continue };
            match event.kind {
                WorldEvent::Launch => alive.insert(id.clone()),
                WorldEvent::Notice | WorldEvent::Reclaim | WorldEvent::Terminate => alive.remove(id),
                _ => false,
            };
            assert!(alive.len() <= target as usize, "{} alive at {}", alive.len(), event.at);
        }
    }

    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let ledger = self.world.ledger();
        assert!(ledger.live.is_empty(), "still costs money: {:#?}", ledger.live);
        assert!(ledger.blocking.is_empty(), "is left: {:#?}", ledger.blocking);
    }

    /// Tears down by a fresh controller, and asks the ledger.
    pub(crate) async fn tear_down(&self) {
        let report = self.fleet(spec(1)).teardown().await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        self.assert_nothing_left();
    }

    pub(crate) async fn sleep(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }
}

fn config(spec: Spec) -> Config {
    let (owner, name) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
    Config::new("sim", owner, name, spec)
}

/// Small spot instances, in the first region of the neutral cloud.
pub(crate) fn spec(target: u32) -> Spec {
    let mut spec = Spec::new(target);
    spec.need.types = vec!["sim.small".into(), "sim.medium".into()];
    spec.need.regions = vec![Region::new("sim-east")];
    spec
}

/// Reads the supervision until something has happened, for at most so much of the clock's time.
pub(crate) async fn watch(
    fleet: &Fleet,
    patience_s: u64,
    mut until: impl FnMut(&EventKind) -> bool,
) -> Vec<Event> {
    let (mut events, mut stream) = (Vec::new(), fleet.supervise());
    let patience = fleet.clock().sleep(Duration::from_secs(patience_s));
    tokio::pin!(patience);
    loop {
        tokio::select! {
            biased;
            event = stream.next() => match event {
                Some(event) => {
                    let last = until(&event.kind);
                    events.push(event);
                    if last {
                        return events;
                    }
                }
                None => return events,
            },
            () = &mut patience => return events,
        }
    }
}

pub(crate) fn count(events: &[Event], is: impl Fn(&EventKind) -> bool) -> usize {
    events.iter().filter(|event| is(&event.kind)).count()
}
