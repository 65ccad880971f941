use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use skyfleet_core::InstanceState;

use crate::aws::Request;
use crate::aws::creation::is_id;
use crate::aws::instances::item::Moment;
use crate::aws::instances::{malformed, unknown};
use crate::aws::launched::existing;
use crate::kernel::Kernel;
use crate::refusal::Refusal;
use crate::view::MachineView;

/// EC2 API, `GetConsoleOutput`: the last 64 KB.
const MOST: usize = 64 * 1_024;

/// `GetConsoleOutput`: what the instance's process wrote, where it is one; else what a system says
/// that comes up.
pub(crate) fn output(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let id = root.required("InstanceId")?;
    if !is_id("i", id) {
        return Err(malformed(id));
    }
    let (view, now, boot) = request.call(0, |kernel, _| {
        let view = existing(kernel, request.region, id).ok_or_else(|| unknown(&[id]))?;
        let boot = boot_text(kernel, &view);
        Ok((view, kernel.now(), boot))
    })?;
    let written = request.face.world.console(&view.id).unwrap_or_default();
    let mut text = boot.into_bytes();
    text.extend(&written[written.len().saturating_sub(MOST)..]);
    let text = &text[text.len().saturating_sub(MOST)..];
    request.answer(&Output {
        instance_id: view.id.to_string(),
        timestamp: Moment(now),
        output: (!text.is_empty()).then(|| STANDARD.encode(text)),
    })
}

/// What stands on the console of a system that is up.
fn boot_text(kernel: &Kernel, view: &MachineView) -> String {
    let Some(running) = view.running_at.filter(|_| view.state >= InstanceState::Running) else {
        return String::new();
    };
    let arch =
        kernel.catalog().instance_type(view.offer.instance_type.as_str()).map(|spec| spec.arch.to_string());
    format!(
        "[    0.000000] Linux on {} ({})\n[    0.100000] DMI: Amazon EC2 {}/, BIOS 1.0\ncloud-init: instance {} is up since {running}\n",
        view.offer.instance_type,
        arch.unwrap_or_default(),
        view.offer.instance_type,
        view.id,
    )
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    instance_id: String,
    timestamp: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}
