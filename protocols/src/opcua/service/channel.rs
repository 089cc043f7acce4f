//! OpenSecureChannel (OPC 10000-4, 5.6.2): what the security header of the chunk does not include.

use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, read_date_time};
use crate::reader::Reader;

/// What a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// A new channel.
    Issue,
    /// A new token for an existing channel.
    Renew,
}

/// The request, behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// A new channel or a new token.
    pub kind: TokenRequest,
    /// Security mode: 1 None, 2 Sign, 3 SignAndEncrypt.
    pub mode: u32,
    /// Requested lifetime of the token, milliseconds.
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

/// The response, behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenResponse {
    /// Channel id.
    pub channel: u32,
    /// Token id.
    pub token: u32,
    /// When the token was created, nanoseconds since 1970.
    pub created: i64,
    /// Lifetime of the token, milliseconds.
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
