//! One program, three clouds, one value changed.
//!
//! ```text
//! cargo run -p skyfleet-examples --example swap_provider
//! ```
//!
//! The simulated cloud impersonates AWS, Google Cloud and Azure in turn: their own types, prices,
//! quotas and rules. The program and the rest of its config stay as they are.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::collections::BTreeMap;

use skyfleet::{Config, Fleet};
use skyfleet_core::{Market, Result};
use skyfleet_sim::SimProvider;

const CONFIG: &str = r#"
provider = "sim"
name = "swap"

[need]
vcpus = 2
memory_gib = 4

[fleet]
target = 30

[limits]
usd_per_hour_max = 5.0
lifetime_max = "1h"

[providers.sim]
clock = "auto"       # virtual time: minutes pass in milliseconds
impersonate = "aws"  # the one value that changes
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    for cloud in ["aws", "gcp", "azure"] {
        let config = Config::parse(&CONFIG.replace(r#""aws""#, &format!("{cloud:?}")))?;
        let fleet = Fleet::open_with(&skyfleet::drivers(), config)?;
        let launched = fleet.launch().await?;
        println!("{cloud}: {} of {} instances", launched.instances.len(), launched.asked);
        let mut obtained: BTreeMap<String, u32> = BTreeMap::new();
        for instance in &launched.instances {
            *obtained.entry(format!("{} at {}", instance.offer, instance.price)).or_default() += 1;
        }
        for (what, count) in obtained {
            println!("  {count:3} x {what}");
        }
        let spot = launched.instances.iter().filter(|i| i.offer.market == Market::Spot).count();
        let done = fleet.teardown().await?;
        println!("  {spot} on spot; after the teardown, leftovers: {}", done.leftovers.len());
        let world = fleet.provider_as::<SimProvider>().map(|sim| sim.world().ledger());
        println!("  the cloud's own ledger: {}", world.map_or(String::new(), |l| l.accrued_usd.to_string()));
    }
    Ok(())
}
