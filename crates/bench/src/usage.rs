//! What this process has used, as the Linux kernel counts it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The CPU time of this thread so far.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time of all threads of this process so far.
pub fn cpu_of_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
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
    fn waiting_costs_no_cpu_time() {
        let before = cpu();
        std::thread::sleep(Duration::from_millis(50));
        let slept = cpu();
        assert!(slept - before < Duration::from_millis(25));
        let sum = (0..10_000_000u64).fold(0u64, |sum, n| std::hint::black_box(sum ^ n));
        assert!(cpu() > slept, "{sum}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_that_is_written_counts() {
        let before = peak_kib().unwrap();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak_kib().unwrap() >= before.max(60 << 10), "{}", block.len());
    }
}
