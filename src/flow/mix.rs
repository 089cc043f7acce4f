//! Two words into one that nobody can predict without the seed.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Mixes words that are at hand, as the hashers do: by a multiplication of 64 by 64 bits whose halves are folded. A
/// [`std::hash::Hasher`] keeps words back until it has two of them, which for the few words of a packet's headers costs
/// three times as much (60 instructions a packet).
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixer {
    seeds: [u64; 2],
}

impl Mixer {
    pub(super) fn new(seed: u64) -> Self {
        Self { seeds: [1_u8, 2].map(|number| FixedState::with_seed(seed).hash_one(number)) }
    }

    /// Two words in one.
    #[inline(always)]
    pub(super) fn pair(self, one: u64, other: u64) -> u64 {
        let [first, second] = self.seeds;
        fold(one ^ first, other ^ second)
    }
}

#[inline(always)]
const fn fold(one: u64, other: u64) -> u64 {
    let wide = one as u128 * other as u128;
    (wide >> 64) as u64 ^ wide as u64
}

/// A digest of bytes, mixed piece by piece: a hasher of general use takes twice the instructions for the 20 to 100 bytes
/// of most payloads.
#[inline(always)]
pub(super) fn digest(bytes: &[u8], seed: u64) -> u64 {
    let mixed = |state: u64, &piece: &[u8; PIECE]| {
        let piece = u128::from_le_bytes(piece);
        fold(piece as u64 ^ state, (piece >> 64) as u64 ^ PADDING)
    };
    let state = seed ^ (bytes.len() as u64).wrapping_mul(LENGTH);
    let Some(last) = bytes.last_chunk() else { return mixed(state, &short(bytes)) };
    // The last piece overlaps the one before it, or is the only one.
    let (pieces, _) = bytes.get(..bytes.len() - 1).unwrap_or_default().as_chunks::<PIECE>();
    mixed(pieces.iter().fold(state, mixed), last)
}

/// Fewer bytes than a piece has. Those of four or eight bytes and more overlap in their middle.
#[inline(always)]
fn short(bytes: &[u8]) -> [u8; PIECE] {
    let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
            _ => (0, bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
        },
    };
    (u128::from(first) << 64 | u128::from(last)).to_le_bytes()
}

/// Two halves as one word.
pub(super) const fn word(upper: u32, lower: u32) -> u64 {
    (upper as u64) << 32 | lower as u64
}

/// Bytes that are mixed at once.
const PIECE: usize = 16;
/// Fractions of the golden ratio and of the root of two: as many ones as zeros, without a pattern, and with nothing in
/// common.
const PADDING: u64 = 0x9E37_79B9_7F4A_7C15;
const LENGTH: u64 = 0x6A09_E667_F3BC_C909;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn neighbours_and_swapped_words_come_out_apart() {
        let mixer = Mixer::new(7);
        let mixed: BTreeSet<u64> = (0..64).flat_map(|one| (0..64).map(move |other| mixer.pair(one, other))).collect();
        assert_eq!(mixed.len(), 64 * 64);
        // The upper seven and the lower bits are what a table looks at.
        let low: BTreeSet<u64> = (0..1024).map(|one| mixer.pair(one, 0) % 1024).collect();
        assert!(low.len() > 512, "{}", low.len());
    }

    #[test]
    fn the_seed_decides() {
        assert_ne!(Mixer::new(1).pair(1, 2), Mixer::new(2).pair(1, 2));
    }

    #[test]
    fn every_bit_of_a_payload_and_its_length_count_in_its_digest() {
        for (length, fill) in (0..100_usize).flat_map(|length| [0, 0x5A, 0xFF].map(|fill| (length, fill))) {
            let bytes = vec![fill; length];
            let mut seen =
                BTreeSet::from([digest(&bytes, 7), digest(&vec![fill; length + 1], 7), digest(&bytes, 1 << 40)]);
            for place in 0..length {
                for bit in 0..8 {
                    let mut changed = bytes.clone();
                    changed[place] ^= 1 << bit;
                    seen.insert(digest(&changed, 7));
                }
            }
            assert_eq!(seen.len(), 3 + 8 * length, "{length} times {fill:#04x}");
        }
    }
}
