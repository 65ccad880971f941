use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use skyfleet_core::{Market, OfferId, Timestamp};

use crate::MarketMix;

/// Decides what takes the place of an instance that ended, or that has been told its end.
///
/// Pure: the same situation gives the same answer. It is asked once per empty slot and look.
pub trait PreemptionPolicy: fmt::Debug + Send + Sync {
    /// Decides for one slot.
    fn replacement(&self, situation: &Situation<'_>) -> Replacement;
}

/// What a policy may look at.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// When it is asked.
    pub now: Timestamp,
    /// Where this slot's instances ended, oldest first.
    pub ended: &'a [Ended],
    /// When each pool took instances of this fleet back, oldest first.
    pub interruptions: &'a BTreeMap<OfferId, Vec<Timestamp>>,
    /// For how long the slot has waited for an instance.
    pub waited: Duration,
    /// The markets that the user allows.
    pub markets: &'a MarketMix,
}

/// The end of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it was.
    pub offer: OfferId,
    /// When it ended, or when its end was announced.
    pub at: Timestamp,
    /// Whether the cloud took it back; otherwise nothing explains its end.
    pub preempted: bool,
}

/// What takes the place of an instance that ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replacement {
    /// Nothing.
    None,
    /// Another instance.
    Buy {
        /// On which market.
        market: Market,
        /// Pools to leave alone while others have room.
        avoid: Vec<OfferId>,
    },
}

/// The usual policy: another pool, after repeated interruptions on demand, and back to spot once
/// the pools have been quiet.
///
/// A pool is left alone by a slot that lost an instance in it, and by the whole fleet after
/// `pool_interruptions_max` interruptions. A slot that was interrupted `slot_interruptions_max`
/// times is filled on demand, where the user's market mix allows it; so is one that has waited for
/// spot as long as the mix says (`on_demand_after`). Only what happened within
/// `memory` counts: after that the next replacement is bought on spot again. An instance that runs on
/// demand is not ended for a cheaper one: the work on it would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnotherPool {
    /// How many interruptions close a pool for the whole fleet.
    pub pool_interruptions_max: u32,
    /// How many interruptions send a slot to the on-demand market.
    pub slot_interruptions_max: u32,
    /// How long an interruption counts.
    pub memory: Duration,
}

impl Default for AnotherPool {
    /// Three in a pool, three in a slot, for an hour.
    fn default() -> Self {
        Self { pool_interruptions_max: 3, slot_interruptions_max: 3, memory: Duration::from_secs(3_600) }
    }
}

impl PreemptionPolicy for AnotherPool {
    fn replacement(&self, situation: &Situation<'_>) -> Replacement {
        let since = situation.now - self.memory;
        let recent = || situation.ended.iter().filter(|ended| ended.preempted && ended.at >= since);
        let tired = recent().count() as u32 >= self.slot_interruptions_max.max(1);
        let market = match situation.markets {
            MarketMix::OnDemand => Market::OnDemand,
            MarketMix::Spot => Market::Spot,
            MarketMix::Mixed { .. } if tired => Market::OnDemand,
            MarketMix::Mixed { on_demand_after: Some(after), .. } if situation.waited >= *after => {
                Market::OnDemand
            }
            // The fixed on-demand share stays what it is: its slots are refilled on demand.
            MarketMix::Mixed { .. } => match situation.ended.last() {
                Some(last) if !last.preempted => last.offer.market,
                _ => Market::Spot,
            },
        };
        Replacement::Buy { market, avoid: avoided(situation, since, self.pool_interruptions_max.max(1)) }
    }
}

/// The pools where this slot was interrupted since then, and those that interrupted the fleet
/// `often` times: in order, each once.
fn avoided(situation: &Situation<'_>, since: Timestamp, often: u32) -> Vec<OfferId> {
    let recent = |times: &[Timestamp]| times.iter().rev().take_while(|at| **at >= since).count();
    let own = situation.ended.iter().filter(|ended| ended.preempted && ended.at >= since);
    let hot = situation.interruptions.iter().filter(|(_, times)| recent(times) >= often as usize);
    let mut avoid: Vec<OfferId> =
        own.map(|ended| &ended.offer).chain(hot.map(|(offer, _)| offer)).cloned().collect();
    avoid.sort_unstable();
    avoid.dedup();
    avoid
}

/// A policy for work with a deadline: spot while the work keeps up with the time, on demand while
/// it lags behind (the uniform-progress rule of the paper "Can't Be Late", NSDI 2024).
///
/// Of the time between `begin` and `deadline`, less a `reserve` at its end, the share that has
/// passed must not be larger than the share of work that is done. On demand is used when the
/// user's market mix allows it.
#[derive(Clone, Debug)]
pub struct UniformProgress {
    /// When the work began.
    pub begin: Timestamp,
    /// When it must be done.
    pub deadline: Timestamp,
    /// Time at the end that is not planned with: for booting and for the last interruption.
    pub reserve: Duration,
    /// How much is done: the worker's side writes it, the policy reads it.
    pub progress: Progress,
}

/// How much of the work is done; clones share the figure.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU32>);

impl Progress {
    /// Sets the share that is done, in parts per million.
    pub fn set_ppm(&self, ppm: u32) {
        self.0.store(ppm, Ordering::Relaxed);
    }

    /// The share that is done, in parts per million.
    pub fn ppm(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl UniformProgress {
    /// Whether less is done than the passed time asks for.
    fn lags(&self, now: Timestamp) -> bool {
        let nanos = |from: Timestamp, to: Timestamp| to.duration_since(from).as_nanos().max(0);
        let whole = nanos(self.begin, self.deadline).saturating_sub(self.reserve.as_nanos() as i128);
        let passed = nanos(self.begin, now);
        whole <= 0 || passed * 1_000_000 > whole * i128::from(self.progress.ppm())
    }
}

impl PreemptionPolicy for UniformProgress {
    fn replacement(&self, situation: &Situation<'_>) -> Replacement {
        let market = match situation.markets {
            MarketMix::OnDemand => Market::OnDemand,
            MarketMix::Spot => Market::Spot,
            MarketMix::Mixed { .. } if self.lags(situation.now) => Market::OnDemand,
            MarketMix::Mixed { .. } => Market::Spot,
        };
        let usual = AnotherPool::default();
        let avoid = avoided(situation, situation.now - usual.memory, usual.pool_interruptions_max);
        Replacement::Buy { market, avoid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: MarketMix = MarketMix::Mixed { on_demand_share: 0.0, on_demand_after: None };

    fn pool(zone: &str) -> OfferId {
        OfferId { zone: zone.into(), instance_type: "sim.small".into(), market: Market::Spot }
    }

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn preempted(zone: &str, at: i64) -> Ended {
        Ended { offer: pool(zone), at: second(at), preempted: true }
    }

    fn ask(
        policy: &dyn PreemptionPolicy,
        now: i64,
        ended: &[Ended],
        markets: &MarketMix,
    ) -> (Market, Vec<OfferId>) {
        let mut interruptions = BTreeMap::<OfferId, Vec<Timestamp>>::new();
        for end in ended {
            interruptions.entry(end.offer.clone()).or_default().push(end.at);
        }
        let situation = Situation {
            now: second(now),
            ended,
            interruptions: &interruptions,
            waited: Duration::ZERO,
            markets,
        };
        match policy.replacement(&situation) {
            Replacement::Buy { market, avoid } => (market, avoid),
            Replacement::None => panic!("these policies always replace"),
        }
    }

    #[test]
    fn an_interrupted_slot_goes_to_another_pool_and_comes_back_when_it_was_quiet() {
        let ended = [preempted("a", 100)];
        let policy = AnotherPool::default();
        assert_eq!(ask(&policy, 200, &ended, &MIXED), (Market::Spot, vec![pool("a")]));
        assert_eq!(ask(&policy, 200 + 3_600, &ended, &MIXED), (Market::Spot, vec![]));
    }

    #[test]
    fn a_slot_that_is_interrupted_again_and_again_goes_on_demand_and_back() {
        let ended = [preempted("a", 100), preempted("b", 200), preempted("c", 300)];
        let policy = AnotherPool::default();
        assert_eq!(ask(&policy, 400, &ended, &MIXED).0, Market::OnDemand);
        assert_eq!(ask(&policy, 400, &ended, &MarketMix::Spot).0, Market::Spot);
        assert_eq!(ask(&policy, 5_000, &ended, &MIXED).0, Market::Spot);
    }

    #[test]
    fn a_pool_that_keeps_interrupting_is_closed_for_every_slot() {
        let interruptions = BTreeMap::from([(pool("a"), vec![second(1), second(2), second(3)])]);
        let situation = Situation {
            now: second(10),
            ended: &[],
            interruptions: &interruptions,
            waited: Duration::ZERO,
            markets: &MarketMix::Spot,
        };
        assert_eq!(
            AnotherPool::default().replacement(&situation),
            Replacement::Buy { market: Market::Spot, avoid: vec![pool("a")] }
        );
    }

    #[test]
    fn work_that_lags_behind_its_deadline_is_moved_on_demand() {
        let progress = Progress::default();
        let policy = UniformProgress {
            begin: second(0),
            deadline: second(1_100),
            reserve: Duration::from_secs(100),
            progress: progress.clone(),
        };
        progress.set_ppm(500_000);
        assert_eq!(ask(&policy, 499, &[], &MIXED).0, Market::Spot);
        assert_eq!(ask(&policy, 501, &[], &MIXED).0, Market::OnDemand);
        progress.set_ppm(600_000);
        assert_eq!(ask(&policy, 501, &[], &MIXED).0, Market::Spot);
        assert_eq!(ask(&policy, 501, &[], &MarketMix::Spot).0, Market::Spot);
    }
}
