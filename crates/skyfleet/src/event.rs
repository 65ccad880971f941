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

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}
