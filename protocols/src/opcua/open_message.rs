//! Reads OPN: a secure channel is opened or renewed (OPC 10000-4, 5.5.2; OPC 10000-6, 6.7.2.3).

use super::binary::{Bytes, Encoded, StatusCode};
use super::service::{Direction, Message, OpenRequest, OpenResponse, RequestHeader, ResponseHeader, Service};
use crate::fault::Fault;
use crate::reader::Reader;

/// The asymmetric security header of an OPN, always cleartext.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsymmetricHeader<'f> {
    /// Channel id; 0 for a new channel.
    pub(super) channel: u32,
    pub(super) uri: &'f [u8],
    /// The sender's certificate, DER, followed by those of its issuers.
    pub(super) certificate: &'f [u8],
}

impl<'f> AsymmetricHeader<'f> {
    /// Reads the header up to the encrypted or cleartext part.
    pub(super) fn read(reader: &mut Reader<'f>) -> Result<Self, Fault> {
        let channel = reader.u32_le("channel_id")?;
        let uri = Bytes::read_as(reader, "security_policy_uri")?.or_empty();
        if uri.len() > LONGEST_URI {
            return Err(Fault::invalid("security_policy_uri"));
        }
        let certificate = Bytes::read_as(reader, "sender_certificate")?.or_empty();
        let thumbprint = Bytes::read_as(reader, "receiver_thumbprint")?;
        if !matches!(thumbprint.or_empty().len(), 0 | THUMBPRINT) {
            return Err(Fault::invalid("receiver_thumbprint"));
        }
        Ok(Self { channel, uri, certificate })
    }
}

/// A cleartext body. RSA policies encrypt it; ECC policies and those with Diffie-Hellman key agreement only sign it.
#[derive(Clone, Copy)]
pub(super) struct ClearBody<'f> {
    pub(super) sequence: u32,
    pub(super) request: u32,
    pub(super) message: Message<'f>,
    pub(super) content: ClearContent,
}

/// The contents of a cleartext body.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClearContent {
    Request(OpenRequest),
    Response(OpenResponse),
    Fault(StatusCode),
}

impl<'f> ClearBody<'f> {
    /// Reads a body to its last field, so that an encrypted one does not pass for cleartext.
    pub(super) fn read(reader: &mut Reader<'f>) -> Result<Self, Fault> {
        let sequence = reader.u32_le("sequence_number")?;
        let request = reader.u32_le("request_id")?;
        let message = Message::read(reader.rest())?;
        let content = ClearContent::read(&message)?;
        Ok(Self { sequence, request, message, content })
    }
}

impl ClearContent {
    /// Reads the contents of a body with its header.
    fn read(message: &Message<'_>) -> Result<Self, Fault> {
        let mut reader = message.content;
        match (message.service, message.direction) {
            (Service::OpenSecureChannel, Some(Direction::Request)) => {
                RequestHeader::read(&mut reader)?;
                OpenRequest::read(&mut reader).map(Self::Request)
            }
            (Service::OpenSecureChannel | Service::ServiceFault, Some(Direction::Response)) => {
                let header = ResponseHeader::read(&mut reader)?;
                if header.result.is_bad() || message.service == Service::ServiceFault {
                    return Ok(Self::Fault(header.result));
                }
                OpenResponse::read(&mut reader).map(Self::Response)
            }
            _ => Err(Fault::invalid("type_id")),
        }
    }
}

/// Longest policy URI, bytes (OPC 10000-6, table 52).
const LONGEST_URI: usize = 255;
/// Size of a thumbprint, bytes: the SHA-1 of the receiver's certificate.
const THUMBPRINT: usize = 20;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use super::super::service::TokenRequest;
    use super::*;

    /// Sequence header and body of an OPN request without security.
    const REQUEST: &[u8] = &[
        0x01, 0x00, 0x00, 0x00, // sequence number 1
        0x02, 0x00, 0x00, 0x00, // request 2
        0x01, 0x00, 0xBE, 0x01, // OpenSecureChannelRequest, 446
        0x00, 0x00, // no session
        0x00, 0x80, 0x5F, 0x17, 0x2D, 0xB4, 0xDA, 0x01, // time
        0x01, 0x00, 0x00, 0x00, // handle
        0x00, 0x00, 0x00, 0x00, // no diagnostics
        0xFF, 0xFF, 0xFF, 0xFF, // no audit entry
        0x10, 0x27, 0x00, 0x00, // 10 s
        0x00, 0x00, 0x00, // no additional header
        0x00, 0x00, 0x00, 0x00, // version 0
        0x01, 0x00, 0x00, 0x00, // renew
        0x02, 0x00, 0x00, 0x00, // sign
        0xFF, 0xFF, 0xFF, 0xFF, // no nonce
        0x80, 0xEE, 0x36, 0x00, // an hour
    ];

    #[test]
    fn a_cleartext_request_has_mode_lifetime_and_renewal() {
        let clear = ClearBody::read(&mut Reader::new(REQUEST)).unwrap();
        assert_eq!((clear.sequence, clear.request), (1, 2));
        let is_meant =
            |asked: OpenRequest| (asked.kind, asked.mode, asked.lifetime) == (TokenRequest::Renew, 2, 3_600_000);
        assert!(matches!(clear.content, ClearContent::Request(asked) if is_meant(asked)));
    }

    #[test]
    fn a_truncated_or_encrypted_body_is_not_cleartext() {
        for length in 0..REQUEST.len() {
            assert!(ClearBody::read(&mut Reader::new(REQUEST.get(..length).unwrap())).is_err(), "{length}");
        }
        assert!(ClearBody::read(&mut Reader::new(&[0x5A; 256])).is_err());
    }

    #[test]
    fn a_thumbprint_has_twenty_bytes_or_none() {
        let head = |thumbprint: &[u8]| {
            let length = (thumbprint.len() as u32).to_le_bytes();
            let bytes = [&[9, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF][..], &length, thumbprint].concat();
            AsymmetricHeader::read(&mut Reader::new(&bytes)).map(|head| head.channel)
        };
        assert_eq!(head(&[0xAB; 20]), Ok(9));
        assert_eq!(head(&[]), Ok(9));
        assert_eq!(head(&[0xAB; 19]), Err(Fault::invalid("receiver_thumbprint")));
    }
}
