use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

use crate::layers::Call;
use crate::layers::wrap::{Around, Next, wrap};
use crate::{Clock, Provider, Result, Retry as Class};

/// Sends a call again, unchanged, while [`Error::retry`](crate::Error::retry) says that this can
/// help; it looks at nothing else of the error.
///
/// The waits grow exponentially, with jitter, and are never shorter than what the provider asked
/// for. When the attempts or the time are used up, the last error comes back with the class
/// `Exhausted` and the fact `attempts`, so that nobody further out starts again. A launch keeps
/// its token over all attempts: the provider answers a repeated one with the same instances.
///
/// Each repetition is told as a `tracing` event at info level, inside the span of
/// [`Trace`](crate::layers::Trace).
#[derive(Clone, Debug)]
pub struct Retry {
    clock: Arc<dyn Clock>,
    policy: RetryPolicy,
    jitter: Arc<Mutex<Pcg32>>,
}

/// How patient [`Retry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a call is sent, the first time included.
    pub attempts_max: u32,
    /// The wait before the second attempt, before jitter; it doubles from attempt to attempt.
    pub delay_first: Duration,
    /// The longest wait that is chosen here. A provider may ask for a longer one.
    pub delay_max: Duration,
    /// How long a call may take with all its attempts and waits; an attempt under way is not cut.
    pub total_max: Duration,
}

impl Default for RetryPolicy {
    /// Eight attempts within 15 minutes, 1 to 60 seconds apart.
    fn default() -> Self {
        Self {
            attempts_max: 8,
            delay_first: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
            total_max: Duration::from_secs(15 * 60),
        }
    }
}

impl Retry {
    /// The usual patience, on this clock; the seed gives the jitter.
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        let jitter = Arc::new(Mutex::new(Pcg32::seed_from_u64(seed)));
        Self { clock, policy: RetryPolicy::default(), jitter }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with(self, policy: RetryPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The provider with this layer around it.
    pub fn layer(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        wrap(self.clone(), provider)
    }

    /// How long to wait after attempt number `attempt`: between a half and the whole of the
    /// exponential step, and not less than the provider's hint.
    fn delay(&self, attempt: u32, hint: Option<Duration>) -> Duration {
        let RetryPolicy { delay_first, delay_max, .. } = self.policy;
        let step = delay_first.saturating_mul(1 << (attempt - 1).min(20)).min(delay_max);
        let part = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random_range(0.5..=1.0);
        step.mul_f64(part).max(hint.unwrap_or_default())
    }
}

// Written by hand, not with the crate `backon`: the hint, the bound on the total time and the
// class of the last error all need the error and our clock between two attempts, and a loop says
// that in fewer words than hooks.
impl Around for Retry {
    async fn around<T: Any + Send>(
        &self,
        provider: &dyn Provider,
        call: Call<'_>,
        next: Next<'_, T>,
    ) -> Result<T> {
        let started = self.clock.now();
        let mut attempt = 1;
        loop {
            let error = match next().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Class::After(hint) = error.retry() else { return Err(error) };
            let delay = self.delay(attempt, hint);
            let spent = Duration::try_from(self.clock.now().duration_since(started)).unwrap_or_default();
            if attempt >= self.policy.attempts_max || spent + delay > self.policy.total_max {
                return Err(error.retrying(Class::Exhausted).with("attempts", attempt));
            }
            tracing::info!(
                operation = %format_args!("{}.{}", provider.name(), call.operation()),
                attempt, ?delay, %error, "sending the call again",
            );
            self.clock.sleep(delay).await;
            attempt += 1;
        }
    }
}
