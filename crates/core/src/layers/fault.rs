use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

use crate::layers::wrap::{Around, Next, wrap};
use crate::layers::{Call, Operation};
use crate::{Clock, Error, ErrorKind, Provider, Region, Result, Token};

/// For tests and demos: what can go wrong between a client and its cloud, on purpose.
///
/// Rules are asked in the order in which they were added; the first verdict other than `Pass`
/// counts. Every call is recorded, for as long as the value lives. A clone is the same value.
///
/// ```
/// # fn example(provider: std::sync::Arc<dyn skyfleet_core::Provider>) {
/// use skyfleet_core::layers::{Call, Fault, Verdict};
/// use skyfleet_core::{Error, ErrorKind, SystemClock};
/// use std::sync::Arc;
///
/// // The answer to the first launch is lost, after the cloud has bought.
/// let mut lost = false;
/// let fault = Fault::new(Arc::new(SystemClock)).rule(move |call| match call {
///     Call::Launch(_) if !std::mem::replace(&mut lost, true) => {
///         Verdict::FailAfter(Error::new(ErrorKind::Unavailable, "connection reset"))
///     }
///     _ => Verdict::Pass,
/// });
/// let provider = fault.layer(provider);
/// # }
/// ```
#[derive(Clone)]
pub struct Fault {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

struct State {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    calls_max: usize,
}

type Rule = Box<dyn FnMut(&Call<'_>) -> Verdict + Send>;

/// What happens to one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing: it goes on to the next rule, in the end to the provider.
    Pass,
    /// It goes to the provider, after this time.
    Delay(Duration),
    /// It never reaches the provider.
    FailBefore(Error),
    /// The provider acts, and its answer is lost: the caller gets this error instead.
    FailAfter(Error),
}

/// How often a seeded plan lets something go wrong, in per cent of the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// Calls that are throttled.
    pub throttled_percent: u32,
    /// Calls that fail before the provider has them.
    pub lost_before_percent: u32,
    /// Calls whose answer is lost.
    pub lost_after_percent: u32,
    /// Calls that are delayed.
    pub delayed_percent: u32,
    /// The longest delay.
    pub delay_max: Duration,
}

/// A call that came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which operation.
    pub operation: Operation,
    /// Its region, where it has one.
    pub region: Option<Region>,
    /// The token of a launch.
    pub token: Option<Token>,
    /// How many instances, offers or resources it was about, where it says so.
    pub count: Option<usize>,
}

impl Fault {
    /// No rules yet; delays pass on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { rules: Vec::new(), seen: Vec::new(), calls_max: usize::MAX };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    /// Adds a rule after those that are there.
    #[must_use]
    pub fn rule(self, rule: impl FnMut(&Call<'_>) -> Verdict + Send + 'static) -> Self {
        self.lock().rules.push(Box::new(rule));
        self
    }

    /// Adds a rule that draws a verdict for each call; the same seed and the same calls give the
    /// same verdicts.
    #[must_use]
    pub fn seeded(self, seed: u64, rates: FaultRates) -> Self {
        let mut random = Pcg32::seed_from_u64(seed);
        self.rule(move |_| rates.draw(&mut random))
    }

    /// The client dies after this many calls from the start: every later call fails, never
    /// reaches the provider and is not recorded. [`Fault::is_stop`] knows the error.
    #[must_use]
    pub fn stop_after(self, calls: usize) -> Self {
        self.lock().calls_max = calls;
        self
    }

    /// Whether an error is that of a client which died by [`Fault::stop_after`].
    pub fn is_stop(error: &Error) -> bool {
        error.fact("fault") == Some("stop")
    }

    /// The calls that came by, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// The provider with this layer around it.
    pub fn layer(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        wrap(self.clone(), provider)
    }

    fn verdict(&self, call: Call<'_>) -> Verdict {
        let mut state = self.lock();
        if state.seen.len() >= state.calls_max {
            let message = "the client was stopped here on purpose";
            return Verdict::FailBefore(Error::new(ErrorKind::Unexpected, message).with("fault", "stop"));
        }
        state.seen.push(Seen {
            operation: call.operation(),
            region: call.region().cloned(),
            token: call.token().cloned(),
            count: call.count(),
        });
        let mut verdicts = state.rules.iter_mut().map(|rule| rule(&call));
        verdicts.find(|verdict| *verdict != Verdict::Pass).unwrap_or(Verdict::Pass)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Fault").field("rules", &state.rules.len()).field("seen", &state.seen.len()).finish()
    }
}

impl FaultRates {
    fn draw(&self, random: &mut Pcg32) -> Verdict {
        let mut left = random.random_range(0..100u32);
        // Drawn for every call, so that one rate does not shift the others' verdicts.
        let delay = self.delay_max.mul_f64(random.random_range(0.0..=1.0));
        let mut hit = |percent: u32| {
            let hit = left < percent;
            left = left.saturating_sub(percent);
            hit
        };
        if hit(self.throttled_percent) {
            Verdict::FailBefore(
                Error::new(ErrorKind::RateLimited, "too many calls").with("fault", "throttled"),
            )
        } else if hit(self.lost_before_percent) {
            Verdict::FailBefore(
                Error::new(ErrorKind::Unavailable, "no connection").with("fault", "lost before"),
            )
        } else if hit(self.lost_after_percent) {
            Verdict::FailAfter(Error::new(ErrorKind::Unavailable, "answer lost").with("fault", "lost after"))
        } else if hit(self.delayed_percent) {
            Verdict::Delay(delay)
        } else {
            Verdict::Pass
        }
    }
}

impl Around for Fault {
    async fn around<T: Any + Send>(
        &self,
        _provider: &dyn Provider,
        call: Call<'_>,
        next: Next<'_, T>,
    ) -> Result<T> {
        match self.verdict(call) {
            Verdict::Pass => next().await,
            Verdict::Delay(time) => {
                self.clock.sleep(time).await;
                next().await
            }
            Verdict::FailBefore(error) => Err(error),
            Verdict::FailAfter(error) => {
                // Whatever it was, the caller never hears it.
                let _lost = next().await;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::fixture::{clock, launched, owner, request};
    use crate::{Selector, mock};

    fn error(message: &str) -> Error {
        Error::new(ErrorKind::Unavailable, message)
    }

    #[tokio::test]
    async fn fail_before_never_acts_and_fail_after_always_does() {
        for (verdict, acted) in
            [(Verdict::FailBefore(error("x")), 0), (Verdict::FailAfter(error("x")), 1), (Verdict::Pass, 1)]
        {
            let mut mock = mock::provider(mock::CAPABILITY);
            mock.expect_launch().times(acted).returning(|request| Ok(launched(request)));
            let fails = verdict != Verdict::Pass;
            let provider = Fault::new(clock()).rule(move |_| verdict.clone()).layer(Arc::new(mock));
            assert_eq!(provider.launch(&request(1)).await.is_err(), fails);
        }
    }

    #[tokio::test]
    async fn the_first_rule_with_a_verdict_wins() {
        let fault = Fault::new(clock())
            .rule(|call| match call.operation() {
                Operation::List => Verdict::FailBefore(error("first")),
                _ => Verdict::Pass,
            })
            .rule(|_| Verdict::FailBefore(error("second")));
        let provider = fault.layer(Arc::new(mock::provider(mock::CAPABILITY)));
        assert_eq!(provider.list(&Selector::owner(&owner())).await.unwrap_err().message(), "first");
        assert_eq!(provider.launch(&request(1)).await.unwrap_err().message(), "second");
    }

    #[tokio::test]
    async fn a_stopped_client_reaches_nobody_any_more() {
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().times(2).returning(|request| Ok(launched(request)));
        let fault = Fault::new(clock()).stop_after(2);
        let provider = fault.layer(Arc::new(mock));
        for _ in 0..2 {
            provider.launch(&request(1)).await.unwrap();
        }
        for _ in 0..2 {
            let error = provider.launch(&request(1)).await.unwrap_err();
            assert!(Fault::is_stop(&error) && error.retry() == crate::Retry::Never, "{error:?}");
        }
        assert_eq!(fault.seen().len(), 2);
        assert!(!Fault::is_stop(&error("x")));
    }

    #[tokio::test]
    async fn a_seed_replays_and_keeps_its_rates() {
        let rates = FaultRates {
            throttled_percent: 10,
            lost_before_percent: 10,
            lost_after_percent: 20,
            delayed_percent: 10,
            delay_max: Duration::from_secs(5),
        };
        let verdicts = |seed| {
            let mut random = Pcg32::seed_from_u64(seed);
            (0..2_000).map(|_| rates.draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(3), verdicts(3));
        assert_ne!(verdicts(3), verdicts(4));
        let share = |test: fn(&Verdict) -> bool| verdicts(3).iter().filter(|v| test(v)).count() / 20;
        let shares = [
            share(|v| matches!(v, Verdict::FailBefore(_))),
            share(|v| matches!(v, Verdict::FailAfter(_))),
            share(|v| matches!(v, Verdict::Delay(time) if *time <= Duration::from_secs(5))),
        ];
        for (share, rate) in shares.into_iter().zip([20, 20, 10]) {
            assert!(share.abs_diff(rate) <= 3, "{share} % instead of {rate} %");
        }
    }
}
