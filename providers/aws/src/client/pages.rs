//! Questions that take several calls.

use std::future::Future;
use std::time::Duration;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use skyfleet_core::{ErrorKind, Region, Result, Retry};

use super::Client;

/// How long to wait for a throttled call when the answer does not say: at first and at most. EC2's
/// buckets fill up at 2 to 20 a second (EC2 developer guide, throttling).
const BREATH: Duration = Duration::from_secs(1);
const BREATH_MAX: Duration = Duration::from_secs(5);
/// How many times one call is sent before its throttle is everybody's problem: about two minutes.
const PATIENCE: u32 = 30;

/// One question to AWS, which may be many calls.
///
/// Its first call answers a throttle at once, so that whoever asked can decide. Later pages wait
/// as long as it takes: to begin again from the first page would only ask for more.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    operation: &'static str,
    region: &'a Region,
    begun: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(client: &'a Client, operation: &'static str, region: &'a Region) -> Self {
        Self { client, operation, region, begun: false }
    }

    /// All pages: `ask` is given the token of the next one, and `take` the page, and answers with
    /// the token in it. EC2 ends with an empty one.
    pub(crate) async fn all<T, E, F>(
        &mut self,
        ask: impl Fn(Option<String>) -> F,
        mut take: impl FnMut(T) -> Option<String>,
    ) -> Result<()>
    where
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let mut token = None;
        loop {
            let page = self.page(|| ask(token.clone())).await?;
            token = take(page).filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// One call. Boxed: the SDK's futures are large, and each level above would carry them again.
    pub(crate) async fn page<T, E, F>(&mut self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let patient = std::mem::replace(&mut self.begun, true);
        for sent in 1..PATIENCE {
            match self.client.send(self.operation, self.region, Box::pin(call())).await {
                Err(error) if patient && error.kind() == ErrorKind::RateLimited => {
                    let breath = match error.retry() {
                        Retry::After(Some(time)) => time,
                        _ => (BREATH * sent).min(BREATH_MAX),
                    };
                    self.client.clock().sleep(breath).await;
                }
                answer => return answer,
            }
        }
        self.client.send(self.operation, self.region, Box::pin(call())).await
    }
}
