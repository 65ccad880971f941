use std::time::Duration;

use rand::RngExt;
use skyfleet_core::{Error, ErrorKind, InstanceState, Market, Result, Timestamp};

use crate::catalog::Cloud;
use crate::event::{About, EventKind};
use crate::kernel::{Due, Errand, Kernel};
use crate::machine::EndCause;
use crate::order::{MachineSpec, OnReclaim};

impl Kernel {
    /// Moves the market of a pool to now; what it takes back is taken back.
    pub(crate) fn refresh(&mut self, pool: u32) {
        let now = self.now;
        let held = &mut self.pools[pool as usize];
        let Some(market) = &mut held.market else { return };
        if market.next_change().is_none_or(|at| at > now) {
            return;
        }
        let change = market.advance(now);
        let live = held.live.len() as u32;
        let above = change.capacity.map_or(0, |most| live.saturating_sub(most));
        for _ in 0..change.reclaims.max(above).min(live) {
            let live = &self.pools[pool as usize].live;
            let m = live[self.rng.random_range(0..live.len())];
            self.take_back(m);
        }
        self.stirred.insert(pool);
    }

    /// The market's moment in the agenda has come.
    pub(crate) fn market_moves(&mut self, pool: u32) {
        let held = &mut self.pools[pool as usize];
        if held.change_at == Some(self.now) {
            held.change_at = None;
            self.refresh(pool);
            self.stirred.insert(pool);
        }
    }

    /// The price may have moved: whoever is not ready to pay it is taken back.
    pub(crate) fn price_moves(&mut self, pool: u32) {
        let held = &mut self.pools[pool as usize];
        held.price_at = None;
        let Some(price) = held.price(self.now).known() else { return };
        let outbid: Vec<u32> = held.capped.iter().filter(|(_, max)| price > **max).map(|(m, _)| *m).collect();
        for m in outbid {
            self.machines[m as usize].by_price = true;
            self.take_back(m);
        }
        self.stirred.insert(pool);
    }

    /// Tells the markets of the pools that changed how many machines run, and puts what they plan
    /// into the agenda.
    pub(crate) fn tell_markets(&mut self) {
        for pool in std::mem::take(&mut self.stirred) {
            let (now, held) = (self.now, &mut self.pools[pool as usize]);
            let Some(market) = &mut held.market else { continue };
            market.set_running(held.live.len() as u32, now);
            if held.price_at.is_none() && !held.capped.is_empty() {
                held.price_at = market.next_price_change(now);
                if let Some(at) = held.price_at {
                    self.at(at, Due::Price(pool));
                }
            }
            let held = &mut self.pools[pool as usize];
            let Some(market) = &mut held.market else { continue };
            let next = market.next_change().filter(|_| !held.live.is_empty());
            if next != held.change_at {
                held.change_at = next.map(|at| at.max(now));
                if let Some(at) = held.change_at {
                    self.at(at, Due::Market(pool));
                }
            }
        }
    }

    /// The cloud decides to take a machine back: perhaps advice first, then the notice.
    fn take_back(&mut self, m: u32) {
        self.leave_seat(m);
        if let Some(rebalance) = self.setup.rules.rebalance {
            let (advised, lead) =
                (self.rng.random::<f64>() < rebalance.probability, rebalance.lead.draw(&mut self.rng));
            if advised {
                self.advised.insert(m, self.now);
                self.log(EventKind::Rebalance, About::Machine(m));
                self.at(self.now + lead, Due::Notice(m));
                return;
            }
        }
        self.give_notice(m, None);
    }

    /// The notice itself; without a lead time the cloud's own counts. `lead` is the time from the
    /// notice to the end: on Compute Engine the last part of it, up to 30 s, is the machine's stop.
    pub(crate) fn give_notice(&mut self, m: u32, lead: Option<Duration>) {
        let drawn = self.setup.rules.notice.draw(&mut self.rng);
        let ahead = self.spec(m).notice;
        let whole = lead.unwrap_or(ahead.unwrap_or_default() + drawn);
        let runs_on = ahead.map_or(Duration::ZERO, |_| whole.saturating_sub(drawn));
        let deadline = self.now + whole;
        let machine = &mut self.machines[m as usize];
        if !machine.state_at(self.now).is_alive() || machine.notice.is_some() {
            return;
        }
        machine.notice = Some((self.now, deadline));
        self.leave_seat(m);
        self.log(EventKind::Notice, About::Machine(m));
        if self.setup.rules.notice.state == InstanceState::Stopping {
            match runs_on.is_zero() {
                true => self.soft_off(m, deadline),
                false => self.at(self.now + runs_on, Due::SoftOff(m, deadline)),
            }
        }
        self.at(deadline, Due::Reclaim(m));
    }

    /// The machine begins to stop, by the notice with this deadline: its user, or an end of another
    /// kind, may have been faster.
    pub(crate) fn soft_off(&mut self, m: u32, deadline: Timestamp) {
        let machine = &self.machines[m as usize];
        let by_it = machine.notice.is_some_and(|(_, end)| end == deadline);
        if !by_it || !machine.state_at(self.now).is_alive() {
            return;
        }
        match self.on_reclaim(m) {
            OnReclaim::Terminate => self.leave(m, EndCause::Reclaimed),
            OnReclaim::Stop => self.halt(m, deadline, EndCause::Reclaimed),
        }
    }

    /// The deadline has come.
    pub(crate) fn reclaim(&mut self, m: u32) {
        let stopping = self.setup.rules.notice.state == InstanceState::Stopping;
        let machine = &self.machines[m as usize];
        if machine.notice.is_none_or(|(_, deadline)| deadline > self.now) {
            // It was stopped meanwhile, and started again.
            return;
        }
        match machine.cause {
            None if self.on_reclaim(m) == OnReclaim::Stop => self.reclaim_by_stop(m),
            None => {
                self.leave(m, EndCause::Reclaimed);
                self.log(EventKind::Reclaim, About::Machine(m));
                self.stop_process(m);
                let stop = self.setup.rules.stop.draw(&mut self.rng);
                self.machines[m as usize].ended_at = Some(self.now + stop);
                self.at(self.now + stop, Due::Gone(m));
            }
            Some(EndCause::Reclaimed) if stopping => {
                self.log(EventKind::Reclaim, About::Machine(m));
                self.stop_process(m);
                self.machines[m as usize].ended_at = Some(self.now);
                self.gone(m);
            }
            // Its user, or its expiry, was faster.
            Some(_) => {}
        }
    }

    /// A machine that was told says that it is ready: its deadline is now (Azure, Scheduled Events,
    /// `StartRequests`).
    #[cfg(feature = "server")]
    pub(crate) fn reclaim_now(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        let notice = machine.notice.filter(|(_, deadline)| *deadline > self.now);
        if let Some((given, _)) = notice.filter(|_| machine.state_at(self.now).is_alive()) {
            machine.notice = Some((given, self.now));
            self.at(self.now, Due::Reclaim(m));
        }
    }

    /// The deadline of a machine that stops has come. Where a notice is a stop already, the end of
    /// that stop is in the agenda.
    fn reclaim_by_stop(&mut self, m: u32) {
        let alive = self.machines[m as usize].state_at(self.now).is_alive();
        if !alive && self.setup.rules.notice.state != InstanceState::Stopping {
            return;
        }
        self.log(EventKind::Reclaim, About::Machine(m));
        self.stop_process(m);
        if alive {
            let stop = self.setup.rules.stop.draw(&mut self.rng);
            self.halt(m, self.now + stop, EndCause::Reclaimed);
        }
    }

    pub(crate) fn on_reclaim(&self, m: u32) -> OnReclaim {
        self.spec(m).on_reclaim
    }

    pub(crate) fn spec(&self, m: u32) -> &MachineSpec {
        &self.lots[self.machines[m as usize].lot as usize].spec
    }

    pub(crate) fn stop_process(&mut self, m: u32) {
        if self.setup.processes {
            self.errands.push(Errand::Stop(self.machines[m as usize].id.clone()));
        }
    }

    /// The fault `preempt`: one machine by its id, the nth of those that run, or some by lot.
    pub(crate) fn preempt(
        &mut self,
        id: Option<&str>,
        nth: Option<u32>,
        count: Option<u32>,
        lead: Option<Duration>,
    ) -> Result<()> {
        let mut chosen = Vec::new();
        if let Some(id) = id {
            let m = self.called(id).filter(|m| self.is_spot(*m));
            chosen.extend(m.filter(|m| self.machines[*m as usize].state_at(self.now).is_alive()));
        } else {
            let mut running: Vec<u32> = self.running_spot();
            if let Some(nth) = nth {
                chosen.extend(running.get(nth.saturating_sub(1) as usize));
            }
            for _ in 0..count.unwrap_or(0).min(running.len() as u32) {
                chosen.push(running.remove(self.rng.random_range(0..running.len())));
            }
        }
        if chosen.is_empty() {
            let which = id.map_or_else(|| "such".to_owned(), |id| format!("{id:?} as a"));
            let message = format!("there is no {which} spot instance that runs");
            return Err(Error::new(ErrorKind::NotFound, message).with("key", "instance_id"));
        }
        for m in chosen {
            self.give_notice(m, lead);
        }
        Ok(())
    }

    /// The machine with an id. Azure does not tell ids apart by their case.
    fn called(&self, id: &str) -> Option<u32> {
        let any = || self.by_id.iter().find(|(own, _)| own.eq_ignore_ascii_case(id)).map(|(_, m)| *m);
        let exact = self.by_id.get(id).copied();
        exact.or_else(|| (self.cloud() == Cloud::Azure).then(any).flatten())
    }

    pub(crate) fn is_spot(&self, m: u32) -> bool {
        self.offer(self.machines[m as usize].pool).market == Market::Spot
    }

    /// The spot machines that run and have no notice, in the order of their launch.
    fn running_spot(&self) -> Vec<u32> {
        let mut running: Vec<u32> = self
            .pools
            .iter()
            .filter(|pool| pool.market.is_some())
            .flat_map(|pool| pool.live.iter().copied())
            .filter(|m| self.machines[*m as usize].running_at <= self.now)
            .collect();
        running.sort_unstable();
        running
    }
}
