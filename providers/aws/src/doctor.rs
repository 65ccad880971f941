//! Whether a fleet could be had, asked beforehand: who calls, what answers, what is allowed, and
//! how much of it. Nothing is changed.

use futures::StreamExt;
use skyfleet_core::doctor::{
    ClockHealth, DoctorReport, Identity, PermissionHealth, QuotaHealth, QuotaNeeds, RegionHealth, Verdict,
    Wanted, milliseconds_since,
};
use skyfleet_core::{Clock, Counts, Error, ErrorKind, Region, Result, SystemClock, TypeName};

use crate::catalog::Catalogue;
use crate::client::Client;
use crate::client::probe::Probe;
use crate::{AwsProvider, quotas};

/// A signature is refused when its time is five minutes off (AWS Signature Version 4).
const SKEW_MAX_S: i64 = 300;
/// How many calls are under way at once: far below every bucket of EC2.
const AT_ONCE: usize = 8;
/// What stands for a machine when the fleet names no type.
const USUAL_TYPE: &str = "m7g.large";

impl AwsProvider {
    /// Examines the account for a fleet. What is wrong is in the report; nothing is changed.
    pub async fn doctor(&self, wanted: &Wanted) -> DoctorReport {
        Box::pin(examine(&self.client, &self.catalogue, wanted)).await
    }
}

async fn examine(client: &Client, catalogue: &Catalogue, wanted: &Wanted) -> DoctorReport {
    let mut report = DoctorReport { provider: "aws", needed: wanted.count, ..DoctorReport::default() };
    let asked = SystemClock.now();
    let (caller, server) = client.caller().await;
    let answered = SystemClock.now();
    report.clock = server.map(|server| ClockHealth::of(asked, answered, server, SKEW_MAX_S));
    match caller {
        Ok(caller) => report.identity = Some(Identity { account: caller.account, caller: caller.arn }),
        Err(error) => {
            if error.kind() == ErrorKind::Unauthenticated {
                report.refused = Some(error.to_string());
                return report;
            }
            report.problems.push(format!("who calls is not known: {error}"));
        }
    }
    let scope = client.regions().await.and_then(|scope| wanted.regions_of(scope, |region| region));
    let scope = match scope {
        Ok(scope) => scope,
        Err(error) => {
            report.problems.push(format!("the regions are not known: {error}"));
            return report;
        }
    };
    report.regions =
        futures::future::join_all(scope.iter().map(|region| region_health(client, region))).await;
    let answering: Vec<Region> = (report.regions.iter())
        .filter(|health| health.answers)
        .map(|health| Region::from(health.region.as_str()))
        .collect();
    let Some(first) = answering.first() else {
        report.problems.push("no region answers".to_owned());
        return report;
    };
    match quota_health(client, catalogue, &answering, wanted).await {
        Ok(quotas) => report.quotas = quotas,
        Err(error) => report.problems.push(format!("the quotas are not known: {error}")),
    }
    let usual = TypeName::from(USUAL_TYPE);
    let kind = wanted.instance_types.first().unwrap_or(&usual);
    match client.probes(first, kind).await {
        Ok(probes) => {
            let asked = futures::stream::iter(probes).map(permission).buffered(AT_ONCE);
            report.permissions = asked.collect().await;
        }
        Err(error) => report.problems.push(format!("the permissions are not known: {error}")),
    }
    report
}

async fn region_health(client: &Client, region: &Region) -> RegionHealth {
    let started = SystemClock.now();
    let network = client.network(region).await;
    let milliseconds = milliseconds_since(started);
    let mut health = RegionHealth {
        verdict: Verdict::Good,
        region: region.to_string(),
        answers: true,
        milliseconds,
        network: None,
        detail: String::new(),
    };
    match network {
        Ok(Some(vpc)) => health.network = Some(vpc),
        Ok(None) => {
            health.verdict = Verdict::Bad;
            health.detail = match &client.settings().vpc {
                Some(vpc) => format!("no VPC {vpc} here"),
                None => "no default VPC: name one by `vpc`, or make one with \
                         `aws ec2 create-default-vpc`"
                    .to_owned(),
            };
        }
        Err(error) => {
            health.verdict = Verdict::Bad;
            health.answers = error.kind() == ErrorKind::PermissionDenied;
            health.detail = error.to_string();
        }
    }
    health
}

/// How many machines of the fleet fit into what is left of each quota.
async fn quota_health(
    client: &Client,
    catalogue: &Catalogue,
    regions: &[Region],
    wanted: &Wanted,
) -> Result<Vec<QuotaHealth>> {
    let mut needs = QuotaNeeds::default();
    for region in regions {
        for (name, vcpus) in machines(catalogue, region, wanted).await? {
            for market in wanted.markets() {
                if let Some(id) = quotas::quota_of(region, name.as_str(), market) {
                    needs.add(market, [(id, vcpus)]);
                }
            }
        }
    }
    let signals = quotas::signals(client, &needs.quotas(), |name| catalogue.vcpus(regions, name)).await?;
    let words = |code: &str| (quotas::quota_name(code).unwrap_or_default(), Counts::Vcpus);
    Ok(needs.judge(signals, wanted.count, words))
}

/// The types that the fleet may be of, each with its vCPUs; one of each kind of quota when the fleet
/// names none.
async fn machines(catalogue: &Catalogue, region: &Region, wanted: &Wanted) -> Result<Vec<(TypeName, u32)>> {
    let vcpus = wanted.vcpus.max(1);
    if wanted.instance_types.is_empty() {
        // The letters decide which quota it is: a GPU is in G or P, anything else in Standard.
        let names: &[&str] = if wanted.gpu { &["g", "p"] } else { &["m"] };
        return Ok(names.iter().map(|name| (TypeName::from(*name), vcpus)).collect());
    }
    let known = catalogue.sizes(region, &wanted.instance_types).await?;
    Ok(known.into_iter().map(|(name, size)| (name, size.max(vcpus))).collect())
}

async fn permission(probe: Probe<'_>) -> PermissionHealth {
    let answer = probe.ask.await;
    let (verdict, detail) = match answer {
        Ok(()) => (Verdict::Good, String::new()),
        Err(error) => judge_refusal(&error),
    };
    PermissionHealth { verdict, action: probe.action.to_owned(), dry_run: probe.mutates, detail }
}

/// Only a refusal for want of permission is one: of what does not exist, EC2 may say so first.
fn judge_refusal(error: &Error) -> (Verdict, String) {
    let code = error.fact("code").unwrap_or("no code");
    match error.kind() {
        ErrorKind::PermissionDenied => (Verdict::Bad, format!("missing: {code}")),
        ErrorKind::NotFound | ErrorKind::InvalidRequest | ErrorKind::Conflict => (
            Verdict::Unclear,
            format!("not refused, and not proven: EC2 looked at the request first ({code})"),
        ),
        _ => (Verdict::Unclear, format!("not known: {}", error.message())),
    }
}

#[cfg(test)]
mod tests;
