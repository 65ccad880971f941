use std::sync::Arc;

use skyfleet_core::InstanceState;

use crate::catalog::Cloud;
use crate::event::{About, EventKind};
use crate::fixture::{Fixture, FixtureKind};
use crate::kernel::{Due, Kernel};
use crate::ledger::LineKind;
use crate::machine::EndCause;

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
            InstanceState::Stopping => Ended::Ending,
            _ => {
                self.end_by_user(m);
                Ended::Ending
            }
        }
    }

    /// Deletes a disk or address that outlived its machine; says whether there was one.
    pub fn delete_leftover(&mut self, id: &str) -> bool {
        let line = self.leftovers.remove(id);
        if let Some(line) = line {
            self.lines[line as usize].until = Some(self.now);
        }
        line.is_some()
    }

    pub(crate) fn end_by_user(&mut self, m: u32) {
        self.end(m, EndCause::User);
    }

    pub(crate) fn expire(&mut self, lot: u32) {
        for m in self.lots[lot as usize].machines() {
            if self.machines[m as usize].leaving_at.is_none() {
                self.end(m, EndCause::Expired);
            }
        }
    }

    fn end(&mut self, m: u32, cause: EndCause) {
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
        let line = &mut self.lines[machine.lines.0 as usize];
        line.until = Some(now);
        line.reclaimed = cause == EndCause::Reclaimed;
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
        held.capped.remove(&m);
        held.live.swap_remove(seat as usize);
        if let Some(&moved) = held.live.get(seat as usize) {
            self.machines[moved as usize].seat = seat;
        }
        self.stirred.insert(pool);
    }

    /// The machine is gone: its place, its quota and what it held are free, and what was to go
    /// with it goes.
    pub(crate) fn gone(&mut self, m: u32) {
        let machine = &self.machines[m as usize];
        let (lot, pool, lines) = (machine.lot, machine.pool, machine.lines);
        self.free(pool);
        let now = self.now;
        let lot = &mut self.lots[lot as usize];
        lot.left -= 1;
        lot.gone_at = now;
        for held in &lot.spec.holds {
            if let Some(kept) = self.fixtures.get_mut(held) {
                kept.holders -= 1;
            }
        }
        let keeps = !lot.spec.delete_with_instance;
        for line in lines.0 + 1..lines.1 {
            if keeps {
                self.leftovers.insert(self.line_id(line), line);
            } else {
                self.lines[line as usize].until = Some(now);
            }
        }
        if keeps && self.cloud() == Cloud::Azure {
            self.keep_interface(m);
        }
    }

    fn free(&mut self, pool: u32) {
        let offer = &self.setup.catalog.offers()[pool as usize];
        self.pools[pool as usize].used -= 1;
        for id in offer.quotas.iter() {
            if let Some(quota) = self.quotas.get_mut(id) {
                quota.used -= offer.instance_type.vcpus;
            }
        }
    }

    /// On Azure a network interface stays when nobody asked for its deletion with the machine.
    fn keep_interface(&mut self, m: u32) {
        let machine = &self.machines[m as usize];
        let id =
            machine.id.replace("Microsoft.Compute/virtualMachines", "Microsoft.Network/networkInterfaces");
        let fixture = Fixture {
            kind: FixtureKind::Interface,
            id: id.into(),
            region: self.offer(machine.pool).region.clone(),
            inside: None,
            tags: self.lots[machine.lot as usize].tags.clone(),
            created: self.now,
        };
        self.put_fixture(fixture, None);
    }

    /// The id of the thing that a line is about, made of its machine's id.
    pub(crate) fn line_id(&self, line: u32) -> Arc<str> {
        let line = &self.lines[line as usize];
        let id = &self.machines[line.machine as usize].id;
        let (aws, gcp, azure) = match line.kind {
            LineKind::Instance => return id.clone(),
            LineKind::Disk => ("vol-", "/disks/", "Microsoft.Compute/disks"),
            LineKind::Address => ("eipalloc-", "/addresses/", "Microsoft.Network/publicIPAddresses"),
        };
        match self.cloud() {
            Cloud::Neutral => {
                format!("{id}-{}", if line.kind == LineKind::Disk { "disk" } else { "address" })
            }
            Cloud::Aws => id.replacen("i-", aws, 1),
            Cloud::Gcp => id.replacen("/instances/", gcp, 1),
            Cloud::Azure => id.replacen("Microsoft.Compute/virtualMachines", azure, 1),
        }
        .into()
    }
}
