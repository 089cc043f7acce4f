//! DiagnosticInfo: details of an error, which may nest (OPC 10000-6, 5.2.2.12).

use super::array::Encoded;
use super::dialect::Dialect;
use super::scalar::Bytes;
use super::{MAX_DEPTH, TOO_DEEP};
use crate::fault::Fault;
use crate::reader::Reader;

/// Diagnostics, skipped: the status code has the meaning, and the texts are the vendor's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagnosticInfo;

impl DiagnosticInfo {
    /// Skips a DiagnosticInfo with all that it holds. The nested one comes last, so that a loop suffices.
    pub(super) fn skip(reader: &mut Reader<'_>, depth: u8, dialect: impl Dialect) -> Result<(), Fault> {
        for _ in depth..=MAX_DEPTH {
            let present = reader.u8("diagnostic_info")?;
            // symbolic id, namespace, locale, text: indexes into the string table
            let indexes = (present & INDEXES).count_ones() as usize;
            reader.bytes(indexes * 4, "diagnostic_info")?;
            if present & ADDITIONAL_INFO != 0 {
                Bytes::decode_as(reader, "additional_info", dialect)?;
            }
            if present & INNER_STATUS != 0 {
                reader.u32_le("inner_status")?;
            }
            if present & INNER_INFO == 0 {
                return Ok(());
            }
        }
        Err(Fault::Limit(TOO_DEEP))
    }
}

impl<'a> Encoded<'a> for DiagnosticInfo {
    const MIN_SIZE: usize = 1;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Self::skip(reader, 0, dialect).map(|()| Self)
    }
}

// The mask of present parts.
const INDEXES: u8 = 0x0F;
const ADDITIONAL_INFO: u8 = 0x10;
const INNER_STATUS: u8 = 0x20;
const INNER_INFO: u8 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_and_the_nested_info_are_skipped() {
        let bytes = b"\x7f\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x02\0\0\0hi\0\0\x01\x80\x01\x05\0\0\0!";
        let mut reader = Reader::new(bytes);
        assert_eq!(DiagnosticInfo::read(&mut reader), Ok(DiagnosticInfo));
        assert_eq!(reader.rest(), b"!");
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused() {
        let nested = |levels: usize| {
            let mut bytes = std::vec![INNER_INFO; levels];
            bytes.push(0);
            DiagnosticInfo::read(&mut Reader::new(&bytes))
        };
        assert_eq!(nested(100), Ok(DiagnosticInfo));
        assert_eq!(nested(101), Err(Fault::Limit(TOO_DEEP)));
        assert_eq!(nested(1_000_000), Err(Fault::Limit(TOO_DEEP)));
    }
}
