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
}

impl Default for TimeoutPolicy {
    /// Two minutes for a read, five for a write.
    fn default() -> Self {
        Self { read: Duration::from_secs(120), write: Duration::from_secs(300) }
    }
}

impl TimeoutPolicy {
    fn of(&self, operation: Operation) -> Duration {
        match operation {
            Operation::Prepare | Operation::Launch | Operation::Terminate | Operation::Delete => self.write,
            _ => self.read,
        }
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
        let operation = call.operation();
        let limit = self.policy.of(operation);
        tokio::select! {
            // The answer is looked at first: one that comes at the deadline counts.
            biased;
            answer = next() => answer,
            () = self.clock.sleep(limit) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("no answer after {} s; the provider may have acted", limit.as_secs_f64()),
            )
            .with("provider", provider.name())
            .at(operation.as_str())),
        }
    }
}
