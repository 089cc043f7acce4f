//! RequestHeader and ResponseHeader (OPC 10000-4, 7.33 and 7.34), and the token that stands for a session.

use core::fmt;

use crate::fault::Fault;
use crate::opcua::binary::{Bytes, DiagnosticInfo, Encoded, ExtensionObject, StatusCode, date_time, skip_array};
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// What a client shows to prove that a session is its own. Whoever has it can take the session, so that it is told to
/// nobody: it only finds its session again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a>(Node<'a>);

impl Token<'_> {
    /// Whether no session is meant.
    pub fn is_null(&self) -> bool {
        self.0 == Node::standard(0)
    }

    /// A number that is the same for the same token, in every run (FNV-1a, 64 bits).
    pub fn key(&self) -> u64 {
        let (kind, number);
        let bytes: &[u8] = match &self.0.id {
            NodeId::Numeric(id) => {
                number = id.to_le_bytes();
                kind = 0;
                &number
            }
            NodeId::Text(text) => {
                kind = 1;
                text
            }
            NodeId::Guid(guid) => {
                kind = 2;
                guid
            }
            NodeId::Opaque(bytes) => {
                kind = 3;
                bytes
            }
        };
        let [low, high] = self.0.namespace.to_le_bytes();
        let all = [low, high, kind].into_iter().chain(bytes.iter().copied());
        all.fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

impl<'a> Encoded<'a> for Token<'a> {
    const LEAST: usize = Node::LEAST;

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Node::read(reader).map(Self)
    }
}

/// What every request begins with.
#[derive(Clone, Copy, Debug)]
pub struct RequestHeader<'a> {
    /// The session.
    pub token: Token<'a>,
    /// The client's clock, nanoseconds since 1970.
    pub time: i64,
    /// The client's number for the request, repeated in the response.
    pub handle: u32,
    /// How long the client waits, milliseconds; 0 for as long as it takes.
    pub timeout: u32,
}

impl<'a> Encoded<'a> for RequestHeader<'a> {
    const LEAST: usize = 29;

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let token = Token::read(reader)?;
        let time = date_time(reader, "request_time")?;
        let handle = reader.u32_le("request_handle")?;
        reader.u32_le("return_diagnostics")?;
        Bytes::read_as(reader, "audit_entry_id")?;
        let timeout = reader.u32_le("timeout_hint")?;
        ExtensionObject::read(reader)?;
        Ok(Self { token, time, handle, timeout })
    }
}

/// What every response begins with.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHeader {
    /// The server's clock, nanoseconds since 1970.
    pub time: i64,
    /// The client's number for the request.
    pub handle: u32,
    /// How the request ended as a whole. If it is bad, nothing follows the header.
    pub result: StatusCode,
}

impl<'a> Encoded<'a> for ResponseHeader {
    const LEAST: usize = 24;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let time = date_time(reader, "response_time")?;
        let handle = reader.u32_le("request_handle")?;
        let result = StatusCode::read(reader)?;
        DiagnosticInfo::read(reader)?;
        skip_array::<Bytes<'_>>(reader, "string_table")?;
        ExtensionObject::read(reader)?;
        Ok(Self { time, handle, result })
    }
}

const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;
