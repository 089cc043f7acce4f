//! Connection messages: Hello, Acknowledge, Error, ReverseHello (OPC 10000-6, 7.1.2).

use super::binary::{Bytes, Encoded, StatusCode};
use crate::fault::Fault;
use crate::reader::Reader;

/// What one end can take, or what both agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Longest chunk that the sender of the message receives, bytes; 0 for any.
    pub(super) receive: u32,
    /// Longest chunk that it sends, bytes; 0 for any.
    pub(super) send: u32,
}

impl Sizes {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let _version = reader.u32_le("protocol_version")?;
        let receive = reader.u32_le("receive_buffer_size")?;
        let send = reader.u32_le("send_buffer_size")?;
        let _message = reader.u32_le("max_message_size")?;
        let _chunks = reader.u32_le("max_chunk_count")?;
        Ok(Self { receive, send })
    }

    /// A size that the standard does not allow, if there is one.
    pub(super) fn fault(&self) -> Option<u32> {
        [self.receive, self.send].into_iter().find(|size| (1..LEAST_BUFFER).contains(size))
    }
}

/// HEL: the sizes, and the URL of the endpoint that the client wants.
pub(super) fn hello<'f>(reader: &mut Reader<'f>) -> Result<(Sizes, &'f [u8]), Fault> {
    let sizes = Sizes::read(reader)?;
    Ok((sizes, text(reader, "endpoint_url")?))
}

/// ACK: the sizes that hold from here on.
pub(super) fn acknowledge(reader: &mut Reader<'_>) -> Result<Sizes, Fault> {
    Sizes::read(reader)
}

/// ERR, and the body of an abort: a status, and what it means.
pub(super) fn error<'f>(reader: &mut Reader<'f>) -> Result<(StatusCode, &'f [u8]), Fault> {
    let status = StatusCode::read(reader)?;
    Ok((status, text(reader, "reason")?))
}

/// RHE: the URI of the server, and the URL at which the client shall greet it.
pub(super) fn reverse_hello<'f>(reader: &mut Reader<'f>) -> Result<(&'f [u8], &'f [u8]), Fault> {
    Ok((text(reader, "server_uri")?, text(reader, "endpoint_url")?))
}

fn text<'f>(reader: &mut Reader<'f>, field: &'static str) -> Result<&'f [u8], Fault> {
    let text = Bytes::read_as(reader, field)?.or_empty();
    if text.len() > LONGEST_TEXT { Err(Fault::invalid(field)) } else { Ok(text) }
}

/// Longest text in a connection message, bytes.
const LONGEST_TEXT: usize = 4096;
/// Longest connection message, bytes: a ReverseHello with two texts.
pub(super) const LONGEST: usize = super::chunk::HEADER + 2 * (4 + LONGEST_TEXT);
/// Smallest buffer that the standard allows, bytes: that of devices with ECC policies only.
const LEAST_BUFFER: u32 = 1024;
