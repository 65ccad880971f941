use rand::SeedableRng;
use rand_pcg::Pcg64;

/// A stream of random numbers of its own for one named thing: what else is drawn does not shift it.
pub(crate) fn stream(seed: u64, name: &str) -> Pcg64 {
    Pcg64::seed_from_u64(digest(&[&seed.to_le_bytes(), name.as_bytes()]))
}

/// A number for a text that is the same on every machine and in every version (FNV-1a, 64 bit).
pub(crate) fn digest(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
