use std::collections::BTreeMap;

use skyfleet_core::Timestamp;

use crate::azure::groups;
use crate::azure::launched::Launched;
use crate::azure::made::Store;
use crate::azure::operation::Operations;
use crate::azure::resource_graph::tables::Seen;
use crate::face::Beside;
use crate::kernel::Kernel;

/// What Azure keeps beside the world. Each part is in the file of the methods that change it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) operations: Operations,
    /// What callers configured, resource groups with it.
    pub(crate) made: Store,
    /// What machines are made of.
    pub(crate) launched: Launched,
    /// The groups that are being deleted, by their keys, and until when.
    pub(crate) deleting: BTreeMap<String, Timestamp>,
    /// What Resource Graph knows.
    pub(crate) seen: Seen,
}

impl Beside for State {
    fn tend(&mut self, kernel: &mut Kernel) {
        groups::finish(kernel, self);
    }
}
