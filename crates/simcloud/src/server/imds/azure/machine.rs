use std::sync::Arc;

use skyfleet_core::InstanceState;

use crate::azure::id::Id;
use crate::azure::launched::{Details, Found, vm_id};
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::view::MachineView;

/// A machine whose system is up, as its metadata service sees it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: Id,
    pub(crate) vm_id: String,
    pub(crate) view: MachineView,
    pub(crate) details: Arc<Details>,
}

impl Machine {
    /// By the id of its resource or by its `vmId`; `None` for one that is not up, or not any more.
    pub(crate) fn of(kernel: &Kernel, state: &State, instance: &str) -> Option<Self> {
        let view = match Id::parse(instance) {
            Some(id) => match state.launched.find(kernel, &id)? {
                Found::Made(view) => *view,
                Found::Failed(_) => return None,
            },
            None => {
                let count = u32::try_from(kernel.machines.len()).ok()?;
                let m = (0..count).find(|m| vm_id(kernel, *m).eq_ignore_ascii_case(instance))?;
                kernel.view(m, kernel.now())
            }
        };
        if !matches!(view.state, InstanceState::Running | InstanceState::Stopping) {
            return None;
        }
        Some(Self {
            id: Id::parse(&view.id)?,
            vm_id: vm_id(kernel, view.number),
            details: state.launched.of(view.launch)?.clone(),
            view,
        })
    }
}
