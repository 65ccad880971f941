//! What an instance costs beside itself: its disk and its address.

use skyfleet_core::{Region, UsdPerHour};

/// A public IPv4 address of the standard kind, in every region and on both markets (Azure pricing,
/// IP addresses).
const ADDRESS: UsdPerHour = UsdPerHour::from_micros(5_000);

/// The hours of a month, as price lists count them.
const MONTH_H: i64 = 730;

/// A GiB of standard SSD with local redundancy for a month, in micro-dollars, in the United States
/// (Azure pricing, managed disks: E10, 128 GiB, is 9.60 dollars).
const GIB_MONTH: i64 = 75_000;

/// How dear it is elsewhere, in hundredths, by what the region's name has in it: of a whole continent
/// the dearest that was seen there, since a budget must hold.
const ELSEWHERE: [(&str, i64); 17] = [
    ("europe", 110),
    ("uk", 120),
    ("france", 130),
    ("germany", 130),
    ("switzerland", 130),
    ("norway", 130),
    ("sweden", 110),
    ("poland", 120),
    ("italy", 120),
    ("spain", 120),
    ("brazil", 180),
    ("australia", 125),
    ("asia", 120),
    ("japan", 130),
    ("korea", 120),
    ("india", 120),
    ("canada", 110),
];
/// Africa, the Middle East, and what comes.
const ANYWHERE: i64 = 150;

/// A disk is sold in steps, E1 to E80, and paid for by its step (Azure documentation, "Azure managed
/// disk types").
const STEPS_GIB: [u32; 14] = [4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_767];

/// The least that the neutral images take.
const LEAST_GIB: u32 = 30;

/// What a system disk of this size and, where asked for, a public address cost in an hour; 0 GiB when
/// nobody asks about the disk. What a disk costs for each operation is not in it.
pub(crate) fn per_hour(region: &Region, disk_gib: u32, public_ip: bool) -> UsdPerHour {
    let disk = if disk_gib == 0 { UsdPerHour::ZERO } else { disk(region.as_str(), disk_gib.max(LEAST_GIB)) };
    if public_ip { disk + ADDRESS } else { disk }
}

fn disk(region: &str, gib: u32) -> UsdPerHour {
    let sold = STEPS_GIB.iter().copied().find(|step| *step >= gib).unwrap_or(gib);
    let elsewhere = ELSEWHERE.iter().find(|(part, _)| region.contains(part)).map(|(_, percent)| *percent);
    let american = region.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with("us");
    let percent = elsewhere.unwrap_or(if american { 100 } else { ANYWHERE });
    let month = GIB_MONTH * i64::from(sold) * percent / 100;
    UsdPerHour::from_micros((month + MONTH_H / 2) / MONTH_H)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_costs_by_its_step_and_region_and_an_address_the_same_everywhere() {
        for (region, gib, public_ip, micros) in [
            // 2.40 and 4.80 dollars a month.
            ("eastus", 10, false, 3_288),
            ("eastus", 32, false, 3_288),
            ("westus2", 33, false, 6_575),
            ("westeurope", 30, false, 3_616),
            ("australiaeast", 30, true, 9_110),
            ("uaenorth", 30, false, 4_932),
            ("austriaeast", 30, false, 4_932),
            ("eastus", 0, true, 5_000),
            ("eastus", 0, false, 0),
        ] {
            let cost = per_hour(&region.into(), gib, public_ip);
            assert_eq!(cost, UsdPerHour::from_micros(micros), "{region} {gib} {public_ip}");
        }
    }
}
