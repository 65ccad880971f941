//! What signals say about single offers, beside the rows of the catalogue.

use std::collections::BTreeMap;

use skyfleet_core::Signal;

use crate::Catalogue;
use crate::catalogue::{Row, UNKNOWN};

/// What signals say about one offer; the largest number stands for nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    price: i64,
    eviction: u32,
    score: u8,
}

impl Note {
    const EMPTY: Self = Self { price: UNKNOWN, eviction: u32::MAX, score: u8::MAX };

    pub(crate) fn price(self, row: &Row) -> i64 {
        if self.price == UNKNOWN { row.price } else { self.price }
    }

    pub(crate) fn score(self) -> Option<u8> {
        (self.score != u8::MAX).then_some(self.score)
    }

    pub(crate) fn eviction(self) -> Option<u32> {
        (self.eviction != u32::MAX).then_some(self.eviction)
    }
}

/// The notes of all offers; empty while no signal is about an offer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    pub(crate) fn new(catalogue: &Catalogue, signals: &[Signal]) -> Self {
        let mut notes = Vec::new();
        let mut newest = BTreeMap::new();
        for signal in signals {
            let (Signal::SpotPrice { offer, .. }
            | Signal::PlacementScore { offer, .. }
            | Signal::EvictionRate { offer, .. }) = signal
            else {
                continue;
            };
            let Some(n) = catalogue.find(offer) else { continue };
            if notes.is_empty() {
                notes = vec![Note::EMPTY; catalogue.rows().len()];
            }
            match signal {
                Signal::SpotPrice { price, at, .. } if newest.get(&n).is_none_or(|newest| newest <= at) => {
                    newest.insert(n, *at);
                    notes[n].price = price.micros();
                }
                Signal::PlacementScore { score, .. } => notes[n].score = (*score).min(100),
                Signal::EvictionRate { per_hour_ppm, .. } => notes[n].eviction = *per_hour_ppm,
                _ => {}
            }
        }
        Self(notes)
    }

    pub(crate) fn get(&self, n: usize) -> Note {
        self.0.get(n).copied().unwrap_or(Note::EMPTY)
    }
}
