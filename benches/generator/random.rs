//! Reproducible chance (SplitMix64): fast, and the same on every machine.

/// A stream of pseudorandom numbers.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream: numbers drawn from it do not change those of this one.
    pub(super) fn fork(&self) -> Self {
        Self(!self.0)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    pub(super) fn per_thousand(&mut self, share: u32) -> bool {
        share != 0 && self.below(1_000) < share
    }

    pub(super) fn per_million(&mut self, share: u32) -> bool {
        share != 0 && self.below(1_000_000) < share
    }
}
