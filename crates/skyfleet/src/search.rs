use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{
    InstanceType, Market, Offer, OfferId, Price, QuotaId, Signal, Timestamp, UsdPerHour,
};

use crate::catalogue::{Marks, Row, UNKNOWN, known};
use crate::gpu::{GpuName, has_memory};
use crate::{CapacityMemory, Catalogue, Limits, MarketMix, Need, Rejection, Spec, Tally, Why};

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
    catalogue: Arc<Catalogue>,
    /// Price to rank by and row, best first.
    ranked: Vec<(i64, u32)>,
    /// One for each offer: the rule that removed it, if one did.
    verdicts: Vec<Option<Rule>>,
    notes: Notes,
    quotas: BTreeMap<QuotaId, Quota>,
    probing: Marks,
    need: Need,
    limits: Limits,
    memory: CapacityMemory,
    now: Timestamp,
}

/// The rules of [`Why`], in order, without the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
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
    limit: u32,
    used: u32,
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
fn needs_prices(limits: &Limits) -> Option<&'static str> {
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

    /// What does not fit, in the order of the catalogue, with the reason. Made as it is read.
    pub fn rejections(&self) -> impl Iterator<Item = Rejection> {
        let rules = self.verdicts.iter().enumerate();
        rules.filter_map(|(n, rule)| rule.map(|rule| self.rejection(n, rule)))
    }

    /// What became of one offer: `Ok` for a candidate; `None` for an offer that nobody sells.
    pub fn explain(&self, id: &OfferId) -> Option<Result<Candidate<'_>, Rejection>> {
        let n = self.catalogue.find(id)?;
        Some(match self.verdicts[n] {
            Some(rule) => Err(self.rejection(n, rule)),
            None => {
                let row = &self.catalogue.rows()[n];
                let note = self.notes.get(n);
                let rank = ranked_at(note.price(row), row.market, note, self.probing.has(n, row));
                Ok(self.candidate(n, rank))
            }
        })
    }

    /// How many offers each rule removed, nearest misses first: the rules are applied in order, so
    /// that an offer which the last one removed had passed all others.
    pub fn tallies(&self) -> Vec<Tally> {
        let mut tallies = BTreeMap::<Rule, (u32, i64, usize)>::new();
        for (n, rule) in self.verdicts.iter().enumerate() {
            let Some(rule) = *rule else { continue };
            let size = self.size(n, rule);
            let tally = tallies.entry(rule).or_insert((0, size, n));
            tally.0 += 1;
            if size > tally.1 {
                (tally.1, tally.2) = (size, n);
            }
        }
        let tally = |(rule, (count, _, n))| Tally { count, nearest: self.rejection(n, rule) };
        tallies.into_iter().rev().map(tally).collect()
    }

    /// What was searched.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// What a quota has left, in vCPUs; `None` when nobody knows.
    pub(crate) fn quota_left(&self, id: &QuotaId) -> Option<u32> {
        self.quotas.get(id).map(|q| q.left())
    }

    /// Whether any offer was removed by something that passes: capacity, or a failure of late.
    pub(crate) fn may_pass(&self) -> bool {
        self.verdicts.iter().any(|rule| matches!(rule, Some(Rule::SoldOut | Rule::Closed)))
    }

    /// Whether any offer was removed by a full quota.
    pub(crate) fn quota_bound(&self) -> bool {
        self.verdicts.contains(&Some(Rule::Quota))
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

    /// How near an offer is to passing a rule: more is nearer.
    fn size(&self, n: usize, rule: Rule) -> i64 {
        let row = &self.catalogue.rows()[n];
        let kind = &self.catalogue.types[row.kind as usize];
        let gpu = |number: fn(&skyfleet_core::Gpu) -> u32| kind.gpu.as_ref().map_or(0, number).into();
        match rule {
            Rule::Vcpus => kind.vcpus.into(),
            Rule::Memory => kind.memory_mib.into(),
            Rule::GpuCount => gpu(|g| g.count),
            Rule::GpuMemory => gpu(|g| g.memory_mib),
            Rule::LocalSsd => kind.local_ssd_gib.into(),
            Rule::PriceMax => -self.notes.get(n).price(row),
            _ => 0,
        }
    }

    fn rejection(&self, n: usize, rule: Rule) -> Rejection {
        let offer = &self.catalogue.offers()[n];
        let row = &self.catalogue.rows()[n];
        let kind = &offer.instance_type;
        let gpu = kind.gpu.as_ref();
        let wanted = self.need.gpu.clone().unwrap_or_default();
        let price = || UsdPerHour::from_micros(self.notes.get(n).price(row));
        let why = match rule {
            Rule::Market => Why::Market { has: offer.market },
            Rule::Region => Why::Region,
            Rule::Zone => Why::Zone,
            Rule::Type => Why::Type,
            Rule::Arch => Why::Arch { needs: self.need.arch.unwrap_or(kind.arch), has: kind.arch },
            Rule::Vcpus => Why::Vcpus { needs: self.need.vcpus.unwrap_or(0), has: kind.vcpus },
            Rule::Memory => {
                Why::Memory { needs_gib: self.need.memory_gib.unwrap_or(0), has_mib: kind.memory_mib }
            }
            Rule::GpuModel => Why::GpuModel { needs: wanted.model, has: gpu.map(|g| g.model.to_string()) },
            Rule::GpuCount => {
                Why::GpuCount { needs: wanted.count.unwrap_or(0), has: gpu.map_or(0, |g| g.count) }
            }
            Rule::GpuMemory => Why::GpuMemory {
                needs_gib: wanted.memory_gib.unwrap_or(0),
                has_mib: gpu.map_or(0, |g| g.memory_mib),
            },
            Rule::LocalSsd => {
                Why::LocalSsd { needs_gib: self.need.local_ssd_gib.unwrap_or(0), has_gib: kind.local_ssd_gib }
            }
            Rule::UnknownPrice => Why::UnknownPrice {
                limit: needs_prices(&self.limits).filter(|_| self.limits.unknown_prices),
            },
            Rule::PriceMax => {
                Why::PriceMax { price: price(), max: self.limits.price_max.unwrap_or_default() }
            }
            Rule::DearerThanOnDemand => Why::DearerThanOnDemand {
                price: price(),
                on_demand: UsdPerHour::from_micros(row.on_demand),
            },
            Rule::SoldOut => Why::SoldOut,
            Rule::Closed => match self.memory.closed(offer, self.now) {
                Some((scope, until)) => Why::Closed { scope: scope.clone(), until },
                None => Why::SoldOut,
            },
            Rule::Quota => {
                let quotas = offer.quotas.iter().filter_map(|id| Some((id, self.quotas.get(id)?)));
                match quotas.min_by_key(|(_, quota)| quota.left()) {
                    Some((id, quota)) => Why::Quota {
                        id: id.clone(),
                        limit_vcpus: quota.limit,
                        used_vcpus: quota.used,
                        needs_vcpus: kind.vcpus,
                    },
                    None => Why::SoldOut,
                }
            }
        };
        Rejection { offer: offer.id(), why }
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
struct Notes(Vec<Note>);

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
