//! Offers for the unit tests.

use skyfleet_core::{Arch, Availability, Draw, Gpu, InstanceType, Market, Offer, Price, UsdPerHour};

/// An offer of 2 vCPUs and 8 GiB, in the region of its zone, with a quota of its own per region
/// and market.
pub(crate) fn offer(zone: &str, name: &str, market: Market, micros: i64) -> Offer {
    let region = zone.trim_end_matches(|c: char| c.is_ascii_lowercase());
    Offer {
        instance_type: InstanceType {
            name: name.into(),
            vcpus: 2,
            memory_mib: 8_192,
            arch: Arch::Arm64,
            gpu: None,
            local_ssd_gib: 0,
        }
        .into(),
        region: region.into(),
        zone: zone.into(),
        market,
        price: Price::Known(UsdPerHour::from_micros(micros)),
        availability: Availability::Open,
        quotas: [Draw::vcpus(format!("{region}/{market}"))].into(),
    }
}

/// The same with another number of vCPUs.
pub(crate) fn vcpus(mut offer: Offer, vcpus: u32) -> Offer {
    std::sync::Arc::make_mut(&mut offer.instance_type).vcpus = vcpus;
    offer
}

/// The same with GPUs.
pub(crate) fn gpu(mut offer: Offer, model: &str, count: u32, memory_mib: u32) -> Offer {
    std::sync::Arc::make_mut(&mut offer.instance_type).gpu =
        Some(Gpu { model: model.into(), count, memory_mib });
    offer
}
