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
/// by the clock: at debug level for an answer, at info level for an error, which the caller may well
/// have expected. Neither user data nor
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
            Err(error) => tracing::info!(outcome = error.kind().as_str(), ?elapsed, %error),
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::fixture::{blueprint, clock, launched, request};
    use crate::{Error, ErrorKind, Prepared, mock};
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged while the provider is used.
    async fn logged(mock: mock::MockProvider, calls: impl AsyncFnOnce(Arc<dyn Provider>)) -> Vec<String> {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer({
                let lines = lines.clone();
                move || lines.clone()
            })
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        calls(Trace::new(clock()).layer(Arc::new(mock))).await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn each_call_leaves_one_line_that_says_what_and_how() {
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_launch().once().returning(|request| Ok(launched(request)));
        mock.expect_launch().once().returning(|_| Err(Error::new(ErrorKind::NoCapacity, "empty")));
        let lines = logged(mock, async |provider| {
            let _ = provider.launch(&request(3)).await;
            let _ = provider.launch(&request(3)).await;
        })
        .await;
        assert_eq!(lines.len(), 2, "{lines:#?}");
        for word in ["operation=mock.launch", "region=north-1", "count=3", "token=ada_words_1", "elapsed=0ns"]
        {
            assert!(lines.iter().all(|line| line.contains(word)), "{word}: {lines:#?}");
        }
        assert!(lines[0].contains("DEBUG") && lines[0].contains("obtained=3 missing=0"), "{lines:#?}");
        assert!(lines[1].contains("INFO") && lines[1].contains("NoCapacity"), "{lines:#?}");
    }

    #[tokio::test]
    async fn user_data_and_handles_are_never_logged() {
        let mut mock = mock::provider(mock::CAPABILITY);
        mock.expect_prepare().once().returning(|_| {
            Ok(Prepared { handles: [("north-1".into(), "hunter2".to_owned())].into(), resources: vec![] })
        });
        let lines = logged(mock, async |provider| {
            let _ = provider.prepare(&blueprint()).await;
        })
        .await;
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].contains("hunter2"), "{lines:#?}");
    }
}
