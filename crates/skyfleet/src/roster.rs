use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skyfleet_core::{Instance, InstanceId, OfferId, Preemption, PreemptionKind, Timestamp};

use crate::policy::Ended;
use crate::{EventKind, Slot};

/// How long a new instance may be missing from a list, and how long one that was there must be
/// missing before its absence proves anything. The clouds need seconds; this is patient.
pub const VISIBILITY_GRACE: Duration = Duration::from_secs(60);

/// How long facts about ended instances are kept against lists that lag behind.
const LAG_MAX: Duration = Duration::from_secs(600);

/// How late a cloud may say why an instance is gone: Azure's log of evictions is minutes behind its
/// lists, twenty at most.
const EXPLAINED_MAX: Duration = Duration::from_secs(1_800);

/// What supervision knows of a fleet: who holds which slot, who is leaving, what is being bought.
///
/// It changes only by what is told to it; see [`step`](crate::step).
#[derive(Clone, Debug, Default)]
pub struct Roster {
    pub(crate) places: Vec<Place>,
    /// Everybody who is alive as far as we know, and the slot that it holds or held.
    pub(crate) seats: BTreeMap<InstanceId, u32>,
    /// Who was told its end and has handed its slot over already.
    pub(crate) leaving: BTreeMap<InstanceId, Leaving>,
    /// Proven ends, kept for a while: a list that lags still shows them alive.
    pub(crate) ended: BTreeMap<InstanceId, Timestamp>,
    /// Who vanished without a reason so far: its slot, what it was, and when.
    unexplained: BTreeMap<InstanceId, (u32, OfferId, Timestamp)>,
    /// Whom we gave back, and when it was last asked for.
    pub(crate) released: BTreeMap<InstanceId, Timestamp>,
    /// Launches without an answer yet: their instances belong to the slots they were sent for.
    pub(crate) attempts_open: BTreeSet<u32>,
    /// Preemptions of instances whose launch has not answered yet.
    early: BTreeMap<InstanceId, Preemption>,
    pub(crate) interruptions: BTreeMap<OfferId, Vec<Timestamp>>,
    pub(crate) replacing_stopped: bool,
    /// The places of the last list, in the order of ids.
    pub(crate) order: Vec<u32>,
}

/// A slot, and what is known beside it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) slot: Slot,
    /// Its holder was told its end.
    pub(crate) doomed: bool,
    /// Its holder was seen running.
    pub(crate) running: bool,
    /// Since when its holder is missing from the lists.
    pub(crate) missing: Option<Timestamp>,
    /// A launch for it is under way.
    pub(crate) filling: bool,
    /// Since when it wants an instance.
    pub(crate) wanted: Option<Timestamp>,
    /// It is not filled before.
    pub(crate) not_before: Option<Timestamp>,
    /// Who held it before, when the slot is empty.
    before: Option<InstanceId>,
    pub(crate) ended: Vec<Ended>,
}

#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    pub(crate) offer: OfferId,
    pub(crate) since: Timestamp,
}

impl Roster {
    /// A fleet of this many empty slots.
    pub fn new(target: u32) -> Self {
        let place = |index| Place {
            slot: Slot { index, instance: None, generation: 0 },
            doomed: false,
            running: false,
            missing: None,
            filling: false,
            wanted: None,
            not_before: None,
            before: None,
            ended: Vec::new(),
        };
        Self { places: (0..target).map(place).collect(), ..Self::default() }
    }

    /// The slots, by number.
    pub fn slots(&self) -> Vec<Slot> {
        self.places.iter().map(|place| place.slot.clone()).collect()
    }

    /// How many instances hold a slot.
    pub fn held(&self) -> u32 {
        self.places.iter().filter(|place| place.slot.instance.is_some()).count() as u32
    }

    /// Whether this instance is known: it holds a slot, is leaving, was given back, or has ended.
    pub fn knows(&self, instance: &InstanceId) -> bool {
        self.seats.contains_key(instance)
            || self.ended.contains_key(instance)
            || self.released.contains_key(instance)
    }

    /// The slots without a holder and without a launch under way, lowest first.
    pub fn empty(&self) -> Vec<u32> {
        let open = |place: &&Place| place.slot.instance.is_none() && !place.filling;
        self.places.iter().filter(open).map(|place| place.slot.index).collect()
    }

    /// Marks slots as being filled by a launch: until [`Roster::settle`] nobody else fills them.
    pub fn launching(&mut self, attempt: u32, slots: &[u32]) {
        self.attempts_open.insert(attempt);
        for &slot in slots {
            if let Some(place) = self.places.get_mut(slot as usize) {
                place.filling = true;
            }
        }
    }

    /// Takes the answer of a launch: its instances take the slots in order, and what is left of
    /// the slots may be filled again, not before `retry_at`. Instances beyond the slots are seen as
    /// strays by the next look.
    pub fn settle(
        &mut self,
        attempt: u32,
        slots: &[u32],
        instances: Vec<Instance>,
        now: Timestamp,
        retry_at: Timestamp,
    ) -> Vec<EventKind> {
        let mut events = Vec::new();
        self.attempts_open.remove(&attempt);
        let mut instances = instances
            .into_iter()
            .filter(|i| i.state.is_alive() && !self.knows(&i.id))
            .collect::<Vec<_>>()
            .into_iter();
        for &slot in slots {
            let Some(place) = self.places.get_mut(slot as usize) else { continue };
            place.filling = false;
            match instances.next() {
                Some(instance) => self.seat(slot, instance, now, &mut events),
                None => place.not_before = Some(retry_at),
            }
        }
        if self.attempts_open.is_empty() {
            self.early.clear();
        }
        events
    }

    /// Gives living instances that nobody knows yet the empty slots: lowest slots to those launched
    /// first, so that every successor seats them alike. Answers how many were seated.
    pub fn adopt(&mut self, listed: &[Instance], now: Timestamp, events: &mut Vec<EventKind>) -> u32 {
        let mut strangers: Vec<&Instance> =
            listed.iter().filter(|i| i.state.is_alive() && !self.knows(&i.id)).collect();
        strangers.sort_by(|a, b| (a.launched, &a.id).cmp(&(b.launched, &b.id)));
        let pairs: Vec<_> = self.empty().into_iter().zip(strangers).collect();
        for (slot, instance) in &pairs {
            self.seat(*slot, (*instance).clone(), now, events);
        }
        pairs.len() as u32
    }

    /// Puts an instance into a slot. A holder that was told its end hands the slot over and is
    /// watched until it is gone.
    pub(crate) fn seat(
        &mut self,
        slot: u32,
        instance: Instance,
        now: Timestamp,
        events: &mut Vec<EventKind>,
    ) {
        let Some(place) = self.places.get_mut(slot as usize) else { return };
        let old = place.slot.instance.take();
        let replaces = old.as_ref().map(|old| old.id.clone()).or_else(|| place.before.take());
        if let Some(old) = old {
            self.leaving.insert(old.id, Leaving { offer: old.offer, since: now });
        }
        events.push(EventKind::Filled {
            slot,
            instance: instance.id.clone(),
            offer: instance.offer.clone(),
            price: instance.price,
            replaces,
        });
        self.seats.insert(instance.id.clone(), slot);
        let early = self.early.remove(&instance.id);
        place.slot.generation += 1;
        place.slot.instance = Some(instance);
        (place.doomed, place.running, place.missing) = (false, false, None);
        (place.wanted, place.not_before) = (None, None);
        if let Some(preemption) = early {
            self.preempted(&preemption, events);
        }
    }

    /// Takes note of one step of a preemption.
    pub(crate) fn preempted(&mut self, preemption: &Preemption, events: &mut Vec<EventKind>) {
        let instance = &preemption.instance;
        let Some(&slot) = self.seats.get(instance) else {
            if preemption.kind == PreemptionKind::Reclaimed && self.explained(instance, events) {
                return;
            }
            if !self.attempts_open.is_empty() && preemption.kind != PreemptionKind::Rebalance {
                self.early.insert(instance.clone(), preemption.clone());
            }
            return;
        };
        let holds = !self.leaving.contains_key(instance);
        match preemption.kind {
            PreemptionKind::Rebalance if holds => {
                events.push(EventKind::Rebalance { slot, instance: instance.clone() });
            }
            PreemptionKind::Notice if holds => {
                let place = &mut self.places[slot as usize];
                if place.doomed {
                    return;
                }
                place.doomed = true;
                if let Some(holder) = &place.slot.instance {
                    let offer = holder.offer.clone();
                    place.ended.push(Ended { offer: offer.clone(), at: preemption.at, preempted: true });
                    self.interruptions.entry(offer).or_default().push(preemption.at);
                }
                let deadline = preemption.deadline;
                events.push(EventKind::Notice { slot, instance: instance.clone(), deadline });
            }
            PreemptionKind::Reclaimed => self.gone(instance, true, preemption.at, events),
            PreemptionKind::Rebalance | PreemptionKind::Notice => {}
        }
    }

    /// Takes note of why an instance vanished that was replaced before the cloud said it.
    fn explained(&mut self, instance: &InstanceId, events: &mut Vec<EventKind>) -> bool {
        let Some((slot, offer, at)) = self.unexplained.remove(instance) else { return false };
        let ended = self.places.get_mut(slot as usize).into_iter().flat_map(|place| &mut place.ended);
        for ended in ended.filter(|ended| ended.at == at && ended.offer == offer) {
            ended.preempted = true;
        }
        self.interruptions.entry(offer.clone()).or_default().push(at);
        events.push(EventKind::Preempted { slot, instance: instance.clone(), offer });
        true
    }

    /// An instance has ended: it leaves its slot, if it still holds it.
    pub(crate) fn gone(
        &mut self,
        instance: &InstanceId,
        preempted: bool,
        at: Timestamp,
        events: &mut Vec<EventKind>,
    ) {
        let Some(slot) = self.seats.remove(instance) else { return };
        let id = instance.clone();
        self.ended.insert(id.clone(), at);
        if let Some(leaving) = self.leaving.remove(instance) {
            events.push(EventKind::Preempted { slot, instance: id, offer: leaving.offer });
            return;
        }
        let place = &mut self.places[slot as usize];
        let Some(holder) = place.slot.instance.take() else { return };
        if preempted && !place.doomed {
            self.interruptions.entry(holder.offer.clone()).or_default().push(at);
        }
        let preempted = preempted || place.doomed;
        if !place.doomed {
            place.ended.push(Ended { offer: holder.offer.clone(), at, preempted });
        }
        (place.doomed, place.running, place.missing) = (false, false, None);
        place.before = Some(holder.id);
        events.push(if preempted {
            EventKind::Preempted { slot, instance: id, offer: holder.offer }
        } else {
            self.unexplained.insert(id.clone(), (slot, holder.offer, at));
            EventKind::Lost { slot, instance: id }
        });
    }

    /// Forgets what only matters against lists that lag, once it is old.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let since = now - LAG_MAX;
        self.ended.retain(|_, at| *at >= since);
        self.unexplained.retain(|_, (.., at)| *at >= now - EXPLAINED_MAX);
        self.released.retain(|_, at| *at >= since);
    }

    /// Takes note that an instance is given back.
    pub(crate) fn release(&mut self, instance: &InstanceId, now: Timestamp) {
        self.released.insert(instance.clone(), now);
        self.leaving.remove(instance);
        if let Some(slot) = self.seats.remove(instance)
            && let Some(place) = self.places.get_mut(slot as usize)
            && place.slot.instance.as_ref().is_some_and(|holder| holder.id == *instance)
        {
            place.slot.instance = None;
            (place.doomed, place.running, place.missing) = (false, false, None);
        }
    }

    /// Everybody who is alive as far as we know.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &InstanceId> {
        self.seats.keys()
    }
}
