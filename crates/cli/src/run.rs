//! `skyfleet run`: a command over many inputs, on a fleet that lives as long as the job.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use skyfleet::Timeline;
use skyfleet_batch::{Job, JobEvent, JobReport, Outcome, Store, TaskReport, TaskState, Tasks};

use crate::args::{Common, RunArgs};
use crate::down;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, counted, note, span, usd};
use crate::progress::Progress;
use crate::settings::{Changes, SIM, Settings, World};

/// How many results are read from the store at once.
const READS: usize = 16;

pub(crate) async fn run(
    common: &Common,
    args: RunArgs,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let mut changes = Changes::default();
    changes.need(&args.need);
    changes.fleet(&args.fleet);
    let world = World::Own { otherwise: no_config_file(args.tasks) };
    let settings = Settings::read(common, changes, &world)?;
    let config = settings.config.clone();
    let simulated = config.provider == SIM;
    let sweep = settings.sweep_command();
    interrupt.last_words(match simulated {
        true => format!("this job's simulated world ends with it; a kept one is swept by: {sweep}"),
        false => format!("what was bought is swept by: {sweep}"),
    });
    let places = Places::make(&args)?;
    let job = Job::new(config.name.as_str(), shell_text(&args.command)?)
        .tasks(match (&args.input, args.tasks) {
            (Some(folder), _) => Tasks::Objects(folder.clone()),
            (None, count) => Tasks::Count(count.unwrap_or(1)),
        })
        .store(Store::open(&places.store)?)
        .retries(args.retries);
    let job = match &args.task_timeout {
        Some(text) => job.task_timeout(duration("--task-timeout", text)?),
        None => job,
    };

    let Some(run) = interrupt.unless(job.open(config)).await else {
        note("interrupted before anything was launched");
        return Ok(Exit::Interrupted);
    };
    let run = run?;
    let fleet = run.fleet().clone();
    let instances = counted(fleet.config().spec.target as usize, "instance");
    if simulated {
        note(format!(
            "simulated cloud: {instances}, tasks run as processes on this machine, nothing is paid"
        ));
    }
    let mut progress = Progress::new(run.task_names().count());
    let mut timeline = Timeline::titled(format!("{}: {instances}", fleet.config().name));
    let cancel = async {
        interrupt.asked().await;
        note("interrupted: giving the fleet back; once more leaves at once");
    };
    let ran = run.run(cancel, |event| {
        progress.show(event);
        if let JobEvent::Fleet { happened } = event {
            timeline.push(happened.clone());
        }
    });
    let ran = Box::pin(ran).await;
    progress.end();
    let report = ran?;

    if let Some(path) = &args.timeline {
        std::fs::write(path, timeline.to_svg()).map_err(|error| cannot("--timeline", path, &error))?;
    }
    let ledger = ledger(&fleet);
    match &places.output {
        Some(folder) => write_results(&report, folder).await?,
        None if output.json => {}
        None => print_results(&report, output).await?,
    }
    let exit = end(&report);
    if output.json {
        let texts = places.output.is_none();
        output.document(&report_json(&report, exit, ledger, texts).await)?;
    }
    say(&report);
    Ok(exit)
}

/// What is meant when no file says anything: the simulated cloud, as many instances as this machine
/// has processors, and a clock that does not make a person wait for simulated boots.
fn no_config_file(tasks: Option<u32>) -> String {
    let processors = std::thread::available_parallelism().map_or(2, |count| count.get().min(64));
    let instances = processors.min(tasks.unwrap_or(u32::MAX).max(1) as usize);
    format!(
        "provider = \"sim\"\nname = \"run\"\n\
         [need]\nvcpus = 2\n\
         [fleet]\ntarget = {instances}\n\
         [providers.sim]\nclock = \"scaled:60\"\n"
    )
}

/// Where results go while the job runs, and after it.
struct Places {
    store: String,
    output: Option<PathBuf>,
    /// Holds the temporary store until the results are read.
    _folder: Option<tempfile::TempDir>,
}

impl Places {
    /// Checks and makes them before anything is launched.
    fn make(args: &RunArgs) -> Result<Self, Failure> {
        if let Some(folder) = &args.output {
            std::fs::create_dir_all(folder).map_err(|error| cannot("--output", folder, &error))?;
        }
        if let Some(path) = &args.timeline {
            std::fs::write(path, "").map_err(|error| cannot("--timeline", path, &error))?;
        }
        let folder = match &args.store {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("skyfleet-").tempdir()?),
        };
        let store = match (&args.store, &folder) {
            (Some(url), _) => url.clone(),
            (None, Some(folder)) => folder.path().display().to_string(),
            (None, None) => String::new(),
        };
        Ok(Self { store, output: args.output.clone(), _folder: folder })
    }
}

fn cannot(flag: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{flag} {}: {error}", path.display())).help("name a place that can be written")
}

/// One word is shell text as it is; several are a command and its arguments, each quoted.
fn shell_text(words: &[String]) -> Result<String, Failure> {
    match words {
        [text] if text.trim().is_empty() => {
            Err(Failure::usage("the command after `--` is empty")
                .help("skyfleet run --tasks 1 -- 'echo hello'"))
        }
        [text] => Ok(text.clone()),
        words => Ok(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A time as people write it.
pub(crate) fn duration(flag: &str, text: &str) -> Result<Duration, Failure> {
    text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok()).ok_or_else(
        || Failure::usage(format!("{flag} {text:?} is no time")).help("a number and a unit: 90s, 10m, 1h30m"),
    )
}

/// Prints what the tasks printed, in the order of the tasks, as if they had run one after another.
async fn print_results(report: &JobReport, output: &mut Output) -> Result<(), Failure> {
    let mut results = stream::iter(finished(report))
        .map(async |task| (report.stdout(task).await, report.stderr(task).await))
        .buffered(READS);
    while let Some((stdout, stderr)) = results.next().await {
        output.bytes(&stdout?)?;
        let stderr = stderr?;
        if !stderr.is_empty() {
            // Standard output first, so that the two stay in order on a terminal.
            output.flush()?;
            note(String::from_utf8_lossy(&stderr).trim_end());
        }
    }
    output.flush()
}

/// The tasks that have a result.
fn finished(report: &JobReport) -> impl Iterator<Item = &TaskReport> {
    report.tasks.iter().filter(|task| task.counted.is_some())
}

/// Writes `stdout`, `stderr` and `output` of each task into a folder of its own.
async fn write_results(report: &JobReport, folder: &Path) -> Result<(), Failure> {
    let mut results = stream::iter(finished(report))
        .map(async |task| {
            let output = if task.has_output { Some(report.output(task).await) } else { None };
            (task, report.stdout(task).await, report.stderr(task).await, output)
        })
        .buffered(READS);
    while let Some((task, stdout, stderr, result)) = results.next().await {
        let folder = folder.join(&task.name);
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.join(name), bytes)
                .map_err(|error| cannot("--output", &folder.join(name), &error))
        };
        std::fs::create_dir_all(&folder).map_err(|error| cannot("--output", &folder, &error))?;
        write("stdout", &stdout?)?;
        write("stderr", &stderr?)?;
        if let Some(result) = result {
            write("output", &result?)?;
        }
    }
    Ok(())
}

/// The exit code of a job.
fn end(report: &JobReport) -> Exit {
    let job = match &report.outcome {
        Outcome::Cancelled => Exit::Interrupted,
        Outcome::Stopped(error) => Exit::of(error.kind()).or(Exit::Failed),
        Outcome::LimitReached(_) => Exit::Refused,
        Outcome::Finished if report.succeeded() => Exit::Ok,
        Outcome::Finished => Exit::Failed,
    };
    match &report.teardown {
        Ok(teardown) => job.or(down::end(teardown)),
        // Nobody could be asked: then nothing is proven.
        Err(_) => Exit::Leftovers,
    }
}

/// The end of a job, for a person.
fn say(report: &JobReport) {
    let done = report.count(TaskState::Done);
    let failed = report.count(TaskState::Failed);
    let unfinished = report.count(TaskState::Unfinished);
    for task in report.tasks.iter().filter(|task| task.state == TaskState::Failed) {
        note(format!(
            "task {} ({}) failed after {} attempts: {}",
            task.index,
            task.name,
            task.attempts,
            task.reason.as_deref().unwrap_or("no reason is known")
        ));
    }
    match &report.outcome {
        Outcome::Stopped(error) => note(Failure::from(error.clone()).to_string()),
        Outcome::LimitReached(limit) => note(
            Failure::new(Exit::Refused, format!("the job ended at a limit: {limit}"))
                .help("raise it, or run again with the tasks that are missing")
                .to_string(),
        ),
        Outcome::Cancelled | Outcome::Finished => {}
    }
    let mut tasks = format!("{} done", counted(done, "task"));
    for (count, what) in [(failed, "failed"), (unfinished, "unfinished")] {
        if count > 0 {
            tasks.push_str(&format!(", {count} {what}"));
        }
    }
    note(format!(
        "{tasks}; {}, {} preempted, {} replaced; {} in {} of the fleet's time ({} on demand)",
        counted(report.launch.as_ref().map_or(0, |launch| launch.instances.len()), "instance"),
        report.preemptions,
        report.replacements,
        usd(report.bill.spent),
        span(report.took.as_secs()),
        usd(report.bill.on_demand),
    ));
    match &report.teardown {
        Ok(teardown) => note(down::sentence(teardown)),
        Err(error) => note(format!("the teardown is not proven: {}", error.message())),
    }
}

async fn report_json(report: &JobReport, exit: Exit, ledger: Option<Value>, texts: bool) -> Value {
    let mut tasks = Vec::new();
    for task in &report.tasks {
        let mut value = json!(task);
        if texts && task.counted.is_some() {
            let text = |bytes: skyfleet_core::Result<Vec<u8>>| {
                bytes.ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            };
            value["stdout"] = json!(text(report.stdout(task).await));
            value["stderr"] = json!(text(report.stderr(task).await));
        }
        tasks.push(value);
    }
    json!({
        "job": report.job,
        "outcome": match &report.outcome {
            Outcome::Finished => "finished",
            Outcome::Cancelled => "cancelled",
            Outcome::LimitReached(_) => "limit-reached",
            Outcome::Stopped(_) => "stopped",
        },
        "reason": match &report.outcome {
            Outcome::Stopped(error) => Some(error.to_string()),
            Outcome::LimitReached(limit) => Some(limit.clone()),
            Outcome::Finished | Outcome::Cancelled => None,
        },
        "succeeded": report.succeeded(),
        "exit_code": exit as u8,
        "folder": report.folder,
        "tasks": tasks,
        "instances": report.launch.as_ref().map(|launch| launch.instances.len()),
        "asked": report.launch.as_ref().map(|launch| launch.asked),
        "preemptions": report.preemptions,
        "lost": report.lost,
        "replacements": report.replacements,
        "spent_usd": report.bill.spent.to_dollars(),
        "on_demand_usd": report.bill.on_demand.to_dollars(),
        "seconds": report.took.as_secs_f64(),
        "real_seconds": report.took_real.as_secs_f64(),
        "teardown": match &report.teardown {
            Ok(teardown) => down::report_json(teardown),
            Err(error) => json!({ "error": error.to_string() }),
        },
        "ledger": ledger,
    })
}

/// The simulated world's own books: the judge of what was left.
#[cfg(feature = "sim")]
fn ledger(fleet: &skyfleet::Fleet) -> Option<Value> {
    fleet.provider_as::<skyfleet_sim::SimProvider>().map(|sim| json!(sim.world().ledger()))
}

#[cfg(not(feature = "sim"))]
fn ledger(_fleet: &skyfleet::Fleet) -> Option<Value> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_one_text_is_left_alone() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(shell_text(&words(&["wc -w \"$X\""])).unwrap(), "wc -w \"$X\"");
        assert_eq!(shell_text(&words(&["echo", "it's", "a b"])).unwrap(), r"echo 'it'\''s' 'a b'");
        assert_eq!(shell_text(&words(&["  "])).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("--t", "1h30m").unwrap(), Duration::from_secs(5_400));
        for bad in ["", "10", "-5s", "soon"] {
            assert!(duration("--t", bad).is_err(), "{bad}");
        }
    }
}
