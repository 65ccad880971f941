use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{InstanceType, Market, Offer, Price, QuotaId, Signal, Timestamp, UsdPerHour};

use crate::catalogue::{Marks, Row, UNKNOWN, known};
use crate::gpu::{GpuName, has_memory};
use crate::{CapacityMemory, Catalogue, Limits, MarketMix, Need, Spec};

/// An offer that fits, with what is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<'a> {
    /// The offer.
    pub offer: &'a Offer,
    /// What an hour costs now: a newer spot price than the offer's own, where a signal brought one.
    pub price: Price,
    /// What the same type in the same zone costs on demand, where that is known.
    pub on_demand: Option<UsdPerHour>,
    /// How likely it is to be had, 0 to 100, where the cloud says.
    pub placement_score: Option<u8>,
    /// How often it is taken back, per instance-hour in parts per million, where the cloud says.
    pub eviction_per_hour_ppm: Option<u32>,
    /// It was closed lately: the next launch there is a probe.
    pub probe: bool,
    /// The price by which it is ranked, see [`search`]; `None` when its price is not known.
    pub ranked_at: Option<UsdPerHour>,
}

/// What could be bought, best first, and why the rest could not.
#[derive(Clone, Debug)]
pub struct Search {
    pub(crate) catalogue: Arc<Catalogue>,
    /// Price to rank by and row, best first.
    ranked: Vec<(i64, u32)>,
    /// One for each offer: the rule that removed it, if one did.
    pub(crate) verdicts: Vec<Option<Rule>>,
    pub(crate) notes: Notes,
    pub(crate) quotas: BTreeMap<QuotaId, Quota>,
    probing: Marks,
    pub(crate) need: Need,
    pub(crate) limits: Limits,
    pub(crate) memory: CapacityMemory,
    pub(crate) now: Timestamp,
}

/// The rules of [`Why`], in order, without the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    Market,
    Region,
    Zone,
    Type,
    Arch,
    Vcpus,
    Memory,
    GpuModel,
    GpuCount,
    GpuMemory,
    LocalSsd,
    UnknownPrice,
    PriceMax,
    DearerThanOnDemand,
    SoldOut,
    Closed,
    Quota,
}

/// What the account may use of a quota, in vCPUs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) limit: u32,
    pub(crate) used: u32,
}

impl Quota {
    pub(crate) fn left(self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

/// Filters and ranks offers. Pure, and the same for the same offers in any order.
///
/// Offers are ranked by price per instance, with what the cloud signals about capacity as a mark-up
/// on it; a signal orders, it never removes an offer:
///
/// ```text
/// price × (1 + 0.002 × (100 − placement score) + min(eviction chance per hour, 0.3) + (0.1 if half open))
/// ```
///
/// An instance that is reclaimed loses at most the hour's work, hence the chance itself. Without a
/// score 50 is taken, without an eviction rate 5 % for spot and none for on-demand. Half open is what
/// the capacity memory calls an offer that was closed lately. Equal ones go by region, zone, type
/// and market; an unknown price comes last.
///
/// Three rules are not read off the spec: an unknown price is accepted only where
/// `limits.unknown_prices` allows it and no limit in dollars is to be kept; spot that costs more than
/// on-demand of the same type in the same zone is removed whatever the market mix; an offer is removed
/// when one of its quotas has no room for even one instance of it (an unknown quota has).
pub fn search(
    catalogue: &Arc<Catalogue>,
    signals: &[Signal],
    spec: &Spec,
    memory: &CapacityMemory,
    now: Timestamp,
) -> Search {
    let need = Needed::new(&spec.need);
    let kinds: Vec<Option<Rule>> = catalogue.types.iter().map(|kind| need.rule(kind)).collect();
    let zones: Vec<Option<Rule>> = (catalogue.zones.iter())
        .map(|z| match &spec.need {
            need if !need.regions.is_empty() && !need.regions.contains(&z.region) => Some(Rule::Region),
            need if !need.zones.is_empty() && !need.zones.contains(&z.zone) => Some(Rule::Zone),
            _ => None,
        })
        .collect();
    let quotas = quotas(signals);
    let left = |set: &[QuotaId]| set.iter().filter_map(|q| quotas.get(q)).map(|q| q.left()).min();
    let lefts: Vec<u32> = catalogue.quota_sets.iter().map(|set| left(set).unwrap_or(u32::MAX)).collect();
    let closed = catalogue.mark(memory.closed_scopes(now).map(|(scope, _)| scope));
    let probing = catalogue.mark(memory.probing_scopes(now));
    let notes = Notes::new(catalogue, signals);
    let (spot, on_demand) = match spec.market {
        MarketMix::Spot => (true, false),
        MarketMix::OnDemand => (false, true),
        MarketMix::Mixed { .. } => (true, true),
    };
    let price_max = spec.limits.price_max.map_or(i64::MAX, UsdPerHour::micros);
    let unknown_prices = spec.limits.unknown_prices && needs_prices(&spec.limits).is_none();

    let verdict = |n: usize, row: &Row, price: i64| -> Option<Rule> {
        if !(if row.market == Market::Spot { spot } else { on_demand }) {
            return Some(Rule::Market);
        }
        if let Some(rule) = zones[row.zone as usize].or(kinds[row.kind as usize]) {
            return Some(rule);
        }
        if price == UNKNOWN {
            if !unknown_prices {
                return Some(Rule::UnknownPrice);
            }
        } else if price > price_max {
            return Some(Rule::PriceMax);
        } else if row.market == Market::Spot && price > row.on_demand {
            return Some(Rule::DearerThanOnDemand);
        }
        if row.sold_out {
            Some(Rule::SoldOut)
        } else if closed.has(n, row) {
            Some(Rule::Closed)
        } else if lefts[row.quotas as usize] < catalogue.types[row.kind as usize].vcpus {
            Some(Rule::Quota)
        } else {
            None
        }
    };
    let mut ranked = Vec::new();
    let mut verdicts = Vec::with_capacity(catalogue.rows().len());
    for (n, row) in catalogue.rows().iter().enumerate() {
        let note = notes.get(n);
        let price = note.price(row);
        let rule = verdict(n, row, price);
        if rule.is_none() {
            ranked.push((ranked_at(price, row.market, note, probing.has(n, row)), n as u32));
        }
        verdicts.push(rule);
    }
    ranked.sort_unstable();
    Search {
        catalogue: Arc::clone(catalogue),
        ranked,
        verdicts,
        notes,
        quotas,
        probing,
        need: spec.need.clone(),
        limits: spec.limits.clone(),
        memory: memory.clone(),
        now,
    }
}

fn ranked_at(price: i64, market: Market, note: Note, probing: bool) -> i64 {
    if price == UNKNOWN {
        return UNKNOWN;
    }
    let score = i64::from(note.score().unwrap_or(50).min(100));
    let usual = if market == Market::Spot { 50_000 } else { 0 };
    let eviction = i64::from(note.eviction().unwrap_or(usual).min(300_000));
    let ppm = 1_000_000 + 2_000 * (100 - score) + eviction + if probing { 100_000 } else { 0 };
    match price.checked_mul(ppm) {
        Some(product) => product / 1_000_000,
        None => (price / 1_000_000).saturating_mul(ppm).min(UNKNOWN - 1),
    }
}

/// The limit in dollars that an instance without a known price could break.
pub(crate) fn needs_prices(limits: &Limits) -> Option<&'static str> {
    let limits = [
        (limits.budget.is_some(), "limits.budget_usd"),
        (limits.usd_per_hour_max.is_some(), "limits.usd_per_hour_max"),
        (limits.price_max.is_some(), "limits.price_max_usd"),
    ];
    limits.into_iter().find_map(|(set, key)| set.then_some(key))
}

fn quotas(signals: &[Signal]) -> BTreeMap<QuotaId, Quota> {
    let quota = |signal: &Signal| match signal {
        Signal::Quota { id, limit_vcpus: Some(limit), used_vcpus } => {
            Some((id.clone(), Quota { limit: *limit, used: *used_vcpus }))
        }
        _ => None,
    };
    signals.iter().filter_map(quota).collect()
}

impl Search {
    /// What fits, best first.
    pub fn candidates(&self) -> impl ExactSizeIterator<Item = Candidate<'_>> {
        self.ranked.iter().map(|&(rank, n)| self.candidate(n as usize, rank))
    }

    /// The candidate in a row.
    pub(crate) fn candidate_at(&self, n: usize) -> Candidate<'_> {
        let (row, note) = (&self.catalogue.rows()[n], self.notes.get(n));
        self.candidate(n, ranked_at(note.price(row), row.market, note, self.probing(n)))
    }

    /// What was searched.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The candidates by row, best first, each with the price by which it is ranked.
    pub(crate) fn ranked(&self) -> &[(i64, u32)] {
        &self.ranked
    }

    /// What an offer costs now; [`UNKNOWN`] when nobody knows.
    pub(crate) fn price(&self, n: usize) -> i64 {
        self.notes.get(n).price(&self.catalogue.rows()[n])
    }

    /// Whether an offer is half open.
    pub(crate) fn probing(&self, n: usize) -> bool {
        self.probing.has(n, &self.catalogue.rows()[n])
    }

    /// What the quotas have left, in vCPUs, where somebody knows.
    pub(crate) fn quotas_left(&self) -> BTreeMap<QuotaId, u32> {
        self.quotas.iter().map(|(id, quota)| (id.clone(), quota.left())).collect()
    }

    /// Whether any offer was removed by something that passes: capacity, or a failure of late.
    pub(crate) fn may_pass(&self) -> bool {
        self.verdicts.iter().any(|rule| matches!(rule, Some(Rule::SoldOut | Rule::Closed)))
    }

    fn candidate(&self, n: usize, rank: i64) -> Candidate<'_> {
        let row = &self.catalogue.rows()[n];
        let note = self.notes.get(n);
        Candidate {
            offer: &self.catalogue.offers()[n],
            price: known(note.price(row)).map_or(Price::Unknown, Price::Known),
            on_demand: known(row.on_demand),
            placement_score: note.score(),
            eviction_per_hour_ppm: note.eviction(),
            probe: self.probing.has(n, row),
            ranked_at: known(rank),
        }
    }
}

/// What an instance must be, made ready to be asked of many types.
struct Needed<'a> {
    need: &'a Need,
    gpu_model: Option<GpuName>,
    memory_mib: u64,
}

impl<'a> Needed<'a> {
    fn new(need: &'a Need) -> Self {
        let model = need.gpu.as_ref().and_then(|gpu| gpu.model.as_deref());
        let memory_mib = u64::from(need.memory_gib.unwrap_or(0)) * 1_024;
        Self { need, gpu_model: model.map(GpuName::parse), memory_mib }
    }

    /// The first rule that removes a type wherever it is sold.
    fn rule(&self, kind: &InstanceType) -> Option<Rule> {
        let need = self.need;
        if !need.types.is_empty() && !need.types.contains(&kind.name) {
            return Some(Rule::Type);
        }
        if need.arch.is_some_and(|arch| arch != kind.arch) {
            return Some(Rule::Arch);
        }
        if need.vcpus.is_some_and(|vcpus| vcpus > kind.vcpus) {
            return Some(Rule::Vcpus);
        }
        if self.memory_mib > u64::from(kind.memory_mib) {
            return Some(Rule::Memory);
        }
        if let Some(wanted) = &need.gpu {
            let Some(gpu) = &kind.gpu else { return Some(Rule::GpuModel) };
            if self.gpu_model.as_ref().is_some_and(|model| !model.covers(gpu)) {
                return Some(Rule::GpuModel);
            }
            if wanted.count.is_some_and(|count| count > gpu.count) {
                return Some(Rule::GpuCount);
            }
            if wanted.memory_gib.is_some_and(|gib| !has_memory(gpu, gib)) {
                return Some(Rule::GpuMemory);
            }
        }
        (need.local_ssd_gib.unwrap_or(0) > kind.local_ssd_gib).then_some(Rule::LocalSsd)
    }
}

/// What signals say about one offer; the largest number stands for nothing.
#[derive(Clone, Copy, Debug)]
struct Note {
    price: i64,
    eviction: u32,
    score: u8,
}

impl Note {
    const EMPTY: Self = Self { price: UNKNOWN, eviction: u32::MAX, score: u8::MAX };

    fn price(self, row: &Row) -> i64 {
        if self.price == UNKNOWN { row.price } else { self.price }
    }

    fn score(self) -> Option<u8> {
        (self.score != u8::MAX).then_some(self.score)
    }

    fn eviction(self) -> Option<u32> {
        (self.eviction != u32::MAX).then_some(self.eviction)
    }
}

/// The notes of all offers; empty while no signal is about an offer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    fn new(catalogue: &Catalogue, signals: &[Signal]) -> Self {
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

    fn get(&self, n: usize) -> Note {
        self.0.get(n).copied().unwrap_or(Note::EMPTY)
    }
}
