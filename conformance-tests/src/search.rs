use std::collections::{BTreeMap, BTreeSet};

use skyfleet_core::{
    Availability, ErrorKind, Market, Offer, OfferId, OfferQuery, Price, Signal, SignalQuery, TypeName,
    UsdPerHour, Zone,
};

use crate::bed::Bed;
use crate::case::{
    Case, NO_QUOTAS, NO_SCORES, NO_SPOT, Proof, QUOTAS, ROOM, SCORES, SPOT, case, ensure, pull,
};

pub(crate) const CASES: &[Case] = &[
    case!("SEARCH-1", prices_are_known_or_said_to_be_unknown),
    case!("SEARCH-2", the_parts_make_the_whole),
    case!("SEARCH-3", the_order_is_stable),
    case!("SEARCH-4", each_filter_is_honoured),
    case!("SEARCH-5", unknown_places_and_types_are_refused),
    case!("SEARCH-6", a_sold_out_offer_stays_in_the_list, [ROOM]),
    case!("SEARCH-7", an_offer_says_what_it_sells),
    case!("SEARCH-8", signals_are_about_what_was_asked),
    case!("SEARCH-9", signals_keep_to_their_scales),
    case!("SEARCH-10", no_spot_offers_without_spot, [NO_SPOT]),
    case!("SEARCH-11", capacity_scores_show, [SCORES, SPOT]),
    case!("SEARCH-12", no_scores_without_the_capability, [NO_SCORES]),
    case!("SEARCH-13", quotas_show, [QUOTAS]),
    case!("SEARCH-14", no_quotas_without_the_capability, [NO_QUOTAS]),
];

/// How many offers of each market signals are asked for; small, so that a small cloud has them.
const CANDIDATES: usize = 2;

async fn prices_are_known_or_said_to_be_unknown(bed: &Bed) -> Proof {
    for offer in everything(bed).await? {
        if let Price::Known(price) = offer.price {
            ensure!(price > UsdPerHour::ZERO, "{} is offered at {price}", offer.id());
        }
    }
    Ok(())
}

async fn the_parts_make_the_whole(bed: &Bed) -> Proof {
    let whole = ids(&everything(bed).await?);
    let unique: BTreeSet<_> = whole.iter().collect();
    ensure!(
        unique.len() == whole.len(),
        "{} of the {} offers are listed twice",
        whole.len() - unique.len(),
        whole.len()
    );

    let mut parts = Vec::new();
    let regions: BTreeSet<_> = everything(bed).await?.into_iter().map(|offer| offer.region).collect();
    for region in &regions {
        let query = OfferQuery { regions: vec![region.clone()], ..OfferQuery::default() };
        parts.extend(ids(&bed.provider.offers(&query).await?));
    }
    let parts: BTreeSet<_> = parts.iter().collect();
    let missing: Vec<_> = parts.symmetric_difference(&unique).take(5).collect();
    ensure!(missing.is_empty(), "region by region and all at once differ, for example in {missing:?}");
    Ok(())
}

async fn the_order_is_stable(bed: &Bed) -> Proof {
    let first = everything(bed).await?;
    let key = |offer: &Offer| {
        (offer.region.clone(), offer.zone.clone(), offer.instance_type.name.clone(), offer.market)
    };
    if let Some(pair) = first.windows(2).find(|pair| key(&pair[0]) > key(&pair[1])) {
        ensure!(false, "{} comes before {}", pair[0].id(), pair[1].id());
    }
    ensure!(ids(&first) == ids(&everything(bed).await?), "a second call gave another order or other offers");
    Ok(())
}

async fn each_filter_is_honoured(bed: &Bed) -> Proof {
    let all = everything(bed).await?;
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let middle = &all[all.len() / 2];
    let none = OfferQuery::default;
    let queries = [
        OfferQuery { regions: vec![middle.region.clone()], ..none() },
        OfferQuery { zones: vec![first.zone.clone(), last.zone.clone()], ..none() },
        OfferQuery { instance_types: vec![middle.instance_type.name.clone()], ..none() },
        OfferQuery { markets: vec![Market::OnDemand], ..none() },
        OfferQuery { markets: vec![Market::Spot], ..none() },
        OfferQuery {
            regions: vec![middle.region.clone()],
            zones: vec![middle.zone.clone()],
            instance_types: vec![middle.instance_type.name.clone(), first.instance_type.name.clone()],
            markets: vec![middle.market],
        },
        // Both are there, but not together: nothing matches, and that is no error.
        OfferQuery { regions: vec![first.region.clone()], zones: vec![last.zone.clone()], ..none() },
    ];
    for query in queries {
        let expected: Vec<_> = all.iter().filter(|offer| query.matches(offer)).map(Offer::id).collect();
        let got = ids(&bed.provider.offers(&query).await?);
        ensure!(got == expected, "{} offers match, {} came, for {query:?}", expected.len(), got.len());
    }
    Ok(())
}

async fn unknown_places_and_types_are_refused(bed: &Bed) -> Proof {
    let none = OfferQuery::default;
    let queries = [
        ("atlantis-1", OfferQuery { regions: vec!["atlantis-1".into()], ..none() }),
        ("atlantis-1z", OfferQuery { zones: vec!["atlantis-1z".into()], ..none() }),
        ("quantum.42xlarge", OfferQuery { instance_types: vec!["quantum.42xlarge".into()], ..none() }),
    ];
    for (name, query) in queries {
        match bed.provider.offers(&query).await {
            Ok(offers) => ensure!(false, "{name} was answered with {} offers", offers.len()),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::InvalidRequest, "{name}: {error}");
                ensure!(error.to_string().contains(name), "the message does not say {name}: {error}");
            }
        }
    }
    Ok(())
}

async fn a_sold_out_offer_stays_in_the_list(bed: &Bed) -> Proof {
    for market in bed.markets() {
        let pool = bed.pools(market, 1).await?.remove(0);
        pull(&bed.levers.room)(&pool.id(), 0)?;
        let query = OfferQuery {
            zones: vec![pool.zone.clone()],
            instance_types: vec![pool.instance_type.name.clone()],
            markets: vec![market],
            ..OfferQuery::default()
        };
        let offers = bed.provider.offers(&query).await?;
        ensure!(
            offers.len() == 1,
            "{} has no room, and {} offers are listed for it",
            pool.id(),
            offers.len()
        );
        ensure!(offers[0].availability != Availability::Open, "{} has no room and is called open", pool.id());
    }
    Ok(())
}

async fn an_offer_says_what_it_sells(bed: &Bed) -> Proof {
    let quotas = bed.capability().quotas;
    let mut region_of: BTreeMap<Zone, _> = BTreeMap::new();
    let mut types: BTreeMap<TypeName, _> = BTreeMap::new();
    for offer in everything(bed).await? {
        let id = offer.id();
        let kind = &offer.instance_type;
        ensure!(kind.vcpus > 0 && kind.memory_mib > 0, "{id}: {} vCPUs, {} MiB", kind.vcpus, kind.memory_mib);
        if let Some(gpu) = &kind.gpu {
            ensure!(gpu.count > 0 && gpu.memory_mib > 0 && !gpu.model.is_empty(), "{id}: {gpu:?}");
        }
        ensure!(!quotas || !offer.quotas.is_empty(), "{id} draws on no quota");
        let region = region_of.entry(offer.zone.clone()).or_insert_with(|| offer.region.clone());
        ensure!(*region == offer.region, "zone {} lies in {region} and in {}", offer.zone, offer.region);
        let known = types.entry(kind.name.clone()).or_insert_with(|| kind.clone());
        ensure!(known == kind, "{id}: the type is {kind:?} here and {known:?} elsewhere");
    }
    Ok(())
}

async fn signals_are_about_what_was_asked(bed: &Bed) -> Proof {
    let mut offers: Vec<_> = candidates(bed).await?.iter().map(Offer::id).collect();
    let stranger = OfferId {
        zone: "atlantis-1z".into(),
        instance_type: "quantum.42xlarge".into(),
        market: Market::OnDemand,
    };
    offers.push(stranger.clone());
    let asked: BTreeSet<_> = offers.iter().filter(|id| **id != stranger).cloned().collect();
    for signal in bed.provider.signals(&SignalQuery { offers, count: 50, ..SignalQuery::default() }).await? {
        if let Signal::SpotPrice { offer, .. }
        | Signal::PlacementScore { offer, .. }
        | Signal::EvictionRate { offer, .. } = &signal
        {
            ensure!(asked.contains(offer), "nobody asked about {offer}");
        }
    }
    let nothing = bed.provider.signals(&SignalQuery { count: 50, ..SignalQuery::default() }).await?;
    let about_offers = nothing.iter().filter(|signal| !matches!(signal, Signal::Quota { .. })).count();
    ensure!(about_offers == 0, "no offer was asked about, and {about_offers} signals came");
    Ok(())
}

async fn signals_keep_to_their_scales(bed: &Bed) -> Proof {
    let signals = signals(bed).await?;
    let now = bed.clock.now();
    for signal in signals {
        let right = match &signal {
            Signal::SpotPrice { price, at, .. } => *price > UsdPerHour::ZERO && *at <= now,
            Signal::PlacementScore { score, .. } => *score <= 100,
            Signal::EvictionRate { per_hour_ppm, .. } => *per_hour_ppm <= 1_000_000,
            _ => true,
        };
        ensure!(right, "off its scale: {signal:?}");
    }
    Ok(())
}

async fn no_spot_offers_without_spot(bed: &Bed) -> Proof {
    let spot = everything(bed).await?.into_iter().find(|offer| offer.market == Market::Spot);
    ensure!(spot.is_none(), "{} is offered", spot.expect("looked at").id());
    Ok(())
}

async fn capacity_scores_show(bed: &Bed) -> Proof {
    ensure!(
        signals(bed).await?.iter().any(is_score),
        "neither a score nor a rate for the cheapest spot offers"
    );
    Ok(())
}

async fn no_scores_without_the_capability(bed: &Bed) -> Proof {
    let score = signals(bed).await?.into_iter().find(is_score);
    ensure!(score.is_none(), "not declared, and given: {score:?}");
    Ok(())
}

async fn quotas_show(bed: &Bed) -> Proof {
    let asked = candidates(bed).await?;
    let told: BTreeSet<_> = signals(bed)
        .await?
        .into_iter()
        .filter_map(|signal| if let Signal::Quota { id, .. } = signal { Some(id) } else { None })
        .collect();
    for offer in &asked {
        let missing = offer.quotas.iter().find(|draw| !told.contains(&draw.quota));
        ensure!(missing.is_none(), "{} draws on {missing:?}, of which nothing is said", offer.id());
    }
    Ok(())
}

async fn no_quotas_without_the_capability(bed: &Bed) -> Proof {
    let quota = signals(bed).await?.into_iter().find(|signal| matches!(signal, Signal::Quota { .. }));
    ensure!(quota.is_none(), "not declared, and given: {quota:?}");
    Ok(())
}

/// Every offer; a cloud that offers nothing proves nothing.
async fn everything(bed: &Bed) -> Proof<Vec<Offer>> {
    let offers = bed.provider.offers(&OfferQuery::default()).await?;
    ensure!(!offers.is_empty(), "the provider offers nothing at all");
    Ok(offers)
}

/// The offers that signals are asked for: cheap ones of each market.
async fn candidates(bed: &Bed) -> Proof<Vec<Offer>> {
    let mut offers = Vec::new();
    for market in bed.markets() {
        offers.extend(bed.pools(market, CANDIDATES).await?);
    }
    Ok(offers)
}

async fn signals(bed: &Bed) -> Proof<Vec<Signal>> {
    let offers = candidates(bed).await?.iter().map(Offer::id).collect();
    Ok(bed.provider.signals(&SignalQuery { offers, count: 20, ..SignalQuery::default() }).await?)
}

fn is_score(signal: &Signal) -> bool {
    matches!(signal, Signal::PlacementScore { .. } | Signal::EvictionRate { .. })
}

fn ids(offers: &[Offer]) -> Vec<OfferId> {
    offers.iter().map(Offer::id).collect()
}
