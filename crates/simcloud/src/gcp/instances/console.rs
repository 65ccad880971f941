//! `instances.getSerialPortOutput`: what an instance wrote to its serial port.

use serde_json::json;
use skyfleet_core::InstanceState;

use crate::gcp::error::invalid;
use crate::gcp::instances::named;
use crate::gcp::launched::name_of;
use crate::gcp::request::{Answer, Request};
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::MachineView;

/// Compute Engine documentation, "Viewing serial port output": the most recent 1 MB.
const MOST: usize = 1 << 20;

/// What the instance's process wrote, where it is one, after what a system says that comes up.
pub(crate) fn output(request: &Request<'_>) -> Result<Answer, Refusal> {
    let port: u32 = request.parsed("port")?.unwrap_or(1);
    if !(1..=4).contains(&port) {
        return Err(invalid("port", &port.to_string(), "Acceptable values are 1 to 4, inclusive"));
    }
    let start: Option<i64> = request.parsed("start")?;
    let (view, mut written) = request.look(|kernel, state| {
        let view = named(kernel, state, request)?;
        let text = if port == 1 { boot_text(kernel, &view) } else { String::new() };
        Ok((view, text.into_bytes()))
    })?;
    if port == 1 {
        written.extend(request.face.world.console(&view.id).unwrap_or_default());
    }
    let (end, oldest) = (written.len(), written.len().saturating_sub(MOST));
    // Counted from the first byte that was ever written; a negative one from the end.
    let from = match start.unwrap_or(0) {
        back if back < 0 => end.saturating_sub(usize::try_from(back.unsigned_abs()).unwrap_or(usize::MAX)),
        from => usize::try_from(from).unwrap_or(usize::MAX).min(end),
    };
    let from = from.max(oldest);
    let path = format!("zones/{}/instances/{}/serialPort", view.offer.zone, name_of(&view.id));
    request.answer(&json!({
        "kind": "compute#serialPortOutput",
        "selfLink": request.link(&path),
        "contents": String::from_utf8_lossy(&written[from..]),
        "start": from.to_string(),
        "next": end.to_string(),
    }))
}

/// What stands on the console of a system that is up.
fn boot_text(kernel: &Kernel, view: &MachineView) -> String {
    let Some(running) = view.running_at.filter(|_| view.state >= InstanceState::Running) else {
        return String::new();
    };
    let spec = kernel.catalog().instance_type(view.offer.instance_type.as_str());
    let arch = spec.map(|spec| spec.arch.to_string()).unwrap_or_default();
    format!(
        "[    0.000000] Linux on {} ({arch})\n[    0.100000] DMI: Google Google Compute Engine\n{} is up since {running}\n",
        view.offer.instance_type,
        name_of(&view.id),
    )
}
