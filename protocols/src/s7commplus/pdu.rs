//! The outer form of a PDU: header, integrity part of version 3, trailer; then the head of its content.
//!
//! ```text
//!  72 03 00 35   20 <32 bytes>      31 00 00 05 4C 00 00 00 08 00 00 03 C0 34 ...   72 03 00 00
//!  protocol,     version 3: digest  opcode, function, sequence, session, flags,     trailer: only where
//!  version,      at the start of    body                                            the PDU ends
//!  length        every fragment
//! ```
//!
//! Version 1 has no integrity part. Version 2 has it at the end of the body, which is not decoded. Version 0xFF has no
//! length: its two bytes are a sequence number and a reserved byte.

use super::function::{NOTIFICATION, REQUEST, RESPONSE, RESPONSE_2};
use crate::reader::{DecodeError, Reader};

/// The content of one TSDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pdu<'a> {
    /// A PDU of versions 1 to 3, or a fragment of one.
    Data {
        /// Its content, without the integrity part.
        payload: &'a [u8],
        /// The PDU ends here: with a trailer, or with other bytes in its place.
        is_last: bool,
        /// The wrong field of the outer form. The payload is decoded nevertheless: a controller might.
        fault: Option<&'static str>,
    },
    /// Version 0xFE.
    SystemEvent,
    /// Version 0xFF.
    KeepAlive,
}

/// The version of a TSDU that begins with the protocol number.
pub(super) fn version(tsdu: &[u8]) -> u8 {
    tsdu.get(1).copied().unwrap_or_default()
}

/// Parses the outer form.
pub(super) fn parse(tsdu: &[u8]) -> Result<Pdu<'_>, DecodeError> {
    let mut reader = Reader::new(tsdu);
    let [_, version] = reader.array("header")?;
    let length = reader.u16_be("header")?;
    match version {
        KEEP_ALIVE => return Ok(Pdu::KeepAlive),
        SYSTEM_EVENT => return Ok(Pdu::SystemEvent),
        _ => {}
    }
    let (data, rest, fault) = match reader.rest().split_at_checked(length.into()) {
        Some((data, rest)) => (data, rest, None),
        None => (reader.rest(), [].as_slice(), Some("pdu_length")),
    };
    let mut data = Reader::new(data);
    if version == 3 {
        let digest = data.u8("integrity_length")?;
        data.bytes(digest.into(), "integrity")?;
    }
    let (is_last, fault) = match rest {
        [] => (fault.is_some(), fault),
        [PROTOCOL, trailer, 0, 0] if *trailer == version => (true, None),
        _ => (true, Some("trailer")),
    };
    Ok(Pdu::Data { payload: data.rest(), is_last, fault })
}

/// The head of a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) function: u16,
    /// Matches a response with its request.
    pub(super) sequence: u16,
    /// Object id of the session, in a request.
    pub(super) session: u32,
    pub(super) flags: u8,
}

impl Head {
    /// Reads the head after the opcode.
    pub(super) fn read(opcode: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bytes(2, "head")?;
        let function = reader.u16_be("function")?;
        reader.bytes(2, "head")?;
        let sequence = reader.u16_be("sequence")?;
        let session = if opcode == REQUEST { u32::from_be_bytes(reader.array("session")?) } else { 0 };
        Ok(Self { function, sequence, session, flags: reader.u8("transport_flags")? })
    }

    /// Whether the client expects no answer (bit 6). Some controllers answer nevertheless, with opcode 0x02.
    pub(super) const fn is_unconfirmed(&self) -> bool {
        self.flags & 0x40 != 0
    }
}

/// Whether a TSDU is exactly a fragment: one that begins a PDU, or, while a PDU is incomplete (`is_open`), one that
/// continues or ends it.
pub(super) fn is_fragment(tsdu: &[u8], is_open: bool) -> bool {
    let &[PROTOCOL, version @ 1..=3, high, low, ref rest @ ..] = tsdu else { return false };
    match rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) {
        Some((_, [])) if is_open => true,
        Some((_, [PROTOCOL, trailer, 0, 0])) if is_open => *trailer == version,
        Some((data, [])) if version == 3 => {
            let payload = data.strip_prefix(&[DIGEST]).and_then(|data| data.get(usize::from(DIGEST)..));
            payload.is_some_and(is_beginning)
        }
        Some((data, [])) => is_beginning(data),
        _ => false,
    }
}

/// Whether a payload looks like the beginning of a PDU, not like its middle.
pub(super) fn is_beginning(payload: &[u8]) -> bool {
    match payload {
        [REQUEST | RESPONSE | RESPONSE_2, 0, 0, 4 | 5, _, 0, 0, ..] => true,
        // Subscriptions are objects that the controller created: their ids begin with 1 or 7.
        [NOTIFICATION, 0x10 | 0x70..=0x7F, ..] => true,
        [NOTIFICATION, 0, 0, ..] => true,
        _ => false,
    }
}

/// First byte of every PDU.
const PROTOCOL: u8 = 0x72;
/// Bytes of the header.
pub(super) const HEADER: usize = 4;
/// Bytes of the digest in the integrity part of version 3.
const DIGEST: u8 = 32;
const SYSTEM_EVENT: u8 = 0xFE;
const KEEP_ALIVE: u8 = 0xFF;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    /// TIA Portal to an S7-1200: read attribute 1053 ... in version 2, shortened.
    const VERSION_2: &[u8] = &[
        0x72, 0x02, 0x00, 0x0F, // header: 15 bytes
        0x31, 0, 0, 0x05, 0x4C, 0, 0, 0, 0x08, 0, 0, 0x03, 0xC0,
        0x34, // request, function, sequence, session, flags
        0xAA, // body
        0x72, 0x02, 0, 0, // trailer
    ];

    #[test]
    fn a_whole_pdu_ends_with_its_trailer() {
        let payload = &VERSION_2[4..19];
        assert_eq!(parse(VERSION_2), Ok(Pdu::Data { payload, is_last: true, fault: None }));
        let mut reader = Reader::new(payload);
        let opcode = reader.u8("opcode").unwrap();
        let head = Head::read(opcode, &mut reader).unwrap();
        assert_eq!(head, Head { function: 0x054C, sequence: 8, session: 0x3C0, flags: 0x34 });
        assert_eq!(reader.rest(), [0xAA]);
    }

    #[test]
    fn a_pdu_without_its_trailer_continues() {
        let fragment = VERSION_2.strip_suffix(&[0x72, 0x02, 0, 0]).unwrap();
        assert!(matches!(parse(fragment), Ok(Pdu::Data { is_last: false, .. })));
    }

    #[test]
    fn version_3_has_its_integrity_part_before_the_payload() {
        let mut pdu = std::vec![0x72, 0x03, 0x00, 0x23, 0x20];
        pdu.extend([0x5A; 32]);
        pdu.extend([0x31, 0x00]);
        assert_eq!(parse(&pdu), Ok(Pdu::Data { payload: &[0x31, 0x00], is_last: false, fault: None }));
        pdu[4] = 0xFF;
        assert_eq!(parse(&pdu), Err(DecodeError::Truncated("integrity")));
    }

    #[test]
    fn keep_alives_have_no_length() {
        assert_eq!(parse(&[0x72, 0xFF, 0x07, 0x00]), Ok(Pdu::KeepAlive));
    }

    #[test]
    fn wrong_lengths_and_trailers_are_reported_and_hide_nothing() {
        let payload = [0x31].as_slice();
        let fault = Some("pdu_length");
        assert_eq!(parse(&[0x72, 1, 0, 9, 0x31]), Ok(Pdu::Data { payload, is_last: true, fault }));
        let fault = Some("trailer");
        assert_eq!(parse(&[0x72, 1, 0, 1, 0x31, 0x72, 2, 0, 0]), Ok(Pdu::Data { payload, is_last: true, fault }));
    }
}
