use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, ErrorKind, Offer, OfferId, Scope, Timestamp};

/// How long a scope without capacity is closed at first.
const NO_CAPACITY: Duration = Duration::from_secs(3 * 60);
/// How long a scope whose quota is full is closed at first.
const QUOTA_FULL: Duration = Duration::from_secs(10 * 60);
/// How long a scope is closed at most, and a quota of zero at once. A scope that stayed open for
/// this long after its last failure is forgotten.
const CLOSED_MAX: Duration = Duration::from_secs(60 * 60);
/// How many scopes are remembered; beyond it the ones that open first are forgotten.
const SCOPES_MAX: usize = 4_096;

/// What was learned about capacity: which scopes are closed, and until when.
///
/// An error closes its own scope and nothing wider: 3 minutes for `NoCapacity`, 10 for
/// `QuotaExceeded`, an hour for a quota whose limit is zero (the error's fact `limit` or
/// `limit_vcpus` is `0`). When the time is over the scope is half open: it may be bought from again,
/// and the next failure there closes it for twice as long, up to an hour, while a success forgets
/// it. Failures that arrive while a scope is closed say the same thing once more and do not make it
/// longer.
///
/// Time is only what is passed in. It serializes, so that it can outlive a process or be shared.
///
/// ```
/// use skyfleet::CapacityMemory;
/// use skyfleet::core::{Error, ErrorKind, Scope, Timestamp};
/// use std::time::Duration;
/// let now = Timestamp::UNIX_EPOCH;
/// let mut memory = CapacityMemory::default();
/// let error = Error::new(ErrorKind::NoCapacity, "dry").closing(Scope::Zone("us-east-1a".into()));
/// memory.note(&error, now);
/// let (scope, until) = memory.closed_scopes(now).next().unwrap();
/// assert_eq!((scope.to_string(), until), ("zone us-east-1a".into(), now + Duration::from_secs(180)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct CapacityMemory {
    scopes: BTreeMap<Scope, Closure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Closure {
    until: Timestamp,
    /// How many times in a row it was found dry.
    failures: u32,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    scope: Scope,
    #[serde(flatten)]
    closure: Closure,
}

impl CapacityMemory {
    /// Learns from an error: `NoCapacity` and `QuotaExceeded` close their scope, others nothing.
    pub fn note(&mut self, error: &Error, now: Timestamp) {
        let (Some(scope), Some(first)) = (error.scope(), first_closure(error)) else { return };
        let failures = match self.scopes.get(scope) {
            Some(known) if known.until > now => known.failures,
            Some(known) if known.until + CLOSED_MAX > now => known.failures.saturating_add(1),
            _ => 1,
        };
        let time = first.saturating_mul(1 << (failures - 1).min(16)).min(CLOSED_MAX);
        let until = now + time;
        let closure = self.scopes.entry(scope.clone()).or_insert(Closure { until, failures });
        *closure = Closure { until: closure.until.max(until), failures };
        if self.scopes.len() > SCOPES_MAX {
            self.forget(now);
        }
    }

    /// Learns that an instance was obtained: no scope that covers its offer is closed any more.
    pub fn note_success(&mut self, offer: &Offer) {
        if !self.scopes.is_empty() {
            for scope in covering(offer) {
                self.scopes.remove(&scope);
            }
        }
    }

    /// Whether an offer is closed now: by which scope (the one that opens last), and until when.
    pub fn closed(&self, offer: &Offer, now: Timestamp) -> Option<(&Scope, Timestamp)> {
        self.known(offer)
            .filter(|(_, closure)| closure.until > now)
            .map(|(s, c)| (s, c.until))
            .max_by_key(|c| c.1)
    }

    /// Whether an offer is half open: it was closed, may be tried again, and has not proven itself
    /// since. It is worth one instance, not a whole fleet.
    pub fn probing(&self, offer: &Offer, now: Timestamp) -> bool {
        let mut any = false;
        for (_, closure) in self.known(offer) {
            if closure.until > now {
                return false;
            }
            any |= closure.until + CLOSED_MAX > now;
        }
        any
    }

    /// Everything that is closed now, and until when.
    pub fn closed_scopes(&self, now: Timestamp) -> impl Iterator<Item = (&Scope, Timestamp)> {
        self.scopes.iter().filter(move |(_, c)| c.until > now).map(|(scope, c)| (scope, c.until))
    }

    /// Everything that is half open now.
    pub fn probing_scopes(&self, now: Timestamp) -> impl Iterator<Item = &Scope> {
        let half_open = move |c: &Closure| c.until <= now && c.until + CLOSED_MAX > now;
        self.scopes.iter().filter(move |(_, c)| half_open(c)).map(|(scope, _)| scope)
    }

    fn known(&self, offer: &Offer) -> impl Iterator<Item = (&Scope, &Closure)> {
        let covering = if self.scopes.is_empty() { Vec::new() } else { covering(offer) };
        covering.into_iter().filter_map(|scope| self.scopes.get_key_value(&scope))
    }

    /// Drops what is over for long, and then, until a quarter is free, what opens first.
    fn forget(&mut self, now: Timestamp) {
        self.scopes.retain(|_, closure| closure.until + CLOSED_MAX > now);
        let keep = SCOPES_MAX * 3 / 4;
        if self.scopes.len() > keep {
            let mut ends: Vec<Timestamp> = self.scopes.values().map(|c| c.until).collect();
            ends.sort_unstable();
            let oldest = ends[ends.len() - keep];
            self.scopes.retain(|_, closure| closure.until > oldest);
        }
    }
}

/// Every scope that an offer lies in.
fn covering(offer: &Offer) -> Vec<Scope> {
    let id = offer.id();
    let mut scopes = vec![
        Scope::TypeInZone(id.instance_type.clone(), id.zone.clone()),
        Scope::Zone(id.zone.clone()),
        Scope::MarketInRegion(id.market, offer.region.clone()),
        Scope::Region(offer.region.clone()),
        Scope::Account,
        Scope::Offer(OfferId { ..id }),
    ];
    scopes.extend(offer.quotas.iter().map(|draw| Scope::Quota(draw.quota.clone())));
    scopes
}

/// For how long an error closes its scope the first time; `None` when it says nothing of capacity.
fn first_closure(error: &Error) -> Option<Duration> {
    let zero = |key| error.fact(key) == Some("0");
    match error.kind() {
        ErrorKind::NoCapacity => Some(NO_CAPACITY),
        ErrorKind::QuotaExceeded if zero("limit") || zero("limit_vcpus") => Some(CLOSED_MAX),
        ErrorKind::QuotaExceeded => Some(QUOTA_FULL),
        _ => None,
    }
}

impl From<Vec<Entry>> for CapacityMemory {
    fn from(entries: Vec<Entry>) -> Self {
        Self { scopes: entries.into_iter().map(|e| (e.scope, e.closure)).collect() }
    }
}

impl From<CapacityMemory> for Vec<Entry> {
    fn from(memory: CapacityMemory) -> Self {
        memory.scopes.into_iter().map(|(scope, closure)| Entry { scope, closure }).collect()
    }
}

#[cfg(test)]
mod tests {
    use skyfleet_core::{Arch, Availability, Draw, InstanceType, Market, Price};

    use super::*;

    fn offer(zone: &str, market: Market) -> Offer {
        Offer {
            instance_type: InstanceType {
                name: "m7g.large".into(),
                vcpus: 2,
                memory_mib: 8_192,
                arch: Arch::Arm64,
                gpu: None,
                local_ssd_gib: 0,
            }
            .into(),
            region: "us-east-1".into(),
            zone: zone.into(),
            market,
            price: Price::Unknown,
            availability: Availability::Unknown,
            quotas: [Draw::vcpus("us-east-1/standard")].into(),
        }
    }

    fn dry(scope: Scope) -> Error {
        Error::new(ErrorKind::NoCapacity, "dry").closing(scope)
    }

    fn minute(n: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(60 * n)
    }

    #[test]
    fn a_failed_probe_closes_for_twice_as_long_up_to_an_hour() {
        let (offer, mut memory) = (offer("a", Market::Spot), CapacityMemory::default());
        let error = dry(Scope::Zone("a".into()));
        let mut now = minute(0);
        let mut closed_for = Vec::new();
        for _ in 0..7 {
            memory.note(&error, now);
            let (_, until) = memory.closed(&offer, now).unwrap();
            closed_for.push(until.duration_since(now).as_secs() / 60);
            now = until;
            assert!(memory.closed(&offer, now).is_none() && memory.probing(&offer, now));
        }
        assert_eq!(closed_for, [3, 6, 12, 24, 48, 60, 60]);
    }

    #[test]
    fn many_failures_at_once_count_as_one() {
        let mut memory = CapacityMemory::default();
        for _ in 0..10 {
            memory.note(&dry(Scope::Zone("a".into())), minute(0));
        }
        assert_eq!(memory.closed(&offer("a", Market::Spot), minute(0)).unwrap().1, minute(3));
    }

    #[test]
    fn a_success_opens_everything_above_it() {
        let mut memory = CapacityMemory::default();
        for scope in [Scope::Zone("a".into()), Scope::Quota("us-east-1/standard".into()), Scope::Account] {
            memory.note(&dry(scope), minute(0));
        }
        memory.note(&dry(Scope::Zone("b".into())), minute(0));
        memory.note_success(&offer("a", Market::Spot));
        assert!(memory.closed(&offer("a", Market::Spot), minute(0)).is_none());
        assert!(memory.closed(&offer("b", Market::Spot), minute(0)).is_some());
    }

    #[test]
    fn each_kind_closes_for_its_own_time() {
        let offer = offer("a", Market::Spot);
        let scope = || Scope::Quota("us-east-1/standard".into());
        let full = Error::new(ErrorKind::QuotaExceeded, "full").closing(scope());
        for (error, minutes) in [
            (dry(scope()), Some(3)),
            (full.clone(), Some(10)),
            (full.with("limit_vcpus", 0), Some(60)),
            (Error::new(ErrorKind::Unavailable, "down").closing(scope()), None),
            (Error::new(ErrorKind::NoCapacity, "no scope"), None),
        ] {
            let mut memory = CapacityMemory::default();
            memory.note(&error, minute(0));
            assert_eq!(memory.closed(&offer, minute(0)).map(|c| c.1), minutes.map(minute), "{error}");
        }
    }

    #[test]
    fn a_scope_that_was_quiet_for_an_hour_starts_over() {
        let (offer, mut memory) = (offer("a", Market::Spot), CapacityMemory::default());
        memory.note(&dry(Scope::Zone("a".into())), minute(0));
        memory.note(&dry(Scope::Zone("a".into())), minute(4));
        assert!(!memory.probing(&offer, minute(100)));
        memory.note(&dry(Scope::Zone("a".into())), minute(100));
        assert_eq!(memory.closed(&offer, minute(100)).unwrap().1, minute(103));
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_closed_longest() {
        let mut memory = CapacityMemory::default();
        for n in 0..20_000u64 {
            memory.note(&dry(Scope::Zone(format!("z{n}").into())), minute(0) + Duration::from_millis(n));
        }
        assert!(memory.scopes.len() <= SCOPES_MAX);
        assert!(memory.scopes.contains_key(&Scope::Zone("z19999".into())));
    }

    #[test]
    fn it_survives_a_process_as_text() {
        let mut memory = CapacityMemory::default();
        memory.note(&dry(Scope::Offer(offer("a", Market::Spot).id())), minute(0));
        memory.note(&dry(Scope::Account), minute(1));
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<CapacityMemory>(&text).unwrap(), memory);
    }
}
