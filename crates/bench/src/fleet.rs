//! A fleet of a given size, and what a look at it shows.

use std::sync::Arc;

use skyfleet::{AnotherPool, MarketMix, Observed, Roster, step};
use skyfleet_core::{
    FleetName, Instance, InstanceId, InstanceState, Market, OfferId, Owner, Preemption, PreemptionKind,
    Price, Result, Timestamp, Token, UsdPerHour,
};

/// When the fleet was launched, and when it is looked at.
pub const LAUNCHED: Timestamp = Timestamp::constant(1_767_225_600, 0);
const LOOKED: Timestamp = Timestamp::constant(1_767_225_600 + 3_600, 0);

/// A supervised fleet, and a list of its instances as a cloud would give it.
#[derive(Clone, Debug)]
pub struct Fleet {
    roster: Roster,
    listed: Vec<Instance>,
    preemptions: Vec<Preemption>,
}

impl Fleet {
    /// A fleet of `count` running spot instances in 60 pools, of which every `nth` has just been
    /// given notice; 0 for none.
    ///
    /// # Errors
    /// None in practice: the names are legal.
    pub fn running(count: u32, nth: u32) -> Result<Self> {
        let (owner, fleet) = (Owner::parse("bench")?, FleetName::parse("fleet")?);
        let token = Token::derive(&owner, &fleet, 0);
        let labels = Arc::default();
        let instance = |n: u32| Instance {
            id: InstanceId::new(format!("region-1/i-{n:017x}")),
            owner: owner.clone(),
            fleet: fleet.clone(),
            token: token.clone(),
            offer: OfferId {
                zone: ["region-1a", "region-1b", "region-1c"][n as usize % 3].into(),
                instance_type: format!("type-{}", n % 20).into(),
                market: Market::Spot,
            },
            region: "region-1".into(),
            state: InstanceState::Running,
            price: Price::Known(UsdPerHour::from_micros(20_000)),
            launched: LAUNCHED,
            labels: Arc::clone(&labels),
            expires: None,
            private_ip: None,
            public_ip: None,
        };
        let listed: Vec<Instance> = (0..count).map(instance).collect();
        let slots: Vec<u32> = (0..count).collect();
        let mut roster = Roster::new(count);
        roster.launching(0, &slots);
        roster.settle(0, &slots, listed.clone(), LAUNCHED, LAUNCHED);
        let mut fleet = Self { roster, listed, preemptions: Vec::new() };
        // The look at which everybody is seen running for the first time.
        fleet.look();
        if nth > 0 {
            fleet.preemptions = fleet.listed.iter().step_by(nth as usize).map(notice).collect();
        }
        Ok(fleet)
    }

    /// One step of supervision; answers how many things it decided to do or tell.
    pub fn look(&mut self) -> usize {
        let seen = Observed { instances: Some(&self.listed), preemptions: &self.preemptions, now: LOOKED };
        step(&mut self.roster, seen, &AnotherPool::default(), &MarketMix::Spot).len()
    }
}

fn notice(instance: &Instance) -> Preemption {
    Preemption {
        instance: instance.id.clone(),
        kind: PreemptionKind::Notice,
        at: LOOKED,
        deadline: None,
        reason: "capacity".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_look_decides_nothing_and_a_storm_replaces_all_it_hits() {
        assert_eq!(Fleet::running(1_000, 0).unwrap().look(), 0);
        // Ten notices told, and at least one purchase.
        assert!(Fleet::running(1_000, 100).unwrap().look() > 10);
    }
}
