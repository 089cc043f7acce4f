//! Strings, byte strings and numbers.

use super::array::Encoded;
use super::dialect::{Dialect, Reading, Standard};
use crate::fault::Fault;
use crate::reader::Reader;

/// A String, ByteString or XmlElement. Null differs from empty (OPC 10000-6, 5.2.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes<'a>(pub Option<&'a [u8]>);

impl<'a> Bytes<'a> {
    /// The bytes; empty for null.
    pub fn or_empty(self) -> &'a [u8] {
        self.0.unwrap_or_default()
    }

    /// Whether it is null or empty.
    pub fn is_empty(self) -> bool {
        self.or_empty().is_empty()
    }

    /// Reads a string in the standard's encoding. `field` names it in errors.
    #[inline]
    pub fn read_as(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, Fault> {
        Self::decode_as(reader, field, Standard)
    }

    /// Reads a string in a dialect. `field` names it in errors. A length of -1 means null; others below 0 are not defined.
    #[inline]
    pub fn decode_as(reader: &mut Reader<'a>, field: &'static str, dialect: impl Dialect) -> Result<Self, Fault> {
        match reader.i32_le(field)? {
            -1 => Ok(Self(None)),
            ..-1 => Self::negative_length(field, dialect),
            length => Ok(Self(Some(reader.bytes(length as usize, field)?))),
        }
    }

    /// The string for a length below -1.
    fn negative_length(field: &'static str, dialect: impl Dialect) -> Result<Self, Fault> {
        match dialect.reading() {
            Reading::Plain => Ok(Self(None)),
            Reading::Standard | Reading::Unanimous | Reading::Expanded => Err(Fault::invalid(field)),
        }
    }
}

impl<'a> Encoded<'a> for Bytes<'a> {
    const MIN_SIZE: usize = 4;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Self::decode_as(reader, "string", dialect)
    }
}

impl<'a> Encoded<'a> for u32 {
    const MIN_SIZE: usize = 4;

    #[inline]
    fn decode(reader: &mut Reader<'a>, _: impl Dialect) -> Result<Self, Fault> {
        Ok(reader.u32_le("number")?)
    }
}

/// Reads a DateTime, units of 100 ns since 1601-01-01 UTC (OPC 10000-6, 5.2.2.5), as nanoseconds since 1970-01-01 UTC.
/// Times outside the years 1677 to 2262 are clamped.
#[inline]
pub fn read_date_time(reader: &mut Reader<'_>, field: &'static str) -> Result<i64, Fault> {
    Ok(reader.i64_le(field)?.saturating_sub(UNITS_BEFORE_1970).saturating_mul(100))
}

/// Reads a Double.
#[inline]
pub fn read_double(reader: &mut Reader<'_>, field: &'static str) -> Result<f64, Fault> {
    Ok(f64::from_le_bytes(reader.array(field)?))
}

/// Reads a Boolean: any number but 0 is true.
pub fn read_boolean(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, Fault> {
    Ok(reader.u8(field)? != 0)
}

/// Units of 100 ns from 1601-01-01 to 1970-01-01.
const UNITS_BEFORE_1970: i64 = 116_444_736_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_empty_and_other_negative_lengths_are_invalid() {
        let read = |bytes: &'static [u8]| Bytes::read_as(&mut Reader::new(bytes), "name");
        assert_eq!(read(b"\xff\xff\xff\xff"), Ok(Bytes(None)));
        assert_eq!(read(b"\x00\x00\x00\x00"), Ok(Bytes(Some(b""))));
        assert_eq!(read(b"\x02\x00\x00\x00okay"), Ok(Bytes(Some(b"ok"))));
        assert_eq!(read(b"\xfe\xff\xff\xff"), Err(Fault::invalid("name")));
    }

    #[test]
    fn a_length_beyond_the_end_is_truncated() {
        let mut reader = Reader::new(b"\xff\xff\xff\x7fabc");
        let truncated = crate::reader::DecodeError::Truncated("name");
        assert_eq!(Bytes::read_as(&mut reader, "name"), Err(truncated.into()));
    }

    #[test]
    fn a_date_counts_from_1601_and_saturates() {
        let read = |units: i64| read_date_time(&mut Reader::new(&units.to_le_bytes()), "time");
        assert_eq!(read(UNITS_BEFORE_1970), Ok(0));
        // 2024-06-01T12:00:00Z
        assert_eq!(read(133_617_024_000_000_000), Ok(1_717_228_800_000_000_000));
        assert_eq!(read(i64::MAX), Ok(i64::MAX));
        assert_eq!(read(i64::MIN), Ok(i64::MIN));
    }
}
