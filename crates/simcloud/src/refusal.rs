use serde::{Deserialize, Serialize};
use skyfleet_core::{Counts, InstanceState, OfferId, QuotaId, Scope, UsdPerHour, Zone};

use crate::limits::Throttle;

/// Why the world did not do what a call asked. Each face turns it into its cloud's own error.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Calls came too fast; nothing was done.
    Throttled(Throttle),
    /// A fault made the answer fail.
    Failed {
        /// The HTTP status of the answer.
        status: u16,
        /// The code in the answer; `None` is the cloud's own for an outage.
        code: Option<String>,
        /// The cloud acted, and only the answer is lost.
        acted: bool,
    },
    /// There is no such thing.
    Unknown {
        /// What kind of thing: `region`, `zone`, `instance type`, `template`.
        what: &'static str,
        /// The name that was asked for.
        name: String,
        /// Names that exist and look like it, nearest first.
        nearest: Vec<String>,
    },
    /// The request can never work.
    Invalid {
        /// Which field of it.
        field: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The token was used with another request.
    TokenReused {
        /// The token.
        token: String,
    },
    /// The token's instances are gone.
    TokenSpent {
        /// The token.
        token: String,
    },
    /// A refusal in the cloud's own words: of a face, for what only that cloud has.
    Coded {
        /// The HTTP status of the answer.
        status: u16,
        /// The cloud's code.
        code: String,
        /// The sentence beside it.
        message: String,
    },
    /// The file that holds the world cannot be read or written.
    State {
        /// What the system said.
        message: String,
    },
    /// There is no room to start a machine again.
    Full(Closed),
    /// The machine is not in a state from which that can be done.
    WrongState {
        /// Which machine.
        id: String,
        /// Where it stands.
        state: InstanceState,
        /// What was to be done: `start`, `stop`.
        action: &'static str,
    },
    /// It cannot be deleted while something uses it.
    InUse {
        /// What should go.
        id: String,
        /// How many instances still hold it.
        by: u32,
    },
}

/// Why a pool gives no more instances.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closed {
    /// The pool is empty.
    Capacity(OfferId),
    /// The whole zone is closed.
    Zone(Zone),
    /// The type is not sold in that zone on that market.
    NotSold(OfferId),
    /// The account may not use the type in the region.
    Restricted(OfferId),
    /// The account's limit is reached.
    Quota {
        /// Which.
        id: QuotaId,
        /// What it counts.
        counts: Counts,
        /// The limit.
        limit: u32,
        /// What is used of it.
        used: u32,
        /// What one more instance of the type would take.
        needed: u32,
    },
    /// The spot price is above what the request allows.
    Price {
        /// Where.
        offer: OfferId,
        /// The price now; `None` when there is none to compare.
        now: Option<UsdPerHour>,
        /// What the request allows.
        max: UsdPerHour,
    },
}

impl Closed {
    /// What this closes, no more than the cloud says.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Capacity(offer) | Self::NotSold(offer) | Self::Price { offer, .. } => {
                Scope::Offer(offer.clone())
            }
            Self::Zone(zone) => Scope::Zone(zone.clone()),
            Self::Restricted(offer) => Scope::TypeInZone(offer.instance_type.clone(), offer.zone.clone()),
            Self::Quota { id, .. } => Scope::Quota(id.clone()),
        }
    }
}
