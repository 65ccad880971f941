use std::fmt;

use serde::Serialize;
use skyfleet_core::{InstanceId, Market, OfferId, Price, Region, Timestamp, Usd};

/// Something that happened to a fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When, on the fleet's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen to a fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// A fleet of this name lived already: its instances are taken over.
    Adopted {
        /// How many.
        instances: u32,
    },
    /// A bulk launch was sent.
    LaunchSent {
        /// The launch's number within the fleet.
        attempt: u32,
        /// Where.
        region: Region,
        /// How it is bought.
        market: Market,
        /// How many were asked for.
        count: u32,
    },
    /// A bulk launch obtained fewer than it asked for.
    Shortfall {
        /// The launch's number within the fleet.
        attempt: u32,
        /// How many are missing.
        count: u32,
        /// Why.
        reason: String,
    },
    /// An instance was bought for a slot.
    Filled {
        /// Which slot.
        slot: u32,
        /// Who holds it now.
        instance: InstanceId,
        /// What was obtained.
        offer: OfferId,
        /// At which price.
        price: Price,
        /// Whom it replaces.
        replaces: Option<InstanceId>,
    },
    /// An instance is up.
    Running {
        /// Which slot.
        slot: u32,
        /// Which instance.
        instance: InstanceId,
    },
    /// The cloud advises to expect the end of an instance.
    Rebalance {
        /// Which slot.
        slot: u32,
        /// Which instance.
        instance: InstanceId,
    },
    /// The cloud will take an instance back.
    Notice {
        /// Which slot.
        slot: u32,
        /// Which instance.
        instance: InstanceId,
        /// When, where the cloud says it.
        deadline: Option<Timestamp>,
    },
    /// The cloud took an instance back.
    Preempted {
        /// Which slot.
        slot: u32,
        /// Which instance.
        instance: InstanceId,
        /// What it was.
        offer: OfferId,
    },
    /// An instance ended and no preemption explains it.
    Lost {
        /// Which slot.
        slot: u32,
        /// Which instance.
        instance: InstanceId,
    },
    /// An instance is given back because the fleet does not want it: there is no slot for it, or
    /// the launch that bought it failed as a whole.
    Released {
        /// Which instance.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// A call failed and the fleet goes on.
    Trouble {
        /// What failed.
        reason: String,
    },
    /// The budget is nearly spent, the lifetime nearly over, or nobody works.
    Warning {
        /// Which limit, and how near.
        reason: String,
        /// Spent so far.
        spent: Usd,
    },
    /// Ended instances are not replaced any more.
    ReplacingStopped {
        /// Why.
        reason: String,
    },
    /// A limit was reached: the fleet must be torn down now. The last event of a supervision.
    LimitReached {
        /// Which limit.
        reason: String,
        /// Spent so far.
        spent: Usd,
    },
    /// The teardown began.
    TeardownStarted {
        /// How many instances are to end.
        instances: u32,
    },
    /// The teardown ended.
    TornDown {
        /// What is left; 0 is proven by a complete inventory.
        leftovers: u32,
        /// What it cost all together.
        spent: Usd,
    },
}

/// One line for people, without the time: `slot 7: preempted i-0abc (sim-east-a sim.small spot)`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adopted { instances } => write!(f, "took over {}", counted(*instances)),
            Self::LaunchSent { attempt, region, market, count } => {
                write!(f, "launch {attempt}: asked {region} for {} ({market})", counted(*count))
            }
            Self::Shortfall { attempt, count, reason } => {
                write!(f, "launch {attempt}: {} missing: {reason}", counted(*count))
            }
            Self::Filled { slot, instance, offer, price, replaces: None } => {
                write!(f, "slot {slot}: bought {instance} ({offer}, {price})")
            }
            Self::Filled { slot, instance, offer, price, replaces: Some(old) } => {
                write!(f, "slot {slot}: bought {instance} ({offer}, {price}) in place of {old}")
            }
            Self::Running { slot, instance } => write!(f, "slot {slot}: {instance} is running"),
            Self::Rebalance { slot, instance } => {
                write!(f, "slot {slot}: {instance} may be taken back soon")
            }
            Self::Notice { slot, instance, deadline: Some(deadline) } => {
                write!(f, "slot {slot}: {instance} will be taken back at {deadline:.0}")
            }
            Self::Notice { slot, instance, deadline: None } => {
                write!(f, "slot {slot}: {instance} will be taken back")
            }
            Self::Preempted { slot, instance, offer } => {
                write!(f, "slot {slot}: preempted {instance} ({offer})")
            }
            Self::Lost { slot, instance } => {
                write!(f, "slot {slot}: lost {instance}, no preemption explains it")
            }
            Self::Released { instance, reason } => write!(f, "gave {instance} back: {reason}"),
            Self::Trouble { reason } => write!(f, "trouble: {reason}"),
            Self::Warning { reason, spent } => write!(f, "warning: {reason} ({spent} spent)"),
            Self::ReplacingStopped { reason } => write!(f, "nothing is replaced any more: {reason}"),
            Self::LimitReached { reason, spent } => write!(f, "limit reached: {reason} ({spent} spent)"),
            Self::TeardownStarted { instances } => write!(f, "teardown of {}", counted(*instances)),
            Self::TornDown { leftovers: 0, spent } => write!(f, "torn down, nothing is left ({spent} spent)"),
            Self::TornDown { leftovers, spent } => {
                write!(f, "torn down, LEFT BEHIND: {leftovers} ({spent} spent)")
            }
        }
    }
}

/// `1 instance`, `20 instances`.
pub(crate) fn counted(instances: u32) -> String {
    format!("{instances} instance{}", if instances == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfleet_core::UsdPerHour;

    fn offer() -> OfferId {
        OfferId { zone: "sim-east-a".into(), instance_type: "sim.small".into(), market: Market::Spot }
    }

    #[test]
    fn every_event_is_one_line_that_names_its_slot_and_instance() {
        let preempted = EventKind::Preempted { slot: 7, instance: "i-0abc".into(), offer: offer() };
        assert_eq!(preempted.to_string(), "slot 7: preempted i-0abc (sim-east-a sim.small spot)");
        let filled = EventKind::Filled {
            slot: 7,
            instance: "i-0def".into(),
            offer: offer(),
            price: Price::Known(UsdPerHour::from_micros(10_000)),
            replaces: Some("i-0abc".into()),
        };
        assert_eq!(
            filled.to_string(),
            "slot 7: bought i-0def (sim-east-a sim.small spot, $0.01/h) in place of i-0abc"
        );
        assert_eq!(EventKind::Adopted { instances: 1 }.to_string(), "took over 1 instance");
    }
}
