//! What an instance costs beside itself: its disk and its address.

use skyfleet_core::{Market, Region, UsdPerHour};

/// An external IPv4 address in use, in every region (VPC pricing, external IP addresses): half the
/// price on spot machines.
const ADDRESS: UsdPerHour = UsdPerHour::from_micros(5_000);
const ADDRESS_SPOT: UsdPerHour = UsdPerHour::from_micros(2_500);

/// The hours of a month, as price lists count them.
const MONTH_H: i64 = 730;

/// A GiB of balanced persistent disk for a month, in micro-dollars, by how the region's name begins;
/// the first row that fits counts. Google's prices (Disk pricing, 2024 to 2026). Those of a whole
/// continent stand for the regions that have no row of their own: the dearest that was seen there,
/// since a budget must hold.
const BALANCED: [(&str, i64); 15] = [
    ("us-central1", 100_000),
    ("us-east1", 100_000),
    ("us-west1", 100_000),
    ("us-east4", 110_000),
    ("us-east5", 100_000),
    ("us-south1", 118_000),
    ("us-", 120_000),
    ("northamerica-", 110_000),
    ("southamerica-", 159_000),
    ("europe-west1", 110_000),
    ("europe-west4", 110_000),
    ("europe-", 140_000),
    ("asia-", 130_000),
    ("australia-", 135_000),
    // Africa, the Middle East, and what comes.
    ("", 160_000),
];

/// What a boot disk of this size and, where asked for, a public address cost in an hour.
pub(crate) fn per_hour(region: &Region, market: Market, disk_gib: u32, public_ip: bool) -> UsdPerHour {
    let row = BALANCED.iter().find(|(start, _)| {
        // `europe-west1` is no beginning of `europe-west12`.
        let rest = region.as_str().strip_prefix(start);
        rest.is_some_and(|rest| start.ends_with(['-']) || start.is_empty() || rest.is_empty())
    });
    let month = row.map_or(0, |(_, micros)| *micros) * i64::from(disk_gib);
    let disk = UsdPerHour::from_micros((month + MONTH_H / 2) / MONTH_H);
    match (public_ip, market) {
        (false, _) => disk,
        (true, Market::Spot) => disk + ADDRESS_SPOT,
        (true, Market::OnDemand) => disk + ADDRESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_costs_by_its_size_and_region_and_an_address_by_its_market() {
        for (region, market, gib, public_ip, micros) in [
            ("us-central1", Market::Spot, 10, false, 1_370),
            ("us-central1", Market::Spot, 10, true, 3_870),
            ("us-central1", Market::OnDemand, 10, true, 6_370),
            ("europe-west12", Market::Spot, 730, false, 140_000),
            ("europe-west1", Market::Spot, 730, false, 110_000),
            ("us-west4", Market::Spot, 730, false, 120_000),
            ("me-central1", Market::Spot, 730, false, 160_000),
            ("australia-southeast1", Market::OnDemand, 0, true, 5_000),
        ] {
            let cost = per_hour(&region.into(), market, gib, public_ip);
            assert_eq!(cost, UsdPerHour::from_micros(micros), "{region} {market} {gib} {public_ip}");
        }
    }
}
