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

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod tests {
    use super::fixture::{blueprint, clock, launched, owner, request};
    use super::*;
    use crate::{
        Cursor, DeleteReceipt, Error, ErrorKind, Inventory, PreemptionPage, Prepared, Selector,
        TerminateReceipt, mock,
    };
    use std::time::Duration;

    #[tokio::test]
    async fn the_layers_change_neither_calls_nor_answers() {
        let clock = clock();
        let handles = Prepared { handles: [("north-1".into(), "h".to_owned())].into(), resources: vec![] };
        let page = PreemptionPage { preemptions: vec![], next: Cursor::new("7") };
        let inventory = Inventory { resources: vec![], unreached: vec!["south-1".into()] };
        let ended = TerminateReceipt { ending: vec!["i-1".into()], gone: vec!["i-2".into()] };
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_offers().once().returning(|_| Ok(vec![]));
        mock.expect_signals().once().returning(|_| Ok(vec![]));
        mock.expect_prepare().withf(|b| *b == blueprint()).once().return_const(Ok(handles.clone()));
        mock.expect_launch().withf(|r| *r == request(4)).once().returning(|r| Ok(launched(r)));
        mock.expect_list().once().returning(|_| Ok(launched(&request(2)).instances));
        mock.expect_preemptions()
            .withf(|_, after| after.as_str() == "6")
            .once()
            .return_const(Ok(page.clone()));
        mock.expect_terminate().withf(|ids| ids.len() == 2).once().return_const(Ok(ended.clone()));
        mock.expect_inventory().withf(|o| *o == owner()).once().return_const(Ok(inventory.clone()));
        mock.expect_delete().once().return_const(Ok(DeleteReceipt::default()));
        let provider = standard(Arc::new(mock), clock.clone(), &Limit::new(clock.clone()), 1);

        let all = Selector::owner(&owner());
        assert_eq!(provider.offers(&Default::default()).await.unwrap(), []);
        assert_eq!(provider.signals(&Default::default()).await.unwrap(), []);
        assert_eq!(provider.prepare(&blueprint()).await.unwrap(), handles);
        assert_eq!(provider.launch(&request(4)).await.unwrap(), launched(&request(4)));
        assert_eq!(provider.list(&all).await.unwrap(), launched(&request(2)).instances);
        assert_eq!(provider.preemptions(&all, &Cursor::new("6")).await.unwrap(), page);
        assert_eq!(provider.terminate(&["i-1".into(), "i-2".into()]).await.unwrap(), ended);
        assert_eq!(provider.inventory(&owner()).await.unwrap(), inventory);
        assert_eq!(provider.delete(&[]).await.unwrap(), DeleteReceipt::default());
        assert_eq!((provider.name(), provider.capability()), ("mock", mock::CAPABILITY));
        assert_eq!(clock.now().as_second(), 0, "a layer waited without a reason");
    }

    #[tokio::test]
    async fn a_refusal_is_neither_repeated_nor_counted_against_the_rate() {
        let clock = clock();
        let capability = crate::Capability { spot: false, ..mock::CAPABILITY };
        let provider =
            standard(Arc::new(mock::provider(capability)), clock.clone(), &Limit::new(clock.clone()), 1);
        let error = provider.launch(&request(1)).await.unwrap_err();
        assert_eq!((error.kind(), clock.now().as_second()), (ErrorKind::Unsupported, 0));
    }

    #[tokio::test]
    async fn fifty_callers_survive_a_storm_of_throttles_together() {
        let clock = clock();
        let mut mock = mock::provider(mock::CAPABILITY);
        // The cloud throttles everything for a minute.
        let calls: Arc<std::sync::Mutex<u32>> = Arc::default();
        mock.expect_launch().returning({
            let (clock, calls) = (clock.clone(), calls.clone());
            move |request| {
                *calls.lock().unwrap() += 1;
                if clock.now().as_second() < 60 {
                    return Err(Error::new(ErrorKind::RateLimited, "slow down"));
                }
                Ok(launched(request))
            }
        });
        let fault = Fault::new(clock.clone()).rule(|_| Verdict::Delay(Duration::from_millis(100)));
        let provider = fault.layer(Arc::new(mock));
        let provider = standard(provider, clock.clone(), &Limit::new(clock.clone()), 1);
        let request = request(1);
        let answers = futures::future::join_all((0..50).map(|_| provider.launch(&request))).await;
        assert!(answers.iter().all(Result::is_ok));
        // Fifty went out before the first throttle came back; after that single probes.
        let calls = *calls.lock().unwrap();
        assert!((100..=110).contains(&calls), "{calls} calls");
    }
}
