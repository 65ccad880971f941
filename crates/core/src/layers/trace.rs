use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use crate::layers::Call;
use crate::layers::wrap::{Around, Next, wrap};
use crate::{Clock, Launched, Provider, Result};

/// A `tracing` span around each call and one event with its outcome.
///
/// The span (`call`, at debug level) has the fields `operation` (`aws.launch`), `region`, `count` and `token` where
/// the call has them. The event inside it says `outcome` (`ok`, or the error's kind) and `elapsed`
/// by the clock: at debug level for an answer, at warn level for an error. Neither user data nor
/// labels nor handles are ever logged.
#[derive(Clone, Debug)]
pub struct Trace {
    clock: Arc<dyn Clock>,
}

impl Trace {
    /// Tells the time by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// The provider with this layer around it.
    pub fn layer(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        wrap(self.clone(), provider)
    }
}

impl Around for Trace {
    async fn around<T: Any + Send>(
        &self,
        provider: &dyn Provider,
        call: Call<'_>,
        next: Next<'_, T>,
    ) -> Result<T> {
        let span = tracing::debug_span!(
            "call",
            operation = %format_args!("{}.{}", provider.name(), call.operation()),
            region = call.region().map(tracing::field::display),
            count = call.count(),
            token = call.token().map(tracing::field::display),
        );
        let started = self.clock.now();
        let answer = next().instrument(span.clone()).await;
        let elapsed = Duration::try_from(self.clock.now().duration_since(started)).unwrap_or_default();
        let _entered = span.enter();
        match &answer {
            Ok(answer) => match (answer as &dyn Any).downcast_ref::<Launched>() {
                Some(launched) => tracing::debug!(
                    outcome = "ok",
                    obtained = launched.instances.len(),
                    missing = launched.shortfalls.iter().map(|s| u64::from(s.count)).sum::<u64>(),
                    ?elapsed,
                ),
                None => tracing::debug!(outcome = "ok", ?elapsed),
            },
            Err(error) => tracing::warn!(outcome = error.kind().as_str(), ?elapsed, %error),
        }
        answer
    }
}
