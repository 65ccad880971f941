//! Whether a fleet could be had, asked beforehand: which project, what is switched on, what is
//! allowed, where, and how much of it. Nothing is changed.

use std::collections::BTreeMap;

use google_cloud_compute_v1::model::MachineType;
use google_cloud_compute_v1::model::machine_type::Accelerators;
use skyfleet_core::doctor::{
    ClockHealth, DoctorReport, Identity, PermissionHealth, QuotaHealth, RegionHealth, ServiceHealth, Verdict,
    Wanted, judge,
};
use skyfleet_core::{Clock, Error, ErrorKind, Market, QuotaId, Result, Signal, SystemClock};

use crate::catalog::{Catalogue, Kind};
use crate::client::Client;
use crate::client::market::RegionInfo;
use crate::{GcpProvider, quotas};

mod network;
pub mod permissions;

/// Tokens are refused when their time is ten minutes off (Google Identity documentation, "Using
/// OAuth 2.0 for server to server applications": `iat` and `exp`).
const SKEW_MAX_S: i64 = 600;
/// From here on it is worth setting the clock.
const SKEW_NOTED_S: i64 = 30;

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
    let scope = match scope(catalogue, wanted).await {
        Ok(scope) => scope,
        Err(error) => {
            report.problems.push(format!("the regions are not known: {error}"));
            return report;
        }
    };
    let milliseconds = SystemClock.now().duration_since(started).as_millis();
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
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
    let clock = server.map(|server| {
        // The answer was written somewhere between the two, and its time has whole seconds.
        let skew = match () {
            () if server.as_second() < asked.as_second() - 1 => server.as_second() - asked.as_second(),
            () if server.as_second() > answered.as_second() + 1 => server.as_second() - answered.as_second(),
            () => 0,
        };
        let verdict = match skew.abs() {
            0..SKEW_NOTED_S => Verdict::Good,
            SKEW_NOTED_S..SKEW_MAX_S => Verdict::Unclear,
            _ => Verdict::Bad,
        };
        ClockHealth { verdict, ahead_s: -skew }
    });
    let health = asked_for.into_iter().map(|(name, optional)| {
        let (verdict, detail) = match &granted {
            Ok(granted) if granted.iter().any(|known| known == name) => (Verdict::Good, String::new()),
            Ok(_) if optional => (Verdict::Unclear, "missing; a fleet is had without it".to_owned()),
            Ok(_) => (Verdict::Bad, "missing".to_owned()),
            Err(error) => (Verdict::Unclear, format!("not known: {}", error.message())),
        };
        PermissionHealth { verdict, action: name.to_owned(), dry_run: false, detail }
    });
    (health.collect(), clock)
}

/// The regions in scope that the fleet would use.
async fn scope(catalogue: &Catalogue, wanted: &Wanted) -> Result<Vec<RegionInfo>> {
    let scope = catalogue.scope().await?;
    let names = || scope.iter().map(|region| &region.name);
    if let Some(unknown) = wanted.regions.iter().find(|region| !names().any(|known| known == *region)) {
        let known: Vec<&str> = names().map(|name| name.as_str()).collect();
        let message = format!("the region {unknown} is not in scope; in scope are {}", known.join(", "));
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let used = |region: &RegionInfo| wanted.regions.is_empty() || wanted.regions.contains(&region.name);
    Ok(scope.into_iter().filter(used).collect())
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
    // Every way to get a machine of the fleet: what it draws on, and how much of it.
    let mut ways: Vec<Vec<(QuotaId, u32)>> = Vec::new();
    let mut least = BTreeMap::<QuotaId, (Market, u32)>::new();
    for region in regions {
        for kind in machines(catalogue, region, wanted).await? {
            for market in wanted.markets() {
                let draws = quotas::draws(region, &kind, market);
                let draws = draws.iter().map(|draw| (draw.quota.clone(), draw.counts.units(&kind.spec)));
                let draws: Vec<(QuotaId, u32)> = draws.collect();
                for (quota, units) in &draws {
                    let (_, machine) = least.entry(quota.clone()).or_insert((market, *units));
                    *machine = (*machine).min(*units);
                }
                ways.push(draws);
            }
        }
    }
    let signals = quotas::signals(client, &least.keys().cloned().collect()).await?;
    let mut places = BTreeMap::new();
    let mut found = Vec::new();
    for signal in signals {
        let Signal::Quota { id, limit, used } = signal else { continue };
        let (Some((place, metric)), Some((market, machine))) = (quotas::parts(&id), least.get(&id)) else {
            continue;
        };
        found.push(QuotaHealth {
            verdict: Verdict::Unclear,
            region: place.to_owned(),
            code: metric.to_owned(),
            name: String::new(),
            market: *market,
            counts: quotas::counts(metric),
            limit,
            used,
            machine: (*machine).max(1),
            machines: None,
        });
        places.insert(id, found.len() - 1);
    }
    let ways: Vec<Vec<(usize, u32)>> = ways
        .iter()
        .map(|draws| draws.iter().filter_map(|(id, units)| Some((*places.get(id)?, *units))).collect())
        .collect();
    judge(&mut found, &ways, wanted.count);
    Ok(found)
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
