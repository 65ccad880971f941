//! What the metadata server of an instance knows, at one moment of the world.

use serde_json::json;
use skyfleet_core::{InstanceState, Market};

use crate::gcp::blueprint::shape::{cpu_platform, machine_type};
use crate::gcp::launched::{Details, machine_id, machine_number, name_of};
use crate::gcp::projects::NUMBER;
use crate::gcp::state::State;
use crate::gcp::url;
use crate::kernel::Kernel;
use crate::rules::mix;
use crate::server::imds::gcp::tree::Node;
use crate::view::MachineView;

/// How long a token holds, in seconds. Compute Engine documentation, "Authenticate workloads": an
/// hour at most.
const TOKEN_S: u32 = 3_599;

/// The tree of an instance whose system is up, by its path or its numeric id; `None` for one that is
/// not, or not any more.
pub(crate) fn of(kernel: &Kernel, state: &State, instance: &str, token: Option<&str>) -> Option<Node> {
    let numbered =
        || machine_number(instance.parse().ok()?).filter(|m| (*m as usize) < kernel.machines.len());
    let m = kernel.by_id.get(instance).copied().or_else(numbered)?;
    let view = kernel.view(m, kernel.now());
    if !matches!(view.state, InstanceState::Running | InstanceState::Stopping) {
        return None;
    }
    let details = state.launched.of(view.launch)?;
    let pairs = |items: &[(String, String)]| {
        Node::Named(items.iter().map(|(key, value)| (key.clone(), Node::Text(value.clone()))).collect())
    };
    let project = Node::Folder(vec![
        ("attributes", pairs(&state.project_metadata)),
        ("numeric-project-id", Node::Number(NUMBER)),
        ("project-id", text(&details.project)),
    ]);
    let attributes = pairs(&state.launched.metadata(&view).items);
    let instance = instance_of(kernel, state, &view, details, attributes, token);
    Some(Node::Folder(vec![("instance", instance), ("project", project)]))
}

fn instance_of(
    kernel: &Kernel,
    state: &State,
    view: &MachineView,
    details: &Details,
    attributes: Node,
    token: Option<&str>,
) -> Node {
    let own = state.launched.own(view.number);
    let name = name_of(&view.id);
    let hostname = own
        .and_then(|own| own.hostname.clone())
        .unwrap_or_else(|| format!("{name}.{}.c.{}.internal", view.offer.zone, details.project));
    let machine = machine_type(view.offer.instance_type.as_str());
    let maintained = own.and_then(|own| own.maintained).is_some_and(|until| until > kernel.now());
    let event = match (maintained, details.scheduling.on_maintenance) {
        (false, _) => "NONE",
        (true, "MIGRATE") => "MIGRATE_ON_HOST_MAINTENANCE",
        (true, _) => "TERMINATE_ON_HOST_MAINTENANCE",
    };
    let image = details.boot.image.clone().unwrap_or_default();
    Node::Folder(vec![
        ("attributes", attributes),
        ("cpu-platform", text(cpu_platform(machine))),
        (
            "description",
            text(details.told.get("description").and_then(|told| told.as_str()).unwrap_or_default()),
        ),
        ("disks", disks(details)),
        ("hostname", Node::Text(hostname)),
        ("id", Node::Number(machine_id(view.number))),
        ("image", Node::Text(image)),
        ("machine-type", Node::Text(format!("projects/{NUMBER}/machineTypes/{machine}"))),
        ("maintenance-event", text(event)),
        ("name", text(name)),
        ("network-interfaces", interfaces(view, details)),
        ("preempted", flag(view.noticed.is_some())),
        ("region", Node::Text(format!("projects/{NUMBER}/regions/{}", view.region))),
        ("scheduling", scheduling(view, details)),
        ("service-accounts", accounts(kernel, view, details, token)),
        ("tags", Node::Written(state.launched.network_tags(view).to_vec())),
        ("virtual-clock", Node::Folder(vec![("drift-token", text("0"))])),
        ("zone", Node::Text(format!("projects/{NUMBER}/zones/{}", view.offer.zone))),
    ])
}

fn disks(details: &Details) -> Node {
    let disk = |device: &str, index: usize, interface: &str, kind: &str| {
        Node::Folder(vec![
            ("device-name", text(device)),
            ("index", Node::Number(index as u64)),
            ("interface", text(interface)),
            ("mode", text("READ_WRITE")),
            ("type", text(kind)),
        ])
    };
    let boot = &details.boot;
    let kind = match boot.kind.as_str() {
        "pd-standard" => "PERSISTENT",
        "pd-balanced" => "PERSISTENT-BALANCED",
        "pd-ssd" => "PERSISTENT-SSD",
        _ => "HYPERDISK-BALANCED",
    };
    let first = disk(&boot.device, 0, &boot.interface, kind);
    let scratch = (1..).zip(&details.scratch);
    let scratch = scratch.map(|(index, (interface, device))| disk(device, index, interface, "LOCAL-SSD"));
    Node::List(std::iter::once(first).chain(scratch).collect())
}

fn interfaces(view: &MachineView, details: &Details) -> Node {
    let interfaces = details.interfaces.iter().enumerate().map(|(place, nic)| {
        let inside = view.private_ip.filter(|_| place == 0).map(|ip| ip.to_string()).unwrap_or_default();
        let octets = inside.split('.').filter_map(|part| part.parse::<u8>().ok());
        let mac = octets.fold("42:01".to_owned(), |mac, octet| format!("{mac}:{octet:02x}"));
        let gateway = inside.rsplit_once('.').map(|(net, _)| format!("{net}.1")).unwrap_or_default();
        let access = nic.access.iter().map(|_| {
            let outside = view.public_ip.map(|ip| ip.to_string()).unwrap_or_default();
            Node::Folder(vec![("external-ip", Node::Text(outside)), ("type", text("ONE_TO_ONE_NAT"))])
        });
        Node::Folder(vec![
            ("access-configs", Node::List(access.collect())),
            ("dns-servers", Node::Lines(vec!["169.254.169.254".to_owned()])),
            ("gateway", Node::Text(gateway)),
            ("ip", Node::Text(inside)),
            ("mac", Node::Text(mac)),
            ("mtu", Node::Number(1_460)),
            ("network", Node::Text(format!("projects/{NUMBER}/networks/{}", url::last(&nic.network)))),
            ("subnetmask", text("255.255.240.0")),
        ])
    });
    Node::List(interfaces.collect())
}

fn scheduling(view: &MachineView, details: &Details) -> Node {
    let scheduling = &details.scheduling;
    let mut told = vec![
        ("automatic-restart", flag(scheduling.automatic_restart)),
        ("on-host-maintenance", text(scheduling.on_maintenance)),
        ("preemptible", flag(view.offer.market == Market::Spot)),
    ];
    let end = view.running_at.and_then(|up| Some(up + scheduling.max_run?)).or(scheduling.termination);
    if let Some(end) = end {
        told.push(("termination-time", Node::Text(end.to_string())));
    }
    Node::Folder(told)
}

fn accounts(kernel: &Kernel, view: &MachineView, details: &Details, token: Option<&str>) -> Node {
    let accounts = details.accounts.iter().flat_map(|(email, scopes)| {
        let number = mix(u64::from(view.number) ^ kernel.seed);
        let token = token.map_or_else(|| format!("ya29.simulated.{number:016x}"), str::to_owned);
        let account = Node::Folder(vec![
            ("aliases", Node::Lines(vec!["default".to_owned()])),
            ("email", text(email)),
            ("scopes", Node::Lines(scopes.clone())),
            (
                "token",
                Node::Json(json!({ "access_token": token, "expires_in": TOKEN_S, "token_type": "Bearer" })),
            ),
        ]);
        [(email.clone(), account.clone()), ("default".to_owned(), account)]
    });
    Node::Named(accounts.collect())
}

fn text(text: &str) -> Node {
    Node::Text(text.to_owned())
}

fn flag(flag: bool) -> Node {
    text(if flag { "TRUE" } else { "FALSE" })
}
