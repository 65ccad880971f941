//! `skyfleet doctor`: whether the fleet of the config could be had, asked beforehand.

use serde_json::{Value, json};
use skyfleet::{MarketMix, Spec};
use skyfleet_core::Market;
use skyfleet_core::doctor::{DoctorReport, Wanted};

use crate::args::{Common, DoctorArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Rows, counted};
use crate::settings::{self, Changes, Opened};

/// What the doctor found, of whichever cloud.
struct Findings {
    lines: Vec<Finding>,
    /// The cloud's own report, for programs.
    report: Value,
}

struct Finding {
    /// `good`, `unclear`, `bad`.
    verdict: String,
    area: &'static str,
    subject: String,
    detail: String,
}

pub(crate) async fn doctor(common: &Common, args: DoctorArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut changes = Changes::default();
    changes.need(&args.need);
    if let Some(count) = args.instances {
        changes.set("fleet.target", count);
    }
    let fleet = settings::open(common, changes)?;
    let found = Box::pin(examine(&fleet)).await;
    let exit = exit(&found.lines);
    if output.json {
        output.document(&json!({
            "provider": fleet.config().provider,
            "well": exit == Exit::Ok,
            "lines": found.lines.iter().map(Finding::json).collect::<Vec<_>>(),
            "report": found.report,
        }))?;
        return Ok(exit);
    }
    let mut rows = Rows::new(&["", "what", "which", "found"], &[]);
    let bad = found.lines.iter().filter(|line| line.verdict == "bad").count();
    let unclear = found.lines.iter().filter(|line| line.verdict == "unclear").count();
    for Finding { verdict, area, subject, detail } in found.lines {
        rows.push(vec![verdict, area.to_owned(), subject, detail]);
    }
    output.table(rows)?;
    output.line(match (bad, unclear) {
        (0, 0) => "all is well; nothing was changed".to_owned(),
        (0, unclear) => {
            format!(
                "nothing is wrong, {} could not be made sure of; nothing was changed",
                counted(unclear, "thing")
            )
        }
        (bad, _) => format!("{} to be put right; nothing was changed", counted(bad, "thing")),
    })?;
    Ok(exit)
}

async fn examine(fleet: &Opened) -> Findings {
    if let Some(report) = by_the_provider(fleet, &wanted(&fleet.config().spec)).await {
        let lines = report.lines().into_iter().map(|line| Finding {
            verdict: line.verdict.to_string(),
            area: line.area,
            subject: line.subject,
            detail: line.detail,
        });
        return Findings { lines: lines.collect(), report: json!(report) };
    }
    let name = &fleet.config().provider;
    let mut lines = Vec::new();
    if name == settings::SIM {
        lines.push(Finding::new(
            "good",
            "identity",
            name,
            "the simulated cloud needs no account and costs nothing",
        ));
    }
    // What every provider can be asked.
    lines.push(match fleet.search().await {
        Ok(found) => match found.candidates().len() {
            0 => Finding::new("bad", "offers", name, "none fits: `skyfleet offers --explain` says why"),
            count => Finding::new("good", "offers", name, &format!("{} fit", counted(count, "offer"))),
        },
        Err(error) => Finding::new("bad", "offers", name, &error.to_string()),
    });
    lines.push(match fleet.inventory().await {
        Ok(found) => {
            let (owner, count) = (&fleet.config().owner, found.resources.len());
            Finding::new("good", "inventory", owner.as_str(), &counted(count, "resource"))
        }
        Err(error) => Finding::new("bad", "inventory", name, &error.to_string()),
    });
    Findings { lines, report: Value::Null }
}

/// What the provider's own doctor says, where it has one.
#[cfg_attr(
    not(any(feature = "aws", feature = "gcp", feature = "azure")),
    expect(unused_variables, reason = "the simulated cloud has no doctor")
)]
async fn by_the_provider(fleet: &Opened, wanted: &Wanted) -> Option<DoctorReport> {
    #[cfg(feature = "aws")]
    if let Some(aws) = fleet.provider_as::<skyfleet_aws::AwsProvider>() {
        return Some(aws.doctor(wanted).await);
    }
    #[cfg(feature = "gcp")]
    if let Some(gcp) = fleet.provider_as::<skyfleet_gcp::GcpProvider>() {
        return Some(gcp.doctor(wanted).await);
    }
    #[cfg(feature = "azure")]
    if let Some(azure) = fleet.provider_as::<skyfleet_azure::AzureProvider>() {
        return Some(azure.doctor(wanted).await);
    }
    None
}

/// The fleet of the config, as far as it matters to an account.
fn wanted(spec: &Spec) -> Wanted {
    let need = &spec.need;
    Wanted {
        regions: need.regions.clone(),
        instance_types: need.types.clone(),
        vcpus: need.vcpus.unwrap_or(1),
        gpu: need.gpu.is_some(),
        count: spec.target,
        markets: match spec.market {
            MarketMix::Spot => vec![Market::Spot],
            MarketMix::OnDemand => vec![Market::OnDemand],
            MarketMix::Mixed { .. } => Vec::new(),
        },
    }
}

impl Finding {
    fn new(verdict: &str, area: &'static str, subject: &str, detail: &str) -> Self {
        Self { verdict: verdict.to_owned(), area, subject: subject.to_owned(), detail: detail.to_owned() }
    }

    fn json(&self) -> Value {
        json!({
            "verdict": self.verdict,
            "area": self.area,
            "subject": self.subject,
            "detail": self.detail,
        })
    }
}

/// Who may not is denied before anything else is looked at.
fn exit(lines: &[Finding]) -> Exit {
    let bad = |areas: &[&str]| lines.iter().any(|line| line.verdict == "bad" && areas.contains(&line.area));
    if bad(&["permission", "identity", "service"]) {
        Exit::Denied
    } else if bad(&["quota"]) {
        Exit::Refused
    } else if lines.iter().any(|line| line.verdict == "bad") {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_is_wrong_first() {
        let line = |verdict: &str, area: &'static str| Finding::new(verdict, area, "x", "y");
        for (lines, code) in [
            (vec![], Exit::Ok),
            (vec![line("good", "region"), line("unclear", "permission")], Exit::Ok),
            (vec![line("bad", "region")], Exit::Failed),
            (vec![line("bad", "region"), line("bad", "quota")], Exit::Refused),
            (vec![line("bad", "quota"), line("bad", "permission")], Exit::Denied),
            (vec![line("bad", "identity")], Exit::Denied),
            (vec![line("bad", "service")], Exit::Denied),
        ] {
            assert_eq!(exit(&lines), code);
        }
    }
}
