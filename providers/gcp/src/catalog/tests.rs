use skyfleet_core::{CapacitySearch, Clock, ErrorKind, UsdPerHour};

use super::*;
use crate::Settings;
use crate::bed::Bed;

const HOUR_S: u64 = 3_600;

fn regions(names: &[&str]) -> OfferQuery {
    OfferQuery { regions: names.iter().map(|name| Region::from(*name)).collect(), ..OfferQuery::default() }
}

fn offer(zone: &str, name: &str, market: Market) -> OfferId {
    OfferId { zone: zone.into(), instance_type: name.into(), market }
}

/// What the world sells, as it says it itself.
fn sold(bed: &Bed, wanted: impl Fn(&Offer) -> bool) -> Vec<Offer> {
    bed.world().look(|kernel| kernel.offers(wanted))
}

#[tokio::test]
async fn the_offers_of_two_regions_are_what_the_world_sells_there() {
    let bed = Bed::of(&["us-central1", "europe-west4", "us-west1"]);
    bed.advance(7 * HOUR_S);
    let offers = bed.provider.offers(&regions(&["us-central1", "europe-west4"])).await.unwrap();
    assert_eq!(offers, sold(&bed, |offer| offer.region.as_str() != "us-west1"));
    assert!(offers.len() > 300 && offers.iter().all(|offer| offer.price != Price::Unknown));
    assert_eq!(bed.provider.catalogue_age(), Some(Duration::ZERO));
}

#[tokio::test]
async fn types_are_asked_for_once_a_day_and_prices_once_an_hour() {
    let bed = Bed::of(&["us-central1"]);
    let query = OfferQuery::default();
    bed.provider.offers(&query).await.unwrap();
    let (zones, prices) = (bed.calls("machineTypes.list"), bed.calls("skus.list"));
    assert_eq!(zones, 4, "one page for each zone: {:?}", bed.world().calls());
    assert!(prices > 0, "{:?}", bed.world().calls());
    assert_eq!((bed.calls("regions.list"), bed.calls("acceleratorTypes.aggregatedList")), (1, 1));
    bed.provider.offers(&query).await.unwrap();
    assert_eq!(bed.calls("skus.list"), prices);
    bed.advance(HOUR_S);
    bed.provider.offers(&query).await.unwrap();
    assert_eq!(bed.calls("skus.list"), 2 * prices);
    assert_eq!(bed.calls("machineTypes.list"), zones);
    bed.advance(23 * HOUR_S);
    bed.provider.offers(&query).await.unwrap();
    assert_eq!(bed.calls("machineTypes.list"), 2 * zones);
}

#[tokio::test]
async fn an_n1_with_a_gpu_is_an_offer_of_its_own() {
    let bed = Bed::of(&["us-central1"]);
    let query = OfferQuery { instance_types: vec!["n1-standard-4+T4".into()], ..OfferQuery::default() };
    let offers = bed.provider.offers(&query).await.unwrap();
    assert_eq!(offers.len(), 2 * 4);
    let gpu = offers[0].instance_type.gpu.as_ref().unwrap();
    assert_eq!((&*gpu.model, gpu.count), ("T4", 1));
    assert!(offers.iter().all(|offer| {
        offer.draws().any(|(quota, units)| quota.as_str().ends_with("NVIDIA_T4_GPUS") && units == 1)
    }));
}

#[tokio::test]
async fn a_type_that_a_region_lacks_is_no_error_and_one_that_nobody_has_is() {
    let bed = Bed::of(&["us-central1", "us-west1"]);
    let query = |name: &str, region: &str| OfferQuery {
        instance_types: vec![name.into(), "n2-standard-2".into()],
        ..regions(&[region])
    };
    let here = bed.provider.offers(&query("c4a-standard-2", "us-west1")).await.unwrap();
    assert!(!here.is_empty() && here.iter().all(|o| o.instance_type.name.as_str() == "n2-standard-2"));
    for (wrong, near) in [("n2-standrad-2", "n2-standard-2"), ("n1-standard-4+T5", "n1-standard-4+T4")] {
        let error = bed.provider.offers(&query(wrong, "us-west1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(wrong) && error.message().contains(near), "{error}");
    }
}

#[tokio::test]
async fn a_region_or_zone_that_nobody_has_is_refused_with_the_nearest() {
    let bed = Bed::of(&["us-central1", "europe-west4"]);
    let zones = |zone: &str| OfferQuery { zones: vec![zone.into()], ..OfferQuery::default() };
    let offers = bed.provider.offers(&zones("europe-west4-b")).await.unwrap();
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer.zone.as_str() == "europe-west4-b"));
    assert_eq!(bed.calls("machineTypes.list"), 1, "the other zones cannot have it");
    for (query, wrong, near) in [
        (zones("europe-west4-x"), "europe-west4-x", "europe-west4-a"),
        (regions(&["us-centarl1"]), "us-centarl1", "us-central1"),
    ] {
        let error = bed.provider.offers(&query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(wrong) && error.message().contains("nearest"), "{error}");
        assert!(error.message().contains(&near[..near.len() - 1]), "{error}");
    }
}

#[tokio::test]
async fn a_region_of_the_settings_that_there_is_not_is_a_wrong_setting() {
    let settings =
        |settings| Settings { regions: vec!["us-central1".into(), "us-centarl2".into()], ..settings };
    let bed = Bed::with(&["us-central1"], settings);
    let error = bed.provider.offers(&OfferQuery::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error:?}");
    assert_eq!(error.fact("key"), Some("providers.gcp.regions"));
    assert!(error.message().contains("us-centarl2") && error.message().contains("us-central1"), "{error}");
}

#[tokio::test]
async fn only_the_zones_of_the_settings_are_offered() {
    let bed =
        Bed::with(&["us-central1"], |settings| Settings { zones: vec!["us-central1-b".into()], ..settings });
    let offers = bed.provider.offers(&OfferQuery::default()).await.unwrap();
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer.zone.as_str() == "us-central1-b"));
    assert_eq!(bed.calls("machineTypes.list"), 1);
}

#[tokio::test]
async fn the_signals_of_an_offer_are_its_price_its_quota_and_what_comes_beside() {
    let bed = Bed::of(&["us-central1"]);
    bed.inject(r#"{"kind":"quota","region":"us-central1","name":"PREEMPTIBLE_CPUS","limit":64}"#);
    let n2 = offer("us-central1-a", "n2-standard-2", Market::Spot);
    let stranger = offer("atlantis1-z", "quantum-42", Market::Spot);
    let query = SignalQuery { offers: vec![n2.clone(), stranger], count: 10, disk_gib: 10, public_ip: true };
    let signals = bed.provider.signals(&query).await.unwrap();
    let listed = OfferQuery { zones: vec![n2.zone.clone()], ..OfferQuery::default() };
    let listed = bed.provider.offers(&listed).await.unwrap().into_iter().find(|offer| offer.id() == n2);
    let (price, now) = (listed.unwrap().price.known().unwrap(), bed.clock.now());
    assert!(
        signals.iter().any(|s| matches!(s, Signal::SpotPrice { offer, price: p, at }
            if *offer == n2 && *p == price && *at <= now)),
        "{signals:?}"
    );
    let quota = Signal::Quota { id: "us-central1/PREEMPTIBLE_CPUS".into(), limit: Some(64), used: 0 };
    assert!(signals.contains(&quota), "{signals:?}");
    let extras = Signal::Extras {
        region: "us-central1".into(),
        market: Market::Spot,
        per_hour: UsdPerHour::from_micros(3_870),
    };
    assert!(signals.contains(&extras), "{signals:?}");
    assert_eq!(bed.calls("projects.get"), 0, "no quota of all regions is drawn on");
    assert!(bed.provider.signals(&SignalQuery::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn quotas_of_all_regions_are_told_and_those_that_no_region_lists_are_unknown() {
    let bed = Bed::of(&["us-central1"]);
    let query = SignalQuery {
        offers: vec![offer("us-central1-a", "g2-standard-4", Market::OnDemand)],
        count: 1,
        ..SignalQuery::default()
    };
    let signals = bed.provider.signals(&query).await.unwrap();
    for quota in [
        "global/CPUS_ALL_REGIONS",
        "us-central1/G2_CPUS",
        "us-central1/NVIDIA_L4_GPUS",
        "global/GPUS_ALL_REGIONS",
    ] {
        let told = signals.iter().any(|signal| {
            matches!(signal, Signal::Quota { id, limit, .. }
                if id.as_str() == quota && limit.is_some() == (quota != "us-central1/G2_CPUS"))
        });
        assert!(told, "{quota}: {signals:?}");
    }
}

#[tokio::test]
async fn an_instance_of_yesterday_has_the_price_that_was_listed_then() {
    let bed = Bed::of(&["us-central1"]);
    let launched = bed.clock.now();
    let pools = [
        offer("us-central1-a", "n2-standard-2", Market::Spot),
        offer("us-central1-a", "n1-standard-4+T4", Market::OnDemand),
        offer("us-central1-a", "quantum-42", Market::Spot),
    ];
    let wanted: Vec<_> = pools.iter().map(|pool| (pool.clone(), launched)).collect();
    let catalogue = &bed.provider.catalogue;
    let then = catalogue.prices_at(&wanted).await.unwrap();
    assert!(then[0].known().is_some() && then[1].known().is_some(), "{then:?}");
    assert_eq!(then[2], Price::Unknown);
    for _ in 0..3 {
        bed.advance(30 * HOUR_S);
        assert_eq!(catalogue.prices_at(&wanted).await.unwrap(), then);
    }
}

#[tokio::test]
async fn a_project_that_may_not_read_the_price_list_has_unknown_prices() {
    let bed = Bed::of(&["us-central1"]);
    bed.inject(
        r#"{"kind":"error","action":"skus.list","probability":1.0,"status":403,"code":"accessNotConfigured","when":"before"}"#,
    );
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
    let bed = Bed::of(&["us-central1"]);
    let full = offer("us-central1-a", "n2-standard-2", Market::Spot);
    let dry = offer("us-central1-b", "n2-standard-2", Market::Spot);
    bed.inject(
        r#"{"kind":"capacity","zone":"us-central1-b","instance_type":"n2-standard-2","market":"spot","available":0}"#,
    );
    let query = SignalQuery { offers: vec![full.clone(), dry.clone()], count: 60, ..SignalQuery::default() };
    let signals = bed.provider.signals(&query).await.unwrap();
    let (full, dry) = (score_of(&signals, &full), score_of(&signals, &dry));
    assert!(full.is_some() && full > dry, "{full:?} and {dry:?}: {signals:?}");
    assert!(signals.iter().any(|signal| matches!(signal, Signal::EvictionRate { .. })), "{signals:?}");
    // The same size class and types, and fresh enough not to be asked again.
    let asked = (bed.calls("advice.capacity"), bed.calls("advice.capacityHistory"));
    bed.provider.signals(&SignalQuery { count: 50, ..query }).await.unwrap();
    assert_eq!((bed.calls("advice.capacity"), bed.calls("advice.capacityHistory")), asked);
    assert_eq!(asked, (2, 2));
}

#[tokio::test]
async fn without_a_right_to_ask_there_is_no_advice_and_no_error() {
    for status in [403, 404, 501] {
        let bed = Bed::of(&["us-central1"]);
        for method in ["advice.capacity", "advice.capacityHistory"] {
            bed.inject(&format!(
                r#"{{"kind":"error","action":"{method}","probability":1.0,"status":{status},"code":"{}","when":"before"}}"#,
                match status {
                    403 => "forbidden",
                    404 => "notFound",
                    _ => "notImplemented",
                }
            ));
        }
        let pool = offer("us-central1-a", "n2-standard-2", Market::Spot);
        let query = SignalQuery { offers: vec![pool.clone()], count: 60, ..SignalQuery::default() };
        for _ in 0..3 {
            let signals = bed.provider.signals(&query).await.unwrap();
            assert_eq!(score_of(&signals, &pool), None);
            assert!(signals.iter().any(|signal| matches!(signal, Signal::SpotPrice { .. })));
        }
        let asked = bed.calls("advice.capacity");
        assert_eq!(asked, 1, "{status}: it was asked again though the answer was no");
    }
}

#[tokio::test]
async fn no_advice_is_asked_for_where_the_settings_say_so() {
    let bed = Bed::with(&["us-central1"], |settings| Settings { capacity_advice: false, ..settings });
    let offers = vec![offer("us-central1-a", "n2-standard-2", Market::Spot)];
    bed.provider.signals(&SignalQuery { offers, count: 1, ..SignalQuery::default() }).await.unwrap();
    assert_eq!(bed.calls("advice.capacity") + bed.calls("advice.capacityHistory"), 0);
}

#[test]
fn ai_zones_are_no_regular_ones() {
    for (zone, regular) in [("us-central1-a", true), ("us-central1-ai1a", false), ("nowhere", false)] {
        assert_eq!(is_regular(&zone.into()), regular, "{zone}");
    }
}
