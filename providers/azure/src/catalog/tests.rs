use serde_json::json;
use skyfleet_core::{CapacitySearch, Clock, ErrorKind, UsdPerHour};

use super::*;
use crate::Settings;
use crate::bed::Bed;

const HOUR_S: u64 = 3_600;
const SIZE: &str = "Standard_D2s_v5";

/// A size of two vCPUs in eastus.
pub(crate) fn kind(name: &str, family: &str) -> Kind {
    let told = [("vCPUs", "2"), ("MemoryGB", "8"), ("LowPriorityCapable", "True")];
    Kind::read(&kind::tests::sku(name, family, &told, json!([])), &"eastus".into()).unwrap()
}

fn regions(names: &[&str]) -> OfferQuery {
    OfferQuery { regions: names.iter().map(|name| Region::from(*name)).collect(), ..OfferQuery::default() }
}

fn offer(zone: &str, name: &str, market: Market) -> OfferId {
    OfferId { zone: zone.into(), instance_type: name.into(), market }
}

#[tokio::test]
async fn the_offers_of_two_regions_are_what_the_world_sells_there() {
    let bed = Bed::of(&["eastus", "westeurope", "westus2"]);
    bed.advance(7 * HOUR_S);
    bed.inject(json!({ "kind": "sku-restriction", "region": "eastus", "instance_type": SIZE, "on": true }));
    let offers = bed.provider.offers(&regions(&["eastus", "westeurope"])).await.unwrap();
    let sold = bed.world().look(|kernel| kernel.offers(|offer| offer.region.as_str() != "westus2"));
    let price = |offer: &Offer| (offer.id(), offer.price, offer.quotas.clone(), offer.instance_type.clone());
    assert_eq!(offers.iter().map(price).collect::<Vec<_>>(), sold.iter().map(price).collect::<Vec<_>>());
    assert!(offers.len() > 300 && offers.iter().all(|offer| offer.price != Price::Unknown));
    for offer in &offers {
        let restricted = offer.instance_type.name.as_str() == SIZE && offer.region.as_str() == "eastus";
        assert_eq!(offer.availability == Availability::SoldOut, restricted, "{}", offer.id());
    }
    assert_eq!(bed.provider.catalogue_age(), Some(Duration::ZERO));
}

#[tokio::test]
async fn a_question_about_few_sizes_costs_few_calls_and_is_not_asked_again() {
    let bed = Bed::of(&["eastus"]);
    let query =
        OfferQuery { instance_types: vec![SIZE.into(), "Standard_D4s_v5".into()], ..regions(&["eastus"]) };
    let calls = || ["locations.LIST", "skus.LIST", "retailPrices.LIST"].map(|name| bed.calls(name));
    bed.provider.offers(&query).await.unwrap();
    bed.provider.offers(&query).await.unwrap();
    assert_eq!(calls(), [1, 1, 1]);
    let one = OfferQuery { instance_types: vec![SIZE.into()], ..query.clone() };
    bed.provider.offers(&one).await.unwrap();
    assert_eq!(calls(), [1, 1, 1], "its price was asked for with the other's");
    bed.provider.offers(&OfferQuery::default()).await.unwrap();
    assert_eq!(calls(), [1, 1, 2], "all of a small region are one page");
    bed.advance(HOUR_S);
    bed.provider.offers(&query).await.unwrap();
    assert_eq!(calls(), [1, 2, 3]);
}

#[tokio::test]
async fn a_size_that_a_region_lacks_is_no_error_and_one_that_nobody_has_is() {
    let bed = Bed::of(&["eastus", "northeurope"]);
    let query = |name: &str| OfferQuery {
        instance_types: vec![name.into(), SIZE.into()],
        ..regions(&["northeurope"])
    };
    let here = bed.provider.offers(&query("Standard_ND96asr_v4")).await.unwrap();
    assert!(!here.is_empty() && here.iter().all(|offer| offer.instance_type.name.as_str() == SIZE));
    let error = bed.provider.offers(&query("Standard_D2s_v55")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("Standard_D2s_v55\"; the nearest is \"Standard_D2s_v5\""), "{error}");
}

#[tokio::test]
async fn a_place_that_nobody_has_is_refused_with_the_nearest() {
    let bed = Bed::of(&["eastus", "westeurope"]);
    let zones = |zone: &str| OfferQuery { zones: vec![zone.into()], ..OfferQuery::default() };
    let offers = bed.provider.offers(&zones("westeurope-2")).await.unwrap();
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer.zone.as_str() == "westeurope-2"));
    assert_eq!(bed.calls("skus.LIST"), 1, "the other region cannot have it");
    for (query, near) in [(zones("westeurope-9"), "westeurope-"), (regions(&["eatsus"]), "eastus")] {
        let error = bed.provider.offers(&query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("nearest") && error.message().contains(near), "{error}");
    }
    let wrong = bed.again(|settings| Settings { regions: vec!["eatsus".into()], ..settings });
    let error = wrong.offers(&OfferQuery::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.fact("key")),
        (ErrorKind::InvalidConfig, Some("providers.azure.regions"))
    );
    let narrow = bed.again(|settings| Settings { zones: vec!["eastus-2".into()], ..settings });
    let offers = narrow.offers(&OfferQuery::default()).await.unwrap();
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer.zone.as_str() == "eastus-2"));
}

#[tokio::test]
async fn the_signals_of_an_offer_are_its_price_its_quotas_and_what_comes_beside() {
    let bed = Bed::of(&["eastus"]);
    bed.inject(json!({ "kind": "quota", "region": "eastus", "name": "lowPriorityCores", "limit": 64 }));
    let spot = offer("eastus-1", SIZE, Market::Spot);
    let regular = offer("eastus-1", "Standard_NC4as_T4_v3", Market::OnDemand);
    let stranger = offer("atlantis-1", "quantum-42", Market::Spot);
    let offers = vec![spot.clone(), stranger, regular.clone()];
    let query = SignalQuery { offers, count: 10, disk_gib: 10, public_ip: true };
    let signals = bed.provider.signals(&query).await.unwrap();
    let listed = bed.world().look(|kernel| kernel.offers(|offer| offer.id() == spot)).remove(0);
    let (price, now) = (listed.price.known().unwrap(), bed.clock.now());
    assert!(
        signals.iter().any(|s| matches!(s, Signal::SpotPrice { offer, price: p, at }
            if *offer == spot && *p == price && *at <= now)),
        "{signals:?}"
    );
    let quota = |name: &str, limit| Signal::Quota {
        id: format!("eastus/{name}").into(),
        limit: Some(limit),
        used: 0,
    };
    for told in
        [quota("lowPriorityCores", 64), quota("cores", 20_000), quota("Standard NCASv3_T4 Family", 4_000)]
    {
        assert!(signals.contains(&told), "{told:?}: {signals:?}");
    }
    let per_hour = UsdPerHour::from_micros(8_288);
    let extras = Signal::Extras { region: "eastus".into(), market: Market::Spot, per_hour };
    assert!(signals.contains(&extras), "{signals:?}");
    assert_eq!(bed.calls("usages.LIST"), 1);
    assert!(bed.provider.signals(&SignalQuery::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_instance_of_yesterday_has_the_price_that_was_listed_then() {
    let bed = Bed::of(&["eastus"]);
    let launched = bed.clock.now();
    let pools = [
        offer("eastus-1", SIZE, Market::Spot),
        offer("eastus-2", SIZE, Market::OnDemand),
        offer("eastus-1", "quantum-42", Market::Spot),
    ];
    let wanted: Vec<_> = pools.iter().map(|pool| (pool.clone(), launched)).collect();
    let catalogue = &bed.provider.catalogue;
    let then = catalogue.prices_at(&wanted).await.unwrap();
    assert!(then[0].known().is_some() && then[1].known().is_some(), "{then:?}");
    assert_eq!(then[2], Price::Unknown);
    for _ in 0..3 {
        bed.advance(80 * HOUR_S);
        assert_eq!(catalogue.prices_at(&wanted).await.unwrap(), then);
    }
}

#[tokio::test]
async fn where_the_price_list_cannot_be_read_prices_are_unknown() {
    let bed = Bed::of(&["eastus"]);
    bed.fail("retailPrices.LIST", 403, "Forbidden");
    let offers = bed.provider.offers(&OfferQuery::default()).await.unwrap();
    assert!(offers.len() > 100 && offers.iter().all(|offer| offer.price == Price::Unknown));
}

fn score_of(signals: &[Signal], id: &OfferId) -> Option<u8> {
    signals.iter().find_map(|signal| match signal {
        Signal::PlacementScore { offer, score } if offer == id => Some(*score),
        _ => None,
    })
}

#[tokio::test]
async fn scores_follow_what_a_zone_has_left() {
    let bed = Bed::of(&["eastus"]);
    let full = offer("eastus-1", SIZE, Market::Spot);
    let dry = offer("eastus-2", SIZE, Market::Spot);
    bed.inject(json!({ "kind": "capacity", "zone": "eastus-2", "instance_type": SIZE, "market": "spot",
        "available": 0 }));
    let query = SignalQuery { offers: vec![full.clone(), dry.clone()], count: 60, ..SignalQuery::default() };
    let signals = bed.provider.signals(&query).await.unwrap();
    let (full, dry) = (score_of(&signals, &full), score_of(&signals, &dry));
    assert!(full.is_some() && full > dry, "{full:?} and {dry:?}: {signals:?}");
    assert!(signals.iter().any(|signal| matches!(signal, Signal::EvictionRate { .. })), "{signals:?}");
    // The same class of sizes, and fresh enough not to be asked again.
    bed.provider.signals(&SignalQuery { count: 50, ..query }).await.unwrap();
    assert_eq!((bed.calls("placementScores.POST"), bed.calls("resourceGraph.POST")), (1, 1));
}

#[tokio::test]
async fn without_a_right_to_ask_there_is_no_advice_and_no_error() {
    for (status, code) in [(403, "AuthorizationFailed"), (404, "NotFound"), (501, "NotImplemented")] {
        let bed = Bed::of(&["eastus"]);
        for method in ["placementScores.POST", "resourceGraph.POST"] {
            bed.fail(method, status, code);
        }
        let pool = offer("eastus-1", SIZE, Market::Spot);
        let query = SignalQuery { offers: vec![pool.clone()], count: 60, ..SignalQuery::default() };
        for _ in 0..3 {
            let signals = bed.provider.signals(&query).await.unwrap();
            assert_eq!(score_of(&signals, &pool), None);
            assert!(signals.iter().any(|signal| matches!(signal, Signal::SpotPrice { .. })));
        }
        let asked = (bed.calls("placementScores.POST"), bed.calls("resourceGraph.POST"));
        assert_eq!(asked, (1, 1), "{status}: it was asked again though the answer was no");
    }
}

#[tokio::test]
async fn no_score_is_asked_for_where_the_settings_say_so() {
    let bed = Bed::with(&["eastus"], |settings| Settings { placement_scores: false, ..settings });
    let offers = vec![offer("eastus-1", SIZE, Market::Spot)];
    bed.provider.signals(&SignalQuery { offers, count: 1, ..SignalQuery::default() }).await.unwrap();
    assert_eq!(bed.calls("placementScores.POST"), 0);
}
