//! DataValue: a value with its quality and timestamps (OPC 10000-6, 5.2.2.17).

use super::array::Encoded;
use super::dialect::Dialect;
use super::scalar::read_date_time;
use super::status::StatusCode;
use super::variant::{Variant, skip_scalar};
use crate::fault::Fault;
use crate::reader::Reader;

/// A value with its quality and timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DataValue<'a> {
    /// The value; null if there is none.
    pub value: Variant<'a>,
    /// Its quality, or why there is no value. Good if absent.
    pub status: StatusCode,
    /// Timestamp of the source, nanoseconds since 1970.
    pub source_time: Option<i64>,
    /// Timestamp of the server, nanoseconds since 1970.
    pub server_time: Option<i64>,
}

impl<'a> DataValue<'a> {
    /// The length in bytes and the status of a DataValue that holds no value or a scalar of fixed size, as nearly all do;
    /// `None` for any other.
    #[inline]
    pub(in crate::opcua) fn measure(bytes: &[u8]) -> Option<(usize, StatusCode)> {
        let (&present, mut rest) = bytes.split_first()?;
        if present & VALUE != 0 {
            rest = skip_scalar(rest)?;
        }
        let mut status = StatusCode(0);
        if present & STATUS != 0 {
            let (code, behind) = rest.split_first_chunk()?;
            (status, rest) = (StatusCode(u32::from_le_bytes(*code)), behind);
        }
        let times = SIZES_OF_TIMES.get(usize::from(present >> FIRST_TIME) % SIZES_OF_TIMES.len())?;
        rest = rest.get(usize::from(*times)..)?;
        Some((bytes.len() - rest.len(), status))
    }

    /// The mask of present parts and the type, which determine the length of a DataValue of fixed size; `None` if it has a
    /// status.
    #[inline]
    pub(in crate::opcua) fn head(bytes: &[u8]) -> Option<&[u8; HEAD]> {
        bytes.first_chunk().filter(|[present, _]| present & STATUS == 0)
    }

    /// Skips a DataValue that can be [measured](Self::measure), and those behind it with the same head, at most `most` in
    /// all. Returns their number, their status and the bytes behind them.
    #[inline]
    pub(in crate::opcua) fn skip_alike(bytes: &'a [u8], most: usize) -> Option<(usize, StatusCode, &'a [u8])> {
        let (size, status) = Self::measure(bytes)?;
        let rest = bytes.get(size..)?;
        let Some(head) = Self::head(bytes) else { return Some((1, status, rest)) };
        let most = most.saturating_sub(1);
        // The usual sizes, numbers and Booleans with up to two timestamps, as constants: the compiler knows where the heads
        // lie.
        let more = match size {
            6 => count_alike::<6>(rest, head, most),
            10 => count_alike::<10>(rest, head, most),
            14 => count_alike::<14>(rest, head, most),
            18 => count_alike::<18>(rest, head, most),
            19 => count_alike::<19>(rest, head, most),
            20 => count_alike::<20>(rest, head, most),
            22 => count_alike::<22>(rest, head, most),
            26 => count_alike::<26>(rest, head, most),
            _ => rest.chunks_exact(size).take(most).take_while(|value| value.first_chunk() == Some(head)).count(),
        };
        Some((1 + more, status, rest.get(more * size..)?))
    }

    /// Reads a value nested `depth` levels deep.
    #[inline]
    pub(super) fn read_at(reader: &mut Reader<'a>, depth: u8, dialect: impl Dialect) -> Result<Self, Fault> {
        let present = reader.u8("data_value")?;
        let mut found = Self::default();
        if present & VALUE != 0 {
            found.value = Variant::read_at(reader, depth, dialect)?;
        }
        if present & STATUS != 0 {
            found.status = StatusCode::read(reader)?;
        }
        if present & SOURCE_TIME != 0 {
            found.source_time = Some(read_date_time(reader, "source_time")?);
        }
        if present & SOURCE_PICOSECONDS != 0 {
            reader.u16_le("source_picoseconds")?;
        }
        if present & SERVER_TIME != 0 {
            found.server_time = Some(read_date_time(reader, "server_time")?);
        }
        if present & SERVER_PICOSECONDS != 0 {
            reader.u16_le("server_picoseconds")?;
        }
        Ok(found)
    }
}

impl<'a> Encoded<'a> for DataValue<'a> {
    const MIN_SIZE: usize = 1;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Self::read_at(reader, 0, dialect)
    }
}

/// Counts the values of `SIZE` bytes that begin with `head`, at most `most`. Eight are compared at a time: 4 instructions a
/// value instead of 10.
fn count_alike<const SIZE: usize>(bytes: &[u8], head: &[u8; HEAD], most: usize) -> usize {
    let values = bytes.as_chunks::<SIZE>().0;
    let values = values.get(..most).unwrap_or(values);
    let differs = |value: &[u8; SIZE]| {
        let own = value.first_chunk().copied().unwrap_or_default();
        u16::from_ne_bytes(own) ^ u16::from_ne_bytes(*head)
    };
    let (runs, end) = values.as_chunks::<RUN>();
    let is_alike = |run: &[[u8; SIZE]; RUN]| run.iter().fold(0, |all, value| all | differs(value)) == 0;
    let count = RUN * runs.iter().take_while(|run| is_alike(run)).count();
    // The last run may overlap with values compared before: a loop over the varying rest would be mispredicted.
    if count == RUN * runs.len() && !end.is_empty() && values.last_chunk().is_some_and(is_alike) {
        return values.len();
    }
    let rest = values.get(count..).unwrap_or_default();
    count + rest.iter().take_while(|value| differs(value) == 0).count()
}

// The mask of present parts. Picoseconds follow the timestamp that they refine, whatever the order of the bits.
const VALUE: u8 = 0x01;
const STATUS: u8 = 0x02;
const SOURCE_TIME: u8 = 0x04;
const SERVER_TIME: u8 = 0x08;
const SOURCE_PICOSECONDS: u8 = 0x10;
const SERVER_PICOSECONDS: u8 = 0x20;

/// Values that are compared together.
const RUN: usize = 8;

/// Size of the mask and the type, bytes: they determine the length of a value of fixed size.
const HEAD: usize = 2;

/// Position of the first of the four timestamp bits.
const FIRST_TIME: u32 = SOURCE_TIME.trailing_zeros();
/// Size of the timestamps that are present, bytes: eight each, and two for picoseconds.
const fn size_of_times(present: u8) -> usize {
    let times = (present & (SOURCE_TIME | SERVER_TIME)).count_ones();
    let picoseconds = (present & (SOURCE_PICOSECONDS | SERVER_PICOSECONDS)).count_ones();
    (8 * times + 2 * picoseconds) as usize
}
/// The same as a table by those four bits, since every value needs it.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index does not build")]
static SIZES_OF_TIMES: [u8; 16] = {
    let mut sizes = [0; 16];
    let mut bits = 0;
    while bits < sizes.len() {
        sizes[bits] = size_of_times((bits << FIRST_TIME) as u8) as u8;
        bits += 1;
    }
    sizes
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use crate::operation::Kind;

    #[test]
    fn all_six_parts_are_read_in_the_order_of_the_standard() {
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
    fn an_empty_data_value_is_good_and_null() {
        let value = DataValue::read(&mut Reader::new(&[0])).unwrap();
        assert!(!value.status.is_bad() && value.value.kind().is_none());
    }
}
