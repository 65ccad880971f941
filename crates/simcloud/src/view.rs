use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::Serialize;
use skyfleet_core::{InstanceState, OfferId, Region, Timestamp, UsdPerHour};

use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::machine::{EndCause, Lot};
use crate::tags::Tags;

/// One machine, as a list of the cloud shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineView {
    /// Its id.
    pub id: Arc<str>,
    /// Its number in the world: ascending from 0 with the launches, for ever its own.
    pub number: u32,
    /// The number of its launch.
    pub launch: u32,
    /// Its place in its launch, from 0.
    pub index: u32,
    /// What was bought.
    pub offer: OfferId,
    /// Where.
    pub region: Region,
    /// Where it stands in its life. `Stopping` is a machine that stops, and with a time in
    /// `leaving` one that ends.
    pub state: InstanceState,
    /// Why it ended, or ends.
    pub cause: Option<EndCause>,
    /// What an hour of it costs while it runs, without disk and address: as of its last start.
    pub price: UsdPerHour,
    /// What an hour of its disk and address costs.
    pub extras: UsdPerHour,
    /// The boot disk, in GiB; 0 for none.
    pub disk_gib: u32,
    /// When its launch was accepted.
    pub launched: Timestamp,
    /// When its last start was accepted: its launch, unless it was stopped and started since.
    pub started: Timestamp,
    /// When it last came up, if it has.
    pub running_at: Option<Timestamp>,
    /// When the cloud advised that it may go.
    pub advised: Option<Timestamp>,
    /// When the cloud gave notice that it takes it back. Where that is a stop at once (Compute
    /// Engine), `leaving` or `halted` says when the stop began: later, if the machine has a notice.
    pub noticed: Option<Timestamp>,
    /// When it ends by that notice.
    pub deadline: Option<Timestamp>,
    /// Whether it goes because the price rose above its own limit.
    pub by_price: bool,
    /// When it last began to stop, if it has not been started since.
    pub halted: Option<Timestamp>,
    /// Why it did.
    pub halt_cause: Option<EndCause>,
    /// When it began to end for good.
    pub leaving: Option<Timestamp>,
    /// When it ended, or will have.
    pub ended: Option<Timestamp>,
    /// Its tags: they fade some time after its end, where the cloud's do.
    pub tags: Arc<Tags>,
    /// The user's own labels.
    pub labels: Arc<Tags>,
    /// Its address inside, once it runs.
    pub private_ip: Option<IpAddr>,
    /// Its public address, if it has one.
    pub public_ip: Option<IpAddr>,
}

/// Which machines are meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whose<'a> {
    /// Only of this owner.
    pub owner: Option<&'a str>,
    /// Only of this fleet.
    pub fleet: Option<&'a str>,
    /// Only in this region.
    pub region: Option<&'a str>,
    /// Only machines in this zone; of what is no machine it says nothing.
    pub zone: Option<&'a str>,
}

/// A disk or an address without a machine: one that outlived it, or was made by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leftover {
    /// What it is.
    pub kind: LineKind,
    /// Its id.
    pub id: Arc<str>,
    /// Where it is.
    pub region: Region,
    /// Its tags.
    pub tags: Arc<Tags>,
    /// What an hour costs.
    pub price: UsdPerHour,
}

impl Kernel {
    /// The machines that a list of the cloud shows, in the order of their launch. One may be
    /// missing for a while after its launch; one that ended fades.
    pub fn machines(&self, whose: &Whose<'_>) -> Vec<MachineView> {
        self.machines_as(whose, Some)
    }

    /// The same list, each machine made into something else at once, or left out: a long list of
    /// views is never in memory.
    pub fn machines_as<T>(
        &self,
        whose: &Whose<'_>,
        mut convert: impl FnMut(MachineView) -> Option<T>,
    ) -> Vec<T> {
        let at = self.seen_at();
        let lots: Vec<u32> =
            self.lots_of(whose).into_iter().filter(|lot| self.lists(*lot, at, whose)).collect();
        // A filter hides how many there are: say it, or a list of 100,000 is moved about many times
        // while it grows.
        let most: u32 = lots.iter().map(|lot| self.lots[*lot as usize].count).sum();
        let mut views = Vec::with_capacity(most as usize);
        for index in lots {
            let mixed = self.mixed.contains(&index);
            let shown = self.lots[index as usize].machines().filter(|m| self.shows(*m, at, whose, mixed));
            views.extend(shown.filter_map(|m| convert(self.view(m, at))));
        }
        views
    }

    /// The launches that may have machines of an owner, in their order: those that were his, and
    /// those of others of which a machine may be his by now.
    fn lots_of(&self, whose: &Whose<'_>) -> Vec<u32> {
        let Some(owner) = whose.owner else { return (0..self.lots.len() as u32).collect() };
        let born = self.by_owner.get(owner).map_or(&[][..], Vec::as_slice);
        match self.mixed.is_empty() {
            true => born.to_vec(),
            false => born.iter().chain(&self.mixed).copied().collect::<BTreeSet<_>>().into_iter().collect(),
        }
    }

    /// At most so many machines of such a list, from a number on: one page, for the cost of a
    /// page. The next one begins after the last one's number.
    pub fn machines_from(&self, whose: &Whose<'_>, from: u32, most: usize) -> Vec<MachineView> {
        let at = self.seen_at();
        let first = self.lots.partition_point(|lot| lot.first + lot.count <= from);
        let lots = (first as u32..self.lots.len() as u32).filter(|lot| self.lists(*lot, at, whose));
        let machines = lots.flat_map(|index| {
            let (lot, mixed) = (&self.lots[index as usize], self.mixed.contains(&index));
            lot.machines().filter(move |m| *m >= from && self.shows(*m, at, whose, mixed))
        });
        machines.take(most).map(|m| self.view(m, at)).collect()
    }

    /// One machine, if a list of the cloud shows it.
    pub fn machine(&self, id: &str, whose: &Whose<'_>) -> Option<MachineView> {
        let (m, at) = (*self.by_id.get(id)?, self.seen_at());
        let here = whose.region.is_none_or(|region| self.region(m).as_str() == region);
        (here && self.shows(m, at, whose, true)).then(|| self.view(m, at))
    }

    /// Where a machine is, or was; `None` for an id that never was.
    pub fn region_of(&self, id: &str) -> Option<&Region> {
        let m = *self.by_id.get(id)?;
        Some(self.region(m))
    }

    fn region(&self, m: u32) -> &Region {
        &self.offer(self.machines[m as usize].pool).region
    }

    /// The user data that a machine was given; `None` for an id that never was.
    pub fn user_data(&self, id: &str) -> Option<&Arc<str>> {
        let m = *self.by_id.get(id)?;
        Some(&self.lots[self.machines[m as usize].lot as usize].spec.user_data)
    }

    /// The moment that lists show: now, or some time ago.
    fn seen_at(&self) -> Timestamp {
        self.now - self.trouble.stale()
    }

    /// Whether a list may show machines of a launch.
    fn lists(&self, index: u32, at: Timestamp, whose: &Whose<'_>) -> bool {
        let lot: &Lot = &self.lots[index as usize];
        let faded = lot.left == 0 && at >= lot.gone_at + self.setup.rules.ended_listed;
        // All machines of a launch are in one region.
        let here =
            || whose.region.is_none_or(|region| lot.count > 0 && self.region(lot.first).as_str() == region);
        !faded && here() && (whose.are(&lot.tags) || self.mixed.contains(&index))
    }

    /// Whether a list shows a machine of a region that is meant. Its tags are looked at when its
    /// launch does not tell them.
    fn shows(&self, m: u32, at: Timestamp, whose: &Whose<'_>, mixed: bool) -> bool {
        let machine = &self.machines[m as usize];
        machine.visible_at <= at
            && whose.zone.is_none_or(|zone| self.offer(machine.pool).zone.as_str() == zone)
            && machine.ended_at.is_none_or(|ended| {
                at < ended + self.setup.rules.ended_listed
                    && (!self.has_faded(machine, at) || whose.are(&Tags::new()))
            })
            && (!mixed || whose.are(self.machine_tags(m)))
    }

    pub(crate) fn view(&self, m: u32, at: Timestamp) -> MachineView {
        let machine = &self.machines[m as usize];
        let lot = &self.lots[machine.lot as usize];
        let offer = self.offer(machine.pool);
        let state = machine.state_at(at);
        let up = state > InstanceState::Pending && state < InstanceState::Terminated;
        let public = up && state != InstanceState::Stopped && lot.spec.public_ip;
        let [_, high, middle, low] = m.to_be_bytes();
        let private_ip = up.then(|| Ipv4Addr::new(10, high, middle, low).into());
        let halt = machine.halts.last();
        let extras = machine.lines.0 as usize + 1..machine.lines.1 as usize;
        MachineView {
            id: machine.id.clone(),
            number: m,
            launch: machine.lot,
            index: m - lot.first,
            offer: offer.id(),
            region: offer.region.clone(),
            state,
            cause: machine.cause,
            price: self.lines[machine.start_lines().0 as usize].price,
            extras: self.lines[extras].iter().map(|line| line.price).sum(),
            disk_gib: lot.spec.disk_gib,
            launched: lot.at,
            started: halt.and_then(|halt| halt.again).map_or(lot.at, |again| again.at),
            running_at: machine.running_since(at),
            advised: self.advised.get(&m).copied(),
            noticed: machine.notice.map(|(given, _)| given),
            deadline: machine.notice.map(|(_, deadline)| deadline),
            by_price: machine.by_price,
            halted: halt.filter(|halt| halt.again.is_none()).map(|halt| halt.from),
            halt_cause: halt.filter(|halt| halt.again.is_none()).map(|halt| halt.cause),
            leaving: machine.leaving_at,
            ended: machine.ended_at,
            tags: self.machine_tags_at(m, at).clone(),
            labels: lot.spec.labels.clone(),
            private_ip,
            public_ip: public.then(|| Self::public_ip(m)),
        }
    }

    /// The public address that a machine gets, if it gets one: in 198.18.0.0/15.
    pub(crate) fn public_ip(m: u32) -> IpAddr {
        let [_, high, middle, low] = m.to_be_bytes();
        Ipv4Addr::new(198, 18 + (high & 1), middle, low).into()
    }

    /// Disks and addresses without a machine: those that outlived theirs, and those that were made
    /// by themselves, by their id.
    pub fn leftovers(&self, whose: &Whose<'_>) -> Vec<Leftover> {
        let open = |line: &u32| self.lines[*line as usize].is_open(self.now);
        let things = self.by_thing.iter().map(|(id, thing)| (id, self.things[*thing as usize].line));
        let left = self.leftovers.iter().map(|(id, line)| (id, *line)).chain(things);
        let shown = left.filter(|(_, line)| open(line)).filter_map(|(id, line)| {
            let (shown, tags) = (&self.lines[line as usize], self.line_tags(line));
            let region = self.line_region(shown);
            whose.is(tags, region.as_str()).then(|| Leftover {
                kind: shown.kind,
                id: id.clone(),
                region: region.clone(),
                tags: tags.clone(),
                price: shown.price,
            })
        });
        shown.collect()
    }
}
