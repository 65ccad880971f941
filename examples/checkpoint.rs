//! The code of a job that is told when its machine will be taken back: it saves what it has done, and
//! its replacement goes on there. The same code on AWS, Google Cloud and Azure.
//!
//! ```text
//! cargo run -p skyfleet-examples --features aws,gcp,azure,on-instance --example checkpoint
//! ```
//!
//! Each task of the job counts to 60 and takes four seconds for each number. What it asks about its
//! machine, it asks `skyfleet::on_instance`: no cloud is named in [`work`]. The program serves the
//! simulated clouds on ports of this machine, whose instances are real processes, has each cloud take
//! two of them back, and runs itself once for each provider.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use comfy_table::{Table, presets};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use skyfleet::on_instance::Machine;
use skyfleet::{Config, EventKind};
use skyfleet_batch::{Job, JobEvent, Store, Tasks};
use skyfleet_core::{Clock, Error, ErrorKind, PreemptionKind, Result, ScaledClock, SystemClock};
use skyfleet_simcloud::{Cloud, Scenario, Server, ServerOptions};

/// The config on all clouds.
const CONFIG: &str = r#"
provider = "aws"      # the one value that changes
name = "checkpoint"
owner = "examples"

[need]
vcpus = 2
memory_gib = 4

[fleet]
target = 4
market = "spot"

[limits]
usd_per_hour_max = 5.0
lifetime_max = "1h"
"#;

/// What the clouds do meanwhile.
const SCENARIO: &str = r#"
[market]
process = "constant"

[[event]]
after = "launch"
at_s = 150
kind = "preempt"
nth = 1
notice_seconds = 120

[[event]]
after = "launch"
at_s = 180
kind = "preempt"
nth = 3
notice_seconds = 120
"#;

/// How many times faster than here time goes in the clouds.
const FACTOR: f64 = 20.0;
/// How far a task counts, and how long it takes for each number.
const LAST: u32 = 60;
const STEP: Duration = Duration::from_secs(4);

/// Counts on spot instances, and loses nothing when they are taken back.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

/// The parts that the program plays when it starts itself again.
#[derive(Subcommand)]
enum Part {
    /// The job on one provider.
    Run {
        /// Its name.
        provider: String,
    },
    /// One task of it, on a machine.
    Work {
        /// Where the tasks save what they have done: every machine sees it.
        folder: PathBuf,
    },
}

/// What a task saved.
#[derive(Default, Deserialize, Serialize)]
struct Saved {
    /// How far it has counted.
    step: u32,
    /// The machines that it was on.
    lives: Vec<Life>,
}

/// What a task did on one machine.
#[derive(Deserialize, Serialize)]
struct Life {
    machine: String,
    slot: Option<u32>,
    /// The first number that it counted there, and the last one.
    from: u32,
    to: u32,
    /// How many seconds were left when it had saved.
    left: Option<i64>,
}

/// What became of the job on one provider.
#[derive(Deserialize, Serialize)]
struct Row {
    provider: String,
    tasks: u32,
    preempted: u32,
    /// How many numbers were counted in all, and how many of them twice or never.
    counted: u32,
    lost: u32,
    /// Where tasks went on in replacements.
    resumed: Vec<String>,
    leftovers: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Args::parse().part {
        Some(Part::Work { folder }) => work(&folder).await,
        Some(Part::Run { provider }) => {
            run(&provider).await.map(|row| println!("{}", serde_json::json!(row)))
        }
        None => match run_all() {
            Ok(rows) => return show(&rows),
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The code of the job.
async fn work(folder: &Path) -> Result<()> {
    let machine = Machine::find().await?;
    let file = folder.join(std::env::var("SKYFLEET_TASK_INDEX").unwrap_or_default());
    let mut saved: Saved = match std::fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text).map_err(|e| trouble("the checkpoint", e))?,
        Err(_) => Saved::default(),
    };
    let mut life = Life {
        machine: machine.identity().id.to_string(),
        slot: machine.slot(),
        from: saved.step + 1,
        to: saved.step,
        left: None,
    };
    let mut notices = pin!(machine.notices());
    while life.to < LAST {
        tokio::select! {
            Some(notice) = notices.next() => {
                // Advice to leave may come long before: only the end is worth a checkpoint here.
                if notice.kind == PreemptionKind::Notice {
                    life.left = Some(notice.at.duration_since(machine.clock().now()).as_secs());
                    break;
                }
            }
            () = machine.clock().sleep(STEP) => life.to += 1,
        }
    }
    saved.step = life.to;
    saved.lives.push(life);
    let draft = file.with_extension("draft");
    std::fs::write(&draft, serde_json::json!(saved).to_string())
        .and_then(|()| std::fs::rename(&draft, &file))
        .map_err(|e| trouble("the checkpoint", e))?;
    if saved.step < LAST {
        // The machine goes; the job deals the task to the replacement.
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// The job on one provider, from the launch to the proof that nothing is left.
async fn run(provider: &str) -> Result<Row> {
    let config = Config::parse(&CONFIG.replace(r#"provider = "aws""#, &format!("provider = {provider:?}")))?;
    let tasks = config.spec.target;
    let scratch = tempfile::tempdir().map_err(|e| trouble("a scratch folder", e))?;
    let (saves, program) = (scratch.path().join("saves"), std::env::current_exe());
    let program = program.map_err(|e| trouble("this program", e))?;
    std::fs::create_dir(&saves).map_err(|e| trouble("a folder for checkpoints", e))?;
    let report = Job::new("checkpoint", format!("'{}' work '{}'", program.display(), saves.display()))
        .tasks(Tasks::Count(tasks))
        .store(Store::open(&scratch.path().join("store").display().to_string())?)
        .open(config)
        .await?
        .run(std::future::pending(), |event| match event {
            JobEvent::Fleet { happened } if matches!(happened.kind, EventKind::Running { .. }) => {}
            JobEvent::Fleet { happened } => eprintln!("  {happened}"),
            _ => {}
        })
        .await?;
    let mut row = Row {
        provider: provider.to_owned(),
        tasks,
        preempted: report.preemptions,
        counted: 0,
        lost: 0,
        resumed: Vec::new(),
        leftovers: report.teardown.as_ref().map_or(1, |done| done.leftovers.len()),
    };
    for task in 0..tasks {
        let text = std::fs::read(saves.join(task.to_string())).map_err(|e| trouble("a task's end", e))?;
        let saved: Saved = serde_json::from_slice(&text).map_err(|e| trouble("a task's end", e))?;
        let counted: u32 = saved.lives.iter().map(|life| life.to + 1 - life.from).sum();
        row.counted += counted;
        row.lost += counted.abs_diff(LAST);
        for (before, after) in saved.lives.iter().zip(saved.lives.iter().skip(1)) {
            let slot = after.slot.map_or_else(|| "?".to_owned(), |slot| slot.to_string());
            let left = before.left.unwrap_or_default();
            row.resumed.push(format!("slot {slot} at {} ({left} s were left)", after.from));
        }
    }
    Ok(row)
}

/// The same on every provider of this build, each against its simulated cloud.
fn run_all() -> Result<Vec<Row>> {
    let clock = ScaledClock::new(SystemClock.now(), FACTOR);
    let scenario = Scenario::parse(SCENARIO, "checkpoint", Path::new("."))?;
    let options = ServerOptions { seed: 7, scenario, processes: true, ..ServerOptions::new(Arc::new(clock)) };
    let clouds = Server::start(options)?;
    let program = std::env::current_exe().map_err(|e| trouble("this program", e))?;
    let mut rows = Vec::new();
    for (name, cloud) in [("aws", Cloud::Aws), ("gcp", Cloud::Gcp), ("azure", Cloud::Azure)] {
        // In the simulated cloud that is a part of the program, instances have no metadata service.
        if !skyfleet::drivers().iter().any(|driver| driver.name == name) {
            continue;
        }
        eprintln!("provider = {name:?} …");
        let ended = Command::new(&program)
            .args(["run", name])
            .envs(clouds.environment(Some(&clock)))
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| trouble("this program does not start again", e))?;
        let mut row: Row = serde_json::from_slice(&ended.stdout)
            .map_err(|e| trouble(&format!("on {name} it ended with {}", ended.status), e))?;
        let ledger = clouds.world(cloud).ledger();
        row.leftovers = ledger.live.len() + ledger.blocking.len();
        rows.push(row);
    }
    Ok(rows)
}

fn show(rows: &[Row]) -> ExitCode {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["provider", "tasks", "preempted", "counted", "lost", "went on in", "leftovers"]);
    for row in rows {
        table.add_row([
            row.provider.clone(),
            row.tasks.to_string(),
            row.preempted.to_string(),
            row.counted.to_string(),
            row.lost.to_string(),
            row.resumed.join("\n"),
            row.leftovers.to_string(),
        ]);
    }
    println!("{table}");
    if rows.is_empty() {
        println!("this build has no provider of a cloud: --features aws,gcp,azure");
    }
    let whole = |row: &Row| row.lost == 0 && row.leftovers == 0 && !row.resumed.is_empty();
    ExitCode::from(u8::from(rows.is_empty() || !rows.iter().all(whole)))
}

fn trouble(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unexpected, format!("{what}: {error}")).because(error)
}
