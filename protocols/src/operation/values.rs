//! The values that travel with an operation.

use super::{Kind, Typed};

/// Values as encoded on the wire, borrowed from the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Values<'a> {
    /// None, or not reported.
    #[default]
    None,
    /// Bits, first one in the lowest bit of the first byte (Modbus packing).
    Bits {
        /// At least `count` bits, rounded up to whole bytes.
        bytes: &'a [u8],
        /// Number of bits.
        count: u16,
    },
    /// 16-bit registers, big-endian; an odd last byte is ignored.
    Registers(&'a [u8]),
    /// AND mask and OR mask of Mask Write Register (FC 22), in that order.
    Masks {
        /// Bits to keep.
        and: u16,
        /// Bits to set where the AND mask clears.
        or: u16,
    },
    /// Bytes of unknown structure; written as hexadecimal text.
    Bytes(&'a [u8]),
    /// Typed values: the fields of [`Typed`], flat so that [`Values`] stay small.
    Typed {
        /// [`Typed::kind`].
        kind: Kind,
        /// [`Typed::count`].
        count: u32,
        /// [`Typed::bytes`].
        bytes: &'a [u8],
    },
}

impl<'a> From<Typed<'a>> for Values<'a> {
    fn from(Typed { kind, count, bytes }: Typed<'a>) -> Self {
        Self::Typed { kind, count, bytes }
    }
}

impl<'a> Values<'a> {
    /// The typed values.
    pub const fn typed(&self) -> Option<Typed<'a>> {
        match *self {
            Self::Typed { kind, count, bytes } => Some(Typed { kind, count, bytes }),
            _ => None,
        }
    }

    /// The values as numbers, in order: bits as 0 and 1, registers unsigned, masks as AND then OR. Empty for bytes and for
    /// [typed values](Values::typed).
    pub fn numbers(&self) -> impl Iterator<Item = u16> + '_ {
        let count = match *self {
            Self::Bits { count, .. } => usize::from(count),
            Self::Registers(bytes) => bytes.len() / 2,
            Self::Masks { .. } => 2,
            Self::None | Self::Bytes(_) | Self::Typed { .. } => 0,
        };
        (0..count).map_while(|index| self.number(index))
    }

    /// The value at a position: see [`Values::numbers`].
    pub fn number(&self, index: usize) -> Option<u16> {
        match *self {
            Self::None | Self::Bytes(_) | Self::Typed { .. } => None,
            Self::Bits { bytes, count } if index < usize::from(count) => {
                bytes.get(index / 8).map(|byte| u16::from(byte >> (index % 8) & 1))
            }
            Self::Bits { .. } => None,
            Self::Registers(bytes) => {
                let pair = bytes.get(index * 2..index * 2 + 2)?;
                Some(u16::from_be_bytes([*pair.first()?, *pair.last()?]))
            }
            Self::Masks { and, or } => [and, or].get(index).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn bits_come_lowest_first_and_stop_at_their_count() {
        let bits = Values::Bits { bytes: &[0b0000_0101, 0b1], count: 9 };
        assert_eq!(bits.numbers().collect::<Vec<_>>(), [1, 0, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn bits_that_the_frame_does_not_hold_are_not_invented() {
        let bits = Values::Bits { bytes: &[0xFF], count: 2000 };
        assert_eq!(bits.numbers().count(), 8);
    }

    #[test]
    fn registers_are_big_endian_and_an_odd_byte_does_not_count() {
        let registers = Values::Registers(&[0x03, 0x84, 0x00, 0x01, 0xFF]);
        assert_eq!(registers.numbers().collect::<Vec<_>>(), [900, 1]);
    }
}
