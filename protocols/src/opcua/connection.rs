//! Connection messages: Hello, Acknowledge, Error, ReverseHello (OPC 10000-6, 7.1.2).

use super::binary::{Bytes, Encoded, StatusCode};
use crate::fault::Fault;
use crate::reader::Reader;

/// Buffer sizes that one end announces, or that both negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferSizes {
    /// Longest chunk that the sender of the message receives, bytes; 0 for no limit.
    pub(super) receive: u32,
    /// Longest chunk that it sends, bytes; 0 for no limit.
    pub(super) send: u32,
}

impl BufferSizes {
    /// Reads the numbers at the beginning of HEL and ACK.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let _version = reader.u32_le("protocol_version")?;
        let receive = reader.u32_le("receive_buffer_size")?;
        let send = reader.u32_le("send_buffer_size")?;
        let _message = reader.u32_le("max_message_size")?;
        let _chunks = reader.u32_le("max_chunk_count")?;
        Ok(Self { receive, send })
    }

    /// A size that the standard does not allow, if either is one.
    pub(super) fn invalid_size(&self) -> Option<u32> {
        [self.receive, self.send].into_iter().find(|size| (1..LEAST_BUFFER).contains(size))
    }
}

/// Reads HEL: the sizes, and the URL of the endpoint that the client wants.
pub(super) fn read_hello<'f>(reader: &mut Reader<'f>) -> Result<(BufferSizes, &'f [u8]), Fault> {
    let sizes = BufferSizes::read(reader)?;
    Ok((sizes, Bytes::read_as(reader, "endpoint_url")?.or_empty()))
}

/// Reads ACK: the negotiated sizes.
pub(super) fn read_acknowledge(reader: &mut Reader<'_>) -> Result<BufferSizes, Fault> {
    BufferSizes::read(reader)
}

/// Reads ERR or the body of an abort: a status and a reason.
pub(super) fn read_error<'f>(reader: &mut Reader<'f>) -> Result<(StatusCode, &'f [u8]), Fault> {
    let status = StatusCode::read(reader)?;
    Ok((status, Bytes::read_as(reader, "reason")?.or_empty()))
}

/// Reads RHE: the URI of the server, and the URL of the endpoint that the client should connect to.
pub(super) fn read_reverse_hello<'f>(reader: &mut Reader<'f>) -> Result<(&'f [u8], &'f [u8]), Fault> {
    let mut text = |field| Bytes::read_as(reader, field).map(Bytes::or_empty);
    Ok((text("server_uri")?, text("endpoint_url")?))
}

/// Longest text that the standard allows in a connection message, bytes. Servers accept longer ones.
pub(super) const LONGEST_TEXT: usize = 4096;
/// Smallest buffer that the standard allows, bytes: allowed to devices with ECC policies only.
const LEAST_BUFFER: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_has_buffer_sizes_and_a_url() {
        let bytes = [
            0x00, 0x00, 0x00, 0x00, // version 0
            0x00, 0x00, 0x01, 0x00, // receives 65536 bytes
            0x00, 0x20, 0x00, 0x00, // sends 8192
            0x00, 0x00, 0x00, 0x01, // messages of 16 MiB at most
            0x00, 0x10, 0x00, 0x00, // in 4096 chunks
            0x03, 0x00, 0x00, 0x00, b'u', b'r', b'l', // URL
        ];
        let sizes = BufferSizes { receive: 65_536, send: 8192 };
        assert_eq!(read_hello(&mut Reader::new(&bytes)), Ok((sizes, &b"url"[..])));
        assert_eq!(read_acknowledge(&mut Reader::new(&bytes)), Ok(sizes));
        assert_eq!(sizes.invalid_size(), None);
        assert_eq!(BufferSizes { receive: 65_536, send: 512 }.invalid_size(), Some(512));
    }

    #[test]
    fn an_error_has_a_status_and_a_reason() {
        let bytes = b"\x00\x00\x7d\x80\x04\0\0\0late";
        assert_eq!(read_error(&mut Reader::new(bytes)), Ok((StatusCode(0x807D_0000), &b"late"[..])));
    }
}
