use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::Timestamp;

/// The one source of time. Everything that looks at the time or waits is handed one of these.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now. Never goes back.
    fn now(&self) -> Timestamp;

    /// Waits until this much of the clock's time has passed.
    async fn sleep(&self, time: Duration);

    /// Says that somebody waits for something that is not this clock, such as an answer over a
    /// socket, until the hold is dropped. Only a clock that jumps when everybody waits needs to
    /// know ([`ManualClock::hold`]); for every other one it means nothing.
    #[must_use]
    fn hold(&self) -> Hold {
        Hold { clock: None }
    }

    /// How another process keeps the same time: what [`ScaledClock::shared`] reads. `None` for a
    /// clock that no other process can follow, and for the machine's own, of which nobody need be
    /// told.
    fn told(&self) -> Option<String> {
        None
    }
}

/// The time of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        Timestamp::now()
    }

    async fn sleep(&self, time: Duration) {
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        tokio::time::sleep(time).await;
    }
}

/// Time that runs faster than the machine's: a minute of it passes in a second at factor 60.
#[derive(Clone, Copy, Debug)]
pub struct ScaledClock {
    origin: Timestamp,
    started: Instant,
    factor: f64,
}

impl ScaledClock {
    /// Starts at `origin` now and runs `factor` times as fast as the machine's clock.
    ///
    /// # Panics
    /// When the factor is not a positive number.
    pub fn new(origin: Timestamp, factor: f64) -> Self {
        assert!(factor.is_finite() && factor > 0.0, "a clock's factor must be a positive number");
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        Self { origin, started: Instant::now(), factor }
    }

    /// How many times faster than the machine's clock it runs.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// The clock that another process told of ([`Clock::told`]): `FACTOR@MACHINE=CLOCK`, both in Unix
    /// milliseconds at the same moment. `None` for a text that no clock told.
    ///
    /// ```
    /// use skyfleet_core::{Clock, ScaledClock, Timestamp};
    /// let clock = ScaledClock::new(Timestamp::UNIX_EPOCH, 60.0);
    /// let told = clock.told().expect("others can follow it");
    /// let same = ScaledClock::shared(&told).expect("it was told by a clock");
    /// assert!((same.now().as_second() - clock.now().as_second()).abs() <= 1);
    /// ```
    pub fn shared(told: &str) -> Option<Self> {
        let (factor, moments) = told.split_once('@')?;
        let (machine, clock) = moments.split_once('=')?;
        let factor: f64 = factor.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0)?;
        let moment = |text: &str| Timestamp::from_millisecond(text.parse().ok()?).ok();
        let since = Duration::try_from(SystemClock.now().duration_since(moment(machine)?)).ok()?;
        Some(Self::new(moment(clock)?.checked_add(since.mul_f64(factor)).ok()?, factor))
    }
}

#[async_trait]
impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        self.origin + self.started.elapsed().mul_f64(self.factor)
    }

    async fn sleep(&self, time: Duration) {
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        tokio::time::sleep(time.div_f64(self.factor)).await;
    }

    fn told(&self) -> Option<String> {
        let (machine, own) = (SystemClock.now(), self.now());
        Some(format!("{}@{}={}", self.factor, machine.as_millisecond(), own.as_millisecond()))
    }
}

/// Time that moves only when it is told to, or when everybody waits for it.
///
/// [`ManualClock::new`] stands still until [`advance`](ManualClock::advance).
/// [`ManualClock::auto`] jumps to the next moment that somebody waits for as soon as every task of
/// a current-thread runtime waits: hours pass in milliseconds, in the same order each time. It is
/// for programs that wait for nothing but this clock, and say so when they wait for something
/// else, such as an answer over a socket: [`ManualClock::hold`].
///
/// ```
/// use skyfleet_core::{Clock, ManualClock, Timestamp};
/// use std::time::Duration;
/// let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().as_second(), 90);
/// ```
#[derive(Clone)]
pub struct ManualClock {
    state: Arc<Mutex<ManualState>>,
    auto: bool,
}

struct ManualState {
    now: Timestamp,
    /// How many wait for something that is not this clock.
    holds: u32,
    /// Who waits until when; the number keeps two that wait for one moment apart, in order.
    waiting: BTreeMap<(Timestamp, u64), Waker>,
    numbers: u64,
}

/// How often the first in line lets the other tasks run before it moves the time. A task that was
/// woken may wake another one in turn; this bounds how long such a chain may be.
const YIELDS: u32 = 16;

impl ManualClock {
    /// A clock that stands still at `now`.
    pub fn new(now: Timestamp) -> Self {
        let state = ManualState { now, holds: 0, waiting: BTreeMap::new(), numbers: 0 };
        Self { state: Arc::new(Mutex::new(state)), auto: false }
    }

    /// A clock that starts at `now` and jumps when everybody waits for it.
    pub fn auto(now: Timestamp) -> Self {
        Self { auto: true, ..Self::new(now) }
    }

    /// Moves the time forward and wakes whoever waited for it.
    pub fn advance(&self, time: Duration) {
        let mut state = self.lock();
        let now = state.now + time;
        state.move_to(now);
    }

    /// Keeps the time from jumping until the hold is dropped: somebody waits for something that is
    /// not this clock, and only seems idle. [`advance`](ManualClock::advance) moves it even so.
    ///
    /// ```
    /// use skyfleet_core::{Clock, ManualClock, Timestamp};
    /// use std::time::Duration;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let clock = ManualClock::auto(Timestamp::UNIX_EPOCH);
    /// let hold = clock.hold();
    /// let waiter = tokio::spawn({
    ///     let clock = clock.clone();
    ///     async move { clock.sleep(Duration::from_secs(60)).await }
    /// });
    /// tokio::task::yield_now().await; // stands for an answer that takes its time
    /// assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    /// drop(hold);
    /// waiter.await.unwrap();
    /// assert_eq!(clock.now().as_second(), 60);
    /// # });
    /// ```
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.lock().holds += 1;
        Hold { clock: Some(self.clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, ManualState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ManualState {
    fn move_to(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > self.now {
                break;
            }
            first.remove().wake();
        }
    }
}

/// While one of these lives, a clock made by [`ManualClock::auto`] does not jump.
#[derive(Debug)]
pub struct Hold {
    /// `None` of a clock that never jumps.
    clock: Option<ManualClock>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(clock) = &self.clock else { return };
        let mut state = clock.lock();
        state.holds -= 1;
        if state.holds == 0 {
            // Whoever is first in line looks again whether it is time to jump.
            state.waiting.values().for_each(Waker::wake_by_ref);
        }
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.lock().now).field("auto", &self.auto).finish()
    }
}

/// Takes a waiter that is dropped (the other side of a race won) out of the line.
struct Place<'a> {
    clock: &'a ManualClock,
    key: (Timestamp, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.clock.lock().waiting.remove(&self.key);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    async fn sleep(&self, time: Duration) {
        let key = {
            let mut state = self.lock();
            state.numbers += 1;
            (state.now + time, state.numbers)
        };
        let _place = Place { clock: self, key };
        let mut yields = 0;
        std::future::poll_fn(move |context| {
            let mut state = self.lock();
            if state.now >= key.0 {
                return Poll::Ready(());
            }
            state.waiting.insert(key, context.waker().clone());
            if self.auto && state.holds > 0 {
                yields = 0;
            } else if self.auto {
                let first = state.waiting.first_key_value().is_some_and(|(first, _)| *first == key);
                if first && yields >= YIELDS {
                    state.move_to(key.0);
                    return Poll::Ready(());
                }
                yields = if first { yields + 1 } else { 0 };
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
    }

    fn hold(&self) -> Hold {
        self.hold()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    #[tokio::test]
    async fn everybody_waits_in_the_order_of_their_moments() {
        let clock = ManualClock::auto(second(0));
        let order = Mutex::new(Vec::new());
        let wait = |secs: u64, name: &'static str| {
            let (clock, order) = (&clock, &order);
            async move {
                clock.sleep(Duration::from_secs(secs)).await;
                order.lock().unwrap().push((name, clock.now().as_second()));
            }
        };
        futures::join!(wait(30, "late"), wait(10, "early"), wait(20, "middle"));
        assert_eq!(*order.lock().unwrap(), [("early", 10), ("middle", 20), ("late", 30)]);
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_nobody_before_it_is_moved() {
        let clock = ManualClock::new(second(0));
        let waiter = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        clock.advance(Duration::from_secs(1));
        waiter.await.unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_is_held_by_whoever_knows_only_the_trait_does_not_jump() {
        let clock = ManualClock::auto(second(0));
        let held: &dyn Clock = &clock;
        let hold = held.hold();
        let waiter = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(clock.now(), second(0));
        drop(hold);
        waiter.await.unwrap();
        assert_eq!(clock.now(), second(60));
    }

    #[tokio::test]
    async fn a_lost_race_leaves_nobody_in_line() {
        let clock = ManualClock::auto(second(0));
        tokio::select! {
            () = clock.sleep(Duration::from_secs(5)) => {}
            () = clock.sleep(Duration::from_secs(500)) => panic!("the longer wait won"),
        }
        clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), second(6));
    }

    #[test]
    fn a_clock_that_nobody_told_is_none() {
        for told in
            ["", "60", "0@1=2", "-1@1=2", "x@1=2", "60@1", "60@x=2", "inf@1=2", "60@1=99999999999999999"]
        {
            assert!(ScaledClock::shared(told).is_none(), "{told}");
        }
    }

    #[test]
    fn a_scaled_clock_runs_at_its_factor() {
        let clock = ScaledClock::new(second(1_000), 3_600.0);
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.now() >= second(1_072), "{:?}", clock.now());
    }
}
