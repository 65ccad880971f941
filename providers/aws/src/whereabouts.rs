//! In which region which instance is: EC2's ids do not say, and its calls want to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skyfleet_core::{Instance, InstanceId, InstanceState, Region, Timestamp};

/// How long EC2 may not know an instance that it has just launched (EC2 developer guide, "Eventual
/// consistency": seconds, and to be waited for).
const NEW: Duration = Duration::from_secs(60);

/// The living instances that this client has met. A memory, not the truth: whoever is not in it is
/// asked for.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    instances: Mutex<BTreeMap<InstanceId, Place>>,
    records: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Debug)]
struct Place {
    region: Region,
    launched: Timestamp,
}

impl Whereabouts {
    pub(crate) fn met(&self, instances: &[Instance]) {
        let mut known = self.lock();
        for instance in instances {
            if instance.state == InstanceState::Terminated {
                known.remove(&instance.id);
            } else if !known.contains_key(&instance.id) {
                let place = Place { region: instance.region.clone(), launched: instance.launched };
                known.insert(instance.id.clone(), place);
            }
        }
    }

    pub(crate) fn region(&self, id: &InstanceId) -> Option<Region> {
        self.lock().get(id).map(|place| place.region.clone())
    }

    /// Whether EC2 may not know it yet: then `NotFound` does not mean that it is gone.
    pub(crate) fn is_new(&self, id: &InstanceId, now: Timestamp) -> bool {
        self.lock().get(id).is_some_and(|place| now < place.launched + NEW)
    }

    pub(crate) fn forget(&self, id: &InstanceId) {
        self.lock().remove(id);
    }

    /// Fleets that are but the record of a launch: they start nothing by themselves.
    pub(crate) fn records(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Place>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
