use std::fs;
use std::path::PathBuf;

use skyfleet::{Config, EventKind, Spec};
use skyfleet_core::{FleetName, Owner};
use skyfleet_sim::{SimProvider, World};
use tokio::sync::Notify;

use super::*;
use crate::{Job, JobEvent, TaskState, Tasks};

/// A folder for inputs, results and the scenario of one test.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn inputs(&self, files: &[(&str, &str)]) -> Tasks {
        for (name, text) in files {
            let path = self.path("inputs").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Tasks::Objects(self.url("inputs"))
    }

    fn job(&self, command: &str) -> Job {
        Job::new("test", command).store(Store::open(&self.url("store")).unwrap())
    }

    /// A fleet of the simulated cloud, a minute of which passes in a second.
    fn config(&self, target: u32, scenario: &str) -> Config {
        fs::write(self.path("scenario.toml"), scenario).unwrap();
        let (owner, name) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        let mut config = Config::new("sim", owner, name, Spec::new(target));
        let sim = format!("clock = \"scaled:60\"\nseed = 7\nscenario = {:?}", self.url("scenario.toml"));
        config.providers.insert("sim".to_owned(), sim.parse::<toml::Table>().unwrap().into());
        config
    }
}

fn world(run: &JobRun) -> World {
    run.fleet().provider_as::<SimProvider>().unwrap().world().clone()
}

fn assert_nothing_left(world: &World) {
    let ledger = world.ledger();
    assert!(ledger.proves_empty(), "{ledger:?}");
}

#[tokio::test]
async fn every_result_comes_back_and_nothing_stays() {
    let bench = Bench::new();
    let files = [("a.txt", "one"), ("deep/b c.txt", "three"), ("z", "x"), ("y", "yy"), ("x", "xxx")];
    let tasks = bench.inputs(&files);
    let command = r#"wc -c <"$SKYFLEET_INPUT"; echo "$SKYFLEET_INPUT_NAME" >"$SKYFLEET_OUTPUT"; echo hm >&2"#;
    let run = bench.job(command).tasks(tasks).open(bench.config(3, "")).await.unwrap();
    let world = world(&run);
    let mut finished = Vec::new();
    let report = run
        .run(std::future::pending(), |event| {
            if let JobEvent::TaskDone { finished: n, .. } = event {
                finished.push(*n);
            }
        })
        .await
        .unwrap();

    assert!(report.succeeded(), "{report:?}");
    assert_eq!(finished, [1, 2, 3, 4, 5]);
    let names: Vec<&str> = report.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["a.txt", "deep/b c.txt", "x", "y", "z"]);
    for task in &report.tasks {
        let (_, text) = files.iter().find(|(name, _)| *name == task.name).unwrap();
        let stdout = String::from_utf8(report.stdout(task).await.unwrap()).unwrap();
        assert_eq!(stdout.trim(), text.len().to_string(), "{}", task.name);
        assert_eq!(report.output(task).await.unwrap(), format!("{}\n", task.name).as_bytes());
        assert_eq!(report.stderr(task).await.unwrap(), b"hm\n");
        assert_eq!((task.attempts, task.counted, task.exit_code), (1, Some(1), Some(0)));
        assert!(task.instance.is_some());
    }
    let status = fs::read_to_string(bench.path("store/test/results/deep/b c.txt/status.json")).unwrap();
    assert!(status.contains("\"exit_code\": 0"), "{status}");
    let left: Vec<_> =
        fs::read_dir(bench.path("store/test")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["results"], "what the machines and we wrote to each other is gone");

    assert_eq!(report.launch.as_ref().unwrap().asked, 3);
    assert!(report.bill.spent.micros() > 0);
    assert!(report.teardown.unwrap().leftovers.is_empty());
    assert_nothing_left(&world);
    assert_eq!(fs::read_to_string(bench.path("inputs/a.txt")).unwrap(), "one");
}

#[tokio::test]
async fn a_preempted_task_runs_again_and_is_counted_once() {
    let bench = Bench::new();
    let scenario = "[[event]]\nat_s = 40\nkind = \"preempt\"\nnth = 1\nnotice_s = 3\n\
                    [[event]]\nat_s = 45\nkind = \"preempt\"\nnth = 2\nnotice_s = 3\n";
    // Nobody gets on before both preemptions are over, so both cut off a running task.
    let command = format!(
        "echo $SKYFLEET_TASK_INDEX.$SKYFLEET_TASK_ATTEMPT >>'{log}'
         while [ ! -e '{go}' ]; do sleep 0.1; done; echo $SKYFLEET_TASK_INDEX",
        log = bench.url("log"),
        go = bench.url("go")
    );
    let run = bench.job(&command).tasks(Tasks::Count(6)).open(bench.config(4, scenario)).await.unwrap();
    let world = world(&run);
    let (mut preempted, mut returned, mut done) = (0, Vec::new(), Vec::new());
    let go = bench.path("go");
    let report = run
        .run(std::future::pending(), |event| match event {
            JobEvent::Fleet { happened: Event { kind: EventKind::Preempted { .. }, .. } } => {
                preempted += 1;
                if preempted == 2 {
                    fs::write(&go, "").unwrap();
                }
            }
            JobEvent::TaskReturned { index, .. } => returned.push(*index),
            JobEvent::TaskDone { index, .. } => done.push(*index),
            _ => {}
        })
        .await
        .unwrap();

    assert!(report.succeeded(), "{report:?}");
    assert_eq!((report.preemptions, report.lost), (2, 0));
    assert!(returned.len() >= 2, "{returned:?}");
    done.sort_unstable();
    assert_eq!(done, [0, 1, 2, 3, 4, 5], "each is counted exactly once");
    for &index in &returned {
        let task = &report.tasks[index as usize];
        assert_eq!(task.counted, Some(task.attempts));
        assert!(task.attempts >= 2, "{task:?}");
    }
    let started = fs::read_to_string(bench.path("log")).unwrap();
    assert!(started.lines().any(|run| run.ends_with(".2")), "{started}");
    for task in &report.tasks {
        assert_eq!(report.stdout(task).await.unwrap(), format!("{}\n", task.index).as_bytes());
    }
    assert_nothing_left(&world);
}

#[tokio::test]
async fn a_task_that_fails_is_tried_again_then_reported() {
    let bench = Bench::new();
    let command = "[ $SKYFLEET_TASK_INDEX != 1 ] || { echo try $SKYFLEET_TASK_ATTEMPT >&2; exit 3; }";
    let run = bench.job(command).tasks(Tasks::Count(3)).retries(1).open(bench.config(9, "")).await.unwrap();
    assert_eq!(run.fleet().config().spec.target, 3, "no more instances than tasks");
    let world = world(&run);
    let mut told = Vec::new();
    let report = run
        .run(std::future::pending(), |event| match event {
            JobEvent::TaskRetried { index, attempt, reason } => {
                told.push(format!("again {index}.{attempt}: {reason}"))
            }
            JobEvent::TaskFailed { index, attempt, reason, .. } => {
                told.push(format!("failed {index}.{attempt}: {reason}"))
            }
            _ => {}
        })
        .await
        .unwrap();

    assert_eq!(told, ["again 1.1: exit code 3", "failed 1.2: exit code 3"]);
    assert!(!report.succeeded());
    assert_eq!(report.outcome, Outcome::Finished);
    assert_eq!((report.count(TaskState::Done), report.count(TaskState::Failed)), (2, 1));
    assert_eq!((report.tasks[1].attempts, report.tasks[1].exit_code), (2, Some(3)));
    assert_eq!(report.stderr(&report.tasks[1]).await.unwrap(), b"try 2\n");
    assert_nothing_left(&world);
}

#[tokio::test]
async fn a_cancelled_job_leaves_nothing() {
    let bench = Bench::new();
    let run = bench.job("sleep 300").tasks(Tasks::Count(2)).open(bench.config(2, "")).await.unwrap();
    let world = world(&run);
    let ready = Notify::new();
    let report = run
        .run(ready.notified(), |event| {
            if matches!(event, JobEvent::WorkerReady { .. }) {
                ready.notify_one();
            }
        })
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert_eq!(report.count(TaskState::Unfinished), 2);
    assert!(!report.succeeded());
    assert!(report.teardown.unwrap().leftovers.is_empty());
    assert_nothing_left(&world);
}

#[tokio::test]
async fn a_job_that_is_cancelled_before_it_begins_buys_nothing() {
    let bench = Bench::new();
    let run = bench.job("true").open(bench.config(1, "")).await.unwrap();
    let world = world(&run);
    // A job may run on any task of a runtime.
    let report = tokio::spawn(run.run(std::future::ready(()), |_| {})).await.unwrap().unwrap();
    assert_eq!((report.outcome, report.launch.is_none()), (Outcome::Cancelled, true));
    assert!(world.instances().is_empty());
}

#[tokio::test]
async fn a_store_that_breaks_ends_the_job_and_the_fleet() {
    let bench = Bench::new();
    let run = bench.job("sleep 300").open(bench.config(1, "")).await.unwrap();
    let world = world(&run);
    let store = bench.path("store");
    let report = run
        .run(std::future::pending(), |event| {
            if matches!(event, JobEvent::TaskDealt { .. }) {
                fs::remove_dir_all(&store).unwrap();
                fs::write(&store, "no folder").unwrap();
            }
        })
        .await
        .unwrap();
    assert!(matches!(report.outcome, Outcome::Stopped(_)), "{:?}", report.outcome);
    assert_nothing_left(&world);
}

#[tokio::test]
async fn machines_that_never_reach_the_store_are_not_paid_for_ever() {
    let bench = Bench::new();
    let mut config = bench.config(1, "");
    config.spec.limits.idle_max = Some(Duration::from_secs(120));
    // A world without processes: machines that boot and never run their user data.
    let connected = (skyfleet_sim::DRIVER.connect)(&config.provider_settings()).unwrap();
    let run = bench.job("true").open_on(connected, config).await.unwrap();
    let world = world(&run);
    let report = run.run(std::future::pending(), |_| {}).await.unwrap();
    assert!(matches!(report.outcome, Outcome::LimitReached(_)), "{:?}", report.outcome);
    assert_eq!((report.tasks[0].state, report.tasks[0].attempts), (TaskState::Unfinished, 1));
    assert_nothing_left(&world);
}

#[tokio::test]
async fn a_fleet_that_shrank_and_then_lost_everything_begins_again() {
    let bench = Bench::new();
    let scenario = "[[event]]\nat_s = 240\nkind = \"preempt\"\ncount = 3\nnotice_s = 3\n";
    let command = format!(
        "[ $SKYFLEET_TASK_INDEX != 2 ] || while [ ! -e '{go}' ]; do sleep 0.1; done",
        go = bench.url("go")
    );
    let run = bench.job(&command).tasks(Tasks::Count(3)).open(bench.config(3, scenario)).await.unwrap();
    let world = world(&run);
    let (mut preempted, mut story) = (0, Vec::new());
    let go = bench.path("go");
    let report = run
        .run(std::future::pending(), |event| match event {
            JobEvent::Fleet { happened: Event { kind: EventKind::Preempted { .. }, .. } } => {
                preempted += 1;
                if preempted == 3 {
                    fs::write(&go, "").unwrap();
                }
            }
            JobEvent::Fleet { happened: Event { kind: EventKind::ReplacingStopped { .. }, .. } } => {
                story.push("stop")
            }
            JobEvent::Fleet { happened: Event { kind: EventKind::LaunchSent { .. }, .. } } => {
                story.push("launch")
            }
            _ => {}
        })
        .await
        .unwrap();
    assert!(report.succeeded(), "{report:?}");
    assert_eq!(report.tasks[2].attempts, 2);
    assert!(story.starts_with(&["launch", "stop", "launch"]), "{story:?}");
    assert_nothing_left(&world);
}

#[tokio::test]
async fn a_fleet_that_lives_already_is_left_alone() {
    let bench = Bench::new();
    let config = bench.config(1, "");
    let connected = (skyfleet_sim::DRIVER.connect)(&config.provider_settings()).unwrap();
    let other = Fleet::on(connected.clone(), config.clone());
    other.launch().await.unwrap();
    let run = bench.job("true").open_on(connected, config).await.unwrap();
    let error = run.run(std::future::pending(), |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(other.list().await.unwrap().len(), 1);
    assert!(!bench.path("store/test").exists());
    other.teardown().await.unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_bought() {
    let bench = Bench::new();
    let refused = async |job: Job, config: Config, part: &str| {
        let error = job.open(config).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    fs::create_dir(bench.path("empty")).unwrap();
    fs::create_dir_all(bench.path("store/taken/results/0")).unwrap();
    fs::write(bench.path("store/taken/results/0/stdout"), "").unwrap();
    let config = || bench.config(2, "");
    let empty = Tasks::Objects(bench.url("empty"));
    refused(bench.job("true").tasks(empty), config(), "no file in it").await;
    refused(bench.job("true").tasks(Tasks::Objects(bench.url("nowhere"))), config(), "cannot be read").await;
    refused(bench.job("true").tasks(Tasks::Count(0)), config(), "at least one task").await;
    refused(bench.job(" "), config(), "no command").await;
    refused(bench.job(&"x".repeat(20_000)), config(), "20000 bytes").await;
    refused(
        Job::new("a/b", "true").store(Store::open(&bench.url("store")).unwrap()),
        config(),
        "folder name",
    )
    .await;
    refused(Job::new("test", "true"), config(), "needs a store").await;
    let taken = Job::new("taken", "true").store(Store::open(&bench.url("store")).unwrap());
    refused(taken, config(), "has a job \"taken\" already").await;
    let mut own_script = config();
    own_script.spec.user_data = "#!/bin/sh\n".to_owned();
    refused(bench.job("true"), own_script, "brings its own user data").await;
    let mut elsewhere = config();
    elsewhere.provider = "smi".to_owned();
    refused(bench.job("true"), elsewhere, "\"sim\"").await;
    assert!(!bench.path("store/test").exists(), "nothing is left in the store");
}

#[tokio::test]
async fn machines_that_do_not_see_the_folder_are_not_bought() {
    let bench = Bench::new();
    let provider = skyfleet_core::mock::provider(skyfleet_core::mock::CAPABILITY);
    let clock = std::sync::Arc::new(SystemClock);
    let connected = skyfleet_core::Connected { provider: std::sync::Arc::new(provider), clock };
    let error = bench.job("true").open_on(connected, bench.config(1, "")).await.unwrap_err();
    assert!(error.to_string().contains("s3://"), "{error}");
}
