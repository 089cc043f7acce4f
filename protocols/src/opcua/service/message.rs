//! The type of a message: its service and direction.

use core::fmt;

use super::table::Service;
use crate::dissector::Side;
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, FOUR_BYTE, Standard, skip_array, visit_each};
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// Whether a message is a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A request.
    Request,
    /// A response.
    Response,
}

impl Direction {
    /// The side that sends such messages.
    #[inline]
    pub const fn sender(self) -> Side {
        match self {
            Self::Request => Side::Client,
            Self::Response => Side::Server,
        }
    }
}

/// A message body: assembled, decrypted if necessary, without padding and signature.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The service; [`Service::Vendor`] if the standard does not define it.
    pub service: Service,
    /// Request or response; `None` if the standard does not define it.
    pub direction: Option<Direction>,
    /// The number of its encoding, of the standard or of the vendor.
    pub number: u32,
    /// The service was invoked without a session: it is the inner one of a SessionlessInvoke.
    pub is_sessionless: bool,
    /// Its namespace indexes refer to a table in the message itself (OPC 10000-4, 6.3.2).
    pub has_own_namespaces: bool,
    /// What follows the type: the header of the request or response, then its body.
    pub content: Reader<'a>,
}

/// Omits the content, which may include secrets.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Message").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<'a> Message<'a> {
    /// Reads the type of a message in the standard's encoding.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        Self::decode(bytes, Standard)
    }

    /// Reads the type of a message in a dialect.
    pub fn decode(bytes: &'a [u8], dialect: impl Dialect) -> Result<Self, Fault> {
        match Self::decode_usual(bytes) {
            Some(message) => Ok(message),
            None => Self::decode_any(bytes, dialect),
        }
    }

    /// Reads a standard type as all stacks encode it, in four bytes.
    fn decode_usual(bytes: &'a [u8]) -> Option<Self> {
        let (&[FOUR_BYTE, 0, low, high], rest) = bytes.split_first_chunk()? else { return None };
        let number = u16::from_le_bytes([low, high]).into();
        let (service, direction) = Service::from_number(number)?;
        (service != Service::SessionlessInvoke).then(|| Self::of_service(service, direction, number, Reader::new(rest)))
    }

    /// Reads any type, in any encoding of its node id.
    fn decode_any(bytes: &'a [u8], dialect: impl Dialect) -> Result<Self, Fault> {
        let mut content = Reader::new(bytes);
        let encoding = Node::decode(&mut content, dialect)?;
        let number = if let NodeId::Numeric(number) = encoding.id { number } else { Service::Vendor.code() };
        match encoding.standard_number().and_then(Service::from_number) {
            Some((Service::SessionlessInvoke, direction)) => Self::unwrap_sessionless(direction, content, dialect),
            Some((service, direction)) => Ok(Self::of_service(service, direction, number, content)),
            None => {
                Ok(Self { direction: None, ..Self::of_service(Service::Vendor, Direction::Request, number, content) })
            }
        }
    }

    /// A message with a session and without its own namespaces.
    const fn of_service(service: Service, direction: Direction, number: u32, content: Reader<'a>) -> Self {
        Self { service, direction: Some(direction), number, is_sessionless: false, has_own_namespaces: false, content }
    }

    /// Whether it may be a request: its type is not that of a response.
    pub fn is_request(&self) -> bool {
        self.direction != Some(Direction::Response)
    }

    /// The function code: the number of the request encoding, if the standard defines the service.
    #[inline]
    pub fn code(&self) -> u32 {
        if self.direction.is_some() { self.service.code() } else { self.number }
    }

    /// Reads the inner message of a SessionlessInvoke, which has no header of its own (OPC 10000-4, 6.3). An unknown inner
    /// service leaves the SessionlessInvoke as it is.
    fn unwrap_sessionless(direction: Direction, mut content: Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let reader = &mut content;
        if direction == Direction::Request {
            reader.u32_le("uris_version")?;
        }
        let mut has_own_namespaces = false;
        visit_each(reader, "namespace_uris", dialect, |_: Bytes<'_>| has_own_namespaces = true)?;
        skip_array::<Bytes<'_>>(reader, "server_uris", dialect)?;
        if direction == Direction::Request {
            skip_array::<Bytes<'_>>(reader, "locale_ids", dialect)?;
        }
        let id = reader.u32_le("service_id")?;
        let encoding = id.saturating_add(ENCODING_OF_TYPE);
        let find =
            |number| Service::from_number(number).filter(|(_, inner)| *inner == direction).map(|found| (found, number));
        Ok(match find(encoding).or_else(|| find(id)) {
            Some(((inner, _), number)) => {
                Self { is_sessionless: true, has_own_namespaces, ..Self::of_service(inner, direction, number, content) }
            }
            None => Self::of_service(Service::SessionlessInvoke, direction, encoding, content),
        })
    }
}

/// An inner service is named by the id of its type, or by some stacks by that of its encoding. The encoding id exceeds the
/// type id by this, for every service that acts on nodes.
const ENCODING_OF_TYPE: u32 = 2;
