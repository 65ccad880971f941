use std::sync::Arc;

use skyfleet_core::{InstanceState, Timestamp};

use crate::catalog::Cloud;
use crate::event::{About, EventKind};
use crate::fixture::FixtureKind;
use crate::kernel::{Due, Kernel};
use crate::ledger::{LineKind, Of};
use crate::machine::EndCause;
use crate::order::OnReclaim;
use crate::rules::mix;

/// What became of a machine that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is on its way out.
    Ending,
    /// It is gone, or never was.
    Gone,
}

const NO_SEAT: u32 = u32::MAX;

impl Kernel {
    /// Ends a machine, as its user asks. Ending one that is ending changes nothing.
    pub fn terminate(&mut self, id: &str) -> Ended {
        let Some(&m) = self.by_id.get(id) else { return Ended::Gone };
        match self.machines[m as usize].state_at(self.now) {
            InstanceState::Terminated => Ended::Gone,
            _ if self.machines[m as usize].leaving_at.is_some() => Ended::Ending,
            _ => {
                self.end_by_user(m);
                Ended::Ending
            }
        }
    }

    /// Deletes a disk or address that outlived its machine, or never had one; says whether there
    /// was one.
    pub fn delete_leftover(&mut self, id: &str) -> bool {
        self.delete_thing(id)
    }

    pub(crate) fn end_by_user(&mut self, m: u32) {
        self.end(m, EndCause::User);
    }

    pub(crate) fn expire(&mut self, lot: u32) {
        for m in self.lots[lot as usize].machines() {
            self.time_is_over(m);
        }
    }

    /// A machine that came up then has run as long as it may, unless it was stopped meanwhile.
    pub(crate) fn run_out(&mut self, m: u32, came_up: Timestamp) {
        let machine = &self.machines[m as usize];
        if machine.comes_up() == came_up && machine.state_at(self.now).is_alive() {
            self.time_is_over(m);
        }
    }

    /// Plans the end of a machine's longest run, from when it comes up.
    pub(crate) fn plan_run(&mut self, m: u32, running_at: Timestamp) {
        if let Some(most) = self.spec(m).max_run {
            self.at(running_at + most, Due::RunOut(m, running_at));
        }
    }

    /// Ends a machine, or stops it, where that is what becomes of it.
    fn time_is_over(&mut self, m: u32) {
        let machine = &self.machines[m as usize];
        match self.on_reclaim(m) {
            _ if machine.leaving_at.is_some() => {}
            OnReclaim::Terminate => self.end(m, EndCause::Expired),
            OnReclaim::Stop if machine.state_at(self.now).is_alive() => self.stop_now(m, EndCause::Expired),
            OnReclaim::Stop => {}
        }
    }

    /// Ends a machine that is not ending yet.
    pub(crate) fn end(&mut self, m: u32, cause: EndCause) {
        self.leave(m, cause);
        self.log(EventKind::Terminate, About::Machine(m));
        self.stop_process(m);
        let stop = self.setup.rules.stop.draw(&mut self.rng);
        self.machines[m as usize].ended_at = Some(self.now + stop);
        self.at(self.now + stop, Due::Gone(m));
    }

    /// The machine goes out of service: from here on it is not paid.
    pub(crate) fn leave(&mut self, m: u32, cause: EndCause) {
        self.leave_seat(m);
        let now = self.now;
        let machine = &mut self.machines[m as usize];
        machine.leaving_at = Some(now);
        machine.cause = Some(cause);
        self.close_start(m, cause == EndCause::Reclaimed);
    }

    /// Closes the line of a machine's last start, unless a stop did.
    pub(crate) fn close_start(&mut self, m: u32, reclaimed: bool) {
        let (now, (line, _)) = (self.now, self.machines[m as usize].start_lines());
        let line = &mut self.lines[line as usize];
        if line.until.is_none() {
            (line.until, line.reclaimed) = (Some(now), reclaimed);
        }
    }

    /// Takes a machine out of its pool's list of live ones.
    pub(crate) fn leave_seat(&mut self, m: u32) {
        let (pool, seat) = {
            let machine = &mut self.machines[m as usize];
            (machine.pool, std::mem::replace(&mut machine.seat, NO_SEAT))
        };
        if seat == NO_SEAT {
            return;
        }
        let held = &mut self.pools[pool as usize];
        if let Some(max) = held.capped.remove(&m) {
            self.caps.insert(m, max);
        }
        held.live.swap_remove(seat as usize);
        if let Some(&moved) = held.live.get(seat as usize) {
            self.machines[moved as usize].seat = seat;
        }
        self.stirred.insert(pool);
    }

    /// The machine is gone: its place, its quota and what it held are free, and what was to go
    /// with it goes.
    pub(crate) fn gone(&mut self, m: u32) {
        self.free(m, true);
        self.caps.remove(&m);
        let (now, lot) = (self.now, self.machines[m as usize].lot);
        let lot = &mut self.lots[lot as usize];
        lot.left -= 1;
        lot.gone_at = now;
        for held in &lot.spec.holds {
            if let Some(kept) = self.fixtures.get_mut(held) {
                kept.holders -= 1;
            }
        }
        let goes = lot.spec.goes();
        let open = |line: &u32| self.lines[*line as usize].until.is_none();
        for line in self.lines_of(m).filter(open).collect::<Vec<_>>() {
            let stays = match self.lines[line as usize].kind {
                LineKind::Instance => false,
                LineKind::Disk => !goes.disk,
                LineKind::Address => !goes.address && self.setup.rules.address_stays,
            };
            if stays {
                self.leftovers.insert(self.line_id(line), line);
            } else {
                self.lines[line as usize].until = Some(now);
            }
        }
        if self.cloud() == Cloud::Azure {
            self.leave_interface(m, goes.interface);
        }
    }

    /// The ledger's lines of a machine and of what came with it, at any of its starts.
    pub(crate) fn lines_of(&self, m: u32) -> impl Iterator<Item = u32> {
        let machine = &self.machines[m as usize];
        let later = machine.halts.iter().filter_map(|halt| halt.again).map(|again| again.lines);
        std::iter::once(machine.lines).chain(later).flat_map(|(from, to)| from..to)
    }

    /// Frees the place of a machine in its pool, if it has one, and its quotas: where those outlast
    /// a stop, when it is gone for good.
    pub(crate) fn free(&mut self, m: u32, for_good: bool) {
        let machine = &mut self.machines[m as usize];
        let (pool, placed) = (machine.pool, std::mem::replace(&mut machine.placed, false));
        self.pools[pool as usize].used -= u32::from(placed);
        let frees_quotas = if self.setup.rules.stop_keeps_quota { for_good } else { placed };
        if frees_quotas {
            self.draw_quotas(pool, true);
        }
    }

    /// Counts a machine of a pool into its quotas, or back out of them.
    pub(crate) fn draw_quotas(&mut self, pool: u32, back: bool) {
        for (id, units) in self.setup.catalog.offers()[pool as usize].draws() {
            if let Some(quota) = self.quotas.get_mut(id) {
                quota.used = if back { quota.used - units } else { quota.used + units };
            }
        }
    }

    /// The id of the network interface of a machine of Azure: one that was there before it, or one
    /// that came with it.
    pub(crate) fn interface_id(&self, m: u32) -> Arc<str> {
        let id = &self.machines[m as usize].id;
        match &self.spec(m).interface {
            Some(interface) => interface.clone(),
            None => {
                let own = id.replacen(
                    "Microsoft.Compute/virtualMachines",
                    "Microsoft.Network/networkInterfaces",
                    1,
                );
                format!("{own}-nic-{:08x}", self.mark(m) >> 32).into()
            }
        }
    }

    /// On Azure a network interface stays when nobody asked for its deletion with the machine.
    fn leave_interface(&mut self, m: u32, goes: bool) {
        let (id, there) = (self.interface_id(m), self.spec(m).interface.is_some());
        if goes {
            self.fixtures.remove(&id);
        }
        if goes || there {
            return;
        }
        let machine = &self.machines[m as usize];
        let region = self.offer(machine.pool).region.clone();
        let tags = self.lots[machine.lot as usize].interface_tags.clone();
        self.make_fixture(FixtureKind::Interface, id, region, tags);
    }

    /// The id of the thing that a line is about: of what came with a machine it is made of the
    /// machine's id.
    pub(crate) fn line_id(&self, line: u32) -> Arc<str> {
        let line = &self.lines[line as usize];
        let m = match line.of {
            Of::Thing(thing) => return self.things[thing as usize].id.clone(),
            Of::Machine(m) => m,
        };
        let id = &self.machines[m as usize].id;
        if line.kind == LineKind::Instance {
            return id.clone();
        }
        if let Some(name) = self.spec(m).disk_name.as_ref().filter(|_| line.kind == LineKind::Disk) {
            return name.clone();
        }
        match (self.cloud(), words(self.cloud(), line.kind)) {
            (Cloud::Neutral, (_, end)) => format!("{id}{end}").into(),
            (Cloud::Azure, (machine, other)) => {
                let (end, mark) = (ending(line.kind), self.mark(m));
                format!("{}{end}{mark:016x}", id.replacen(machine, other, 1)).into()
            }
            (_, (machine, other)) => id.replacen(machine, other, 1).into(),
        }
    }

    /// The machine of which the id of a disk or address is made, if it is such a one.
    pub(crate) fn machine_by(&self, kind: LineKind, id: &str) -> Option<u32> {
        if let Some(m) = self.named_disks.get(id).filter(|_| kind == LineKind::Disk) {
            return Some(*m);
        }
        let machine = match (self.cloud(), words(self.cloud(), kind)) {
            (Cloud::Neutral, (_, end)) => id.strip_suffix(end)?.to_owned(),
            (Cloud::Azure, (machine, other)) if id.contains(other) => {
                id.rsplit_once(ending(kind))?.0.replacen(other, machine, 1)
            }
            (_, (machine, other)) => id.contains(other).then(|| id.replacen(other, machine, 1))?,
        };
        self.by_id.get(&*machine).copied()
    }

    /// What tells apart the things of a machine of Azure from those of another one of its name.
    fn mark(&self, m: u32) -> u64 {
        mix(u64::from(m) ^ mix(self.seed))
    }
}

/// What stands behind the machine's name in that of its disk or address on Azure.
fn ending(kind: LineKind) -> &'static str {
    if kind == LineKind::Disk { "_OsDisk_1_" } else { "-pip-" }
}

/// What stands in the id of a machine, and in its place in that of its disk or address. The
/// neutral cloud writes it at the end.
fn words(cloud: Cloud, kind: LineKind) -> (&'static str, &'static str) {
    let disk = kind == LineKind::Disk;
    match cloud {
        Cloud::Neutral => ("", if disk { "-disk" } else { "-address" }),
        Cloud::Aws => ("i-", if disk { "vol-" } else { "eipalloc-" }),
        Cloud::Gcp => ("/instances/", if disk { "/disks/" } else { "/addresses/" }),
        Cloud::Azure => (
            "Microsoft.Compute/virtualMachines",
            if disk { "Microsoft.Compute/disks" } else { "Microsoft.Network/publicIPAddresses" },
        ),
    }
}
