//! Behaviour added around any provider: `Arc<dyn Provider>` in, `Arc<dyn Provider>` out.
//!
//! | layer | what it adds |
//! |---|---|
//! | [`Trace`] | a span and an outcome event per call, for logs |
//! | [`Retry`] | sends a call again while its error says that this can help |
//! | [`Limit`] | keeps to a rate per API, and lets a throttle pause everybody once |
//! | [`Timeout`] | gives up waiting for an answer |
//! | [`Guard`] | refuses what the provider cannot do before any I/O, and says where an error happened |
//! | [`Fault`] | for tests and demos: delays, failures, lost answers, a client that dies |
//!
//! A layer is a value that holds the state; the provider that its `layer` method returns only
//! points at it. So one [`Limit`] around ten providers is one limit, and a clone of it is the same.
//!
//! [`standard`] builds the usual order. The order matters:
//!
//! - `trace` outermost: one event per call of the caller, with all the waiting in it.
//! - `retry` around `limit`: a repeated call waits for its turn like any other.
//! - `limit` around `timeout`: waiting for a turn is not the provider's slowness.
//! - `timeout` inside `retry`: each attempt has a deadline of its own.
//! - `guard` innermost: it sees each call as the provider would, and each answer first.

use std::sync::Arc;

use crate::{Clock, Provider};

mod call;
mod fault;
mod guard;
mod limit;
mod retry;
mod timeout;
mod trace;
mod wrap;

pub use call::{Call, Operation};
pub use fault::{Fault, FaultRates, Seen, Verdict};
pub use guard::Guard;
pub use limit::Limit;
pub use retry::{Retry, RetryPolicy};
pub use timeout::{Timeout, TimeoutPolicy};
pub use trace::Trace;

/// Puts the usual layers with their usual figures around a provider:
/// trace → retry → limit → timeout → guard → provider.
///
/// Hand the same `limit` to every provider of one account in the process: that is what keeps ten
/// fleets from being throttled by each other. The seed gives the jitter of the retries.
///
/// ```no_run
/// # fn example(provider: std::sync::Arc<dyn skyfleet_core::Provider>) {
/// use skyfleet_core::{SystemClock, layers};
/// use std::sync::Arc;
/// let clock = Arc::new(SystemClock);
/// let limit = layers::Limit::new(clock.clone());
/// let provider = layers::standard(provider, clock, &limit, 7);
/// # }
/// ```
pub fn standard(
    provider: Arc<dyn Provider>,
    clock: Arc<dyn Clock>,
    limit: &Limit,
    seed: u64,
) -> Arc<dyn Provider> {
    let provider = Guard.layer(provider);
    let provider = Timeout::new(clock.clone()).layer(provider);
    let provider = limit.layer(provider);
    let provider = Retry::new(clock.clone(), seed).layer(provider);
    Trace::new(clock).layer(provider)
}
