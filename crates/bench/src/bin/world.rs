//! Prints what the life of 1,000, 10,000 and 100,000 simulated instances takes, CPU and memory, as
//! a table in Markdown. Each row is measured in a process of its own, on one thread.
//!
//! `skyfleet-bench-world [CLOUD]`: `neutral` (default), `aws`, `gcp` or `azure`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program prints a table")]

use std::process::{Command, ExitCode};

use skyfleet_bench::usage;
use skyfleet_bench::world::{self, Stage};
use skyfleet_simcloud::Cloud;

const COUNTS: [u32; 3] = [1_000, 10_000, 100_000];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let cloud = arguments.next().unwrap_or_else(|| "neutral".to_owned());
    let done = match arguments.next() {
        Some(count) => row(&cloud, &count),
        None => table(&cloud),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn table(cloud: &str) -> Result<()> {
    println!(
        "| cloud | instances | preempted | CPU s | launch, running, teardown | simulated s | launch, running, teardown | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for count in COUNTS {
        let row = Command::new(std::env::current_exe()?).args([cloud, &count.to_string()]).status()?;
        if !row.success() {
            return Err(format!("no figure for {count} instances").into());
        }
    }
    Ok(())
}

fn row(cloud: &str, count: &str) -> Result<()> {
    let cloud: Cloud = cloud.parse().map_err(|_| {
        format!("there is no simulated cloud {cloud:?}: take {}", Cloud::ALL.map(Cloud::as_str).join(", "))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let life = runtime.block_on(world::live(cloud, count.parse()?))?;
    let cpu = usage::cpu();
    let peak = usage::peak_kib().ok_or("this system does not tell the memory of a process")?;
    let each =
        |time: fn(&Stage) -> String| life.stages.iter().skip(1).map(time).collect::<Vec<_>>().join(", ");
    println!(
        "| {cloud} | {} | {} | {:.3} | {} | {} | {} | {:.0} |",
        life.launched,
        life.preempted,
        cpu.as_secs_f64(),
        each(|stage| format!("{:.3}", stage.cpu.as_secs_f64())),
        life.stages.iter().map(|stage| stage.simulated.as_secs()).sum::<u64>(),
        each(|stage| stage.simulated.as_secs().to_string()),
        peak as f64 / 1_024.0,
    );
    Ok(())
}
