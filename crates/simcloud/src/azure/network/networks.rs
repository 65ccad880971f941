//! Virtual networks and their subnets.

use serde_json::{Map, Value, json};

use super::security_groups;
use crate::azure::error::{coded, invalid, not_found};
use crate::azure::id::Id;
use crate::azure::made::{self, Made};
use crate::azure::method::Method;
use crate::azure::state::State;
use crate::azure::{Answer, Request, groups, machines};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::range::Range;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "virtualNetworks.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "virtualNetworks.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "virtualNetworks.PATCH", verb: "PATCH", path: ONE, answer: patch },
    Method { id: "virtualNetworks.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method {
        id: "virtualNetworks.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks",
        answer: list,
    },
    Method {
        id: "virtualNetworks.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Network/virtualNetworks",
        answer: list,
    },
    Method { id: "virtualNetworks.PUT", verb: "PUT", path: SUBNET, answer: put_subnet },
    Method { id: "virtualNetworks.GET", verb: "GET", path: SUBNET, answer: get_subnet },
    Method { id: "virtualNetworks.DELETE", verb: "DELETE", path: SUBNET, answer: delete_subnet },
    Method {
        id: "virtualNetworks.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{name}/subnets",
        answer: list_subnets,
    },
];

const ONE: &str =
    "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{name}";
const SUBNET: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{name}/subnets/{subnet}";

pub(crate) const KIND: &str = "Microsoft.Network/virtualNetworks";

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(&made::called(request), 0, |kernel, state| {
        let wanted = made::wanted(kernel, state, request, KIND)?;
        let properties = made::properties(request.body)?;
        check(state, &properties)?;
        // A subnet that something is in cannot be left out.
        if let Some(old) = state.made.get(&wanted.id.key()) {
            let kept = subnets(&properties);
            for name in names(old).into_iter().filter(|name| !kept.iter().any(|subnet| is(subnet, name))) {
                unused(kernel, state, &old.id, &name)?;
            }
        }
        let mut body = Map::new();
        body.insert("properties".to_owned(), properties.into());
        made::keep(kernel, state, &wanted, FixtureKind::Network, body);
        let shown = show(kernel, &state.made[&wanted.id.key()]);
        made::begun(kernel, state, request, &wanted, &shown)
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::get(request, KIND, |kernel, _, made| show(kernel, made))
}

fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::patch(request, KIND, |kernel, _, made| show(kernel, made))
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::list(request, KIND, |kernel, _, made| show(kernel, made))
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    made::delete(request, KIND, |kernel, state, made| {
        let id = made.id.to_string();
        made::unused(state, &id, "InUseSubnetCannotBeDeleted")?;
        made::release(kernel, &id, "InUseSubnetCannotBeDeleted")
    })
}

fn put_subnet(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        groups::stays(state, &made.id)?;
        let name = request.part("subnet");
        let mut all = subnets(&own(&made)).to_vec();
        let new = json!({ "name": name, "properties": made::properties(request.body)? });
        let old = all.iter().position(|subnet| is(subnet, name));
        match old {
            Some(at) => all[at] = new,
            None => all.push(new),
        }
        let mut properties = own(&made);
        properties.insert("subnets".to_owned(), all.into());
        check(state, &properties)?;
        let key = made.id.key();
        if let Some(kept) = state.made.get_mut(&key) {
            kept.body.insert("properties".to_owned(), properties.into());
        }
        let shown = subnet(kernel, &state.made[&key], name);
        Answer::new(if old.is_some() { 200 } else { 201 }, &shown)
    })
}

fn get_subnet(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        let made = made::found(state, request, KIND)?;
        match subnet(kernel, made, request.part("subnet")) {
            Some(shown) => Answer::ok(&shown),
            None => Err(not_found(
                KIND,
                &format!("{}/subnets/{}", made.id.name(), request.part("subnet")),
                &made.id.group,
            )),
        }
    })
}

fn list_subnets(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown =
        request.look("global", |kernel, state| Ok(show(kernel, made::found(state, request, KIND)?)))?;
    Answer::ok(&json!({ "value": shown["properties"]["subnets"] }))
}

fn delete_subnet(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        let name = request.part("subnet");
        unused(kernel, state, &made.id, name)?;
        let mut properties = own(&made);
        let mut all = subnets(&properties).to_vec();
        let before = all.len();
        all.retain(|subnet| !is(subnet, name));
        let status = if all.len() == before { 204 } else { 200 };
        properties.insert("subnets".to_owned(), all.into());
        if let Some(kept) = state.made.get_mut(&made.id.key()) {
            kept.body.insert("properties".to_owned(), properties.into());
        }
        Ok(Answer::empty(status))
    })
}

/// Refuses to go on while something lies in a subnet.
fn unused(kernel: &Kernel, state: &State, network: &Id, name: &str) -> Result<(), Refusal> {
    let code = "InUseSubnetCannotBeDeleted";
    let subnet =
        Id::new(&network.subscription, &network.group, &format!("{KIND}/subnets"), &[network.name(), name]);
    if machines::interfaces::uses_subnet(kernel, &state.launched, &subnet) {
        return Err(coded(
            400,
            code,
            format!("Subnet {subnet} is in use by machines and cannot be deleted."),
        ));
    }
    made::unused(state, &subnet.to_string(), code)
}

/// Whether a network has a subnet of this name.
pub(crate) fn has_subnet(made: &Made, name: &str) -> bool {
    range_of(made, name).is_some()
}

/// The range of a subnet; `None` when the network has none of this name.
pub(super) fn range_of(made: &Made, name: &str) -> Option<Range> {
    let properties = own(made);
    let subnet = subnets(&properties).iter().find(|subnet| is(subnet, name))?;
    Range::parse(prefix(subnet)?)
}

/// The addresses of a subnet, as they are written: `10.0.0.0/24`.
pub(crate) fn prefix_of(made: &Made, name: &str) -> Option<String> {
    let properties = own(made);
    let subnet = subnets(&properties).iter().find(|subnet| is(subnet, name))?;
    prefix(subnet).map(str::to_owned)
}

fn own(made: &Made) -> Map<String, Value> {
    made.body.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn subnets(properties: &Map<String, Value>) -> &[Value] {
    properties.get("subnets").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn names(made: &Made) -> Vec<String> {
    let properties = own(made);
    subnets(&properties).iter().filter_map(|subnet| subnet["name"].as_str()).map(str::to_owned).collect()
}

fn is(subnet: &Value, name: &str) -> bool {
    subnet["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn prefix(subnet: &Value) -> Option<&str> {
    let properties = &subnet["properties"];
    properties["addressPrefix"].as_str().or_else(|| properties["addressPrefixes"][0].as_str())
}

/// Whether the subnets lie in the network, apart from each other, and name what there is.
fn check(state: &State, properties: &Map<String, Value>) -> Result<(), Refusal> {
    let field = "addressSpace.addressPrefixes";
    let prefixes = properties.get("addressSpace").and_then(|space| space["addressPrefixes"].as_array());
    let read = |text: &Value| text.as_str().and_then(Range::parse);
    let space: Option<Vec<Range>> = prefixes.and_then(|all| all.iter().map(read).collect());
    let Some(space) = space.filter(|space| !space.is_empty()) else {
        return Err(invalid(field, "It must be a list of ranges such as 10.0.0.0/16."));
    };
    let mut seen: Vec<Range> = Vec::new();
    for subnet in subnets(properties) {
        let name = subnet["name"].as_str().unwrap_or_default();
        let range = prefix(subnet).and_then(Range::parse);
        let Some(range) =
            range.filter(|range| !name.is_empty() && space.iter().any(|space| space.holds(*range)))
        else {
            let message = format!(
                "Subnet '{name}' is not valid because its IP address range is outside the IP address range of the virtual network."
            );
            return Err(coded(400, "NetcfgInvalidSubnet", message));
        };
        if seen.iter().any(|other| other.overlaps(range)) {
            let message = format!(
                "Subnet '{name}' is not valid because its IP address range overlaps with that of an existing subnet."
            );
            return Err(coded(400, "NetcfgSubnetRangesOverlap", message));
        }
        seen.push(range);
        let group = &subnet["properties"]["networkSecurityGroup"];
        made::reference(state, group, security_groups::KIND, "networkSecurityGroup")?;
    }
    Ok(())
}

fn show(kernel: &Kernel, made: &Made) -> Value {
    let mut shown = made::show(kernel, made);
    let parts = made::parts(&shown, "subnets", &format!("{KIND}/subnets"));
    shown["properties"]["subnets"] = parts;
    shown
}

fn subnet(kernel: &Kernel, made: &Made, name: &str) -> Option<Value> {
    let shown = show(kernel, made);
    shown["properties"]["subnets"].as_array()?.iter().find(|subnet| is(subnet, name)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    const NET: &str = "/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net";

    fn body(subnets: &[(&str, &str)]) -> Value {
        let subnets = subnets
            .iter()
            .map(|(name, range)| json!({ "name": name, "properties": { "addressPrefix": range } }));
        json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": subnets.collect::<Vec<_>>() } })
    }

    #[test]
    fn a_network_has_subnets_with_ids() {
        let trial = Trial::with_group();
        let made = trial.done("PUT", NET, body(&[("default", "10.0.0.0/24")]));
        assert_eq!(made["properties"]["provisioningState"], "Updating");
        let shown = trial.get(NET);
        assert_eq!(shown["properties"]["provisioningState"], "Succeeded");
        let id = shown["properties"]["subnets"][0]["id"].as_str().unwrap();
        assert!(id.ends_with("/virtualNetworks/net/subnets/default"), "{id}");
        trial.done(
            "PUT",
            &format!("{NET}/subnets/more"),
            json!({ "properties": { "addressPrefix": "10.0.1.0/24" } }),
        );
        assert_eq!(trial.names(&format!("{NET}/subnets")), ["default", "more"]);
        trial.done("DELETE", &format!("{NET}/subnets/default"), Value::Null);
        assert_eq!(trial.refusal("GET", &format!("{NET}/subnets/default"), Value::Null).0, 404);
        trial.done("DELETE", NET, Value::Null);
        assert_eq!(trial.refusal("GET", NET, Value::Null), (404, "ResourceNotFound".to_owned()));
    }

    #[test]
    fn subnets_lie_in_the_network_and_apart() {
        let trial = Trial::with_group();
        let refused = |subnets: &[(&str, &str)]| trial.refusal("PUT", NET, body(subnets)).1;
        assert_eq!(refused(&[("a", "10.1.0.0/24")]), "NetcfgInvalidSubnet");
        assert_eq!(refused(&[("a", "10.0.0.0/24"), ("b", "10.0.0.0/25")]), "NetcfgSubnetRangesOverlap");
        let nowhere = json!({ "location": "nowhere" });
        assert_eq!(trial.refusal("PUT", NET, nowhere).1, "LocationNotAvailableForResourceType");
        assert_eq!(trial.refusal("PUT", NET, json!({ "location": "eastus" })).1, "InvalidParameter");
        let elsewhere = NET.replace("/g/", "/h/");
        assert_eq!(trial.refusal("PUT", &elsewhere, body(&[])).1, "ResourceGroupNotFound");
    }
}
