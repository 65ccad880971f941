//! Prints what a client of EC2 costs: the CPU time, the calls and the memory of skyfleet's provider, beside
//! boto3's, against the simulated EC2 in a process of its own.
//!
//! - `skyfleet-bench-client`: a thousand instances up, ready and down; a table in Markdown.
//! - `skyfleet-bench-client supervise [COUNT]`: that many instances, default 10,000, looked after by a fleet.
//!
//! boto3 is that of `SIMCLOUD_VENDOR_PYTHON`, else of `python3`; without it it is left out.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program prints a table")]

mod admin;
mod beside;
mod cloud;
mod cycle;
mod report;
mod supervise;

use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match &words[..] {
        [] => beside::table(),
        ["supervise"] => supervise::table(10_000),
        ["supervise", count] => whole(count).and_then(supervise::table),
        // What this program calls itself with.
        ["serve"] => cloud::serve(),
        ["cycle", counts @ ..] => {
            counts.iter().map(|count| whole(count)).collect::<Result<_>>().and_then(|counts: Vec<u32>| {
                println!("{}", serde_json::to_string(&cycle::run(&counts)?)?);
                Ok(())
            })
        }
        [word, ..] => Err(format!("there is no {word:?}: give nothing, or `supervise COUNT`").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn whole(text: &str) -> Result<u32> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("{text:?} is no number of instances").into())
}
