//! The checksums of IPv4, TCP and UDP: the one's complement sum of RFC 1071.
//!
//! An endpoint drops a packet with a wrong checksum, so its bytes never reach an application. In a capture, a wrong
//! checksum may be an artefact of checksum offloading: the host hands packets to its network card before they have one.

use std::net::IpAddr;
use std::ops::Add;

use super::IpHeader;

/// Combined result of the checksums of a packet, from the outermost IP header inwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// At least one checksum could be verified, and none is wrong.
    Right,
    /// At least one checksum is wrong.
    Wrong,
    /// No checksum could be verified: there is none, or the bytes that it covers were not captured.
    #[default]
    Unknown,
}

impl Checksum {
    /// Combines the results of two parts of a packet.
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wrong, _) | (_, Self::Wrong) => Self::Wrong,
            (Self::Right, _) | (_, Self::Right) => Self::Right,
            (Self::Unknown, Self::Unknown) => Self::Unknown,
        }
    }

    /// The result for the sum over everything that a checksum covers, the checksum included.
    pub(super) const fn of(sum: Sum) -> Self {
        if sum.is_right() { Self::Right } else { Self::Wrong }
    }
}

/// A one's complement sum that adds four 16-bit words at once. The remainder modulo `2^16 - 1` is that of the 16-bit sum
/// (RFC 1071, 2 (C)).
///
/// Words are read as little endian, which does not change the result of [`Sum::is_right`] (RFC 1071, 2 (B)).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum(u64);

impl Sum {
    /// The sum of `bytes`. An odd last byte is the first byte of a word.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks();
        let long = if blocks.is_empty() { Self(0) } else { Self::of_blocks(blocks) };
        let (words, rest) = rest.as_chunks();
        words.iter().fold(long, |sum, word| sum + Self(u64::from_le_bytes(*word))) + Self::of_last(bytes, rest.len())
    }

    /// The sum of the last `count` (0..=7) bytes. With eight bytes to read, `count` only decides a shift, not a branch.
    fn of_last(bytes: &[u8], count: usize) -> Self {
        if let Some(last) = bytes.last_chunk() {
            return Self(u64::from_le_bytes(*last).unbounded_shr(64 - 8 * count as u32));
        }
        Self(bytes.iter().rev().take(count).fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    /// The sum of a long payload. Two independent chains of additions with carry take half the instructions of sums in wider
    /// registers.
    #[inline(never)]
    fn of_blocks(blocks: &[[u8; BLOCK]]) -> Self {
        let (mut sums, mut carries) = ([0; 2], 0);
        for block in blocks {
            let (halves, _) = block.as_chunks::<{ BLOCK / 2 }>();
            for (sum, half) in sums.iter_mut().zip(halves) {
                let (words, _) = half.as_chunks();
                let add =
                    |(sum, carry): (u64, bool), word: &[u8; 8]| sum.carrying_add(u64::from_le_bytes(*word), carry);
                let (whole, carry) = words.iter().fold((*sum, false), add);
                (*sum, carries) = (whole, carries + u64::from(carry));
            }
        }
        Self(sums[0]) + Self(sums[1]) + Self(carries)
    }

    /// The sum of the part of a pseudo-header that is not copied from the IP header: protocol and length in bytes.
    pub(super) fn of_protocol_and_length(protocol: u8, length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let [protocol, length] = [[0, 0, 0, protocol], length.to_be_bytes()].map(u32::from_le_bytes);
        Self(u64::from(protocol) + u64::from(length))
    }

    /// The sum of a pseudo-header: both addresses, the protocol, and the length of the payload in bytes (RFC 9293, 3.1;
    /// RFC 8200, 8.1).
    pub(super) fn of_pseudo_header(ip: &IpHeader, protocol: u8, length: usize) -> Self {
        let addresses = match (ip.source, ip.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::of(&source.octets()) + Self::of(&destination.octets())
            }
            (source, destination) => Self::of(&octets(source)) + Self::of(&octets(destination)),
        };
        addresses + Self::of_protocol_and_length(protocol, length)
    }

    /// Whether the sum over everything that a checksum covers, the checksum included, is valid.
    pub(super) const fn is_right(self) -> bool {
        self.0 != 0 && self.0.is_multiple_of(0xFFFF)
    }
}

impl Add for Sum {
    type Output = Self;

    /// Adds with end-around carry.
    fn add(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        Self(sum + u64::from(carry))
    }
}

/// The octets of an address, of an IPv4 address as IPv4-mapped IPv6.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Replaces a 16-bit word that a checksum covers, and updates the checksum so that it stays valid or invalid (RFC 1624,
/// equation 3).
pub(super) fn replace_word(checksum: &mut [u8; 2], word: &mut [u8; 2], new: [u8; 2]) {
    let value = |bytes: [u8; 2]| u32::from(u16::from_be_bytes(bytes));
    let sum = value([!checksum[0], !checksum[1]]) + value([!word[0], !word[1]]) + value(new);
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    *checksum = (!(folded as u16)).to_be_bytes();
    *word = new;
}

/// Bytes per iteration for long payloads.
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
        assert_eq!(Checksum::of(Sum::of(&header)), Checksum::Right);
        for bit in 0..header.len() * 8 {
            let mut wrong = header.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checksum::of(Sum::of(&wrong)), Checksum::Wrong, "bit {bit}");
        }
    }

    #[test]
    fn one_wrong_layer_makes_a_packet_wrong_and_an_unverified_one_changes_nothing() {
        use Checksum::{Right, Unknown, Wrong};
        assert_eq!([Right.and(Wrong), Unknown.and(Wrong), Wrong.and(Right)], [Wrong; 3]);
        assert_eq!([Right.and(Unknown), Unknown.and(Right), Right.and(Right)], [Right; 3]);
        assert_eq!(Unknown.and(Unknown), Unknown);
    }

    proptest! {
        #[test]
        fn sums_of_64_bit_words_equal_sums_of_16_bit_words(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(Sum::of(&bytes).is_right(), naive(&bytes) == 0xFFFF);
            // With its own checksum behind it, an even number of bytes is right.
            let mut whole = bytes;
            whole.resize(whole.len().next_multiple_of(2), 0);
            whole.extend((!naive(&whole)).to_be_bytes());
            prop_assert!(Sum::of(&whole).is_right() || naive(&whole) == 0);
        }

        #[test]
        fn replacing_a_word_keeps_a_checksum_right_or_wrong(
            words in prop::collection::vec(any::<[u8; 2]>(), 2..10), new: [u8; 2], wrong: bool,
        ) {
            let mut words = words;
            words[0] = [0; 2];
            words[0] = (!naive(words.as_flattened())).to_be_bytes();
            words[0][0] ^= u8::from(wrong) << 3;
            let before = Sum::of(words.as_flattened()).is_right();
            let (checksum, rest) = words.split_first_mut().expect("two words at least");
            replace_word(checksum, &mut rest[0], new);
            prop_assert_eq!(Sum::of(words.as_flattened()).is_right(), before);
        }
    }
}
