//! What Azure keeps of machines beside what the world knows of them. What a launch has in common is
//! kept once per launch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use skyfleet_core::{InstanceState, OfferId, Timestamp};

use crate::azure::blueprint::network::Interface;
use crate::azure::blueprint::os::Os;
use crate::azure::blueprint::storage::OsDisk;
use crate::azure::blueprint::terms::Terms;
use crate::azure::error::Told;
use crate::azure::id::Id;
use crate::azure::operation::guid;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::tags::Tags;
use crate::view::MachineView;

/// How long the interface of a machine that could not be made is kept for it. Seen in answers of
/// Azure ("… reserved for another Virtual Machine for 180 seconds …").
pub(crate) const RESERVED: Duration = Duration::from_secs(180);

/// All machines of the face.
#[derive(Debug, Default)]
pub(crate) struct Launched {
    /// By the number of the world's launch.
    details: BTreeMap<u32, Arc<Details>>,
    /// The machines of the world by the keys of their ids, of those of their interfaces, and of those
    /// of their public addresses.
    numbers: BTreeMap<String, u32>,
    interfaces: BTreeMap<String, u32>,
    addresses: BTreeMap<String, u32>,
    /// Machines whose interface was there before them and goes with them, with its id.
    taking: BTreeMap<u32, Id>,
    /// How many could not be made.
    count: u64,
    /// Machines that could not be made, by the keys of their ids: they stay until they are deleted.
    failed: BTreeMap<String, Failed>,
    /// Interfaces that are reserved for such machines, by the keys of their ids.
    reserved: BTreeMap<String, Reserved>,
}

/// What the machines of one launch have in common, as answers tell it.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    /// Whether zones were named: else the machine is in none, as far as it is told.
    pub(crate) zonal: bool,
    pub(crate) terms: Terms,
    pub(crate) disk: OsDisk,
    pub(crate) os: Os,
    /// Exactly one.
    pub(crate) interfaces: Vec<Interface>,
    /// The identities of the machines, as they were given.
    pub(crate) identity: Option<Value>,
    /// Members of the profile that are told as they were given.
    pub(crate) told: Map<String, Value>,
    /// The scale set that they are in, if they are in one.
    pub(crate) scale_set: Option<Id>,
}

/// A machine that could not be made.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) id: Id,
    pub(crate) offer: OfferId,
    pub(crate) details: Arc<Details>,
    pub(crate) tags: Arc<Tags>,
    pub(crate) from: Timestamp,
    /// Until then it seems to be coming.
    pub(crate) at: Timestamp,
    pub(crate) told: Told,
    /// The id of its interface.
    pub(crate) interface: Arc<str>,
    /// Its number among all that failed.
    pub(crate) number: u64,
    /// From then on it is gone: it is being deleted.
    pub(crate) gone: Option<Timestamp>,
}

/// An interface that is kept for a machine that could not be made.
#[derive(Clone, Debug)]
struct Reserved {
    id: Arc<str>,
    /// The key of the machine's id, as long as there is the machine.
    machine: Option<String>,
    until: Timestamp,
    /// Whether it goes then: its machine is deleted, and it was to go with it.
    goes: bool,
}

/// A machine as a path or a list finds it.
#[derive(Clone, Debug)]
pub(crate) enum Found<'s> {
    Made(Box<MachineView>),
    Failed(&'s Failed),
}

impl Launched {
    /// Notes a launch of the world, whose machines have whole ids for names.
    pub(crate) fn add(&mut self, kernel: &Kernel, launch: u32, details: Arc<Details>) {
        for m in kernel.lots[launch as usize].machines() {
            self.numbers.insert(kernel.machines[m as usize].id.to_lowercase(), m);
            self.interfaces.insert(kernel.interface_id(m).to_lowercase(), m);
            let lines = kernel.machines[m as usize].lines;
            let is_one = |line: &u32| kernel.lines[*line as usize].kind == LineKind::Address;
            if let Some(line) = (lines.0..lines.1).find(is_one) {
                self.addresses.insert(kernel.line_id(line).to_lowercase(), m);
            }
            if let Some(given) = details.interface().and_then(|interface| interface.given.as_ref()) {
                self.taking.insert(m, given.clone());
            }
        }
        self.details.insert(launch, details);
    }

    /// A number for a machine that could not be made.
    pub(crate) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Changes what the machines of a launch have in common.
    pub(crate) fn change(&mut self, launch: u32, change: impl FnOnce(&mut Details)) {
        if let Some(details) = self.details.get_mut(&launch) {
            change(Arc::make_mut(details));
        }
    }

    /// Notes a machine that could not be made, in the place of an older one of its name. Its
    /// interface is reserved from the moment at which it failed.
    pub(crate) fn fail(&mut self, failed: Failed) {
        let (id, until) = (failed.interface.clone(), failed.at + RESERVED);
        let machine = failed.id.key();
        if let Some(older) = self.failed.insert(machine.clone(), failed) {
            self.part(&older);
        }
        let machine = Some(machine);
        self.reserved.insert(id.to_lowercase(), Reserved { id, machine, until, goes: false });
    }

    /// The interface of a machine that is no more.
    fn part(&mut self, failed: &Failed) -> Option<&mut Reserved> {
        let reserved = self.reserved.get_mut(&failed.interface.to_lowercase())?;
        reserved.machine = None;
        Some(reserved)
    }

    /// What a launch of Azure was; the same world may hold others.
    pub(crate) fn of(&self, launch: u32) -> Option<&Arc<Details>> {
        self.details.get(&launch)
    }

    /// The machine with an id, until it is gone.
    pub(crate) fn find(&self, kernel: &Kernel, id: &Id) -> Option<Found<'_>> {
        let key = id.key();
        if let Some(failed) = self.failed.get(&key) {
            return Some(Found::Failed(failed));
        }
        let view = kernel.view(*self.numbers.get(&key)?, kernel.now());
        (view.state != InstanceState::Terminated).then(|| Found::Made(Box::new(view)))
    }

    /// The numbers of the machines, those that are gone with them.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = u32> {
        self.interfaces.values().copied()
    }

    /// The machine that has or had an interface.
    pub(crate) fn with_interface(&self, id: &Id) -> Option<u32> {
        self.interfaces.get(&id.key()).copied()
    }

    /// The machine that a public address came with.
    pub(crate) fn with_address(&self, id: &Id) -> Option<u32> {
        self.addresses.get(&id.key()).copied()
    }

    /// Those that could not be made.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Failed> {
        self.failed.values()
    }

    /// Forgets one that could not be made; its interface stays reserved, and goes then if it is to.
    pub(crate) fn forget(&mut self, id: &Id, interface_goes: bool) {
        let Some(failed) = self.failed.remove(&id.key()) else { return };
        if let Some(reserved) = self.part(&failed) {
            reserved.goes = interface_goes;
        }
    }

    /// Forgets one that could not be made, whose PUT is tried again; gives the interface that was made
    /// for it.
    pub(crate) fn retry(&mut self, id: &Id) -> Option<Id> {
        let failed = self.failed.remove(&id.key())?;
        self.reserved.remove(&failed.interface.to_lowercase());
        let made = failed.details.interface().is_some_and(|interface| interface.given.is_none());
        Id::parse(&failed.interface).filter(|_| made)
    }

    pub(crate) fn failed_mut(&mut self, id: &Id) -> Option<&mut Failed> {
        self.failed.get_mut(&id.key())
    }

    /// Until when an interface is reserved for a machine that could not be made.
    pub(crate) fn reserved(&self, id: &Id) -> Option<Timestamp> {
        self.reserved.get(&id.key()).map(|reserved| reserved.until)
    }

    /// The machine that could not be made and has this interface.
    pub(crate) fn failed_with(&self, interface: &Id) -> Option<&Failed> {
        self.failed.get(self.reserved.get(&interface.key())?.machine.as_ref()?)
    }

    /// Forgets everything in a resource group that is gone.
    pub(crate) fn empty(&mut self, inside: &str) {
        self.failed.retain(|key, _| !key.starts_with(inside));
        self.reserved.retain(|key, _| !key.starts_with(inside));
        for reserved in self.reserved.values_mut() {
            reserved.machine.take_if(|machine| machine.starts_with(inside));
        }
    }

    /// Forgets what is over; gives the interfaces that go now, or went with their machines.
    pub(crate) fn tend(&mut self, kernel: &Kernel) -> Vec<Id> {
        let now = kernel.now();
        let is_gone = |m: u32| kernel.machines[m as usize].state_at(now) == InstanceState::Terminated;
        let mut going: Vec<Id> = Vec::new();
        self.taking.retain(|m, interface| {
            let gone = is_gone(*m);
            if gone {
                self.interfaces.remove(&interface.key());
                going.extend(kernel.spec(*m).goes().interface.then(|| interface.clone()));
            }
            !gone
        });
        let gone = |failed: &Failed| failed.gone.is_some_and(|gone| gone <= now);
        let over: Vec<Id> =
            self.failed.values().filter(|failed| gone(failed)).map(|failed| failed.id.clone()).collect();
        for id in over {
            let goes = self.failed[&id.key()].details.interface_goes();
            self.forget(&id, goes);
        }
        self.reserved.retain(|_, reserved| {
            let stays = reserved.until > now || reserved.machine.is_some();
            if !stays && reserved.goes {
                going.extend(Id::parse(&reserved.id));
            }
            stays
        });
        going
    }
}

impl Details {
    /// The interface of a machine, as its profile has it.
    pub(crate) fn interface(&self) -> Option<&Interface> {
        self.interfaces.first()
    }

    /// Whether the interface of a machine goes with it.
    pub(crate) fn interface_goes(&self) -> bool {
        self.interface().is_some_and(|interface| interface.goes)
    }
}

impl Found<'_> {
    /// Whether it is in a scale set.
    pub(crate) fn is_in(&self, launched: &Launched, set: &Id) -> bool {
        let details = match self {
            Self::Made(view) => launched.of(view.launch),
            Self::Failed(failed) => Some(&failed.details),
        };
        let own = details.and_then(|details| details.scale_set.as_ref());
        own.is_some_and(|own| own.key() == set.key())
    }

    pub(crate) fn id(&self) -> Option<Id> {
        match self {
            Self::Made(view) => Id::parse(&view.id),
            Self::Failed(failed) => Some(failed.id.clone()),
        }
    }

    /// The region that it is in.
    pub(crate) fn region<'a>(&'a self, kernel: &'a Kernel) -> &'a str {
        match self {
            Self::Made(view) => view.region.as_str(),
            Self::Failed(failed) => {
                kernel.catalog().zone(failed.offer.zone.as_str()).map_or("", |zone| zone.region.as_str())
            }
        }
    }
}

/// `vmId`: what a machine is called inside, and for ever.
pub(crate) fn vm_id(kernel: &Kernel, number: u32) -> String {
    guid(kernel.seed ^ 0x766d_4964, u64::from(number))
}
