//! The rules of network security groups, one by one. They are kept in their group.

use serde_json::{Value, json};

use super::security_groups::{self, KIND};
use crate::azure::error::not_found;
use crate::azure::made::{self, Made};
use crate::azure::method::Method;
use crate::azure::{Answer, Request, groups};
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "networkSecurityGroups.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "networkSecurityGroups.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "networkSecurityGroups.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method { id: "networkSecurityGroups.LIST", verb: "GET", path: ALL, answer: list },
    Method { id: "networkSecurityGroups.GET", verb: "GET", path: DEFAULT, answer: get_default },
    Method { id: "networkSecurityGroups.LIST", verb: "GET", path: DEFAULTS, answer: list_defaults },
];

const ONE: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/{name}/securityRules/{rule}";
const ALL: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/{name}/securityRules";
const DEFAULT: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/{name}/defaultSecurityRules/{rule}";
const DEFAULTS: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/{name}/defaultSecurityRules";

/// The rules that each group begins with. Azure documentation, "Network security groups", "Default
/// security rules": name, priority, direction, access, from, to.
const FIRST: [(&str, u32, &str, &str, &str, &str); 6] = [
    ("AllowVnetInBound", 65_000, "Inbound", "Allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", 65_001, "Inbound", "Allow", "AzureLoadBalancer", "*"),
    ("DenyAllInBound", 65_500, "Inbound", "Deny", "*", "*"),
    ("AllowVnetOutBound", 65_000, "Outbound", "Allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowInternetOutBound", 65_001, "Outbound", "Allow", "*", "Internet"),
    ("DenyAllOutBound", 65_500, "Outbound", "Deny", "*", "*"),
];

/// The default rules of a group, as its properties have them.
pub(super) fn defaults() -> Value {
    let rules = FIRST.iter().map(|(name, priority, direction, access, from, to)| {
        json!({ "name": name, "properties": {
            "priority": priority, "direction": direction, "access": access, "protocol": "*",
            "sourcePortRange": "*", "destinationPortRange": "*",
            "sourceAddressPrefix": from, "destinationAddressPrefix": to,
        } })
    });
    rules.collect()
}

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        groups::stays(state, &made.id)?;
        let name = request.part("rule");
        let mut properties = security_groups::own(&made);
        let mut all = properties.get("securityRules").and_then(Value::as_array).cloned().unwrap_or_default();
        let new = json!({ "name": name, "properties": made::properties(request.body)? });
        let old = all.iter().position(|rule| is(rule, name));
        match old {
            Some(at) => all[at] = new,
            None => all.push(new),
        }
        properties.insert("securityRules".to_owned(), all.into());
        security_groups::check(&properties)?;
        let key = made.id.key();
        if let Some(kept) = state.made.get_mut(&key) {
            kept.body.insert("properties".to_owned(), properties.into());
        }
        let shown = rule(kernel, &state.made[&key], "securityRules", name);
        let headers = made::begin(kernel, state, request, &made.id, &made.location);
        Ok(Answer::new(if old.is_some() { 200 } else { 201 }, &shown)?.with(headers))
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    told(request, "securityRules")
}

fn get_default(request: &Request<'_>) -> Result<Answer, Refusal> {
    told(request, "defaultSecurityRules")
}

fn told(request: &Request<'_>, member: &str) -> Result<Answer, Refusal> {
    request.look("global", |kernel, state| {
        let made = made::found(state, request, KIND)?;
        let name = request.part("rule");
        match rule(kernel, made, member, name) {
            Some(shown) => Answer::ok(&shown),
            None => Err(not_found(KIND, &format!("{}/{member}/{name}", made.id.name()), &made.id.group)),
        }
    })
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    listed(request, "securityRules")
}

fn list_defaults(request: &Request<'_>) -> Result<Answer, Refusal> {
    listed(request, "defaultSecurityRules")
}

fn listed(request: &Request<'_>, member: &str) -> Result<Answer, Refusal> {
    let shown = request.look("global", |kernel, state| {
        Ok(security_groups::show(kernel, made::found(state, request, KIND)?))
    })?;
    Answer::ok(&json!({ "value": shown["properties"][member] }))
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change("global", 0, |kernel, state| {
        let made = made::found(state, request, KIND)?.clone();
        let name = request.part("rule");
        let mut properties = security_groups::own(&made);
        let mut all = properties.get("securityRules").and_then(Value::as_array).cloned().unwrap_or_default();
        let before = all.len();
        all.retain(|rule| !is(rule, name));
        if all.len() == before {
            return Ok(Answer::empty(204));
        }
        properties.insert("securityRules".to_owned(), all.into());
        if let Some(kept) = state.made.get_mut(&made.id.key()) {
            kept.body.insert("properties".to_owned(), properties.into());
        }
        Ok(Answer::empty(202).with(made::begin(kernel, state, request, &made.id, &made.location)))
    })
}

fn is(rule: &Value, name: &str) -> bool {
    rule["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn rule(kernel: &Kernel, made: &Made, member: &str, name: &str) -> Option<Value> {
    let shown = security_groups::show(kernel, made);
    shown["properties"][member].as_array()?.iter().find(|rule| is(rule, name)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    const GROUP: &str = "/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/n";

    #[test]
    fn a_rule_is_made_changed_and_deleted_by_itself() {
        let trial = Trial::with_group();
        trial.done("PUT", GROUP, json!({ "location": "eastus" }));
        let path = |name: &str| format!("{GROUP}/securityRules/{name}");
        let body = |priority: u32| {
            json!({ "properties": { "priority": priority, "direction": "Inbound", "access": "Allow",
                "protocol": "Tcp", "destinationPortRange": "22" } })
        };
        trial.done("PUT", &path("ssh"), body(100));
        assert_eq!(trial.refusal("PUT", &path("web"), body(100)).1, "SecurityRuleConflict");
        trial.done("PUT", &path("SSH"), body(120));
        assert_eq!(trial.names(&format!("{GROUP}/securityRules")), ["SSH"]);
        let shown = trial.get(&path("ssh"));
        assert_eq!(shown["properties"]["priority"], 120);
        assert!(shown["id"].as_str().unwrap().ends_with("/n/securityRules/SSH"), "{shown}");
        trial.done("DELETE", &path("ssh"), Value::Null);
        assert_eq!(trial.refusal("GET", &path("ssh"), Value::Null), (404, "ResourceNotFound".to_owned()));
        assert_eq!(trial.names(&format!("{GROUP}/defaultSecurityRules")).len(), 6);
        assert_eq!(
            trial.get(&format!("{GROUP}/defaultSecurityRules/DenyAllInBound"))["properties"]["access"],
            "Deny"
        );
    }
}
