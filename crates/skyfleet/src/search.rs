use skyfleet_core::{Offer, Signal, Timestamp};

use crate::{CapacityMemory, Rejection, Spec};

/// An offer that fits, with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The offer.
    pub offer: Offer,
    /// How likely it is to be had, 0 to 100, where the cloud says.
    pub placement_score: Option<u8>,
    /// How often it is taken back, per instance-hour in parts per million, where the cloud says.
    pub eviction_per_hour_ppm: Option<u32>,
}

/// What could be bought, best first, and why the rest could not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// What fits, best first.
    pub candidates: Vec<Candidate>,
    /// What does not fit, in the order of the catalogue, with the reason.
    pub rejections: Vec<Rejection>,
    /// The quotas that were read, for the plan.
    pub quotas: Vec<Signal>,
}

/// Filters and ranks offers. Pure.
pub fn search(
    offers: &[Offer],
    signals: &[Signal],
    spec: &Spec,
    memory: &CapacityMemory,
    now: Timestamp,
) -> Search {
    let _ = (offers, signals, spec, memory, now);
    todo!()
}
