//! Network security groups and their rules.

use serde_json::{Map, Value};

use super::security_rules;
use crate::azure::error::{coded, invalid};
use crate::azure::made::{self, Made};
use crate::azure::method::Method;
use crate::azure::{Answer, Request};
use crate::fixture::FixtureKind;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method { id: "networkSecurityGroups.PUT", verb: "PUT", path: ONE, answer: put },
    Method { id: "networkSecurityGroups.GET", verb: "GET", path: ONE, answer: get },
    Method { id: "networkSecurityGroups.PATCH", verb: "PATCH", path: ONE, answer: patch },
    Method { id: "networkSecurityGroups.DELETE", verb: "DELETE", path: ONE, answer: delete },
    Method {
        id: "networkSecurityGroups.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups",
        answer: list,
    },
    Method {
        id: "networkSecurityGroups.LIST",
        verb: "GET",
        path: "subscriptions/{subscription}/providers/Microsoft.Network/networkSecurityGroups",
        answer: list,
    },
];

const ONE: &str = "subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/{name}";

pub(crate) const KIND: &str = "Microsoft.Network/networkSecurityGroups";

fn put(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(&made::called(request), 0, |kernel, state| {
        let wanted = made::wanted(kernel, state, request, KIND)?;
        let properties = made::properties(request.body)?;
        check(&properties)?;
        let mut body = Map::new();
        body.insert("properties".to_owned(), properties.into());
        made::keep(kernel, state, &wanted, FixtureKind::Firewall, body);
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
    const IN_USE: &str = "InUseNetworkSecurityGroupCannotBeDeleted";
    made::delete(request, KIND, |kernel, state, made| {
        let id = made.id.to_string();
        made::unused(state, &id, IN_USE)?;
        made::release(kernel, &id, IN_USE)
    })
}

/// What a rule must say. Azure documentation, "Network security groups": priorities from 100 to
/// 4096, each once in a direction.
pub(super) fn check(properties: &Map<String, Value>) -> Result<(), Refusal> {
    let rules = match properties.get("securityRules") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(rules)) => rules,
        Some(_) => return Err(invalid("securityRules", "It must be a list.")),
    };
    let mut seen = Vec::new();
    for rule in rules {
        let (name, said) = (rule["name"].as_str().unwrap_or_default(), &rule["properties"]);
        if name.is_empty() {
            return Err(invalid("securityRules.name", "A rule must have a name."));
        }
        let one_of = |member: &str, known: &[&str]| {
            let value = said[member].as_str().unwrap_or_default();
            let fits = known.iter().any(|known| known.eq_ignore_ascii_case(value));
            let message = format!("Security rule {name} must have one of {}.", known.join(", "));
            fits.then_some(value.to_lowercase()).ok_or_else(|| invalid(member, &message))
        };
        let direction = one_of("direction", &["Inbound", "Outbound"])?;
        one_of("access", &["Allow", "Deny"])?;
        one_of("protocol", &["Tcp", "Udp", "Icmp", "Esp", "Ah", "*"])?;
        let priority = said["priority"].as_u64().unwrap_or_default();
        if !(100..=4_096).contains(&priority) {
            let message = format!(
                "Security rule {name} has invalid priority. Value provided: {priority}. Allowed range 100-4096."
            );
            return Err(coded(400, "SecurityRuleInvalidPriority", message));
        }
        if seen.contains(&(direction.clone(), priority)) {
            let message = format!(
                "Security rule {name} conflicts with another rule: the same priority {priority} and direction."
            );
            return Err(coded(400, "SecurityRuleConflict", message));
        }
        seen.push((direction, priority));
    }
    Ok(())
}

/// What its caller wrote of it.
pub(super) fn own(made: &Made) -> Map<String, Value> {
    made.body.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

pub(super) fn show(kernel: &Kernel, made: &Made) -> Value {
    let mut shown = made::show(kernel, made);
    let parts = made::parts(&shown, "securityRules", &format!("{KIND}/securityRules"));
    shown["properties"]["securityRules"] = parts;
    shown["properties"]["defaultSecurityRules"] = security_rules::defaults();
    let parts = made::parts(&shown, "defaultSecurityRules", &format!("{KIND}/defaultSecurityRules"));
    shown["properties"]["defaultSecurityRules"] = parts;
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::trial::Trial;

    const ONE: &str = "/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/n";

    fn body(rules: &[(&str, u32)]) -> Value {
        let rules = rules.iter().map(|(name, priority)| {
            json!({ "name": name, "properties": { "priority": priority,
            "direction": "Inbound", "access": "Allow", "protocol": "Tcp" } })
        });
        json!({ "location": "eastus", "properties": { "securityRules": rules.collect::<Vec<_>>() } })
    }

    #[test]
    fn rules_have_priorities_of_their_own() {
        let trial = Trial::with_group();
        assert_eq!(trial.refusal("PUT", ONE, body(&[("a", 50)])).1, "SecurityRuleInvalidPriority");
        assert_eq!(trial.refusal("PUT", ONE, body(&[("a", 100), ("b", 100)])).1, "SecurityRuleConflict");
        trial.done("PUT", ONE, body(&[("a", 100), ("b", 110)]));
        let shown = trial.get(ONE);
        assert!(
            shown["properties"]["securityRules"][1]["id"].as_str().unwrap().ends_with("/n/securityRules/b")
        );
    }

    #[test]
    fn a_group_stays_while_a_subnet_names_it() {
        let trial = Trial::with_group();
        let id = trial.done("PUT", ONE, body(&[]))["id"].clone();
        let net = "/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net";
        let subnet = json!({ "name": "s", "properties": { "addressPrefix": "10.0.0.0/24",
            "networkSecurityGroup": { "id": id } } });
        trial.done(
            "PUT",
            net,
            json!({ "location": "eastus", "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] }, "subnets": [subnet] } }),
        );
        let refused = trial.refusal("DELETE", ONE, Value::Null);
        assert_eq!(refused, (400, "InUseNetworkSecurityGroupCannotBeDeleted".to_owned()));
        trial.done("DELETE", net, Value::Null);
        trial.done("DELETE", ONE, Value::Null);
        assert_eq!(trial.names("/providers/Microsoft.Network/networkSecurityGroups").len(), 0);
    }
}
