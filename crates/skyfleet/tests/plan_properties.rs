//! Search, plan and capacity memory, against random catalogues, quotas and limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use skyfleet::core::{
    Arch, Availability, Draw, Error, ErrorKind, Gpu, InstanceType, Market, Offer, OfferId, Price, QuotaId,
    Scope, Signal, Timestamp, Usd, UsdPerHour,
};
use skyfleet::{
    CapacityMemory, Catalogue, Fulfilment, MarketMix, Plan, Search, Spec, Terms, ZoneMode, plan, search,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn market() -> impl Strategy<Value = Market> {
    prop_oneof![Just(Market::Spot), Just(Market::OnDemand)]
}

/// An offer out of a small world, so that equal prices, zones and quotas are common.
fn offer() -> impl Strategy<Value = Offer> {
    let availability = prop_oneof![4 => Just(Availability::Open), 1 => Just(Availability::SoldOut), 1 => Just(Availability::Unknown)];
    (0..3u8, 0..3u8, 0..6u32, market(), prop::option::weighted(0.9, 1..12i64), availability).prop_map(
        |(region, zone, kind, market, price, availability)| {
            let vcpus = 1 << kind;
            let region = format!("r{region}");
            let price = price.map(|steps| UsdPerHour::from_micros(steps * 10_000 * i64::from(vcpus)));
            Offer {
                instance_type: Arc::new(InstanceType {
                    name: format!("t{kind}").into(),
                    vcpus,
                    memory_mib: 4_096 * vcpus,
                    arch: if kind == 5 { Arch::Arm64 } else { Arch::X86_64 },
                    gpu: (kind == GPU_KIND).then(|| Gpu { model: "T4".into(), count: 3, memory_mib: 16_384 }),
                    local_ssd_gib: 0,
                }),
                zone: format!("{region}z{zone}").into(),
                market,
                price: price.map_or(Price::Unknown, Price::Known),
                availability,
                quotas: draws(&region, market, kind),
                region: region.into(),
            }
        },
    )
}

/// The kind of type that has GPUs, and draws on a quota that counts them.
const GPU_KIND: u32 = 4;

fn draws(region: &str, market: Market, kind: u32) -> Arc<[Draw]> {
    let vcpus = [format!("{region}/{market}"), format!("{region}/family{}", kind % 2)].map(Draw::vcpus);
    let gpus = (kind == GPU_KIND).then(|| Draw::gpus(format!("{region}/gpus")));
    vcpus.into_iter().chain(gpus).collect()
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    prop::collection::vec(offer(), 0..80)
}

fn signal() -> impl Strategy<Value = Signal> {
    let quota = (0..3u8, 0..5usize, prop::option::weighted(0.9, 0..200u32), 0..40u32).prop_map(
        |(region, which, limit, used)| Signal::Quota {
            id: format!("r{region}/{}", ["spot", "on-demand", "family0", "family1", "gpus"][which]).into(),
            limit,
            used,
        },
    );
    prop_oneof![
        2 => quota,
        1 => (offer(), 0..=100u8).prop_map(|(o, score)| Signal::PlacementScore { offer: o.id(), score }),
        1 => (offer(), 0..500_000u32).prop_map(|(o, per_hour_ppm)| Signal::EvictionRate { offer: o.id(), per_hour_ppm }),
        1 => (offer(), 1..400_000i64, 0..9i64).prop_map(|(o, micros, at)| Signal::SpotPrice {
            offer: o.id(),
            price: UsdPerHour::from_micros(micros),
            at: Timestamp::from_second(at).unwrap(),
        }),
    ]
}

/// One signal for each quota and offer: two that contradict each other are no cloud's answer.
fn signals() -> impl Strategy<Value = Vec<Signal>> {
    prop::collection::vec(signal(), 0..40).prop_map(|signals| {
        let mut seen = BTreeSet::new();
        let about = |signal: &Signal| match signal {
            Signal::Quota { id, .. } => (0, id.to_string()),
            Signal::SpotPrice { offer, .. } => (1, offer.to_string()),
            Signal::PlacementScore { offer, .. } => (2, offer.to_string()),
            Signal::EvictionRate { offer, .. } => (3, offer.to_string()),
            _ => unreachable!(),
        };
        signals.into_iter().filter(|signal| seen.insert(about(signal))).collect()
    })
}

fn spec() -> impl Strategy<Value = Spec> {
    let mix = prop_oneof![
        Just(MarketMix::Spot),
        Just(MarketMix::OnDemand),
        (0.0..=1.0f64)
            .prop_map(|on_demand_share| MarketMix::Mixed { on_demand_share, on_demand_after: None }),
    ];
    let fulfilment =
        prop_oneof![Just(Fulfilment::AllOrNothing), Just(Fulfilment::Greedy), Just(Fulfilment::BestEffort)];
    let limits = (
        prop::option::of(1..30_000_000i64),
        prop::option::of(1..10_000_000i64),
        prop::option::of(10_000..3_000_000i64),
        prop::option::of(1..200_000u64),
        any::<bool>(),
    );
    (1..120u32, 1..120u32, prop::option::of(1..20u32), mix, fulfilment, any::<bool>(), limits).prop_map(
        |(target, min, vcpus, market, fulfilment, single, limits)| {
            let mut spec = Spec::new(target);
            spec.fulfilment = fulfilment;
            spec.min = if fulfilment == Fulfilment::AllOrNothing { target } else { min.min(target) };
            spec.need.vcpus = vcpus;
            spec.market = market;
            spec.zones = if single { ZoneMode::Single } else { ZoneMode::Multi };
            spec.limits.budget = limits.0.map(Usd::from_micros);
            spec.limits.usd_per_hour_max = limits.1.map(UsdPerHour::from_micros);
            spec.limits.price_max = limits.2.map(UsdPerHour::from_micros);
            spec.limits.lifetime_max = limits.3.map(Duration::from_secs);
            spec.limits.unknown_prices = limits.4;
            spec.check().unwrap();
            spec
        },
    )
}

fn terms() -> impl Strategy<Value = Terms> {
    let usd = 0..2_000_000i64;
    (0..40u32, 0..40u32, usd.clone(), usd, 0..5_000u64, 0..9_000i64, any::<bool>()).prop_map(|t| Terms {
        instances: t.0,
        on_demand: t.1.min(t.0),
        per_hour: UsdPerHour::from_micros(t.2),
        spent: Usd::from_micros(t.3),
        age: Duration::from_secs(t.4),
        extras: UsdPerHour::from_micros(t.5),
        bids: t.6,
        ..Terms::default()
    })
}

fn memory() -> impl Strategy<Value = CapacityMemory> {
    let scope = (offer(), 0..6u8).prop_map(|(offer, which)| match which {
        0 => Scope::Offer(offer.id()),
        1 => Scope::TypeInZone(offer.instance_type.name.clone(), offer.zone),
        2 => Scope::Zone(offer.zone),
        3 => Scope::Quota(offer.quotas[1].quota.clone()),
        4 => Scope::MarketInRegion(offer.market, offer.region),
        _ => Scope::Region(offer.region),
    });
    prop::collection::vec((scope, 0..400u64), 0..4).prop_map(|scopes| {
        let mut memory = CapacityMemory::default();
        for (scope, ago) in scopes {
            let error = Error::new(ErrorKind::NoCapacity, "dry").closing(scope);
            memory.note(&error, NOW - Duration::from_secs(ago));
        }
        memory
    })
}

/// The same scopes, read off an offer in the plainest way.
fn lies_in(offer: &Offer, scope: &Scope) -> bool {
    match scope {
        Scope::Offer(id) => *id == offer.id(),
        Scope::TypeInZone(name, zone) => *name == offer.instance_type.name && *zone == offer.zone,
        Scope::Zone(zone) => *zone == offer.zone,
        Scope::Quota(id) => offer.draws().any(|(quota, _)| quota == id),
        Scope::MarketInRegion(market, region) => *market == offer.market && *region == offer.region,
        Scope::Region(region) => *region == offer.region,
        Scope::Account => true,
        _ => unreachable!(),
    }
}

fn ids(found: &Search) -> Vec<OfferId> {
    found.candidates().map(|c| c.offer.id()).collect()
}

/// The most that one instance of a pool may cost, read off the candidates in the plainest way.
fn worst_price(found: &Search, spec: &Spec, terms: &Terms, id: &OfferId) -> Option<i64> {
    let candidate = found.explain(id).unwrap().unwrap();
    let now = candidate.price.known().map(UsdPerHour::micros);
    if id.market == Market::OnDemand {
        return now;
    }
    let bid = spec.limits.price_max.filter(|_| terms.bids);
    let bounds = [candidate.on_demand, bid].into_iter().flatten().map(UsdPerHour::micros);
    bounds.min().or(now)
}

/// Everything that must hold for a plan, whatever was asked.
fn check(plan: &Plan, found: &Search, spec: &Spec, count: u32, terms: &Terms, signals: &[Signal]) {
    assert!(plan.count() >= 1 && plan.count() + plan.missing == count);
    let needed = match spec.fulfilment {
        Fulfilment::AllOrNothing => count,
        Fulfilment::Greedy => spec.min.saturating_sub(terms.instances).min(count),
        Fulfilment::BestEffort => 1,
    };
    assert!(plan.count() >= needed);

    let candidates: BTreeSet<OfferId> = ids(found).into_iter().collect();
    let (mut worst, mut used) = (0i128, BTreeMap::<QuotaId, u64>::new());
    let mut zones = BTreeSet::new();
    for lot in &plan.lots {
        assert!(lot.count >= 1 && !lot.pools.is_empty() && lot.pools.len() <= 20);
        assert_eq!(lot.expected.len(), lot.pools.len());
        assert_eq!(lot.expected.iter().sum::<u32>(), lot.count);
        let mut dearest = Some(0);
        let mut largest = BTreeMap::<&QuotaId, u64>::new();
        let mut pools = BTreeSet::new();
        for pool in &lot.pools {
            assert!(pools.insert(&pool.offer) && candidates.contains(&pool.offer));
            let offer = found.catalogue().get(&pool.offer).unwrap();
            assert_eq!((&offer.region, offer.market), (&lot.region, lot.market));
            assert!(pool.price_max.is_none() || (terms.bids && lot.market == Market::Spot));
            zones.insert(&offer.zone);
            dearest = dearest.zip(worst_price(found, spec, terms, &pool.offer)).map(|(a, b)| a.max(b));
            for (id, units) in offer.draws() {
                let largest = largest.entry(id).or_default();
                *largest = u64::from(units).max(*largest);
            }
        }
        for (id, units) in largest {
            *used.entry(id.clone()).or_default() += units * u64::from(lot.count);
        }
        let extras = i128::from(terms.extras.micros());
        worst += dearest.map_or(0, |price| (i128::from(price) + extras) * i128::from(lot.count));
    }
    for signal in signals {
        if let Signal::Quota { id, limit: Some(limit), used: taken } = signal {
            let left = u64::from(limit.saturating_sub(*taken));
            assert!(used.get(id).is_none_or(|used| *used <= left), "{id}: {used:?} of {left}");
        }
    }
    if spec.zones == ZoneMode::Single {
        assert_eq!(zones.len(), 1);
    }
    assert_eq!(i128::from(plan.worst.per_hour.micros()), worst);
    let all = worst + i128::from(terms.per_hour.micros());
    assert!(spec.limits.usd_per_hour_max.is_none_or(|max| all <= i128::from(max.micros())));
    let time = spec.limits.lifetime_max.map_or(3_600, |life| life.saturating_sub(terms.age).as_secs());
    let total = all * i128::from(time) + 3_600 * i128::from(terms.spent.micros());
    assert!(spec.limits.budget.is_none_or(|budget| total <= 3_600 * i128::from(budget.micros())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_plan_never_exceeds_budget_quota_or_target(
        offers in offers(), signals in signals(), spec in spec(), terms in terms(), memory in memory(),
    ) {
        let catalogue = Catalogue::new(offers);
        let found = search(&catalogue, &signals, &spec, &memory, NOW);
        match plan(&spec, &found, spec.target, &terms) {
            Ok(plan) => check(&plan, &found, &spec, spec.target, &terms, &signals),
            Err(error) => {
                use ErrorKind::*;
                prop_assert!(matches!(error.kind(), NoCapacity | QuotaExceeded | BudgetExceeded | InvalidRequest));
                let free = spec.limits.budget.is_none() && spec.limits.usd_per_hour_max.is_none();
                let limitless = free && !signals.iter().any(|s| matches!(s, Signal::Quota { .. }));
                // Nothing in the way and something to buy: then it is bought.
                let one_market = !matches!(spec.market, MarketMix::Mixed { .. });
                prop_assert!(!(limitless && one_market && found.candidates().len() > 0), "{error}");
            }
        }
    }

    #[test]
    fn every_offer_is_a_candidate_or_has_one_reason(
        offers in offers(), signals in signals(), spec in spec(), memory in memory(),
    ) {
        let catalogue = Catalogue::new(offers);
        let found = search(&catalogue, &signals, &spec, &memory, NOW);
        let mut seen = ids(&found);
        seen.extend(found.rejections().map(|r| r.offer));
        seen.sort();
        let mut all: Vec<OfferId> = catalogue.offers().iter().map(Offer::id).collect();
        all.sort();
        prop_assert_eq!(&seen, &all);
        for id in &all {
            let rejected = found.explain(id).unwrap().err();
            prop_assert_eq!(&rejected, &found.rejections().find(|r| r.offer == *id));
        }
        let told: u32 = found.tallies().iter().map(|t| t.count).sum();
        prop_assert_eq!(told as usize, found.rejections().count());
    }

    #[test]
    fn the_ranking_does_not_depend_on_the_order_of_the_input(
        (offers, shuffled) in offers().prop_flat_map(|o| {
            // One offer for each id: of two that contradict each other the first would stay.
            let unique: Vec<Offer> = o.into_iter().map(|o| (o.id(), o)).collect::<BTreeMap<_, _>>().into_values().collect();
            (Just(unique.clone()), Just(unique).prop_shuffle())
        }),
        signals in signals(), spec in spec(), memory in memory(),
    ) {
        let find = |offers| search(&Catalogue::new(offers), &signals, &spec, &memory, NOW);
        let (one, other) = (find(offers), find(shuffled));
        prop_assert_eq!(ids(&one), ids(&other));
        let ranks: Vec<_> = one.candidates().map(|c| c.ranked_at.map_or(i64::MAX, UsdPerHour::micros)).collect();
        prop_assert!(ranks.is_sorted());
        let terms = Terms::default();
        prop_assert_eq!(plan(&spec, &one, spec.target, &terms), plan(&spec, &other, spec.target, &terms));
    }

    #[test]
    fn memory_closes_its_scopes_and_nothing_else(offers in offers(), memory in memory(), later in 0..400u64) {
        let now = NOW + Duration::from_secs(later);
        let mut spec = Spec::new(1);
        spec.market = MarketMix::Mixed { on_demand_share: 0.5, on_demand_after: None };
        let catalogue = Catalogue::new(offers);
        let open = search(&catalogue, &[], &spec, &CapacityMemory::default(), now);
        let found = search(&catalogue, &[], &spec, &memory, now);
        for candidate in open.candidates() {
            let offer = candidate.offer;
            let closed = memory.closed_scopes(now).any(|(scope, _)| lies_in(offer, scope));
            prop_assert_eq!(memory.closed(offer, now).is_some(), closed);
            prop_assert_eq!(found.explain(&offer.id()).unwrap().is_err(), closed);
            if let Ok(candidate) = found.explain(&offer.id()).unwrap() {
                prop_assert_eq!(candidate.probe, memory.probing(offer, now));
            }
        }
    }
}
