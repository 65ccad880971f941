use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skyfleet_core::{
    Error, ErrorKind, InstanceId, Inventory, Leftover, Resource, ResourceKind, Result, Timestamp,
};

use crate::EventKind;
use crate::roster::VISIBILITY_GRACE;
use crate::state::{Inner, since};

/// How long a teardown keeps at it while nothing goes, before it reports what is left: ten thousand
/// instances of EC2 take eight minutes to be asked for, at the rate of its limits.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How long an instance whose end was accepted may take before it is asked again. Each cloud is
/// faster, and each repetition draws on the rate that the others wait for.
const ASK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// How long it waits between two looks, at first and at most: no cloud ends a machine in less, and
/// each look is a call in each region.
const WAIT_FIRST: Duration = Duration::from_secs(10);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What a teardown did, and what proves that it is done.
#[derive(Clone, Debug)]
pub struct TeardownReport {
    /// How many instances were ended by it.
    pub instances: u32,
    /// What else was deleted.
    pub deleted: Vec<Resource>,
    /// What is still there, and why. Empty is proven by a complete inventory.
    pub leftovers: Vec<Leftover>,
    /// How long it took, on the fleet's clock.
    pub took: Duration,
}

impl TeardownReport {
    /// Whether it is proven that nothing is left.
    pub fn is_clean(&self) -> bool {
        self.leftovers.is_empty()
    }
}

/// How far a teardown is.
#[derive(Default)]
struct Progress {
    /// Which known instances the cloud was asked to end, and when last.
    asked: BTreeMap<InstanceId, Timestamp>,
    /// The same for instances out of an inventory: its names may differ.
    resources: BTreeMap<Resource, Timestamp>,
    deleted: BTreeSet<Resource>,
    /// What the cloud said of those that are still there.
    reasons: BTreeMap<Resource, Error>,
    /// Why the last round could not give back all that it wanted to.
    refused: Option<Error>,
}

impl Inner {
    /// Gives back everything of the fleet, or of the owner.
    pub(crate) async fn teardown(&self, all_fleets: bool) -> Result<TeardownReport> {
        let begun = self.clock.now();
        let instances = {
            let mut state = self.state();
            state.closing = true;
            state.roster.alive().count() as u32
        };
        self.tell(EventKind::TeardownStarted { instances });
        self.wait_for_launches().await;

        let mut progress = Progress::default();
        let mut wait = WAIT_FIRST;
        let mut trouble;
        let (mut fewest, mut went) = (usize::MAX, begun);
        loop {
            let looked = self.clock.now();
            let left = match self.clear(all_fleets, &mut progress).await {
                Ok(inventory) => {
                    trouble = None;
                    Some(inventory)
                }
                Err(error) if is_hopeless(error.kind()) => return Err(error.at("fleet.teardown")),
                Err(error) => {
                    self.tell(EventKind::Trouble { reason: error.to_string() });
                    trouble = Some(error);
                    None
                }
            };
            // What an earlier life, or a launch without an answer, bought last is listed by then.
            let proof_from = {
                let state = self.state();
                state.opened.max(state.launched_last) + VISIBILITY_GRACE
            };
            let empty = left.as_ref().is_some_and(Inventory::proves_empty);
            if empty && looked >= proof_from {
                return Ok(self.torn_down(progress, Vec::new(), begun));
            }
            let now = self.clock.now();
            if let Some(left) = left.as_ref().filter(|left| left.resources.len() < fewest) {
                (fewest, went) = (left.resources.len(), now);
            }
            let patience = went.max(proof_from) + PATIENCE;
            let hopeless = progress.refused.as_ref().is_some_and(|error| is_hopeless(error.kind()));
            if now >= patience || hopeless {
                return match left {
                    Some(left) if left.unreached.is_empty() => {
                        let leftovers = left.resources.into_iter().map(|r| progress.leftover(r)).collect();
                        Ok(self.torn_down(progress, leftovers, begun))
                    }
                    Some(left) => Err(unreached(&left)),
                    None => Err(trouble.unwrap_or_else(|| unreached(&Inventory::default()))),
                };
            }
            let next = if empty { since(now, proof_from).max(WAIT_FIRST) } else { wait };
            self.clock.sleep(next).await;
            wait = (wait * 3 / 2).min(WAIT_MAX);
        }
    }

    /// Lets launches that are under way end: they give back what they get. One whose future is
    /// never polled again would be waited for in vain; the proof below covers it.
    async fn wait_for_launches(&self) {
        let until = self.clock.now() + VISIBILITY_GRACE;
        while self.state().calls > 0 && self.clock.now() < until {
            self.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// Asks what there is and gives it back. Answers what there was.
    ///
    /// # Errors
    /// Those of the question; what was refused of the rest is noted.
    async fn clear(&self, all_fleets: bool, progress: &mut Progress) -> Result<Inventory> {
        let mut inventory = self.provider.inventory(&self.config.owner).await?;
        let name = &self.config.name;
        inventory.resources.retain(|r| all_fleets || r.fleet.as_ref() == Some(name));
        progress.refused = self.give_back(&inventory, progress).await.err();
        if let Some(error) = &progress.refused {
            self.tell(EventKind::Trouble { reason: error.to_string() });
        }
        Ok(inventory)
    }

    /// Gives back what there is: first what could start instances by itself, then the instances,
    /// then the rest.
    async fn give_back(&self, inventory: &Inventory, progress: &mut Progress) -> Result<()> {
        let starts = |r: &Resource| matches!(r.kind, ResourceKind::SpotRequest | ResourceKind::FleetObject);
        let (starters, rest): (Vec<_>, Vec<_>) = inventory.resources.iter().cloned().partition(starts);
        self.delete(starters, progress).await?;
        self.terminate(progress).await?;

        let now = self.clock.now();
        let ends = rest.iter().any(|r| r.kind == ResourceKind::Instance);
        // What instances still use is asked for again when they are gone.
        let is_due = |r: &Resource| match r.kind {
            ResourceKind::Instance => {
                let by_name = progress.asked.get(&InstanceId::new(r.id.clone()));
                by_name.or(progress.resources.get(r)).is_none_or(|at| is_due(*at, now))
            }
            _ => !ends || !progress.reasons.contains_key(r),
        };
        let due: Vec<Resource> = rest.into_iter().filter(is_due).collect();
        let instances = due.iter().filter(|r| r.kind == ResourceKind::Instance);
        let asked: Vec<_> = instances.map(|r| (r.clone(), now)).collect();
        self.delete(due, progress).await?;
        progress.resources.extend(asked);
        Ok(())
    }

    /// Ends the instances that are known by name, also while no inventory shows them yet.
    async fn terminate(&self, progress: &mut Progress) -> Result<()> {
        let now = self.clock.now();
        let due = |id: &&InstanceId| progress.asked.get(*id).is_none_or(|at| is_due(*at, now));
        let ids: Vec<InstanceId> = self.state().roster.alive().filter(due).cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.provider.terminate(&ids).await?;
        let now = self.clock.now();
        let mut state = self.state();
        for id in ids {
            state.meter.ended(&id, now);
            progress.asked.insert(id, now);
        }
        Ok(())
    }

    async fn delete(&self, resources: Vec<Resource>, progress: &mut Progress) -> Result<()> {
        if resources.is_empty() {
            return Ok(());
        }
        let receipt = self.provider.delete(&resources).await?;
        let others = receipt.deleted.into_iter().filter(|r| r.kind != ResourceKind::Instance);
        progress.deleted.extend(others);
        for Leftover { resource, reason } in receipt.pending {
            progress.reasons.insert(resource, reason);
        }
        Ok(())
    }

    fn torn_down(&self, progress: Progress, leftovers: Vec<Leftover>, begun: Timestamp) -> TeardownReport {
        let now = self.clock.now();
        let mut state = self.state();
        let alive: Vec<InstanceId> = state.roster.alive().cloned().collect();
        for id in alive {
            state.roster.release(&id, now);
            state.meter.ended(&id, now);
        }
        state.intents.clear();
        state.abandoned.clear();
        state.prepared = None;
        let spent = state.meter.bill(now).spent;
        state.tell(EventKind::TornDown { leftovers: leftovers.len() as u32, spent }, now);
        TeardownReport {
            instances: progress.asked.len().max(progress.resources.len()) as u32,
            deleted: progress.deleted.into_iter().collect(),
            leftovers,
            took: since(begun, now),
        }
    }
}

impl Progress {
    fn leftover(&self, resource: Resource) -> Leftover {
        let reason = self.reasons.get(&resource).or(self.refused.as_ref()).cloned().unwrap_or_else(|| {
            Error::new(ErrorKind::Unavailable, "the cloud accepted its end and still lists it")
        });
        Leftover { resource, reason }
    }
}

/// Whether an instance that does not go is asked again.
fn is_due(asked: Timestamp, now: Timestamp) -> bool {
    asked + ASK_AGAIN <= now
}

/// Whether asking again cannot help.
fn is_hopeless(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::RateLimited
            | ErrorKind::Conflict
            | ErrorKind::NotFound
            | ErrorKind::NoCapacity
    )
}

fn unreached(inventory: &Inventory) -> Error {
    let regions: Vec<&str> = inventory.unreached.iter().map(AsRef::as_ref).collect();
    let message = "some regions did not answer: nothing proves that they are empty";
    Error::new(ErrorKind::Unavailable, message).with("regions", regions.join(", ")).at("fleet.teardown")
}
