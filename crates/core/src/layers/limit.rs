use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::layers::wrap::{Around, Next, wrap};
use crate::layers::{Call, Operation};
use crate::{Clock, Error, ErrorKind, Launched, Provider, Region, Result, Retry, Timestamp};

/// Keeps calls to a rate: one token bucket per provider, region and operation.
///
/// The buckets belong to this value, and a clone is the same value: hand one to all fleets of an
/// account in the process. Who has to wait waits in line, first come, first served.
///
/// A throttle answer pauses its bucket for everybody in line: for as long as the provider asks,
/// or for a time that doubles from throttle to throttle. After the pause one call goes first; the
/// others follow, at the rate, once it was answered. Throttles of calls that were already under way
/// when the pause began belong to the same pause.
#[derive(Clone)]
pub struct Limit {
    clock: Arc<dyn Clock>,
    /// What one call costs: 1 / rate.
    interval: Duration,
    /// How far a bucket may run ahead of its rate: the burst less the first call.
    ahead: Duration,
    buckets: Arc<Mutex<BTreeMap<Key, Arc<Bucket>>>>,
}

type Key = (&'static str, Option<Region>, Operation);

const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Limit {
    /// Bursts of 50 calls, 5 per second after that: the narrowest of the rates that the clouds
    /// document for the calls a fleet makes (EC2: 50 and 5/s for `CreateFleet`; Azure Compute:
    /// 300 listings per minute).
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_rate(clock, 50, 5)
    }

    /// Bursts of `burst` calls, `per_second` after that; 0 counts as 1.
    pub fn with_rate(clock: Arc<dyn Clock>, burst: u32, per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        let ahead = interval * (burst.max(1) - 1);
        Self { clock, interval, ahead, buckets: Arc::default() }
    }

    /// The provider with this layer around it.
    pub fn layer(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        wrap(self.clone(), provider)
    }

    fn bucket(&self, provider: &dyn Provider, call: Call<'_>) -> Arc<Bucket> {
        let key = (provider.name(), call.region().cloned(), call.operation());
        lock(&self.buckets).entry(key).or_default().clone()
    }

    /// Waits at the head of the line until the bucket has a token, and takes it.
    async fn take(&self, bucket: &Bucket) -> Turn {
        loop {
            let wait = {
                let (now, mut state) = (self.clock.now(), lock(&bucket.state));
                let full = state.full.unwrap_or(now).max(now);
                let wait = Duration::try_from((full - self.ahead).duration_since(now)).unwrap_or_default();
                if wait.is_zero() {
                    state.full = Some(full + self.interval);
                    return Turn { pauses: state.pauses, probes: state.streak > 0 };
                }
                wait
            };
            // The time may be longer after the sleep: somebody was throttled meanwhile.
            self.clock.sleep(wait).await;
        }
    }

    fn pause(&self, state: &mut State, turn: Turn, hint: Option<Duration>) {
        if turn.pauses == state.pauses {
            state.pauses += 1;
            state.streak += 1;
        }
        let grown = PAUSE_FIRST * (1 << (state.streak - 1).min(6));
        // An empty bucket at the end of the pause: the rate holds from there on, without a burst.
        let full = self.clock.now() + hint.unwrap_or(grown.min(PAUSE_MAX)) + self.ahead;
        state.full = state.full.max(Some(full));
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("interval", &self.interval).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Bucket {
    /// The line: fair, and held by whoever is at its head.
    line: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the bucket will be full again; `None` before the first call. It has a token while
    /// this is at most [`Limit::ahead`] away.
    full: Option<Timestamp>,
    /// How many pauses there were.
    pauses: u64,
    /// How many of them without an answer in between.
    streak: u32,
}

/// The right to send one call.
#[derive(Clone, Copy)]
struct Turn {
    /// The pauses there were before it.
    pauses: u64,
    /// It is the first after a pause.
    probes: bool,
}

impl Around for Limit {
    async fn around<T: Any + Send>(
        &self,
        provider: &dyn Provider,
        call: Call<'_>,
        next: Next<'_, T>,
    ) -> Result<T> {
        let bucket = self.bucket(provider, call);
        let line = bucket.line.lock().await;
        let turn = self.take(&bucket).await;
        // The first after a pause keeps the others in line until it was answered.
        let line = turn.probes.then_some(line);
        let answer = next().await;
        let mut state = lock(&bucket.state);
        if let Some(throttle) = throttle(&answer) {
            let hint = if let Retry::After(hint) = throttle.retry() { hint } else { None };
            self.pause(&mut state, turn, hint);
            tracing::debug!(provider = provider.name(), operation = %call.operation(), "throttled: pausing");
        } else if turn.pauses == state.pauses {
            state.streak = 0;
        }
        drop((state, line));
        answer
    }
}

/// The throttle in an answer; a bulk launch may be throttled for a part of its instances.
fn throttle<T: Any>(answer: &Result<T>) -> Option<&Error> {
    match answer {
        Err(error) => Some(error),
        Ok(answer) => {
            let launched = (answer as &dyn Any).downcast_ref::<Launched>()?;
            launched.shortfalls.iter().map(|s| &s.reason).find(|r| r.kind() == ErrorKind::RateLimited)
        }
    }
    .filter(|error| error.kind() == ErrorKind::RateLimited)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::fixture::{clock, launched, owner, request};
    use crate::{ManualClock, Selector, Shortfall, mock};
    use futures::future::join_all;

    /// When each call reached the provider, in seconds, in order; `answer` says what it got.
    async fn arrivals(
        limit: &Limit,
        clock: &Arc<ManualClock>,
        calls: usize,
        mut answer: impl FnMut(usize) -> Result<Launched> + Send + 'static,
    ) -> Vec<f64> {
        let times: Arc<Mutex<Vec<f64>>> = Arc::default();
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().returning({
            let (clock, times) = (clock.clone(), times.clone());
            move |_| {
                let mut times = lock(&times);
                times.push(clock.now().as_millisecond() as f64 / 1_000.0);
                answer(times.len())
            }
        });
        let provider = limit.layer(Arc::new(mock));
        let request = request(1);
        let _answers = join_all((0..calls).map(|_| provider.launch(&request))).await;
        lock(&times).clone()
    }

    fn throttled(hint: Option<u64>) -> Error {
        Error::new(ErrorKind::RateLimited, "slow down").retrying(Retry::After(hint.map(Duration::from_secs)))
    }

    #[tokio::test]
    async fn a_burst_passes_and_then_the_rate_holds() {
        let clock = clock();
        let limit = Limit::with_rate(clock.clone(), 3, 2);
        let times = arrivals(&limit, &clock, 6, |_| Ok(Launched::default())).await;
        assert_eq!(times, [0.0, 0.0, 0.0, 0.5, 1.0, 1.5]);
    }

    #[tokio::test]
    async fn a_throttle_pauses_every_caller_of_the_bucket_once() {
        let clock = clock();
        let limit = Limit::with_rate(clock.clone(), 10, 2);
        let times = arrivals(&limit, &clock, 4, |call| match call {
            1 => Err(throttled(Some(60))),
            _ => Ok(Launched::default()),
        })
        .await;
        // No other call is thrown after the first; they come at the rate, not in a burst.
        assert_eq!(times, [0.0, 60.0, 60.5, 61.0]);
    }

    #[tokio::test]
    async fn a_throttle_inside_a_bulk_answer_pauses_too() {
        let clock = clock();
        let limit = Limit::with_rate(clock.clone(), 10, 2);
        let times = arrivals(&limit, &clock, 2, |_| {
            let reason = throttled(Some(30));
            Ok(Launched { instances: vec![], shortfalls: vec![Shortfall { count: 1, reason }] })
        })
        .await;
        assert_eq!(times, [0.0, 30.0]);
    }

    #[tokio::test]
    async fn pauses_without_a_hint_grow_until_an_answer_comes() {
        let clock = clock();
        let limit = Limit::with_rate(clock.clone(), 10, 2);
        let times = arrivals(&limit, &clock, 6, |call| match call {
            4 => Ok(Launched::default()),
            _ => Err(throttled(None)),
        })
        .await;
        assert_eq!(times, [0.0, 1.0, 3.0, 7.0, 7.5, 8.5]);
    }

    #[tokio::test]
    async fn throttles_of_calls_under_way_belong_to_one_pause() {
        let clock = clock();
        let limit = Limit::with_rate(clock.clone(), 10, 10);
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().returning(|_| Err(throttled(None)));
        // Each call is a second on its way, so that all ten are under way at once.
        let slow = crate::layers::Fault::new(clock.clone())
            .rule(|_| crate::layers::Verdict::Delay(Duration::from_secs(1)));
        let provider = limit.layer(slow.layer(Arc::new(mock)));
        let request = request(1);
        join_all((0..10).map(|_| provider.launch(&request))).await;
        let bucket = limit.bucket(&*provider, Call::Launch(&request));
        let state = lock(&bucket.state);
        assert_eq!((state.pauses, state.streak), (1, 1));
    }

    #[tokio::test]
    async fn clones_share_their_buckets_and_operations_do_not() {
        let clock = clock();
        let limit = Limit::with_rate(clock.clone(), 1, 1);
        let provider = || {
            let mut mock = mock::provider(mock::CAPABILITY);
            mock.expect_launch().returning(|request| Ok(launched(request)));
            mock.expect_list().returning(|_| Ok(vec![]));
            limit.clone().layer(Arc::new(mock))
        };
        let (one, other) = (provider(), provider());
        one.launch(&request(1)).await.unwrap();
        one.list(&Selector::owner(&owner())).await.unwrap();
        assert_eq!(clock.now().as_second(), 0);
        other.launch(&request(1)).await.unwrap();
        assert_eq!(clock.now().as_second(), 1);
        let elsewhere = crate::LaunchRequest { region: "south-1".into(), ..request(1) };
        other.launch(&elsewhere).await.unwrap();
        assert_eq!(clock.now().as_second(), 1);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_the_line() {
        let clock = clock();
        let limit = Limit::with_rate(clock.clone(), 1, 1);
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().times(2).returning(|request| Ok(launched(request)));
        let provider = limit.layer(Arc::new(mock));
        provider.launch(&request(1)).await.unwrap();
        tokio::select! {
            _ = async { provider.launch(&request(1)).await } => panic!("it did not wait"),
            () = clock.sleep(Duration::from_millis(100)) => {}
        }
        provider.launch(&request(1)).await.unwrap();
        assert_eq!(clock.now().as_second(), 1);
    }
}
