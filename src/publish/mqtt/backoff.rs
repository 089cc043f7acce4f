//! Pauses before a failed attempt is repeated.

use std::hash::BuildHasher;
use std::time::Duration;

/// Pauses that grow with each consecutive failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// The pause doubles from `first` up to `longest`.
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after this many consecutive failures. A random half of it is left out, so that sensors that lost the same
    /// broker do not reconnect in step.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let random = std::hash::RandomState::new().hash_one(0) % 1000;
        whole.mul_f64(0.5 + random as f64 / 2000.0)
    }
}

/// 2^17 s is more than a day.
const MAX_DOUBLINGS: u32 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_are_randomised() {
        let backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        for (failures, whole) in [(0, 250), (1, 250), (2, 500), (5, 4000), (6, 5000), (u32::MAX, 5000)] {
            let pauses: Vec<u128> = (0..50).map(|_| backoff.pause(failures).as_millis()).collect();
            assert!(pauses.iter().all(|pause| (whole / 2..=whole).contains(pause)), "{failures}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{failures}: {pauses:?}");
        }
    }
}
