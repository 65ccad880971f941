//! What spot capacity cost, and when that changed.

mod bed;

use std::time::Duration;

use bed::{Bed, START};
use skyfleet_core::{Market, OfferId, Timestamp, UsdPerHour};
use skyfleet_simcloud::Cloud;

const DAY: u64 = 86_400;

fn changes(bed: &Bed, offer: &OfferId, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, UsdPerHour)> {
    bed.world.look(|kernel| kernel.price_changes(offer, from, to))
}

#[test]
fn the_history_says_the_price_of_every_moment() {
    let trace = "[market]\nprocess = \"constant\"\n";
    for (cloud, scenario) in
        [(Cloud::Aws, ""), (Cloud::Gcp, ""), (Cloud::Azure, ""), (Cloud::Neutral, ""), (Cloud::Aws, trace)]
    {
        let bed = Bed::playing(cloud, scenario);
        bed.pass(30 * DAY);
        let now = START + Duration::from_secs(30 * DAY);
        for market in [Market::Spot, Market::OnDemand] {
            let offer = bed.offers(market)[0].id();
            let (from, to) = (now - Duration::from_secs(20 * DAY), now - Duration::from_secs(DAY));
            let history = changes(&bed, &offer, from, to);
            assert!(history[0].0 <= from, "{cloud} {market}: the one in force comes first");
            assert!(history.len() == 1 || history[1].0 > from);
            assert!(
                history.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1),
                "{cloud}"
            );
            assert!(history.last().unwrap().0 <= to);
            let moments = (0..4_000u64).map(|n| from + Duration::from_secs(n * 19 * DAY / 4_000));
            let edges = history.iter().skip(1).flat_map(|(at, _)| [*at, *at - Duration::from_secs(1)]);
            for at in moments.chain(edges) {
                let told = history[history.partition_point(|(since, _)| *since <= at) - 1].1;
                assert_eq!(
                    bed.world.look(|kernel| kernel.price_at(&offer, at)),
                    Some(told),
                    "{cloud} at {at}"
                );
            }
            // The change in force is the same whoever asks, however late.
            if let [_, (at, price), (next, _), ..] = history[..] {
                let between = next - Duration::from_secs(1);
                assert_eq!(changes(&bed, &offer, between, between), [(at, price)], "{cloud}");
            }
            if cloud == Cloud::Aws && scenario.is_empty() {
                assert_eq!(history.len() > 20, market == Market::Spot, "{market}: {}", history.len());
            }
        }
    }
}

#[test]
fn the_history_reaches_ninety_days_back_and_not_ahead() {
    let bed = Bed::playing(Cloud::Aws, "");
    let offer = bed.offers(Market::Spot)[0].id();
    let ago = START - Duration::from_secs(300 * DAY);
    let history = changes(&bed, &offer, ago, START + Duration::from_secs(DAY));
    assert_eq!(history[0].0, START - Duration::from_secs(90 * DAY));
    assert!(history.iter().all(|(at, _)| *at <= START));
    assert!(changes(&bed, &offer, START, ago).is_empty());
    assert!(changes(&bed, &offer, ago, ago + Duration::from_secs(DAY)).is_empty());
    let current = changes(&bed, &offer, START, START);
    assert_eq!(current.len(), 1);
    assert_eq!(bed.world.look(|kernel| kernel.price(&offer)), Some(current[0].1));
    let nobody = OfferId { instance_type: "m0.none".into(), ..offer };
    assert!(changes(&bed, &nobody, START, START).is_empty());
    assert_eq!(
        bed.world.look(|kernel| (kernel.price_at(&nobody, START), kernel.room_of(&nobody))),
        (None, 0)
    );
}

#[test]
fn room_is_what_a_pool_still_takes() {
    let bed =
        Bed::playing(Cloud::Neutral, "[market]\nprocess = \"constant\"\n[pools]\ndefault_capacity = 7\n");
    let mut order = bed.order(Market::Spot, 3);
    order.pools.truncate(1);
    let offer = order.pools[0].offer.clone();
    let room = || bed.world.look(|kernel| kernel.room_of(&offer));
    assert_eq!(room(), 7);
    bed.launch(&order).unwrap();
    assert_eq!(room(), 4);
    bed.fault(&format!(r#"{{"kind":"capacity","zone":"{}","available":2}}"#, offer.zone));
    assert_eq!(room(), 2);
}
