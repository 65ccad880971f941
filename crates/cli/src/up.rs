//! `skyfleet up`: launches the fleet, or attaches to the one that lives; `--watch` keeps it whole.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use skyfleet::{EventKind, Fleet, LaunchReport, VISIBILITY_GRACE};
use skyfleet_core::{Instance, InstanceState};

use crate::args::{Common, UpArgs};
use crate::down;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, note};
use crate::plan::plan_json;
use crate::ps::instance_json;
use crate::settings::{Changes, Opened, Pace, Settings, World};

/// How often the cloud is asked whether the instances are up, on the fleet's clock.
const LOOK_EVERY: Duration = Duration::from_secs(3);

pub(crate) async fn up(
    common: &Common,
    args: UpArgs,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let mut changes = Changes::default();
    changes.need(&args.need);
    changes.fleet(&args.fleet);
    let settings = Settings::read(common, changes, &World::Kept)?;
    interrupt.last_words(format!("what may have been bought is swept by: {}", settings.sweep_command()));
    let fleet = settings.open(if args.watch { Pace::Real } else { Pace::Jumping })?;

    let launch = interrupt.unless(fleet.launch()).await;
    let Some(report) = launch else { return give_back(&fleet, output).await };
    let report = report?;
    if !args.detach && !args.watch {
        // A fleet that lived before this command is not this command's to end.
        let up = interrupt.unless(all_running(&fleet, &report.instances)).await;
        match up {
            Some(result) => result?,
            None if report.attached => {
                note("interrupted; the fleet lived before and lives on");
                return Ok(Exit::Interrupted);
            }
            None => return give_back(&fleet, output).await,
        }
    }
    let exit = tell(&fleet, &report, output).await?;
    if !args.watch {
        return Ok(exit);
    }
    watch(&fleet, output, interrupt).await
}

/// Ends what the interrupted launch may have bought, and says so.
async fn give_back(fleet: &Fleet, output: &mut Output) -> Result<Exit, Failure> {
    note("interrupted: giving back what was bought");
    let report = fleet.teardown().await.map_err(down::unproven)?;
    if output.json {
        output.document(&json!({ "interrupted": true, "teardown": down::report_json(&report) }))?;
    } else {
        note(down::sentence(&report));
    }
    Ok(Exit::Interrupted.or(down::end(&report)))
}

/// Waits until every instance that was launched is up, or has ended. One that is not listed yet is
/// waited for; one that stays away is gone.
async fn all_running(fleet: &Fleet, launched: &[Instance]) -> Result<(), Failure> {
    let mut waiting: BTreeMap<_, _> = launched.iter().map(|i| (i.id.clone(), i.launched)).collect();
    loop {
        let listed = fleet.list().await?;
        let states: BTreeMap<_, _> = listed.iter().map(|instance| (&instance.id, instance.state)).collect();
        let now = fleet.clock().now();
        waiting.retain(|id, launched| match states.get(id) {
            Some(state) => *state == InstanceState::Pending,
            None => *launched + VISIBILITY_GRACE > now,
        });
        if waiting.is_empty() {
            return Ok(());
        }
        fleet.clock().sleep(LOOK_EVERY).await;
    }
}

async fn tell(fleet: &Fleet, report: &LaunchReport, output: &mut Output) -> Result<Exit, Failure> {
    let instances = fleet.list().await?;
    let alive: Vec<_> = instances.iter().filter(|instance| instance.state.is_alive()).collect();
    let config = fleet.config();
    let exit = if alive.is_empty() { Exit::Refused } else { Exit::Ok };
    if output.json {
        let now = fleet.clock().now();
        let document = json!({
            "provider": config.provider,
            "owner": config.owner,
            "fleet": config.name,
            "attached": report.attached,
            "asked": report.asked,
            "obtained": alive.len(),
            "plan": report.plan.as_ref().map(plan_json),
            "instances": alive.iter().map(|i| instance_json(i, None, now)).collect::<Vec<_>>(),
            "shortfalls": report.shortfalls.iter().map(|shortfall| json!({
                "count": shortfall.count,
                "kind": shortfall.reason.kind().as_str(),
                "reason": shortfall.reason.message(),
                "closes": shortfall.reason.scope().map(ToString::to_string),
            })).collect::<Vec<_>>(),
        });
        // Events follow as lines of their own: then this is one, too.
        output.object(&document)?;
        return Ok(exit);
    }
    let verb = if report.attached { "lives already" } else { "is up" };
    output.line(format!(
        "fleet {}/{} {verb}: {} of {} instances",
        config.owner,
        config.name,
        alive.len(),
        report.asked
    ))?;
    for shortfall in &report.shortfalls {
        let closes = shortfall.reason.scope().map(|scope| format!(" [{scope}]")).unwrap_or_default();
        output.line(format!("{} missing: {}{closes}", shortfall.count, shortfall.reason.message()))?;
    }
    output.line("see it: skyfleet ps   end it: skyfleet down")?;
    output.flush()?;
    Ok(exit)
}

/// Keeps the fleet whole and prints what happens, until a limit ends it or somebody leaves.
async fn watch(fleet: &Opened, output: &mut Output, interrupt: &Interrupt) -> Result<Exit, Failure> {
    let mut events = fleet.supervise();
    while let Some(next) = interrupt.unless(events.next()).await {
        let Some(event) = next else { break };
        fleet.keep_time();
        if output.json {
            output.object(&event)?;
        } else {
            output.line(format!("{:.0}  {}", event.at, event.kind))?;
            output.flush()?;
        }
        if matches!(event.kind, EventKind::LimitReached { .. }) {
            drop(events);
            let report = fleet.teardown().await.map_err(down::unproven)?;
            if output.json {
                output.object(&json!({ "teardown": down::report_json(&report) }))?;
            } else {
                down::print(&report, output)?;
            }
            return Ok(down::end(&report));
        }
        if output.is_closed() {
            break;
        }
    }
    let config = fleet.config();
    note(format!(
        "not watched any more; fleet {}/{} lives on, `skyfleet down` ends it",
        config.owner, config.name
    ));
    Ok(Exit::Interrupted)
}
