use skyfleet_core::{CapacitySearch, Clock, UsdPerHour};

use super::*;
use crate::bed::Bed;

const HOUR_S: u64 = 3_600;

fn regions(names: &[&str]) -> OfferQuery {
    OfferQuery { regions: names.iter().map(|name| Region::from(*name)).collect(), ..OfferQuery::default() }
}

/// What the world sells, as it says it itself.
fn sold(bed: &Bed, wanted: impl Fn(&Offer) -> bool) -> Vec<Offer> {
    bed.world().look(|kernel| kernel.offers(wanted))
}

#[tokio::test]
async fn the_offers_of_two_regions_are_what_the_world_sells_there_at_its_prices() {
    let bed = Bed::of(&["us-east-1", "eu-west-1", "us-west-2"]);
    bed.advance(7 * HOUR_S);
    let query = regions(&["us-east-1", "eu-west-1"]);
    let offers = bed.provider.offers(&query).await.unwrap();
    assert_eq!(offers, sold(&bed, |offer| offer.region.as_str() != "us-west-2"));
    assert!(offers.is_sorted_by_key(|o| (
        o.region.clone(),
        o.zone.clone(),
        o.instance_type.name.clone(),
        o.market
    )));
    assert!(offers.len() > 300 && offers.iter().all(|offer| offer.price != Price::Unknown));
    assert_eq!(bed.provider.catalogue_age(), Some(Duration::ZERO));
}

#[tokio::test]
async fn spot_prices_follow_the_world_while_types_are_kept() {
    let bed = Bed::of(&["us-east-1"]);
    let query = OfferQuery::default();
    let before = bed.provider.offers(&query).await.unwrap();
    bed.advance(12 * HOUR_S);
    let after = bed.provider.offers(&query).await.unwrap();
    assert_eq!(after, sold(&bed, |_| true));
    assert_ne!(before, after, "no price moved in half a day");
    assert_eq!(bed.provider.catalogue_age(), Some(Duration::from_secs(12 * HOUR_S)));
    let types = bed.calls("DescribeInstanceTypes");
    let offerings = bed.calls("DescribeInstanceTypeOfferings");
    bed.provider.offers(&query).await.unwrap();
    bed.advance(13 * HOUR_S);
    bed.provider.offers(&query).await.unwrap();
    assert_eq!(bed.calls("DescribeInstanceTypes"), 2 * types, "after a day they are asked for again");
    assert_eq!(bed.calls("DescribeInstanceTypeOfferings"), 2 * offerings);
}

#[tokio::test]
async fn a_search_for_named_types_asks_once_for_each_fact() {
    let bed = Bed::of(&["us-east-1", "eu-west-1"]);
    let names = ["m7g.large", "c7g.large"].map(TypeName::from);
    let query = OfferQuery { instance_types: names.to_vec(), ..regions(&["us-east-1"]) };
    let offers = bed.provider.offers(&query).await.unwrap();
    assert_eq!(offers, sold(&bed, |offer| query.matches(offer)));
    assert_eq!(offers.len(), 5 * 2 * 2);
    for action in ["DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "DescribeSpotPriceHistory"] {
        assert_eq!(bed.calls(action), 1, "{action}: {:?}", bed.world().calls());
    }
}

#[tokio::test]
async fn a_type_that_a_region_lacks_is_no_error_and_one_that_nobody_has_is() {
    let bed = Bed::of(&["us-east-1", "eu-west-1"]);
    let query = |name: &str, region: &str| OfferQuery {
        instance_types: vec![name.into(), "m7g.large".into()],
        ..regions(&[region])
    };
    let here = bed.provider.offers(&query("g5g.xlarge", "eu-west-1")).await.unwrap();
    assert!(!here.is_empty() && here.iter().all(|offer| offer.instance_type.name.as_str() == "m7g.large"));
    let error = bed.provider.offers(&query("m7g.lrage", "eu-west-1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("m7g.lrage") && error.message().contains("m7g.large"), "{error}");
}

#[tokio::test]
async fn a_zone_that_nobody_has_is_refused_with_the_nearest() {
    let bed = Bed::of(&["us-east-1", "eu-west-1"]);
    let query = |zone: &str| OfferQuery { zones: vec![zone.into()], ..OfferQuery::default() };
    let offers = bed.provider.offers(&query("eu-west-1b")).await.unwrap();
    assert_eq!(offers, sold(&bed, |offer| offer.zone.as_str() == "eu-west-1b"));
    assert_eq!(bed.calls("DescribeInstanceTypes"), 1, "the other region cannot have it");
    for zone in ["eu-west-1x", "atlantis-1z"] {
        let error = bed.provider.offers(&query(zone)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(zone) && error.message().contains("nearest"), "{error}");
    }
}

fn spot(zone: &str, name: &str) -> OfferId {
    OfferId { zone: zone.into(), instance_type: name.into(), market: Market::Spot }
}

fn score_of(signals: &[Signal], id: &OfferId) -> Option<u8> {
    signals.iter().find_map(|signal| match signal {
        Signal::PlacementScore { offer, score } if offer == id => Some(*score),
        _ => None,
    })
}

#[tokio::test]
async fn scores_follow_what_a_zone_has_left() {
    let bed = Bed::of(&["us-east-1"]);
    let (full, dry) = (spot("us-east-1a", "m7g.large"), spot("us-east-1b", "m7g.large"));
    bed.inject(
        r#"{"kind":"capacity","zone":"us-east-1b","instance_type":"m7g.large","market":"spot","available":0}"#,
    );
    let query = SignalQuery { offers: vec![full.clone(), dry.clone()], count: 60, ..SignalQuery::default() };
    let signals = bed.provider.signals(&query).await.unwrap();
    let (full, dry) = (score_of(&signals, &full), score_of(&signals, &dry));
    assert!(full.is_some() && full > dry, "{full:?} and {dry:?}: {signals:?}");
    assert!(full.unwrap() % 10 == 0 && full.unwrap() >= 10);
    // The same size class and types are no new configuration, and fresh enough not to be asked again.
    bed.provider.signals(&SignalQuery { count: 50, ..query }).await.unwrap();
    assert_eq!(bed.calls("GetSpotPlacementScores"), 1);
}

#[tokio::test]
async fn without_a_right_to_ask_there_are_no_scores_and_no_error() {
    let bed = Bed::of(&["us-east-1"]);
    bed.inject(
        r#"{"kind":"error","action":"GetSpotPlacementScores","probability":1.0,"status":400,"code":"MaxConfigLimitExceeded","when":"before"}"#,
    );
    let offer = spot("us-east-1a", "m7g.large");
    let query = SignalQuery { offers: vec![offer.clone()], count: 60, ..SignalQuery::default() };
    for _ in 0..3 {
        let signals = bed.provider.signals(&query).await.unwrap();
        assert_eq!(score_of(&signals, &offer), None);
        assert!(signals.iter().any(|signal| matches!(signal, Signal::SpotPrice { .. })));
    }
    assert_eq!(bed.calls("GetSpotPlacementScores"), 1, "it was asked again though it was enough");
}

#[tokio::test]
async fn no_score_is_asked_for_where_the_settings_say_so() {
    let bed = Bed::with(&["us-east-1"], |settings| crate::Settings { placement_scores: false, ..settings });
    let query =
        SignalQuery { offers: vec![spot("us-east-1a", "m7g.large")], count: 1, ..SignalQuery::default() };
    bed.provider.signals(&query).await.unwrap();
    assert_eq!(bed.calls("GetSpotPlacementScores"), 0);
}

#[tokio::test]
async fn the_signals_of_an_offer_are_its_price_its_quota_and_what_comes_beside() {
    let bed = Bed::of(&["us-east-1"]);
    bed.inject(r#"{"kind":"quota","region":"us-east-1","name":"L-34B43A08","limit":64}"#);
    let offer = spot("us-east-1a", "m7g.large");
    let stranger = spot("atlantis-1z", "quantum.42xlarge");
    let offers = vec![offer.clone(), stranger];
    let query = SignalQuery { offers, count: 10, disk_gib: 8, public_ip: true };
    let signals = bed.provider.signals(&query).await.unwrap();
    let price = bed.world().look(|kernel| kernel.price(&offer)).unwrap();
    let at = bed.clock.now();
    assert!(
        signals.iter().any(|s| matches!(s, Signal::SpotPrice { offer: o, price: p, at: t }
            if *o == offer && *p == price && *t <= at)),
        "{signals:?}"
    );
    let quota = Signal::Quota { id: "us-east-1/L-34B43A08".into(), limit: Some(64), used: 0 };
    assert!(signals.contains(&quota), "{signals:?}");
    let extras = Signal::Extras {
        region: "us-east-1".into(),
        market: Market::Spot,
        per_hour: UsdPerHour::from_micros(5_877),
    };
    assert!(signals.contains(&extras), "{signals:?}");
    assert_eq!(bed.calls("GetServiceQuota"), 1, "only the quota that the offer draws on");
    assert!(bed.provider.signals(&SignalQuery::default()).await.unwrap().is_empty());
}

#[test]
fn a_zone_lies_in_the_region_that_its_name_begins_with() {
    for (zone, region, lies, regular) in [
        ("us-east-1a", "us-east-1", true, true),
        ("us-west-2-lax-1a", "us-west-2", true, false),
        ("us-east-1-wl1-bos-wlz-1", "us-east-1", true, false),
        ("us-east-12a", "us-east-1", false, false),
        ("us-east-1", "us-east-1", false, false),
        ("eu-west-1a", "us-east-1", false, false),
        ("atlantis-1z", "us-east-1", false, false),
    ] {
        let (zone, region) = (Zone::from(zone), Region::from(region));
        assert_eq!(lies_in(&zone, &region), lies, "{zone} {region}");
        assert_eq!(is_regular(&zone, &region), regular, "{zone} {region}");
    }
}

#[tokio::test]
async fn a_region_of_the_settings_that_there_is_not_is_a_wrong_setting() {
    let settings =
        |settings| crate::Settings { regions: vec!["us-east-1".into(), "us-esat-2".into()], ..settings };
    let bed = Bed::with(&["us-east-1", "us-east-2"], settings);
    let error = bed.provider.offers(&OfferQuery::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error:?}");
    assert_eq!(error.fact("key"), Some("providers.aws.regions"));
    assert!(error.message().contains("us-esat-2") && error.message().contains("us-east-2"), "{error}");
    assert!(!bed.provider.offers(&regions(&["us-east-1"])).await.unwrap().is_empty());
}
