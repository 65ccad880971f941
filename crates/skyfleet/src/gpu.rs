//! GPU models are spelled differently everywhere: `A100`, `a100-80gb`, `nvidia-tesla-a100`.

use skyfleet_core::Gpu;

/// A model name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuName {
    /// Letters and digits only, lower case, without the vendor.
    model: String,
    /// The memory that the name says, in GB.
    memory_gb: Option<u32>,
}

impl GpuName {
    /// Takes a name apart. Case, vendor (`nvidia`, `tesla`, `amd`) and what stands between the
    /// parts do not matter.
    pub(crate) fn parse(name: &str) -> Self {
        let (mut model, mut memory_gb) = (String::new(), None);
        for part in name.to_lowercase().split(|c: char| !c.is_ascii_alphanumeric()) {
            match part.strip_suffix("gb").and_then(|n| n.parse().ok()) {
                Some(gb) => memory_gb = Some(gb),
                None if ["nvidia", "tesla", "amd"].contains(&part) => {}
                None => model.push_str(part),
            }
        }
        Self { model, memory_gb }
    }

    /// Whether a GPU is what this name asks for: the same model, and the memory where the name
    /// says one. `A100` is any A100, `A100-80GB` only one with 80 GB.
    pub(crate) fn covers(&self, gpu: &Gpu) -> bool {
        let other = Self::parse(&gpu.model);
        self.model == other.model
            && self.memory_gb.is_none_or(|gb| other.memory_gb == Some(gb) || has_memory(gpu, gb))
    }
}

/// Whether each GPU has this much memory. Vendors count 10⁹ bytes and sell a 24 GB card that reports
/// 22,888 MiB: both readings of "24" are met by it.
pub(crate) fn has_memory(gpu: &Gpu, gb: u32) -> bool {
    u64::from(gpu.memory_mib) * 1_048_576 >= (u64::from(gb) * 1_000_000_000).saturating_sub(1_048_576)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(model: &str, memory_mib: u32) -> Gpu {
        Gpu { model: model.into(), count: 1, memory_mib }
    }

    #[test]
    fn one_model_has_many_spellings() {
        for wanted in ["T4", "t4", "tesla-t4", "nvidia-tesla-t4", "NVIDIA T4"] {
            assert!(GpuName::parse(wanted).covers(&gpu("T4", 16_384)), "{wanted}");
            assert!(!GpuName::parse(wanted).covers(&gpu("T4G", 16_384)), "{wanted}");
        }
        assert_eq!(GpuName::parse("RTX-PRO-6000"), GpuName::parse("rtx pro 6000"));
    }

    #[test]
    fn a_memory_in_the_name_asks_for_it() {
        let (small, large, named) = (gpu("A100", 40_960), gpu("A100", 81_920), gpu("A100-80GB", 81_920));
        let covered = |wanted: &str| [&small, &large, &named].map(|gpu| GpuName::parse(wanted).covers(gpu));
        assert_eq!(covered("A100"), [true, true, true]);
        assert_eq!(covered("a100-80gb"), [false, true, true]);
        assert_eq!(covered("A100-40GB"), [true, true, true]);
        assert_eq!(covered("H100"), [false, false, false]);
    }

    #[test]
    fn the_vendors_gigabytes_are_enough() {
        assert!(has_memory(&gpu("L4", 22_888), 24));
        assert!(!has_memory(&gpu("L4", 22_800), 24));
        assert!(has_memory(&gpu("T4", 0), 0));
    }
}
