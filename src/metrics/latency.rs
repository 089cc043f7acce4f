//! Latency from a packet to its result.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A histogram of durations from a microsecond to an hour, with two significant digits. Used by one thread, which reads the
/// clock once for each block or published alert.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    sum: u64,
}

/// Summary of a [`Latency`] since the start. Durations are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Number of durations.
    pub count: u64,
    /// The 50th percentile.
    pub p50: u64,
    /// The 90th percentile.
    #[serde(default)]
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The maximum.
    pub max: u64,
    /// The sum.
    pub sum: u64,
    /// Number of durations up to each of [`LATENCY_BOUNDS`].
    pub within: [u64; LATENCY_BOUNDS.len()],
}

impl Latency {
    /// An empty histogram.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS).expect("the bounds are in order");
        Self { histogram, sum: 0 }
    }

    /// Records the duration from the time of a packet to `now`, both in nanoseconds since 1970. A negative duration, such as
    /// after the clock was set back, counts as the shortest one; more than an hour counts as an hour.
    pub fn record(&mut self, packet: i64, now: i64) {
        let duration = u64::try_from(now.saturating_sub(packet)).unwrap_or(0).clamp(SHORTEST, LONGEST);
        self.histogram.saturating_record(duration);
        self.sum = self.sum.saturating_add(duration);
    }

    /// The summary so far.
    pub fn summary(&self) -> LatencySummary {
        let histogram = &self.histogram;
        if histogram.is_empty() {
            return LatencySummary::default();
        }
        LatencySummary {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
            sum: self.sum,
            within: LATENCY_BOUNDS.map(|bound| histogram.count_between(0, bound)),
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

/// Bounds of the buckets in reports, nanoseconds. They include the documented limits (1 ms, 5 ms, 10 ms).
pub const LATENCY_BOUNDS: [u64; 15] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
    60_000_000_000,
    LONGEST,
];

const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 3_600_000_000_000;
const DIGITS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: i64 = 1_000_000;

    #[test]
    fn quantiles_are_right_to_one_in_a_hundred() {
        let mut latency = Latency::new();
        (1..=1000).for_each(|number| latency.record(0, number * MILLISECOND));
        let summary = latency.summary();
        let close = |found: u64, expected: u64| found.abs_diff(expected) <= expected / 100;
        assert_eq!(summary.count, 1000);
        assert!(close(summary.p50, 500_000_000) && close(summary.p90, 900_000_000), "{summary:?}");
        assert!(close(summary.p99, 990_000_000), "{summary:?}");
        assert!(close(summary.max, 1_000_000_000) && summary.sum == 500_500_000_000, "{summary:?}");
        let ten_milliseconds = LATENCY_BOUNDS.iter().position(|bound| *bound == 10_000_000).expect("a bound");
        assert_eq!(summary.within[ten_milliseconds], 10);
        assert_eq!(summary.within.last(), Some(&1000));
    }

    #[test]
    fn a_clock_that_was_set_is_no_reason_to_fail() {
        let mut latency = Latency::new();
        latency.record(i64::MAX, i64::MIN);
        latency.record(i64::MIN, i64::MAX);
        let summary = latency.summary();
        assert_eq!((summary.count, summary.within.last()), (2, Some(&2)));
    }

    #[test]
    fn nothing_measured_is_nothing_told() {
        assert_eq!(Latency::new().summary(), LatencySummary::default());
    }
}
