//! What can be changed in a machine that is there: tags, and what goes with it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::create::shown;
use super::{found, item, item::Expand};
use crate::azure::blueprint::{self, unsimulated};
use crate::azure::error::{coded, invalid};
use crate::azure::id::Id;
use crate::azure::launched::Found;
use crate::azure::made;
use crate::azure::operation::{self, Poll};
use crate::azure::state::State;
use crate::azure::{Answer, Request, groups};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::tags::Tags;
use crate::view::MachineView;

/// How long a change of tags or options takes. Ours.
const TAKES: Duration = Duration::from_secs(2);

/// Members that stay as they are as long as there is the machine. Compute API reference, "Virtual
/// Machines - Create Or Update".
const FIXED: [&str; 11] = [
    "/zones/0",
    "/properties/priority",
    "/properties/evictionPolicy",
    "/properties/osProfile/adminUsername",
    "/properties/osProfile/computerName",
    "/properties/storageProfile/imageReference/id",
    "/properties/storageProfile/imageReference/offer",
    "/properties/storageProfile/imageReference/publisher",
    "/properties/storageProfile/imageReference/sku",
    "/properties/storageProfile/osDisk/name",
    "/properties/storageProfile/osDisk/managedDisk/id",
];

/// Members that Azure changes, and this one does not.
const UNSIMULATED: [(&str, &str); 6] = [
    ("/properties/hardwareProfile/vmSize", "Another size for a machine that is there"),
    ("/properties/storageProfile/osDisk/diskSizeGB", "Another size for a machine's disk"),
    ("/properties/storageProfile/dataDisks/0", "A data disk for a machine that is there"),
    ("/properties/networkProfile/networkInterfaces/0/id", "Another network interface for a machine"),
    ("/properties/networkProfile/networkInterfaces/1", "A machine with more than one network interface"),
    ("/properties/billingProfile/maxPrice", "Another highest price for a machine that is there"),
];

const DISK: &str = "/properties/storageProfile/osDisk/deleteOption";
const INTERFACES: [&str; 2] = [
    "/properties/networkProfile/networkInterfaces/0/properties/deleteOption",
    "/properties/networkProfile/networkInterfaceConfigurations/0/properties/deleteOption",
];

pub(crate) fn patch(request: &Request<'_>) -> Result<Answer, Refusal> {
    let tags = match request.body.get("tags") {
        None | Some(Value::Null) => None,
        Some(_) => Some(made::tags(request.body)?),
    };
    request.change("global", 0, |kernel, state| match found(kernel, state, request)? {
        Found::Made(view) => again(kernel, state, request, &view, tags),
        Found::Failed(failed) => {
            let message =
                format!("The machine {} could not be made: only its PUT or DELETE can be called.", failed.id);
            Err(coded(409, "OperationNotAllowed", message))
        }
    })
}

/// A PUT or a PATCH of a machine that is there.
pub(super) fn again(
    kernel: &mut Kernel,
    state: &mut State,
    request: &Request<'_>,
    view: &MachineView,
    tags: Option<Arc<Tags>>,
) -> Result<Answer, Refusal> {
    let id = made::id_of(state, request, super::KIND)?;
    groups::stays(state, &id)?;
    if view.leaving.is_some() {
        let message =
            format!("Operation is not allowed on VM '{}' since it is marked for deletion.", id.name());
        return Err(coded(409, "OperationNotAllowed", message));
    }
    let found = Found::Made(Box::new(view.clone()));
    let told = item::machine(kernel, &state.launched, &found, Expand::default()).unwrap_or_default();
    let changed = FIXED.into_iter().find(|at| differs(request.body, &told, at));
    if let Some((_, what)) = UNSIMULATED.into_iter().find(|(at, _)| differs(request.body, &told, at)) {
        return Err(unsimulated(what));
    }
    if let Some(at) = changed {
        let name = at.trim_start_matches("/properties/").replace('/', ".");
        let message = format!("Changing property '{name}' is not allowed.");
        return Err(coded(409, "PropertyChangeNotAllowed", message));
    }
    let many = kernel.lots[view.launch as usize].count > 1;
    // What is refused of many is refused by both: after the first nothing is changed in vain.
    change_options(kernel, state, view, request.body)?;
    change_told(state, view, request.body, &told, many)?;
    if let Some(tags) = tags {
        kernel.retag(&view.id, |own| own.clone_from(&tags));
    }
    let poll = Poll::Status { provider: "Microsoft.Compute", location: view.region.as_str() };
    let headers = operation::begin(kernel, state, request, poll, TAKES, None);
    let own = Id::parse(&view.id).unwrap_or(id);
    Ok(Answer::ok(&shown(kernel, state, &own))?.with(headers))
}

/// Whether a body says something else of a member than what is.
fn differs(body: &Value, told: &Value, at: &str) -> bool {
    let wanted = body.pointer(at).filter(|wanted| !wanted.is_null());
    let (Some(wanted), own) = (wanted, told.pointer(at)) else { return false };
    if let (Some(wanted), Some(own)) = (wanted.as_f64(), own.and_then(Value::as_f64)) {
        return (wanted - own).abs() > f64::EPSILON;
    }
    match (wanted.as_str(), own.and_then(Value::as_str)) {
        (Some(wanted), Some(own)) => !wanted.eq_ignore_ascii_case(own),
        // What nobody said is regular.
        (Some(wanted), None) if at.ends_with("priority") => !wanted.eq_ignore_ascii_case("Regular"),
        _ => own != Some(wanted),
    }
}

/// What is only told.
fn change_told(
    state: &mut State,
    view: &MachineView,
    body: &Value,
    told: &Value,
    many: bool,
) -> Result<(), Refusal> {
    let new = |name: &str| {
        let wanted = body["properties"].get(name).filter(|wanted| !wanted.is_null())?;
        (told["properties"].get(name) != Some(wanted)).then(|| (name.to_owned(), wanted.clone()))
    };
    let new: Vec<(String, Value)> = blueprint::TOLD.into_iter().filter_map(new).collect();
    if many && !new.is_empty() {
        return Err(unsimulated("A change of one machine of many that were made together"));
    }
    if !new.is_empty() {
        state.launched.change(view.launch, |details| details.told.extend(new));
    }
    Ok(())
}

/// What becomes of the disk and the interface when the machine is deleted.
fn change_options(
    kernel: &mut Kernel,
    state: &mut State,
    view: &MachineView,
    body: &Value,
) -> Result<(), Refusal> {
    let (disk, interface) = (option(body, &[DISK])?, option(body, &INTERFACES)?);
    let lot = &mut kernel.lots[view.launch as usize];
    let mut goes = lot.spec.goes();
    goes.disk = disk.unwrap_or(goes.disk);
    goes.interface = interface.unwrap_or(goes.interface);
    if goes == lot.spec.goes() {
        return Ok(());
    }
    if lot.count > 1 {
        return Err(unsimulated("Another deleteOption for one machine of many that were made together"));
    }
    lot.spec.goes = Some(goes);
    state.launched.change(view.launch, |details| {
        details.disk.goes = goes.disk;
        details.interfaces.iter_mut().for_each(|own| own.goes = goes.interface);
    });
    Ok(())
}

fn option(body: &Value, places: &[&str]) -> Result<Option<bool>, Refusal> {
    let Some(value) = places.iter().find_map(|at| body.pointer(at)).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match value.as_str().map(str::to_lowercase).as_deref() {
        Some("delete") => Ok(Some(true)),
        Some("detach") => Ok(Some(false)),
        _ => Err(invalid("deleteOption", "It must be Delete or Detach.")),
    }
}
