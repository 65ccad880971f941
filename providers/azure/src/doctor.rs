//! Whether a fleet could be had, asked beforehand: which subscription, what is registered, what is
//! allowed, where, and how much of it. Nothing is changed.

use std::sync::Arc;

use serde_json::Value;
use skyfleet_core::doctor::{
    ClockHealth, DoctorReport, Identity, PermissionHealth, QuotaHealth, QuotaNeeds, RegionHealth,
    ServiceHealth, Verdict, Wanted, milliseconds_since,
};
use skyfleet_core::{Arch, Clock, Counts, ErrorKind, InstanceType, Market, Region, Result, SystemClock};

use crate::catalog::{Catalogue, Kind};
use crate::client::Client;
use crate::client::market::RegionInfo;
use crate::names::plain;
use crate::{AzureProvider, permissions, quotas};

mod role;

/// Tokens are refused when their time is five minutes off (Microsoft identity platform documentation,
/// "Access tokens", validation).
const SKEW_MAX_S: i64 = 300;

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
            report.clock = time.map(|time| ClockHealth::of(asked, SystemClock.now(), time, SKEW_MAX_S));
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
    let scope = catalogue.scope().await.and_then(|scope| wanted.regions_of(scope, |region| &region.name));
    let scope = match scope {
        Ok(scope) => scope,
        Err(error) => {
            report.problems.push(format!("the regions are not known: {error}"));
            return report;
        }
    };
    let milliseconds = milliseconds_since(started);
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
        let granted = granted.as_ref().map(|granted| role::allows(granted, action));
        PermissionHealth::told(action, granted, permissions::is_optional(action))
    });
    health.collect()
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
    let mut needs = QuotaNeeds::default();
    for region in regions {
        for kind in machines(catalogue, &region.name, wanted).await? {
            for market in wanted.markets() {
                if market == Market::Spot && !kind.spot {
                    continue;
                }
                let draws = quotas::draws(&region.name, &kind, market);
                needs.add(
                    market,
                    draws.iter().map(|draw| (draw.quota.clone(), draw.counts.units(&kind.spec))),
                );
            }
        }
    }
    let signals = quotas::signals(client, &needs.quotas()).await?;
    Ok(needs.judge(signals, wanted.count, |_| (String::new(), Counts::Vcpus)))
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
