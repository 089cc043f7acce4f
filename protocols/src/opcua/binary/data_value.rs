//! DataValue: a value with its quality and its times (OPC 10000-6, 5.2.2.17).

use super::array::Encoded;
use super::scalar::date_time;
use super::status::StatusCode;
use super::variant::Variant;
use crate::fault::Fault;
use crate::reader::Reader;

/// A value as a server measured it, or as a client wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DataValue<'a> {
    /// The value; null if there is none.
    pub value: Variant<'a>,
    /// Its quality, or the reason why there is no value. Good if it does not travel.
    pub status: StatusCode,
    /// When the source had it, nanoseconds since 1970.
    pub source_time: Option<i64>,
    /// When the server had it, nanoseconds since 1970.
    pub server_time: Option<i64>,
}

impl<'a> DataValue<'a> {
    #[inline]
    pub(super) fn read_at(reader: &mut Reader<'a>, depth: u8) -> Result<Self, Fault> {
        let present = reader.u8("data_value")?;
        let mut found = Self::default();
        if present & VALUE != 0 {
            found.value = Variant::read_at(reader, depth)?;
        }
        if present & STATUS != 0 {
            found.status = StatusCode::read(reader)?;
        }
        if present & SOURCE_TIME != 0 {
            found.source_time = Some(date_time(reader, "source_time")?);
        }
        if present & SOURCE_PICOSECONDS != 0 {
            reader.u16_le("source_picoseconds")?;
        }
        if present & SERVER_TIME != 0 {
            found.server_time = Some(date_time(reader, "server_time")?);
        }
        if present & SERVER_PICOSECONDS != 0 {
            reader.u16_le("server_picoseconds")?;
        }
        Ok(found)
    }
}

impl<'a> Encoded<'a> for DataValue<'a> {
    const LEAST: usize = 1;

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Self::read_at(reader, 0)
    }
}

// What is present. The picoseconds belong behind the time that they refine, whatever the order of the bits.
const VALUE: u8 = 0x01;
const STATUS: u8 = 0x02;
const SOURCE_TIME: u8 = 0x04;
const SERVER_TIME: u8 = 0x08;
const SOURCE_PICOSECONDS: u8 = 0x10;
const SERVER_PICOSECONDS: u8 = 0x20;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use crate::operation::Kind;

    #[test]
    fn every_part_stands_in_the_order_of_the_standard() {
        let bytes = [
            0x3F, // all six parts
            0x0B, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, // Double 1.5
            0x00, 0x00, 0x40, 0x80, // a bad status
            0x00, 0x80, 0x3E, 0xD5, 0xDE, 0xB1, 0x9D, 0x01, // source time: 1970-01-01
            0x05, 0x00, // 50 ps
            0x01, 0x80, 0x3E, 0xD5, 0xDE, 0xB1, 0x9D, 0x01, // server time: 100 ns later
            0x07, 0x00, // 70 ps
        ];
        let mut reader = Reader::new(&bytes);
        let value = DataValue::read(&mut reader).unwrap();
        assert_eq!(reader.left(), 0);
        assert_eq!(value.value.kind(), Some(Kind::F64));
        assert_eq!((value.source_time, value.server_time), (Some(0), Some(100)));
        assert!(value.status.is_bad());
    }

    #[test]
    fn an_empty_one_is_good_and_null() {
        let value = DataValue::read(&mut Reader::new(&[0])).unwrap();
        assert!(!value.status.is_bad() && value.value.kind().is_none());
    }
}
