//! The head of a message: which service it is.

use core::fmt;

use super::table::Service;
use crate::dissector::Side;
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Encoded, FOUR_BYTE, skip_array};
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
    /// The number of the function: that of the request's encoding. Vendors have numbers of their own.
    pub code: u32,
    /// The service was invoked without a session: it is the one inside of the SessionlessInvoke that travels.
    pub is_sessionless: bool,
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
    #[inline(always)]
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        match bytes {
            // What all stacks write, read where it lies.
            &[FOUR_BYTE, 0, low, high, ref rest @ ..] => {
                let number = u16::from_le_bytes([low, high]).into();
                Self::of(Service::from_number(number), number, Reader::new(rest))
            }
            _ => Self::read_any(bytes),
        }
    }

    #[cold]
    fn read_any(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut content = Reader::new(bytes);
        let encoding = Node::read(&mut content)?;
        let number = if let NodeId::Numeric(number) = encoding.id { number } else { Service::Vendor.code() };
        Self::of(encoding.standard_number().and_then(Service::from_number), number, content)
    }

    /// `number`: that of its encoding.
    #[inline(always)]
    fn of(known: Option<(Service, Direction)>, number: u32, content: Reader<'a>) -> Result<Self, Fault> {
        match known {
            Some((Service::SessionlessInvoke, direction)) => Self::unwrapped(direction, content),
            Some((service, direction)) => Ok(Self::standard(service, direction, content)),
            None => {
                Ok(Self { service: Service::Vendor, direction: None, code: number, is_sessionless: false, content })
            }
        }
    }

    #[inline(always)]
    fn standard(service: Service, direction: Direction, content: Reader<'a>) -> Self {
        Self { service, direction: Some(direction), code: service.code(), is_sessionless: false, content }
    }

    /// The message inside of a SessionlessInvoke, which has no header of its own (OPC 10000-4, 6.3). A service that
    /// nobody knows stays what it is wrapped in.
    #[cold]
    fn unwrapped(direction: Direction, mut content: Reader<'a>) -> Result<Self, Fault> {
        let reader = &mut content;
        if direction == Direction::Request {
            reader.u32_le("uris_version")?;
        }
        skip_array::<Bytes<'_>>(reader, "namespace_uris")?;
        skip_array::<Bytes<'_>>(reader, "server_uris")?;
        if direction == Direction::Request {
            skip_array::<Bytes<'_>>(reader, "locale_ids")?;
        }
        let inner = reader.u32_le("service_id")?.checked_add(ENCODING_OF_TYPE).and_then(Service::from_number);
        Ok(match inner.filter(|(_, inner)| *inner == direction) {
            Some((inner, _)) => Self { is_sessionless: true, ..Self::standard(inner, direction, content) },
            None => Self::standard(Service::SessionlessInvoke, direction, content),
        })
    }
}

/// A service inside of another is named by its type. The number of the encoding comes this far behind that of the type,
/// for every service that acts on nodes.
const ENCODING_OF_TYPE: u32 = 2;
