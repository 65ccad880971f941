use std::time::Duration;

use futures::FutureExt;
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use skyfleet_core::{Cursor, ErrorKind, Instance, Market, OfferId, Preemption, Result, Timestamp};

use crate::roster::Roster;
use crate::state::{Inner, since};
use crate::step::{Action, Observed, step};
use crate::{BudgetState, Event, EventKind};

/// How often the cloud is looked at while something is going on: a notice may be 30 seconds long.
const LOOK_BUSY: Duration = Duration::from_secs(5);

/// How often the cloud is looked at while all slots are held by running instances.
const LOOK_QUIET: Duration = Duration::from_secs(10);

/// How long a slot waits after a fill that got nothing; it doubles.
const DRY_FIRST: Duration = Duration::from_secs(15);
const DRY_MAX: Duration = Duration::from_secs(120);

/// What one look at the cloud brought.
struct Look {
    instances: Result<Vec<Instance>>,
    preemptions: Result<(Vec<Preemption>, Cursor)>,
}

impl Inner {
    pub(crate) fn supervise(&self) -> BoxStream<'_, Event> {
        let events = async_stream::stream! {
            // Fills are polled beside the looks, so that a slow launch blinds nobody. Dropping the
            // stream drops them: what they sent stays noted, and is resolved by the next stream.
            let mut fills = FuturesUnordered::new();
            fills.push(self.resolve_dropped().boxed());
            let mut look = self.look(Duration::ZERO).boxed();
            loop {
                while let Some(event) = self.next_event() {
                    let last = matches!(event.kind, EventKind::LimitReached { .. });
                    yield event;
                    if last {
                        return;
                    }
                }
                if self.is_over() {
                    return;
                }
                tokio::select! {
                    biased;
                    Some(()) = fills.next() => {}
                    seen = &mut look => {
                        for action in self.judge(seen) {
                            match action {
                                Action::Tell(_) => {}
                                Action::Fill { slots, market, avoid } => {
                                    fills.push(self.fill(slots, market, avoid).boxed());
                                }
                                Action::Release(instances) => {
                                    fills.push(self.release(instances, "no slot wants it").boxed());
                                }
                            }
                        }
                        if self.has_dropped() {
                            fills.push(self.resolve_dropped().boxed());
                        }
                        self.watch_limits();
                        look = self.look(self.until_next_look()).boxed();
                    }
                }
            }
        };
        events.boxed()
    }

    fn next_event(&self) -> Option<Event> {
        self.state().events.pop_front()
    }

    /// Whether there is nothing left to supervise.
    fn is_over(&self) -> bool {
        let state = self.state();
        let idle = state.roster.seats.is_empty() && state.intents.is_empty();
        state.closing || state.roster.replacing_stopped && idle
    }

    pub(crate) fn stop_replacing(&self, reason: &str) {
        let now = self.clock.now();
        let mut state = self.state();
        if !std::mem::replace(&mut state.roster.replacing_stopped, true) {
            state.tell(EventKind::ReplacingStopped { reason: reason.to_owned() }, now);
        }
    }

    async fn resolve_dropped(&self) {
        if let Err(error) = self.resolve().await {
            self.tell(EventKind::Trouble { reason: error.to_string() });
        }
    }

    fn has_dropped(&self) -> bool {
        !self.state().abandoned.is_empty()
    }

    /// Looks at the cloud after a while. The list comes first: an end that is in it then finds its
    /// explanation among the preemptions.
    async fn look(&self, after: Duration) -> Look {
        if !after.is_zero() {
            self.clock.sleep(after).await;
        }
        let selector = self.selector();
        let instances = self.provider.list(&selector).await;
        let mut after = self.state().cursor.clone();
        let mut preemptions = Vec::new();
        loop {
            match self.provider.preemptions(&selector, &after).await {
                Ok(page) => {
                    let end = page.preemptions.is_empty() || page.next == after;
                    preemptions.extend(page.preemptions);
                    after = page.next;
                    if end {
                        return Look { instances, preemptions: Ok((preemptions, after)) };
                    }
                }
                Err(error) => return Look { instances, preemptions: Err(error) },
            }
        }
    }

    /// Takes a look in, and says what to do.
    fn judge(&self, look: Look) -> Vec<Action> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.closing {
            return Vec::new();
        }
        let preemptions = match look.preemptions {
            Ok((preemptions, next)) => {
                state.cursor = next;
                preemptions
            }
            Err(error) => {
                if error.kind() == ErrorKind::InvalidRequest {
                    state.cursor = Cursor::start();
                }
                state.tell(EventKind::Trouble { reason: error.to_string() }, now);
                Vec::new()
            }
        };
        let instances = look.instances.map_err(|error| {
            state.tell(EventKind::Trouble { reason: error.to_string() }, now);
        });
        let seen = Observed { instances: instances.as_deref().ok(), preemptions: &preemptions, now };
        let policy = state.policy.clone();
        let actions = step(&mut state.roster, seen, &*policy, &self.config.spec.market);
        for action in &actions {
            if let Action::Tell(event) = action {
                state.tell(event.clone(), now);
            }
        }
        actions
    }

    /// Buys instances for slots that were marked as being filled. Whatever happens, also if it is
    /// dropped before it is polled, the marks are gone in the end or belong to a launch that is noted.
    fn fill(&self, slots: Vec<u32>, market: Market, avoid: Vec<OfferId>) -> impl Future<Output = ()> + '_ {
        let mut marks = Marks { inner: self, slots, retry_at: None };
        async move {
            let outcome = self.fill_slots(marks.slots.clone(), market, avoid).await;
            let now = self.clock.now();
            let mut state = self.state();
            if matches!(outcome, Ok(instances) if instances > 0) {
                state.dry = 0;
                return;
            }
            let wait = DRY_FIRST.saturating_mul(1 << state.dry.min(4)).min(DRY_MAX);
            state.dry += 1;
            marks.retry_at = Some(now + wait);
            if let Err(error) = outcome {
                let reason = format!("cannot fill {} slots now: {error}", marks.slots.len());
                state.tell(EventKind::Trouble { reason }, now);
            }
        }
    }

    async fn fill_slots(&self, slots: Vec<u32>, market: Market, avoid: Vec<OfferId>) -> Result<u32> {
        let count = slots.len() as u32;
        let found = self.search(count).await?;
        let mut terms = self.terms();
        terms.market = Some(market);
        terms.avoid = avoid;
        // Those who were told their end are replaced, not added to.
        terms.instances = terms.instances.min(self.config.spec.target - count.min(self.config.spec.target));
        let plan = crate::plan(&self.config.spec, &found, count, &terms)?;
        let prepared = self.prepare(&found, &plan.lots).await?;
        let bought = self.buy(&plan.lots, slots, &prepared, 1).await;
        match bought.fatal {
            Some(error) if bought.instances == 0 => Err(error),
            _ => Ok(bought.instances),
        }
    }

    /// Tells which limits are near, and which are reached.
    fn watch_limits(&self) {
        let now = self.clock.now();
        let limits = &self.config.spec.limits;
        let mut state = self.state();
        let spent = state.meter.bill(now).spent;
        let lived = state.started.map(|started| since(started, now)).unwrap_or_default();
        let idle = since(state.touched, now);
        let budget = state.meter.state(now);

        let reached = [
            limits
                .budget
                .filter(|_| budget == BudgetState::Reached)
                .map(|b| format!("the budget of {b} is spent")),
            limits
                .lifetime_max
                .filter(|max| lived >= *max)
                .map(|max| format!("the fleet has lived for {}", minutes(max))),
            limits
                .idle_max
                .filter(|max| idle >= *max)
                .map(|max| format!("nobody has worked for {}", minutes(max))),
        ];
        if let Some(reason) = reached.into_iter().flatten().next() {
            state.roster.replacing_stopped = true;
            state.tell(EventKind::LimitReached { reason, spent }, now);
            return;
        }
        let near = |time: Duration, max: Duration| time >= max.mul_f64(0.9);
        let warnings = [
            (
                "budget",
                limits
                    .budget
                    .filter(|_| budget == BudgetState::Near)
                    .map(|b| format!("the budget of {b} is nearly spent")),
            ),
            (
                "lifetime",
                limits
                    .lifetime_max
                    .filter(|max| near(lived, *max))
                    .map(|max| format!("the fleet ends after {}", minutes(max))),
            ),
            (
                "idle",
                limits
                    .idle_max
                    .filter(|max| near(idle, *max))
                    .map(|max| format!("the fleet ends after {} without work", minutes(max))),
            ),
        ];
        for (limit, warning) in warnings {
            match warning {
                Some(reason) if state.warned.insert(limit) => {
                    state.tell(EventKind::Warning { reason: reason.clone(), spent }, now);
                    if limit == "budget" && !std::mem::replace(&mut state.roster.replacing_stopped, true) {
                        state.tell(EventKind::ReplacingStopped { reason }, now);
                    }
                }
                Some(_) => {}
                // Work goes on: the next idle time is warned of again.
                None if limit == "idle" => {
                    state.warned.remove(limit);
                }
                None => {}
            }
        }
    }

    /// The time to the next look: short while something is going on, and never past a limit.
    fn until_next_look(&self) -> Duration {
        let now = self.clock.now();
        let limits = &self.config.spec.limits;
        let state = self.state();
        let usual = if is_quiet(&state.roster) { LOOK_QUIET } else { LOOK_BUSY };
        let ends: [Option<Timestamp>; 3] = [
            state.meter.ends(now),
            state.expires(limits.lifetime_max),
            limits.idle_max.map(|max| state.touched + max),
        ];
        let first = ends.into_iter().flatten().map(|at| since(now, at)).min();
        // Never at once: a limit that cannot be met must not become a busy loop.
        usual.min(first.unwrap_or(usual)).max(Duration::from_secs(1))
    }
}

fn is_quiet(roster: &Roster) -> bool {
    let quiet = roster.places.iter().all(|place| place.running && !place.doomed && !place.filling);
    quiet && roster.leaving.is_empty()
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds.is_multiple_of(60) { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

/// Slots that are marked as being filled: unmarked when the fill ends or is dropped, except
/// those whose launch is noted and has no outcome yet.
struct Marks<'a> {
    inner: &'a Inner,
    slots: Vec<u32>,
    retry_at: Option<Timestamp>,
}

impl Drop for Marks<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        let noted: std::collections::BTreeSet<u32> =
            state.intents.values().flat_map(|intent| intent.slots.iter().copied()).collect();
        for slot in self.slots.iter().filter(|slot| !noted.contains(slot)) {
            if let Some(place) = state.roster.places.get_mut(*slot as usize) {
                place.filling = false;
                if place.slot.instance.is_none() || place.doomed {
                    place.not_before = self.retry_at;
                }
            }
        }
    }
}
