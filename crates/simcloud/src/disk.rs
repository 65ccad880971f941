use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::{Region, Timestamp, UsdPerHour, Zone};

use crate::kernel::Kernel;
use crate::launch::unknown;
use crate::ledger::{Line, LineKind, Of};
use crate::refusal::Refusal;
use crate::tags::Tags;
use crate::view::Whose;

/// The largest disk, in GiB. EC2 API, `CreateVolume`: 65,536 of gp3; Compute Engine and Azure sell
/// as much or less.
const MOST_GIB: u32 = 65_536;

/// A disk: of a machine, left over by one, or made by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Disk {
    /// Its id.
    pub id: Arc<str>,
    /// Where it is.
    pub region: Region,
    /// Where exactly.
    pub zone: Zone,
    /// How big it is.
    pub gib: u32,
    /// Its tags.
    pub tags: Arc<Tags>,
    /// Since when it exists.
    pub created: Timestamp,
    /// The machine that has it, unless that one has ended.
    pub machine: Option<Arc<str>>,
    /// Whether it goes when its machine goes.
    pub goes_with_machine: bool,
    /// What an hour of it costs.
    pub price: UsdPerHour,
}

impl Kernel {
    /// The disks that exist: of machines, left over, and made by themselves, oldest first.
    pub fn disks(&self, whose: &Whose<'_>) -> Vec<Disk> {
        let open = self.open_lines(LineKind::Disk);
        open.filter_map(|(index, line)| {
            let (region, tags) = (self.line_region(line), self.line_tags(index));
            whose.is(tags, region.as_str()).then(|| self.show_disk(index))?
        })
        .collect()
    }

    /// A disk by its id.
    pub fn disk(&self, id: &str) -> Option<Disk> {
        let line = self.line_of(id)?;
        let is_one = self.lines[line as usize].kind == LineKind::Disk;
        (is_one && self.lines[line as usize].is_open(self.now)).then(|| self.show_disk(line))?
    }

    /// The id of a machine's disk; `None` for a machine without one, or an unknown id.
    pub fn disk_of(&self, machine: &str) -> Option<Arc<str>> {
        let m = *self.by_id.get(machine)?;
        let line = self.lines_of(m).find(|line| self.lines[*line as usize].kind == LineKind::Disk)?;
        Some(self.line_id(line))
    }

    /// Makes a disk by itself, which costs money until it is deleted.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for a zone that is none, [`Refusal::Invalid`] for a size that is none.
    pub fn create_disk(&mut self, zone: &Zone, gib: u32, tags: Arc<Tags>) -> Result<Arc<str>, Refusal> {
        self.make_disk(zone, None, gib, tags)
    }

    /// The same with a name of the caller's own: its id is `zones/ZONE/disks/NAME`; on Azure the
    /// name is the whole id.
    ///
    /// # Errors
    /// Those, and 409 `alreadyExists` while a disk has that name in the zone; `Invalid` where
    /// the cloud chooses the names.
    pub fn create_disk_named(
        &mut self,
        zone: &Zone,
        name: &str,
        gib: u32,
        tags: Arc<Tags>,
    ) -> Result<Arc<str>, Refusal> {
        self.make_disk(zone, Some(name), gib, tags)
    }

    fn make_disk(
        &mut self,
        zone: &Zone,
        name: Option<&str>,
        gib: u32,
        tags: Arc<Tags>,
    ) -> Result<Arc<str>, Refusal> {
        let Some(spec) = self.setup.catalog.zone(zone.as_str()).filter(|spec| self.in_scope(&spec.region))
        else {
            let zones = self.setup.catalog.zones().iter().filter(|spec| self.in_scope(&spec.region));
            return Err(unknown("zone", zone.as_str(), zones.map(|spec| spec.zone.as_str())));
        };
        if !(1..=MOST_GIB).contains(&gib) {
            let message = format!("{gib} GiB is not between 1 and {MOST_GIB}");
            return Err(Refusal::Invalid { field: "size", message });
        }
        let region = spec.region.clone();
        let price = self.setup.rules.extras.disk(region.as_str(), gib);
        self.make_thing((LineKind::Disk, gib, price), (&region, Some(zone)), name, tags)
    }

    /// Deletes a disk; says whether there was one.
    ///
    /// # Errors
    /// [`Refusal::InUse`] while a machine has it that has not ended.
    pub fn delete_disk(&mut self, id: &str) -> Result<bool, Refusal> {
        match self.disk(id) {
            None => Ok(false),
            Some(disk) if disk.machine.is_some() => Err(Refusal::InUse { id: id.to_owned(), by: 1 }),
            Some(_) => Ok(self.delete_thing(id)),
        }
    }

    /// The lines of a kind that go on.
    pub(crate) fn open_lines(&self, kind: LineKind) -> impl Iterator<Item = (u32, &Line)> {
        let lines = (0u32..).zip(&self.lines);
        lines.filter(move |(_, line)| line.kind == kind && line.is_open(self.now))
    }

    pub(crate) fn line_region(&self, line: &Line) -> &Region {
        match line.of {
            Of::Machine(m) => &self.offer(self.machines[m as usize].pool).region,
            Of::Thing(thing) => &self.things[thing as usize].region,
        }
    }

    pub(crate) fn line_zone(&self, line: &Line) -> Option<&Zone> {
        match line.of {
            Of::Machine(m) => Some(&self.offer(self.machines[m as usize].pool).zone),
            Of::Thing(thing) => self.things[thing as usize].zone.as_ref(),
        }
    }

    fn show_disk(&self, index: u32) -> Option<Disk> {
        let line = &self.lines[index as usize];
        let (created, machine, goes_with_machine) = match line.of {
            Of::Thing(thing) => (self.things[thing as usize].created, None, false),
            Of::Machine(m) => {
                let machine = &self.machines[m as usize];
                let lot = &self.lots[machine.lot as usize];
                let there = machine.ended_at.is_none_or(|ended| ended > self.now);
                let holder = there.then(|| machine.id.clone());
                (lot.at, holder, lot.spec.delete_with_instance)
            }
        };
        Some(Disk {
            id: self.line_id(index),
            region: self.line_region(line).clone(),
            zone: self.line_zone(line)?.clone(),
            gib: line.gib,
            tags: self.line_tags(index).clone(),
            created,
            machine,
            goes_with_machine,
            price: line.price,
        })
    }
}
