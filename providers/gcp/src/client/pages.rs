//! Questions that take several calls.

use std::future::Future;
use std::time::Duration;

use skyfleet_core::{ErrorKind, Result, Retry, Timestamp};

use super::Client;

/// The most that Compute Engine gives in one page (discovery document, `maxResults`).
pub(crate) const PAGE: u32 = 500;

/// How many times one call is sent before its throttle is everybody's problem: some minutes.
const PATIENCE: u32 = 6;

/// One question to Google, which may be many calls.
///
/// Its first call answers a throttle at once, so that whoever asked can decide. Later calls wait as
/// long as it takes: to begin again from the first would only ask for more.
pub(crate) struct Calls<'a> {
    client: &'a Client,
    operation: &'static str,
    begun: bool,
}

impl<'a> Calls<'a> {
    pub(crate) fn new(client: &'a Client, operation: &'static str) -> Self {
        Self { client, operation, begun: false }
    }

    /// One that comes after others: it waits too.
    pub(crate) fn later(client: &'a Client, operation: &'static str) -> Self {
        Self { client, operation, begun: true }
    }

    pub(crate) async fn send<T, F>(&mut self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = google_cloud_compute_v1::Result<T>>,
    {
        let patient = std::mem::replace(&mut self.begun, true);
        for _ in 1..PATIENCE {
            match self.client.send(self.operation, call()).await {
                Err(error) if patient && error.kind() == ErrorKind::RateLimited => {
                    let breath = match error.retry() {
                        Retry::After(Some(time)) => time,
                        _ => until_next_minute(self.client.clock().now()),
                    };
                    self.client.clock().sleep(breath).await;
                }
                answer => return answer,
            }
        }
        self.client.send(self.operation, call()).await
    }
}

/// Rate quotas fill up at the boundary of the minute, the same for all projects (Compute Engine
/// documentation, "Rate quotas"); a second more, because clocks differ.
pub(crate) fn until_next_minute(now: Timestamp) -> Duration {
    Duration::from_secs(61 - now.as_second().rem_euclid(60).unsigned_abs())
}

impl Client {
    /// All pages of one question: `call` is handed the token of a page, `next` finds that of the
    /// one after it.
    pub(crate) async fn pages<T, F>(
        &self,
        operation: &'static str,
        mut call: impl FnMut(String) -> F,
        next: impl Fn(&T) -> Option<String>,
    ) -> Result<Vec<T>>
    where
        F: Future<Output = google_cloud_compute_v1::Result<T>>,
    {
        let mut calls = Calls::new(self, operation);
        let (mut pages, mut token) = (Vec::new(), String::new());
        loop {
            let page = calls.send(|| call(token.clone())).await?;
            token = next(&page).unwrap_or_default();
            pages.push(page);
            if token.is_empty() {
                return Ok(pages);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_quota_is_waited_for_until_the_minute_is_over() {
        let at = |second| until_next_minute(Timestamp::from_second(second).unwrap()).as_secs();
        assert_eq!([at(1_767_225_600), at(1_767_225_615), at(1_767_225_659)], [61, 46, 2]);
    }
}
