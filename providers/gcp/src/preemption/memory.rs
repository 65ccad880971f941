//! What the last looks at a fleet showed: a memory, not the truth. Without it everything is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skyfleet_core::{Cursor, Instance, InstanceId, InstanceState, Selector, Timestamp};

use super::UNREAD_MAX;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By selection.
    looks: BTreeMap<String, Look>,
    /// Who was taken back although no operation says it, and when that began.
    inferred: BTreeMap<InstanceId, Timestamp>,
    /// Whom a caller of ours ended.
    ended: BTreeSet<InstanceId>,
}

#[derive(Debug)]
struct Look {
    /// The cursor that was given.
    next: Cursor,
    /// When the operations were read.
    read: Timestamp,
    /// Who lived, and until when at most.
    alive: BTreeMap<InstanceId, Option<Timestamp>>,
    /// Who was alive at a look and is not there any more, and since when.
    lost: BTreeMap<InstanceId, Timestamp>,
}

/// How many are remembered to have been ended by us: the newest names of two large fleets.
const ENDED_MAX: usize = 20_000;

/// How many selections are remembered.
const LOOKS_MAX: usize = 256;

impl Memory {
    /// Whether a look shows that nobody went since the last one, which ended at this cursor.
    pub(super) fn is_quiet(
        &self,
        selector: &Selector,
        after: &Cursor,
        listed: &BTreeMap<InstanceId, Instance>,
        now: Timestamp,
    ) -> bool {
        let mut state = self.lock();
        let State { looks, ended, .. } = &mut *state;
        let Some(look) = looks.get_mut(&key(selector)) else { return false };
        if look.next != *after || look.read + UNREAD_MAX <= now || !look.lost.is_empty() {
            return false;
        }
        let alive = alive(listed);
        let gone = look.alive.keys().filter(|id| !alive.contains_key(*id) && !ended.contains(*id));
        let goes = |instance: &Instance| !is_alive(instance.state) && !ended.contains(&instance.id);
        if gone.count() > 0 || listed.values().any(goes) {
            return false;
        }
        look.alive = alive;
        true
    }

    /// Keeps what a look showed.
    pub(super) fn looked(
        &self,
        selector: &Selector,
        next: &Cursor,
        listed: &BTreeMap<InstanceId, Instance>,
        now: Timestamp,
    ) {
        let mut state = self.lock();
        let lost = state.looks.remove(&key(selector)).map(|look| look.lost).unwrap_or_default();
        if state.looks.len() >= LOOKS_MAX {
            state.looks.clear();
        }
        let look = Look { next: next.clone(), read: now, alive: alive(listed), lost };
        state.looks.insert(key(selector), look);
    }

    /// Who was there at the last look and is not now, and neither an operation nor a caller of
    /// ours nor the end of its time says why; since when.
    pub(super) fn lost(
        &self,
        selector: &Selector,
        listed: &BTreeMap<InstanceId, Instance>,
        notices: &BTreeMap<InstanceId, Timestamp>,
        now: Timestamp,
    ) -> BTreeMap<InstanceId, Timestamp> {
        let mut state = self.lock();
        let State { looks, inferred, ended } = &mut *state;
        let Some(look) = looks.get_mut(&key(selector)) else { return BTreeMap::new() };
        for (id, expires) in &look.alive {
            let in_time = expires.is_none_or(|expires| now < expires);
            if !listed.contains_key(id) && in_time {
                look.lost.entry(id.clone()).or_insert(whole(now));
            }
        }
        look.lost.retain(|id, _| {
            let explained = notices.contains_key(id) || ended.contains(id) || inferred.contains_key(id);
            !explained && !listed.contains_key(id)
        });
        look.lost.clone()
    }

    /// Somebody was taken back, whatever the operations say.
    pub(super) fn infer(&self, id: InstanceId, notice: Timestamp) {
        self.lock().inferred.insert(id, notice);
    }

    /// Somebody else ended it.
    pub(super) fn explained(&self, id: &InstanceId) {
        for look in self.lock().looks.values_mut() {
            look.lost.remove(id);
        }
    }

    pub(super) fn inferred(&self) -> BTreeMap<InstanceId, Timestamp> {
        self.lock().inferred.clone()
    }

    /// A caller of ours ended these.
    pub(crate) fn ended<'a>(&self, ids: impl IntoIterator<Item = &'a InstanceId>) {
        let mut state = self.lock();
        if state.ended.len() > ENDED_MAX {
            // What is asked again is only asked: nothing is told wrong.
            state.ended.clear();
        }
        state.ended.extend(ids.into_iter().cloned());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(selector: &Selector) -> String {
    let Selector { owner, fleet, ids } = selector;
    let fleet = fleet.as_ref().map_or("", |fleet| fleet.as_str());
    let ids: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
    format!("{owner} {fleet} {}", ids.join(" "))
}

fn is_alive(state: InstanceState) -> bool {
    matches!(state, InstanceState::Pending | InstanceState::Running)
}

fn alive(listed: &BTreeMap<InstanceId, Instance>) -> BTreeMap<InstanceId, Option<Timestamp>> {
    let alive = listed.values().filter(|instance| is_alive(instance.state));
    alive.map(|instance| (instance.id.clone(), instance.expires)).collect()
}

fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use skyfleet_core::{FleetName, Market, OfferId, Owner, Price, Token};

    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn selector() -> Selector {
        Selector::owner(&Owner::parse("ada").unwrap())
    }

    fn listed(states: &[(&str, InstanceState)]) -> BTreeMap<InstanceId, Instance> {
        let (owner, fleet) = (Owner::parse("ada").unwrap(), FleetName::parse("words").unwrap());
        let instance = |(id, state): &(&str, InstanceState)| Instance {
            id: (*id).into(),
            owner: owner.clone(),
            fleet: fleet.clone(),
            token: Token::derive(&owner, &fleet, 0),
            offer: OfferId { zone: "z".into(), instance_type: "t".into(), market: Market::Spot },
            region: "r".into(),
            state: *state,
            price: Price::Unknown,
            launched: second(0),
            labels: Arc::default(),
            expires: None,
            private_ip: None,
            public_ip: None,
        };
        states.iter().map(instance).map(|instance| (instance.id.clone(), instance)).collect()
    }

    #[test]
    fn a_look_is_quiet_only_while_nobody_goes() {
        let memory = Memory::default();
        let (here, cursor) = (selector(), Cursor::new("c"));
        let two = listed(&[("a", InstanceState::Running), ("b", InstanceState::Pending)]);
        assert!(!memory.is_quiet(&here, &cursor, &two, second(0)), "nothing is known yet");
        memory.looked(&here, &cursor, &two, second(0));
        let three = listed(&[
            ("a", InstanceState::Running),
            ("b", InstanceState::Running),
            ("c", InstanceState::Pending),
        ]);
        assert!(memory.is_quiet(&here, &cursor, &three, second(5)), "one more");
        assert!(!memory.is_quiet(&here, &cursor, &two, second(10)), "c went");
        let stopping = listed(&[
            ("a", InstanceState::Running),
            ("b", InstanceState::Stopping),
            ("c", InstanceState::Running),
        ]);
        assert!(!memory.is_quiet(&here, &cursor, &stopping, second(10)));
        assert!(!memory.is_quiet(&here, &Cursor::start(), &three, second(10)), "another reader");
        assert!(
            !memory.is_quiet(&here, &cursor, &three, second(60)),
            "the operations were not read for long"
        );
        memory.ended([&InstanceId::from("c")]);
        assert!(memory.is_quiet(&here, &cursor, &two, second(10)), "its user ended it");
    }

    #[test]
    fn who_is_gone_without_a_word_is_lost_until_it_is_explained() {
        let memory = Memory::default();
        let (here, cursor) = (selector(), Cursor::new("c"));
        let names = ["a", "b", "c"];
        memory.looked(&here, &cursor, &listed(&names.map(|id| (id, InstanceState::Running))), second(0));
        memory.ended([&InstanceId::from("b")]);
        let notices = BTreeMap::from([(InstanceId::from("c"), second(3))]);
        let lost = memory.lost(&here, &listed(&[]), &notices, second(5));
        assert_eq!(lost, BTreeMap::from([("a".into(), second(5))]));
        memory.looked(&here, &cursor, &listed(&[]), second(5));
        let lost = memory.lost(&here, &listed(&[]), &notices, second(95));
        assert_eq!(lost, BTreeMap::from([("a".into(), second(5))]), "since it was missed first");
        memory.infer("a".into(), second(1));
        assert!(memory.lost(&here, &listed(&[]), &notices, second(100)).is_empty());
        assert_eq!(memory.inferred(), BTreeMap::from([("a".into(), second(1))]));
    }
}
