//! Public addresses. They cost money whether they are used or not.

use serde_json::{Map, Value, json};

use super::interfaces;
use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::made::{self, Made};
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, machines};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "publicIPAddresses.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "publicIPAddresses.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "publicIPAddresses.PATCH", verb: "PATCH", path: ONE, answer: patch },
    Method { id: "publicIPAddresses.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method {
        id: "publicIPAddresses.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/publicIPAddresses",
        answer: list_all,
    },
    Method {
        id: "publicIPAddresses.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Network/publicIPAddresses",
        answer: list_all,
    },
];

const ONE: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/publicIPAddresses/{name}";

pub(super) const KIND: &str = "Microsoft.Network/publicIPAddresses";

const IN_USE: &str = "PublicIPAddressCannotBeDeleted";

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(&made::called(request), 0, |kernel, state| {
        let wanted = made::wanted(kernel, state, request, KIND)?;
        let mut properties = made::properties(request.body)?;
        properties.entry("publicIPAllocationMethod").or_insert_with(|| "Static".into());
        let mut body = Map::new();
        body.insert("properties".to_owned(), properties.into());
        let sku = &request.body["sku"];
        let standard = || json!({ "name": "Standard", "tier": "Regional" });
        body.insert("sku".to_owned(), if sku.is_null() { standard() } else { sku.clone() });
        let id = wanted.id.to_string();
        if kernel.address(&id).is_some() {
            kernel.retag(&id, |tags| *tags = (*wanted.tags).clone());
        } else {
            kernel.create_address_named(&wanted.location, &id, wanted.tags.clone())?;
        }
        made::note(kernel, state, &wanted, body);
        let shown = show(kernel, state, &state.made[&wanted.id.key()]);
        made::begun(kernel, state, request, &wanted, &shown)
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::get_with(request, KIND, machines::interfaces::found_address, show)
}

fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::patch_with(request, KIND, machines::interfaces::found_address, show)
}

fn list_all(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::list_with(request, KIND, machines::interfaces::addresses_of_machines, show)
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    let in_use = |kernel: &Kernel, state: &State, id: &Id| {
        let part = machines::interfaces::found_address(kernel, &state.launched, id);
        part.map_or(Ok(()), |part| {
            Err(coded(
                400,
                IN_USE,
                format!(
                    "Public IP address {id} can not be deleted since it is still allocated to {}.",
                    part.body["properties"]["ipConfiguration"]["id"]
                ),
            ))
        })
    };
    made::delete_checked(request, KIND, in_use, |kernel, state, made| {
        let id = made.id.to_string();
        made::unused(state, &id, IN_USE)?;
        match kernel.delete_address(&id) {
            Ok(_) => Ok(()),
            Err(Refusal::InUse { .. }) => Err(coded(
                400,
                IN_USE,
                format!("Public IP address {id} can not be deleted since it is still allocated."),
            )),
            Err(other) => Err(other),
        }
    })
}

fn show(kernel: &Kernel, state: &State, made: &Made) -> Value {
    let mut shown = made::show(kernel, made);
    let id = made.id.to_string();
    let properties = &mut shown["properties"];
    properties["publicIPAddressVersion"] = "IPv4".into();
    if let Some(address) = kernel.address(&id) {
        properties["ipAddress"] = address.ip.to_string().into();
    }
    if let Some(used) = interfaces::part_with(state, &made.id) {
        properties["ipConfiguration"] = json!({ "id": used });
    }
    shown
}
