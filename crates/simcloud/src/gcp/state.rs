use crate::face::Beside;
use crate::gcp::launched::Launched;
use crate::gcp::made::Store;
use crate::gcp::operation::Operations;
use crate::gcp::preemption::{self, Preemptions};
use crate::kernel::Kernel;

/// What Compute Engine keeps beside the world. Each part is in the file of the methods that change
/// it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// How many numbers were given: ids of resources that the world does not number.
    pub(crate) numbers: u64,
    pub(crate) operations: Operations,
    /// What launches of Compute Engine were made of.
    pub(crate) launched: Launched,
    pub(crate) preemptions: Preemptions,
    /// Networks, firewall rules, templates, images; none before somebody looks.
    pub(crate) made: Option<Store>,
    /// What there is to say of disks and addresses beside what the world knows, by their paths.
    pub(crate) notes: Store,
    /// What all instances find in their metadata.
    pub(crate) project_metadata: Vec<(String, String)>,
}

impl Beside for State {
    fn tend(&mut self, kernel: &mut Kernel) {
        self.launched.fade(kernel.now());
        preemption::tend(kernel, self);
    }
}
