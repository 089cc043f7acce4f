//! NodeId and ExpandedNodeId (OPC 10000-6, 5.2.2.9 and 5.2.2.10).

use super::array::Encoded;
use super::dialect::{Dialect, Reading};
use super::scalar::Bytes;
use crate::fault::Fault;
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// Reads what follows the first byte of a node id. `encoding`: that byte, without the flags of an ExpandedNodeId.
#[inline]
fn read_encoded<'a>(encoding: u8, reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Node<'a>, Fault> {
    if encoding == TWO_BYTE {
        return Ok(Node { namespace: 0, id: NodeId::Numeric(reader.u8("node_id")?.into()) });
    }
    if encoding == FOUR_BYTE {
        let namespace = reader.u8("namespace")?.into();
        return Ok(Node { namespace, id: NodeId::Numeric(reader.u16_le("node_id")?.into()) });
    }
    if encoding > BYTE_STRING {
        return Err(Fault::invalid(ENCODING));
    }
    let namespace = reader.u16_le("namespace")?;
    let id = match encoding {
        NUMERIC => NodeId::Numeric(reader.u32_le("node_id")?),
        STRING => NodeId::Text(Bytes::decode_as(reader, "node_id", dialect)?.or_empty()),
        GUID => Node::guid(reader.array("node_id")?),
        _ => NodeId::Opaque(Bytes::decode_as(reader, "node_id", dialect)?.or_empty()),
    };
    Ok(Node { namespace, id })
}

/// Skips a node id. Returns its namespace and the bytes behind it.
#[inline]
pub(in crate::opcua) fn node_namespace(bytes: &[u8]) -> Option<(u16, &[u8])> {
    match *bytes {
        [FOUR_BYTE, namespace, _, _, ref rest @ ..] => Some((namespace.into(), rest)),
        [NUMERIC, low, high, _, _, _, _, ref rest @ ..] => Some((u16::from_le_bytes([low, high]), rest)),
        [STRING, low, high, a, b, c, d, ref rest @ ..] if d < 0x80 => {
            let rest = rest.get(u32::from_le_bytes([a, b, c, d]) as usize..)?;
            Some((u16::from_le_bytes([low, high]), rest))
        }
        _ => {
            let mut reader = Reader::new(bytes);
            let node = Node::read(&mut reader).ok()?;
            Some((node.namespace, reader.rest()))
        }
    }
}

impl<'a> Encoded<'a> for Node<'a> {
    const MIN_SIZE: usize = 2;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let encoding = reader.u8(ENCODING)?;
        if encoding > BYTE_STRING {
            return read_flagged(encoding, reader, dialect);
        }
        read_encoded(encoding, reader, dialect)
    }
}

/// Reads a node id whose first byte has flags of an ExpandedNodeId or undefined bits.
fn read_flagged<'a>(encoding: u8, reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Node<'a>, Fault> {
    match dialect.reading() {
        Reading::Standard | Reading::Unanimous => Err(Fault::invalid(ENCODING)),
        Reading::Expanded => {
            ExpandedNodeId::read_after_first_byte(encoding, reader, dialect).map(|expanded| expanded.node)
        }
        Reading::Plain => read_encoded(encoding & KNOWN_TO_ALL, reader, dialect),
    }
}

/// A node id that may name its namespace by URI, or lie in another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpandedNodeId<'a> {
    /// The node id. Its namespace index is void if there is a URI.
    pub node: Node<'a>,
    /// The namespace URI, if there is one.
    pub namespace_uri: Option<&'a [u8]>,
    /// Index into the server table; 0 is the server itself.
    pub server: u32,
}

impl<'a> Encoded<'a> for ExpandedNodeId<'a> {
    const MIN_SIZE: usize = 2;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let flags = reader.u8(ENCODING)?;
        Self::read_after_first_byte(flags, reader, dialect)
    }
}

impl<'a> ExpandedNodeId<'a> {
    /// Reads what follows its first byte.
    fn read_after_first_byte(flags: u8, reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let encoding = match dialect.reading() {
            Reading::Plain => flags & KNOWN_TO_ALL,
            Reading::Standard | Reading::Unanimous | Reading::Expanded => flags & !(HAS_URI | HAS_SERVER),
        };
        let node = read_encoded(encoding, reader, dialect)?;
        let has_uri = flags & HAS_URI != 0;
        let namespace_uri = if has_uri { Bytes::decode_as(reader, "namespace_uri", dialect)?.0 } else { None };
        let server = if flags & HAS_SERVER != 0 { reader.u32_le("server_index")? } else { 0 };
        Ok(Self { node, namespace_uri, server })
    }

    /// The node, if it lies in this server and its namespace index is valid.
    pub fn local_node(&self) -> Option<Node<'a>> {
        (self.namespace_uri.is_none_or(<[u8]>::is_empty) && self.server == 0).then_some(self.node)
    }
}

/// The first byte, as a field name.
pub(super) const ENCODING: &str = "node_id_encoding";
/// The bits of it that every server evaluates.
const KNOWN_TO_ALL: u8 = 0x0F;

// Encodings, by the first byte.
const TWO_BYTE: u8 = 0;
pub(in crate::opcua) const FOUR_BYTE: u8 = 1;
pub(in crate::opcua) const NUMERIC: u8 = 2;
const STRING: u8 = 3;
const GUID: u8 = 4;
const BYTE_STRING: u8 = 5;

// Flags of the first byte of an ExpandedNodeId.
const HAS_URI: u8 = 0x80;
const HAS_SERVER: u8 = 0x40;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Node<'_>, Fault> {
        let mut reader = Reader::new(bytes);
        let node = Node::read(&mut reader)?;
        assert_eq!(reader.left(), 0);
        Ok(node)
    }

    #[test]
    fn every_encoding_of_a_node_id_is_read() {
        let number = |namespace, number| Ok(Node { namespace, id: NodeId::Numeric(number) });
        assert_eq!(read(&[0x00, 0x48]), number(0, 72)); // two-byte, example of the standard
        assert_eq!(read(&[0x01, 0x05, 0x01, 0x04]), number(5, 1025)); // four-byte, example of the standard
        assert_eq!(read(&[0x02, 0x0A, 0x00, 0x40, 0x42, 0x0F, 0x00]), number(10, 1_000_000));
        let text = [0x03, 0x01, 0x00, 0x06, 0x00, 0x00, 0x00, 0x48, 0x6F, 0x74, 0xE6, 0xB0, 0xB4]; // standard: "Hot水"
        assert_eq!(read(&text), Ok(Node { namespace: 1, id: NodeId::Text("Hot水".as_bytes()) }));
        let opaque = [0x05, 0x02, 0x00, 0x02, 0x00, 0x00, 0x00, 0xAB, 0xCD];
        assert_eq!(read(&opaque), Ok(Node { namespace: 2, id: NodeId::Opaque(&[0xAB, 0xCD]) }));
        let guid = [0x04, 0x03, 0x00, 4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16];
        let written = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        assert_eq!(read(&guid), Ok(Node { namespace: 3, id: NodeId::Guid(written) }));
    }

    #[test]
    fn an_undefined_encoding_is_refused() {
        assert_eq!(read(&[0x06, 0, 0, 0, 0, 0, 0]), Err(Fault::invalid("node_id_encoding")));
        assert_eq!(read(&[0x80, 0x48]), Err(Fault::invalid("node_id_encoding")), "a flag of the expanded form only");
    }

    #[test]
    fn the_uri_of_an_expanded_node_id_precedes_its_server_index() {
        let bytes = [0xC0, 0x48, 0x03, 0x00, 0x00, 0x00, b'u', b'r', b'n', 0x07, 0x00, 0x00, 0x00];
        let mut reader = Reader::new(&bytes);
        let node = ExpandedNodeId::read(&mut reader).unwrap();
        assert_eq!((node.node.standard_number(), node.namespace_uri, node.server), (Some(72), Some(&b"urn"[..]), 7));
        assert_eq!(reader.left(), 0);
    }
}
