//! Firewall rules: those that the default network has from the start, and those of the caller's own.
//! They have no labels: whose they are stands in their description, as words `key=value`.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::fixture::FixtureKind;
use crate::gcp::error::{invalid, required};
use crate::gcp::list::Wanted;
use crate::gcp::made::{self, Made};
use crate::gcp::method::Method;
use crate::gcp::operation::New;
use crate::gcp::request::{Answer, Request};
use crate::gcp::url::Scope;
use crate::gcp::{networks, resource, url};
use crate::refusal::Refusal;

pub(crate) const METHODS: &[Method] = &[
    Method {
        id: "firewalls.get",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/firewalls/{firewall}",
        answer: get,
    },
    Method {
        id: "firewalls.list",
        verb: "GET",
        path: "compute/v1/projects/{project}/global/firewalls",
        answer: list,
    },
    Method {
        id: "firewalls.insert",
        verb: "POST",
        path: "compute/v1/projects/{project}/global/firewalls",
        answer: insert,
    },
    Method {
        id: "firewalls.patch",
        verb: "PATCH",
        path: "compute/v1/projects/{project}/global/firewalls/{firewall}",
        answer: |request| change(request, "patch"),
    },
    Method {
        id: "firewalls.update",
        verb: "PUT",
        path: "compute/v1/projects/{project}/global/firewalls/{firewall}",
        answer: |request| change(request, "update"),
    },
    Method {
        id: "firewalls.delete",
        verb: "DELETE",
        path: "compute/v1/projects/{project}/global/firewalls/{firewall}",
        answer: delete,
    },
];

/// The members of a rule that a caller writes.
const MEMBERS: [&str; 12] = [
    "allowed",
    "denied",
    "description",
    "destinationRanges",
    "direction",
    "disabled",
    "logConfig",
    "network",
    "priority",
    "sourceRanges",
    "sourceTags",
    "targetTags",
];

/// The rules of the default network. VPC documentation, "Pre-populated rules in the default network".
pub(crate) fn from_the_start() -> impl Iterator<Item = (String, Map<String, Value>)> {
    let rules = [
        (
            "internal",
            "Allow internal traffic on the default network",
            "10.128.0.0/9",
            json!([
                { "IPProtocol": "tcp", "ports": ["0-65535"] },
                { "IPProtocol": "udp", "ports": ["0-65535"] },
                { "IPProtocol": "icmp" },
            ]),
        ),
        ("ssh", "Allow SSH from anywhere", "0.0.0.0/0", json!([{ "IPProtocol": "tcp", "ports": ["22"] }])),
        ("rdp", "Allow RDP from anywhere", "0.0.0.0/0", json!([{ "IPProtocol": "tcp", "ports": ["3389"] }])),
        ("icmp", "Allow ICMP from anywhere", "0.0.0.0/0", json!([{ "IPProtocol": "icmp" }])),
    ];
    rules.into_iter().map(|(name, description, range, allowed)| {
        let mut body = Map::new();
        body.insert("description".to_owned(), description.into());
        body.insert("network".to_owned(), networks::DEFAULT.into());
        body.insert("priority".to_owned(), 65_534.into());
        body.insert("sourceRanges".to_owned(), json!([range]));
        body.insert("allowed".to_owned(), allowed);
        body.insert("direction".to_owned(), "INGRESS".into());
        (format!("global/firewalls/default-allow-{name}"), body)
    })
}

fn get(request: &Request<'_>) -> Result<Answer, Refusal> {
    let shown = request.look(|kernel, state| {
        let path = format!("global/firewalls/{}", request.part("firewall"));
        let (path, made) = made::found(made::all(kernel, state), request.project(), &path)?;
        Ok(show(request.project(), path, made))
    })?;
    request.answer(&shown)
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let wanted = Wanted::read(request)?;
    let page = request.look(|kernel, state| {
        let all = made::of(made::all(kernel, state), "global/firewalls");
        let shown = all.map(|(path, made)| show(request.project(), path, made));
        Ok(wanted.page(shown, "compute#firewallList", "global/firewalls", request))
    })?;
    request.answer(&page)
}

fn insert(request: &Request<'_>) -> Result<Answer, Refusal> {
    let mut body = written(request.body)?;
    request.change(0, |kernel, state| {
        let store = made::all(kernel, state);
        let path = made::new_path(request, store, "global/firewalls")?;
        let network = body.get("network").and_then(Value::as_str).unwrap_or(networks::DEFAULT);
        let network = networks::named(store, network, "resource.network")?;
        body.insert("network".to_owned(), network.into());
        check(&body)?;
        let tags = made::tags_in(body.get("description").and_then(Value::as_str).unwrap_or_default());
        made::keep(kernel, state, (FixtureKind::Firewall, &path, "global"), body, tags);
        let id = resource::id(&path, Some(kernel.now()));
        Ok(New::good("insert", Scope::Global, path, id))
    })
}

/// A patch changes the members that it has; an update changes all but the network.
fn change(request: &Request<'_>, kind: &'static str) -> Result<Answer, Refusal> {
    let wanted = written(request.body)?;
    request.change(0, |kernel, state| {
        let store = made::all(kernel, state);
        let path = format!("global/firewalls/{}", request.part("firewall"));
        let (path, made) = made::found(store, request.project(), &path)?;
        let (path, created, network) = (path.to_owned(), made.created, made.text("network").to_owned());
        let mut body = if kind == "patch" { made.body.clone() } else { Map::new() };
        body.extend(wanted);
        if let Some(other) = body.get("network").and_then(Value::as_str)
            && url::last(other) != url::last(&network)
        {
            return Err(invalid("resource.network", other, "The network of a firewall cannot be changed."));
        }
        body.insert("network".to_owned(), network.into());
        check(&body)?;
        let tags = made::tags_in(body.get("description").and_then(Value::as_str).unwrap_or_default());
        store.insert(path.clone(), Made { created, body });
        kernel.retag(&path, |old| *old = tags);
        let id = resource::id(&path, created);
        Ok(New::good(kind, Scope::Global, path, id))
    })
}

fn delete(request: &Request<'_>) -> Result<Answer, Refusal> {
    request.change(0, |kernel, state| {
        let path = format!("global/firewalls/{}", request.part("firewall"));
        let id = made::delete(kernel, state, request.project(), &path)?;
        Ok(New::good("delete", Scope::Global, path, id))
    })
}

/// What a caller wrote of a rule.
fn written(body: &Value) -> Result<Map<String, Value>, Refusal> {
    made::text(body, "description")?;
    made::text(body, "network")?;
    let members = MEMBERS.iter().filter(|member| !body[**member].is_null());
    Ok(members.map(|member| ((*member).to_owned(), body[*member].clone())).collect())
}

/// Whether a rule is one, and what it has when nothing was said.
fn check(body: &Map<String, Value>) -> Result<(), Refusal> {
    let many = |member: &str| body.get(member).and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    match (many("allowed"), many("denied")) {
        (true, true) => {
            let why = "A firewall allows or denies, it cannot do both.";
            return Err(invalid("resource.denied", "", why));
        }
        (false, false) => return Err(required("resource.allowed")),
        _ => {}
    }
    for member in ["allowed", "denied"] {
        let rules = body.get(member).and_then(Value::as_array).into_iter().flatten();
        for (place, rule) in rules.enumerate() {
            check_rule(&format!("resource.{member}[{place}]"), rule)?;
        }
    }
    for member in ["sourceRanges", "destinationRanges"] {
        let ranges = body.get(member).and_then(Value::as_array).into_iter().flatten();
        for (place, range) in ranges.enumerate() {
            let text = range.as_str().unwrap_or_default();
            if !is_range(text) {
                let why = "Must be a valid IPV4 or IPV6 address range.";
                return Err(invalid(&format!("resource.{member}[{place}]"), text, why));
            }
        }
    }
    if let Some(priority) = body.get("priority")
        && priority.as_u64().is_none_or(|priority| priority > 65_535)
    {
        let why = "The priority must be between 0 and 65535.";
        return Err(invalid("resource.priority", &priority.to_string(), why));
    }
    match body.get("direction").and_then(Value::as_str).unwrap_or("INGRESS") {
        "INGRESS" if many("destinationRanges") && !many("sourceRanges") && !many("sourceTags") => {
            Err(invalid("resource.destinationRanges", "", "Rules for INGRESS need a source."))
        }
        "INGRESS" => Ok(()),
        "EGRESS" if many("sourceRanges") || many("sourceTags") => {
            Err(invalid("resource.sourceRanges", "", "Rules for EGRESS have no source."))
        }
        "EGRESS" => Ok(()),
        other => Err(invalid("resource.direction", other, "It must be INGRESS or EGRESS.")),
    }
}

fn check_rule(field: &str, rule: &Value) -> Result<(), Refusal> {
    let protocol = rule["IPProtocol"].as_str().filter(|text| !text.is_empty());
    let protocol = protocol.ok_or_else(|| required(&format!("{field}.IPProtocol")))?;
    let ports = rule["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !ports.is_empty() && !["tcp", "udp", "sctp", "6", "17", "132"].contains(&protocol) {
        let why = "Ports can only be specified for protocols that have them: tcp, udp, sctp.";
        return Err(invalid(&format!("{field}.IPProtocol"), protocol, why));
    }
    for port in ports {
        let text = port.as_str().unwrap_or_default();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let good =
            matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if first <= last);
        if !good {
            let why = "Ports must be numbers between 0 and 65535, or ranges of them.";
            return Err(invalid(&format!("{field}.ports"), &port.to_string(), why));
        }
    }
    Ok(())
}

/// An address, or a range of them in CIDR.
fn is_range(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

fn show(project: &str, path: &str, made: &Made) -> Value {
    let mut more = made.body.clone();
    more.insert("network".to_owned(), url::link(project, made.text("network")).into());
    for (member, usual) in [
        ("direction", json!("INGRESS")),
        ("disabled", json!(false)),
        ("logConfig", json!({ "enable": false })),
        ("priority", json!(1_000)),
    ] {
        more.entry(member).or_insert(usual);
    }
    let has_source = ["sourceRanges", "sourceTags"].iter().any(|member| more.contains_key(*member));
    match more["direction"] == "EGRESS" {
        true => {
            more.entry("destinationRanges").or_insert_with(|| json!(["0.0.0.0/0"]));
        }
        false if !has_source => {
            more.insert("sourceRanges".to_owned(), json!(["0.0.0.0/0"]));
        }
        false => {}
    }
    resource::show(project, "firewall", path, made.created, Value::Object(more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcp::trial::Trial;

    fn rule(name: &str) -> Value {
        json!({
            "name": name,
            "network": "global/networks/default",
            "description": "skyfleet-owner=ada skyfleet-fleet=run",
            "allowed": [{ "IPProtocol": "tcp", "ports": ["8080"] }],
            "sourceRanges": ["203.0.113.0/24"],
            "targetTags": ["run"],
        })
    }

    #[test]
    fn the_default_rules_are_nobodys() {
        let trial = Trial::new();
        assert_eq!(
            trial.names("global/firewalls"),
            ["default-allow-icmp", "default-allow-internal", "default-allow-rdp", "default-allow-ssh"]
        );
        trial.face.look(|kernel, _| assert!(kernel.ledger(None).proves_empty()));
    }

    #[test]
    fn a_rule_is_its_owners_by_its_description_until_it_is_deleted() {
        let trial = Trial::new();
        trial.change("POST", "global/firewalls", rule("mine"));
        let shown = trial.get("global/firewalls/mine");
        assert_eq!(
            shown["network"],
            "https://www.googleapis.com/compute/v1/projects/p/global/networks/default"
        );
        assert_eq!((&shown["direction"], &shown["priority"]), (&json!("INGRESS"), &json!(1_000)));
        let owners = || {
            trial.face.look(|kernel, _| {
                let left = kernel.ledger(None).blocking;
                left.iter().map(|fixture| fixture.owner().unwrap_or("nobody").to_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(owners(), ["ada"]);
        trial.change("PATCH", "global/firewalls/mine", json!({ "description": "skyfleet-owner=bob" }));
        assert_eq!(owners(), ["bob"]);
        assert_eq!(
            trial.get("global/firewalls/mine")["targetTags"],
            json!(["run"]),
            "a patch leaves the rest"
        );
        let numbered = format!("global/firewalls/{}", shown["id"].as_str().unwrap());
        trial.change("DELETE", &numbered, Value::Null);
        assert!(owners().is_empty());
        assert_eq!(trial.refusal("DELETE", "global/firewalls/mine", Value::Null).0, 404);
    }

    #[test]
    fn a_rule_that_is_none_is_refused() {
        let trial = Trial::new();
        for (member, value) in [
            ("allowed", json!([])),
            ("allowed", json!([{ "ports": ["1"] }])),
            ("allowed", json!([{ "IPProtocol": "icmp", "ports": ["1"] }])),
            ("allowed", json!([{ "IPProtocol": "tcp", "ports": ["9-1"] }])),
            ("denied", json!([{ "IPProtocol": "tcp" }])),
            ("priority", json!(70_000)),
            ("direction", json!("SIDEWAYS")),
            ("network", json!("global/networks/none")),
            ("description", json!(7)),
            ("name", json!("-")),
        ] {
            let mut body = rule("bad");
            body[member] = value.clone();
            assert_eq!(trial.refusal("POST", "global/firewalls", body).0, 400, "{member}: {value}");
        }
    }

    #[test]
    fn ranges_are_addresses_or_cidr() {
        for (text, good) in [
            ("192.0.2.0/24", true),
            ("192.0.2.7", true),
            ("0.0.0.0/0", true),
            ("2001:db8::/32", true),
            ("everywhere", false),
            ("192.0.2.0/33", false),
            ("192.0.2/24", false),
            ("192.0.2.0/", false),
        ] {
            assert_eq!(is_range(text), good, "{text}");
        }
    }
}
