use std::collections::BTreeMap;
use std::time::Duration;

use skyfleet_core::{
    Error, ErrorKind, Instance, InstanceState, Market, OfferId, Price, Result, Scope, Shortfall, Timestamp,
};

use crate::buy::{Bought, is_fatal};
use crate::event::counted;
use crate::roster::{Roster, VISIBILITY_GRACE};
use crate::state::{Inner, since};
use crate::{Fulfilment, MarketMix, Plan, ZoneMode};

/// How long a launch with a deadline waits before it looks for capacity again; it doubles.
const WAIT_FIRST: Duration = Duration::from_secs(15);
const WAIT_MAX: Duration = Duration::from_secs(120);

/// How many rounds in a row may bring nothing and teach nothing.
const IDLE_ROUNDS_MAX: u32 = 3;

/// What was asked for and what was obtained.
#[derive(Clone, Debug)]
pub struct LaunchReport {
    /// What was planned first; `None` when nothing had to be bought.
    pub plan: Option<Plan>,
    /// How many instances were asked for.
    pub asked: u32,
    /// Every instance that the fleet has now, in the order of the slots.
    pub instances: Vec<Instance>,
    /// Why there are fewer than asked for, where there are. What was short somewhere and obtained
    /// elsewhere is told by [`EventKind::Shortfall`](crate::EventKind::Shortfall) only.
    pub shortfalls: Vec<Shortfall>,
    /// Whether a living fleet was taken over; what it missed was bought, by `plan`.
    pub attached: bool,
}

/// Instances of one kind that a launch obtained.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Obtained {
    /// Type, zone and market.
    pub offer: OfferId,
    /// At which hourly price each.
    pub price: Price,
    /// How many.
    pub count: u32,
}

impl LaunchReport {
    /// What was obtained, by zone, type, market and price.
    pub fn obtained(&self) -> Vec<Obtained> {
        let mut counts = BTreeMap::<(&OfferId, Price), u32>::new();
        for instance in &self.instances {
            *counts.entry((&instance.offer, instance.price)).or_default() += 1;
        }
        let row = |((offer, price), count): ((&OfferId, Price), u32)| Obtained {
            offer: offer.clone(),
            price,
            count,
        };
        counts.into_iter().map(row).collect()
    }

    /// How many of the instances are of this market: spot asked and on-demand obtained shows here.
    pub fn on(&self, market: Market) -> u32 {
        self.instances.iter().filter(|i| i.offer.market == market).count() as u32
    }
}

impl Inner {
    pub(crate) async fn launch(&self) -> Result<LaunchReport> {
        let _one_at_a_time = self.launching.lock().await;
        self.begin();
        self.find_living().await?;
        let attached = self.state().roster.held() > 0;
        let mut round = Rounds::default();
        let outcome = self.fill_up(&mut round).await;

        let spec = &self.config.spec;
        let held = self.state().roster.held();
        let required = match spec.fulfilment {
            Fulfilment::AllOrNothing => spec.target,
            Fulfilment::Greedy if attached => 0,
            Fulfilment::Greedy => spec.min.max(1),
            Fulfilment::BestEffort => 1,
        };
        if held >= required && !self.state().closing {
            let missing = spec.target - held;
            return Ok(self.report(round.plan, round.shortfalls.last(missing, outcome), attached));
        }
        let reason = round.shortfalls.worst().or(outcome.err()).unwrap_or_else(|| {
            Error::new(ErrorKind::NoCapacity, "no offer was left to try").at("fleet.launch")
        });
        let bought_nothing = held == 0 && self.state().prepared.is_none() && self.state().intents.is_empty();
        if bought_nothing {
            return Err(reason);
        }
        let error = below_min(held, spec.target, required, reason);
        // Also when a teardown ended this launch: what was made after it had passed must go too.
        match self.teardown(false).await {
            Ok(report) if report.leftovers.is_empty() => Err(error),
            Ok(report) => Err(error.with("leftovers", report.leftovers.len())),
            Err(failed) => Err(error.with("not_given_back", failed)),
        }
    }

    pub(crate) async fn attach(&self) -> Result<LaunchReport> {
        let _one_at_a_time = self.launching.lock().await;
        self.begin();
        self.find_living().await?;
        let held = self.state().roster.held();
        if held == 0 {
            let message = format!("no living instance of fleet {}", self.config.name);
            return Err(Error::new(ErrorKind::NotFound, message)
                .with("owner", &self.config.owner)
                .at("fleet.attach"));
        }
        Ok(self.report(None, Vec::new(), true))
    }

    /// A torn down fleet begins a new life.
    fn begin(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        if state.closing {
            state.closing = false;
            state.roster = Roster::new(self.config.spec.target);
            (state.started, state.prepared) = (None, None);
            state.warned.clear();
            state.fresh = false;
        }
        state.touched = now;
    }

    /// Takes over what lives of this fleet.
    async fn find_living(&self) -> Result<()> {
        let mut listed = self.provider.list(&self.selector()).await?;
        let now = self.clock.now();
        let alive = listed.iter().filter(|i| i.state.is_alive()).count() as u32;
        // Where one launch is young, another one of the same life may not be listed yet.
        let young =
            listed.iter().any(|i| i.launched + VISIBILITY_GRACE > now && !self.state().roster.knows(&i.id));
        if young && alive < self.config.spec.target {
            listed = self.list_after_grace().await?;
        }
        self.learn_prices(&listed).await;
        self.take_over(&listed);
        self.mark_running(&listed);
        self.resolve().await
    }

    /// Before the first instances are counted: what they would cost on demand, and their disks.
    async fn learn_prices(&self, listed: &[Instance]) {
        if listed.is_empty() || self.state().knows_prices() {
            return;
        }
        if let Err(error) = self.search(listed.len() as u32).await {
            self.tell(crate::EventKind::Trouble { reason: format!("the bill is without disks: {error}") });
        }
    }

    /// What is listed as running needs no look to be known as such.
    fn mark_running(&self, listed: &[Instance]) {
        let now = self.clock.now();
        let mut state = self.state();
        for instance in listed.iter().filter(|i| i.state == InstanceState::Running) {
            let Some(&slot) = state.roster.seats.get(&instance.id) else { continue };
            let place = &mut state.roster.places[slot as usize];
            let holds = place.slot.instance.as_ref().is_some_and(|holder| holder.id == instance.id);
            if holds && !std::mem::replace(&mut place.running, true) {
                let instance = instance.id.clone();
                state.tell(crate::EventKind::Running { slot, instance }, now);
            }
        }
    }

    /// Searches, plans and buys until the target is reached, or nothing more can be had in time.
    ///
    /// `Ok` when the target is reached; otherwise why it is not.
    async fn fill_up(&self, round: &mut Rounds) -> Result<()> {
        let spec = &self.config.spec;
        let begun = self.clock.now();
        let deadline = spec.deadline.map(|deadline| begun + deadline);
        {
            let mut state = self.state();
            state.started = Some(state.started.map_or(begun, |started| started.min(begun)));
        }
        loop {
            let slots = self.state().roster.empty();
            if slots.is_empty() {
                return Ok(());
            }
            if self.state().closing {
                return Err(
                    Error::new(ErrorKind::Conflict, "the fleet is being torn down").at("fleet.launch")
                );
            }
            let error = match self.round(round, slots, begun).await {
                Ok(true) => continue,
                Ok(false) => round.shortfalls.latest(),
                Err(error) if is_fatal(error.kind()) => return Err(error),
                Err(error) => Some(error),
            };
            let error =
                error.unwrap_or_else(|| Error::new(ErrorKind::NoCapacity, "nothing more can be had now"));
            if self.leave_dry_zone().await {
                continue;
            }
            if self.terms().zone.is_some() && deadline.is_none() {
                return Err(error);
            }
            // On demand stands in from a moment on: until then spot may come.
            let on_demand = match spec.market {
                MarketMix::Mixed { on_demand_after: Some(after), .. } if !round.on_demand => {
                    Some(begun + after)
                }
                _ => None,
            };
            let Some(wait) = round.wait(self.clock.now(), deadline, on_demand, spec.fulfilment) else {
                return Err(error);
            };
            self.clock.sleep(wait).await;
        }
    }

    /// One search, plan and purchase. `Ok(true)` when it brought or taught something.
    async fn round(&self, round: &mut Rounds, slots: Vec<u32>, begun: Timestamp) -> Result<bool> {
        let spec = &self.config.spec;
        let count = slots.len() as u32;
        let found = self.search(count).await?;
        let mut terms = self.terms();
        if let MarketMix::Mixed { on_demand_after: Some(after), .. } = spec.market
            && round.rounds > 0
            && since(begun, self.clock.now()) >= after
        {
            terms.market = Some(Market::OnDemand);
            round.on_demand = true;
        }
        round.rounds += 1;
        let plan = crate::plan(spec, &found, count, &terms)?;
        if plan.count() == 0 {
            return Ok(false);
        }
        let prepared = self.prepare(&found, &plan.lots).await?;
        let required = if spec.fulfilment == Fulfilment::AllOrNothing { spec.target } else { spec.min };
        let count_min = required.saturating_sub(terms.instances);
        let Bought { instances, shortfalls, earlier_life, fatal } =
            self.buy(&plan.lots, slots, &prepared, count_min).await;
        round.plan.get_or_insert(plan);
        let learned = shortfalls.iter().any(|s| {
            s.reason.scope().is_some()
                && matches!(s.reason.kind(), ErrorKind::NoCapacity | ErrorKind::QuotaExceeded)
        });
        round.shortfalls.add(shortfalls);
        if let Some(error) = fatal {
            return Err(error);
        }
        round.idle = if instances > 0 || learned { 0 } else { round.idle + 1 };
        round.conflicts += u32::from(earlier_life);
        Ok(round.idle < IDLE_ROUNDS_MAX && round.conflicts < 30)
    }

    /// A fleet of one zone that cannot become whole where it began is given back, and begins again
    /// elsewhere. Answers whether it was.
    async fn leave_dry_zone(&self) -> bool {
        let spec = &self.config.spec;
        let Some(zone) = self.terms().zone.filter(|_| spec.zones == ZoneMode::Single) else { return false };
        let required = if spec.fulfilment == Fulfilment::AllOrNothing { spec.target } else { spec.min };
        let instances: Vec<_> = {
            let state = self.state();
            if state.roster.held() >= required || spec.fulfilment == Fulfilment::BestEffort {
                return false;
            }
            state.roster.alive().cloned().collect()
        };
        let message = format!("zone {zone} has no room for the whole fleet");
        let error = Error::new(ErrorKind::NoCapacity, message.clone()).closing(Scope::Zone(zone));
        let now = self.clock.now();
        self.state().memory.note(&error, now);
        self.release(instances, &message).await;
        true
    }

    fn report(&self, plan: Option<Plan>, shortfalls: Vec<Shortfall>, attached: bool) -> LaunchReport {
        let state = self.state();
        let instances = state.roster.places.iter().filter_map(|place| place.slot.instance.clone()).collect();
        LaunchReport { plan, asked: self.config.spec.target, instances, shortfalls, attached }
    }
}

/// What the rounds of one launch have brought so far.
#[derive(Debug, Default)]
struct Rounds {
    plan: Option<Plan>,
    shortfalls: Shortfalls,
    rounds: u32,
    /// On demand has stood in for spot.
    on_demand: bool,
    idle: u32,
    conflicts: u32,
    waits: u32,
}

impl Rounds {
    /// How long to wait before the next round; `None` when there is none.
    fn wait(
        &mut self,
        now: Timestamp,
        deadline: Option<Timestamp>,
        on_demand: Option<Timestamp>,
        fulfilment: Fulfilment,
    ) -> Option<Duration> {
        let patient = deadline.filter(|_| fulfilment != Fulfilment::BestEffort);
        let step = WAIT_FIRST.saturating_mul(1 << self.waits.min(4)).min(WAIT_MAX);
        self.waits += 1;
        self.idle = 0;
        let wait = match (on_demand, patient) {
            (Some(at), None) => since(now, at),
            (Some(at), Some(_)) => step.min(since(now, at)),
            (None, Some(_)) => step,
            (None, None) => return None,
        };
        let left = deadline.map(|deadline| since(now, deadline));
        match left {
            Some(left) if left.is_zero() => None,
            // The last round is at the deadline.
            Some(left) => Some(wait.min(left)),
            None => Some(wait),
        }
    }
}

/// Why instances were missing, round by round.
#[derive(Debug, Default)]
struct Shortfalls(Vec<Shortfall>);

impl Shortfalls {
    fn add(&mut self, shortfalls: Vec<Shortfall>) {
        self.0.extend(shortfalls);
    }

    fn latest(&self) -> Option<Error> {
        self.0.last().map(|shortfall| shortfall.reason.clone())
    }

    /// The reason for which most instances were missing.
    fn worst(&self) -> Option<Error> {
        self.0.iter().max_by_key(|shortfall| shortfall.count).map(|shortfall| shortfall.reason.clone())
    }

    /// The latest reasons, for exactly as many instances as are missing.
    fn last(self, missing: u32, outcome: Result<()>) -> Vec<Shortfall> {
        let (mut left, mut last) = (missing, Vec::new());
        for mut shortfall in self.0.into_iter().rev() {
            shortfall.count = shortfall.count.min(left);
            left -= shortfall.count;
            if shortfall.count > 0 {
                last.push(shortfall);
            }
        }
        if let (true, Err(reason)) = (left > 0, outcome) {
            last.push(Shortfall { count: left, reason });
        }
        last
    }
}

/// The error of a launch that stayed below its minimum, with the kind and the facts of the reason.
fn below_min(held: u32, target: u32, min: u32, reason: Error) -> Error {
    let message = format!("got {held} of {}, min {min}: {}", counted(target), reason.message());
    let mut error = Error::new(reason.kind(), message).retrying(reason.retry());
    for (key, value) in reason.context() {
        error = error.with(key, value);
    }
    if let Some(scope) = reason.scope() {
        error = error.closing(scope.clone());
    }
    error.because(reason).at("fleet.launch")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(count: u32, message: &str) -> Shortfall {
        Shortfall { count, reason: Error::new(ErrorKind::NoCapacity, message) }
    }

    #[test]
    fn the_shortfalls_of_a_report_add_up_to_what_is_missing() {
        let all = Shortfalls(vec![short(12, "early"), short(5, "late")]);
        let last = all.last(8, Ok(()));
        assert_eq!(last, [short(5, "late"), short(3, "early")]);
        let none = Shortfalls::default().last(4, Err(Error::new(ErrorKind::NoCapacity, "dry")));
        assert_eq!(none, [short(4, "dry")]);
    }

    #[test]
    fn a_launch_below_its_minimum_says_how_far_it_came_and_why() {
        let reason = Error::new(ErrorKind::NoCapacity, "the pool is empty").with("zone", "a");
        assert_eq!(
            below_min(12, 20, 16, reason).to_string(),
            "NoCapacity at fleet.launch: got 12 of 20 instances, min 16: the pool is empty (zone: a)"
        );
    }

    #[test]
    fn a_launch_without_deadline_is_one_pass() {
        let now = Timestamp::UNIX_EPOCH;
        let mut rounds = Rounds::default();
        assert_eq!(rounds.wait(now, None, None, Fulfilment::Greedy), None);
        let until = now + Duration::from_secs(20);
        assert_eq!(rounds.wait(now, Some(until), None, Fulfilment::Greedy), Some(Duration::from_secs(20)));
        assert_eq!(rounds.wait(until, Some(until), None, Fulfilment::Greedy), None);
        assert_eq!(rounds.wait(now, Some(until), None, Fulfilment::BestEffort), None);
        let later = now + Duration::from_secs(300);
        assert_eq!(
            rounds.wait(now, None, Some(later), Fulfilment::BestEffort),
            Some(Duration::from_secs(300))
        );
    }
}
