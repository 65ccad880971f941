use std::sync::Arc;

use skyfleet_core::{Offer, OfferId, Price, Signal, Timestamp};

use crate::{CapacityMemory, Catalogue, Rejection, Spec};

/// An offer that fits, with what is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<'a> {
    /// The offer.
    pub offer: &'a Offer,
    /// What an hour costs now: a newer spot price than the offer's own, where a signal brought one.
    pub price: Price,
    /// How likely it is to be had, 0 to 100, where the cloud says.
    pub placement_score: Option<u8>,
    /// How often it is taken back, per instance-hour in parts per million, where the cloud says.
    pub eviction_per_hour_ppm: Option<u32>,
    /// It was closed lately: the next launch there is a probe.
    pub probe: bool,
}

/// What could be bought, best first, and why the rest could not.
#[derive(Clone, Debug)]
pub struct Search {
    catalogue: Arc<Catalogue>,
}

impl Search {
    /// What fits, best first.
    pub fn candidates(&self) -> impl ExactSizeIterator<Item = Candidate<'_>> {
        std::iter::empty()
    }

    /// What does not fit, in the order of the catalogue, with the reason. Made as it is read.
    pub fn rejections(&self) -> impl Iterator<Item = Rejection> {
        std::iter::empty()
    }

    /// What became of one offer: `Ok` for a candidate; `None` for an offer that nobody sells.
    pub fn explain(&self, id: &OfferId) -> Option<Result<Candidate<'_>, Rejection>> {
        let _ = id;
        todo!()
    }

    /// What was searched.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }
}

/// Filters and ranks offers. Pure.
pub fn search(
    catalogue: &Arc<Catalogue>,
    signals: &[Signal],
    spec: &Spec,
    memory: &CapacityMemory,
    now: Timestamp,
) -> Search {
    let _ = (catalogue, signals, spec, memory, now);
    todo!()
}
