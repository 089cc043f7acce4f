//! The head of a message: which service it is.

use core::fmt;

use super::table::Service;
use crate::dissector::Side;
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, FOUR_BYTE, Standard, each, skip_array};
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// Whether a message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// It asks.
    Request,
    /// It answers.
    Response,
}

impl Direction {
    /// Who sends such messages.
    #[inline]
    pub const fn sender(self) -> Side {
        match self {
            Self::Request => Side::Client,
            Self::Response => Side::Server,
        }
    }
}

/// A message: the body of its chunks put together, decrypted where that was needed, without padding and signature.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The service. [`Service::Vendor`] for what the standard does not have.
    pub service: Service,
    /// Whether it asks or answers, if it is one of the standard's.
    pub direction: Option<Direction>,
    /// The number of its encoding. Vendors have numbers of their own.
    pub number: u32,
    /// The service was invoked without a session: it is the one inside of the SessionlessInvoke that travels.
    pub is_sessionless: bool,
    /// The indexes of its namespaces are those of a table of its own, which came with it (OPC 10000-4, 6.3.2).
    pub has_own_namespaces: bool,
    /// What follows: the header of the request or response, then its body.
    pub content: Reader<'a>,
}

/// Without what follows: it may hold secrets.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Message").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<'a> Message<'a> {
    /// Reads the node of the encoding, in whatever form it travels.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        Self::decode(bytes, Standard)
    }

    /// The same in a dialect.
    pub fn decode(bytes: &'a [u8], dialect: impl Dialect) -> Result<Self, Fault> {
        if let Some(message) = Self::usual(bytes) {
            return Ok(message);
        }
        // Not returned as it is: then both would be made in memory, piece by piece, and be waited for there.
        let Self { service, direction, number, is_sessionless, has_own_namespaces, content } =
            Self::read_any(bytes, dialect)?;
        Ok(Self { service, direction, number, is_sessionless, has_own_namespaces, content })
    }

    /// What all stacks write of the services that the standard has, read where it lies.
    fn usual(bytes: &'a [u8]) -> Option<Self> {
        let (&[FOUR_BYTE, 0, low, high], rest) = bytes.split_first_chunk()? else { return None };
        let number = u16::from_le_bytes([low, high]).into();
        let (service, direction) = Service::from_number(number)?;
        (service != Service::SessionlessInvoke).then(|| Self::standard(service, direction, number, Reader::new(rest)))
    }

    fn read_any(bytes: &'a [u8], dialect: impl Dialect) -> Result<Self, Fault> {
        let mut content = Reader::new(bytes);
        let encoding = Node::decode(&mut content, dialect)?;
        let number = if let NodeId::Numeric(number) = encoding.id { number } else { Service::Vendor.code() };
        match encoding.standard_number().and_then(Service::from_number) {
            Some((Service::SessionlessInvoke, direction)) => Self::unwrapped(direction, content, dialect),
            Some((service, direction)) => Ok(Self::standard(service, direction, number, content)),
            None => {
                Ok(Self { direction: None, ..Self::standard(Service::Vendor, Direction::Request, number, content) })
            }
        }
    }

    const fn standard(service: Service, direction: Direction, number: u32, content: Reader<'a>) -> Self {
        Self { service, direction: Some(direction), number, is_sessionless: false, has_own_namespaces: false, content }
    }

    /// Whether it asks, as far as its type says.
    pub fn is_request(&self) -> bool {
        self.direction != Some(Direction::Response)
    }

    /// The number of the function: that of the encoding of its request, if it is one of the standard's.
    #[inline]
    pub fn code(&self) -> u32 {
        if self.direction.is_some() { self.service.code() } else { self.number }
    }

    /// The message inside of a SessionlessInvoke, which has no header of its own (OPC 10000-4, 6.3). A service that
    /// nobody knows stays what it is wrapped in.
    fn unwrapped(direction: Direction, mut content: Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let reader = &mut content;
        if direction == Direction::Request {
            reader.u32_le("uris_version")?;
        }
        let mut has_own_namespaces = false;
        each(reader, "namespace_uris", dialect, |_: Bytes<'_>| has_own_namespaces = true)?;
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
                Self { is_sessionless: true, has_own_namespaces, ..Self::standard(inner, direction, number, content) }
            }
            None => Self::standard(Service::SessionlessInvoke, direction, encoding, content),
        })
    }
}

/// A service inside of another is named by its type, by some by its encoding. The number of the encoding comes this far behind
/// that of the type, for every service that acts on nodes.
const ENCODING_OF_TYPE: u32 = 2;
