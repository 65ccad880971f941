//! `skyfleet sim`: a look into the simulated world that the other commands share.

use serde_json::json;
use skyfleet::Fleet;
use skyfleet_core::tag;
use skyfleet_sim::SimProvider;
use skyfleet_simcloud::{Fault, World};

use crate::args::{Common, SimCommand};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Rows, age, counted, note, usd};
use crate::run::duration;
use crate::settings::{self, Changes};

pub(crate) async fn sim(common: &Common, command: SimCommand, output: &mut Output) -> Result<Exit, Failure> {
    let fleet = settings::open(common, Changes::default())?;
    let world = world(&fleet)?;
    match command {
        SimCommand::Ledger => ledger(world, output)?,
        SimCommand::Instances => instances(world, output)?,
        SimCommand::Calls => calls(world, output)?,
        SimCommand::Events { after } => events(world, after, output)?,
        SimCommand::Fault { body } => {
            let fault = fault(&body)?;
            let id = world.inject(fault)?;
            match output.json {
                true => output.document(&json!({ "id": id }))?,
                false => output.line(format!("fault {} holds from now on", id.0))?,
            }
        }
        SimCommand::Advance { time } => {
            let time = duration("the time", &time)?;
            let Some(kept) = &fleet.time else {
                return Err(Failure::usage("this world is not kept in a file: nothing can pass in it"));
            };
            kept.advance(time)?;
            let now = world.ledger().now;
            match output.json {
                true => output.document(&json!({ "now": now }))?,
                false => output.line(format!("it is {now:.0} in the world"))?,
            }
        }
        SimCommand::Reset => {
            world.reset();
            match output.json {
                true => output.document(&json!({ "reset": true }))?,
                false => output.line("the world is empty")?,
            }
        }
    }
    Ok(Exit::Ok)
}

/// The world behind the fleet's provider.
fn world(fleet: &Fleet) -> Result<&World, Failure> {
    match fleet.provider_as::<SimProvider>() {
        Some(sim) => Ok(sim.world()),
        None => Err(Failure::usage(format!(
            "provider {:?} is a real cloud: there is no simulated world to look into",
            fleet.config().provider
        ))
        .help("skyfleet sim … --provider sim")),
    }
}

/// Reads a fault; what is wrong with it is said with the kinds or fields that there are.
fn fault(body: &str) -> Result<Fault, Failure> {
    serde_json::from_str(body).map_err(|error| {
        Failure::usage(format!("the fault is not understood: {error}"))
            .help(r#"skyfleet sim fault '{"kind":"preempt","count":1}'"#)
    })
}

fn ledger(world: &World, output: &mut Output) -> Result<(), Failure> {
    let ledger = world.ledger();
    if output.json {
        return output.document(&ledger);
    }
    let mut rows = Rows::new(
        &["kind", "id", "zone", "owner", "market", "state", "USD/h", "so far", "age"],
        &["USD/h", "so far", "age"],
    );
    for line in &ledger.live {
        rows.push(vec![
            kebab(&line.kind),
            line.id.to_string(),
            line.zone.as_ref().map_or("-", |zone| zone.as_str()).to_owned(),
            line.owner.as_deref().unwrap_or("-").to_owned(),
            line.market.to_string(),
            line.state.map_or_else(|| "-".to_owned(), |state| state.to_string()),
            format!("{:.4}", line.usd_per_hour.to_dollars()),
            usd(line.accrued_usd),
            age(line.created, ledger.now),
        ]);
    }
    if !ledger.live.is_empty() {
        output.table(rows)?;
    }
    if !ledger.blocking.is_empty() {
        let mut rows = Rows::new(&["blocking", "id", "region", "owner"], &[]);
        for fixture in &ledger.blocking {
            rows.push(vec![
                kebab(&fixture.kind),
                fixture.id.to_string(),
                fixture.region.to_string(),
                fixture.owner().unwrap_or("-").to_owned(),
            ]);
        }
        output.table(rows)?;
    }
    output.line(format!(
        "{} cost {} now; {} so far; {} left that cost nothing",
        counted(ledger.live.len(), "thing"),
        ledger.usd_per_hour,
        usd(ledger.accrued_usd),
        ledger.blocking.len()
    ))
}

fn instances(world: &World, output: &mut Output) -> Result<(), Failure> {
    let machines = world.instances();
    let now = world.ledger().now;
    if output.json {
        return output.document(&json!({ "now": now, "instances": machines }));
    }
    let mut rows = Rows::new(
        &["id", "owner", "fleet", "state", "type", "zone", "market", "price", "age"],
        &["price", "age"],
    );
    for machine in &machines {
        let tag = |key: &str| machine.tags.get(key).map_or("-", String::as_str).to_owned();
        rows.push(vec![
            machine.id.to_string(),
            tag(tag::OWNER),
            tag(tag::FLEET),
            machine.state.to_string(),
            machine.offer.instance_type.to_string(),
            machine.offer.zone.to_string(),
            machine.offer.market.to_string(),
            machine.price.to_string(),
            age(machine.launched, now),
        ]);
    }
    if machines.is_empty() {
        note("the world has no instance");
        return Ok(());
    }
    output.table(rows)
}

fn calls(world: &World, output: &mut Output) -> Result<(), Failure> {
    let calls = world.calls();
    if output.json {
        return output.document(&calls);
    }
    let mut rows = Rows::new(&["action", "calls", "errors", "throttles"], &["calls", "errors", "throttles"]);
    for (action, count) in &calls {
        rows.push(vec![
            action.clone(),
            count.calls.to_string(),
            count.errors.to_string(),
            count.throttles.to_string(),
        ]);
    }
    if calls.is_empty() {
        note("nothing was called yet");
        return Ok(());
    }
    output.table(rows)
}

fn events(world: &World, after: u64, output: &mut Output) -> Result<(), Failure> {
    let events = world.events_after(after);
    if output.json {
        return events.iter().try_for_each(|event| output.object(event));
    }
    let mut rows = Rows::new(&["number", "at", "event", "instance", "market", "detail"], &["number"]);
    for event in &events {
        rows.push(vec![
            event.number.to_string(),
            format!("{:.0}", event.at),
            kebab(&event.kind),
            event.instance.as_deref().unwrap_or("-").to_owned(),
            event.market.map_or_else(|| "-".to_owned(), |market| market.to_string()),
            match event.deadline {
                Some(deadline) => format!("{} (ends {deadline:.0})", event.detail),
                None => event.detail.clone(),
            },
        ]);
    }
    if events.is_empty() {
        note("nothing happened yet");
        return Ok(());
    }
    output.table(rows)
}

/// A word of the world, spelt as in its JSON.
fn kebab(word: &impl serde::Serialize) -> String {
    json!(word).as_str().unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_is_none_is_refused_with_what_there_is() {
        let failure = fault(r#"{"kind":"flood"}"#).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("preempt"), "{failure}");
        assert!(
            fault(r#"{"kind":"preempt","count":1,"colour":"red"}"#).unwrap_err().message.contains("colour")
        );
    }
}
