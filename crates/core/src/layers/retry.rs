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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::fixture::{clock, launched, owner, request};
    use crate::layers::{Fault, Operation, Verdict};
    use crate::{Error, ErrorKind, Selector, mock};

    fn lost(hint: Option<Duration>) -> Error {
        Error::new(ErrorKind::Unavailable, "connection reset").retrying(Class::After(hint))
    }

    #[tokio::test]
    async fn a_lost_answer_is_repeated_under_the_same_token() {
        let (clock, request) = (clock(), request(3));
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().times(2).returning(|request| Ok(launched(request)));
        let mut calls = 0;
        let fault = Fault::new(clock.clone()).rule(move |_| {
            calls += 1;
            if calls == 1 { Verdict::FailAfter(lost(None)) } else { Verdict::Pass }
        });
        let provider = Retry::new(clock, 1).layer(fault.layer(Arc::new(mock)));

        assert_eq!(provider.launch(&request).await.unwrap(), launched(&request));
        let tokens: Vec<_> = fault.seen().into_iter().map(|seen| seen.token).collect();
        assert_eq!(tokens, [Some(request.token.clone()), Some(request.token)]);
    }

    #[tokio::test]
    async fn patience_ends_with_the_attempts_and_says_so() {
        let clock = clock();
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_list().times(8).returning(|_| Err(lost(None)));
        let provider = Retry::new(clock.clone(), 1).layer(Arc::new(mock));

        let error = provider.list(&Selector::owner(&owner())).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Class::Exhausted));
        assert_eq!(error.fact("attempts"), Some("8"));
        // The steps are 1 + 2 + 4 + 8 + 16 + 32 + 60 s, each between a half and the whole.
        let waited = clock.now().as_second();
        assert!((61..=123).contains(&waited), "{waited}");
    }

    #[tokio::test]
    async fn an_exhausted_error_is_not_retried_again() {
        let clock = clock();
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_list().times(8).returning(|_| Err(lost(None)));
        let inner = Retry::new(clock.clone(), 1).layer(Arc::new(mock));
        let outer = Retry::new(clock, 2).layer(inner);
        let error = outer.list(&Selector::owner(&owner())).await.unwrap_err();
        assert_eq!(error.retry(), Class::Exhausted);
    }

    #[tokio::test]
    async fn what_no_repetition_can_help_is_sent_once() {
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_list().once().returning(|_| Err(Error::new(ErrorKind::PermissionDenied, "no")));
        let provider = Retry::new(clock(), 1).layer(Arc::new(mock));
        let error = provider.list(&Selector::owner(&owner())).await.unwrap_err();
        assert_eq!((error.retry(), error.fact("attempts")), (Class::Never, None));
    }

    #[tokio::test]
    async fn the_class_decides_and_not_the_kind() {
        let mut mock = mock::provider(mock::CAPABILITY);
        let mut answers = 0;
        mock.expect_list().times(2).returning(move |_| {
            answers += 1;
            let odd = Error::new(ErrorKind::Unexpected, "odd").retrying(Class::After(None));
            if answers == 1 { Err(odd) } else { Ok(vec![]) }
        });
        let provider = Retry::new(clock(), 1).layer(Arc::new(mock));
        assert!(provider.list(&Selector::owner(&owner())).await.is_ok());
    }

    #[tokio::test]
    async fn a_hint_is_waited_out_and_one_beyond_the_time_ends_at_once() {
        for (hint, attempts, waited) in [(90, 2, 90), (3_600, 1, 0)] {
            let clock = clock();
            let fault = Fault::new(clock.clone());
            let mut mock = mock::provider(mock::CAPABILITY);
            let mut first = true;
            mock.expect_list().returning(move |_| {
                let fails = std::mem::take(&mut first);
                if fails { Err(lost(Some(Duration::from_secs(hint)))) } else { Ok(vec![]) }
            });
            let provider = Retry::new(clock.clone(), 1).layer(fault.layer(Arc::new(mock)));
            let answer = provider.list(&Selector::owner(&owner())).await;
            assert_eq!(answer.is_ok(), attempts == 2, "{answer:?}");
            assert_eq!((fault.seen().len(), clock.now().as_second()), (attempts, waited));
            assert!(fault.seen().iter().all(|seen| seen.operation == Operation::List));
        }
    }

    #[test]
    fn one_seed_gives_one_sequence_of_waits() {
        let waits = |seed| {
            let retry = Retry::new(clock(), seed);
            (1..=10).map(|attempt| retry.delay(attempt, None)).collect::<Vec<_>>()
        };
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
        assert!(waits(7).iter().all(|wait| *wait <= RetryPolicy::default().delay_max));
    }
}
