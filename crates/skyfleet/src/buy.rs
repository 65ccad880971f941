//! Launches and their tokens: how nothing is bought twice.

use futures::stream::{self, StreamExt};
use skyfleet_core::{
    Error, ErrorKind, LaunchRequest, Launched, Prepared, Result, Shortfall, Spread, Timestamp, Token,
};

use crate::state::{Inner, Intent};
use crate::{EventKind, Lot};

/// How often a launch without an answer is sent, each time with all the patience of the retries.
const SENDS_MAX: u32 = 3;

/// How many launches are under way at a time.
const LAUNCHES_AT_A_TIME: usize = 32;

/// The cloud's and our own clock may differ by this much, and the cloud may cut fractions off: an
/// instance that was launched earlier than this before its call is from an earlier life.
const SKEW: std::time::Duration = std::time::Duration::from_secs(2);

/// What became of some lots.
#[derive(Debug, Default)]
pub(crate) struct Bought {
    /// How many instances took a slot.
    pub(crate) instances: u32,
    pub(crate) shortfalls: Vec<Shortfall>,
    /// An earlier life of the fleet showed itself: what is missing has to be counted again.
    pub(crate) earlier_life: bool,
    /// No further launch makes sense.
    pub(crate) fatal: Option<Error>,
}

/// What became of one launch.
enum Answer {
    Settled {
        instances: u32,
        shortfalls: Vec<Shortfall>,
        replayed: bool,
    },
    /// The token was used in an earlier life.
    Used,
    /// Nobody knows: neither the launch nor the list answers.
    Unknown(Error),
}

impl Inner {
    /// Buys lots for slots, as many slots as the lots have instances.
    ///
    /// Until one launch has bought something new, launches are made one by one: if an earlier life
    /// used the tokens, the first answer says so, and no other launch has bought on top by then.
    pub(crate) async fn buy(
        &self,
        lots: &[Lot],
        slots: Vec<u32>,
        prepared: &Prepared,
        count_min: u32,
    ) -> Bought {
        let mut bought = Bought::default();
        let mut intents = self.intents(lots, slots, prepared, count_min).into_iter();
        while bought.fatal.is_none() && !bought.earlier_life {
            let fresh = self.state().fresh;
            let batch: Vec<Intent> = intents.by_ref().take(if fresh { usize::MAX } else { 1 }).collect();
            if batch.is_empty() {
                break;
            }
            let attempts: Vec<u32> = batch.into_iter().map(|intent| self.open(intent)).collect();
            let mut answers =
                stream::iter(attempts).map(|attempt| self.send(attempt)).buffer_unordered(LAUNCHES_AT_A_TIME);
            while let Some(answer) = answers.next().await {
                bought.add(answer);
            }
        }
        if bought.earlier_life && bought.fatal.is_none() {
            match self.list_after_grace().await {
                Ok(listed) => bought.instances += self.take_over(&listed),
                Err(error) => bought.fatal = Some(error),
            }
        }
        bought
    }

    /// The launches that these lots need: none larger than the provider allows.
    fn intents(&self, lots: &[Lot], slots: Vec<u32>, prepared: &Prepared, count_min: u32) -> Vec<Intent> {
        let capability = self.provider.capability();
        let expires = self.state().expires(self.config.spec.limits.lifetime_max);
        let (mut slots, mut intents) = (slots.into_iter(), Vec::new());
        for lot in lots {
            let whole = capability.all_or_nothing && lots.len() == 1 && lot.spread == Spread::SingleZone;
            let mut left = lot.count;
            while left > 0 {
                let slots: Vec<u32> =
                    slots.by_ref().take(left.min(capability.launch_max.max(1)) as usize).collect();
                let count = slots.len() as u32;
                if count == 0 {
                    break;
                }
                left -= count;
                let request = LaunchRequest {
                    // Numbered when it is sent.
                    token: Token::derive(&self.config.owner, &self.config.name, 0),
                    prepared: prepared.clone(),
                    region: lot.region.clone(),
                    market: lot.market,
                    pools: lot.pools.clone(),
                    count,
                    count_min: if whole && count == lot.count { count_min.clamp(1, count) } else { 1 },
                    spread: lot.spread,
                    expires,
                };
                intents.push(Intent { request, slots });
            }
        }
        intents
    }

    /// Numbers a launch and takes note of it before it is sent.
    fn open(&self, mut intent: Intent) -> u32 {
        let now = self.clock.now();
        let mut state = self.state();
        let attempt = state.attempt;
        state.attempt += 1;
        intent.request.token = Token::derive(&self.config.owner, &self.config.name, attempt);
        let LaunchRequest { region, market, count, .. } = &intent.request;
        let sent = EventKind::LaunchSent { attempt, region: region.clone(), market: *market, count: *count };
        state.tell(sent, now);
        state.roster.launching(attempt, &intent.slots);
        state.intents.insert(attempt, intent);
        state.abandoned.insert(attempt);
        attempt
    }

    /// Sends a launch until its outcome is known: an answer that was lost for good is looked for in
    /// the list, and only when nothing of it is there the same token is sent again.
    async fn send(&self, attempt: u32) -> Answer {
        let Some(Intent { request, .. }) = self.state().intents.get(&attempt).cloned() else {
            self.state().abandoned.remove(&attempt);
            return Answer::Settled { instances: 0, shortfalls: Vec::new(), replayed: false };
        };
        let _under_way = UnderWay::new(self, attempt);
        for sends in 1.. {
            if self.state().closing {
                let error = Error::new(ErrorKind::Conflict, "the fleet is being torn down");
                return self.settle_error(attempt, error);
            }
            let sent = self.clock.now();
            self.state().launched_last = sent;
            let error = match self.provider.launch(&request).await {
                Ok(launched) => return self.settle(attempt, launched, sent).await,
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Conflict => {
                    self.close(attempt, Launched::default());
                    let mut state = self.state();
                    state.attempt = state.attempt.saturating_add(state.skip);
                    state.skip = state.skip.saturating_mul(2).min(1 << 20);
                    return Answer::Used;
                }
                ErrorKind::Unavailable => {}
                _ => return self.settle_error(attempt, error),
            }
            self.tell(EventKind::Trouble { reason: format!("launch {attempt}: {error}") });
            match self.list_after_grace().await {
                Ok(listed) => {
                    let instances: Vec<_> = listed.into_iter().filter(|i| i.token == request.token).collect();
                    if !instances.is_empty() {
                        let missing = request.count.saturating_sub(instances.len() as u32);
                        let shortfalls = Vec::from_iter(
                            (missing > 0).then_some(Shortfall { count: missing, reason: error }),
                        );
                        return self.settle(attempt, Launched { instances, shortfalls }, sent).await;
                    }
                    if sends >= SENDS_MAX {
                        return self.settle_error(attempt, error);
                    }
                }
                // Neither answers: the launch stays open, and its slots are not filled by others.
                Err(list) if sends >= SENDS_MAX => return Answer::Unknown(list),
                Err(_) => {}
            }
        }
        unreachable!("the loop has no other end")
    }

    /// Seats what a launch bought.
    async fn settle(&self, attempt: u32, launched: Launched, sent: Timestamp) -> Answer {
        let Launched { instances, shortfalls } = &launched;
        let replayed = instances.iter().any(|i| i.launched + SKEW < sent);
        let shortfalls = shortfalls.clone();
        let ids: Vec<_> = instances.iter().map(|i| i.id.clone()).collect();
        let closing = {
            let mut state = self.state();
            state.fresh |= !replayed && !ids.is_empty();
            state.closing
        };
        let seated = self.close(attempt, launched);
        if closing {
            self.release(ids, "the fleet is being torn down").await;
            return Answer::Settled { instances: 0, shortfalls, replayed: false };
        }
        Answer::Settled { instances: seated, shortfalls, replayed }
    }

    fn settle_error(&self, attempt: u32, reason: Error) -> Answer {
        let count = self.state().intents.get(&attempt).map_or(0, |intent| intent.request.count);
        let shortfalls = vec![Shortfall { count, reason }];
        self.close(attempt, Launched { instances: Vec::new(), shortfalls: shortfalls.clone() });
        Answer::Settled { instances: 0, shortfalls, replayed: false }
    }

    /// Ends a launch in the books: instances take the slots, shortfalls are remembered. Answers how
    /// many instances took a slot.
    fn close(&self, attempt: u32, launched: Launched) -> u32 {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(intent) = state.intents.remove(&attempt) else { return 0 };
        for instance in &launched.instances {
            state.started = Some(state.started.map_or(instance.launched, |s| s.min(instance.launched)));
        }
        state.learn(&launched, now);
        let events = state.roster.settle(attempt, &intent.slots, launched.instances, now, now);
        let seated = events.iter().filter(|e| matches!(e, EventKind::Filled { .. })).count() as u32;
        state.tell_all(events, now);
        for Shortfall { count, reason } in launched.shortfalls {
            state.tell(EventKind::Shortfall { attempt, count, reason: reason.to_string() }, now);
        }
        seated
    }

    /// Finds out what became of launches that were dropped, or got no answer at all.
    ///
    /// # Errors
    /// Those of the provider's list.
    pub(crate) async fn resolve(&self) -> Result<()> {
        let next = || self.state().abandoned.first().copied();
        while let Some(attempt) = next() {
            // The same token again: the cloud answers with what it bought then, or buys it now.
            if let Answer::Unknown(error) = self.send(attempt).await {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Bought {
    fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Settled { instances, shortfalls, replayed } => {
                self.instances += instances;
                self.earlier_life |= replayed;
                let fatal = shortfalls.iter().find(|s| is_fatal(s.reason.kind()));
                self.fatal = self.fatal.take().or_else(|| fatal.map(|s| s.reason.clone()));
                self.shortfalls.extend(shortfalls);
            }
            Answer::Used => self.earlier_life = true,
            Answer::Unknown(error) => self.fatal = Some(error),
        }
    }
}

/// Whether every further launch would fail alike.
pub(crate) fn is_fatal(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::NoCapacity
            | ErrorKind::QuotaExceeded
            | ErrorKind::RateLimited
            | ErrorKind::Unavailable
            | ErrorKind::NotFound
    )
}

/// A launch that a future is at work on. If it is dropped before the outcome is known, the launch is
/// there for others to resolve.
struct UnderWay<'a> {
    inner: &'a Inner,
    attempt: u32,
}

impl<'a> UnderWay<'a> {
    fn new(inner: &'a Inner, attempt: u32) -> Self {
        let mut state = inner.state();
        state.calls += 1;
        state.abandoned.remove(&attempt);
        Self { inner, attempt }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let now = self.inner.clock.now();
        let mut state = self.inner.state();
        state.calls -= 1;
        state.launched_last = state.launched_last.max(now);
        if state.intents.contains_key(&self.attempt) {
            state.abandoned.insert(self.attempt);
        }
    }
}
