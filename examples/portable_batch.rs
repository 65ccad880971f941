//! The main job: count the words of every file of a folder on a fleet of spot instances.
//!
//! ```text
//! cargo run --release -p skyfleet-examples --example portable_batch [-- --input DIR]
//! ```
//!
//! `fleet.toml` beside this file says which cloud. On `sim` the instances are local processes, and
//! `scenario.toml` has the world take two of them back in the middle of the job.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use comfy_table::{Table, presets};
use skyfleet::{Config, EventKind, Fleet, Obtained, Timeline};
use skyfleet_batch::{Job, JobEvent, JobReport, Outcome, Store, TaskState, Tasks};
use skyfleet_core::{Error, ErrorKind, Result};
use skyfleet_sim::SimProvider;

/// What each machine runs per file. The pause stands for real work: without it the job would be
/// over before the cloud could take anything back. One locale for all, since `wc` asks it what a
/// word is.
const COMMAND: &str = r#"sleep 0.4; LC_ALL=C wc -w < "$SKYFLEET_INPUT""#;

/// Counts the words of every file of a folder on a fleet of spot instances.
#[derive(Parser)]
struct Args {
    /// The folder whose files are counted; this repository's own text files when not named.
    #[arg(long)]
    input: Option<PathBuf>,
    /// The fleet's config.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/fleet.toml"))]
    config: PathBuf,
    /// Where the picture of the fleet's life goes.
    #[arg(long, default_value = "timeline.svg")]
    timeline: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(args: Args) -> Result<ExitCode> {
    let scratch = tempfile::tempdir().map_err(|e| trouble("a scratch folder", e))?;
    let input = match args.input {
        Some(folder) => {
            folder.canonicalize().map_err(|e| trouble(&format!("--input {}", folder.display()), e))?
        }
        None => own_text_files(&scratch.path().join("texts"))?,
    };
    let timeline_path = std::path::absolute(&args.timeline).map_err(|e| trouble("--timeline", e))?;
    let config = Config::load(&args.config)?;
    // The config names its scenario by a path beside itself.
    if let Some(folder) = args.config.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::env::set_current_dir(folder).map_err(|e| trouble("--config", e))?;
    }

    let mut timeline = Timeline::titled(format!("{}: {} instances", config.name, config.spec.target));
    let job = Job::new("word-count", COMMAND)
        .tasks(Tasks::Objects(input.display().to_string()))
        .store(Store::open(&scratch.path().join("store").display().to_string())?)
        .open(config)
        .await?;
    let fleet = job.fleet().clone();
    let names: Vec<String> = job.task_names().map(str::to_owned).collect();
    println!("counting the words of {} files on {} instances", names.len(), fleet.config().spec.target);
    let report = job.run(interrupt(&fleet), |event| tell(event, &names, &mut timeline)).await?;

    std::fs::write(&timeline_path, timeline.to_svg()).map_err(|e| trouble("--timeline", e))?;
    show_obtained(&report);
    show_cost(&report, &fleet);
    println!("picture: {}", timeline_path.display());
    let right = counts_are_right(&report, &input).await?;
    let left = leftovers(&report, &fleet);
    Ok(match report.outcome {
        Outcome::Cancelled => ExitCode::from(130),
        _ if report.succeeded() && right && left == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Says what happens, in one line each; the finished tasks only by the dozen.
fn tell(event: &JobEvent, names: &[String], timeline: &mut Timeline) {
    match event {
        JobEvent::Fleet { happened } => {
            timeline.push(happened.clone());
            match &happened.kind {
                EventKind::Filled { replaces: None, .. } | EventKind::Running { .. } => {}
                _ => println!("  {happened}"),
            }
        }
        JobEvent::TaskReturned { index, attempt, instance } => {
            println!(
                "  {} (try {attempt}) was cut off with {instance}: it runs again",
                names[*index as usize]
            );
        }
        JobEvent::TaskRetried { index, reason, .. } | JobEvent::TaskFailed { index, reason, .. } => {
            println!("  {} failed: {reason}", names[*index as usize]);
        }
        JobEvent::TaskDone { finished, .. } if finished % 25 == 0 || *finished as usize == names.len() => {
            println!("  {finished} of {} files counted", names.len());
        }
        _ => {}
    }
}

/// What was asked for beside what was obtained.
fn show_obtained(report: &JobReport) {
    let Some(launch) = &report.launch else { return };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["instances", "type", "zone", "market", "price"]);
    for Obtained { offer, price, count } in launch.obtained() {
        table.add_row([
            count.to_string(),
            offer.instance_type.to_string(),
            offer.zone.to_string(),
            offer.market.to_string(),
            price.to_string(),
        ]);
    }
    println!("\nasked for {} spot instances, obtained {}:", launch.asked, launch.instances.len());
    println!("{table}");
    println!("preempted {}, replaced {}", report.preemptions, report.replacements);
}

/// Time and money; the money from the cloud's own ledger where there is one.
fn show_cost(report: &JobReport, fleet: &Fleet) {
    let (spent, on_demand) = match fleet.provider_as::<SimProvider>() {
        Some(sim) => {
            let ledger = sim.world().ledger();
            (ledger.accrued_usd, ledger.on_demand_equivalent_usd)
        }
        None => (report.bill.spent, report.bill.on_demand),
    };
    println!(
        "{:.1} s on this machine, {:.0} s on the fleet's clock",
        report.took_real.as_secs_f64(),
        report.took.as_secs_f64()
    );
    println!("cost {spent}; the same time on demand {on_demand}");
}

/// Compares the fleet's counts with those of one plain process.
async fn counts_are_right(report: &JobReport, input: &Path) -> Result<bool> {
    if report.outcome != Outcome::Finished {
        let done = report.tasks.iter().filter(|task| task.state == TaskState::Done).count();
        println!("the job did not finish: {done} of {} files were counted", report.tasks.len());
        return Ok(false);
    }
    let (mut total, mut wrong) = (0, 0);
    for task in &report.tasks {
        let fleet_says = report.stdout(task).await.unwrap_or_default();
        let plain = plain_count(&input.join(&task.name))?;
        match String::from_utf8_lossy(&fleet_says).trim().parse::<u64>() {
            Ok(count) if count == plain => total += count,
            _ => {
                println!(
                    "  {}: {:?}, one process counts {plain}",
                    task.name,
                    String::from_utf8_lossy(&fleet_says)
                );
                wrong += 1;
            }
        }
    }
    match wrong {
        0 => println!(
            "results: {total} words in {} files, equal to a plain single-process count",
            report.tasks.len()
        ),
        _ => println!(
            "results: {wrong} of {} files differ from a plain single-process count",
            report.tasks.len()
        ),
    }
    Ok(wrong == 0)
}

fn plain_count(file: &Path) -> Result<u64> {
    let output = std::fs::File::open(file)
        .and_then(|file| Command::new("wc").arg("-w").env("LC_ALL", "C").stdin(file).output())
        .map_err(|e| trouble(&file.display().to_string(), e))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().map_err(|e: std::num::ParseIntError| {
        Error::new(ErrorKind::Unexpected, format!("wc said {text:?}")).because(e)
    })
}

/// What still costs money or blocks a deletion: by the ledger on the simulated cloud, by the
/// teardown's proof elsewhere.
fn leftovers(report: &JobReport, fleet: &Fleet) -> usize {
    let left = match fleet.provider_as::<SimProvider>() {
        Some(sim) => {
            let ledger = sim.world().ledger();
            ledger.live.len() + ledger.blocking.len()
        }
        None => report.teardown.as_ref().map_or(1, |done| done.leftovers.len()),
    };
    println!("leftovers: {left}");
    left
}

/// The first Ctrl-C ends the job in order; the second leaves at once. A task of its own listens, so
/// that the second is heard whatever the job is doing.
fn interrupt(fleet: &Fleet) -> impl Future<Output = ()> + use<> {
    let config = fleet.config();
    let sweep = format!("skyfleet down --all --provider {} --owner {}", config.provider, config.owner);
    let (first, cancelled) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("interrupted: giving everything back (once more to leave at once)");
            let _ = first.send(());
            if tokio::signal::ctrl_c().await.is_ok() {
                eprintln!("left at once; this gives back what may be there: {sweep}");
                std::process::exit(130);
            }
        }
        std::future::pending::<()>().await;
    });
    async {
        if cancelled.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// This repository's own tracked text files, copied into a folder.
fn own_text_files(folder: &Path) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("examples/ has a parent");
    let listed = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    let names = match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(PathBuf::from).collect()
        }
        _ => files_below(root, Path::new("")).map_err(|e| trouble("this repository", e))?,
    };
    for name in names {
        let Ok(text) = std::fs::read_to_string(root.join(&name)) else { continue }; // not text, or gone
        let copy = folder.join(&name);
        std::fs::create_dir_all(copy.parent().unwrap_or(folder))
            .and_then(|()| std::fs::write(&copy, text))
            .map_err(|e| trouble(&copy.display().to_string(), e))?;
    }
    Ok(folder.to_owned())
}

/// Without git: every file that is not built or hidden.
fn files_below(root: &Path, below: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join(below))? {
        let (entry, name) = entry.map(|entry| (entry.file_type(), entry.file_name()))?;
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        match entry?.is_dir() {
            true => files.extend(files_below(root, &below.join(name))?),
            false => files.push(below.join(name)),
        }
    }
    Ok(files)
}

fn trouble(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("{what}: {error}")).because(error)
}
