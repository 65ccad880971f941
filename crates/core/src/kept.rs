//! Answers that stay true for a while, so that a cloud is not asked again.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use crate::{Result, Timestamp};

/// Answers by what was asked, each as old as it may be. Several who ask the same at once share one
/// call, and nobody waits for another question's answer.
pub struct Kept<K, V> {
    age_max: Duration,
    cells: Mutex<BTreeMap<K, Cell<V>>>,
}

/// The outer lock is held while the question is under way.
type Cell<V> = Arc<AsyncMutex<Option<Aged<V>>>>;

#[derive(Debug)]
struct Aged<V> {
    at: Timestamp,
    value: Arc<V>,
}

impl<K: Ord + Clone, V> Kept<K, V> {
    /// Nothing yet; an answer is given again until it is this old.
    pub fn new(age_max: Duration) -> Self {
        Self { age_max, cells: Mutex::default() }
    }

    /// The answer that is kept, or a new one.
    ///
    /// # Errors
    /// Those of `ask`. A question that fails leaves nothing behind.
    pub async fn get(&self, key: &K, now: Timestamp, ask: impl Future<Output = Result<V>>) -> Result<Arc<V>> {
        let cell = self.cell(key);
        let mut cell = cell.lock().await;
        if let Some(aged) = &*cell
            && self.is_fresh(aged, now)
        {
            return Ok(aged.value.clone());
        }
        let value = Arc::new(ask.await?);
        *cell = Some(Aged { at: now, value: value.clone() });
        Ok(value)
    }

    /// The answer that is kept, when it is fresh and nobody is asking for a newer one.
    pub fn peek(&self, key: &K, now: Timestamp) -> Option<Arc<V>> {
        let cell = self.lock().get(key)?.clone();
        let cell = cell.try_lock().ok()?;
        cell.as_ref().filter(|aged| self.is_fresh(aged, now)).map(|aged| aged.value.clone())
    }

    /// The answer that is kept, however old.
    pub fn last(&self, key: &K) -> Option<Arc<V>> {
        let cell = self.lock().get(key)?.clone();
        cell.try_lock().ok()?.as_ref().map(|aged| aged.value.clone())
    }

    /// The age of the oldest answer that is still given.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let cells: Vec<Cell<V>> = self.lock().values().cloned().collect();
        let ages = cells.iter().filter_map(|cell| {
            let cell = cell.try_lock().ok()?;
            cell.as_ref().filter(|aged| self.is_fresh(aged, now)).map(|aged| age(aged.at, now))
        });
        ages.max()
    }

    fn is_fresh(&self, aged: &Aged<V>, now: Timestamp) -> bool {
        age(aged.at, now) < self.age_max
    }

    fn cell(&self, key: &K) -> Cell<V> {
        self.lock().entry(key.clone()).or_default().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<K, Cell<V>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: fmt::Debug, V> fmt::Debug for Kept<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Kept").field("age_max", &self.age_max).field("keys", &cells.len()).finish()
    }
}

/// How long ago something was; zero for what is to come.
pub fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{Error, ErrorKind};

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_given_again_until_it_is_too_old() {
        let kept = Kept::new(Duration::from_secs(10));
        let asked = AtomicU32::new(0);
        let ask = || async { Ok(asked.fetch_add(1, Ordering::Relaxed)) };
        assert_eq!(*kept.get(&"a", second(0), ask()).await.unwrap(), 0);
        assert_eq!(*kept.get(&"a", second(9), ask()).await.unwrap(), 0);
        assert_eq!(kept.age(second(9)), Some(Duration::from_secs(9)));
        assert_eq!(kept.peek(&"a", second(10)), None);
        assert_eq!(kept.last(&"a").as_deref(), Some(&0));
        assert_eq!(*kept.get(&"a", second(10), ask()).await.unwrap(), 1);
        assert_eq!(*kept.get(&"b", second(10), ask()).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_call() {
        let kept = Kept::new(Duration::from_secs(10));
        let asked = AtomicU32::new(0);
        let ask = || async {
            tokio::task::yield_now().await;
            Ok(asked.fetch_add(1, Ordering::Relaxed))
        };
        let (a, b) = futures::join!(kept.get(&1, second(0), ask()), kept.get(&1, second(0), ask()));
        assert_eq!((*a.unwrap(), *b.unwrap()), (0, 0));
    }

    #[tokio::test]
    async fn a_question_that_failed_is_asked_again() {
        let kept = Kept::new(Duration::from_secs(10));
        let failed = kept.get(&1, second(0), async { Err(Error::new(ErrorKind::Unavailable, "down")) }).await;
        assert!(failed.is_err());
        assert_eq!(*kept.get(&1, second(0), async { Ok(7) }).await.unwrap(), 7);
    }
}
