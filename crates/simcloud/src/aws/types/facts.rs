use skyfleet_core::{Arch, InstanceType};

/// What EC2 says of a type beside what the catalogue knows. Usual figures of the families, not
/// checked one by one against the vendor: they fill the members of an answer, and nothing in the
/// world is reckoned with them. A type that is not listed gets what its like have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) clock_ghz: f64,
    pub(crate) network: &'static str,
    pub(crate) network_baseline_gbps: f64,
    pub(crate) network_peak_gbps: f64,
    pub(crate) network_cards: u32,
    pub(crate) interfaces: u32,
    pub(crate) addresses: u32,
    pub(crate) ebs_baseline_mbps: u32,
    pub(crate) ebs_max_mbps: u32,
    pub(crate) ebs_baseline_iops: u32,
    pub(crate) ebs_max_iops: u32,
    /// How many local disks, if there are some.
    pub(crate) disks: u32,
}

/// The facts of a type.
pub(crate) fn of(spec: &InstanceType) -> Facts {
    let name = spec.name.as_str();
    let row = FACTS.iter().find(|(known, ..)| *known == name);
    let (_, clock, net, cards, interfaces, addresses, ebs, disks) =
        row.unwrap_or(&("", 2.5, UP_TO_12, 1, 3, 10, EBS_650, 1));
    Facts {
        clock_ghz: *clock,
        network: net.0,
        network_baseline_gbps: net.1 * f64::from(if net.2 > 50.0 { 1 } else { spec.vcpus.max(1) }),
        network_peak_gbps: net.2,
        network_cards: *cards,
        interfaces: *interfaces,
        addresses: *addresses,
        ebs_baseline_mbps: ebs.0,
        ebs_max_mbps: ebs.1,
        ebs_baseline_iops: ebs.2,
        ebs_max_iops: ebs.3,
        disks: *disks,
    }
}

/// Who makes the processor: Graviton is AWS's own, an `a` after the generation is AMD.
pub(crate) fn manufacturer(spec: &InstanceType) -> &'static str {
    let family = family(spec);
    let after_generation = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let letters = after_generation.trim_start_matches(|c: char| c.is_ascii_digit());
    match spec.arch {
        Arch::Arm64 => "AWS",
        Arch::X86_64 if letters.starts_with('a') || AMD.contains(&family) => "AMD",
        Arch::X86_64 => "Intel",
    }
}

/// Threads per core: one on Graviton and from AMD's seventh generation on, elsewhere two.
pub(crate) fn threads_per_core(spec: &InstanceType) -> u32 {
    let single = matches!(family(spec), "m7a" | "c7a" | "r7a" | "m8a" | "c8a" | "r8a");
    if single || spec.arch == Arch::Arm64 { 1 } else { 2 }
}

/// Whether its processor time is rationed: the T family.
pub(crate) fn burstable(spec: &InstanceType) -> bool {
    let family = family(spec);
    family.starts_with('t') && family[1..].starts_with(|c: char| c.is_ascii_digit())
}

pub(crate) fn bare_metal(spec: &InstanceType) -> bool {
    spec.name.as_str().split('.').nth(1).is_some_and(|size| size.starts_with("metal"))
}

/// `m7g` of `m7g.large`.
pub(crate) fn family(spec: &InstanceType) -> &str {
    spec.name.as_str().split('.').next().unwrap_or_default()
}

/// The local disks in decimal GB, as EC2 counts them.
pub(crate) fn local_gb(spec: &InstanceType) -> u64 {
    (f64::from(spec.local_ssd_gib) * 1.073_741_824).round() as u64
}

/// Graphics types whose names do not say that their processors are AMD's.
const AMD: &[&str] = &["g5", "g6", "g6e", "p5"];

/// What EC2 calls it, the baseline of one vCPU and the peak, in Gbps.
type Network = (&'static str, f64, f64);
/// Baseline and maximum in Mbps, baseline and maximum in IOPS.
type Ebs = (u32, u32, u32, u32);

const UP_TO_5: Network = ("Up to 5 Gigabit", 0.128, 5.0);
const UP_TO_10: Network = ("Up to 10 Gigabit", 0.375, 10.0);
const UP_TO_10_I: Network = ("Up to 10 Gigabit", 0.390_5, 10.0);
const UP_TO_10_G: Network = ("Up to 10 Gigabit", 0.625, 10.0);
const UP_TO_12: Network = ("Up to 12.5 Gigabit", 0.390_5, 12.5);
const UP_TO_12_ARM: Network = ("Up to 12.5 Gigabit", 0.468_5, 12.5);
const UP_TO_12_MEDIUM: Network = ("Up to 12.5 Gigabit", 0.52, 12.5);
const UP_TO_20: Network = ("Up to 20 Gigabit", 0.625, 20.0);
const UP_TO_25: Network = ("Up to 25 Gigabit", 1.25, 25.0);

const EBS_315: Ebs = (315, 10_000, 2_500, 40_000);
const EBS_347: Ebs = (347, 2_085, 2_000, 11_800);
const EBS_625: Ebs = (625, 10_000, 2_500, 40_000);
const EBS_630: Ebs = (630, 4_750, 3_600, 20_000);
const EBS_630_7: Ebs = (630, 10_000, 3_600, 40_000);
const EBS_650: Ebs = (650, 10_000, 3_600, 40_000);
const EBS_1250: Ebs = (1_250, 10_000, 6_000, 40_000);

/// Name, clock in GHz, network, network cards, interfaces, addresses of each, EBS, local disks.
type Row = (&'static str, f64, Network, u32, u32, u32, Ebs, u32);

#[rustfmt::skip]
const FACTS: &[Row] = &[
    ("m6g.large", 2.5, UP_TO_10, 1, 3, 10, EBS_630, 0),
    ("m7g.medium", 2.6, UP_TO_12_MEDIUM, 1, 2, 4, EBS_315, 0),
    ("m7g.large", 2.6, UP_TO_12_ARM, 1, 3, 10, EBS_630_7, 0),
    ("m8g.medium", 2.8, UP_TO_12_MEDIUM, 1, 2, 4, EBS_315, 0),
    ("m8g.large", 2.8, UP_TO_12_ARM, 1, 3, 10, EBS_630_7, 0),
    ("t4g.medium", 2.5, UP_TO_5, 1, 3, 6, EBS_347, 0),
    ("m6i.large", 3.5, UP_TO_12, 1, 3, 10, EBS_650, 0),
    ("m6a.large", 3.6, UP_TO_12, 1, 3, 10, EBS_650, 0),
    ("m7i.large", 3.2, UP_TO_12, 1, 3, 10, EBS_650, 0),
    ("m7i.xlarge", 3.2, UP_TO_12, 1, 4, 15, EBS_1250, 0),
    ("m7a.large", 3.7, UP_TO_12, 1, 3, 10, EBS_650, 0),
    ("c6g.large", 2.5, UP_TO_10, 1, 3, 10, EBS_630, 0),
    ("c7g.large", 2.6, UP_TO_12_ARM, 1, 3, 10, EBS_630_7, 0),
    ("c8g.large", 2.8, UP_TO_12_ARM, 1, 3, 10, EBS_630_7, 0),
    ("c7i.large", 3.2, UP_TO_12, 1, 3, 10, EBS_650, 0),
    ("c7a.large", 3.7, UP_TO_12, 1, 3, 10, EBS_650, 0),
    ("r6g.large", 2.5, UP_TO_10, 1, 3, 10, EBS_630, 0),
    ("r7g.large", 2.6, UP_TO_12_ARM, 1, 3, 10, EBS_630_7, 0),
    ("r8g.large", 2.8, UP_TO_12_ARM, 1, 3, 10, EBS_630_7, 0),
    ("r7i.large", 3.2, UP_TO_12, 1, 3, 10, EBS_650, 0),
    ("m6gd.large", 2.5, UP_TO_10, 1, 3, 10, EBS_630, 1),
    ("i4g.large", 2.5, UP_TO_10_I, 1, 3, 10, EBS_625, 1),
    ("i4i.large", 3.5, UP_TO_10_I, 1, 3, 10, EBS_625, 1),
    ("g4dn.xlarge", 2.5, UP_TO_25, 1, 3, 10, (950, 3_500, 3_000, 20_000), 1),
    ("g5.xlarge", 2.8, UP_TO_10_G, 1, 4, 15, (700, 3_500, 3_000, 15_000), 1),
    ("g5g.xlarge", 2.5, UP_TO_10, 1, 4, 15, (1_188, 4_750, 6_000, 20_000), 0),
    ("g6.xlarge", 3.4, UP_TO_10_G, 1, 4, 15, (1_000, 5_000, 4_000, 20_000), 1),
    ("g6e.xlarge", 3.4, UP_TO_20, 1, 4, 15, (1_000, 5_000, 4_000, 20_000), 1),
    ("p4d.24xlarge", 3.0, ("4x 100 Gigabit", 400.0, 400.0), 4, 60, 50, (19_000, 19_000, 80_000, 80_000), 8),
    ("p5.48xlarge", 3.6, ("3200 Gigabit", 3_200.0, 3_200.0), 32, 64, 50, (80_000, 80_000, 260_000, 260_000), 8),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Cloud};

    #[test]
    fn every_type_of_the_catalogue_has_facts_of_its_own() {
        let catalog = Catalog::of(Cloud::Aws);
        for spec in catalog.instance_types() {
            assert!(FACTS.iter().any(|(name, ..)| *name == spec.name.as_str()), "{}", spec.name);
            assert_eq!(of(spec).disks > 0, spec.local_ssd_gib > 0, "{}", spec.name);
        }
        assert_eq!(FACTS.len(), catalog.instance_types().count());
    }

    #[test]
    fn names_say_whose_processor_it_is() {
        let catalog = Catalog::of(Cloud::Aws);
        for (name, maker, threads) in [
            ("m7g.large", "AWS", 1),
            ("m7a.large", "AMD", 1),
            ("m6a.large", "AMD", 2),
            ("m7i.large", "Intel", 2),
        ] {
            let spec = catalog.instance_type(name).unwrap();
            assert_eq!((manufacturer(spec), threads_per_core(spec)), (maker, threads), "{name}");
        }
        assert!(burstable(catalog.instance_type("t4g.medium").unwrap()));
        assert!(!burstable(catalog.instance_type("m7g.large").unwrap()));
        assert_eq!(local_gb(catalog.instance_type("p5.48xlarge").unwrap()), 30_400);
    }
}
