use std::collections::BTreeMap;
use std::sync::Arc;

use skyfleet_core::{
    Counts, Draw, InstanceType, Market, Offer, Price, QuotaId, Signal, Timestamp, UsdPerHour,
};

use crate::catalogue::{Marks, Row, UNKNOWN, known};
use crate::gpu::{GpuName, has_memory};
use crate::notes::{Note, Notes};
use crate::ranking::Ranking;
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
    /// What fits, for each market.
    spot: Ranking,
    on_demand: Ranking,
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

/// What the account may use of a quota, in its unit.
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

/// The least that some quotas together leave, in each unit; the most there is where nobody knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Least([u32; Counts::ALL.len()]);

impl Least {
    pub(crate) fn of(set: &[Draw], left: impl Fn(&QuotaId) -> Option<u32>) -> Self {
        let mut least = [u32::MAX; Counts::ALL.len()];
        for draw in set {
            let least = &mut least[draw.counts as usize];
            *least = left(&draw.quota).map_or(*least, |left| left.min(*least));
        }
        Self(least)
    }

    /// How many instances of a type fit in.
    pub(crate) fn room(&self, kind: &InstanceType) -> u32 {
        let units = Counts::ALL.map(|unit| unit.units(kind));
        let rooms = self.0.iter().zip(units).filter(|(left, units)| **left != u32::MAX && *units > 0);
        rooms.map(|(left, units)| left / units).min().unwrap_or(u32::MAX)
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
    let left = |id: &QuotaId| quotas.get(id).map(|quota| quota.left());
    let lefts: Vec<Least> = catalogue.quota_sets.iter().map(|set| Least::of(set, left)).collect();
    let closed = catalogue.mark(memory.closed_scopes(now).map(|(scope, _)| scope));
    let probing = catalogue.mark(memory.probing_scopes(now));
    let notes = Notes::new(catalogue, signals);
    let (wants_spot, wants_on_demand) = match spec.market {
        MarketMix::Spot => (true, false),
        MarketMix::OnDemand => (false, true),
        MarketMix::Mixed { .. } => (true, true),
    };
    let price_max = spec.limits.price_max.map_or(i64::MAX, UsdPerHour::micros);
    let unknown_prices = spec.limits.unknown_prices && needs_prices(&spec.limits).is_none();

    let verdict = |n: usize, row: &Row, price: i64| -> Option<Rule> {
        if !(if row.market == Market::Spot { wants_spot } else { wants_on_demand }) {
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
        } else if lefts[row.quotas as usize].room(&catalogue.types[row.kind as usize]) == 0 {
            Some(Rule::Quota)
        } else {
            None
        }
    };
    let (mut spot, mut on_demand) = (Vec::new(), Vec::new());
    let mut verdicts = Vec::with_capacity(catalogue.rows().len());
    for (n, row) in catalogue.rows().iter().enumerate() {
        let note = notes.get(n);
        let price = note.price(row);
        let rule = verdict(n, row, price);
        if rule.is_none() {
            let rank = ranked_at(price, row.market, note, probing.has(n, row));
            let ranked = if row.market == Market::Spot { &mut spot } else { &mut on_demand };
            ranked.push((rank, n as u32));
        }
        verdicts.push(rule);
    }
    Search {
        catalogue: Arc::clone(catalogue),
        spot: Ranking::new(spot),
        on_demand: Ranking::new(on_demand),
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
        Signal::Quota { id, limit: Some(limit), used } => {
            Some((id.clone(), Quota { limit: *limit, used: *used }))
        }
        _ => None,
    };
    signals.iter().filter_map(quota).collect()
}

impl Search {
    /// What fits, best first.
    pub fn candidates(&self) -> impl ExactSizeIterator<Item = Candidate<'_>> {
        Candidates { found: self, spot: 0, on_demand: 0 }
    }

    /// Whether nothing fits.
    pub fn is_empty(&self) -> bool {
        self.spot.len() + self.on_demand.len() == 0
    }

    /// The candidate in a row.
    pub(crate) fn candidate_at(&self, n: usize) -> Candidate<'_> {
        self.candidate(n, self.rank(n))
    }

    /// The price by which a row is ranked.
    fn rank(&self, n: usize) -> i64 {
        let row = &self.catalogue.rows()[n];
        ranked_at(self.price(n), row.market, self.notes.get(n), self.probing(n))
    }

    /// What was searched.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// What the machine of a row is.
    pub(crate) fn kind(&self, row: &Row) -> &InstanceType {
        &self.catalogue.types[row.kind as usize]
    }

    /// The candidates of a market by row, best first, each with the price by which it is ranked.
    pub(crate) fn ranked(&self, market: Market) -> &Ranking {
        match market {
            Market::Spot => &self.spot,
            Market::OnDemand => &self.on_demand,
        }
    }

    /// Those of one zone, by its place in the catalogue, in no order.
    pub(crate) fn ranked_in(&self, zone: u32, market: Market) -> impl Iterator<Item = (i64, u32)> {
        let rows = self.catalogue.zones[zone as usize].rows.clone();
        let fits = move |&n: &usize| self.verdicts[n].is_none() && self.catalogue.rows()[n].market == market;
        rows.filter(fits).map(|n| (self.rank(n), n as u32))
    }

    /// What an offer costs now; [`UNKNOWN`] when nobody knows.
    pub(crate) fn price(&self, n: usize) -> i64 {
        self.notes.get(n).price(&self.catalogue.rows()[n])
    }

    /// Whether an offer is half open.
    pub(crate) fn probing(&self, n: usize) -> bool {
        self.probing.has(n, &self.catalogue.rows()[n])
    }

    /// What the quotas have left, each in its unit, where somebody knows.
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

/// Both markets' candidates, merged.
struct Candidates<'a> {
    found: &'a Search,
    spot: usize,
    on_demand: usize,
}

impl<'a> Iterator for Candidates<'a> {
    type Item = Candidate<'a>;

    fn next(&mut self) -> Option<Candidate<'a>> {
        let spot = self.found.spot.get(self.spot);
        let on_demand = self.found.on_demand.get(self.on_demand);
        let (rank, n) = match (spot, on_demand) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        if spot == Some((rank, n)) {
            self.spot += 1;
        } else {
            self.on_demand += 1;
        }
        Some(self.found.candidate(n as usize, rank))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.found.spot.len() - self.spot + self.found.on_demand.len() - self.on_demand;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Candidates<'_> {}

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use skyfleet_core::{Arch, Availability, Error, ErrorKind, OfferId, Scope};

    use super::*;
    use crate::sample::{gpu, offer, vcpus};
    use crate::{GpuNeed, Why};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn found(offers: Vec<Offer>, signals: &[Signal], spec: &Spec) -> Search {
        search(&Catalogue::new(offers), signals, spec, &CapacityMemory::default(), NOW)
    }

    fn names(found: &Search) -> Vec<&str> {
        found.candidates().map(|c| c.offer.instance_type.name.as_str()).collect()
    }

    fn spot(name: &str, micros: i64) -> Offer {
        offer("us-east-1a", name, Market::Spot, micros)
    }

    #[test]
    fn each_rule_removes_an_offer_with_its_numbers() {
        type Change = fn(&mut Spec);
        let cases: [(Change, &str); 14] = [
            (|s| s.market = MarketMix::OnDemand, "sold spot, fleet.market wants the other market"),
            (|s| s.need.regions = vec!["eu".into()], "its region is not in need.regions"),
            (|s| s.need.zones = vec!["eu-a".into()], "its zone is not in need.zones"),
            (|s| s.need.types = vec!["x".into()], "its type is not in need.types"),
            (|s| s.need.arch = Some(Arch::X86_64), "needs x86_64, is arm64"),
            (|s| s.need.vcpus = Some(3), "needs 3 vCPUs, has 2"),
            (|s| s.need.memory_gib = Some(9), "needs 9 GiB of memory, has 8"),
            (|s| s.need.gpu = Some(GpuNeed::default()), ""),
            (
                |s| s.need.gpu = Some(GpuNeed { model: Some("A100".into()), ..GpuNeed::default() }),
                "needs GPU A100, has T4",
            ),
            (|s| s.need.gpu = Some(GpuNeed { count: Some(2), ..GpuNeed::default() }), "needs 2 GPUs, has 1"),
            (
                |s| s.need.gpu = Some(GpuNeed { memory_gib: Some(24), ..GpuNeed::default() }),
                "needs 24 GB of memory on each GPU, has 16",
            ),
            (|s| s.need.local_ssd_gib = Some(1), "needs 1 GiB of local SSD, has 0"),
            (
                |s| s.limits.price_max = Some(UsdPerHour::from_micros(9)),
                "costs $0.00001/h, limits.price_max_usd is $0.000009/h",
            ),
            (|_| (), ""),
        ];
        for (change, reason) in cases {
            let mut spec = Spec::new(1);
            change(&mut spec);
            let found = found(vec![gpu(spot("g4dn.xlarge", 10), "T4", 1, 16_384)], &[], &spec);
            let reasons: Vec<String> = found.rejections().map(|r| r.why.to_string()).collect();
            assert_eq!(reasons.concat(), reason);
            assert_eq!(found.candidates().len(), usize::from(reason.is_empty()));
        }
    }

    #[test]
    fn an_unknown_price_needs_leave_and_no_limit_in_dollars() {
        let offer = || Offer { price: Price::Unknown, ..spot("a", 0) };
        let mut spec = Spec::new(1);
        let why =
            |spec: &Spec| found(vec![offer(), spot("b", 5)], &[], spec).rejections().next().map(|r| r.why);
        assert_eq!(why(&spec), Some(Why::UnknownPrice { limit: None }));
        spec.limits.unknown_prices = true;
        assert_eq!(why(&spec), None);
        assert_eq!(names(&found(vec![offer(), spot("b", 5)], &[], &spec)), ["b", "a"]);
        spec.limits.budget = Some(skyfleet_core::Usd::from_micros(5));
        assert_eq!(why(&spec), Some(Why::UnknownPrice { limit: Some("limits.budget_usd") }));
    }

    #[test]
    fn spot_must_not_be_dearer_than_on_demand_next_to_it() {
        let on_demand = |zone, micros| offer(zone, "a", Market::OnDemand, micros);
        let offers = vec![spot("a", 50), on_demand("us-east-1a", 40), on_demand("us-east-1b", 60)];
        let found = found(offers, &[], &Spec::new(1));
        let id = OfferId { zone: "us-east-1a".into(), instance_type: "a".into(), market: Market::Spot };
        let (price, on_demand) = (UsdPerHour::from_micros(50), UsdPerHour::from_micros(40));
        let why = found.explain(&id).unwrap().unwrap_err().why;
        assert_eq!(why, Why::DearerThanOnDemand { price, on_demand });
    }

    #[test]
    fn what_cannot_be_had_now_is_removed_and_told() {
        let mut memory = CapacityMemory::default();
        let id = |name: &str| spot(name, 0).id();
        memory.note(&Error::new(ErrorKind::NoCapacity, "dry").closing(Scope::Offer(id("closed"))), NOW);
        let sold_out = Offer { availability: Availability::SoldOut, ..spot("sold-out", 1) };
        let catalogue =
            Catalogue::new(vec![sold_out, spot("closed", 1), spot("open", 3), vcpus(spot("large", 2), 8)]);
        let quota = Signal::Quota { id: "us-east-1/spot".into(), limit: Some(10), used: 4 };
        let look = |now| search(&catalogue, std::slice::from_ref(&quota), &Spec::new(1), &memory, now);
        let found = look(NOW);
        assert_eq!(names(&found), ["open"]);
        let why = |name| found.explain(&id(name)).unwrap().unwrap_err().why;
        assert_eq!(why("sold-out"), Why::SoldOut);
        assert!(matches!(why("closed"), Why::Closed { scope: Scope::Offer(_), .. }));
        assert!(matches!(why("large"), Why::Quota { used: 4, needs: 8, .. }));
        let later = look(NOW + Duration::from_secs(180));
        assert_eq!(names(&later), ["closed", "open"]);
        assert_eq!(later.candidates().map(|c| c.probe).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn signals_order_what_costs_nearly_the_same_and_veto_nothing() {
        let offers = || vec![spot("a", 100_000), spot("b", 105_000), spot("c", 200_000)];
        let id = |name: &str| spot(name, 0).id();
        let score = |name, score| Signal::PlacementScore { offer: id(name), score };
        assert_eq!(names(&found(offers(), &[], &Spec::new(1))), ["a", "b", "c"]);
        let signals = [score("a", 0), score("b", 100), score("c", 100)];
        assert_eq!(names(&found(offers(), &signals, &Spec::new(1))), ["b", "a", "c"]);
        let often = Signal::EvictionRate { offer: id("a"), per_hour_ppm: 900_000 };
        assert_eq!(names(&found(offers(), &[often], &Spec::new(1))), ["b", "a", "c"]);
    }

    #[test]
    fn the_newest_spot_price_counts() {
        let price = |micros, at| Signal::SpotPrice {
            offer: spot("a", 0).id(),
            price: UsdPerHour::from_micros(micros),
            at: Timestamp::from_second(at).unwrap(),
        };
        let found = found(vec![spot("a", 10), spot("b", 20)], &[price(30, 2), price(5, 1)], &Spec::new(1));
        assert_eq!(names(&found), ["b", "a"]);
    }

    #[test]
    fn the_nearest_miss_of_each_rule_is_told_first() {
        let mut spec = Spec::new(1);
        spec.need.vcpus = Some(16);
        let dear = Offer { price: Price::Unknown, ..vcpus(spot("dear", 0), 32) };
        let found = found(vec![spot("small", 1), vcpus(spot("medium", 1), 8), dear], &[], &spec);
        let tallies: Vec<String> = found.tallies().iter().map(|t| t.to_string()).collect();
        assert!(tallies[0].starts_with("1 × its price is not known"), "{tallies:?}");
        assert_eq!(tallies[1], "2 × needs 16 vCPUs, has 8 (us-east-1a medium spot)");
    }
}
