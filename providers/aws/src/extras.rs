//! What an instance costs beside itself: its disk and its address.

use skyfleet_core::{Region, UsdPerHour};

/// A public IPv4 address, in use or idle, in every region (Amazon VPC pricing, since 2024-02-01).
const ADDRESS: UsdPerHour = UsdPerHour::from_micros(5_000);

/// The hours of a month, as price lists count them.
const MONTH_H: i64 = 730;

/// A GiB of gp3 for a month, in micro-dollars, by how the region's name begins; the first row that
/// fits counts. The rows of one region are Amazon's prices (EBS pricing, 2024 to 2026). Those of a
/// whole continent stand for the regions that have no row of their own: the dearest that was seen
/// there, since a budget must hold; the true price may be a fifth lower. The 3,000 operations and
/// 125 MiB a second that come with every gp3 disk cost nothing.
const GP3: [(&str, i64); 11] = [
    ("us-east-", 80_000),
    ("us-west-2", 80_000),
    ("us-west-1", 96_000),
    ("us-gov-", 96_000),
    ("ca-", 88_000),
    ("eu-west-1", 88_000),
    ("eu-north-1", 83_600),
    ("eu-", 95_200),
    ("ap-", 96_000),
    ("sa-", 152_000),
    // Africa, the Middle East, Israel, Mexico, and what comes.
    ("", 110_000),
];

/// What a boot disk of this size and, where asked for, a public address cost in an hour.
pub(crate) fn per_hour(region: &Region, disk_gib: u32, public_ip: bool) -> UsdPerHour {
    let row = GP3.iter().find(|(start, _)| region.as_str().starts_with(start));
    let month = row.map_or(0, |(_, micros)| *micros) * i64::from(disk_gib);
    let disk = UsdPerHour::from_micros((month + MONTH_H / 2) / MONTH_H);
    if public_ip { disk + ADDRESS } else { disk }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_costs_by_its_size_and_region_and_an_address_the_same_everywhere() {
        for (region, gib, public_ip, micros) in [
            ("us-east-1", 8, false, 877),
            ("us-east-1", 8, true, 5_877),
            ("eu-west-1", 8, false, 964),
            ("eu-west-3", 100, false, 13_041),
            ("ap-southeast-2", 0, true, 5_000),
            ("sa-east-1", 730, false, 152_000),
            ("il-central-1", 730, false, 110_000),
            ("us-west-1", 0, false, 0),
        ] {
            let cost = per_hour(&region.into(), gib, public_ip);
            assert_eq!(cost, UsdPerHour::from_micros(micros), "{region} {gib} {public_ip}");
        }
    }
}
