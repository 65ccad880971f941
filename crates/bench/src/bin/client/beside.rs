//! skyfleet's provider beside boto3, in one run: each figure is the median of several processes.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::cloud::Cloud;
use crate::report::{Cycle, Report};

/// How many instances.
const COUNT: u32 = 1_000;
/// How many processes of each kind, one after the other and in turns.
const ROUNDS: usize = 5;

/// A new process, and one that went through a cycle of one instance before.
const CASES: [(&str, &[u32]); 2] = [("cold", &[COUNT]), ("warm", &[1, COUNT])];

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/boto3_cycle.py");

pub(crate) fn table() -> Result<()> {
    let python = python();
    let mut kinds: Vec<Kind> = Vec::new();
    for (case, counts) in CASES {
        kinds.push(Kind { client: "skyfleet", case, counts, reports: Vec::new() });
        if python.is_ok() {
            kinds.push(Kind { client: "boto3", case, counts, reports: Vec::new() });
        }
    }
    for _ in 0..ROUNDS {
        for kind in &mut kinds {
            let report = match (kind.client, &python) {
                ("boto3", Ok(python)) => theirs(python, kind.counts)?,
                _ => ours(kind.counts)?,
            };
            kind.reports.push(report);
        }
    }
    println!(
        "| client | process | start, CPU ms | up, ready, down, CPU ms | together | µs per instance | calls | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    kinds.iter().for_each(Kind::print);
    if let Err(reason) = python {
        eprintln!("boto3 was left out: {reason}");
        return Ok(());
    }
    println!();
    for pair in kinds.chunks(2) {
        if let [ours, theirs] = pair {
            let cpu = |kind: &Kind| kind.of_last(Cycle::cpu_s);
            let whole = |kind: &Kind| cpu(kind) + kind.median(|report| report.start_s);
            println!(
                "{}: {:.3} of boto3's CPU time, {:.3} with the start of the process",
                ours.case,
                cpu(ours) / cpu(theirs),
                whole(ours) / whole(theirs)
            );
        }
    }
    Ok(())
}

/// A client, and the cycles that each of its processes goes through.
struct Kind {
    client: &'static str,
    case: &'static str,
    counts: &'static [u32],
    reports: Vec<Report>,
}

impl Kind {
    fn print(&self) {
        let ms = |figure: fn(&Cycle) -> f64| format!("{:.1}", self.of_last(figure) * 1e3);
        let cpu_s = self.of_last(Cycle::cpu_s);
        println!(
            "| {} | {} | {:.1} | {}, {}, {} | {:.1} | {:.1} | {} | {:.0} |",
            self.client,
            self.case,
            self.median(|report| report.start_s) * 1e3,
            ms(|cycle| cycle.up_s),
            ms(|cycle| cycle.ready_s),
            ms(|cycle| cycle.down_s),
            cpu_s * 1e3,
            cpu_s * 1e6 / f64::from(COUNT),
            self.of_last(|cycle| cycle.calls as f64),
            self.median(|report| report.peak_kib as f64) / 1_024.0,
        );
    }

    /// A figure of the cycle that counts.
    fn of_last(&self, figure: impl Fn(&Cycle) -> f64) -> f64 {
        self.median(|report| report.cycles.last().map_or(f64::NAN, &figure))
    }

    fn median(&self, figure: impl Fn(&Report) -> f64) -> f64 {
        let mut all: Vec<f64> = self.reports.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }
}

/// A process of this program.
fn ours(counts: &[u32]) -> Result<Report> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("cycle").args(counts.iter().map(u32::to_string));
    let report = read(command)?;
    whole(report, counts)
}

/// A process of Python, against an EC2 of its own.
fn theirs(python: &str, counts: &[u32]) -> Result<Report> {
    let cloud = Cloud::start()?;
    let mut command = Command::new(python);
    command.args([SCRIPT, &cloud.url, &cloud.admin.0]).args(counts.iter().map(u32::to_string));
    let report = read(command)?;
    cloud.admin.is_empty()?;
    whole(report, counts)
}

fn read(mut command: Command) -> Result<Report> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn whole(report: Report, counts: &[u32]) -> Result<Report> {
    if report.cycles.iter().map(|cycle| cycle.instances).eq(counts.iter().copied()) {
        return Ok(report);
    }
    Err(format!("cycles of {counts:?} instances were wanted: {report:?}").into())
}

/// A Python that has boto3, or why there is none.
fn python() -> std::result::Result<String, String> {
    let named = std::env::var("SIMCLOUD_VENDOR_PYTHON");
    let python = named.unwrap_or_else(|_| "python3".to_owned());
    if !Path::new(SCRIPT).exists() {
        return Err(format!("{SCRIPT} is not there"));
    }
    let mut command = Command::new(&python);
    let asked = command.args(["-c", "import boto3"]).stderr(Stdio::null()).status();
    match asked {
        Ok(status) if status.success() => Ok(python),
        Ok(_) => Err(format!("{python} has no boto3; SIMCLOUD_VENDOR_PYTHON names one that has")),
        Err(error) => Err(format!("{python} does not start: {error}")),
    }
}
