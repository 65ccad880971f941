//! Ctrl-C and SIGTERM: the first asks for a clean end, the second leaves at once.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::{Exit, Failure};
use crate::output;

/// Knows whether somebody asked the program to end.
///
/// The signals are taken by a thread of their own, so that a second Ctrl-C works whatever the
/// rest of the program is doing.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    asked: watch::Receiver<bool>,
    last_words: Arc<Mutex<Option<String>>>,
}

impl Interrupt {
    /// Starts to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (ask, asked) = watch::channel(false);
        let last_words = Arc::new(Mutex::new(None));
        let interrupt = Self { asked, last_words: last_words.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut int, mut term) = {
            let _guard = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                let mut before = false;
                loop {
                    tokio::select! {
                        seen = int.recv() => if seen.is_none() { return },
                        seen = term.recv() => if seen.is_none() { return },
                    }
                    if before {
                        leave(&last_words);
                    }
                    before = true;
                    ask.send_replace(true);
                }
            });
        })?;
        Ok(interrupt)
    }

    /// What is printed when a second signal ends the program at once: the command that sweeps.
    pub(crate) fn last_words(&self, words: impl Into<String>) {
        *self.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.into());
    }

    /// Waits until somebody asks the program to end.
    pub(crate) async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Does a piece of work unless the program is asked to end before; then `None`, and the work
    /// is dropped where it stands.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked() => None,
            done = work => Some(done),
        }
    }
}

fn leave(last_words: &Mutex<Option<String>>) -> ! {
    let words = last_words.lock().unwrap_or_else(PoisonError::into_inner).take();
    match words {
        Some(words) => output::note(format!("left at once; {words}")),
        None => output::note("interrupted"),
    }
    std::process::exit(i32::from(Exit::Interrupted as u8))
}
