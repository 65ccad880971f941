use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, Offer, Scope, Timestamp};

/// What was learned about capacity: which scopes are closed, and until when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityMemory {}

impl CapacityMemory {
    /// Learns from an error: `NoCapacity` and `QuotaExceeded` close their scope, others nothing.
    pub fn note(&mut self, error: &Error, now: Timestamp) {
        let _ = (error, now);
        todo!()
    }

    /// Learns that an instance was obtained: no scope that covers its offer is closed any more.
    pub fn note_success(&mut self, offer: &Offer) {
        let _ = offer;
        todo!()
    }

    /// Whether an offer is closed now: by which scope, and until when.
    pub fn closed(&self, offer: &Offer, now: Timestamp) -> Option<(&Scope, Timestamp)> {
        let _ = (offer, now);
        todo!()
    }

    /// Whether an offer was closed lately and has not proven itself since: the next launch there
    /// is a probe and asks for few.
    pub fn probing(&self, offer: &Offer, now: Timestamp) -> bool {
        let _ = (offer, now);
        todo!()
    }
}
