//! A client that stops at any of its calls, and another one that finishes what it began.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use skyfleet_core::layers::{Fault as Stop, Verdict};
use skyfleet_core::{
    Cursor, Error, ErrorKind, FleetBlueprint, InstanceId, InstanceState, Market, Offer, PreemptionKind,
    Provider, ResourceKind, Result, Selector,
};

use crate::bed::{Bed, Fleet, LOOK, PATIENCE, ids};
use crate::case::{CRASHES, Case, Fault, PREEMPT, Proof, RECONNECT, SPOT, case, ensure, pull};
use crate::runner;

pub(crate) const CASES: &[Case] = &[
    case!("TEARDOWN-12", a_launch_that_stopped_at_any_call_is_finished_by_another, [RECONNECT, CRASHES]),
    case!(
        "TEARDOWN-12",
        a_supervision_that_stopped_at_any_call_is_finished_by_another,
        [SPOT, PREEMPT, RECONNECT, CRASHES]
    ),
    case!("TEARDOWN-12", a_teardown_that_stopped_at_any_call_is_finished_by_another, [RECONNECT, CRASHES]),
];

/// How many instances the fleet is to have.
const TARGET: usize = 3;
/// More calls than any of the client's three jobs takes.
const CALLS_MAX: usize = 200;

/// At which of its calls a client stops.
#[derive(Clone, Copy, Debug)]
struct Death {
    /// How many calls are heard before it.
    after: usize,
    /// Whether the cloud still acts on the call that is not heard.
    acted: bool,
}

async fn a_launch_that_stopped_at_any_call_is_finished_by_another(bed: &Bed) -> Proof {
    for acted in [false, true] {
        for after in 0..CALLS_MAX {
            let death = Death { after, acted };
            let client = Client::new(bed, Market::OnDemand, death).await?;
            let died = death.of(bed, &bed.provider, async |mortal| client.launch(&mortal).await).await?;
            client.finish(bed, death, None).await?;
            if !died {
                ensure!(after >= 3, "a launch took {after} calls");
                break;
            }
        }
    }
    Ok(())
}

async fn a_supervision_that_stopped_at_any_call_is_finished_by_another(bed: &Bed) -> Proof {
    for acted in [false, true] {
        for after in 0..CALLS_MAX {
            let death = Death { after, acted };
            let client = Client::new(bed, Market::Spot, death).await?;
            client.launch(&bed.provider).await?;
            let running = |i: &skyfleet_core::Instance| i.state == InstanceState::Running;
            let list = bed
                .until("the fleet to run", &client.selector(), |list| {
                    list.len() == TARGET && list.iter().all(running)
                })
                .await?;
            pull(&bed.levers.preempt)(&list[0].id)?;
            let died = death
                .of(bed, &bed.provider, async |mortal| client.supervise(bed, &mortal, &list[0].id).await)
                .await?;
            client.finish(bed, death, Some(&list[0].id)).await?;
            if !died {
                ensure!(after >= 4, "the replacement of an instance took {after} calls");
                break;
            }
        }
    }
    Ok(())
}

async fn a_teardown_that_stopped_at_any_call_is_finished_by_another(bed: &Bed) -> Proof {
    for acted in [false, true] {
        for after in 0..CALLS_MAX {
            let death = Death { after, acted };
            let client = Client::new(bed, Market::OnDemand, death).await?;
            client.launch(&bed.provider).await?;
            let died =
                death.of(bed, &bed.provider, async |mortal| client.teardown(bed, &mortal).await).await?;
            client.prove_empty(bed, death).await?;
            if !died {
                ensure!(after >= 3, "a teardown took {after} calls");
                break;
            }
        }
    }
    Ok(())
}

impl Death {
    /// Lets a client work until it dies; whether it did.
    async fn of(
        self,
        bed: &Bed,
        provider: &Arc<dyn Provider>,
        work: impl AsyncFnOnce(Arc<dyn Provider>) -> Result<()>,
    ) -> Proof<bool> {
        let mut calls = 0;
        let stop = Stop::new(bed.clock.clone()).rule(move |_| {
            calls += 1;
            let stopped =
                || Error::new(ErrorKind::Unexpected, "the client stopped here").with("fault", "stop");
            match (calls - 1).cmp(&self.after) {
                std::cmp::Ordering::Less => Verdict::Pass,
                std::cmp::Ordering::Equal if self.acted => Verdict::FailAfter(stopped()),
                _ => Verdict::FailBefore(stopped()),
            }
        });
        match work(stop.layer(provider.clone())).await {
            Ok(()) => Ok(false),
            Err(error) if Stop::is_stop(&error) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// A small client that keeps nothing in mind: each decision is made from what the cloud says of
/// the owner's fleet.
struct Client {
    blueprint: FleetBlueprint,
    pools: Vec<Offer>,
}

impl Client {
    async fn new(bed: &Bed, market: Market, death: Death) -> Proof<Self> {
        let pools = bed.pools(market, 2).await?;
        let fleet = format!("crash-{}-{}", death.after, if death.acted { "acted" } else { "not" });
        Ok(Self { blueprint: bed.blueprint(&bed.owner, &fleet, &pools), pools })
    }

    fn selector(&self) -> Selector {
        Selector::fleet(&self.blueprint.owner, &self.blueprint.fleet)
    }

    /// Fills the fleet up. Attempt 0 asks for the whole fleet, each later one for one instance:
    /// so a successor that sees an attempt's number can repeat its launch to the letter. The
    /// attempt after the last that is seen may have been bought, its instances not yet shown:
    /// its token then gives those.
    async fn launch(&self, provider: &Arc<dyn Provider>) -> Result<()> {
        let prepared = provider.prepare(&self.blueprint).await?;
        let fleet = Fleet { blueprint: self.blueprint.clone(), pools: self.pools.clone(), prepared };
        let listed = provider.list(&self.selector()).await?;
        let mut attempt = listed.iter().map(|i| i.token.attempt() + 1).max().unwrap_or_default();
        let living = listed.iter().filter(|i| i.state.is_alive());
        let mut alive: BTreeSet<_> = living.map(|i| i.id.clone()).collect();
        while alive.len() < TARGET {
            let count = if attempt == 0 { TARGET as u32 } else { 1 };
            match provider.launch(&fleet.request(attempt, count)).await {
                Ok(launched) => alive.extend(ids(&launched.instances)),
                // The instances of this attempt have ended.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
            attempt += 1;
            if attempt as usize > CALLS_MAX {
                return Err(Error::new(ErrorKind::NoCapacity, "no launch gives an instance any more"));
            }
        }
        Ok(())
    }

    /// Waits until the instance is reclaimed, then fills up.
    async fn supervise(&self, bed: &Bed, provider: &Arc<dyn Provider>, lost: &InstanceId) -> Result<()> {
        let (mut cursor, end) = (Cursor::start(), bed.clock.now() + PATIENCE);
        while bed.clock.now() < end {
            let page = provider.preemptions(&self.selector(), &cursor).await?;
            cursor = page.next;
            let reclaimed =
                |p: &skyfleet_core::Preemption| p.instance == *lost && p.kind == PreemptionKind::Reclaimed;
            if page.preemptions.iter().any(reclaimed) {
                break;
            }
            bed.clock.sleep(LOOK * 3).await;
        }
        // The list may show the reclaimed one a little longer than the stream.
        bed.clock.sleep(LOOK * 6).await;
        self.launch(provider).await
    }

    /// Ends the instances, then deletes what is left, until an inventory proves empty.
    async fn teardown(&self, bed: &Bed, provider: &Arc<dyn Provider>) -> Result<()> {
        let living = provider.list(&self.selector()).await?;
        provider.terminate(&ids(&living)).await?;
        for _ in 0..20 {
            let inventory = provider.inventory(&self.blueprint.owner).await?;
            if inventory.proves_empty() {
                break;
            }
            provider.delete(&inventory.resources).await?;
            bed.clock.sleep(Duration::from_secs(60)).await;
        }
        Ok(())
    }

    /// A second client does the job from its start, once late instances had time to show, and there
    /// is neither more nor less than the target; then everything goes.
    async fn finish(&self, bed: &Bed, death: Death, lost: Option<&InstanceId>) -> Proof {
        let second = pull(&bed.levers.reconnect)()?.provider;
        bed.settled(&bed.owner).await?;
        match lost {
            Some(lost) => self.supervise(bed, &second, lost).await?,
            None => self.launch(&second).await?,
        }
        bed.clock.sleep(Duration::from_secs(90)).await;
        // By the inventory, which is what will be paid for.
        let inventory = second.inventory(&bed.owner).await?;
        let ours = inventory.resources.iter().filter(|r| r.kind == ResourceKind::Instance);
        let alive: BTreeSet<_> = ours.map(|r| r.id.clone()).collect();
        ensure!(
            alive.len() == TARGET,
            "a client died at {death:?}; its successor wanted {TARGET} instances, and there are {alive:?}"
        );
        self.prove_empty(bed, death).await
    }

    /// A second client, which knows the owner alone, deletes everything.
    async fn prove_empty(&self, bed: &Bed, death: Death) -> Proof {
        let second = pull(&bed.levers.reconnect)()?.provider;
        let swept = runner::sweep(&second, &bed.clock, &bed.levers, &[&bed.owner]).await;
        swept.map_err(|left| Fault::new(format!("a client died at {death:?}: {left}")))
    }
}
