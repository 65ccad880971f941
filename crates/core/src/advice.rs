//! Advice about capacity: signals, which order candidates and veto none. No advice is no misfortune.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Error, ErrorKind, Result, Timestamp};

/// How long nothing is asked for after the cloud said that the caller may not ask.
const PAUSE: Duration = Duration::from_secs(3_600);

/// Whether a kind of question is worth asking: not for an hour after the cloud refused one for good.
#[derive(Debug, Default)]
pub struct Questions {
    paused_until: Mutex<Option<Timestamp>>,
}

impl Questions {
    /// Whether none may be asked now.
    pub fn are_paused(&self, now: Timestamp) -> bool {
        self.paused_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    /// The answer; `None` when there is none to be had. A caller who may not ask would fare no better
    /// with the next question.
    ///
    /// # Errors
    /// Those that are worth a retry, and `Unauthenticated`.
    pub fn heard<T>(&self, answer: Result<T>, now: Timestamp) -> Result<Option<T>> {
        let error: Error = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Unauthenticated => Err(error),
            ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::NotFound => {
                tracing::info!(%error, "no advice about capacity for an hour");
                *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + PAUSE);
                Ok(None)
            }
            _ => {
                tracing::info!(%error, "no advice about the capacity of these machines");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_ask_asks_again_after_an_hour_and_what_passes_is_told() {
        let (questions, now) = (Questions::default(), Timestamp::UNIX_EPOCH);
        let error = |kind| -> Result<()> { Err(Error::new(kind, "no")) };
        assert!(questions.heard(error(ErrorKind::RateLimited), now).is_err());
        assert_eq!(questions.heard(error(ErrorKind::InvalidRequest), now).unwrap(), None);
        assert!(!questions.are_paused(now));
        assert_eq!(questions.heard(error(ErrorKind::PermissionDenied), now).unwrap(), None);
        assert!(questions.are_paused(now) && !questions.are_paused(now + PAUSE));
        assert_eq!(questions.heard(Ok(7), now).unwrap(), Some(7));
    }
}
