//! Catalogues of a given size: out of a price list, or generated.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;
use skyfleet_core::{
    Arch, Availability, Draw, Gpu, InstanceType, Market, Offer, Price, Region, TypeName, UsdPerHour, Zone,
};

/// The environment variable with the path of a price list.
pub const PATH: &str = "SKYFLEET_OFFERS";

/// The offers to measure with: the price list named by [`PATH`], or generated ones of about the
/// size and the variety of the three clouds' price lists together.
///
/// # Errors
/// When the file cannot be read, or is no such price list.
pub fn all() -> io::Result<Vec<Offer>> {
    match std::env::var_os(PATH) {
        Some(path) => read(Path::new(&path)),
        None => Ok(generated()),
    }
}

/// About `count` of the offers, from all of the list evenly.
pub fn sample(offers: &[Offer], count: usize) -> Vec<Offer> {
    // In runs of 16, so that the two markets of a type mostly stay together.
    const RUN: usize = 16;
    let runs = offers.len().div_ceil(RUN);
    let wanted = count.min(offers.len()).div_ceil(RUN);
    let mut sample: Vec<Offer> = (0..wanted)
        .flat_map(|n| offers.chunks(RUN).nth(n * runs / wanted).unwrap_or_default())
        .cloned()
        .collect();
    sample.truncate(count);
    sample
}

/// A line of the price list: a type in a zone, with its price on both markets. On Azure prices are
/// the same in all zones of a region, and the zone is left empty.
#[derive(Deserialize)]
struct Line {
    instance_type: String,
    vcpu: f64,
    mem_gib: f64,
    arch: String,
    gpu: String,
    gpu_count: f64,
    od_usd_h: Option<f64>,
    spot_usd_h: Option<f64>,
    region: String,
    zone: String,
}

/// Reads a price list: CSV, with `.gz` also compressed.
///
/// # Errors
/// When the file cannot be read, or has other columns.
pub fn read(path: &Path) -> io::Result<Vec<Offer>> {
    let file = BufReader::new(File::open(path)?);
    let text: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut lines = csv::Reader::from_reader(text);
    let mut offers = Vec::new();
    let mut shared = Shared::default();
    for line in lines.deserialize() {
        let line: Line = line?;
        let zone = if line.zone.is_empty() { &line.region } else { &line.zone };
        let instance_type = InstanceType {
            name: TypeName::new(line.instance_type),
            vcpus: line.vcpu.ceil() as u32,
            memory_mib: (line.mem_gib * 1_024.0) as u32,
            arch: if line.arch == "arm64" { Arch::Arm64 } else { Arch::X86_64 },
            gpu: (!line.gpu.is_empty()).then(|| Gpu {
                model: line.gpu.as_str().into(),
                count: line.gpu_count.ceil().max(1.0) as u32,
                memory_mib: 16_384,
            }),
            local_ssd_gib: 0,
        };
        let prices = [(Market::Spot, line.spot_usd_h), (Market::OnDemand, line.od_usd_h)];
        shared.sell(&mut offers, instance_type, &line.region, zone, prices);
    }
    Ok(offers)
}

/// Offers of 210 zones and 600 types: no price list is needed, and every run has the same ones.
fn generated() -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut shared = Shared::default();
    for zone in 0..210u32 {
        let region = format!("region-{}", zone / 3);
        let name = format!("{region}{}", ['a', 'b', 'c'][zone as usize % 3]);
        for kind in 0..600u32 {
            let vcpus = 1 << (kind % 8);
            let instance_type = InstanceType {
                name: format!("family{}.size{}", kind / 8, kind % 8).into(),
                vcpus,
                memory_mib: vcpus * 1_024 * [2, 4, 8][(kind / 8) as usize % 3],
                arch: if kind / 8 % 4 == 0 { Arch::Arm64 } else { Arch::X86_64 },
                gpu: (kind / 8 % 20 == 19).then(|| Gpu { model: "T4".into(), count: 1, memory_mib: 16_384 }),
                local_ssd_gib: 0,
            };
            // Any scatter will do, so long as it is the same each time.
            let scatter = |salt: u32| {
                let mixed = (zone * 7_919 + kind * 104_729 + salt).wrapping_mul(2_654_435_761) >> 16;
                f64::from(mixed % 1_000) / 1_000.0
            };
            let on_demand = 0.04 * f64::from(vcpus) * (1.0 + scatter(1) * 0.3);
            let spot = on_demand * (0.1 + scatter(2) * 0.9);
            let prices = [(Market::Spot, Some(spot)), (Market::OnDemand, Some(on_demand))];
            shared.sell(&mut offers, instance_type, &region, &name, prices);
        }
    }
    offers
}

/// The types and quotas that offers share.
#[derive(Default)]
struct Shared {
    types: std::collections::BTreeMap<InstanceType, Arc<InstanceType>>,
    quotas: std::collections::BTreeMap<(String, Market), Arc<[Draw]>>,
}

impl Shared {
    fn sell(
        &mut self,
        offers: &mut Vec<Offer>,
        instance_type: InstanceType,
        region: &str,
        zone: &str,
        prices: [(Market, Option<f64>); 2],
    ) {
        let instance_type = match self.types.get(&instance_type) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(instance_type.clone());
                self.types.insert(instance_type, new.clone());
                new
            }
        };
        for (market, price) in prices {
            let Some(price) = price.and_then(UsdPerHour::from_dollars) else { continue };
            let key = (region.to_owned(), market);
            let quotas =
                self.quotas.entry(key).or_insert_with(|| [Draw::vcpus(format!("{region}/{market}"))].into());
            offers.push(Offer {
                instance_type: instance_type.clone(),
                region: Region::from(region),
                zone: Zone::from(zone),
                market,
                price: Price::Known(price),
                availability: Availability::Unknown,
                quotas: quotas.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_size_and_both_markets() {
        let all = generated();
        assert_eq!(all.len(), 252_000);
        for count in [1_000, 10_000, 131_000] {
            let sample = sample(&all, count);
            assert_eq!(sample.len(), count);
            let spot = sample.iter().filter(|offer| offer.market == Market::Spot).count();
            assert!((count * 2 / 5..=count * 3 / 5).contains(&spot), "{spot} of {count}");
        }
        assert_eq!(sample(&all, 1_000_000).len(), all.len());
    }
}
