//! Recognises cleartext messages on channels of unknown protection.
//!
//! The first byte of a body proves nothing: one random byte in thirty passes. A cleartext body begins with the number of a
//! service (21 bits that random bytes would have to match) and a whole request or response header: flags of which 22 of 32
//! are zero, or else a request that ends exactly with the message; a text whose length fits (20 bits); a status without
//! reserved bits; an extension with a valid encoding (12 bits). Random bytes pass less than once in 2^50 messages. The clock
//! of the sender may have any value, and either end may have been taken for the client.

use super::binary::{
    Bytes, DiagnosticInfo, Dialect, Encoded, ExtensionObject, Reading, StatusCode, Unanimous, skip_array,
};
use super::service::{Direction, Message, RequestHeader, Token, count_trailing_bytes};
use crate::dissector::Side;
use crate::fault::Fault;
use crate::reader::Reader;

/// Whether a body (the bytes behind the sequence header) begins as a cleartext one. Its beginning is enough if it includes
/// the header.
pub(super) fn is_cleartext(body: &[u8]) -> bool {
    sender(body).is_some()
}

/// The side that sends such a body, if it is cleartext.
pub(super) fn sender(body: &[u8]) -> Option<Side> {
    sender_in(body, Unanimous).or_else(|| Reading::OF_SERVERS.into_iter().find_map(|reading| sender_in(body, reading)))
}

/// The side that sends a cleartext body, in one dialect.
fn sender_in(body: &[u8], dialect: impl Dialect) -> Option<Side> {
    let message = Message::decode(body, dialect).ok()?;
    let is_sound = match message.direction? {
        Direction::Request => is_request_header(&message, dialect),
        Direction::Response => is_response_header(&message, dialect),
    };
    is_sound.unwrap_or(false).then_some(message.direction?.sender())
}

/// Length of the signature behind a cleartext body, bytes, if the body defines its own end.
pub(super) fn signature_length(body: &[u8]) -> Option<u8> {
    let mut message = Message::read(body).ok()?;
    RequestHeader::read(&mut message.content).ok()?;
    let left =
        (message.direction == Some(Direction::Request)).then(|| count_trailing_bytes(message.service, message.content));
    SIGNATURES.into_iter().find(|length| left.flatten() == Some(usize::from(*length)))
}

/// Whether a request header follows (OPC 10000-4, 7.32).
fn is_request_header(message: &Message<'_>, dialect: impl Dialect) -> Result<bool, Fault> {
    let mut reader = message.content;
    Token::decode(&mut reader, dialect)?;
    let _time = reader.i64_le("timestamp")?;
    let _handle = reader.u32_le("request_handle")?;
    let flags = reader.u32_le("return_diagnostics")?;
    Bytes::decode_as(&mut reader, "audit_entry_id", dialect)?;
    let _timeout = reader.u32_le("timeout_hint")?;
    ExtensionObject::decode(&mut reader, dialect)?;
    Ok(flags & !DIAGNOSTICS == 0 || ends_with_message(message, reader))
}

/// Whether only a signature follows the request.
fn ends_with_message(message: &Message<'_>, content: Reader<'_>) -> bool {
    let left = count_trailing_bytes(message.service, content);
    left.is_some_and(|left| SIGNATURES.iter().any(|length| usize::from(*length) == left))
}

/// Whether a response header follows (OPC 10000-4, 7.33).
fn is_response_header(message: &Message<'_>, dialect: impl Dialect) -> Result<bool, Fault> {
    let reader = &mut message.content.clone();
    let _time = reader.i64_le("timestamp")?;
    let _handle = reader.u32_le("request_handle")?;
    let StatusCode(status) = StatusCode::decode(reader, dialect)?;
    DiagnosticInfo::decode(reader, dialect)?;
    skip_array::<Bytes<'_>>(reader, "string_table", dialect)?;
    ExtensionObject::decode(reader, dialect)?;
    Ok(status & RESERVED == 0)
}

/// Lengths of all signatures, bytes; 0 for none.
const SIGNATURES: [u8; 5] = [0, 16, 20, 32, 48];
/// The defined bits of returnDiagnostics.
const DIAGNOSTICS: u32 = 0x3FF;
/// The reserved bits of a status code.
const RESERVED: u32 = 0x3000_0000;

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    /// Read request: token, time, handle, diagnostics, audit entry, timeout, no additional header.
    const READ: &[u8] = b"\x01\x00\x77\x02\x02\x01\0\x05\0\0\0\x00\x80\x5f\x17\x2d\xb4\xda\x01\x01\0\0\0\0\0\0\0\
        \xff\xff\xff\xff\x60\xea\0\0\0\0\0";

    #[test]
    fn a_request_is_cleartext_sent_by_the_client() {
        assert_eq!(sender(READ), Some(Side::Client));
    }

    #[test]
    fn a_truncated_header_or_one_wrong_byte_is_not_cleartext() {
        for length in 0..READ.len() {
            assert!(!is_cleartext(&READ[..length]), "{length}");
        }
        for (place, value) in [(0, 0x09), (2, 0x78), (25, 0x80), (30, 0x7F), (37, 3)] {
            let mut other = READ.to_vec();
            other[place] = value;
            assert!(!is_cleartext(&other), "byte {place}");
        }
    }

    #[test]
    fn a_server_without_a_clock_sends_the_time_zero() {
        // Read response, time 0, handle 1, good, no diagnostics, no strings, no additional header
        let response = b"\x01\x00\x7a\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0";
        assert_eq!(sender(response), Some(Side::Server));
    }

    #[test]
    fn unusual_fields_do_not_hide_cleartext() {
        let clock = |bytes: &[u8], place: usize, units: i64| {
            let mut other = bytes.to_vec();
            other[place..place + 8].copy_from_slice(&units.to_le_bytes());
            other
        };
        // 1601, 100 ns later, the year 2500, the year 30828, and a negative time
        for units in [0, 1, 283_699_584_000_000_000, i64::MAX, -1] {
            assert_eq!(sender(&clock(READ, 11, units)), Some(Side::Client), "{units}");
        }
        // An audit entry, every known diagnostic, no hint, an additional header in the extension
        let unusual = b"\x01\x00\x77\x02\x02\x01\0\x05\0\0\0\x00\x80\x5f\x17\x2d\xb4\xda\x01\x01\0\0\0\xff\x03\0\0\
            \x02\0\0\0me\0\0\0\0\x01\x00\x29\x01\x01\x02\0\0\0hi";
        assert_eq!(sender(unusual), Some(Side::Client));
        // Undefined diagnostics flags, in a request that ends exactly with the message: max age, times, no nodes
        let mut other = READ.to_vec();
        other[23..27].copy_from_slice(&[0xFF; 4]);
        assert_eq!(sender(&other), None, "the message has no end");
        other.extend([0; 16]);
        assert_eq!(sender(&other), Some(Side::Client));
        // The type as an ExpandedNodeId: a null URI
        let odd = [b"\x81\x00\x77\x02\xff\xff\xff\xff", &READ[4..]].concat();
        assert_eq!(sender(&odd), Some(Side::Client));
    }
}
