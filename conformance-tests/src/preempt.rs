use std::time::Duration;

use skyfleet_core::{
    Cursor, ErrorKind, InstanceId, Market, Preemption, PreemptionKind, PreemptionPage, Provider, Selector,
};

use crate::bed::{Bed, LOOK, PATIENCE};
use crate::case::{Case, Fault, NO_NOTICE, NOTICE, PREEMPT, Proof, RECONNECT, SPOT, case, ensure, pull};

pub(crate) const CASES: &[Case] = &[
    case!("PREEMPT-1", a_reclaim_is_told_once, [SPOT, PREEMPT]),
    case!("PREEMPT-2", a_notice_comes_before_the_end, [NOTICE, PREEMPT]),
    case!("PREEMPT-3", no_notice_where_none_is_declared, [SPOT, NO_NOTICE, PREEMPT]),
    case!("PREEMPT-4", a_cursor_loses_and_repeats_nothing, [SPOT, PREEMPT]),
    case!("PREEMPT-4", a_cursor_survives_a_restart, [SPOT, PREEMPT, RECONNECT]),
    case!("PREEMPT-5", an_end_by_the_user_is_no_preemption, [SPOT]),
    case!("PREEMPT-6", a_foreign_cursor_is_refused),
    case!("PREEMPT-7", preemptions_come_in_order_and_only_ours, [SPOT, PREEMPT]),
    case!("PREEMPT-8", a_reclaimed_instance_is_not_listed_alive, [SPOT, PREEMPT]),
];

async fn a_reclaim_is_told_once(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::Spot, 3).await?;
    pull(&bed.levers.preempt)(&ids[0])?;
    let mut reader = Reader::start(&*bed.provider, fleet.selector());
    reader.until_reclaimed(bed, &ids[0]).await?;
    reader.for_a_while(bed).await?;
    let reclaims = reader.told.iter().filter(|p| p.instance == ids[0] && p.kind == PreemptionKind::Reclaimed);
    ensure!(reclaims.count() == 1, "the reclaim of {} was told more than once: {:?}", ids[0], reader.told);
    Ok(())
}

async fn a_notice_comes_before_the_end(bed: &Bed) -> Proof {
    let lead = bed.capability().notice.expect("the case's needs say so");
    let (fleet, ids) = bed.running(&bed.owner, Market::Spot, 2).await?;
    pull(&bed.levers.preempt)(&ids[0])?;
    let mut reader = Reader::start(&*bed.provider, fleet.selector());
    // A finer look than elsewhere: the shortest notices are half a minute long.
    let end = bed.clock.now() + PATIENCE;
    let notice = loop {
        reader.read().await?;
        let mut ours =
            reader.told.iter().filter(|p| p.instance == ids[0] && p.kind != PreemptionKind::Rebalance);
        if let Some(first) = ours.next() {
            break first.clone();
        }
        ensure!(
            bed.clock.now() < end,
            "{} was taken back and {} s later nothing was told",
            ids[0],
            PATIENCE.as_secs()
        );
        bed.clock.sleep(Duration::from_secs(1)).await;
    };
    ensure!(notice.kind == PreemptionKind::Notice, "the first that was told is {notice:?}");
    let Some(deadline) = notice.deadline else {
        return Err(Fault::new(format!("a notice without a deadline: {notice:?}")));
    };
    // Clouds give less than their usual time now and then, never more.
    let ahead = Duration::try_from(deadline.duration_since(notice.at)).unwrap_or_default();
    ensure!(
        !ahead.is_zero() && ahead <= lead,
        "{} s are declared, the deadline lies {} s ahead",
        lead.as_secs(),
        ahead.as_secs_f64()
    );
    let now = bed.clock.now();
    ensure!(now < deadline, "the notice could be read at {now}, its deadline was {deadline}");

    reader.until_reclaimed(bed, &ids[0]).await?;
    let end = reader.told.iter().find(|p| p.kind == PreemptionKind::Reclaimed && p.instance == ids[0]);
    let at = end.map(|p| p.at);
    ensure!(at >= Some(deadline), "it was to end at {deadline} and ended at {at:?}");
    Ok(())
}

async fn no_notice_where_none_is_declared(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::Spot, 2).await?;
    pull(&bed.levers.preempt)(&ids[0])?;
    let mut reader = Reader::start(&*bed.provider, fleet.selector());
    reader.until_reclaimed(bed, &ids[0]).await?;
    let notice = reader.told.iter().find(|p| p.kind == PreemptionKind::Notice);
    ensure!(notice.is_none(), "not declared, and told: {notice:?}");
    Ok(())
}

async fn a_cursor_loses_and_repeats_nothing(bed: &Bed) -> Proof {
    let (selector, pieces) = read_in_pieces(bed, None).await?;
    same_as_at_once(&*bed.provider, selector, &pieces).await
}

async fn a_cursor_survives_a_restart(bed: &Bed) -> Proof {
    let second = pull(&bed.levers.reconnect)()?.provider;
    let (selector, pieces) = read_in_pieces(bed, Some(&*second)).await?;
    same_as_at_once(&*second, selector, &pieces).await
}

/// Takes three instances back, one after the other, and reads some of the stream between any two;
/// a second client, if there is one, goes on after the first piece.
async fn read_in_pieces(bed: &Bed, second: Option<&dyn Provider>) -> Proof<(Selector, Vec<Preemption>)> {
    let (fleet, ids) = bed.running(&bed.owner, Market::Spot, 3).await?;
    let mut reader = Reader::start(&*bed.provider, fleet.selector());
    for (round, id) in ids.iter().enumerate() {
        pull(&bed.levers.preempt)(id)?;
        reader.until_reclaimed(bed, id).await?;
        // The same place may be read again: a cursor is not used up.
        let place = reader.cursor.clone();
        let once = reader.provider.preemptions(&reader.selector, &place).await?;
        let twice = reader.provider.preemptions(&reader.selector, &place).await?;
        ensure!(once.preemptions == twice.preemptions, "one cursor, two answers: {once:?} and {twice:?}");
        if let (0, Some(second)) = (round, second) {
            reader.provider = second;
        }
    }
    reader.for_a_while(bed).await?;
    Ok((reader.selector, reader.told))
}

async fn same_as_at_once(provider: &dyn Provider, selector: Selector, pieces: &[Preemption]) -> Proof {
    let mut reader = Reader::start(provider, selector);
    reader.read().await?;
    ensure!(reader.told == pieces, "in pieces {pieces:#?}\nat once {:#?}", reader.told);
    Ok(())
}

async fn an_end_by_the_user_is_no_preemption(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::Spot, 3).await?;
    let mut reader = Reader::start(&*bed.provider, fleet.selector());
    reader.read().await?;
    let before = reader.told.len();
    bed.provider.terminate(&ids[..2]).await?;
    reader.for_a_while(bed).await?;
    let told = reader.told[before..].iter().find(|p| ids[..2].contains(&p.instance));
    ensure!(told.is_none(), "its user ended it: {told:?}");
    Ok(())
}

async fn a_foreign_cursor_is_refused(bed: &Bed) -> Proof {
    for text in ["not a cursor of anybody", "\u{1F6F0}", "99999999999999999999999999"] {
        match bed.provider.preemptions(&Selector::owner(&bed.owner), &Cursor::new(text)).await {
            Ok(PreemptionPage { next, .. }) => {
                ensure!(false, "{text:?} was taken for a cursor; next is {next:?}")
            }
            Err(error) => ensure!(error.kind() == ErrorKind::InvalidRequest, "{text:?}: {error}"),
        }
    }
    Ok(())
}

async fn preemptions_come_in_order_and_only_ours(bed: &Bed) -> Proof {
    let (_, theirs) = bed.running(&bed.neighbour, Market::Spot, 1).await?;
    let (fleet, ours) = bed.running(&bed.owner, Market::Spot, 3).await?;
    for id in theirs.iter().chain(&ours[1..]) {
        pull(&bed.levers.preempt)(id)?;
        bed.clock.sleep(LOOK).await;
    }
    let mut reader = Reader::start(&*bed.provider, Selector::owner(&bed.owner));
    for id in &ours[1..] {
        reader.until_reclaimed(bed, id).await?;
    }
    let stranger = reader.told.iter().find(|p| !ours.contains(&p.instance));
    ensure!(stranger.is_none(), "a neighbour's: {stranger:?}");
    let back = reader.told.windows(2).find(|pair| pair[0].at > pair[1].at);
    ensure!(back.is_none(), "not oldest first: {back:?}");

    let mut one = Reader::start(&*bed.provider, Selector { ids: vec![ours[1].clone()], ..fleet.selector() });
    one.read().await?;
    ensure!(!one.told.is_empty(), "{} was reclaimed, and its own stream is empty", ours[1]);
    let other = one.told.iter().find(|p| p.instance != ours[1]);
    ensure!(other.is_none(), "only {} was asked about: {other:?}", ours[1]);
    Ok(())
}

async fn a_reclaimed_instance_is_not_listed_alive(bed: &Bed) -> Proof {
    let (fleet, ids) = bed.running(&bed.owner, Market::Spot, 2).await?;
    pull(&bed.levers.preempt)(&ids[0])?;
    Reader::start(&*bed.provider, fleet.selector()).until_reclaimed(bed, &ids[0]).await?;
    bed.until("the reclaimed instance to leave the living", &fleet.selector(), |list| {
        list.iter().all(|i| i.id != ids[0] || !i.state.is_alive())
    })
    .await?;
    Ok(())
}

/// Reads the stream of preemptions on and on.
struct Reader<'a> {
    provider: &'a dyn Provider,
    selector: Selector,
    cursor: Cursor,
    told: Vec<Preemption>,
}

impl<'a> Reader<'a> {
    fn start(provider: &'a dyn Provider, selector: Selector) -> Self {
        Self { provider, selector, cursor: Cursor::start(), told: Vec::new() }
    }

    /// To the end of what is known now: the first page that tells nothing.
    async fn read(&mut self) -> Proof {
        for _ in 0..1_000 {
            let page = self.provider.preemptions(&self.selector, &self.cursor).await?;
            self.cursor = page.next;
            if page.preemptions.is_empty() {
                return Ok(());
            }
            self.told.extend(page.preemptions);
        }
        Err(Fault::new(format!("a thousand pages and no end; the last is {:?}", self.told.last())))
    }

    async fn until_reclaimed(&mut self, bed: &Bed, id: &InstanceId) -> Proof {
        let end = bed.clock.now() + PATIENCE;
        loop {
            self.read().await?;
            if self.told.iter().any(|p| p.instance == *id && p.kind == PreemptionKind::Reclaimed) {
                return Ok(());
            }
            ensure!(
                bed.clock.now() < end,
                "{id} was taken back, and {} s later no reclaim was told, only {:?}",
                PATIENCE.as_secs(),
                self.told
            );
            bed.clock.sleep(LOOK).await;
        }
    }

    async fn for_a_while(&mut self, bed: &Bed) -> Proof {
        let end = bed.clock.now() + PATIENCE;
        while bed.clock.now() < end {
            bed.clock.sleep(Duration::from_secs(30)).await;
            self.read().await?;
        }
        Ok(())
    }
}
