//! ExtensionObject: a structure with the id of its encoding in front (OPC 10000-6, 5.2.2.15).

use super::array::Encoded;
use super::dialect::{Dialect, Reading};
use super::scalar::Bytes;
use crate::fault::Fault;
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// A structure of any type. Its bytes are stepped over by their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionObject<'a> {
    /// The id of the encoding of its type; null if there is nothing.
    pub encoding: Node<'a>,
    /// Its bytes.
    pub body: ExtensionBody<'a>,
}

/// How the structure is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionBody<'a> {
    /// Not at all: there is no body.
    None,
    /// In this encoding.
    Binary(&'a [u8]),
    /// As XML.
    Xml(&'a [u8]),
}

impl<'a> ExtensionObject<'a> {
    /// The standard's number of the encoding, and the bytes of a structure that is encoded in binary.
    pub fn standard(&self) -> Option<(u32, Reader<'a>)> {
        match self.body {
            ExtensionBody::Binary(bytes) => Some((self.encoding.standard_number()?, Reader::new(bytes))),
            ExtensionBody::None | ExtensionBody::Xml(_) => None,
        }
    }
}

impl<'a> Encoded<'a> for ExtensionObject<'a> {
    const LEAST: usize = 3;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        if reader.rest().starts_with(&NOTHING) {
            reader.bytes(NOTHING.len(), "extension")?;
            return Ok(Self { encoding: Node::standard(0), body: ExtensionBody::None });
        }
        Self::read_something(reader, dialect)
    }
}

impl<'a> ExtensionObject<'a> {
    fn read_something(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let encoding = Node::decode(reader, dialect)?;
        let form = reader.u8(FORM)?;
        let is_null = matches!(encoding.id, NodeId::Numeric(0));
        let body = match (form, dialect.reading()) {
            (0, _) => ExtensionBody::None,
            (_, Reading::Expanded) => return Self::read_expanded(encoding, form, reader),
            (1, _) => match Bytes::decode_as(reader, BODY, dialect)?.0 {
                // Some read the structure of a type that they know whatever its length says.
                None if !is_null && dialect.reading() == Reading::Unanimous => return Err(Fault::Ambiguous(BODY)),
                body => ExtensionBody::Binary(body.unwrap_or_default()),
            },
            (2, Reading::Unanimous) => return Err(Fault::Ambiguous(FORM)),
            (2, _) => ExtensionBody::Xml(Bytes::decode_as(reader, BODY, dialect)?.or_empty()),
            _ => return Err(Fault::invalid(FORM)),
        };
        Ok(Self { encoding, body })
    }

    /// In this reading bit 0 alone says that there is a body, and the length -1 that nobody counted its bytes.
    fn read_expanded(encoding: Node<'a>, form: u8, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        if form & 1 == 0 {
            return Ok(Self { encoding, body: ExtensionBody::None });
        }
        let body = match reader.i32_le(BODY)? {
            -1 if matches!(encoding.id, NodeId::Numeric(0)) => &[],
            -1 => return Err(Fault::Ambiguous(BODY)),
            length => reader.bytes(usize::try_from(length).unwrap_or(0), BODY)?,
        };
        Ok(Self { encoding, body: ExtensionBody::Binary(body) })
    }
}

/// The bytes of a structure, as a field.
pub(super) const BODY: &str = "extension";
/// How they are encoded, as a field.
pub(super) const FORM: &str = "extension_encoding";
/// The null node without a body: what most headers and parameters end with.
const NOTHING: [u8; 3] = [0; 3];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_structure_is_stepped_over_by_its_length() {
        // four-byte node id 321, binary, 4 bytes; then the null object
        let mut reader = Reader::new(b"\x01\x00\x41\x01\x01\x04\0\0\0\xff\xff\xff\xff\x00\x00\x00");
        let token = ExtensionObject::read(&mut reader).unwrap();
        assert_eq!(token.standard().map(|(id, body)| (id, body.rest())), Some((321, &[0xFF; 4][..])));
        let null = ExtensionObject::read(&mut reader).unwrap();
        assert!(null.encoding == Node::standard(0) && null.body == ExtensionBody::None);
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn xml_and_foreign_encodings_have_no_standard_number() {
        let mut reader = Reader::new(b"\x00\x07\x02\x04\0\0\0<a/>\x01\x03\x41\x01\x01\x00\0\0\0");
        let xml = ExtensionObject::read(&mut reader).unwrap();
        assert_eq!(xml.body, ExtensionBody::Xml(b"<a/>"));
        assert!(xml.standard().is_none());
        assert!(ExtensionObject::read(&mut reader).unwrap().standard().is_none(), "namespace 3");
    }
}
