//! In which region which machine is: its id does not say it, and what ends machines wants to know.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use skyfleet_core::{InstanceId, Region};

/// A memory, not the truth: who is not in it is looked up.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts(Mutex<BTreeMap<InstanceId, Region>>);

/// How many are remembered.
const MOST: usize = 50_000;

impl Whereabouts {
    pub(crate) fn note<'a>(&self, found: impl IntoIterator<Item = (&'a InstanceId, &'a Region)>) {
        let mut known = self.lock();
        if known.len() > MOST {
            known.clear();
        }
        for (id, region) in found {
            if known.get(id) != Some(region) {
                known.insert(id.clone(), region.clone());
            }
        }
    }

    pub(crate) fn region(&self, id: &InstanceId) -> Option<Region> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Region>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
