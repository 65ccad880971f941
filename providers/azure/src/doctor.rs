//! Whether a fleet could be had, asked beforehand: which subscription, what is registered, what is
//! allowed, where, and how much of it. Nothing is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use skyfleet_core::doctor::{
    ClockHealth, DoctorReport, Identity, PermissionHealth, QuotaHealth, RegionHealth, ServiceHealth, Verdict,
    Wanted, judge,
};
use skyfleet_core::{
    Arch, Clock, Counts, Error, ErrorKind, InstanceType, Market, QuotaId, Region, Result, Signal,
    SystemClock, Timestamp,
};

use crate::catalog::{Catalogue, Kind};
use crate::client::Client;
use crate::client::market::RegionInfo;
use crate::names::plain;
use crate::{AzureProvider, permissions, quotas};

mod role;

/// Tokens are refused when their time is five minutes off (Microsoft identity platform documentation,
/// "Access tokens", validation).
const SKEW_MAX_S: i64 = 300;
/// From here on it is worth setting the clock.
const SKEW_NOTED_S: i64 = 30;

/// What a fleet needs of a subscription, and the type whose regions tell where it is sold.
const SERVICES: [(&str, &str); 4] = [
    ("Microsoft.Compute", "virtualMachines"),
    ("Microsoft.Network", "virtualNetworks"),
    (FLEETS, "fleets"),
    ("Microsoft.ComputeSchedule", "locations/virtualMachinesExecuteDelete"),
];
const FLEETS: &str = "Microsoft.AzureFleet";

impl AzureProvider {
    /// Examines the subscription for a fleet. What is wrong is in the report; nothing is changed.
    pub async fn doctor(&self, wanted: &Wanted) -> DoctorReport {
        Box::pin(examine(&self.client, &self.catalogue, wanted)).await
    }
}

async fn examine(client: &Client, catalogue: &Catalogue, wanted: &Wanted) -> DoctorReport {
    let mut report = DoctorReport { provider: "azure", needed: wanted.count, ..DoctorReport::default() };
    let asked = SystemClock.now();
    match client.subscription_info().await {
        Ok((told, time)) => {
            report.clock = time.map(|time| clock_health(asked, SystemClock.now(), time));
            let (identity, problem) = identity(client, &told);
            report.identity = Some(identity);
            report.problems.extend(problem);
        }
        Err(error) if matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::InvalidConfig) => {
            report.refused = Some(error.to_string());
            return report;
        }
        // Who may not look at the subscription may still be told what else is missing.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            report.problems.push(format!("the subscription may not be looked at: {error}"));
        }
        Err(error) => {
            report.problems.push(error.to_string());
            return report;
        }
    }
    let asked = SERVICES.iter().map(|(name, _)| client.provider_info(name));
    let told = futures::future::join_all(asked).await;
    report.services = SERVICES.iter().zip(&told).map(|((name, _), told)| service(name, told)).collect();
    report.services.push(prices(&client.price_sample().await));
    report.permissions = permission_health(client).await;
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
    let networks = networks(client).await;
    report.regions = (scope.iter())
        .map(|info| region_health(&info.name, milliseconds, network(&networks, &info.name), &told))
        .collect();
    match quota_health(client, catalogue, &scope, wanted).await {
        Ok(quotas) => report.quotas = quotas,
        Err(error) => report.problems.push(format!("the quotas are not known: {error}")),
    }
    report
}

/// Which subscription it is, and why it cannot be used, where it cannot.
fn identity(client: &Client, told: &Value) -> (Identity, Option<String>) {
    let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
    let account = client.subscription().unwrap_or_default();
    let state = text("state");
    let caller = match (text("displayName"), text("tenantId")) {
        ("", tenant) => format!("tenant {tenant}"),
        (name, tenant) => format!("{name}, tenant {tenant}"),
    };
    // Azure documentation, "Azure subscription states": in the others nothing new is made.
    let usable = state.is_empty() || ["Enabled", "PastDue"].contains(&state);
    let problem = (!usable).then(|| format!("the subscription is {state}: nothing can be made in it"));
    (Identity { account, caller }, problem)
}

fn clock_health(asked: Timestamp, answered: Timestamp, server: Timestamp) -> ClockHealth {
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
}

fn service(name: &str, told: &Result<Value>) -> ServiceHealth {
    let state =
        told.as_ref().map(|told| told.get("registrationState").and_then(Value::as_str).unwrap_or_default());
    let (verdict, detail) = match state {
        Ok("Registered") => (Verdict::Good, "registered".to_owned()),
        Ok("Registering") => (Verdict::Unclear, "being registered; it takes minutes".to_owned()),
        Ok(_) => (Verdict::Bad, format!("not registered: `az provider register --namespace {name}` does it")),
        Err(error) => (Verdict::Unclear, format!("not known: {}", error.message())),
    };
    ServiceHealth { verdict, service: name.to_owned(), detail }
}

fn prices(sample: &Result<()>) -> ServiceHealth {
    let (verdict, detail) = match sample {
        Ok(()) => (Verdict::Good, "answers".to_owned()),
        Err(error) => (Verdict::Unclear, format!("{}; without it no price is known", error.message())),
    };
    ServiceHealth { verdict, service: "retail prices".to_owned(), detail }
}

/// What the caller may do.
async fn permission_health(client: &Client) -> Vec<PermissionHealth> {
    let granted = client.granted().await;
    let health = permissions::all().into_iter().map(|action| {
        let (verdict, detail) = match &granted {
            Ok(granted) if role::allows(granted, action) => (Verdict::Good, String::new()),
            Ok(_) if permissions::is_optional(action) => {
                (Verdict::Unclear, "missing; a fleet is had without it".to_owned())
            }
            Ok(_) => (Verdict::Bad, "missing".to_owned()),
            Err(error) => (Verdict::Unclear, format!("not known: {}", error.message())),
        };
        PermissionHealth { verdict, action: action.to_owned(), dry_run: false, detail }
    });
    health.collect()
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

/// The subnets of the settings: each with the region of its network, or with what is wrong.
type Networks = Vec<std::result::Result<(Region, String), String>>;

async fn networks(client: &Client) -> Networks {
    let mut found = Vec::new();
    for subnet in &client.settings().subnets {
        found.push(match client.network_info(subnet.network()).await {
            Ok(Some(told)) => {
                let location = told.get("location").and_then(Value::as_str).unwrap_or_default();
                let id = subnet.id();
                let subnets =
                    told.pointer("/properties/subnets").and_then(Value::as_array).into_iter().flatten();
                let is_this = |told: &Value| {
                    told.get("id").and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(id))
                };
                match subnets.into_iter().any(is_this) {
                    true => Ok((Region::from(plain(location)), id.to_owned())),
                    false => Err(format!("the network {} has no such subnet: {id}", subnet.network())),
                }
            }
            Ok(None) => Err(format!("there is no network {}", subnet.network())),
            Err(error) => Err(format!("a network may not be looked at: {}", error.message())),
        });
    }
    found
}

/// The network that a fleet would use in a region.
fn network(networks: &Networks, region: &Region) -> std::result::Result<String, String> {
    if networks.is_empty() {
        return Ok("of the fleet's own".to_owned());
    }
    if let Some((_, id)) = networks.iter().flatten().find(|(own, _)| own == region) {
        return Ok(id.rsplit('/').next().unwrap_or(id).to_owned());
    }
    let wrong = networks.iter().find_map(|network| network.as_ref().err());
    Err(wrong.cloned().unwrap_or_else(|| format!("none of the configured subnets is in {region}")))
}

fn region_health(
    region: &Region,
    milliseconds: u64,
    network: std::result::Result<String, String>,
    services: &[Result<Value>],
) -> RegionHealth {
    let missing = SERVICES.iter().zip(services).find_map(|((name, kind), told)| {
        let told = told.as_ref().ok()?;
        (!is_sold_in(told, kind, region)).then(|| format!("{name} is not offered there"))
    });
    let (network, detail) = match network {
        Ok(network) => (Some(network), missing.unwrap_or_default()),
        Err(detail) => (None, detail),
    };
    let verdict = if detail.is_empty() { Verdict::Good } else { Verdict::Bad };
    RegionHealth { verdict, region: region.to_string(), answers: true, milliseconds, network, detail }
}

/// Whether a provider has a type of resource in a region; one that does not say where has it.
fn is_sold_in(provider: &Value, kind: &str, region: &Region) -> bool {
    let types = provider.get("resourceTypes").and_then(Value::as_array).into_iter().flatten();
    let named = |told: &&Value| {
        told.get("resourceType").and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(kind))
    };
    let locations = types.filter(named).find_map(|told| told.get("locations")?.as_array());
    locations.is_none_or(|all| {
        let mut all = all.iter().filter_map(Value::as_str).map(plain).peekable();
        all.peek().is_none() || all.any(|location| location == region.as_str() || location == "global")
    })
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
        for kind in machines(catalogue, &region.name, wanted).await? {
            for market in wanted.markets() {
                if market == Market::Spot && !kind.spot {
                    continue;
                }
                let draws = quotas::draws(&region.name, &kind, market);
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
        let (Some((region, name)), Some((market, machine))) = (quotas::parts(&id), least.get(&id)) else {
            continue;
        };
        found.push(QuotaHealth {
            verdict: Verdict::Unclear,
            region: region.to_owned(),
            code: name.to_owned(),
            name: String::new(),
            market: *market,
            counts: Counts::Vcpus,
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

/// The sizes that the fleet may be of; the usual ones when it names none.
async fn machines(catalogue: &Catalogue, region: &Region, wanted: &Wanted) -> Result<Vec<Kind>> {
    if !wanted.instance_types.is_empty() {
        return catalogue.kinds(region, &wanted.instance_types).await;
    }
    let vcpus = wanted.vcpus.max(1);
    // The family decides which quota it is.
    let usual = |name: &str, family: &str| Kind {
        spec: Arc::new(InstanceType {
            name: name.into(),
            vcpus,
            memory_mib: vcpus * 4_096,
            arch: Arch::X86_64,
            gpu: None,
            local_ssd_gib: 0,
        }),
        family: Some(family.to_owned()),
        spot: true,
        zones: [region.as_str().into()].into(),
        restricted: Default::default(),
    };
    Ok(match wanted.gpu {
        true => vec![usual("Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family")],
        false => vec![usual("Standard_D2s_v5", "standardDSv5Family")],
    })
}

#[cfg(test)]
mod tests;
