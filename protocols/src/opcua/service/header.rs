//! RequestHeader and ResponseHeader (OPC 10000-4, 7.33 and 7.34), and the token that stands for a session.

use core::fmt;

use crate::fault::Fault;
use crate::opcua::binary::{
    Bytes, DiagnosticInfo, Dialect, Encoded, ExtensionObject, NUMERIC, StatusCode, date_time, skip_array,
};
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// What a client shows to prove that a session is its own. Whoever has it can take the session, so that it is told to
/// nobody: it only finds its session again. Kept as it travels: nearly nobody asks for more.
#[derive(Clone, Copy)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    fn node(&self) -> Node<'a> {
        Node::read(&mut Reader::new(self.0)).unwrap_or(Node::standard(0))
    }

    /// Whether no session is meant.
    pub fn is_null(&self) -> bool {
        self.node() == Node::standard(0)
    }

    /// A number that is the same for the same token, in every run (FNV-1a, 64 bits).
    pub fn key(&self) -> u64 {
        let (kind, number);
        let Node { namespace, id } = self.node();
        let bytes: &[u8] = match &id {
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
        let [low, high] = namespace.to_le_bytes();
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
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let all = reader.rest();
        // What most servers give out is not looked at.
        let rest = match all {
            [NUMERIC, _, _, _, _, _, _, rest @ ..] => rest,
            _ => {
                Node::decode(reader, dialect)?;
                reader.rest()
            }
        };
        *reader = Reader::new(rest);
        Ok(Self(all.get(..all.len() - rest.len()).unwrap_or_default()))
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

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let token = Token::decode(reader, dialect)?;
        Self::plain(token, reader).map_or_else(|| Self::any(token, reader, dialect), Ok)
    }
}

impl<'a> RequestHeader<'a> {
    /// What follows the token, without an audit entry and anything additional, as nearly always: one look at all of it.
    fn plain(token: Token<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let (fixed, rest) = reader.rest().split_first_chunk::<REQUEST_FIELDS>()?;
        let mut fixed = Reader::new(fixed);
        let time = date_time(&mut fixed, "request_time").ok()?;
        let handle = fixed.u32_le("request_handle").ok()?;
        fixed.u32_le("return_diagnostics").ok()?;
        let audit_entry = fixed.u32_le("audit_entry_id").ok()?;
        let timeout = fixed.u32_le("timeout_hint").ok()?;
        let is_plain = audit_entry == NULL && fixed.rest() == NO_EXTENSION;
        *reader = if is_plain { Reader::new(rest) } else { *reader };
        is_plain.then_some(Self { token, time, handle, timeout })
    }

    fn any(token: Token<'a>, reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let time = date_time(reader, "request_time")?;
        let handle = reader.u32_le("request_handle")?;
        reader.u32_le("return_diagnostics")?;
        Bytes::decode_as(reader, "audit_entry_id", dialect)?;
        let timeout = reader.u32_le("timeout_hint")?;
        ExtensionObject::decode(reader, dialect)?;
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
    const LEAST: usize = RESPONSE_FIELDS;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Self::plain(reader).map_or_else(|| Self::any(reader, dialect), Ok)
    }
}

impl ResponseHeader {
    /// One without diagnostics, texts and anything additional, as nearly always: one look at all of it.
    #[inline]
    fn plain(reader: &mut Reader<'_>) -> Option<Self> {
        let (fixed, rest) = reader.rest().split_first_chunk::<RESPONSE_FIELDS>()?;
        let mut fixed = Reader::new(fixed);
        let time = date_time(&mut fixed, "response_time").ok()?;
        let handle = fixed.u32_le("request_handle").ok()?;
        let result = StatusCode(fixed.u32_le("service_result").ok()?);
        let diagnostics = fixed.u8("service_diagnostics").ok()?;
        let texts = fixed.u32_le("string_table").ok()?;
        let is_plain = diagnostics == 0 && (texts == 0 || texts == NULL) && fixed.rest() == NO_EXTENSION;
        *reader = if is_plain { Reader::new(rest) } else { *reader };
        is_plain.then_some(Self { time, handle, result })
    }

    fn any(reader: &mut Reader<'_>, dialect: impl Dialect) -> Result<Self, Fault> {
        let time = date_time(reader, "response_time")?;
        let handle = reader.u32_le("request_handle")?;
        let result = StatusCode::decode(reader, dialect)?;
        DiagnosticInfo::decode(reader, dialect)?;
        skip_array::<Bytes<'_>>(reader, "string_table", dialect)?;
        ExtensionObject::decode(reader, dialect)?;
        Ok(Self { time, handle, result })
    }
}

/// Bytes behind the token of a request without an audit entry and anything additional.
const REQUEST_FIELDS: usize = 27;
/// Bytes of a response without diagnostics, texts and anything additional.
const RESPONSE_FIELDS: usize = 24;
/// The length of a text or array that is not there.
const NULL: u32 = u32::MAX;
/// Nothing additional.
const NO_EXTENSION: [u8; 3] = [0; 3];
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;
