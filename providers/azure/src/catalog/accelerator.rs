//! The GPUs of sizes: Azure says how many there are, and nowhere which.

use skyfleet_core::Gpu;

/// What a size has, by its name.
struct Row {
    /// A part of the name behind `Standard_`, between its underscores or at its beginning.
    named: &'static str,
    model: &'static str,
    memory_mib: u32,
}

const fn row(named: &'static str, model: &'static str, memory_gib: u32) -> Row {
    Row { named, model, memory_mib: memory_gib * 1_024 }
}

/// Azure documentation, "GPU accelerated virtual machine sizes", series by series; the first row that
/// fits counts.
const ROWS: [Row; 27] = [
    row("T4", "T4", 16),
    // Parts of one card.
    row("NV6ads_A10_v5", "A10", 4),
    row("NV12ads_A10_v5", "A10", 8),
    row("NV18ads_A10_v5", "A10", 12),
    row("A10", "A10", 24),
    row("A100", "A100", 80),
    row("ND96asr_v4", "A100", 40),
    // With NVLink bridges between two cards, and 94 GB.
    row("NC40ads_H100_v5", "H100", 94),
    row("NC80adis_H100_v5", "H100", 94),
    row("H100", "H100", 80),
    row("H200", "H200", 141),
    row("MI300X", "MI300X", 192),
    row("GB200", "GB200", 192),
    row("GB300", "GB300", 288),
    row("ND40rs_v2", "V100", 32),
    row("NC6s_v3", "V100", 16),
    row("NC12s_v3", "V100", 16),
    row("NC24s_v3", "V100", 16),
    row("NC24rs_v3", "V100", 16),
    row("NV12s_v3", "M60", 8),
    row("NV24s_v3", "M60", 8),
    row("NV48s_v3", "M60", 8),
    row("NG8ads_V620_v1", "V620", 8),
    row("NG16ads_V620_v1", "V620", 16),
    row("NG32ads_V620_v1", "V620", 32),
    row("NG32adms_V620_v1", "V620", 32),
    row("NV32as_v4", "MI25", 16),
];

/// The GPUs of a size; `None` for a size whose GPUs nobody here knows.
pub(super) fn gpu(size: &str, count: u32) -> Option<Gpu> {
    let name = size.strip_prefix("Standard_").unwrap_or(size);
    let fits = |row: &&Row| {
        name.eq_ignore_ascii_case(row.named)
            || name.split('_').skip(1).any(|part| part.eq_ignore_ascii_case(row.named))
    };
    let row = ROWS.iter().find(fits)?;
    Some(Gpu { model: row.model.into(), count, memory_mib: row.memory_mib })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_tells_its_gpus_by_its_name() {
        for (size, model, gib) in [
            ("Standard_NC4as_T4_v3", "T4", 16),
            ("Standard_NV6ads_A10_v5", "A10", 4),
            ("Standard_NV36ads_A10_v5", "A10", 24),
            ("Standard_NV72ads_A10_v5", "A10", 24),
            ("Standard_NC24ads_A100_v4", "A100", 80),
            ("Standard_ND96amsr_A100_v4", "A100", 80),
            ("Standard_ND96asr_v4", "A100", 40),
            ("Standard_NC40ads_H100_v5", "H100", 94),
            ("Standard_ND96isr_H100_v5", "H100", 80),
            ("Standard_ND96isr_MI300X_v5", "MI300X", 192),
            ("Standard_NC6s_v3", "V100", 16),
        ] {
            let gpu = gpu(size, 1).unwrap();
            assert_eq!((&*gpu.model, gpu.memory_mib, gpu.count), (model, gib * 1_024, 1), "{size}");
        }
        // A part of a card that is sold as one, and a card that is too new.
        for size in ["Standard_NV4as_v4", "Standard_ND1_X9_v9", "Standard_D2s_v5", ""] {
            assert_eq!(gpu(size, 1), None, "{size}");
        }
    }
}
