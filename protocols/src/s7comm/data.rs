//! Data items: a return code, a transport size, a length in bits or bytes, the bytes, and a fill byte between two
//! items.

use crate::dissector::Outcome;
use crate::operation::Values;
use crate::reader::{DecodeError, Reader};

/// One data item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataItem<'a> {
    /// Return code in answers; 0 in requests.
    pub(super) code: u8,
    size: u8,
    /// As stated: in bits or bytes.
    length: u16,
    /// The data, as far as they have arrived.
    pub(super) bytes: &'a [u8],
    /// All data have arrived.
    pub(super) is_whole: bool,
}

impl<'a> DataItem<'a> {
    /// Bytes before the data.
    pub(super) const HEAD: usize = 4;

    /// Reads one item, and the fill byte that separates an item of odd length from the next.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let [code, size, high, low] = reader.array("data_item")?;
        let length = u16::from_be_bytes([high, low]);
        let wanted = match size {
            // Servers state a length beside a refusal as well, and send no data.
            NULL if !matches!(code, 0 | ACCEPTED) => 0,
            BITS | WORDS | INTEGERS => usize::from(length).div_ceil(8),
            _ => usize::from(length),
        };
        let available = wanted.min(reader.left());
        let bytes = reader.bytes(available, "data")?;
        if wanted % 2 == 1 && reader.left() > 0 {
            reader.bytes(1, "fill_byte")?;
        }
        Ok(Self { code, size, length, bytes, is_whole: available == wanted })
    }

    /// Reads one item of a request that should have `expected` bytes. Its length may be meant in bits or in bytes, as
    /// servers differ: the reading that fits is used, if one does. Also returns the number of data bytes in the longest
    /// reading.
    pub(super) fn read_for(reader: &mut Reader<'a>, expected: Option<usize>) -> Result<(Self, usize), DecodeError> {
        let start = *reader;
        let usual = Self::read(reader)?;
        let mut body = start;
        body.bytes(Self::HEAD, "data_item")?;
        let lengths = usual.possible_lengths();
        let reach = lengths.into_iter().max().unwrap_or_default().min(body.left());
        let is_usual = usual.is_whole && Some(usual.bytes.len()) == expected;
        let fitting = lengths.into_iter().find(|length| Some(*length) == expected && *length <= body.left());
        let Some(length) = fitting.filter(|_| !is_usual) else { return Ok((usual, reach)) };
        let bytes = body.bytes(length, "data")?;
        if length % 2 == 1 && body.left() > 0 {
            body.bytes(1, "fill_byte")?;
        }
        *reader = body;
        Ok((Self { size: OCTETS, bytes, is_whole: true, ..usual }, reach))
    }

    /// The numbers of bytes that the length may stand for. snap7 1.4.2 counts bytes for the sizes 3, 7 and 9 and bits
    /// for all others; python-snap7 3.3.0 counts bytes also for 0 and 6; Wireshark counts bits for 3 to 5 only.
    fn possible_lengths(&self) -> [usize; 2] {
        let (bits, bytes) = (usize::from(self.length).div_ceil(8), usize::from(self.length));
        match self.size {
            WORDS | INTEGERS => [bits; 2],
            REAL | OCTETS => [bytes; 2],
            _ => [bits, bytes],
        }
    }

    /// Whether it is a whole item of exactly `expected` bytes, in every reading.
    pub(super) fn is_exactly(&self, expected: usize) -> bool {
        self.is_whole && self.bytes.len() == expected && (self.size != BITS || self.length == 1)
    }

    /// Whether its length counts bytes, not bits.
    pub(super) fn counts_bytes(&self) -> bool {
        !matches!(self.size, WORDS | INTEGERS)
    }

    /// Whether its return code is success.
    pub(super) fn is_accepted(&self) -> bool {
        self.code == ACCEPTED
    }

    /// The values of the item.
    pub(super) fn values(&self) -> Values<'a> {
        let bytes = self.bytes;
        match self.size {
            _ if bytes.is_empty() => Values::None,
            BITS if self.is_whole => Values::Bits { bytes, count: self.length },
            _ => Values::Bytes(bytes),
        }
    }
}

/// Fails if anything but a fill byte follows the last item.
pub(super) fn expect_end(reader: Reader<'_>) -> Result<(), DecodeError> {
    if reader.left() > 1 { Err(DecodeError::Invalid("trailing_bytes")) } else { Ok(()) }
}

/// The outcome of a return code.
#[inline]
pub(super) fn outcome_of(code: u8) -> Outcome {
    match code {
        ACCEPTED => Outcome::Accepted,
        _ => Outcome::Refused { code: code.into(), name: refusal(code) },
    }
}

/// The name of a return code other than success.
fn refusal(code: u8) -> &'static str {
    match code {
        0x00 => "reserved",
        0x01 => "hardware_fault",
        0x03 => "access_denied",
        0x05 => "invalid_address",
        0x06 => "data_type_not_supported",
        0x07 => "data_type_inconsistent",
        0x0A => "object_does_not_exist",
        _ => "unknown_return_code",
    }
}

/// Return code of success.
const ACCEPTED: u8 = 0xFF;
/// Transport size of no data.
const NULL: u8 = 0;
/// Transport sizes whose length counts bits: single bits, bytes and words, integers.
const BITS: u8 = 3;
const WORDS: u8 = 4;
const INTEGERS: u8 = 5;
/// Transport sizes whose length counts bytes for all servers.
const REAL: u8 = 7;
const OCTETS: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_bits_or_bytes_and_odd_items_are_filled_up() {
        let bytes = [
            0xFF, 3, 0, 1, 1, 0, // a bit and its fill byte
            0xFF, 4, 0, 16, 0xDE, 0xAD, // a word: 16 bits
            0xFF, 9, 0, 3, 1, 2, 3, 0, // an octet string of 3 bytes
            0x0A, 0, 0, 4, // refused: no data, whatever the length
            0xFF, 4, 0, 8, 7, // the last one has no fill byte
        ];
        let mut reader = Reader::new(&bytes);
        let mut next = || DataItem::read(&mut reader).map(|item| (item.code, item.values()));
        assert_eq!(next(), Ok((0xFF, Values::Bits { bytes: &[1], count: 1 })));
        assert_eq!(next(), Ok((0xFF, Values::Bytes(&[0xDE, 0xAD]))));
        assert_eq!(next(), Ok((0xFF, Values::Bytes(&[1, 2, 3]))));
        assert_eq!(next(), Ok((0x0A, Values::None)));
        assert_eq!(next(), Ok((0xFF, Values::Bytes(&[7]))));
        assert!(next().is_err());
    }

    #[test]
    fn an_item_shorter_than_its_length_has_the_bytes_that_arrived() {
        let item = DataItem::read(&mut Reader::new(&[0, 9, 0xFF, 0xFF, 1, 2]));
        assert!(item.is_ok_and(|item| !item.is_whole && item.bytes == [1, 2]));
    }
}
