use std::time::Duration;

use skyfleet::{Config, Fleet};
use skyfleet_core::{Connected, Driver, Error, ErrorKind, Result};

use crate::inputs::Inputs;
use crate::tasks::TaskList;
use crate::worker::{Poll, Worker};
use crate::{JobReport, JobRun, Store, Tasks};

/// What to run, over what, and where its results go.
///
/// The command is run by `sh -c` once per task, in a fresh folder, with these in its environment:
///
/// | variable | meaning |
/// |---|---|
/// | `SKYFLEET_TASK_INDEX` | the task's number, from 0 |
/// | `SKYFLEET_TASK_COUNT` | how many tasks the job has |
/// | `SKYFLEET_TASK_ATTEMPT` | the how-manieth try this is, from 1 |
/// | `SKYFLEET_SLOT` | the slot of the fleet that the machine holds, from 0; a replacement has that of what it replaces |
/// | `SKYFLEET_INPUT` | a local file with the task's input, under the object's own base name; empty without one. Only to be read: it may be the original |
/// | `SKYFLEET_INPUT_NAME` | the input's name below the listed folder |
/// | `SKYFLEET_OUTPUT` | a local path: what is written there becomes the task's `output` |
///
/// Exit code 0 is success. A task may run more than once (an instance may be taken back in
/// mid-task), and exactly one run is counted.
#[derive(Clone, Debug)]
pub struct Job {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) tasks: Tasks,
    pub(crate) store: Option<Store>,
    pub(crate) retries: u32,
    pub(crate) task_timeout: Option<Duration>,
    pub(crate) url_lifetime: Duration,
    pub(crate) shared_folder: bool,
}

/// The provider that runs user data only when its settings say so.
const SIM: &str = "sim";

/// The longest that S3 and Cloud Storage let a signed URL live.
const URL_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

impl Job {
    /// A job of one task, without a store yet. The name is the folder below the store: letters,
    /// digits, `.`, `_` and `-`.
    pub fn new(name: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            tasks: Tasks::Count(1),
            store: None,
            retries: 2,
            task_timeout: None,
            url_lifetime: URL_LIFETIME_MAX,
            shared_folder: false,
        }
    }

    /// How many times the command runs, and over what. One time when not called.
    #[must_use]
    pub fn tasks(mut self, tasks: Tasks) -> Self {
        self.tasks = tasks;
        self
    }

    /// Where the job's folder lies. Needed.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// How many times a task that failed is tried again; 2 when not called. A task that was cut off
    /// by a preemption did not fail.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long one run of the command may take, in real time, in whole seconds (rounded up): then
    /// it is ended, and has failed. No limit when not called.
    #[must_use]
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.task_timeout = Some(limit);
        self
    }

    /// How long the signed URLs of a remote store live; the job must not last longer. Seven days
    /// when not called, the most that S3 and Cloud Storage allow.
    #[must_use]
    pub fn url_lifetime(mut self, lifetime: Duration) -> Self {
        self.url_lifetime = lifetime.min(URL_LIFETIME_MAX);
        self
    }

    /// Says that every machine sees the store's local folder under the same path (a network file
    /// system). Only the simulated cloud, whose machines are processes of this one, sees it
    /// without.
    #[must_use]
    pub fn shared_folder(mut self, shared: bool) -> Self {
        self.shared_folder = shared;
        self
    }

    /// Checks everything that can be checked before money is spent, with the drivers of this
    /// build. On the simulated cloud it sets `processes = true`, because there a job is real.
    ///
    /// # Errors
    /// `InvalidConfig` or `InvalidRequest` with what is wrong and what would be right. Nothing was
    /// launched.
    pub async fn open(self, config: Config) -> Result<JobRun> {
        self.open_with(&skyfleet::drivers(), config).await
    }

    /// As [`Job::open`], with drivers of the caller's choice.
    ///
    /// # Errors
    /// As [`Job::open`].
    pub async fn open_with(self, drivers: &[Driver], config: Config) -> Result<JobRun> {
        let Some(driver) = drivers.iter().find(|driver| driver.name == config.provider) else {
            let known: Vec<&str> = drivers.iter().map(|driver| driver.name).collect();
            return Err(skyfleet::unknown_provider(&config.provider, &known));
        };
        let mut settings = config.provider_settings();
        if driver.name == SIM {
            settings.insert("processes".to_owned(), true.into());
        }
        let connected = (driver.connect)(&settings)?;
        self.open_on(connected, config).await
    }

    /// As [`Job::open`], on a provider that is connected already; its instances must run their user
    /// data.
    ///
    /// # Errors
    /// As [`Job::open`].
    pub async fn open_on(self, connected: Connected, mut config: Config) -> Result<JobRun> {
        let store = self.check(&config)?;
        let provider = &connected.provider;
        if store.is_local() && !provider.capability().shares_files && !self.shared_folder {
            return Err(refusal(format!(
                "the machines of {:?} do not see a folder of this one: take s3://, gs:// or az://, or say that \
                 the folder is shared",
                provider.name()
            ))
            .with("key", "store")
            .with("store", &store));
        }
        let TaskList { names, inputs } = self.tasks.list().await?;
        let inputs = Inputs::new(inputs, &store, &self.name);
        let tasks = u32::try_from(names.len()).expect("the tasks were counted");
        config.spec.target = config.spec.target.min(tasks);
        config.spec.min = config.spec.min.min(config.spec.target);

        let job = &self.name;
        if store.has_any(&format!("{job}/")).await? {
            let message =
                format!("the store has a job {job:?} already: take another name, or delete its folder");
            return Err(Error::new(ErrorKind::Conflict, message).with("folder", store.url_of(job)));
        }
        config.spec.user_data = Worker {
            command: &self.command,
            tasks,
            task_timeout: self.task_timeout,
            roster: &store.location(&format!("{job}/control/roster"), self.url_lifetime).await?.place,
            upload_headers: &store.target(&format!("{job}/control/probe"), self.url_lifetime).await?.headers,
            poll: if store.is_local() { Poll::Local } else { Poll::Remote },
        }
        .script(&provider.capability())?;
        inputs.location(&names[0], self.url_lifetime).await?;
        store.probe(job).await?;

        Ok(JobRun {
            fleet: Fleet::on(connected, config),
            store,
            job: self.name,
            names,
            inputs,
            retries: self.retries,
            task_timeout: self.task_timeout,
            url_lifetime: self.url_lifetime,
        })
    }

    /// What needs no I/O to be checked. Returns the store.
    fn check(&self, config: &Config) -> Result<Store> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.name.is_empty()
            || self.name.len() > 100
            || self.name.starts_with('.')
            || !self.name.chars().all(legal)
        {
            return Err(refusal(format!(
                "the job's name {:?} is no folder name: 1 to 100 letters, digits, '.', '_', '-', not beginning \
                 with '.'",
                self.name
            ))
            .with("key", "job"));
        }
        if self.command.trim().is_empty() {
            return Err(refusal("there is no command to run").with("key", "command"));
        }
        if !config.spec.user_data.is_empty() {
            return Err(refusal(
                "a job brings its own user data: put what the machines need into the image or the command",
            )
            .with("key", "user_data"));
        }
        self.store.clone().ok_or_else(|| refusal("a job needs a store for its results").with("key", "store"))
    }

    /// Runs the job from launch to teardown: [`Job::open`], then [`JobRun::run`] without events
    /// and without a way to cancel.
    ///
    /// # Errors
    /// As [`Job::open`] and [`JobRun::run`].
    pub async fn run(self, config: Config) -> Result<JobReport> {
        self.open(config).await?.run(std::future::pending(), |_| {}).await
    }
}

fn refusal(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}
