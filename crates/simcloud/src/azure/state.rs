use std::collections::BTreeMap;

use skyfleet_core::Timestamp;

use crate::azure::bulk_deletes::BulkDeletes;
use crate::azure::fleets::{self, Fleets};
use crate::azure::launched::Launched;
use crate::azure::made::Store;
use crate::azure::operation::Operations;
use crate::azure::resource_graph::tables::Seen;
use crate::azure::scale_sets::{self, ScaleSets};
use crate::azure::{groups, providers};
use crate::face::Beside;
use crate::kernel::Kernel;
use crate::server::imds::azure::events::Events;

/// What Azure keeps beside the world. Each part is in the file of the methods that change it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) operations: Operations,
    /// What callers configured, resource groups with it.
    pub(crate) made: Store,
    pub(crate) fleets: Fleets,
    pub(crate) scale_sets: ScaleSets,
    pub(crate) bulk_deletes: BulkDeletes,
    /// What machines are made of.
    pub(crate) launched: Launched,
    /// The groups that are being deleted, by their keys, and until when.
    pub(crate) deleting: BTreeMap<String, Timestamp>,
    /// The registrations that are not there.
    pub(crate) unregistered: providers::Missing,
    /// What Resource Graph knows.
    pub(crate) seen: Seen,
    /// What machines were told of events.
    pub(crate) events: Events,
}

impl Beside for State {
    fn tend(&mut self, kernel: &mut Kernel) {
        for interface in self.launched.tend(kernel) {
            // Nothing holds an interface but its machine, which is gone.
            let _ = kernel.delete_fixture(&interface.to_string());
            self.made.remove(&interface.key());
        }
        groups::finish(kernel, self);
        fleets::upkeep::tend(kernel, self);
        scale_sets::upkeep::tend(kernel, self);
    }
}
