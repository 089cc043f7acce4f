//! RequestHeader and ResponseHeader (OPC 10000-4, 7.33 and 7.34), and the authentication token of a session.

use core::fmt;

use crate::fault::Fault;
use crate::opcua::binary::{
    Bytes, DiagnosticInfo, Dialect, Encoded, ExtensionObject, NUMERIC, StatusCode, read_date_time, skip_array,
};
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// The authentication token of a session. It suffices to hijack the session, so that it is never reported: it only
/// identifies the session. Kept encoded, since few requests need it decoded.
#[derive(Clone, Copy)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    /// The token, decoded; null if it is unreadable.
    fn node(&self) -> Node<'a> {
        Node::read(&mut Reader::new(self.0)).unwrap_or(Node::standard(0))
    }

    /// Whether it names no session.
    pub fn is_null(&self) -> bool {
        self.node() == Node::standard(0)
    }

    /// A hash that identifies the token, the same in every run (FNV-1a, 64 bits).
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
    const MIN_SIZE: usize = Node::MIN_SIZE;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let all = reader.rest();
        // Numeric tokens, which most servers use, need no decoding.
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

/// The header of every request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHeader<'a> {
    /// The authentication token of its session.
    pub token: Token<'a>,
    /// Timestamp by the client's clock, nanoseconds since 1970.
    pub time: i64,
    /// The client's handle for the request, repeated in the response.
    pub handle: u32,
    /// Timeout of the client, milliseconds; 0 for none.
    pub timeout: u32,
}

impl<'a> Encoded<'a> for RequestHeader<'a> {
    const MIN_SIZE: usize = 29;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let token = Token::decode(reader, dialect)?;
        Self::read_plain(token, reader).map_or_else(|| Self::read_any(token, reader, dialect), Ok)
    }
}

impl<'a> RequestHeader<'a> {
    /// Reads what follows the token, if there are no audit entry and no additional header, as in nearly all requests; all
    /// fields at once.
    fn read_plain(token: Token<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let (fixed, rest) = reader.rest().split_first_chunk::<REQUEST_FIELDS>()?;
        let mut fixed = Reader::new(fixed);
        let time = read_date_time(&mut fixed, "request_time").ok()?;
        let handle = fixed.u32_le("request_handle").ok()?;
        fixed.u32_le("return_diagnostics").ok()?;
        let audit_entry = fixed.u32_le("audit_entry_id").ok()?;
        let timeout = fixed.u32_le("timeout_hint").ok()?;
        let is_plain = audit_entry == NULL && fixed.rest() == NO_EXTENSION;
        *reader = if is_plain { Reader::new(rest) } else { *reader };
        is_plain.then_some(Self { token, time, handle, timeout })
    }

    /// Reads what follows the token of any request.
    fn read_any(token: Token<'a>, reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let time = read_date_time(reader, "request_time")?;
        let handle = reader.u32_le("request_handle")?;
        reader.u32_le("return_diagnostics")?;
        Bytes::decode_as(reader, "audit_entry_id", dialect)?;
        let timeout = reader.u32_le("timeout_hint")?;
        ExtensionObject::decode(reader, dialect)?;
        Ok(Self { token, time, handle, timeout })
    }
}

/// The header of every response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHeader {
    /// Timestamp by the server's clock, nanoseconds since 1970.
    pub time: i64,
    /// The client's handle for the request.
    pub handle: u32,
    /// The result of the request as a whole. If it is bad, nothing follows the header.
    pub result: StatusCode,
}

impl<'a> Encoded<'a> for ResponseHeader {
    const MIN_SIZE: usize = RESPONSE_FIELDS;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Self::read_plain(reader).map_or_else(|| Self::read_any(reader, dialect), Ok)
    }
}

impl ResponseHeader {
    /// Reads a header without diagnostics, texts and additional header, as nearly all have; all fields at once.
    #[inline]
    fn read_plain(reader: &mut Reader<'_>) -> Option<Self> {
        let (fixed, rest) = reader.rest().split_first_chunk::<RESPONSE_FIELDS>()?;
        let mut fixed = Reader::new(fixed);
        let time = read_date_time(&mut fixed, "response_time").ok()?;
        let handle = fixed.u32_le("request_handle").ok()?;
        let result = StatusCode(fixed.u32_le("service_result").ok()?);
        let diagnostics = fixed.u8("service_diagnostics").ok()?;
        let texts = fixed.u32_le("string_table").ok()?;
        let is_plain = diagnostics == 0 && (texts == 0 || texts == NULL) && fixed.rest() == NO_EXTENSION;
        *reader = if is_plain { Reader::new(rest) } else { *reader };
        is_plain.then_some(Self { time, handle, result })
    }

    /// Reads any header.
    fn read_any(reader: &mut Reader<'_>, dialect: impl Dialect) -> Result<Self, Fault> {
        let time = read_date_time(reader, "response_time")?;
        let handle = reader.u32_le("request_handle")?;
        let result = StatusCode::decode(reader, dialect)?;
        DiagnosticInfo::decode(reader, dialect)?;
        skip_array::<Bytes<'_>>(reader, "string_table", dialect)?;
        ExtensionObject::decode(reader, dialect)?;
        Ok(Self { time, handle, result })
    }
}

/// Size of a request header behind its token, without audit entry and additional header, bytes.
const REQUEST_FIELDS: usize = 27;
/// Size of a response header without diagnostics, texts and additional header, bytes.
const RESPONSE_FIELDS: usize = 24;
/// The length of a null text or array.
const NULL: u32 = u32::MAX;
/// An empty additional header.
const NO_EXTENSION: [u8; 3] = [0; 3];
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;
