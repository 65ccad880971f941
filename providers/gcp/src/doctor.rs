//! Whether a fleet could be had, asked beforehand: which project, what is switched on, what is
//! allowed, where, and how much of it. Nothing is changed.

use google_cloud_compute_v1::model::MachineType;
use google_cloud_compute_v1::model::machine_type::Accelerators;
use skyfleet_core::doctor::{
    ClockHealth, DoctorReport, Identity, PermissionHealth, QuotaHealth, QuotaNeeds, RegionHealth,
    ServiceHealth, Verdict, Wanted, milliseconds_since,
};
use skyfleet_core::{Clock, Error, ErrorKind, Result, SystemClock};

use crate::catalog::{Catalogue, Kind};
use crate::client::Client;
use crate::client::market::RegionInfo;
use crate::{GcpProvider, quotas};

mod network;
pub mod permissions;

/// Tokens are refused when their time is ten minutes off (Google Identity documentation, "Using
/// OAuth 2.0 for server to server applications": `iat` and `exp`).
const SKEW_MAX_S: i64 = 600;

const COMPUTE: &str = "compute.googleapis.com";
const BILLING: &str = "cloudbilling.googleapis.com";

impl GcpProvider {
    /// Examines the project for a fleet. What is wrong is in the report; nothing is changed.
    pub async fn doctor(&self, wanted: &Wanted) -> DoctorReport {
        Box::pin(examine(&self.client, &self.catalogue, wanted)).await
    }
}

async fn examine(client: &Client, catalogue: &Catalogue, wanted: &Wanted) -> DoctorReport {
    let mut report = DoctorReport { provider: "gcp", needed: wanted.count, ..DoctorReport::default() };
    match who(client).await {
        Ok(identity) => {
            report.identity = Some(identity);
            report.services.push(service(COMPUTE, &Ok(()), Verdict::Bad));
        }
        Err(error) if error.kind() == ErrorKind::Unauthenticated => {
            report.refused = Some(error.to_string());
            return report;
        }
        Err(error) if is_off(&error) => {
            report.services.push(service(COMPUTE, &Err(error), Verdict::Bad));
            return report;
        }
        // Who may not look at the project may still be told what else is missing.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            report.problems.push(format!("the project may not be looked at: {error}"));
        }
        Err(error) => {
            report.problems.push(error.to_string());
            return report;
        }
    }
    let priced = client.price_sample().await;
    report.services.push(service(BILLING, &priced, Verdict::Unclear));
    (report.permissions, report.clock) = permission_health(client).await;
    let started = SystemClock.now();
    let scope = catalogue.scope().await.and_then(|scope| wanted.regions_of(scope, |region| &region.name));
    let scope = match scope {
        Ok(scope) => scope,
        Err(error) => {
            report.problems.push(format!("the regions are not known: {error}"));
            return report;
        }
    };
    let milliseconds = milliseconds_since(started);
    let networks = network::in_regions(client, &scope).await;
    let regions = scope.iter().zip(networks);
    report.regions = regions.map(|(region, network)| region_health(region, milliseconds, network)).collect();
    match quota_health(client, catalogue, &scope, wanted).await {
        Ok(quotas) => report.quotas = quotas,
        Err(error) => report.problems.push(format!("the quotas are not known: {error}")),
    }
    report
}

async fn who(client: &Client) -> Result<Identity> {
    let told = client.project_info().await?;
    let account = client.project().await?.to_owned();
    let caller = told.id.map(|number| format!("project number {number}")).unwrap_or_default();
    Ok(Identity { account, caller })
}

/// Whether an API was never switched on in the project.
fn is_off(error: &Error) -> bool {
    matches!(error.fact("code"), Some("accessNotConfigured" | "SERVICE_DISABLED"))
}

/// `without` is what a fleet is like without it.
fn service(name: &str, answer: &Result<()>, without: Verdict) -> ServiceHealth {
    let (verdict, detail) = match answer {
        Ok(()) => (Verdict::Good, "switched on".to_owned()),
        Err(error) if is_off(error) => {
            (without, format!("not switched on: `gcloud services enable {name}` does it"))
        }
        Err(error) => (Verdict::Unclear, format!("not known: {error}")),
    };
    let prices = name == BILLING && verdict != Verdict::Good;
    let detail = if prices { format!("{detail}; without it no price is known") } else { detail };
    ServiceHealth { verdict, service: name.to_owned(), detail }
}

/// What the caller may do, and the time that the answer came at.
async fn permission_health(client: &Client) -> (Vec<PermissionHealth>, Option<ClockHealth>) {
    let asked_for = permissions::all();
    let names: Vec<&str> = asked_for.iter().map(|(name, _)| *name).collect();
    let asked = SystemClock.now();
    let (granted, server) = client.granted(&names).await;
    let answered = SystemClock.now();
    let clock = server.map(|server| ClockHealth::of(asked, answered, server, SKEW_MAX_S));
    let health = asked_for.into_iter().map(|(name, optional)| {
        let granted = granted.as_ref().map(|granted| granted.iter().any(|known| known == name));
        PermissionHealth::told(name, granted, optional)
    });
    (health.collect(), clock)
}

fn region_health(
    region: &RegionInfo,
    milliseconds: u64,
    network: std::result::Result<String, String>,
) -> RegionHealth {
    let (verdict, network, detail) = match network {
        Ok(network) => (Verdict::Good, Some(network), String::new()),
        Err(detail) => (Verdict::Bad, None, detail),
    };
    RegionHealth { verdict, region: region.name.to_string(), answers: true, milliseconds, network, detail }
}

/// How many machines of the fleet fit into what is left of each quota.
async fn quota_health(
    client: &Client,
    catalogue: &Catalogue,
    regions: &[RegionInfo],
    wanted: &Wanted,
) -> Result<Vec<QuotaHealth>> {
    let mut needs = QuotaNeeds::default();
    for region in regions {
        for kind in machines(catalogue, region, wanted).await? {
            for market in wanted.markets() {
                let draws = quotas::draws(region, &kind, market);
                needs.add(
                    market,
                    draws.iter().map(|draw| (draw.quota.clone(), draw.counts.units(&kind.spec))),
                );
            }
        }
    }
    let signals = quotas::signals(client, &needs.quotas()).await?;
    Ok(needs.judge(signals, wanted.count, |metric| (String::new(), quotas::counts(metric))))
}

/// The types that the fleet may be of; the usual ones when it names none.
async fn machines(catalogue: &Catalogue, region: &RegionInfo, wanted: &Wanted) -> Result<Vec<Kind>> {
    if !wanted.instance_types.is_empty() {
        return catalogue.kinds(region, &wanted.instance_types).await;
    }
    let vcpus = i32::try_from(wanted.vcpus.max(1)).unwrap_or(i32::MAX);
    let usual = |name: &str, gpu: Option<&str>| {
        let gpus =
            gpu.map(|gpu| Accelerators::new().set_guest_accelerator_type(gpu).set_guest_accelerator_count(1));
        let machine = MachineType::new().set_name(name).set_guest_cpus(vcpus).set_memory_mb(vcpus);
        Kind::read(&machine.set_accelerators(gpus))
    };
    // The series decides which quota it is.
    let kinds = if wanted.gpu {
        [usual("g2-standard", Some("nvidia-l4")), usual("n1-standard", Some("nvidia-tesla-t4"))]
    } else {
        [usual("e2-standard", None), usual("n2-standard", None)]
    };
    Ok(kinds.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
