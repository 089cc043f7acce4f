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
    let state = fold(seed ^ bytes.len() as u64, PADDING);
    let (pieces, rest) = bytes.as_chunks::<PIECE>();
    let state = pieces.iter().fold(state, mixed);
    // What is left is mixed with the bytes before it, or with nothing where there are none.
    match bytes.last_chunk() {
        _ if rest.is_empty() => state,
        Some(last) => mixed(state, last),
        None => mixed(state, &short(bytes)),
    }
}

/// Fewer bytes than a piece has.
#[inline(always)]
fn short(bytes: &[u8]) -> [u8; PIECE] {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            (u128::from(u64::from_le_bytes(*first)) << 64 | u128::from(u64::from_le_bytes(*last))).to_le_bytes()
        }
        _ => shortest(bytes),
    }
}

#[cold]
fn shortest(bytes: &[u8]) -> [u8; PIECE] {
    let mut piece = [0; PIECE];
    piece.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    piece
}

/// Two halves as one word.
pub(super) const fn word(upper: u32, lower: u32) -> u64 {
    (upper as u64) << 32 | lower as u64
}

/// Bytes that are mixed at once.
const PIECE: usize = 16;
/// The fraction of the golden ratio: as many ones as zeros, without a pattern.
const PADDING: u64 = 0x9E37_79B9_7F4A_7C15;

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
    fn every_byte_of_a_payload_and_its_length_count_in_its_digest() {
        for length in 0..100_usize {
            let bytes = vec![0x5A; length];
            let mut seen = BTreeSet::from([digest(&bytes, 7), digest(&vec![0x5A; length + 1], 7), digest(&bytes, 1 << 40)]);
            for place in 0..length {
                for bit in 0..8 {
                    let mut changed = bytes.clone();
                    changed[place] ^= 1 << bit;
                    seen.insert(digest(&changed, 7));
                }
            }
            assert_eq!(seen.len(), 3 + 8 * length, "{length}");
        }
    }
}
