use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use skyfleet_core::{Timestamp, tag};

use crate::kernel::Kernel;
use crate::ledger::{LineKind, Of};
use crate::machine::Machine;
use crate::view::Whose;

/// What a caller wrote on a thing: its owner, its fleet, and whatever else.
pub type Tags = BTreeMap<String, String>;

/// What stands on a thing whose tags have faded.
static BLANK: LazyLock<Arc<Tags>> = LazyLock::new(Arc::default);

impl Whose<'_> {
    /// Whether something with these tags is meant, as far as tags say it.
    pub(crate) fn are(&self, tags: &Tags) -> bool {
        let has = |key: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| tags.get(key).is_some_and(|value| value == wanted))
        };
        has(tag::OWNER, self.owner) && has(tag::FLEET, self.fleet)
    }

    /// Whether something with these tags in this region is meant.
    pub(crate) fn is(&self, tags: &Tags, region: &str) -> bool {
        self.region.is_none_or(|wanted| wanted == region) && self.are(tags)
    }
}

impl Kernel {
    /// Changes the tags of a machine, a disk, an address or a fixture; says whether it is there.
    /// Each thing has tags of its own: those of a machine's disk stay as they are when the
    /// machine's change.
    pub fn retag(&mut self, id: &str, change: impl FnOnce(&mut Tags)) -> bool {
        if let Some(kept) = self.fixtures.get_mut(id) {
            change(Arc::make_mut(&mut kept.fixture.tags));
            return true;
        }
        let Some(line) = self.line_of(id).filter(|line| self.is_there(*line)) else { return false };
        match self.lines[line as usize].of {
            Of::Thing(thing) => change(Arc::make_mut(&mut self.things[thing as usize].tags)),
            Of::Machine(m) => {
                let tags = self.line_tags(line).clone();
                change(Arc::make_mut(self.retagged.entry(line).or_insert(tags)));
                if self.lines[line as usize].kind == LineKind::Instance {
                    self.mixed.insert(self.machines[m as usize].lot);
                }
            }
        }
        true
    }

    /// The tags of a machine, a disk, an address or a fixture; `None` when it is not there (any
    /// more). Those of a machine that ended fade where the cloud's do.
    pub fn tags_of(&self, id: &str) -> Option<Arc<Tags>> {
        if let Some(fixture) = self.fixture(id) {
            return Some(fixture.tags.clone());
        }
        let line = self.line_of(id).filter(|line| self.is_there(*line))?;
        Some(match (self.lines[line as usize].kind, self.lines[line as usize].of) {
            (LineKind::Instance, Of::Machine(m)) => self.machine_tags_at(m, self.now).clone(),
            _ => self.line_tags(line).clone(),
        })
    }

    /// The line of a thing that costs or cost money, by its id: of a machine that is its first.
    pub(crate) fn line_of(&self, id: &str) -> Option<u32> {
        if let Some(m) = self.by_id.get(id) {
            return Some(self.machines[*m as usize].lines.0);
        }
        if let Some(thing) = self.by_thing.get(id) {
            let line = self.things[*thing as usize].line;
            // A machine that was made with a disk of this name has it now.
            if self.lines[line as usize].until.is_none() {
                return Some(line);
            }
        }
        self.leftovers.get(id).copied().or_else(|| self.attached_line(id))
    }

    /// The line of the disk or address of a living machine: its id is made of the machine's.
    fn attached_line(&self, id: &str) -> Option<u32> {
        let of = |kind: LineKind| {
            let m = self.machine_by(kind, id)?;
            let open = |line: &u32| {
                let line = &self.lines[*line as usize];
                line.kind == kind && line.until.is_none()
            };
            self.lines_of(m).find(open).filter(|line| *self.line_id(*line) == *id)
        };
        // An automatic address of EC2 is nothing that a call could name.
        let address = || self.setup.rules.address_stays.then(|| of(LineKind::Address)).flatten();
        of(LineKind::Disk).or_else(address)
    }

    /// Whether the thing of a line is still there, for a call that names it.
    fn is_there(&self, line: u32) -> bool {
        let line = &self.lines[line as usize];
        match (line.kind, line.of) {
            (LineKind::Instance, Of::Machine(m)) => {
                let machine = &self.machines[m as usize];
                machine.ended_at.is_none_or(|ended| self.now < ended + self.setup.rules.ended_listed)
            }
            _ => line.is_open(self.now),
        }
    }

    /// The tags of what a line is about.
    pub(crate) fn line_tags(&self, line: u32) -> &Arc<Tags> {
        let (kind, of) = (self.lines[line as usize].kind, self.lines[line as usize].of);
        let m = match of {
            Of::Thing(thing) => return &self.things[thing as usize].tags,
            Of::Machine(m) => m,
        };
        let machine = &self.machines[m as usize];
        // Every start of a machine has a line, its tags are with the first.
        let line = if kind == LineKind::Instance { machine.lines.0 } else { line };
        let lot = &self.lots[machine.lot as usize];
        self.retagged.get(&line).unwrap_or(match kind {
            LineKind::Instance => &lot.tags,
            LineKind::Disk => &lot.disk_tags,
            LineKind::Address => &lot.interface_tags,
        })
    }

    /// The tags of a machine, whatever became of it.
    pub(crate) fn machine_tags(&self, m: u32) -> &Arc<Tags> {
        let machine = &self.machines[m as usize];
        self.retagged.get(&machine.lines.0).unwrap_or(&self.lots[machine.lot as usize].tags)
    }

    /// The tags of a machine as the cloud shows them at a time: they fade after its end.
    pub(crate) fn machine_tags_at(&self, m: u32, at: Timestamp) -> &Arc<Tags> {
        match self.has_faded(&self.machines[m as usize], at) {
            true => &BLANK,
            false => self.machine_tags(m),
        }
    }

    /// EC2 user guide: the tags of a terminated instance are removed before the instance is.
    pub(crate) fn has_faded(&self, machine: &Machine, at: Timestamp) -> bool {
        let (kept, ended) = (self.setup.rules.tags_kept, machine.ended_at);
        ended.zip(kept).is_some_and(|(ended, kept)| ended + kept <= at)
    }
}
