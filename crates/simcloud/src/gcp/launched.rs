//! What Compute Engine keeps of instances beside what the world knows of its machines. What a launch
//! has in common is kept once per launch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use skyfleet_core::{InstanceState, OfferId, Timestamp, Zone};

use crate::gcp::resource::print_of;
use crate::kernel::Kernel;
use crate::name::named_id;
use crate::tags::Tags;
use crate::view::MachineView;

#[derive(Debug, Default)]
pub(crate) struct Launched {
    /// By the number of the world's launch.
    details: BTreeMap<u32, Arc<Details>>,
    /// What differs from its launch, by the machine's number.
    own: BTreeMap<u32, Own>,
    /// Machines that lists show though the world never made them.
    flashes: BTreeMap<Arc<str>, Flash>,
}

/// What an instance has of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    pub(crate) hostname: Option<String>,
    pub(crate) metadata: Option<Arc<Metadata>>,
    pub(crate) tags: Option<Arc<Vec<String>>>,
    /// Whether it may not be deleted.
    pub(crate) protected: Option<bool>,
    /// Until when its host is under maintenance.
    pub(crate) maintained: Option<Timestamp>,
}

/// The metadata of an instance.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// Keys and values, in the order in which they were given.
    pub(crate) items: Vec<(String, String)>,
    pub(crate) fingerprint: String,
}

impl Metadata {
    pub(crate) fn new(items: Vec<(String, String)>) -> Self {
        let texts: Vec<&str> = items.iter().flat_map(|(key, value)| [key.as_str(), value]).collect();
        Self { fingerprint: print_of(&texts), items }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.items.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// What the instances of one launch have in common.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    pub(crate) project: String,
    pub(crate) boot: BootDisk,
    /// Local SSDs: their interface and device name.
    pub(crate) scratch: Vec<(String, String)>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) scheduling: Scheduling,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) tags: Arc<Vec<String>>,
    /// Addresses and scopes.
    pub(crate) accounts: Vec<(String, Vec<String>)>,
    /// Accelerator type and count.
    pub(crate) accelerator: Option<(&'static str, u32)>,
    /// Secure boot, virtual TPM, integrity monitoring.
    pub(crate) shielded: [bool; 3],
    pub(crate) deletion_protection: bool,
    /// Members that are told as they were given.
    pub(crate) told: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct BootDisk {
    pub(crate) device: String,
    /// `pd-balanced`.
    pub(crate) kind: String,
    /// Its image, `projects/debian-cloud/global/images/…`; `None` for a disk that was there.
    pub(crate) image: Option<String>,
    pub(crate) auto_delete: bool,
    pub(crate) interface: String,
    pub(crate) architecture: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// Paths in the project.
    pub(crate) network: String,
    pub(crate) subnetwork: String,
    /// The name and the tier of its access config, if it has one.
    pub(crate) access: Option<(String, String)>,
    pub(crate) nic_type: Option<String>,
    pub(crate) stack_type: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Scheduling {
    /// `SPOT`, `STANDARD`.
    pub(crate) model: &'static str,
    pub(crate) preemptible: bool,
    pub(crate) automatic_restart: bool,
    /// `MIGRATE`, `TERMINATE`.
    pub(crate) on_maintenance: &'static str,
    /// `STOP`, `DELETE`.
    pub(crate) action: Option<&'static str>,
    pub(crate) max_run: Option<Duration>,
    pub(crate) termination: Option<Timestamp>,
    pub(crate) notice: Option<Duration>,
}

/// An instance that could not be made: Compute Engine shows it while it tries, then it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Flash {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) offer: OfferId,
    pub(crate) details: Arc<Details>,
    pub(crate) labels: Arc<Tags>,
    pub(crate) disk_gib: u32,
    pub(crate) from: Timestamp,
    /// When it begins to be deleted again: an instance that was made, of a launch that failed.
    pub(crate) stops: Option<Timestamp>,
    pub(crate) until: Timestamp,
}

impl Launched {
    pub(crate) fn add(&mut self, launch: u32, details: Arc<Details>) {
        self.details.insert(launch, details);
    }

    /// What a launch of Compute Engine was; the same world may hold others.
    pub(crate) fn of(&self, launch: u32) -> Option<&Arc<Details>> {
        self.details.get(&launch)
    }

    pub(crate) fn own(&self, number: u32) -> Option<&Own> {
        self.own.get(&number)
    }

    pub(crate) fn own_mut(&mut self, number: u32) -> &mut Own {
        self.own.entry(number).or_default()
    }

    pub(crate) fn metadata(&self, view: &MachineView) -> Arc<Metadata> {
        let own = self.own(view.number).and_then(|own| own.metadata.clone());
        own.or_else(|| self.of(view.launch).map(|details| details.metadata.clone())).unwrap_or_default()
    }

    pub(crate) fn network_tags(&self, view: &MachineView) -> Arc<Vec<String>> {
        let own = self.own(view.number).and_then(|own| own.tags.clone());
        own.or_else(|| self.of(view.launch).map(|details| details.tags.clone())).unwrap_or_default()
    }

    /// Whether an instance may not be deleted.
    pub(crate) fn is_protected(&self, view: &MachineView) -> bool {
        let own = self.own(view.number).and_then(|own| own.protected);
        own.unwrap_or_else(|| self.of(view.launch).is_some_and(|details| details.deletion_protection))
    }

    pub(crate) fn flash(&mut self, flash: Flash) {
        self.flashes.insert(named_id(&flash.offer.zone, &flash.name), flash);
    }

    /// Those that are shown now.
    pub(crate) fn flashes(&self) -> impl Iterator<Item = &Flash> {
        self.flashes.values()
    }

    pub(crate) fn flash_named(&self, zone: &Zone, name: &str) -> Option<&Flash> {
        self.flashes.get(&*named_id(zone, name))
    }

    pub(crate) fn flash_mut(&mut self, zone: &Zone, name: &str) -> Option<&mut Flash> {
        self.flashes.get_mut(&*named_id(zone, name))
    }

    /// Forgets what is no longer shown.
    pub(crate) fn fade(&mut self, now: Timestamp) {
        self.flashes.retain(|_, flash| flash.until > now);
    }
}

/// Odd, so that multiplying by it in 62 bits can be undone.
const SCATTER: u64 = 0x1e37_79b9_7f4a_7c15;
const BITS: u64 = (1 << 62) - 1;

/// The numeric id of a machine of the world: 19 digits that look drawn by lot.
pub(crate) fn machine_id(number: u32) -> u64 {
    ((u64::from(number) + 1).wrapping_mul(SCATTER) & BITS) | (1 << 62)
}

/// The number of the machine with this numeric id.
pub(crate) fn machine_number(id: u64) -> Option<u32> {
    if id >> 62 != 1 {
        return None;
    }
    let mut inverse = SCATTER;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(SCATTER.wrapping_mul(inverse)));
    }
    let number = (id & BITS).wrapping_mul(inverse) & BITS;
    u32::try_from(number.checked_sub(1)?).ok()
}

/// An instance of a zone by its name or its numeric id, until it is gone.
pub(crate) fn existing(kernel: &Kernel, zone: &Zone, name: &str) -> Option<MachineView> {
    let named = kernel.by_id.get(&*named_id(zone, name)).copied();
    let by_number = || machine_number(name.parse().ok()?);
    let m = named.or_else(by_number).filter(|m| (*m as usize) < kernel.machines.len())?;
    let view = kernel.view(m, kernel.now());
    (view.state != InstanceState::Terminated && view.offer.zone == *zone).then_some(view)
}

/// The name in the id of a machine.
pub(crate) fn name_of(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numeric_id_of_an_instance_tells_its_machine() {
        for number in [0, 1, 2, 77, 10_000, u32::MAX] {
            let id = machine_id(number);
            assert_eq!((id.to_string().len(), machine_number(id)), (19, Some(number)));
        }
        assert_eq!((machine_number(0), machine_number(7), machine_number(u64::MAX)), (None, None, None));
    }
}
