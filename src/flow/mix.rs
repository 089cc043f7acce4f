//! A seeded hash of two words.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Hashes pairs of words with a folded multiplication of 64 by 64 bits, like foldhash. A [`std::hash::Hasher`] buffers words,
/// which for the few words of packet headers costs three times as much (60 instructions a packet).
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixer {
    seeds: [u64; 2],
}

impl Mixer {
    pub(super) fn new(seed: u64) -> Self {
        Self { seeds: [1_u8, 2].map(|number| FixedState::with_seed(seed).hash_one(number)) }
    }

    /// The hash of two words.
    pub(super) fn pair(self, one: u64, other: u64) -> u64 {
        let [first, second] = self.seeds;
        fold(one ^ first, other ^ second)
    }
}

const fn fold(one: u64, other: u64) -> u64 {
    let wide = one as u128 * other as u128;
    (wide >> 64) as u64 ^ wide as u64
}

/// Two halves as one word.
pub(super) const fn word(upper: u32, lower: u32) -> u64 {
    (upper as u64) << 32 | lower as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn neighbours_and_swapped_words_come_out_apart() {
        let mixer = Mixer::new(7);
        let mixed: BTreeSet<u64> = (0..64).flat_map(|one| (0..64).map(move |other| mixer.pair(one, other))).collect();
        assert_eq!(mixed.len(), 64 * 64);
        // A table uses the upper seven and the lower bits.
        let low: BTreeSet<u64> = (0..1024).map(|one| mixer.pair(one, 0) % 1024).collect();
        assert!(low.len() > 512, "{}", low.len());
    }

    #[test]
    fn the_seed_decides() {
        assert_ne!(Mixer::new(1).pair(1, 2), Mixer::new(2).pair(1, 2));
    }
}
