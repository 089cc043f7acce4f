//! Numbers of variable length: groups of seven bits, most significant first, the top bit set on all but the last.
//!
//! A 32-bit number takes at most 5 bytes. A 64-bit number takes at most 9, and the ninth holds eight bits. Signed
//! numbers have their sign in bit 6 of the first byte. Bits beyond the width are dropped, as controllers do.

use crate::reader::{DecodeError, Reader};

const MORE: u8 = 0x80;
const GROUP: u8 = 0x7F;
const SIGN: u8 = 0x40;

/// Reads an unsigned 32-bit number.
pub(super) fn read_u32(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, DecodeError> {
    read_narrow(reader, 0, field)
}

/// Reads a signed 32-bit number.
pub(super) fn read_i32(reader: &mut Reader<'_>, field: &'static str) -> Result<i32, DecodeError> {
    let start = if is_negative(reader) { u32::MAX } else { 0 };
    read_narrow(reader, start, field).map(u32::cast_signed)
}

/// Reads an unsigned 64-bit number.
pub(super) fn read_u64(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, DecodeError> {
    read_wide(reader, 0, field)
}

/// Reads a signed 64-bit number.
pub(super) fn read_i64(reader: &mut Reader<'_>, field: &'static str) -> Result<i64, DecodeError> {
    let start = if is_negative(reader) { u64::MAX } else { 0 };
    read_wide(reader, start, field).map(u64::cast_signed)
}

fn is_negative(reader: &Reader<'_>) -> bool {
    reader.rest().first().is_some_and(|byte| byte & SIGN != 0)
}

fn read_narrow(reader: &mut Reader<'_>, start: u32, field: &'static str) -> Result<u32, DecodeError> {
    let mut number = start;
    for _ in 0..MOST_BYTES_32 {
        let byte = reader.u8(field)?;
        number = number << 7 | u32::from(byte & GROUP);
        if byte & MORE == 0 {
            return Ok(number);
        }
    }
    Err(DecodeError::Invalid(field))
}

fn read_wide(reader: &mut Reader<'_>, start: u64, field: &'static str) -> Result<u64, DecodeError> {
    let mut number = start;
    for _ in 0..MOST_GROUPS_64 {
        let byte = reader.u8(field)?;
        number = number << 7 | u64::from(byte & GROUP);
        if byte & MORE == 0 {
            return Ok(number);
        }
    }
    Ok(number << 8 | u64::from(reader.u8(field)?))
}

const MOST_BYTES_32: usize = 5;
/// Groups of seven bits in a 64-bit number; the byte after the last is whole.
const MOST_GROUPS_64: usize = 8;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    fn read<T>(bytes: &[u8], number: impl Fn(&mut Reader<'_>, &'static str) -> Result<T, DecodeError>) -> (T, usize) {
        let mut reader = Reader::new(bytes);
        (number(&mut reader, "number").unwrap(), reader.left())
    }

    #[test]
    fn numbers_end_at_the_first_byte_without_the_top_bit() {
        assert_eq!(read(&[0x34, 0xFF], read_u32), (0x34, 1));
        assert_eq!(read(&[0x82, 0x32], read_u32), (306, 0), "ServerSessionVersion");
        assert_eq!(read(&[0x81, 0x80, 0x80, 0x80, 0x6A], read_u32), (0x1000_006A, 0), "a subscription of an S7-1200");
    }

    #[test]
    fn the_ninth_byte_of_a_wide_number_is_whole() {
        let bytes = [0xC0, 0x88, 0x95, 0xB0, 0x80, 0xEF, 0x91, 0xFF, 0xF4];
        assert_eq!(read(&bytes, read_u64), (0x8020_AB00_1BC8_FFF4, 0));
        assert_eq!(read(&[0xFF; 9], read_u64), (u64::MAX, 0));
    }

    #[test]
    fn the_sign_is_the_second_bit_of_the_first_byte() {
        assert_eq!(read(&[0x7F], read_i32), (-1, 0));
        assert_eq!(read(&[0x80, 0x40], read_i32), (64, 0));
        assert_eq!(read(&[0xFC, 0x00], read_i32), (-512, 0));
        assert_eq!(read(&[0xF8, 0x80, 0x80, 0x80, 0x00], read_i32), (i32::MIN, 0));
        assert_eq!(read(&[0x7F], read_i64), (-1, 0));
    }

    #[test]
    fn a_number_without_an_end_is_refused() {
        let mut reader = Reader::new(&[0xFF; 12]);
        assert_eq!(read_u32(&mut reader, "id"), Err(DecodeError::Invalid("id")));
        let mut reader = Reader::new(&[0xFF; 3]);
        assert_eq!(read_u64(&mut reader, "id"), Err(DecodeError::Truncated("id")));
    }
}
