//! Latencies and throughput, in integers.

use std::time::Duration;

use serde::Serialize;

use crate::run::Scenario;

/// What one window of one scenario gave. Latencies in microseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) scenario: Scenario,
    pub(crate) connections: usize,
    pub(crate) operations: u64,
    pub(crate) per_second: u64,
    pub(crate) latency: Latency,
    /// Of a checkout: create-order alone.
    pub(crate) create_order: Option<Latency>,
    /// Processor time of the server's processes per operation, in microseconds.
    pub(crate) server_cpu_us: u64,
    /// The same for each of them.
    pub(crate) each_cpu_us: Vec<u64>,
    /// Processor time of this program per operation, in microseconds.
    pub(crate) load_cpu_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: u64,
    pub(crate) p95_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Latency {
    /// Exact percentiles: every latency was kept. `None` when there is none.
    pub(crate) fn of(mut latencies_us: Vec<u32>) -> Option<Self> {
        latencies_us.sort_unstable();
        let at = |permille: usize| {
            let rank = (latencies_us.len() * permille).div_ceil(1000).max(1);
            latencies_us.get(rank - 1).map(|latency| u64::from(*latency))
        };
        Some(Self { p50_us: at(500)?, p95_us: at(950)?, p99_us: at(990)?, max_us: at(1000)? })
    }
}

pub(crate) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// The middle value; of an even number the lower middle one. Zero of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

/// `part / whole` with `digits` digits after the point, rounded down; a dash when there is no whole.
pub(crate) fn ratio(part: u64, whole: u64, digits: u32) -> String {
    let scale = 10_u64.pow(digits);
    match part.saturating_mul(scale).checked_div(whole) {
        Some(scaled) if digits > 0 => {
            let width = usize::try_from(digits).unwrap_or(1);
            format!("{}.{:0width$}", scaled / scale, scaled % scale)
        }
        Some(scaled) => scaled.to_string(),
        None => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Latency, median, ratio};

    #[test]
    fn a_percentile_is_the_smallest_latency_that_covers_its_share() {
        let latency = Latency::of((1..=200).rev().collect()).unwrap();
        assert_eq!((latency.p50_us, latency.p95_us, latency.p99_us, latency.max_us), (100, 190, 198, 200));
        assert_eq!(Latency::of(vec![7]).unwrap().p99_us, 7);
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn a_median_is_one_of_the_values() {
        assert_eq!(median([3, 1, 2]), 2);
        assert_eq!(median([4, 1, 2, 3]), 2);
        assert_eq!(median([]), 0);
    }

    #[test]
    fn a_ratio_is_rounded_down() {
        assert_eq!(ratio(1299, 100, 1), "12.9");
        assert_eq!(ratio(5, 2000, 3), "0.002");
        assert_eq!(ratio(7, 2, 0), "3");
        assert_eq!(ratio(1, 0, 1), "–");
    }
}
