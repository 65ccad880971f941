use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use skyfleet_core::{Cursor, Market, OfferQuery, Selector};

use crate::bed::Bed;
use crate::case::{Case, FAIL, IMPOSTOR, PROVOKES, Proof, SECRETS, case, ensure, pull};
use crate::world::Failure;

pub(crate) const CASES: &[Case] = &[
    case!("SECRETS-1", no_secret_in_debug, [SECRETS]),
    case!("SECRETS-2", no_secret_in_an_error, [SECRETS]),
    case!("SECRETS-2", no_secret_in_the_error_of_a_refused_client, [SECRETS, IMPOSTOR, PROVOKES]),
    case!("SECRETS-2", no_secret_in_the_error_of_a_failed_call, [SECRETS, FAIL, PROVOKES]),
    case!("SECRETS-3", no_secret_in_a_log_line, [SECRETS]),
];

async fn no_secret_in_debug(bed: &Bed) -> Proof {
    shows_none(bed, "the provider", &bed.provider)?;
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    shows_none(bed, "prepared", &fleet.prepared)?;
    shows_none(bed, "launched", &bed.provider.launch(&fleet.request(0, 1)).await?)?;
    shows_none(bed, "the list", &bed.provider.list(&fleet.selector()).await?)?;
    shows_none(bed, "the inventory", &bed.provider.inventory(&bed.owner).await?)
}

async fn no_secret_in_an_error(bed: &Bed) -> Proof {
    let query = OfferQuery { regions: vec!["atlantis-1".into()], ..OfferQuery::default() };
    shows_none(bed, "offers", &bed.provider.offers(&query).await.err())?;
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    let mut nowhere = fleet.request(0, 1);
    nowhere.pools[0].offer.zone = "atlantis-1z".into();
    shows_none(bed, "launch", &bed.provider.launch(&nowhere).await.err())?;
    let cursor = Cursor::new("not a cursor of anybody");
    let error = bed.provider.preemptions(&fleet.selector(), &cursor).await.err();
    shows_none(bed, "preemptions", &error)
}

async fn no_secret_in_the_error_of_a_refused_client(bed: &Bed) -> Proof {
    let impostor = pull(&bed.levers.impostor)()?.provider;
    shows_none(bed, "the impostor", &impostor)?;
    shows_none(bed, "list", &impostor.list(&Selector::owner(&bed.owner)).await.err())
}

async fn no_secret_in_the_error_of_a_failed_call(bed: &Bed) -> Proof {
    for failure in [Failure::Throttled, Failure::Down, Failure::AnswerLost] {
        pull(&bed.levers.fail)(failure)?;
        shows_none(bed, "list", &bed.provider.list(&Selector::owner(&bed.owner)).await.err())?;
        pull(&bed.levers.calm)();
    }
    Ok(())
}

async fn no_secret_in_a_log_line(bed: &Bed) -> Proof {
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let log = log.with_writer({
        let lines = lines.clone();
        move || lines.clone()
    });
    // Of this thread only: each case has its own, with a runtime that stays on it.
    let guard = tracing::subscriber::set_default(log.finish());
    tracing::trace!("the log is heard");
    let fleet = bed.fleet(Market::OnDemand, 1).await?;
    bed.provider.launch(&fleet.request(0, 1)).await?;
    bed.provider.list(&fleet.selector()).await?;
    bed.provider.preemptions(&fleet.selector(), &Cursor::start()).await?;
    bed.provider.inventory(&bed.owner).await?;
    let mut nowhere = fleet.request(1, 1);
    nowhere.pools[0].offer.zone = "atlantis-1z".into();
    let _refused = bed.provider.launch(&nowhere).await;
    drop(guard);
    let text = lines.text();
    ensure!(text.contains("the log is heard"), "the log was not heard, so it proves nothing");
    shows_none(bed, "the log", &text)
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn shows_none(bed: &Bed, what: &str, value: &impl Debug) -> Proof {
    let (line, block) = (format!("{value:?}"), format!("{value:#?}"));
    for (number, secret) in bed.levers.secrets.iter().enumerate() {
        // The text is not repeated here: this goes into a log.
        ensure!(!line.contains(secret) && !block.contains(secret), "{what} shows secret number {number}");
    }
    Ok(())
}
