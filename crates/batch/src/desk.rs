//! The controller's side of the store: the roster, the inboxes, the signs, the results.

mod results;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use skyfleet::{Event, EventKind};
use skyfleet_core::{Clock, InstanceId, Result, SystemClock, Timestamp};

use crate::board::{Board, Dealt};
use crate::inputs::Inputs;
use crate::protocol::{self, Assignment, Place, Sign, Status};
use crate::{JobEvent, Store, TaskReport, TaskState};

/// How many requests are under way at once.
const REQUESTS: usize = 32;

/// After how long a running machine that does not reach the store is spoken of.
const SILENCE: Duration = Duration::from_secs(300);

/// Deals tasks to instances through the store, and takes their results in.
///
/// In requests, with a remote store: one LIST per look (it finds only what is new, because signs
/// are deleted once they are seen); per task 3 to 4 PUTs and 1 GET or more by the machine, and by
/// us a share of a PUT (the inbox), 1 GET and 1 DELETE of the sign, 2 to 3 COPYs and a PUT of the
/// result. A machine without news asks every 2 to 16 s.
#[derive(Debug)]
pub(crate) struct Desk {
    store: Store,
    job: String,
    inputs: Inputs,
    url_lifetime: Duration,
    task_timeout: Option<Duration>,
    board: Board,
    reports: Vec<TaskReport>,
    /// Who got the task at each attempt.
    runners: Vec<Vec<InstanceId>>,
    finished: u32,
    /// What happened to the fleet and is not looked at yet.
    news: VecDeque<EventKind>,
    known: BTreeMap<InstanceId, Machine>,
    numbers: u32,
    /// Instances whose worker did not say hello yet: the roster.
    absent: BTreeMap<InstanceId, Absent>,
    roster_changed: bool,
    gone: Vec<InstanceId>,
    // What is decided and not yet done: a store that fails for a while loses nothing.
    undealt: VecDeque<Dealt>,
    inbox_changed: BTreeSet<InstanceId>,
    unpublished: Vec<Ended>,
    litter: BTreeSet<String>,
    /// Which limit of the fleet was reached.
    pub(crate) limit_reached: Option<String>,
    /// What the caller will be told.
    pub(crate) events: Vec<JobEvent>,
    pub(crate) preemptions: u32,
    /// Who ended without a reason so far: some clouds say it minutes later.
    pub(crate) lost: BTreeSet<InstanceId>,
    pub(crate) replacements: u32,
}

#[derive(Debug)]
struct Machine {
    number: u32,
    serial: u64,
    assignments: Vec<Assignment>,
}

#[derive(Debug)]
struct Absent {
    number: u32,
    slot: u32,
    place: Option<Place>,
    /// Since when it runs, on the machine's clock; `None` while it does not, and once it was
    /// spoken of.
    runs_since: Option<Timestamp>,
}

/// The attempt that counts.
#[derive(Clone, Debug)]
struct Ended {
    index: u32,
    attempt: u32,
    done: bool,
    status: Status,
}

impl Desk {
    pub(crate) fn new(
        store: Store,
        job: String,
        names: &[String],
        inputs: Inputs,
        settings: (u32, Option<Duration>, Duration),
    ) -> Self {
        let (retries, task_timeout, url_lifetime) = settings;
        let count = u32::try_from(names.len()).expect("the tasks were counted");
        let report = |(index, name): (u32, &String)| TaskReport {
            index,
            name: name.clone(),
            state: TaskState::Unfinished,
            attempts: 0,
            counted: None,
            instance: None,
            exit_code: None,
            reason: None,
            took: Duration::ZERO,
            folder: format!("results/{name}"),
            has_output: false,
        };
        Self {
            store,
            job,
            inputs,
            url_lifetime,
            task_timeout,
            board: Board::new(count, retries),
            reports: (0..count).zip(names).map(report).collect(),
            runners: vec![Vec::new(); names.len()],
            finished: 0,
            news: VecDeque::new(),
            known: BTreeMap::new(),
            numbers: 0,
            absent: BTreeMap::new(),
            roster_changed: true,
            gone: Vec::new(),
            undealt: VecDeque::new(),
            inbox_changed: BTreeSet::new(),
            unpublished: Vec::new(),
            litter: BTreeSet::new(),
            limit_reached: None,
            events: Vec::new(),
            preemptions: 0,
            lost: BTreeSet::new(),
            replacements: 0,
        }
    }

    /// Whether every result is counted and published.
    pub(crate) fn is_done(&self) -> bool {
        self.board.unfinished() == 0 && self.unpublished.is_empty()
    }

    /// Whether a worker that was heard of has something to do.
    pub(crate) fn works(&self) -> bool {
        self.known.keys().any(|id| !self.absent.contains_key(id) && !self.board.held(id).is_empty())
    }

    /// Whether the fleet may shrink from now on: nothing waits, and everything that still runs
    /// could move to an instance that idles.
    pub(crate) fn has_spare_instances(&self) -> bool {
        self.board.waiting() == 0 && self.board.idle() >= self.board.unfinished().max(2)
    }

    /// Takes in what happened to the fleet without acting upon it: it is gone.
    pub(crate) fn settle(&mut self) {
        self.read_news();
    }

    /// The tasks as they stand.
    pub(crate) fn into_reports(self) -> Vec<TaskReport> {
        self.reports
    }

    /// Takes note of what happened to the fleet.
    pub(crate) fn note(&mut self, event: Event) {
        self.news.push_back(event.kind.clone());
        self.events.push(JobEvent::Fleet { happened: event });
    }

    /// All that there is to do now.
    ///
    /// # Errors
    /// Those of the store. What is not done then is done at the next turn.
    pub(crate) async fn turn(&mut self) -> Result<()> {
        self.read_news();
        self.write_roster().await?;
        self.collect().await?;
        self.publish().await?;
        self.tidy().await?;
        // After the signs were collected: what an instance finished before it ended counts.
        for instance in std::mem::take(&mut self.gone) {
            self.part_with(&instance);
        }
        self.undealt.extend(self.board.deal());
        self.assign().await?;
        self.write_inboxes().await
    }

    fn read_news(&mut self) {
        while let Some(happened) = self.news.pop_front() {
            match happened {
                EventKind::Filled { slot, instance, replaces, .. } => {
                    self.replacements += u32::from(replaces.is_some());
                    self.meet(instance, slot);
                }
                EventKind::Running { slot, instance } => {
                    self.meet(instance.clone(), slot);
                    self.board.join(&instance, slot);
                    if let Some(absent) = self.absent.get_mut(&instance) {
                        absent.runs_since = Some(SystemClock.now());
                    }
                }
                EventKind::Notice { instance, .. } => self.board.notice(&instance),
                EventKind::Preempted { instance, .. } => {
                    self.preemptions += 1;
                    self.lost.remove(&instance);
                    self.gone.push(instance);
                }
                EventKind::Lost { instance, .. } => {
                    self.lost.insert(instance.clone());
                    self.gone.push(instance);
                }
                EventKind::Released { instance, .. } => self.gone.push(instance),
                EventKind::LimitReached { reason, .. } => self.limit_reached = Some(reason),
                _ => {}
            }
        }
    }

    fn meet(&mut self, instance: InstanceId, slot: u32) {
        if self.known.contains_key(&instance) {
            return;
        }
        let number = self.numbers;
        self.numbers += 1;
        self.absent.insert(instance.clone(), Absent { number, slot, place: None, runs_since: None });
        self.known.insert(instance, Machine { number, serial: 0, assignments: Vec::new() });
        self.roster_changed = true;
    }

    fn part_with(&mut self, instance: &InstanceId) {
        for (index, attempt) in self.board.leave(instance) {
            self.events.push(JobEvent::TaskReturned { index, attempt, instance: instance.clone() });
        }
        self.known.remove(instance);
        self.inbox_changed.remove(instance);
        self.undealt.retain(|dealt| dealt.instance != *instance);
        self.roster_changed |= self.absent.remove(instance).is_some();
    }

    /// Writes who finds its inbox where. Only those are in it that have not found theirs yet: all
    /// that boot read it again and again.
    async fn write_roster(&mut self) -> Result<()> {
        let now = SystemClock.now();
        for (instance, absent) in &mut self.absent {
            if absent.runs_since.is_some_and(|since| since + SILENCE < now) {
                absent.runs_since = None;
                self.events.push(JobEvent::WorkerSilent { instance: instance.clone() });
            }
        }
        if !self.roster_changed {
            return Ok(());
        }
        for absent in self.absent.values_mut().filter(|absent| absent.place.is_none()) {
            let inbox = format!("{}/control/inbox/{}", self.job, absent.number);
            let hello = format!("{}/control/signs/{}", self.job, Sign::Hello(absent.number).name());
            absent.place = Some(Place {
                slot: absent.slot,
                inbox: self.store.location(&inbox, self.url_lifetime).await?.place,
                hello: self.store.target(&hello, self.url_lifetime).await?.place,
            });
        }
        let places = self.absent.iter().filter_map(|(id, absent)| Some((id, absent.place.as_ref()?)));
        self.store.write(&format!("{}/control/roster", self.job), protocol::roster(places)).await?;
        self.roster_changed = false;
        Ok(())
    }

    /// Writes out what was dealt.
    async fn assign(&mut self) -> Result<()> {
        while let Some(dealt) = self.undealt.front() {
            let Dealt { index, attempt, instance } = dealt.clone();
            let assignment = self.assignment(index, attempt).await?;
            self.undealt.pop_front();
            self.runners[index as usize].push(instance.clone());
            self.reports[index as usize].attempts = attempt;
            let machine = self.known.get_mut(&instance).expect("tasks go to known instances");
            machine.serial += 1;
            machine.assignments.push(Assignment { serial: machine.serial, ..assignment });
            self.inbox_changed.insert(instance.clone());
            self.events.push(JobEvent::TaskDealt { index, attempt, instance });
        }
        Ok(())
    }

    async fn assignment(&self, index: u32, attempt: u32) -> Result<Assignment> {
        let name = &self.reports[index as usize].name;
        let folder = format!("{}/control/attempts/{index}.{attempt}", self.job);
        let target = async |path: String| Ok(self.store.target(&path, self.url_lifetime).await?.place);
        let (name, input) = match self.inputs.location(name, self.url_lifetime).await? {
            Some(input) => (name.clone(), input),
            None => Default::default(),
        };
        Ok(Assignment {
            serial: 0,
            index,
            attempt,
            name,
            input,
            stdout: target(format!("{folder}/stdout")).await?,
            stderr: target(format!("{folder}/stderr")).await?,
            output: target(format!("{folder}/output")).await?,
            status: target(format!("{}/control/signs/{}", self.job, Sign::Ended { index, attempt }.name()))
                .await?,
        })
    }

    async fn write_inboxes(&mut self) -> Result<()> {
        let (store, job, board) = (&self.store, &self.job, &self.board);
        let mut work = Vec::new();
        for instance in &self.inbox_changed {
            let machine = self.known.get_mut(instance).expect("inboxes belong to known instances");
            let held = board.held(instance);
            machine.assignments.retain(|assignment| held.contains(&assignment.index));
            let text = protocol::inbox(&machine.assignments);
            let path = format!("{job}/control/inbox/{}", machine.number);
            work.push(async move { store.write(&path, text).await });
        }
        stream::iter(work).buffer_unordered(REQUESTS).try_collect::<()>().await?;
        self.inbox_changed.clear();
        Ok(())
    }

    /// Ends the workers: one that the teardown could not reach stops asking. Best effort.
    pub(crate) fn dismissal(&self) -> impl Future<Output = ()> + use<> {
        let (store, job) = (self.store.clone(), self.job.clone());
        let numbers: Vec<u32> = self.known.values().map(|machine| machine.number).collect();
        async move {
            let stop = |number: u32| {
                let (store, path) = (store.clone(), format!("{job}/control/inbox/{number}"));
                async move { store.write(&path, protocol::STOP).await }
            };
            stream::iter(numbers.into_iter().map(stop))
                .buffer_unordered(REQUESTS)
                .map(drop)
                .collect::<()>()
                .await;
        }
    }
}
