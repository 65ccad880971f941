use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::layers::wrap::{Around, Next, wrap};
use crate::layers::{Call, Operation};
use crate::{Clock, Error, ErrorKind, Provider, Result};

/// Gives up waiting for an answer after a time that depends on the operation.
///
/// The error is `Unavailable`: the provider may have acted and its answer is lost. That is why a
/// launch that timed out is sent again under its own token and never replaced by a new one.
#[derive(Clone, Debug)]
pub struct Timeout {
    clock: Arc<dyn Clock>,
    policy: TimeoutPolicy,
}

/// How long one attempt of each kind of operation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutPolicy {
    /// Searches, listings, preemptions, inventories.
    pub read: Duration,
    /// Launch, prepare, terminate and delete: the clouds' bulk operations take minutes at worst.
    pub write: Duration,
    /// More for each instance, resource or offer that the call is about. A call for many is many
    /// calls of the cloud, at the cloud's rate: EC2 ends 20 instances per second.
    pub each: Duration,
}

impl Default for TimeoutPolicy {
    /// Two minutes for a read, five for a write, and 0.1 s for each instance.
    fn default() -> Self {
        Self {
            read: Duration::from_secs(120),
            write: Duration::from_secs(300),
            each: Duration::from_millis(100),
        }
    }
}

impl TimeoutPolicy {
    fn of(&self, call: Call<'_>) -> Duration {
        let base = match call.operation() {
            Operation::Prepare | Operation::Launch | Operation::Terminate | Operation::Delete => self.write,
            _ => self.read,
        };
        base + self.each * call.count().unwrap_or(0) as u32
    }
}

impl Timeout {
    /// The usual times, measured by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, policy: TimeoutPolicy::default() }
    }

    /// The same with other times.
    #[must_use]
    pub fn with(self, policy: TimeoutPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The provider with this layer around it.
    pub fn layer(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        wrap(self.clone(), provider)
    }
}

impl Around for Timeout {
    async fn around<T: Any + Send>(
        &self,
        provider: &dyn Provider,
        call: Call<'_>,
        next: Next<'_, T>,
    ) -> Result<T> {
        let limit = self.policy.of(call);
        tokio::select! {
            // The answer is looked at first: one that comes at the deadline counts.
            biased;
            answer = next() => answer,
            () = self.clock.sleep(limit) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("no answer after {} s; the provider may have acted", limit.as_secs_f64()),
            )
            .with("provider", provider.name())
            .at(call.operation().as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::fixture::{clock, launched, owner, request};
    use crate::layers::{Fault, Retry, Verdict};
    use crate::{Retry as Class, Selector, mock};

    /// The provider's first answer takes this long, later ones no time.
    fn slow_once(clock: Arc<dyn Clock>, time: Duration) -> Fault {
        let mut time = Some(time);
        Fault::new(clock).rule(move |_| time.take().map_or(Verdict::Pass, Verdict::Delay))
    }

    #[tokio::test]
    async fn a_timeout_of_a_launch_is_an_answer_lost() {
        let (clock, request) = (clock(), request(2));
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().once().returning(|request| Ok(launched(request)));
        let fault = slow_once(clock.clone(), Duration::from_secs(10_000));
        let timeout = Timeout::new(clock.clone()).layer(fault.layer(Arc::new(mock)));

        let error = timeout.launch(&request).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Class::After(None)));
        assert_eq!(error.operation(), Some("launch"));
        assert_eq!(clock.now().as_millisecond(), 300_200, "five minutes and 0.1 s for each of the two");
        assert!(timeout.launch(&request).await.is_ok());
    }

    #[tokio::test]
    async fn each_attempt_has_a_deadline_of_its_own() {
        let (clock, request) = (clock(), request(2));
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().once().returning(|request| Ok(launched(request)));
        let fault = slow_once(clock.clone(), Duration::from_secs(10_000));
        let timeout = Timeout::new(clock.clone()).layer(fault.layer(Arc::new(mock)));
        let provider = Retry::new(clock, 1).layer(timeout);

        assert_eq!(provider.launch(&request).await.unwrap(), launched(&request));
        assert!(fault.seen().iter().all(|seen| seen.token.as_ref() == Some(&request.token)));
        assert_eq!(fault.seen().len(), 2);
    }

    #[tokio::test]
    async fn ending_many_may_take_longer_than_ending_one() {
        for (count, in_time) in [(1, false), (10_000, true)] {
            let clock = clock();
            let mut mock = mock::provider(mock::CAPABILITY);
            mock.expect_terminate().returning(|_| Ok(crate::TerminateReceipt::default()));
            let fault = slow_once(clock.clone(), Duration::from_secs(500));
            let provider = Timeout::new(clock).layer(fault.layer(Arc::new(mock)));
            let ids = vec!["i-1".into(); count];
            assert_eq!(provider.terminate(&ids).await.is_ok(), in_time, "{count}");
        }
    }

    #[tokio::test]
    async fn an_answer_in_time_is_passed_on() {
        let clock = clock();
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_list().once().returning(|_| Ok(vec![]));
        let fault = slow_once(clock.clone(), Duration::from_secs(119));
        let provider = Timeout::new(clock).layer(fault.layer(Arc::new(mock)));
        assert!(provider.list(&Selector::owner(&owner())).await.is_ok());
    }
}
