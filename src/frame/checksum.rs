//! The checksums of IPv4, TCP and UDP: the one's complement sum of RFC 1071.
//!
//! An endpoint drops a packet whose checksum is wrong, so that its bytes never reach an application. In a capture a wrong
//! one may mean nothing: a network card that computes checksums itself is handed packets without them.

use std::net::IpAddr;

use super::IpPair;

/// What the checksums of a packet say, from the outermost IP header inwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// All that can be verified are right.
    Right,
    /// One of them is wrong.
    Wrong,
    /// There is none, or the bytes that it covers were not captured.
    #[default]
    Unknown,
}

impl Checksum {
    /// What two parts of a packet say together.
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wrong, _) | (_, Self::Wrong) => Self::Wrong,
            (Self::Right, _) | (_, Self::Right) => Self::Right,
            (Self::Unknown, Self::Unknown) => Self::Unknown,
        }
    }

    /// What the sum over everything that a checksum covers, itself included, says.
    pub(super) fn of(sum: u64) -> Self {
        if is_right(sum) { Self::Right } else { Self::Wrong }
    }
}

/// The sum of 16-bit words, not folded yet. Words are taken in the byte order of the processor, which changes nothing in
/// what [`is_right`] says of them (RFC 1071, 2 (B)); an odd byte at the end is the first of a word.
#[inline(always)]
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks();
    let long = if blocks.is_empty() { 0 } else { sum_of_blocks(blocks) };
    let (words, rest) = rest.as_chunks();
    let sum = words.iter().fold(0, |sum: u128, word| sum + u128::from(u64::from_ne_bytes(*word)));
    let (rest, word) = match rest.split_first_chunk() {
        Some((word, rest)) => (rest, *word),
        None => (rest, [0; 4]),
    };
    let last = match *rest {
        [] => [0; 4],
        [one] => [one, 0, 0, 0],
        [one, two] => [one, two, 0, 0],
        [one, two, three, ..] => [one, two, three, 0],
    };
    let halves = u64::from(u32::from_ne_bytes(word)) + u64::from(u32::from_ne_bytes(last));
    long + folded(sum as u64) + (sum >> 64) as u64 + halves
}

/// The sum of long payload. Words of 64 bits are added with the carry of the one before, which takes half of the
/// instructions that sums in wider registers take; two sums do not wait for each other.
#[inline(never)]
fn sum_of_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    let (mut sums, mut carries) = ([0; 2], 0);
    for block in blocks {
        let (halves, _) = block.as_chunks::<{ BLOCK / 2 }>();
        for (sum, half) in sums.iter_mut().zip(halves) {
            let (words, _) = half.as_chunks();
            let add = |(sum, carry): (u64, bool), word: &[u8; 8]| sum.carrying_add(u64::from_ne_bytes(*word), carry);
            let (whole, carry) = words.iter().fold((*sum, false), add);
            (*sum, carries) = (whole, carries + u64::from(carry));
        }
    }
    folded(sums[0]) + folded(sums[1]) + carries
}

/// A sum of words of 64 bits as one of 32 bits: 33 bits at most.
#[inline(always)]
const fn folded(sum: u64) -> u64 {
    (sum & 0xFFFF_FFFF) + (sum >> 32)
}

/// Whether a sum over everything that a checksum covers, itself included, is what it should be.
#[inline(always)]
pub(super) const fn is_right(sum: u64) -> bool {
    // Of at most 64 KiB in words of 32 bits: fewer than 47 bits.
    let folded = folded(sum);
    let folded = (folded & 0xFFFF) + (folded >> 16 & 0xFFFF) + (folded >> 32);
    (folded & 0xFFFF) + (folded >> 16) == 0xFFFF
}

/// The sum of a pseudo-header: both addresses, the protocol and the length of what it carries (RFC 9293, 3.1; RFC 8200, 8.1).
pub(super) fn pseudo_header(pair: &IpPair, protocol: u8, length: usize) -> u64 {
    let addresses = match (pair.source, pair.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => sum(&source.octets()) + sum(&destination.octets()),
        (source, destination) => sum(&octets(source)) + sum(&octets(destination)),
    };
    addresses + protocol_and_length(protocol, length)
}

/// The part of a pseudo-header that does not stand in the IP header as it is.
#[inline(always)]
pub(super) fn protocol_and_length(protocol: u8, length: usize) -> u64 {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    u64::from(u32::from_ne_bytes([0, 0, 0, protocol])) + u64::from(u32::from_ne_bytes(length.to_be_bytes()))
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Puts `new` in the place of a 16-bit word that a checksum covers, and keeps the checksum as right or wrong as it was
/// (RFC 1624, equation 3).
pub(super) fn replace_word(checksum: &mut [u8; 2], word: &mut [u8; 2], new: [u8; 2]) {
    let value = |bytes: [u8; 2]| u32::from(u16::from_be_bytes(bytes));
    let sum = value([!checksum[0], !checksum[1]]) + value([!word[0], !word[1]]) + value(new);
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    *checksum = (!(folded as u16)).to_be_bytes();
    *word = new;
}

/// Bytes that are added at once where there are many.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::build::hex;
    use proptest::prelude::*;

    /// One's complement addition of 16-bit words, as RFC 1071 writes it down.
    fn naive(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
        let sum = words.fold(0, |sum, word| {
            let sum: u32 = sum + word;
            (sum & 0xFFFF) + (sum >> 16)
        });
        sum as u16
    }

    #[test]
    fn the_header_of_a_captured_packet_is_right_and_one_bit_makes_it_wrong() {
        let header = hex("4500 0073 0000 4000 ; version, length 115, identification, do not fragment
                          40 11 B861          ; 64 hops, UDP, checksum
                          C0A80001 C0A800C7   ; 192.168.0.1 -> 192.168.0.199");
        assert_eq!(Checksum::of(sum(&header)), Checksum::Right);
        for bit in 0..header.len() * 8 {
            let mut wrong = header.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checksum::of(sum(&wrong)), Checksum::Wrong, "bit {bit}");
        }
    }

    #[test]
    fn one_wrong_layer_makes_a_packet_wrong_and_what_cannot_be_verified_says_nothing() {
        use Checksum::{Right, Unknown, Wrong};
        assert_eq!([Right.and(Wrong), Unknown.and(Wrong), Wrong.and(Right)], [Wrong; 3]);
        assert_eq!([Right.and(Unknown), Unknown.and(Right), Right.and(Right)], [Right; 3]);
        assert_eq!(Unknown.and(Unknown), Unknown);
    }

    proptest! {
        #[test]
        fn words_of_32_bits_in_any_order_sum_up_to_what_those_of_16_do(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(is_right(sum(&bytes)), naive(&bytes) == 0xFFFF);
            // With its own checksum behind it, an even number of bytes is right.
            let mut whole = bytes;
            whole.resize(whole.len().next_multiple_of(2), 0);
            whole.extend((!naive(&whole)).to_be_bytes());
            prop_assert!(is_right(sum(&whole)) || naive(&whole) == 0);
        }

        #[test]
        fn replacing_a_word_keeps_a_checksum_right_or_wrong(
            words in prop::collection::vec(any::<[u8; 2]>(), 2..10), new: [u8; 2], wrong: bool,
        ) {
            let mut words = words;
            words[0] = [0; 2];
            words[0] = (!naive(words.as_flattened())).to_be_bytes();
            words[0][0] ^= u8::from(wrong) << 3;
            let before = is_right(sum(words.as_flattened()));
            let (checksum, rest) = words.split_first_mut().expect("two words at least");
            replace_word(checksum, &mut rest[0], new);
            prop_assert_eq!(is_right(sum(words.as_flattened())), before);
        }
    }
}
