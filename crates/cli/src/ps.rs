//! `skyfleet ps`: the instances, as the cloud has them now.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skyfleet::{EventKind, Roster};
use skyfleet_core::{FleetName, Instance, InstanceId, InstanceState, Price, Selector, Timestamp, UsdPerHour};

use crate::args::{Common, PsArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Rows, age, note, price_json};
use crate::settings::{self, Changes};

pub(crate) async fn ps(common: &Common, args: PsArgs, output: &mut Output) -> Result<Exit, Failure> {
    let fleet = settings::open(common, Changes::default())?;
    let config = fleet.config();
    let mut instances = if args.all {
        fleet.provider().list(&Selector::owner(&config.owner)).await?
    } else {
        fleet.list().await?
    };
    if !args.ended {
        instances.retain(|instance| instance.state != InstanceState::Terminated);
    }
    let now = fleet.clock().now();
    let slots = slots(&instances, now);
    instances.sort_by(|a, b| {
        (&a.fleet, slots.get(&a.id).unwrap_or(&u32::MAX), &a.id).cmp(&(
            &b.fleet,
            slots.get(&b.id).unwrap_or(&u32::MAX),
            &b.id,
        ))
    });
    let per_hour: UsdPerHour =
        instances.iter().filter(|i| i.state.is_alive()).filter_map(|i| i.price.known()).sum();
    if output.json {
        let list: Vec<Value> =
            instances.iter().map(|i| instance_json(i, slots.get(&i.id).copied(), now)).collect();
        output.document(&json!({
            "provider": config.provider,
            "owner": config.owner,
            "fleet": (!args.all).then_some(&config.name),
            "now": now,
            "usd_per_hour": per_hour.to_dollars(),
            "instances": list,
        }))?;
        return Ok(Exit::Ok);
    }
    if instances.is_empty() {
        note(match args.all {
            true => format!("owner {} has no instance", config.owner),
            false => format!("fleet {}/{} has no instance", config.owner, config.name),
        });
        return Ok(Exit::Ok);
    }
    output.table(rows(&instances, &slots, args.all, now))?;
    let alive = instances.iter().filter(|i| i.state.is_alive()).count();
    output.line(format!("{alive} alive, {per_hour}"))?;
    Ok(Exit::Ok)
}

/// The slot of each living instance, by the rule by which the next controller of its fleet seats it.
fn slots(instances: &[Instance], now: Timestamp) -> BTreeMap<InstanceId, u32> {
    let mut fleets: BTreeMap<&FleetName, Vec<Instance>> = BTreeMap::new();
    for instance in instances {
        fleets.entry(&instance.fleet).or_default().push(instance.clone());
    }
    let mut slots = BTreeMap::new();
    for listed in fleets.into_values() {
        let mut seated = Vec::new();
        Roster::new(listed.len() as u32).adopt(&listed, now, &mut seated);
        slots.extend(seated.into_iter().filter_map(|event| match event {
            EventKind::Filled { slot, instance, .. } => Some((instance, slot)),
            _ => None,
        }));
    }
    slots
}

fn rows(instances: &[Instance], slots: &BTreeMap<InstanceId, u32>, all: bool, now: Timestamp) -> Rows {
    let mut head = vec!["slot", "id", "state", "type", "zone", "market", "price", "age"];
    if all {
        head.insert(0, "fleet");
    }
    let mut rows = Rows::new(&head, &["slot", "price", "age"]);
    for instance in instances {
        let mut row = vec![
            slots.get(&instance.id).map_or_else(|| "-".to_owned(), u32::to_string),
            instance.id.to_string(),
            instance.state.to_string(),
            instance.offer.instance_type.to_string(),
            instance.offer.zone.to_string(),
            instance.offer.market.to_string(),
            match instance.price {
                Price::Known(price) => price.to_string(),
                Price::Unknown => "unknown".to_owned(),
            },
            age(instance.launched, now),
        ];
        if all {
            row.insert(0, instance.fleet.to_string());
        }
        rows.push(row);
    }
    rows
}

pub(crate) fn instance_json(instance: &Instance, slot: Option<u32>, now: Timestamp) -> Value {
    json!({
        "fleet": instance.fleet,
        "slot": slot,
        "id": instance.id,
        "state": instance.state,
        "instance_type": instance.offer.instance_type,
        "region": instance.region,
        "zone": instance.offer.zone,
        "market": instance.offer.market,
        "usd_per_hour": price_json(instance.price),
        "launched": instance.launched,
        "age_seconds": (now.as_second() - instance.launched.as_second()).max(0),
        "private_ip": instance.private_ip,
        "public_ip": instance.public_ip,
        "expires": instance.expires,
    })
}
