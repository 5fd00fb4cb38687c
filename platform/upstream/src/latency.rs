//! How slow an instance has been lately: a moving average that believes a slow answer at once and a fast one by and by.
//!
//! This is "peak EWMA". Weights are fractions of whole numbers, `age / (memory + age)`, so that nothing here is a float.

use std::time::Duration;

/// The latency of an instance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    micros: u64,
    at_ms: u64,
}

impl Latency {
    /// Takes a measured time into account.
    pub(crate) fn observe(&mut self, sample: Duration, now_ms: u64, memory_ms: u64) {
        let sample = u64::try_from(sample.as_micros()).unwrap_or(u64::MAX);
        let before = self.micros;
        let age = now_ms.saturating_sub(self.at_ms);
        self.at_ms = now_ms;
        // A hundredth of each sample counts even when they come thick and fast, else a burst would be judged by its first.
        let weight = age.max(memory_ms / 100);
        self.micros = if sample >= before { sample } else { before - share(before - sample, weight, memory_ms) };
    }

    /// The present estimate, microseconds. It fades, so that an instance that was slow once is tried again.
    pub(crate) fn micros(self, now_ms: u64, memory_ms: u64) -> u64 {
        let age = now_ms.saturating_sub(self.at_ms);
        self.micros - share(self.micros, age, memory_ms)
    }
}

/// `amount × weight / (memory + weight)`.
fn share(amount: u64, weight: u64, memory: u64) -> u64 {
    let whole = u128::from(memory) + u128::from(weight);
    let part = u128::from(amount) * u128::from(weight) / whole.max(1);
    u64::try_from(part).unwrap_or(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY_MS: u64 = 10_000;

    #[test]
    fn a_slow_answer_counts_at_once_and_a_fast_one_by_and_by() {
        let mut latency = Latency::default();
        latency.observe(Duration::from_millis(500), 1_000, MEMORY_MS);
        assert_eq!(latency.micros(1_000, MEMORY_MS), 500_000);
        latency.observe(Duration::from_millis(1), 1_000, MEMORY_MS);
        let after_one = latency.micros(1_000, MEMORY_MS);
        assert!((400_000..500_000).contains(&after_one), "{after_one}");
        for _ in 0..1_000 {
            latency.observe(Duration::from_millis(1), 1_000, MEMORY_MS);
        }
        assert!(latency.micros(1_000, MEMORY_MS) < 2_000);
    }

    #[test]
    fn what_was_slow_long_ago_is_forgotten() {
        let mut latency = Latency::default();
        latency.observe(Duration::from_secs(1), 0, MEMORY_MS);
        assert_eq!(latency.micros(MEMORY_MS, MEMORY_MS), 500_000);
        assert!(latency.micros(100 * MEMORY_MS, MEMORY_MS) < 10_000);
    }
}
