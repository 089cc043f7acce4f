//! TLS inside the transport, as far as it is visible. Records may span TSDUs.
//!
//! The handshake is read until the first encrypted record: server name and versions, and before TLS 1.3 the name in the
//! controller's certificate (RFC 8446, 4; RFC 5246, 7.4; RFC 6066, 3).

use alloc::vec::Vec;

use super::Context;
use super::certificate::common_name;
use crate::dissector::{AnomalyKind, Identity, Side};
use crate::reader::{DecodeError, Reader};

/// The records that one side sends.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Remaining bytes of the current record.
    left: usize,
    /// The header of the next record, as far as it has arrived.
    header: Vec<u8>,
    is_handshake: bool,
    /// Messages of the handshake that are not read yet.
    hello: Vec<u8>,
    /// The rest is encrypted or was given up.
    is_done: bool,
    /// Bytes are missing: the next record begins with a TSDU.
    is_lost: bool,
}

impl Records {
    /// Whether the next bytes continue a record.
    pub(super) fn is_inside(&self) -> bool {
        self.left > 0 || !self.header.is_empty()
    }

    /// Bytes are missing: drops the current record.
    pub(super) fn interrupt(&mut self) {
        *self = Self { is_done: true, is_lost: true, ..Self::default() };
    }

    /// Adds the next bytes of the side; `begins`: they look like the beginning of a record.
    pub(super) fn feed(&mut self, mut bytes: &[u8], begins: bool, context: &mut Context<'_>) {
        self.is_lost &= !begins;
        if self.is_lost {
            return context.sink.lost(bytes.len());
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                let used = bytes.len().min(HEADER - self.header.len());
                let (head, rest) = bytes.split_at(used);
                self.header.extend_from_slice(head);
                bytes = rest;
                if !self.begin_record() {
                    context.anomaly(AnomalyKind::Malformed, "tls_record", None);
                    return self.interrupt();
                }
            } else {
                let (body, rest) = bytes.split_at(bytes.len().min(self.left));
                self.left -= body.len();
                bytes = rest;
                self.read_handshake(body, context);
            }
        }
    }

    /// Begins a record if its header is whole. Returns `false` if the header is invalid.
    fn begin_record(&mut self) -> bool {
        let &[kind, major, minor, high, low] = self.header.as_slice() else { return true };
        self.header.clear();
        self.left = usize::from(u16::from_be_bytes([high, low]));
        self.is_handshake = kind == HANDSHAKE;
        if !matches!(kind, ALERT | HANDSHAKE) {
            self.is_done = true;
            self.hello = Vec::new();
        }
        matches!(kind, 0x14..=0x18) && major == 3 && minor <= 4 && self.left <= MAX_RECORD
    }

    fn read_handshake(&mut self, body: &[u8], context: &mut Context<'_>) {
        if self.is_done || !self.is_handshake {
            return;
        }
        self.hello.extend_from_slice(body);
        let mut used = 0;
        while let Some([kind, length @ ..]) = self.hello.get(used..).and_then(<[u8]>::first_chunk::<4>)
            && let [high, middle, low] = *length
            && let Some(message) = self.hello.get(used + 4..used + 4 + be_number([high, middle, low]))
        {
            let _ = report_message(*kind, message, context);
            used += 4 + message.len();
        }
        self.hello.drain(..used);
        if self.hello.len() > MAX_HELLO {
            context.anomaly(AnomalyKind::Limit, "tls_handshake", None);
            self.is_done = true;
            self.hello = Vec::new();
        }
    }
}

fn be_number([high, middle, low]: [u8; 3]) -> usize {
    usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
}

/// Reports the identities in a handshake message. A truncated message is no anomaly: TLS is not judged here.
fn report_message(kind: u8, message: &[u8], context: &mut Context<'_>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(message);
    match kind {
        CLIENT_HELLO => {
            reader.bytes(34, "random")?;
            read_vector8(&mut reader)?;
            read_vector16(&mut reader)?;
            read_vector8(&mut reader)?;
            let server = context.from.other();
            visit_extensions(&mut reader, |kind, body| {
                // A list of names, of which the one of type 0 is a host name.
                if let (SERVER_NAME, [_, _, 0, _, _, name @ ..]) = (kind, body) {
                    report_identity(server, "tls_server_name", name, context);
                }
            })
        }
        SERVER_HELLO => {
            let mut version = reader.u16_be("version")?;
            reader.bytes(32, "random")?;
            read_vector8(&mut reader)?;
            reader.bytes(3, "cipher")?;
            let result = visit_extensions(&mut reader, |kind, body| {
                if let (SUPPORTED_VERSIONS, [high, low]) = (kind, body) {
                    version = u16::from_be_bytes([*high, *low]);
                }
            });
            report_identity(context.from, "tls_version", version_name(version), context);
            result
        }
        CERTIFICATE => {
            reader.bytes(3, "certificates")?;
            let length = be_number(reader.array("certificate")?);
            let certificate = reader.bytes(length, "certificate")?;
            let name = common_name(certificate).unwrap_or(b"without a common name");
            report_identity(context.from, "certificate", name, context);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn report_identity(of: Side, field: &'static str, value: &[u8], context: &mut Context<'_>) {
    context.sink.identity(&Identity { of, unit: None, field, value }, context.stamp);
}

fn visit_extensions(reader: &mut Reader<'_>, mut visit: impl FnMut(u16, &[u8])) -> Result<(), DecodeError> {
    if reader.left() == 0 {
        return Ok(());
    }
    let mut list = Reader::new(read_vector16(reader)?);
    while list.left() > 0 {
        let kind = list.u16_be("extension")?;
        visit(kind, read_vector16(&mut list)?);
    }
    Ok(())
}

/// Bytes after a length of eight bits.
fn read_vector8<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let length = reader.u8("length")?;
    reader.bytes(length.into(), "vector")
}

/// Bytes after a length of sixteen bits.
fn read_vector16<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let length = reader.u16_be("length")?;
    reader.bytes(length.into(), "vector")
}

const fn version_name(version: u16) -> &'static [u8] {
    match version {
        0x0301 => b"1.0",
        0x0302 => b"1.1",
        0x0303 => b"1.2",
        0x0304 => b"1.3",
        _ => b"other",
    }
}

/// Bytes of a record's header.
const HEADER: usize = 5;
/// Longest legal record: 2^14 bytes, and the overhead of encryption (RFC 5246, 6.2.3).
const MAX_RECORD: usize = (1 << 14) + 2048;
/// Bytes of an incomplete handshake message that are kept.
const MAX_HELLO: usize = 16 * 1024;

const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_NAME: u16 = 0;
const SUPPORTED_VERSIONS: u16 = 43;
