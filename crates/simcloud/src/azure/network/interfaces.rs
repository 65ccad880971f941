//! Network interfaces: those that callers make, and those that outlived their machines.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{addresses, networks, security_groups};
use crate::azure::error::{coded, invalid};
use crate::azure::id::Id;
use crate::azure::made::{self, Made};
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, machines};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "networkInterfaces.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "networkInterfaces.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "networkInterfaces.PATCH", verb: "PATCH", path: ONE, answer: patch },
    Method { id: "networkInterfaces.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method {
        id: "networkInterfaces.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkInterfaces",
        answer: list,
    },
    Method {
        id: "networkInterfaces.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Network/networkInterfaces",
        answer: list,
    },
];

const ONE: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkInterfaces/{name}";

pub(crate) const KIND: &str = "Microsoft.Network/networkInterfaces";

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(&made::called(request), 0, |kernel, state| {
        let wanted = made::wanted(kernel, state, request, KIND)?;
        let mut properties = made::properties(request.body)?;
        let group = properties.get("networkSecurityGroup").unwrap_or(&Value::Null);
        made::reference(state, group, security_groups::KIND, "networkSecurityGroup")?;
        let Some(Value::Array(parts)) = properties.get_mut("ipConfigurations") else {
            return Err(invalid("ipConfigurations", "An interface must have at least one."));
        };
        if parts.is_empty() {
            return Err(invalid("ipConfigurations", "An interface must have at least one."));
        }
        // What it has itself it may keep, and each of its parts needs another one.
        let others = self::parts(state).filter(|(made, _)| made.id != wanted.id);
        let mut taken: BTreeSet<String> = others.filter_map(|(_, part)| inside(part)).collect();
        for part in parts {
            configure(state, &wanted.id, part, &mut taken)?;
        }
        let mut body = Map::new();
        body.insert("properties".to_owned(), properties.into());
        made::keep(kernel, state, &wanted, FixtureKind::Interface, body);
        let shown = show(kernel, state, &state.made[&wanted.id.key()]);
        made::begun(kernel, state, request, &wanted, &shown)
    })
}

/// Gives a part of an interface its address inside, and checks what it names.
fn configure(
    state: &State,
    interface: &Id,
    part: &mut Value,
    taken: &mut BTreeSet<String>,
) -> Result<(), Refusal> {
    if part["name"].as_str().is_none_or(str::is_empty) || !part["properties"].is_object() {
        return Err(invalid("ipConfigurations", "Each must have a name and properties."));
    }
    let properties = &mut part["properties"];
    let subnet = properties["subnet"]["id"].as_str().unwrap_or_default().to_owned();
    let missing = || {
        let message = format!("Resource '{subnet}' referenced by ipConfigurations.subnet was not found.");
        coded(400, "InvalidResourceReference", message)
    };
    let id = Id::parse(&subnet).filter(|id| id.is_a("Microsoft.Network/virtualNetworks/subnets"));
    let id = id.ok_or_else(missing)?;
    let network = Id::new(&id.subscription, &id.group, networks::KIND, &[&id.names[0]]);
    let network = state.made.get(&network.key()).ok_or_else(missing)?;
    let range = networks::range_of(network, id.name()).ok_or_else(missing)?;
    let public = made::reference(state, &properties["publicIPAddress"], addresses::KIND, "publicIPAddress")?;
    if let Some(public) = public
        && let Some(by) =
            part_with(state, &public).filter(|by| !by.to_lowercase().starts_with(&interface.key()))
    {
        let message = format!("Resource {public} is already allocated to resource {by}.");
        return Err(coded(400, "PublicIPAddressInUse", message));
    }
    if properties["privateIPAddress"].as_str().is_none_or(str::is_empty) {
        let mut free = range.usable().map(|ip| ip.to_string());
        let Some(ip) = free.find(|ip| !taken.contains(ip)) else {
            let message = format!("Subnet {subnet} does not have enough capacity.");
            return Err(coded(400, "SubnetIsFull", message));
        };
        properties["privateIPAddress"] = ip.into();
    }
    taken.extend(inside(part));
    Ok(())
}

/// The address inside of a part, as it is written.
fn inside(part: &Value) -> Option<String> {
    part["properties"]["privateIPAddress"].as_str().map(str::to_owned)
}

/// The parts of all interfaces, and whose they are.
fn parts(state: &State) -> impl Iterator<Item = (&Made, &Value)> {
    let interfaces = state.made.values().filter(|made| made.id.is_a(KIND));
    interfaces.flat_map(|made| {
        let parts = made.body.get("properties").and_then(|own| own["ipConfigurations"].as_array());
        parts.into_iter().flatten().map(move |part| (made, part))
    })
}

/// The id of the part of an interface that has a public address.
pub(super) fn part_with(state: &State, address: &Id) -> Option<String> {
    let key = address.key();
    let has = |part: &Value| {
        part["properties"]["publicIPAddress"]["id"].as_str().is_some_and(|id| id.to_lowercase() == key)
    };
    let (made, part) = parts(state).find(|(_, part)| has(part))?;
    Some(format!("{}/ipConfigurations/{}", made.id, part["name"].as_str()?))
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::get_with(request, KIND, machines::interfaces::found, show)
}

fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::patch_with(request, KIND, machines::interfaces::found, show)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::list_with(request, KIND, machines::interfaces::of_machines, show)
}

/// One that a machine has, or that is reserved for one that could not be made, stays.
fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::delete_checked(request, KIND, machines::interfaces::check_free, |kernel, _, made| {
        made::release(kernel, &made.id.to_string(), "NicInUse")
    })
}

fn show(kernel: &Kernel, state: &State, made: &Made) -> Value {
    let mut shown = made::show(kernel, made);
    let holder = machines::interfaces::holder(kernel, &state.launched, &made.id);
    let failed = || state.launched.failed_with(&made.id).map(|failed| failed.id.to_string().into());
    if let Some(machine) = holder.or_else(failed) {
        shown["properties"]["virtualMachine"] = json!({ "id": machine });
    }
    let parts = made::parts(&shown, "ipConfigurations", &format!("{KIND}/ipConfigurations"));
    shown["properties"]["ipConfigurations"] = parts;
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn an_interface_holds_its_subnet_and_its_address() {
        let trial = Trial::with_group();
        let inside = "/resourceGroups/g/providers/Microsoft.Network";
        let (net, nic, pip) = (
            format!("{inside}/virtualNetworks/net"),
            format!("{inside}/networkInterfaces/nic"),
            format!("{inside}/publicIPAddresses/pip"),
        );
        trial.done(
            "PUT",
            &net,
            json!({ "location": "eastus", "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [{ "name": "s", "properties": { "addressPrefix": "10.0.0.0/24" } }] } }),
        );
        let subnet = trial.get(&net)["properties"]["subnets"][0]["id"].clone();
        let tags = json!({ "skyfleet-owner": "ada" });
        let address = trial.done("PUT", &pip, json!({ "location": "eastus", "tags": tags }))["id"].clone();
        assert_eq!(trial.live("ada"), 1);
        let body = |subnet: &Value| {
            json!({ "location": "eastus", "properties": { "ipConfigurations": [{ "name": "ip",
            "properties": { "subnet": { "id": subnet }, "publicIPAddress": { "id": address } } }] } })
        };
        let nowhere = trial.refusal("PUT", &nic, body(&json!(format!("{}x", subnet.as_str().unwrap()))));
        assert_eq!(nowhere, (400, "InvalidResourceReference".to_owned()));
        let made = trial.done("PUT", &nic, body(&subnet));
        assert_eq!(made["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"], "10.0.0.4");
        assert_eq!(trial.refusal("PUT", &format!("{nic}2"), body(&subnet)).1, "PublicIPAddressInUse");
        let part = |name: &str| json!({ "name": name, "properties": { "subnet": { "id": subnet } } });
        let several =
            json!({ "location": "eastus", "properties": { "ipConfigurations": [part("a"), part("b")] } });
        for _ in 0..2 {
            let made = trial.done("PUT", &format!("{nic}2"), several.clone());
            let parts = made["properties"]["ipConfigurations"].as_array().unwrap();
            let inside: Vec<_> = parts.iter().filter_map(super::inside).collect();
            assert_eq!(inside, ["10.0.0.5", "10.0.0.6"], "each has its own, and keeps it");
        }
        trial.done("DELETE", &format!("{nic}2"), Value::Null);
        let none = json!({ "location": "eastus", "properties": { "ipConfigurations": [] } });
        assert_eq!(trial.refusal("PUT", &format!("{nic}2"), none).1, "InvalidParameter");
        for path in [&nic, &pip, &net] {
            trial.done("PATCH", path, json!({ "tags": { "skyfleet-owner": "ada", "a": "b" } }));
            assert_eq!(trial.get(path)["tags"]["a"], "b");
        }
        assert_eq!(trial.refusal("PATCH", &format!("{nic}2"), json!({ "tags": {} })).0, 404);
        let shown = trial.get(&pip);
        assert!(
            shown["properties"]["ipConfiguration"]["id"]
                .as_str()
                .unwrap()
                .ends_with("nic/ipConfigurations/ip")
        );
        assert_eq!(trial.refusal("DELETE", &net, Value::Null).1, "InUseSubnetCannotBeDeleted");
        assert_eq!(trial.refusal("DELETE", &pip, Value::Null).1, "PublicIPAddressCannotBeDeleted");
        for path in [&nic, &pip, &net] {
            trial.done("DELETE", path, Value::Null);
        }
        assert_eq!(trial.live("ada"), 0);
        assert_eq!(trial.names("/resources").len(), 0);
    }
}
