//! How long it took from a packet to what came of it.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Durations, with two significant digits, from a microsecond to an hour. Belongs to one thread, which reads the clock
/// where it does not hurt: once a block, or once a published alert.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    sum: u64,
}

/// What a [`Latency`] has come to since the start. Durations in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// How many were measured.
    pub count: u64,
    /// Half of them took no longer than this.
    pub p50: u64,
    /// 9 of 10 took no longer than this.
    #[serde(default)]
    pub p90: u64,
    /// 99 of 100 took no longer than this.
    pub p99: u64,
    /// None took longer than this.
    pub max: u64,
    /// All of them together.
    pub sum: u64,
    /// How many took no longer than each of [`LATENCY_BOUNDS`].
    pub within: [u64; LATENCY_BOUNDS.len()],
}

impl Latency {
    /// Nothing measured yet.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS).expect("the bounds are in order");
        Self { histogram, sum: 0 }
    }

    /// Measures from the time of a packet to a later one, both in nanoseconds since 1970. A packet from the future, as
    /// after the clock was set back, counts as the shortest duration; more than an hour counts as an hour.
    pub fn record(&mut self, packet: i64, now: i64) {
        let duration = u64::try_from(now.saturating_sub(packet)).unwrap_or(0).clamp(SHORTEST, LONGEST);
        self.histogram.saturating_record(duration);
        self.sum = self.sum.saturating_add(duration);
    }

    /// What it has come to.
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

/// Bounds of the buckets in reports, nanoseconds: what is promised (1 ms, 5 ms, 10 ms) is among them.
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
