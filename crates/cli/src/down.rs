//! `skyfleet down`: ends the fleet, or everything of its owner, and proves it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skyfleet::TeardownReport;
use skyfleet_core::Error;

use crate::args::{Common, DownArgs};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, Rows, counted, note, span};
use crate::settings::{Changes, Pace, Settings, World};

pub(crate) async fn down(
    common: &Common,
    args: DownArgs,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common, Changes::default(), &World::Kept)?;
    let again = settings.sweep_command();
    let fleet = settings.open(Pace::Jumping)?;
    interrupt.last_words(format!("what is left is swept by: {again}"));
    let work = async { if args.all { fleet.sweep().await } else { fleet.teardown().await } };
    let Some(report) = interrupt.unless(work).await else {
        note(format!("interrupted: the teardown is not proven; go on with: {again}"));
        return Ok(Exit::Interrupted);
    };
    let report = report.map_err(unproven)?;
    if output.json {
        output.document(&report_json(&report))?;
    } else {
        print(&report, output)?;
    }
    if !report.leftovers.is_empty() {
        note(format!("go on with: {again}"));
    }
    Ok(end(&report))
}

/// A teardown that the cloud did not let happen: what is left may cost money.
pub(crate) fn unproven(error: Error) -> Failure {
    let failure = Failure::from(error);
    if failure.exit != Exit::Failed {
        return failure;
    }
    Failure {
        exit: Exit::Leftovers,
        message: format!("nothing proves that nothing is left: {}", failure.message),
        help: Some(
            "wait a minute and run the same command again: it goes on where this one ended".to_owned(),
        ),
    }
}

/// The exit code of a teardown.
pub(crate) fn end(report: &TeardownReport) -> Exit {
    if report.leftovers.is_empty() { Exit::Ok } else { Exit::Leftovers }
}

/// What a teardown did, in a sentence; what is left, in a table.
pub(crate) fn print(report: &TeardownReport, output: &mut Output) -> Result<(), Failure> {
    output.line(sentence(report))?;
    if report.leftovers.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(&["left", "id", "region", "fleet", "price", "reason"], &["price"]);
    for leftover in &report.leftovers {
        let resource = &leftover.resource;
        rows.push(vec![
            resource.kind.to_string(),
            resource.id.to_string(),
            resource.region.to_string(),
            resource.fleet.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            resource.price.map_or_else(|| "-".to_owned(), |price| price.to_string()),
            leftover.reason.message().to_owned(),
        ]);
    }
    output.table(rows)
}

/// `ended 20 instances and 3 other resources in 45s; leftovers: 0`.
pub(crate) fn sentence(report: &TeardownReport) -> String {
    let mut kinds: BTreeMap<_, u32> = BTreeMap::new();
    for resource in &report.deleted {
        *kinds.entry(resource.kind).or_default() += 1;
    }
    let others: Vec<_> = kinds.iter().map(|(kind, count)| format!(", {count} {kind}")).collect();
    format!(
        "ended {}{} in {}; leftovers: {}",
        counted(report.instances as usize, "instance"),
        others.concat(),
        span(report.took.as_secs()),
        report.leftovers.len()
    )
}

pub(crate) fn report_json(report: &TeardownReport) -> Value {
    let leftovers: Vec<Value> = report
        .leftovers
        .iter()
        .map(|leftover| {
            json!({
                "kind": leftover.resource.kind,
                "id": leftover.resource.id,
                "region": leftover.resource.region,
                "fleet": leftover.resource.fleet,
                "reason": leftover.reason.to_string(),
            })
        })
        .collect();
    let deleted: Vec<Value> = report
        .deleted
        .iter()
        .map(|resource| json!({ "kind": resource.kind, "id": resource.id, "region": resource.region }))
        .collect();
    json!({
        "instances": report.instances,
        "deleted": deleted,
        "leftovers": leftovers,
        "seconds": report.took.as_secs_f64(),
    })
}
