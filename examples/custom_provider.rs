//! A third party's provider: a house with machines in two rooms, in `cellar/cellar.rs`.
//!
//! ```text
//! cargo run -p skyfleet-examples --example custom_provider
//! ```
//!
//! It implements the four contracts and hands its `DRIVER` to the facade; nothing is registered
//! anywhere. `cellar/conformance.rs` proves it: a test builds it as a crate of its own, outside the
//! workspace, and runs that.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use skyfleet::{Config, Fleet};
use skyfleet_core::Result;

#[path = "cellar/cellar.rs"]
#[allow(unreachable_pub, reason = "the file is also the lib.rs of a crate of its own")]
mod cellar;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let config = Config::parse(
        r#"
        provider = "cellar"
        name = "render"
        [need]
        vcpus = 4
        [fleet]
        target = 3
        market = "on-demand"
        [providers.cellar]
        machines = 4
        "#,
    )?;
    let fleet = Fleet::open_with(&[cellar::DRIVER], config)?;
    let report = fleet.launch().await?;
    for instance in &report.instances {
        println!("{} {} {}", instance.id, instance.offer, instance.price);
    }
    let report = fleet.teardown().await?;
    println!("ended {}, leftovers: {}", report.instances, report.leftovers.len());
    Ok(())
}
