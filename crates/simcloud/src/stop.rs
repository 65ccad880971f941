use std::time::Duration;

use skyfleet_core::{InstanceState, Timestamp};

use crate::catalog::Cloud;
use crate::event::{About, EventKind};
use crate::kernel::{Due, Kernel};
use crate::ledger::LineKind;
use crate::machine::{EndCause, Halt, Restart};
use crate::order::{OnReclaim, OnShutdown};
use crate::refusal::{Closed, Refusal};

impl Kernel {
    /// Stops a machine, which can be started again. From now on it costs nothing but its disk; once
    /// it is down, its place and its quota are free. Stopping one that stops or has stopped changes
    /// nothing.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for an id that never was; [`Refusal::WrongState`] for a machine that
    /// has not come up yet or is ending; [`Refusal::Invalid`] for a spot machine that a reclaim
    /// would end (EC2: a one-time request).
    pub fn stop(&mut self, id: &str) -> Result<(), Refusal> {
        let m = self.numbered(id)?;
        match self.state_of(m) {
            (InstanceState::Stopping | InstanceState::Stopped, false) => {
                if self.machines[m as usize].keeps_place() {
                    self.log(EventKind::Stop, About::Machine(m));
                    self.give_place_up(m, EndCause::User);
                }
                Ok(())
            }
            (InstanceState::Running, _) if !self.can_stop(m) => {
                let message =
                    format!("{id} is a spot instance that ends when it is taken back: it cannot be stopped");
                Err(Refusal::Invalid { field: "instance", message })
            }
            (InstanceState::Running, _) => {
                self.stop_now(m, EndCause::User);
                Ok(())
            }
            (state, _) => Err(Refusal::WrongState { id: id.to_owned(), state, action: "stop" }),
        }
    }

    /// Shuts the system of a machine down, which keeps its place and costs what it costs (Azure:
    /// `powerOff`). Doing so to one that stops or has stopped changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for an id that never was; [`Refusal::WrongState`] for a machine that has
    /// not come up yet or is ending.
    pub fn power_off(&mut self, id: &str) -> Result<(), Refusal> {
        let m = self.numbered(id)?;
        match self.state_of(m) {
            (InstanceState::Stopping | InstanceState::Stopped, false) => Ok(()),
            (InstanceState::Running, _) => {
                self.shut_down(m, EndCause::User);
                Ok(())
            }
            (state, _) => Err(Refusal::WrongState { id: id.to_owned(), state, action: "power off" }),
        }
    }

    /// Starts a machine that was stopped, at today's price. Starting one that comes up or runs
    /// changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for an id that never was; [`Refusal::WrongState`] for a machine that is
    /// going down or has ended; [`Refusal::Full`] when its pool or its quota has no room.
    pub fn start(&mut self, id: &str) -> Result<(), Refusal> {
        let m = self.numbered(id)?;
        match self.state_of(m) {
            (InstanceState::Pending | InstanceState::Running, _) => Ok(()),
            (InstanceState::Stopped, _) if self.machines[m as usize].keeps_place() => {
                self.wake(m);
                Ok(())
            }
            (InstanceState::Stopped, _) => self.start_again(m).map_err(Refusal::Full),
            (state, _) => Err(Refusal::WrongState { id: id.to_owned(), state, action: "start" }),
        }
    }

    /// Restarts a machine without stopping it (Compute Engine: `reset`): lists show nothing of it,
    /// but its process begins anew, if its script is for each boot, and ends otherwise.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for an id that never was; [`Refusal::WrongState`] for a machine that
    /// does not run.
    pub fn reboot(&mut self, id: &str) -> Result<(), Refusal> {
        let m = self.numbered(id)?;
        let (state, _) = self.state_of(m);
        if state != InstanceState::Running {
            return Err(Refusal::WrongState { id: id.to_owned(), state, action: "reset" });
        }
        self.stop_process(m);
        if self.spec(m).each_boot {
            self.machines[m as usize].booted = false;
            self.plan_boot(m, self.now);
        }
        Ok(())
    }

    /// The system of a machine shuts down by itself after a while, as a command in it said.
    pub(crate) fn plan_shutdown(&mut self, id: &str, after: Duration) {
        let Some(&m) = self.by_id.get(id) else { return };
        let at = self.now + after;
        self.shutdowns.insert(m, at);
        if after.is_zero() {
            return self.shutdown_comes(m);
        }
        self.at(at, Due::Shutdown(m));
    }

    /// The same at a second of the day, in UTC: the next one of that name.
    pub(crate) fn plan_shutdown_at(&mut self, id: &str, second: u32) {
        const DAY: i64 = 86_400;
        let wait = (i64::from(second) - self.now.as_second()).rem_euclid(DAY);
        self.plan_shutdown(id, Duration::from_secs(wait.unsigned_abs()));
    }

    /// A command in the machine took a planned shutdown back.
    pub(crate) fn cancel_shutdown(&mut self, id: &str) {
        if let Some(m) = self.by_id.get(id) {
            self.shutdowns.remove(m);
        }
    }

    /// The moment of a planned shutdown has come, unless it was taken back or put off.
    pub(crate) fn shutdown_comes(&mut self, m: u32) {
        if self.shutdowns.get(&m).is_none_or(|at| *at > self.now) {
            return;
        }
        self.shutdowns.remove(&m);
        if !self.machines[m as usize].state_at(self.now).is_alive() {
            return;
        }
        let lot = self.machines[m as usize].lot;
        match self.lots[lot as usize].spec.on_shutdown {
            OnShutdown::Stop if self.bills_stopped() => self.shut_down(m, EndCause::Shutdown),
            OnShutdown::Stop if self.can_stop(m) => self.stop_now(m, EndCause::Shutdown),
            _ => self.end(m, EndCause::Shutdown),
        }
    }

    /// The machine goes down: from here on it is not paid, and an automatic address is gone.
    pub(crate) fn halt(&mut self, m: u32, down_at: Timestamp, cause: EndCause) {
        self.leave_seat(m);
        self.close_start(m, cause == EndCause::Reclaimed);
        if !self.keeps_address(m) {
            let open = |line: &u32| {
                let line = &self.lines[*line as usize];
                line.kind == LineKind::Address && line.until.is_none()
            };
            for line in self.lines_of(m).filter(open).collect::<Vec<_>>() {
                self.lines[line as usize].until = Some(self.now);
            }
        }
        let (from, each_boot) = (self.now, self.spec(m).each_boot);
        let machine = &mut self.machines[m as usize];
        machine.booted &= !each_boot;
        let (notice, by_price) = (machine.notice, machine.by_price);
        machine.halts.push(Halt { from, down_at, cause, notice, by_price, keeps_place: false, again: None });
        self.at(down_at, Due::Halted(m));
    }

    /// The machine's system goes down, and nothing else.
    fn shut_down(&mut self, m: u32, cause: EndCause) {
        self.log(EventKind::Stop, About::Machine(m));
        self.stop_process(m);
        self.leave_seat(m);
        let (from, each_boot) = (self.now, self.spec(m).each_boot);
        let down_at = from + self.setup.rules.stop.draw(&mut self.rng);
        let machine = &mut self.machines[m as usize];
        machine.booted &= !each_boot;
        let (notice, by_price) = (machine.notice, machine.by_price);
        machine.halts.push(Halt { from, down_at, cause, notice, by_price, keeps_place: true, again: None });
    }

    /// The machine is down: its place and its quota are free. One that was ended meanwhile keeps
    /// them until it is gone.
    pub(crate) fn halted(&mut self, m: u32) {
        if self.machines[m as usize].leaving_at.is_none() {
            self.free(m, false);
            self.stirred.insert(self.machines[m as usize].pool);
        }
    }

    pub(crate) fn stop_now(&mut self, m: u32, cause: EndCause) {
        self.log(EventKind::Stop, About::Machine(m));
        self.stop_process(m);
        self.give_place_up(m, cause);
    }

    fn give_place_up(&mut self, m: u32, cause: EndCause) {
        let stop = self.setup.rules.stop.draw(&mut self.rng);
        self.halt(m, self.now + stop, cause);
    }

    fn start_again(&mut self, m: u32) -> Result<(), Closed> {
        let (pool, lot) = (self.machines[m as usize].pool, self.machines[m as usize].lot);
        self.refresh(pool);
        let price_max = self.caps.get(&m).copied();
        // Its own quota is no reason to refuse it.
        let keeps_quota = self.setup.rules.stop_keeps_quota;
        if keeps_quota {
            self.draw_quotas(pool, true);
        }
        if let (0, Some(why)) = self.room(pool, price_max, 1) {
            if keeps_quota {
                self.draw_quotas(pool, false);
            }
            return Err(why);
        }
        self.occupy(pool, 1, false);
        let (now, boot, prices) = (self.now, self.boot_delay(), self.prices(pool, 0));
        let running_at = now + boot.draw(&mut self.rng);
        let first = self.lines.len() as u32;
        self.open_line(LineKind::Instance, m, prices.instance, running_at);
        if self.lots[lot as usize].spec.public_ip && !self.keeps_address(m) {
            self.open_line(LineKind::Address, m, prices.address, now);
        }
        self.begin_again(m, running_at, (first, self.lines.len() as u32));
        Ok(())
    }

    /// A machine that kept its place comes up again.
    fn wake(&mut self, m: u32) {
        let running_at = self.now + self.boot_delay().draw(&mut self.rng);
        let lines = self.machines[m as usize].start_lines();
        self.begin_again(m, running_at, lines);
    }

    fn begin_again(&mut self, m: u32, running_at: Timestamp, lines: (u32, u32)) {
        let (now, price_max) = (self.now, self.caps.remove(&m));
        self.take_seat(m, price_max);
        self.advised.remove(&m);
        self.shutdowns.remove(&m);
        let machine = &mut self.machines[m as usize];
        (machine.notice, machine.by_price, machine.placed) = (None, false, true);
        if let Some(halt) = machine.halts.last_mut() {
            halt.again = Some(Restart { at: now, running_at, lines });
        }
        self.log(EventKind::Start, About::Machine(m));
        self.plan_run(m, running_at);
        // Unless they are for each boot, user data run once in the life of a machine (cloud-init):
        // here only if the first start ended before they began.
        if !self.machines[m as usize].booted {
            self.plan_boot(m, running_at);
        }
    }

    /// Whether a stopped machine costs money until its place is given up.
    fn bills_stopped(&self) -> bool {
        self.setup.rules.billing.states.contains(&InstanceState::Stopped)
    }

    fn can_stop(&self, m: u32) -> bool {
        self.setup.rules.stops_spot || !self.is_spot(m) || self.on_reclaim(m) == OnReclaim::Stop
    }

    /// An address of its own stays with a machine that stops.
    fn keeps_address(&self, m: u32) -> bool {
        // On Azure it is a resource, which goes with its machine at most when that is deleted.
        let stays = self.cloud() == Cloud::Azure || !self.spec(m).goes().address;
        self.setup.rules.address_stays && stays
    }

    fn numbered(&self, id: &str) -> Result<u32, Refusal> {
        self.by_id.get(id).copied().ok_or_else(|| Refusal::Unknown {
            what: "instance",
            name: id.to_owned(),
            nearest: Vec::new(),
        })
    }

    /// Where a machine stands, and whether it is ending for good.
    fn state_of(&self, m: u32) -> (InstanceState, bool) {
        let machine = &self.machines[m as usize];
        (machine.state_at(self.now), machine.leaving_at.is_some())
    }
}
