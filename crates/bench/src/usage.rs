//! What this process has used, as the Linux kernel counts it.

use std::time::Duration;

/// The CPU time of the main thread so far; `None` where the kernel does not say.
pub fn cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that was resident at once so far, in KiB; `None` where the kernel does not say.
pub fn peak_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_that_is_written_counts() {
        let before = peak_kib().unwrap();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak_kib().unwrap() >= before.max(60 << 10), "{}", block.len());
    }
}
