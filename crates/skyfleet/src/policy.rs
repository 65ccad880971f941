use std::fmt;

use skyfleet_core::{Market, OfferId};

/// What takes the place of an instance that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Nothing.
    None,
    /// Another instance on this market, from any pool but these.
    Buy {
        /// On which market.
        market: Market,
        /// Pools to leave alone.
        avoid: Vec<OfferId>,
    },
}

/// Decides what takes the place of an instance that ended.
pub trait PreemptionPolicy: fmt::Debug + Send + Sync {
    /// Decides for one slot, whose instances so far ended in these pools, oldest first.
    fn replacement(&self, ended: &[OfferId]) -> Replacement;
}
