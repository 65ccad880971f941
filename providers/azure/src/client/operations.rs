//! Long-running operations: what Azure does after it has answered. Azure documentation, "Track
//! asynchronous Azure operations".

use std::time::Duration;

use serde_json::Value;
use skyfleet_core::{Clock, Error, ErrorKind, Result, Retry, Timestamp};

use super::arm::Call;
use super::{Answer, Client};
use crate::error::ArmError;

/// How often to look where Azure does not say it, and at most.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Something that Azure has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Where its status is told: always 200, with a word.
    status: Option<String>,
    /// Where its result will be: 202 until it is there.
    result: Option<String>,
    retry_after: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Succeeded,
    Failed(ArmError),
    /// Nobody waits any more. It goes on even so.
    Late,
}

impl Begun {
    /// What an answer has begun; `None` where everything is done with it.
    pub(crate) fn by(answer: &Answer) -> Option<Self> {
        let link = |name: &str| answer.header(name).filter(|url| !url.is_empty()).map(str::to_owned);
        let status = link("azure-asyncoperation");
        // Of a 201 it may be the resource itself.
        let result = link("location").filter(|_| answer.status == 202 || status.is_some());
        let begun = Self { status, result, retry_after: after(answer) };
        (begun.status.is_some() || begun.result.is_some()).then_some(begun)
    }
}

fn after(answer: &Answer) -> Option<Duration> {
    answer.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

impl Client {
    /// Waits until an operation is over, or the time has come.
    ///
    /// A look that fails is no failure of the operation, and is made again: whoever would begin it
    /// again could have it twice.
    ///
    /// # Errors
    /// What no other look would mend: the credentials, the permission.
    pub(crate) async fn finished(&self, name: &'static str, begun: Begun, until: Timestamp) -> Result<End> {
        let clock: &dyn Clock = &**self.clock();
        let Some(link) = begun.status.as_ref().or(begun.result.as_ref()) else { return Ok(End::Succeeded) };
        let call = Call::get(name, link.clone(), "");
        let mut breath = begun.retry_after.unwrap_or(LOOK);
        loop {
            if clock.now() >= until {
                return Ok(End::Late);
            }
            let left = Duration::try_from(until.duration_since(clock.now())).unwrap_or_default();
            clock.sleep(breath.clamp(Duration::from_secs(1), LOOK_MAX).min(left)).await;
            let answer = match self.ask(&call).await {
                Ok(answer) => answer,
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::debug!(%error, "an operation could not be looked at");
                    breath = LOOK;
                    continue;
                }
                Err(error) => return Err(error),
            };
            breath = after(&answer).unwrap_or(LOOK);
            match self.look(&answer, begun.status.is_some()) {
                Look::Over(end) => return Ok(end),
                Look::UnderWay => {}
                Look::Unclear(error) if matches!(error.retry(), Retry::After(_)) => {
                    tracing::debug!(%error, "an operation could not be looked at");
                }
                Look::Unclear(error) => return Err(error.at(name)),
            }
        }
    }

    fn look(&self, answer: &Answer, by_status: bool) -> Look {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(refusal) = answer.refusal() {
            // By `Location` a failure is the answer itself; a status is told with 200 in any case.
            let error = refusal.error();
            let own = !by_status && refusal.status < 500 && !matches!(refusal.status, 401 | 403 | 408 | 429);
            return if own { Look::Over(End::Failed(refusal)) } else { Look::Unclear(error) };
        }
        let word = body.get("status").and_then(Value::as_str);
        match word {
            Some(word) if word.eq_ignore_ascii_case("Succeeded") => Look::Over(End::Succeeded),
            Some("Failed" | "failed" | "Canceled" | "Cancelled" | "canceled") => {
                let mut told = ArmError::told(&body);
                told.request_id = answer.header("x-ms-request-id").map(str::to_owned);
                Look::Over(End::Failed(told))
            }
            Some(_) if by_status => Look::UnderWay,
            _ if answer.status == 202 => Look::UnderWay,
            _ => Look::Over(End::Succeeded),
        }
    }

    /// Makes or changes something, and waits until it is there.
    ///
    /// # Errors
    /// What Azure says against it, at once or later; `Unavailable` when it takes longer than
    /// anybody would wait: then the same call again finds it.
    pub(crate) async fn done(&self, call: &Call<'_>, patience: Duration) -> Result<()> {
        let answer = self.call(call).await?;
        let Some(begun) = Begun::by(&answer) else { return Ok(()) };
        match self.finished(call.operation, begun, self.clock().now() + patience).await? {
            End::Succeeded => Ok(()),
            End::Failed(told) => Err(told.error().at(call.operation)),
            End::Late => {
                let message = format!("the operation is not over after {} s", patience.as_secs());
                Err(Error::new(ErrorKind::Unavailable, message).at(call.operation))
            }
        }
    }
}

/// What a look at an operation shows.
enum Look {
    Over(End),
    UnderWay,
    Unclear(Error),
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let pairs = headers.iter();
        let pairs =
            pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Answer { status, headers: HeaderMap::from_iter(pairs), body: Vec::new() }
    }

    #[test]
    fn what_has_begun_is_where_the_headers_say() {
        let both = answer(
            201,
            &[("azure-asyncoperation", "http://a/op"), ("location", "http://a/result"), ("retry-after", "7")],
        );
        let begun = Begun::by(&both).unwrap();
        assert_eq!(begun.status.as_deref(), Some("http://a/op"));
        assert_eq!(begun.retry_after, Some(Duration::from_secs(7)));
        let location = Begun::by(&answer(202, &[("location", "http://a/result")])).unwrap();
        assert_eq!((location.status, location.result.as_deref()), (None, Some("http://a/result")));
        for done in [answer(200, &[]), answer(204, &[]), answer(201, &[("location", "http://a/resource")])] {
            assert_eq!(Begun::by(&done), None, "{done:?}");
        }
    }
}
