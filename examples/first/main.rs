// The program in the README; a test runs it, and holds the two equal.

use futures::StreamExt;
use skyfleet::Fleet;

#[tokio::main]
async fn main() -> skyfleet::core::Result<()> {
    let fleet = Fleet::open("fleet.toml")?;
    fleet.launch().await?; // or attaches, if a fleet of this name lives
    let mut events = fleet.supervise(); // preempted? the same slot is refilled from another pool
    while let Some(event) = events.next().await {
        println!("{event}");
    }
    fleet.teardown().await?; // until a complete inventory proves that nothing is left
    Ok(())
}
