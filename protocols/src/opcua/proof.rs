//! Whether a message is clear: asked where its channel does not tell.
//!
//! The first byte of a clear body proves nothing: one in thirty is one by chance. What is asked for here is a service that
//! its sender may send, by number (25 bits that chance would have to hit), and then a whole request or response header:
//! a time of the last or next decades or none at all, flags of which 22 of 32 are zero, a text whose length fits, a status
//! without reserved bits, an extension with an encoding that exists. Chance passes less than once in 2^60 messages.

use super::binary::{Bytes, DiagnosticInfo, Encoded, ExtensionObject, Standard, StatusCode, date_time, skip_array};
use super::service::{Direction, Message, RequestHeader, left_behind};
use crate::dissector::Side;
use crate::fault::Fault;
use crate::operation::Node;
use crate::reader::Reader;

/// Whether a body (what follows the sequence header) begins as only a clear one does. A part of one is enough if the
/// header is in it.
pub(super) fn is_clear(body: &[u8], from: Side) -> bool {
    let Ok(mut message) = Message::read(body) else { return false };
    message.direction.is_some_and(|direction| direction.sender() == from)
        && header(from, &mut message.content).unwrap_or(false)
}

/// Who sent a clear body, if it is one.
pub(super) fn sender(body: &[u8]) -> Option<Side> {
    [Side::Client, Side::Server].into_iter().find(|side| is_clear(body, *side))
}

/// How long the signature behind a clear body is, if the body tells where it ends.
pub(super) fn signature(body: &[u8]) -> Option<u8> {
    let mut message = Message::read(body).ok()?;
    RequestHeader::read(&mut message.content).ok()?;
    let left = (message.direction == Some(Direction::Request)).then(|| left_behind(message.service, message.content));
    SIGNATURES.into_iter().find(|length| left.flatten() == Some(usize::from(*length)))
}

/// Reads a request or response header (OPC 10000-4, 7.32 and 7.33) and says whether it is one.
fn header(from: Side, reader: &mut Reader<'_>) -> Result<bool, Fault> {
    if from == Side::Client {
        Node::read(reader)?;
    }
    let time = date_time(reader, "timestamp")?;
    let _handle = reader.u32_le("request_handle")?;
    let is_sound = if from == Side::Client {
        let flags = reader.u32_le("return_diagnostics")?;
        Bytes::read_as(reader, "audit_entry_id")?;
        let _timeout = reader.u32_le("timeout_hint")?;
        flags & !DIAGNOSTICS == 0
    } else {
        let StatusCode(status) = StatusCode::read(reader)?;
        DiagnosticInfo::read(reader)?;
        skip_array::<Bytes<'_>>(reader, "string_table", Standard)?;
        status & RESERVED == 0
    };
    ExtensionObject::read(reader)?;
    Ok(is_sound && (time == NO_TIME || TIMES.contains(&time)))
}

/// Bytes of the signatures that there are; none of no signature.
const SIGNATURES: [u8; 5] = [0, 16, 20, 32, 48];
/// The bits of returnDiagnostics that mean something.
const DIAGNOSTICS: u32 = 0x3FF;
/// The bits of a status code that mean nothing.
const RESERVED: u32 = 0x3000_0000;
/// A DateTime of 0, as nanoseconds since 1970: beyond what can be expressed.
const NO_TIME: i64 = i64::MIN;
/// The years 1970 to 2200, nanoseconds: clocks that were never set count from 1970 or 2000.
const TIMES: core::ops::Range<i64> = 0..7_258_118_400_000_000_000;

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    /// Read request: token, time, handle, diagnostics, audit entry, timeout, no additional header.
    const READ: &[u8] = b"\x01\x00\x77\x02\x02\x01\0\x05\0\0\0\x00\x80\x5f\x17\x2d\xb4\xda\x01\x01\0\0\0\0\0\0\0\
        \xff\xff\xff\xff\x60\xea\0\0\0\0\0";

    #[test]
    fn a_request_is_clear_and_says_who_sent_it() {
        assert!(is_clear(READ, Side::Client));
        assert!(!is_clear(READ, Side::Server), "a server does not read");
        assert_eq!(sender(READ), Some(Side::Client));
    }

    #[test]
    fn no_single_byte_makes_it_clear_and_a_cut_header_is_no_proof() {
        for length in 0..READ.len() {
            assert!(!is_clear(&READ[..length], Side::Client), "{length}");
        }
        for (place, value) in [(0, 0x09), (2, 0x78), (18, 0x7F), (25, 0x80), (30, 0x7F), (37, 3)] {
            let mut other = READ.to_vec();
            other[place] = value;
            assert!(!is_clear(&other, Side::Client), "byte {place}");
        }
    }

    #[test]
    fn a_server_without_a_clock_sends_the_time_zero() {
        // Read response, time 0, handle 1, good, no diagnostics, no strings, no additional header
        let response = b"\x01\x00\x7a\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0";
        assert!(is_clear(response, Side::Server));
    }
}
