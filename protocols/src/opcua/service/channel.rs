//! OpenSecureChannel (OPC 10000-4, 5.6.2): the part of its security that the header of the chunk does not tell.

use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, read_date_time};
use crate::reader::Reader;

/// Whether a channel is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// A new channel.
    Issue,
    /// A new token for a channel that there is.
    Renew,
}

/// What a client asks for, behind the header of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// Whether the channel is new.
    pub kind: TokenRequest,
    /// Mode of security by its number: 1 none, 2 sign, 3 sign and encrypt.
    pub mode: u32,
    /// How long the token shall live, milliseconds.
    pub lifetime: u32,
}

impl<'a> Encoded<'a> for OpenRequest {
    const MIN_SIZE: usize = 20;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        reader.u32_le("protocol_version")?;
        let kind = match reader.u32_le("request_type")? {
            0 => TokenRequest::Issue,
            1 => TokenRequest::Renew,
            _ => return Err(Fault::invalid("request_type")),
        };
        let mode = reader.u32_le("security_mode")?;
        Bytes::decode_as(reader, "client_nonce", dialect)?;
        Ok(Self { kind, mode, lifetime: reader.u32_le("requested_lifetime")? })
    }
}

/// What the server gives, behind the header of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenResponse {
    /// Number of the channel.
    pub channel: u32,
    /// Number of the token.
    pub token: u32,
    /// When it was made, nanoseconds since 1970.
    pub created: i64,
    /// How long it lives, milliseconds.
    pub lifetime: u32,
}

impl<'a> Encoded<'a> for OpenResponse {
    const MIN_SIZE: usize = 28;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        reader.u32_le("protocol_version")?;
        let channel = reader.u32_le("channel_id")?;
        let token = reader.u32_le("token_id")?;
        let created = read_date_time(reader, "created_at")?;
        let lifetime = reader.u32_le("revised_lifetime")?;
        Bytes::decode_as(reader, "server_nonce", dialect)?;
        Ok(Self { channel, token, created, lifetime })
    }
}
