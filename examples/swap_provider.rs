//! The same fleet on AWS, Google Cloud, Azure and the simulated cloud: one value changed.
//!
//! ```text
//! cargo run -p skyfleet-examples --features aws,gcp,azure --example swap_provider
//! ```
//!
//! The program serves the simulated clouds on ports of this machine and starts itself again once for
//! each provider, with the environment variables that lead there; every call goes over the wire, in
//! the cloud's own protocol. What is left in the end is said by the clouds' own books. With a
//! provider's name and your credentials it runs on the real cloud: `swap_provider aws`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};
use skyfleet::{Config, Fleet};
use skyfleet_core::{Clock, Error, ErrorKind, InstanceState, Result, ScaledClock, SystemClock};
use skyfleet_sim::SimProvider;
use skyfleet_simcloud::{Cloud, Server, ServerOptions, World};

/// The config of all four.
const CONFIG: &str = r#"
provider = "sim"      # the one value that changes
name = "swap"
owner = "examples"

[need]
vcpus = 2
memory_gib = 4

[fleet]
target = 100
market = "spot"

[limits]
usd_per_hour_max = 10.0
lifetime_max = "1h"

[providers.sim]
clock = "auto"
"#;

/// A minute of the clouds passes in a second.
const FACTOR: f64 = 60.0;

/// The same fleet on each cloud: one value changed.
#[derive(Parser)]
struct Args {
    /// The provider to run on, for real; all of them on the simulated clouds when not named.
    provider: Option<String>,
    /// Says what happened as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of the fleet on one provider.
#[derive(Deserialize, Serialize)]
struct Row {
    provider: String,
    asked: u32,
    obtained: usize,
    /// Until every instance ran, on the cloud's clock.
    ready_s: f64,
    usd_per_hour: String,
    /// What the teardown's proof says; the cloud's own books where they can be asked.
    leftovers: usize,
    calls: Option<u64>,
    spent: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.provider {
        Some(provider) => run(provider).await.map(|row| vec![row]),
        None => run_all(),
    };
    match done {
        Ok(rows) => {
            show(&rows, args.json);
            ExitCode::from(u8::from(rows.iter().any(|row| row.leftovers > 0 || row.obtained == 0)))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// One fleet, from the launch to the proof that nothing is left.
async fn run(provider: &str) -> Result<Row> {
    let config = Config::parse(&CONFIG.replace(r#"provider = "sim""#, &format!("provider = {provider:?}")))?;
    let fleet = Fleet::open_with(&skyfleet::drivers(), config)?;
    let started = fleet.clock().now();
    let launched = fleet.launch().await?;
    while fleet.list().await?.iter().any(|instance| instance.state == InstanceState::Pending) {
        fleet.clock().sleep(Duration::from_secs(3)).await;
    }
    let ready = fleet.clock().now().duration_since(started);
    let bill = fleet.bill();
    let left = fleet.teardown().await?.leftovers.len();
    let mut row = Row {
        provider: provider.to_owned(),
        asked: launched.asked,
        obtained: launched.instances.len(),
        ready_s: ready.as_secs_f64(),
        usd_per_hour: bill.per_hour.to_string(),
        leftovers: left,
        calls: None,
        spent: fleet.bill().spent.to_string(),
    };
    if let Some(sim) = fleet.provider_as::<SimProvider>() {
        ask(sim.world(), &mut row);
    }
    Ok(row)
}

/// The same on every provider of this build, each against its simulated cloud.
fn run_all() -> Result<Vec<Row>> {
    let clock = ScaledClock::new(SystemClock.now(), FACTOR);
    let clouds = Server::start(ServerOptions { seed: 7, ..ServerOptions::new(Arc::new(clock)) })?;
    let program = std::env::current_exe().map_err(|error| trouble("this program is not found", error))?;
    let mut rows = Vec::new();
    for driver in skyfleet::drivers() {
        eprintln!("provider = {:?} …", driver.name);
        let ended = Command::new(&program)
            .args([driver.name, "--json"])
            .envs(clouds.environment(Some(&clock)))
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| trouble("this program does not start again", error))?;
        let mut row: Vec<Row> = serde_json::from_slice(&ended.stdout)
            .map_err(|error| trouble(&format!("on {} it ended with {}", driver.name, ended.status), error))?;
        let cloud = match driver.name {
            "aws" => Some(Cloud::Aws),
            "gcp" => Some(Cloud::Gcp),
            "azure" => Some(Cloud::Azure),
            _ => None,
        };
        if let (Some(cloud), Some(row)) = (cloud, row.first_mut()) {
            ask(clouds.world(cloud), row);
        }
        rows.append(&mut row);
    }
    Ok(rows)
}

/// What the cloud itself says: it counts calls and keeps the books.
fn ask(world: &World, row: &mut Row) {
    let ledger = world.ledger();
    row.calls = Some(world.calls().values().map(|count| count.calls).sum());
    row.leftovers = ledger.live.len() + ledger.blocking.len();
    row.spent = ledger.accrued_usd.to_string();
}

fn show(rows: &[Row], json: bool) {
    if json {
        println!("{}", serde_json::json!(rows));
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["provider", "asked", "obtained", "ready in", "calls", "price", "spent", "leftovers"]);
    for row in rows {
        table.add_row([
            row.provider.clone(),
            row.asked.to_string(),
            row.obtained.to_string(),
            format!("{:.0} s", row.ready_s),
            row.calls.map_or_else(|| "-".to_owned(), |calls| calls.to_string()),
            row.usd_per_hour.clone(),
            row.spent.clone(),
            row.leftovers.to_string(),
        ]);
    }
    println!("{table}");
}

fn trouble(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unexpected, format!("{what}: {error}")).because(error)
}
