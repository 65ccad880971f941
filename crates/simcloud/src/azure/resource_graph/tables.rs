use std::time::Duration;

use serde_json::{Map, Value, json};
use skyfleet_core::{InstanceType, Market, OfferId, Region, Timestamp};

use super::query::{Source, Table};
use crate::azure::id::Id;
use crate::azure::retail_prices::WINDOWS_MICROS;
use crate::azure::state::State;
use crate::azure::subscriptions::TENANT;
use crate::azure::{groups, inventory, subscriptions};
use crate::catalog::{Scarcity, fingerprint};
use crate::kernel::Kernel;

/// How far answers may be behind. Azure documentation, "Azure Resource Graph": up to a minute after a
/// change.
const BEHIND: Duration = Duration::from_secs(60);

/// How far back prices are told. Azure documentation, "Use Azure Spot Virtual Machines": 90 days.
const HISTORY: Duration = Duration::from_secs(90 * 86_400);

/// The columns of all tables. Azure documentation, "Azure Resource Graph table and resource type
/// reference".
const COLUMNS: [&str; 16] = [
    "id",
    "name",
    "type",
    "tenantId",
    "kind",
    "location",
    "resourceGroup",
    "subscriptionId",
    "managedBy",
    "sku",
    "plan",
    "properties",
    "tags",
    "identity",
    "zones",
    "extendedLocation",
];

/// What there was when Resource Graph looked last.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    at: Option<Timestamp>,
    things: Vec<Value>,
    containers: Vec<Value>,
}

/// The rows of a table, of some subscriptions or of all.
pub(super) fn read(
    kernel: &Kernel,
    state: &mut State,
    source: Source,
    subscriptions: Option<&[String]>,
) -> Table {
    let of = |row: &&Value| {
        let own = row["subscriptionId"].as_str().unwrap_or_default();
        let among = |all: &[String]| all.is_empty() || all.iter().any(|one| one.eq_ignore_ascii_case(own));
        subscriptions.is_none_or(among)
    };
    let rows: Vec<Value> = match source {
        Source::Spot => spot(kernel),
        Source::Resources => seen(kernel, state).things.iter().filter(of).cloned().collect(),
        Source::Containers => seen(kernel, state).containers.iter().filter(of).cloned().collect(),
    };
    let row = |row: Value| COLUMNS.iter().map(|column| row[*column].clone()).collect();
    Table { columns: COLUMNS.map(str::to_owned).to_vec(), rows: rows.into_iter().map(row).collect() }
}

fn seen<'s>(kernel: &Kernel, state: &'s mut State) -> &'s Seen {
    let now = kernel.now();
    if state.seen.at.is_none_or(|at| at + BEHIND <= now) {
        let things = inventory::all(kernel, state).into_iter();
        let things = things.map(|thing| row(&inventory::whole(kernel, state, &thing), &thing.id));
        let groups = groups::all(kernel, state);
        let groups = groups.into_iter().map(|(id, shown)| row(&shown, &id));
        let owners = subscriptions::all(state).into_iter().map(|id| {
            let shown = subscriptions::show(&id);
            json!({ "id": shown["id"], "name": shown["displayName"], "type": "microsoft.resources/subscriptions",
                "tenantId": TENANT, "kind": "", "location": "", "resourceGroup": "", "subscriptionId": id,
                "managedBy": "", "properties": { "state": "Enabled" } })
        });
        state.seen =
            Seen { at: Some(now), things: things.collect(), containers: owners.chain(groups).collect() };
    }
    &state.seen
}

/// A resource as a row: types and groups are in lower case.
fn row(shown: &Value, id: &Id) -> Value {
    let kind = match id.kind.as_str() {
        "" => "microsoft.resources/subscriptions/resourcegroups".to_owned(),
        kind => kind.to_lowercase(),
    };
    let mut row = json!({
        "id": id.to_string(),
        "name": id.name(),
        "type": kind,
        "tenantId": TENANT,
        "kind": "",
        "resourceGroup": id.group.to_lowercase(),
        "subscriptionId": id.subscription,
        "managedBy": "",
    });
    let members = ["location", "managedBy", "sku", "plan", "properties", "tags", "identity", "zones"];
    let told = members.into_iter().filter_map(|member| Some((member.to_owned(), shown.get(member)?.clone())));
    row.as_object_mut().into_iter().for_each(|row| row.extend(told.clone().collect::<Map<_, _>>()));
    row
}

/// Prices and evictions of spot machines, of all regions.
fn spot(kernel: &Kernel) -> Vec<Value> {
    let mut rows = Vec::new();
    for region in kernel.regions() {
        for size in kernel.catalog().instance_types() {
            let zones = kernel.zones(region.as_str()).into_iter();
            let mut offers =
                zones.map(|zone| OfferId { zone, instance_type: size.name.clone(), market: Market::Spot });
            // The zones of a region cost the same.
            let Some(offer) = offers.find(|offer| kernel.catalog().offer(offer).is_some()) else { continue };
            for (system, licence) in [("linux", 0), ("windows", WINDOWS_MICROS * i64::from(size.vcpus))] {
                let properties = json!({ "osType": system, "spotPrices": prices(kernel, &offer, licence) });
                rows.push(told(&region, size, "skuspotpricehistory/ostype/location", system, properties));
            }
            let properties = json!({ "evictionRate": evictions(kernel, &region, size) });
            rows.push(told(&region, size, "skuspotevictionrate/location", "", properties));
        }
    }
    rows
}

fn told(region: &Region, size: &InstanceType, kind: &str, system: &str, properties: Value) -> Value {
    let name = size.name.as_str().to_lowercase();
    let part = if system.is_empty() { String::new() } else { format!("/ostypes/{system}") };
    let family = kind.split('/').next().unwrap_or_default();
    json!({
        "id": format!("/providers/microsoft.compute/locations/{region}/{family}/{name}{part}"),
        "name": name,
        "type": format!("microsoft.compute/{kind}"),
        "tenantId": TENANT,
        "kind": "",
        "location": region,
        "resourceGroup": "",
        "subscriptionId": "",
        "managedBy": "",
        "sku": { "name": name },
        "properties": properties,
    })
}

/// The latest first.
fn prices(kernel: &Kernel, offer: &OfferId, licence: i64) -> Value {
    let now = kernel.now();
    let changes = kernel.price_changes(offer, now - HISTORY, now);
    let told = changes.iter().rev().map(|(since, price)| {
        let dollars = (price.micros() + licence) as f64 / 1e6;
        json!({ "effectiveDate": since.to_string(), "priceUSD": dollars })
    });
    told.collect()
}

/// The share of machines that are evicted in an hour, in hundredths: made up around what the size is
/// like, the same in every world.
fn evictions(kernel: &Kernel, region: &Region, size: &InstanceType) -> &'static str {
    let chance = fingerprint(&[size.name.as_str(), region.as_str(), "evictions"]).is_multiple_of(2);
    match (kernel.catalog().scarcity(size.name.as_str()), chance) {
        (Scarcity::Plenty, _) => "0-5",
        (Scarcity::Tight, true) => "5-10",
        (Scarcity::Tight, false) => "10-15",
        (Scarcity::Scarce, true) => "15-20",
        (Scarcity::Scarce, false) => "20+",
    }
}
