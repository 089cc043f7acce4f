//! The head of a message: which service it is.

use super::table::Service;
use crate::dissector::Side;
use crate::fault::Fault;
use crate::opcua::binary::Encoded;
use crate::operation::Node;
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
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The node of its encoding.
    pub encoding: Node<'a>,
    /// The service. [`Service::Vendor`] for what the standard does not have.
    pub service: Service,
    /// Whether it asks or answers, if it is one of the standard's.
    pub direction: Option<Direction>,
    /// What follows: the header of the request or response, then its body.
    pub content: Reader<'a>,
}

impl<'a> Message<'a> {
    /// Reads the node of the encoding, in whatever form it travels.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut content = Reader::new(bytes);
        let encoding = Node::read(&mut content)?;
        let found = encoding.standard_number().and_then(Service::from_number);
        let (service, direction) = found.map_or((Service::Vendor, None), |(service, side)| (service, Some(side)));
        Ok(Self { encoding, service, direction, content })
    }
}
