use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures::StreamExt;
use skyfleet::{Event, Fleet, LaunchReport};
use skyfleet_core::{Clock, Error, ErrorKind, Result, Retry, SystemClock, Timestamp};
use tokio::sync::mpsc;

use crate::desk::Desk;
use crate::inputs::Inputs;
use crate::{JobEvent, JobReport, Outcome, Store};

/// How often the store is looked at: a folder of this machine, and a remote one.
const LOOK_LOCAL: Duration = Duration::from_millis(100);
const LOOK_REMOTE: Duration = Duration::from_secs(2);

/// How often events are passed on while nothing else is done.
const TICK: Duration = Duration::from_millis(100);

/// For so long a store may fail before the job gives up.
const PATIENCE_LOCAL: Duration = Duration::from_secs(5);
const PATIENCE_REMOTE: Duration = Duration::from_secs(120);

/// A job that was checked and can start.
#[derive(Debug)]
pub struct JobRun {
    pub(crate) fleet: Fleet,
    pub(crate) store: Store,
    pub(crate) job: String,
    pub(crate) names: Vec<String>,
    pub(crate) inputs: Inputs,
    pub(crate) retries: u32,
    pub(crate) task_timeout: Option<Duration>,
    pub(crate) url_lifetime: Duration,
}

/// Why the dealing ended.
enum Ended {
    Outcome(Outcome),
    /// We had said that nothing needs to be replaced any more, and then everything was taken.
    NobodyLeft,
}

impl JobRun {
    /// The fleet that it will run on: for its plan, before, and for the world behind it, after.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The names of the tasks, by index.
    pub fn task_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Runs it: launch, deal, supervise, teardown. When `cancel` ends first, the fleet is torn
    /// down at once and the report says what was finished; `std::future::pending()` never cancels.
    ///
    /// To end a run early, let `cancel` end: a dropped run leaves its fleet alive.
    ///
    /// # Errors
    /// `Conflict` when a fleet of this name lives already, those of the store, and those of a
    /// launch that obtained too little; then everything was given back, or the error names what was
    /// not. Once a fleet runs, the report says what went wrong.
    pub async fn run(
        self,
        cancel: impl Future<Output = ()>,
        mut on_event: impl FnMut(&JobEvent),
    ) -> Result<JobReport> {
        let settings = (self.retries, self.task_timeout, self.url_lifetime);
        let mut desk =
            Desk::new(self.store.clone(), self.job.clone(), &self.names, self.inputs.clone(), settings);
        let (began, began_real) = (self.fleet.clock().now(), SystemClock.now());
        let mut cancel = pin!(cancel);

        let (launch, mut outcome) =
            match Box::pin(self.start(&mut desk, cancel.as_mut(), &mut on_event)).await {
                Ok(Some(launch)) => (Some(launch), None),
                Ok(None) => (None, Some(Outcome::Cancelled)),
                Err(error) => {
                    self.store.delete_all(&format!("{}/", self.job)).await.ok();
                    return Err(error);
                }
            };
        let outcome = loop {
            if let Some(outcome) = outcome {
                break outcome;
            }
            outcome = match Box::pin(self.work(&mut desk, cancel.as_mut(), &mut on_event)).await {
                Ended::Outcome(outcome) => Some(outcome),
                Ended::NobodyLeft => {
                    Box::pin(self.start_again(&mut desk, cancel.as_mut(), &mut on_event)).await
                }
            };
        };

        let dismissal = (outcome == Outcome::Finished).then(|| desk.dismissal());
        let end = async {
            let dismissal = async {
                if let Some(dismissal) = dismissal {
                    dismissal.await
                }
            };
            tokio::join!(self.fleet.teardown(), dismissal).0
        };
        let teardown = Box::pin(self.telling(&mut desk, &mut on_event, end)).await;
        for folder in ["control/", "inputs/"] {
            if let Err(error) = self.store.delete_all(&format!("{}/{folder}", self.job)).await {
                on_event(&JobEvent::StoreTrouble { reason: error.to_string() });
            }
        }
        desk.settle();
        Ok(JobReport {
            folder: self.store.url_of(&self.job),
            outcome,
            launch,
            preemptions: desk.preemptions,
            lost: u32::try_from(desk.lost.len()).unwrap_or(u32::MAX),
            replacements: desk.replacements,
            bill: self.fleet.bill(),
            teardown,
            took: since(began, self.fleet.clock().now()),
            took_real: since(began_real, SystemClock.now()),
            tasks: desk.into_reports(),
            store: self.store,
            job: self.job,
        })
    }

    /// Brings the inputs to where they are needed, and launches; `None` when it was cancelled.
    async fn start(
        &self,
        desk: &mut Desk,
        cancel: Pin<&mut impl Future<Output = ()>>,
        on_event: &mut impl FnMut(&JobEvent),
    ) -> Result<Option<LaunchReport>> {
        let launch = async {
            // Its instances run another job's script, and may be somebody's.
            let living = self.fleet.list().await?.iter().filter(|i| i.state.is_alive()).count();
            if living > 0 {
                let message = "a fleet of this name lives: wait for it, tear it down, or take another name";
                return Err(Error::new(ErrorKind::Conflict, message)
                    .with("fleet", &self.fleet.config().name)
                    .with("instances", living));
            }
            self.store.make_folder(&format!("{}/control/signs/", self.job)).await?;
            self.inputs.upload(&self.names).await?;
            self.fleet.launch().await
        };
        tokio::select! {
            biased;
            () = cancel => Ok(None),
            launched = self.telling(desk, on_event, launch) => launched.map(Some),
        }
    }

    /// Replacing was stopped too early: begins a new life of the fleet, for the tasks that are left.
    async fn start_again(
        &self,
        desk: &mut Desk,
        cancel: Pin<&mut impl Future<Output = ()>>,
        on_event: &mut impl FnMut(&JobEvent),
    ) -> Option<Outcome> {
        let launch = async {
            self.fleet.teardown().await?;
            self.fleet.launch().await
        };
        tokio::select! {
            biased;
            () = cancel => Some(Outcome::Cancelled),
            launched = self.telling(desk, on_event, launch) => launched.err().map(Outcome::Stopped),
        }
    }

    /// Supervises and deals, side by side, until there is nothing more to do.
    async fn work(
        &self,
        desk: &mut Desk,
        cancel: Pin<&mut impl Future<Output = ()>>,
        on_event: &mut impl FnMut(&JobEvent),
    ) -> Ended {
        let (sender, events) = mpsc::unbounded_channel();
        let supervise = async {
            let mut supervision = self.fleet.supervise();
            while let Some(event) = supervision.next().await {
                if sender.send(event).is_err() {
                    break;
                }
            }
            drop(sender);
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            () = cancel => Ended::Outcome(Outcome::Cancelled),
            never = supervise => match never {},
            ended = self.deal(desk, events, on_event) => ended,
        }
    }

    async fn deal(
        &self,
        desk: &mut Desk,
        mut events: mpsc::UnboundedReceiver<Event>,
        on_event: &mut impl FnMut(&JobEvent),
    ) -> Ended {
        let (look, patience) =
            if self.store.is_local() { (LOOK_LOCAL, PATIENCE_LOCAL) } else { (LOOK_REMOTE, PATIENCE_REMOTE) };
        let (mut fails_since, mut spare, mut over) = (None, false, false);
        loop {
            while let Ok(event) = events.try_recv() {
                desk.note(event);
            }
            match desk.turn().await {
                Ok(()) => fails_since = None,
                Err(error) => {
                    let now = SystemClock.now();
                    let since_first = since(*fails_since.get_or_insert(now), now);
                    if error.retry() == Retry::Never || since_first > patience {
                        tell(desk, on_event);
                        return Ended::Outcome(Outcome::Stopped(error));
                    }
                    if since_first.is_zero() {
                        desk.events.push(JobEvent::StoreTrouble { reason: error.to_string() });
                    }
                }
            }
            tell(desk, on_event);
            if desk.is_done() {
                return Ended::Outcome(Outcome::Finished);
            }
            if let Some(reason) = desk.limit_reached.take() {
                return Ended::Outcome(Outcome::LimitReached(reason));
            }
            if over && spare {
                return Ended::NobodyLeft;
            }
            if over {
                let message = "no instance is left, and none is bought any more";
                return Ended::Outcome(Outcome::Stopped(Error::new(ErrorKind::NoCapacity, message)));
            }
            if desk.works() {
                self.fleet.touch();
            }
            if !spare && desk.has_spare_instances() {
                spare = true;
                self.fleet.stop_replacing();
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => desk.note(event),
                    None => over = true,
                },
                () = SystemClock.sleep(look) => {}
            }
        }
    }

    /// Passes the fleet's events on while something else is done.
    async fn telling<T>(
        &self,
        desk: &mut Desk,
        on_event: &mut impl FnMut(&JobEvent),
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            let done = tokio::select! {
                done = &mut work => Some(done),
                () = SystemClock.sleep(TICK) => None,
            };
            self.fleet.take_events().into_iter().for_each(|event| desk.note(event));
            tell(desk, on_event);
            if let Some(done) = done {
                return done;
            }
        }
    }
}

fn tell(desk: &mut Desk, on_event: &mut impl FnMut(&JobEvent)) {
    desk.events.drain(..).for_each(|event| on_event(&event));
}

fn since(began: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(began).unsigned_abs()
}

#[cfg(all(test, feature = "s3"))]
mod remote_tests;
#[cfg(test)]
mod tests;
