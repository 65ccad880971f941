use std::collections::BTreeSet;
use std::sync::Arc;

use skyfleet_core::{InstanceState, Region, UsdPerHour, Zone};

use crate::catalog::Cloud;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::order::Order;
use crate::refusal::Refusal;

/// The id of a machine of Compute Engine whose name the caller chose.
pub(crate) fn named_id(zone: &Zone, name: &str) -> Arc<str> {
    format!("zones/{zone}/instances/{name}").into()
}

impl Kernel {
    /// The id of a machine whose name the caller chose: on Azure the name is the whole id.
    pub(crate) fn named_machine(&self, zone: &Zone, name: &Arc<str>) -> Arc<str> {
        match self.cloud() {
            Cloud::Azure => name.clone(),
            _ => named_id(zone, name),
        }
    }

    /// Whether the names of an order can be given. One that is alive in any zone of the order is
    /// refused as a whole: a face that would start the others leaves it out.
    pub(crate) fn check_names(&self, order: &Order) -> Result<(), Refusal> {
        if order.names.is_empty() {
            return Ok(());
        }
        let invalid = |message: String| Err(Refusal::Invalid { field: "names", message });
        if order.spec.disk_name.is_some() && order.count > 1 {
            return invalid("one disk name is for one machine".to_owned());
        }
        let (names, count) = (order.names.len(), order.count);
        if names != count as usize {
            return invalid(format!("there are {names} names for {count} machines"));
        }
        let zones: BTreeSet<&Zone> = order.pools.iter().map(|bid| &bid.offer.zone).collect();
        let mut seen = BTreeSet::new();
        for name in &order.names {
            self.check_name(name)?;
            if !seen.insert(name) {
                return invalid(format!("{name:?} is there twice"));
            }
            if let Some(id) =
                zones.iter().map(|zone| self.named_machine(zone, name)).find(|id| self.is_taken(id))
            {
                return Err(exists(&id));
            }
        }
        Ok(())
    }

    /// Whether a machine that has not ended has this id.
    fn is_taken(&self, id: &str) -> bool {
        let m = self.by_id.get(id);
        m.is_some_and(|m| self.machines[*m as usize].state_at(self.now) != InstanceState::Terminated)
    }

    /// The id of a disk or an address whose name the caller chooses.
    pub(crate) fn named_thing(
        &self,
        kind: LineKind,
        region: &Region,
        zone: Option<&Zone>,
        name: &str,
    ) -> Result<Arc<str>, Refusal> {
        self.check_name(name)?;
        let id = match zone {
            _ if self.cloud() == Cloud::Azure => name.to_owned(),
            Some(zone) => format!("zones/{zone}/disks/{name}"),
            None => format!("regions/{region}/addresses/{name}"),
        };
        let taken = self.line_of(&id).map(|line| &self.lines[line as usize]);
        match taken.is_some_and(|line| line.kind == kind && line.is_open(self.now)) {
            true => Err(exists(&id)),
            false => Ok(id.into()),
        }
    }

    /// What the caller may call a thing. The cloud's own rules for names are stricter; the kernel
    /// refuses what would be mistaken for part of an id.
    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let message = match self.cloud() {
            Cloud::Gcp if name.is_empty() || name.contains('/') => format!("{name:?} is no name"),
            Cloud::Gcp => return Ok(()),
            // Names are whole ids there: the resource group is part of them.
            Cloud::Azure if name.starts_with("/subscriptions/") => return Ok(()),
            Cloud::Azure => format!("{name:?} is no id of a resource"),
            cloud => format!("on {cloud} the caller chooses no names"),
        };
        Err(Refusal::Invalid { field: "names", message })
    }

    /// Opens the line of a new machine's boot disk. Compute Engine, `attachedDisk.initializeParams`:
    /// where a disk of that name exists in the zone, the machine gets that one, as it is.
    pub(crate) fn open_disk(
        &mut self,
        machine: &str,
        m: u32,
        (pool, gib): (u32, u32),
        price: (UsdPerHour, UsdPerHour),
    ) {
        let (line, now) = (self.lines.len() as u32, self.now);
        let old = match self.cloud() {
            Cloud::Gcp => self.take_disk(&machine.replacen("/instances/", "/disks/", 1)),
            _ => None,
        };
        let (gib, price) = match old {
            None => (gib, price),
            Some(old) => {
                let tags = self.line_tags(old).clone();
                self.retagged.insert(line, tags);
                let gib = self.lines[old as usize].gib;
                let price = self.setup.rules.extras.disk(self.offer(pool).region.as_str(), gib);
                (gib, (price, price))
            }
        };
        self.open_line(LineKind::Disk, m, price, now);
        self.lines[line as usize].gib = gib;
    }

    /// Closes the line of a disk that no machine has; a machine goes on paying for it.
    fn take_disk(&mut self, id: &str) -> Option<u32> {
        let thing = self.by_thing.get(id).map(|thing| self.things[*thing as usize].line);
        let thing = thing.filter(|line| self.lines[*line as usize].until.is_none());
        let line = self.leftovers.remove(id).or(thing)?;
        self.lines[line as usize].until = Some(self.now);
        Some(line)
    }
}

/// The refusal of a name that something has already.
fn exists(id: &str) -> Refusal {
    Refusal::Coded {
        status: 409,
        code: "alreadyExists".to_owned(),
        message: format!("The resource '{id}' already exists"),
    }
}
