//! `instances.insert`: one instance in one zone.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use skyfleet_core::{OfferId, PoolBid, Spread, Zone};

use crate::gcp::blueprint::properties::{Properties, merge};
use crate::gcp::blueprint::{Blueprint, Place, disks, draw, shape};
use crate::gcp::error::{Told, exists, invalid, required, told};
use crate::gcp::launched::{Flash, existing, machine_id};
use crate::gcp::made;
use crate::gcp::operation::{self, New};
use crate::gcp::request::{Answer, Request, known_zone};
use crate::gcp::state::State;
use crate::gcp::url::{self, Scope};
use crate::kernel::Kernel;
use crate::order::Order;
use crate::refusal::{Closed, Refusal};
use crate::rules::mix;

/// What an `Instance` says beyond the properties of any.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    name: Option<String>,
    hostname: Option<String>,
    deletion_protection: bool,
}

pub(crate) fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let named: Named = request.read()?;
    let name = named.name.clone().filter(|name| !name.is_empty()).ok_or_else(|| required("resource.name"))?;
    check_name("resource.name", &name)?;
    request.change(1, |kernel, state| {
        let zone = request.zone(kernel)?;
        let region = known_zone(kernel, &zone)?;
        let path = format!("zones/{zone}/instances/{name}");
        if is_taken(kernel, state, &zone, &name) {
            return Err(exists(request.project(), &path));
        }
        let properties = properties(request, kernel, state)?;
        let machine = machine_name(request, &zone, &properties)?;
        let field = "resource.machineType";
        let machine = shape::find(kernel, field, &machine, &properties.guest_accelerators)?;
        if !kernel
            .catalog()
            .offers()
            .iter()
            .any(|one| one.zone == zone && one.instance_type.name == machine.name)
        {
            let text = properties.machine_type.as_deref().unwrap_or_default();
            return Err(invalid(field, text, "The referenced resource does not exist."));
        }
        disks::check_name(kernel, &zone, &name, &properties.disks)?;
        let place = Place { project: request.project(), region: &region, zone: &zone };
        let mut blueprint = draw(kernel, state, place, machine, &properties)?;
        Arc::make_mut(&mut blueprint.details).deletion_protection = named.deletion_protection;
        let (launch, missing) = buy(kernel, state, &blueprint, &zone, vec![name.as_str().into()])?;
        let mut new = New::good("insert", Scope::Zone(zone.clone()), path, 0);
        match missing {
            None => {
                let m = kernel.lots[launch as usize].first;
                state.launched.own_mut(m).hostname = named.hostname.clone();
                (new.target_id, new.takes) = (machine_id(m), until_up(kernel, m));
            }
            Some(closed) => {
                let failed = fail(kernel, state, &blueprint, &zone, &name);
                new.target_id = failed.0;
                new.takes = failed.1;
                new.told = vec![said(kernel, failed.0, &closed)];
            }
        }
        Ok(new)
    })
}

/// The properties of the body, over those of a template if one is named.
fn properties(request: &Request<'_>, kernel: &Kernel, state: &mut State) -> Result<Properties, Refusal> {
    let Some(template) = request.option("sourceInstanceTemplate") else { return request.read() };
    let under = of_template(kernel, state, request.project(), template)?;
    read_properties("resource", &merge(under, request.body))
}

/// The properties of a template by its name in any form.
///
/// # Errors
/// `notFound` for one that there is not.
pub(crate) fn of_template(
    kernel: &Kernel,
    state: &mut State,
    project: &str,
    name: &str,
) -> Result<Value, Refusal> {
    let path = match url::path(name) {
        bare if !bare.contains('/') => format!("global/instanceTemplates/{bare}"),
        path => path.to_owned(),
    };
    let (_, made) = made::found(made::all(kernel, state), project, &path)?;
    Ok(made.body.get("properties").cloned().unwrap_or_default())
}

pub(crate) fn read_properties(field: &str, body: &Value) -> Result<Properties, Refusal> {
    Properties::deserialize(body)
        .map_err(|error| invalid(field, &error.to_string(), "The body cannot be read."))
}

/// The machine type of an instance, which names it with its zone.
fn machine_name(request: &Request<'_>, zone: &Zone, properties: &Properties) -> Result<String, Refusal> {
    let field = "resource.machineType";
    let text = properties.machine_type.as_deref().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| required(field))?;
    let bare = request.option("sourceInstanceTemplate").is_some() && !text.contains('/');
    match url::after("zones", text) {
        _ if bare => Ok(text.to_owned()),
        Some(there) if there == zone.as_str() => Ok(url::last(text).to_owned()),
        Some(_) => Err(invalid(field, text, "The machine type is of another zone.")),
        None => Err(invalid(field, text, "The URL is malformed.")),
    }
}

/// A name of an instance.
///
/// # Errors
/// `invalid` for one that is none.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    match url::is_name(name) {
        true => Ok(()),
        false => Err(invalid(field, name, "Must be a match of regex '[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?'")),
    }
}

/// Whether an instance has this name, even one that comes to nothing.
pub(crate) fn is_taken(kernel: &Kernel, state: &State, zone: &Zone, name: &str) -> bool {
    existing(kernel, zone, name).is_some() || state.launched.flash_named(zone, name).is_some()
}

/// Starts instances of one blueprint in one zone, or none of them; why none, if there is no room.
pub(crate) fn buy(
    kernel: &mut Kernel,
    state: &mut State,
    blueprint: &Blueprint,
    zone: &Zone,
    names: Vec<Arc<str>>,
) -> Result<(u32, Option<Closed>), Refusal> {
    let order = Order {
        token: None,
        region: known_zone(kernel, zone)?,
        market: blueprint.market,
        pools: vec![PoolBid { offer: offer(blueprint, zone), price_max: None }],
        count: names.len() as u32,
        count_min: names.len() as u32,
        spread: Spread::Packed,
        spec: blueprint.spec.clone(),
        tags: blueprint.labels.clone(),
        disk_tags: blueprint.disk_labels.clone(),
        // An address of the machine's own has no labels but the machine's.
        interface_tags: blueprint.labels.clone(),
        native_expiry: blueprint.termination,
        name_prefix: String::new(),
        names,
    };
    let bought = kernel.launch_part(&order)?;
    if let Some(missing) = bought.missing.into_iter().next() {
        return Ok((bought.launch, Some(missing.why)));
    }
    state.launched.add(bought.launch, blueprint.details.clone());
    Ok((bought.launch, None))
}

pub(crate) fn offer(blueprint: &Blueprint, zone: &Zone) -> OfferId {
    OfferId { zone: zone.clone(), instance_type: blueprint.machine.name.clone(), market: blueprint.market }
}

/// How long it takes until a machine is up: so long is it being inserted.
pub(crate) fn until_up(kernel: &Kernel, m: u32) -> Duration {
    let up = kernel.machines[m as usize].comes_up();
    Duration::try_from(up.duration_since(kernel.now())).unwrap_or_default()
}

/// Shows for a moment an instance that could not be made; its number, and for how long.
pub(crate) fn fail(
    kernel: &Kernel,
    state: &mut State,
    blueprint: &Blueprint,
    zone: &Zone,
    name: &str,
) -> (u64, Duration) {
    state.numbers += 1;
    let id = operation::number(kernel, state.numbers);
    // Two to five seconds. Ours.
    let takes = Duration::from_millis(2_000 + mix(id) % 3_000);
    state.launched.flash(Flash {
        id,
        name: name.into(),
        offer: offer(blueprint, zone),
        details: blueprint.details.clone(),
        labels: blueprint.labels.clone(),
        disk_gib: blueprint.spec.disk_gib,
        from: kernel.now(),
        stops: None,
        until: kernel.now() + takes,
    });
    (id, takes)
}

/// Why an instance could not be made, as its operation says it. A stock-out comes with details or
/// without: with them in three of four cases. The share is ours.
pub(crate) fn said(kernel: &Kernel, id: u64, closed: &Closed) -> Told {
    let mut said = told(closed);
    let stock_out = matches!(closed, Closed::Capacity(_) | Closed::Zone(_));
    if stock_out && mix(id ^ kernel.seed).is_multiple_of(4) {
        said.code = "ZONE_RESOURCE_POOL_EXHAUSTED".to_owned();
        said.details.clear();
    }
    said
}
